"""A Messages answer as a Chat Completions one: the same said, whole and in chunks."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.chaos.transcript import problems_of

from llmroute.messages.accumulate import Accumulator
from llmroute.messages.events import Event
from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.chat_response import ChatDecoder
from llmroute.translate.to_chat import chat_completion
from llmroute.translate.to_chat_stream import ChatWriter
from llmroute.translate.to_chat_words import told_usage
from llmroute.translate.to_openai_error import openai_error_object
from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import SSEDecoder, encode

from .late import ending_late

NOW = 1_790_000_000
SQL = frozenset({"sql"})
USAGE = {"input_tokens": 7, "output_tokens": 5}
CITED = {"type": "web_search_result_location", "url": "https://a.test", "title": "A"}
ELSEWHERE = {"type": "char_location", "document_index": 0}
SERVED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "é"}}

FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1"}


def text(said, *citations):
    return {"type": "text", "text": said, **({"citations": list(citations)} if citations else {})}


def thought(said, signature="sig"):
    return {"type": "thinking", "thinking": said, "signature": signature}


def use(call_id="toolu_1", name="weather", **given_):
    return {"type": "tool_use", "id": call_id, "name": name, "input": given_}


def called(call_id="toolu_1", name="weather", arguments="{}"):
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def cut(said, size):
    return [said[at : at + size] for at in range(0, len(said), size)]


def events(blocks, size=3, reason="end_turn", details=None, usage=USAGE):
    """Stream a message as the API does, with so many characters in a delta."""
    first = {"id": "msg_1", "type": "message", "role": "assistant", "model": "sonnet"}
    first |= {"content": [], "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": first}
    yield {"type": "ping"}
    for index, block in enumerate(blocks):
        begun, deltas = spelled(block, size)
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        for each in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": each}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": reason, "stop_sequence": None, "stop_details": details}
    yield {"type": "message_delta", "delta": ended, "usage": usage}
    yield {"type": "message_stop"}


def compact(value):
    return msgspec.json.encode(value).decode()


def spelled(block, size):
    """Return how a block begins, and what its deltas add."""
    match block["type"]:
        case "text":
            deltas = [
                {"type": "citations_delta", "citation": c} for c in block.get("citations", ())
            ]
            deltas += [{"type": "text_delta", "text": each} for each in cut(block["text"], size)]
            return {"type": "text", "text": ""}, deltas
        case "thinking":
            pieces = cut(block["thinking"], size)
            deltas = [{"type": "thinking_delta", "thinking": each} for each in pieces]
            deltas += [{"type": "signature_delta", "signature": block["signature"]}]
            return {**block, "thinking": "", "signature": ""}, deltas
        case "tool_use" | "server_tool_use":
            given_ = block["input"]
            written = given_ if isinstance(given_, str) else compact(given_) if given_ else ""
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in cut(written, size)]
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": ""},
                *deltas,
            ]
    return block, []


def message_of(given_events):
    """Return the message that events spell out, as the rest of llmroute reads them."""
    accumulator = Accumulator()
    for event in given_events:
        accumulator.add(Event(event["type"], event))
    return accumulator.message


def written(given_events, **options):
    writer = ChatWriter(NOW, **options)
    return b"".join(writer.feed(json.dumps(event).encode()) for event in given_events)


def chunks_of(stream, *, with_usage=False):
    """Return the chunks of a stream, which must be one that clients of OpenAI's can read."""
    data = [frame.data for frame in SSEDecoder().feed(stream) if frame.data]
    assert b"[DONE]" == data.pop()
    chunks = [json.loads(each) for each in data]
    for chunk in chunks:
        # OpenAI's own types know of no custom calls in a stream.
        if '"custom"' not in json.dumps(chunk):
            ChatCompletionChunk.model_validate(chunk, strict=True)
    assert 1 == len({(each["id"], each["created"], each["model"]) for each in chunks})
    if with_usage:
        last = chunks.pop()
        assert ([], True) == (last["choices"], last["usage"]["total_tokens"] >= 0)
        assert all(each["usage"] is None for each in chunks)
        chunks.append(last)
    else:
        assert all("usage" not in each for each in chunks)
    choices = [each["choices"][0] for each in chunks if each["choices"]]
    assert "assistant" == choices[0]["delta"]["role"]
    assert all("role" not in each["delta"] for each in choices[1:])
    reasons = [each["finish_reason"] for each in choices]
    assert reasons[-1]
    assert {None} >= set(reasons[:-1])
    return chunks


def gathered(chunks):
    """Put chunks together, as OpenAI's clients do: lists by their indices, texts by adding."""
    said = {"content": "", "reasoning_content": "", "refusal": "", "annotations": []}
    thoughts, calls = [], []
    reason = usage = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            delta = choice["delta"]
            for name in ("content", "reasoning_content", "refusal"):
                said[name] += delta.get(name) or ""
            said["annotations"] += delta.get("annotations", ())
            for each in delta.get("thinking_blocks", ()):
                assert len(thoughts) == each.pop("index")
                thoughts.append(each)
            for each in delta.get("tool_calls", ()):
                add_call(calls, each)
    return {**said, "thinking_blocks": thoughts, "tool_calls": calls}, reason, usage


def add_call(calls, part):
    index = part.pop("index")
    if index == len(calls):
        assert {"id", "type"} < part.keys()
        calls.append(part)
        return
    # Of one that has begun come the arguments alone, and of the latest.
    assert len(calls) - 1 == index
    kind = calls[-1]["type"]
    assert {kind} == part.keys()
    for name, piece in part[kind].items():
        calls[-1][kind][name] += piece


def both(blocks, custom=frozenset(), **options):
    """Word a message whole and in chunks; both must say the same. Return what they say."""
    streamed = list(events(blocks, **options))
    message = message_of(streamed)
    whole = chat_completion(message, NOW, custom)
    ChatCompletion.model_validate(whole, strict=True)
    stream = written(streamed, with_usage=True, custom=custom)
    said, reason, usage = gathered(chunks_of(stream, with_usage=True))
    gathered(chunks_of(written(streamed, custom=custom)))
    choice = whole["choices"][0]
    assert (choice["finish_reason"], whole["usage"]) == (reason, usage)
    found = {name: choice["message"].get(name) or None for name in said}
    assert found == {name: value or None for name, value in said.items()}
    assert (b"sonnet", "chatcmpl-1") == (whole["model"].encode(), whole["id"])
    return {name: value for name, value in found.items() if value}, reason


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([text("Two "), text("é.")], {"content": "Two é."}, id="texts"),
        pytest.param(
            [thought("Hm."), text("Yes."), thought("So.", "s2"), text(" No.")],
            {
                "content": "Yes. No.",
                "reasoning_content": "Hm.So.",
                "thinking_blocks": [thought("Hm."), thought("So.", "s2")],
            },
            id="thinking-before-and-between",
        ),
        pytest.param(
            [thought(""), {"type": "redacted_thinking", "data": "abc"}, text("Yes.")],
            {
                "content": "Yes.",
                "thinking_blocks": [thought(""), {"type": "redacted_thinking", "data": "abc"}],
            },
            id="thinking-that-nobody-reads",
        ),
        pytest.param(
            [use(), use("toolu_2", city="Oslo")],
            {"tool_calls": [called(), called("toolu_2", arguments='{"city":"Oslo"}')]},
            id="calls-without-arguments-and-with",
        ),
        pytest.param(
            [text("Wait."), use()],
            {"content": "Wait.", "tool_calls": [called()]},
            id="text-and-a-call",
        ),
        pytest.param(
            [{**use(), "input": '{"city": '}],
            {"tool_calls": [called(arguments='{"city": ')]},
            id="broken-arguments-stay-as-they-are",
        ),
        pytest.param(
            [use(name="sql", input='SELECT "é"')],
            {
                "tool_calls": [
                    {
                        "id": "toolu_1",
                        "type": "custom",
                        "custom": {"name": "sql", "input": 'SELECT "é"'},
                    }
                ]
            },
            id="a-tool-that-takes-free-text",
        ),
        pytest.param(
            [SERVED, FOUND, text("1 "), text("2 km", CITED, ELSEWHERE), text("", CITED), text(".")],
            {
                "content": "1 2 km.",
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "url": "https://a.test",
                            "title": "A",
                            "start_index": start,
                            "end_index": end,
                        },
                    }
                    for start, end in ((2, 6), (6, 6))
                ],
            },
            id="a-search-and-its-citations",
        ),
        pytest.param(
            [{"type": "of_tomorrow", "text": "x"}, text("Hi")],
            {"content": "Hi"},
            id="a-block-that-nobody-knows",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_is_said(blocks, expected, size):
    said, _ = both(blocks, SQL, size=size)

    assert expected == said


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("of_tomorrow", "stop"),
    ],
)
def test_why_it_is_over(given_, expected):
    assert expected == both([text("Hi")], reason=given_)[1]


def test_a_refusal_says_why():
    details = {"type": "refusal", "category": "cyber", "explanation": "That I will not do."}

    assert ({"refusal": "That I will not do."}, "content_filter") == both(
        [], reason="refusal", details=details
    )


def test_usage_is_counted_as_openai_does():
    told = told_usage(
        {
            "input_tokens": 7,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 3,
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4},
        }
    )

    assert (30, 9, 39) == tuple(
        told[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    assert (20, 3) == tuple(
        told["prompt_tokens_details"][name] for name in ("cached_tokens", "cache_write_tokens")
    )
    assert 4 == told["completion_tokens_details"]["reasoning_tokens"]


@pytest.mark.parametrize(
    ("kind", "message", "status", "expected"),
    [
        pytest.param(
            "overloaded_error",
            "Overloaded",
            0,
            ("server_error", None, "overloaded"),
            id="overloaded",
        ),
        pytest.param("api_error", "Oh", 0, ("server_error", None, None), id="of-the-api"),
        pytest.param(
            "rate_limit_error",
            "Slow",
            0,
            ("rate_limit_error", None, "rate_limit_exceeded"),
            id="too-fast",
        ),
        pytest.param(
            "authentication_error",
            "Who?",
            401,
            ("invalid_request_error", None, "invalid_api_key"),
            id="no-key",
        ),
        pytest.param(
            "not_found_error",
            "model: x",
            404,
            ("invalid_request_error", None, "model_not_found"),
            id="no-model",
        ),
        pytest.param(
            "invalid_request_error",
            "tools.0.name: bad",
            400,
            ("tools.0.name", None),
            id="a-place-as-anthropic-spells-it",
        ),
        pytest.param(
            "invalid_request_error",
            "tools[0].name: bad",
            400,
            ("tools[0].name", None),
            id="a-place-as-openai-spells-it",
        ),
        pytest.param(
            "invalid_request_error",
            "deployment 'a': n: two",
            400,
            ("n", None),
            id="a-place-behind-a-deployment",
        ),
        pytest.param("invalid_request_error", "Say it: again", 400, (None, None), id="no-place"),
        pytest.param(
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8 maximum",
            0,
            ("messages", "context_length_exceeded"),
            id="too-long",
        ),
        pytest.param("unheard_of", "Oh", 0, ("server_error", None, None), id="unheard-of"),
    ],
)
def test_errors(kind, message, status, expected):
    error = openai_error_object(kind, message, status)["error"]
    shown = ("invalid_request_error",) if len(expected) == 2 else ()

    assert (*shown, *expected) == (error["type"], error["param"], error["code"])
    assert message == error["message"]


def test_an_error_in_a_stream_is_told_in_openais_words():
    streamed = list(events([text("Hello there.")]))[:5]
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    frames = SSEDecoder().feed(written([*streamed, failed]))

    assert {
        "error": {
            "message": "Overloaded",
            "type": "server_error",
            "param": None,
            "code": "overloaded",
        }
    } == json.loads(frames[-1].data)
    assert all(frame.event == b"" for frame in frames)


def test_a_ping_is_a_comment():
    assert b": ping\n\n" == written([{"type": "ping"}])


TEXTS = st.text("ab é\n", max_size=6)
CITATIONS = st.lists(st.sampled_from([CITED, ELSEWHERE]), max_size=2)
GIVEN = st.dictionaries(st.sampled_from(["a", "é"]), TEXTS | st.integers() | st.none(), max_size=2)
BLOCKS = st.one_of(
    st.builds(lambda said, citations: text(said, *citations), TEXTS, CITATIONS),
    st.builds(thought, TEXTS, st.sampled_from(["", "sig"])),
    st.just({"type": "redacted_thinking", "data": "abc"}),
    st.builds(lambda given_: {**use(), "input": given_}, GIVEN | st.just('{"a": ')),
    st.builds(lambda said: use(name="sql", input=said), TEXTS),
    st.just(SERVED),
    st.just({"type": "of_tomorrow"}),
)
COUNTS = st.integers(1, 10**6)
USAGES = st.fixed_dictionaries(
    {"input_tokens": COUNTS, "output_tokens": COUNTS},
    optional={"cache_read_input_tokens": COUNTS, "cache_creation_input_tokens": COUNTS},
)
REASONS = ["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn", "stop_sequence"]


def numbered(blocks):
    """Give every call an id of its own."""
    return [
        {**block, "id": f"toolu_{at}"} if block["type"] == "tool_use" else block
        for at, block in enumerate(blocks)
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(BLOCKS, max_size=8), st.integers(1, 9), st.sampled_from(REASONS), USAGES)
def test_whatever_is_answered_chunks_and_whole_say_the_same(blocks, size, reason, usage):
    blocks = numbered(blocks)
    said, _ = both(blocks, SQL, size=size, reason=reason, usage=usage)

    told = "".join(block["text"] for block in blocks if block["type"] == "text")
    assert told == said.get("content", "")
    uses = [block for block in blocks if block["type"] == "tool_use"]
    calls = said.get("tool_calls", [])
    assert [(each["id"], each["name"]) for each in uses] == [
        (call["id"], call[call["type"]]["name"]) for call in calls
    ]
    for block, call in zip(uses, calls, strict=True):
        if call["type"] == "custom":
            assert block["input"] == {"input": call["custom"]["input"]}
        elif isinstance(block["input"], dict):
            assert block["input"] == json.loads(call["function"]["arguments"])
    assert [block for block in blocks if "thinking" in block["type"]] == said.get(
        "thinking_blocks", []
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(BLOCKS, max_size=8), st.integers(1, 9))
def test_blocks_may_end_where_the_message_does(blocks, size):
    streamed = list(events(numbered(blocks), size=size))

    assert written(streamed, custom=SQL) == written(ending_late(streamed), custom=SQL)


@settings(max_examples=80, deadline=None)
@given(st.lists(BLOCKS, max_size=6), st.integers(1, 9), USAGES)
def test_read_again_the_message_is_what_it_was(blocks, size, usage):
    """By what asks other servers: text, calls and usage survive there and back."""
    calls_ = [b for b in numbered(blocks) if b["type"] == "tool_use" and b["name"] != "sql"]
    calls_ = [block for block in calls_ if isinstance(block["input"], dict)]
    texts = [block for block in blocks if block["type"] == "text"]
    reason = "tool_use" if calls_ else "end_turn"
    streamed = events([*texts, *calls_], size=size, reason=reason, usage=usage)
    body = {"model": "sonnet", "messages": [{"role": "user", "content": "Hi"}]}
    dialect = ChatDialect("the server", "p", "f", think_tags="")
    decoder = ChatDecoder(Envelope.of(body), "sonnet", dialect)
    back = decoder.feed(written(streamed, with_usage=True)) + decoder.close()

    said = "".join(block["text"] for block in texts)
    if not said.strip() and not calls_:
        # A server that says nothing has failed, as far as the Messages API is concerned.
        return
    assert [] == problems_of(back)
    frames = SSEDecoder().feed(back)
    message = message_of([json.loads(frame.data) for frame in frames if frame.data])
    told = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    assert (said if said.strip() else "") == told
    assert calls_ == [block for block in message["content"] if block["type"] == "tool_use"]
    assert told_usage(usage) == told_usage(message["usage"])


NAMES = ["type", "message", "delta", "content_block", "usage", "index", "name", "text", "input"]
NAMES += ["id", "citations", "citation", "partial_json", "url", "error", "thinking", "signature"]
NAMES += ["stop_reason", "input_tokens", "content"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner | st.sampled_from(["text_delta", "tool_use", "text", "sql", "input_json_delta"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop"]
KINDS += ["message_delta", "message_stop", "error", "ping"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), ANYTHING), max_size=8))
def test_whatever_comes_is_chunks_or_nothing(steps):
    streamed = [{**each, "type": kind} if isinstance(each, dict) else each for kind, each in steps]
    for frame in SSEDecoder().feed(written(streamed, with_usage=True, custom=SQL)):
        assert not frame.data or frame.data == b"[DONE]" or isinstance(json.loads(frame.data), dict)


@settings(max_examples=80, deadline=None)
@given(ANYTHING)
def test_whatever_is_answered_whole_is_a_completion(given_):
    message = given_ if isinstance(given_, dict) else {"content": given_}
    json.dumps(chat_completion(message, NOW, SQL))


def test_bytes_that_are_no_event_are_nothing():
    writer = ChatWriter(NOW)

    assert b"" == writer.feed(b"{") + writer.feed(b"[1]") + writer.feed(encode(b"x", b"1"))
