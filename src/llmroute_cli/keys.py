"""`llmroute keys`: keys in the database of the configuration, whether a proxy runs or not.

A proxy that runs sees a change within a second or two.
"""

from __future__ import annotations

import functools
import getpass
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import typer

from llmroute.accounts.directory import Directory
from llmroute.accounts.model import Key
from llmroute.accounts.secrets import digest_of
from llmroute.accounts.spending import spent_of
from llmroute.config.durations import duration
from llmroute_cli import table
from llmroute_cli.configuration import fail, say
from llmroute_cli.data import opened
from llmroute_cli.given import Given, check_texts, end_of
from llmroute_cli.keys_shown import KEY_HEADS, key_as_json, key_row, spending, state_of
from llmroute_cli.register import (
    ACTOR,
    NO_DATABASE,
    Register,
    keys_of,
    named,
    register_of,
    registered,
)

__all__ = ["block", "create", "delete", "hashed", "listed", "rotate", "show", "update"]


def create(
    path: Path | None,
    name: str,
    given: Given,
    *,
    owner: str,
    team: str | None,
    expires: str | None,
    trusted: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a key, and print it: this once."""
    check_texts("--owner", [owner])
    ends = _end(expires)
    if ends is not None and ends <= datetime.now(UTC):
        raise fail(f"--expires: {expires!r} is over; the key would be refused from the start")
    key = replace(Key("", named(name, "key")), owner=owner, trusted=trusted, expires=ends)
    key = replace(key, **given.members(key))

    async def work(register: Register) -> None:
        register.refuse_configured(name)
        made = replace(key, team=await register.directory.team(team) if team else None)
        secret = await register.directory.create_key(made, ACTOR)
        made = await register.directory.key(name)
        _hand_over(made, secret.key, register, quiet=quiet, as_json=as_json)

    registered(path, work)


def _end(expires: str | None) -> datetime | None:
    return None if expires is None else end_of(expires, datetime.now(UTC))


def _hand_over(key: Key, secret: str, register: Register, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"key": secret, **key_as_json(key)}, indent=1))
        return
    if not quiet:
        say(f"key {key.name!r} in {register.database.address}; it is shown this once:")
    typer.echo(secret)


def listed(path: Path | None, team: str | None, owner: str | None, *, as_json: bool) -> None:
    """Print the keys of the database and of the configuration."""
    found: list[Key] = []
    with opened(path) as (database, config):
        found += keys_of(config)
        if database is None:
            say("`database: none` keeps keys in the memory of a proxy; these are the file's")
        else:
            found += anyio.run(Directory(database, time.time).keys)
    shown = [
        key
        for key in found
        if owner in (None, key.owner)
        and (team is None or (key.team is not None and team in (key.team.name, key.team.id)))
    ]
    if as_json:
        typer.echo(json.dumps([key_as_json(key) for key in shown], indent=1))
        return
    table.show(KEY_HEADS, [key_row(key) for key in shown])
    if not shown:
        say("there is no such key; `llmroute keys create NAME` makes one")


def show(path: Path | None, name: str, *, as_json: bool) -> None:
    """Print one key, and what is spent of its budgets."""
    spent: dict[str, int] | None = None
    overlap = None
    with opened(path) as (database, config):
        fixed = [key for key in keys_of(config) if name in (key.name, key.id)]
        if database is not None:
            work = functools.partial(_known, name, fixed)
            key, spent, overlap = anyio.run(work, register_of(database, config))
        elif fixed:
            key = fixed[0]
            say("`database: none`: what is spent of budgets is known to the proxy alone")
        else:
            raise fail(f"there is no key {name!r} in the configuration, and {NO_DATABASE}", 1)
    if as_json:
        shown = key_as_json(key, spent)
        shown["previous_until"] = overlap.isoformat() if overlap else None
        typer.echo(json.dumps(shown, indent=1))
        return
    for what, value in (*zip(KEY_HEADS[:6], key_row(key), strict=False), *_details(key, overlap)):
        if value:
            typer.echo(f"{what + ':':<15}{value}")
    for whose, budgets in (("", key.budgets), ("team's ", key.team.budgets if key.team else ())):
        for budget in budgets:
            of_it = None if spent is None else spent.get(budget.id, 0)
            typer.echo(f"{whose + 'budget:':<15}{spending(budget, of_it)}")


async def _known(
    name: str, fixed: Sequence[Key], register: Register
) -> tuple[Key, dict[str, int], datetime | None]:
    """Return a key, what is spent of its budgets, and until when the one before is taken."""
    key = fixed[0] if fixed else await register.directory.key(name)
    every = [*key.budgets, *(key.team.budgets if key.team else ())]
    now = datetime.now(UTC)
    spent = await register.database.read(lambda it: spent_of(it, every, now))
    return key, spent, await register.directory.overlap(key.id)


def _details(key: Key, overlap: datetime | None) -> Sequence[tuple[str, str]]:
    return (
        ("tags", " ".join(key.tags)),
        ("trusted", "yes" if key.trusted else "no"),
        ("created", f"{key.created:%Y-%m-%d %H:%M} UTC by {key.created_by}" if key.created else ""),
        ("ends", f"{key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else "never"),
        ("state", state_of(key)),
        ("key before", f"taken until {overlap:%Y-%m-%d %H:%M} UTC" if overlap else ""),
        ("id", key.id),
    )


def update(
    path: Path | None,
    name: str,
    given: Given,
    *,
    new_name: str | None,
    owner: str | None,
    team: str | None,
    expires: str | None,
    trusted: bool | None,
) -> None:
    """Change what is given, and nothing else."""
    check_texts("--owner", [owner or ""])
    fixed = {"owner": owner, "trusted": trusted}
    members: dict[str, Any] = {each: value for each, value in fixed.items() if value is not None}
    if new_name is not None:
        members["name"] = named(new_name, "key")
    if expires is not None:
        members["expires"] = _end(expires)

    async def work(register: Register) -> Key:
        register.refuse_configured(name)
        if new_name is not None:
            register.refuse_configured(new_name)
        if team is not None:
            members["team"] = await register.directory.team(team) if team else None

        def change(now: Key) -> dict[str, Any]:
            return {**members, **given.members(now)}

        return await register.directory.alter_key(name, ACTOR, "update", change)

    table.show(KEY_HEADS, [key_row(registered(path, work))])


def rotate(path: Path | None, name: str, overlap: str, *, quiet: bool, as_json: bool) -> None:
    """Draw a key anew, and print it: this once."""
    try:
        length = timedelta() if overlap == "0" else duration(overlap)
    except ValueError as error:
        raise fail(f"--overlap: {error}") from None

    async def work(register: Register) -> None:
        register.refuse_configured(name)
        secret = await register.directory.rotate_key(name, ACTOR, length)
        key = await register.directory.key(name)
        if not (quiet or as_json):
            until = f"until {datetime.now(UTC) + length:%Y-%m-%d %H:%M} UTC"
            say(f"the one before is taken {until if length else 'no more'}")
        _hand_over(key, secret.key, register, quiet=quiet, as_json=as_json)

    registered(path, work)


def block(path: Path | None, name: str, *, blocked: bool) -> None:
    """Have a key refused, or taken again."""

    async def work(register: Register) -> Key:
        register.refuse_configured(name)
        action = "block" if blocked else "unblock"
        return await register.directory.update_key(name, ACTOR, action, blocked=blocked)

    table.show(KEY_HEADS, [key_row(registered(path, work))])


def delete(path: Path | None, name: str) -> None:
    """Delete a key."""

    async def work(register: Register) -> None:
        register.refuse_configured(name)
        await register.directory.delete_key(name, ACTOR)

    registered(path, work)
    say(f"key {name!r} is deleted; what was used with it stays on record")


def hashed(key: str | None) -> None:
    """Print the SHA-256 of a key, for `sha256` in a configuration."""
    if key is None:
        key = getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not key.strip():
        raise fail("no key was given")
    typer.echo(digest_of(key.strip()).hex())
