"""Budgets over HTTP: how they stand, spend limits, and what Claude Code asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from typing import Any

import anyio.to_thread
import pytest

from llmroute.database.schema import days
from llmroute.testing import FakeUpstream, error, text

pytestmark = pytest.mark.anyio

LIMITS = "/v1/organizations/spend_limits"
CALL = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]}
UPSTREAMS = {"anthropic-ratelimit-requests-limit": "4000", "request-id": "req_1"}


@pytest.fixture
def upstream() -> Any:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
async def paid(managed: Any, upstream: Any) -> AsyncIterator[Any]:
    """A proxy whose upstream answers, at 3 dollars for a million tokens of a prompt."""
    deployment = {
        "provider": "anthropic",
        "model": "claude-sonnet-4-5-20250929",
        "api_key": "sk-ant-upstream-key",
        "base_url": upstream.url,
    }
    proxy = await managed(deployments={"sonnet-direct": deployment})
    yield proxy
    await proxy.proxy._served.router.aclose()


async def made(proxy: Any, amount: float, **members: Any) -> str:
    budget = {"amount": amount, "period": "day", "message": "Ask Ada."}
    key = {"name": "ci", "owner": "bob@x.com", "budgets": [budget]} | members
    return (await proxy.ask("POST", "/llmroute/keys", key))["key"]


async def work(proxy: Any) -> None:
    await anyio.to_thread.run_sync(proxy.ledger.work)


async def test_a_call_is_warned_refused_and_let_through_once_the_budget_is_raised(
    paid: Any, upstream: Any
) -> None:
    key = await made(paid, 0.38)
    answer = text("Hi.", usage={"input_tokens": 100_000, "output_tokens": 0})
    full = replace(answer, headers=tuple(UPSTREAMS.items()))
    upstream.answer_with(lambda _: full)
    async with paid.client(key) as client:
        first = await client.post("/v1/messages", json=CALL)
        second = await client.post("/v1/messages", json=CALL)
        third = await client.post("/v1/messages", json=CALL)
        raised = {"budgets": [{"amount": 9.0, "period": "day"}]}
        await paid.ask("PATCH", "/llmroute/keys/ci", raised)
        fourth = await client.post("/v1/messages", json=CALL)

    assert [200, 200, 429, 200] == [each.status_code for each in (first, second, third, fourth)]
    prefix = "anthropic-ratelimit-unified-"
    assert "allowed" == first.headers[prefix + "status"]
    assert "req_1" == first.headers["request-id"]
    assert "anthropic-ratelimit-requests-limit" not in first.headers
    assert "allowed_warning" == second.headers[prefix + "status"]
    assert "0.75" == second.headers[prefix + "overage-surpassed-threshold"]
    assert "false" == third.headers["x-should-retry"]
    refusal = third.json()["error"]
    assert "billing_error" == refusal["type"]
    assert refusal["message"].startswith("The budget of the key 'ci' is spent: $0.60 of $0.38 per")
    assert refusal["message"].endswith("Ask Ada.")
    assert "allowed" == fourth.headers[prefix + "status"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/messages", CALL, id="Messages"),
        pytest.param("/v1/messages", CALL | {"stream": True}, id="a stream"),
        pytest.param("/v1/chat/completions", CALL, id="Chat Completions"),
        pytest.param("/v1/responses", {"model": "sonnet", "input": "Hi."}, id="Responses"),
        pytest.param(
            "/model/sonnet/invoke",
            {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []},
            id="Bedrock",
        ),
        pytest.param(
            "/projects/p/locations/l/publishers/anthropic/models/sonnet:rawPredict",
            {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": []},
            id="Vertex AI",
        ),
    ],
)
async def test_a_spent_budget_is_final_at_every_door(
    paid: Any, upstream: Any, path: str, body: dict[str, Any]
) -> None:
    key = await made(paid, 0.1)
    upstream.answer(text("Hi.", usage={"input_tokens": 100_000, "output_tokens": 0}))
    async with paid.client(key) as client:
        await client.post("/v1/messages", json=CALL)
        answer = await client.post(path, json=body)

    assert (429, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert 0 < int(answer.headers["retry-after"]) <= 86_400
    assert "The budget of the key 'ci' is spent" in answer.text


async def test_an_upstreams_limits_are_not_shown_in_its_errors(paid: Any, upstream: Any) -> None:
    key = await made(paid, 0.38)
    upstream.answer(error(400, "invalid_request_error", "No.", headers=tuple(UPSTREAMS.items())))
    async with paid.client(key) as client:
        answer = await client.post("/v1/messages", json=CALL)

    assert 400 == answer.status_code
    assert "req_1" == answer.headers["request-id"]
    assert not [name for name in answer.headers if name.startswith("anthropic-ratelimit")]


async def test_budgets_are_listed_with_what_is_left(paid: Any, upstream: Any) -> None:
    key = await made(paid, 1.0)
    upstream.answer(text("Hi.", usage={"input_tokens": 100_000, "output_tokens": 0}))
    async with paid.client(key) as client:
        await client.post("/v1/messages", json=CALL)

    listed = (await paid.ask("GET", "/llmroute/budgets"))["budgets"]

    assert [("key", "ci", "day", 1.0, 0.3, 0.7, "2027-01-16T00:00:00Z", "Ask Ada.")] == [
        tuple(
            each[name]
            for name in ("of", "name", "period", "amount", "spent", "left", "resets", "message")
        )
        for each in listed
    ]
    await work(paid)
    listed = (await paid.ask("GET", "/llmroute/budgets"))["budgets"]
    assert 0 < listed[0]["reserved"] < listed[0]["left"]  # for the calls to come
    assert listed == (await paid.ask("GET", "/llmroute/budgets/me", key=key))["budgets"]
    assert 403 == (await paid.refused("GET", "/llmroute/budgets", key=key))[0]


async def test_claude_code_is_told_of_the_budget_it_asks_for(paid: Any, upstream: Any) -> None:
    key = await made(paid, 0.38)
    upstream.answer(text("Hi.", usage={"input_tokens": 100_000, "output_tokens": 0}))
    async with paid.client(key) as client:
        await client.post("/v1/messages", json=CALL)

    assert {
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": 38,
            "used_credits": 30,
            "utilization": 79,
            "currency": "USD",
        },
        "limits": [
            {
                "kind": "spend",
                "group": "daily",
                "percent": 79,
                "resets_at": "2027-01-16T00:00:00Z",
                "severity": "warning",
                "is_active": True,
            }
        ],
    } == await paid.ask("GET", "/api/oauth/usage", key=key)


async def test_claude_code_is_told_what_was_spent_where_there_is_no_budget(proxy: Any) -> None:
    key = (await proxy.ask("POST", "/llmroute/keys", {"name": "free"}))["key"]
    now = proxy.ledger.directory.now()
    nobody = dict.fromkeys(("owner", "team", "alias", "deployment", "model"), "")
    today = now.toordinal() - date(1970, 1, 1).toordinal()
    row = days.insert().values(day=today, key="free", cost=300_000, **nobody)
    await proxy.ledger.database.write(lambda it: it.execute(row) and None)

    told = await proxy.ask("GET", "/api/oauth/usage?skip_spend=1", key=key)
    used = told["extra_usage"]
    assert [] == told["limits"]
    assert {"limit": None, "utilization": None, "used_credits": 30} == used["daily"]
    assert (None, 30) == (used["monthly_limit"], used["used_credits"])
    assert 30 == used["weekly"]["used_credits"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/batches",
        "/v1/messages/batches/",
        "/v1//messages/batches",
        "/v1/messages/%62atches",
        "/v1/complete",
        "/v1/sessions",
        "/v1/agents/a/run",
        "/v1/files/%2e%2e/complete",
        "/v1/messages/batches/b/cancel/x",
    ],
)
async def test_what_is_counted_nowhere_is_refused_to_who_has_a_budget(paid: Any, path: str) -> None:
    key = await made(paid, 1.0)

    for method in ("POST", "PUT", "PATCH"):
        status, words = await paid.refused(method, f"/anthropic{path}", {}, key=key)
        if "%2e" not in path:
            assert (403, True) == (status, "would not be counted" in words)
        assert status in (400, 403)


async def test_spend_limits_are_made_changed_listed_and_deleted(proxy: Any) -> None:
    ada = {"type": "user", "user_id": "ada@x.com"}
    one = await proxy.ask("POST", LIMITS, {"scope": ada, "amount": "5000", "period": "daily"})
    assert {
        "type": "spend_limit",
        "scope": ada,
        "amount": "5000",
        "currency": "USD",
        "period": "daily",
    }.items() <= one.items()
    team = {"type": "rbac_group", "rbac_group_id": "web"}
    two = await proxy.ask(
        "POST",
        LIMITS,
        {"scope": team, "amount": "100", "pooled_budget": {"amount": "900", "paused": False}},
    )
    assert {"amount": "900", "paused": False, "currency": "USD"} == two["pooled_budget"]
    three = await proxy.ask("POST", LIMITS, {"scope": {"type": "organization"}, "amount": None})

    listed = await proxy.ask("GET", LIMITS)
    assert [one["id"], two["id"], three["id"]] == sorted(
        (each["id"] for each in listed["data"]), key=[one["id"], two["id"], three["id"]].index
    )
    assert [two] == (await proxy.ask("GET", f"{LIMITS}?scope_type=rbac_group"))["data"]
    page = await proxy.ask("GET", f"{LIMITS}?limit=2")
    assert (True, 2) == (page["has_more"], len(page["data"]))
    rest = await proxy.ask("GET", f"{LIMITS}?limit=2&after_id={page['last_id']}")
    assert (False, 1) == (rest["has_more"], len(rest["data"]))

    changed = await proxy.ask("POST", LIMITS, {"scope": ada, "amount": "7000", "period": "daily"})
    assert (one["id"], "7000") == (changed["id"], changed["amount"])
    gone = await proxy.ask("DELETE", f"{LIMITS}/{one['id']}")
    assert {"type": "spend_limit_deleted", "id": one["id"]} == gone
    assert 404 == (await proxy.refused("GET", f"{LIMITS}/{one['id']}"))[0]

    trail = await proxy.ask("GET", f"{LIMITS}/audit")
    actions = [each["action"] for each in trail["data"] if each["target_id"] == one["id"]]
    assert sorted(["spend_limit.create", "spend_limit.update", "spend_limit.delete"]) == sorted(
        actions
    )
    assert {"master"} == {each["actor"] for each in trail["data"]}


async def test_what_holds_for_a_person_is_the_nearest_limit(proxy: Any) -> None:
    await proxy.ask("POST", "/llmroute/teams", {"name": "web"})
    for name, team in (("ada@x.com", "web"), ("bob@x.com", None)):
        key = {"name": name[:3], "owner": name} | ({"team": team} if team else {})
        await proxy.ask("POST", "/llmroute/keys", key)
    scopes = [{"type": "organization"}, {"type": "rbac_group", "rbac_group_id": "web"}]
    for scope, amount in zip(scopes, ("100", "200"), strict=True):
        await proxy.ask("POST", LIMITS, {"scope": scope, "amount": amount})

    found = await proxy.ask("GET", f"{LIMITS}/effective?period[]=monthly&period[]=daily")

    assert [
        ("ada@x.com", "monthly", "200", scopes[1]),
        ("ada@x.com", "daily", None, None),
        ("bob@x.com", "monthly", "100", scopes[0]),
        ("bob@x.com", "daily", None, None),
    ] == [
        (each["scope"]["user_id"], each["period"], each["amount"], each["source"])
        for each in found["data"]
    ]
    page = await proxy.ask("GET", f"{LIMITS}/effective?period[]=monthly&limit=1")
    assert 1 == len(page["data"])
    last = await proxy.ask("GET", f"{LIMITS}/effective?period[]=monthly&page={page['next_page']}")
    assert (["bob@x.com"], None) == (
        [each["scope"]["user_id"] for each in last["data"]],
        last["next_page"],
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({}, "scope.type", id="nothing"),
        pytest.param({"scope": {"type": "user"}, "amount": "1"}, "scope.user_id", id="nobody"),
        pytest.param({"scope": {"type": "organization"}}, "amount: required", id="no amount"),
        pytest.param(
            {"scope": {"type": "organization"}, "amount": 5}, "in a string", id="a number"
        ),
        pytest.param(
            {"scope": {"type": "organization"}, "amount": "-1"}, "whole number", id="negative"
        ),
        pytest.param(
            {"scope": {"type": "organization"}, "amount": "9" * 40}, "whole number", id="huge"
        ),
        pytest.param(
            {"scope": {"type": "organization"}, "amount": "1", "period": "yearly"},
            "period",
            id="a year",
        ),
        pytest.param(
            {"scope": {"type": "organization"}, "amount": "1", "pooled_budget": {"amount": "1"}},
            "only an rbac_group",
            id="a pool of all",
        ),
        pytest.param({"scope": {"type": ["user"]}, "amount": "1"}, "scope.type", id="a list"),
    ],
)
async def test_what_is_no_limit_is_refused_with_words(
    proxy: Any, body: dict[str, Any], words: str
) -> None:
    status, message = await proxy.refused("POST", LIMITS, body)
    assert (400, True) == (status, words in message)


async def test_limits_are_for_the_master_key(paid: Any) -> None:
    key = await made(paid, 1.0)
    for method, path in (
        ("GET", LIMITS),
        ("POST", LIMITS),
        ("GET", f"{LIMITS}/effective"),
        ("GET", f"{LIMITS}/audit"),
        ("DELETE", f"{LIMITS}/x"),
    ):
        assert 403 == (await paid.refused(method, path, key=key))[0]
