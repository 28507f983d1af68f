"""The router in front of Microsoft Foundry: keys, tokens, and errors told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import llmroute
from llmroute.config import load_dict
from llmroute.testing import (
    Clock,
    FakeEntra,
    FakeFoundry,
    FakeUpstream,
    azure_error,
    thinking,
    tool_use,
)
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
KEY = {"api_key": "fake-key"}
APPLICATION = {
    "tenant_id": "fake-tenant",
    "client_id": "fake-client",
    "client_secret": "fake-secret",
}


@pytest.fixture
def foundry() -> Iterator[FakeFoundry]:
    with FakeFoundry(deployments={"my-claude"}) as fake:
        yield fake


def router_for(
    foundry: FakeFoundry, other: FakeUpstream | None = None, **settings: Any
) -> llmroute.Router:
    azure = {
        "provider": "foundry",
        "base_url": foundry.url,
        "model": "my-claude",
        "base_model": "claude-opus-5-5",
        **settings,
    }
    deployments: dict[str, Any] = {"azure": azure}
    if other is not None:
        deployments["direct"] = {"provider": "anthropic", "base_url": other.url, "api_key": "k"}
    config = {"deployments": deployments, "aliases": {"opus": list(deployments)}}
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


async def test_a_whole_answer_bears_the_name_that_was_asked_for(foundry: FakeFoundry) -> None:
    async with router_for(foundry, **KEY) as router:
        answer = await router.complete(model="opus", **HELLO)

    assert ("opus", "azure") == (answer.model, answer.deployment)
    assert "my-claude" == foundry.requests[0].json["model"]


async def test_a_stream_is_the_one_anthropic_would_send(foundry: FakeFoundry) -> None:
    foundry.answer(thinking("A list.", then=tool_use("Bash", {"command": "ls"}, id="toolu_1")))
    async with router_for(foundry, **KEY) as router, router.stream(model="opus", **HELLO) as stream:
        final = await stream.message()

    assert ["Bash"] == [use["name"] for use in final.tool_uses]


async def test_tokens_are_counted_upstream(foundry: FakeFoundry) -> None:
    async with router_for(foundry, **KEY) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])

    assert "/anthropic/v1/messages/count_tokens" == foundry.requests[-1].path


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(APPLICATION, id="application"),
        pytest.param({"managed_identity": True}, id="machine"),
        pytest.param(
            {
                "client_id": "fake-client",
                "username": "fake-user@fake.example",
                "password": "fake-password",
            },
            id="user",
        ),
    ],
)
async def test_many_calls_need_one_token(foundry: FakeFoundry, settings: dict[str, Any]) -> None:
    with FakeEntra(foundry) as entra:
        places = {"authority": entra.url, "identity_endpoint": entra.url}
        router = router_for(foundry, **settings, **places)
        async with router, anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(lambda: router.complete(model="opus", **HELLO))

    assert (1, 10) == (entra.given, len(foundry.requests))
    assert {None} == {request.header("x-api-key") for request in foundry.requests}


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(
            {"azure_username": "fake-user@fake.example", "azure_password": "fake-password"},
            id="user",
        ),
        pytest.param({"azure_ad_token": "oidc/azure/"}, id="federated"),
    ],
)
async def test_litellms_ways_to_a_token_lead_to_an_answer(
    foundry: FakeFoundry, tmp_path: Path, params: dict[str, str]
) -> None:
    (tmp_path / "token").write_text("fake-assertion")
    params = {"model": "azure_ai/my-claude", "api_base": foundry.url, **params}
    entry = {"model_name": "opus", "litellm_params": params}
    with FakeEntra(foundry) as entra:
        environ = {
            "AZURE_AUTHORITY_HOST": f"{entra.url}/",
            "AZURE_TENANT_ID": "fake-tenant",
            "AZURE_CLIENT_ID": "fake-client",
            "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        }
        async with llmroute.Router(load_dict({"model_list": [entry]}, environ)) as router:
            await router.complete(model="opus", **HELLO)

    assert (1, 1) == (entra.given, len(foundry.requests))


async def test_a_token_that_was_revoked_is_replaced_in_mid_session(foundry: FakeFoundry) -> None:
    with FakeEntra(foundry) as entra:
        async with router_for(foundry, authority=entra.url, **APPLICATION) as router:
            await router.complete(model="opus", **HELLO)
            foundry.tokens.clear()
            answer = await router.complete(model="opus", **HELLO)

    assert ("azure", 2) == (answer.deployment, entra.given)


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        pytest.param({"api_key": "wrong"}, 401, id="key"),
        pytest.param({**KEY, "model": "unknown"}, 404, id="deployment"),
    ],
)
async def test_what_is_configured_wrongly_is_told_in_anthropics_shape(
    foundry: FakeFoundry, settings: dict[str, Any], status: int
) -> None:
    async with router_for(foundry, **settings) as router:
        with pytest.raises(llmroute.MisconfiguredError) as caught:
            await router.complete(model="opus", **HELLO)

    assert status == caught.value.status
    assert caught.value.body.startswith(b'{"type":"error","error":{"type":')


async def test_a_busy_gateway_gives_way(foundry: FakeFoundry) -> None:
    foundry.default = azure_error(429, "Rate limit is exceeded. Try again in 90 seconds.").header(
        "retry-after", "90"
    )
    with FakeUpstream() as other:
        async with router_for(foundry, other, **KEY) as router:
            answer = await router.complete(model="opus", **HELLO)

    assert "direct" == answer.deployment
