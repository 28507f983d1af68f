"""The router in front of Bedrock: signed, framed, renewed, and given up for another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmroute
from llmroute.messages.call import Call
from llmroute.testing import (
    Clock,
    FakeBedrock,
    FakeSts,
    FakeUpstream,
    aws_error,
    error,
    events,
    message,
    text,
    thinking,
    tool_use,
)
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
CAPTURES = Path(__file__).parent.parent / "platforms" / "captures"
KEYS = {"access_key_id": "AKIAFAKE", "secret_access_key": "fake-secret"}


@pytest.fixture(autouse=True, scope="module")
def _models_are_built() -> None:
    """Use pydantic once before the tests: it reads files when it is first used."""
    with FakeBedrock() as fake:
        router_for(fake)


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def anthropic() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


def router_for(
    bedrock: FakeBedrock, other: FakeUpstream | None = None, **settings: Any
) -> llmroute.Router:
    amazon = {
        "provider": "bedrock",
        "base_url": bedrock.url,
        "region": bedrock.region,
        "model": "us.anthropic.claude-opus-5-5",
        **(settings or KEYS),
    }
    deployments: dict[str, Any] = {"amazon": amazon}
    if other is not None:
        deployments["direct"] = {"provider": "anthropic", "base_url": other.url, "api_key": "k"}
    config = {"deployments": deployments, "aliases": {"opus": list(deployments)}}
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


async def test_a_whole_answer_bears_the_name_that_was_asked_for(bedrock: FakeBedrock) -> None:
    bedrock.answer(message(["Let me look.", tool_use("Bash", {"command": "ls"}, id="toolu_1")]))
    async with router_for(bedrock) as router:
        answer = await router.complete(model="opus", **HELLO)

    assert ("opus", "amazon", "tool_use") == (answer.model, answer.deployment, answer.stop_reason)
    assert "Let me look." == answer.text
    assert bedrock.requests[0].path.endswith("/model/us.anthropic.claude-opus-5-5/invoke")
    assert answer.request_id.startswith("req_")


async def test_a_stream_is_the_one_anthropic_would_send(
    bedrock: FakeBedrock, anthropic: FakeUpstream
) -> None:
    said = thinking("A list.", then=tool_use("Bash", {"command": "ls"}, id="toolu_1"))
    found = []
    for upstream, alone in ((bedrock, router_for(bedrock)), (anthropic, None)):
        upstream.answer(said)
        router = alone or llmroute.Router.from_dict(
            {
                "deployments": {
                    "a": {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
                },
                "aliases": {"opus": "a"},
            },
            transport=DirectTransport(),
        )
        async with router, router.stream(model="opus", **HELLO) as stream:
            found.append([event.data async for event in stream if event.type != "ping"])

    assert found[1] == found[0]
    assert "message_stop" == found[0][-1]["type"]


async def test_tokens_are_counted_upstream_or_estimated(
    bedrock: FakeBedrock, anthropic: FakeUpstream
) -> None:
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    async with router_for(bedrock) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])
    assert bedrock.requests[-1].path.endswith("/model/anthropic.claude-opus-5-5/count-tokens")

    async with router_for(bedrock, anthropic, **KEYS, model=profile) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])
        answer = await router.complete(model="opus", **HELLO)
    assert 2 == len(bedrock.requests)
    # That it cannot count is no reason to leave it alone.
    assert "amazon" == answer.deployment


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(error(429), id="throttled"),
        pytest.param(aws_error("ServiceQuotaExceededException", "quota"), id="quota"),
        pytest.param(
            aws_error("ValidationException", "The provided model identifier is invalid."),
            id="model",
        ),
        pytest.param(aws_error("AccessDeniedException", "no access"), id="denied"),
        pytest.param(
            text("Hi").fail("rate_limit_error", "Slow down", after_events=0), id="first-frame"
        ),
    ],
)
async def test_before_the_first_event_another_deployment_answers(
    bedrock: FakeBedrock, anthropic: FakeUpstream, refusal: llmroute.testing.Answer
) -> None:
    bedrock.default = refusal
    async with (
        router_for(bedrock, anthropic) as router,
        router.stream(model="opus", **HELLO) as stream,
    ):
        answer = await stream.message()

    assert "direct" == answer.deployment


async def test_after_the_first_content_an_exception_ends_the_answer(
    bedrock: FakeBedrock, anthropic: FakeUpstream
) -> None:
    bedrock.answer(text("Hello").fail("modelStreamErrorException", "It broke", after_events=4))
    async with router_for(bedrock, anthropic) as router:
        with pytest.raises(llmroute.UpstreamError, match="It broke"):
            async with router.stream(model="opus", **HELLO) as stream:
                await stream.message()

    assert [] == anthropic.requests


async def test_a_damaged_frame_breaks_the_answer_off(bedrock: FakeBedrock) -> None:
    started = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
    # A beginning that cannot be read may be made again.
    bedrock.answer(*[events([started, b"not a frame at all"])] * 3)
    async with router_for(bedrock) as router:
        with pytest.raises(llmroute.StreamBrokenError, match="damaged"):
            async with router.stream(model="opus", **HELLO) as stream:
                await stream.message()


async def test_credentials_that_expire_in_mid_session_are_renewed(bedrock: FakeBedrock) -> None:
    with FakeSts(bedrock) as sts:
        role = {
            **KEYS,
            "role_arn": "arn:aws:iam::123456789012:role/gateway",
            "sts_endpoint": sts.url,
        }
        async with router_for(bedrock, **role) as router:
            first = await router.complete(model="opus", **HELLO)
            bedrock.keys["ASIAFAKE1"] = bedrock.keys["ASIAFAKE1"]._replace(expires=1.0)
            # As if they had been fetched a minute ago.
            router._dispatcher.house.targets["amazon"]._credential._fetched -= 60
            second = await router.complete(model="opus", **HELLO)

    assert (1, 1) == (first.attempts, second.attempts)
    assert ["ASIAFAKE1", "ASIAFAKE2"] == bedrock.signers


async def test_a_prompt_that_is_too_long_is_said_in_the_words_claude_code_knows(
    bedrock: FakeBedrock, anthropic: FakeUpstream
) -> None:
    bedrock.answer(aws_error("ValidationException", "Input is too long for requested model."))
    async with router_for(bedrock, anthropic) as router:
        with pytest.raises(llmroute.RejectedError, match="prompt is too long"):
            await router.complete(model="opus", **HELLO)

    assert [] == anthropic.requests


async def test_what_bedrock_does_not_take_is_left_out_and_said(bedrock: FakeBedrock) -> None:
    given: dict[str, Any] = {
        **HELLO,
        "service_tier": "auto",
        "system": [
            {
                "type": "text",
                "text": "Be brief.",
                "cache_control": {"type": "ephemeral", "scope": "global"},
            }
        ],
        "tools": [{"name": "Bash", "input_schema": {"type": "object"}, "defer_loading": True}],
        "headers": {"anthropic-beta": "claude-code-20250219,advanced-tool-use-2025-11-20"},
    }
    records: list[llmroute.Record] = []

    class Observer:
        def record(self, record: llmroute.Record) -> None:
            records.append(record)

    async with router_for(bedrock) as router:
        router.observers.append(Observer())
        answer = await router.complete(model="opus", **given)

    assert "amazon" == answer.deployment
    assert ["tool-search-tool-2025-10-19"] == bedrock.requests[0].json["anthropic_beta"]
    assert [
        "anthropic-beta claude-code-20250219",
        "anthropic-beta advanced-tool-use-2025-11-20",
    ] == [loss.partition(":")[0] for loss in records[0].losses if loss.startswith("anthropic-beta")]
    assert {"service_tier", "cache_control.scope"} <= {
        loss.partition(":")[0] for loss in records[0].losses
    }


@pytest.mark.parametrize(
    "model", ["us.anthropic.claude-opus-5-5", "anthropic.claude-haiku-4-5-20251001-v1:0"]
)
async def test_every_request_of_claude_code_is_taken(bedrock: FakeBedrock, model: str) -> None:
    captures = [
        request
        for file in sorted(CAPTURES.glob("*.json"))
        for request in json.loads(file.read_text("utf-8"))
        if request["path"].startswith("/v1/messages")
    ]
    assert len(captures) > 30
    refused = []
    async with router_for(bedrock, **KEYS, model=model) as router:
        for request in captures:
            body = Envelope.of({"max_tokens": 64, **request["body"], "model": "opus"})
            headers = [(b"anthropic-beta", value.encode()) for value in request["betas"]]
            call = Call(body, "opus", stream=body.is_true("stream"), headers=headers)
            try:
                answer = await router.send(call)
            except llmroute.UpstreamError as error:
                refused.append(str(error))
            else:
                await answer.aclose()

    assert [] == refused


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        pytest.param(
            "/anthropic",
            {"surface": "messages", "model": "anthropic.claude-opus-5-5"},
            id="messages",
        ),
        pytest.param(
            "",
            {
                "surface": "claude_platform",
                "model": "claude-opus-5-5",
                "workspace_id": "wrkspc_fake",
            },
            id="claude-platform",
        ),
    ],
)
async def test_the_messages_api_at_amazon_is_signed_for_its_own_service(
    bedrock: FakeBedrock, path: str, settings: dict[str, Any]
) -> None:
    given = {**KEYS, **settings, "base_url": bedrock.url + path}
    beta = {"anthropic-beta": "claude-code-20250219", "user-agent": "claude-cli/2"}
    async with router_for(bedrock, **given) as router:
        whole = await router.complete(model="opus", headers=beta, **HELLO)
        async with router.stream(model="opus", headers=beta, **HELLO) as stream:
            streamed = await stream.message()
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])

    assert ("opus", whole.text) == (streamed.model, streamed.text)
    assert ["AKIAFAKE"] * 3 == bedrock.signers
    assert f"{path}/v1/messages" == bedrock.requests[0].path
