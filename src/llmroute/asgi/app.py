"""The ASGI app: a handful of routes, no framework.

The doors, which carry the traffic, are matched first: each is one format in which clients ask and
are answered.  A request there is a body and headers, and the answer bytes, so there is nothing for
a framework to do but copy.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine, Iterator
from typing import Any, NamedTuple, Self

import anyio.to_thread

from llmroute.accounts.caller import Caller, Keys
from llmroute.asgi import bedrock, deployments, models, render
from llmroute.asgi.admin import MASTERS_ALONE, admin_failure, admin_page
from llmroute.asgi.client import ClientGoneError, ClientStream, Receive, Send, Watch
from llmroute.asgi.door import Door
from llmroute.asgi.doors import door_of, is_messages_path
from llmroute.asgi.figures import readings
from llmroute.asgi.openai import MODELS, OPENAI_PATHS, openai_failure, openai_refusal
from llmroute.asgi.openai_responses import NOTHING_STORED, STORED
from llmroute.asgi.passthrough import PassThrough, is_counted_nowhere, plainly
from llmroute.config import Config, Server
from llmroute.errors import (
    ForbiddenError,
    RequestError,
    RequestTooLargeError,
    UnreachableError,
    UpstreamError,
)
from llmroute.ledger import Ledger
from llmroute.observe import Metrics, Reading, Record
from llmroute.router import Answer, Router
from llmroute.wire.headers import Headers, first

__all__ = ["Proxy"]

# Answered without a key and without asking anyone.
_HEALTH = {
    "/health": {"status": "healthy"},
    "/health/liveliness": {"status": "alive"},
    "/health/liveness": {"status": "alive"},
    "/health/readiness": {"status": "ready"},
}
# What they show is everybody's.
_OF_ALL = frozenset({"/metrics", "/llmroute/deployments"})
_READINESS = "/health/readiness"
_SERVED = (
    "POST /v1/messages, POST /v1/messages/count_tokens, POST /v1/chat/completions, "
    "POST /v1/responses, GET /v1/models, GET /health, GET /metrics, "
    "GET /llmroute/deployments, the Anthropic API below /anthropic/, Amazon "
    "Bedrock's InvokeModel below /bedrock/, and Vertex AI's rawPredict below /vertex/"
)


class _Served(NamedTuple):
    """What is served under one configuration; a request keeps what it began with."""

    router: Router
    settings: Server
    keys: Keys
    pass_through: PassThrough

    @classmethod
    def of(cls, router: Router, ledger: Ledger | None) -> Self:
        settings = router.config.server
        keys = Keys(settings.master_key, None if ledger is None else ledger.keyring)
        return cls(router, settings, keys, PassThrough(router, keys))


class Proxy:
    """Serves a router over HTTP; an ASGI app, to be run by a server or mounted in another app.

    The key that clients present is `server.master_key` of the router's configuration; without one
    everyone is let in, so then serve it on loopback only, as `llmroute serve` does.

    A server that cancels a request, as they do at the end of a graceful shutdown, has it answered
    first: with an error in the format of its door, after which a client tries again.
    """

    def __init__(
        self, router: Router, *, ledger: Ledger | None = None, metrics: bool = True
    ) -> None:
        """Prepare to serve.

        Args:
            router: Makes the calls.
            ledger: Knows the keys beside the master key, and keeps what was used; the `admission`
                of the router, which is closed with the proxy.  The router's own if left out.
            metrics: Add an observer to the router, for `/metrics`.
        """
        self._ledger = ledger or router.ledger
        self._served = _Served.of(router, self._ledger)
        self._draining = False
        self._under_way = 0
        self._metrics = Metrics() if metrics else None
        if self._metrics is not None:
            router.observers.append(self._metrics)
            self._metrics.sources.append(self._readings)
            if ledger is not None:
                ledger.add(self._metrics)

    def reconfigure(self, config: Config) -> None:
        """Serve another configuration from the next request on; to be called on the event loop.

        What is under way ends as it began. Connections, observers and what is known of the
        deployments go over to the new router, so there is nothing to close. Where it listens is
        the server's business and stays.
        """
        if self._ledger is not None:
            self._ledger.reconfigure(config)
        self._served = _Served.of(self._served.router.reconfigured(config), self._ledger)

    def drain(self) -> None:
        """Tell load balancers from now on to go elsewhere: `/health/readiness` answers 503."""
        self._draining = True

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope."""
        match scope["type"]:
            case "http":
                served = self._served
                door = door_of(served.router, scope) if scope["method"] == "POST" else None
                if door is not None:
                    self._under_way += 1
                    try:
                        await _through(door, served, scope, receive, send)
                    finally:
                        self._under_way -= 1
                else:
                    await self._other(served, scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case kind:
                raise ValueError(f"the proxy serves HTTP, not {kind}")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await self._served.router.aclose()
        if self._ledger is not None:
            await self._ledger.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _other(
        self, served: _Served, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        method, path = scope["method"], scope["path"]
        amazons = bedrock.is_below(scope)
        openais = OPENAI_PATHS.fullmatch(path) is not None
        try:
            if path in ("/api/hello", "/anthropic/api/hello"):
                rendered = render.Rendered(200, [], b"")
            elif path == _READINESS and self._draining:
                rendered = render.plain(503, {"status": "draining"})
            elif path in _HEALTH:
                rendered = render.plain(200, _HEALTH[path])
            else:
                caller = await served.keys.authenticate(scope["headers"])
                if path.startswith("/anthropic/") and not _is_ours(path, caller):
                    if self._ledger is not None:
                        self._ledger.pauses.check(caller.sender)
                        if is_counted_nowhere(method, path):
                            self._ledger.budgets.check(caller.sender)
                    await served.pass_through(scope, receive, send, caller)
                    return
                router = served.router
                managed = self._ledger and await admin_page(
                    self._ledger, router, caller, scope, receive
                )
                rendered = managed or await (
                    bedrock.page(router, scope, caller.key)
                    if amazons
                    else self._page(router, scope, caller)
                )
        except ClientGoneError:
            return
        except (RequestError, UpstreamError) as error:
            if amazons:
                rendered = bedrock.failure(error)
            elif isinstance(error, RequestError) and (worded := admin_failure(scope)) is not None:
                rendered = worded(error)
            else:
                rendered = openai_failure(error) if openais else render.failure(error)
        await _respond(send, rendered, head=method == "HEAD")

    async def _page(self, router: Router, scope: dict[str, Any], caller: Caller) -> render.Rendered:
        """Answer what needs a key and no upstream."""
        method, path = scope["method"], scope["path"]
        if is_messages_path(path):
            return render.not_allowed("POST")
        if (asked := _models_path(path)) is not None:
            return await models.page(router, scope, asked["name"] or "", caller.key)
        if OPENAI_PATHS.fullmatch(path):
            unknown = f"Invalid URL ({method} {path}). It serves {_SERVED}."
            return openai_refusal(404, NOTHING_STORED if STORED.fullmatch(path) else unknown)
        if path in _OF_ALL and not caller.is_admin:
            raise ForbiddenError(MASTERS_ALONE)
        if path == "/llmroute/deployments":
            return await deployments.page(router)
        if path == "/metrics" and self._metrics is not None:
            return await self._metrics_page(self._metrics)
        return render.not_found(f"No such path: {path}. This proxy serves {_SERVED}.")

    async def _metrics_page(self, metrics: Metrics) -> render.Rendered:
        kind = b"text/plain; version=0.0.4; charset=utf-8"
        # It reads the files of other workers, and perhaps the price list.
        text = await anyio.to_thread.run_sync(metrics.render)
        return render.Rendered(200, [(b"content-type", kind)], text)

    def _readings(self) -> Iterator[Reading]:
        return readings(self._served.router, self._ledger, self._under_way)


def _is_ours(path: str, caller: Caller) -> bool:
    """Tell whether a path below `/anthropic/` is answered here, and not by Anthropic.

    A key for some aliases only is shown those, for it may not use the pass-through.  What Anthropic
    might take for a Messages request is none of its paths: it would be counted nowhere.
    """
    if is_messages_path(plainly(path)):
        return True
    restricted = caller.key is not None and caller.key.is_restricted
    return restricted and _models_path(path) is not None


def _models_path(path: str) -> re.Match[str] | None:
    return MODELS.fullmatch(path.removeprefix("/anthropic"))


async def _through(
    door: Door, served: _Served, scope: dict[str, Any], receive: Receive, send: Send
) -> None:
    headers: Headers = scope["headers"]
    router, settings, keys, pass_through = served
    record = Record(at=time.time(), endpoint=door.endpoint, outcome="refused")
    try:
        caller = await keys.authenticate(headers)
        record.name(caller.sender)
        body = await _read_body(receive, headers, settings.max_body_bytes)
        call = door.call(body, scope, caller)
    except RequestError as error:
        rendered = door.failure(error)
        record.status, record.error = rendered.status, str(error)
        record.error_kind = error.type
        router.note(record)
        await _respond(send, rendered)
        return
    except ClientGoneError:
        record.outcome, record.status = "cancelled", 499
        router.note(record)
        return
    stream = call.stream
    sending = router.send(call, otherwise=pass_through.deployment if door.passes_on else None)
    # A stream may last for minutes, and need not keep its request in memory for as long.
    del body, call
    try:
        with Watch(receive) as watch:
            if stream:
                await _stream(door, sending, send, watch, settings.ping_after)
            else:
                await _whole(door, sending, send, watch)
    except ClientGoneError:
        pass


async def _whole(
    door: Door, sending: Coroutine[Any, Any, Answer], send: Send, watch: Watch
) -> None:
    try:
        answer = await sending
    except (RequestError, UpstreamError) as error:
        await _respond(send, door.failure(error))
        return
    except asyncio.CancelledError:
        if not watch.gone:
            await _respond(send, door.failure(_stopping()))
        raise
    try:
        await _respond(send, door.whole(answer))
    finally:
        await answer.aclose()


async def _stream(
    door: Door,
    sending: Coroutine[Any, Any, Answer],
    send: Send,
    watch: Watch,
    ping_after: float,
) -> None:
    answer = None
    with ClientStream(send, ping_after, door.ping, door.content_type) as client:
        try:
            answer = await sending
            await client.start(answer.head.status, door.begin(answer))
            while events := await answer.receive():
                await client.write(door.events(events))
            await client.end()
        except (RequestError, UpstreamError) as error:
            await _end(door, error, send, client)
        except asyncio.CancelledError:
            if not watch.gone:
                await _end(door, _stopping(), send, client)
            raise
        finally:
            if answer is not None:
                await answer.aclose()


async def _end(
    door: Door, error: RequestError | UpstreamError, send: Send, client: ClientStream
) -> None:
    """End a stream in an error; one that has not begun is answered with it instead."""
    await client.stop()
    if client.begun:
        await client.end(door.last(error))
    else:
        await _respond(send, door.failure(error))


def _stopping() -> UpstreamError:
    """Whoever asks again finds the proxy that takes the place of this one."""
    return UnreachableError("the proxy is stopping", status=503)


async def _read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """Read a request's body.

    Raises:
        RequestTooLargeError: It is, or says it is, over `limit` bytes.
        ClientGoneError: The client went away before its end.
    """
    announced = first(headers, b"content-length") or ""
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> RequestTooLargeError:
    return RequestTooLargeError(
        f"Request exceeds the maximum size of {limit} bytes (server.max_body_bytes)"
    )


async def _respond(send: Send, rendered: render.Rendered, *, head: bool = False) -> None:
    """Send a whole answer; to a HEAD request, its head."""
    length = (b"content-length", str(len(rendered.body)).encode())
    headers = [header for header in rendered.headers if header[0] != b"content-length"]
    await send(
        {
            "type": "http.response.start",
            "status": rendered.status,
            "headers": [*headers, length],
        }
    )
    await send({"type": "http.response.body", "body": b"" if head else rendered.body})
