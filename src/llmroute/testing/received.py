"""A request as a fake upstream received it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from anyio import to_thread

__all__ = ["Received"]


@dataclass(eq=False, slots=True)
class Received:
    """One request, byte for byte, and what became of its answer.

    Attributes:
        method: As sent.
        path: Without the query string.
        query: The raw query string, without its question mark.
        headers: As sent: order, case and repetitions kept.
        body: The body, chunked framing removed.
        at: When the request was complete, on `time.monotonic`'s clock.
        sent: What has been sent of the answer's body, chunked framing not counted.
        done: Set when the answer is complete, as far as its script goes.
        closed: Set when the client closed the connection before that.
        closed_at: When, on `time.monotonic`'s clock.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    _release: Callable[[], None]
    at: float = field(default_factory=time.monotonic)
    sent: bytes = b""
    done: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    closed_at: float | None = None

    def __repr__(self) -> str:
        return f"<{self.method} {self.path} of {len(self.body)} bytes>"

    @property
    def json(self) -> Any:
        """The body, decoded at every use; raises `ValueError` if it is not JSON."""
        return msgspec.json.decode(self.body)

    def header(self, name: str) -> str | None:
        """Return the value of the first header of that name, in any case, or `None`."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)

    def release(self) -> None:
        """Let this answer past one stall, reached or still ahead."""
        self._release()

    def wait_closed(self, timeout: float = 5.0) -> float:
        """Wait until the client has closed the connection early; return when that was.

        The time is on `time.monotonic`'s clock.

        Raises:
            TimeoutError: It has not, in `timeout` seconds.
        """
        if not self.closed.wait(timeout) or self.closed_at is None:
            raise TimeoutError(f"the client has not closed {self!r} in {timeout:g} s")
        return self.closed_at

    async def awaited_close(self, timeout: float = 5.0) -> float:
        """Do as `wait_closed`, without blocking the event loop."""
        return await to_thread.run_sync(self.wait_closed, timeout, abandon_on_cancel=True)
