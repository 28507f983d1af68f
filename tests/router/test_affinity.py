"""A conversation stays where its prompt is cached, unless moving it is cheaper."""

from __future__ import annotations

from typing import Any

import pytest
from tests.router.conftest import House

from llmroute.testing import error, text

pytestmark = pytest.mark.anyio


def cached(tokens: int, words: str = "Cached.") -> Any:
    return text(words, usage={"cache_creation_input_tokens": tokens, "input_tokens": 3})


async def test_a_conversation_stays_with_the_deployment_that_has_its_cache(house: House) -> None:
    house.east.answer(error(429, retry_after=1))
    house.west.answer(cached(84_000))
    async with house.router() as router:
        await house.ask(router, session="one")
        house.clock.advance(30)
        again = await house.ask(router, session="one")
        other = await house.ask(router, session="two")

    assert ("west", "east") == (again.deployment, other.deployment)
    assert [
        "stays with west: 84,000 tokens cached there, moving would cost 0.290 $ more"
    ] == house.records[1].why
    assert [] == house.records[2].why


async def test_a_stream_is_remembered_like_a_whole_answer(house: House) -> None:
    house.east.answer(error(429, retry_after=1))
    house.west.answer(cached(84_000))
    call = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    async with house.router() as router:
        async with router.stream(**call) as stream:
            await stream.message()
        house.clock.advance(30)
        async with router.stream(**call) as stream:
            assert "west" == (await stream.message()).deployment


async def test_it_yields_to_a_cooldown_and_returns_when_that_is_cheaper(house: House) -> None:
    house.east.answer(cached(84_000), error(401))
    async with house.router() as router:
        turns = [await house.ask(router, session="one")]
        await house.ask(router, session="another that finds the key refused")
        turns.append(await house.ask(router, session="one"))
        house.clock.advance(61)
        turns.append(await house.ask(router, session="one"))

    assert ["east", "west", "east"] == [turn.deployment for turn in turns]
    why = [record.why for record in house.records if record.session == "one"]
    assert [
        "not ready, though cached: 84,000 tokens at east",
        "east is left alone for 60 s more",
    ] == why[1]
    assert ["returns to east: 84,000 tokens cached there, moving would cost 0.290 $ more"] == why[2]


async def test_a_cache_that_ended_holds_nobody(house: House) -> None:
    house.east.answer(error(429, retry_after=1))
    house.west.answer(cached(84_000))
    async with house.router() as router:
        await house.ask(router, session="one")
        house.clock.advance(301)
        again = await house.ask(router, session="one")

    assert "east" == again.deployment


@pytest.mark.parametrize(
    ("tokens", "answered", "slept", "why"),
    [
        pytest.param(
            84_000,
            "east",
            [9.0],
            "waits: 9.0 s are worth 0.1800 $, moving costs 0.2898 $",
            id="waiting-is-cheaper",
        ),
        pytest.param(
            20_000,
            "west",
            [],
            "moves: 9.0 s are worth 0.1800 $, moving costs 0.0690 $",
            id="moving-is-cheaper",
        ),
    ],
)
async def test_what_an_upstream_asks_to_be_waited_for_is_weighed_against_moving(
    house: House, tokens: int, answered: str, slept: list[float], why: str
) -> None:
    house.east.answer(cached(tokens), error(429, retry_after=9))
    async with house.router() as router:
        await house.ask(router, session="one")
        again = await house.ask(router, session="one")

    assert (answered, slept) == (again.deployment, house.clock.slept)
    assert why == house.records[1].why[-1]
    assert 2 == again.attempts


async def test_one_of_a_later_order_does_not_keep_a_conversation(house: House) -> None:
    house.east.answer(error(429, retry_after=1))
    house.west.answer(cached(84_000))
    async with house.router(house.config(west={"order": 1})) as router:
        await house.ask(router, session="one")
        house.clock.advance(30)
        again = await house.ask(router, session="one")

    assert "east" == again.deployment


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"sonnet": {"affinity": False}}, id="alias"),
        pytest.param({"routing": {"affinity": False}}, id="all"),
    ],
)
async def test_affinity_can_be_turned_off(house: House, settings: dict[str, Any]) -> None:
    house.east.answer(error(429, retry_after=1))
    house.west.answer(cached(84_000))
    async with house.router(house.config(**settings)) as router:
        await house.ask(router, session="one")
        house.clock.advance(30)
        again = await house.ask(router, session="one")

    assert "east" == again.deployment


async def test_several_keys_of_one_deployment_take_turns_over_conversations(house: House) -> None:
    config = house.config(east={"api_keys": ["sk-1", "sk-2"]}, sonnet={"deployments": ["east"]})
    draws = iter([0.9, 0.1, 0.1, 0.9, 0.9, 0.1])
    house.east.default = cached(5_000)
    async with house.router(config, draw=lambda: next(draws)) as router:
        await house.ask(router, session="one")
        await house.ask(router, session="two")
        again = await house.ask(router, session="two")

    keys = [received.header("x-api-key") for received in house.east.requests]
    assert ["sk-1", "sk-2", "sk-2"] == keys
    assert "east#2" == again.deployment


async def test_a_refused_key_gives_way_to_the_next_one(house: House) -> None:
    config = house.config(
        east={"api_keys": ["sk-1", "sk-2"]}, sonnet={"deployments": ["east", "west"]}
    )
    draws = iter([0.9, 0.1, 0.5, 0.5, 0.9, 0.1, 0.5, 0.5])
    house.east.answer(error(401))
    async with house.router(config, draw=lambda: next(draws)) as router:
        await house.ask(router, "One conversation.")
        await house.ask(router, "Another one.")

    keys = [received.header("x-api-key") for received in house.east.requests]
    assert ["sk-1", "sk-2", "sk-2"] == keys
    assert [] == house.west.requests
