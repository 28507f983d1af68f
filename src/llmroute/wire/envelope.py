"""A JSON object split at its top level: the members' bytes are kept, only what is asked is decoded.

A body of a megabyte is split in well under a millisecond, one member is replaced by cutting the
body at that member's own place, and every other byte goes out as it came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from llmroute.errors import InvalidRequestError

__all__ = ["MALFORMED", "Envelope"]

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON that somebody else wrote can raise; text of odd bytes and deep nesting do so
only when they are looked into."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode

# From the end of a value to the start of the next; that the commas are right has been checked.
_KEY = re.compile(rb'[ \t\n\r,]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:[ \t\n\r]*')


class Envelope(Mapping[str, Any]):
    """An immutable view of one JSON object.

    Indexing decodes the one member asked for.  `replace` returns a new envelope in which every
    member that is not named keeps its bytes, its place, and the white space around it.

    One thing is normalised, as soon as the object is parsed: where a member is repeated, the last
    one wins and the others go, so that a caller cannot be authorised for one model and served
    another.

    >>> envelope = Envelope.parse(b'{"model": "fast",  "top_k":1.0e1}')
    >>> bytes(envelope.replace(model="claude-haiku-4-5"))
    b'{"model": "claude-haiku-4-5",  "top_k":1.0e1}'
    """

    __slots__ = ("_pieces", "_source", "_spans", "_values")

    def __init__(
        self,
        values: dict[str, msgspec.Raw],
        spans: dict[str, tuple[int, int]],
        source: bytes,
        pieces: tuple[bytes | memoryview, ...],
    ) -> None:
        self._values = values
        self._spans = spans
        self._source = source
        self._pieces = pieces

    @classmethod
    def parse(cls, body: bytes) -> Envelope:
        """Split `body`.

        Raises:
            InvalidRequestError: It is not one JSON object.
        """
        values, spans, body = _split(body)
        return cls(values, spans, body, (body,))

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Envelope:
        """Encode `members` once, in their order.

        Raises:
            InvalidRequestError: A value has no JSON form.
        """
        try:
            return cls.parse(_encode(members))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequestError(f"A parameter cannot be sent as JSON: {error}") from None

    def __getitem__(self, name: str) -> Any:
        """Decode one member.

        Raises:
            InvalidRequestError: What is inside it has no value: text that is not UTF-8, a number
                beyond all bounds.
        """
        raw = self._values[name]
        try:
            return msgspec.json.decode(raw)
        except MALFORMED as error:
            raise InvalidRequestError(f"`{name}` in the request body: {error}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return f"<Envelope of {', '.join(self._values)}>"

    def raw(self, name: str) -> memoryview:
        """Return the member's bytes as they stand in the object."""
        return memoryview(self._values[name])

    def string(self, name: str) -> str | None:
        """Return the member if it is there and a string.

        Raises:
            InvalidRequestError: The string is not UTF-8.
        """
        raw = self._values.get(name)
        if raw is None or bytes(memoryview(raw)[:1]) != b'"':
            return None
        value: str = self[name]
        return value

    def is_true(self, name: str) -> bool:
        """Tell whether the member is there and is `true`."""
        raw = self._values.get(name)
        return raw is not None and bytes(memoryview(raw)[:5]) == b"true"

    def replace(self, /, **members: Any) -> Envelope:
        """Return a copy with `members` set: those it has in their places, new ones at the end.

        A value that is an `Envelope` is put in as it is.
        """
        source, spans = self._source, self._spans
        view = memoryview(source)
        edits: list[tuple[int, int, bytes]] = []
        added: list[bytes] = []
        for name, value in members.items():
            encoded = bytes(value) if isinstance(value, Envelope) else _encode(value)
            if (span := spans.get(name)) is not None:
                edits.append((*span, encoded))
            else:
                added.append(_encode(name) + b":" + encoded)
        if added:
            close = source.rindex(b"}")
            comma = b"," if spans else b""
            edits.append((close, close, comma + b",".join(added)))
        edits.sort()
        pieces: list[bytes | memoryview] = []
        at = 0
        for start, end, encoded in edits:
            pieces += (view[at:start], encoded)
            at = end
        pieces.append(view[at:])
        return _Edited(tuple(pieces))

    def without(self, *names: str) -> Envelope:
        """Return a copy that lacks `names`; white space between its members goes as well."""
        values = self._values
        if not any(name in values for name in names):
            return self
        return Envelope.parse(_encode({n: raw for n, raw in values.items() if n not in names}))

    def pieces(self) -> tuple[bytes | memoryview, ...]:
        """Return the object as buffers to be written one after the other; nothing is copied."""
        return self._pieces

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces) if len(self._pieces) > 1 else bytes(self._pieces[0])


class _Edited(Envelope):
    """An envelope after `replace`: most are only sent, so it is split when it is first asked."""

    __slots__ = ()

    def __init__(self, pieces: tuple[bytes | memoryview, ...]) -> None:
        self._pieces = pieces

    def __getattr__(self, name: str) -> Any:
        # Called for the slots that have not been filled.
        if name not in Envelope.__slots__:
            raise AttributeError(name)
        self._values, self._spans, self._source = _split(bytes(self))
        return getattr(self, name)


def _split(body: bytes) -> tuple[dict[str, msgspec.Raw], dict[str, tuple[int, int]], bytes]:
    """Return an object's members, where their values stand, and the object these are found in."""
    try:
        values = _members.decode(body)
    except MALFORMED as error:
        raise InvalidRequestError(
            f"The request body is not valid JSON, or not one object: {error}"
        ) from None
    spans = _locate(body, values)
    if spans is None:
        # A member is repeated; written anew, the object has each of them once.
        body = _encode(values)
        spans = _locate(body, values) or {}
    return values, spans, body


def _locate(body: bytes, values: Mapping[str, msgspec.Raw]) -> dict[str, tuple[int, int]] | None:
    """Find where each member's value stands, or `None` if a member is repeated.

    The decoder has checked the object, and tells each value; so only the keys between the values
    have to be read. That the value really stands there is checked: the length of another one could
    lead into a string that looks like a key, and past a repetition.
    """
    spans: dict[str, tuple[int, int]] = {}
    at = body.index(b"{") + 1
    for name, raw in values.items():
        key = _KEY.match(body, at)
        if key is None:
            return None
        quoted = key[1]
        written = msgspec.json.decode(quoted) if b"\\" in quoted else quoted[1:-1].decode()
        if written != name:
            return None
        start = key.end()
        value = memoryview(raw)
        if not body.startswith(value, start):
            return None
        at = start + len(value)
        spans[name] = (start, at)
    return spans if body[at:].strip() == b"}" else None
