"""AWS event streams: what botocore reads we read, what we write botocore reads."""

import random
import struct
from itertools import pairwise
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer

from llmroute.errors import StreamBrokenError
from llmroute.wire.eventstream import EventStreamDecoder, Message, encode

CHUNK = encode({":message-type": "event", ":event-type": "chunk"}, b'{"bytes":"e30="}')


def framed(headers: bytes, payload: bytes = b"") -> bytes:
    """Write a message around headers that are bytes already, as sound or not as they are."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def random_value(draw: random.Random):
    match draw.randrange(4):
        case 0:
            return "".join(draw.choices("aé中🎈:\n", k=draw.randrange(40)))
        case 1:
            return draw.randbytes(draw.randrange(60))
        case 2:
            return draw.random() < 0.5
        case _:
            return draw.randrange(-(2**31), 2**31)


def random_messages(seed: int) -> list[Message]:
    draw = random.Random(seed)
    return [
        Message(
            {f"h{i}-{'ü' * i}": random_value(draw) for i in range(draw.randrange(6))},
            draw.randbytes(draw.choice([0, 1, 17, 3000])),
        )
        for _ in range(draw.randrange(1, 8))
    ]


def cuts(data: bytes, seed: int) -> list[bytes]:
    draw = random.Random(seed)
    places = sorted({0, len(data), *(draw.randrange(len(data)) for _ in range(9))})
    return [data[a:b] for a, b in pairwise(places)]


def read(pieces) -> list[Message]:
    decoder = EventStreamDecoder()
    found = [message for piece in pieces for message in decoder.feed(piece)]
    decoder.close()
    return found


@pytest.mark.parametrize("seed", range(25))
def test_what_is_written_is_read_by_us_and_by_botocore_however_it_is_cut(seed):
    messages = random_messages(seed)
    data = b"".join(encode(*message) for message in messages)

    assert messages == read([data])
    assert messages == read(data[at : at + 1] for at in range(len(data)))
    assert messages == read(cuts(data, seed))

    buffer = EventStreamBuffer()
    theirs = []
    for piece in cuts(data, seed + 1):
        buffer.add_data(piece)
        theirs += [Message(event.headers, event.payload) for event in buffer]
    assert messages == theirs


def test_every_type_of_header_is_read_as_botocore_reads_it():
    uuid = bytes(range(16))
    headers = (
        b"\x01t\x00\x01f\x01\x01b\x02\xff\x01s\x03\xff\xfe\x01i\x04\xff\xff\xff\xfd"
        b"\x01l\x05\xff\xff\xff\xff\xff\xff\xff\xfc\x01x\x06\x00\x02\x00\xff"
        b"\x01y\x07\x00\x02\xc3\xa9\x01m\x08\x00\x00\x01\x8b\x00\x00\x00\x00\x01u\x09" + uuid
    )
    data = framed(headers, b"p")
    buffer = EventStreamBuffer()
    buffer.add_data(data)

    (message,) = read([data])

    assert next(iter(buffer)).headers == message.headers
    assert {
        "t": True,
        "f": False,
        "b": -1,
        "s": -2,
        "i": -3,
        "l": -4,
        "x": b"\0\xff",
        "y": "é",
        "m": 0x18B00000000,
        "u": uuid,
    } == message.headers


@pytest.mark.parametrize("at", range(len(CHUNK)))
def test_no_damaged_byte_goes_unnoticed(at):
    damaged = bytearray(CHUNK)
    damaged[at] ^= 0x20

    with pytest.raises(StreamBrokenError, match="damaged"):
        read([bytes(damaged) + CHUNK])


@pytest.mark.parametrize("length", range(1, len(CHUNK)))
def test_an_end_inside_a_message_is_an_error(length):
    with pytest.raises(StreamBrokenError, match="ended inside a message"):
        read([CHUNK, CHUNK[:length]])


def prelude(length: int, of_headers: int) -> bytes:
    lengths = struct.pack(">II", length, of_headers)
    return lengths + struct.pack(">I", crc32(lengths))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(prelude(25 * 2**20, 0), id="payload"),
        pytest.param(prelude(200_000, 150_000), id="headers"),
        pytest.param(prelude(15, 0), id="less-than-nothing"),
        pytest.param(prelude(20, 10), id="headers-longer-than-the-message"),
    ],
)
def test_a_length_that_cannot_be_is_refused_before_anything_is_collected(data):
    with pytest.raises(StreamBrokenError, match="impossible length"):
        EventStreamDecoder().feed(data)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(b"\x01a\x0b", "unknown type 11", id="type"),
        pytest.param(b"\x01a", "cannot be read", id="no-type"),
        pytest.param(b"\x05a", "cannot be read", id="name-too-short"),
        pytest.param(b"\x01a\x07\x00\x09abc", "cannot be read", id="value-too-short"),
        pytest.param(b"\x01a\x04\x00", "cannot be read", id="integer-too-short"),
        pytest.param(b"\x01a\x07\x00\x01\xff", "cannot be read", id="not-utf-8"),
    ],
)
def test_headers_that_cannot_be_read_are_an_error(headers, expected):
    with pytest.raises(StreamBrokenError, match=expected):
        read([framed(headers)])


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"a" * 256: "x"}, id="name"),
        pytest.param({"a": "x" * 65_536}, id="text"),
        pytest.param({"a": 2**31}, id="integer"),
        pytest.param({f"{n}": "x" * 60_000 for n in range(3)}, id="all-together"),
    ],
)
def test_what_the_format_cannot_say_is_not_written(headers):
    with pytest.raises(ValueError, match=r"."):
        encode(headers, b"")
