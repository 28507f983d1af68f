"""What a program is told of costs: by the message, by the stream, and by who refuses."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.router.conftest import House

import llmroute
import llmroute.ledger  # imported here, for it takes its time
import llmroute.sync
from llmroute import pricing
from llmroute.accounts.model import Key
from llmroute.testing import error, text

pytestmark = pytest.mark.anyio

pricing.load()

PRICE = {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "cache_write_1h": 6}
USAGE = {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 1000}
COST = 100 * 3 + 20 * 15 + 300  # micro-dollars
LINES = [("input", 100, 300), ("cache_read", 1000, 300), ("output", 20, 300)]
T = TypeVar("T")
HELLO: dict[str, Any] = {
    "model": "sonnet",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}


def lines(bill: llmroute.Bill | None) -> list[tuple[str, int, int]]:
    assert bill is not None
    return [(line.kind, line.count, int(line.amount)) for line in bill.lines]


def unpickled(value: T) -> T:
    copied: T = pickle.loads(pickle.dumps(value))  # noqa: S301 - it is our own
    return copied


def priced(house: House, **top: Any) -> dict[str, Any]:
    return house.config(east={"price": PRICE}, **top)


async def test_a_message_knows_its_cost(house: House) -> None:
    house.east.answer(text("Hello.", usage=USAGE))
    async with house.router(priced(house)) as router:
        message = await house.ask(router)

    assert COST == message.cost == house.records[0].cost
    assert LINES == lines(message.bill)
    assert message.bill is not None
    assert ("config", COST) == (message.bill.source, message.bill.total)
    assert house.records[0].id == message.call != ""


async def test_so_does_a_stream_when_it_is_over(house: House) -> None:
    house.east.answer(text("Hello.", usage=USAGE))
    async with (
        house.router(priced(house)) as router,
        router.stream(**HELLO) as stream,
    ):
        await anext(stream)
        before = stream.cost, stream.bill
        message = await stream.message()

    assert (None, None) == before
    assert COST == message.cost == stream.cost == house.records[0].cost
    assert LINES == lines(message.bill) == lines(stream.bill)
    assert house.records[0].id == message.call == stream.call


async def test_a_stream_that_is_left_early_costs_what_was_sent(house: House) -> None:
    house.east.answer(text("Hello there.", usage=USAGE).stall(after_events=4))
    async with house.router(priced(house)) as router:
        async with router.stream(**HELLO) as stream:
            await anext(stream)

        assert house.records[0].estimated
        assert stream.cost == house.records[0].cost
        assert stream.cost is not None
        assert 600 <= stream.cost <= COST


async def test_it_is_the_cost_of_who_answered(house: House) -> None:
    house.east.answer(error(529))
    house.west.answer(text("Hello.", usage=USAGE))
    config = house.config(
        east={"price": PRICE}, west={"price": {**PRICE, "input": 5}}, routing={"retries": 0}
    )
    async with house.router(config) as router:
        message = await house.ask(router)

    assert ("west", COST + 200) == (message.deployment, message.cost)


async def test_what_nobody_knows_is_not_nothing(house: House) -> None:
    house.east.answer(text("Hello.", usage=USAGE))
    async with house.router(house.config(east={"model": "our-own"})) as router:
        message = await house.ask(router)

    assert (None, None) == (message.cost, message.bill)


def test_a_message_of_ones_own_has_no_cost() -> None:
    message = llmroute.Message({"usage": USAGE}, "one")

    assert (None, None, "") == (message.cost, message.bill, message.call)


async def test_copies_keep_the_cost_and_plain_data_has_none(house: House) -> None:
    house.east.answer(text("Hello.", usage=USAGE))
    async with house.router(priced(house)) as router:
        message = await house.ask(router)
    copies = copy.copy(message), copy.deepcopy(message), unpickled(message)

    assert [message] * 3 == list(copies)
    assert [COST] * 3 == [each.cost for each in copies]
    assert [LINES] * 3 == [lines(each.bill) for each in copies]
    plain = json.loads(json.dumps(dataclasses.asdict(message)))
    assert {"data", "deployment", "attempts", "request_id", "call"} == plain.keys()
    assert message.data == plain["data"]
    assert "cost" not in message.data
    assert "price" not in repr(message)


async def test_a_budget_says_how_it_stands(house: House) -> None:
    house.east.default = text("Hello.", usage=USAGE)
    budgets = [{"amount": 0.001, "period": "day", "message": "Ask Ada."}]
    async with house.router(priced(house, budgets=budgets)) as router:
        await house.ask(router)
        await house.ask(router)
        with pytest.raises(llmroute.BudgetError, match=r"Ask Ada\.") as refused:
            await house.ask(router)

    error = refused.value
    assert ("day", 1000, 2 * COST) == (error.period, error.amount, error.spent)
    assert error.resets is not None
    assert (0, 0, 0) == (error.resets.hour, error.resets.minute, error.resets.second)
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 86_400
    again = unpickled(error)
    assert (str(error), error.resets) == (str(again), again.resets)


KEYS: dict[str, dict[str, Any]] = {
    "nightly": {
        "key": "sk-nobody-presents-it",
        "owner": "ada@example.com",
        "tags": ["batch"],
        "budgets": [{"amount": 0.0005, "period": "month"}],
        "team": "core",
        "aliases": ["sonnet"],
    },
    "over": {"key": "sk-over", "blocked": True},
}


async def test_a_call_is_made_with_a_key_by_its_name(house: House, tmp_path: Path) -> None:
    house.east.default = text("Hello.", usage=USAGE)
    path = tmp_path / "llmroute.db"
    config = priced(
        house,
        keys=KEYS,
        teams={"core": {}},
        database=f"sqlite:///{path}",
        aliases={"other": ["east"]},
    )
    async with house.router(config) as router:
        await house.ask(router, key="nightly", tags=["release"])
        with pytest.raises(llmroute.BudgetError, match="key 'nightly'"):
            await house.ask(router, key="nightly")
        with pytest.raises(llmroute.BudgetError):
            async with router.stream(**HELLO, key="nightly"):
                pass
        with pytest.raises(llmroute.ForbiddenError, match="may not ask for 'other'"):
            await house.ask(router, model="other", key="nightly")
        with pytest.raises(llmroute.ForbiddenError, match="blocked"):
            await house.ask(router, key="over")
        with pytest.raises(llmroute.UnknownSubjectError, match="nobody"):
            await house.ask(router, key="nobody")
        await house.ask(router)

    first, *_, last = house.records
    assert ("nightly", "ada@example.com", "core") == (first.key, first.owner, first.team)
    assert ("batch", "release") == first.tags
    assert ("", "", ()) == (last.key, last.team, last.tags)
    assert "key" not in house.east.requests[0].json
    assert "tags" not in house.east.requests[0].json
    # Nothing is lost when the router is closed right behind the last call.
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT key, cost FROM llmroute_calls WHERE status = 200 ORDER BY at"
        kept = connection.execute(query).fetchall()
    assert [("nightly", COST), ("", COST)] == kept


async def test_a_key_of_the_database_will_do(house: House, tmp_path: Path) -> None:
    house.east.default = text("Hello.", usage=USAGE)
    async with house.router(priced(house, database=f"sqlite:///{tmp_path}/a.db")) as router:
        assert router.ledger is not None
        await house.ask(router)
        key = Key(id="", name="ada", owner="ada@example.com")
        await router.ledger.directory.create_key(key, "a test")
        await house.ask(router, key="ada")

    assert ["", "ada"] == [record.key for record in house.records]


async def test_without_keys_there_is_none_of_that_name(house: House) -> None:
    async with house.router() as router:
        with pytest.raises(llmroute.UnknownSubjectError, match="no keys and no database"):
            await house.ask(router, key="ada")


def test_the_synchronous_router_tells_the_same(house: House) -> None:
    house.east.default = text("Hello.", usage=USAGE)
    keys = {"nightly": {**KEYS["nightly"], "team": "core"}}
    config = priced(house, keys=keys, teams={"core": {}})
    with llmroute.sync.Router.from_dict(config) as router:
        with router.stream(**HELLO, key="nightly") as stream:
            message = stream.message()
        with pytest.raises(llmroute.BudgetError) as refused:
            router.complete(**HELLO, key="nightly")

    assert (COST, COST, stream.call) == (message.cost, stream.cost, message.call)
    assert LINES == lines(stream.bill)
    assert ("month", 500) == (refused.value.period, refused.value.amount)
