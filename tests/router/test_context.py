"""What a prompt comes to and what a model holds: counted, told, and kept to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.messages.call import Call
from llmroute.messages.estimate import estimate
from llmroute.testing import (
    Clock,
    FakeBedrock,
    FakeChat,
    FakeGemini,
    FakeOpenAI,
    FakeUpstream,
    error,
    message,
    openai_error,
    text,
)
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}


NOVA = {"provider": "bedrock", "region": "us-east-1", "model": "amazon.nova-pro-v1:0"}


def long(words: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "word " * words}]


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def chat() -> Iterator[FakeChat]:
    with FakeChat() as fake:
        yield fake


def router_for(
    deployments: dict[str, dict[str, Any]],
    records: list[llmroute.Record] | None = None,
    **all_: Any,
) -> llmroute.Router:
    """Return a router whose alias `fast` has all of the deployments, in their order."""
    config = {
        "deployments": deployments,
        "aliases": {"fast": {"deployments": list(deployments), **all_.pop("fast", {})}, **all_},
    }

    class Observer:
        def record(self, record: llmroute.Record) -> None:
            if records is not None:
                records.append(record)

    return llmroute.Router.from_dict(
        config, transport=DirectTransport(), sleep=Clock().sleep, observers=[Observer()]
    )


def by_chat(chat: FakeChat, **settings: Any) -> dict[str, Any]:
    own = {"provider": "openai_compatible", "base_url": chat.url, "model": "house-model"}
    return {**own, **settings}


def by_messages(upstream: FakeUpstream, **settings: Any) -> dict[str, Any]:
    own = {"provider": "anthropic_compatible", "base_url": upstream.url, "model": "house-model"}
    return {**own, **settings}


def claude(upstream: FakeUpstream, **settings: Any) -> dict[str, Any]:
    return {"provider": "anthropic", "base_url": upstream.url, "api_key": "k", **settings}


# Before it is sent.


async def test_a_prompt_that_is_surely_too_long_is_refused_with_figures_and_not_sent(
    chat: FakeChat,
) -> None:
    records: list[llmroute.Record] = []
    async with router_for({"own": by_chat(chat, max_input_tokens=8_000)}, records) as router:
        with pytest.raises(llmroute.RejectedError) as caught:
            await router.complete(model="fast", max_tokens=9, messages=long(9_000))
        states = await router.deployments()

    told = json.loads(caught.value.body)["error"]
    assert "invalid_request_error" == told["type"]
    words, _, rest = told["message"].partition(" tokens > 8000 maximum")
    assert 9_000 < int(words.removeprefix("prompt is too long: ")) < 18_000
    assert " (estimated; it was not sent)" == rest
    assert (400, "own") == (caught.value.status, caught.value.deployment)
    assert [] == chat.requests
    assert [("refused", "own", 400)] == [(r.outcome, r.deployment, r.status) for r in records]
    assert ["ready"] == [state.state for state in states]


@pytest.mark.parametrize("words", [7_000, 5_000])
async def test_what_may_fit_is_sent(chat: FakeChat, words: int) -> None:
    async with router_for({"own": by_chat(chat, max_input_tokens=7_000)}) as router:
        await router.complete(model="fast", max_tokens=9, messages=long(words))

    assert 1 == len(chat.requests)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"extra_body": {"transforms": ["middle-out"]}}, id="it-cuts-by-itself"),
        pytest.param({"max_input_tokens": None}, id="nobody-knows-the-window"),
        pytest.param({"model": "claude-sonnet-4-5"}, id="a-claude-says-so-itself"),
    ],
)
async def test_a_long_prompt_is_sent_where_it_is_not_sure(
    chat: FakeChat, settings: dict[str, Any]
) -> None:
    own = by_chat(chat, **{"max_input_tokens": 100, **settings})
    chat.takes = frozenset({"model", "messages", "max_tokens", "transforms"})
    async with router_for({"own": own}) as router:
        await router.complete(model="fast", max_tokens=9, messages=long(9_000))

    assert 1 == len(chat.requests)


@pytest.mark.parametrize(
    ("edit", "is_sent"), [("clear_thinking_20251015", False), ("clear_tool_uses_20250919", True)]
)
async def test_a_prompt_of_which_much_may_be_left_out_is_sent(
    upstream: FakeUpstream, edit: str, is_sent: bool
) -> None:
    own = by_messages(upstream, max_input_tokens=100)
    edits = {"edits": [{"type": edit}]}
    async with router_for({"own": own}) as router:
        with contextlib.suppress(llmroute.RejectedError):
            await router.complete(
                model="fast", max_tokens=9, messages=long(9_000), context_management=edits
            )

    assert is_sent == bool(upstream.requests)


async def test_claude_gets_a_prompt_of_any_length_as_it_came(upstream: FakeUpstream) -> None:
    async with router_for({"own": claude(upstream, max_input_tokens=100)}) as router:
        await router.complete(model="fast", max_tokens=9, messages=long(9_000))

    assert 1 == len(upstream.requests)


async def test_a_longer_window_of_the_same_alias_answers(
    chat: FakeChat, upstream: FakeUpstream
) -> None:
    deployments = {
        "small": by_chat(chat, max_input_tokens=8_000),
        "large": by_messages(upstream, max_input_tokens=80_000),
    }
    async with router_for(deployments) as router:
        short = await router.complete(model="fast", **HELLO)
        long_ = await router.complete(model="fast", max_tokens=9, messages=long(9_000))

    assert ("small", "large") == (short.deployment, long_.deployment)
    assert (1, 1) == (len(chat.requests), len(upstream.requests))


async def test_where_only_the_upstream_knows_the_longer_window_is_asked_next(
    chat: FakeChat, upstream: FakeUpstream
) -> None:
    deployments = {
        "small": by_chat(chat, max_input_tokens=8_000),
        "as-small": by_chat(chat, max_input_tokens=8_000),
        "large": by_messages(upstream, max_input_tokens=80_000),
    }
    chat.answer(openai_error(400, "Too much.", code="context_length_exceeded"))
    async with router_for(deployments) as router:
        answer = await router.complete(model="fast", max_tokens=9, messages=long(7_000))

    assert "large" == answer.deployment
    assert (1, 1) == (len(chat.requests), len(upstream.requests))


async def test_another_alias_stands_by_for_prompts_that_are_too_long(
    chat: FakeChat, upstream: FakeUpstream
) -> None:
    config = {
        "deployments": {
            "small": by_chat(chat, max_input_tokens=8_000),
            "large": by_messages(upstream),
        },
        "aliases": {
            "fast": {"deployments": ["small"], "when_too_long": "roomy"},
            "roomy": "large",
        },
    }
    async with llmroute.Router.from_dict(config, transport=DirectTransport()) as router:
        answer = await router.complete(model="fast", max_tokens=9, messages=long(9_000))

    assert "large" == answer.deployment
    assert [] == chat.requests


# What upstreams say of it.


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_upstreams_refusal_gets_figures_where_it_has_none(
    chat: FakeChat, streamed: bool
) -> None:
    chat.answer(openai_error(400, "Too much.", code="context_length_exceeded"))
    call: dict[str, Any] = {"model": "fast", "max_tokens": 9, "messages": long(7_000)}
    async with router_for({"own": by_chat(chat, max_input_tokens=7_000)}) as router:
        with pytest.raises(llmroute.RejectedError) as caught:
            if streamed:
                async with router.stream(**call) as stream:
                    await stream.message()
            else:
                await router.complete(**call)

    told = json.loads(caught.value.body)["error"]["message"]
    figure, _, rest = told.removeprefix("prompt is too long: ").partition(" tokens > 7000 maximum")
    assert 7_000 < int(figure) < 14_000
    assert "Too much." in rest
    assert told in str(caught.value)


async def test_an_upstreams_own_figures_stand(chat: FakeChat) -> None:
    said = "This model's maximum context length is 9000 tokens. Your messages resulted in 9500."
    chat.answer(openai_error(400, said, code="context_length_exceeded"))
    async with router_for({"own": by_chat(chat, max_input_tokens=8_000)}) as router:
        with pytest.raises(llmroute.RejectedError, match="too long: 9500 tokens > 9000 maximum"):
            await router.complete(model="fast", **HELLO)


async def test_claudes_own_error_stays_its_bytes(upstream: FakeUpstream) -> None:
    upstream.answer(error(400, message="prompt is too long"))
    async with router_for({"own": claude(upstream, model="claude-sonnet-5")}) as router:
        with pytest.raises(llmroute.RejectedError) as caught:
            await router.complete(model="fast", **HELLO)

    assert upstream.requests[0].sent == caught.value.body


# How long the answer may be.


@pytest.mark.parametrize(
    ("settings", "place", "longest"),
    [
        pytest.param(
            {"provider": "openai", "model": "gpt-4.1"},
            ("max_output_tokens",),
            32_768,
            id="responses",
        ),
        pytest.param(
            {"provider": "openai", "model": "gpt-4.1", "api": "chat"},
            ("max_completion_tokens",),
            32_768,
            id="openai-chat",
        ),
        pytest.param(
            {"provider": "gemini", "model": "gemini-2.5-pro"},
            ("generationConfig", "maxOutputTokens"),
            65_536,
            id="gemini",
        ),
        pytest.param(
            NOVA,
            ("inferenceConfig", "maxTokens"),
            10_000,
            id="converse",
        ),
        pytest.param(
            {"provider": "zai", "model": "glm-4.5-air"}, ("max_tokens",), 98_304, id="messages"
        ),
        pytest.param(
            {"provider": "openrouter", "model": "openai/gpt-4.1", "api": "chat"},
            ("max_tokens",),
            32_768,
            id="a-vendors-chat",
        ),
    ],
)
async def test_an_answer_is_asked_for_no_longer_than_the_model_gives(
    settings: dict[str, Any], place: tuple[str, ...], longest: int
) -> None:
    async with router_for({"own": {"api_key": "k", **settings}}) as router:
        call = Call(Envelope.of({**HELLO, "model": "fast", "max_tokens": 128_000}), "fast")
        [prospect] = (await router.explain(call)).prospects
        models = await router.models()

    assert prospect.changes is not None
    sent = json.loads(prospect.body)
    for name in place:
        sent = sent[name]
    assert longest == sent
    assert [True] == [str(longest) in each for each in prospect.changes.losses if "max_tok" in each]
    assert [longest] == [model.max_tokens for model in models]


# Counting.


async def test_an_estimate_is_that_of_the_model_that_will_answer(
    chat: FakeChat, upstream: FakeUpstream
) -> None:
    messages = [{"role": "user", "content": "One two three four five. " * 100}]
    upstream.on("POST", "/v1/messages/count_tokens", error(404))
    deployments = {"gpt": by_chat(chat, model="gpt-5.2"), "native": claude(upstream)}
    config = {
        "deployments": deployments,
        "aliases": {"gpt": "gpt", "claude-opus-5": "native", "both": ["gpt", "native"]},
    }
    async with llmroute.Router.from_dict(config, transport=DirectTransport()) as router:
        counts = [
            await router.count_tokens(model=each, messages=messages)
            for each in ("gpt", "claude-opus-5")
        ]

    assert counts[0] * 1.2 < counts[1]
    assert estimate({"messages": messages}) == counts[1]


@pytest.mark.parametrize("streamed", [False, True])
async def test_answers_that_count_more_raise_the_next_estimates(
    chat: FakeChat, streamed: bool
) -> None:
    call: dict[str, Any] = {"model": "fast", "messages": long(2_000)}
    async with router_for({"own": by_chat(chat)}) as router:
        before = await router.count_tokens(**call)
        truth = before * 3 // 2
        for _ in range(6):
            chat.answer(text("Yes.", usage={"input_tokens": truth, "output_tokens": 2}))
            if streamed:
                async with router.stream(**call, max_tokens=9) as stream:
                    await stream.message()
            else:
                await router.complete(**call, max_tokens=9)
        after = await router.count_tokens(**call)

    assert 0.97 * truth <= after <= 1.01 * truth


async def test_answers_that_do_not_count_teach_nothing(chat: FakeChat) -> None:
    call: dict[str, Any] = {"model": "fast", "messages": long(2_000)}
    async with router_for({"own": by_chat(chat)}) as router:
        before = await router.count_tokens(**call)
        chat.answer(text("Yes.", usage={"input_tokens": 0, "output_tokens": 2}))
        answer = await router.complete(**call, max_tokens=9)
        after = await router.count_tokens(**call)

    assert before == after == answer.usage.input_tokens


@pytest.fixture(params=["chat", "responses", "gemini", "converse"])
def translated(request: pytest.FixtureRequest) -> Iterator[tuple[Any, dict[str, Any]]]:
    """An upstream of a format that is no Messages, and a deployment of it."""
    fakes: dict[str, tuple[Any, dict[str, Any], str]] = {
        "chat": (FakeChat, {"provider": "openai_compatible", "model": "m"}, ""),
        "responses": (FakeOpenAI, {"provider": "openai", "model": "gpt-5.2"}, "/v1"),
        "gemini": (FakeGemini, {"provider": "gemini", "model": "gemini-2.5-pro"}, ""),
        "converse": (lambda: FakeBedrock(api_key="k"), NOVA, ""),
    }
    made, settings, path = fakes[request.param]
    with made() as fake:
        key = getattr(fake, "api_key", "k")
        yield fake, {**settings, "base_url": fake.url + path, "api_key": key}


async def test_a_stream_begins_with_the_estimate_and_ends_with_the_truth(
    translated: tuple[Any, dict[str, Any]],
) -> None:
    fake, settings = translated
    records: list[llmroute.Record] = []
    fake.answer(message(["Yes."], usage={"input_tokens": 2_345, "output_tokens": 2}))
    async with router_for({"own": settings}, records) as router:
        counted = await router.count_tokens(model="fast", messages=long(2_000))
        async with router.stream(model="fast", max_tokens=9, messages=long(2_000)) as stream:
            events = [event async for event in stream]

    begun = events[0].data["message"]["usage"]["input_tokens"]
    assert begun == 2_345 or 1_900 < begun < 3_000
    assert counted > 1_900
    assert (
        2_345 == next(e for e in events if e.type == "message_delta").data["usage"]["input_tokens"]
    )
    assert 2_345 == records[-1].usage.input_tokens


# What clients are told.


@pytest.mark.parametrize(
    ("deployments", "settings", "window", "longest"),
    [
        pytest.param(["gpt"], {}, 272_000, 128_000, id="openai"),
        pytest.param(["gemini"], {}, 1_048_576, 65_536, id="gemini"),
        pytest.param(["claude"], {}, 200_000, 64_000, id="claude"),
        pytest.param(["kimi"], {}, 262_144, None, id="a-vendors"),
        pytest.param(["house"], {}, None, None, id="nobody-knows"),
        pytest.param(["told"], {}, 32_000, 4_000, id="told"),
        pytest.param(["gpt", "told"], {}, 272_000, 128_000, id="the-first-of-a-list"),
        pytest.param(
            ["gpt", "told"], {"strategy": "least_busy"}, 32_000, 4_000, id="the-least-of-equals"
        ),
        pytest.param(["gpt"], {"max_input_tokens": 9_000}, 9_000, 128_000, id="the-aliass-own"),
    ],
)
async def test_the_list_of_models_says_what_fits_in(
    deployments: list[str], settings: dict[str, Any], window: int | None, longest: int | None
) -> None:
    house = {"provider": "openai_compatible", "base_url": "http://house.example/v1"}
    config = {
        "deployments": {
            "gpt": {"provider": "openai", "model": "gpt-5.2", "api_key": "k"},
            "gemini": {"provider": "gemini", "model": "gemini-3-pro", "api_key": "k"},
            "claude": {"provider": "anthropic", "model": "claude-haiku-4-5", "api_key": "k"},
            "kimi": {"provider": "moonshot", "model": "kimi-k2.5", "api_key": "k"},
            "house": {**house, "model": "house-model"},
            "told": {
                **house,
                "model": "m",
                "max_input_tokens": 32_000,
                "max_tokens_limit": 4_000,
            },
        },
        "aliases": {"claude-opus-5": {"deployments": deployments, **settings}},
    }
    async with llmroute.Router.from_dict(config, transport=DirectTransport()) as router:
        [model] = await router.models()

    assert (window, longest) == (model.max_input_tokens, model.max_tokens)
