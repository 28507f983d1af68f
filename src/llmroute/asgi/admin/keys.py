"""Keys over HTTP: made, shown, changed, drawn anew, blocked, deleted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from pydantic import Field

from llmroute.accounts.directory import Wanted
from llmroute.accounts.model import Key
from llmroute.accounts.secrets import digest_of, identifier
from llmroute.asgi import render
from llmroute.asgi.admin.configured import (
    configured_keys,
    found_team,
    listed,
    unclaimed,
    unconfigured,
)
from llmroute.asgi.admin.reading import as_budgets, as_limits, as_name, as_secret, bounded, read
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.admin.shown import budgets_shown, shown_time
from llmroute.asgi.render import Rendered
from llmroute.config.accounts import KeySettings
from llmroute.config.settings import Settings
from llmroute.errors import InvalidRequestError

__all__ = ["ROUTES", "Changes", "NewKey", "Rotation"]

_ALL = r"/llmroute/keys"
_ONE = rf"{_ALL}/(?P<name>[^/]+)"
_PAGE: Final = 1000  # keys
_LONGEST_OVERLAP: Final = 366 * 86_400  # seconds


class Changes(KeySettings):
    """A key to be changed; what is left out stays, and what is null becomes what it is without."""

    name: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)


class NewKey(Changes):
    """A key to be made."""

    name: str


class Rotation(Settings):
    """How a key is drawn anew."""

    overlap: float = Field(0, ge=0, le=_LONGEST_OVERLAP)
    """Seconds for which the key before is taken too."""


async def _create(asking: Asking) -> Rendered:
    wanted = read(NewKey, asking.body)
    bounded(wanted, wanted.metadata)
    unconfigured(asking.ledger, wanted.name)
    key = Key(
        id=identifier("key"),
        name=as_name(wanted.name, "key"),
        aliases=wanted.aliases,
        owner=wanted.owner,
        tags=wanted.tags,
        limits=as_limits(wanted.limits),
        budgets=as_budgets(wanted.budgets),
        team=await found_team(asking.ledger, wanted.team),
        trusted=wanted.trusted,
        blocked=wanted.blocked,
        expires=wanted.expires,
        metadata=wanted.metadata,
    )
    directory, told = asking.ledger.directory, {}
    if wanted.sha256 is not None:
        if wanted.key is not None:
            raise InvalidRequestError("key: leave it out where sha256 stands for it")
        digest = bytes.fromhex(wanted.sha256)
        unclaimed(asking, digest)
        await directory.adopt_key(key, asking.actor, digest)
    else:
        chosen = None if wanted.key is None else as_secret(wanted.key.get_secret_value())
        if chosen is not None:
            unclaimed(asking, digest_of(chosen.key))
        secret = await directory.create_key(key, asking.actor, chosen)
        told = {"key": secret.key}
    await asking.take_effect()
    return await _answer(asking, await directory.key(key.id), told)


async def _list(asking: Asking) -> Rendered:
    limit, offset = asking.number("limit", _PAGE, _PAGE), asking.number("offset", 0, 2**31)
    wanted = Wanted(asking.query.get("team") or None, asking.query.get("owner") or None)
    found, total = await listed(asking.ledger, wanted, limit, offset)
    return render.plain(200, {"keys": await _shown(asking, found), "total": total})


async def _show(asking: Asking) -> Rendered:
    name = asking.names["name"]
    fixed = [key for key in configured_keys(asking.ledger) if name in (key.id, key.name)]
    key = fixed[0] if fixed else await asking.ledger.directory.key(name)
    return await _answer(asking, key)


async def _update(asking: Asking) -> Rendered:
    unconfigured(asking.ledger, asking.names["name"])
    wanted = read(Changes, asking.body)
    bounded(wanted, wanted.metadata)
    for fixed in ("key", "sha256"):
        if fixed in asking.body:
            raise InvalidRequestError(f"{fixed}: cannot be changed; rotate the key")
    members = {name: getattr(wanted, name) for name in asking.body}
    if "name" in members:
        unconfigured(asking.ledger, as_name(members["name"], "key"))
    if "team" in members:
        members["team"] = await found_team(asking.ledger, wanted.team)
    if "limits" in members:
        members["limits"] = as_limits(wanted.limits)
    if "budgets" in members:
        members["budgets"] = as_budgets(wanted.budgets)
    return await _changed(asking, "update", members)


async def _block(asking: Asking) -> Rendered:
    unconfigured(asking.ledger, asking.names["name"])
    return await _changed(asking, "block", {"blocked": True})


async def _unblock(asking: Asking) -> Rendered:
    unconfigured(asking.ledger, asking.names["name"])
    return await _changed(asking, "unblock", {"blocked": False})


async def _rotate(asking: Asking) -> Rendered:
    unconfigured(asking.ledger, asking.names["name"])
    overlap = timedelta(seconds=read(Rotation, asking.body).overlap)
    directory = asking.ledger.directory
    key = await directory.key(asking.names["name"])
    secret = await directory.rotate_key(key.id, asking.actor, overlap)
    await asking.take_effect()
    told = {"key": secret.key, "overlap": overlap.total_seconds()}
    return await _answer(asking, await directory.key(key.id), told)


async def _delete(asking: Asking) -> Rendered:
    unconfigured(asking.ledger, asking.names["name"])
    directory = asking.ledger.directory
    key = await directory.key(asking.names["name"])
    await directory.delete_key(key.id, asking.actor)
    await asking.take_effect()
    return render.plain(200, {"type": "key_deleted", "id": key.id, "name": key.name})


async def _changed(asking: Asking, action: str, members: dict[str, Any]) -> Rendered:
    directory = asking.ledger.directory
    key = await directory.update_key(asking.names["name"], asking.actor, action, **members)
    await asking.take_effect()
    return await _answer(asking, key)


async def _answer(asking: Asking, key: Key, told: dict[str, Any] | None = None) -> Rendered:
    (shown,) = await _shown(asking, [key])
    return render.plain(200, {**shown, **(told or {})})


async def _shown(asking: Asking, keys: Sequence[Key]) -> list[dict[str, Any]]:
    budgets = await budgets_shown(asking.ledger, [each for key in keys for each in key.budgets])
    return [
        {
            "type": "key",
            "id": key.id,
            "name": key.name,
            "source": "config" if key.id.startswith("config:") else "database",
            "hint": key.hint,
            "owner": key.owner,
            "team": key.team.name if key.team else None,
            "aliases": key.aliases,
            "tags": key.tags,
            "limits": asdict(key.limits),
            "budgets": [budgets[each.id] for each in key.budgets],
            "trusted": key.trusted,
            "blocked": key.blocked,
            "expires": shown_time(key.expires),
            "created": shown_time(key.created),
            "created_by": key.created_by,
            "metadata": key.metadata,
        }
        for key in keys
    ]


ROUTES: Final = (
    Route("GET", re.compile(_ALL), _list),
    Route("POST", re.compile(_ALL), _create),
    Route("GET", re.compile(_ONE), _show),
    Route("PATCH", re.compile(_ONE), _update),
    Route("DELETE", re.compile(_ONE), _delete),
    Route("POST", re.compile(rf"{_ONE}/block"), _block),
    Route("POST", re.compile(rf"{_ONE}/unblock"), _unblock),
    Route("POST", re.compile(rf"{_ONE}/rotate"), _rotate),
)
