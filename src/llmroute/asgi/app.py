"""The ASGI app: a handful of routes, no framework.

The doors, which carry the traffic, are matched first: each is one format in which clients ask and
are answered.  A request there is a body and headers, and the answer bytes, so there is nothing for
a framework to do but copy.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from llmroute.asgi import bedrock, render
from llmroute.asgi.bedrock import BedrockDoor
from llmroute.asgi.client import ClientGoneError, ClientStream, Receive, Send, Watch
from llmroute.asgi.door import Door
from llmroute.asgi.messages import MessagesDoor
from llmroute.asgi.passthrough import PassThrough
from llmroute.asgi.vertex import VertexDoor
from llmroute.errors import RequestError, RequestTooLargeError, UpstreamError
from llmroute.keys import Keys
from llmroute.messages.call import Endpoint
from llmroute.observe import Metrics, Record
from llmroute.router import Answer, Router
from llmroute.wire.headers import Headers, first

__all__ = ["Proxy"]

# A base URL that ends in `/v1` makes clients ask for `/v1/v1/…`.
_PATHS: tuple[tuple[str, Endpoint], ...] = (
    ("/messages", "messages"),
    ("/messages/count_tokens", "count_tokens"),
)
_DOORS: dict[str, MessagesDoor] = {
    prefix + version + path: MessagesDoor(endpoint, passes_on=prefix != "")
    for prefix in ("", "/anthropic")
    for version in ("/v1", "/v1/v1")
    for path, endpoint in _PATHS
}

# Answered without a key and without asking anyone.
_HEALTH = {
    "/health": {"status": "healthy"},
    "/health/liveliness": {"status": "alive"},
    "/health/liveness": {"status": "alive"},
    "/health/readiness": {"status": "ready"},
}
_SERVED = (
    "POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models, GET /health, "
    "GET /metrics, the Anthropic API below /anthropic/, Amazon Bedrock's InvokeModel below "
    "/bedrock/, and Vertex AI's rawPredict below /vertex/"
)


class Proxy:
    """Serves a router over HTTP; an ASGI app, to be run by a server or mounted in another app.

    The key that clients present is `server.master_key` of the router's configuration; without one
    everyone is let in, so then serve it on loopback only, as `llmroute serve` does.
    """

    def __init__(self, router: Router, *, metrics: bool = True) -> None:
        """Prepare to serve; `metrics` adds an observer to the router, for `/metrics`."""
        self._router = router
        self._server = router.config.server
        self._keys = Keys(self._server.master_key)
        self._pass_through = PassThrough(router, self._keys)
        self._metrics = Metrics() if metrics else None
        if self._metrics is not None:
            router.observers.append(self._metrics)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope."""
        match scope["type"]:
            case "http":
                door = self._door(scope) if scope["method"] == "POST" else None
                if door is not None:
                    await self._through(door, scope, receive, send)
                else:
                    await self._other(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case kind:
                raise ValueError(f"the proxy serves HTTP, not {kind}")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await self._router.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    def _door(self, scope: dict[str, Any]) -> Door | None:
        return (
            _DOORS.get(scope["path"])
            or BedrockDoor.of(self._router, scope)
            or VertexDoor.of(self._router, scope)
        )

    async def _through(
        self, door: Door, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        headers: Headers = scope["headers"]
        record = Record(at=time.time(), endpoint=door.endpoint, outcome="refused")
        try:
            caller = self._keys.authenticate(headers)
            record.key = caller.key
            body = await _read_body(receive, headers, self._server.max_body_bytes)
            call = door.call(body, scope, caller)
        except RequestError as error:
            rendered = door.failure(error)
            record.status, record.error = rendered.status, str(error)
            self._router.note(record)
            await _respond(send, rendered)
            return
        except ClientGoneError:
            record.outcome, record.status = "cancelled", 499
            self._router.note(record)
            return
        stream = call.stream
        otherwise = self._pass_through.deployment if door.passes_on else None
        sending = self._router.send(call, otherwise=otherwise)
        # A stream may last for minutes, and need not keep its request in memory for as long.
        del body, call
        answering = self._stream if stream else self._whole
        try:
            with Watch(receive):
                await answering(door, sending, send)
        except ClientGoneError:
            pass

    async def _whole(self, door: Door, sending: Coroutine[Any, Any, Answer], send: Send) -> None:
        try:
            answer = await sending
        except (RequestError, UpstreamError) as error:
            await _respond(send, door.failure(error))
            return
        try:
            await _respond(send, door.whole(answer))
        finally:
            await answer.aclose()

    async def _stream(self, door: Door, sending: Coroutine[Any, Any, Answer], send: Send) -> None:
        after = self._server.ping_after
        with ClientStream(send, after, door.ping, door.content_type) as client:
            try:
                answer = await sending
            except (RequestError, UpstreamError) as error:
                await client.stop()
                if client.begun:
                    await client.end(door.last(error))
                else:
                    await _respond(send, door.failure(error))
                return
            try:
                await client.start(answer.head.status, door.begin(answer))
                while events := await answer.receive():
                    await client.write(door.events(events))
                await client.end()
            except UpstreamError as error:
                await client.end(door.last(error))
            finally:
                await answer.aclose()

    async def _other(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        amazons = bedrock.is_below(scope)
        try:
            if path in ("/api/hello", "/anthropic/api/hello"):
                rendered = render.Rendered(200, [], b"")
            elif path in _HEALTH:
                rendered = render.plain(200, _HEALTH[path])
            else:
                caller = self._keys.authenticate(scope["headers"])
                if path.startswith("/anthropic/") and path not in _DOORS:
                    await self._pass_through(scope, receive, send, caller)
                    return
                rendered = await (
                    bedrock.page(self._router, scope) if amazons else self._page(method, path)
                )
        except (RequestError, UpstreamError) as error:
            rendered = bedrock.failure(error) if amazons else render.failure(error)
        await _respond(send, rendered, head=method == "HEAD")

    async def _page(self, method: str, path: str) -> render.Rendered:
        """Answer what needs a key and no upstream."""
        name = path.removeprefix("/v1/v1/models").removeprefix("/v1/models")
        if path in _DOORS or (method not in ("GET", "HEAD") and name != path):
            return render.not_allowed("POST" if path in _DOORS else "GET, HEAD")
        if name in ("", "/"):
            return render.plain(200, render.model_list(await self._router.models()))
        if name != path:
            return render.plain(200, render.model_object(await self._router.model(name[1:])))
        if path == "/metrics" and self._metrics is not None:
            return self._metrics_page(self._metrics)
        return render.not_found(f"No such path: {path}. This proxy serves {_SERVED}.")

    def _metrics_page(self, metrics: Metrics) -> render.Rendered:
        kind = b"text/plain; version=0.0.4; charset=utf-8"
        return render.Rendered(200, [(b"content-type", kind)], metrics.render())


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
