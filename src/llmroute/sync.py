"""The router for code without an event loop: the async one, run in a thread of its own."""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import anyio
from anyio.from_thread import BlockingPortal

from llmroute import router
from llmroute.config import Config, load_dict, load_env, load_file
from llmroute.messages.events import Event
from llmroute.messages.usage import Usage
from llmroute.pricing import Bill
from llmroute.router.message import Message
from llmroute.router.options import Options

__all__ = ["MessageStream", "Router"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[router.Router, P], Awaitable[T]],
) -> Callable[Concatenate[Router, P], T]:
    """Return a method of this module's router that does what `method` of the async one does."""

    @functools.wraps(method)
    def call(self: Router, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._portal.call(lambda: method(self._router, *args, **kwargs))

    return call


def _streaming(
    method: Callable[Concatenate[router.Router, P], router.MessageStream],
) -> Callable[Concatenate[Router, P], MessageStream]:
    """Do as `_blocking` for a method that makes a stream."""

    @functools.wraps(method)
    def call(self: Router, /, *args: P.args, **kwargs: P.kwargs) -> MessageStream:
        return MessageStream(method(self._router, *args, **kwargs), self._portal)

    return call


class Router:
    """`llmroute.Router` without an event loop; the parameters and exceptions are the same.

    Safe to use from many threads.  Close it, or use it as a context manager.

    >>> from llmroute.testing import FakeUpstream
    >>> with FakeUpstream() as upstream:
    ...     config = {
    ...         "deployments": {
    ...             "one": {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
    ...         },
    ...         "aliases": {"claude-*": "one"},
    ...     }
    ...     with Router.from_dict(config) as r:
    ...         message = r.complete(
    ...             model="claude-haiku-4-5",
    ...             max_tokens=64,
    ...             messages=[{"role": "user", "content": "Name a river."}],
    ...         )
    >>> message.attempts
    1
    """

    def __init__(self, config: Config, **options: Unpack[Options]) -> None:
        """Prepare; `options` are those of `llmroute.Router`."""
        self._router = router.Router(config, **options)
        self._portal, self._thread = _started()
        self._closed = False

    @classmethod
    def from_file(cls, path: str | Path, **options: Unpack[Options]) -> Self:
        """Load a YAML file; see `llmroute.Router.from_file`."""
        return cls(load_file(path), **options)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **options: Unpack[Options]) -> Self:
        """Take a configuration that is a dictionary; see `llmroute.Router.from_dict`."""
        return cls(load_dict(data), **options)

    @classmethod
    def from_env(cls, **options: Unpack[Options]) -> Self:
        """Build aliases from the environment; see `llmroute.Router.from_env`."""
        return cls(load_env(), **options)

    @property
    def config(self) -> Config:
        """What was loaded."""
        return self._router.config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and end the thread. May be repeated."""
        if not self._closed:
            self._closed = True
            self._portal.call(self._router.aclose)
            self._portal.call(self._portal.stop)
            self._thread.join()

    complete = _blocking(router.Router.complete)
    stream = _streaming(router.Router.stream)
    count_tokens = _blocking(router.Router.count_tokens)
    models = _blocking(router.Router.models)
    explain = _blocking(router.Router.explain)
    deployments = _blocking(router.Router.deployments)


def _started() -> tuple[BlockingPortal, threading.Thread]:
    """Start an event loop in a thread that does not outlive the program.

    For the one of anyio's own portals a program waits at its end, for ever if it has not closed it.
    """
    ready: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    thread = threading.Thread(target=anyio.run, args=(serve,), name="llmroute", daemon=True)
    thread.start()
    return ready.result(), thread


class MessageStream:
    """The events of one answer: a context manager and an iterator."""

    def __init__(self, stream: router.MessageStream, portal: BlockingPortal) -> None:
        self._stream = stream
        self._portal = portal

    def __enter__(self) -> Self:
        # Entered and left by plain calls: nothing in it belongs to one task.
        self._portal.call(self._stream.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.call(self._stream.__aexit__, None, None, None)

    @property
    def deployment(self) -> str:
        """Name of the deployment that answers."""
        return self._stream.deployment

    @property
    def attempts(self) -> int:
        """How many attempts it took."""
        return self._stream.attempts

    @property
    def usage(self) -> Usage:
        """What the answer has used, as far as the upstream has said."""
        return self._stream.usage

    @property
    def call(self) -> str:
        """The call's id in the records."""
        return self._stream.call

    @property
    def cost(self) -> int | None:
        """What the call cost, in micro-dollars, once it is over; `None` if nobody knows."""
        return self._stream.cost

    @property
    def bill(self) -> Bill | None:
        """How that comes about, line by line; `None` if nobody knows the price."""
        return self._stream.bill

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            return self._portal.call(self._stream.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    @property
    def text_stream(self) -> Iterator[str]:
        """The text alone, piece by piece."""
        return (event.text for event in self if event.text)

    def message(self) -> Message:
        """Read what is left of the stream and return the whole message."""
        return self._portal.call(self._stream.message)
