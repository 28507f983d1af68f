"""The router in front of Converse: answers, tools, reasoning, refusals, errors, counts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.chaos.transcript import events_of, problems_of

import llmroute
from llmroute.errors import (
    FaultError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    RejectedError,
    StreamBrokenError,
)
from llmroute.messages.call import Call
from llmroute.testing import (
    Clock,
    FakeBedrock,
    FakeUpstream,
    as_json,
    aws_error,
    events,
    message,
    text,
    thinking,
    tool_use,
)
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope
from llmroute.wire.eventstream import encode

pytestmark = pytest.mark.anyio

NOVA = "us.amazon.nova-pro-v1:0"
CLAUDE = "us.anthropic.claude-opus-5-5"
READ = {"name": "read", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
HELLO: dict[str, Any] = {"model": "opus", "max_tokens": 64, "messages": HI}
USE = message([thinking("Both."), "I look.", tool_use("read", {"a": "x"}), tool_use("read")])
PNG = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"x").decode()}


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


def router_for(
    bedrock: FakeBedrock,
    other: FakeUpstream | None = None,
    *,
    model: str = NOVA,
    alias: str = "opus",
    strict: bool = False,
    **settings: Any,
) -> llmroute.Router:
    amazon = {
        "provider": "bedrock",
        "base_url": bedrock.url,
        "region": bedrock.region,
        "access_key_id": "AKIAFAKE",
        "secret_access_key": "fake-secret",
        "model": model,
        **settings,
    }
    deployments: dict[str, Any] = {"amazon": amazon}
    if other is not None:
        deployments["direct"] = {"provider": "anthropic", "base_url": other.url, "api_key": "k"}
    config = {
        "deployments": deployments,
        "aliases": {alias: {"deployments": list(deployments), "strict": strict}},
    }
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


def results_of(answer: llmroute.Message, *content: Any) -> list[dict[str, Any]]:
    """Return the conversation after an answer, each of its calls answered."""
    said = [
        {"type": "tool_result", "tool_use_id": use["id"], "content": list(content) or "x"}
        for use in answer.tool_uses
    ]
    return [
        *HI,
        {"role": "assistant", "content": answer.data["content"]},
        {"role": "user", "content": [*said, {"type": "text", "text": "Hurry."}]},
    ]


async def streamed(router: llmroute.Router, **members: Any) -> llmroute.Message:
    async with router.stream(**{**HELLO, **members}) as stream:
        return await stream.message()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer(bedrock: FakeBedrock, stream: bool) -> None:
    async with router_for(bedrock) as router:
        answer = await (streamed(router) if stream else router.complete(**HELLO))

    assert ("opus", "amazon") == (answer.model, answer.deployment)
    assert "Hello! What can I do for you?" == answer.text
    assert (12, 6) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert bedrock.requests[-1].path.endswith("converse-stream" if stream else "converse")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [NOVA, CLAUDE])
async def test_a_turn_with_tools_whose_reasoning_comes_back(
    bedrock: FakeBedrock, model: str, stream: bool
) -> None:
    bedrock.answer(USE, "Done.")
    settings = {"model": model, "surface": "converse"}
    async with router_for(bedrock, **settings) as router:
        given = {**HELLO, "tools": [READ]}
        first = await (streamed(router, tools=[READ]) if stream else router.complete(**given))
    # A restart in between: nothing but the conversation is kept.
    async with router_for(bedrock, **settings) as router:
        turn = results_of(first, {"type": "image", "source": PNG})
        second = await router.complete(**{**given, "messages": turn})

    kinds = [block["type"] for block in first.data["content"]]
    assert ["thinking", "text", "tool_use", "tool_use"] == kinds
    assert "tool_use" == first.stop_reason
    assert "Done." == second.text
    spoken = bedrock.requests[-1].json["messages"][1]["content"]
    (signature,) = bedrock.signatures
    assert {"text": "Both.", "signature": signature} == spoken[0]["reasoningContent"][
        "reasoningText"
    ]


async def test_reasoning_is_for_the_model_that_made_it_and_no_other(bedrock: FakeBedrock) -> None:
    bedrock.answer(USE, "Done.")
    with FakeUpstream() as other:
        async with router_for(bedrock) as router:
            first = await router.complete(**HELLO, tools=[READ])
        given = {**HELLO, "tools": [READ], "messages": results_of(first)}
        async with router_for(bedrock, model="amazon.nova-lite-v1:0") as router:
            await router.complete(**given)
        assert b"reasoningContent" not in bedrock.requests[-1].body
        bedrock.answer(aws_error("ServiceUnavailableException"))
        async with router_for(bedrock, other) as router:
            assert "direct" == (await router.complete(**given)).deployment
        assert b"llmr1." not in other.requests[-1].body


async def test_what_claude_has_thought_elsewhere_is_read_by_claude_here(
    bedrock: FakeBedrock,
) -> None:
    bedrock.answer(USE, "Done.")
    async with router_for(bedrock, model=CLAUDE) as router:
        first = await router.complete(**HELLO, tools=[READ])
    bedrock.signatures.add(first.data["content"][0]["signature"])
    async with router_for(bedrock, model=CLAUDE, surface="converse") as router:
        given = {**HELLO, "tools": [READ], "messages": results_of(first)}
        second = await router.complete(**given, thinking={"type": "adaptive"})

    assert "Done." == second.text
    assert b'"reasoningContent"' in bedrock.requests[-1].body
    fields = bedrock.requests[-1].json["additionalModelRequestFields"]
    assert "adaptive" == fields["thinking"]["type"]


@pytest.mark.parametrize(
    ("lacks", "members"),
    [
        pytest.param({"system"}, {"system": "Be brief."}, id="system"),
        pytest.param({"tools"}, {}, id="tools"),
        pytest.param({"text_beside_results"}, {}, id="text-beside-results"),
        pytest.param({"stop_sequences"}, {"stop_sequences": ["\n\n"]}, id="stop-sequences"),
        pytest.param({"any"}, {"tool_choice": {"type": "any"}}, id="any-tool"),
        pytest.param({"tool"}, {"tool_choice": {"type": "tool", "name": "read"}}, id="one-tool"),
        pytest.param({"images", "documents"}, {}, id="images"),
        pytest.param(
            {"system", "tools", "images"}, {"system": "Be brief."}, id="three-in-one-call"
        ),
    ],
)
async def test_what_a_model_refuses_is_left_out_from_then_on(
    bedrock: FakeBedrock, lacks: set[str], members: dict[str, Any]
) -> None:
    bedrock.lacks["test.new-v1"] = lacks
    bedrock.answer(USE)
    async with router_for(bedrock) as router:
        first = await router.complete(**HELLO, tools=[READ])
    turn = results_of(first)
    turn[-1]["content"].append({"type": "image", "source": PNG})
    given = {**HELLO, "tools": [READ], "messages": turn, **members}
    async with router_for(bedrock, model="test.new-v1") as router:
        assert "Hello! What can I do for you?" == (await router.complete(**given)).text
        before = len(bedrock.requests)
        assert "Hello! What can I do for you?" == (await streamed(router, **given)).text

    assert 1 == len(bedrock.requests) - before


async def test_calls_that_cannot_be_streamed_come_in_one_piece(bedrock: FakeBedrock) -> None:
    bedrock.lacks["test.new-v1"] = {"streamed_tools"}
    bedrock.answer(USE)
    async with router_for(bedrock, model="test.new-v1") as router:
        first = await streamed(router, tools=[READ])
        second = await streamed(router)

    assert [{"a": "x"}, {}] == [use["input"] for use in first.tool_uses]
    assert "Hello! What can I do for you?" == second.text
    actions = [request.path.rpartition("/")[2] for request in bedrock.requests]
    assert ["converse-stream", "converse", "converse-stream"] == actions


async def test_what_comes_in_one_piece_is_streamed_once(bedrock: FakeBedrock) -> None:
    bedrock.answer(USE)
    given = {**HELLO, "tools": [READ], "stream": True}
    async with router_for(bedrock, model="us.meta.llama3-3-70b-instruct-v1:0") as router:
        answer = await router.send(Call(Envelope.of(given), "opus", stream=True))
        pieces = [await answer.receive()]
        while pieces[-1]:
            pieces.append(await answer.receive())

    kinds = [event.kind for event in events_of(b"".join(pieces))]
    assert (1, 1) == (kinds.count("message_start"), kinds.count("message_stop"))
    assert [] == problems_of(b"".join(pieces))


async def test_the_longest_answer_is_learned(bedrock: FakeBedrock) -> None:
    bedrock.longest["test.new-v1"] = 4_096
    async with router_for(bedrock, model="test.new-v1") as router:
        for _ in range(2):
            await router.complete(**{**HELLO, "max_tokens": 32_000})

    asked = [each.json["inferenceConfig"]["maxTokens"] for each in bedrock.requests]
    assert [32_000, 4_096, 4_096] == asked


async def test_a_longest_answer_that_is_configured_is_kept_to(bedrock: FakeBedrock) -> None:
    bedrock.longest["test.new-v1"] = 2_000
    async with router_for(bedrock, model="test.new-v1", max_tokens_limit=2_000) as router:
        await router.complete(**{**HELLO, "max_tokens": 32_000})

    assert 1 == len(bedrock.requests)


async def test_a_pattern_may_stand_for_the_model(bedrock: FakeBedrock) -> None:
    bedrock.answer(USE, "Done.")
    async with router_for(bedrock, model="us.*", alias="aws/*") as router:
        given = {**HELLO, "model": "aws/amazon.nova-pro-v1:0", "tools": [READ]}
        async with router.stream(**given) as stream:
            first = await stream.message()
        second = await router.complete(**{**given, "messages": results_of(first)})
        claude = await router.complete(**{**HELLO, "model": "aws/anthropic.claude-opus-5-5"})

    assert ("Done.", "Hello! What can I do for you?") == (second.text, claude.text)
    assert b"reasoningContent" in bedrock.requests[1].body
    assert bedrock.requests[2].path.endswith("/invoke")


async def test_settings_of_the_deployment_are_members_of_the_body(bedrock: FakeBedrock) -> None:
    settings = {
        "guardrail_id": "g1",
        "guardrail_version": "2",
        "guardrail_trace": "ENABLED",
        "service_tier": "flex",
        "latency": "optimized",
        "extra_body": {"inferenceConfig": {"topP": 0.5}, "requestMetadata": {"team": "a"}},
    }
    async with router_for(bedrock, **settings) as router:
        await router.complete(**HELLO)

    sent = bedrock.requests[0].json
    trace = {"guardrailIdentifier": "g1", "guardrailVersion": "2", "trace": "enabled"}
    assert trace == sent["guardrailConfig"]
    assert {"type": "flex"} == sent["serviceTier"]
    assert {"latency": "optimized"} == sent["performanceConfig"]
    assert {"maxTokens": 64, "topP": 0.5} == sent["inferenceConfig"]
    assert {"team": "a"} == sent["requestMetadata"]
    names = {name.lower() for name, _ in bedrock.requests[0].headers}
    assert not [name for name in names if name.startswith("x-amzn-bedrock")]


async def test_tokens_are_counted_by_bedrock_for_claude_and_estimated_for_others(
    bedrock: FakeBedrock,
) -> None:
    async with router_for(bedrock, model=CLAUDE, surface="converse") as router:
        assert 0 < await router.count_tokens(model="opus", messages=HI, tools=[READ])
    assert {"converse"} == set(bedrock.requests[-1].json["input"])
    async with router_for(bedrock) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HI)

    assert 1 == len(bedrock.requests)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(aws_error("ThrottlingException"), RateLimitedError, id="429"),
        pytest.param(aws_error("ServiceUnavailableException"), OverloadedError, id="503"),
        pytest.param(aws_error("AccessDeniedException", "no"), MisconfiguredError, id="403"),
        pytest.param(as_json({"output": {}}), FaultError, id="no-answer"),
        pytest.param(
            aws_error(
                "ValidationException",
                "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
            ),
            RejectedError,
            id="too-long",
        ),
        pytest.param(
            aws_error(
                "ValidationException",
                "The model returned the following errors: This model's maximum context length is"
                " 300000 tokens. However, your prompt has 300009 tokens.",
            ),
            RejectedError,
            id="too-long-by-figures",
        ),
    ],
)
async def test_an_error(bedrock: FakeBedrock, answer: Any, error: type[Exception]) -> None:
    bedrock.default = answer
    async with router_for(bedrock) as router:
        with pytest.raises(error) as caught:
            await router.complete(**HELLO)

    if error is RejectedError:
        # With figures, for Claude Code reads off them how much to leave out.
        assert re.search(r"prompt is too long: 30000\d tokens > 300000 maximum", str(caught.value))


EXCEPTION = encode(
    {":message-type": "exception", ":exception-type": "throttlingException"},
    b'{"message":"Too many requests, please wait before trying again."}',
)


async def test_an_exception_before_any_content_goes_to_the_next_deployment(
    bedrock: FakeBedrock,
) -> None:
    bedrock.default = events(EXCEPTION)
    with FakeUpstream() as other:
        async with router_for(bedrock, other) as router:
            assert "direct" == (await streamed(router)).deployment


async def test_an_exception_in_mid_stream_ends_it(bedrock: FakeBedrock) -> None:
    bedrock.default = text("Hello there.").fail("overloaded_error", "busy", after_events=4)
    async with router_for(bedrock) as router:
        with pytest.raises(StreamBrokenError, match="overloaded_error: busy"):
            await streamed(router)


async def test_a_strict_alias_refuses_what_would_be_lost(bedrock: FakeBedrock) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    async with router_for(bedrock, strict=True) as router:
        await router.complete(**HELLO, tools=[READ])
        with pytest.raises(llmroute.errors.UpstreamError, match="web_search left out"):
            await router.complete(**HELLO, tools=[READ, search])


async def test_what_is_lost_is_told(bedrock: FakeBedrock) -> None:
    body = Envelope.of({**HELLO, "top_k": 5})
    async with router_for(bedrock, model="meta.llama3-3-70b-instruct-v1:0") as router:
        answer = await router.send(Call(body, "opus"))

    assert ("top_k: left out: Converse does not take it",) == answer.head.losses
