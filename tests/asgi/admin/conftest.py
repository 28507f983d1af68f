"""Proxies that share a database, asked without a network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from anyio import to_thread
from tests.database.conftest import postgres, url

from llmroute import Router
from llmroute.asgi import Proxy
from llmroute.config import load_dict
from llmroute.database import open_database
from llmroute.ledger import Ledger
from llmroute.testing import Clock

__all__ = ["postgres", "url"]

MASTER_KEY = "sk-master-1234567890"
CONFIG: dict[str, Any] = {
    "deployments": {
        "sonnet-direct": {
            "provider": "anthropic",
            "model": "claude-sonnet-4-5-20250929",
            "api_key": "sk-ant-upstream-key",
        },
    },
    "aliases": {"sonnet": "sonnet-direct"},
    "server": {"master_key": MASTER_KEY},
}


class Managed:
    """A proxy with a ledger whose thread is not running: a test works in its place."""

    def __init__(self, url: str, clock: Clock, config: Mapping[str, Any]) -> None:
        loaded = load_dict(config)
        self.ledger = Ledger(loaded, open_database(url), clock=clock)
        router = Router(loaded, admission=self.ledger)
        self.ledger.database.upgrade_now()
        self.ledger._ready.set()
        self.proxy = Proxy(router, ledger=self.ledger, metrics=False)

    def client(self, key: str = MASTER_KEY, **headers: str) -> httpx.AsyncClient:
        """Return a client that presents a key."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.proxy),
            base_url="http://127.0.0.1:4000",
            headers={"x-api-key": key, **headers} if key else headers,
        )

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str = MASTER_KEY, **more: Any
    ) -> Any:
        """Ask, and return the JSON of an answer that has to be 200."""
        async with self.client(key) as client:
            response = await client.request(method, path, json=body, **more)
        assert 200 == response.status_code, response.text
        return response.json()

    async def refused(
        self, method: str, path: str, body: Any = None, *, key: str = MASTER_KEY, **more: Any
    ) -> tuple[int, str]:
        """Ask, and return the status and the message of an answer that is an error."""
        async with self.client(key) as client:
            response = await client.request(method, path, json=body, **more)
        assert response.status_code >= 400, response.text
        return response.status_code, response.json()["error"]["message"]

    async def knows(self, key: str) -> bool:
        """Tell whether a key is let in."""
        async with self.client(key) as client:
            response = await client.get("/v1/models")
        return response.status_code == 200


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def managed(url: str, clock: Clock) -> Iterator[Callable[..., Awaitable[Managed]]]:
    """Return a function that makes a proxy on the test's database."""
    made: list[Managed] = []

    async def make(**config: Any) -> Managed:
        made.append(await to_thread.run_sync(Managed, url, clock, CONFIG | config))
        return made[-1]

    yield make
    for each in made:
        each.ledger.close()


@pytest.fixture
async def proxy(managed: Callable[..., Awaitable[Managed]]) -> Managed:
    return await managed()
