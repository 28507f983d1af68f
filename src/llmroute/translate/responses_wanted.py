"""What of a request its answer depends on, once the request itself is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from llmroute.translate.names import OPENAI_NAMES, Names
from llmroute.wire.envelope import MALFORMED, Envelope

__all__ = ["Wanted", "wanted"]


class _Tool(msgspec.Struct):
    name: Any = None


class _Addition(msgspec.Struct):
    """What a message may hold of tools, at any depth that can be."""

    content: Any = None


_tools = msgspec.json.Decoder(list[_Tool]).decode
_additions = msgspec.json.Decoder(list[_Addition]).decode


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a request its answer depends on.

    Attributes:
        model: The name that was asked for.
        family: Whose reasoning it will be.
        names: The caller's names of the tools.
        stop_sequences: As the caller gave them.
        thinking: Whether the answer has the reasoning in it.
        input_tokens: About how long the prompt is.
    """

    model: str
    family: str
    names: Names
    stop_sequences: Any = None
    thinking: bool = True
    input_tokens: int = 0


def wanted(body: Envelope, model: str, family: str, input_tokens: int = 0) -> Wanted:
    """Read off a request what its answer depends on; the request need not be kept.

    A caller that has not asked for thinking, and has no tools, gets none: it may well look for the
    text in the first block.  Where there are tools the reasoning must come back with their results.
    """
    return Wanted(
        model,
        family,
        Names(_long_names(body), OPENAI_NAMES),
        body.get("stop_sequences"),
        _wants_thinking(body),
        input_tokens,
    )


def _wants_thinking(body: Envelope) -> bool:
    asked = body.get("thinking")
    if isinstance(asked, dict) and asked.get("type") in ("enabled", "adaptive"):
        return True
    return "tools" in body and bytes(body.raw("tools")[:2]) != b"[]"


def _long_names(body: Envelope) -> list[str]:
    """Return the names of tools that are sent under others: those that do not fit."""
    names: list[Any] = []
    try:
        if "tools" in body:
            names = [tool.name for tool in _tools(body.raw("tools"))]
        if "messages" in body and b'"tool_addition"' in bytes(body.raw("messages")):
            names += _added(_additions(body.raw("messages")))
    except MALFORMED:
        return []
    return [name for name in names if isinstance(name, str) and not OPENAI_NAMES.take(name)]


def _added(messages: list[_Addition]) -> list[Any]:
    found = []
    for message in messages:
        for block in message.content if isinstance(message.content, list) else []:
            match block:
                case {"type": "tool_addition", "tool": {"definition": {"name": name}}}:
                    found.append(name)
    return found
