"""The app itself: another configuration, the state of the deployments, and the end of its time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.asgi.conftest import MASTER_KEY, Records, config_for

from llmroute import Config, Router
from llmroute.asgi import Proxy
from llmroute.config import load_dict
from llmroute.testing import FakeUpstream, text
from llmroute.transport.direct import DirectTransport
from llmroute.wire.eventstream import EventStreamDecoder

pytestmark = pytest.mark.anyio

ANOTHER_KEY = "sk-another-1234567890"
BODY: dict[str, Any] = {"model": "claude-x", "max_tokens": 9, "messages": [], "stream": True}
AT_BEDROCK = "/bedrock/model/claude-x/invoke-with-response-stream"
AT_VERTEX = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:streamRawPredict"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Exchange:
    """One request to an app, and what it has sent in answer."""

    def __init__(
        self, app: Proxy, method: str, path: str, body: Any = None, key: str = MASTER_KEY
    ) -> None:
        self.status = 0
        self.body = b""
        self.is_over = False
        self.gone = asyncio.Event()
        self._begun = asyncio.Event()
        self._asked = False
        self._content = b"" if body is None else json.dumps(body).encode()
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"x-api-key", key.encode())],
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._content, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        assert not self.is_over
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message["body"]
            self.is_over = not message.get("more_body", False)
            self._begun.set()

    async def begun(self) -> None:
        """Wait until some of the body has come."""
        await asyncio.wait_for(self._begun.wait(), 10)

    async def over(self) -> Exchange:
        """Wait until the app is done with it, whether it ends or is cancelled."""
        await asyncio.wait([self.task], timeout=10)
        assert self.task.done()
        return self

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def unserved(upstream: FakeUpstream, records: Records) -> tuple[Router, Proxy]:
    # Loading blocks, and so does the first use of the metrics: that is not for the event loop.
    config = load_dict(config_for(upstream.url))
    router = Router(config, transport=DirectTransport(), observers=[records])
    return router, Proxy(router)


@pytest.fixture
async def proxy(unserved: tuple[Router, Proxy]) -> AsyncIterator[Proxy]:
    router, proxy = unserved
    async with router:
        yield proxy


@pytest.fixture
def with_another_key(upstream: FakeUpstream) -> Config:
    return load_dict(config_for(upstream.url, master_key=ANOTHER_KEY))


@pytest.fixture
def with_a_limit(upstream: FakeUpstream) -> Config:
    return load_dict(config_for(upstream.url, max_body_bytes=1))


async def test_a_new_configuration_holds_from_the_next_request(
    proxy: Proxy, upstream: FakeUpstream, records: Records, with_another_key: Config
) -> None:
    upstream.answer(text("One two three").stall(after_events=3))
    first = Exchange(proxy, "POST", "/v1/messages", BODY)
    await first.begun()
    proxy.reconfigure(with_another_key)
    refused = await Exchange(proxy, "POST", "/v1/messages", BODY).over()
    taken = await Exchange(proxy, "POST", "/v1/messages", BODY, ANOTHER_KEY).over()
    upstream.release()
    await first.over()

    assert [401, 200, 200] == [refused.status, taken.status, first.status]
    assert upstream.requests[0].sent == first.body
    assert b"message_stop" in first.body
    assert 3 == len(records.wait(3))


async def test_a_request_that_is_being_read_keeps_its_limits(
    proxy: Proxy, with_a_limit: Config
) -> None:
    exchange = Exchange(proxy, "POST", "/v1/messages", BODY)
    while not exchange._asked:
        await asyncio.sleep(0)
    proxy.reconfigure(with_a_limit)

    assert 200 == (await exchange.over()).status
    assert 413 == (await Exchange(proxy, "POST", "/v1/messages", BODY).over()).status


async def test_the_deployments_are_a_page(proxy: Proxy) -> None:
    page = await Exchange(proxy, "GET", "/llmroute/deployments").over()

    assert 200 == page.status
    assert ["deployments", "store"] == list(page.json)
    assert "memory" == page.json["store"]
    first = page.json["deployments"][0]
    assert ("sonnet-direct", "anthropic", "claude-sonnet-4-5-20250929", "ready", 0) == tuple(
        first[name] for name in ("name", "provider", "model", "state", "busy")
    )
    assert {
        *("name", "provider", "model", "address", "state", "cooling_for", "failures", "busy"),
        *("latency", "requests_last_minute", "tokens_last_minute", "last_error", "last_error_at"),
    } == set(first)


async def test_the_deployments_are_nobody_elses_business(proxy: Proxy) -> None:
    page = await Exchange(proxy, "GET", "/llmroute/deployments", key="sk-wrong").over()

    assert 401 == page.status


async def test_while_it_drains_it_is_not_ready_and_still_answers(proxy: Proxy) -> None:
    ready = await Exchange(proxy, "GET", "/health/readiness").over()
    proxy.drain()
    draining = await Exchange(proxy, "GET", "/health/readiness").over()
    alive = await Exchange(proxy, "GET", "/health/liveliness").over()
    answered = await Exchange(proxy, "POST", "/v1/messages", BODY).over()

    assert [200, 503, 200, 200] == [each.status for each in (ready, draining, alive, answered)]
    assert {"status": "draining"} == draining.json


@pytest.mark.parametrize(
    "path", [pytest.param("/v1/messages", id="messages"), pytest.param(AT_VERTEX, id="vertex")]
)
async def test_a_stream_that_the_server_cancels_ends_in_an_error(
    proxy: Proxy, upstream: FakeUpstream, path: str
) -> None:
    upstream.answer(text("One two three").stall(after_events=3))
    exchange = Exchange(proxy, "POST", path, BODY)
    await exchange.begun()
    exchange.task.cancel()
    await exchange.over()

    assert exchange.task.cancelled()
    assert exchange.is_over
    *_, last, end = exchange.body.split(b"\n\n")
    assert b"" == end
    assert last.startswith(b"event: error\ndata: ")
    error = json.loads(last.partition(b"data: ")[2])
    assert {"type": "api_error", "message": "the proxy is stopping"} == error["error"]


async def test_one_of_bedrocks_ends_in_an_exception(proxy: Proxy, upstream: FakeUpstream) -> None:
    upstream.answer(text("One two three").stall(after_events=3))
    exchange = Exchange(proxy, "POST", AT_BEDROCK, {**BODY, "anthropic_version": "x"})
    await exchange.begun()
    exchange.task.cancel()
    await exchange.over()

    assert exchange.is_over
    *_, last = EventStreamDecoder().feed(exchange.body)
    assert "internalServerException" == last.headers[":exception-type"]
    assert {"message": "the proxy is stopping"} == json.loads(last.payload)


async def test_a_call_that_has_no_answer_yet_gets_one(proxy: Proxy, upstream: FakeUpstream) -> None:
    upstream.answer(text("One").late(), text("Two").late())
    exchanges = [
        Exchange(proxy, "POST", "/v1/messages", BODY | {"stream": stream})
        for stream in (True, False)
    ]
    await upstream.awaited(2)
    for exchange in exchanges:
        exchange.task.cancel()
        await exchange.over()

        assert exchange.is_over
        assert 503 == exchange.status
        assert "api_error" == exchange.json["error"]["type"]


async def test_a_client_that_goes_away_is_sent_nothing_more(
    proxy: Proxy, upstream: FakeUpstream, records: Records
) -> None:
    upstream.answer(text("One two three").stall(after_events=3))
    exchange = Exchange(proxy, "POST", "/v1/messages", BODY)
    await exchange.begun()
    exchange.gone.set()
    await exchange.over()

    assert exchange.task.exception() is None
    assert b"error" not in exchange.body
    assert "cancelled" == records.wait()[0].outcome
