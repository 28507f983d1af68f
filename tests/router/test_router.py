"""The router in process: its answers, its attempts, its errors."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import llmroute
from llmroute.testing import Clock, FakeUpstream, error, events, message, raw, text, tool_use

pytestmark = [
    pytest.mark.anyio,
    # httpx leaves its own generators to the garbage collector, which trio tells of.
    pytest.mark.filterwarnings(
        "ignore:Async generator 'http(x|core):ResourceWarning",
        r"ignore:Exception ignored in. <async_generator object Async(Response|HTTP11)\w+\.:"
        "pytest.PytestUnraisableExceptionWarning",
    ),
]

HELLO = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


def config_for(url: str, **more: Any) -> dict[str, Any]:
    anthropic = {"provider": "anthropic", "base_url": url, "api_key": "sk-canary"}
    return {
        "deployments": {
            "one": {**anthropic, "model": "claude-one"},
            "two": {**anthropic, "model": "claude-two"},
            "star": {**anthropic, "model": "claude-*"},
        },
        "aliases": {"fast": "one", "both": ["one", "two"], "anthropic/*": "star"},
        **more,
    }


class Observed:
    def __init__(self) -> None:
        self.records: list[llmroute.Record] = []

    def record(self, record: llmroute.Record) -> None:
        self.records.append(record)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param("listed", ["one", "one"], id="listed"),
        pytest.param("weighted", ["one", "two"], id="weighted"),
        pytest.param("least_busy", ["one", "two"], id="not-there-yet"),
    ],
)
async def test_deployments_of_one_alias_are_taken_by_its_strategy(
    upstream: FakeUpstream, strategy: str, expected: list[str]
) -> None:
    config = config_for(upstream.url, routing={"strategy": strategy})
    draws = iter([0.9, 0.1, 0.1, 0.9])
    async with llmroute.Router.from_dict(config, draw=lambda: next(draws)) as router:
        answers = [
            await router.complete(
                model="both", max_tokens=9, messages=[{"role": "user", "content": which}]
            )
            for which in ("One conversation.", "Another one.")
        ]

    assert expected == [answer.deployment for answer in answers]


async def test_a_whole_answer_is_a_message(upstream: FakeUpstream) -> None:
    upstream.answer(message(["One moment.", tool_use("Bash", {"command": "ls"}, id="toolu_1")]))
    async with llmroute.Router.from_dict(config_for(upstream.url)) as router:
        answer = await router.complete(model="fast", system="Be brief.", of_tomorrow=[1], **HELLO)

    assert "One moment." == answer.text
    assert [("toolu_1", "Bash", {"command": "ls"})] == [
        (use["id"], use["name"], use["input"]) for use in answer.tool_uses
    ]
    assert ("tool_use", "one", 1, "fast") == (
        answer.stop_reason,
        answer.deployment,
        answer.attempts,
        answer.model,
    )
    assert answer.usage.output_tokens > 0
    assert answer.request_id.startswith("req_")
    sent = upstream.requests[0].json
    assert ("claude-one", "Be brief.", [1]) == (sent["model"], sent["system"], sent["of_tomorrow"])


async def test_a_stream_gives_events_text_and_the_message(upstream: FakeUpstream) -> None:
    upstream.answer(text("Hello there.", deltas=3))
    async with (
        llmroute.Router.from_dict(config_for(upstream.url)) as router,
        router.stream(model="fast", **HELLO) as stream,
    ):
        pieces = [event.text async for event in stream if event.type == "content_block_delta"]
        answer = await stream.message()

    assert "Hello there." == "".join(pieces) == answer.text
    assert len(pieces) > 1
    assert ("end_turn", "one", "fast") == (answer.stop_reason, stream.deployment, answer.model)
    assert True is upstream.requests[0].json["stream"]
    assert answer.usage.output_tokens == stream.usage.output_tokens > 0


async def test_the_text_alone_can_be_streamed(upstream: FakeUpstream) -> None:
    upstream.answer(text("Hello there."))
    async with (
        llmroute.Router.from_dict(config_for(upstream.url)) as router,
        router.stream(model="fast", **HELLO) as stream,
    ):
        assert "Hello there." == "".join([piece async for piece in stream.text_stream])


async def test_leaving_a_stream_early_closes_the_upstreams_connection(
    upstream: FakeUpstream,
) -> None:
    upstream.answer(text("Hello there.").stall(after_events=3))
    observed = Observed()
    router = llmroute.Router.from_dict(config_for(upstream.url), observers=[observed])
    async with router, router.stream(model="fast", **HELLO) as stream:
        async for event in stream:
            if event.type == "content_block_start":
                break
    await upstream.requests[0].awaited_close()

    assert ["cancelled"] == [record.outcome for record in observed.records]


async def test_a_cancelled_call_closes_the_upstreams_connection(upstream: FakeUpstream) -> None:
    upstream.answer(text("Hello there.").late())
    observed = Observed()
    router = llmroute.Router.from_dict(config_for(upstream.url), observers=[observed])
    async with router, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: router.complete(model="fast", **HELLO))
        [received] = await upstream.awaited(1)
        tasks.cancel_scope.cancel()
    await received.awaited_close()

    assert [("cancelled", 499)] == [(it.outcome, it.status) for it in observed.records]


async def test_tokens_are_counted_or_estimated(upstream: FakeUpstream) -> None:
    upstream.on(
        "POST", "/v1/messages/count_tokens", raw(200, [], b'{"input_tokens":7}'), error(404)
    )
    async with llmroute.Router.from_dict(config_for(upstream.url)) as router:
        counted = await router.count_tokens(model="fast", messages=HELLO["messages"])
        estimated = await router.count_tokens(model="fast", messages=HELLO["messages"])

    assert 7 == counted
    assert estimated > 1


async def test_models_are_the_aliases_and_what_a_pattern_stands_for(
    upstream: FakeUpstream,
) -> None:
    config = config_for(upstream.url)
    config["aliases"]["secret"] = {"deployments": ["one"], "hidden": True}
    async with llmroute.Router.from_dict(config) as router:
        models = {model.id: model for model in await router.models()}

    assert {"fast", "both", "anthropic/claude-opus-5-5"} <= models.keys()
    assert "secret" not in models
    assert 1_000_000 == models["anthropic/claude-opus-5-5"].max_input_tokens


async def test_a_star_carries_what_it_matched_into_the_model(upstream: FakeUpstream) -> None:
    config = config_for(upstream.url)
    config["aliases"]["anthropic/*"] = "star"
    config["deployments"]["star"]["model"] = "*"
    async with llmroute.Router.from_dict(config) as router:
        await router.complete(model="anthropic/claude-opus-5-5", **HELLO)

    assert "claude-opus-5-5" == upstream.requests[0].json["model"]


@pytest.mark.parametrize(
    ("alias", "answers", "asked", "slept"),
    [
        pytest.param("fast", ["ok"], ["claude-one"], [], id="first-answers"),
        pytest.param("fast", [error(529), "ok"], ["claude-one"] * 2, [0.5], id="retries"),
        pytest.param(
            "both", [error(529), "ok"], ["claude-one", "claude-two"], [], id="another-first"
        ),
        pytest.param(
            "both",
            [error(529), error(529), "ok"],
            ["claude-one", "claude-two", "claude-one"],
            [0.5],
            id="retries-when-all-were-asked",
        ),
        pytest.param(
            "fast", [error(500), error(503), "ok"], ["claude-one"] * 3, [0.5, 1.0], id="backs-off"
        ),
        pytest.param(
            "fast", [error(429, retry_after=2), "ok"], ["claude-one"] * 2, [2.0], id="retry-after"
        ),
        pytest.param(
            "both",
            [error(429, retry_after=60), "ok"],
            ["claude-one", "claude-two"],
            [],
            id="too-long-to-wait",
        ),
        pytest.param(
            "both", [error(401), "ok"], ["claude-one", "claude-two"], [], id="elsewhere-at-once"
        ),
        pytest.param(
            "both",
            [events([OVERLOADED]), "ok"],
            ["claude-one", "claude-two"],
            [],
            id="error-as-first-event",
        ),
        pytest.param(
            "fast",
            [events([OVERLOADED]), "ok"],
            ["claude-one"] * 2,
            [0.5],
            id="error-as-first-event-of-the-only-one",
        ),
    ],
)
async def test_attempts(
    upstream: FakeUpstream, alias: str, answers: list[Any], asked: list[str], slept: list[float]
) -> None:
    upstream.answer(*answers)
    clock = Clock()
    router = llmroute.Router.from_dict(
        config_for(upstream.url), clock=clock.now, sleep=clock.sleep, draw=lambda: 1.0
    )
    async with router, router.stream(model=alias, **HELLO) as stream:
        answer = await stream.message()

    assert "ok" == answer.text
    assert asked == [received.json["model"] for received in upstream.requests]
    assert slept == list(clock.slept)
    assert len(asked) == answer.attempts


async def test_a_deployment_that_failed_is_left_alone_for_a_while(upstream: FakeUpstream) -> None:
    clock = Clock()
    upstream.answer(error(401))
    router = llmroute.Router.from_dict(
        config_for(upstream.url, routing={"affinity": False}),
        clock=clock.now,
        wall_clock=clock.now,
        sleep=clock.sleep,
    )
    async with router:
        await router.complete(model="both", **HELLO)
        await router.complete(model="both", **HELLO)
        clock.advance(61)
        await router.complete(model="both", **HELLO)

    assert ["claude-one", "claude-two", "claude-two", "claude-one"] == [
        received.json["model"] for received in upstream.requests
    ]


async def test_a_lone_deployment_is_never_left_alone(upstream: FakeUpstream) -> None:
    upstream.answer(error(404), "ok")
    async with llmroute.Router.from_dict(config_for(upstream.url)) as router:
        with pytest.raises(llmroute.MisconfiguredError):
            await router.complete(model="fast", **HELLO)
        answer = await router.complete(model="fast", **HELLO)

    assert "ok" == answer.text


@pytest.mark.parametrize(
    ("answers", "kind", "status", "attempts"),
    [
        pytest.param([error(400)], llmroute.RejectedError, 400, 1, id="rejected-is-final"),
        pytest.param([error(413)], llmroute.RejectedError, 413, 1, id="too-large"),
        pytest.param(
            [error(529), error(401)] + [error(529)] * 2,
            llmroute.OverloadedError,
            529,
            4,
            id="most-useful",
        ),
        pytest.param(
            [error(401), error(403)], llmroute.MisconfiguredError, 403, 2, id="last-of-its-kind"
        ),
        pytest.param(
            [error(401), error(400, message="prompt is too long")],
            llmroute.RejectedError,
            400,
            2,
            id="rejected-elsewhere",
        ),
    ],
)
async def test_when_all_fail_the_most_useful_error_is_raised(
    upstream: FakeUpstream, answers: list[Any], kind: type, status: int, attempts: int
) -> None:
    upstream.answer(*answers)
    clock = Clock()
    observed = Observed()
    router = llmroute.Router.from_dict(
        config_for(upstream.url), clock=clock.now, sleep=clock.sleep, observers=[observed]
    )
    async with router:
        with pytest.raises(kind) as caught:
            await router.complete(model="both", **HELLO)

    assert (status, attempts) == (caught.value.status, caught.value.attempts)
    assert caught.value.body in [received.sent for received in upstream.requests]
    [record] = observed.records
    assert (status, attempts) == (record.status, len(record.attempts))


async def test_retries_are_the_configurations_if_it_names_a_number(upstream: FakeUpstream) -> None:
    upstream.answer(error(529), error(529))
    config = config_for(upstream.url, routing={"retries": 0})
    async with llmroute.Router.from_dict(config) as router:
        with pytest.raises(llmroute.OverloadedError):
            await router.complete(model="fast", **HELLO)

    assert 1 == len(upstream.requests)


async def test_fallback_aliases_come_after_the_aliass_own(upstream: FakeUpstream) -> None:
    upstream.answer(error(404), "ok")
    config = config_for(upstream.url)
    config["aliases"]["fast"] = {"deployments": ["one"], "fallbacks": ["both"]}
    async with llmroute.Router.from_dict(config) as router:
        answer = await router.complete(model="fast", **HELLO)

    assert ("two", "fast") == (answer.deployment, answer.model)


# As llama.cpp's server writes it.
BARE_ERROR = events(
    [
        {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hello"},
        },
        b'event: error\ndata: {"code":500,"message":"Full.","type":"server_error"}\n\n',
    ]
)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(text("Hello there.").cut(after_events=4), id="cut"),
        pytest.param(text("Hello there.").end(after_events=4), id="ended"),
        pytest.param(text("Hello there.").fail("overloaded_error", after_events=4), id="error"),
        pytest.param(BARE_ERROR, id="bare-error"),
    ],
)
async def test_a_stream_that_breaks_raises_after_what_was_said(
    upstream: FakeUpstream, answer: Any
) -> None:
    upstream.answer(answer)
    said = []
    async with (
        llmroute.Router.from_dict(config_for(upstream.url)) as router,
        router.stream(model="fast", **HELLO) as stream,
    ):
        with pytest.raises(llmroute.StreamBrokenError) as caught:
            async for piece in stream.text_stream:
                said.append(piece)

    assert said
    assert "one" == caught.value.deployment
    assert 1 == len(upstream.requests)


async def test_a_timeout_of_the_callers_own_is_kept(upstream: FakeUpstream) -> None:
    upstream.answer(*[text("Late.").late()] * 3)
    clock = Clock()
    router = llmroute.Router.from_dict(
        config_for(upstream.url, routing={"retries": 0}), clock=clock.now, sleep=clock.sleep
    )
    async with router:
        with pytest.raises(llmroute.UnreachableError):
            await router.complete(model="fast", timeout=0.05, **HELLO)

    assert "timeout" not in upstream.requests[0].json


async def test_what_cannot_be_sent_is_refused_before_anything_is(upstream: FakeUpstream) -> None:
    async with llmroute.Router.from_dict(config_for(upstream.url)) as router:
        with pytest.raises(llmroute.InvalidRequestError):
            await router.complete(model="fast", tools=object(), **HELLO)
        with pytest.raises(llmroute.InvalidRequestError):
            await router.complete(model="", **HELLO)
        with pytest.raises(llmroute.UnknownAliasError, match="model not found: slow.*'fast'"):
            await router.complete(model="slow", **HELLO)

    assert [] == upstream.requests


async def test_no_alias_matches_a_name_that_no_model_can_have(upstream: FakeUpstream) -> None:
    config = config_for(upstream.url) | {"aliases": {"claude-*": "one"}}
    async with llmroute.Router.from_dict(config) as router:
        await router.complete(model="claude-" + "x" * 2_041, **HELLO)
        with pytest.raises(llmroute.UnknownAliasError):
            await router.complete(model="claude-" + "x" * 2_042, **HELLO)

    assert 1 == len(upstream.requests)


async def test_no_secret_is_in_an_error_or_a_repr() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = config_for(f"http://127.0.0.1:{free.getsockname()[1]}", routing={"retries": 0})
        async with llmroute.Router.from_dict(config) as router:
            with pytest.raises(llmroute.UnreachableError) as caught:
                await router.complete(model="fast", **HELLO)
            shown = repr(router) + repr(router.config) + repr(vars(router))

    assert "sk-canary" not in shown + str(caught.value) + repr(caught.value)


async def test_a_stream_is_entered_first(upstream: FakeUpstream) -> None:
    async with llmroute.Router.from_dict(config_for(upstream.url)) as router:
        stream = router.stream(model="fast", **HELLO)
        with pytest.raises(RuntimeError, match="async with"):
            await stream.message()
