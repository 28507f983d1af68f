"""What calls add up to, by whatever they are divided, on each kind of database."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from llmroute.database import Database
from llmroute.errors import InvalidRequestError
from llmroute.messages.usage import Usage
from llmroute.observe import Record
from llmroute.pricing import tariff
from llmroute.usage.conversations import agents, sessions
from llmroute.usage.period import DAY, HOUR, Span, span_of
from llmroute.usage.query import DIMENSIONS, FILTERS, Query, Sums
from llmroute.usage.recorder import Recorder
from llmroute.usage.reports import find_call, latest_calls, report
from llmroute.usage.spreadsheet import report_csv, sessions_csv

TODAY = 1_800_057_600  # 2027-01-16T00:00Z
DAY_OF = TODAY * 1_000_000
ALL = Span(DAY_OF - 7 * DAY, DAY_OF + DAY)
PRICED = tariff("anthropic", "claude-sonnet-5-5")  # 2, 10, 0.1, 2.5 and 4 dollars a million


class Account:
    """The least that can stand for a key."""

    def __init__(self, id_: str) -> None:
        self.id = id_


def record(number: int, **members: Any) -> Record:
    known: dict[str, Any] = {
        "at": TODAY + number,
        "id": f"call_{number}",
        "key": "ci",
        "account": Account("key_ci"),
        "owner": "ada@example.com",
        "team": "core",
        "tags": ("nightly",),
        "session": "s-1",
        "kind": "main",
        "client": "claude-cli/2.1.330",
        "asked": "sonnet",
        "alias": "sonnet",
        "deployment": "one",
        "provider": "anthropic",
        "model": "claude-sonnet-5-5",
        "tariff": lambda: PRICED,
        "usage": Usage.of({"input_tokens": 100, "output_tokens": 10}),
    }
    return Record(**known | members)


CALLS = [
    record(0),  # 100 x 2 + 10 x 10 = 300
    record(
        1,
        agent="a-1",
        kind="subagent",
        usage=Usage.of({"input_tokens": 10, "cache_read_input_tokens": 10_000}),
    ),  # 20 + 1000 = 1020; saved 10000 x 1.9 = 19000
    record(
        2,
        usage=Usage.of({"cache_creation_input_tokens": 1_000, "output_tokens": 1}),
    ),  # 2500 + 10 = 2510; saved -500
    record(3, outcome="failed", status=529, usage=Usage()),  # 0
    record(
        4,
        key="eve",
        account=Account("key_eve"),
        owner="eve@example.com",
        team="",
        tags=("nightly", 'odd "tag" %_'),
        session="s-2",
        model="qwen",
        deployment="two",
        provider="openai_compatible",
        tariff=lambda: None,
    ),  # unknown
    record(5, at=TODAY - 86_400 + 5, session="s-2", tags=()),  # 300
    record(6, at=TODAY - 8 * 86_400, session="s-0"),  # too long ago
    record(7, endpoint="count_tokens"),  # no call
    record(8, at=TODAY + 7_200, session=""),  # 300
]
TOTALS = Sums(7, 1, 410, 41, 10_000, 1_000, 4_430, 1, 18_500)


@pytest.fixture
def database(opened: Callable[[], Database]) -> Database:
    database = opened()
    database.upgrade_now()
    recorder = Recorder(database)
    for each in CALLS:
        recorder.record(each)
    recorder.work()
    return database


def asked(database: Database, *by: str, span: Span = ALL, key_id: str = "", **where: str) -> Any:
    query = Query(span, by, where, key_id)
    return database.read_now(lambda connection: report(connection, query))


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        pytest.param(
            ("key",),
            {("ci",): Sums(6, 1, 310, 31, 10_000, 1_000, 4_430, 0, 18_500)},
            id="key",
        ),
        pytest.param(
            ("owner",), {("eve@example.com",): Sums(1, 0, 100, 10, unpriced=1)}, id="owner"
        ),
        pytest.param(("team",), {("",): Sums(1, 0, 100, 10, unpriced=1)}, id="team"),
        pytest.param(
            ("deployment", "model"), {("two", "qwen"): Sums(1, 0, 100, 10, unpriced=1)}, id="two"
        ),
        pytest.param(("day",), {("2027-01-15",): Sums(1, 0, 100, 10, cost=300)}, id="day"),
        pytest.param(
            ("hour",),
            {
                ("2027-01-15T00:00Z",): Sums(1, 0, 100, 10, cost=300),
                ("2027-01-16T02:00Z",): Sums(1, 0, 100, 10, cost=300),
            },
            id="hour",
        ),
        pytest.param(
            ("session",),
            {
                ("s-2",): Sums(2, 0, 200, 20, cost=300, unpriced=1),
                ("",): Sums(1, 0, 100, 10, cost=300),
            },
            id="session",
        ),
        pytest.param(
            ("agent",), {("a-1",): Sums(1, 0, 10, 0, 10_000, 0, 1_020, 0, 19_000)}, id="agent"
        ),
        pytest.param(
            ("kind",), {("subagent",): Sums(1, 0, 10, 0, 10_000, 0, 1_020, 0, 19_000)}, id="kind"
        ),
        pytest.param(("client",), {("claude-cli/2.1.330",): TOTALS}, id="client"),
        pytest.param(
            ("provider",), {("openai_compatible",): Sums(1, 0, 100, 10, unpriced=1)}, id="provider"
        ),
        pytest.param(("outcome",), {("failed",): Sums(1, 1)}, id="outcome"),
        pytest.param(
            ("tag",),
            {
                ("nightly",): Sums(6, 1, 310, 31, 10_000, 1_000, 4_130, 1, 18_500),
                ('odd "tag" %_',): Sums(1, 0, 100, 10, unpriced=1),
                ("",): Sums(1, 0, 100, 10, cost=300),
            },
            id="tag",
        ),
        pytest.param(
            ("day", "session", "tag"),
            {("2027-01-15", "s-2", ""): Sums(1, 0, 100, 10, cost=300)},
            id="three",
        ),
    ],
)
def test_calls_are_divided_by(database: Database, by: tuple[str, ...], expected: Any) -> None:
    found = asked(database, *by)

    assert TOTALS == found.totals
    assert expected == {values: sums for values, sums in found.rows if values in expected}
    if "tag" not in by:
        assert TOTALS == Sums(*map(sum, zip(*(sums for _, sums in found.rows), strict=True)))


@pytest.mark.parametrize("by", [each for each in DIMENSIONS if each not in ("tag", "hour")])
def test_days_and_calls_tell_the_same(database: Database, by: str) -> None:
    # A span that is not of whole days has to be asked of the calls.
    narrower = Span(ALL.since, ALL.until - 1)

    assert asked(database, by).rows == asked(database, by, span=narrower).rows


@pytest.mark.parametrize(
    ("where", "calls"),
    [
        pytest.param({"key": "eve"}, 1, id="key"),
        pytest.param({"owner": "ada@example.com"}, 6, id="owner"),
        pytest.param({"team": "core", "model": "claude-sonnet-5-5"}, 6, id="two"),
        pytest.param({"session": "s-1"}, 4, id="session"),
        pytest.param({"session": "s-1", "agent": "a-1"}, 1, id="agent"),
        pytest.param({"tag": "nightly"}, 6, id="tag"),
        pytest.param({"tag": 'odd "tag" %_'}, 1, id="odd-tag"),
        pytest.param({"tag": "night"}, 0, id="part-of-a-tag"),
        pytest.param({"tag": "%"}, 0, id="wildcard"),
        pytest.param({"outcome": "failed"}, 1, id="outcome"),
        pytest.param({"alias": "'; DROP TABLE llmroute_calls; --"}, 0, id="quotes"),
    ],
)
def test_a_report_is_narrowed_to(database: Database, where: dict[str, str], calls: int) -> None:
    assert calls == asked(database, **where).totals.calls


def test_the_dearest_come_first_and_days_in_their_order(database: Database) -> None:
    assert ["ci", "eve"] == [values[0] for values, _ in asked(database, "key").rows]
    assert ["2027-01-15", "2027-01-16"] == [values[0] for values, _ in asked(database, "day").rows]


def test_beyond_the_limit_are_only_the_totals(database: Database) -> None:
    query = Query(ALL, ("session",), limit=1)
    found = database.read_now(lambda connection: report(connection, query))

    assert (1, TOTALS) == (len(found.rows), found.totals)


def test_a_name_that_another_key_had_tells_nothing_of_that(database: Database) -> None:
    assert 6 == asked(database, "key", key_id="key_ci", key="ci").totals.calls
    assert 0 == asked(database, "key", key_id="key_new", key="ci").totals.calls


def test_where_nothing_was_used_there_is_nothing(database: Database) -> None:
    long_ago = Span(0, DAY)

    assert ([], Sums()) == asked(database, "key", span=long_ago)[1:]
    assert ([], Sums()) == asked(database, "hour", span=long_ago)[1:]


def test_conversations(database: Database) -> None:
    query = Query(ALL)
    found = database.read_now(lambda connection: sessions(connection, query))

    assert [("s-2", "eve"), ("s-1", "ci"), ("s-2", "ci")] == [each[:2] for each in found]
    assert (1, 4) == (found[1].agents, found[1].sums.calls)
    assert (DAY_OF, DAY_OF + 3_000_000) == (found[1].first, found[1].last)
    assert 3 == len(list(csv.reader(io.StringIO(sessions_csv(found))))) - 1


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(1, ["s-0"], id="last-hour"),
        pytest.param(2, ["s-0", "s-1"], id="some-hours"),
        pytest.param(4, ["s-0", "s-1", "s-2", "s-3"], id="days"),
        pytest.param(9, ["s-0", "s-1", "s-2", "s-3"], id="all"),
    ],
)
def test_conversations_of_late_are_found_however_long_ago(
    opened: Callable[[], Database], limit: int, expected: list[str]
) -> None:
    database = opened()
    database.upgrade_now()
    recorder = Recorder(database)
    for number, hours in enumerate((1, 3, 30, 150)):
        for before in (hours, hours + 10):
            at = TODAY - before * 3_600
            recorder.record(record(number * 100 + before, at=at, session=f"s-{number}"))
    recorder.work()
    query = Query(ALL, limit=limit)
    found = database.read_now(lambda connection: sessions(connection, query))

    assert expected == [each.session for each in found]
    assert {2} == {each.sums.calls for each in found}


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        pytest.param([], [], id="unknown"),
        pytest.param([("", "")], [("", 0, 1, 1)], id="alone"),
        pytest.param(
            [("", ""), ("a", ""), ("b", "a"), ("c", ""), ("b", "a")],
            [("", 0, 1, 5), ("a", 1, 1, 3), ("b", 2, 2, 2), ("c", 1, 1, 1)],
            id="tree",
        ),
        pytest.param([("a", "")], [("", 0, 0, 1), ("a", 1, 1, 1)], id="no-main"),
        pytest.param([("a", "gone")], [("", 0, 0, 1), ("a", 1, 1, 1)], id="orphan"),
        pytest.param(
            [("a", "b"), ("b", "a"), ("c", "a")],
            [("", 0, 0, 3), ("a", 1, 1, 1), ("b", 1, 1, 1), ("c", 1, 1, 1)],
            id="circle",
        ),
        pytest.param([("a", "a")], [("", 0, 0, 1), ("a", 1, 1, 1)], id="own-parent"),
    ],
)
def test_agents_stand_below_those_that_started_them(
    opened: Callable[[], Database], started: list[tuple[str, str]], expected: Any
) -> None:
    database = opened()
    database.upgrade_now()
    recorder = Recorder(database)
    for number, (agent, parent) in enumerate(started):
        recorder.record(record(number, agent=agent, parent=parent, session="tree"))
    recorder.work()
    query = Query(ALL, where={"session": "tree"})
    found = database.read_now(lambda connection: agents(connection, query))

    assert expected == [(a.agent, a.depth, a.own.calls, a.below.calls) for a in found]


def test_a_call(database: Database) -> None:
    found = database.read_now(lambda connection: find_call(connection, "call_1"))

    assert found is not None
    assert ["nightly"] == found["tags"]
    assert (1_020, 1_020) == (found["cost"], found["bill"]["total"])
    assert None is database.read_now(lambda connection: find_call(connection, "call_none"))


def test_the_latest_calls_come_first(database: Database) -> None:
    query = Query(ALL, where={"key": "ci"}, limit=2)
    found = database.read_now(lambda connection: latest_calls(connection, query))

    assert ["call_8", "call_3"] == [each["id"] for each in found]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"by": ("colour",)}, id="unknown-dimension"),
        pytest.param({"where": {"colour": "red"}}, id="unknown-filter"),
        pytest.param({"where": {"day": "2027-01-16"}}, id="day-is-no-filter"),
        pytest.param({"limit": 0}, id="no-rows"),
        pytest.param({"limit": 10_001}, id="too-many-rows"),
    ],
)
def test_what_cannot_be_asked(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        Query(ALL, **members)


@pytest.mark.parametrize(
    ("sums", "share"),
    [
        pytest.param(Sums(), None, id="nothing"),
        pytest.param(Sums(1, input=50), 0.0, id="no-cache"),
        pytest.param(Sums(1, input=10, cache_read=80, cache_write=10), 0.8, id="some"),
    ],
)
def test_the_share_of_prompts_read_from_the_cache(sums: Sums, share: float | None) -> None:
    assert share == sums.hit_share


@pytest.mark.parametrize(
    "name", [pytest.param(f"{c}cmd|x", id=repr(c)) for c in ("=", "+", "-", "@", "\t=", "\x1b")]
)
def test_a_name_is_no_formula_in_a_spreadsheet(opened: Callable[[], Database], name: str) -> None:
    database = opened()
    database.upgrade_now()
    recorder = Recorder(database)
    recorder.record(record(0, key=name, usage=Usage.of({"cache_creation_input_tokens": 8})))
    recorder.work()
    rows = list(csv.DictReader(io.StringIO(report_csv(asked(database, "key")), newline="")))

    # Nor does a terminal do as it is told.
    told = f"'{name}".replace("\t", " ") if name[0] != "\x1b" else " cmd|x"
    assert [told] == [row["key"] for row in rows]
    # A negative number stays one.
    assert ["-0.000004"] == [row["saved_usd"] for row in rows]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        pytest.param("today", "", Span(DAY_OF, DAY_OF + DAY), id="today"),
        pytest.param("1d", "", Span(DAY_OF, DAY_OF + DAY), id="1d"),
        pytest.param("7d", "", Span(DAY_OF - 6 * DAY, DAY_OF + DAY), id="7d"),
        pytest.param("2h", "", Span(DAY_OF + 10 * HOUR, DAY_OF + DAY), id="2h"),
        pytest.param("30m", "", Span(DAY_OF + 12 * HOUR - HOUR // 2, DAY_OF + DAY), id="30m"),
        pytest.param("week", "", Span(DAY_OF - 5 * DAY, DAY_OF + DAY), id="week"),
        pytest.param("month", "", Span(DAY_OF - 15 * DAY, DAY_OF + DAY), id="month"),
        pytest.param(
            "2027-01-01", "2027-01-02", Span(DAY_OF - 15 * DAY, DAY_OF - 14 * DAY), id="dates"
        ),
        pytest.param(
            "2027-01-16T02:00+02:00", "2027-01-16T01:00Z", Span(DAY_OF, DAY_OF + HOUR), id="zones"
        ),
    ],
)
def test_a_time(since: str, until: str, expected: Span) -> None:
    assert expected == span_of(since, until, TODAY + 43_200)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("yesterday", "", id="word"),
        pytest.param("7", "", id="no-unit"),
        pytest.param("-7d", "", id="negative"),
        pytest.param("9999-12-31T23:59-20:00", "", id="beyond-the-calendar"),
        pytest.param("2027-01-02", "2027-01-01", id="backwards"),
    ],
)
def test_no_time(since: str, until: str) -> None:
    with pytest.raises(InvalidRequestError):
        span_of(since, until, TODAY)


def test_every_filter_and_dimension_is_known() -> None:
    assert {*FILTERS, "day", "hour"} == {*DIMENSIONS}


def test_a_report_of_days_does_not_read_the_calls(database: Database) -> None:
    database.write_now(lambda connection: connection.execute(text("DELETE FROM llmroute_calls")))

    assert TOTALS == asked(database, "day", "key", alias="sonnet").totals
