"""How Redis is spoken to.

One task does it, over one connection, one pipeline after the other: what is to be written, then
what is asked.  Calls that ask at the same time share a pipeline, none has to give a connection
back, and one that is cancelled leaves no reply half read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from itertools import islice
from typing import Any, Literal, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError

__all__ = ["Command", "Conversation", "Place", "Write"]

_logger = logging.getLogger("llmroute")

# How long who asks waits for Redis, and Redis has for a pipeline.
_DEADLINE = 0.25
# A connection may take longer; nobody waits for it longer.
_CONNECTING = 5.0
# Between attempts at a Redis that is away: the first, doubled up to the second.
_PAUSE, _LONGEST_PAUSE = 1.0, 10.0
# How often it is asked what is due while nothing else is said.
_IDLE = 10.0
# Writes in one pipeline, and the most that wait for one.
_BATCH, _MOST = 500, 10_000
# How long closing may take to send what is left.
_CLOSING = 1.0

Command = tuple[str | bytes | int, ...]


class Place(NamedTuple):
    """What is written to.

    Attributes:
        kind: What is done there; `restore` sets a value that is not there any more, `free` gives a
            claim back, `clear` takes away another's share.
        key: Of the value, the claim or the sum.
        process: Whose share of it is cleared away.
    """

    kind: Literal["put", "restore", "free", "add", "share", "clear"]
    key: str
    process: bytes = b""


class Write(NamedTuple):
    """What is to be written there; what is not sent yet is replaced by what comes after it.

    Attributes:
        value: None drops it.
        amount: To be added.
        ends_at: Seconds since 1970.
    """

    value: bytes | None = None
    amount: int = 0
    ends_at: float = 0.0


class _Question(NamedTuple):
    commands: Sequence[Command]
    learn: Callable[[list[Any]], None]
    answered: asyncio.Future[bool]


class Conversation:
    """Says to Redis what is to be written and asked, in the background.

    If Redis does not answer within a quarter of a second it is away: questions are given up at
    once, and writes kept, the newest ten thousand, until it is found to answer.  That is tried
    after a second, then less and less often.

    Args:
        connect: Returns a client that is not connected; called for every event loop.
        address: What the log calls the server.
        written: Returns the commands for a write when it is sent.
        due: Returns what is to be written without anybody saying so, and all of it if `again`: to a
            new connection, whose server may be one that knows nothing.

    Attributes:
        answers: Whether Redis answers, as far as is known; `True` until it is found not to.
    """

    def __init__(
        self,
        connect: Callable[[], Redis],
        address: str,
        written: Callable[[Place, Write], list[Command]],
        due: Callable[[bool], Iterable[Place]],
    ) -> None:
        self._connect = connect
        self._client = connect()
        self._connection: Any = None
        self._address = address
        self._written = written
        self._due = due
        self._unsent: OrderedDict[Place, Write] = OrderedDict()
        self._questions: list[_Question] = []
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self.answers = True
        self._refusals: set[str] = set()  # those that were logged

    def unsent(self, place: Place) -> Write | None:
        """Return what is still to be written there."""
        return self._unsent.get(place)

    def tell(self, place: Place, write: Write) -> None:
        """Write soon, in place of what is still to be written there; nothing once closed."""
        if self._closing.is_set():
            return
        self._begin()
        self._unsent[place] = write
        self._unsent.move_to_end(place)
        if len(self._unsent) > _MOST:
            self._unsent.popitem(last=False)
        self._wake.set()

    async def ask(self, commands: Sequence[Command], learn: Callable[[list[Any]], None]) -> bool:
        """Ask, after all that was told before; tell whether Redis answered.

        The replies are given to `learn` as they come, while what was told since is still unsent.
        """
        if self._closing.is_set():
            return False
        loop = self._begin()
        if not self.answers:
            return False
        answered: asyncio.Future[bool] = loop.create_future()
        self._questions.append(_Question(commands, learn, answered))
        self._wake.set()
        try:
            async with asyncio.timeout(_DEADLINE):
                return await answered
        except TimeoutError as error:
            self._went_away(error)
            return False

    async def aclose(self) -> None:
        """Send what is left, if it takes no longer than a second, and close the connection."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        # The task of a loop that is over is over.
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            try:
                await asyncio.wait({self._task}, timeout=_CLOSING)
            finally:
                self._task.cancel()
            await asyncio.wait({self._task})

    def _begin(self) -> asyncio.AbstractEventLoop:
        """See to it that the task runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("Redis is reached from asyncio's event loop only") from None
        if self._task is not None and self._task.get_loop() is not loop:
            # What there was is bound to its loop, which is over.
            self._client = self._connect()
            self._wake, self._closing = asyncio.Event(), asyncio.Event()
            self._task = None
        if self._task is None or self._task.done():
            # Not in the context of the call that happens to be the first.
            self._task = loop.create_task(self._speak(), context=Context())
        return loop

    async def _speak(self) -> None:
        pause = _PAUSE
        try:
            while True:
                self._wake.clear()
                for place in self._due(False):  # noqa: FBT003 - a callback has no names
                    self._unsent.setdefault(place, Write())
                if self._unsent or self._questions or not self.answers:
                    if await self._exchange():
                        pause = _PAUSE
                        continue
                    if self._closing.is_set():
                        return
                    await _passes(self._closing, pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                elif self._closing.is_set():
                    return
                else:
                    await _passes(self._wake, _IDLE)
        finally:
            _dismiss(self._questions)
            with suppress(RedisError, OSError):
                await self._client.aclose()

    async def _exchange(self) -> bool:
        """Send one pipeline; tell whether Redis answered."""
        asked: list[_Question] = []
        writes: dict[Place, Write] = {}
        try:
            # Also finds that the server has closed the connection, before anything is sent.
            async with asyncio.timeout(_CONNECTING):
                connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            self._meet(connection)
            asked, self._questions = self._questions, []
            writes = {place: self._unsent.pop(place) for place in [*islice(self._unsent, _BATCH)]}
            commands = [line for place in writes for line in self._written(place, writes[place])]
            first = len(commands)
            for question in asked:
                commands += question.commands
            async with asyncio.timeout(_DEADLINE):
                replies = await self._replies(connection, commands or [("PING",)])
            for question in asked:
                _answer(question, replies[first : first + len(question.commands)])
                first += len(question.commands)
        except (RedisError, OSError) as error:
            # What was added may have been counted, and is better not counted than counted twice.
            for place in [place for place in writes if place.kind != "add"]:
                self._unsent.setdefault(place, writes[place])
            self._went_away(error)
            with suppress(RedisError, OSError):
                await self._client.connection_pool.disconnect()
            return False
        finally:
            _dismiss(asked)
        self._came_back()
        return True

    def _meet(self, connection: Any) -> None:
        """See to it that all is written again whenever the connection is made again."""
        if connection is not self._connection:
            if self._connection is not None:
                self._write_again(connection)
            self._connection = connection
            connection.register_connect_callback(self._write_again)

    def _write_again(self, _: Any) -> None:
        for place in self._due(True):  # noqa: FBT003 - a callback has no names
            self._unsent.setdefault(place, Write())

    async def _replies(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        """Return one reply to each command; one that was refused has an error for a reply."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.connection = connection
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            # A server that is no longer the one to write to: its name may lead to another now.
            if isinstance(reply, ReadOnlyError):
                raise reply
            if isinstance(reply, RedisError) and type(reply).__name__ not in self._refusals:
                self._refusals.add(type(reply).__name__)
                _logger.warning("Redis at %s refuses: %s", self._address, self._reason(reply))
        return replies

    def _went_away(self, error: Exception) -> None:
        _dismiss(self._questions)
        self._questions = []
        if self.answers:
            self.answers = False
            # The task need not know yet, if it was found by somebody who waited too long.
            self._wake.set()
            _logger.warning(
                "Redis at %s does not answer, so this process goes on with what it knows: %s",
                self._address,
                self._reason(error),
            )

    def _came_back(self) -> None:
        if not self.answers:
            self.answers = True
            self._refusals.clear()
            _logger.warning("Redis at %s answers again", self._address)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {_DEADLINE} s"
        # Some servers repeat what they were sent.
        password = str(self._client.connection_pool.connection_kwargs.get("password") or "")
        text = str(error)
        return text if text and not (password and password in text) else type(error).__name__


def _answer(question: _Question, replies: list[Any]) -> None:
    refused = any(isinstance(reply, RedisError) for reply in replies)
    if not refused:
        question.learn(replies)
    if not question.answered.done():
        question.answered.set_result(not refused)


def _dismiss(questions: Sequence[_Question]) -> None:
    """Let nobody wait for an answer that will not come."""
    for question in questions:
        if not question.answered.done():
            question.answered.set_result(False)


async def _passes(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
