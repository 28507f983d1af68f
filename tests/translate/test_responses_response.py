"""What OpenAI Responses answers, as Messages: streamed at any cut, and whole."""

from __future__ import annotations

import itertools
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chaos.transcript import events_of, problems_of

from llmroute.messages.accumulate import Accumulator
from llmroute.messages.events import Event
from llmroute.translate.openai_errors import OpenAIProblem
from llmroute.translate.reasoning import unseal
from llmroute.translate.responses_response import ResponsesDecoder, responses_message
from llmroute.translate.responses_wanted import wanted
from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import SSEDecoder

TOOL = {"name": "read", "input_schema": {}}
ASKED = {"messages": [], "thinking": {"type": "adaptive"}, "tools": [TOOL]}
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
}
TOLD = {
    "input_tokens": 10,
    "cache_read_input_tokens": 60,
    "cache_creation_input_tokens": 30,
    "output_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 5},
}


def message(*parts, at=0, **more):
    content = [
        {"type": "output_text", "text": part} if isinstance(part, str) else part for part in parts
    ]
    own = {"id": f"msg_{at}", "role": "assistant", "status": "completed"}
    return {"type": "message", **own, "content": content, **more}


def refusal(said):
    return {"type": "refusal", "refusal": said}


def reasoning(*parts, at=0, enc="E"):
    summary = [{"type": "summary_text", "text": part} for part in parts]
    return {"type": "reasoning", "id": f"rs_{at}", "summary": summary, "encrypted_content": enc}


def calling(name="read", arguments='{"p":1}', at=0):
    own = {"id": f"fc_{at}", "call_id": f"call_{at}", "name": name}
    return {"type": "function_call", **own, "arguments": arguments, "status": "completed"}


def searching(query="rivers", *urls, at=0):
    sources = [{"type": "url", "url": url} for url in urls]
    action = {"type": "search", "query": query, "sources": sources}
    return {"type": "web_search_call", "id": f"ws_{at}", "status": "completed", "action": action}


def response(*output, status="completed", usage=USAGE, **more):
    return {"id": "resp_1", "status": status, "output": list(output), "usage": usage, **more}


def encoded(*events):
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (each["type"].encode(), msgspec.json.encode(each))
        for each in events
    )


CREATED = {"type": "response.created", "response": {"id": "resp_1", "output": []}}


def streamed(made, *, deltas=True, indexed=True):
    """Return the events in which a response would be streamed."""
    events = [CREATED]
    for at, item in enumerate(made["output"]):
        place = {"output_index": at} if indexed else {"item_id": item["id"]}
        begun = {**item, "content": [], "summary": [], "arguments": "", "encrypted_content": "half"}
        events.append({"type": "response.output_item.added", **place, "item": begun})
        for kind, inner, text in pieces_of(item) if deltas else ():
            for piece in (text[:2], text[2:]):
                delta = {"delta": piece, "item_id": item["id"], **place, **inner}
                events.append({"type": f"response.{kind}.delta", **delta})
            done = {"type": f"response.{kind}.done", **place, **inner}
            events.append({**done, "text": text, "arguments": text})
        events.append({"type": "response.output_item.done", **place, "item": item})
    kind = "incomplete" if made["status"] == "incomplete" else "completed"
    return encoded(*events, {"type": f"response.{kind}", "response": made})


def pieces_of(item):
    match item["type"]:
        case "message":
            for at, part in enumerate(item["content"]):
                said = part.get("text", part.get("refusal"))
                kind = "output_text" if part["type"] == "output_text" else "refusal"
                yield kind, {"content_index": at}, said
        case "reasoning":
            for at, part in enumerate(item["summary"]):
                yield "reasoning_summary_text", {"summary_index": at}, part["text"]
        case "function_call":
            yield "function_call_arguments", {}, item["arguments"]


def settings(**asked):
    body = Envelope.of({"model": "opus", **ASKED, **asked})
    return wanted(body, "opus", "api.openai.com", 42)


def decoded(stream, cuts=(), **asked):
    decoder = ResponsesDecoder(settings(**asked))
    edges = [0, *sorted(cuts), len(stream)]
    written = [decoder.feed(stream[a:b]) for a, b in itertools.pairwise(edges)]
    return b"".join(written) + decoder.close()


def spelled(stream):
    accumulator = Accumulator()
    for frame in SSEDecoder().feed(stream):
        if (event := Event.of(frame)) is not None:
            accumulator.add(event)
    return accumulator.message


def text(said):
    return {"type": "text", "text": said}


def thought(said, at=0, enc="E"):
    return {"type": "thinking", "thinking": said, "signature": {"id": f"rs_{at}", "enc": enc}}


def use(name="read", at=0, **given_):
    return {"type": "tool_use", "id": f"call_{at}", "name": name, "input": given_}


def shown(content):
    """Open what the signatures carry."""
    return [
        {**block, "signature": unseal(block["signature"], "openai", "api.openai.com")}
        if block["type"] == "thinking"
        else block
        for block in content
    ]


SEARCHED = [
    {
        "type": "server_tool_use",
        "id": "srvtoolu_0",
        "name": "web_search",
        "input": {"query": "rivers"},
    },
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_0",
        "content": [
            {
                "type": "web_search_result",
                "url": "https://a.org",
                "title": "https://a.org",
                "encrypted_content": "",
                "page_age": None,
            }
        ],
    },
]

CASES = [
    pytest.param(response(message("Hello")), [text("Hello")], "end_turn", id="text"),
    pytest.param(
        response(message("Größe 🦆, Ж")), [text("Größe 🦆, Ж")], "end_turn", id="beyond-ascii"
    ),
    pytest.param(response(), [], "end_turn", id="empty"),
    pytest.param(
        response(reasoning("One.", "Two."), message("Yes")),
        [thought("One.\n\nTwo."), text("Yes")],
        "end_turn",
        id="reasoning-in-parts",
    ),
    pytest.param(
        response(reasoning(), calling(at=1), calling("write", "{}", at=2)),
        [thought(""), use(at=1, p=1), use("write", at=2)],
        "tool_use",
        id="reasoning-untold-and-two-calls",
    ),
    pytest.param(
        response(reasoning("A"), reasoning("B", at=1), message("Yes")),
        [thought("A"), thought("B", 1), text("Yes")],
        "end_turn",
        id="reasoning-twice",
    ),
    pytest.param(
        response(message("I look."), calling(at=1), message("Done?", at=2)),
        [text("I look."), use(at=1, p=1), text("Done?")],
        "tool_use",
        id="text-around-a-call",
    ),
    pytest.param(
        response(
            message("Hell"),
            status="incomplete",
            incomplete_details={"reason": "max_output_tokens"},
        ),
        [text("Hell")],
        "max_tokens",
        id="cut-off",
    ),
    pytest.param(
        response(
            message("He"), status="incomplete", incomplete_details={"reason": "content_filter"}
        ),
        [text("He")],
        "refusal",
        id="filtered",
    ),
    pytest.param(
        response(message(refusal("I will not."))), [text("I will not.")], "refusal", id="refused"
    ),
    pytest.param(
        response(searching("rivers", "https://a.org"), message("The Rhine.", at=1)),
        [*SEARCHED, text("The Rhine.")],
        "end_turn",
        id="a-search",
    ),
    pytest.param(
        response({"type": "image_generation_call", "id": "ig_1"}, message("Hm")),
        [text("Hm")],
        "end_turn",
        id="an-item-of-another-kind",
    ),
]


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("deltas", [True, False])
@pytest.mark.parametrize(("made", "content", "reason"), CASES)
def test_a_stream(made, content, reason, deltas, indexed):
    stream = decoded(streamed(made, deltas=deltas, indexed=indexed))

    assert [] == problems_of(stream)
    found = spelled(stream)
    assert content == shown(found["content"])
    assert (reason, "opus", "msg_1") == (found["stop_reason"], found["model"], found["id"])
    assert TOLD.items() <= found["usage"].items()


@pytest.mark.parametrize(("made", "content", "reason"), CASES)
def test_a_whole_answer_says_the_same(made, content, reason):
    found = responses_message(made, settings())

    assert (content, reason) == (shown(found["content"]), found["stop_reason"])
    assert TOLD.items() <= found["usage"].items()


@pytest.mark.parametrize(("made", "content", "reason"), CASES)
def test_a_stream_may_be_cut_anywhere(made, content, reason):
    stream = streamed(made)
    whole = decoded(stream)
    draw = random.Random(7)

    assert whole == decoded(stream, range(1, len(stream)))
    for _ in range(10):
        assert whole == decoded(stream, draw.sample(range(1, len(stream)), 5))


@pytest.mark.parametrize(
    ("text_", "stops", "expected", "found"),
    [
        pytest.param("a</b>c", ["</b>"], "a", "</b>", id="one"),
        pytest.param("a</b>c", ["x", "</"], "a", "</", id="the-first-of-two"),
        pytest.param("a</", ["</b>"], "a</", None, id="only-its-beginning"),
        pytest.param("</b>", ["</b>"], None, "</b>", id="nothing-before-it"),
    ],
)
@pytest.mark.parametrize("as_stream", [True, False])
def test_stop_sequences(text_, stops, expected, found, as_stream):
    made = response(message(text_), calling(at=1), message("More", at=2))
    if as_stream:
        answer = spelled(decoded(streamed(made), range(1, 9999, 7), stop_sequences=stops))
    else:
        answer = responses_message(made, settings(stop_sequences=stops))

    if found is None:
        assert [text(expected), use(at=1, p=1), text("More")] == answer["content"]
    else:
        assert ([text(expected)] if expected else []) == answer["content"]
        assert ("stop_sequence", found) == (answer["stop_reason"], answer["stop_sequence"])
    assert 20 == answer["usage"]["output_tokens"]


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        pytest.param({"thinking": {"type": "adaptive"}}, ["thinking", "text"], id="asked-for"),
        pytest.param({"thinking": {"type": "disabled"}}, ["text"], id="disabled"),
        pytest.param({}, ["text"], id="not-asked-for"),
        pytest.param({"tools": [TOOL]}, ["thinking", "text"], id="tools-need-it"),
    ],
)
def test_thinking_is_for_those_who_expect_it(asked, kinds):
    body = Envelope.of({"model": "opus", "messages": [], **asked})
    made = response(reasoning("Hm."), message("Yes"))
    found = responses_message(made, wanted(body, "opus", "f"))
    assert kinds == [block["type"] for block in found["content"]]


def test_reasoning_that_cannot_be_sent_back_is_shown():
    found = responses_message(response(reasoning("Hm.", enc=None), message("Yes")), settings())
    assert [thought("Hm.") | {"signature": None}, text("Yes")] == shown(found["content"])


def test_a_tool_has_its_own_name_again():
    name = "mcp__" + "x" * 80
    asked = settings(tools=[{"name": name}])
    sent = asked.names.outward(name)
    assert name not in sent
    found = responses_message(response(calling(sent)), asked)
    assert name == found["content"][0]["name"]


def test_a_tool_that_came_later_has_its_own_name_again():
    name = "mcp__" + "x" * 80
    block = {"type": "tool_addition", "tool": {"definition": {"name": name}}}
    asked = settings(messages=[{"role": "system", "content": [block]}])
    found = responses_message(response(calling(asked.names.outward(name))), asked)
    assert name == found["content"][0]["name"]


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        pytest.param(
            {
                "type": "response.failed",
                "response": {"error": {"code": "rate_limit_exceeded", "message": "Slow"}},
            },
            "rate_limit_error",
            "Slow",
            id="failed",
        ),
        pytest.param(
            {"type": "error", "code": "server_error", "message": "Oh", "param": None},
            "api_error",
            "Oh",
            id="error",
        ),
        pytest.param(
            {"type": "error", "error": {"type": "server_error", "message": "Oh"}},
            "api_error",
            "Oh",
            id="an-error-inside",
        ),
        pytest.param(
            {
                "type": "error",
                "code": "context_length_exceeded",
                "message": "Your input exceeds the context window of this model.",
            },
            "invalid_request_error",
            "prompt is too long: Your input",
            id="too-long",
        ),
        pytest.param(
            {
                "type": "response.failed",
                "response": {"error": {"code": "bio_policy", "message": "No"}},
            },
            "invalid_request_error",
            "content_policy_violation",
            id="policy",
        ),
        pytest.param(
            {"type": "error", "code": "insufficient_quota", "message": "You exceeded your quota"},
            "billing_error",
            "quota",
            id="quota",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", encoded(CREATED)])
def test_an_error_that_comes_first_is_the_whole_stream(event, kind, words, before):
    stream = decoded(before + encoded(event))

    assert ["error"] == [each.kind for each in events_of(stream)]
    described = events_of(stream)[0].data["error"]
    assert kind == described["type"]
    assert words in described["message"]


def test_an_error_in_the_middle_ends_the_stream():
    events = streamed(response(message("Hello"))).split(b"\n\n")[:4]
    stream = decoded(b"\n\n".join(events) + b"\n\n" + encoded({"type": "error", "message": "Oh"}))

    assert [] == problems_of(stream)
    assert "error" == events_of(stream)[-1].kind


def test_a_stream_that_ends_early_says_so():
    stream = decoded(streamed(response(message("Hello"))).rpartition(b"event: ")[0])

    assert [] == problems_of(stream)
    assert b"no finish reason came" in events_of(stream)[-1].raw


def test_a_response_that_was_not_streamed_is_read():
    made = response(reasoning("Hm."), message("Yes"))
    stream = decoded(msgspec.json.encode(made), [3, 9])

    assert [] == problems_of(stream)
    assert [thought("Hm."), text("Yes")] == shown(spelled(stream)["content"])


@pytest.mark.parametrize("body", [b'{"error": {"message": "Oh"}}', b'{"a": 1}', b"{"])
def test_something_else_that_was_not_streamed_is_an_error(body):
    assert ["error"] == [each.kind for each in events_of(decoded(body))]


def test_the_last_event_need_not_be_complete():
    stream = streamed(response(message("Hello")))
    assert decoded(stream) == decoded(stream.rstrip(b"\n"))


def test_what_is_no_event_is_passed_over():
    odd = b': keep-alive\n\ndata: [DONE]\n\ndata: [1]\n\nevent: response.new\ndata: {"a":1}\n\n'
    stream = streamed(response(message("Hello")))
    first, rest = stream[: stream.index(b"\n\n") + 2], stream[stream.index(b"\n\n") + 2 :]
    assert decoded(stream) == decoded(first + odd + rest)


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("flex", "flex"), ("priority", "priority"), ("default", None), (None, None), (3, None)],
)
def test_the_usage_says_how_the_answer_was_served(tier, expected):
    answered = response(message("Hi"), service_tier=tier)

    assert expected == spelled(decoded(streamed(answered)))["usage"].get("service_tier")


def test_no_usage_is_estimated():
    found = spelled(decoded(streamed(response(message("Hello, world"), usage=None))))
    assert (42, 3) == (found["usage"]["input_tokens"], found["usage"]["output_tokens"])


@pytest.mark.parametrize(
    ("made", "status"),
    [
        pytest.param(
            {"status": "failed", "error": {"code": "server_error", "message": "Oh"}},
            500,
            id="fault",
        ),
        pytest.param(
            {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "Slow"}},
            429,
            id="rate",
        ),
        pytest.param({"hello": "world"}, 500, id="something-else"),
    ],
)
def test_a_whole_answer_that_failed_is_an_error(made, status):
    problem = responses_message(made, settings())
    assert isinstance(problem, OpenAIProblem)
    assert status == problem.status


ITEMS = st.one_of(
    st.builds(message, st.text(max_size=9)),
    st.builds(message, st.builds(refusal, st.text(max_size=9))),
    st.builds(reasoning, st.text(max_size=9), st.text(max_size=9)),
    st.builds(calling, arguments=st.sampled_from(['{"p":1}', "{}", "", '{"p"'])),
    st.builds(searching),
)


@given(st.lists(ITEMS, max_size=6), st.randoms(use_true_random=False), st.booleans())
def test_whatever_comes_in_whatever_order_the_stream_is_legal(items, draw, shuffled):
    output = [{**item, "id": f"{item['id']}_{at}"} for at, item in enumerate(items)]
    for at, item in enumerate(output):
        if "call_id" in item:
            item["call_id"] = f"call_{at}"
    made = response(*output)
    events = streamed(made).split(b"\n\n")[:-1]
    if shuffled:
        draw.shuffle(events)
    stream = b"".join(event + b"\n\n" for event in events)
    cuts = [draw.randrange(len(stream)) for _ in range(5)]
    found = decoded(stream, cuts)

    assert [] == problems_of(found)
    if not shuffled:
        answer, whole = spelled(found), responses_message(made, settings())
        assert whole["content"] == answer["content"]
        assert whole["usage"] == answer["usage"]
        said = [block for block in answer["content"] if block["type"] == "tool_use"]
        assert len([item for item in output if item["type"] == "function_call"]) == len(said)
        texts = "".join(b["text"] for b in answer["content"] if b["type"] == "text")
        assert texts == "".join(
            part.get("text", part.get("refusal"))
            for item in output
            if item["type"] == "message"
            for part in item["content"]
        )
