"""The limits that a configuration sets a deployment: calls and tokens a minute, calls at a time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.router.conftest import House

import llmroute
from llmroute.messages.call import Call
from llmroute.testing import error, message, text
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

USED = text("Said.", usage={"input_tokens": 900, "output_tokens": 200})


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param({"rpm": 1}, id="requests-a-minute"),
        pytest.param({"tpm": 1_000}, id="tokens-a-minute"),
    ],
)
async def test_one_at_its_limit_is_passed_over_until_a_minute_has_gone(
    house: House, limit: dict[str, Any]
) -> None:
    house.east.answer(USED)
    async with house.router(house.config(east=limit)) as router:
        first = await house.ask(router, "One")
        second = await house.ask(router, "Two")
        house.clock.advance(120)
        third = await house.ask(router, "Three")

    assert ["east", "west", "east"] == [it.deployment for it in (first, second, third)]
    assert [1, 1, 1] == [it.attempts for it in (first, second, third)]


async def test_the_last_minute_counts_and_not_the_clocks(house: House) -> None:
    async with house.router(house.config(east={"rpm": 4})) as router:
        house.clock.advance(59)
        before = [await house.ask(router, f"Before {n}") for n in range(4)]
        house.clock.advance(2)
        after = [await house.ask(router, f"After {n}") for n in range(2)]

    assert ["east"] * 4 == [answer.deployment for answer in before]
    assert ["east", "west"] == [answer.deployment for answer in after]


async def test_tokens_that_came_from_a_cache_do_not_count(house: House) -> None:
    house.east.answer(text("Said.", usage={"cache_read_input_tokens": 50_000}))
    async with house.router(house.config(east={"tpm": 1_000})) as router:
        await house.ask(router, "One")
        second = await house.ask(router, "Two")

    assert "east" == second.deployment


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        pytest.param({"rpm": 1}, 60, id="requests-a-minute"),
        pytest.param({"tpm": 1_000}, 60, id="tokens-a-minute"),
    ],
)
async def test_when_all_are_at_their_limits_nobody_is_asked(
    house: House, limit: dict[str, Any], seconds: int
) -> None:
    house.east.answer(USED)
    house.west.answer(USED)
    async with house.router(house.config(east=limit, west=limit)) as router:
        await house.ask(router, "One")
        await house.ask(router, "Two")
        with pytest.raises(llmroute.RateLimitedError, match="sonnet is at its limit") as caught:
            await house.ask(router, "Three")

    refusal = caught.value
    assert (429, 0, seconds) == (refusal.status, refusal.attempts, refusal.retry_after)
    assert (b"retry-after", str(seconds).encode()) in refusal.headers
    assert b'"rate_limit_error"' in refusal.body
    assert (1, 1) == house.asked
    assert [] == house.records[-1].attempts


async def test_a_limit_is_a_better_answer_than_a_fallback_that_is_not_there(house: House) -> None:
    house.west.answer(error(404))
    async with house.router(house.config(east={"rpm": 1})) as router:
        await house.ask(router, "One")
        with pytest.raises(llmroute.RateLimitedError, match=r"sonnet is at its limit .* east "):
            await house.ask(router, "Two")

    assert ["east is at its limit"] == list(house.records[-1].why)
    assert (1, 1) == house.asked


async def test_a_limit_that_was_reached_meanwhile_holds_for_who_comes_over(house: House) -> None:
    house.east.answer(text("Said.").late(), text("Said.").late())
    config = house.config(west={"rpm": 1}, routing={"retries": 0, "affinity": False})
    failures = []
    async with house.router(config) as router:

        async def ask(words: str) -> None:
            try:
                await house.ask(router, words)
            except llmroute.UpstreamError as failure:
                failures.append(failure)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "One")
            tasks.start_soon(ask, "Two")
            await house.east.awaited(2)
            # Both were placed while there was room; now both come over at once.
            house.east.stop()
    house.east.start()

    assert 1 == len(failures)
    assert 1 == len(house.west.requests)
    assert any("west is at its limit" in record.why for record in house.records)


async def test_a_lone_deployment_has_its_limit_too(house: House) -> None:
    config = house.config(east={"rpm": 1}, sonnet={"deployments": ["east"]})
    async with house.router(config) as router:
        await house.ask(router, "One")
        with pytest.raises(llmroute.RateLimitedError):
            await house.ask(router, "Two")

    assert (1, 0) == house.asked


async def test_a_fallback_alias_answers_when_the_aliass_own_are_full(house: House) -> None:
    config = house.config(
        east={"rpm": 1},
        sonnet={"deployments": ["east"], "fallbacks": ["spare"]},
        aliases={"spare": "west"},
    )
    async with house.router(config) as router:
        answers = [await house.ask(router, words) for words in ("One", "Two")]

    assert ["east", "west"] == [answer.deployment for answer in answers]


async def test_calls_at_a_time_are_counted_until_they_are_over(house: House) -> None:
    limit = {"max_parallel_requests": 1}
    house.east.answer(text("Late.").late())
    house.west.answer(text("Late.").late())
    async with house.router(house.config(east=limit, west=limit)) as router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.ask, router, "One")
            await house.east.awaited(1)
            tasks.start_soon(house.ask, router, "Two")
            await house.west.awaited(1)
            with pytest.raises(llmroute.RateLimitedError) as caught:
                await house.ask(router, "Three")
            house.east.release()
            house.west.release()
        after = await house.ask(router, "Four")

    assert caught.value.retry_after == 1.0
    assert "east" == after.deployment
    assert [0, 0] == [state.busy for state in await router.deployments()]


async def test_a_failed_call_is_over_as_well(house: House) -> None:
    config = house.config(
        east={"max_parallel_requests": 1}, sonnet={"deployments": ["east"]}, routing={"retries": 0}
    )
    house.east.answer(error(500), error(400))
    async with house.router(config) as router:
        for kind in (llmroute.FaultError, llmroute.RejectedError):
            with pytest.raises(kind):
                await house.ask(router)
        assert "From the east." == (await house.ask(router)).text


async def test_what_is_bound_to_one_at_its_limit_is_not_asked_of_another(house: House) -> None:
    house.east.answer(message("Ran.", container={"id": "container_1", "expires_at": "2030"}))
    async with house.router(house.config(east={"rpm": 1})) as router:
        await house.ask(router, "One")
        with pytest.raises(llmroute.RateLimitedError):
            await house.ask(router, "Two", container="container_1")

    assert (1, 0) == house.asked


async def test_a_count_of_tokens_takes_no_place_from_those_who_are_counted(house: House) -> None:
    house.east.on("POST", "/v1/messages/count_tokens", text("Late.").late())
    config = house.config(
        east={"max_parallel_requests": 1}, sonnet={"deployments": ["east"]}, routing={"retries": 0}
    )
    async with house.router(config) as router:
        async with anyio.create_task_group() as tasks:
            words = [{"role": "user", "content": "Hi"}]
            tasks.start_soon(lambda: router.count_tokens(model="sonnet", messages=words))
            await house.east.awaited(1)
            await house.ask(router, "One")
            tasks.cancel_scope.cancel()
        assert "From the east." == (await house.ask(router, "Two")).text


async def test_an_attempt_that_failed_has_used_no_tokens(house: House) -> None:
    house.east.answer(error(529))
    config = house.config(east={"tpm": 1_000}, routing={"cooldown": 0})
    async with house.router(config) as router:
        first = await house.ask(router, "One " * 1_200)
        second = await house.ask(router, "Two")

    assert ["west", "east"] == [it.deployment for it in (first, second)]


async def test_a_model_that_no_alias_matches_keeps_to_the_limit(house: House) -> None:
    call = Call(
        Envelope.of({"model": "of-tomorrow", "max_tokens": 9, "messages": []}), "of-tomorrow"
    )
    async with house.router(house.config(east={"rpm": 1})) as router:
        await (await router.send(call, otherwise="east")).aclose()
        with pytest.raises(llmroute.RateLimitedError, match="this model is at its limit"):
            await router.send(call, otherwise="east")

    assert (1, 0) == house.asked
