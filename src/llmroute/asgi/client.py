"""The client's end of an exchange: its answer, the pings into silence, and its going away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Self, TypeAlias

from llmroute.wire.headers import Headers

__all__ = ["ClientGoneError", "ClientStream", "Message", "Receive", "Send", "Watch"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# Most answers begin sooner than this; those do without a watch. It is a fifth of the time within
# which the upstream has to see that the client is gone.
_WATCH_AFTER = 0.05  # seconds

# For proxies in front of us that would collect a stream before they pass it on (nginx reads the
# second one), and for a stream we answer before the upstream has.
_UNBUFFERED = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class ClientGoneError(Exception):
    """The client closed its connection; there is no one left to answer."""


class Watch:
    """Cancels what runs inside it when the client goes away.

    A context manager; enter it once the request's body has been read.

    Attributes:
        gone: The client went away; a cancellation while it is here is somebody else's.

    Raises:
        ClientGoneError: On leaving, in place of the cancellation.
    """

    __slots__ = ("_receive", "_task", "_timer", "_watcher", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the proxy runs in a task of asyncio")
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(_WATCH_AFTER, self._begin)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self.gone and exc_type is not None and issubclass(exc_type, asyncio.CancelledError):
            self._task.uncancel()
            raise ClientGoneError from None

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._task.cancel()


class ClientStream:
    """A streamed answer on its way to the client, with a ping into every long silence.

    If nothing has begun by the time of the first ping, the answer begins with it: status 200 and
    a stream, in which whatever the upstream says later follows as events. Claude Code
    waits 300 seconds for a byte, and load balancers less. (Measured with 2.1.330.)

    Attributes:
        begun: The head has been sent.
    """

    __slots__ = (
        "_busy",
        "_content_type",
        "_loop",
        "_ping",
        "_ping_after",
        "_pinging",
        "_quiet_since",
        "_send",
        "_timer",
        "begun",
    )

    def __init__(
        self, send: Send, ping_after: float, ping: bytes, content_type: tuple[bytes, bytes]
    ) -> None:
        """Prepare to ping after `ping_after` seconds of silence, in a stream of this type."""
        self._send = send
        self._pinging = ping
        self._content_type = content_type
        self._ping_after = ping_after
        self._loop = asyncio.get_running_loop()
        self._quiet_since = self._loop.time()
        self._busy = False
        self._ping: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(ping_after, self._wake)
        self.begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._ping is not None:
            self._ping.cancel()

    async def stop(self) -> None:
        """Ping no more; return when `begun` is settled."""
        self._timer.cancel()
        await self._settle()

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head, unless a ping came before it."""
        await self._settle()
        if not self.begun:
            self._busy = True
            await self._head(status, headers)
            self._busy = False

    async def write(self, data: bytes) -> None:
        """Send events; returns when the client is ready for more."""
        if self._ping is not None:
            await self._settle()
        self._busy = True
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._busy = False
        self._quiet_since = self._loop.time()

    async def end(self, data: bytes = b"") -> None:
        """Send the last events, and the end."""
        await self.stop()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _head(self, status: int, headers: Headers) -> None:
        self.begun = True
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, *_UNBUFFERED],
            }
        )

    async def _settle(self) -> None:
        """Let a ping that is on its way go first: two writes at once would tear each other."""
        if (ping := self._ping) is not None:
            self._ping = None
            await ping

    def _wake(self) -> None:
        rest = self._quiet_since + self._ping_after - self._loop.time()
        # While a write waits for a slow client, it is not we who are silent.
        if rest <= 0 and not self._busy:
            self._ping = self._loop.create_task(self._send_ping())
            rest = self._ping_after
        self._timer = self._loop.call_later(max(rest, 0.001), self._wake)

    async def _send_ping(self) -> None:
        self._quiet_since = self._loop.time()
        if not self.begun:
            await self._head(200, [self._content_type])
        await self._send({"type": "http.response.body", "body": self._pinging, "more_body": True})
