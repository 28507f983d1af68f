"""The gate of the budgets: in one process and in several, on databases of each kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Connection, select
from tests.accounts import asking
from tests.accounts.asking import over
from tests.database.conftest import opened

from llmroute.accounts.budgets import BudgetHold, Budgets
from llmroute.accounts.gate import Asked
from llmroute.accounts.model import Budget, Key, Period, Team
from llmroute.config.accounts import Accounts
from llmroute.database import Database
from llmroute.database.schema import leases, spend
from llmroute.errors import BudgetError, LimitError, StoreError, UnavailableError
from llmroute.observe import Reading
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio

__all__ = ["opened"]

# A Tuesday.
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DOLLAR = 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW.timestamp())


Process = Callable[..., Budgets]


@pytest.fixture
async def process(opened: Callable[[], Database], clock: Clock) -> Process:
    """Return a function that starts a process with a database of its own."""
    first = opened()
    await first.upgrade()

    def started(database: Database | None = None, **accounts: Any) -> Budgets:
        settings = Accounts.model_validate(accounts)
        return Budgets(database or opened(), settings, clock, wait=0)

    return started


def key(
    amount: int, period: Period = "day", alias: str = "", message: str = "", **more: Any
) -> Key:
    return Key(
        "key_ci", "ci", budgets=(Budget("budget_1", amount, period, alias, message),), **more
    )


def asked(by: Key | None = None, *, alias: str = "sonnet", **more: Any) -> Asked:
    return asking.asked(by, **more)._replace(alias=alias)


async def held(gate: Budgets, by: Key | None, quote: int | None = 0, **more: Any) -> BudgetHold:
    hold = await gate.admit(asked(by, quote=quote, **more))
    assert isinstance(hold, BudgetHold)
    return hold


async def spent(gate: Budgets, by: Key | None, cost: int, **more: Any) -> None:
    """Make a call that costs as much as was thought."""
    hold = await held(gate, by, cost, **more)
    hold.settle(over(cost=cost))


async def refused(gate: Budgets, by: Key | None, quote: int = 1, **more: Any) -> BudgetError:
    with pytest.raises(BudgetError) as caught:
        await gate.admit(asked(by, quote=quote, **more))
    return caught.value


async def work(*gates: Budgets) -> None:
    for gate in gates:
        await anyio.to_thread.run_sync(gate.work)


async def figures(database: Database) -> tuple[int, int]:
    def read(connection: Connection) -> tuple[int, int]:
        row = connection.execute(select(spend.c.spent, spend.c.leased)).one()
        assert row.leased == sum(connection.scalars(select(leases.c.amount)))
        return row.spent, row.leased

    return await database.read(read)


async def test_who_has_no_budget_is_held_by_nothing(process: Process) -> None:
    gate = process()

    assert await gate.admit(asked(Key("key_free", "free"), quote=5)) is None
    assert await gate.admit(asked(None, quote=5)) is None


async def test_a_spent_budget_is_said_with_its_period_its_reset_and_the_admins_words(
    process: Process,
) -> None:
    gate = process()
    ci = key(10 * DOLLAR, message="Ask Ada for more.")
    await spent(gate, ci, 10 * DOLLAR)

    error = await refused(gate, ci)

    assert (
        "The budget of the key 'ci' is spent: $10.00 of $10.00 per day. It resets on 2026-11-25 at "
        "00:00 UTC. Ask Ada for more."
    ) == str(error)
    assert (429, "billing_error", True) == (error.status, error.type, error.is_final)
    prefix = b"anthropic-ratelimit-unified-"
    midnight = b"%d" % datetime(2026, 11, 25, tzinfo=UTC).timestamp()
    assert {
        prefix + b"status": b"rejected",
        prefix + b"overage-utilization": b"1",
        prefix + b"overage-disabled-reason": b"org_spend_cap_reached",
        prefix + b"overage-period": b"daily",
        prefix + b"reset": midnight,
        prefix + b"overage-reset": midnight,
        b"retry-after": b"43200",
    } == dict(error.headers)


async def test_a_budget_for_good_has_no_reset(process: Process) -> None:
    gate = process()
    await spent(gate, key(5, "total"), 5)

    error = await refused(gate, key(5, "total"))

    assert "The budget of the key 'ci' is spent: $0.000005 of $0.000005." == str(error)
    names = {name for name, _ in error.headers}
    assert not names & {b"retry-after", b"anthropic-ratelimit-unified-overage-period"}


@pytest.mark.parametrize(
    ("by", "accounts", "words"),
    [
        pytest.param(
            Key("k", "ci", team=Team("t", "web", budgets=(Budget("b", 9, "week"),))),
            {},
            "The budget of the team 'web' is spent: $0.000009 of $0.000009 per week.",
            id="the team's",
        ),
        pytest.param(
            None,
            {"budgets": [{"amount": 0.000009, "alias": "gpt*"}]},
            "The budget of this llmroute proxy is spent: $0.000009 of $0.000009 per month for "
            "gpt*.",
            id="everybody's, for some aliases",
        ),
    ],
)
async def test_budgets_are_a_keys_its_teams_and_everybodys(
    process: Process, by: Key | None, accounts: Mapping[str, Any], words: str
) -> None:
    gate = process(**accounts)
    await spent(gate, by, 9, alias="gpt-6")

    assert str(await refused(gate, by, alias="gpt-6")).startswith(words)


async def test_a_budget_for_some_aliases_does_not_hold_for_others(process: Process) -> None:
    gate = process()
    ci = key(10, alias="opus*")
    await spent(gate, ci, 10, alias="opus-5")

    await refused(gate, ci, alias="opus-4")
    await held(gate, ci, 100, alias="sonnet")


async def test_calls_begin_until_as_much_is_set_aside_as_there_is(process: Process) -> None:
    gate = process()
    ci = key(100)
    first = await held(gate, ci, 60)
    second = await held(gate, ci, 60)  # the one that may overrun it

    with pytest.raises(LimitError, match="set aside for calls under way") as caught:
        await gate.admit(asked(ci, quote=1))
    assert b"2" == dict(caught.value.headers)[b"retry-after"]

    first.settle(over(cost=10))
    second.settle(over(cost=20))
    await held(gate, ci, 60)


async def test_a_call_that_was_not_made_costs_nothing(process: Process) -> None:
    gate = process()
    ci = key(100)
    (await held(gate, ci, 100)).settle(None)
    (await held(gate, ci, 100)).settle(over(cost=None))
    await work(gate)

    await held(gate, ci, 100)


async def test_what_nobody_knows_the_price_of_counts_as_nothing_until_the_budget_is_spent(
    process: Process,
) -> None:
    gate = process()
    ci = key(100)
    for _ in range(200):
        (await held(gate, ci, None)).settle(over(cost=None))
    await spent(gate, ci, 100)

    await refused(gate, ci)


async def test_counting_tokens_is_free(process: Process) -> None:
    gate = process()
    ci = key(10)
    await spent(gate, ci, 10)

    hold = await held(gate, ci, endpoint="count_tokens")
    limits = [(b"anthropic-ratelimit-requests-limit", b"4000"), (b"request-id", b"r")]
    assert [(b"request-id", b"r")] == hold.headed(limits)


async def test_a_window_ends_and_its_calls_count_where_they_began(
    process: Process, clock: Clock, opened: Callable[[], Database]
) -> None:
    gate = process()
    ci = key(100)
    late = await held(gate, ci, 100)
    clock.advance(12 * 3600)
    await spent(gate, ci, 30)
    late.settle(over(cost=90))
    await work(gate)

    rows = await opened().read(
        lambda it: it.execute(select(spend.c.window, spend.c.spent).order_by(spend.c.window)).all()
    )
    begin = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())
    assert [(begin, 90), (begin + 86_400, 30)] == [tuple(row) for row in rows]


async def test_processes_share_a_budget(
    process: Process, clock: Clock, opened: Callable[[], Database]
) -> None:
    ours, theirs = process(), process()
    ci = key(10_000)
    for _ in range(40):
        await spent(ours, ci, 100)
        await spent(theirs, ci, 100)
    await work(ours, theirs)
    assert 8000 == (await figures(opened()))[0]

    for gate in (ours, theirs) * 10:
        await spent(gate, ci, 100)
    await work(ours, theirs)
    clock.advance(2)

    assert (10_000, 0) == await figures(opened())
    await refused(ours, ci)
    await refused(theirs, ci)


async def test_an_idle_process_gives_back_what_it_does_not_need(
    process: Process, clock: Clock, opened: Callable[[], Database]
) -> None:
    ours, theirs = process(), process()
    ci = key(10_000)
    await spent(ours, ci, 10)
    assert (0, 100) == await figures(opened())
    clock.advance(5)
    await work(ours)

    assert (10, 0) == await figures(opened())
    await held(theirs, ci, 9990)
    with pytest.raises(LimitError):
        await ours.admit(asked(ci, quote=1))


async def test_what_a_dead_process_had_comes_back(
    process: Process, clock: Clock, opened: Callable[[], Database]
) -> None:
    dead, alive = process(), process()
    ci = key(1000)
    await held(dead, ci, 1000)
    with pytest.raises(LimitError):
        await alive.admit(asked(ci, quote=1))

    clock.advance(61)
    await work(alive)

    assert (0, 0) == await figures(opened())
    await held(alive, ci, 1000)


async def test_a_long_call_keeps_what_is_set_aside_for_it(
    process: Process, clock: Clock, opened: Callable[[], Database]
) -> None:
    ours, theirs = process(), process()
    ci = key(1000)
    hold = await held(ours, ci, 1000)
    for _ in range(20):
        clock.advance(20)
        await work(ours, theirs)

    with pytest.raises(LimitError):
        await theirs.admit(asked(ci, quote=1))
    hold.settle(over(cost=1000))
    await work(ours)
    assert (1000, 0) == await figures(opened())


async def test_a_budget_that_is_raised_or_lowered_holds_at_once(process: Process) -> None:
    gate = process()
    await spent(gate, key(100), 100)
    await refused(gate, key(100))

    await spent(gate, key(200), 50)
    await refused(gate, key(150))
    await held(gate, key(151), 1)


async def test_of_several_budgets_none_keeps_what_another_refuses(process: Process) -> None:
    gate = process(budgets=[{"amount": 1.0}])
    await spent(gate, key(10), 10)
    for _ in range(50):
        await refused(gate, key(10), 100_000)

    await held(gate, None, 900_000)


@pytest.mark.parametrize(
    ("cost", "status", "threshold", "share"),
    [
        pytest.param(10, b"allowed", None, b"0.1", id="little is spent"),
        pytest.param(74, b"allowed", None, b"0.74", id="not yet three quarters"),
        pytest.param(75, b"allowed_warning", b"0.75", b"0.75", id="three quarters"),
        pytest.param(95, b"allowed_warning", b"0.95", b"0.95", id="nearly all"),
    ],
)
async def test_the_client_is_warned_in_the_headers_it_reads(
    process: Process, cost: int, status: bytes, threshold: bytes | None, share: bytes
) -> None:
    gate = process()
    await spent(gate, key(100), cost)

    hold = await held(gate, key(100), 1)
    told = hold.headed([(b"anthropic-ratelimit-unified-status", b"allowed"), (b"a", b"b")])

    prefix = b"anthropic-ratelimit-unified-"
    midnight = b"%d" % datetime(2026, 11, 25, tzinfo=UTC).timestamp()
    expected = {
        b"a": b"b",
        prefix + b"status": status,
        prefix + b"representative-claim": b"overage",
        prefix + b"overage-status": status,
        prefix + b"overage-utilization": share,
        prefix + b"reset": midnight,
        prefix + b"overage-reset": midnight,
    }
    if threshold is not None:
        expected[prefix + b"overage-surpassed-threshold"] = threshold
    assert expected == dict(told)
    assert len(expected) == len(told)


class Broken(Database):
    """A database that is away when it is told to be."""

    is_away = False

    def read_now(self, work: Any) -> Any:
        self._check()
        return super().read_now(work)

    def write_now(self, work: Any) -> Any:
        self._check()
        return super().write_now(work)

    def _check(self) -> None:
        if self.is_away:
            raise StoreError("away")


async def test_calls_are_let_through_while_the_database_is_away_and_counted_afterwards(
    process: Process, opened: Callable[[], Database]
) -> None:
    database = Broken(opened().address)
    gate = process(database)
    database.is_away = True
    for _ in range(5):
        await spent(gate, key(100), 10)
    with pytest.raises(StoreError):
        await work(gate)
    # What this process has spent by itself, it knows.
    await spent(gate, key(100), 50)
    await refused(gate, key(100))

    database.is_away = False
    await work(gate)

    assert (100, 0) == await figures(opened())
    await refused(gate, key(100))
    database.dispose()


async def test_calls_are_refused_while_the_database_is_away_if_it_is_set_so(
    process: Process, opened: Callable[[], Database]
) -> None:
    database = Broken(opened().address)
    gate = process(database, usage={"when_store_fails": "refuse"})
    await spent(gate, key(10_000), 10)
    database.is_away = True

    # A lease is as good as money.
    await held(gate, key(10_000), 10)
    with pytest.raises(UnavailableError, match="does not answer"):
        await gate.admit(asked(key(10_000), quote=1000))
    database.dispose()


async def test_a_hundred_calls_at_once_overrun_a_budget_by_one(
    process: Process, opened: Callable[[], Database]
) -> None:
    gates = [process() for _ in range(4)]
    ci = key(995)
    begun: list[BudgetHold] = []

    async def ask(gate: Budgets) -> None:
        with contextlib.suppress(LimitError):
            begun.append(await held(gate, ci, 30))

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(ask, gates[number % 4])

    # The last one may begin with less left than it needs.
    assert 33 <= len(begun) <= 34
    for hold in begun:
        hold.settle(over(cost=30))
    await work(*gates)
    assert len(begun) * 30 == (await figures(opened()))[0]


async def test_processes_that_stop_give_everything_back(
    process: Process, opened: Callable[[], Database]
) -> None:
    gate = process()
    await spent(gate, key(10_000), 10)
    gate.retire()
    await work(gate)

    assert (10, 0) == await figures(opened())


async def test_a_person_has_a_budget_whatever_key_it_uses(process: Process) -> None:
    gate = process()
    await gate.people.put(
        [
            ("owners", "", "month", 100),
            ("members", "web", "month", 200),
            ("owner", "cyn@x.com", "month", -1),
        ],
        [],
        "ada",
    )
    await work(gate)
    ada, bob = Key("k1", "one", owner="ada@x.com"), Key("k2", "two", owner="bob@x.com")
    web = Key("k3", "three", owner="ada@x.com", team=Team("t", "web"))
    await spent(gate, ada, 100)

    assert str(await refused(gate, ada)).startswith("The budget of ada@x.com is spent")
    await held(gate, bob, 1)
    await spent(gate, web, 99)
    await spent(gate, web, 1)
    await refused(gate, web)
    assert await gate.admit(asked(Key("k4", "four", owner="cyn@x.com"))) is None


async def test_a_team_has_a_pool(process: Process) -> None:
    gate = process()
    await gate.people.put([("pool", "web", "month", 100)], [], "ada")
    await work(gate)
    one = Key("k1", "one", owner="ada@x.com", team=Team("t", "web"))
    await spent(gate, one, 100)

    error = await refused(gate, Key("k2", "two", team=Team("t", "web")))
    assert str(error).startswith("The budget of the team 'web' is spent")


async def test_what_a_dear_estimate_has_left_over_comes_back_within_a_second(
    process: Process, opened: Callable[[], Database]
) -> None:
    gate = process()
    hold = await held(gate, key(10_000), 5000)
    hold.settle(over(cost=300))
    await work(gate)

    spent, leased = await figures(opened())
    assert 300 == spent
    assert 0 < leased <= 600


async def test_instruments_show_how_budgets_stand(process: Process) -> None:
    gate = process()
    await spent(gate, key(2 * DOLLAR, alias="sonnet*"), DOLLAR)

    labels = ("key", "ci", "day", "sonnet*")
    assert {
        Reading("llmroute_budget_spent_dollars", 1.0, labels),
        Reading("llmroute_budget_limit_dollars", 2.0, labels),
    } == set(gate.readings())


async def test_what_no_column_holds_does_not_stop_the_writing(process: Process) -> None:
    gate = process()
    for hold in [await held(gate, key(10)) for _ in range(2)]:
        hold.settle(over(2**62))
    await anyio.to_thread.run_sync(gate.work)

    with pytest.raises(BudgetError):
        await gate.admit(asked(key(10)))
