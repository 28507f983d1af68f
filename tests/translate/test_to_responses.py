"""What a Messages answer is for a client of OpenAI Responses: streamed at any cut, and whole."""

from __future__ import annotations

import itertools
import json

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent

from llmroute.translate.from_responses import read_responses
from llmroute.translate.responses_calls import InputText
from llmroute.translate.responses_output import echoed
from llmroute.translate.to_responses import ResponsesWriter, failure_code, response_of
from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import frames

from .late import ending_late

INNER = [{"type": "function", "name": "wait"}, {"type": "custom", "name": "run"}]
ASKED = {
    "model": "sonnet",
    "input": "Hi",
    "tools": [
        {"type": "function", "name": "read", "parameters": {"type": "object"}},
        {"type": "custom", "name": "patch"},
        {"type": "namespace", "name": "agents", "description": "Helpers.", "tools": INNER},
        {"type": "local_shell"},
        {"type": "shell"},
        {"type": "apply_patch"},
        {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
        {"type": "web_search"},
    ],
}
CALLED = read_responses(ASKED, 100)[1]
ECHO = echoed(Envelope.of(ASKED))
NOW = 7

USAGE = {"input_tokens": 5, "output_tokens": 3}
FOUND = {
    "type": "web_search_result",
    "url": "https://e.com",
    "title": "E",
    "encrypted_content": "x",
}


def said(text, **more):
    return {"type": "text", "text": text, **more}


def thought(text, signature="c2ln"):
    return {"type": "thinking", "thinking": text, "signature": signature}


def use(name="read", given=None, at=1):
    return {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": given or {}}


def search(query="rivers", at=1, name="web_search"):
    own = {"type": "server_tool_use", "id": f"srvtoolu_{at}", "name": name}
    return {**own, "input": {"query": query}}


def result(content=(FOUND,), at=1, kind="web_search_tool_result"):
    content = list(content) if isinstance(content, tuple) else content
    return {"type": kind, "tool_use_id": f"srvtoolu_{at}", "content": content}


def message(*content, reason="end_turn", usage=USAGE, **more):
    own = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return {**own, "content": list(content), "stop_reason": reason, "usage": usage, **more}


def pieces(text, sizes):
    """Cut a text into pieces of these sizes, the last one as long as what is left."""
    for size in sizes:
        if text:
            yield text[:size]
            text = text[size:]
    if text:
        yield text


def events_of(made, sizes=(2,)):
    """Return the events in which the Messages API would stream a message."""
    begun = {**made, "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    for index, block in enumerate(made["content"]):
        start, deltas = dict(block), []
        match block["type"]:
            case "text":
                start["text"] = ""
                start.pop("citations", None)
                deltas = [
                    {"type": "text_delta", "text": piece} for piece in pieces(block["text"], sizes)
                ]
                for each in block.get("citations", ()):
                    deltas.append({"type": "citations_delta", "citation": each})
            case "thinking":
                start |= {"thinking": "", "signature": ""}
                told = pieces(block["thinking"], sizes)
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in told]
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            case "tool_use" | "server_tool_use":
                start["input"] = {}
                given = json.dumps(block["input"]) if block["input"] else ""
                deltas = [
                    {"type": "input_json_delta", "partial_json": piece}
                    for piece in pieces(given, sizes)
                ]
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": made["stop_reason"], "stop_details": made.get("stop_details")}
    yield {"type": "message_delta", "delta": delta, "usage": made["usage"]}
    yield {"type": "message_stop"}


def writer():
    return ResponsesWriter(ECHO, CALLED, NOW)


def decoded(written):
    return [json.loads(frame.data) for frame in frames(written) if frame.data]


def streamed(made, sizes=(2,)):
    writing = writer()
    return decoded(b"".join(map(writing.feed, events_of(made, sizes))))


def whole(made):
    response = plain(response_of(made, ECHO, CALLED, NOW))
    Response.model_validate(response)
    return response


def plain(value):
    """Return what a client reads of it."""
    return json.loads(json.dumps(value, default=lambda raw: json.loads(bytes(raw))))


# What OpenAI's own SDK says that an event is.
EVENT = pydantic.TypeAdapter(ResponseStreamEvent)

# The rules of the stream: which deltas belong to which end, and where that end says the whole.
_ENDS = {
    "response.output_text.delta": ("response.output_text.done", "text"),
    "response.refusal.delta": ("response.refusal.done", "refusal"),
    "response.reasoning_summary_text.delta": ("response.reasoning_summary_text.done", "text"),
    "response.function_call_arguments.delta": (
        "response.function_call_arguments.done",
        "arguments",
    ),
    "response.custom_tool_call_input.delta": ("response.custom_tool_call_input.done", "input"),
}
_WHOLES = dict(_ENDS.values())
_PARTS = {"content_part": "content_index", "reasoning_summary_part": "summary_index"}


class Client:
    """Reads a stream as strictly as its documentation lets one; keeps the response it makes."""

    def __init__(self, events):
        self.output, self.open, self.said, self.parts = [], None, {}, []
        for each in events:
            EVENT.validate_python(each)
        assert list(range(len(events))) == [each["sequence_number"] for each in events]
        kinds = [each["type"] for each in events]
        assert ["response.created", "response.in_progress"] == kinds[:2]
        assert "in_progress" == events[0]["response"]["status"]
        for each in events[2:-1]:
            self.read(each)
        self.response = events[-1]["response"]
        assert f"response.{self.response['status']}" == kinds[-1]
        assert 1 == len({each["response"]["id"] for each in (*events[:2], events[-1])})
        if self.response["status"] != "failed":
            assert self.open is None
        assert self.output == self.response["output"]
        ids = [item["id"] for item in self.output]
        assert len(set(ids)) == len(ids)

    def read(self, event):
        kind = event["type"]
        assert len(self.output) == event["output_index"]
        if kind == "response.output_item.added":
            assert self.open is None
            self.open, self.said, self.parts = event["item"], {}, []
            assert "completed" != self.open.get("status")
            return
        assert self.open is not None
        if kind == "response.output_item.done":
            self.end(event["item"])
            return
        assert self.open["id"] == event["item_id"]
        place = tuple(event.get(name) for name in ("content_index", "summary_index"))
        if kind in _ENDS:
            assert event["delta"]
            key = (_ENDS[kind][0], place)
            self.said[key] = self.said.get(key, "") + event["delta"]
        elif kind in _WHOLES:
            assert self.said.get((kind, place), "") == event[_WHOLES[kind]]
        for part, index in _PARTS.items():
            if kind == f"response.{part}.added":
                assert len(self.parts) == event[index]
                self.parts.append(None)
            elif kind == f"response.{part}.done":
                assert self.parts[event[index]] is None
                self.parts[event[index]] = event["part"]

    def end(self, item):
        assert (self.open["id"], self.open["type"]) == (item["id"], item["type"])
        assert "in_progress" != item.get("status")
        if item["type"] in ("message", "reasoning"):
            assert self.parts == item["content" if item["type"] == "message" else "summary"]
        self.output.append(item)
        self.open = None


def returned(output, tools=ASKED["tools"]):
    """Return what the model said, as the next request of the client has it."""
    results = [
        {"type": each["type"].removesuffix("_call") + "_call_output", "call_id": each["call_id"]}
        | {"output": "done", "tools": []}
        for each in output
        if "call_id" in each
    ]
    for each in results:
        if each["type"] == "tool_search_call_output":
            each["type"] = "tool_search_output"
    asked = {"model": "m", "tools": tools, "input": [{"role": "user", "content": "Hi"}]}
    asked["input"] += [*output, *results, {"role": "user", "content": "Go on"}]
    read = read_responses(asked, 100)[0]
    assert "" == read.obstacle
    turns = [turn["content"] for turn in read.body["messages"] if turn["role"] == "assistant"]
    assert len(turns) < 2
    for block in itertools.chain(*turns):
        block.pop("cache_control", None)
    return list(itertools.chain(*turns))


CALLS = [
    pytest.param(
        use("read", {"path": "é"}),
        {"type": "function_call", "name": "read", "arguments": '{"path":"é"}'},
        id="function",
    ),
    pytest.param(
        use("patch", {"input": '*** Begin "Patch"\n'}),
        {"type": "custom_tool_call", "name": "patch", "input": '*** Begin "Patch"\n'},
        id="custom",
    ),
    pytest.param(
        use("agents__wait", {"for": 1}),
        {"type": "function_call", "name": "wait", "namespace": "agents", "arguments": '{"for":1}'},
        id="function-of-a-namespace",
    ),
    pytest.param(
        use("agents__run", {"input": "x"}),
        {"type": "custom_tool_call", "name": "run", "namespace": "agents", "input": "x"},
        id="custom-of-a-namespace",
    ),
    pytest.param(
        use("local_shell", {"command": ["ls", "-l"], "timeout_ms": 9}),
        {
            "type": "local_shell_call",
            "action": {"type": "exec", "command": ["ls", "-l"], "env": {}, "timeout_ms": 9},
        },
        id="local-shell",
    ),
    pytest.param(
        use("shell", {"commands": ["ls"]}),
        {"type": "shell_call", "action": {"commands": ["ls"]}},
        id="shell",
    ),
    pytest.param(
        use("apply_patch", {"type": "delete_file", "path": "a"}),
        {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
        id="apply-patch",
    ),
    pytest.param(
        use("tool_search", {"query": "maps"}),
        {"type": "tool_search_call", "execution": "client", "arguments": {"query": "maps"}},
        id="tool-search",
    ),
]


@pytest.mark.parametrize(("called", "expected"), CALLS)
def test_each_call_is_the_item_of_its_tool(called, expected):
    (item,) = whole(message(called, reason="tool_use"))["output"]
    (again,) = Client(streamed(message(called, reason="tool_use"))).output

    own = {"status": "completed", "call_id": "toolu_1", **expected}
    assert own.items() <= item.items()
    assert item.keys() == own.keys() | {"id"}
    # A streamed input keeps the model's own spaces.
    if "arguments" in expected and isinstance(expected["arguments"], str):
        assert json.loads(again.pop("arguments")) == json.loads(item.pop("arguments"))
    assert item == again
    assert [called] == returned([item | own])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param({"input": "a"}, "a", id="as-it-should"),
        pytest.param({"patch": "a"}, "a", id="another-name"),
        pytest.param({"why": "x", "input": "a"}, "a", id="something-before"),
        pytest.param({}, "", id="nothing"),
        pytest.param({"input": 1}, '{"input": 1}', id="no-text"),
        pytest.param({"a": "b", "c": "d"}, '{"a": "b", "c": "d"}', id="unknown-members"),
    ],
)
def test_a_text_is_found_however_the_model_has_wrapped_it(written, expected):
    call = message(use("patch", written), reason="tool_use")

    assert expected == Client(streamed(call)).output[0]["input"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_text_comes_as_it_is_written(size):
    expected = 'é"\\\n\t𝄞\ud83d x'.encode("utf-8", "replace").decode() + "𝄞"
    written = json.dumps({"input": expected})
    reading = InputText()
    come = [reading.feed(piece) for piece in pieces(written, [size] * len(written))]

    assert expected == "".join(come)
    assert size == 100 or sum(map(bool, come)) > 3


def test_what_is_no_json_goes_on_as_it_is():
    writing = writer()
    writing.feed({"type": "message_start", "message": message()})
    writing.feed({"type": "content_block_start", "content_block": {**use(), "input": {}}})
    delta = {"type": "input_json_delta", "partial_json": '{"p": '}
    writing.feed({"type": "content_block_delta", "delta": delta})
    writing.feed({"type": "content_block_stop"})

    assert '{"p": ' == writing.response["output"][0]["arguments"]


def test_thinking_is_a_summary_and_comes_back_whole():
    blocks = [
        thought("Hm."),
        thought("", "bm9uZQ=="),
        {"type": "redacted_thinking", "data": "eA=="},
    ]
    made = Client(streamed(message(*blocks, said("So.")))).response

    summaries = [item.get("summary") for item in made["output"]]
    assert [[{"type": "summary_text", "text": "Hm."}], [], [], None] == summaries
    assert [*blocks, said("So.")] == returned(made["output"])


def test_texts_are_parts_of_one_message_with_what_they_cite():
    cited = {"type": "web_search_result_location", "url": "https://e.com", "title": "E"}
    page = {"type": "page_location", "document_title": "D"}
    texts = [said("It is "), said("1233 km", citations=[cited, page]), said(" long.")]
    (item,) = Client(streamed(message(*texts))).output

    assert ("message", "assistant") == (item["type"], item["role"])
    assert ["It is ", "1233 km", " long."] == [part["text"] for part in item["content"]]
    note = {"type": "url_citation", "url": "https://e.com", "title": "E"}
    note |= {"start_index": 0, "end_index": 7}
    assert [[], [note], []] == [part["annotations"] for part in item["content"]]


def test_a_search_is_an_item_and_comes_back_whole():
    blocks = [said("Let me look."), search(), result(), search("seas", 2), result("no", 2)]
    made = Client(streamed(message(*blocks, said("So.")))).response

    kinds = ["message", "web_search_call", "web_search_call", "reasoning", "message"]
    assert kinds == [item["type"] for item in made["output"]]
    action = {"type": "search", "query": "rivers"}
    action |= {"sources": [{"type": "url", "url": "https://e.com"}]}
    assert action == made["output"][1]["action"]
    assert [] == made["output"][2]["action"]["sources"]
    assert [*blocks, said("So.")] == returned(made["output"])


@pytest.mark.parametrize(
    ("blocks", "kept"),
    [
        pytest.param([search()], [], id="a-search-alone"),
        pytest.param([search(), said("a"), result()], [said("a")], id="in-two-halves"),
        pytest.param([search(name="web_fetch")], [], id="a-use-alone"),
        pytest.param(
            [search(), search(at=2), result(at=2)], [search(at=2), result(at=2)], id="one-of-two"
        ),
        pytest.param(
            [search(name="web_fetch"), result({}, kind="web_fetch_tool_result")],
            [search(name="web_fetch"), result({}, kind="web_fetch_tool_result")],
            id="another-tool",
        ),
    ],
)
def test_no_use_comes_back_without_its_result(blocks, kept):
    made = Client(streamed(message(*blocks, said("So."), reason="pause_turn"))).response

    assert [*kept, said("So.")] == returned(made["output"])


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("end_turn", "completed", None),
        ("tool_use", "completed", None),
        ("stop_sequence", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("model_context_window_exceeded", "incomplete", "max_output_tokens"),
        ("pause_turn", "incomplete", "max_output_tokens"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_each_reason_to_stop(reason, status, why):
    made = message(said("a"), reason=reason)

    for response in (Client(streamed(made)).response, whole(made)):
        assert status == response["status"]
        assert (why and {"reason": why}) == response["incomplete_details"]


def test_a_refusal_says_why():
    details = {"type": "refusal", "category": "x", "explanation": "Not this."}
    made = message(said("a"), reason="refusal", stop_details=details)
    output = Client(streamed(made)).output

    assert [{"type": "refusal", "refusal": "Not this."}] == output[1]["content"]
    assert whole(made)["output"] == output


def test_usage_is_counted_as_openai_does():
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 30,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 5},
    }
    expected = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }

    for response in (Client(streamed(message(usage=usage))).response, whole(message(usage=usage))):
        assert expected == response["usage"]


def test_a_response_repeats_the_request():
    asked = {"model": "m", "input": "x" * 99, "temperature": 0.5, "metadata": None, "tools": [{}]}
    made = plain(response_of(message(), echoed(Envelope.of(asked)), {}, NOW))

    assert ("m", 0.5, [{}]) == (made["model"], made["temperature"], made["tools"])
    assert ({}, 1.0, "auto") == (made["metadata"], made["top_p"], made["tool_choice"])
    assert ("resp_1", "response", NOW) == (made["id"], made["object"], made["created_at"])
    assert "input" not in made


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("rate_limit_error", "Slow down.", "rate_limit_exceeded"),
        ("overloaded_error", "Overloaded", "server_error"),
        ("billing_error", "Pay.", "insufficient_quota"),
        ("invalid_request_error", "No.", "invalid_prompt"),
        ("invalid_request_error", "Prompt is too long: 9 > 8", "context_length_exceeded"),
        ("api_error", "Oh.", "server_error"),
    ],
)
def test_each_error_has_a_code(kind, message, expected):
    assert expected == failure_code(kind, message)


@pytest.mark.parametrize("taken", range(1, 12))
def test_an_error_ends_the_stream_wherever_it_comes(taken):
    made = message(thought("Hm."), said("a"), use())
    writing = writer()
    before = list(events_of(made))[:taken]
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    written = b"".join(map(writing.feed, [*before, failed, failed, *events_of(made)]))
    response = Client(decoded(written)).response

    assert "failed" == response["status"]
    assert {"code": "server_error", "message": "Overloaded"} == response["error"]


def test_an_error_that_comes_first_is_a_response_too():
    response = Client(decoded(writer().fail("server_error", "Oh."))).response

    assert "Oh." == response["error"]["message"]


@pytest.mark.parametrize("odd", [None, 7, 1.5, True, "x", ["x"], [None], [[]], {}, {"type": 5}])
def test_what_an_upstream_has_written_wrong_breaks_nothing(odd):
    made = message(thought("Hm."), said("a", citations=[{}]), search(), result(), use())
    wrong = [{**made, name: odd} for name in ("content", "usage", "stop_reason", "stop_details")]
    wrong += [
        {**made, "content": [odd, *made["content"]]},
        {**made, "content": [said("a", citations=odd), {**use(), "input": odd}]},
        {**made, "usage": {**USAGE, "input_tokens": odd, "output_tokens_details": odd}},
    ]
    for each in wrong:
        assert "response" == response_of(each, {}, {}, 0)["object"]
    for event in events_of(made):
        for name in {"message", "content_block", "delta", "usage"} & event.keys():
            events = [{**each, name: odd} if each == event else each for each in events_of(made)]
            written = decoded(b"".join(map(writer().feed, events)))
            assert written[-1]["type"] in ("response.completed", "response.incomplete")


def test_a_ping_is_a_comment():
    assert b": ping\n\n" == writer().feed({"type": "ping"})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
inputs = st.dictionaries(texts, texts | st.integers(0, 9) | st.lists(texts, max_size=2), max_size=3)
contents = st.lists(
    st.builds(said, texts)
    | st.builds(thought, texts, st.sampled_from(["c2ln", "bGF0ZXI="]))
    | st.builds(use, st.sampled_from(["read", "agents__wait", "gone"]), inputs)
    | st.builds(
        use, st.sampled_from(["patch", "agents__run"]), st.builds(lambda t: {"input": t}, texts)
    )
    | st.builds(use, st.just("shell"), st.just({"commands": ["ls"]}))
    | st.builds(search, texts),
    max_size=6,
)


def finished(blocks):
    """Number the calls, and let a result follow each search."""
    for at, block in enumerate(blocks):
        if block["type"] == "tool_use":
            yield {**block, "id": f"toolu_{at}"}
        elif block["type"] == "server_tool_use":
            yield {**block, "id": f"srvtoolu_{at}"}
            yield result(at=at)
        else:
            yield block


@settings(max_examples=150, deadline=None)
@given(contents, st.lists(st.integers(1, 5), max_size=30))
def test_whatever_is_said_is_streamed_by_the_rules_and_comes_back(blocks, sizes):
    blocks = list(finished(blocks))
    made = message(*blocks)
    client = Client(streamed(made, sizes))

    assert [block for block in blocks if block.get("text", "x").strip()] == (
        returned(client.output)
    )


@settings(max_examples=150, deadline=None)
@given(contents, st.lists(st.integers(1, 5), max_size=30))
def test_the_whole_says_what_the_stream_says(blocks, sizes):
    made = message(*finished(blocks))

    assert normal(whole(made)) == normal(Client(streamed(made, sizes)).response)


@settings(max_examples=100, deadline=None)
@given(contents, st.lists(st.integers(1, 5), max_size=30))
def test_blocks_may_end_where_the_message_does(blocks, sizes):
    made = message(*finished(blocks))
    events = list(events_of(made, sizes))
    written = b"".join(map(writer().feed, events))

    assert written == b"".join(map(writer().feed, ending_late(events)))


def normal(response):
    """Read arguments, which may be spaced in two ways."""
    for item in response["output"]:
        if isinstance(item.get("arguments"), str):
            item["arguments"] = json.loads(item["arguments"])
    return response
