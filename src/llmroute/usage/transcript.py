"""The messages of a request, in digests, which are taken only when somebody asks for them.

Nearly every turn begins with all of the turn before, and nobody asks then: one digest of the bytes
tells.  What a turn adds is kept as it came until it is needed, or is too long to be kept.
"""

from __future__ import annotations

import itertools
import re
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from xxhash import xxh3_64

from llmroute.usage.marks import BLANK, MARK, unmarked
from llmroute.wire.envelope import MALFORMED

__all__ = ["Read", "Transcript", "said"]

_BRACE: Final = ord("{")
_COMMA: Final = ord(",")
_WHITE_SPACE: Final = b" \t\n\r,"  # and what else stands between two messages
_BETWEEN: Final = re.compile(rb"[ \t\n\r,]*")
_TEXT: Final = re.compile(rb'\{\s*"type"\s*:\s*"text"\s*,\s*"text"\s*:\s*')
# Bytes that are kept to be read later.
_LONGEST: Final = 16_384
# So many bytes are two conversations' only if they have them in common.
_TELLING: Final = 1024

_numbers = itertools.count(1)
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Message(msgspec.Struct):
    role: str = ""
    # What is no list is looked at as it stands.
    content: list[msgspec.Raw] | str | float | bool | dict[str, msgspec.Raw] | None = None
    output_config: msgspec.Raw = msgspec.Raw(b"")


class _Content(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b'""')


_message = msgspec.json.Decoder(_Message).decode
_content = msgspec.json.Decoder(_Content).decode


class Read(NamedTuple):
    """Messages that have been read.

    Attributes:
        messages: A digest of each.
        roles: The first letter of each one's role.
        ends: How many blocks there are up to the end of each message.
        opening: A digest of each block of the first message.
        marks: The blocks that the client has marked, counted as `ends` does.
        settled: How many messages there are before the first mark, which the next turn has, too.
        length: How many bytes of the list these are.
    """

    messages: array[int]
    roles: bytes
    ends: array[int]
    opening: tuple[int, ...]
    marks: tuple[int, ...]
    settled: int
    length: int


_NOTHING: Final = Read(array("q"), b"", array("q"), (), (), 0, 1)


class Transcript:
    """The messages of one request.

    Attributes:
        number: Another one for each.
        follows: The number of the transcript that it begins with beyond doubt; 0 if there is none.
        cut: How many bytes of the list the next turn will begin with, for no mark stands in them.
        digest: Of these bytes.
        known: What has been read so far.
        is_marked: Whether the client has marked any message.
        length: How many bytes the list is long.
    """

    __slots__ = ("_rest", "cut", "digest", "follows", "is_marked", "known", "length", "number")
    cut: int
    digest: int
    known: Read

    def __init__(self, raw: memoryview, earlier: Sequence[Transcript]) -> None:
        """Look at a list of messages.

        Args:
            raw: The list's bytes.
            earlier: Transcripts that it may go on.
        """
        self.number = next(_numbers)
        self.length = len(raw)
        found, self.follows = None, 0
        hasher, at = xxh3_64(), 0
        for each in sorted(earlier, key=_cut_of) if len(earlier) > 1 else earlier:
            if each.cut >= len(raw):
                break
            hasher.update(raw[at : each.cut])
            at = each.cut
            if hasher.intdigest() != each.digest:
                continue
            if found is None or found.cut < at:
                found, self.follows = each, each.number if at >= _TELLING else 0
            elif found.length != each.length:
                self.follows = 0  # they may go on in different ways
        self.known = _NOTHING if found is None else found.known
        # What is marked now will not be at the next turn.
        mark = MARK.search(raw, 1 if found is None else found.cut)
        self.is_marked = mark is not None
        self.cut = _end(raw, len(raw) - 1 if mark is None else mark.start())
        if self.cut < at:
            hasher, at = xxh3_64(), 0
        hasher.update(raw[at : self.cut])
        self.digest = hasher.intdigest()
        self._rest = bytes(raw[self.known.length :])
        if len(self._rest) > _LONGEST:
            self.read()

    def read(self) -> Read:
        """Return what the messages are; nothing, where they cannot be read."""
        if self._rest:
            try:
                self.known = _read(self.known, self._rest)
            except MALFORMED:
                self.known = _NOTHING
            self._rest = b""
        return self.known

    def is_sent_again_by(self, other: Transcript) -> bool:
        """Tell whether another one is of the same request."""
        return (self.cut, self.digest, self.length) == (other.cut, other.digest, other.length)

    def __eq__(self, other: object) -> bool:
        """Compare the messages."""
        return isinstance(other, Transcript) and self.read()[:5] == other.read()[:5]

    __hash__ = None  # type: ignore[assignment]


def _cut_of(transcript: Transcript) -> int:
    return transcript.cut


def _end(raw: memoryview, at: int) -> int:
    """Return where that ends which stands before a mark or a bracket, without a comma."""
    while raw[at - 1] in BLANK:
        at -= 1
    if raw[at - 1] == _COMMA:
        at -= 1
        while raw[at - 1] in BLANK:
            at -= 1
    return at


def _read(known: Read, rest: bytes) -> Read:
    """Read the messages that follow on those that are known."""
    count, length = known.settled, known.length
    reading = _Reading(known)
    tail = b"[" + rest.lstrip(_WHITE_SPACE) if length > 1 else b"[" + rest
    skipped = length + len(rest) - len(tail)
    marks = [mark.start() for mark in MARK.finditer(tail)]
    seen, at = 0, 1
    for item in _items(tail):
        if tail[at] != _BRACE and (between := _BETWEEN.match(tail, at)):
            at = between.end()
        at += len(memoryview(item))
        before, seen = seen, bisect_left(marks, at)
        reading.add(item, seen - before)
        if not seen:
            count, length = count + 1, skipped + at
        at += 1
    return reading.done(count, length)


class _Reading:
    """Takes the digests of messages, one after another."""

    def __init__(self, known: Read) -> None:
        self._messages, self._ends = known.messages[: known.settled], known.ends[: known.settled]
        self._roles = bytearray(known.roles[: known.settled])
        self._opening = known.opening if known.settled else ()
        self._marks: list[int] = []

    def done(self, count: int, length: int) -> Read:
        """Return what was read."""
        roles, marks = bytes(self._roles), tuple(self._marks)
        return Read(self._messages, roles, self._ends, self._opening, marks, count, length)

    def add(self, item: msgspec.Raw, marks: int) -> None:
        """Add a message in which there are so many marks."""
        message = _message(item)
        role, content = message.role, message.content
        end = self._ends[-1] if self._ends else 0
        if not isinstance(content, list):
            blocks = [hash(bytes(_content(item).content))]
        else:
            blocks, marked = [], []
            # The last block is the one that is marked, as a rule, and then no other is searched.
            for place in range(len(content), 0, -1):
                data = bytes(content[place - 1])
                if marks:
                    data, count = unmarked(data, marks)
                    if count:
                        marks -= count
                        marked.append(end + place)
                blocks.append(hash(said(data)))
            blocks.reverse()
            self._marks += reversed(marked)
        if not self._messages:
            self._opening = tuple(blocks)
        self._messages.append(hash((role, *blocks, bytes(message.output_config))))
        self._ends.append(end + len(blocks))
        self._roles.append(ord(role[:1] or "?") & 0x7F)


def said(block: bytes) -> bytes:
    """Return a block's bytes; of a text, only the text.

    A client may write a text alone at one time, and as a block at another.
    """
    text = _TEXT.match(block)
    return block if text is None else block[text.end() : -1]
