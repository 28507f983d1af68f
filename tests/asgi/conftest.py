"""A proxy on loopback, with a real server around it, in front of a fake upstream."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from anyio import to_thread

from llmroute import Record, Router
from llmroute.asgi import Proxy
from llmroute.testing import FakeUpstream
from llmroute.transport.direct import DirectTransport

MASTER_KEY = "sk-master-1234567890"
UPSTREAM_KEY = "sk-ant-upstream-key"


class Records:
    """Keeps the records it is told of, and lets a test wait for one."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._came = threading.Condition()

    def record(self, record: Record) -> None:
        with self._came:
            self.records.append(record)
            self._came.notify_all()

    def wait(self, count: int = 1) -> list[Record]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.records) >= count, timeout=10)
            return list(self.records)


class Gateway:
    """A proxy that is being served."""

    def __init__(self, url: str, port: int, records: Records, http: httpx.Client) -> None:
        self.url = url
        self.port = port
        self.records = records
        self.http = http

    def ask(
        self,
        path: str = "/v1/messages",
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> httpx.Response:
        """Send a Messages request, with the master key and whatever members are given."""
        body = {
            "model": "sonnet",
            "max_tokens": 64,
            "messages": [{"role": "user", "content": "Hi"}],
        }
        return self.http.post(path, json=body | members, headers=headers)


def config_for(url: str, **server: Any) -> dict[str, Any]:
    """Return a configuration with a few aliases for one upstream."""
    anthropic = {"provider": "anthropic", "base_url": url, "api_key": UPSTREAM_KEY}
    return {
        "deployments": {
            "sonnet-direct": {**anthropic, "model": "claude-sonnet-4-5-20250929"},
            "as-asked": anthropic,
        },
        "aliases": {"sonnet": "sonnet-direct", "claude-*": "as-asked"},
        "server": {"master_key": MASTER_KEY, **server},
    }


@contextmanager
def serving(config: dict[str, Any]) -> Iterator[Gateway]:
    """Serve `config` on a free port, in a thread with its own event loop."""
    records = Records()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listening, stop = threading.Event(), threading.Event()

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                listening.set()

            async def main_loop(self) -> None:
                # uvicorn looks ten times a second whether to stop; a test need not wait that long.
                await to_thread.run_sync(stop.wait)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await proxy(scope, receive, send)

        router = Router.from_dict(config, transport=DirectTransport(), observers=[records])
        proxy = Proxy(router)
        server = Server(
            uvicorn.Config(
                app, http="httptools", loop="uvloop", log_config=None, access_log=False, ws="none"
            )
        )
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            assert listening.wait(10)
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(
                base_url=url, headers={"authorization": f"Bearer {MASTER_KEY}"}, timeout=20
            ) as http:
                yield Gateway(url, port, records, http)
        finally:
            stop.set()
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Any]], Gateway]]:
    """Return a function that serves a configuration until the test is over."""
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(serving(config))


@pytest.fixture
def gateway(upstream: FakeUpstream, serve: Callable[[dict[str, Any]], Gateway]) -> Gateway:
    return serve(config_for(upstream.url))
