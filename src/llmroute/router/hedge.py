"""Asking a second deployment when the first is slow: for short side calls, and within a budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from llmroute.config import Hedge
from llmroute.errors import InvalidRequestError, LLMRouteError
from llmroute.messages.call import Call
from llmroute.messages.usage import Usage
from llmroute.pricing import Tariff, cost
from llmroute.router.answer import Answer

__all__ = ["Hedges", "first_of"]


class Hedges:
    """Keeps what hedging costs below what the configuration allows."""

    __slots__ = ("_calls", "_made")

    def __init__(self) -> None:
        self._calls = 0
        self._made = 0

    def allows(self, hedge: Hedge, call: Call) -> bool:
        """Tell whether a call is short, unstreamed, and one of the few that may be asked twice."""
        if call.stream or call.endpoint != "messages" or call.rough_tokens > hedge.max_input_tokens:
            return False
        asked = _max_tokens(call)
        if asked is None or asked > hedge.max_tokens:
            return False
        self._calls += 1
        return self._made + 1 <= max(hedge.max_share * self._calls, 1.0)

    def pays(self, hedge: Hedge, call: Call, tariff: Tariff | None) -> bool:
        """Tell whether a second attempt is cheap enough, and count it; not if nobody knows."""
        if tariff is None:
            return False
        usage = Usage(input_tokens=call.rough_tokens, output_tokens=_max_tokens(call) or 0)
        if cost(tariff, usage) > hedge.max_cost * 1_000_000:
            return False
        self._made += 1
        return True


def _max_tokens(call: Call) -> int | None:
    try:
        value = call.body.get("max_tokens")
    except InvalidRequestError:
        return None
    return value if isinstance(value, int) else None


async def first_of(
    first: Callable[[], Awaitable[Answer | None]],
    second: Callable[[], Awaitable[Answer | None]],
    pause: Callable[[], Awaitable[None]],
) -> Answer | None:
    """Return the answer of `first`, or of `second` if that comes sooner; `None` if neither does.

    `second` begins when `pause` is over, and not at all if `first` has ended by then.  The one
    that is not used is cancelled; what either raises is raised.
    """
    won: list[Answer] = []
    raised: list[LLMRouteError] = []
    beside = False

    try:
        async with anyio.create_task_group() as tasks:

            async def run(attempt: Callable[[], Awaitable[Answer | None]]) -> None:
                try:
                    answer = await attempt()
                except LLMRouteError as error:
                    # Not out of the task group, which would wrap it up.
                    raised.append(error)
                    tasks.cancel_scope.cancel()
                    return
                if answer is not None and won:
                    await answer.aclose()
                elif answer is not None:
                    won.append(answer)
                    tasks.cancel_scope.cancel()

            async def run_first() -> None:
                await run(first)
                if not beside:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(run_first)
            await pause()
            # Who is cancelled when the pause is over already is not told until the next wait.
            if not tasks.cancel_scope.cancel_called:
                beside = True
                await run(second)
    except BaseException:
        # The caller went away before the other one had been let go of.
        for answer in won:
            await answer.aclose()
        raise
    if raised and not won:
        raise raised[0]
    return won[0] if won else None
