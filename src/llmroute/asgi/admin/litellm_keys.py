"""Keys in LiteLLM's shapes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from llmroute.accounts.directory import Wanted
from llmroute.accounts.model import Key
from llmroute.accounts.secrets import Secret, digest_of, identifier
from llmroute.asgi import render
from llmroute.asgi.admin.configured import found_team, listed, unclaimed, unconfigured
from llmroute.asgi.admin.litellm import found_key, names_in, route, text_in, tokens
from llmroute.asgi.admin.litellm_shown import infos
from llmroute.asgi.admin.litellm_terms import Terms
from llmroute.asgi.admin.reading import as_name, as_secret
from llmroute.asgi.admin.route import Asking
from llmroute.asgi.render import Rendered
from llmroute.config.durations import duration
from llmroute.errors import ForbiddenError, InvalidRequestError, UnknownSubjectError

__all__ = ["ROUTES"]

# What LiteLLM's clients send for a key without an end.
_NEVER: Final = ("", "-1")
_MOST_PER_PAGE: Final = 1000
# Read here, beside the terms.
_OWN: Final = ("key", "key_alias", "duration")


async def _generate(asking: Asking) -> Rendered:
    return await _generated(asking, Terms(asking.body, _OWN))


async def _generate_for_service(asking: Asking) -> Rendered:
    terms = Terms(asking.body, _OWN)
    if not terms.team:
        raise InvalidRequestError("team_id: required, and not given")
    return await _generated(asking, terms)


async def _generated(asking: Asking, terms: Terms) -> Rendered:
    ledger = asking.ledger
    name = text_in(asking.body, "key_alias")
    if name:
        unconfigured(ledger, as_name(name, "key"))
    key = Key(id=identifier("key"), name=name or f"key-{secrets.token_hex(4)}")
    key = replace(
        key,
        **terms.of_key(key),
        team=await found_team(ledger, terms.team),
        expires=_end(asking, text_in(asking.body, "duration")),
    )
    secret = await ledger.directory.create_key(key, asking.actor, _chosen(asking, "key"))
    await asking.take_effect()
    return await _drawn(asking, key.id, secret, terms)


async def _regenerate(asking: Asking) -> Rendered:
    own = (*_OWN, "new_key", "grace_period", "new_master_key")
    given = asking.names.get("key") or text_in(asking.body, "key")
    if text_in(asking.body, "new_master_key"):
        raise InvalidRequestError("new_master_key: set it in the configuration or the environment")
    terms = Terms(asking.body, own)
    key = await _changeable(asking, given)
    overlap = _length("grace_period", text_in(asking.body, "grace_period") or "0s")
    changed = await _changed(asking, key, terms)
    directory = asking.ledger.directory
    new = _chosen(asking, "new_key")
    # First what can be refused: a key that was drawn and not answered with would be lost.
    if changed:
        await directory.alter_key(key.id, asking.actor, "update", changed)
    secret = await directory.rotate_key(key.id, asking.actor, overlap, new)
    await asking.take_effect()
    return await _drawn(asking, key.id, secret, terms)


async def _update(asking: Asking) -> Rendered:
    given = text_in(asking.body, "key")
    terms = Terms(asking.body, _OWN)
    key = await _changeable(asking, given)
    changed = await _changed(asking, key, terms)
    if changed:
        key = await asking.ledger.directory.alter_key(key.id, asking.actor, "update", changed)
        await asking.take_effect()
    (info,) = await infos(asking.ledger, [key])
    return render.plain(200, {"key": given, **info, **_warned(terms)})


async def _changed(asking: Asking, key: Key, terms: Terms) -> Any:
    """Return what makes the new members of a key of what it is; `None` if nothing is to change."""
    fixed: dict[str, Any] = {}
    if (name := text_in(asking.body, "key_alias")) and name != key.name:
        unconfigured(asking.ledger, as_name(name, "key"))
        fixed["name"] = name
    if terms.team is not None:
        fixed["team"] = await found_team(asking.ledger, terms.team)
    if "duration" in asking.body:
        fixed["expires"] = _end(asking, text_in(asking.body, "duration"))
    if not fixed and not terms.of_key(key):
        return None
    return lambda present: terms.of_key(present) | fixed


async def _info(asking: Asking) -> Rendered:
    given = asking.query.get("key", "")
    (info,) = await infos(asking.ledger, [await _asked_for(asking, given)])
    token = info.pop("token")
    return render.plain(200, {"key": given or token, "info": info})


async def _asked_for(asking: Asking, given: str) -> Key:
    """Return the key that is asked for; who may not manage keys may ask for its own.

    Raises:
        InvalidRequestError: None is named.
        ForbiddenError: It is another's, or nobody's, which is not told either.
        UnknownSubjectError: There is none.
    """
    own = asking.caller.sender.account
    if not given:
        if not isinstance(own, Key):
            raise InvalidRequestError("key: required, and not given")
        return own
    if asking.caller.is_admin:
        return await found_key(asking.ledger, given)
    try:
        found = await found_key(asking.ledger, given)
    except UnknownSubjectError:
        found = None
    if found is None or not isinstance(own, Key) or found.id != own.id:
        raise ForbiddenError("This takes the master key: a key may ask for itself only")
    return found


async def _list(asking: Asking) -> Rendered:
    page, size = asking.number("page", 1, 2**31), asking.number("size", 10, _MOST_PER_PAGE)
    if not page or not size:
        raise InvalidRequestError("page and size: must be 1 or more")
    some, total = await _listed(asking, size, (page - 1) * size)
    if asking.query.get("return_full_object", "").lower() == "true":
        shown: list[Any] = await infos(asking.ledger, some)
    else:
        known = await tokens(asking.ledger, some)
        shown = [known[key.id] for key in some]
    told = {"total_count": total, "current_page": page, "total_pages": -(-total // size)}
    return render.plain(200, {"keys": shown, **told})


async def _listed(asking: Asking, limit: int, offset: int) -> tuple[list[Key], int]:
    query = {name: value or None for name, value in asking.query.items()}
    wanted = Wanted(query.get("team_id"), query.get("user_id"), query.get("key_alias"))
    token = query.get("key_hash")
    if token is None:
        return await listed(asking.ledger, wanted, limit, offset)
    try:
        key = await found_key(asking.ledger, token)
    except UnknownSubjectError:
        return [], 0
    return ([key] if wanted.holds_for(key) and not offset else []), int(wanted.holds_for(key))


async def _delete(asking: Asking) -> Rendered:
    given = names_in(asking.body, "keys", "key_aliases")
    found = [await _changeable(asking, each) for each in given]
    for key in {key.id: key for key in found}.values():
        await asking.ledger.directory.delete_key(key.id, asking.actor)
    await asking.take_effect()
    return render.plain(200, {"deleted_keys": given})


async def _block(asking: Asking) -> Rendered:
    return await _set_blocked(asking, "block", blocked=True)


async def _unblock(asking: Asking) -> Rendered:
    return await _set_blocked(asking, "unblock", blocked=False)


async def _set_blocked(asking: Asking, action: str, *, blocked: bool) -> Rendered:
    key = await _changeable(asking, text_in(asking.body, "key"))
    directory = asking.ledger.directory
    key = await directory.update_key(key.id, asking.actor, action, blocked=blocked)
    await asking.take_effect()
    return render.plain(200, (await infos(asking.ledger, [key]))[0])


async def _changeable(asking: Asking, given: str) -> Key:
    """Return a key of the database.

    Raises:
        InvalidRequestError: None is named.
        UnknownSubjectError: There is none.
        ConflictError: It stands in the configuration.
    """
    if not given:
        raise InvalidRequestError("key: required, and not given")
    key = await found_key(asking.ledger, given)
    unconfigured(asking.ledger, key.id)
    return key


async def _drawn(asking: Asking, key: str, secret: Secret, terms: Terms) -> Rendered:
    (info,) = await infos(asking.ledger, [await asking.ledger.directory.key(key)])
    told = {"key": secret.key, "token_id": info["token"], **info, **_warned(terms)}
    return render.plain(200, told)


def _warned(terms: Terms) -> Mapping[str, Any]:
    return {"warnings": terms.warnings} if terms.warnings else {}


def _chosen(asking: Asking, member: str) -> Secret | None:
    given = text_in(asking.body, member)
    if not given:
        return None
    secret = as_secret(given)
    unclaimed(asking, digest_of(given))
    return secret


def _end(asking: Asking, given: str) -> datetime | None:
    if given in _NEVER:
        return None
    return asking.ledger.directory.now() + _length("duration", given)


def _length(member: str, given: str) -> timedelta:
    if given == "0s":
        return timedelta()
    try:
        return duration(given)
    except ValueError as error:
        raise InvalidRequestError(f"{member}: {error}") from None


ROUTES: Final = (
    route("POST", "/key/generate", _generate),
    route("POST", "/key/service-account/generate", _generate_for_service),
    route("GET", "/key/info", _info, for_all=True),
    route("GET", "/key/list", _list),
    route("POST", "/key/update", _update),
    route("POST", "/key/delete", _delete),
    route("POST", "/key/block", _block),
    route("POST", "/key/unblock", _unblock),
    route("POST", "/key/regenerate", _regenerate),
    route("POST", "/key/(?P<key>[^/]+)/regenerate", _regenerate),
)
