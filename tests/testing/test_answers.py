"""Answers as values: the bytes they become."""

import msgspec
import pytest

from llmroute.testing import (
    Answer,
    as_json,
    error,
    events,
    message,
    raw,
    text,
    thinking,
    tool_use,
)
from llmroute.testing.answer import Fault, Request, Script

WHOLE = Request(model="claude-x", stream=False, message_id="msg_7", request_id="req_9")
STREAMED = WHOLE._replace(stream=True)


def body(answer: Answer, request: Request = WHOLE) -> bytes:
    return b"".join(answer.script(request).pieces)


def told(answer: Answer) -> list[dict]:
    """The events of a streamed answer, decoded; each says the same on both its lines."""
    decoded = []
    for piece in answer.script(STREAMED).pieces:
        first, second, *end = piece.split(b"\n")
        assert [b"", b""] == end
        event = msgspec.json.decode(second.removeprefix(b"data: "))
        assert first == b"event: " + event["type"].encode()
        decoded.append(event)
    return decoded


def replayed(stream: list[dict]) -> list[dict]:
    """The content blocks that a client puts together from events."""
    blocks: list[dict] = []
    inputs: dict[int, str] = {}
    for event in stream:
        if event["type"] == "content_block_start":
            assert len(blocks) == event["index"]
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            match delta["type"]:
                case "text_delta":
                    block["text"] += delta["text"]
                case "thinking_delta":
                    block["thinking"] += delta["thinking"]
                case "signature_delta":
                    block["signature"] += delta["signature"]
                case "citations_delta":
                    block["citations"].append(delta["citation"])
                case "input_json_delta":
                    inputs.setdefault(event["index"], "")
                    inputs[event["index"]] += delta["partial_json"]
    for index, encoded in inputs.items():
        blocks[index]["input"] = msgspec.json.decode(encoded or "{}")
    return blocks


def test_a_stream_says_what_anthropic_says_in_that_order():
    assert [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ] == [event["type"] for event in told(text("Hello.", deltas=2))]


def test_a_stream_is_byte_for_byte_what_it_is():
    usage = {"input_tokens": 3, "output_tokens": 2}

    assert (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_7",'
        b'"type":"message","role":"assistant","model":"claude-x","content":[],'
        b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,'
        b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
        b'event: ping\ndata: {"type":"ping"}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
        b'"stop_sequence":null},"usage":{"input_tokens":3,"cache_creation_input_tokens":0,'
        b'"cache_read_input_tokens":0,"output_tokens":2}}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    ) == body(text("Hi", usage=usage, deltas=1), STREAMED)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(text("Hello, Wörld \N{BUTTERFLY}!"), id="text"),
        pytest.param(text(""), id="no-text"),
        pytest.param(text("x" * 50, deltas=500), id="more-deltas-than-letters"),
        pytest.param(thinking("Let me think.", then="Done."), id="thinking-then-text"),
        pytest.param(thinking("Let me think.", signature="s"), id="thinking-alone"),
        pytest.param(tool_use("Bash", {"command": "echo 'hi'", "n": [1, 2]}), id="tool"),
        pytest.param(tool_use("Now"), id="tool-without-input"),
        pytest.param(message([tool_use("A"), tool_use("B"), "and"]), id="two-tools-and-text"),
        pytest.param(message({"type": "redacted_thinking", "data": "x"}), id="block-as-it-is"),
        pytest.param(
            message({"type": "text", "text": "Quoted.", "citations": [{"cited_text": "Q"}]}),
            id="citations",
        ),
        pytest.param(message([]), id="nothing"),
    ],
)
def test_a_stream_adds_up_to_the_whole_message(answer):
    whole = msgspec.json.decode(body(answer))
    stream = told(answer)

    assert whole["content"] == replayed(stream)
    assert whole["stop_reason"] == stream[-2]["delta"]["stop_reason"]
    assert whole["usage"] == stream[-2]["usage"]
    assert 1 == sum(event["type"] == "ping" for event in stream)


@pytest.mark.parametrize(
    ("answer", "member", "value"),
    [
        pytest.param(text("a"), "stop_reason", "end_turn", id="text-ends-the-turn"),
        pytest.param(tool_use("a"), "stop_reason", "tool_use", id="a-tool-is-used"),
        pytest.param(
            message("a", stop_reason="max_tokens"), "stop_reason", "max_tokens", id="as-given"
        ),
        pytest.param(text("a"), "model", "claude-x", id="the-model-asked-for"),
        pytest.param(message("a", model="claude-y"), "model", "claude-y", id="the-model-given"),
        pytest.param(text("a"), "id", "msg_7", id="counted-id"),
        pytest.param(message("a", container={"id": "c"}), "container", {"id": "c"}, id="extra"),
    ],
)
def test_what_is_missing_of_a_message_is_filled_in(answer, member, value):
    assert value == msgspec.json.decode(body(answer))[member]
    assert value == (told(answer)[0]["message"] | told(answer)[-2]["delta"])[member]


def test_tools_without_an_id_get_one_of_their_own_each():
    blocks = msgspec.json.decode(body(message([tool_use("a"), tool_use("b", id="toolu_x")])))

    assert ["toolu_70", "toolu_x"] == [block["id"] for block in blocks["content"]]


def test_stop_details_end_a_stream():
    answer = message("No.", stop_reason="refusal", stop_details={"type": "refusal"})

    assert {"type": "refusal"} == told(answer)[-2]["delta"]["stop_details"]


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        pytest.param(
            error(529),
            529,
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},'
            b'"request_id":"req_9"}',
            id="overloaded",
        ),
        pytest.param(
            error(400, message="prompt is too long: 2 tokens > 1 maximum"),
            400,
            b'{"type":"error","error":{"type":"invalid_request_error",'
            b'"message":"prompt is too long: 2 tokens > 1 maximum"},"request_id":"req_9"}',
            id="wording-given",
        ),
        pytest.param(
            error(429, details={"error_code": "ramp_limit_exceeded"}),
            429,
            b'{"type":"error","error":{"type":"rate_limit_error","message":"Rate limit error",'
            b'"details":{"error_code":"ramp_limit_exceeded"}},"request_id":"req_9"}',
            id="details",
        ),
        pytest.param(
            error(503),
            503,
            b'{"type":"error","error":{"type":"api_error","message":"Api error"},'
            b'"request_id":"req_9"}',
            id="a-status-without-a-type-of-its-own",
        ),
        pytest.param(as_json({"input_tokens": 3}), 200, b'{"input_tokens":3}', id="json"),
        pytest.param(raw(502, body=b"<html>"), 502, b"<html>", id="raw"),
    ],
)
@pytest.mark.parametrize("request_", [WHOLE, STREAMED], ids=["whole", "streamed"])
def test_what_is_no_message_is_the_same_streamed_or_not(answer, status, expected, request_):
    script = answer.script(request_)

    assert (status, expected) == (script.status, b"".join(script.pieces))


@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        pytest.param(
            text("a"),
            (
                ("content-type", "text/event-stream; charset=utf-8"),
                ("cache-control", "no-cache"),
                ("request-id", "req_9"),
            ),
            id="stream",
        ),
        pytest.param(
            error(429, retry_after=1.5, headers=[("x-should-retry", "true")]),
            (
                ("content-type", "application/json"),
                ("request-id", "req_9"),
                ("x-should-retry", "true"),
                ("retry-after", "1.5"),
            ),
            id="error",
        ),
        pytest.param(
            as_json(1, headers=[("Request-ID", "mine")]),
            (("content-type", "application/json"), ("Request-ID", "mine")),
            id="in-place-of-a-default",
        ),
        pytest.param(raw(headers=[("a", "1"), ("a", "2")]), (("a", "1"), ("a", "2")), id="raw"),
        pytest.param(
            raw().header("a", "1").header("A", "2"), (("A", "2"),), id="set-twice-is-set-once"
        ),
    ],
)
def test_headers(answer, headers):
    assert headers == answer.script(STREAMED).headers


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        pytest.param(events(b"a: 1\n\nb\n\n"), (b"a: 1\n\n", b"b\n\n"), id="bytes"),
        pytest.param(events(b"a\n\nunfinished"), (b"a\n\n", b"unfinished"), id="unfinished"),
        pytest.param(
            events([{"type": "ping"}, b"\xff"]),
            (b'event: ping\ndata: {"type":"ping"}\n\n', b"\xff"),
            id="list",
        ),
        pytest.param(events(b""), (), id="empty"),
    ],
)
def test_events_go_out_as_given_whatever_was_asked_for(answer, pieces):
    assert pieces == answer.script(WHOLE).pieces


def faults(script: Script) -> list[tuple[bytes, Fault]]:
    """Each fault, and what of the body comes before it."""
    whole = b"".join(script.pieces)
    return [(whole[:offset], fault) for offset, fault in script.faults]


THREE = events([b"one\n\n", b"two\n\n", b"three\n\n"])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(THREE.cut(3), [(b"one", Fault.CUT)], id="bytes"),
        pytest.param(THREE.cut(after_events=1), [(b"one\n\n", Fault.CUT)], id="events"),
        pytest.param(THREE.cut(0, reset=True), [(b"", Fault.RESET)], id="reset-at-the-start"),
        pytest.param(THREE.end(4), [(b"one\n", Fault.END)], id="end"),
        pytest.param(THREE.stall(), [(b"one\n\ntwo\n\nthree\n\n", Fault.STALL)], id="at-the-end"),
        pytest.param(
            THREE.stall(99), [(b"one\n\ntwo\n\nthree\n\n", Fault.STALL)], id="behind-the-end"
        ),
        pytest.param(
            THREE.cut(after_events=2).stall(1),
            [(b"o", Fault.STALL), (b"one\n\ntwo\n\n", Fault.CUT)],
            id="two-in-order-of-place",
        ),
        pytest.param(
            THREE.stall(1).stall(1).cut(1),
            [(b"o", Fault.STALL), (b"o", Fault.STALL), (b"o", Fault.CUT)],
            id="at-one-place-in-order-of-telling",
        ),
        pytest.param(
            raw(body=b"whole").stall(after_events=1), [(b"whole", Fault.STALL)], id="one-event"
        ),
    ],
)
def test_faults_happen_where_they_are_told(answer, expected):
    script = answer.script(WHOLE)

    assert expected == faults(script)
    starts = {sum(map(len, script.pieces[:count])) for count in range(len(script.pieces) + 1)}
    assert {offset for offset, _ in script.faults} <= starts


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        pytest.param(raw(body=b"abcdef").pieces([2, 3]), (b"ab", b"c", b"def"), id="offsets"),
        pytest.param(raw(body=b"abc").pieces([0, 1, 3, 9]), (b"a", b"bc"), id="useless-offsets"),
        pytest.param(raw(body=b"abc").bytewise(), (b"a", b"b", b"c"), id="bytewise"),
        pytest.param(raw(body=b"abc").pieces([1]).cut(2), (b"a", b"b", b"c"), id="with-a-fault"),
        pytest.param(raw().bytewise(), (), id="nothing-to-cut"),
    ],
)
def test_pieces(answer, pieces):
    assert pieces == answer.script(WHOLE).pieces


def test_a_stream_can_fail_with_an_error_event():
    answer = text("Hello").fail(after_events=2)

    assert ["message_start", "content_block_start", "error"] == [
        event["type"] for event in told(answer)
    ]
    assert {"type": "overloaded_error", "message": "Overloaded"} == told(answer)[-1]["error"]


def test_faults_leave_the_answer_they_are_made_from_alone():
    answer = text("Hi")
    answer.cut(1).late().drop().header("a", "b")

    assert text("Hi") == answer


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(lambda: THREE.cut(1, after_events=1), "not in both", id="two-places"),
        pytest.param(lambda: error(200), "not an error", id="no-error"),
        pytest.param(lambda: message([error(500)]), "has blocks", id="an-error-as-a-part"),
        pytest.param(lambda: text("a", deltas=0), "one delta", id="no-deltas"),
    ],
)
def test_what_makes_no_sense_is_refused(make, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        make()
