"""What a request wants to have judged, and how an answer says what came of it."""

import json

import pytest

from llmroute.messages.safeguards import (
    NOT_FLAGGED,
    Ending,
    Said,
    asked,
    flagged,
    reviewable,
    said,
    unavailable,
    with_results,
)
from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import encode

from .recordings import CUTS, NAMES, STREAMS

OURS = {"type": "dangerous_tool_use", "classifier_context": {"v": 1}}


def wanted(*listed):
    return asked(Envelope.of({"model": "m", "safeguards": list(listed)}))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"model": "m"}, id="nothing"),
        pytest.param({"safeguards": None}, id="null"),
        pytest.param({"safeguards": "dangerous_tool_use"}, id="no-list"),
        pytest.param({"safeguards": ["dangerous_tool_use", None, 1]}, id="no-objects"),
        pytest.param({"safeguards": [{"type": "other"}, {}, {"type": 1}]}, id="another-kind"),
    ],
)
def test_what_does_not_ask_for_verdicts_on_tool_calls(body):
    assert None is asked(Envelope.of(body))


def test_what_an_answer_says_of_each_kind():
    request = wanted({"type": "other"}, OURS)
    unsupported = {"type": "unsupported"}
    found = {"call": NOT_FLAGGED}

    assert {"v": 1} == request.context
    assert [
        {"type": "other", "status": unsupported},
        {"type": "dangerous_tool_use", "status": {"type": "available", "tool_uses": found}},
    ] == request.results(found)
    assert [unsupported] * 2 == [each["status"] for each in request.results(None)]
    assert {} == wanted({"type": "dangerous_tool_use", "classifier_context": 7}).context


def use(name, arguments=None, tool="Bash"):
    return {"type": "tool_use", "id": name, "name": tool, "input": arguments or {}}


def of(*uses, ends_in_tool=True, stop_reason="tool_use"):
    return reviewable(Said(uses, ends_in_tool, stop_reason, reviewed=False))


def test_calls_are_told_by_their_ids():
    actions, settled = of(use("a", {"command": "ls"}), use("b"))

    assert [("a", "Bash", {"command": "ls"}), ("b", "Bash", {})] == actions
    assert {} == settled


CUT = unavailable("truncated")


@pytest.mark.parametrize(
    ("uses", "ending", "judged", "expected"),
    [
        pytest.param([use("a"), use("b")], (True, "max_tokens"), ["a"], {"b": CUT}, id="the-last"),
        pytest.param([use("a")], (False, "max_tokens"), ["a"], {}, id="a-text-was-cut"),
        pytest.param(
            [use("a")], (True, "model_context_window_exceeded"), [], {"a": CUT}, id="no-room"
        ),
        pytest.param([use("a", '{"comm')], (True, "tool_use"), [], {"a": CUT}, id="no-json"),
        pytest.param([use("a", [1])], (True, "tool_use"), [], {"a": CUT}, id="no-object"),
        pytest.param(
            [use("a", {"x": 1}), use("a", {"x": 2}), use("a")],
            (True, "tool_use"),
            [],
            {"a": unavailable("error")},
            id="one-id-for-several",
        ),
        pytest.param([{"type": "tool_use", "id": 7}, use("")], (True, ""), [], {}, id="no-id"),
    ],
)
def test_what_cannot_be_judged_is_not_let_pass(uses, ending, judged, expected):
    actions, settled = of(*uses, ends_in_tool=ending[0], stop_reason=ending[1])

    assert (judged, expected) == ([action.id for action in actions], settled)


def test_a_whole_answer_keeps_its_bytes():
    body = b'{"content": [{"type":"tool_use","id":"a"} ],  "stop_reason":"tool_use","x":1.0e1}'
    results = wanted(OURS).results({"a": flagged("No.")})
    after = with_results(body, results)

    assert after.startswith(body[:-1] + b',"safeguard_results":')
    assert results == json.loads(after)["safeguard_results"]
    assert (True, "tool_use", False) == said(body)[1:]
    assert said(after).reviewed


@pytest.mark.parametrize(
    "body", [pytest.param(b"", id="empty"), pytest.param(b"<html>", id="a-page")]
)
def test_what_is_no_answer_is_left_alone(body):
    assert None is said(body)


# `never_begun` and `broken_off` have no end that could be kept back.
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", NAMES)
def test_bytes_leave_a_stream_as_they_came(name, cut):
    stream = STREAMS[name]
    ending = Ending()
    whole = [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]
    passed = b"".join(ending.feed(b"".join(part)) for part in cut(whole))
    held = ending.close(None)

    assert stream == passed + held
    assert (b"message_stop" in stream) == ending.complete
    assert b"event: message_delta" not in passed


def streamed(*uses, delta, pieces=True):
    for index, block in enumerate(uses):
        begun = {**block, "input": {} if pieces else block["input"]}
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        if pieces and block["type"] == "tool_use":
            given = block["input"]
            text = given if isinstance(given, str) else json.dumps(given)
            for piece in (text[:5], text[5:]):
                part = {"type": "input_json_delta", "partial_json": piece}
                yield {"type": "content_block_delta", "index": index, "delta": part}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}}
    yield {"type": "message_stop"}


def through(ending, events):
    return b"".join(
        ending.feed(encode(event["type"].encode(), json.dumps(event).encode())) for event in events
    )


@pytest.mark.parametrize("pieces", [True, False])
def test_a_stream_says_the_same_as_a_whole_answer(pieces):
    uses = [use("a", {"command": "ls"}), use("b", {"path": "x"})]
    ending = Ending()
    passed = through(ending, streamed(*uses, delta={"stop_reason": "tool_use"}, pieces=pieces))

    assert ([(u["id"], u["input"]) for u in uses], True, "tool_use", False) == (
        [(u["id"], u["input"]) for u in ending.said.tool_uses],
        *ending.said[1:],
    )
    assert passed.endswith(b'{"type": "content_block_stop", "index": 1}\n\n')


def test_broken_input_is_text():
    ending = Ending()
    through(ending, streamed(use("a", '{"command": "l'), delta={"stop_reason": "tool_use"}))

    assert {"a": CUT} == reviewable(ending.said)[1]


def test_a_text_after_the_last_call():
    ending = Ending()
    through(ending, streamed(use("a"), {"type": "text", "input": ""}, delta={"stop_reason": None}))

    assert (False, "") == ending.said[1:3]


def test_results_go_into_the_delta_that_ends_the_answer():
    ending = Ending()
    early = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 1}}
    late = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}}
    *_, delta, stop = streamed(delta={"stop_reason": "end_turn", "new": {"a": 1.0}})
    through(ending, [early, delta, late, stop])
    results = wanted(OURS).results({})
    held = [json.loads(event.partition(b"data: ")[2]) for event in _events(ending.close(results))]

    expected = {**delta, "delta": {**delta["delta"], "safeguard_results": results}}
    assert [early, expected, late, stop] == held


def _events(data):
    return data.split(b"\n\n")[:-1]


def test_a_delta_that_has_none_gets_one():
    ending = Ending()
    through(ending, [{"type": "message_delta", "delta": None}, {"type": "message_stop"}])
    results = wanted(OURS).results(None)

    assert {"safeguard_results": results} == (
        json.loads(_events(ending.close(results))[0].partition(b"data: ")[2])["delta"]
    )
