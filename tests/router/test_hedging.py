"""A second attempt beside a slow one: for short calls, and within a budget."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.router.conftest import House

import llmroute
from llmroute.router.answer import Answer, Head
from llmroute.router.hedge import first_of
from llmroute.testing import error, text

pytestmark = pytest.mark.anyio

LATE = text("Late.").late()


def hedged(house: House, **settings: Any) -> dict[str, Any]:
    return house.config(sonnet={"hedge": {"after": 2.5, "max_share": 1.0, **settings}})


def router_of(house: House, config: dict[str, Any]) -> llmroute.Router:
    """Return a router for whom time passes once the first deployment was asked."""

    async def sleep(seconds: float) -> None:
        await house.east.awaited(1)
        await house.clock.sleep(seconds)

    return house.router(config, sleep=sleep)


async def test_the_second_answers_when_the_first_is_slow(house: House) -> None:
    house.east.answer(LATE)
    async with router_of(house, hedged(house)) as router:
        answer = await house.ask(router)
        await house.east.requests[0].awaited_close()
        states = await router.deployments()

    assert ("From the west.", "west") == (answer.text, answer.deployment)
    assert [2.5] == house.clock.slept
    [record] = house.records
    assert ("answered", "west") == (record.outcome, record.deployment)
    assert ["hedged with west after 2.5 s"] == record.why
    assert [("ready", 0), ("ready", 0)] == [(state.state, state.busy) for state in states]


async def test_the_first_may_still_be_the_first(house: House) -> None:
    house.east.answer(LATE)
    house.west.answer(LATE)
    async with router_of(house, hedged(house)) as router, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert "east" == (await house.ask(router)).deployment

        tasks.start_soon(ask)
        await house.west.awaited(1)
        house.east.release()
    await house.west.requests[0].awaited_close()

    assert ["answered"] == [record.outcome for record in house.records]


@pytest.mark.parametrize(
    ("east", "west", "answered"),
    [
        pytest.param(error(529), "From the west.", "west", id="before-the-second-begins"),
        pytest.param(LATE, error(401), "east", id="the-second-fails"),
    ],
)
async def test_one_that_fails_leaves_it_to_the_other(
    house: House, east: Any, west: Any, answered: str
) -> None:
    house.east.answer(east)
    house.west.answer(west)
    async with router_of(house, hedged(house)) as router, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert answered == (await house.ask(router)).deployment

        tasks.start_soon(ask)
        await house.west.awaited(1)
        house.east.release()

    assert (1, 1) == house.asked
    assert ["answered"] == [record.outcome for record in house.records]


async def test_when_both_fail_the_more_useful_error_is_raised(house: House) -> None:
    house.east.answer(error(529).late())
    house.west.answer(error(401))
    config = hedged(house) | {"routing": {"retries": 0}}
    async with router_of(house, config) as router, anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(llmroute.OverloadedError) as caught:
                await house.ask(router)
            assert 2 == caught.value.attempts

        tasks.start_soon(ask)
        await house.west.awaited(1)
        house.east.release()

    assert ["failed"] == [record.outcome for record in house.records]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"max_tokens": 63}, id="long-answer"),
        pytest.param({"max_input_tokens": 10}, id="long-prompt"),
        pytest.param({"max_cost": 0.0001}, id="dear"),
    ],
)
async def test_a_call_that_is_not_small_is_asked_once(
    house: House, settings: dict[str, Any]
) -> None:
    house.east.answer(LATE)
    config = hedged(house, **settings)
    async with router_of(house, config) as router, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert "east" == (await house.ask(router)).deployment

        tasks.start_soon(ask)
        await house.east.awaited(1)
        house.east.release()

    assert (1, 0) == house.asked


async def test_what_nobody_knows_the_price_of_is_asked_once_and_still_falls_back(
    house: House,
) -> None:
    config = hedged(house)
    config["deployments"]["west"]["model"] = "qwen-3"
    house.east.answer(error(401).late())
    async with router_of(house, config) as router, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert "west" == (await house.ask(router)).deployment

        tasks.start_soon(ask)
        await house.east.awaited(1)
        house.east.release()

    assert not any("hedged" in line for line in house.records[0].why)


async def test_only_a_share_of_the_calls_is_asked_twice(house: House) -> None:
    house.east.answer(LATE, LATE)
    async with router_of(house, hedged(house, max_share=0.1)) as router:
        first = await house.ask(router, "One")
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                assert "east" == (await house.ask(router, "Two")).deployment

            tasks.start_soon(ask)
            await house.east.awaited(2)
            house.east.release()

    assert "west" == first.deployment
    assert (2, 1) == house.asked


async def test_a_stream_is_never_asked_twice(house: House) -> None:
    house.east.answer(LATE)
    call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    async with router_of(house, hedged(house)) as router, anyio.create_task_group() as tasks:

        async def ask() -> None:
            async with router.stream(model="sonnet", **call) as stream:
                assert "east" == (await stream.message()).deployment

        tasks.start_soon(ask)
        await house.east.awaited(1)
        house.east.release()

    assert (1, 0) == house.asked


async def test_one_that_is_left_alone_is_not_asked_beside_another(house: House) -> None:
    house.west.answer(error(429, retry_after=60))
    house.east.answer(error(529), LATE)
    config = hedged(house) | {"routing": {"retries": 0, "cooldown": 1}}
    async with router_of(house, config) as router, anyio.create_task_group() as tasks:
        with pytest.raises(llmroute.UpstreamError):
            await house.ask(router, "Both fail")
        house.clock.advance(2)

        async def ask() -> None:
            assert "east" == (await house.ask(router)).deployment

        tasks.start_soon(ask)
        await house.east.awaited(2)
        house.east.release()

    assert not any("hedged" in line for line in house.records[1].why)


async def test_the_second_does_not_begin_when_the_first_ends_with_the_pause() -> None:
    over, asked = anyio.Event(), []

    async def first() -> None:
        over.set()

    async def second() -> None:
        asked.append("second")

    await first_of(first, second, over.wait)

    assert [] == asked


async def test_the_answer_that_was_first_is_let_go_of_when_the_caller_goes_away() -> None:
    let_go, settled = anyio.Event(), []
    head = Head(200, [], "one", "m", 1)

    async def first() -> Answer:
        await let_go.wait()
        return Answer(head, lambda outcome, *_: settled.append(outcome), body=b"{}")

    async def second() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                # Letting go of its connection takes a while, in which the caller goes away.
                scope.cancel()
                await anyio.lowlevel.checkpoint()

    async def pause() -> None:
        let_go.set()

    with anyio.CancelScope() as scope:
        await first_of(first, second, pause)

    assert ["answered"] == settled


async def test_a_lone_deployment_is_asked_once(house: House) -> None:
    config = house.config(
        sonnet={"deployments": ["east"], "hedge": {"after": 2.5, "max_share": 1.0}}
    )
    house.east.answer(LATE)
    async with router_of(house, config) as router, anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert "Late." == (await house.ask(router)).text

        tasks.start_soon(ask)
        await house.east.awaited(1)
        house.east.release()

    assert 1 == len(house.east.requests)


async def test_a_thread_that_cannot_go_on_is_refused_as_ever(house: House) -> None:
    house.east.answer(error(529))
    async with house.router(hedged(house), sleep=anyio.sleep) as router:
        with pytest.raises(llmroute.RejectedError) as caught:
            await house.ask(router, thread={"type": "continue", "previous_message_id": "msg_1"})

    assert "thread_unsupported_request" == caught.value.code
