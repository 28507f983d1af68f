"""The client: it asks the router as Claude Code asks the proxy, and retries as Claude Code does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bench.simulate.sessions import Request, Session
from bench.simulate.upstream import World
from llmroute import Router
from llmroute.errors import RequestError, StreamBrokenError, UpstreamError
from llmroute.messages.call import Call
from llmroute.wire.envelope import Envelope

__all__ = ["Client", "Turn"]

MODEL = "claude-opus-5-5"

# As measured with Claude Code 2.1.330, seconds before each further attempt; after the last of them
# the person sees an error.
_BACKOFF = (0.6, 1.2, 2.2, 4.5, 9.0, 18.0, 36.0, 36.0, 36.0, 36.0)
# Of an Opus model's 529; and how long a wait that is asked for may be.
_RETRIES_OF_OVERLOAD = 2
_LONGEST_ASKED = 60.0
_RETRIED = frozenset({408, 409, 429})


class Turn(NamedTuple):
    """How one request went.

    Attributes:
        key: The request's.
        at: When the client first asked, in seconds since the day began.
        tries: How often the client asked.
        answered: Whether it got a whole answer in the end.
        seconds: From the first try to the end.
    """

    key: str
    at: float
    tries: int
    answered: bool
    seconds: float


class Client:
    """Leads sessions through one router.

    Attributes:
        turns: Those that are over, in the order in which they were.
    """

    def __init__(self, router: Router, world: World, clock: Callable[[], float]) -> None:
        self.turns: list[Turn] = []
        self._router = router
        self._world = world
        self._clock = clock

    async def lead(self, sessions: Iterable[Session]) -> None:
        """Go through all sessions, each from its start to its end."""
        async with asyncio.TaskGroup() as tasks:
            # One after the other: thousands of waits at once make each of them dearer.
            for session in sorted(sessions, key=lambda session: session.start):
                await asyncio.sleep(session.start - self._clock())
                tasks.create_task(self._converse(session.requests))

    async def _converse(self, requests: tuple[Request, ...]) -> None:
        for request in requests:
            if request.pause:
                await asyncio.sleep(request.pause)
            await self._turn(request)
            if request.agents:
                async with asyncio.TaskGroup() as tasks:
                    for conversation in request.agents:
                        tasks.create_task(self._converse(conversation))

    async def _turn(self, request: Request) -> None:
        started = self._clock()
        self._world.expect(request)
        call = _call(request)
        tries, answered = 0, False
        while not answered:
            tries += 1
            try:
                answer = await self._router.send(call)
                try:
                    while await answer.receive():
                        pass
                finally:
                    await answer.aclose()
                answered = True
            except (UpstreamError, RequestError) as error:
                wait = _wait(error, tries)
                if wait is None:
                    break
                await asyncio.sleep(wait)
        self._world.forget(request)
        self.turns.append(Turn(request.key, started, tries, answered, self._clock() - started))


def _call(request: Request) -> Call:
    body = Envelope.of(
        {
            "model": MODEL,
            "max_tokens": 64_000 if request.stream else 1_024,
            "messages": [{"role": "user", "content": request.key}],
            **({"stream": True} if request.stream else {}),
        }
    )
    return Call(body, MODEL, stream=request.stream, session=request.session, agent=request.agent)


def _wait(error: UpstreamError | RequestError, tries: int) -> float | None:
    """Return the seconds until the client asks again, or `None` if it does not."""
    status = error.status
    if tries > len(_BACKOFF) or not (status in _RETRIED or status >= 500):
        return None
    if status == 529 and tries > _RETRIES_OF_OVERLOAD:
        return None
    if isinstance(error, StreamBrokenError):
        return 0.0
    asked = error.retry_after if isinstance(error, UpstreamError) else None
    if asked is not None and asked > _LONGEST_ASKED:
        return None
    return max(_BACKOFF[tries - 1], asked or 0.0)
