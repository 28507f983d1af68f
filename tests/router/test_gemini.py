"""The router in front of Gemini: answers, tools, signatures that come back, errors, counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.errors import MisconfiguredError, RejectedError
from llmroute.messages.call import Call
from llmroute.testing import (
    Clock,
    FakeGemini,
    FakeUpstream,
    events,
    google_error,
    message,
    text,
    thinking,
    tool_use,
)
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

READ = {"name": "read", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
HELLO: dict[str, Any] = {"model": "opus", "max_tokens": 64, "messages": HI}
USE = message([thinking("Both."), "I look.", tool_use("read", {"a": "x"}), tool_use("read")])


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


def router_for(
    gemini: FakeGemini, other: FakeUpstream | None = None, **settings: Any
) -> llmroute.Router:
    google = {
        "provider": "gemini",
        "base_url": gemini.url,
        "model": "gemini-3-pro-preview",
        "api_key": "fake-key",
        **settings,
    }
    if "surface" in settings:
        del google["api_key"]
    deployments: dict[str, Any] = {"google": google}
    if other is not None:
        deployments["direct"] = {"provider": "anthropic", "base_url": other.url, "api_key": "k"}
    config = {"deployments": deployments, "aliases": {"opus": list(deployments)}}
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


async def test_a_whole_answer(gemini: FakeGemini) -> None:
    async with router_for(gemini) as router:
        answer = await router.complete(**HELLO)

    assert ("opus", "google") == (answer.model, answer.deployment)
    assert "Hello! What can I do for you?" == answer.text
    assert 6 == answer.usage.output_tokens


@pytest.mark.parametrize("surface", ["ai_studio", "vertex"])
async def test_a_turn_with_tools_whose_signature_comes_back(
    gemini: FakeGemini, surface: str
) -> None:
    settings: dict[str, Any] = {}
    if surface == "vertex":
        settings = {"surface": "vertex", "credentials": gemini.service_account()}
    gemini.answer(USE, "Done.")
    async with router_for(gemini, **settings) as router:
        async with router.stream(**HELLO, tools=[READ]) as stream:
            first = await stream.message()
        results = [
            {"type": "tool_result", "tool_use_id": use["id"], "content": "x"}
            for use in first.tool_uses
        ]
    # A restart in between: nothing but the conversation is kept.
    async with router_for(gemini, **settings) as router:
        second = await router.complete(
            **{**HELLO, "tools": [READ]}
            | {
                "messages": [
                    *HI,
                    {"role": "assistant", "content": first.data["content"]},
                    {"role": "user", "content": results},
                ]
            }
        )

    kinds = [block["type"] for block in first.data["content"]]
    assert ["thinking", "text", "thinking", "tool_use", "tool_use"] == kinds
    assert "tool_use" == first.stop_reason
    assert "Done." == second.text
    model = gemini.requests[-1].json["contents"][1]["parts"]
    assert next(iter(gemini.signed)) == model[1]["thoughtSignature"]


async def test_signatures_that_are_refused_are_left_out(gemini: FakeGemini) -> None:
    gemini.answer(USE, "Done.")
    async with router_for(gemini) as router:
        first = await router.complete(**HELLO, tools=[READ])
        gemini.signed.clear()
        results = [
            {"type": "tool_result", "tool_use_id": use["id"], "content": "x"}
            for use in first.tool_uses
        ]
        turn = [
            *HI,
            {"role": "assistant", "content": first.data["content"]},
            {"role": "user", "content": results},
        ]
        second = await router.complete(model="opus", max_tokens=64, messages=turn, tools=[READ])

    assert "Done." == second.text
    assert b"skip_thought_signature_validator" in gemini.requests[-1].body


async def test_what_gemini_thought_does_not_reach_claude(gemini: FakeGemini) -> None:
    gemini.answer(thinking("Hm.", then="Hello."), google_error(503, "overloaded"))
    with FakeUpstream() as other:
        async with router_for(gemini, other) as router:
            first = await router.complete(**HELLO)
            turn = [
                *HI,
                {"role": "assistant", "content": first.data["content"]},
                {"role": "user", "content": "And?"},
            ]
            second = await router.complete(model="opus", max_tokens=64, messages=turn)

        assert "direct" == second.deployment
        assert b"llmr1." not in other.requests[-1].body


async def test_tokens_are_counted_upstream(gemini: FakeGemini) -> None:
    async with router_for(gemini) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HI)

    assert gemini.requests[-1].path.endswith(":countTokens")


async def test_a_wrong_key_is_the_deployments_fault(gemini: FakeGemini) -> None:
    async with router_for(gemini, api_key="canary") as router:
        with pytest.raises(MisconfiguredError) as caught:
            await router.complete(**HELLO)

    assert 401 == caught.value.status
    assert "canary" not in str(caught.value)


async def test_a_prompt_that_is_too_long(gemini: FakeGemini) -> None:
    said = "The input token count (9) exceeds the maximum number of tokens allowed (8)."
    gemini.answer(google_error(400, said))
    async with router_for(gemini) as router:
        with pytest.raises(RejectedError, match="prompt is too long: 9 tokens > 8 maximum"):
            await router.complete(**HELLO)


@pytest.mark.parametrize(
    "failed",
    [
        pytest.param(google_error(503, "The model is overloaded."), id="status"),
        pytest.param(events(b'data: {"error": {"code": 500, "message": "no"}}\n\n'), id="event"),
        pytest.param(
            events(b'data: {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}\n\n'),
            id="gave-up",
        ),
        pytest.param(events(b""), id="nothing"),
    ],
)
async def test_what_fails_before_it_begins_is_answered_elsewhere(
    gemini: FakeGemini, failed: Any
) -> None:
    gemini.default = failed
    with FakeUpstream() as other:
        async with router_for(gemini, other) as router, router.stream(**HELLO) as stream:
            answer = await stream.message()

    assert "direct" == answer.deployment


async def test_a_refusal(gemini: FakeGemini) -> None:
    gemini.answer(message("I", stop_reason="refusal"))
    async with router_for(gemini) as router:
        answer = await router.complete(**HELLO)

    assert "refusal" == answer.stop_reason


async def test_unicode_a_byte_at_a_time(gemini: FakeGemini) -> None:
    gemini.answer(text("Grüße, 世界 🌍").bytewise())
    async with router_for(gemini) as router, router.stream(**HELLO) as stream:
        answer = await stream.message()

    assert "Grüße, 世界 🌍" == answer.text


async def test_what_would_be_sent_is_explained(gemini: FakeGemini) -> None:
    call = Call(Envelope.of(HELLO), "opus")
    async with router_for(gemini, api_key="canary", model="gemini-2.5-pro") as router:
        prospect = (await router.explain(call)).prospects[0]

    assert ("x-goog-api-key", "••••") in prospect.headers
    assert b"generationConfig" in prospect.body
    assert prospect.cost is None or prospect.cost.answer is not None
    assert "canary" not in repr(prospect)
