"""AWS event streams: bytes to messages, and back.

Format: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html.  A message
is its length and that of its headers, their checksum, the headers, the payload, and a checksum of
it all; every number is big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias
from zlib import crc32

from llmroute.errors import StreamBrokenError

__all__ = ["EventStreamDecoder", "Message", "Value", "encode"]

Value: TypeAlias = str | bytes | bool | int
"""A header's value.  Read, an integer stands for every width, a time in milliseconds included, and
16 bytes for a UUID; written, an `int` is a 32-bit integer."""

_LENGTHS = struct.Struct(">II")
_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_SHORT = struct.Struct(">H")
# The lengths, their checksum, and the message's own.
_AROUND = _PRELUDE.size + _CRC.size
# The service's own bounds, which keep a damaged length from filling the memory.
_LARGEST_HEADERS = 128 * 1024
_LARGEST_PAYLOAD = 24 * 1024 * 1024

_TRUE, _FALSE, _INT32, _BYTES, _STRING, _UUID = 0, 1, 4, 6, 7, 9
_INTEGERS = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    _INT32: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}


class Message(NamedTuple):
    """One message of a stream."""

    headers: Mapping[str, Value]
    payload: bytes


class EventStreamDecoder:
    """Collects bytes until they make whole messages."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes as they came; return the messages they complete.

        Raises:
            StreamBrokenError: They are no message: a checksum or a length is wrong.
        """
        rest = self._rest
        rest += data
        found: list[Message] = []
        at = 0
        while len(rest) - at >= _PRELUDE.size:
            length, of_headers, checksum = _PRELUDE.unpack_from(rest, at)
            _check(rest, at, at + _LENGTHS.size, checksum)
            if (
                of_headers > _LARGEST_HEADERS
                or not _AROUND <= length - of_headers <= _LARGEST_PAYLOAD + _AROUND
            ):
                raise StreamBrokenError("the event stream holds a message of an impossible length")
            end = at + length
            if len(rest) < end:
                break
            _check(rest, at, end - _CRC.size, _CRC.unpack_from(rest, end - _CRC.size)[0])
            start = at + _PRELUDE.size + of_headers
            headers = _headers(bytes(rest[at + _PRELUDE.size : start]))
            found.append(Message(headers, bytes(rest[start : end - _CRC.size])))
            at = end
        del rest[:at]
        return found

    def close(self) -> None:
        """The stream has ended.

        Raises:
            StreamBrokenError: It ended inside a message.
        """
        if self._rest:
            raise StreamBrokenError("the event stream ended inside a message")


def encode(headers: Mapping[str, Value], payload: bytes) -> bytes:
    """Write one message.

    Raises:
        ValueError: A name, a value or the whole is longer than the format can say.
    """
    written = b"".join(_written(name, value) for name, value in headers.items())
    if len(written) > _LARGEST_HEADERS or len(payload) > _LARGEST_PAYLOAD:
        raise ValueError("a message of an event stream cannot be so long")
    lengths = _LENGTHS.pack(_AROUND + len(written) + len(payload), len(written))
    body = b"".join((lengths, _CRC.pack(crc32(lengths)), written, payload))
    return body + _CRC.pack(crc32(body))


def _check(data: bytearray, start: int, end: int, expected: int) -> None:
    with memoryview(data) as view, view[start:end] as checked:
        actual = crc32(checked)
    if actual != expected:
        raise StreamBrokenError("the event stream is damaged: a checksum does not match")


def _headers(data: bytes) -> dict[str, Value]:
    headers: dict[str, Value] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name = data[at + 1 : name_end].decode()
            value, at = _value(data, name_end)
            headers[name] = value
    except (IndexError, struct.error, UnicodeDecodeError):
        at = -1
    if at != len(data):
        raise StreamBrokenError("the event stream is damaged: a header cannot be read")
    return headers


def _value(data: bytes, at: int) -> tuple[Value, int]:
    """Read a header's type and value; return the value and where the next header begins."""
    kind = data[at]
    at += 1
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if (integer := _INTEGERS.get(kind)) is not None:
        return integer.unpack_from(data, at)[0], at + integer.size
    if kind == _UUID:
        return data[at : at + 16], at + 16
    if kind not in (_BYTES, _STRING):
        raise StreamBrokenError(f"the event stream holds a header of unknown type {kind}")
    start = at + _SHORT.size
    end = start + int(_SHORT.unpack_from(data, at)[0])
    value = data[start:end]
    return (value.decode() if kind == _STRING else value), end


def _written(name: str, value: Value) -> bytes:
    encoded = name.encode()
    try:
        start = bytes([len(encoded)]) + encoded
        match value:
            case bool():
                return start + bytes([_TRUE if value else _FALSE])
            case int():
                return start + bytes([_INT32]) + _INTEGERS[_INT32].pack(value)
            case bytes():
                return start + bytes([_BYTES]) + _SHORT.pack(len(value)) + value
            case str():
                text = value.encode()
                return start + bytes([_STRING]) + _SHORT.pack(len(text)) + text
    except struct.error as error:
        raise ValueError(f"header {name!r}: {error}") from None
