"""`llmroute pause` and `llmroute resume`: keys and sessions that make no calls for a while.

They are written into the database, which every proxy reads once a second.  A proxy that has none
is asked itself.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import anyio
import typer

from llmroute.accounts.directory import Directory
from llmroute.accounts.pauses import Pause, Pauses
from llmroute.config.durations import duration
from llmroute.database import Database
from llmroute_cli import table
from llmroute_cli.configuration import fail, say
from llmroute_cli.data import opened
from llmroute_cli.proxy import Proxy
from llmroute_cli.register import ACTOR, keys_of

__all__ = ["pause", "paused", "resume"]

T = TypeVar("T")

_PATH: Final = "/llmroute/pauses"
_HEADS: Final = ("paused", "since", "until", "by", "reason")
_SESSION: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What the records call the master key, and everyone where there is no key.
_NO_KEYS: Final = ("local", "master")


class _Desk(Protocol):
    """Where pauses are made: the database, or a proxy that has none."""

    async def pause(
        self, subject: str, actor: str, reason: str = "", length: timedelta | None = None
    ) -> Pause: ...
    async def resume(self, subject: str, actor: str) -> bool: ...
    async def all(self) -> list[Pause]: ...


def pause(
    path: Path | None, url: str | None, subject: str, length: str | None, reason: str
) -> None:
    """Pause a key or a session."""
    try:
        lasting = None if length is None else duration(length)
    except ValueError as error:
        raise fail(f"--for {error}") from None

    async def work(desk: _Desk) -> Pause:
        return await desk.pause(subject, ACTOR, reason, lasting)

    made = _at_desk(path, url, work, subject)
    until = "until it is resumed" if made.until is None else f"until {_time(made.until)}"
    typer.echo(f"paused {subject} {until}")


def resume(path: Path | None, url: str | None, subject: str) -> None:
    """Let it go on."""

    async def work(desk: _Desk) -> bool:
        return await desk.resume(subject, ACTOR)

    if _at_desk(path, url, work):
        typer.echo(f"resumed {subject}")
    else:
        typer.echo(f"{subject} was not paused; a guard that has stopped it begins to count anew")


def paused(path: Path | None, url: str | None, *, as_json: bool) -> None:
    """Print what is paused."""

    async def work(desk: _Desk) -> list[Pause]:
        return await desk.all()

    found = _at_desk(path, url, work)
    if as_json:
        typer.echo(json.dumps([_as_json(each) for each in found], indent=1))
        return
    table.show(_HEADS, [_row(each) for each in found])
    if not found:
        say("nothing is paused")


def _at_desk(
    path: Path | None,
    url: str | None,
    work: Callable[[_Desk], Awaitable[T]],
    subject: str | None = None,
) -> T:
    """Return what `work` makes of it.

    Args:
        path: The configuration.
        url: The address of a proxy that is to be asked in place of the database.
        work: What to do.
        subject: Said if it looks like nothing that can be paused.

    Raises:
        typer.Exit: It cannot be done; why has been printed.
    """
    if url is None:
        with opened(path) as (database, config):
            if database is not None:
                names = {key.name for key in keys_of(config)} | {key.id for key in keys_of(config)}
                if subject is not None:
                    anyio.run(_wonder, database, names, subject)
                return anyio.run(work, Pauses(database, time.time))
    return anyio.run(work, _Asked(Proxy(path, url)))


async def _wonder(database: Database, names: set[str], subject: str) -> None:
    """Say so if something is neither a key nor looks like a session of Claude Code's."""
    if subject in names or subject in _NO_KEYS or _SESSION.fullmatch(subject):
        return
    known = await Directory(database, time.time).keys()
    if all(subject not in (key.name, key.id) for key in known):
        say(f"there is no key {subject!r}; it is taken for the id of a session")


class _Asked:
    """A running proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def pause(
        self, subject: str, actor: str, reason: str = "", length: timedelta | None = None
    ) -> Pause:
        del actor
        body: dict[str, Any] = {"subject": subject, "reason": reason}
        if length is not None:
            body["duration"] = length.total_seconds()
        return _read(await self._proxy.ask("POST", _PATH, body))

    async def resume(self, subject: str, actor: str) -> bool:
        del actor
        answer = await self._proxy.ask("DELETE", f"{_PATH}/{quote(subject, safe='')}")
        return bool(answer["was_paused"])

    async def all(self) -> list[Pause]:
        return [_read(each) for each in (await self._proxy.ask("GET", _PATH))["pauses"]]


def _read(told: Any) -> Pause:
    since, until = (
        None if told[name] is None else datetime.fromisoformat(told[name]).timestamp()
        for name in ("since", "until")
    )
    return Pause(told["subject"], since or 0.0, until, told["reason"], told["paused_by"])


def _row(each: Pause) -> tuple[str, ...]:
    until = "" if each.until is None else _time(each.until)
    return each.subject, _time(each.since), until, each.actor, each.reason


def _as_json(each: Pause) -> dict[str, Any]:
    return {
        "subject": each.subject,
        "since": _iso(each.since),
        "until": None if each.until is None else _iso(each.until),
        "reason": each.reason,
        "paused_by": each.actor,
    }


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
