"""The transport over httpx: any event loop, HTTP proxies, and a client the user brings."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast

import anyio
import httpx
from anyio.lowlevel import current_token

from llmroute.errors import StreamBrokenError, UnreachableError
from llmroute.transport import Body, Reply, Timeouts
from llmroute.transport._request import head, target
from llmroute.transport._tls import verifying_context
from llmroute.wire.headers import Headers

__all__ = ["HttpxTransport"]


class _Stream(httpx.AsyncByteStream):
    """A body that goes out as it is: httpx adds its own framing headers to any other."""

    def __init__(self, body: Body, length: int | None) -> None:
        self._body = body
        self._length = length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not isinstance(self._body, AsyncIterable):
            for buffer in self._body:
                # httpx writes one piece at a time, so no more than one copy is alive.
                yield bytes(buffer)
            return
        written = 0
        async for piece in self._body:
            written += len(piece)
            if self._length is not None and written > self._length:
                break
            yield piece
        if self._length is not None and written != self._length:
            raise ValueError("the body is not as long as its content-length")


class _Trace:
    """Listens to httpx's connections for what it does not tell otherwise."""

    def __init__(self) -> None:
        self._began = False
        self._connected = False
        self._shaking_hands: anyio.abc.AsyncResource | None = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        self._began = True
        match event.rsplit(".", 2)[-2:]:
            case ["connect_tcp", "complete"]:
                self._connected = True
                self._shaking_hands = info["return_value"]
            case ["start_tls", "complete"] | ["send_request_headers", _]:
                self._shaking_hands = None

    def reused(self) -> bool:
        """Whether the request went out on a connection that had served another."""
        return self._began and not self._connected

    async def aclose(self) -> None:
        """Close what httpcore 1.0 leaves open where it is cancelled between TCP and TLS."""
        if self._shaking_hands is not None:
            with anyio.CancelScope(shield=True):
                await self._shaking_hands.aclose()


class _HttpxReply:
    def __init__(self, origin: str, response: httpx.Response, silence: float | None) -> None:
        self.status = response.status_code
        self.headers: Headers = [(name.lower(), value) for name, value in response.headers.raw]
        self._origin = origin
        self._response = response
        self._silence = silence
        self._pieces = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
        self._broken: str | None = None
        self._has_ended = False

    async def receive(self) -> bytes:
        if self._has_ended:
            if self._broken is not None:
                raise StreamBrokenError(self._broken)
            return b""
        try:
            async for piece in self._pieces:
                if piece:
                    return piece
        except httpx.ReadTimeout:
            await self._break(f"silent for {self._silence:g} s")
        except httpx.TransportError as error:
            await self._break(_failure(error))
        except BaseException:
            await self.aclose()
            raise
        self._has_ended = True
        if self._broken is not None:
            raise StreamBrokenError(self._broken) from None
        return b""

    async def aclose(self) -> None:
        if not self._has_ended:
            await self._break("the answer was let go of")

    async def _break(self, what: str) -> None:
        self._has_ended = True
        self._broken = f"{self._origin}: {what}"
        with anyio.CancelScope(shield=True):
            await self._response.aclose()
            await self._pieces.aclose()


class HttpxTransport:
    """A transport that httpx does the work of.  Runs on asyncio and on trio.

    It differs from `DirectTransport` in what httpx decides: a request whose kept connection was
    closed in the meantime is sent again even if the head of an answer had begun to arrive, and an
    answer that comes before the request is written is seen once httpx has stopped writing.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        trust_env: bool = False,
        idle_seconds: float = 60.0,
        max_idle: int = 256,
    ) -> None:
        """Make a transport; it opens nothing before the first request.

        Args:
            client: Used as it is, with its proxies, certificates and limits, and left open.
                The other settings are for the client that is made where none is given.
            ssl_context: Whom to trust; the machine's and certifi's roots if left out.
            trust_env: Whether to use the proxies that `HTTPS_PROXY` and the like name.
            idle_seconds: How long an unused connection is kept.
            max_idle: How many unused ones are kept.
        """
        self._client = client
        self._is_owner = client is None
        self._ssl_context = ssl_context
        self._trust_env = trust_env
        self._limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=max_idle,
            keepalive_expiry=idle_seconds,
        )
        self._opening = anyio.Lock()
        self._is_closed = False
        self._loop: object = None

    async def send(
        self, method: str, url: str, headers: Headers, body: Body, timeouts: Timeouts
    ) -> Reply:
        """Send one request; see `Transport`.

        Raises:
            UnreachableError: No connection, or no answer in time, or the connection broke first.
            ValueError: The request cannot be written as one: line breaks in a header, say.
        """
        to = target(url)
        fields = head(method, to, headers, body)
        client = await self._open()
        retries = 0 if isinstance(body, AsyncIterable) else 1
        while True:
            trace = _Trace()
            limits = {
                "connect": timeouts.connect,
                "read": timeouts.first_byte,
                "write": timeouts.first_byte,
                "pool": timeouts.connect,
            }
            # `target` keeps httpx from spelling the path its own way, which would void a signature.
            extensions = {"timeout": limits, "trace": trace, "target": to.path}
            stream = _Stream(body, fields.length)
            request = httpx.Request(
                method, url, headers=fields.block, stream=stream, extensions=extensions
            )
            try:
                response = await client.send(request, stream=True, follow_redirects=False)
            except (httpx.ConnectTimeout, httpx.PoolTimeout):
                what = f"no connection within {timeouts.connect:g} s"
            except (httpx.ReadTimeout, httpx.WriteTimeout):
                what = f"no answer within {timeouts.first_byte:g} s"
            except httpx.LocalProtocolError:
                # httpx's own words may repeat a header's value.
                raise ValueError("a header that HTTP/1.1 does not allow") from None
            except httpx.TransportError as error:
                if retries and trace.reused():
                    retries -= 1
                    continue
                what = _failure(error)
            except BaseException:
                await trace.aclose()
                raise
            else:
                # httpx looks it up again when the body is first read.
                limits["read"] = timeouts.silence
                return _HttpxReply(to.origin, response, timeouts.silence)
            raise UnreachableError(f"{to.origin}: {what}") from None

    async def aclose(self) -> None:
        """Close the client, unless it was brought; later calls of `send` are refused."""
        self._is_closed = True
        if self._client is not None and self._is_owner and self._loop == current_token():
            await self._client.aclose()

    async def _open(self) -> httpx.AsyncClient:
        if self._is_closed:
            raise RuntimeError("the transport is closed")
        if self._client is not None and not self._is_owner:
            return self._client
        loop = current_token()
        async with self._opening:
            # The connections of a loop that is gone cannot be used, nor closed.
            if self._client is None or self._loop != loop:
                self._client, self._loop = await self._new_client(), loop
            return self._client

    async def _new_client(self) -> httpx.AsyncClient:
        context = self._ssl_context
        if context is None:
            context = await anyio.to_thread.run_sync(verifying_context)
        return httpx.AsyncClient(
            verify=context,
            trust_env=self._trust_env,
            limits=self._limits,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )


def _failure(error: httpx.TransportError) -> str:
    """Say what went wrong by what is at the bottom of it; httpx's own words vary."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"no TLS ({cause.reason or 'handshake failed'})"
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectError():
            return "no connection"
        case httpx.ProxyError():
            return "the proxy refused"
        case httpx.RemoteProtocolError():
            return "the answer is cut short, or not HTTP/1.1"
        case _:
            return "the connection was reset"
