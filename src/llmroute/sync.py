"""The router for code without an event loop: the async one, run in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio.from_thread
from anyio.from_thread import BlockingPortal

from llmroute import router
from llmroute.config import Config, load_dict, load_env, load_file
from llmroute.messages.catalog import ModelInfo
from llmroute.messages.events import Event
from llmroute.messages.message import Message
from llmroute.messages.usage import Usage

__all__ = ["MessageStream", "Router"]


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

    def __init__(self, config: Config, **options: Any) -> None:
        """Prepare; `options` are those of `llmroute.Router`."""
        self._router = router.Router(config, **options)
        self._portal_context = anyio.from_thread.start_blocking_portal()
        self._portal = self._portal_context.__enter__()
        self._closed = False

    @classmethod
    def from_file(cls, path: str | Path, **options: Any) -> Self:
        """Load a YAML file; see `llmroute.Router.from_file`."""
        return cls(load_file(path), **options)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **options: Any) -> Self:
        """Take a configuration that is a dictionary; see `llmroute.Router.from_dict`."""
        return cls(load_dict(data), **options)

    @classmethod
    def from_env(cls, **options: Any) -> Self:
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
            self._portal_context.__exit__(None, None, None)

    def complete(self, **parameters: Any) -> Message:
        """Return the whole answer; see `llmroute.Router.complete`."""
        return self._portal.call(lambda: self._router.complete(**parameters))

    def stream(self, **parameters: Any) -> MessageStream:
        """Return the answer as a stream; see `llmroute.Router.stream`."""
        return MessageStream(self._router.stream(**parameters), self._portal)

    def count_tokens(self, **parameters: Any) -> int:
        """Return how many input tokens a request has; see `llmroute.Router.count_tokens`."""
        return self._portal.call(lambda: self._router.count_tokens(**parameters))

    def models(self) -> Sequence[ModelInfo]:
        """Return the aliases one can ask for."""
        return self._portal.call(self._router.models)


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
