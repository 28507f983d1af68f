"""One list of conversations for every format: what a model says is the same behind each of them."""

from __future__ import annotations

import base64
import contextlib
import gc
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import llmroute
from llmroute.messages.call import Call
from llmroute.testing import (
    Clock,
    FakeBedrock,
    FakeChat,
    FakeGemini,
    FakeOpenAI,
    FakeUpstream,
    error,
    message,
)
from llmroute.testing.answer import Answer
from llmroute.translate.names import OPENAI_NAMES
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
    "RU5ErkJggg=="
)
PDF = base64.b64encode(b"%PDF-1.4 /Type /Page").decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
DOCUMENT = {
    "type": "document",
    "title": "paper",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
}
REDACTED = {"type": "redacted_thinking", "data": "c2VjcmV0"}
HELLO = {"type": "text", "text": "Hello."}
NOTE = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "A note."},
}
LONG_NAME = "mcp__a_server_with_a_long_name__and_a_tool_with_a_name_that_is_longer_still"
READ = {
    "name": "Read",
    "description": "Read a file.",
    "input_schema": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "limit": {"type": ["integer", "null"]}},
        "required": ["path"],
        "additionalProperties": False,
    },
}
NOW = {"name": "now", "input_schema": {"type": "object"}}
MCP = {**READ, "name": LONG_NAME}
EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
UNICODE = "Größe — 日本語 — 🜚👩‍👩‍👧 — \u2028 end"


def use(name: str, given: Mapping[str, Any] | None = None, id: str = "") -> dict[str, Any]:  # noqa: A002 - the API's own name
    made = id or f"call_{name[:20]}_{len(str(given))}"
    return {"type": "tool_use", "id": made, "name": name, "input": dict(given or {})}


def thought(said: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": said, "signature": "c2lnbmVk"}


def told(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@dataclass(frozen=True)
class Case:
    """A conversation.

    Attributes:
        turns: What the user says, or what the tools that were called answer, turn by turn; or the
            messages themselves, as a tuple.
        answers: What the model says to each.
        members: What else every request has.
    """

    turns: Sequence[Any]
    answers: Sequence[Answer]
    members: Mapping[str, Any] = field(default_factory=dict)


def results(*content: Any, **members: Any) -> Callable[[Sequence[str]], list[dict[str, Any]]]:
    """Answer the calls of the turn before, in their order."""

    def made(ids: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {"type": "tool_result", "tool_use_id": each, "content": said, **members}
            for each, said in zip(ids, content, strict=True)
        ]

    return made


CASES = {
    "plain-text": Case(["Hi"], [message("Good day.")]),
    "two-turns": Case(["Hi", "And now?"], [message("Good day."), message("Good bye.")]),
    "unicode": Case([UNICODE], [message(UNICODE, deltas=9)]),
    "long": Case(["word " * 20_000], [message("answer " * 2_000, deltas=50)]),
    "system-blocks": Case(
        ["Hi"],
        [message("Good day.")],
        {"system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]},
    ),
    "a-system-message-in-between": Case(
        ["Hi", (told("user", "Go on."), told("system", "The user is in a hurry.")), "And?"],
        [message("Good day."), message("Yes."), message("No.")],
    ),
    "cache-control": Case(
        [[{"type": "text", "text": "Hi", **EPHEMERAL}]],
        [message("Good day.", usage={"cache_read_input_tokens": 5, "input_tokens": 7})],
        {
            "system": [{"type": "text", "text": "Be brief.", **EPHEMERAL}],
            "tools": [READ | EPHEMERAL],
        },
    ),
    "a-tool": Case(
        ["Read a.", results("It says b.")],
        [message(["Reading.", use("Read", {"path": "a"})]), message("It says b.")],
        {"tools": [READ, NOW]},
    ),
    "a-tool-without-arguments": Case(
        ["What time is it?", results("Noon.")],
        [message(use("now")), message("Noon.")],
        {"tools": [NOW]},
    ),
    "a-tool-with-a-long-name": Case(
        ["Read a.", results("b")],
        [message(use(LONG_NAME, {"path": "a"})), message("b")],
        {"tools": [MCP]},
    ),
    "parallel-tools": Case(
        ["Read a, b and c.", results("1", "2", [{"type": "text", "text": "3"}])],
        [
            message([use("Read", {"path": name}, f"call_{name}") for name in "abc"], deltas=4),
            message("1, 2, 3."),
        ],
        {"tools": [READ]},
    ),
    "a-tool-error": Case(
        ["Read a.", results("No such file.", is_error=True)],
        [message(use("Read", {"path": "a"})), message("It is not there.")],
        {"tools": [READ]},
    ),
    "an-empty-tool-result": Case(
        ["Read a.", results("")],
        [message(use("Read", {"path": "a"})), message("It is empty.")],
        {"tools": [READ]},
    ),
    "a-choice-of-tools": Case(
        ["Read a.", results("b")],
        [message(use("Read", {"path": "a"})), message("b")],
        {"tools": [READ], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    "a-forced-tool": Case(
        ["Read a."],
        [message(use("Read", {"path": "a"}))],
        {"tools": [READ], "tool_choice": {"type": "tool", "name": "Read"}},
    ),
    "no-tools-now": Case(
        ["Read a.", results("b"), "Sum it up."],
        [message(use("Read", {"path": "a"})), message("b"), message("b.")],
        {"tools": [READ], "tool_choice": {"type": "none"}},
    ),
    "images": Case([["What is it?", IMAGE]], [message("A pixel.")]),
    "an-image-in-a-tool-result": Case(
        ["Read a.", results([{"type": "text", "text": "As told:"}, IMAGE])],
        [message(use("Read", {"path": "a"})), message("A pixel.")],
        {"tools": [READ]},
    ),
    "documents": Case([["Sum them up.", DOCUMENT, NOTE]], [message("A paper and a note.")]),
    "thinking": Case(
        ["Hi", "And now?"],
        [message([thought("Hm."), "Good day."]), message([thought("So."), "Good bye."])],
        {"thinking": {"type": "adaptive"}},
    ),
    "thinking-before-tools": Case(
        ["Read a and b.", results("1", "2"), "Thanks."],
        [
            message(
                [
                    thought("Both."),
                    use("Read", {"path": "a"}, "call_a"),
                    use("Read", {"path": "b"}, "call_b"),
                ]
            ),
            message([thought("Sum."), "1 and 2."]),
            message("Welcome."),
        ],
        {"thinking": {"type": "adaptive"}, "tools": [READ]},
    ),
    "redacted-thinking-of-others": Case(
        [(told("user", "Hi"), told("assistant", [REDACTED, HELLO]), told("user", "Go on."))],
        [message("Good day.")],
    ),
    "stop-sequences": Case(
        ["Count."], [message("One, two")], {"stop_sequences": ["three", "four"]}
    ),
    "max-tokens": Case(["Count."], [message("One, tw", stop_reason="max_tokens")]),
    "refusal": Case(["Do harm."], [message("I can not.", stop_reason="refusal")]),
    "effort": Case(["Hi"], [message("Good day.")], {"output_config": {"effort": "xhigh"}}),
    "structured-output": Case(
        ["Hi"],
        [message('{"path": "a", "limit": 1}')],
        {"output_config": {"format": {"type": "json_schema", "schema": READ["input_schema"]}}},
    ),
    "sampling": Case(
        ["Hi"], [message("Good day.")], {"temperature": 0.5, "top_p": 0.9, "top_k": 3}
    ),
    "metadata": Case(["Hi"], [message("Good day.")], {"metadata": {"user_id": "u" * 300}}),
}


@dataclass(frozen=True)
class Format:
    """A format, and how a server of it is asked.

    Attributes:
        start: Makes the server.
        deployment: The settings for one.
        turns: Where a request has the conversation.
    """

    start: Callable[[], FakeUpstream]
    deployment: Callable[[FakeUpstream], dict[str, Any]]
    turns: str

    def said(self, answers: Sequence[Answer]) -> list[Answer]:
        """Return answers as a model of it gives them, that calls tools by the names it was told."""
        return [replace(answer, content=_called(answer.content)) for answer in answers]


def _called(content: Any) -> Any:
    blocks = content.members.get("content", ())
    named = [
        block | {"name": OPENAI_NAMES.fitted(block["name"])} if "name" in block else block
        for block in blocks
    ]
    return content._replace(members={**content.members, "content": named})


FORMATS = {
    "messages": Format(
        FakeUpstream, lambda fake: {"provider": "anthropic", "base_url": fake.url}, "messages"
    ),
    "chat": Format(
        FakeChat,
        lambda fake: {
            "provider": "openai_compatible",
            "base_url": fake.url,
            "model": "kimi",
            "reasoning_replay": "reasoning_content",
            "effort_in": ["reasoning_effort"],
            "documents": True,
        },
        "messages",
    ),
    "responses": Format(
        FakeOpenAI,
        lambda fake: {"provider": "openai", "base_url": fake.url + "/v1", "model": "gpt-5.4"},
        "input",
    ),
    "converse": Format(
        lambda: FakeBedrock(api_key="fake-key"),
        lambda fake: {
            "provider": "bedrock",
            "base_url": fake.url,
            "region": fake.region,
            "model": "us.amazon.nova-pro-v1:0",
        },
        "messages",
    ),
    "gemini": Format(
        FakeGemini,
        lambda fake: {"provider": "gemini", "base_url": fake.url, "model": "gemini-3-pro"},
        "contents",
    ),
}
TRANSLATED = [name for name in FORMATS if name != "messages"]


@pytest.fixture(params=TRANSLATED)
def format_(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


@pytest.fixture
def server(format_: Format) -> Iterator[FakeUpstream]:
    with format_.start() as fake:
        yield fake


def router_for(format_: Format, server: FakeUpstream) -> llmroute.Router:
    deployment = {"api_key": "fake-key", **format_.deployment(server)}
    config = {"deployments": {"d": deployment}, "aliases": {"opus": "d"}}
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


async def held(router: llmroute.Router, case: Case, *, stream: bool) -> list[dict[str, Any]]:
    """Hold a conversation; return what was answered."""
    messages: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    ids: list[str] = []
    for turn in case.turns:
        if isinstance(turn, tuple):
            messages += turn
        else:
            messages.append(told("user", _blocks(turn(ids) if callable(turn) else turn)))
        members: dict[str, Any] = {"model": "opus", "max_tokens": 2000, **case.members}
        if stream:
            async with router.stream(messages=messages, **members) as streamed:
                answer = await streamed.message()
        else:
            answer = await router.complete(messages=messages, **members)
        answers.append(answer.data)
        messages.append({"role": "assistant", "content": answer.data["content"]})
        ids = [block["id"] for block in answer.tool_uses]
    return answers


def _blocks(said: Any) -> Any:
    if isinstance(said, str):
        return said
    return [{"type": "text", "text": each} if isinstance(each, str) else each for each in said]


def normal(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what every upstream has its own of: ids, signatures, details of usage."""
    content = []
    for block in answer["content"]:
        kept = {k: v for k, v in block.items() if k not in ("id", "signature", "citations")}
        if kept != {"type": "thinking", "thinking": ""}:
            content.append(kept)
    usage = answer["usage"]
    tokens = usage["input_tokens"], usage.get("cache_read_input_tokens") or 0
    return {
        "content": content,
        "stop_reason": answer["stop_reason"],
        "input": tokens,
        "output": usage["output_tokens"],
    }


async def natively(case: Case) -> list[dict[str, Any]]:
    with FakeUpstream() as fake:
        fake.answer(*case.answers)
        async with router_for(FORMATS["messages"], fake) as router:
            return [normal(each) for each in await held(router, case, stream=False)]


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
@pytest.mark.parametrize("manner", ["whole", "streamed", "in-pieces"])
async def test_the_same_is_answered_as_by_anthropic(
    format_: Format, server: FakeUpstream, case: Case, manner: str
) -> None:
    answers = format_.said(case.answers)
    if manner == "in-pieces":
        answers = [each.pieces(range(0, 40_000, 7)) for each in answers]
    server.answer(*answers)
    async with router_for(format_, server) as router:
        found = await held(router, case, stream=manner != "whole")

    assert await natively(case) == [normal(each) for each in found]


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
async def test_what_was_sent_once_is_sent_again_as_it_was(
    format_: Format, server: FakeUpstream, case: Case
) -> None:
    server.answer(*format_.said(case.answers))
    async with router_for(format_, server) as router:
        await held(router, case, stream=True)
    sent = [each.json for each in server.requests if format_.turns in each.json]

    assert len(case.answers) == len(sent)
    for earlier, later in itertools.pairwise(sent):
        turns = earlier[format_.turns]
        assert turns == later[format_.turns][: len(turns)]
        assert earlier | {format_.turns: []} == later | {format_.turns: []}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(error(529), (llmroute.OverloadedError, llmroute.FaultError), id="overloaded"),
        pytest.param(error(500), llmroute.FaultError, id="fault"),
        pytest.param(error(429), llmroute.RateLimitedError, id="rate-limited"),
        pytest.param(error(401), llmroute.MisconfiguredError, id="refused-key"),
        pytest.param(error(400), llmroute.RejectedError, id="rejected"),
    ],
)
async def test_an_error_in_place_of_an_answer_is_the_same(
    format_: Format, server: FakeUpstream, answer: Answer, expected: Any, stream: bool
) -> None:
    server.default = answer
    async with router_for(format_, server) as router:
        with pytest.raises(expected):
            await held(router, CASES["plain-text"], stream=stream)


async def test_a_stream_that_is_cut_is_no_answer(format_: Format, server: FakeUpstream) -> None:
    server.default = replace(message("Good day. " * 50, deltas=20)).cut(after_events=8)
    async with router_for(format_, server) as router:
        with pytest.raises(llmroute.StreamBrokenError):
            await held(router, CASES["plain-text"], stream=True)


async def test_what_is_nested_too_deeply_is_refused(format_: Format, server: FakeUpstream) -> None:
    async with router_for(format_, server) as router:
        for depth in (900, 960, 970, 980, 990, 1000):
            deep = b'{"a":' * depth + b"1" + b"}" * depth
            use = b'{"type":"server_tool_use","id":"t","name":"n","input":%s}' % deep
            result = b'{"type":"web_search_tool_result","tool_use_id":"t","content":%s}' % deep
            said = b'[{"role":"user","content":"x"},{"role":"assistant","content":[%s,%s]}]'
            body = b'{"model":"opus","max_tokens":9,"messages":%s}' % (said % (use, result))
            with contextlib.suppress(llmroute.RequestError, llmroute.UntranslatableError):
                answer = await router.send(Call(Envelope.parse(body), "opus"))
                await answer.aclose()


async def test_a_stream_does_not_hold_its_request() -> None:
    def held() -> int:
        gc.collect()
        return sum(type(each) is Call for each in gc.get_objects())

    before = held()
    with FakeUpstream() as upstream:
        upstream.default = message("Good day.")
        async with router_for(FORMATS["messages"], upstream) as router:
            given = {"model": "opus", "stream": True, "max_tokens": 9, "messages": []}
            answer = await router.send(Call(Envelope.of(given), "opus", stream=True))
            during = held()
            await answer.aclose()

    assert before == during
