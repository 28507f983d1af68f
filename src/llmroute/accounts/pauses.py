"""Keys and sessions that are paused: their calls are refused until they are resumed."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import anyio.to_thread
from sqlalchemy import Connection, Row, delete, or_, select

from llmroute.accounts.gate import Asked, Hold
from llmroute.accounts.model import Key
from llmroute.accounts.rows import revised
from llmroute.accounts.trail import note
from llmroute.database import Database
from llmroute.database.schema import pauses
from llmroute.errors import BudgetError, InvalidRequestError
from llmroute.messages.call import Sender

__all__ = ["Pause", "Pauses"]

_MICROS: Final = 1_000_000
# Longer than any process goes without looking.
_KEPT: Final = 86_400.0  # seconds
_LONGEST_SUBJECT: Final = 200  # characters
_LONGEST_REASON: Final = 500


class Pause(NamedTuple):
    """A key or a session that is paused.

    Attributes:
        subject: The name or the id of the key, or the id of the session.
        since: When it was paused, in seconds since 1970.
        until: When that ends by itself; `None` if it does not.
        reason: What whoever is refused is told.
        actor: Who paused it: the name of a key, or `cli`.
    """

    subject: str
    since: float
    until: float | None
    reason: str
    actor: str


class Pauses:
    """The gate of the pauses, and what is paused.

    Every process sees a pause within a second or so; calls that are under way go on.

    Args:
        database: With its schema up to date.
        clock: Seconds since 1970.
        resumed: Told of what is resumed, here or by another process; in a thread.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        resumed: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare; nothing is read yet."""
        self._database = database
        self._clock = clock
        self._resumed = resumed
        self._paused: dict[str, Pause] = {}
        self._ended: dict[str, int] = {}
        self._reading = threading.Lock()

    # What is done at a gate, and once a second

    async def admit(self, asked: Asked) -> Hold | None:
        """Let a call through if neither its key nor its session is paused.

        Raises:
            BudgetError: One is.
        """
        if self._paused and not asked.call.is_ours:
            self.check(asked.call.sender, asked.call.session)
        return None

    def check(self, sender: Sender, session: str = "") -> None:
        """Make sure that nothing is paused.

        Raises:
            BudgetError: The sender's key is, or the session.  Not a `ForbiddenError`, which Claude
                Code words as a failed login: of this it shows the message as it is.
        """
        paused = self._paused
        if not paused:
            return
        account = sender.account
        pause = paused.get(sender.key) or paused.get(session)
        if pause is None and isinstance(account, Key):
            pause = paused.get(account.id)
        if pause is None:
            return
        now = self._clock()
        if pause.until is not None and pause.until <= now:
            return
        what = "session" if pause.subject == session else "key"
        wait = [] if pause.until is None else [_retry_after(pause.until - now)]
        raise BudgetError(_refusal(what, pause), headers=wait)

    def work(self) -> None:
        """Find out what is paused, and what was resumed.

        Raises:
            StoreError: The database cannot be had; what is known stays.
        """
        with self._reading:
            since = self._micros() - int(_KEPT * _MICROS)
            # Of what has ended, only what ended of late: somebody may not have heard of it.
            asked = select(pauses).where(or_(pauses.c.ended.is_(None), pauses.c.ended > since))
            rows = self._database.read_now(lambda it: list(it.execute(asked)))
            self._paused = {row.subject: _read(row) for row in rows if row.ended is None}
            ended = {row.subject: row.ended for row in rows if row.ended is not None}
            news = [subject for subject, at in ended.items() if self._ended.get(subject) != at]
            self._ended = ended
        for subject in news:
            self._resumed(subject)

    # What people do

    async def pause(
        self, subject: str, actor: str, reason: str = "", length: timedelta | None = None
    ) -> Pause:
        """Refuse the calls of a key or a session from now on; here at once.

        Args:
            subject: The name or the id of a key, or the id of a session.
            actor: Who does it.
            reason: What whoever is refused is told.
            length: For how long; `None` until it is resumed.

        Raises:
            InvalidRequestError: That is no name, or too long a reason.
            StoreError: The database cannot be had.
        """
        _check("subject", subject, _LONGEST_SUBJECT)
        _check("reason", reason or "-", _LONGEST_REASON)
        now = self._micros()
        until = None if length is None else now + length // timedelta(microseconds=1)
        row = {"at": now, "until": until, "reason": reason, "actor": actor, "ended": None}
        told = {"reason": reason, "until": _shown(until)}

        def work(connection: Connection) -> None:
            revised(connection)
            _put(connection, subject, row, now)
            note(connection, now, actor, "pause", ("pause", subject), None, told)

        await self._database.write(work)
        await anyio.to_thread.run_sync(self.work)
        return Pause(subject, now / _MICROS, until and until / _MICROS, reason, actor)

    async def resume(self, subject: str, actor: str) -> bool:
        """Take a pause back; here at once.  Return whether there was one.

        What a session has spent is forgiven it besides, so that guards let it go on.

        Raises:
            InvalidRequestError: That is no name.
            StoreError: The database cannot be had.
        """
        _check("subject", subject, _LONGEST_SUBJECT)
        now = self._micros()

        def work(connection: Connection) -> bool:
            revised(connection)
            before = connection.execute(
                select(pauses).where(pauses.c.subject == subject, pauses.c.ended.is_(None))
            ).first()
            row = {"at": now, "until": None, "reason": "", "actor": actor, "ended": now}
            _put(connection, subject, row, now)
            told = None
            if before is not None:
                told = {"reason": before.reason, "until": _shown(before.until)}
            note(connection, now, actor, "resume", ("pause", subject), told, None)
            return before is not None and not _is_over(before, now)

        was_paused = await self._database.write(work)
        await anyio.to_thread.run_sync(self.work)
        return was_paused

    async def all(self) -> list[Pause]:
        """Return what is paused, the latest first.

        Raises:
            StoreError: The database cannot be had.
        """
        now = self._micros()
        asked = select(pauses).where(pauses.c.ended.is_(None)).order_by(pauses.c.at.desc())
        rows = await self._database.read(lambda it: list(it.execute(asked)))
        return [_read(row) for row in rows if not _is_over(row, now)]

    def _micros(self) -> int:
        return int(self._clock() * _MICROS)


def _put(connection: Connection, subject: str, row: dict[str, Any], now: int) -> None:
    """Write one down, and forget what nobody need hear of any more."""
    before = now - int(_KEPT * _MICROS)
    over = or_(pauses.c.ended < before, pauses.c.until < before)
    connection.execute(delete(pauses).where(or_(pauses.c.subject == subject, over)))
    connection.execute(pauses.insert().values(subject=subject, **row))


def _is_over(row: Row[Any], now: int) -> bool:
    return row.until is not None and row.until <= now


def _read(row: Row[Any]) -> Pause:
    until = None if row.until is None else row.until / _MICROS
    return Pause(row.subject, row.at / _MICROS, until, row.reason, row.actor)


def _shown(micros: int | None) -> str | None:
    return None if micros is None else datetime.fromtimestamp(micros // _MICROS, UTC).isoformat()


def _check(what: str, text: str, longest: int) -> None:
    if not text.strip():
        raise InvalidRequestError(f"{what}: must not be empty")
    if len(text) > longest:
        raise InvalidRequestError(f"{what}: must not be longer than {longest} characters")
    if not text.isprintable():
        raise InvalidRequestError(f"{what}: must be printable text")


def _retry_after(seconds: float) -> tuple[bytes, bytes]:
    return b"retry-after", str(max(math.ceil(seconds), 1)).encode()


def _refusal(what: str, pause: Pause) -> str:
    until = ""
    if pause.until is not None:
        until = f" until {datetime.fromtimestamp(pause.until, UTC):%Y-%m-%d %H:%M} UTC"
    reason = f": {pause.reason.rstrip('.')}" if pause.reason else ""
    return (
        f"The {what} {pause.subject!r} is paused{until}{reason}. Ask whoever runs this llmroute "
        f"proxy to let it go on (`llmroute resume {pause.subject}`)."
    )
