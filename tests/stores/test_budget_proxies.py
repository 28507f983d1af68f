"""Several real proxies and one budget, in a real database, while things die."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from sqlalchemy import select
from tests.claude.gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from tests.database.conftest import opened, postgres, url
from tests.database.server import RealPostgres

from llmroute.database import Database, open_database
from llmroute.database.schema import leases, spend
from llmroute.testing import FakeUpstream, text

__all__ = ["opened", "postgres", "url"]

pytestmark = [pytest.mark.stores, pytest.mark.timeout(180)]

KEY = "sk-ci-canary-0123456789"
# At 3 dollars for a million, in micro-dollars; and what it is thought to cost, at the most.
COST = 24_000
ESTIMATE = 60_000
PROMPT = "word " * 8_000
CALL = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": PROMPT}],
}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream(api_key=UPSTREAM_KEY) as upstream:
        answer = text("Hi.", usage={"input_tokens": 8_000, "output_tokens": 0})
        upstream.answer_with(lambda _: answer)
        yield upstream


class Fleet:
    """Proxies with one key, its budget and one database."""

    def __init__(
        self, number: int, amount: float, upstream: FakeUpstream, url: str, folder: Path
    ) -> None:
        deployment = {
            "provider": "anthropic",
            "base_url": upstream.url,
            "api_key": UPSTREAM_KEY,
            "model": "claude-sonnet-4-5",
        }
        config = {
            "deployments": {"one": deployment},
            "aliases": {"claude-*": ["one"]},
            "keys": {"ci": {"key": KEY, "budgets": [{"amount": amount, "period": "total"}]}},
            "server": {"master_key": MASTER_KEY},
            "database": url,
        }
        self.proxies = []
        for each in range(number):
            (folder / f"proxy{each}").mkdir()
            self.proxies.append(Gateway("", folder / f"proxy{each}", json.dumps(config)))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for each in self.proxies:
            self._stack.enter_context(each)
        self._client = self._stack.enter_context(httpx.Client(timeout=30, trust_env=False))
        return self

    def __exit__(self, *args: object) -> None:
        self._stack.close()

    def ask(self, number: int) -> tuple[int, str]:
        """Make a call; return its status and the type of an error."""
        proxy = self.proxies[number % len(self.proxies)]
        try:
            answer = self._client.post(
                f"{proxy.url}/v1/messages", headers={"x-api-key": KEY}, json=CALL
            )
        except httpx.TransportError as error:
            return 0, str(error)
        return answer.status_code, answer.json().get("error", {}).get("type", "")


def figures(database: Database) -> tuple[int, int]:
    """Return what is spent, and what is leased."""

    def read(connection: Any) -> tuple[int, int]:
        row = connection.execute(select(spend.c.spent, spend.c.leased)).one()
        assert row.leased == sum(connection.scalars(select(leases.c.amount)))
        return row.spent, row.leased

    return database.read_now(read)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [2, 4])
def test_a_budget_is_spent_to_its_end_and_not_beyond_one_call(
    number: int, upstream: FakeUpstream, url: str, opened: Any, tmp_path: Path
) -> None:
    with Fleet(number, 1.0, upstream, url, tmp_path) as fleet, ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(fleet.ask, range(120)))
        # What was set aside for others is there again once they are done.
        wait_for(lambda: {"billing_error"} == {fleet.ask(each)[1] for each in range(number)})

    spent, leased = figures(opened())
    assert {200, 429} == {status for status, _ in answers}
    assert {"", "billing_error", "rate_limit_error"} >= {kind for _, kind in answers}
    assert COST * len(upstream.requests) == spent
    assert 1_000_000 <= spent < 1_000_000 + ESTIMATE
    assert 0 == leased


def test_a_proxy_that_is_killed_overruns_no_budget(
    upstream: FakeUpstream, url: str, opened: Any, tmp_path: Path
) -> None:
    with Fleet(3, 1.0, upstream, url, tmp_path) as fleet, ThreadPoolExecutor(12) as threads:
        running = [threads.submit(fleet.ask, each) for each in range(120)]
        wait_for(lambda: len(upstream.requests) >= 12)
        fleet.proxies[0]._process.kill()
        answers = [each.result() for each in running]
        spent, leased = figures(opened())
        assert spent + leased < 1_000_000 + ESTIMATE

    assert {0, 200, 429} >= {status for status, _ in answers}
    # Of the dead, no more is lost than it had leased.
    assert COST * len(upstream.requests) < 1_000_000 + ESTIMATE + 12 * ESTIMATE
    assert figures(opened())[0] < 1_000_000 + ESTIMATE


def test_a_database_that_is_restarted_stops_nobody_and_loses_nothing(
    upstream: FakeUpstream, postgres: RealPostgres, tmp_path: Path
) -> None:
    address = postgres.empty()
    with Fleet(2, 1_000.0, upstream, address, tmp_path) as fleet:
        statuses = [fleet.ask(each)[0] for each in range(10)]
        postgres.stop()
        statuses += [fleet.ask(each)[0] for each in range(10)]
        postgres.start()
        statuses += [fleet.ask(each)[0] for each in range(10)]
        assert [200] * 30 == statuses
        database = open_database(address)
        wait_for(lambda: figures(database)[0] == 30 * COST)
        database.dispose()
