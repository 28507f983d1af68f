"""What a format that is not Messages has a place for."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Losses", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """What an upstream's format has a place for; what it has none for is told in words.

    Attributes:
        title: The upstream's name, for people.
        provider: Its name in the signatures of `translate.reasoning`.
        family: Which models read each other's reasoning, likewise.
        system_messages: There may be system messages between the others; else they become
            reminders in the user's turn.
        images: It sees images.
        documents: It reads PDFs.
        urls: It fetches images and documents from their addresses.
        tool_images: A tool's result may have images in it; else they follow the results.
        tool_documents: Likewise with documents.
        cache_marks: Blocks and tools keep their `cache_control`.
        server_tools: What it runs itself in place of Anthropic, such as `web_search`.
    """

    title: str
    provider: str
    family: str
    system_messages: bool = False
    images: bool = True
    documents: bool = True
    urls: bool = True
    tool_images: bool = False
    tool_documents: bool = False
    cache_marks: bool = False
    server_tools: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Losses:
    """What of a request an upstream does not get to see, each thing once."""

    _lines: dict[str, None] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[str, ...]:
        """The place in the request and why, `messages[3].content[1]: image left out: …`."""
        return tuple(self._lines)

    def note(self, place: str, what: str) -> None:
        """Add a line."""
        self._lines[f"{place}: {what}"] = None
