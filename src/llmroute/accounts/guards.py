"""What stops a conversation that runs away: what it spends in all, in a minute, and in circles.

It is counted in memory, by each process for what it serves itself, so it takes no database.  The
budgets of keys are another matter: those hold whatever happens.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from llmroute.accounts.gate import Asked, Hold
from llmroute.accounts.repetition import Repeated, repeated
from llmroute.accounts.windows import MINUTE
from llmroute.config.accounts import Guards as Settings
from llmroute.errors import BudgetError, LimitError
from llmroute.messages.call import Call
from llmroute.observe import Record
from llmroute.wire.headers import Headers

__all__ = ["Guards"]

_MICROS: Final = 1_000_000
# Of the sessions, the one that was longest unheard of is forgotten first; likewise of a session's
# agents.  A client chooses both names.
_MOST_SESSIONS: Final = 10_000
_MOST_AGENTS: Final = 1_000
_DEEPEST: Final = 32
_LONGEST_NAME: Final = 100


@dataclass(slots=True)
class _Purse:
    """What was spent, and what calls under way may cost; in micro-dollars."""

    spent: int = 0
    reserved: int = 0


@dataclass(slots=True)
class _Session:
    """What is known of a session.

    Attributes:
        all: What it has cost.
        agents: What each subagent has cost, together with those it has started.
        parents: Who started whom.
        minute: What was spent when, in the last minute, and
        in_minute: the sum of that.
        accused: The tool call that was refused last.
        excused: One that may be repeated, for somebody has said so.
    """

    all: _Purse = field(default_factory=_Purse)
    agents: OrderedDict[str, _Purse] = field(default_factory=OrderedDict)
    parents: dict[str, str] = field(default_factory=dict)
    minute: deque[tuple[float, int]] = field(default_factory=deque)
    in_minute: int = 0
    accused: Repeated | None = None
    excused: Repeated | None = None

    def last_minute(self, now: float) -> int:
        while self.minute and self.minute[0][0] + MINUTE <= now:
            self.in_minute -= self.minute.popleft()[1]
        return self.in_minute

    def ancestry(self, call: Call) -> list[str]:
        """Return the subagent that makes a call, the one that started it, and so on."""
        agent = call.agent
        if not agent:
            return []
        if call.parent and call.parent != agent:
            self.parents[agent] = call.parent
        chain = [agent]
        while (agent := self.parents.get(agent, "")) and agent not in chain:
            chain.append(agent)
            if len(chain) == _DEEPEST:
                break
        return chain

    def purse(self, agent: str) -> _Purse:
        found = self.agents.get(agent)
        if found is None:
            found = self.agents[agent] = _Purse()
            if len(self.agents) > _MOST_AGENTS:
                gone, _ = self.agents.popitem(last=False)
                self.parents.pop(gone, None)
        else:
            self.agents.move_to_end(agent)
        return found


class _Name(NamedTuple):
    """A session is one of a key: nobody counts on another's account."""

    key: str
    session: str


class Guards:
    """The gate of the guards.

    A call is let through while there is anything left that is not set aside for others, so a guard
    is overrun by one call at most.

    Args:
        settings: What stops a conversation.
        clock: Seconds since 1970.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        """Know of no session yet."""
        self._sessions: OrderedDict[_Name, _Session] = OrderedDict()
        self._clock = clock
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Guard by other settings from now on; what was spent stays known."""
        self._settings = settings
        self._counts = bool(
            settings.session_budget or settings.subagent_budget or settings.dollars_per_minute
        )
        self._is_off = not self._counts and not settings.repeated_tool_calls

    def forgive(self, session: str) -> None:
        """Let a session begin anew: what it spent, and repeated, counts no more."""
        for name, known in list(self._sessions.items()):
            if name.session == session:
                self._sessions[name] = _Session(parents=known.parents, excused=known.accused)

    async def admit(self, asked: Asked) -> Hold | None:
        """Let a call through if no guard stops its conversation.

        Raises:
            BudgetError: One does.
            LimitError: One may, once it is known what the calls under way have cost.
        """
        call = asked.call
        if self._is_off or call.endpoint != "messages":
            return None
        session = self._session(call)
        if session is None:
            if not call.is_ours:
                self._check_repetition(call, None)
            return None
        agents = session.ancestry(call)
        if not call.is_ours:
            self._check_money(call, session, agents)
            self._check_repetition(call, session)
        if not self._counts:
            return None
        purses = [session.all, *map(session.purse, agents)]
        return _Held(session, purses, asked.quote() or 0, self._clock)

    def _session(self, call: Call) -> _Session | None:
        if not call.session:
            return None
        name = _Name(call.sender.key, call.session)
        found = self._sessions.get(name)
        if found is None:
            found = self._sessions[name] = _Session()
            if len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(name)
        return found

    def _check_money(self, call: Call, session: _Session, agents: list[str]) -> None:
        settings = self._settings
        if (limit := settings.session_budget) is not None:
            _check(session.all, limit, partial(_session_is_over, call, limit))
        if (limit := settings.subagent_budget) is not None:
            for agent in agents:
                _check(session.purse(agent), limit, partial(_agent_is_over, call, agent, limit))
        if (limit := settings.dollars_per_minute) is not None:
            now = self._clock()
            minute = _Purse(session.last_minute(now), session.all.reserved)
            wait = _until(session, now, minute.spent - int(limit * _MICROS))
            _check(minute, limit, partial(_minute_is_over, call, limit, wait), wait)

    def _check_repetition(self, call: Call, session: _Session | None) -> None:
        times = self._settings.repeated_tool_calls
        if times is None:
            return
        made = repeated(call, times)
        if made is None or (session is not None and session.excused == made):
            return
        if session is not None:
            session.accused = made
        raise BudgetError(
            f"This conversation has called the tool {_short(made.name)!r} {times} times in a row "
            "with the same input (guards.repeated_tool_calls), so it was stopped. Tell it "
            f"what to do instead, which lets it go on. {_go_on(call)}"
        )


class _Held:
    """What a call may cost, until it is over."""

    __slots__ = ("_clock", "_purses", "_quote", "_session")

    def __init__(
        self, session: _Session, purses: list[_Purse], quote: int, clock: Callable[[], float]
    ) -> None:
        self._session = session
        self._purses = purses
        self._quote = quote
        self._clock = clock
        for purse in purses:
            purse.reserved += quote

    def headed(self, headers: Headers) -> Headers:
        return headers

    def settle(self, record: Record | None) -> None:
        cost = (record.cost or 0) if record is not None else 0
        for purse in self._purses:
            purse.reserved -= self._quote
            purse.spent += cost
        if cost:
            session = self._session
            now = self._clock()
            session.last_minute(now)
            session.minute.append((now, cost))
            session.in_minute += cost


def _until(session: _Session, now: float, excess: int) -> int:
    """Return the seconds until so much of what was spent is a minute ago."""
    for at, cost in session.minute:
        excess -= cost
        if excess < 0:
            return max(math.ceil(at + MINUTE - now), 1)
    return int(MINUTE)


def _session_is_over(call: Call, limit: float, spent: str) -> str:
    return (
        f"The session {_short(call.session)} has spent {spent} of the {_amount(limit)} that one "
        f"session may (guards.session_budget). {_go_on(call, 'Begin a new session')}"
    )


def _agent_is_over(call: Call, agent: str, limit: float, spent: str) -> str:
    return (
        f"The subagent {_short(agent)} and those it has started have spent {spent} of the "
        f"{_amount(limit)} that one subagent may (guards.subagent_budget). "
        f"{_go_on(call, 'Go on without it')}"
    )


def _minute_is_over(call: Call, limit: float, wait: int, spent: str) -> str:
    return (
        f"The session {_short(call.session)} has spent {spent} in the last minute, and one may "
        f"spend {_amount(limit)} in one (guards.dollars_per_minute). Look at what it does, then go "
        f"on in {wait} seconds. {_go_on(call)}"
    )


def _short(name: str) -> str:
    """A client chose it."""
    return name[:_LONGEST_NAME]


def _go_on(call: Call, first: str = "") -> str:
    """Say how it can go on."""
    ask = "ask whoever runs this llmroute proxy to raise the guard"
    if call.session:
        ask += f", or to run `llmroute resume {_short(call.session)}`"
    return f"{first}, or {ask}." if first else f"Or {ask}."


def _check(
    purse: _Purse, limit: float, over: Callable[[str], str], wait: int | None = None
) -> None:
    """Raise what stops a call if no more may be spent.

    While it is only calls under way that may use up the rest, the call waits for these: what they
    cost is not known yet, and mostly less than was set aside.

    Args:
        over: Returns what to say of so many dollars.
        wait: Seconds until there is money again; `None` if there will be none.

    Raises:
        BudgetError: It is spent.
        LimitError: It may be.
    """
    most = limit * _MICROS
    if purse.spent >= most:
        headers = [] if wait is None else [(b"retry-after", str(wait).encode())]
        raise BudgetError(over(_amount(purse.spent / _MICROS)), headers=headers)
    if purse.spent + purse.reserved >= most:
        raise LimitError(
            f"{_amount(purse.spent / _MICROS)} are spent, and what is under way may use up the "
            f"rest of {_amount(limit)} that a guard allows. Try again when it is over.",
            headers=[(b"retry-after", b"1")],
        )


def _amount(dollars: float) -> str:
    """Write dollars, to the cent where that tells anything."""
    return f"${dollars:,.2f}" if dollars >= 0.01 else f"${dollars:.6f}".rstrip("0").rstrip(".")
