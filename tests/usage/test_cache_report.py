"""What is told of prompt caches: a session turn by turn, and the sessions that lost most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.usage.test_recorder import NOON, record

from llmroute.accounts.model import Key
from llmroute.database import Database
from llmroute.messages.usage import Usage
from llmroute.usage.cache_report import CacheLoss, session_cache, worst_sessions
from llmroute.usage.period import Span
from llmroute.usage.recorder import Recorder

EVER = Span(0, 2**62)


def turn(number: int, session: str, change: str, *, read: int, written: int, **prefix: Any) -> Any:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": 5,
    }
    found = {"change": change, **prefix}
    return record(number, session=session, usage=Usage.of(usage), prefix=found)


TOOLS: dict[str, Any] = {
    "break": True,
    "by": "client",
    "at": 'tools[1] "break":true',
    "lost_tokens": 40_000,
    "cost": 138_000,
    "previous": "call_000001",
}
MOVED: dict[str, Any] = {"break": True, "by": "failover", "at": "a → b", "lost_tokens": 50_000}


@pytest.fixture
def database(opened: Callable[[], Database]) -> Database:
    database = opened()
    database.upgrade_now()
    recorder = Recorder(database)
    for each in (
        turn(1, "s1", "first", read=0, written=40_000),
        turn(2, "s1", "tools", read=0, written=41_000, **TOOLS),
        turn(3, "s1", "grew", read=41_000, written=500),
        turn(4, "s1", "tools", read=0, written=42_000, **TOOLS),
        turn(5, "s1", "moved", read=0, written=50_000, **MOVED),
        turn(6, "s2", "moved", read=0, written=9000, **{**MOVED, "cost": 1000}),
        turn(7, "s3", '{"break":true', read=0, written=9000),
        turn(8, "", "tools", read=0, written=9000, **TOOLS),
    ):
        recorder.record(each)
    recorder.record(record(9, session="s1", endpoint="count_tokens"))
    recorder.work()
    return database


def test_a_session_is_told_of_turn_by_turn(database: Database) -> None:
    found = database.read_now(lambda connection: session_cache(connection, "s1"))

    assert found is not None
    assert ["first", "tools", "grew", "tools", "moved"] == [turn.change for turn in found.turns]
    assert [False, True, False, True, True] == [turn.is_break for turn in found.turns]
    second = found.turns[1]
    assert ("call_000002", "call_000001", "client") == (second.call, second.previous, second.by)
    assert (40_000, 138_000, 0.0) == (second.lost, second.lost_cost, second.hit_share)
    assert [0.0, 0.0, 0.9877, 0.0, 0.0] == [turn.hit_share for turn in found.turns]
    assert CacheLoss(3, 130_000, 276_000, 1) == found.loss
    assert [
        ("tools", "client", CacheLoss(2, 80_000, 276_000, 0)),
        ("moved", "failover", CacheLoss(1, 50_000, 0, 1)),
    ] == found.causes
    assert 41_000 / (50 + 41_000 + 173_500) == pytest.approx(found.hit_share, abs=1e-4)


def test_the_sessions_that_lost_most_come_first(database: Database) -> None:
    found = database.read_now(lambda connection: worst_sessions(connection, EVER))

    assert ["s1", "s2"] == [each.session for each in found]
    assert [CacheLoss(3, 130_000, 276_000, 1), CacheLoss(1, 50_000, 1000, 0)] == [
        each.loss for each in found
    ]
    assert [(5, 50, 41_000, 173_500), (1, 10, 0, 9000)] == [
        (each.calls, each.input, each.cache_read, each.cache_write) for each in found
    ]


def test_only_so_many_are_told_of(database: Database) -> None:
    found = database.read_now(lambda connection: worst_sessions(connection, EVER, limit=1))

    assert ["s1"] == [each.session for each in found]


def test_only_the_time_that_was_asked_for_counts(database: Database) -> None:
    late = Span(int((NOON + 6) * 1_000_000), 2**62)

    found = database.read_now(lambda connection: worst_sessions(connection, late))

    assert ["s2"] == [each.session for each in found]


def test_of_another_key_there_is_nothing(database: Database) -> None:
    def asked(connection: Any) -> Any:
        return (
            session_cache(connection, "s1", key_id="other"),
            worst_sessions(connection, EVER, key_id="other"),
        )

    assert (None, []) == database.read_now(asked)


def test_a_key_sees_its_own(database: Database) -> None:
    recorder = Recorder(database)
    mine = turn(20, "s1", "tools", read=0, written=9000, **TOOLS)
    mine.account = Key(id="key_1", name="ci")
    recorder.record(mine)
    recorder.work()

    found = database.read_now(lambda connection: session_cache(connection, "s1", key_id="key_1"))

    assert found is not None
    assert ["call_000020"] == [turn.call for turn in found.turns]


def test_of_no_session_there_is_nothing(database: Database) -> None:
    assert database.read_now(lambda connection: session_cache(connection, "s9")) is None


def test_it_can_be_written_as_json(database: Database) -> None:
    found = database.read_now(lambda connection: session_cache(connection, "s2"))

    assert found is not None
    told = found.as_json()
    assert ("s2", 1, 50_000, 1000, 0.001) == (
        *(told["session"], told["breaks"], told["lost_tokens"]),
        *(told["lost_cost"], told["lost_cost_usd"]),
    )
    assert "a → b" == found.turns[0].as_json()["where"]
