"""Vertex AI's own format, and the SDK's clients for the clouds, against the proxy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from tests.asgi.conftest import MASTER_KEY, UPSTREAM_KEY, Gateway

from llmroute.testing import FakeUpstream, FakeVertex, error, message, text, tool_use

Serve = Callable[[dict[str, Any]], Gateway]

MODELS = "/projects/of-somebody/locations/us-east5/publishers/anthropic/models"
HELLO: dict[str, Any] = {
    "anthropic_version": "vertex-2023-10-16",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
ASKED: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}


def config_for(upstream: FakeUpstream) -> dict[str, Any]:
    native = {"provider": "anthropic", "base_url": upstream.url, "api_key": UPSTREAM_KEY}
    deployments = {"native": native, "team": {**native, "model": "claude-sonnet-5-5"}}
    return {
        "deployments": deployments,
        "aliases": {
            "claude-opus-*": "native",
            "claude-haiku-4-5": "native",
            "team/one": "team",
            "claude-opus-4@20250514": "team",
        },
        "server": {"master_key": MASTER_KEY},
    }


@pytest.fixture
def gateway(upstream: FakeUpstream, serve: Serve) -> Gateway:
    return serve(config_for(upstream))


@pytest.fixture
def vertex() -> Iterator[FakeVertex]:
    with FakeVertex() as fake:
        yield fake


@pytest.mark.parametrize("prefix", ["", "/v1", "/vertex", "/vertex/v1", "/v1beta1"])
def test_the_path_is_served_with_and_without_its_version(
    gateway: Gateway, upstream: FakeUpstream, prefix: str
) -> None:
    upstream.answer("Good morning.")
    answer = gateway.http.post(f"{prefix}{MODELS}/claude-opus-5-5:rawPredict", json=HELLO)

    assert "Good morning." == answer.json()["content"][0]["text"]
    assert {"model", "max_tokens", "messages"} == set(upstream.requests[0].json)


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        pytest.param("claude-opus-4-1@20250805", "claude-opus-4-1-20250805", id="a-pattern"),
        pytest.param("claude-opus-4@20250514", "claude-sonnet-5-5", id="an-alias-with-a-date"),
        pytest.param("claude-haiku-4-5@20251001", "claude-haiku-4-5", id="without-the-date"),
        pytest.param("claude-haiku-4-5%4020251001", "claude-haiku-4-5", id="escaped"),
        pytest.param("team%2Fone", "claude-sonnet-5-5", id="an-alias"),
    ],
)
def test_the_model_in_the_path_is_an_alias(
    gateway: Gateway, upstream: FakeUpstream, model: str, sent: str
) -> None:
    answer = gateway.http.post(f"{MODELS}/{model}:rawPredict", json=HELLO)

    assert 200 == answer.status_code
    assert sent == upstream.requests[0].json["model"]


def test_members_keep_their_bytes_and_betas_go_up(gateway: Gateway, upstream: FakeUpstream) -> None:
    body = (
        b'{"max_tokens":6.4e1,"messages":[ {"role":"user", "content":"\\u00e9"} ],"stream":true,'
        b'"anthropic_version":"vertex-2023-10-16","of_tomorrow":{"b":1, "a":1.0}}'
    )
    gateway.http.post(
        f"{MODELS}/claude-opus-5-5:streamRawPredict",
        content=body,
        headers={"anthropic-beta": "a-2026-01-01,tool-search-tool-2025-10-19"},
    )

    [received] = upstream.requests
    assert (
        b'{"model":"claude-opus-5-5","stream":true,"max_tokens":6.4e1,'
        b'"messages":[ {"role":"user", "content":"\\u00e9"} ],"of_tomorrow":{"b":1, "a":1.0}}'
    ) == received.body
    assert "a-2026-01-01,advanced-tool-use-2025-11-20" == received.header("anthropic-beta")


def test_between_equals_the_members_are_bytes(serve: Serve, vertex: FakeVertex) -> None:
    deployment = {
        "provider": "vertex",
        "base_url": vertex.url,
        "project": vertex.project,
        "credentials": vertex.service_account(),
    }
    gateway = serve(
        {
            "deployments": {"google": deployment},
            "aliases": {"claude-*": "google"},
            "server": {"master_key": MASTER_KEY},
        }
    )
    body = (
        b'{"messages":[ {"role":"user","content":"\\u00e9 "} ],"max_tokens":6.4e1,"stream":true,'
        b'"anthropic_version":"vertex-2023-10-16"}'
    )
    answer = gateway.http.post(f"{MODELS}/claude-opus-5-5:streamRawPredict", content=body)

    assert 200 == answer.status_code
    received = vertex.requests[-1]
    assert received.path.endswith("/claude-opus-5-5:streamRawPredict")
    assert "of-somebody" not in received.path
    assert json.loads(body) == received.json
    assert b'"messages":[ {"role":"user","content":"\\u00e9 "} ]' in received.body
    assert b'"max_tokens":6.4e1' in received.body
    assert received.sent == answer.content


@pytest.mark.parametrize(
    ("path", "headers", "status", "name"),
    [
        pytest.param("/nobody:rawPredict", {}, 404, "NOT_FOUND", id="no-alias"),
        pytest.param("/count-tokens:rawPredict", {}, 400, "INVALID_ARGUMENT", id="no-model"),
        pytest.param(
            "/claude-opus-5-5:rawPredict",
            {"authorization": "Bearer ya29.somebodys"},
            401,
            "UNAUTHENTICATED",
            id="no-key",
        ),
    ],
)
def test_what_is_refused_is_refused_as_google_does(
    gateway: Gateway,
    upstream: FakeUpstream,
    path: str,
    headers: dict[str, str],
    status: int,
    name: str,
) -> None:
    answer = gateway.http.post(MODELS + path, json=HELLO, headers=headers)

    assert (status, "false") == (answer.status_code, answer.headers["x-should-retry"])
    described = answer.json()["error"]
    assert (status, name) == (described["code"], described["status"])
    assert "nobody" not in path or "nobody" in described["message"]
    assert [] == upstream.requests


def test_an_error_of_the_model_is_anthropics(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(error(400, message="prompt is too long: 2 tokens > 1 maximum"))
    answer = gateway.http.post(f"{MODELS}/claude-opus-5-5:rawPredict", json=HELLO)

    assert upstream.requests[0].sent == answer.content


def test_a_token_of_googles_goes_no_further(serve: Serve, upstream: FakeUpstream) -> None:
    config = config_for(upstream)
    config["deployments"]["native"]["forward_client_auth"] = True
    serve(config).http.post(
        f"{MODELS}/claude-opus-5-5:rawPredict",
        json=HELLO,
        headers={"authorization": "Bearer ya29.somebodys", "x-api-key": MASTER_KEY},
    )

    assert None is upstream.requests[0].header("authorization")
    assert UPSTREAM_KEY == upstream.requests[0].header("x-api-key")


def vertex_client(url: str) -> anthropic.Anthropic:
    return anthropic.AnthropicVertex(
        base_url=url + "/v1",
        access_token=MASTER_KEY,
        project_id="of-somebody",
        region="us-east5",
        max_retries=0,
    )


def foundry_client(url: str) -> anthropic.Anthropic:
    return anthropic.AnthropicFoundry(
        base_url=url + "/anthropic", api_key=MASTER_KEY, max_retries=0
    )


def platform_on_aws_client(url: str) -> anthropic.Anthropic:
    return anthropic.AnthropicAWS(
        base_url=url,
        api_key=MASTER_KEY,
        workspace_id="wrkspc_1",
        aws_region="us-east-1",
        max_retries=0,
    )


CLIENTS = [
    pytest.param(vertex_client, id="vertex"),
    pytest.param(foundry_client, id="foundry"),
    pytest.param(platform_on_aws_client, id="claude-platform-on-aws"),
]


@pytest.mark.parametrize("client", CLIENTS)
def test_the_sdks_clients_for_the_clouds_talk_to_it(
    gateway: Gateway, upstream: FakeUpstream, client: Callable[[str], Any]
) -> None:
    use = tool_use("Bash", {"command": "ls"}, id="toolu_1")
    upstream.answer(
        "Good morning.",
        message(["Now.", use]),
        text("Good morning.").fail("overloaded_error", after_events=4),
        error(529),
    )
    with client(gateway.url) as cloud:
        whole = cloud.messages.create(**ASKED)
        with cloud.messages.stream(**ASKED) as stream:
            final = stream.get_final_message()
        with pytest.raises(anthropic.APIStatusError), cloud.messages.stream(**ASKED) as stream:
            stream.until_done()
        with pytest.raises(anthropic.InternalServerError):
            cloud.messages.create(**ASKED)

    assert ("Good morning.", "claude-opus-5-5") == (whole.content[0].text, whole.model)
    assert {"command": "ls"} == final.content[1].input
    assert all("anthropic_version" not in received.json for received in upstream.requests)
    assert MASTER_KEY not in str([received.headers for received in upstream.requests])


@pytest.mark.parametrize("client", CLIENTS)
def test_the_sdks_clients_count_tokens(
    gateway: Gateway, upstream: FakeUpstream, client: Callable[[str], Any]
) -> None:
    with client(gateway.url) as cloud:
        counted = cloud.messages.count_tokens(model="claude-opus-5-5", messages=ASKED["messages"])

    assert 0 < counted.input_tokens
    [received] = upstream.requests
    assert "/v1/messages/count_tokens" == received.path
    assert {"model", "messages"} == set(received.json)


def test_the_workspace_goes_up(gateway: Gateway, upstream: FakeUpstream) -> None:
    with platform_on_aws_client(gateway.url) as cloud:
        cloud.messages.create(**ASKED)

    assert "wrkspc_1" == upstream.requests[0].header("anthropic-workspace-id")
