"""What became of prompt caches, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anyio import to_thread
from tests.asgi.admin.conftest import CONFIG, Managed
from tests.usage.prompt_cache import PromptCache

from llmroute import Router
from llmroute.accounts.model import Key
from llmroute.asgi import Proxy
from llmroute.config import load_dict
from llmroute.database import open_database
from llmroute.ledger import Ledger
from llmroute.messages.usage import Usage
from llmroute.observe import Record
from llmroute.testing import Clock, FakeUpstream

pytestmark = pytest.mark.anyio

EVER = "since=2020-01-01&until=2040-01-01"
PREFIX = {"change": "tools", "break": True, "by": "client", "lost_tokens": 4000, "cost": 900}


async def written(proxy: Any, session: str, account: Any = None) -> None:
    """Have a call of a session be written down."""
    record = Record(
        at=1_800_000_000.0,
        id=f"call_{session}",
        session=session,
        usage=Usage.of({"input_tokens": 10, "cache_creation_input_tokens": 4000}),
        prefix=PREFIX,
        account=account,
    )
    proxy.ledger.record(record)
    await to_thread.run_sync(proxy.ledger.work)


async def test_a_session_is_told_of_turn_by_turn(proxy: Any) -> None:
    await written(proxy, "s/1")

    found = await proxy.ask("GET", "/usage/cache/s%2F1")

    assert ("s/1", 1, 4000, 900) == (
        *(found["session"], found["breaks"]),
        *(found["lost_tokens"], found["lost_cost"]),
    )
    assert ["tools"] == [turn["change"] for turn in found["turns"]]


async def test_the_sessions_that_lost_most_are_listed(proxy: Any) -> None:
    await written(proxy, "s1")

    found = await proxy.ask("GET", f"/usage/cache?{EVER}")

    assert ["s1"] == [each["session"] for each in found["sessions"]]
    assert "turns" not in found["sessions"][0]


async def test_a_key_sees_its_own_sessions_only(proxy: Any) -> None:
    made = await proxy.ask("POST", "/llmroute/keys", {"name": "ci"})
    await written(proxy, "mine", Key(id=made["id"], name="ci"))
    await written(proxy, "others")

    mine = await proxy.ask("GET", "/usage/cache/mine", key=made["key"])
    status, message = await proxy.refused("GET", "/usage/cache/others", key=made["key"])
    listed = await proxy.ask("GET", f"/usage/cache?{EVER}", key=made["key"])

    assert "mine" == mine["session"]
    assert (404, "there is no session 'others' of yours") == (status, message)
    assert ["mine"] == [each["session"] for each in listed["sessions"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/usage/cache/nobody", 404, id="no-session"),
        pytest.param("/usage/cache?since=yesterday", 400, id="no-time"),
        pytest.param("/usage/cache?limit=-1", 400, id="no-number"),
    ],
)
async def test_what_cannot_be_told_is_an_error(proxy: Any, path: str, status: int) -> None:
    assert status == (await proxy.refused("GET", path))[0]


class Serving(Managed):
    """A proxy whose calls go through its ledger."""

    def __init__(self, url: str, clock: Clock, config: Any) -> None:
        loaded = load_dict(config)
        self.ledger = Ledger(loaded, open_database(url), clock=clock)
        self.ledger.database.upgrade_now()
        self.ledger._ready.set()
        self.router = Router(loaded, observers=[self.ledger], admission=self.ledger)
        self.proxy = Proxy(self.router, ledger=self.ledger, metrics=False)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


def deployed(upstream: FakeUpstream, **settings: Any) -> dict[str, Any]:
    account = {"provider": "anthropic", "api_key": "k", "base_url": upstream.url, **settings}
    return {"deployments": {"one": account}, "aliases": {"claude-*": "one"}}


async def said(proxy: Any, turns: int, tools: list[Any]) -> None:
    """Make the next turn of a session, streamed."""
    words = "word " * 2000
    mark = {"cache_control": {"type": "ephemeral"}}
    messages = [
        {"role": "assistant" if at % 2 else "user", "content": f"{at} {words}"}
        for at in range(2 * turns + 1)
    ]
    last = messages[-1]
    last["content"] = [{"type": "text", "text": last["content"], **mark}]
    body = {"model": "claude-opus-5-5", "max_tokens": 99, "messages": messages, "tools": tools}
    async with proxy.client(**{"x-claude-code-session-id": "s1"}) as client:
        response = await client.post("/v1/messages", json=body | {"stream": True})
    assert 200 == response.status_code, response.text
    assert "message_stop" in response.text


async def test_a_session_through_the_proxy(url: str, clock: Clock, upstream: FakeUpstream) -> None:
    cache = PromptCache()
    upstream.answer_with(cache.answer)
    proxy = await to_thread.run_sync(Serving, url, clock, CONFIG | deployed(upstream))
    await to_thread.run_sync(proxy.ledger.work)
    tools = [{"name": "Bash", "description": "Runs.", "input_schema": {"type": "object"}}]

    await said(proxy, 1, tools)
    await said(proxy, 2, tools)
    await said(proxy, 3, [{**tools[0], "description": "Runs it."}])
    cache.forget()
    other = deployed(upstream, api_key="sk-of-another-workspace")
    proxy.proxy.reconfigure(await to_thread.run_sync(load_dict, CONFIG | other))
    await said(proxy, 4, [{**tools[0], "description": "Runs it."}])
    await proxy.router.aclose()
    await to_thread.run_sync(proxy.ledger.work)

    found = await proxy.ask("GET", "/usage/cache/s1")
    assert [
        ("first", "", ""),
        ("grew", "", ""),
        ("tools", "client", "tools[0] Bash"),
        ("configuration", "configuration", "settings of one"),
    ] == [(turn["change"], turn["by"], turn["where"]) for turn in found["turns"]]
    assert 2 == found["breaks"]
    assert found["lost_cost"] > 0
    assert "word" not in json.dumps(found)
    await to_thread.run_sync(proxy.ledger.close)
