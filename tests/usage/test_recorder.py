"""What is written down of calls, and what becomes of it while the database does not take it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError, OperationalError

from llmroute.accounts.model import Key
from llmroute.database import Database
from llmroute.database.schema import calls, days
from llmroute.errors import StoreError
from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Record
from llmroute.pricing import Tariff
from llmroute.pricing.rates import Listing, Rates
from llmroute.usage.recorder import Recorder
from llmroute.usage.rows import DAY, row_of

NOON = 1_800_014_400.0 - 1_800_014_400.0 % 86_400 + 43_200
TARIFF = Tariff(
    "config",
    ((0, Rates(3, 15, 0.3, 3.75, 6)),),
    Listing("anthropic", regional=False, day=dt.date(2026, 11, 23)),
)


def record(number: int = 0, **members: Any) -> Record:
    known: dict[str, Any] = {
        "at": NOON + number,
        "id": f"call_{number:06}",
        "key": "ci",
        "owner": "ada@example.com",
        "team": "core",
        "alias": "claude-sonnet-5",
        "deployment": "one",
        "model": "claude-sonnet-5",
        "tariff": lambda: TARIFF,
        "usage": Usage.of({"input_tokens": 100, "output_tokens": 10}),
    }
    return Record(**known | members)


@pytest.fixture
def database(opened: Callable[[], Database]) -> Database:
    database = opened()
    database.upgrade_now()
    return database


@pytest.fixture
def recorder(database: Database) -> Recorder:
    return Recorder(database)


def rows(database: Database, table: Any = calls) -> list[dict[str, Any]]:
    def work(connection: Connection) -> list[dict[str, Any]]:
        found = connection.execute(select(table).order_by(*table.primary_key.columns))
        return [dict(row._mapping) for row in found]

    return database.read_now(work)


def test_a_call_is_written_down_with_all_that_is_known_of_it(
    database: Database, recorder: Recorder
) -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "output_tokens_details": {"thinking_tokens": 7},
    }
    recorder.record(
        record(
            1,
            tags=("nightly",),
            account=Key("key_1", "ci"),
            session="s1",
            agent="a1",
            parent="a0",
            kind="subagent",
            client="claude-cli/2.1.330",
            stream=True,
            asked="sonnet",
            provider="anthropic",
            usage=Usage.of(usage),
            first_byte=0.25,
            duration=1.5,
            attempts=[Attempt("two", "it is away", 503, 0.1), Attempt("one", seconds=0.2)],
            losses=("top_k: left out",),
            why=["two has failed"],
            estimated=True,
        )
    )
    recorder.work()

    # 100 x 3 + 20 x 15 + 1000 x 0.3 + 20 x 3.75 + 30 x 6
    cost = 300 + 300 + 300 + 75 + 180
    [row] = rows(database)
    expected = {
        "id": "call_000001",
        "at": int((NOON + 1) * 1e6),
        "key_id": "key_1",
        "key": "ci",
        "owner": "ada@example.com",
        "team": "core",
        "tags": '["nightly"]',
        "session": "s1",
        "agent": "a1",
        "parent": "a0",
        "kind": "subagent",
        "client": "claude-cli/2.1.330",
        "endpoint": "messages",
        "stream": True,
        "asked": "sonnet",
        "alias": "claude-sonnet-5",
        "deployment": "one",
        "provider": "anthropic",
        "model": "claude-sonnet-5",
        "status": 200,
        "outcome": "answered",
        "input": 100,
        "output": 20,
        "cache_read": 1000,
        "cache_write": 50,
        "cache_write_1h": 30,
        "reasoning": 7,
        "cost": cost,
        # 1000 x (3 - 0.3) read; 20 x (3 - 3.75) and 30 x (3 - 6) written
        "saved": 2700 - 15 - 90,
        "estimated": True,
        "first_byte": 250_000,
        "duration": 1_500_000,
        "losses": '["top_k: left out"]',
        "why": '["two has failed"]',
        "error": "",
    }
    assert expected == {name: row[name] for name in expected}
    assert cost == json.loads(row["bill"])["total"]
    assert ["it is away", ""] == [each["error"] for each in json.loads(row["attempts"])]
    assert 0 == recorder.waiting == recorder.dropped


def test_a_day_is_the_sum_of_its_calls(database: Database, recorder: Recorder) -> None:
    for number in range(4):
        recorder.record(record(number))
    recorder.record(record(4, outcome="failed", status=503, usage=Usage()))
    recorder.record(record(5, outcome="cancelled", status=499))
    recorder.record(record(6, tariff=lambda: None))
    recorder.work()
    recorder.record(record(7))
    recorder.record(record(8, at=NOON + 86_400))
    recorder.record(record(9, endpoint="count_tokens", usage=Usage()))
    recorder.record(record(10, endpoint="POST /anthropic/v1/files", usage=Usage()))
    recorder.work()

    today, tomorrow = rows(database, days)
    assert int(NOON * 1e6) // DAY == today["day"] == tomorrow["day"] - 1
    sums = ("calls", "errors", "unpriced", "input", "output", "cost")
    priced = 100 * 3 + 10 * 15
    assert (8, 1, 1, 700, 70, 6 * priced) == tuple(today[name] for name in sums)
    assert (1, 0, 0, 100, 10, priced) == tuple(tomorrow[name] for name in sums)
    assert 11 == len(rows(database))


def test_what_no_key_of_ours_asked_for_is_not_written_down(
    database: Database, recorder: Recorder
) -> None:
    recorder.record(record(1, id="", key="", outcome="refused", status=401))
    # A body that could not be read, with a key; and a call in process, which has none.
    recorder.record(record(2, id="", outcome="refused", status=400))
    recorder.record(record(3, key=""))
    recorder.work()

    assert {"ci", ""} == {row["key"] for row in rows(database)}
    assert 2 == len(rows(database))
    assert all(row["id"].startswith("call_") for row in rows(database))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"error": "a\0b"}, id="a NUL character"),
        pytest.param({"session": "\ud800", "tags": ("\ud800",)}, id="half a surrogate pair"),
        pytest.param({"model": "m" * 100_000, "asked": "m" * 100_000}, id="a name without end"),
        pytest.param({"model": "語" * 3000, "owner": "語" * 3000}, id="three bytes a letter"),
        pytest.param({"error": "x" * 10_000_000}, id="a long error"),
        pytest.param({"why": ["x" * 10_000] * 10_000}, id="too many lines"),
        pytest.param(
            {
                "usage": Usage.of(
                    {
                        "output_tokens": 2**53,
                        "input_tokens": 2**53,
                        "cache_creation": {"ephemeral_1h_input_tokens": 2**70},
                        "output_tokens_details": [],
                    }
                )
            },
            id="more than there can be",
        ),
    ],
)
def test_what_others_choose_is_cut_to_what_a_database_takes(
    database: Database, recorder: Recorder, members: dict[str, Any]
) -> None:
    recorder.record(record(1, **members))
    recorder.record(record(2))
    recorder.work()

    assert 0 == recorder.dropped
    found, _ = rows(database)
    assert 100_000 > sum(len(value) for value in found.values() if isinstance(value, str))


def test_an_upstream_that_tells_any_number_does_not_stop_the_writing(
    database: Database, recorder: Recorder
) -> None:
    most = {"input_tokens": 2**40, "output_tokens": 2**40}
    usage = Usage.of({**most, "iterations": [{"type": "message", **most}, {"type": "x", **most}]})
    for number in range(40):
        recorder.record(record(number, usage=usage))
    for number in range(40, 80):
        made = record(number, usage=Usage.of({"output_tokens": 10**30, "input_tokens": 1}))
        recorder.record(made)
    recorder.work()

    assert 0 == recorder.dropped
    assert 80 == len(rows(database))
    (day,) = rows(database, days)
    assert 40 * 10**13 <= day["cost"] < 41 * 10**13
    assert 40 * 2**40 == day["output"]


def test_no_long_name_is_kept_in_memory() -> None:
    tracemalloc.start()
    try:
        for number in range(20):
            row_of(record(number, asked=f"{number}" * 500_000))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1_000_000


class Unsteady(Database):
    """A database that fails as it is told to: before the transaction, or behind it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.address)
        self._database = database
        self.fails: list[str] = []

    def write_now(self, work: Callable[[Connection], Any]) -> Any:
        how = self.fails.pop(0) if self.fails else ""
        if how == "before":
            raise StoreError("it is away")
        done = self._database.write_now(work)
        if how == "behind":
            raise StoreError("the connection was lost") from OperationalError("", {}, OSError())
        if how == "twice":
            return self._database.write_now(work)
        return done


@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(["before", "before"], id="away"),
        pytest.param(["behind"], id="done, and nobody heard of it"),
        pytest.param(["behind", "before", "behind"], id="again and again"),
        pytest.param(["twice"], id="repeated by itself"),
    ],
)
def test_nothing_is_lost_and_nothing_is_counted_twice(database: Database, fails: list[str]) -> None:
    unsteady = Unsteady(database)
    recorder = Recorder(unsteady)
    unsteady.fails = list(fails)
    for number in range(1200):
        recorder.record(record(number))
    while recorder.waiting:
        try:
            recorder.work()
        except StoreError:
            recorder.record(record(2000 + len(unsteady.fails)))
    written = rows(database)
    [day] = rows(database, days)

    expected = 1200 + len([each for each in fails if each != "twice"])
    assert expected == len(written) == day["calls"]
    assert sum(row["cost"] for row in written) == day["cost"]
    assert 0 == recorder.dropped


def test_one_row_that_the_database_does_not_take_holds_up_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database)
    for number in range(9):
        recorder.record(record(number))
    recorder.record(record(9, status=None))
    with caplog.at_level(logging.WARNING, "llmroute"):
        recorder.work()

    assert 9 == len(rows(database)) == rows(database, days)[0]["calls"]
    assert 1 == recorder.dropped
    assert "call_000009 is not written down" in caplog.text


@pytest.mark.parametrize(
    "room",
    [
        pytest.param({"most": 3}, id="too many"),
        pytest.param({"most_bytes": 3 * 5000}, id="too large"),
    ],
)
def test_what_finds_no_room_is_counted_and_told_once(
    database: Database, caplog: pytest.LogCaptureFixture, room: dict[str, int]
) -> None:
    unsteady = Unsteady(database)
    recorder = Recorder(unsteady, **room)
    unsteady.fails = ["before"] * 6
    with caplog.at_level(logging.WARNING, "llmroute"):
        for number in range(6):
            recorder.record(record(number))
            with pytest.raises(StoreError):
                recorder.work()
    assert 3 == recorder.waiting == recorder.dropped
    assert 1 == caplog.text.count("are not written down")

    recorder.work()
    recorder.record(record(7))
    recorder.work()
    assert 4 == len(rows(database))
    assert 0 == recorder.waiting


def test_a_queue_that_nobody_empties_stays_small(database: Database) -> None:
    recorder = Recorder(database, most=10)
    for number in range(50):
        recorder.record(record(number))
    assert (10, 40) == (recorder.waiting, recorder.dropped)


def test_who_closes_is_told_what_was_not_written(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database)
    recorder.record(record(1))
    recorder.close()
    assert "1 calls are not written down" in caplog.text
    caplog.clear()
    recorder.work()
    recorder.close()
    assert "" == caplog.text


def test_a_full_disk_loses_nothing(database: Database) -> None:
    if database.address.path is None:
        pytest.skip("the disk of a server is its own")

    def limit(pages: int) -> Callable[[Connection], object]:
        return lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    database.write_now(limit(1))  # no more than there are already
    recorder = Recorder(database)
    for number in range(2000):
        recorder.record(record(number, error="x" * 500))
    with pytest.raises(StoreError, match="full") as raised:
        recorder.work()
    assert isinstance(raised.value.__cause__, DBAPIError)
    written = len(rows(database))
    assert 2000 == recorder.waiting + written

    database.write_now(limit(1_000_000))
    recorder.work()
    assert 2000 == len(rows(database)) == rows(database, days)[0]["calls"]


def test_the_event_loop_only_puts_a_call_into_a_queue(recorder: Recorder) -> None:
    def unaffordable() -> Tariff:
        raise AssertionError("prices are looked up in the thread")

    recorder.record(record(1, tariff=unaffordable))
    assert 1 == recorder.waiting
