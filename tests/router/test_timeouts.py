"""How long an answer may take: to begin, to go on, and in all.

The limits are real ones, of some hundredths of a second, and pass without a clock of the test's.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.router.conftest import House

import llmroute
from llmroute.testing import error, events, text

pytestmark = pytest.mark.anyio

SHORT = 0.05
LONG = 60.0
CALL: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"east": {"timeout": SHORT}}, id="deployment"),
        pytest.param({"sonnet": {"timeout": SHORT}, "east": {"timeout": LONG}}, id="alias"),
        pytest.param({"east": {"total_timeout": SHORT}, "west": {}}, id="deployment-in-all"),
    ],
)
async def test_one_that_is_late_gives_way_to_another(
    house: House, settings: dict[str, Any]
) -> None:
    house.east.answer(text("Late.").late())
    async with house.router(house.config(**settings)) as router:
        answer = await house.ask(router)

    assert ("west", 2) == (answer.deployment, answer.attempts)


async def test_the_aliass_limit_may_be_the_longer_one(house: House) -> None:
    settings = {"east": {"timeout": 0.000_001}, "sonnet": {"timeout": LONG}}
    async with house.router(house.config(**settings)) as router:
        answer = await house.ask(router)

    assert ("east", 1) == (answer.deployment, answer.attempts)


async def test_the_callers_limit_is_the_lower_one(house: House) -> None:
    house.east.answer(text("Late.").late())
    async with house.router(house.config(sonnet={"timeout": LONG})) as router:
        answer = await house.ask(router, timeout=SHORT)

    assert "west" == answer.deployment


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"east": {"stream_timeout": SHORT, "timeout": LONG}}, id="deployment"),
        pytest.param({"sonnet": {"stream_timeout": SHORT, "timeout": LONG}}, id="alias"),
        pytest.param({"sonnet": {"timeout": SHORT}}, id="alias-for-all"),
    ],
)
async def test_a_stream_has_a_limit_of_its_own(house: House, settings: dict[str, Any]) -> None:
    house.east.answer(text("Late.").late())
    async with (
        house.router(house.config(**settings)) as router,
        router.stream(model="sonnet", **CALL) as stream,
    ):
        assert "west" == (await stream.message()).deployment


async def test_a_whole_answer_does_not_mind_the_limit_of_streams(house: House) -> None:
    config = house.config(sonnet={"stream_timeout": 0.000_001, "timeout": LONG})
    async with house.router(config) as router:
        assert "east" == (await house.ask(router)).deployment


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(text("Late.").stall(after_events=0), id="nothing-but-a-head"),
        pytest.param(text("Late.").stall(after_events=1), id="nothing-but-a-start"),
        pytest.param(
            events([{"type": "ping"}] * 200).paced(0.01).stall(after_events=200),
            id="nothing-but-pings",
        ),
    ],
)
async def test_an_answer_must_have_content_within_the_limit(house: House, answer: Any) -> None:
    house.east.answer(answer)
    config = house.config(east={"stream_timeout": SHORT})
    async with house.router(config) as router, router.stream(model="sonnet", **CALL) as stream:
        got = await stream.message()

    assert ("west", 2) == (got.deployment, got.attempts)
    assert "no content within 0.05 s" in house.records[0].attempts[0].error


async def test_a_lone_deployment_that_only_pings_is_not_waited_for_either(house: House) -> None:
    house.east.answer(events([{"type": "ping"}] * 200).paced(0.01).stall(after_events=200))
    config = house.config(
        east={"stream_timeout": SHORT}, sonnet={"deployments": ["east"]}, routing={"retries": 0}
    )
    async with house.router(config) as router:
        with pytest.raises(llmroute.UnreachableError, match="no content within"):
            async with router.stream(model="sonnet", **CALL):
                pass


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"east": {"silence_timeout": SHORT}}, id="deployment"),
        pytest.param({"sonnet": {"silence_timeout": SHORT}}, id="alias"),
        pytest.param({"east": {"total_timeout": 0.2}}, id="deployment-in-all"),
        pytest.param({"sonnet": {"total_timeout": 0.2}}, id="alias-in-all"),
    ],
)
async def test_an_answer_that_stops_half_way_is_broken_off(
    house: House, settings: dict[str, Any]
) -> None:
    house.east.answer(text("Hello there.").stall(after_events=4))
    said = []
    async with (
        house.router(house.config(**settings)) as router,
        router.stream(model="sonnet", **CALL) as stream,
    ):
        with pytest.raises(llmroute.StreamBrokenError):
            async for piece in stream.text_stream:
                said.append(piece)
    await house.east.requests[0].awaited_close()

    assert said
    assert (1, 0) == house.asked
    assert ["broken"] == [record.outcome for record in house.records]


async def test_the_limit_in_all_bounds_an_answer_that_never_pauses(house: House) -> None:
    house.east.answer(text("x" * 2_000, deltas=1_000).paced(0.01))
    config = house.config(sonnet={"total_timeout": 0.2})
    async with house.router(config) as router, router.stream(model="sonnet", **CALL) as stream:
        with pytest.raises(llmroute.StreamBrokenError, match="total timeout"):
            await stream.message()


async def test_the_limit_in_all_holds_for_a_whole_answer_that_stalls(house: House) -> None:
    house.east.answer(text("Late.").stall(after_bytes=5))
    config = house.config(sonnet={"deployments": ["east"], "total_timeout": SHORT})
    async with house.router(config | {"routing": {"retries": 0}}) as router:
        with pytest.raises(llmroute.UpstreamError, match="total timeout"):
            await house.ask(router)


async def test_when_the_time_is_over_nobody_else_is_asked_or_blamed(house: House) -> None:
    house.east.answer(text("Late.").late())
    config = house.config(sonnet={"total_timeout": SHORT})
    # The clock goes on when the deployment has failed, as a real one would have meanwhile.
    draws: list[float] = []

    def draw() -> float:
        draws.append(0.0)
        if len(house.east.requests) == 1:
            house.clock.advance(2 * SHORT)
        return 0.0

    async with house.router(config, draw=draw) as router:
        with pytest.raises(llmroute.UnreachableError, match="total timeout") as caught:
            await house.ask(router)
        states = {state.name: state.last_error for state in await router.deployments()}

    assert ("east", 1) == (caught.value.deployment, caught.value.attempts)
    assert (1, 0) == house.asked
    assert states["west"] is None


async def test_nothing_is_waited_for_beyond_the_calls_total(house: House) -> None:
    house.east.answer(error(429, retry_after=8))
    config = house.config(sonnet={"deployments": ["east"], "total_timeout": 2})
    async with house.router(config) as router:
        with pytest.raises(llmroute.RateLimitedError):
            await house.ask(router)

    assert [] == house.clock.slept
