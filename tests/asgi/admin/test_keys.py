"""Keys, teams and the audit trail over HTTP."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import text

pytestmark = pytest.mark.anyio

FULL = {
    "name": "ci/nightly",
    "aliases": ["sonnet", "claude-*"],
    "owner": "ada@example.com",
    "tags": ["nightly"],
    "limits": {"requests_per_minute": 60, "parallel": 4},
    "budgets": [{"amount": 5, "period": "day", "message": "Ask Ada."}],
    "expires": "2030-01-01T00:00:00+01:00",
    "trusted": True,
    "metadata": {"cost centre": 7},
}
PATH = "/llmroute/keys/ci%2Fnightly"


async def test_a_key_is_made_shown_once_and_let_in(proxy) -> None:
    made = await proxy.ask("POST", "/llmroute/keys", FULL)
    shown = await proxy.ask("GET", PATH)
    listed = await proxy.ask("GET", "/llmroute/keys")

    secret = made.pop("key")
    assert made == shown == await proxy.ask("GET", f"/llmroute/keys/{made['id']}")
    assert {"keys": [shown], "total": 1} == listed
    assert await proxy.knows(secret)
    (budget,) = shown.pop("budgets")
    assert {
        "type": "key",
        "id": made["id"],
        "name": "ci/nightly",
        "source": "database",
        "hint": f"sk-llmr-…{secret[-4:]}",
        "owner": "ada@example.com",
        "team": None,
        "aliases": ["sonnet", "claude-*"],
        "tags": ["nightly"],
        "limits": {"requests_per_minute": 60, "tokens_per_minute": None, "parallel": 4},
        "trusted": True,
        "blocked": False,
        "expires": "2029-12-31T23:00:00Z",
        "created": "2027-01-15T08:00:00Z",
        "created_by": "master",
        "metadata": {"cost centre": 7},
    } == shown
    assert budget.pop("id")
    assert {
        "amount": 5.0,
        "period": "day",
        "alias": "",
        "message": "Ask Ada.",
        "spent": 0.0,
        "resets": "2027-01-16T00:00:00Z",
    } == budget


async def test_what_is_left_out_of_a_change_stays_and_what_is_null_goes(proxy) -> None:
    before = await proxy.ask("POST", "/llmroute/keys", FULL)
    after = await proxy.ask(
        "PATCH",
        PATH,
        {"expires": None, "owner": None, "budgets": [{"amount": 7, "period": "day"}]},
    )

    for name in ("aliases", "tags", "limits", "trusted", "metadata", "name"):
        assert before[name] == after[name]
    assert (None, "") == (after["expires"], after["owner"])
    assert before["budgets"][0]["id"] == after["budgets"][0]["id"]
    assert (7.0, "") == (after["budgets"][0]["amount"], after["budgets"][0]["message"])


async def test_a_key_in_use_and_a_digest_can_be_taken_over(proxy) -> None:
    secret = "sk-from-elsewhere-1234"
    digest = "0d5e1d1d9d3a2f8b4fdc0b7b7a7a" + "0" * 36
    await proxy.ask("POST", "/llmroute/keys", {"name": "a", "key": secret})
    await proxy.ask("POST", "/llmroute/keys", {"name": "b", "sha256": digest})

    assert await proxy.knows(secret)
    taken = (409, "that key is in use already")
    for body in ({"key": secret}, {"sha256": digest}, {"key": "sk-master-1234567890"}):
        assert taken == await proxy.refused("POST", "/llmroute/keys", {"name": "c", **body})


async def test_rotating_blocking_and_deleting_hold_at_once(proxy, clock) -> None:
    made = await proxy.ask("POST", "/llmroute/keys", {"name": "a"})
    assert await proxy.knows(made["key"])
    drawn = await proxy.ask("POST", "/llmroute/keys/a/rotate", {"overlap": 60})
    known = [await proxy.knows(each["key"]) for each in (made, drawn)]
    clock.advance(61)
    later = [await proxy.knows(each["key"]) for each in (made, drawn)]
    again = await proxy.ask("POST", "/llmroute/keys/a/rotate")
    after = [await proxy.knows(each["key"]) for each in (drawn, again)]
    await proxy.ask("POST", "/llmroute/keys/a/block")
    blocked = await proxy.knows(again["key"])
    await proxy.ask("POST", "/llmroute/keys/a/unblock")
    unblocked = await proxy.knows(again["key"])
    await proxy.ask("DELETE", "/llmroute/keys/a")

    assert [True, True] == known
    assert [False, True] == later
    assert [False, True] == after
    assert (False, True) == (blocked, unblocked)
    assert not await proxy.knows(again["key"])
    assert (404, "there is no key named 'a'") == await proxy.refused("GET", "/llmroute/keys/a")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/llmroute/keys/a/block", id="block"),
        pytest.param("POST", "/llmroute/keys/a/rotate", id="rotate"),
        pytest.param("DELETE", "/llmroute/keys/a", id="delete"),
        pytest.param("POST", "/llmroute/teams/t/block", id="block-the-team"),
    ],
)
async def test_another_proxy_learns_of_it_in_its_next_second(managed, method, path) -> None:
    one, other = await managed(), await managed()
    await one.ask("POST", "/llmroute/teams", {"name": "t"})
    made = await one.ask("POST", "/llmroute/keys", {"name": "a", "team": "t"})
    before = await other.knows(made["key"])
    await one.ask(method, path)
    await anyio.to_thread.run_sync(other.ledger.work)

    assert (True, False) == (before, await other.knows(made["key"]))


async def test_a_team_is_made_changed_and_deleted(proxy) -> None:
    team = {"name": "backend", "aliases": ["sonnet"], "budgets": [{"amount": 100}]}
    made = await proxy.ask("POST", "/llmroute/teams", team)
    await proxy.ask("POST", "/llmroute/keys", {"name": "ada", "team": "backend"})
    await proxy.ask("POST", "/llmroute/keys", {"name": "bob"})
    of_team = await proxy.ask("GET", "/llmroute/keys?team=backend")
    changed = await proxy.ask("PATCH", f"/llmroute/teams/{made['id']}", {"aliases": []})
    in_use = await proxy.refused("DELETE", "/llmroute/teams/backend")
    await proxy.ask("PATCH", "/llmroute/keys/ada", {"team": None})
    await proxy.ask("DELETE", "/llmroute/teams/backend")

    assert ["ada"] == [key["name"] for key in of_team["keys"]]
    assert made | {"aliases": []} == changed
    assert (409, "team 'backend' has keys; delete them first, or move them") == in_use
    assert {"teams": []} == await proxy.ask("GET", "/llmroute/teams")


async def test_keys_come_in_pages(proxy) -> None:
    for name in "abcde":
        await proxy.ask("POST", "/llmroute/keys", {"name": name})

    async def names(query: str) -> tuple[str, int]:
        page = await proxy.ask("GET", f"/llmroute/keys?{query}")
        return "".join(key["name"] for key in page["keys"]), page["total"]

    assert ("bc", 5) == await names("limit=2&offset=1")
    assert ("abcde", 5) == await names("")
    assert ("", 5) == await names("limit=0")
    assert ("", 0) == await names("owner=nobody")
    for query in ("limit=-1", "limit=x", "limit=²", f"offset={'9' * 30}"):
        assert 400 == (await proxy.refused("GET", f"/llmroute/keys?{query}"))[0]


async def test_what_stands_in_the_configuration_is_shown_and_not_changed(managed) -> None:
    key = {"key": "sk-configured-123456", "team": "t", "owner": "ada"}
    proxy = await managed(keys={"fixed": key}, teams={"t": {"budgets": [{"amount": 2}]}})
    listed = await proxy.ask("GET", "/llmroute/keys?team=t&owner=ada")

    assert [("fixed", "config")] == [(each["name"], each["source"]) for each in listed["keys"]]
    assert "t" == (await proxy.ask("GET", "/llmroute/keys/fixed"))["team"]
    assert ["t"] == [each["name"] for each in (await proxy.ask("GET", "/llmroute/teams"))["teams"]]
    attempts = [
        ("POST", "/llmroute/keys", {"name": "fixed"}),
        ("POST", "/llmroute/keys", {"name": "new", "team": "t"}),
        ("POST", "/llmroute/keys", {"name": "new", "key": key["key"]}),
        ("PATCH", "/llmroute/keys/fixed", {"owner": "bob"}),
        ("POST", "/llmroute/keys/fixed/rotate", None),
        ("POST", "/llmroute/keys/fixed/block", None),
        ("DELETE", "/llmroute/keys/fixed", None),
        ("POST", "/llmroute/teams", {"name": "t"}),
        ("PATCH", "/llmroute/teams/t", {}),
        ("DELETE", "/llmroute/teams/t", None),
        ("POST", "/key/update", {"key": key["key"], "tags": ["x"]}),
        ("POST", "/key/delete", {"key_aliases": ["fixed"]}),
        ("POST", "/team/delete", {"team_ids": ["t"]}),
    ]
    assert [409] * len(attempts) == [(await proxy.refused(*each))[0] for each in attempts]
    assert await proxy.knows(key["key"])


async def test_every_change_is_told_of_and_by_whom(proxy) -> None:
    made = await proxy.ask("POST", "/llmroute/keys", FULL)
    await proxy.ask("PATCH", PATH, {"owner": "bob@example.com"})
    drawn = await proxy.ask("POST", f"{PATH}/rotate", {"overlap": 3600})
    await proxy.ask("POST", f"{PATH}/block")
    of_name = await proxy.ask("GET", "/llmroute/audit", params={"subject": "ci/nightly"})
    await proxy.ask("DELETE", PATH)
    await proxy.ask("POST", "/llmroute/teams", {"name": "t"})
    trail = await proxy.ask("GET", "/llmroute/audit")
    of_id = await proxy.ask("GET", f"/llmroute/audit?subject={made['id']}&limit=2")

    actions = ["create", "update", "rotate", "block", "delete", "create"]
    assert sorted(actions) == sorted(each["action"] for each in trail["changes"])
    assert {"master"} == {each["actor"] for each in trail["changes"]}
    assert 4 == len(of_name["changes"])
    assert 2 == len(of_id["changes"])
    assert {"ci/nightly", "t"} == {each["name"] for each in trail["changes"]}
    of_late = await proxy.ask("GET", "/llmroute/audit?since=1h&subject=t")
    assert ["t"] == [each["name"] for each in of_late["changes"]]
    assert 400 == (await proxy.refused("GET", "/llmroute/audit?since=soon"))[0]
    update = next(each for each in trail["changes"] if each["action"] == "update")
    assert ("ada@example.com", "bob@example.com") == (
        update["before"]["owner"],
        update["after"]["owner"],
    )
    assert not any(each["key"] in str(trail) for each in (made, drawn))


def body(**members: Any) -> dict[str, Any]:
    return {"name": "a", **members}


@pytest.mark.parametrize("url", ["sqlite://"], ids=["memory"])
@pytest.mark.parametrize(
    ("sent", "message"),
    [
        pytest.param({}, "name: required", id="no-name"),
        pytest.param(body(name=""), "must not be empty", id="empty-name"),
        pytest.param(body(name="x" * 10_000), "longer than 100", id="long-name"),
        pytest.param(body(name="a\nb"), "printable", id="line-in-a-name"),
        pytest.param(body(name="a\u202eb"), "printable", id="text-turned-round"),
        pytest.param(body(name="a\0b"), "character that no text has", id="nul"),
        pytest.param(body(name="key_0123456789abcdef0123"), "begins as", id="name-like-an-id"),
        pytest.param(body(name="sk-abc"), "begins as", id="name-like-a-key"),
        pytest.param(body(name=7), "name: must be text", id="name-is-a-number"),
        pytest.param(body(budget=[]), "did you mean 'budgets'", id="unknown-member"),
        pytest.param(body(metadata={"a": "\0"}), "character that no text has", id="nul-inside"),
        pytest.param(body(metadata={"a": 2**70}), "number that is too large", id="huge-inside"),
        pytest.param(body(metadata={"a": "x" * 20_000}), "metadata: must", id="large-metadata"),
        pytest.param(body(metadata=[]), "metadata: must be a mapping", id="metadata-is-a-list"),
        pytest.param(body(team="nobody"), "no team named 'nobody'", id="no-such-team"),
        pytest.param(body(team="x" * 10_000), "no team named", id="long-team"),
        pytest.param(body(owner="x" * 201), "owner: must not be longer", id="long-owner"),
        pytest.param(body(tags=["x"] * 201), "tags: must not be more", id="many-tags"),
        pytest.param(body(tags=[""]), "tags: must not be empty", id="empty-tag"),
        pytest.param(body(aliases=["a\tb"]), "aliases: must be printable", id="tab-in-an-alias"),
        pytest.param(body(aliases="sonnet"), "aliases: must be a list", id="alias-is-text"),
        pytest.param(body(expires="soon"), "expires: must be a date", id="no-date"),
        pytest.param(body(expires=1), "expires: must be a date", id="date-is-a-number"),
        pytest.param(body(expires="0001-01-01"), "between 1970 and 9998", id="year-1"),
        pytest.param(body(expires="9999-12-31"), "between 1970 and 9998", id="year-9999"),
        pytest.param(body(key="short"), "key: must begin with sk-", id="secret-without-sk"),
        pytest.param(body(key="sk-short"), "16 to 512", id="short-secret"),
        pytest.param(body(key="sk-" + "x" * 600), "16 to 512", id="long-secret"),
        pytest.param(body(key="sk-ünicode-1234567890"), "character", id="secret-with-umlaut"),
        pytest.param(body(sha256="abc"), "sha256: must be 64 hex", id="no-digest"),
        pytest.param(body(limits={"parallel": 0}), "limits.parallel: must be", id="limit-0"),
        pytest.param(body(limits={"parallel": True}), "must be numbers", id="limit-is-true"),
        pytest.param(body(limits={"parallel": 10**13}), "or less", id="huge-limit"),
        pytest.param(body(limits={"parallel": 10**30}), "too large", id="limit-over-64-bits"),
        pytest.param(body(limits={"rpm": 1}), "limits.rpm: unknown setting", id="unknown-limit"),
        pytest.param(body(budgets=[{"amount": -1}]), "budgets[0].amount: must", id="negative"),
        pytest.param(body(budgets=[{"amount": 0}]), "budgets[0].amount: must", id="zero"),
        pytest.param(body(budgets=[{"amount": 1e300}]), "budgets[0].amount: must", id="huge"),
        pytest.param(body(budgets=[{"amount": "$5"}]), "budgets[0].amount: must", id="a-sign"),
        pytest.param(body(budgets=[{"amount": "nan"}]), "budgets[0].amount: must", id="nan"),
        pytest.param(body(budgets=[{"amount": 1, "period": "yr"}]), "period: must", id="period"),
        pytest.param(body(budgets=[{"amount": 1}] * 2), "one for each period", id="budget-twice"),
    ],
)
async def test_what_cannot_be_a_key_is_refused_with_words(proxy, sent, message) -> None:
    status, said = await proxy.refused("POST", "/llmroute/keys", sent)

    assert status in (400, 404), said
    assert message in said
    assert {"keys": [], "total": 0} == await proxy.ask("GET", "/llmroute/keys")


@pytest.mark.parametrize("url", ["sqlite://"], ids=["memory"])
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="cut"),
        pytest.param(b"[]", "application/json", 400, id="list"),
        pytest.param(b'{"name": NaN}', "application/json", 400, id="nan"),
        pytest.param(b'{"name": 1e999}', "application/json", 400, id="infinite"),
        pytest.param(b'{"name": "\\ud800"}', "application/json", 400, id="half-a-character"),
        pytest.param(b'{"name": "\xff"}', "application/json", 400, id="no-utf-8"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, "application/json", 400, id="deep"),
        pytest.param(
            b'{"name": "a", "metadata": ' + b'{"a":' * 100 + b"1" + b"}" * 101,
            "application/json",
            400,
            id="rather-deep",
        ),
        pytest.param(b'{"name": "a"}', "text/plain", 400, id="a-form's-type"),
        pytest.param(b'{"name": "a"}', "", 400, id="no-type"),
        pytest.param(b" " * 1_100_000, "application/json", 413, id="over-a-megabyte"),
    ],
)
async def test_a_body_that_is_none_is_refused(proxy, content, kind, status) -> None:
    async with proxy.client() as client:
        headers = {"content-type": kind} if kind else {}
        response = await client.post("/llmroute/keys", content=content, headers=headers)

    assert status == response.status_code, response.text
    assert "error" == response.json()["type"]


# As they stand in a path; to PostgreSQL a NUL is an error of its own.
NAMES = ("%00", "'%20OR%201=1--", "x" * 5000, "%ff", "%F0%9F%94%91", "..%2f..", "%25", "*")


@pytest.mark.parametrize("path", ["/llmroute/keys/{}", "/llmroute/teams/{}"])
async def test_a_name_that_nobody_has_is_not_found(proxy, path) -> None:
    for name in NAMES:
        for method, tail in (("GET", ""), ("DELETE", ""), ("POST", "/block")):
            status, _ = await proxy.refused(method, path.format(name) + tail)
            assert status in (400, 404)


async def test_of_many_that_want_one_name_one_gets_it(managed) -> None:
    proxies = [await managed(), await managed()]
    statuses: list[int] = []

    async def make(number: int) -> None:
        async with proxies[number % 2].client() as client:
            response = await client.post("/llmroute/keys", json={"name": "a"})
        statuses.append(response.status_code)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(make, number)

    assert [200, *[409] * 7] == sorted(statuses)


async def test_changes_at_once_do_not_undo_one_another(managed) -> None:
    proxies = [await managed(), await managed()]
    await proxies[0].ask("POST", "/llmroute/keys", {"name": "a"})
    changes = [{"owner": "ada"}, {"tags": ["x"]}, {"aliases": ["sonnet"]}, {"trusted": True}]

    async with anyio.create_task_group() as group:
        for number, change in enumerate(changes):
            group.start_soon(proxies[number % 2].ask, "PATCH", "/llmroute/keys/a", change)

    key = await proxies[0].ask("GET", "/llmroute/keys/a")
    assert ("ada", ["x"], ["sonnet"], True) == (
        key["owner"],
        key["tags"],
        key["aliases"],
        key["trusted"],
    )


@pytest.mark.parametrize("url", ["sqlite://"], ids=["memory"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"origin": "http://localhost:3000"}, id="another-page-of-this-machine"),
        pytest.param({"origin": "null"}, id="a-file"),
        pytest.param({"sec-fetch-site": "same-site"}, id="a-neighbour"),
    ],
)
async def test_no_web_page_changes_anything(managed, headers) -> None:
    proxy = await managed(server={})
    async with proxy.client("") as client:
        made = await client.post("/llmroute/keys", json={"name": "a"})
        refused = [
            await client.request(method, path, headers=headers)
            for method, path in (
                ("POST", "/llmroute/keys"),
                ("POST", "/llmroute/keys/a/rotate"),
                ("DELETE", "/llmroute/keys/a"),
                ("POST", "/key/generate"),
            )
        ]
        asked = await client.request("OPTIONS", "/llmroute/keys", headers=headers)

    assert (200, "no-store") == (made.status_code, made.headers["cache-control"])
    assert [403] * 4 == [each.status_code for each in refused]
    assert asked.status_code in (403, 405)
    assert not any(name.startswith("access-control") for name in asked.headers)


async def test_a_key_manages_nothing(proxy) -> None:
    from llmroute.asgi.admin import _ROUTES

    made = await proxy.ask("POST", "/llmroute/keys", {"name": "a"})
    answers = {}
    async with proxy.client(made["key"]) as client:
        for route in _ROUTES:
            path = route.path.pattern.replace("(?P<name>[^/]+)", "a").replace("/?", "")
            if "(" not in path and not route.for_all:
                answers[route.method, path] = await client.request(route.method, path)
        own = await client.get("/key/info")
        other = await client.get("/key/info?key=nobody")

    assert len(answers) > 20
    assert {403} == {each.status_code for each in answers.values()}
    assert ("a", 403) == (own.json()["info"]["key_alias"], other.status_code)


async def test_a_database_that_does_not_do_its_work_is_a_503(proxy) -> None:
    made = await proxy.ask("POST", "/llmroute/keys", {"name": "a"})
    assert await proxy.knows(made["key"])
    await proxy.ledger.database.write(lambda it: it.execute(text("DROP TABLE llmroute_keys")))
    asked = [await proxy.refused("GET", path) for path in ("/llmroute/keys/a", "/key/list")]
    own = await proxy.refused("GET", "/key/info", key=made["key"])

    assert [503, 503] == [status for status, _ in asked]
    assert all("llmroute_keys" in message for _, message in asked)
    assert (
        503,
        "The database of this llmroute proxy does not answer; try again in a moment",
    ) == own


async def test_a_path_takes_its_methods_only(proxy) -> None:
    assert (405, "Method not allowed; this path takes GET, POST") == await proxy.refused(
        "PUT", "/llmroute/keys"
    )
