"""Streams spell out messages."""

import pytest

from llmroute.messages.accumulate import Accumulator
from llmroute.messages.events import Event
from llmroute.router.message import Message
from llmroute.wire.sse import SSEDecoder

from .recordings import CUTS, NAMES, STREAMS, message


def accumulated(*events):
    accumulator = Accumulator()
    for event in events:
        accumulator.add(Event(event["type"], event))
    return accumulator.message


def block(start, *deltas):
    """Return a block as it is after its deltas."""
    return accumulated(
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
    )["content"][0]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_stream_spells_out_its_message(name, cut):
    decoder, accumulator = SSEDecoder(), Accumulator()

    for piece in cut(STREAMS[name]):
        for frame in decoder.feed(piece):
            if (event := Event.of(frame)) is not None:
                accumulator.add(event)

    assert message(name) == accumulator.message


@pytest.mark.parametrize(
    ("start", "deltas", "expected"),
    [
        pytest.param(
            {"type": "text", "text": "a"},
            [{"type": "text_delta", "text": "b"}],
            {"type": "text", "text": "ab"},
            id="text-begins-with-some",
        ),
        pytest.param(
            {"type": "text", "text": None},
            [{"type": "text_delta", "text": None}, {"type": "text_delta"}],
            {"type": "text", "text": ""},
            id="text-that-is-none",
        ),
        pytest.param(
            {"type": "text", "text": "", "citations": None},
            [
                {"type": "citations_delta", "citation": 1},
                {"type": "citations_delta", "citation": 2},
            ],
            {"type": "text", "text": "", "citations": [1, 2]},
            id="citations",
        ),
        pytest.param(
            {"type": "tool_use", "input": {}},
            [],
            {"type": "tool_use", "input": {}},
            id="no-input",
        ),
        pytest.param(
            {"type": "tool_use"},
            [{"type": "input_json_delta", "partial_json": " "}],
            {"type": "tool_use", "input": {}},
            id="empty-input",
        ),
        pytest.param(
            {"type": "tool_use", "input": {"a": 1}},
            [{"type": "input_json_delta", "partial_json": ""}],
            {"type": "tool_use", "input": {"a": 1}},
            id="input-at-the-start",
        ),
        pytest.param(
            {"type": "tool_use", "input": {}},
            [{"type": "input_json_delta", "partial_json": "{} x"}],
            {"type": "tool_use", "input": "{} x"},
            id="broken-input",
        ),
        pytest.param(
            {"type": "tool_use", "input": {}},
            [{"type": "input_json_delta", "partial_json": "[" * 100_000}],
            {"type": "tool_use", "input": "[" * 100_000},
            id="deep-input",
        ),
        pytest.param(
            {"type": "tool_use", "input": {}},
            [{"type": "input_json_delta", "partial_json": None}],
            {"type": "tool_use", "input": {}},
            id="input-that-is-none",
        ),
        pytest.param(
            {"type": "thinking", "thinking": "", "signature": ""},
            [{"type": "signature_delta", "signature": "ab"}],
            {"type": "thinking", "thinking": "", "signature": "ab"},
            id="omitted-thinking",
        ),
        pytest.param(
            {"type": "x"}, [{"type": "y_delta", "y": 1}], {"type": "x", "y": 1}, id="unknown"
        ),
        pytest.param(None, [{"type": "text_delta", "text": "a"}], {"text": "a"}, id="no-block"),
        pytest.param({"type": "x"}, [None], {"type": "x"}, id="no-delta"),
    ],
)
def test_deltas_complete_a_block(start, deltas, expected):
    assert expected == block(start, *deltas)


def test_a_message_is_empty_before_it_starts():
    assert {} == accumulated({"type": "ping"}, {"type": "novelty"})


def test_a_stream_need_not_start_with_its_start():
    assert {"content": [{"type": "text", "text": ""}], "stop_reason": "stop"} == accumulated(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "message_delta", "delta": {"stop_reason": "stop"}},
    )


def test_the_events_themselves_are_not_changed():
    start = {"type": "message_start", "message": {"content": (), "usage": {"input_tokens": 1}}}
    delta = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}}

    found = accumulated(start, delta)

    assert {"input_tokens": 1, "output_tokens": 2} == found["usage"]
    assert {"content": (), "usage": {"input_tokens": 1}} == start["message"]


def test_a_message_shows_what_is_asked_for_most():
    found = Message(message("tools"), "anthropic-1", 2, "req_1")

    assert "I'll look." == found.text
    assert "" == found.thinking
    assert ["Read", "Status", "Now", "Write"] == [block["name"] for block in found.tool_uses]
    assert ("tool_use", "msg_01Tools", "claude-sonnet-5-5") == (
        found.stop_reason,
        found.id,
        found.model,
    )
    assert (400, 120) == (found.usage.input_tokens, found.usage.output_tokens)
    assert message("tools")["content"] == found.content
    assert "The user wants three rivers." == Message(message("thinking")).thinking


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"content": None, "usage": None, "stop_reason": None}, id="nulls"),
        pytest.param({"content": "text", "usage": 1, "stop_reason": 2}, id="other-types"),
        pytest.param({"content": [None, {}, {"type": "text", "text": None}]}, id="odd-blocks"),
    ],
)
def test_a_message_that_lacks_what_is_asked_for_says_so(data):
    found = Message(data)

    assert ("", "", [], None, "", "") == (
        found.text,
        found.thinking,
        found.tool_uses,
        found.stop_reason,
        found.id,
        found.model,
    )
    assert (0, 0) == (found.usage.input_tokens, found.usage.output_tokens)
