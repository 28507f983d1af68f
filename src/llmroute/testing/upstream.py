"""A fake Anthropic: scripted from a test, served over a real socket."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec
from anyio import to_thread

from llmroute.testing._ordinary import ordinary
from llmroute.testing._server import Server
from llmroute.testing.answer import Answer, Message, Request, Script
from llmroute.testing.answers import error, text
from llmroute.testing.received import Received

__all__ = ["Answering", "Asked", "FakeUpstream"]

Answering: TypeAlias = Answer | str | Mapping[str, Any] | Callable[[Received], Answer]
"""An answer; a text; the members of a message; or a function of the request, which is called on
the upstream's own thread."""

_JSON_ONLY = frozenset({"/v1/messages", "/v1/messages/count_tokens"})


class Asked(msgspec.Struct):
    """The members an answer depends on, of whatever type, and why the body is not JSON."""

    model: Any = ""
    stream: Any = False
    problem: str = ""


_decode_asked = msgspec.json.Decoder(Asked).decode


class FakeUpstream:
    """An Anthropic API on 127.0.0.1, for tests that want a real upstream without one.

    It runs on a thread and an event loop of its own, so it serves plain tests, asynchronous ones
    on any event loop, and other processes alike.

        >>> import urllib.request
        >>> from llmroute.testing import FakeUpstream
        >>> with FakeUpstream() as upstream:
        ...     upstream.answer("Good morning.")
        ...     body = b'{"model": "m", "max_tokens": 9, "messages": []}'
        ...     with urllib.request.urlopen(upstream.url + "/v1/messages", body) as reply:
        ...         reply.read()[:58]
        ...     upstream.requests[0].json["model"]
        b'{"id":"msg_000000000000000000000001","type":"message","rol'
        'm'

    Two runs that ask the same get the same bytes: ids are counted, and no date is sent.

    A client that closes its connection, or only its sending half, is taken to have gone away.

    Attributes:
        default: What answers `POST /v1/messages` when nothing is queued.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        prefix: str = "",
        api_key: str | None = None,
        keep: int | None = None,
    ) -> None:
        """Make an upstream; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            prefix: A path in front of `/v1/...`, `/anthropic` for one.
            api_key: Demanded as `x-api-key` or bearer; nothing is demanded if `None`.
            keep: How many requests to remember; all if `None`.
        """
        self.default: Answering = text("Hello! What can I do for you?")
        self._port = port
        self._prefix = prefix
        self._api_key = api_key
        self._keep = keep
        self._queue: deque[Answering] = deque()
        self._routes: dict[str, deque[Answering]] = {}
        self._requests: list[Received] = []
        self._arrived = threading.Condition()
        self._count = 0
        self._messages = 0
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failures = self.stop()
        if problem is None and failures:
            raise failures[0]

    async def __aenter__(self) -> Self:
        return await to_thread.run_sync(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await to_thread.run_sync(self.__exit__, kind, problem, trace)

    def start(self) -> None:
        """Start to serve; connections are taken when this returns.

        Raises:
            OSError: The port is in use.
        """
        if self._server is not None:
            raise RuntimeError("the upstream is serving already")
        self._server = Server(self._respond, self._port)
        self._server.start()

    def stop(self) -> list[BaseException]:
        """Close every connection and stop to serve.

        Returns what functions that were to answer have raised; `with` raises the first of it.
        """
        server, self._server = self._running(), None
        server.stop()
        return server.failures

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end: the `base_url` of a deployment."""
        return f"http://127.0.0.1:{self._running().port}{self._prefix}"

    @property
    def requests(self) -> list[Received]:
        """The requests so far, in order of arrival, whatever their path."""
        return list(self._requests)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._running().connections)

    @property
    def connections_made(self) -> int:
        """How many connections there have been."""
        return self._running().connections_made

    def answer(self, *answers: Answering) -> None:
        """Queue answers for `POST /v1/messages`, used once each, in order."""
        self._queue.extend(answers)

    def answer_with(self, function: Callable[[Received], Answer]) -> None:
        """Answer `POST /v1/messages` by a function when nothing is queued."""
        self.default = function

    def on(self, method: str, path: str, *answers: Answering) -> None:
        """Script another endpoint: its answers in order, the last of them for ever.

        `path` is without a query string; one that ends in `*` is for all that begin so, and the
        longest that matches wins.
        """
        if not answers:
            raise ValueError("an endpoint needs an answer")
        self._routes[f"{method} {path}"] = deque(answers)

    def release(self) -> None:
        """Let every answer under way past one stall, reached or still ahead of it.

        For a request to be under way it must have arrived: `wait_for` it first.
        """
        self._running().release()

    def wait_for(self, count: int, timeout: float = 5.0) -> list[Received]:
        """Wait until `count` requests have come, in all; return those so far.

        Raises:
            TimeoutError: They have not, in `timeout` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._count >= count, timeout):
                raise TimeoutError(f"{self._count} of {count} requests came in {timeout:g} s")
        return self.requests

    async def awaited(self, count: int, timeout: float = 5.0) -> list[Received]:
        """Do as `wait_for`, without blocking the event loop."""
        return await to_thread.run_sync(self.wait_for, count, timeout, abandon_on_cancel=True)

    def wait_idle(self, timeout: float = 5.0) -> None:
        """Wait until no connection is open.

        Raises:
            TimeoutError: Some are, after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while self.connections:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.connections} connections are open after {timeout:g} s")
            time.sleep(0.002)

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the upstream is not serving: use it in a `with` statement")
        return self._server

    def _respond(self, received: Received) -> Script:
        with self._arrived:
            self._count += 1
            request_id = f"req_{self._count:024d}"
            self._requests.append(received)
            if self._keep is not None and len(self._requests) > self._keep:
                del self._requests[0]
            self._arrived.notify_all()
        asked = self._asked(received)
        answer = self._chosen(received, asked.problem)
        message_id = ""
        if isinstance(answer.content, Message):
            self._messages += 1
            message_id = f"msg_{self._messages:024d}"
        streams = asked.stream is True
        return self._scripted(
            answer, Request(str(asked.model), streams, message_id, request_id, received.path)
        )

    def _asked(self, received: Received) -> Asked:
        """Read what an answer depends on."""
        try:
            return _decode_asked(received.body)
        except msgspec.DecodeError as problem:
            return Asked(problem=str(problem))

    def _scripted(self, answer: Answer, request: Request) -> Script:
        """Put an answer in the words of the API that is played."""
        return answer.script(request)

    def _next(self, received: Received) -> Answer:
        """Return the answer that is queued for a Messages request, or the default one."""
        return _answer(self._queue.popleft() if self._queue else self.default, received)

    def _chosen(self, received: Received, problem: str) -> Answer:
        method, path = received.method, received.path
        if not path.startswith(self._prefix):
            return error(404, message="Not found")
        path = path[len(self._prefix) :]
        if path != "/api/hello" and not self._is_known(received):
            return error(401, message="invalid x-api-key")
        if problem and method == "POST" and path in _JSON_ONLY:
            return error(400, message=f"The request body is not valid JSON: {problem}")
        if (routed := self._routed(received, f"{method} {path}")) is not None:
            return routed
        if (method, path) == ("POST", "/v1/messages"):
            return self._next(received)
        return ordinary(method, path, received.body)

    def _is_known(self, received: Received) -> bool:
        if self._api_key is None:
            return True
        bearer = (received.header("authorization") or "").removeprefix("Bearer ")
        return self._api_key in (received.header("x-api-key"), bearer)

    def _routed(self, received: Received, endpoint: str) -> Answer | None:
        """Return what was scripted for an endpoint, if anything was."""
        route = self._route(endpoint)
        if route is None:
            return None
        return _answer(route.popleft() if len(route) > 1 else route[0], received)

    def _route(self, endpoint: str) -> deque[Answering] | None:
        if endpoint in self._routes:
            return self._routes[endpoint]
        open_ended = [
            pattern
            for pattern in self._routes
            if pattern.endswith("*") and endpoint.startswith(pattern[:-1])
        ]
        return self._routes[max(open_ended, key=len)] if open_ended else None


def _answer(answering: Answering, received: Received) -> Answer:
    if isinstance(answering, Answer):
        return answering
    if isinstance(answering, str):
        return text(answering)
    if isinstance(answering, Mapping):
        return Answer(Message(answering))
    return answering(received)
