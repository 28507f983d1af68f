"""Thinking that a server leaves in the text, between tags."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Part", "ThinkTags"]


class Part(NamedTuple):
    """A piece of an answer, never empty."""

    kind: Literal["thinking", "text"]
    text: str


class ThinkTags:
    r"""Splits a leading `<think>…</think>` off a text that comes in pieces.

    White space before the first tag and around the last one goes.  A text that does not begin with
    the tag is left alone, and so is a tag that comes later: it may be what the text is about.

    >>> tags = ThinkTags()
    >>> [*tags.feed("<th"), *tags.feed("ink>Hm.</think>"), *tags.feed("\n\nYes"), *tags.close()]
    [Part(kind='thinking', text='Hm.'), Part(kind='text', text='Yes')]

    Args:
        tag: The word between the angle brackets.
        is_open: The opening tag was part of the prompt; the answer begins inside it.
    """

    def __init__(self, tag: str = "think", *, is_open: bool = False) -> None:
        self._opening = f"<{tag}>"
        self._closing = f"</{tag}>"
        self._held = ""
        self._has_thought = False
        self._state: Literal["before", "maybe", "inside", "after", "text"] = (
            "maybe" if is_open else "before"
        )

    def feed(self, piece: str) -> list[Part]:
        """Take the next piece; return what is certain by now."""
        if self._state == "text":
            return [Part("text", piece)] if piece else []
        self._held += piece
        parts: list[Part] = []
        if self._state in ("before", "maybe"):
            self._open()
        if self._state == "inside":
            self._think(parts)
        if self._state == "after":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "text"
        if self._state == "text" and self._held:
            parts.append(Part("text", self._held))
            self._held = ""
        return parts

    def close(self) -> list[Part]:
        """The text has ended; return what was held back."""
        held, self._held = self._held, ""
        if self._state == "inside":
            held = held.rstrip()
            return [Part("thinking", held)] if held else []
        return [Part("text", held)] if held and self._state in ("before", "maybe") else []

    def _open(self) -> None:
        begun = self._held.lstrip()
        if begun.startswith(self._opening):
            self._held = begun[len(self._opening) :]
            self._state = "inside"
        elif not self._opening.startswith(begun):
            self._state = "inside" if self._state == "maybe" else "text"

    def _think(self, parts: list[Part]) -> None:
        if not self._has_thought:
            self._held = self._held.lstrip()
        thought, tag, rest = self._held.partition(self._closing)
        if tag:
            self._state = "after"
            self._held = rest
            thought = thought.rstrip()
        else:
            # What may be the start of the closing tag, and white space that may stand before it.
            end = len(thought.rstrip())
            for size in range(min(len(self._closing) - 1, len(thought)), 0, -1):
                if thought.endswith(self._closing[:size]):
                    end = len(thought[:-size].rstrip())
                    break
            thought, self._held = thought[:end], thought[end:]
        if thought:
            self._has_thought = True
            parts.append(Part("thinking", thought))
