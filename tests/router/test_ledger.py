"""A program's own budgets and records, without a proxy and without keys."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

# Imported when a router first needs it; a test must not be the one that is found to wait for it.
import pytest
from tests.router.conftest import House

import llmroute
import llmroute.ledger
from llmroute.sync import Router as SyncRouter
from llmroute.testing import text

pytestmark = pytest.mark.anyio


def kept(path: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT alias, deployment, output FROM llmroute_calls ORDER BY at"
        return connection.execute(query).fetchall()


async def test_calls_are_written_down_where_the_configuration_says(
    house: House, tmp_path: Path
) -> None:
    house.east.answer(text("One."), text("Two."))
    path = tmp_path / "llmroute.db"
    async with house.router(house.config(database=f"sqlite:///{path}")) as router:
        first = await house.ask(router, "One")
        await house.ask(router, "Two")

    assert [("sonnet", "east", first.usage.output_tokens)] * 2 == kept(path)


async def test_a_budget_holds_in_process(house: House) -> None:
    house.east.answer(text("One."))
    budgets = [{"amount": 0.000001, "period": "day", "message": "Ask Ada."}]
    async with house.router(house.config(budgets=budgets)) as router:
        await house.ask(router, "One")
        with pytest.raises(llmroute.BudgetError, match=r"Ask Ada\."):
            await house.ask(router, "Two")

    assert 1 == len(house.east.requests)


async def test_nothing_is_kept_where_the_configuration_does_not_ask_for_it(house: House) -> None:
    async with house.router() as router:
        assert router.ledger is None


def test_the_synchronous_router_keeps_them_too(house: House, tmp_path: Path) -> None:
    house.east.answer(text("One."))
    path = tmp_path / "llmroute.db"
    with SyncRouter.from_dict(house.config(database=f"sqlite:///{path}")) as router:
        router.complete(
            model="sonnet", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
        )

    assert 1 == len(kept(path))


async def test_a_database_that_cannot_be_had_refuses_the_first_call(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llmroute.ledger, "_PATIENCE", 0.05)
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/llmroute.db"
    async with house.router(house.config(database=url)) as router:
        with pytest.raises(llmroute.UnavailableError, match="does not answer"):
            await house.ask(router, "One")
