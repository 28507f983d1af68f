"""What came in goes out, whole events at a time, however the bytes are cut."""

import itertools
import json

import pytest

from llmroute.messages.relay import Relay

from .recordings import CUTS, MODEL, NAMES, STREAMS, anywhere

ENDS = [
    pytest.param(b"\n", id="line-feed"),
    pytest.param(b"\r\n", id="both"),
    pytest.param(b"\r", id="carriage-return"),
]
ASKED = [pytest.param(MODEL, id="its-own-name"), pytest.param('our "alias"', id="another-name")]


def answered(stream, asked):
    """Return what a client that asked for `asked` is to get: `model` is the one difference."""
    if asked == MODEL:
        return stream
    before, after = stream.split(b'"model":"claude-sonnet-5-5"', 1)
    return before + b'"model":%s' % json.dumps(asked).encode() + after


def events(stream, end):
    return [event + end + end for event in stream.split(end + end)[:-1]]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", NAMES)
def test_bytes_leave_as_they_came_but_for_the_models_name(name, cut, end, asked):
    stream = STREAMS[name].replace(b"\n", end)
    expected = stream if name == "never_begun" else answered(stream, asked)
    relay = Relay(asked)

    out = b"".join(map(relay.feed, cut(stream)))

    assert expected == out
    assert b"" == relay.close()


@pytest.mark.parametrize("end", ENDS[:2])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_out_at_any_time_is_whole_events(name, end):
    asked = "fast"
    stream = STREAMS[name].replace(b"\n", end)
    expected = stream if name == "never_begun" else answered(stream, asked)
    came = list(itertools.accumulate(map(len, events(stream, end)), initial=0))
    left = list(itertools.accumulate(map(len, events(expected, end)), initial=0))
    assert len(stream) == came[-1]

    for at in range(len(stream) + 1):
        relay = Relay(asked)
        first = relay.feed(stream[:at])
        whole = sum(at >= size for size in came) - 1
        assert expected[: left[whole]] == first, at
        assert expected[left[whole] :] == relay.feed(stream[at:]), at


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", NAMES)
def test_of_a_stream_that_ends_anywhere_only_whole_events_are_left(name, end):
    stream = STREAMS[name].replace(b"\n", end)
    whole = events(stream, end)
    sizes = list(itertools.accumulate(map(len, whole), initial=0))

    for at in range(len(stream) + 1):
        relay = Relay(MODEL)
        out = relay.feed(stream[:at]) + relay.close()
        count = sum(at >= size for size in sizes) - 1
        assert out.startswith(stream[: sizes[count]]), at
        more = out[sizes[count] :]
        # An event that lacks its blank line, or a part of that, is whole as well.
        if more:
            assert [whole[count].strip()] == [more.strip()], at
            assert more.endswith(b"\n\n"), at


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        pytest.param(
            b'event: message_stop\ndata: {"type":"message_stop"}',
            b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
            id="no-line-end",
        ),
        pytest.param(
            b'event: message_stop\ndata: {"type":"message_stop"}\n',
            b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
            id="one-line-end",
        ),
        pytest.param(
            b'event: message_stop\r\ndata: {"type":"message_stop"}\r\n\r',
            b'event: message_stop\r\ndata: {"type":"message_stop"}\n\n',
            id="carriage-returns",
        ),
        pytest.param(b'event: message_stop\ndata: {"type":"message_st', b"", id="half-the-data"),
        pytest.param(b"event: message_stop\n", b"", id="no-data"),
        pytest.param(b"event: message_stop\ndata: 1", b"", id="not-an-object"),
        pytest.param(b"data: " + b"[" * 100_000, b"", id="deep"),
        pytest.param(b'data: {"a":"\xff"}', b"", id="not-utf-8"),
        pytest.param(b": bye", b"", id="comment"),
        pytest.param(b"\n", b"", id="line-feed"),
    ],
)
def test_a_last_event_may_lack_its_blank_line(rest, expected):
    relay = Relay(MODEL)
    start = STREAMS["text"].removesuffix(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')

    assert start == relay.feed(start + rest)
    assert expected == relay.close()
    assert bool(expected) == relay.complete
    assert b"" == relay.close()


@pytest.mark.parametrize(
    ("name", "begun", "complete", "error", "usage"),
    [
        pytest.param("text", True, True, None, (25, 42, 3000, 0), id="text"),
        pytest.param("thinking", True, True, None, (31, 57, 0, 512), id="thinking"),
        pytest.param("tools", True, True, None, (400, 120, 0, 0), id="tools"),
        pytest.param("server_tools", True, True, None, (10682, 510, 7, 0), id="totals-at-the-end"),
        pytest.param("odd", True, True, None, (12, 8, 9, 0), id="nulls-do-not-clobber"),
        pytest.param("late_usage", True, True, None, (77, 2, 5, 0), id="zeros-do-not-clobber"),
        pytest.param(
            "broken_off",
            True,
            False,
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},'
            b'"request_id":"req_01"}',
            (25, 1, 0, 0),
            id="error-half-way",
        ),
        pytest.param(
            "never_begun",
            False,
            False,
            b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}',
            (0, 0, 0, 0),
            id="error-at-once",
        ),
    ],
)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("cut", CUTS)
def test_what_has_to_be_known_is_read_off(name, begun, complete, error, usage, cut, end):
    relay = Relay("fast")

    for piece in cut(STREAMS[name].replace(b"\n", end)):
        relay.feed(piece)

    assert (begun, complete, error) == (relay.begun, relay.complete, relay.error)
    assert usage == (
        relay.usage.input_tokens,
        relay.usage.output_tokens,
        relay.usage.cache_read_input_tokens,
        relay.usage.cache_creation_input_tokens,
    )


@pytest.mark.parametrize(
    ("event", "begun"),
    [
        pytest.param(b": comment\n\n", False, id="comment"),
        pytest.param(b"event: ping\ndata: {}\n\n", False, id="ping"),
        pytest.param(b'data: {"type":"ping"}\n\n', False, id="ping-without-an-event-line"),
        pytest.param(b"retry: 1\n\n", False, id="retry"),
        pytest.param(b"event: error\ndata: {}\n\n", False, id="error"),
        pytest.param(b'data: {"type":"error"}\n\n', False, id="error-without-an-event-line"),
        pytest.param(b"data: [DONE]\n\n", False, id="no-type"),
        pytest.param(b"event: novelty\ndata: {}\n\n", True, id="unknown"),
        pytest.param(b"event: content_block_stop\ndata: {}\n\n", True, id="block"),
        pytest.param(b"event: message_delta\ndata: {}\n\n", True, id="delta"),
        pytest.param(b"event: message_stop\ndata: {}\n\n", True, id="stop"),
    ],
)
def test_an_answer_begins_with_an_event_of_its_own(event, begun):
    relay = Relay("fast")

    assert event == relay.feed(event)
    assert begun == relay.begun


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            b'data: {"type":"message_start","message":{"id":"m"}}\n',
            b'data: {"type":"message_start","message":{"id":"m","model":"fast"}}\n',
            id="no-model",
        ),
        pytest.param(
            b'data: {"type":"message_start","message":{"model":null,"id":"m"}}\n',
            b'data: {"type":"message_start","message":{"model":"fast","id":"m"}}\n',
            id="null",
        ),
        pytest.param(
            b'data:{"message" : { "model" : "\\u0062" } ,"type":"message_start"}\n',
            b'data:{"message" : { "model" : "fast" } ,"type":"message_start"}\n',
            id="spaces-are-kept",
        ),
        pytest.param(
            b'id: 1\n: x\ndata: {"type":"message_start","message":{"model":"b"}}\nretry: 5\n',
            b'id: 1\n: x\ndata: {"type":"message_start","message":{"model":"fast"}}\nretry: 5\n',
            id="other-lines-are-kept",
        ),
        pytest.param(
            b'data: {"type":"message_start",\ndata: "message":{"model":"b"}}\n',
            b'data: {"type":"message_start",\ndata: "message":{"model":"fast"}}\n',
            id="data-on-two-lines",
        ),
        pytest.param(
            b'data: {"type":"message_start","message":{"model":"a","model":"b"}}\n',
            b'data: {"type":"message_start","message":{"model":"fast"}}\n',
            id="two-models",
        ),
        pytest.param(
            b'data: {"type":"message_start","message":{"model":"fast"} }\n',
            b'data: {"type":"message_start","message":{"model":"fast"} }\n',
            id="the-right-one",
        ),
        pytest.param(b"data: {}\n", b"data: {}\n", id="no-message"),
        pytest.param(b'data: {"message":7}\n', b'data: {"message":7}\n', id="not-a-message"),
        pytest.param(b"data: nonsense\n", b"data: nonsense\n", id="not-json"),
        pytest.param(b'data: {"a":"\xff"}\n', b'data: {"a":"\xff"}\n', id="not-utf-8"),
    ],
)
def test_only_the_models_name_changes_where_an_answer_starts(data, expected):
    relay = Relay("fast")

    out = relay.feed(b"event: message_start\n" + data + b"\n")

    assert b"event: message_start\n" + expected + b"\n" == out
    assert relay.begun


def test_usage_that_is_no_usage_counts_as_nothing():
    relay = Relay("fast")

    relay.feed(b'event: message_start\ndata: {"message":{"usage":[1]}}\n\n')
    relay.feed(b'event: message_delta\ndata: {"usage":7}\n\n')
    relay.feed(b'event: message_delta\ndata: {"usage":{"output_tokens":"9"}}\n\n')

    assert (0, 0) == (relay.usage.input_tokens, relay.usage.output_tokens)


def test_an_event_of_many_pieces_is_put_together():
    text = b"x" * 100_000
    event = b'event: content_block_delta\ndata: {"text":"' + text + b'"}\n\n'
    relay = Relay("fast")

    out = [relay.feed(piece) for piece in anywhere(event)]

    assert [b""] * (len(out) - 1) == out[:-1]
    assert event == out[-1]
