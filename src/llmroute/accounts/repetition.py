"""The same tool call again and again: a conversation that goes in circles.

A conversation grows with every turn, and each turn brings all of it, so only its end is looked at:
where that begins is found by its bytes, and what stands there is read as JSON only if it is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from llmroute.messages.call import Call

__all__ = ["Repeated", "repeated"]

_TOOL_USE: Final = b'"tool_use"'
_ROLE: Final = b'"role"'
_REMINDER: Final = "<system-reminder>"
# So many places are tried at which the end of the conversation may begin, before all is read.
_TRIES: Final = 4


class Repeated(NamedTuple):
    """A tool call.

    Attributes:
        name: Of the tool.
        input: What it was called with, as it stands in the request.
    """

    name: str
    input: bytes


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    role: str
    content: list[_Block] | str | None = None


_decoder = msgspec.json.Decoder(list[_Message])
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def repeated(call: Call, times: int) -> Repeated | None:
    """Return the tool call that a conversation ends in, if it has made it so often in a row.

    What the tools answer does not matter; a message of the person's own begins anew.
    """
    if "messages" not in call.body:
        return None
    body = bytes(call.body.raw("messages"))
    latest, count = None, 0
    for message in reversed(_end(body, times)):
        blocks = message.content if isinstance(message.content, list) else []
        if message.role == "user" and _is_spoken(blocks):
            return None
        for block in reversed(blocks):
            if block.type != "tool_use":
                continue
            made = Repeated(block.name, bytes(block.input))
            if latest is not None and made != latest:
                return None
            latest, count = made, count + 1
            if count == times:
                return latest
    return None


def _is_spoken(blocks: list[_Block]) -> bool:
    """Tell whether a user's message holds something that a person says.

    Claude Code puts that into the message with the results, where there are some; and reminders
    of its own as well.
    """
    if not any(block.type == "tool_result" for block in blocks):
        return True
    return any(
        block.type == "text" and not block.text.lstrip().startswith(_REMINDER) for block in blocks
    )


def _calls(messages: list[_Message]) -> Iterator[_Block]:
    for message in messages:
        if isinstance(message.content, list):
            yield from (block for block in message.content if block.type == "tool_use")


def _end(body: bytes, times: int) -> list[_Message]:
    """Return the last messages, so many that there are as many tool calls among them.

    It may be more of them; none if there are too few, or they cannot be read.
    """
    at = len(body)
    for _ in range(times):
        at = body.rfind(_TOOL_USE, 0, at)
        if at < 0:
            return []
    for _ in range(_TRIES):
        at = body.rfind(_ROLE, 0, at)
        begin = body.rfind(b"{", 0, at)
        if at < 0 or begin < 0:
            break
        # From anywhere but the beginning of a message, the brackets do not match.
        if body[begin + 1 : at].strip():
            continue
        try:
            found = _decoder.decode(b"[" + body[begin:])
        except _UNREADABLE:
            continue
        if sum(1 for _ in _calls(found)) >= times:
            return found
        # Some of what was found is what a tool was called with.
        break
    try:
        return _decoder.decode(body)
    except _UNREADABLE:
        return []
