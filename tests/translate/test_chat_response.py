"""Answers of Chat Completions as Messages answers: every odd way servers have of saying it."""

import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.chaos.transcript import events_of, problems_of

from llmroute.messages.accumulate import Accumulator
from llmroute.messages.events import Event
from llmroute.testing._chat_chunks import chunks, completion
from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.chat_request import chat_request
from llmroute.translate.chat_response import ChatDecoder, chat_message
from llmroute.translate.openai_errors import OpenAIProblem
from llmroute.translate.reasoning import seal, unseal
from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import SSEDecoder

PLAIN = ChatDialect("the server", "openai_compatible", "m")
BODY = {"model": "claude", "messages": [{"role": "user", "content": "Hi there, how are you?"}]}
SIGNATURE = seal("openai_compatible", "m")
DONE = b"data: [DONE]\n\n"


def sse(*given_chunks):
    return b"".join(
        each if isinstance(each, bytes) else b"data: " + json.dumps(each).encode() + b"\n\n"
        for each in given_chunks
    )


def delta(reason=None, *, id_="chatcmpl-1", **members):
    return {"id": id_, "choices": [{"index": 0, "delta": members, "finish_reason": reason}]}


def fragment(index=0, id_=None, name=None, arguments=None):
    function = {"name": name, "arguments": arguments}
    part = {"function": {n: v for n, v in function.items() if v is not None}}
    if index is not None:
        part["index"] = index
    if id_ is not None:
        part["id"] = id_
    return part


def calls(*fragments, **options):
    return delta(tool_calls=list(fragments), **options)


USAGE = {"prompt_tokens": 900, "completion_tokens": 20}
USAGE_CHUNK = {"choices": [], "usage": USAGE}
STOP = delta("stop")


def decoded(stream, *, dialect=None, body=None, sizes=None, prompt=0):
    request = Envelope.of({**BODY, **(body or {})})
    decoder = ChatDecoder(request, "claude", dialect or PLAIN, prompt)
    written, at = b"", 0
    for size in sizes or [len(stream)]:
        written += decoder.feed(stream[at : at + size])
        at += size
    return written + decoder.feed(stream[at:]) + decoder.close()


def spelled(stream, **options):
    """Return the message; however the bytes are cut, it is the same."""
    written = decoded(stream, **options)
    assert [] == problems_of(written)
    draw = random.Random(7)
    for sizes in ([1] * len(stream), [draw.randint(1, 40) for _ in range(len(stream))]):
        cut = decoded(stream, sizes=sizes, **options)
        assert [] == problems_of(cut)
        assert message_of(written) == message_of(cut)
    return message_of(written)


def message_of(written):
    accumulator = Accumulator()
    for frame in SSEDecoder().feed(written):
        if (event := Event.of(frame)) is not None:
            accumulator.add(event)
    return accumulator.message


def content(*given_chunks, **options):
    return spelled(sse(*given_chunks, STOP, USAGE_CHUNK, DONE), **options)["content"]


def text(words):
    return {"type": "text", "text": words}


def thought(words, signature=SIGNATURE):
    return {"type": "thinking", "thinking": words, "signature": signature}


def use(id_="call_7", name="read", **given_):
    return {"type": "tool_use", "id": id_, "name": name, "input": given_}


ARGUMENTS = '{"path":"b"}'
B = {"path": "b"}


@pytest.mark.parametrize(
    ("given_chunks", "expected"),
    [
        pytest.param([delta(content="Hel"), delta(content="lo")], [text("Hello")], id="text"),
        pytest.param([delta(role="assistant", content="")], [], id="nothing"),
        pytest.param([delta(content=[{"type": "text", "text": "Hi"}])], [text("Hi")], id="parts"),
        pytest.param(
            [b": OPENROUTER PROCESSING\n\n", delta(content="Hi")], [text("Hi")], id="comment"
        ),
        pytest.param(
            [delta(reasoning_content="Hm."), delta(content="Hi")],
            [thought("Hm."), text("Hi")],
            id="reasoning_content",
        ),
        pytest.param(
            [delta(reasoning="Hm.", content="Hi")], [thought("Hm."), text("Hi")], id="reasoning"
        ),
        pytest.param(
            [
                delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]),
                delta(content="Hi"),
            ],
            [thought("Hm"), text("Hi")],
            id="thinking-parts-of-mistral",
        ),
        pytest.param(
            [delta(content="<thi"), delta(content="nk>Hm.</think>\n\nHi")],
            [thought("Hm."), text("Hi")],
            id="think-tags",
        ),
        pytest.param(
            [delta(content="<think>Hm."), calls(fragment(0, "call_7", "read", ARGUMENTS))],
            [thought("Hm."), use(path="b")],
            id="think-tags-that-stay-open",
        ),
        pytest.param(
            [
                calls(fragment(0, "call_7", "read", "")),
                calls(fragment(0, arguments='{"path"')),
                calls(fragment(0, arguments=':"b"}')),
            ],
            [use(path="b")],
            id="tool",
        ),
        pytest.param(
            [
                calls(fragment(0, "a", "read", "")),
                calls(fragment(1, "b", "read", "")),
                calls(fragment(1, arguments=ARGUMENTS)),
                calls(fragment(0, arguments=ARGUMENTS)),
            ],
            [use("a", path="b"), use("b", path="b")],
            id="tools-that-interleave",
        ),
        pytest.param(
            [calls(fragment(None, "a", "read", ARGUMENTS), fragment(None, "b", "read", "{}"))],
            [use("a", path="b"), use("b")],
            id="tools-without-index",
        ),
        pytest.param(
            [
                calls(fragment(0, "a", "read", ARGUMENTS)),
                calls(fragment(0, "b", "read", ARGUMENTS)),
            ],
            [use("a", path="b"), use("b", path="b")],
            id="tools-with-the-same-index",
        ),
        pytest.param(
            [
                calls(fragment(0, "a", "read", '{"path":')),
                calls(fragment(0, "a", "read", '"b"}')),
            ],
            [use("a", path="b")],
            id="everything-in-every-fragment",
        ),
        pytest.param(
            [
                calls(fragment(0, "a", "re")),
                calls(fragment(0, None, "ad")),
                calls(fragment(0, arguments=ARGUMENTS)),
            ],
            [use("a", path="b")],
            id="name-in-pieces",
        ),
        pytest.param(
            [calls(fragment(0, "a", None, ARGUMENTS)), calls(fragment(0, None, "read"))],
            [use("a", path="b")],
            id="name-after-arguments",
        ),
        pytest.param([calls(fragment(0, "a", "read"))], [use("a")], id="no-arguments"),
        pytest.param(
            [delta(content="\n\n"), calls(fragment(0, "a", "read", "{}"))],
            [use("a")],
            id="blank-text-before-a-tool",
        ),
        pytest.param(
            [delta(content="\n"), delta(content="Hi"), delta(content=" ")],
            [text("\nHi ")],
            id="blank-text-before-text",
        ),
        pytest.param(
            [{"choices": [{"index": None, "delta": {"content": "Hi"}}]}],
            [text("Hi")],
            id="choice-without-index",
        ),
        pytest.param(
            [calls({"index": 0, "id": "a", "function": {"name": "read", "arguments": B}})],
            [use("a", path="b")],
            id="arguments-as-an-object",
        ),
        pytest.param(
            [delta(function_call={"name": "read"}), delta(function_call={"arguments": ARGUMENTS})],
            [use("toolu_chatcmpl-1_0", path="b")],
            id="function_call",
        ),
        pytest.param(
            [
                delta(content="A"),
                calls(fragment(0, "a", "read", ARGUMENTS)),
                delta(content="B"),
            ],
            [text("A"), use("a", path="b"), text("B")],
            id="text-around-a-tool",
        ),
        pytest.param(
            [calls(fragment(0, "a", "read")), delta(content="B")],
            [use("a"), text("B")],
            id="text-after-a-tool-without-arguments",
        ),
        pytest.param(
            [
                {"choices": [], "prompt_filter_results": [{}], "id": ""},
                delta(content="Hi"),
            ],
            [text("Hi")],
            id="azures-first-chunk",
        ),
        pytest.param(
            [
                {"id": "x", "choices": [{"index": 1, "delta": {"content": "No"}}]},
                delta(content="A"),
            ],
            [text("A")],
            id="other-choices",
        ),
        pytest.param([delta(content="é漢🙂")], [text("é漢🙂")], id="unicode"),
        pytest.param([b"data:\n\n", delta(content="Hi")], [text("Hi")], id="empty-data"),
        pytest.param([delta(content="a\ud83d")], [text("a?")], id="half-a-character"),
        pytest.param(
            [b'data: {"choices":[{"index":0,"delta":{"content":"a\xff"}}]}\n\n'],
            [text("a\ufffd")],
            id="no-character",
        ),
    ],
)
def test_content(given_chunks, expected):
    assert expected == content(*given_chunks)


def test_tags_are_left_alone_where_the_server_sets_reasoning_apart():
    given_ = [delta(reasoning="Hm."), delta(content="<think>is a tag</think>")]

    assert [thought("Hm."), text("<think>is a tag</think>")] == content(*given_)


def test_tags_are_left_alone_where_they_are_not_looked_for():
    plain = ChatDialect("the server", "p", "m", think_tags="")

    assert [text("<think>Hm.</think>Hi")] == content(
        delta(content="<think>Hm.</think>Hi"), dialect=plain
    )


def test_a_name_that_did_not_fit_comes_back_whole():
    name = "mcp__files__" + "x" * 60
    tools = [{"name": name, "input_schema": {"type": "object"}}]
    request, _ = chat_request({**BODY, "tools": tools}, PLAIN, "m")
    sent = request["tools"][0]["function"]["name"]

    assert name != sent
    assert [use("a", name)] == content(calls(fragment(0, "a", sent, "{}")), body={"tools": tools})


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        pytest.param([delta("stop")], ("end_turn", None), id="stop"),
        pytest.param([delta("length")], ("max_tokens", None), id="length"),
        pytest.param([delta("eos")], ("end_turn", None), id="another-word"),
        pytest.param([delta("content_filter")], ("refusal", None), id="content_filter"),
        pytest.param([delta("")], ("end_turn", None), id="empty-and-done"),
        pytest.param([], ("end_turn", None), id="none-and-done"),
        pytest.param([delta("length"), delta("stop")], ("max_tokens", None), id="two"),
        pytest.param(
            [
                {
                    "choices": [
                        {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}
                    ]
                }
            ],
            ("stop_sequence", "END"),
            id="stop-sequence-of-vllm",
        ),
        pytest.param(
            [calls(fragment(0, "a", "read", "{}")), delta("stop")],
            ("tool_use", None),
            id="stop-with-a-call",
        ),
    ],
)
def test_why_it_ends(ending, expected):
    message = spelled(sse(delta(content="Hi"), *ending, USAGE_CHUNK, DONE))

    assert expected == (message["stop_reason"], message["stop_sequence"])


def test_a_refusal_says_why():
    message = spelled(sse(delta(refusal="I can"), delta(refusal="not."), STOP, DONE))

    assert [text("I cannot.")] == message["content"]
    assert "refusal" == message["stop_reason"]
    assert "I cannot." == message["stop_details"]["explanation"]


def test_stop_sequences_a_server_does_not_take_are_watched_for():
    dialect = ChatDialect("the server", "p", "m", stop=False)
    stream = sse(delta(content="One E"), delta(content="ND two"), STOP, USAGE_CHUNK, DONE)
    message = spelled(stream, dialect=dialect, body={"stop_sequences": ["END"]})

    assert [text("One ")] == message["content"]
    assert ("stop_sequence", "END") == (message["stop_reason"], message["stop_sequence"])


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param([USAGE_CHUNK, delta(content="Hi"), STOP, DONE], id="first"),
        pytest.param([delta(content="Hi"), STOP, USAGE_CHUNK, DONE], id="last"),
        pytest.param([delta(content="Hi"), {**STOP, "usage": USAGE}], id="with-the-reason"),
        pytest.param(
            [delta(content="Hi"), {**STOP, "x_groq": {"usage": USAGE}}], id="in-a-member-of-groqs"
        ),
        pytest.param(
            [
                delta(content="Hi"),
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
            ],
            id="in-the-choice",
        ),
    ],
)
def test_usage_wherever_it_comes(stream):
    usage = spelled(sse(*stream))["usage"]

    assert (900, 20) == (usage["input_tokens"], usage["output_tokens"])


def test_the_usage_says_how_the_answer_was_served():
    stream = sse(delta(content="Hi"), STOP, {**USAGE_CHUNK, "service_tier": "flex"})

    assert "flex" == spelled(stream)["usage"]["service_tier"]


@pytest.mark.parametrize("told", [[], [{"choices": [], "usage": {"prompt_tokens": 0}}]])
def test_usage_that_never_comes_is_estimated(told):
    stream = sse(delta(content="Hello there."), STOP, *told, DONE)
    usage = spelled(stream, prompt=30)["usage"]

    assert (30, 3) == (usage["input_tokens"], usage["output_tokens"])


def test_the_beginning_has_the_estimate_and_the_end_the_truth():
    stream = sse(delta(content="Hello there."), STOP, USAGE_CHUNK, DONE)
    events = [json.loads(frame.data) for frame in SSEDecoder().feed(decoded(stream, prompt=1_000))]

    assert 1_000 == events[0]["message"]["usage"]["input_tokens"]
    assert 900 == events[-2]["usage"]["input_tokens"]


def test_what_was_cached_is_told_apart():
    given_ = {**USAGE, "prompt_tokens_details": {"cached_tokens": 512}}
    usage = spelled(sse(delta(content="Hi"), STOP, {"choices": [], "usage": given_}))["usage"]

    assert (388, 512) == (usage["input_tokens"], usage["cache_read_input_tokens"])


@pytest.mark.parametrize(
    ("stream", "kind", "words"),
    [
        pytest.param([], "api_error", "was empty", id="nothing"),
        pytest.param([delta(content="Hi")], "api_error", "broke off", id="no-end"),
        pytest.param(
            [{"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}],
            "rate_limit_error",
            "Slow down",
            id="error-first",
        ),
        pytest.param(
            [delta(content="Hi"), {"error": {"message": "Busy", "code": 503}}],
            "api_error",
            "Busy",
            id="error-in-the-middle",
        ),
        pytest.param(
            [{"object": "error", "message": "maximum context length is 9 tokens", "code": 400}],
            "invalid_request_error",
            "prompt is too long",
            id="overflow",
        ),
        pytest.param([delta("network_error")], "api_error", "network_error", id="failed"),
        pytest.param([b"data: {broken\n\n"], "api_error", "not JSON", id="broken"),
        pytest.param([b'{"error": {"message": "No"}}'], "api_error", "No", id="no-stream"),
    ],
)
def test_errors(stream, kind, words):
    written = decoded(sse(*stream))
    last = events_of(written)[-1]

    assert [] == problems_of(written)
    assert ("error", kind) == (last.kind, last.data["error"]["type"])
    assert words in last.data["error"]["message"]


def test_an_error_that_comes_first_is_the_whole_stream():
    stream = sse(delta(role="assistant", content=""), {"error": {"message": "No"}})

    assert ["error"] == [event.kind for event in events_of(decoded(stream))]


def test_a_whole_answer_in_place_of_a_stream():
    whole = {
        "id": "c1",
        "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }

    assert [text("Hi")] == spelled(json.dumps(whole).encode())["content"]


def test_calls_of_one_id_in_a_whole_answer_are_two():
    call = {"id": "a", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    message = {"role": "assistant", "tool_calls": [call, call]}
    whole = {"id": "c1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    made = chat_message(whole, Envelope.of(BODY), "claude", PLAIN)

    assert [("a", {}), ("a_2", {})] == [(use["id"], use["input"]) for use in made["content"]]


def test_the_answer_ends_when_the_server_says_so():
    decoder = ChatDecoder(Envelope.of(BODY), "claude", PLAIN)
    written = decoder.feed(sse(delta(content="Hi"), STOP, USAGE_CHUNK, DONE))

    assert [] == problems_of(written)
    assert b"" == decoder.feed(sse(delta(content="More"))) + decoder.close()


def test_the_last_event_may_lack_its_blank_line():
    assert [text("Hi")] == spelled(sse(delta(content="Hi"), STOP)[:-2])["content"]


def test_reasoning_details_are_kept_for_the_next_turn():
    dialect = ChatDialect("the server", "p", "m", reasoning_replay="reasoning_details")
    one = {"type": "reasoning.text", "index": 0, "text": "Hm", "signature": None}
    two = {"type": "reasoning.text", "index": 0, "text": ".", "signature": "sig"}
    three = {"type": "reasoning.encrypted", "index": 1, "data": "abc"}
    stream = [
        delta(reasoning="Hm", reasoning_details=[one]),
        delta(reasoning=".", reasoning_details=[two]),
        delta(reasoning_details=[three]),
        delta(content="Hi"),
    ]
    blocks = content(*stream, dialect=dialect)
    kept = {"type": "reasoning.text", "index": 0, "text": "Hm.", "signature": "sig"}

    assert ["thinking", "text"] == [block["type"] for block in blocks]
    assert "Hm." == blocks[0]["thinking"]
    assert {"details": [kept, three]} == unseal(blocks[0]["signature"], "p", "m")


def test_what_a_call_has_besides_is_kept_for_the_next_turn():
    extra = {"google": {"thought_signature": "Q2"}}
    blocks = content(calls({**fragment(0, "a", "read", "{}"), "extra_content": extra}))

    assert ["thinking", "tool_use"] == [block["type"] for block in blocks]
    state = unseal(blocks[0]["signature"], "openai_compatible", "m")
    assert {"calls": {"a": extra}} == state


MESSAGE = {
    "id": "msg_1",
    "model": "m",
    "content": [
        thought("Hm. Let me see."),
        text("I read it."),
        use("a", path="a"),
        use("b", path="b"),
    ],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 12,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 5,
        "output_tokens": 6,
    },
}


def test_a_whole_answer_is_the_streamed_one():
    whole = completion(MESSAGE, "reasoning_content")
    ChatCompletion.model_validate(whole, strict=True)
    streamed = list(chunks(MESSAGE, 4, "reasoning_content", with_usage=True))
    for each in streamed[:-1]:
        ChatCompletionChunk.model_validate(msgspec.json.decode(each[6:]), strict=True)
    message = chat_message(whole, Envelope.of(BODY), "claude", PLAIN)

    assert MESSAGE["content"] == message["content"]
    assert MESSAGE["usage"] == {name: message["usage"][name] for name in MESSAGE["usage"]}
    assert ("tool_use", "claude") == (message["stop_reason"], message["model"])
    assert message == spelled(b"".join(streamed))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"error": {"message": "No", "code": 500}}, id="error"),
        pytest.param({"id": "c1", "choices": []}, id="no-choice"),
        pytest.param(
            {"choices": [{"index": 0, "message": {}, "finish_reason": "error"}]}, id="failed"
        ),
    ],
)
def test_a_whole_answer_that_is_an_error(data):
    answer = chat_message(data, Envelope.of(BODY), "claude", PLAIN)

    assert isinstance(answer, OpenAIProblem)
    assert 500 == answer.status


PIECES = st.text(min_size=1, max_size=6)
STEPS = st.one_of(
    st.builds(lambda piece: delta(content=piece), PIECES),
    st.builds(lambda piece: delta(reasoning_content=piece), PIECES),
    st.builds(
        lambda index, id_, name, piece: calls(fragment(index, id_, name, piece)),
        st.one_of(st.none(), st.integers(0, 2)),
        st.one_of(st.none(), st.sampled_from(["a", "b", "functions.read:0"])),
        st.one_of(st.none(), st.sampled_from(["read", "write"])),
        st.one_of(st.none(), st.sampled_from(["{", "}", '"a":1', "{}"])),
    ),
    st.just(USAGE_CHUNK),
    st.sampled_from([STOP, delta("length"), delta("tool_calls")]),
    st.just({"error": {"message": "No"}}),
    st.recursive(
        st.none() | st.booleans() | st.integers() | PIECES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "delta", "index", "content", "tool_calls", "function"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
)


@given(st.lists(STEPS, max_size=12), st.booleans())
def test_whatever_comes_the_stream_is_legal(steps, is_done):
    stream = sse(*steps, *([DONE] if is_done else []))

    assert [] == problems_of(decoded(stream))


@given(st.lists(PIECES, min_size=1, max_size=8), st.lists(PIECES, max_size=4))
def test_text_and_reasoning_are_conserved(said, reasoned):
    plain = ChatDialect("the server", "p", "m", think_tags="")
    steps = [delta(reasoning_content=each) for each in reasoned]
    steps += [delta(content=each) for each in said]
    message = message_of(decoded(sse(*steps, STOP, USAGE_CHUNK, DONE), dialect=plain))
    blocks = message["content"]

    text_ = "".join(said)
    # What is blank from end to end is no text that anybody would take back.
    expected = text_ if text_.strip() else ""
    assert expected == "".join(b["text"] for b in blocks if b["type"] == "text")
    assert "".join(reasoned) == "".join(b["thinking"] for b in blocks if b["type"] == "thinking")
    assert (900, 20) == (message["usage"]["input_tokens"], message["usage"]["output_tokens"])


@given(st.permutations([(n, piece) for n in range(3) for piece in ('{"n":', f"{n}", "}")]))
def test_calls_are_conserved_however_they_interleave(order):
    inputs = {n: [piece for each, piece in order if each == n] for n in range(3)}
    steps = [calls(fragment(n, f"call_{n}", "read", "")) for n in range(3)]
    steps += [calls(fragment(n, arguments=piece)) for n, piece in order]
    message = message_of(decoded(sse(*steps, STOP, DONE)))
    found = {block["id"]: block["input"] for block in message["content"]}

    for n, pieces in inputs.items():
        if pieces == ['{"n":', str(n), "}"]:
            assert {"n": n} == found[f"call_{n}"]
    assert {"call_0", "call_1", "call_2"} == found.keys()
