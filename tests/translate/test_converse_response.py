"""Converse's answers as Messages answers: at any cut, in any order, streamed and whole."""

import contextlib
import copy
import itertools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chaos.transcript import events_of, problems_of

from llmroute.errors import FaultError, StreamBrokenError
from llmroute.messages.call import Call
from llmroute.translate.converse_model import ConverseModel
from llmroute.translate.converse_request import converse_request
from llmroute.translate.converse_response import (
    ConverseDecoder,
    converse_message,
    converse_stream,
)
from llmroute.translate.reasoning import unseal
from llmroute.wire.envelope import Envelope
from llmroute.wire.eventstream import encode

NOVA = "amazon.nova-pro-v1:0"
CLAUDE = "anthropic.claude-opus-5-5"
TOOLS = [
    {"name": name, "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    for name in ("read", "7 läufe")
]
REQUEST = {"model": "fast", "max_tokens": 99, "tools": TOOLS, "messages": []}
COUNTS = {
    "inputTokens": 388,
    "outputTokens": 50,
    "totalTokens": 950,
    "cacheReadInputTokens": 512,
    "cacheWriteInputTokens": 7,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 7}],
}


def call_of(**members):
    return Call(Envelope.of({**REQUEST, **members}), "fast")


def explain(name, described):
    kind = "overloaded_error" if "throttling" in name else "api_error"
    return kind, f"{name}: {described.get('message')}"


def framed(kind, _is="event", **data):
    headers = {":message-type": _is, f":{_is}-type": kind, ":content-type": "application/json"}
    return encode(headers, json.dumps(data).encode())


def begun(at, name="read", id_="tooluse_1"):
    use = {"toolUseId": id_, "name": name}
    return framed("contentBlockStart", contentBlockIndex=at, start={"toolUse": use})


def delta(at, **members):
    return framed("contentBlockDelta", contentBlockIndex=at, delta=members)


def ended(at):
    return framed("contentBlockStop", contentBlockIndex=at)


def piece(at, written):
    return delta(at, toolUse={"input": written})


def reasoned(at, **members):
    return delta(at, reasoningContent=members)


def block(at, content):
    """Return a block of a whole answer as it is streamed, each text of it in two pieces."""
    match content:
        case {"text": said}:
            half = len(said) // 2
            frames = [delta(at, text=said[:half]), delta(at, text=said[half:])]
        case {"toolUse": use}:
            given = json.dumps(use["input"])
            frames = [begun(at, use["name"], use["toolUseId"]), piece(at, given[:3])]
            frames.append(piece(at, given[3:]))
        case {"reasoningContent": {"reasoningText": said}}:
            frames = [reasoned(at, **{name: said[name]}) for name in said]
        case {"reasoningContent": said}:
            frames = [reasoned(at, **said)]
        case _:
            frames = [delta(at, **content)]
    return b"".join([*frames, ended(at)])


def stream_of(*content, reason="end_turn", usage=COUNTS, **members):
    frames = [framed("messageStart", role="assistant")]
    frames += [block(at, each) for at, each in enumerate(content)]
    frames += [framed("messageStop", stopReason=reason, **members)] if reason else []
    frames += [framed("metadata", usage=usage, metrics={"latencyMs": 1})] if usage else []
    return b"".join(frames)


def whole_of(*content, reason="end_turn", **members):
    message = {"role": "assistant", "content": list(content)}
    answer = {"output": {"message": message}, "stopReason": reason, "usage": COUNTS, **members}
    return json.dumps(answer).encode()


def decoded(stream, cuts=(), *, family=NOVA, **members):
    decoder = ConverseDecoder(call_of(**members), family, explain)
    edges = [0, *cuts, len(stream)]
    written = b"".join(decoder.feed(stream[a:b]) for a, b in itertools.pairwise(edges))
    return written + decoder.close()


def message_of(stream):
    """Put a Messages stream together, as a client does."""
    message = None
    for kind, data in [(event.kind, copy.deepcopy(event.data)) for event in events_of(stream)]:
        match kind:
            case "message_start":
                message = data["message"]
            case "content_block_start":
                message["content"].append(dict(data["content_block"]))
            case "content_block_delta":
                made, told = message["content"][data["index"]], data["delta"]
                name = told["type"].removesuffix("_delta")
                name = {"input_json": "input"}.get(name, name)
                added = told.get("partial_json", told.get(name))
                made[name] = added if made[name] == {} else made[name] + added
            case "message_delta":
                message |= data["delta"]
                message["usage"] |= data["usage"]
            case "error":
                return data
    for made in message["content"]:
        if isinstance(made.get("input"), str):
            with contextlib.suppress(ValueError):
                made["input"] = json.loads(made["input"])
    return message


def shown(message):
    """Return a message's blocks, with what their signatures carry."""
    found = []
    for each in message["content"]:
        match each["type"]:
            case "thinking":
                state = unseal(each["signature"], "bedrock", NOVA)
                found.append(("thinking", each["thinking"], state))
            case "text":
                found.append(("text", each["text"]))
            case "tool_use":
                found.append((each["name"], each["input"]))
    return found


def use(name="read", id_="tooluse_1", **given):
    return {"toolUse": {"toolUseId": id_, "name": name, "input": given}}


def thought(said, signature="S"):
    return {"reasoningContent": {"reasoningText": {"text": said, "signature": signature}}}


HM = ("thinking", "Hm.", {"signature": "S"})
CASES = [
    pytest.param([{"text": "OK"}], "end_turn", [("text", "OK")], "end_turn", id="text"),
    pytest.param(
        [{"text": "Grüße, 世界 🌍"}],
        "end_turn",
        [("text", "Grüße, 世界 🌍")],
        "end_turn",
        id="unicode",
    ),
    pytest.param(
        [{"text": "OK"}, use(a="b")],
        "tool_use",
        [("text", "OK"), ("read", {"a": "b"})],
        "tool_use",
        id="a-call",
    ),
    pytest.param(
        [thought("Hm."), use(a="b"), use("read", "tooluse_2")],
        "tool_use",
        [HM, ("read", {"a": "b"}), ("read", {})],
        "tool_use",
        id="parallel-calls-after-a-thought",
    ),
    pytest.param(
        [use("never_heard_of")],
        "tool_use",
        [("never_heard_of", {})],
        "tool_use",
        id="a-name-nobody-has",
    ),
    pytest.param(
        [thought("Hm."), {"text": "OK"}],
        "end_turn",
        [HM, ("text", "OK")],
        "end_turn",
        id="a-thought",
    ),
    pytest.param(
        [{"reasoningContent": {"redactedContent": "c2U="}}, {"text": "OK"}],
        "end_turn",
        [("thinking", "", {"redacted": "c2U="}), ("text", "OK")],
        "end_turn",
        id="redacted",
    ),
    pytest.param([], "end_turn", [], "end_turn", id="empty"),
    pytest.param([{"text": "O"}], "max_tokens", [("text", "O")], "max_tokens", id="max"),
    pytest.param(
        [{"text": "O"}],
        "model_context_window_exceeded",
        [("text", "O")],
        "model_context_window_exceeded",
        id="window",
    ),
    pytest.param([{"text": "O"}], "content_filtered", [("text", "O")], "refusal", id="refused"),
    pytest.param(
        [{"text": "O"}], "malformed_tool_use", [("text", "O")], "end_turn", id="a-call-that-failed"
    ),
]


@pytest.mark.parametrize(("content", "given_reason", "blocks", "reason"), CASES)
def test_a_stream_at_any_cut(content, given_reason, blocks, reason):
    stream = stream_of(*content, reason=given_reason)
    whole = decoded(stream)
    dice = random.Random(7)
    cuts = [sorted(dice.sample(range(len(stream)), 9)) for _ in range(5)]

    assert [] == problems_of(whole)
    message = message_of(whole)
    assert (blocks, reason) == (shown(message), message["stop_reason"])
    assert "fast" == message["model"]
    for at in [range(1, len(stream)), *cuts]:
        assert whole == decoded(stream, at)


@pytest.mark.parametrize(("content", "given_reason", "blocks", "reason"), CASES)
def test_the_same_answer_whole(content, given_reason, blocks, reason):
    body = whole_of(*content, reason=given_reason)
    message = json.loads(converse_message(call_of(), body, NOVA, explain))
    written = converse_stream(call_of(), body, NOVA, explain)

    assert (blocks, reason) == (shown(message), message["stop_reason"])
    assert [] == problems_of(written)
    assert blocks == shown(message_of(written))


def test_usage_with_the_cache_by_its_time_to_live():
    usage = message_of(decoded(stream_of({"text": "Hi"})))["usage"]

    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert (388, 512, 7) == tuple(usage[name] for name in names)
    assert 50 == usage["output_tokens"]
    assert 7 == usage["cache_creation"]["ephemeral_1h_input_tokens"]


def test_without_usage_the_answers_length_is_estimated():
    usage = message_of(decoded(stream_of({"text": "Hello, you"}, usage=None)))["usage"]

    assert 0 < usage["output_tokens"]


THROTTLED = framed("throttlingException", "exception", message="Too many")


@pytest.mark.parametrize(
    ("stream", "kind", "message"),
    [
        pytest.param(THROTTLED, "overloaded_error", "throttlingException: Too many", id="first"),
        pytest.param(
            framed("messageStart", role="assistant") + delta(0, text="O") + THROTTLED,
            "overloaded_error",
            "throttlingException: Too many",
            id="middle",
        ),
        pytest.param(
            encode(
                {":message-type": "error", ":error-code": "internal", ":error-message": "no"}, b""
            ),
            "api_error",
            "internal: no",
            id="error",
        ),
        pytest.param(
            stream_of(reason="malformed_model_output"),
            "api_error",
            "The model gave up: malformed_model_output",
            id="gave-up",
        ),
        pytest.param(
            framed("messageStart", role="assistant") + delta(0, text="O"),
            "api_error",
            "The upstream's answer broke off: no finish reason came",
            id="broken-off",
        ),
        pytest.param(
            b"",
            "api_error",
            "The upstream's answer was empty: no finish reason came",
            id="nothing",
        ),
    ],
)
def test_errors_in_a_stream(stream, kind, message):
    written = decoded(stream)

    assert [] == problems_of(written)
    assert {"type": kind, "message": message} == message_of(written)["error"]


def test_an_exception_that_comes_first_is_all_there_is():
    written = decoded(framed("messageStart", role="assistant") + THROTTLED)

    assert ["error"] == [event.kind for event in events_of(written)]


def test_an_event_that_is_no_json_ends_the_stream():
    odd = encode({":message-type": "event", ":event-type": "metadata"}, b"{")

    assert ["error"] == [event.kind for event in events_of(decoded(odd + stream_of()))]


@pytest.mark.parametrize("cut", [5, -3])
def test_a_stream_that_ends_inside_a_message_is_broken(cut):
    with pytest.raises(StreamBrokenError):
        decoded(stream_of({"text": "OK"})[:cut])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="no-json"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b"{}", id="nothing"),
        pytest.param(whole_of(reason="malformed_model_output"), id="gave-up"),
        pytest.param(b'{"output": {"message": {"content": 7}}}', id="no-content"),
    ],
)
@pytest.mark.parametrize("read", [converse_message, converse_stream])
def test_a_whole_answer_that_is_none(body, read):
    with pytest.raises(FaultError):
        read(call_of(), body, NOVA, explain)


def test_tool_names_come_back():
    given = {**REQUEST, "messages": [{"role": "user", "content": "x"}]}
    tools = converse_request(given, ConverseModel.of(NOVA)).body["toolConfig"]["tools"]
    uses = [use(t["toolSpec"]["name"], f"t{at}") for at, t in enumerate(tools)]
    message = message_of(decoded(stream_of(*uses, reason="tool_use")))

    assert ["read", "7 läufe"] == [each["name"] for each in message["content"]]


def test_only_one_call_where_only_one_was_asked_for():
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    stream = stream_of(use(a="1"), use("read", "t2", a="2"), reason="tool_use")

    assert [("read", {"a": "1"})] == shown(message_of(decoded(stream, tool_choice=choice)))


@pytest.mark.parametrize(
    ("told", "sequences", "expected"),
    [
        pytest.param({}, ["X"], "X", id="the-only-one"),
        pytest.param({"stop_sequence": "Y"}, ["X", "Y"], "Y", id="told"),
        pytest.param({}, ["X", "Y"], None, id="nobody-knows"),
    ],
)
def test_which_stop_sequence_it_was(told, sequences, expected):
    members = {"additionalModelResponseFields": told} if told else {}
    stream = stream_of({"text": "O"}, reason="stop_sequence", **members)
    message = message_of(decoded(stream, stop_sequences=sequences))

    assert ("stop_sequence", expected) == (message["stop_reason"], message["stop_sequence"])


def test_a_stop_sequence_that_the_model_does_not_know_is_found():
    content = [{"text": "One, two, thr"}, {"text": "ee, four"}, use(a="1")]
    stream = stream_of(*content, reason="tool_use")
    message = message_of(decoded(stream, stop_sequences=["three"]))

    assert [("text", "One, two, ")] == shown(message)
    assert ("stop_sequence", "three") == (message["stop_reason"], message["stop_sequence"])


def test_a_refusal_says_why():
    stream = stream_of(reason="guardrail_intervened")
    details = message_of(decoded(stream))["stop_details"]

    assert {"type": "refusal", "category": None, "explanation": "guardrail_intervened"} == details


def test_what_claude_has_signed_goes_out_as_it_is():
    hidden = {"reasoningContent": {"redactedContent": "c2U="}}
    message = message_of(decoded(stream_of(thought("Hm."), hidden, {"text": "O"}), family=CLAUDE))

    assert [
        {"type": "thinking", "thinking": "Hm.", "signature": "S"},
        {"type": "redacted_thinking", "data": "c2U="},
    ] == message["content"][:2]


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "streamed"])
def test_what_a_model_said_goes_back_as_it_came(model, is_whole):
    hidden = {"reasoningContent": {"redactedContent": "c2U="}}
    content = [thought("Hm."), hidden, {"text": "OK"}, use(a="b"), use("read", "t.2")]
    if is_whole:
        body = whole_of(*content, reason="tool_use")
        message = json.loads(converse_message(call_of(), body, model, explain))
    else:
        message = message_of(decoded(stream_of(*content, reason="tool_use"), family=model))
    uses = [each["id"] for each in message["content"] if each["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": each, "content": "x"} for each in uses]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": results},
    ]
    body = {"messages": messages, "tools": TOOLS}
    sent = converse_request(body, ConverseModel.of(model)).body["messages"]

    assert content == sent[1]["content"]
    results = [each["toolResult"]["toolUseId"] for each in sent[2]["content"]]
    assert ["tooluse_1", "t.2"] == results


def test_text_that_cites_is_text():
    cited = {"citationsContent": {"content": [{"text": "The Rhine."}], "citations": [{}]}}
    message = json.loads(converse_message(call_of(), whole_of(cited), NOVA, explain))

    assert [("text", "The Rhine.")] == shown(message)
    stream = delta(0, text="The Rhine.") + delta(0, citation={"title": "x"})
    stream += framed("messageStop", stopReason="end_turn")
    assert [("text", "The Rhine.")] == shown(message_of(decoded(stream)))


at = st.integers(0, 3)
texts = st.text(max_size=5)
frames = st.one_of(
    st.builds(lambda i, t: (delta(i, text=t), t), at, texts),
    st.builds(lambda i, t: (reasoned(i, text=t), ""), at, texts),
    st.builds(lambda i: (reasoned(i, signature="S"), ""), at),
    st.builds(lambda i: (reasoned(i, redactedContent="c2U="), ""), at),
    st.builds(lambda i, n: (begun(i, n), ""), at, st.sampled_from(["read", "x y", ""])),
    st.builds(lambda i, t: (piece(i, t), ""), at, st.sampled_from(["{", '"a": 1', "}", "null"])),
    st.builds(lambda i: (ended(i), ""), at),
    st.sampled_from(
        [
            framed("messageStart", role="assistant"),
            framed("contentBlockStart", start={}),
            framed("contentBlockStart", start={"toolUse": {"name": 7}}, contentBlockIndex="x"),
            framed("contentBlockDelta", delta=None),
            framed("contentBlockDelta", delta={"toolUse": {"input": 7}, "text": None}),
            framed("metadata", usage=7),
            framed("newEvent", x=1),
        ]
    ).map(lambda frame: (frame, "")),
)
reasons = st.sampled_from(["end_turn", "tool_use", "max_tokens", "content_filtered", "new", ""])


@settings(max_examples=200, deadline=None)
@given(st.lists(frames, max_size=10), reasons)
def test_whatever_comes_the_stream_is_legal_and_no_text_is_lost(given_, reason):
    written = decoded(b"".join(frame for frame, _ in given_) + stream_of(reason=reason))

    assert [] == problems_of(written)
    message = message_of(written)
    if message["type"] == "error":
        return
    found = "".join(each["text"] for each in message["content"] if each["type"] == "text")
    assert "".join(said for _, said in given_) == found
    assert 50 == message["usage"]["output_tokens"]


blocks = st.one_of(
    st.sampled_from([{"text": "Hi"}, {"text": None}, {}, None, 7, use(), thought("Hm.")]),
    st.sampled_from([{"toolUse": 7}, {"toolUse": {}}, {"reasoningContent": {}}, {"image": {}}]),
    st.just({"reasoningContent": {"reasoningText": {"text": 7}}}),
    st.just({"citationsContent": {"content": [None, {"text": "x"}]}}),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(blocks, max_size=5), reasons)
def test_whatever_a_whole_answer_holds_it_is_one_or_a_fault(content, reason):
    body = whole_of(*content, reason=reason)
    try:
        message = json.loads(converse_message(call_of(), body, NOVA, explain))
    except FaultError:
        return
    assert message["stop_reason"]
    assert [] == problems_of(converse_stream(call_of(), body, NOVA, explain))
