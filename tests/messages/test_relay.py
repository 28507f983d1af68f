"""What came in goes out, whole events at a time, however the bytes are cut."""

import itertools
import json

import pytest

from llmroute.errors import StreamBrokenError
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


def block_start(block):
    data = {"type": "content_block_start", "index": 0, "content_block": block}
    return b"data: %s\n\n" % json.dumps(data).encode()


SHELLS = [
    pytest.param({"type": "text", "text": ""}, id="text"),
    pytest.param({"type": "text", "text": None, "citations": []}, id="text-of-nothing"),
    pytest.param({"type": "text"}, id="no-text"),
    pytest.param({"type": "thinking", "thinking": "", "signature": ""}, id="thinking"),
    pytest.param({"type": "tool_use", "id": "t", "name": "Read", "input": {}}, id="tool"),
    pytest.param({"type": "server_tool_use", "id": "t", "name": "s", "input": {}}, id="server"),
    pytest.param({"type": "mcp_tool_use", "id": "t", "name": "m", "input": {}}, id="mcp"),
]
WHOLE = [
    pytest.param({"type": "text", "text": "I"}, id="text"),
    pytest.param({"type": "thinking", "thinking": "Hm", "signature": ""}, id="thinking"),
    pytest.param({"type": "tool_use", "id": "t", "name": "R", "input": {"a": 1}}, id="tool"),
    pytest.param({"type": "server_tool_use", "input": {"a": 1}}, id="server"),
    pytest.param({"type": "redacted_thinking", "data": ""}, id="redacted"),
    pytest.param({"type": "web_search_tool_result", "content": []}, id="result"),
    pytest.param({"type": "fallback"}, id="fallback"),
    pytest.param({"type": "hologram"}, id="unknown"),
    pytest.param({"type": ["text"], "text": ""}, id="no-type"),
    pytest.param({}, id="empty"),
    pytest.param("text", id="no-block"),
]
NO_CONTENT = [
    pytest.param(b": comment\n\n", id="comment"),
    pytest.param(b"event: ping\ndata: {}\n\n", id="ping"),
    pytest.param(b'data: {"type":"message_start","message":{}}\n\n', id="start"),
    pytest.param(b"event: content_block_stop\ndata: {}\n\n", id="block-stop"),
    pytest.param(b"event: context_hint\ndata: {}\n\n", id="unknown"),
    pytest.param(b"event: error\ndata: {}\n\n", id="error"),
]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("block", SHELLS)
def test_a_block_that_begins_empty_is_no_content_and_its_delta_is(block, cut):
    relay = Relay("fast")

    for piece in cut(block_start(block)):
        relay.feed(piece)
    assert (True, False) == (relay.begun, relay.content)

    for piece in cut(b"event: content_block_delta\ndata: {}\n\n"):
        assert not relay.content
        relay.feed(piece)
    assert relay.content


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("block", WHOLE)
def test_a_block_that_begins_with_something_is_content(block, cut):
    relay = Relay("fast")

    for piece in cut(block_start(block)):
        assert not relay.content
        relay.feed(piece)

    assert (True, True) == (relay.begun, relay.content)


@pytest.mark.parametrize("event", NO_CONTENT)
def test_what_is_around_the_content_is_none(event):
    relay = Relay("fast")

    relay.feed(event)

    assert not relay.content


@pytest.mark.parametrize("kind", ["content_block_delta", "message_delta", "message_stop"])
@pytest.mark.parametrize("named", [b"event: %s\ndata: {}\n\n", b'data: {"type":"%s"}\n\n'])
def test_a_delta_or_an_end_is_content(kind, named):
    relay = Relay("fast")

    relay.feed(named % kind.encode())

    assert (True, True) == (relay.begun, relay.content)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("event", [*NO_CONTENT, pytest.param(block_start({}), id="block")])
def test_content_that_has_passed_stays_so(event, cut):
    empty = block_start({"type": "text", "text": ""})
    relay = Relay("fast")

    for piece in cut(b"event: content_block_delta\ndata: {}\n\n" + empty + event):
        relay.feed(piece)

    assert (True, True) == (relay.begun, relay.content)


def test_once_content_has_passed_more_of_it_is_handed_on_as_it_is():
    relay = Relay("fast")
    relay.feed(STREAMS["text"][: STREAMS["text"].index(b"event: content_block_stop")])
    more = b"event: content_block_start\ndata: {}\n\n"

    assert more is relay.feed(more)


OF_A_MESSAGE = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
]
HALF = b'event: %s\ndata: {"type":"content_blo<html>502\n\n'
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\n'


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", OF_A_MESSAGE)
@pytest.mark.parametrize("before", [b"", DELTA], ids=["at-first", "after-content"])
def test_an_event_that_breaks_off_ends_the_stream(before, kind, end):
    relay = Relay("fast")
    relay.feed(before)

    with pytest.raises(StreamBrokenError, match=f"the stream holds a {kind} that is not JSON"):
        relay.feed((DELTA + HALF % kind.encode()).replace(b"\n", end))

    assert not relay.complete
    assert relay.error is None


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(HALF % b"ping", id="ping"),
        pytest.param(HALF % b"of_tomorrow", id="unknown"),
        pytest.param(b"data: [DONE\n\n", id="of-no-name"),
        pytest.param(b"<html>\n\n", id="no-event"),
        pytest.param(b"event: content_block_stop\n\n", id="no-data"),
        pytest.param(b'data: {"type":\ndata: "content_block_stop"}\nid: 1\n\n', id="on-two-lines"),
    ],
)
def test_what_no_client_decodes_may_be_anything(event):
    relay = Relay("fast")

    assert DELTA + event + event == relay.feed(DELTA + event) + relay.feed(event)


@pytest.mark.parametrize("kind", ["message_start", "message_stop", "error"])
def test_a_name_without_data_is_no_event(kind):
    relay = Relay("fast")

    relay.feed(b"event: %s\n\n" % kind.encode())

    assert (False, False, None) == (relay.begun, relay.complete, relay.error)


@pytest.mark.parametrize("last", ["message_stop", "error"])
def test_after_the_end_half_an_event_is_left_out(last):
    relay = Relay("fast")
    end = b'event: %s\ndata: {"type":"%s"}\n\n' % (last.encode(), last.encode())

    assert end == relay.feed(end + HALF % b"content_block_delta")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("text", ("msg_01Text", ""), id="no-container"),
        pytest.param("late_usage", ("chatcmpl-1", ""), id="an-id-of-anothers"),
        pytest.param("server_tools", ("msg_01Search", "container_01"), id="told-at-the-end"),
        pytest.param("broken_off", ("msg_01Off", ""), id="broken-off"),
        pytest.param("never_begun", ("", ""), id="never-begun"),
    ],
)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("cut", CUTS)
def test_which_message_it_is_and_where_it_was_made_is_read_off(name, expected, cut, end):
    relay = Relay("fast")

    for piece in cut(STREAMS[name].replace(b"\n", end)):
        relay.feed(piece)

    assert expected == (relay.id, relay.container)
    assert not relay.refused


@pytest.mark.parametrize(
    ("start", "deltas", "expected"),
    [
        pytest.param({"container": {"id": "c"}}, [{}], "c", id="at-the-start"),
        pytest.param({"container": {"id": "c"}}, [{"container": None}], "c", id="null-at-the-end"),
        pytest.param({"container": None}, [{"container": {"id": "c"}}], "c", id="at-the-end"),
        pytest.param({}, [{"container": {"id": "c"}}, {}], "c", id="in-one-of-two"),
        pytest.param({"container": {"id": "b"}}, [{"container": {"id": "c"}}], "c", id="another"),
        pytest.param({"container": 7}, [{"container": {"id": 7}}], "", id="no-id"),
    ],
)
def test_a_container_is_known_wherever_it_is_told(start, deltas, expected):
    relay = Relay("fast")

    relay.feed(
        b"event: message_start\ndata: %s\n\n" % json.dumps({"message": {**start, "id": 7}}).encode()
    )
    for delta in deltas:
        relay.feed(b"event: message_delta\ndata: %s\n\n" % json.dumps({"delta": delta}).encode())

    assert ("", expected) == (relay.id, relay.container)


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([b'{"stop_reason":"refusal","stop_details":{}}'], True, id="refusal"),
        pytest.param([b'{"stop_reason":"refusal"}', b"{}"], True, id="then-nothing"),
        pytest.param([b'{"stop_reason":"refusal"}', b'{"stop_reason":null}'], True, id="then-null"),
        pytest.param(
            [b'{"stop_reason":"refusal"}', b'{"stop_reason":"end_turn"}'], False, id="then-another"
        ),
        pytest.param([b'{"stop_reason":"end_turn"}'], False, id="an-end"),
        pytest.param([b'{"stop_reason":["refusal"]}'], False, id="no-reason"),
        pytest.param([b'"refusal"'], False, id="no-delta"),
    ],
)
@pytest.mark.parametrize("cut", CUTS)
def test_a_refusal_is_read_off(deltas, expected, cut):
    text = STREAMS["text"]
    data = [b'{"type":"message_delta","delta":%s}' % delta for delta in deltas]
    end = b"".join(b"event: message_delta\ndata: %s\n\n" % each for each in data)
    relay = Relay("fast")

    for piece in cut(text[: text.index(b"event: message_delta")] + end):
        relay.feed(piece)

    assert expected == relay.refused


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
        pytest.param(b'data: {"a":"\xff"}\n', b'data: {"a":"\xff"}\n', id="not-utf-8"),
    ],
)
def test_only_the_models_name_changes_where_an_answer_starts(data, expected):
    relay = Relay("fast")

    out = relay.feed(b"event: message_start\n" + data + b"\n")

    assert b"event: message_start\n" + expected + b"\n" == out
    assert relay.begun


@pytest.mark.parametrize(
    ("bare", "kind"),
    [
        pytest.param(
            b'{"code":500,"message":"Full.","type":"server_error"}', "api_error", id="500"
        ),
        pytest.param(b'{"code":429,"message":"Full."}', "rate_limit_error", id="429"),
        pytest.param(b'{"code":"full","message":"Full."}', "api_error", id="a-word"),
        pytest.param(b'{"message":"Full."}', "api_error", id="no-code"),
    ],
)
def test_a_bare_error_is_told_in_the_formats_shape(bare, kind):
    relay = Relay("fast")
    told = {"type": "error", "error": {"type": kind, "message": "Full."}}

    written = relay.feed(b"event: error\ndata: " + bare + b"\n\n")

    assert told == json.loads(relay.error)
    assert b"event: error\ndata: " + relay.error + b"\n\n" == written


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


def event(name, **members):
    return b"event: %s\ndata: %s\n\n" % (
        name.encode(),
        json.dumps({"type": name, **members}).encode(),
    )


START = event(
    "message_start",
    message={"id": "msg_1", "model": MODEL, "usage": {"input_tokens": 50, "output_tokens": 2}},
)
BEGUN = event("content_block_start", index=0, content_block={"type": "text", "text": ""})


def delta(**members):
    return event("content_block_delta", index=0, delta=members)


def told(tokens):
    usage = {"output_tokens": tokens}
    return event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        pytest.param([delta(type="text_delta", text="x" * 7)] * 100, 200, id="text"),
        pytest.param([delta(type="thinking_delta", thinking="x" * 7)] * 5, 10, id="thinking"),
        pytest.param([delta(type="input_json_delta", partial_json='{"a":1}')], 2, id="an input"),
        pytest.param([delta(type="text_delta", text="語" * 7)], 6, id="bytes of UTF-8"),
        pytest.param([delta(type="text_delta", text="x" * 700)] * 5000, 1_000_000, id="long"),
        pytest.param([delta(type="signature_delta", signature="x" * 700)], 2, id="no text"),
        pytest.param([], 2, id="nothing yet"),
        pytest.param([event("ping"), delta(type="text_delta", text=7)], 2, id="no such text"),
    ],
)
@pytest.mark.parametrize(
    "size", [pytest.param(1, id="one by one"), pytest.param(40, id="together")]
)
def test_an_answer_that_is_let_go_of_is_counted_by_what_was_sent(said, tokens, size):
    relay = Relay(MODEL)
    relay.feed(START + BEGUN)
    for at in range(0, len(said), size):
        relay.feed(b"".join(said[at : at + size]))

    usage = relay.final()
    assert (50, tokens, True) == (usage.input_tokens, usage.output_tokens, usage.estimated)
    assert usage == relay.final()
    assert 2 == relay.usage.output_tokens


def test_what_the_upstream_has_told_is_not_guessed():
    relay = Relay(MODEL)
    relay.feed(START + BEGUN + delta(type="text_delta", text="x" * 700) + told(33))
    usage = relay.final()
    assert (33, False) == (usage.output_tokens, usage.estimated)


def test_an_answer_whose_tokens_nobody_counted_is_guessed_at_its_end():
    relay = Relay(MODEL)
    end = event("message_delta", delta={"stop_reason": "end_turn"}) + event("message_stop")
    relay.feed(BEGUN + delta(type="text_delta", text="x" * 700) + end)
    assert relay.complete
    assert (200, True) == (relay.final().output_tokens, relay.final().estimated)


def test_an_answer_that_never_began_has_used_nothing():
    relay = Relay(MODEL)
    relay.feed(event("ping"))
    assert (0, False) == (relay.final().output_tokens, relay.final().estimated)
