"""Which failures make a deployment be left alone, how long, and who finds out that it is well."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.router.conftest import House

import llmroute
from llmroute.stores import Memory
from llmroute.testing import Clock, error, text

pytestmark = pytest.mark.anyio


async def cools_for(house: House, router: llmroute.Router) -> float | None:
    [east, _] = await router.deployments()
    return east.cooling_for


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        pytest.param(error(529), 5.0, id="overloaded"),
        pytest.param(error(429), 5.0, id="limited"),
        pytest.param(error(429, retry_after=90), 90.0, id="as-long-as-it-asks"),
        pytest.param(error(429, retry_after=1), 1.0, id="or-as-short"),
        pytest.param(text("").drop(), 5.0, id="no-answer"),
        pytest.param(error(500), None, id="a-first-fault-is-forgiven"),
        pytest.param(error(401), 60.0, id="key-refused"),
        pytest.param(error(403), 60.0, id="not-allowed"),
        pytest.param(error(404), 60.0, id="no-such-model"),
        pytest.param(error(402, "billing_error"), 300.0, id="not-paid"),
        pytest.param(
            error(429, details={"error_code": "enforced_spend_limit_reached"}), 300.0, id="spent"
        ),
        pytest.param(
            error(400, details={"error_code": "contract_spend_limit_reached"}),
            300.0,
            id="spent-400",
        ),
        pytest.param(error(409, "conflict_error"), None, id="two-requests-that-met"),
    ],
)
async def test_one_that_failed_is_left_alone(
    house: House, answer: Any, seconds: float | None
) -> None:
    house.east.answer(answer)
    async with house.router() as router:
        first = await house.ask(router, "One")
        assert seconds == await cools_for(house, router)
        second = await house.ask(router, "Two")

    assert ("west", 2) == (first.deployment, first.attempts)
    assert ("east" if seconds is None else "west", 1) == (second.deployment, second.attempts)


async def test_a_rejected_request_is_no_failure(house: House) -> None:
    house.east.answer(error(400), error(413))
    async with house.router() as router:
        for _ in range(2):
            with pytest.raises(llmroute.RejectedError):
                await house.ask(router)
        assert [0, 0] == [state.failures for state in await router.deployments()]

    assert (2, 0) == house.asked


async def test_faults_in_a_row_count_and_an_answer_between_them_forgives(house: House) -> None:
    house.east.answer(error(500), "Well.", error(500), error(502))
    async with house.router() as router:
        cooling = []
        for n in range(4):
            await house.ask(router, f"Call {n}")
            cooling.append(await cools_for(house, router))

    assert [None, None, None, 5.0] == cooling


async def test_each_cooldown_in_a_row_is_twice_as_long(house: House) -> None:
    house.east.answer(*[error(529)] * 3, "Well.", error(529))
    async with house.router() as router:
        cooling = []
        for n in range(5):
            await house.ask(router, f"Call {n}")
            cooling.append(seconds := await cools_for(house, router))
            house.clock.advance(seconds or 0.0)

    assert [5.0, 10.0, 20.0, None, 5.0] == cooling


async def test_rows_of_the_configuration_decide_on_cooldowns(house: House) -> None:
    rows = {"overloaded_error": {"remedy": "elsewhere", "cooldown": 7}, "401": "nothing"}
    house.east.answer(error(529), error(401, "odd_error"))
    async with house.router(house.config(routing={"errors": rows})) as router:
        await house.ask(router, "One")
        assert 7.0 == await cools_for(house, router)
        house.clock.advance(8)
        with pytest.raises(llmroute.MisconfiguredError):
            await house.ask(router, "Two")

    assert (2, 1) == house.asked


@pytest.mark.parametrize(
    ("base", "expected"), [pytest.param(0, None, id="never"), pytest.param(3, 3.0, id="shorter")]
)
async def test_the_cooldown_is_the_configurations(
    house: House, base: float, expected: float | None
) -> None:
    house.east.answer(error(529))
    async with house.router(house.config(routing={"cooldown": base})) as router:
        await house.ask(router)
        assert expected == await cools_for(house, router)


async def test_after_a_cooldown_one_of_many_calls_tries(house: House) -> None:
    house.east.answer(error(529), text("Well again.").late())
    async with house.router() as router:
        await house.ask(router, "The call that finds it overloaded")
        house.clock.advance(6)
        assert "trial" == (await router.deployments())[0].state
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.ask, router, "The one that tries")
            await house.east.awaited(2)
            others = [await house.ask(router, f"Another {n}") for n in range(5)]
            house.east.release()
        later = await house.ask(router, "Later")

    assert ["west"] * 5 == [answer.deployment for answer in others]
    assert [1] * 5 == [answer.attempts for answer in others]
    assert "east: another call finds out whether it is well" in house.records[1].why
    assert "east" == later.deployment


async def test_a_trial_that_fails_lets_the_next_one_try_after_a_longer_cooldown(
    house: House,
) -> None:
    house.east.answer(error(529), error(529), "Well again.")
    async with house.router() as router:
        answers = []
        for seconds in (0, 6, 6, 6):
            house.clock.advance(seconds)
            answers.append(await house.ask(router, f"After {house.clock.now()}"))

    assert ["west", "west", "west", "east"] == [answer.deployment for answer in answers]
    assert 3 == len(house.east.requests)


async def test_a_trial_whose_caller_goes_away_is_made_by_the_next_call(house: House) -> None:
    house.east.answer(error(529), text("Late.").late())
    async with house.router() as router:
        await house.ask(router, "The call that finds it overloaded")
        house.clock.advance(6)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.ask, router, "The one that tries")
            await house.east.awaited(2)
            tasks.cancel_scope.cancel()
        later = await house.ask(router, "Later")

    assert ("east", 1) == (later.deployment, later.attempts)


async def test_a_trial_that_tells_nothing_is_made_again_by_the_next_call(house: House) -> None:
    house.east.answer(error(529), error(409, "conflict_error"))
    async with house.router() as router:
        await house.ask(router, "The call that finds it overloaded")
        house.clock.advance(6)
        deployments = [(await house.ask(router, f"Call {n}")).deployment for n in range(2)]

    assert ["west", "east"] == deployments


async def test_an_answer_to_a_call_from_before_the_failure_does_not_end_the_cooldown(
    house: House,
) -> None:
    house.east.answer(text("Sent before.").late(), error(429, retry_after=60))
    async with house.router() as router, anyio.create_task_group() as tasks:
        over = anyio.Event()

        async def ask() -> None:
            await house.ask(router, "Slow")
            over.set()

        tasks.start_soon(ask)
        await house.east.awaited(1)
        house.clock.advance(1)
        await house.ask(router, "Limited")
        house.clock.advance(1)
        house.east.requests[0].release()
        with anyio.fail_after(5):
            await over.wait()
        assert 59.0 == await cools_for(house, router)


async def test_nor_does_it_end_a_cooldown_that_another_proxy_began(house: House) -> None:
    house.east.answer(text("Sent before.").late(), error(429, retry_after=60))
    counters = Memory(house.clock.now)
    routers = [house.router(counters=counters) for _ in range(2)]
    async with routers[0], routers[1], anyio.create_task_group() as tasks:
        over = anyio.Event()

        async def ask() -> None:
            await house.ask(routers[0], "Slow")
            over.set()

        tasks.start_soon(ask)
        await house.east.awaited(1)
        house.clock.advance(1)
        await house.ask(routers[1], "Limited")
        house.clock.advance(1)
        await house.ask(routers[0], "Learns of it")
        house.east.requests[0].release()
        with anyio.fail_after(5):
            await over.wait()
        assert 59.0 == await cools_for(house, routers[0])


async def test_a_model_that_a_caller_made_up_says_nothing_about_the_deployment(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    config = house.config(east={"model": "*"}, west={"model": "*"})
    config["aliases"] = {"claude-*": ["east", "west"]}
    house.east.answer(error(404))
    house.west.answer(error(404))
    async with house.router(config) as router:
        with pytest.raises(llmroute.MisconfiguredError):
            await house.ask(router, model="claude-of-tomorrow")
        assert ["ready", "ready"] == [state.state for state in await router.deployments()]

    assert [] == caplog.messages


async def test_counting_tokens_says_nothing_about_the_deployment(house: House) -> None:
    house.east.on("POST", "/v1/messages/count_tokens", error(529))
    async with house.router() as router:
        await router.count_tokens(model="sonnet", messages=[{"role": "user", "content": "Hi"}])
        assert None is await cools_for(house, router)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [pytest.param(1, "cooling", id="cooling"), pytest.param(61, "trial", id="on-trial")],
)
async def test_one_that_counts_tokens_may_not_answer_yet(
    house: House, seconds: float, state: str
) -> None:
    house.east.answer(error(429, retry_after=60))
    house.west.on("POST", "/v1/messages/count_tokens", error(529))
    async with house.router() as router:
        await house.ask(router)
        house.clock.advance(seconds)
        await router.count_tokens(model="sonnet", messages=[{"role": "user", "content": "Hi"}])
        [east, _] = await router.deployments()
        assert state == east.state


async def test_answers_that_break_off_count_as_failures(house: House) -> None:
    house.east.answer(*[text("Hello there.").cut(after_events=4)] * 2)
    call = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    async with house.router() as router:
        cooling = []
        for _ in range(2):
            with pytest.raises(llmroute.StreamBrokenError):
                async with router.stream(model="sonnet", **call) as stream:
                    await stream.message()
            cooling.append(await cools_for(house, router))

    assert [None, 5.0] == cooling


async def test_another_configuration_goes_on_with_what_is_known(house: House) -> None:
    router = house.router()
    house.east.answer(error(529))
    await house.ask(router, "One")
    async with router.reconfigured(llmroute.config.load_dict(house.config())) as later:
        answer = await house.ask(later, "Two")

    assert ("west", 1) == (answer.deployment, answer.attempts)


FILE = """\
deployments:
  east:
    provider: anthropic
    base_url: {url}
    model: claude-sonnet-4-5
    api_key: sk-canary
aliases:
  sonnet: east
"""


@pytest.mark.parametrize(
    ("status", "place"),
    [
        pytest.param(401, "c.yaml:6: deployments.east.api_key", id="key"),
        pytest.param(402, "c.yaml:6: deployments.east.api_key", id="bill"),
        pytest.param(403, "c.yaml:6: deployments.east.api_key", id="right"),
        pytest.param(404, "c.yaml:5: deployments.east.model", id="model"),
    ],
)
async def test_what_the_configuration_has_wrong_is_said_once_until_it_was_right(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, place: str
) -> None:
    caplog.set_level(logging.WARNING, "llmroute")
    path = tmp_path / "c.yaml"
    path.write_text(FILE.format(url=house.east.url))
    clock = Clock()
    config = await anyio.to_thread.run_sync(llmroute.config.load_file, path)
    router = llmroute.Router(config, clock=clock.now, wall_clock=clock.now, sleep=clock.sleep)
    house.east.answer(error(status), error(status), "Mended.", error(status))
    said = []
    async with router:
        for _ in range(4):
            with contextlib.suppress(llmroute.MisconfiguredError):
                await house.ask(router)
            said.append(len(caplog.messages))

    assert [1, 1, 1, 2] == said
    assert all(place in line and str(status) in line for line in caplog.messages)
    assert "sk-canary" not in caplog.text


async def test_a_deployment_that_was_mended_is_not_left_alone_any_longer(house: House) -> None:
    house.east.answer(error(401))
    async with house.router() as router:
        await house.ask(router, "One")
        same = router.reconfigured(router.config)
        cooling = [state.state for state in await same.deployments()]
        mended = llmroute.Router.from_dict(house.config(east={"api_key": "sk-another"})).config
        other = router.reconfigured(mended)
        ready = [state.state for state in await other.deployments()]
        answer = await house.ask(other, "Two")

    assert ["cooling", "ready"] == cooling
    assert ["ready", "ready"] == ready
    assert "east" == answer.deployment
