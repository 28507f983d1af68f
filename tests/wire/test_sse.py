"""Frames do not depend on how the bytes are cut, nor on how the lines end."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmroute.wire.sse import SSEDecoder, encode, frames, whole_events

fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

STREAM = (
    b"event: message_start\ndata: {}\n\n"
    b": comment\n\n"
    b'event: ping\ndata: {"type": "ping"}\n\n'
    b"data: one\ndata: two\n\n"
    b"event:tight\ndata:tight\nid: 7\nretry: 10\n\n"
    b"data\n\n"
    b"event: message_stop\ndata: {}\n\n"
)
FRAMES = [
    (b"message_start", b"{}"),
    (b"", b""),
    (b"ping", b'{"type": "ping"}'),
    (b"", b"one\ntwo"),
    (b"tight", b"tight"),
    (b"", b""),
    (b"message_stop", b"{}"),
]


def whole(data):
    return [data]


def bytewise(data):
    return [data[at : at + 1] for at in range(len(data))]


def anywhere(data):
    dice = random.Random(len(data))
    places = sorted(dice.sample(range(len(data)), 12))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def decoded(pieces):
    decoder = SSEDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def fields(found):
    return [(frame.event, frame.data) for frame in found]


@pytest.mark.parametrize("cut", [whole, bytewise, anywhere])
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(b"\n", id="line-feed"),
        pytest.param(b"\r\n", id="both"),
        pytest.param(b"\r", id="carriage-return"),
    ],
)
def test_frames_do_not_depend_on_how_the_bytes_are_cut(cut, end):
    stream = STREAM.replace(b"\n", end)

    found = decoded(cut(stream))

    assert FRAMES == fields(found)
    assert stream == b"".join(frame.raw for frame in found)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b"data: a\n\ndata: b", 9, id="one-and-a-half"),
        pytest.param(b"data: a\n", 0, id="no-blank-line"),
        pytest.param(b"data: a\r\ndata: b\r\n", 0, id="two-lines-are-no-blank-line"),
        pytest.param(b"data: a\r\n\r", 0, id="half-a-blank-line"),
        pytest.param(b"data: a\r\n\r\n", 11, id="a-whole-one"),
        pytest.param(b"data: a\n\r\n", 10, id="mixed"),
        pytest.param(b"data: a\r\n\n", 10, id="mixed-otherwise"),
        pytest.param(b"data: a\n\n\ndata: b", 9, id="three-line-feeds"),
        pytest.param(b"\n\n\n\n", 4, id="nothing-but-blank-lines"),
        pytest.param(b"\n", 0, id="a-line-feed"),
        pytest.param(b"", 0, id="nothing"),
    ],
)
def test_an_event_is_whole_once_its_blank_line_is(stream, expected):
    assert expected == whole_events(stream)


LINES = [
    b"event: a",
    b"data: b",
    b"data:",
    b": c",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\r\n\r\n",
    b"\xff",
]


@settings(fuzz, max_examples=300)
@given(st.lists(st.sampled_from(LINES), max_size=20).map(b"".join), st.randoms())
def test_no_mixture_of_line_ends_and_no_cut_changes_the_frames(stream, dice):
    places = sorted(dice.choices(range(len(stream) + 1), k=4))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    end = whole_events(stream)
    expected = frames(stream[:end]) if end else []

    assert stream[:end] == b"".join(frame.raw for frame in expected)
    assert expected == decoded(pieces)
    assert expected == decoded(bytewise(stream))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        pytest.param(b"event: a\nevent: b\ndata: c\n\n", (b"b", b"c"), id="last-event-line-wins"),
        pytest.param(b"data:  a\n\n", (b"", b" a"), id="one-space-is-taken-off"),
        pytest.param(b"data: a: b\n\n", (b"", b"a: b"), id="colon-in-the-data"),
        pytest.param(b"DATA: a\n\n", (b"", b""), id="names-are-in-lower-case"),
        pytest.param(b"data: \xe2\x80\xa8\x0b\n\n", (b"", b"\xe2\x80\xa8\x0b"), id="not-line-ends"),
    ],
)
def test_the_fields_of_a_frame_are_read(frame, expected):
    assert [expected] == fields(frames(frame))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"{}", b"event: ping\ndata: {}\n\n", id="one-line"),
        pytest.param(b"{\r\n}", b"event: ping\ndata: {\ndata: }\n\n", id="two-lines"),
    ],
)
def test_an_event_is_written_so_that_it_is_read_again(data, expected):
    assert expected == encode(b"ping", data)
    assert [(b"ping", data.replace(b"\r", b""))] == fields(frames(expected))
