"""A ledger holds calls to the limits, guards and pauses of its configuration, in that order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.accounts.asking import asked, over
from tests.accounts.timing import counting_by

from llmroute.accounts.model import Key, Limits
from llmroute.config import Config, load_dict
from llmroute.database import MEMORY, open_database
from llmroute.errors import BudgetError, ConfigError, LimitError
from llmroute.ledger import Ledger
from llmroute.observe import Record
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio

SESSION = "11111111-1111-4111-8111-111111111111"


def config(**sections: Any) -> Config:
    anthropic = {"provider": "anthropic", "api_key": "sk-ant-example"}
    return load_dict({"deployments": {"one": anthropic}, "aliases": {"m": "one"}, **sections}, {})


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    first = config(limits={"requests_per_minute": 2}, guards={"session_budget": 1})
    clock = Clock(1_800_000_000.0)
    ledger = Ledger(first, open_database(MEMORY), clock=clock)
    ledger.database.upgrade_now()
    ledger._ready.set()
    with counting_by(clock):
        yield ledger
    ledger.close()


async def call(ledger: Ledger, cost: int = 0, key: Key | None = None, **members: Any) -> None:
    it = asked(key, session=SESSION, **members)
    hold = await ledger.admit(it.call, it.alias, it.quote)
    if hold is not None:
        hold.settle(over(cost))


async def test_what_the_configuration_says_holds_and_another_one_after_it(ledger: Ledger) -> None:
    await call(ledger)
    await call(ledger)
    with pytest.raises(LimitError):
        await call(ledger)
    ledger.reconfigure(config(guards={"session_budget": 1}))
    await call(ledger, 2_000_000)
    with pytest.raises(BudgetError, match="guards.session_budget"):
        await call(ledger)
    ledger.reconfigure(config(guards={"session_budget": 5}))
    await call(ledger)


def test_calls_are_written_down_as_long_as_the_configuration_says_so(ledger: Ledger) -> None:
    for is_kept in (True, False, True):
        ledger.reconfigure(config(usage={"records": is_kept}))
        ledger.record(Record(at=1.0, id=f"call_{is_kept}", key="ci"))
        assert is_kept == bool(ledger.recorder.waiting)
        ledger.work()


async def test_a_resumed_session_may_go_on(ledger: Ledger) -> None:
    await call(ledger, 2_000_000)
    with pytest.raises(BudgetError):
        await call(ledger)
    assert not await ledger.pauses.resume(SESSION, "master")
    await call(ledger)


async def test_what_one_gate_refuses_is_under_way_nowhere(ledger: Ledger) -> None:
    ledger.reconfigure(config(guards={"session_budget": 1}))
    limited = Key("key_1", "ci", limits=Limits(parallel=1))
    await call(ledger, 2_000_000, limited)
    for _ in range(3):
        with pytest.raises(BudgetError):
            await call(ledger, 0, limited)
    await ledger.pauses.pause("ci", "master")
    with pytest.raises(BudgetError, match="is paused"):
        await call(ledger, 0, limited)


def test_an_address_that_is_none_of_redis_is_a_problem_of_the_configuration() -> None:
    broken = config(store="redis://127.0.0.1:6379/0?sekret=1")
    with pytest.raises(ConfigError, match="store: ") as caught:
        Ledger(broken, open_database(MEMORY))
    assert "sekret" not in str(caught.value)
