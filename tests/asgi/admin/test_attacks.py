"""Whatever is sent to a page of the management, it answers, and never with a fault of its own."""

from __future__ import annotations

import json
import random
import re

import pytest

from llmroute.asgi.admin import _ROUTES
from llmroute.asgi.admin.keys import NewKey
from llmroute.asgi.admin.litellm_terms import _HARMLESS, _REFUSED, _Request, _Window
from llmroute.config.accounts import BudgetSettings, LimitSettings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("url", ["sqlite://"], ids=["memory"]),
]

NAMES = sorted(
    {
        *("key", "keys", "key_aliases", "key_alias", "duration", "new_key", "grace_period"),
        *("team_alias", "team_id", "team_ids", "overlap", "subject", "reason"),
        *NewKey.model_fields,
        *_Request.model_fields,
        *_Window.model_fields,
        *BudgetSettings.model_fields,
        *LimitSettings.model_fields,
        *random.Random(1).sample(sorted({*_HARMLESS, *_REFUSED}), 10),
    }
)
VALUES = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e308, 1e-308),
    *("", " ", "a", "x" * 10_000, "\0", "\u202e", "🔑", "' OR 1=1; --", "%s{0}", "\\", "\n"),
    *("sk-aaaaaaaaaaaaaaaaaaaa", "0" * 64, "30d", "-1", "9" * 20 + "d", "day", "2027-01-31"),
    *("9999-12-31T23:59:59-23:59", "sonnet", "*", "a" * 64, "nan", "1e999", "key_" + "0" * 20),
    *([], {}, [[]], [None], ["a", 1], {"a": {}}, {"": None}, [{"amount": 1}], {"a": "\0"}),
    *({"amount": 1, "period": "day"}, [{"max_budget": 1, "budget_duration": "1d"}], ["x"] * 300),
)


def members(draw: random.Random, depth: int = 2):
    """Return a body with names that are known, and anything for their values."""

    def value():
        if depth and draw.random() < 0.2:
            return members(draw, depth - 1)
        return draw.choice(VALUES)

    return {draw.choice(NAMES): value() for _ in range(draw.randrange(5))}


def path_of(pattern: re.Pattern[str], draw: random.Random) -> str:
    """Return a path that a route takes, or nearly."""
    part = draw.choice(["a", "%00", "%2f", "x" * 3000, "%F0%9F%94%91", "0" * 64, "'", "%ff", "b"])
    path = re.sub(r"\(\?P<\w+>[^)]*\)", lambda _: part, pattern.pattern)
    path = re.sub(r"\(\?:([^)]*)\)\??", lambda match: match[1].split("|")[-1], path)
    return path.replace("/?", "").replace(".+", part).replace(r"\w+", "a")


@pytest.mark.parametrize("seed", range(4))
async def test_any_body_and_query_is_answered(proxy, seed) -> None:
    draw = random.Random(seed)
    await proxy.ask("POST", "/llmroute/teams", {"name": "b"})
    seen = set()
    async with proxy.client() as client:
        for _ in range(300):
            route = draw.choice(_ROUTES)
            query = {
                name: draw.choice([str(value) for value in VALUES])
                for name in draw.sample(
                    [*NAMES, "limit", "offset", "page", "size", "start_date"], 2
                )
            }
            body = json.dumps(members(draw)).encode()
            response = await client.request(
                route.method,
                path_of(route.path, draw),
                params=query if draw.random() < 0.5 else None,
                content=None if route.method == "GET" else body,
                headers={"content-type": "application/json"},
            )
            said = (route.method, route.path.pattern, query, body, response.text)
            assert response.status_code in (200, 400, 401, 403, 404, 405, 409, 413), said
            seen.add(response.status_code)

    assert {200, 400, 404} <= seen


async def test_what_is_made_of_anything_can_be_shown(proxy) -> None:
    draw = random.Random(7)
    made = 0
    async with proxy.client() as client:
        for number in range(300):
            single = {draw.choice(sorted(NewKey.model_fields)): draw.choice(VALUES)}
            body = {**single, "name": f"k{number}"}
            response = await client.post(
                "/llmroute/keys",
                content=json.dumps(body),
                headers={"content-type": "application/json"},
            )
            made += response.status_code == 200
        listed = await client.get("/llmroute/keys")
        full = await client.get("/key/list?return_full_object=true&size=1000")
        trail = await client.get("/llmroute/audit?limit=1000")

    assert made > 30
    assert [made] * 3 == [
        listed.json()["total"],
        full.json()["total_count"],
        sum(each["kind"] == "key" for each in trail.json()["changes"]),
    ]
