"""LiteLLM's paths: its scripts find what they know."""

from __future__ import annotations

import hashlib

import pytest
from anyio import to_thread

from llmroute.database.schema import spend
from llmroute.messages.usage import Usage
from llmroute.observe import Record

pytestmark = pytest.mark.anyio


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


REQUEST = {
    "key_alias": "ci",
    "models": ["sonnet"],
    "duration": "30d",
    "max_budget": 10.5,
    "budget_duration": "30d",
    "user_id": "ada@example.com",
    "metadata": {"cost centre": 7},
    "tags": ["nightly"],
    "rpm_limit": 60,
    "tpm_limit": 1000,
    "max_parallel_requests": 2,
    "model_max_budget": {"sonnet": {"budget_limit": 2, "time_period": "1d"}},
    "aliases": {},
    "blocked": False,
    "soft_budget": 5,
    "send_invite_email": True,
    "guardrails": [],
}


async def test_a_key_is_generated_and_told_of(proxy) -> None:
    made = await proxy.ask("POST", "/key/generate", REQUEST)
    key = made["key"]
    by_key = await proxy.ask("GET", "/key/info", params={"key": key})
    by_token = await proxy.ask("GET", "/key/info", params={"key": made["token"]})
    by_alias = await proxy.ask("GET", "/key/info", params={"key": "ci"})
    of_itself = await proxy.ask("GET", "/key/info", key=key)

    assert await proxy.knows(key)
    expected = {
        "key_name": f"sk-...{key[-4:]}",
        "key_alias": "ci",
        "user_id": "ada@example.com",
        "team_id": None,
        "expires": "2027-02-14T08:00:00Z",
        "spend": 0.0,
        "models": ["sonnet"],
        "max_budget": 10.5,
        "budget_duration": "1mo",
        "budget_reset_at": "2027-02-01T00:00:00Z",
        "budget_limits": [
            {
                "max_budget": 10.5,
                "budget_duration": "1mo",
                "reset_at": "2027-02-01T00:00:00Z",
                "spend": 0.0,
            }
        ],
        "model_max_budget": {"sonnet": {"budget_limit": 2.0, "time_period": "1d"}},
        "rpm_limit": 60,
        "tpm_limit": 1000,
        "max_parallel_requests": 2,
        "blocked": False,
        "tags": ["nightly"],
        "metadata": {"cost centre": 7},
        "aliases": {},
        "config": {},
        "permissions": {},
        "created_at": "2027-01-15T08:00:00Z",
        "created_by": "master",
    }
    assert {"key": key, "info": expected} == by_key
    assert {"key": made["token"], "info": expected} == by_token == of_itself
    assert {"key": "ci", "info": expected} == by_alias
    assert made == {
        "key": key,
        "token": digest(key),
        "token_id": digest(key),
        **expected,
        "warnings": [
            "soft_budget: left out: every budget warns at 75 % and at 95 %",
            "send_invite_email: left out: no mail is sent",
        ],
    }


async def test_a_key_needs_no_members_at_all(proxy) -> None:
    made = await proxy.ask("POST", "/key/generate", {})

    assert made["key_alias"].startswith("key-")
    assert ([], None, None, None) == tuple(
        made[name] for name in ("models", "max_budget", "expires", "user_id")
    )
    assert "warnings" not in made


async def test_a_key_is_updated_and_what_is_not_named_stays(proxy) -> None:
    made = await proxy.ask("POST", "/key/generate", REQUEST)
    raised = await proxy.ask("POST", "/key/update", {"key": made["key"], "max_budget": 20})
    daily = await proxy.ask("POST", "/key/update", {"key": made["token"], "budget_duration": "24h"})
    forever = await proxy.ask(
        "POST", "/key/update", {"key": "ci", "duration": "-1", "rpm_limit": None, "models": []}
    )
    free = await proxy.ask("POST", "/key/update", {"key": made["key"], "max_budget": None})

    def told(info):
        return info["max_budget"], info["budget_duration"], info["model_max_budget"].keys()

    assert (20.0, "1mo", {"sonnet"}) == told(raised)
    assert (20.0, "1d", {"sonnet"}) == told(daily)
    assert (None, None, 1000, []) == tuple(
        forever[name] for name in ("expires", "rpm_limit", "tpm_limit", "models")
    )
    assert (None, None, {"sonnet"}) == told(free)
    assert made["key"] == raised["key"]


async def test_keys_are_listed_blocked_and_deleted(proxy) -> None:
    keys = [
        (await proxy.ask("POST", "/key/generate", {"key_alias": f"k{number}"}))["key"]
        for number in range(3)
    ]
    tokens = [digest(key) for key in keys]
    first = await proxy.ask("GET", "/key/list?page=1&size=2")
    full = await proxy.ask("GET", "/key/list?return_full_object=true&key_alias=k2")
    blocked = await proxy.ask("POST", "/key/block", {"key": tokens[0]})
    lets_in = [await proxy.knows(key) for key in keys]
    unblocked = await proxy.ask("POST", "/key/unblock", {"key": keys[0]})
    deleted = await proxy.ask(
        "POST", "/key/delete", {"keys": [keys[0], tokens[1]], "key_aliases": ["k2"]}
    )

    page = {"keys": tokens[:2], "total_count": 3, "current_page": 1, "total_pages": 2}
    assert page == first
    assert [("k2", tokens[2])] == [(each["key_alias"], each["token"]) for each in full["keys"]]
    assert (True, False) == (blocked["blocked"], unblocked["blocked"])
    assert [False, True, True] == lets_in
    assert {"deleted_keys": [keys[0], tokens[1], "k2"]} == deleted
    assert [False] * 3 == [await proxy.knows(key) for key in keys]


async def test_nothing_is_deleted_if_one_of_them_is_not_there(proxy) -> None:
    made = await proxy.ask("POST", "/key/generate", {})
    status, message = await proxy.refused(
        "POST", "/key/delete", {"keys": [made["key"], "sk-nobodys-secret-key"]}
    )

    assert (404, "there is no such key") == (status, message)
    assert await proxy.knows(made["key"])


async def test_a_key_is_drawn_anew(proxy, clock) -> None:
    first = (await proxy.ask("POST", "/key/generate", {"key_alias": "ci"}))["key"]
    second = await proxy.ask(
        "POST",
        f"/key/{first}/regenerate",
        {"grace_period": "1h", "max_budget": 3, "new_key": "sk-chosen-by-somebody"},
    )
    both = [await proxy.knows(each) for each in (first, second["key"])]
    clock.advance(3601)
    later = [await proxy.knows(each) for each in (first, second["key"])]
    third = await proxy.ask("POST", "/key/regenerate", {"key": second["key"]})

    assert ("sk-chosen-by-somebody", 3.0, "ci") == (
        second["key"],
        second["max_budget"],
        second["key_alias"],
    )
    assert [True, True] == both
    assert [False, True] == later
    assert not await proxy.knows(second["key"])
    assert await proxy.knows(third["key"])


async def test_a_team_with_its_keys(proxy) -> None:
    team = await proxy.ask(
        "POST",
        "/team/new",
        {
            "team_alias": "backend",
            "team_id": "litellm-backend",
            "models": ["all-proxy-models"],
            "max_budget": 100,
            "budget_duration": "7d",
            "members_with_roles": [{"role": "user", "user_id": "ada"}],
        },
    )
    made = await proxy.ask(
        "POST", "/key/service-account/generate", {"team_id": team["team_id"], "key_alias": "ci"}
    )
    info = await proxy.ask("GET", "/team/info?team_id=litellm-backend")
    updated = await proxy.ask(
        "POST", "/team/update", {"team_id": "litellm-backend", "tags": ["x"], "team_alias": "b"}
    )
    listed = await proxy.ask("GET", "/team/list")
    await proxy.ask("POST", "/team/block", {"team_id": "litellm-backend"})
    lets_in = await proxy.knows(made["key"])
    await proxy.ask("POST", "/team/unblock", {"team_id": "b"})
    after = await proxy.knows(made["key"])
    deleted = await proxy.ask("POST", "/team/delete", {"team_ids": ["litellm-backend"]})

    assert ("litellm-backend", [], 100.0, "7d") == tuple(
        team[name] for name in ("team_id", "models", "max_budget", "budget_duration")
    )
    assert ["members_with_roles"] == [each.partition(":")[0] for each in team["warnings"]]
    assert ("litellm-backend", ["ci"]) == (
        info["team_info"]["team_id"],
        [each["key_alias"] for each in info["keys"]],
    )
    assert ("b", ["x"], 100.0) == tuple(
        updated["data"][name] for name in ("team_alias", "tags", "max_budget")
    )
    assert [updated["data"]] == listed
    assert (False, True) == (lets_in, after)
    assert {"deleted_teams": ["litellm-backend"]} == deleted
    assert not await proxy.knows(made["key"])


async def test_what_is_spent_of_a_budget_is_told_until_its_window_ends(proxy, clock) -> None:
    made = await proxy.ask("POST", "/key/generate", {"max_budget": 10, "budget_duration": "1d"})
    key = await proxy.ask("GET", f"/llmroute/keys/{made['key_alias']}")
    start = 1_800_000_000 // 86_400 * 86_400
    row = {"budget_id": key["budgets"][0]["id"], "window": start, "spent": 2_500_000, "leased": 9}
    await proxy.ledger.database.write(lambda it: it.execute(spend.insert().values(**row)))

    async def told():
        info = (await proxy.ask("GET", "/key/info", params={"key": made["key"]}))["info"]
        (budget,) = (await proxy.ask("GET", f"/llmroute/keys/{made['key_alias']}"))["budgets"]
        return info["spend"], info["budget_reset_at"], budget["spent"], budget["resets"]

    assert (2.5, "2027-01-16T00:00:00Z", 2.5, "2027-01-16T00:00:00Z") == await told()
    clock.advance(86_400)
    assert (0.0, "2027-01-17T00:00:00Z", 0.0, "2027-01-17T00:00:00Z") == await told()


async def test_a_window_that_is_not_ours_is_told_of(proxy) -> None:
    made = await proxy.ask("POST", "/key/generate", {"max_budget": 1, "budget_duration": "10d"})

    assert "7d" == made["budget_duration"]
    assert [
        "budget_duration: 10d is taken for week: budgets are for a day, a week, a month, or total"
    ] == made["warnings"]


@pytest.mark.parametrize("url", ["sqlite://"], ids=["memory"])
@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        pytest.param("/key/generate", {"modles": []}, 400, "did you mean 'models'", id="typo"),
        pytest.param("/key/generate", {"models": "x"}, 400, "models: must be a list", id="text"),
        pytest.param("/key/generate", {"max_budget": -1}, 400, "max_budget: must", id="negative"),
        pytest.param("/key/generate", {"max_budget": 1e99}, 400, "max_budget: must", id="huge"),
        pytest.param("/key/generate", {"max_budget": True}, 400, "must be a number", id="true"),
        pytest.param("/key/generate", {"rpm_limit": 10**15}, 400, "or less", id="huge-limit"),
        pytest.param("/key/generate", {"duration": "soon"}, 400, "duration: must", id="duration"),
        pytest.param("/key/generate", {"duration": 30}, 400, "duration: must", id="seconds"),
        pytest.param("/key/generate", {"key_alias": "x" * 10_000}, 400, "longer", id="long-name"),
        pytest.param("/key/generate", {"user_id": "\0"}, 400, "no text has", id="nul"),
        pytest.param("/key/generate", {"team_id": "x"}, 404, "no team named 'x'", id="no-team"),
        pytest.param("/key/generate", {"aliases": {"a": "b"}}, 400, "configuration", id="aliases"),
        pytest.param(
            "/key/generate", {"model_rpm_limit": {"a": 1}}, 400, "together", id="by-model"
        ),
        pytest.param("/key/generate", {"key_type": "read_only"}, 400, "manages", id="key-type"),
        pytest.param("/key/generate", {"budget_id": "b"}, 400, "max_budget", id="budget-id"),
        pytest.param("/key/generate", {"key": "sk-1234"}, 400, "16 to 512", id="short-key"),
        pytest.param("/key/generate", {"key": "sk-master-1234567890"}, 409, "in use", id="master"),
        pytest.param(
            "/key/generate", {"model_max_budget": {"a": {"tpm_limit": 1}}}, 400, "tpm", id="nested"
        ),
        pytest.param("/key/generate", {"models": ["no-default-models"]}, 400, "block", id="none"),
        pytest.param("/key/service-account/generate", {}, 400, "team_id: required", id="service"),
        pytest.param("/key/update", {}, 400, "key: required", id="update-nothing"),
        pytest.param("/key/update", {"key": "sk-nobodys"}, 404, "no such key", id="unknown-key"),
        pytest.param("/key/update", {"key": "a" * 64}, 404, "no such key", id="unknown-token"),
        pytest.param("/key/delete", {}, 400, "keys: required", id="delete-nothing"),
        pytest.param("/key/delete", {"keys": [1]}, 400, "keys: must be text", id="delete-1"),
        pytest.param("/key/block", {"key": "nobody"}, 404, "no key named", id="block-nobody"),
        pytest.param("/key/regenerate", {}, 400, "key: required", id="regenerate-nothing"),
        pytest.param("/team/new", {"team_id": "x" * 65}, 400, "64 characters", id="long-team-id"),
        pytest.param("/team/new", {"organization_id": "o"}, 400, "organiz", id="organization"),
        pytest.param("/team/update", {}, 400, "team_id: required", id="team-nothing"),
        pytest.param("/team/delete", {"team_ids": ["x"]}, 404, "no team", id="unknown-team"),
        pytest.param("/team/member_add", {}, 400, "user_id by /key/generate", id="members"),
        pytest.param("/user/new", {}, 400, "no users to be made", id="users"),
        pytest.param("/budget/new", {}, 400, "no such thing", id="budgets"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_words(
    proxy, path, body, status, message
) -> None:
    async with proxy.client() as client:
        response = await client.post(path, json=body)
    error = response.json()["error"]

    assert (status, str(status)) == (response.status_code, error["code"])
    assert message in error["message"]
    assert {"message", "type", "param", "code"} == error.keys()
    assert "sk-" not in error["message"] or "begin with sk-" in error["message"]


async def test_errors_are_worded_as_its_clients_know_them(proxy) -> None:
    async with proxy.client("sk-nobodys-secret-key") as client:
        unknown = await client.get("/key/info")
        elsewhere = await client.get("/llmroute/keys")

    assert (401, "auth_error") == (unknown.status_code, unknown.json()["error"]["type"])
    assert (401, "authentication_error") == (
        elsewhere.status_code,
        elsewhere.json()["error"]["type"],
    )


def record(key: str, day: int, cost_of: int) -> Record:
    """Return a call whose answer had so many tokens of a dollar for a million each."""
    return Record(
        at=1_800_000_000.0 + day * 86_400,
        id=f"call-{key}-{day}",
        key=key,
        owner=f"{key}@example.com",
        team="backend",
        model="claude-sonnet-4-5-20250929",
        alias="sonnet",
        deployment="sonnet-direct",
        provider="anthropic",
        outcome="answered",
        status=200,
        usage=Usage(input_tokens=0, output_tokens=cost_of),
    )


async def test_spending_by_day_by_key_and_call_by_call(proxy, monkeypatch) -> None:
    monkeypatch.setattr(
        "llmroute.usage.rows._priced", lambda record: (record.usage.output_tokens, 0, "{}")
    )
    await proxy.ask("POST", "/team/new", {"team_alias": "backend", "team_id": "t1"})
    keys = {
        name: await proxy.ask("POST", "/key/generate", {"key_alias": name, "team_id": "t1"})
        for name in ("ada", "bob")
    }
    for name, day, cost in (("ada", 0, 100), ("ada", 1, 200), ("bob", 1, 400)):
        proxy.ledger.recorder.record(record(name, day, cost))
    await to_thread.run_sync(proxy.ledger.work)
    ada, bob = (keys[name]["token"] for name in ("ada", "bob"))
    dates = {"start_date": "2027-01-15", "end_date": "2027-01-17"}
    summed = await proxy.ask("GET", "/spend/logs", params=dates)
    of_ada = await proxy.ask("GET", "/spend/logs", params={**dates, "api_key": keys["ada"]["key"]})
    rows = await proxy.ask("GET", "/spend/logs", params={"user_id": "ada@example.com"})
    one = await proxy.ask("GET", "/spend/logs", params={"request_id": "call-bob-1"})
    info = await proxy.ask("GET", "/key/info", params={"key": "ada"})
    by_key = await proxy.ask("GET", "/global/spend/keys")
    by_team = await proxy.ask("GET", "/global/spend/teams")
    by_model = await proxy.ask("GET", "/global/spend/models?limit=1")
    total = await proxy.ask("GET", "/global/spend")
    user = await proxy.ask("GET", "/user/info?user_id=ada@example.com")

    model = "claude-sonnet-4-5-20250929"
    assert summed == [
        {
            "startTime": "2027-01-15",
            "spend": 0.0001,
            ada: 0.0001,
            "users": {"ada@example.com": 0.0001},
            "models": {model: 0.0001},
        },
        {
            "startTime": "2027-01-16",
            "spend": pytest.approx(0.0006),
            ada: 0.0002,
            bob: 0.0004,
            "users": {"ada@example.com": 0.0002, "bob@example.com": 0.0004},
            "models": {model: pytest.approx(0.0006)},
        },
        {"startTime": "2027-01-17", "spend": 0.0, "users": {}, "models": {}},
    ]
    assert [0.0001, 0.0002, 0.0] == [each["spend"] for each in of_ada]
    assert ["call-ada-1", "call-ada-0"] == [each["request_id"] for each in rows]
    assert [("call-bob-1", bob, 0.0004, "t1", "success", 400)] == [
        tuple(
            each[name]
            for name in ("request_id", "api_key", "spend", "team_id", "status", "total_tokens")
        )
        for each in one
    ]
    assert 0.0003 == info["info"]["spend"]
    assert [(bob, 0.0004), (ada, 0.0003)] == [
        (each["api_key"], each["total_spend"]) for each in by_key
    ]
    assert [("t1", 0.0007)] == [
        (each["team_id"], each["total_spend"]) for each in by_team["total_spend_per_team"]
    ]
    assert [{"model": model, "total_spend": 0.0007}] == by_model
    assert 0.0007 == total["spend"]
    assert 0.0003 == user["user_info"]["spend"]


@pytest.mark.parametrize("url", ["sqlite://"], ids=["memory"])
@pytest.mark.parametrize(
    "query",
    [
        "start_date=soon&end_date=later",
        "start_date=2027-01-02&end_date=2027-01-01",
        "start_date=0001-01-01&end_date=9999-12-31",
        "request_id=%00",
    ],
)
async def test_dates_that_are_none_are_refused(proxy, query) -> None:
    assert 400 == (await proxy.refused("GET", f"/spend/logs?{query}"))[0]


async def test_models_and_where_they_go(proxy) -> None:
    made = await proxy.ask("POST", "/key/generate", {"models": ["other-*"]})
    shown = await proxy.ask("GET", "/model/info")

    assert shown == await proxy.ask("GET", "/v1/model/info")
    (model,) = shown["data"]
    assert ("sonnet", "anthropic/claude-sonnet-4-5-20250929", "sonnet-direct", 200_000) == (
        model["model_name"],
        model["litellm_params"]["model"],
        model["model_info"]["id"],
        model["model_info"]["max_input_tokens"],
    )
    assert (3e-06, 15e-06) == (
        model["model_info"]["input_cost_per_token"],
        model["model_info"]["output_cost_per_token"],
    )
    assert {"data": []} == await proxy.ask("GET", "/model/info", key=made["key"])
