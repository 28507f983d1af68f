"""A streamed answer, as Python sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

from llmroute.errors import StreamBrokenError
from llmroute.messages.accumulate import Accumulator
from llmroute.messages.events import Event
from llmroute.messages.usage import Usage
from llmroute.observe import Record
from llmroute.pricing import Bill
from llmroute.router.answer import Answer
from llmroute.router.message import Message
from llmroute.wire.sse import SSEDecoder

__all__ = ["MessageStream"]


class MessageStream:
    """The events of one answer: an async context manager and an async iterator.

    The call is made on entering.  Leaving early closes the upstream's connection.
    """

    def __init__(self, start: Callable[[], Awaitable[Answer]]) -> None:
        self._start = start
        self._answer: Answer | None = None
        self._decoder = SSEDecoder()
        self._waiting: deque[Event] = deque()
        self._accumulator = Accumulator()

    async def __aenter__(self) -> Self:
        self._answer = await self._start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    @property
    def _open(self) -> Answer:
        if self._answer is None:
            raise RuntimeError("a stream is entered first: `async with router.stream(…) as stream`")
        return self._answer

    @property
    def deployment(self) -> str:
        """Name of the deployment that answers."""
        return self._open.head.deployment

    @property
    def attempts(self) -> int:
        """How many attempts it took."""
        return self._open.head.attempts

    @property
    def usage(self) -> Usage:
        """What the answer has used, as far as the upstream has said."""
        return self._open.usage

    @property
    def call(self) -> str:
        """The call's id in the records."""
        return self._open.head.call

    @property
    def cost(self) -> int | None:
        """What the call cost, in micro-dollars, once it is over; `None` if nobody knows.

        One that was left early has cost what was sent until then, by an estimate.
        """
        return None if self._over is None else self._over.cost

    @property
    def bill(self) -> Bill | None:
        """How that comes about, line by line; `None` if nobody knows the price."""
        return None if self._over is None else self._over.bill

    @property
    def _over(self) -> Record | None:
        return self._open.record if self._open.is_over else None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """Return the next event, pings and unknown ones included.

        Raises:
            StreamBrokenError: The answer ended in an error, or before its end.
        """
        while not self._waiting:
            data = await self._open.receive()
            if not data:
                raise StopAsyncIteration
            for frame in self._decoder.feed(data):
                if (event := Event.of(frame)) is not None:
                    self._waiting.append(event)
        event = self._waiting.popleft()
        if event.type == "error":
            detail = event.data.get("error")
            said = detail if isinstance(detail, dict) else {}
            error = StreamBrokenError(f"{said.get('type', 'error')}: {said.get('message', '')}")
            error.deployment = self._open.head.deployment
            error.attempts = self._open.head.attempts
            raise error
        self._accumulator.add(event)
        return event

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """The text alone, piece by piece."""
        return self._texts()

    async def _texts(self) -> AsyncIterator[str]:
        async for event in self:
            if text := event.text:
                yield text

    async def message(self) -> Message:
        """Read what is left of the stream and return the whole message."""
        async for _ in self:
            pass
        return Message.of(self._accumulator.message, self._open)
