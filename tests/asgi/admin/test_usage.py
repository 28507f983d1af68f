"""What was used, over HTTP: everybody's for administrators, its own for any key."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from anyio import to_thread

from llmroute.accounts.model import Key
from llmroute.messages.usage import Usage
from llmroute.observe import Record
from llmroute.pricing import tariff

pytestmark = pytest.mark.anyio

AT = 1_800_000_000.0  # 2027-01-15T08:00Z
EVER = "since=2020-01-01&until=2040-01-01"
PRICED = tariff("anthropic", "claude-sonnet-5-5")


async def written(proxy: Any, *records: Record) -> None:
    for record in records:
        proxy.ledger.record(record)
    await to_thread.run_sync(proxy.ledger.work)


def record(number: int, key: Key | None = None, **members: Any) -> Record:
    known: dict[str, Any] = {
        "at": AT + number,
        "id": f"call_{number}",
        "key": key.name if key else "master",
        "account": key,
        "session": "s-1",
        "alias": "sonnet",
        "model": "claude-sonnet-5-5",
        "tariff": lambda: PRICED,
        "usage": Usage.of({"input_tokens": 1_000, "output_tokens": 100}),  # 2000 + 1000
    }
    return Record(**known | members)


async def made(proxy: Any, name: str) -> tuple[str, Key]:
    """Make a key; return what is presented, and the key as it is known."""
    secret = (await proxy.ask("POST", "/llmroute/keys", {"name": name}))["key"]
    return secret, await proxy.ledger.directory.key(name)


async def test_an_administrator_sees_what_everybody_used(proxy: Any) -> None:
    _, ada = await made(proxy, "ada")
    await written(proxy, record(1, ada), record(2, ada), record(3))

    found = await proxy.ask("GET", f"/usage?{EVER}&by=key")

    assert (["key"], 9_000) == (found["by"], found["totals"]["cost"])
    assert [("ada", 2, 0.006), ("master", 1, 0.003)] == [
        (row["key"], row["calls"], row["cost_usd"]) for row in found["rows"]
    ]
    assert ("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z") == (found["from"], found["to"])


async def test_it_is_divided_and_narrowed_as_asked(proxy: Any) -> None:
    await written(proxy, record(1), record(2, session="s-2"), record(3, session="s-2"))

    found = await proxy.ask("GET", f"/usage?{EVER}&by=session,day&session=s-2&limit=5")

    assert [("s-2", "2027-01-15", 2)] == [
        (row["session"], row["day"], row["calls"]) for row in found["rows"]
    ]


async def test_a_key_sees_its_own_and_no_other_s(proxy: Any) -> None:
    secret, ada = await made(proxy, "ada")
    _, eve = await made(proxy, "eve")
    await written(proxy, record(1, ada), record(2, eve, session="s-eve"))

    own = await proxy.ask("GET", f"/usage/me?{EVER}&by=alias", key=secret)
    calls = await proxy.ask("GET", f"/usage/me/calls?{EVER}", key=secret)
    sessions = await proxy.ask("GET", f"/usage/me/sessions?{EVER}", key=secret)

    assert (1, "sonnet") == (own["totals"]["calls"], own["rows"][0]["alias"])
    assert ["call_1"] == [call["id"] for call in calls["calls"]]
    assert ["s-1"] == [session["session"] for session in sessions["sessions"]]
    for path in ("/usage", "/usage/calls", "/usage/sessions"):
        assert 403 == (await proxy.refused("GET", path, key=secret))[0]
    refused = await proxy.refused("GET", "/usage/me?key=eve", key=secret)
    assert (400, "key: this is about your own; leave it out") == refused


async def test_a_new_key_sees_nothing_of_one_that_had_its_name(proxy: Any) -> None:
    _, ada = await made(proxy, "ada")
    await written(proxy, record(1, ada))
    async with proxy.client() as client:
        assert 200 <= (await client.delete("/llmroute/keys/ada")).status_code < 300
    secret, _ = await made(proxy, "ada")

    assert 0 == (await proxy.ask("GET", f"/usage/me?{EVER}", key=secret))["totals"]["calls"]
    assert 404 == (await proxy.refused("GET", "/usage/calls/call_1", key=secret))[0]


async def test_the_master_key_has_a_use_of_its_own(proxy: Any) -> None:
    await written(proxy, record(1))

    assert 1 == (await proxy.ask("GET", f"/usage/me?{EVER}"))["totals"]["calls"]


async def test_a_call_is_explained_to_whose_it_is(proxy: Any) -> None:
    secret, ada = await made(proxy, "ada")
    other, _ = await made(proxy, "eve")
    await written(proxy, record(1, ada))

    found = await proxy.ask("GET", "/usage/calls/call_1", key=secret)

    assert (3_000, ["input", "output"]) == (
        found["bill"]["total"],
        [line["kind"] for line in found["bill"]["lines"]],
    )
    assert found == await proxy.ask("GET", "/usage/calls/call_1")
    # Nobody else is told so much as that there is one.
    unknown = await proxy.refused("GET", "/usage/calls/call_2", key=other)
    foreign = await proxy.refused("GET", "/usage/calls/call_1", key=other)
    assert (404, 404) == (unknown[0], foreign[0])
    assert unknown[1].replace("call_2", "call_1") == foreign[1]


async def test_conversations(proxy: Any) -> None:
    await written(proxy, record(1), record(2, session="s-2"))

    found = await proxy.ask("GET", f"/usage/sessions?{EVER}")

    assert ["s-2", "s-1"] == [each["session"] for each in found["sessions"]]
    assert "2027-01-15T08:00:02Z" == found["sessions"][0]["last"]


async def test_the_agents_of_a_conversation(proxy: Any) -> None:
    secret, ada = await made(proxy, "ada")
    eve_s, _ = await made(proxy, "eve")
    await written(proxy, record(1, ada, session="s/1"), record(2, ada, session="s/1", agent="a"))

    found = await proxy.ask("GET", f"/usage/sessions/s%2F1?{EVER}")

    assert [("", 0, 6_000), ("a", 1, 3_000)] == [
        (each["agent"], each["depth"], each["with_those_below"]["cost"]) for each in found["agents"]
    ]
    own = await proxy.ask("GET", f"/usage/me/sessions/s%2F1?{EVER}", key=secret)
    assert found["agents"] == own["agents"]
    path = f"/usage/me/sessions/s%2F1?{EVER}"
    assert 404 == (await proxy.refused("GET", path, key=eve_s))[0]


async def test_a_spreadsheet_takes_it(proxy: Any) -> None:
    await written(proxy, record(1, alias='=HYPERLINK("x")'))

    async with proxy.client() as client:
        response = await client.get(f"/usage?{EVER}&by=alias&format=csv")

    assert "text/csv; charset=utf-8" == response.headers["content-type"]
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert ('\'=HYPERLINK("x")', "0.003000") == (row["alias"], row["cost_usd"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        pytest.param("by=colour", "a report is divided by key", id="dimension"),
        pytest.param("colour=red", "colour: no such parameter; there are agent", id="parameter"),
        pytest.param("since=soon", "not a time: 'soon'; write 7d", id="time"),
        pytest.param("format=xml", "format: must be json or csv", id="format"),
        pytest.param("limit=many", "limit: must be a whole number", id="limit"),
        pytest.param("limit=0", "a report has 1 to 10000 rows", id="no-rows"),
    ],
)
async def test_what_cannot_be_asked(proxy: Any, query: str, message: str) -> None:
    status, said = await proxy.refused("GET", f"/usage?{query}")

    assert (400, message) == (status, said[: len(message)])


async def test_nobody_is_told_anything_without_a_key(proxy: Any) -> None:
    for path in ("/usage", "/usage/me", "/usage/calls/call_1"):
        assert 401 == (await proxy.refused("GET", path, key="sk-wrong"))[0]
