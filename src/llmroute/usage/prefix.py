"""What a prompt begins with, in digests: tools, system, and each message.

What moves from turn to turn without breaking anything is left out: the marks of where to cache,
with which a text alone becomes a block, Claude Code's attribution, and tools that are to be loaded
when they are searched for.
A digest is good for one process only, and says nothing of the text.
"""

from __future__ import annotations

import re
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from xxhash import xxh3_64_intdigest

from llmroute.errors import InvalidRequestError
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers

__all__ = ["Prompt", "prompt_of"]

# Inside a string its quotes would be escaped.  A pattern that begins with plain text is found in a
# fifth of the time that `bytes.find` takes for some kilobytes.
_MARK: Final = re.compile(rb'"cache_control"\s*:\s*(?:\{[^{}]*\}|null)')
_MARKED: Final = b'"cache_control"'
_BLANK: Final = b" \t\n\r"
_TEXT: Final = re.compile(rb'\{\s*"type"\s*:\s*"text"\s*,\s*"text"\s*:\s*')
_WHITE_SPACE: Final = b" \t\n\r,"  # and what else stands between two messages
_BETWEEN: Final = re.compile(rb"[ \t\n\r,]*")
_BRACE: Final = ord("{")
_ATTRIBUTION: Final = b'"x-anthropic-billing-header'
_DEFERRED: Final = b'"defer_loading"'
_LONGEST: Final = 80  # characters of a tool's name

# They stand in no block, but change what the model reads.  With the first ones the cache of the
# messages is lost for sure: https://platform.claude.com/docs/en/build-with-claude/prompt-caching,
# on what invalidates it.
_PARAMETERS: Final = ("thinking", "tool_choice", "speed")
_OTHERS: Final = ("output_config", "context_management")
_BETAS: Final = b"anthropic-beta"

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Message(msgspec.Struct):
    role: str = ""
    # What is no list is looked at as it stands.
    content: list[msgspec.Raw] | str | float | bool | dict[str, msgspec.Raw] | None = None
    output_config: msgspec.Raw = msgspec.Raw(b"")


class _Content(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b'""')


class _Tool(msgspec.Struct):
    name: Any = None
    type: Any = None
    defer_loading: Any = None


_message = msgspec.json.Decoder(_Message).decode
_content = msgspec.json.Decoder(_Content).decode
_tool = msgspec.json.Decoder(_Tool).decode


class _Start(NamedTuple):
    """The bytes that a list of messages begins with, as far as the next turn repeats them.

    Attributes:
        messages: How many are in it.
        length: How long it is.
        digest: Of the bytes.
    """

    messages: int
    length: int
    digest: int

    def begins(self, raw: memoryview) -> bool:
        # All of a conversation is read here at every turn, hence a digest as fast as memory, and
        # one that takes the bytes where they are.
        return len(raw) > self.length > 1 and xxh3_64_intdigest(raw[: self.length]) == self.digest


class _Sent(NamedTuple):
    """A member as it was sent: a digest of its bytes, and whether there is a mark in them."""

    digest: int
    is_marked: bool


class Prompt(NamedTuple):
    """A request's prompt, in the order in which it is cached.

    Attributes:
        tools: The name and the digest of each.
        system: A digest of each block.
        parameters: Members on which the cache of the messages depends, by name.
        others: Members on which it may depend.
        messages: A digest of each.
        roles: The first letter of each one's role.
        ends: How many blocks there are up to the end of each message.
        opening: A digest of each block of the first message.
        marks: The messages' blocks that the client has marked, counted as `ends` does.
        is_marked: Whether the client has marked anything at all.
        start: What the list of messages begins with.
        tools_as_sent: The member, marks and all; and so is `system_as_sent`.
    """

    tools: tuple[tuple[str, int], ...]
    system: tuple[int, ...]
    parameters: tuple[tuple[str, int], ...]
    others: tuple[tuple[str, int], ...]
    messages: array[int]
    roles: bytes
    ends: array[int]
    opening: tuple[int, ...]
    marks: tuple[int, ...]
    is_marked: bool
    start: _Start
    tools_as_sent: _Sent
    system_as_sent: _Sent


def prompt_of(body: Envelope, headers: Headers, earlier: Sequence[Prompt]) -> Prompt | None:
    """Take the digests of a Messages request; `None` if it is none.

    Args:
        body: The request.
        headers: Of the request, those that an upstream gets to see.
        earlier: Prompts that it may be the next turn of: what one of them has is not looked at
            again, so that a long conversation costs little more than reading it once.
    """
    try:
        return _prompt(body, headers, earlier)
    except (InvalidRequestError, *MALFORMED):
        return None


def _prompt(body: Envelope, headers: Headers, earlier: Sequence[Prompt]) -> Prompt:
    raw_tools = body.raw("tools") if "tools" in body else memoryview(b"[]")
    raw_system = body.raw("system") if "system" in body else memoryview(b"[]")
    as_tools, as_system = xxh3_64_intdigest(raw_tools), xxh3_64_intdigest(raw_system)
    by_tools = next((each for each in earlier if each.tools_as_sent.digest == as_tools), None)
    by_system = next((each for each in earlier if each.system_as_sent.digest == as_system), None)
    if by_tools is not None:
        tools, tools_as_sent = by_tools.tools, by_tools.tools_as_sent
    else:
        data = bytes(raw_tools)
        tools, tools_as_sent = tuple(_tools(data)), _Sent(as_tools, _is_marked(data))
    if by_system is not None:
        system, system_as_sent = by_system.system, by_system.system_as_sent
    else:
        data = bytes(raw_system)
        system, system_as_sent = tuple(_system(data)), _Sent(as_system, _is_marked(data))
    said = _Messages(body.raw("messages") if "messages" in body else memoryview(b""), earlier)
    betas = hash(tuple([value for name, value in headers if name == _BETAS]))
    return Prompt(
        tools,
        system,
        tuple((name, hash(bytes(body.raw(name)))) for name in _PARAMETERS if name in body),
        (
            *((name, hash(bytes(body.raw(name)))) for name in _OTHERS if name in body),
            ("anthropic-beta", betas),
        ),
        said.digests,
        bytes(said.roles),
        said.ends,
        said.opening,
        tuple(said.marks),
        bool(said.marks) or system_as_sent.is_marked or tools_as_sent.is_marked,
        said.start,
        tools_as_sent,
        system_as_sent,
    )


def _tools(raw: bytes) -> Iterator[tuple[str, int]]:
    for item in _items(raw):
        data, _ = _unmarked(bytes(item))
        tool = _tool(data)
        # One that is to be searched for is not in the prompt before it is found.
        if not (_DEFERRED in data and tool.defer_loading is True):
            yield str(tool.name or tool.type or "")[:_LONGEST], hash(data)


def _system(raw: bytes) -> Iterator[int]:
    if raw[:1] != b"[":
        yield hash(raw)
        return
    for at, item in enumerate(_items(raw)):
        said = _said(_unmarked(bytes(item))[0])
        # It keeps its place, and is the same whatever it says.
        yield hash(said) if at or not said.startswith(_ATTRIBUTION) else 0


class _Messages:
    """The messages of a request, read as far as no earlier turn has them."""

    __slots__ = ("digests", "ends", "marks", "opening", "roles", "start")

    def __init__(self, raw: memoryview, earlier: Sequence[Prompt]) -> None:
        self.start = _Start(0, 1, 0)
        self.digests, self.ends, self.roles = array("q"), array("q"), bytearray()
        self.opening: tuple[int, ...] = ()
        self.marks: list[int] = []
        for known in earlier:
            if known.start.begins(raw):
                count, length, _ = self.start = known.start
                self.digests, self.ends = known.messages[:count], known.ends[:count]
                self.roles, self.opening = bytearray(known.roles[:count]), known.opening
                self._read(b"[" + bytes(raw[length:]).lstrip(_WHITE_SPACE), raw)
                return
        self._read(bytes(raw), raw)

    def _read(self, tail: bytes, raw: memoryview) -> None:
        """Read messages that are the last ones of `raw`."""
        count, length, _ = self.start
        skipped = len(raw) - len(tail)
        marks = [mark.start() for mark in _MARK.finditer(tail)]
        seen, at = 0, 1
        for item in _items(tail):
            if tail[at] != _BRACE and (between := _BETWEEN.match(tail, at)):
                at = between.end()
            at += len(memoryview(item))
            before, seen = seen, bisect_left(marks, at)
            self._add(item, seen - before)
            if not seen:
                # What is marked now will not be at the next turn.
                count, length = count + 1, skipped + at
            at += 1
        if count > self.start.messages:
            self.start = _Start(count, length, xxh3_64_intdigest(raw[:length]))

    def _add(self, item: msgspec.Raw, marks: int) -> None:
        """Add a message in which there are so many marks."""
        message = _message(item)
        role, content = message.role, message.content
        end = self.ends[-1] if self.ends else 0
        if not isinstance(content, list):
            blocks = [hash(bytes(_content(item).content))]
        else:
            blocks, marked = [], []
            # The last block is the one that is marked, as a rule, and then no other is searched.
            for place in range(len(content), 0, -1):
                data = bytes(content[place - 1])
                if marks:
                    data, count = _unmarked(data, marks)
                    if count:
                        marks -= count
                        marked.append(end + place)
                blocks.append(hash(_said(data)))
            blocks.reverse()
            self.marks += reversed(marked)
        if not self.digests:
            self.opening = tuple(blocks)
        self.digests.append(hash((role, *blocks, bytes(message.output_config))))
        self.ends.append(end + len(blocks))
        self.roles.append(ord(role[:1] or "?") & 0x7F)


def _is_marked(data: bytes) -> bool:
    return _MARK.search(data) is not None


def _said(block: bytes) -> bytes:
    """Return a block's bytes; of a text, only the text.

    A client may write a text alone at one time, and as a block at another.
    """
    text = _TEXT.match(block)
    return block if text is None else block[text.end() : -1]


def _unmarked(data: bytes, most: int = sys.maxsize) -> tuple[bytes, int]:
    """Leave the last marks out, each with a comma of its own; return how many there were, too."""
    count, end = 0, len(data)
    while count < most and (end := data.rfind(_MARKED, 0, end)) >= 0:
        mark = _MARK.match(data, end)
        if mark is None:
            continue
        count += 1
        before, after = data[:end], data[mark.end() :]
        if (ahead := before.rstrip(_BLANK)).endswith(b","):
            before = ahead[:-1]
        else:
            after = after.lstrip(_BLANK).removeprefix(b",")
        data = before + after
    return data, count
