"""Gemini's answers as Messages answers: at any cut, in any order, streamed and whole."""

import copy
import itertools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chaos.transcript import events_of, problems_of

from llmroute.errors import FaultError
from llmroute.messages.call import Call
from llmroute.testing import gemini_chunks
from llmroute.translate.gemini_request import gemini_request
from llmroute.translate.gemini_response import GeminiDecoder, gemini_message
from llmroute.translate.reasoning import unseal
from llmroute.wire.envelope import Envelope

PRO = "gemini-3-pro-preview"
TOOLS = [
    {"name": name, "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    for name in ("read", "7 läufe")
]
REQUEST = {"model": "fast", "max_tokens": 99, "tools": TOOLS, "messages": []}


def call_of(**members):
    endpoint = members.pop("endpoint", "messages")
    return Call(Envelope.of({**REQUEST, **members}), "fast", endpoint=endpoint)


def response(*parts, reason="STOP", **members):
    """Return a response that ends the answer, unless `reason` is empty."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "modelVersion": PRO, "responseId": "r-1", **members}


def more(*parts, **members):
    return response(*parts, reason="", **members)


def function(name="read", signature=None, id_=None, **args):
    call = {"name": name, "args": args, **({"id": id_} if id_ else {})}
    return {"functionCall": call, **({"thoughtSignature": signature} if signature else {})}


def thought(said, signature=None):
    signed = {"thoughtSignature": signature} if signature else {}
    return {"text": said, "thought": True, **signed}


def said(text, signature=None):
    return {"text": text, **({"thoughtSignature": signature} if signature else {})}


def stream_of(*responses):
    return b"".join(b"data: %s\r\n\r\n" % json.dumps(each).encode() for each in responses)


def decoded(stream, cuts=(), **members):
    decoder = GeminiDecoder(call_of(**members))
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
                block, delta = message["content"][data["index"]], data["delta"]
                name = delta["type"].removesuffix("_delta")
                name = {"input_json": "input"}.get(name, name)
                added = delta.get("partial_json", delta.get(name))
                block[name] = added if block[name] == {} else block[name] + added
            case "message_delta":
                message |= data["delta"]
                message["usage"] |= data["usage"]
            case "error":
                return data
    for block in message["content"]:
        if isinstance(block.get("input"), str):
            block["input"] = json.loads(block["input"])
    return message


def shown(message):
    """Return a message's blocks, with what their signatures carry, the model left out."""
    found = []
    for block in message["content"]:
        match block["type"]:
            case "thinking":
                state = dict(unseal(block["signature"], "gemini", "gemini"))
                state.pop("model", None)
                found.append(("thinking", block["thinking"], state))
            case "text":
                found.append(("text", block["text"]))
            case "tool_use":
                found.append((block["name"], block["input"]))
            case kind:
                found.append((kind,))
    return found


COUNTS = {
    "promptTokenCount": 900,
    "cachedContentTokenCount": 512,
    "candidatesTokenCount": 20,
    "thoughtsTokenCount": 30,
}
NOTHING = {"content": [], "stop_reason": "end_turn"}

CASES = [
    pytest.param([more(said("O")), response(said("K"))], [("text", "OK")], "end_turn", id="text"),
    pytest.param(
        [more(said("Grüße, ")), response(said("世界 🌍"))],
        [("text", "Grüße, 世界 🌍")],
        "end_turn",
        id="unicode",
    ),
    pytest.param(
        [more(said("OK")), response(function("read", "S", "c7", a="b"))],
        [("text", "OK"), ("thinking", "", {"call": "S"}), ("read", {"a": "b"})],
        "tool_use",
        id="a-call",
    ),
    pytest.param(
        [more(thought("Hm.")), response(function("read", "S", a="b"), function("read", a="c"))],
        [("thinking", "Hm.", {"call": "S"}), ("read", {"a": "b"}), ("read", {"a": "c"})],
        "tool_use",
        id="parallel-calls-after-a-thought",
    ),
    pytest.param(
        [response(function("_7_l_ufe_", None))],
        [("_7_l_ufe_", {})],
        "tool_use",
        id="a-name-nobody-has",
    ),
    pytest.param(
        [more(thought("Hm.")), response(said("OK"))],
        [("thinking", "Hm.", {}), ("text", "OK")],
        "end_turn",
        id="a-thought",
    ),
    pytest.param(
        [more(thought("Hm.", "S")), response(said("OK"))],
        [("thinking", "Hm.", {"thought": "S"}), ("text", "OK")],
        "end_turn",
        id="a-signed-thought",
    ),
    pytest.param(
        [response(said("OK", "S"))],
        [("thinking", "", {"text": "S"}), ("text", "OK")],
        "end_turn",
        id="a-signed-text",
    ),
    pytest.param(
        [more(said("OK")), response(said("", "S"))],
        [("text", "OK")],
        "end_turn",
        id="an-answer-never-ends-in-a-signature",
    ),
    pytest.param(
        [more(said("OK")), more(said("", "S")), response(function("read", "T"))],
        [
            ("text", "OK"),
            ("thinking", "", {"after": "S", "after_at": 2, "call": "T"}),
            ("read", {}),
        ],
        "tool_use",
        id="a-text-signed-after-it-and-a-call",
    ),
    pytest.param([response(reason="STOP")], [], "end_turn", id="empty"),
    pytest.param(
        [response(said("O"), reason="MAX_TOKENS")], [("text", "O")], "max_tokens", id="max"
    ),
    pytest.param([response(said("O"), reason="SAFETY")], [("text", "O")], "refusal", id="refused"),
    pytest.param(
        [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}], [], "refusal", id="blocked"
    ),
    pytest.param(
        [response(said("O"), reason="MALFORMED_FUNCTION_CALL")],
        [("text", "O")],
        "end_turn",
        id="a-call-that-failed-after-text",
    ),
    pytest.param(
        [more(said("O")), response(), more(usageMetadata=COUNTS)],
        [("text", "O")],
        "end_turn",
        id="usage-last",
    ),
]


def as_whole(responses):
    """Return the parts of a stream as one response."""
    parts = [p for r in responses for c in r.get("candidates", []) for p in c["content"]["parts"]]
    joined = {name: value for r in responses for name, value in r.items()}
    reasons = [c.get("finishReason") for r in responses for c in r.get("candidates", [])]
    if reasons:
        joined |= response(*parts, reason=next(filter(None, reasons), ""))
    return json.dumps(joined).encode()


@pytest.mark.parametrize(("responses", "blocks", "reason"), CASES)
def test_a_stream_at_any_cut(responses, blocks, reason):
    stream = stream_of(*responses)
    whole = decoded(stream)
    dice = random.Random(7)
    cuts = [sorted(dice.sample(range(len(stream)), min(9, len(stream)))) for _ in range(5)]

    assert [] == problems_of(whole)
    message = message_of(whole)
    assert (blocks, reason) == (shown(message), message["stop_reason"])
    assert "fast" == message["model"]
    for at in [range(1, len(stream)), *cuts]:
        assert whole == decoded(stream, at)


@pytest.mark.parametrize(("responses", "blocks", "reason"), CASES)
def test_the_same_answer_whole(responses, blocks, reason):
    message = json.loads(gemini_message(call_of(), as_whole(responses)))

    assert (blocks, reason) == (shown(message), message["stop_reason"])


@pytest.mark.parametrize("place", ["first", "last", "every", "never"])
def test_usage(place):
    responses = [more(said("Hello, ")), more(said("you")), response()]
    for at, each in enumerate(responses):
        if place == "every" or (place, at) in (("first", 0), ("last", 2)):
            each["usageMetadata"] = COUNTS
    usage = message_of(decoded(stream_of(*responses)))["usage"]

    expected = (0, 0, 3) if place == "never" else (388, 512, 50)
    names = ("input_tokens", "cache_read_input_tokens", "output_tokens")
    assert expected == tuple(usage[name] for name in names)


@pytest.mark.parametrize(
    ("responses", "kind", "message"),
    [
        pytest.param(
            [{"error": {"code": 503, "message": "The model is overloaded."}}],
            "api_error",
            "The model is overloaded.",
            id="first",
        ),
        pytest.param(
            [more(said("O")), {"error": {"code": 429, "message": "Quota"}}],
            "rate_limit_error",
            "Quota",
            id="middle",
        ),
        pytest.param(
            [response(reason="MALFORMED_FUNCTION_CALL")],
            "api_error",
            "Gemini gave up: MALFORMED_FUNCTION_CALL",
            id="gave-up",
        ),
        pytest.param(
            [more(said("O"))],
            "api_error",
            "The upstream's answer broke off: no finish reason came",
            id="broken-off",
        ),
        pytest.param(
            [], "api_error", "The upstream's answer was empty: no finish reason came", id="nothing"
        ),
    ],
)
def test_errors_in_a_stream(responses, kind, message):
    written = decoded(stream_of(*responses))

    assert [] == problems_of(written)
    assert {"type": kind, "message": message} == message_of(written)["error"]


def test_an_error_that_comes_first_is_all_there_is():
    written = decoded(stream_of(response(reason="UNEXPECTED_TOOL_CALL")))

    assert ["error"] == [event.kind for event in events_of(written)]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="no-json"),
        pytest.param(b"{}", id="nothing"),
        pytest.param(json.dumps(response(reason="MALFORMED_RESPONSE")).encode(), id="gave-up"),
        pytest.param(b'{"error": {"code": 500, "message": "no"}}', id="error"),
    ],
)
def test_a_whole_answer_that_is_none(body):
    with pytest.raises(FaultError):
        gemini_message(call_of(), body)


def test_an_event_that_is_no_json_ends_the_stream():
    written = decoded(b"data: {\n\n" + stream_of(response(said("x"))))

    assert ["error"] == [event.kind for event in events_of(written)]


def test_a_count():
    counted = gemini_message(call_of(endpoint="count_tokens"), b'{"totalTokens": 17}')

    assert {"input_tokens": 17} == json.loads(counted)
    with pytest.raises(FaultError):
        gemini_message(call_of(endpoint="count_tokens"), b"{}")


def test_tool_names_come_back():
    body = gemini_request({**REQUEST, "messages": [{"role": "user", "content": "x"}]}, PRO).body
    outward = [f["name"] for f in body["tools"][0]["functionDeclarations"]]
    message = message_of(decoded(stream_of(response(*map(function, outward)))))

    assert ["read", "7 läufe"] == [block["name"] for block in message["content"]]


def test_only_one_call_where_only_one_was_asked_for():
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    stream = stream_of(response(function(a="1"), function(a="2")))

    assert [("read", {"a": "1"})] == shown(message_of(decoded(stream, tool_choice=choice)))


def test_what_google_searched_for():
    grounding = {
        "webSearchQueries": ["rivers"],
        "groundingChunks": [{"web": {"uri": "https://e.org", "title": "e.org"}}],
    }
    end = response(said("The Rhine."))
    end["candidates"][0]["groundingMetadata"] = grounding
    message = message_of(decoded(stream_of(end)))

    text, use, result = message["content"]
    assert "The Rhine." == text["text"]
    assert ("web_search", {"query": "rivers"}) == (use["name"], use["input"])
    assert (use["id"], "https://e.org") == (result["tool_use_id"], result["content"][0]["url"])
    assert {"web_search_requests": 1} == message["usage"]["server_tool_use"]
    assert "end_turn" == message["stop_reason"]


def test_a_refusal_says_why():
    details = message_of(decoded(stream_of(response(reason="SPII"))))["stop_details"]

    assert {"type": "refusal", "category": None, "explanation": "SPII"} == details


def replayed(message):
    """Return the parts that Gemini gets back of its own answer."""
    uses = [b["id"] for b in message["content"] if b["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": each, "content": "x"} for each in uses]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": results or "Go on."},
    ]
    return gemini_request({"messages": messages, "tools": TOOLS}, PRO).body["contents"][1]["parts"]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([function("read", "S", "c1"), function("read", None, "c2")], id="parallel"),
        pytest.param([said("OK"), function("read", "S", "c1")], id="text-and-call"),
        pytest.param(
            [said("OK"), said("", "T"), function("read", "S", "c1")], id="empty-text-after-text"
        ),
        pytest.param(
            [said("OK, "), said("I look.", "T"), function("read", "S", "c1")],
            id="the-end-of-a-text-is-signed",
        ),
        pytest.param([said("OK", "S")], id="a-signed-text"),
        pytest.param([thought("Hm.", "S"), said("OK")], id="a-signed-thought"),
        pytest.param([function("read", "S")], id="no-id"),
    ],
)
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "streamed"])
def test_what_gemini_said_goes_back_as_it_came(parts, is_whole):
    if is_whole:
        body = json.dumps(response(*parts)).encode()
        message = json.loads(gemini_message(call_of(), body))
    else:
        message = message_of(decoded(stream_of(*map(more, parts), response())))

    assert parts == replayed(message)


def test_the_fakes_own_answers_are_read():
    content = [{"type": "text", "text": "Hello, you."}]
    message = message_of(decoded(stream_of(*gemini_chunks({"content": content}))))

    assert [("text", "Hello, you.")] == shown(message)


texts = st.text(max_size=5)
signatures = st.one_of(st.none(), st.sampled_from(["S", "T"]))
parts = st.one_of(
    st.builds(said, texts, signatures),
    st.builds(thought, texts, signatures),
    st.builds(function, st.sampled_from(["read", "x y"]), signatures, st.none(), a=texts),
    st.just({"executableCode": {"code": "1"}}),
    st.just({"functionCall": {}}),
    st.just({"functionCall": {"name": 7, "args": [], "id": 9}}),
    st.just({"text": None, "thoughtSignature": 3}),
)
odd = st.sampled_from(
    [{}, {"candidates": []}, {"candidates": [None]}, {"candidates": [{"content": None}]}]
)
responses = st.lists(
    st.one_of(st.lists(parts, max_size=4).map(lambda p: more(*p)), odd), max_size=5
)


@settings(max_examples=150, deadline=None)
@given(responses, st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", "NEW", ""]))
def test_whatever_comes_the_stream_is_legal_and_nothing_is_lost(given_, reason):
    given_ = [*given_, response(reason=reason, usageMetadata=COUNTS)]
    written = decoded(stream_of(*given_))

    assert [] == problems_of(written)
    message = message_of(written)
    if message["type"] == "error":
        return
    came = [
        part
        for each in given_
        for candidate in each.get("candidates") or []
        if candidate
        for part in (candidate.get("content") or {}).get("parts", [])
    ]
    calls = [part for part in came if "functionCall" in part]
    plain = [p["text"] for p in came if isinstance(p.get("text"), str) and not p.get("thought")]
    assert "".join(plain) == "".join(b["text"] for b in message["content"] if b["type"] == "text")
    assert len(calls) == sum(block["type"] == "tool_use" for block in message["content"])
    assert 50 == message["usage"]["output_tokens"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"data: ", b"\r\n\r\n", b"\n\n", b"{", b'{"error": 7}', b"[1]", b"x"])
    )
)
def test_whatever_bytes_come_the_stream_is_legal(pieces):
    assert [] == problems_of(decoded(b"".join(pieces)))
