"""What several processes may spend of one budget, whatever happens to them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, select

from llmroute.accounts.escrow import Account, Escrow
from llmroute.database import MEMORY, Database, open_database
from llmroute.database.schema import leases, metadata, spend
from llmroute.errors import StoreError
from llmroute.testing import Clock

T = TypeVar("T")

PROCESSES = 3
LARGEST = 40  # what a call may cost
START = 1_800_000_000.0


class Flaky:
    """A database whose next transaction fails, before it is committed or after."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.fails = ""

    def write_now(self, work: Callable[[Connection], T]) -> T:
        fails, self.fails = self.fails, ""
        if fails == "before":
            raise StoreError("away")
        done = self.database.write_now(work)
        if fails == "after":
            raise StoreError("the answer was lost")
        return done

    def read_now(self, work: Callable[[Connection], T]) -> T:
        return self.database.read_now(work)


@pytest.fixture(scope="module")
def memory() -> Iterator[Database]:
    database = open_database(MEMORY)
    database.write_now(metadata.create_all)
    yield database
    database.dispose()


@dataclass
class Process:
    """One that may die; what it knew is lost then."""

    escrow: Escrow
    database: Flaky
    calls: list[tuple[Account, int]] = field(default_factory=list)


class World:
    """Processes with one budget, and what they have truly spent."""

    def __init__(self, database: Database, limit: int) -> None:
        self.database = database
        self.limit = limit
        self.clock = Clock(START)
        self.spent = 0
        self.processes = [self.born() for _ in range(PROCESSES)]

    def born(self) -> Process:
        flaky = Flaky(self.database)
        process = Process(Escrow(flaky, self.clock), flaky)  # type: ignore[arg-type]
        process.escrow.work()
        return process

    def begin(self, process: Process, need: int) -> bool:
        """Begin a call if there is money for it."""
        account = process.escrow.account("budget", "total", self.clock())
        try:
            while not account.take(self.limit, need, self.clock()):
                if not process.escrow.refill(account, self.limit, need):
                    spent, leased, _ = self.figures
                    assert spent + leased >= self.limit, "there was something left"
                    return False
        except StoreError:
            return False
        process.calls.append((account, need))
        return True

    def end(self, process: Process, part: int) -> None:
        account, need = process.calls.pop(0)
        cost = need * part // 100
        account.settle(need, cost)
        self.spent += cost

    def work(self, process: Process) -> None:
        with contextlib.suppress(StoreError):
            process.escrow.work()

    def crash(self, number: int) -> int:
        """End a process in the middle of everything; return what it has spent unseen."""
        process = self.processes[number]
        seen = process.escrow.accounts()
        lost = sum(account.used for account in seen)
        # What an answer that was lost has written is written.
        tried = {id_: used for account in seen for id_, used in account.tried}
        with_them = select(leases.c.id).where(leases.c.id.in_(tried))
        for id_ in self.database.read_now(lambda it: list(it.scalars(with_them))):
            lost -= tried[id_]
        self.processes[number] = self.born()
        self.spent -= lost
        return lost

    @property
    def figures(self) -> tuple[int, int, int]:
        """What is spent and leased, and the sum of the leases."""

        def read(connection: Connection) -> tuple[int, int, int]:
            row = connection.execute(select(spend.c.spent, spend.c.leased)).first()
            sum_ = connection.scalar(select(func.coalesce(func.sum(leases.c.amount), 0)))
            return (
                (0, 0, int(sum_ or 0)) if row is None else (row.spent, row.leased, int(sum_ or 0))
            )

        return self.database.read_now(read)


number = st.integers(0, PROCESSES - 1)
fails = st.sampled_from(["", "", "", "before", "after"])
steps = st.one_of(
    st.tuples(st.just("begin"), number, st.integers(1, LARGEST), fails),
    st.tuples(st.just("begin"), number, st.integers(1, LARGEST), fails),
    st.tuples(st.just("end"), number, st.integers(0, 100), fails),
    st.tuples(st.just("work"), number, st.just(0), fails),
    st.tuples(st.just("crash"), number, st.just(0), fails),
    st.tuples(st.just("wait"), number, st.integers(1, 20), fails),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(steps, min_size=10, max_size=80),
    limit=st.sampled_from([1, 30, 100, 1000, 50_000]),
)
def test_no_budget_is_overrun_by_more_than_one_call_whatever_happens(
    memory: Database, steps: list[tuple[str, int, int, str]], limit: int
) -> None:
    memory.write_now(lambda it: (it.execute(delete(spend)), it.execute(delete(leases))))
    world = World(memory, limit)
    lost = 0
    for step, which, value, failing in steps:
        process = world.processes[which]
        process.database.fails = failing
        match step:
            case "begin":
                world.begin(process, value)
            case "end" if process.calls:
                world.end(process, value)
            case "work":
                world.work(process)
            case "crash":
                lost += world.crash(which)
            case "wait":
                process.database.fails = ""
                world.clock.advance(value)
                for each in world.processes:
                    each.escrow.work()
        process.database.fails = ""
        spent, leased, sum_of_leases = world.figures
        under_way = sum(need for each in world.processes for _, need in each.calls)
        assert leased == sum_of_leases
        assert spent + leased < limit + LARGEST
        assert world.spent + under_way < limit + LARGEST

    for process in world.processes:
        while process.calls:
            world.end(process, 100)
        process.escrow.work()
        process.escrow.retire()
        process.escrow.work()
    world.clock.advance(100)  # what the dead have held comes back
    world.born().escrow.work()
    assert (world.spent, 0, 0) == world.figures


def test_nothing_is_lost_or_counted_twice_among_threads(memory: Database) -> None:
    memory.write_now(lambda it: (it.execute(delete(spend)), it.execute(delete(leases))))
    world = World(memory, 10_000_000)
    escrow = world.processes[0].escrow
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.002):
            escrow.work()

    def call(number: int) -> int:
        need, cost = 1 + number % 7 * 5_000, number % 13 * 1_000
        account = escrow.account("budget", "total", START)
        while not account.take(world.limit, need, START):
            assert escrow.refill(account, world.limit, need)
        account.settle(need, cost)
        return cost

    with ThreadPoolExecutor(9) as threads:
        writing = threads.submit(write)
        try:
            costs = sum(threads.map(call, range(1_500)))
        finally:
            done.set()
        writing.result()
    escrow.retire()
    escrow.work()

    assert (costs, 0, 0) == world.figures
