"""Keys of a configuration at every door: what they may ask for, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from tests.asgi.conftest import MASTER_KEY, Gateway, config_for, serving

from llmroute.accounts.secrets import digest_of
from llmroute.testing import FakeUpstream

FREE, HAIKU, OF_TEAM, BLOCKED, ENDED = (
    f"sk-{name}-canary" for name in ("free", "haiku", "team", "blocked", "ended")
)
KEYS = {
    "free": {"key": FREE},
    "haiku only": {"sha256": digest_of(HAIKU).hex(), "aliases": ["claude-haiku-*", "us.*"]},
    "of a team": {"key": OF_TEAM, "team": "core"},
    "blocked": {"key": BLOCKED, "blocked": True},
    "ended": {"key": ENDED, "expires": "2020-01-01"},
}
MESSAGES = [{"role": "user", "content": "Hi"}]
BEDROCKS = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def config(url: str, **server: Any) -> dict[str, Any]:
    made = config_for(url, **server)
    made["aliases"] |= {BEDROCKS: "as-asked", "anthropic.claude-opus-5": "as-asked"}
    return {**made, "keys": KEYS, "teams": {"core": {"aliases": ["sonnet"]}}}


@pytest.fixture
def gateway(upstream: FakeUpstream) -> Iterator[Gateway]:
    with serving(config(upstream.url)) as gateway:
        yield gateway


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def listed(gateway: Gateway, key: str, path: str = "/v1/models", **headers: str) -> set[str]:
    reply = gateway.http.get(path, headers={**bearer(key), **headers})
    assert 200 == reply.status_code
    return {each["id"] for each in reply.json()["data"]}


def post(gateway: Gateway, key: str, model: str, path: str = "/v1/messages") -> httpx.Response:
    body = {"model": model, "max_tokens": 8, "messages": MESSAGES}
    return gateway.http.post(path, json=body, headers=bearer(key))


@pytest.mark.parametrize(
    ("key", "model", "status"),
    [
        pytest.param(MASTER_KEY, "sonnet", 200, id="master"),
        pytest.param(FREE, "sonnet", 200, id="for everything"),
        pytest.param(HAIKU, "claude-haiku-4-5", 200, id="its own"),
        pytest.param(HAIKU, "claude-opus-5", 403, id="another"),
        pytest.param(HAIKU, "sonnet", 403, id="an alias"),
        pytest.param(OF_TEAM, "sonnet", 200, id="the teams"),
        pytest.param(OF_TEAM, "claude-haiku-4-5", 403, id="not the teams"),
        pytest.param(BLOCKED, "sonnet", 403, id="blocked"),
        pytest.param(ENDED, "sonnet", 401, id="ended"),
        pytest.param("sk-nobody", "sonnet", 401, id="unknown"),
    ],
)
def test_a_key_may_ask_for_what_it_is_for(
    gateway: Gateway, upstream: FakeUpstream, key: str, model: str, status: int
) -> None:
    reply = post(gateway, key, model)

    assert status == reply.status_code
    assert (status == 200) == (len(upstream.requests) == 1)
    if status != 200:
        assert "false" == reply.headers["x-should-retry"]
    assert "canary" not in reply.text


def test_the_record_names_the_key_the_team_and_no_secret(gateway: Gateway) -> None:
    post(gateway, OF_TEAM, "sonnet")

    (record,) = gateway.records.wait()
    assert ("of a team", "core") == (record.key, record.team)
    assert "canary" not in repr(record)


REFUSED = "The key 'haiku only' may not ask for "


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        pytest.param(
            "/v1/messages",
            {"model": "sonnet", "max_tokens": 8, "messages": MESSAGES},
            403,
            ("error", "message"),
            id="messages",
        ),
        pytest.param(
            "/v1/messages",
            {"model": "sonnet", "max_tokens": 8, "messages": MESSAGES, "stream": True},
            403,
            ("error", "message"),
            id="a stream",
        ),
        pytest.param(
            "/anthropic/v1/messages",
            {"model": "sonnet", "max_tokens": 8, "messages": MESSAGES},
            403,
            ("error", "message"),
            id="below anthropic",
        ),
        pytest.param(
            "/v1/messages/count_tokens",
            {"model": "sonnet", "messages": MESSAGES},
            403,
            ("error", "message"),
            id="count",
        ),
        pytest.param(
            "/v1/chat/completions",
            {"model": "sonnet", "messages": MESSAGES},
            403,
            ("error", "message"),
            id="chat",
        ),
        pytest.param(
            "/v1/responses",
            {"model": "sonnet", "input": "Hi"},
            403,
            ("error", "message"),
            id="responses",
        ),
        pytest.param(
            "/bedrock/model/anthropic.claude-opus-5/invoke",
            {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 8, "messages": MESSAGES},
            401,  # as Claude Code repeats a 403 of Bedrock's
            ("message",),
            id="bedrock",
        ),
        pytest.param(
            "/vertex/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-5:rawPredict",
            {"anthropic_version": "vertex-2023-10-16", "max_tokens": 8, "messages": MESSAGES},
            403,
            ("error", "message"),
            id="vertex",
        ),
    ],
)
def test_every_door_refuses_in_its_own_shape_and_for_good(
    gateway: Gateway,
    upstream: FakeUpstream,
    path: str,
    body: dict[str, Any],
    status: int,
    words: tuple[str, ...],
) -> None:
    reply = gateway.http.post(path, json=body, headers=bearer(HAIKU))

    said = reply.json()
    for word in words:
        said = said[word]
    assert (status, "false") == (reply.status_code, reply.headers["x-should-retry"])
    assert said.startswith(REFUSED)
    assert "It may ask for: claude-haiku-*, us.*." in said
    assert [] == upstream.requests


def test_the_official_sdk_sees_a_permission_error_after_one_attempt(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    client = anthropic.Anthropic(base_url=gateway.url, auth_token=HAIKU, api_key=None)
    with pytest.raises(anthropic.PermissionDeniedError, match="may not ask for"):
        client.messages.create(
            model="sonnet", max_tokens=8, messages=[{"role": "user", "content": "Hi"}]
        )
    post(gateway, HAIKU, "claude-haiku-4-5")

    assert ["refused", "answered"] == [record.outcome for record in gateway.records.wait(2)]
    assert 1 == len(upstream.requests)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="openais"),
        pytest.param({"anthropic-version": "2023-06-01"}, id="anthropics"),
    ],
)
def test_the_list_of_models_is_what_the_key_may_ask_for(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    everything = listed(gateway, MASTER_KEY, **headers)

    assert {"sonnet", "claude-haiku-4-5", "claude-opus-5"} <= everything
    assert everything == listed(gateway, FREE, **headers)
    assert {"sonnet"} == listed(gateway, OF_TEAM, **headers)
    assert {name for name in everything if name.startswith(("claude-haiku-", "us."))} == listed(
        gateway, HAIKU, **headers
    )
    assert {"sonnet"} == listed(gateway, OF_TEAM, "/openai/v1/models", **headers)
    # What is Anthropic's own list for others is ours for a key that may not be relayed.
    assert {"sonnet"} == listed(gateway, OF_TEAM, "/anthropic/v1/models", **headers)


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}], ids=["any", "ours"])
def test_one_model_is_shown_to_who_may_ask_for_it(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    own, other = (
        gateway.http.get(f"/v1/models/{name}", headers={**bearer(HAIKU), **headers})
        for name in ("claude-haiku-4-5", "sonnet")
    )

    assert (200, 403) == (own.status_code, other.status_code)
    assert other.json()["error"]["message"].startswith(REFUSED)


def test_bedrocks_profiles_are_those_of_models_that_the_key_may_ask_for(gateway: Gateway) -> None:
    def profiles(key: str) -> set[str]:
        reply = gateway.http.get("/bedrock/inference-profiles", headers=bearer(key))
        return {each["inferenceProfileId"] for each in reply.json()["inferenceProfileSummaries"]}

    assert {BEDROCKS, "anthropic.claude-opus-5"} == profiles(FREE)
    assert {BEDROCKS} == profiles(HAIKU)
    assert set() == profiles(OF_TEAM)


@pytest.mark.parametrize(
    "path", ["/anthropic/v1/files", "/anthropic/v1/messages/batches", "/anthropic/api/anything"]
)
@pytest.mark.parametrize("key", [HAIKU, OF_TEAM], ids=["key", "team"])
def test_a_key_for_some_models_may_not_use_the_pass_through(
    gateway: Gateway, upstream: FakeUpstream, path: str, key: str
) -> None:
    reply = gateway.http.get(path, headers=bearer(key))

    assert (403, "false") == (reply.status_code, reply.headers["x-should-retry"])
    assert "may ask for some models only" in reply.json()["error"]["message"]
    assert [] == upstream.requests
    assert 403 != gateway.http.get(path, headers=bearer(FREE)).status_code
    assert 1 == len(upstream.requests)


def test_a_model_without_an_alias_is_not_for_a_key_for_some_models(
    upstream: FakeUpstream,
) -> None:
    made = config(upstream.url)
    made["aliases"] = {"claude-haiku-4-5": "as-asked", "sonnet": "sonnet-direct"}
    with serving(made) as gateway:
        free = post(gateway, FREE, "claude-haiku-9", "/anthropic/v1/messages")
        limited = post(gateway, HAIKU, "claude-haiku-9", "/anthropic/v1/messages")

    assert (200, 403) == (free.status_code, limited.status_code)
    assert "no alias of this llmroute proxy matches" in limited.json()["error"]["message"]
    assert 1 == len(upstream.requests)


@pytest.mark.parametrize("key", [HAIKU, FREE])
@pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-litellm-api-key", "x-anything"])
def test_no_key_goes_upstream_in_any_header(
    gateway: Gateway, upstream: FakeUpstream, name: str, key: str
) -> None:
    body = {"model": "claude-haiku-4-5", "max_tokens": 8, "messages": MESSAGES}
    gateway.http.post("/v1/messages", json=body, headers={**bearer(key), name: key})

    (received,) = upstream.requests
    assert all("canary" not in value for _, value in received.headers if name != "x-anything")


def test_without_a_master_key_the_keys_of_the_file_are_asked_for(upstream: FakeUpstream) -> None:
    made = config(upstream.url)
    del made["server"]["master_key"]
    with serving(made) as gateway:
        without = gateway.http.post(
            "/v1/messages", json={}, headers={"authorization": ""}
        ).status_code
        held = post(gateway, FREE, "sonnet").status_code

    assert (401, 200) == (without, held)


@pytest.mark.parametrize("path", ["/metrics", "/llmroute/deployments"])
@pytest.mark.parametrize(
    ("key", "status"),
    [
        pytest.param(MASTER_KEY, 200, id="master"),
        pytest.param(FREE, 403, id="a persons"),
        pytest.param(HAIKU, 403, id="a restricted one"),
    ],
)
def test_what_is_everybodys_is_the_master_keys(
    gateway: Gateway, path: str, key: str, status: int
) -> None:
    assert status == gateway.http.get(path, headers=bearer(key)).status_code
