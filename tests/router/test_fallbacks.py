"""Other aliases: when all of an alias's own fail, when a prompt is too long, when it is refused."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.router.conftest import House

import llmroute
from llmroute.testing import FakeUpstream, error, message, text
from llmroute.transport import Reply
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

TOO_LONG = error(400, message="prompt is too long: 210000 tokens > 200000 maximum")
FILTERED = error(400, message="Output blocked by content filtering policy")
REFUSAL = message([], stop_reason="refusal")
ALONE = {"deployments": ["east"]}


def spared(house: House, **sonnet: Any) -> dict[str, Any]:
    """Return a configuration in which `sonnet` is `east` alone, and `spare` is `west`."""
    return house.config(sonnet={**ALONE, **sonnet}, aliases={"spare": "west"})


async def test_a_primary_that_cools_is_passed_over_for_the_fallback(house: House) -> None:
    house.east.answer(error(401))
    async with house.router(spared(house, fallbacks=["spare"])) as router:
        first = await house.ask(router, "One")
        second = await house.ask(router, "Two")
        house.clock.advance(61)
        third = await house.ask(router, "Three")

    assert [("west", 2), ("west", 1), ("east", 1)] == [
        (answer.deployment, answer.attempts) for answer in (first, second, third)
    ]
    assert "sonnet" == second.model


async def test_one_that_cools_is_asked_when_nobody_else_answers(house: House) -> None:
    house.east.answer(error(401))
    house.west.answer("From the west.", error(403))
    async with house.router(spared(house, fallbacks=["spare"])) as router:
        await house.ask(router, "One")
        second = await house.ask(router, "Two")

    assert ("east", 2) == (second.deployment, second.attempts)


async def test_the_fallbacks_of_a_fallback_have_their_turn(house: House) -> None:
    with FakeUpstream() as south:
        config = house.config(
            sonnet={**ALONE, "fallbacks": ["second"]},
            aliases={
                "second": {"deployments": ["west"], "fallbacks": ["third"]},
                "third": "south",
            },
        )
        config["deployments"]["south"] = house.deployment(south)
        house.east.answer(error(401))
        house.west.answer(error(404))
        async with house.router(config) as router:
            answer = await house.ask(router)

    assert ("south", 3) == (answer.deployment, answer.attempts)


async def test_fallbacks_that_lead_back_end(house: House) -> None:
    config = house.config(
        sonnet={**ALONE, "fallbacks": ["second"]},
        aliases={"second": {"deployments": ["west"], "fallbacks": ["sonnet"]}},
    )
    house.east.answer(error(401))
    house.west.answer(error(403))
    async with house.router(config) as router:
        with pytest.raises(llmroute.MisconfiguredError):
            await house.ask(router)

    assert (1, 1) == house.asked


@pytest.mark.parametrize(
    ("setting", "refusal", "note"),
    [
        pytest.param("when_too_long", TOO_LONG, "too long", id="too-long"),
        pytest.param("when_refused", FILTERED, "refused", id="filtered"),
        pytest.param("when_refused", REFUSAL, "refused", id="refusal"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_another_alias_answers_what_this_one_does_not(
    house: House, setting: str, refusal: Any, note: str, streamed: bool
) -> None:
    house.east.answer(refusal)
    async with house.router(spared(house, **{setting: "spare"})) as router:
        if streamed:
            call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
            async with router.stream(model="sonnet", **call) as stream:
                answer = await stream.message()
        else:
            answer = await house.ask(router)

    assert ("From the west.", "west", "sonnet") == (answer.text, answer.deployment, answer.model)
    [record] = house.records
    assert ("answered", "west", [note, "falls back to spare"]) == (
        record.outcome,
        record.deployment,
        record.why,
    )
    assert ["east", "west"] == [attempt.deployment for attempt in record.attempts]
    assert [0, 0] == [state.busy for state in await router.deployments()]


async def test_a_streamed_refusal_is_noticed_however_it_arrives(house: House) -> None:
    house.east.answer(REFUSAL.bytewise())
    call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    async with (
        house.router(spared(house, when_refused="spare")) as router,
        router.stream(model="sonnet", **call) as stream,
    ):
        assert "From the west." == (await stream.message()).text


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("after", [error(401), error(400)], ids=["refused-key", "rejected"])
async def test_a_refusal_is_handed_on_if_nobody_does_better(
    house: House, streamed: bool, after: Any
) -> None:
    house.east.answer(REFUSAL)
    house.west.answer(after)
    async with house.router(spared(house, when_refused="spare")) as router:
        if streamed:
            call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
            async with router.stream(model="sonnet", **call) as stream:
                answer = await stream.message()
        else:
            answer = await house.ask(router)

    assert ("refusal", "east") == (answer.stop_reason, answer.deployment)
    assert [("answered", "east")] == [(it.outcome, it.deployment) for it in house.records]


@pytest.mark.parametrize(
    ("setting", "refusal"),
    [
        pytest.param("when_too_long", TOO_LONG, id="too-long"),
        pytest.param("when_refused", FILTERED, id="filtered"),
    ],
)
async def test_the_error_is_handed_on_if_nobody_does_better(
    house: House, setting: str, refusal: Any
) -> None:
    house.east.answer(refusal)
    house.west.answer(*[error(529)] * 3)
    async with house.router(spared(house, **{setting: "spare"})) as router:
        with pytest.raises(llmroute.RejectedError) as caught:
            await house.ask(router)

    assert "east" == caught.value.deployment
    assert house.east.requests[0].sent == caught.value.body


class _Lingering:
    """A reply that takes until it is told to be let go of."""

    def __init__(self, reply: Reply, closing: anyio.Event, closed: anyio.Event) -> None:
        self.status, self.headers = reply.status, reply.headers
        self.receive = reply.receive
        self._reply, self._closing, self._closed = reply, closing, closed

    async def aclose(self) -> None:
        await self._reply.aclose()
        self._closing.set()
        await self._closed.wait()


async def test_no_answer_is_left_open_when_the_caller_goes_away_while_a_refusal_is_closed(
    house: House,
) -> None:
    closing, closed = anyio.Event(), anyio.Event()

    class Transport(DirectTransport):
        async def send(self, method: str, url: str, *rest: Any) -> Reply:
            reply = await super().send(method, url, *rest)
            return _Lingering(reply, closing, closed) if url.startswith(house.east.url) else reply

    house.east.answer(REFUSAL)
    call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    config = spared(house, when_refused="spare")
    async with house.router(config, transport=Transport()) as router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.stream(model="sonnet", **call).__aenter__)
            with anyio.fail_after(5):
                await closing.wait()
            tasks.cancel_scope.cancel()
        assert [0, 0] == [state.busy for state in await router.deployments()]


async def test_the_second_refusal_is_the_answer(house: House) -> None:
    house.east.answer(REFUSAL)
    house.west.answer(REFUSAL)
    async with house.router(spared(house, when_refused="spare")) as router:
        answer = await house.ask(router)

    assert ("refusal", "west") == (answer.stop_reason, answer.deployment)
    assert 1 == len(house.records)


async def test_a_refusal_is_an_answer_where_nothing_else_is_configured(house: House) -> None:
    house.east.answer(REFUSAL)
    async with house.router() as router:
        answer = await house.ask(router)

    assert ("refusal", "east") == (answer.stop_reason, answer.deployment)
    assert (1, 0) == house.asked


async def test_too_long_for_one_alias_is_not_too_long_for_the_deployment(house: House) -> None:
    house.east.answer(TOO_LONG)
    async with house.router() as router:
        with pytest.raises(llmroute.RejectedError, match="prompt is too long"):
            await house.ask(router)
        assert ["ready", "ready"] == [state.state for state in await router.deployments()]

    assert (1, 0) == house.asked


BROKEN_EARLY = [
    pytest.param(text("No.").fail(after_events=0), id="error-first"),
    pytest.param(text("No.").fail(after_events=1), id="error-after-the-start"),
    pytest.param(text("No.").fail(after_events=3), id="error-after-an-empty-block"),
    pytest.param(text("No.").end(after_events=1), id="end"),
    pytest.param(text("No.").cut(after_events=1), id="cut"),
    pytest.param(text("No.").cut(after_events=1, reset=True), id="reset"),
    pytest.param(text("No.").drop(), id="dropped"),
]


@pytest.mark.parametrize("broken", BROKEN_EARLY)
async def test_a_stream_that_breaks_before_any_content_is_anothers_to_answer(
    house: House, broken: Any
) -> None:
    house.east.answer(broken)
    call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    async with house.router() as router, router.stream(model="sonnet", **call) as stream:
        answer = await stream.message()

    assert ("From the west.", "west", 2) == (answer.text, answer.deployment, answer.attempts)
    assert ["answered"] == [record.outcome for record in house.records]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(text("Said.").fail(after_events=4), id="error"),
        pytest.param(text("Said.").end(after_events=4), id="end"),
        pytest.param(text("Said.").cut(after_events=4), id="cut"),
    ],
)
async def test_after_content_nobody_else_answers(house: House, broken: Any) -> None:
    house.east.answer(broken)
    call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    async with house.router() as router, router.stream(model="sonnet", **call) as stream:
        with pytest.raises(llmroute.UpstreamError):
            await stream.message()

    assert (1, 0) == house.asked
    assert ["broken"] == [record.outcome for record in house.records]


async def test_the_last_one_left_is_streamed_from_its_first_event(house: House) -> None:
    house.east.answer(text("Slow.").stall(after_events=1))
    call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    config = house.config(sonnet=ALONE)
    async with house.router(config) as router, router.stream(model="sonnet", **call) as stream:
        async for event in stream:
            if event.type == "message_start":
                house.east.release()

    assert house.east.requests[0].done.is_set()
