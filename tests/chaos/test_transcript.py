"""The judge of the chaos runs, judged."""

from __future__ import annotations

import pytest
from tests.chaos.transcript import PING, events_of, problems_of
from tests.messages.recordings import NAMES, STREAMS

from llmroute.testing import message, thinking, tool_use
from llmroute.testing.answer import Request

START = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
BLOCK = b'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n'
DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}\n\n'
)
STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
CLOSING = b'event: message_delta\ndata: {"type":"message_delta","delta":{}}\n\n'
END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"api_error"}}\n\n'
SECOND_BLOCK = BLOCK.replace(b'"index":0', b'"index":1')


@pytest.mark.parametrize("name", sorted({*NAMES} - {"odd"}))
def test_recorded_streams_are_sound(name: str) -> None:
    assert [] == problems_of(STREAMS[name])


def test_what_the_fake_upstream_streams_is_sound() -> None:
    answer = message([thinking("Hm."), "Let me look.", tool_use("look")])
    pieces = answer.script(Request("m", stream=True, message_id="msg_1", request_id="req_1")).pieces

    assert [] == problems_of(b"".join(pieces))


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param([START, BLOCK, DELTA, STOP, CLOSING, END], id="whole"),
        pytest.param([START, CLOSING, END], id="empty"),
        pytest.param([ERROR], id="error-at-once"),
        pytest.param([PING, ERROR], id="error-after-a-ping"),
        pytest.param([START, BLOCK, DELTA, ERROR], id="error-inside-a-block"),
        pytest.param([b": hi\n\n", PING, START, PING, CLOSING, END, PING], id="pings"),
        pytest.param([START, b"event: new\ndata: {}\n\n", CLOSING, END], id="unknown-event"),
        pytest.param([START, b"data: [DONE]\n\n", CLOSING, END], id="data-of-no-event"),
        pytest.param([START, BLOCK, STOP, SECOND_BLOCK, ERROR], id="second-block"),
    ],
)
def test_a_sound_stream_has_no_problems(stream: list[bytes]) -> None:
    assert [] == problems_of(b"".join(stream))


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        pytest.param([], "it ends with neither message_stop nor error", id="nothing"),
        pytest.param([PING], "it ends with neither message_stop nor error", id="silence"),
        pytest.param([START, BLOCK], "it ends with neither message_stop nor error", id="cut"),
        pytest.param(
            [ERROR, DELTA[:30]],
            "it ends inside an event: b'event: content_block_delta\\ndat'",
            id="torn",
        ),
        pytest.param([START, START, ERROR], "a second message_start", id="two-starts"),
        pytest.param([DELTA, ERROR], "content_block_delta before the start", id="no-start"),
        pytest.param([ERROR, ERROR], "error after the end", id="two-errors"),
        pytest.param([START, CLOSING, END, ERROR], "error after the end", id="error-too-late"),
        pytest.param([START, ERROR, END], "message_stop after the end", id="going-on"),
        pytest.param([START, END], "message_stop without message_delta", id="no-closing"),
        pytest.param([START, BLOCK, CLOSING, ERROR], "message_delta inside block 0", id="open"),
        pytest.param([START, BLOCK, STOP, BLOCK, ERROR], "block 0 in place of 1", id="repeated"),
        pytest.param(
            [START, BLOCK, SECOND_BLOCK, ERROR], "content_block_start inside block 0", id="nested"
        ),
        pytest.param(
            [START, DELTA, ERROR],
            "content_block_delta of block 0, which is not open",
            id="delta-of-no-block",
        ),
        pytest.param(
            [START, BLOCK, STOP, STOP, ERROR],
            "content_block_stop of block 0, which is not open",
            id="stopped-twice",
        ),
        pytest.param(
            [START, CLOSING, BLOCK, ERROR], "content_block_start after message_delta", id="late"
        ),
        pytest.param(
            [START, BLOCK, DELTA.replace(b'delta":{', b'x":{'), ERROR],
            "content_block_delta without a delta",
            id="no-delta",
        ),
        pytest.param(
            [START, BLOCK, DELTA.replace(b"}}", b"\xff}"), ERROR],
            "content_block_delta without JSON data",
            id="garbage",
        ),
        pytest.param(
            [START, b"event: message_stop\n" + DELTA.partition(b"\n")[2]],
            "message_stop that says it is content_block_delta",
            id="mislabelled",
        ),
        pytest.param(
            [b'event: error\ndata: {"type":"error"}\n\n'], "error of no type", id="bare-error"
        ),
    ],
)
def test_an_unsound_stream_is_told_of(stream: list[bytes], problem: str) -> None:
    assert problem in problems_of(b"".join(stream))


def test_events_are_named_by_their_line_or_else_by_their_data() -> None:
    events = events_of(b'data: {"type":"a"}\n\nevent: b\ndata: {"type":"a"}\n\ndata: 1\n\n')

    assert ["a", "b", ""] == [event.kind for event in events]
