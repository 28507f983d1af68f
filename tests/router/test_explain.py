"""What `Router.explain` says is what the router does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

import llmroute
from llmroute.messages.call import Call
from llmroute.router.prospect import VEIL
from llmroute.testing import Clock
from llmroute.transport import Body, Reply, Timeouts
from llmroute.wire.envelope import Envelope
from llmroute.wire.headers import Headers

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Hi"}],
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "metadata": {"user_id": "somebody-canary"},
}
HEADERS = [
    (b"anthropic-beta", b"claude-code-20250219,effort-2025-11-24"),
    (b"anthropic-version", b"2023-06-01"),
    (b"x-app", b"cli"),
]
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "plain": {
        "provider": "anthropic",
        "api_key": "sk-canary-plain",
        "headers": {"x-gateway-token": "canary-gateway"},
        "extra_body": {"service_tier": "auto"},
    },
    "login": {"provider": "anthropic", "auth_token": "sk-ant-oat-canary", "model": "claude-*"},
    "amazon": {
        "provider": "bedrock",
        "region": "eu-west-1",
        "access_key_id": "AKIACANARY",
        "secret_access_key": "canary-secret",
        "session_token": "canary-session",
        "model": "eu.anthropic.claude-opus-5-5",
        "order": 1,
    },
    "azure": {
        "provider": "foundry",
        "base_url": "https://acme.services.ai.azure.com",
        "api_key": "canary-foundry",
        "model": "claude-opus-5-5",
        "weight": 2,
    },
    "google": {
        "provider": "vertex",
        "project": "acme",
        "auth_token": "canary-vertex",
        "model": "claude-opus-5-5",
        "weight": 3,
    },
}


class Nowhere:
    """A transport that notes what it is to send, and finds nobody there."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, list[tuple[bytes, bytes]], bytes]] = []

    async def send(
        self, method: str, url: str, headers: Headers, body: Body, timeouts: Timeouts
    ) -> Reply:
        assert isinstance(body, tuple)
        self.sent.append((method, url, list(headers), b"".join(body)))
        raise llmroute.UnreachableError("nobody is there")

    async def aclose(self) -> None:
        pass


def router_for(
    aliases: Mapping[str, Any], transport: Nowhere | None = None, **deployments: dict[str, Any]
) -> llmroute.Router:
    clock = Clock()
    return llmroute.Router.from_dict(
        {
            "deployments": DEPLOYMENTS | deployments,
            "aliases": dict(aliases),
            "routing": {"retries": 0},
        },
        transport=transport or Nowhere(),
        clock=clock,
        sleep=clock.sleep,
        draw=lambda: 0.5,
    )


def call_for(body: Mapping[str, Any] = HELLO, **more: Any) -> Call:
    return Call(Envelope.of(body), str(body["model"]), headers=HEADERS, **more)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(call_for(), id="whole"),
        pytest.param(
            call_for({**HELLO, "stream": True}, stream=True, query="beta=true"), id="stream"
        ),
        pytest.param(
            call_for({**HELLO, "thread": {"type": "continue", "previous_message_id": "msg_1"}}),
            id="thread",
        ),
        pytest.param(call_for(endpoint="count_tokens"), id="count"),
    ],
)
@pytest.mark.parametrize(
    "aliases",
    [
        pytest.param({"claude-*": ["amazon", "plain", "login"]}, id="listed"),
        pytest.param(
            {
                "claude-*": {
                    "deployments": ["plain", "azure", "google", "amazon"],
                    "strategy": "weighted",
                }
            },
            id="weighted",
        ),
        pytest.param(
            {"claude-*": {"deployments": ["plain"], "fallbacks": ["more"]}, "more": "google"},
            id="fallback",
        ),
        pytest.param({"claude-*": "login"}, id="single"),
    ],
)
async def test_what_is_explained_is_what_is_sent(aliases: dict[str, Any], call: Call) -> None:
    transport = Nowhere()
    async with router_for(aliases, transport) as router:
        explanation = await router.explain(call)
        assert [] == transport.sent
        with pytest.raises(llmroute.LLMRouteError):
            answer = await router.send(call)
            raise llmroute.UnreachableError(f"an estimate: {answer.head.status}")

    for prospect, sent in zip(explanation.prospects, transport.sent, strict=True):
        method, url, headers, body = sent
        assert (method, url, body) == (prospect.method, prospect.url, prospect.body)
        assert [name.decode().lower() for name, _ in headers] == [
            name for name, _ in prospect.headers
        ]
        for (_, value), (_, shown) in zip(headers, prospect.headers, strict=True):
            assert value.decode() == shown or shown.endswith(VEIL)


async def test_no_secret_is_shown() -> None:
    aliases = {"claude-*": list(DEPLOYMENTS)}
    async with router_for(aliases) as router:
        explanation = await router.explain(call_for())

    shown = repr([each.headers for each in explanation.prospects]) + repr(explanation)
    assert "canary" not in shown.lower()
    last = {each.deployment: each.headers[-1] for each in explanation.prospects}
    assert ("x-api-key", VEIL) == last["azure"]
    assert ("authorization", f"Bearer {VEIL}") == last["google"]
    amazons = next(each.headers for each in explanation.prospects if each.deployment == "amazon")
    assert ("authorization", f"AWS4-HMAC-SHA256 {VEIL}") in amazons


async def test_a_strict_alias_is_said_to_send_nothing_that_loses_something() -> None:
    strict = {"deployments": ["amazon", "plain"], "strict": True}
    transport = Nowhere()
    async with router_for({"claude-*": strict}, transport) as router:
        plain, amazon = (await router.explain(call_for())).prospects
        with pytest.raises(llmroute.LLMRouteError):
            await router.send(call_for())

    assert ("plain", "") == (plain.deployment, plain.problem)
    assert amazon.problem.startswith("the alias is strict, and this deployment does not take: ")
    assert "anthropic-beta claude-code-20250219" in amazon.problem
    assert [plain.url] == [url for _, url, _, _ in transport.sent]


async def test_a_callers_own_login_is_not_shown_either() -> None:
    forwarding = {**DEPLOYMENTS["plain"], "forward_client_auth": True}
    call = call_for(client_auth=[(b"authorization", b"Bearer sk-canary-own")])
    async with router_for({"claude-*": "plain"}, plain=forwarding) as router:
        explanation = await router.explain(call)

    assert ("authorization", f"Bearer {VEIL}") == explanation.prospects[0].headers[-1]


async def test_what_only_credentials_know_is_in_braces(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    somewhere = {**DEPLOYMENTS["amazon"], "region": None}
    somebody = {"provider": "vertex", "auth_token": "t", "model": "claude-opus-5-5"}
    aliases = {"claude-*": ["amazon", "google"]}
    async with router_for(aliases, amazon=somewhere, google=somebody) as router:
        google, amazon = (await router.explain(call_for())).prospects

    assert amazon.url.startswith("https://bedrock-runtime.{region}.amazonaws.com/model/")
    assert "/projects/{project}/" in google.url


async def test_an_alias_is_named_with_how_it_matched() -> None:
    async with router_for({"claude-*": "plain", "claude-opus-5-5": "azure"}) as router:
        exact = await router.explain(call_for())
        pattern = await router.explain(call_for({**HELLO, "model": "claude-x"}))

    assert ("claude-opus-5-5", "name") == (exact.alias, exact.matched)
    assert ("claude-*", "pattern") == (pattern.alias, pattern.matched)


async def test_every_place_has_its_reason() -> None:
    aliases = {
        "claude-*": {
            "deployments": ["plain", "amazon"],
            "fallbacks": ["spare"],
            "when_too_long": ["long"],
            "when_refused": ["other"],
        },
        "spare": {"deployments": ["azure", "google"], "strategy": "weighted"},
        "long": "google",
        "other": "azure",
    }
    async with router_for(aliases) as router:
        explanation = await router.explain(call_for())

    assert [
        ("plain", "turn", "order 0, listed at place 1"),
        ("amazon", "turn", "order 1, listed at place 2"),
        ("google", "turn", "fallback to spare: drawn by weight, 3 of 5"),
        ("azure", "turn", "fallback to spare: drawn by weight, 2 of 5"),
        ("google", "when_too_long", "stands by in long: the only one"),
        ("azure", "when_refused", "stands by in other: the only one"),
    ] == [(each.deployment, each.role, each.why) for each in explanation.prospects]
    assert "the draw favours the heaviest; each call draws anew" in explanation.assumed


async def test_a_price_decides_and_is_told() -> None:
    aliases = {"claude-*": {"deployments": ["azure", "plain"], "strategy": "lowest_price"}}
    cheap = {**DEPLOYMENTS["plain"], "model": "claude-haiku-4-5"}
    async with router_for(aliases, plain=cheap) as router:
        explanation = await router.explain(call_for())

    first, second = explanation.prospects
    assert ("plain", "azure") == (first.deployment, second.deployment)
    assert "by price, $1 and $5 a million tokens" == first.why


async def test_changes_are_told_by_member_beta_and_header() -> None:
    async with router_for({"claude-*": ["plain", "amazon"]}) as router:
        plain, amazon = (await router.explain(call_for())).prospects

    assert plain.changes is not None
    assert amazon.changes is not None
    assert ("service_tier",) == plain.changes.added
    assert ((), (), (), ()) == (plain.changes.removed, plain.changes.changed, *plain.changes[3:5])
    assert {"model", "context_management"} <= set(amazon.changes.removed)
    assert "anthropic_version" in amazon.changes.added
    assert "claude-code-20250219" in amazon.changes.betas_removed
    assert "x-app" in amazon.changes.headers_removed
    assert any(loss.startswith("context_management") for loss in amazon.changes.losses)


async def test_a_session_is_a_hash_and_kept_only_where_there_is_a_choice() -> None:
    async with router_for({"claude-*": ["plain", "amazon"], "one": "plain"}) as router:
        several = await router.explain(call_for())
        again = await router.explain(call_for())
        single = await router.explain(call_for({**HELLO, "model": "one"}))

    assert several.session == again.session != ""
    assert "somebody" not in several.session
    assert "" == single.session


async def test_costs_are_those_of_the_tariff() -> None:
    priced = {**DEPLOYMENTS["plain"], "model": "claude-haiku-4-5"}
    unknown = {**DEPLOYMENTS["login"], "model": "something-else"}
    async with router_for({"claude-*": ["plain", "login"]}, plain=priced, login=unknown) as router:
        explanation = await router.explain(call_for())

    known, other = (each.cost for each in explanation.prospects)
    assert known is not None
    assert explanation.input_tokens is not None
    assert explanation.input_tokens == known.prompt  # a dollar for a million
    assert 5000 == known.answer  # a thousand tokens at five dollars for a million
    assert known.cached < known.prompt < known.written
    assert "" != known.source
    assert other is None


async def test_a_deployment_that_cannot_be_asked_says_why() -> None:
    dotted = {**DEPLOYMENTS["amazon"], "model": ".."}
    async with router_for({"claude-*": ["amazon", "plain"]}, amazon=dotted) as router:
        explanation = await router.explain(call_for())

    problems = {each.deployment: each.problem for each in explanation.prospects}
    assert "" == problems["plain"]
    assert "" != problems["amazon"]


async def test_one_deployment_alone_needs_no_alias() -> None:
    async with router_for({"claude-*": ["plain", "amazon"]}) as router:
        inside = await router.explain(call_for(), "amazon")
        outside = await router.explain(call_for({**HELLO, "model": "gpt"}), "login")

    assert ["amazon"] == [each.deployment for each in inside.prospects]
    assert "claude-*" == inside.prospects[0].alias
    assert [("login", "claude-gpt")] == [(e.deployment, e.model) for e in outside.prospects]
    assert ("", "") == (outside.alias, outside.matched)


async def test_several_keys_of_one_deployment_go_by_its_name() -> None:
    keys = {"provider": "anthropic", "api_keys": ["sk-1", "sk-2"]}
    async with router_for({"claude-*": "pool"}, pool=keys) as router:
        explanation = await router.explain(call_for(), "pool")

    assert ["pool#1", "pool#2"] == [each.deployment for each in explanation.prospects]


async def test_what_is_not_there_is_an_error() -> None:
    async with router_for({"claude-*": "plain"}) as router:
        with pytest.raises(llmroute.UnknownAliasError):
            await router.explain(call_for({**HELLO, "model": "gpt"}))
        with pytest.raises(llmroute.InvalidRequestError, match="no deployment is called nobody"):
            await router.explain(call_for(), "nobody")


async def test_what_a_platform_has_refused_is_left_out() -> None:
    """As it would be on the next call."""
    async with router_for({"claude-*": "amazon"}) as router:
        target = router._dispatcher.house.targets["amazon"]
        call = dataclasses.replace(call_for(), without=frozenset())
        before = await router.explain(call)
        target._learned[("eu.anthropic.claude-opus-5-5", "messages")] = {
            "anthropic-beta effort-2025-11-24": 1e12,
            "metadata": 1e12,
        }
        after = await router.explain(call)

    assert "metadata" in json.loads(before.prospects[0].body)
    assert "metadata" not in json.loads(after.prospects[0].body)
