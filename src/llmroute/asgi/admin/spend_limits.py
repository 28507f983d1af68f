"""`/v1/organizations/spend_limits`: limits of people, in the shape of Anthropic's Admin API.

A limit of an `organization` or of an `rbac_group`, which is a team here, is what each person may
spend; what all of a team may spend is its `pooled_budget`.  Amounts are whole cents in a string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select

from llmroute.accounts.model import Period, window_of
from llmroute.accounts.overage import GROUPS
from llmroute.accounts.people import EACH, MEMBER, PAUSED, PERSON, POOL, UNLIMITED, Cap
from llmroute.accounts.trail import Change, change_of
from llmroute.asgi import render
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.admin.shown import shown_time
from llmroute.asgi.render import Rendered
from llmroute.database.schema import audit, days
from llmroute.errors import InvalidRequestError, UnknownSubjectError

__all__ = ["ROUTES"]

_PATH: Final = "/v1/organizations/spend_limits"
_MICROS_OF_A_CENT: Final = 10_000
_PERIODS: Final[dict[str, Period]] = {group: period for period, group in GROUPS.items()}
_SCOPES: Final = {"user": PERSON, "rbac_group": MEMBER, "organization": EACH}
_NAMES: Final = {PERSON: "user", MEMBER: "rbac_group", EACH: "organization"}
_MEMBERS: Final = {"user": "user_id", "rbac_group": "rbac_group_id"}
_CENTS: Final = re.compile(r"[0-9]{1,12}")
_LONGEST: Final = 200  # characters of a name
_PAGE: Final = 20
_MOST: Final = 1000
_EPOCH: Final = date(1970, 1, 1).toordinal()


async def _list(asking: Asking) -> Rendered:
    wanted = asking.query.get("scope_type")
    if wanted is not None and wanted not in _SCOPES:
        raise InvalidRequestError(f"scope_type: must be one of {', '.join(_SCOPES)}")
    limit = _limit(asking, _PAGE)
    caps = await asking.ledger.budgets.people.caps()
    listed = [each for each in _limits(caps) if wanted in (None, each["scope"]["type"])]
    after, before = asking.query.get("after_id"), asking.query.get("before_id")
    if after and before:
        raise InvalidRequestError("after_id and before_id: only one of them at a time")
    ids = [each["id"] for each in listed]
    for name, id_ in (("after_id", after), ("before_id", before)):
        if id_ and id_ not in ids:
            raise InvalidRequestError(f"{name}: there is no spend limit {id_!r}")
    if before:
        rest = listed[: ids.index(before)]
        page = rest[-limit:]
    else:
        rest = listed[ids.index(after) + 1 :] if after else listed
        page = rest[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
    answer = {"data": page, "has_more": len(rest) > len(page), "first_id": None, "last_id": None}
    return render.plain(200, answer | ends)


async def _one(asking: Asking) -> Rendered:
    return render.plain(200, await _found(asking, asking.names["id"]))


async def _found(asking: Asking, id_: str) -> dict[str, Any]:
    for each in _limits(await asking.ledger.budgets.people.caps()):
        if each["id"] == id_:
            return each
    raise UnknownSubjectError(f"there is no spend limit {id_!r}")


async def _put(asking: Asking) -> Rendered:
    body = asking.body
    if unknown := body.keys() - {"scope", "amount", "period", "currency", "pooled_budget"}:
        raise InvalidRequestError(f"{min(unknown)}: unknown")
    kind, subject = _scope(body.get("scope"))
    period = _period(body.get("period", "monthly"))
    if body.get("currency", "USD") != "USD":
        raise InvalidRequestError("currency: must be USD")
    pooled = body.get("pooled_budget")
    if "amount" not in body and pooled is None:
        raise InvalidRequestError("amount: required")
    put: list[tuple[str, str, Period, int]] = []
    if "amount" in body:
        put.append((kind, subject, period, _amount(body["amount"], "amount")))
    drop: list[tuple[str, str, Period]] = []
    if pooled is not None:
        if kind != MEMBER or period != "month":
            raise InvalidRequestError("pooled_budget: only an rbac_group has one, for a month")
        known = {(cap.kind, cap.subject, cap.period) for cap in await _caps(asking)}
        if "amount" not in body and (kind, subject, period) not in known:
            raise InvalidRequestError("amount: required, for there is no such limit yet")
        pools, drop = await _pool(asking, subject, pooled)
        put += pools
    caps = await asking.ledger.budgets.people.put(put, drop, asking.actor)
    await _take_effect(asking)
    made = next(
        cap for cap in caps if (cap.kind, cap.subject, cap.period) == (kind, subject, period)
    )
    return render.plain(200, await _found(asking, made.id))


async def _pool(
    asking: Asking, team: str, pooled: Any
) -> tuple[list[tuple[str, str, Period, int]], list[tuple[str, str, Period]]]:
    """Return which pool a team is to have, and which not."""
    if not isinstance(pooled, dict) or pooled.keys() - {"amount", "paused", "currency"}:
        raise InvalidRequestError("pooled_budget: must have amount, paused and nothing else")
    before = next((c for c in await _caps(asking) if c.subject == team and c.kind in _POOLS), None)
    amount = before.amount if before else UNLIMITED
    if "amount" in pooled:
        amount = _amount(pooled["amount"], "pooled_budget.amount")
    paused = pooled.get("paused")
    if paused not in (True, False, None):
        raise InvalidRequestError("pooled_budget.paused: must be true or false")
    if paused is None:
        paused = before.kind == PAUSED if before else amount == UNLIMITED
    if amount == UNLIMITED:
        if not paused:
            raise InvalidRequestError("pooled_budget.amount: required, unless it is paused")
        return [], [(POOL, team, "month"), (PAUSED, team, "month")]
    kind, other = (PAUSED, POOL) if paused else (POOL, PAUSED)
    return [(kind, team, "month", amount)], [(other, team, "month")]


_POOLS: Final = (POOL, PAUSED)


async def _delete(asking: Asking) -> Rendered:
    people, id_ = asking.ledger.budgets.people, asking.names["id"]
    limit = await _found(asking, id_)
    await people.drop(id_, asking.actor)
    team = limit["scope"].get("rbac_group_id")
    if team is not None and limit["period"] == "monthly":
        await people.put([], [(kind, team, "month") for kind in _POOLS], asking.actor)
    await _take_effect(asking)
    return render.plain(200, {"type": "spend_limit_deleted", "id": id_})


async def _effective(asking: Asking) -> Rendered:
    """Answer what holds for each person who has a key, a limit, or has used anything."""
    limit = _limit(asking, _PAGE)
    ledger = asking.ledger
    now = ledger.directory.now()
    periods = [_period(each) for each in _listed(asking, "period[]")] or list(_PERIODS.values())
    teams: dict[str, set[str]] = {}
    for key in [*ledger.keyring.configured.values(), *await ledger.directory.keys()]:
        if key.owner:
            teams.setdefault(key.owner, set()).update([key.team.name] if key.team else [])
    for cap in await _caps(asking):
        if cap.kind == PERSON:
            teams.setdefault(cap.subject, set())
    first = {period: datetime.fromtimestamp(window_of(period, now)[0], UTC) for period in periods}
    spent = await ledger.database.read(
        lambda it: {period: _spent_since(it, day.date()) for period, day in first.items()}
    )
    people = {*teams, *(owner for by in spent.values() for owner in by if owner)}
    wanted = set(_listed(asking, "user_ids[]"))
    text = asking.query.get("q", "").lower()
    chosen = sorted(
        each for each in people if (not wanted or each in wanted) and text in each.lower()
    )
    if (page := asking.query.get("page")) is not None:
        chosen = [each for each in chosen if each > page]
    if asking.query.get("sort") == "spend_desc":
        if len(periods) != 1:
            raise InvalidRequestError("sort: spend_desc takes exactly one period[]")
        chosen.sort(key=lambda each: -spent[periods[0]].get(each, 0))
    data = []
    for owner in chosen[:limit]:
        groups = sorted(teams.get(owner, ()))
        for period in periods:
            held = ledger.budgets.people.cap(owner, groups, period)
            data.append(_held(owner, groups, period, held, spent[period].get(owner, 0)))
    more = chosen[limit - 1] if len(chosen) > limit and "sort" not in asking.query else None
    return render.plain(200, {"data": data, "next_page": more})


def _held(
    owner: str, groups: Sequence[str], period: Period, cap: Cap | None, spent: int
) -> dict[str, Any]:
    named = {"name": None, "email_address": owner if "@" in owner else None, "deleted": False}
    return {
        "scope": {"type": "user", "user_id": owner},
        "groups": groups,
        "actor": {"type": "user_actor", "user_id": owner, **named},
        "amount": None if cap is None else _cents(cap.amount),
        "currency": "USD",
        "period": GROUPS[period],
        "source": None if cap is None else _scope_of(cap),
        "spend_limit_id": None if cap is None else cap.id,
        "period_to_date_spend": _cents(spent),
    }


def _spent_since(connection: Connection, day: date) -> Mapping[str, int]:
    asked = select(days.c.owner, func.sum(days.c.cost)).where(
        days.c.day >= day.toordinal() - _EPOCH
    )
    return {
        owner: int(cost or 0) for owner, cost in connection.execute(asked.group_by(days.c.owner))
    }


async def _audit(asking: Asking) -> Rendered:
    limit = _limit(asking, 100)
    after = asking.query.get("after_id")
    trail = await asking.ledger.database.read(lambda it: _trail(it, limit + 1, after))
    data = [
        {
            "type": "audit_event",
            "id": id_,
            "created_at": shown_time(change.at),
            "actor": change.actor,
            "action": f"spend_limit.{change.action}",
            "target_id": change.subject,
            "before": change.before,
            "after": change.after,
            "reason": None,
        }
        for id_, change in trail[:limit]
    ]
    return render.plain(200, {"data": data, "has_more": len(trail) > limit})


def _trail(connection: Connection, limit: int, after: str | None) -> list[tuple[str, Change]]:
    asked = select(audit).where(audit.c.kind == "budget")
    if after is not None:
        row = connection.execute(select(audit.c.at).where(audit.c.id == after)).first()
        if row is None:
            raise InvalidRequestError("after_id: there is no such event")
        older = (audit.c.at < row.at) | ((audit.c.at == row.at) & (audit.c.id < after))
        asked = asked.where(older)
    rows = connection.execute(asked.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit))
    return [(row.id, change_of(row)) for row in rows]


async def _caps(asking: Asking) -> list[Cap]:
    return await asking.ledger.budgets.people.caps()


async def _take_effect(asking: Asking) -> None:
    await asking.take_effect()
    await asking.ledger.budgets.people.refresh()


def _limits(caps: Sequence[Cap]) -> list[dict[str, Any]]:
    pools = {cap.subject: cap for cap in caps if cap.kind in _POOLS}
    return [_limit_of(cap, pools) for cap in caps if cap.kind in _NAMES]


def _limit_of(cap: Cap, pools: Mapping[str, Cap]) -> dict[str, Any]:
    limit: dict[str, Any] = {
        "type": "spend_limit",
        "id": cap.id,
        "created_at": shown_time(cap.created),
        "updated_at": shown_time(cap.created),
        "scope": _scope_of(cap),
        "amount": _cents(cap.amount),
        "currency": "USD",
        "period": GROUPS[cap.period],
    }
    if cap.kind == MEMBER and cap.period == "month":
        pool = pools.get(cap.subject)
        limit["pooled_budget"] = pool and {
            "amount": _cents(pool.amount),
            "paused": pool.kind == PAUSED,
            "currency": "USD",
        }
    return limit


def _scope_of(cap: Cap) -> dict[str, str]:
    name = _NAMES[cap.kind]
    return {"type": name} | ({_MEMBERS[name]: cap.subject} if name in _MEMBERS else {})


def _scope(scope: Any) -> tuple[str, str]:
    """Return whom a limit is for.

    Raises:
        InvalidRequestError: Nobody.
    """
    name = scope.get("type") if isinstance(scope, dict) else None
    if not isinstance(name, str) or name not in _SCOPES:
        raise InvalidRequestError(f"scope.type: must be one of {', '.join(_SCOPES)}")
    if (member := _MEMBERS.get(name)) is None:
        return _SCOPES[name], ""
    subject = scope.get(member)
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST:
        raise InvalidRequestError(f"scope.{member}: must be a name of up to {_LONGEST} characters")
    return _SCOPES[name], subject


def _period(name: Any) -> Period:
    if not isinstance(name, str) or name not in _PERIODS:
        raise InvalidRequestError(f"period: must be one of {', '.join(_PERIODS)}")
    return _PERIODS[name]


def _amount(given: Any, name: str) -> int:
    if given is None:
        return UNLIMITED
    if not isinstance(given, str) or not _CENTS.fullmatch(given):
        raise InvalidRequestError(f"{name}: must be a whole number of cents, in a string; or null")
    return int(given) * _MICROS_OF_A_CENT


def _cents(micros: int) -> str | None:
    return None if micros == UNLIMITED else str(micros // _MICROS_OF_A_CENT)


def _limit(asking: Asking, otherwise: int) -> int:
    return max(1, asking.number("limit", otherwise, _MOST))


def _listed(asking: Asking, name: str) -> list[str]:
    return [each for each in asking.query.get(name, "").split(",") if each]


ROUTES: Final = (
    Route("GET", re.compile(_PATH), _list),
    Route("POST", re.compile(_PATH), _put),
    Route("GET", re.compile(rf"{_PATH}/effective"), _effective),
    Route("GET", re.compile(rf"{_PATH}/audit"), _audit),
    Route("GET", re.compile(rf"{_PATH}/(?P<id>[^/]+)"), _one),
    Route("DELETE", re.compile(rf"{_PATH}/(?P<id>[^/]+)"), _delete),
)
