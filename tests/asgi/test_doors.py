"""Every other path: keys, models, health, metrics, the pass-through."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.asgi.conftest import MASTER_KEY, UPSTREAM_KEY, Gateway, config_for

from llmroute.testing import FakeUpstream, error, raw, text

Serve = Callable[[dict[str, Any]], Gateway]
BODY = {"model": "sonnet", "max_tokens": 9, "messages": []}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": f"Bearer {MASTER_KEY}"}, id="bearer"),
        pytest.param({"authorization": f"bearer  {MASTER_KEY}"}, id="bearer-lower-case"),
        pytest.param({"x-api-key": MASTER_KEY}, id="x-api-key"),
        pytest.param({"x-litellm-api-key": MASTER_KEY}, id="x-litellm-api-key"),
        pytest.param({"x-litellm-api-key": f"Bearer {MASTER_KEY}"}, id="x-litellm-bearer"),
        pytest.param({"authorization": "Bearer no", "x-api-key": MASTER_KEY}, id="one-of-two"),
    ],
)
def test_the_master_key_is_taken_from_any_of_its_headers(
    gateway: Gateway, upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    gateway.http.headers.pop("authorization")
    reply = gateway.http.post("/v1/messages", json=BODY, headers=headers)

    assert 200 == reply.status_code
    assert UPSTREAM_KEY == upstream.requests[0].header("x-api-key")
    assert None is upstream.requests[0].header("authorization")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="missing"),
        pytest.param({"authorization": ""}, id="empty"),
        pytest.param({"authorization": "Bearer sk-wrong"}, id="wrong-bearer"),
        pytest.param({"x-api-key": MASTER_KEY[:-1]}, id="all-but-one-letter"),
        pytest.param({"x-api-key": "k€y".encode()}, id="not-ascii"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages"),
        ("POST", "/anthropic/v1/messages"),
        ("GET", "/v1/models"),
        ("GET", "/metrics"),
        ("GET", "/anthropic/v1/files"),
    ],
)
def test_without_the_key_nothing_is_served_and_nothing_is_worth_a_retry(
    gateway: Gateway, upstream: FakeUpstream, headers: Any, method: str, path: str
) -> None:
    gateway.http.headers.pop("authorization")
    reply = gateway.http.request(method, path, json=BODY, headers=headers)

    assert (401, "false") == (reply.status_code, reply.headers["x-should-retry"])
    assert ("error", "authentication_error") == (
        reply.json()["type"],
        reply.json()["error"]["type"],
    )
    assert "sk-wrong" not in reply.text
    assert [] == upstream.requests


def test_a_claude_login_is_forwarded_to_the_deployment_that_asks_for_it_and_to_no_other(
    upstream: FakeUpstream, serve: Serve
) -> None:
    config = config_for(upstream.url)
    config["deployments"]["login"] = {
        "provider": "anthropic",
        "base_url": upstream.url,
        "forward_client_auth": True,
    }
    config["aliases"]["mine"] = "login"
    gateway = serve(config)
    headers = {"x-litellm-api-key": MASTER_KEY, "authorization": "Bearer sk-ant-oat-canary"}
    for model in ("mine", "sonnet"):
        gateway.http.post("/v1/messages", json=BODY | {"model": model}, headers=headers)

    mine, other = upstream.requests
    assert ("Bearer sk-ant-oat-canary", None) == (
        mine.header("authorization"),
        mine.header("x-api-key"),
    )
    assert (None, UPSTREAM_KEY) == (other.header("authorization"), other.header("x-api-key"))
    assert MASTER_KEY not in str(mine.headers) + str(other.headers)


@pytest.mark.parametrize(
    "path", ["/health", "/health/liveliness", "/health/liveness", "/health/readiness"]
)
def test_health_needs_no_key_and_no_upstream(
    gateway: Gateway, upstream: FakeUpstream, path: str
) -> None:
    gateway.http.headers.pop("authorization")

    assert 200 == gateway.http.get(path).status_code
    assert [] == upstream.requests


def test_hello_is_answered(gateway: Gateway) -> None:
    assert (200, b"") == (
        gateway.http.head("/api/hello").status_code,
        gateway.http.head("/api/hello").content,
    )


def test_the_list_of_models_is_what_claude_codes_discovery_reads(gateway: Gateway) -> None:
    version = {"anthropic-version": "2023-06-01"}
    answer = gateway.http.get("/v1/models?limit=1000", headers=version).json()

    by_id = {model["id"]: model for model in answer["data"]}
    assert "claude-opus-5-5" in by_id
    assert {
        "type": "model",
        "id": "sonnet",
        "display_name": "Claude Sonnet 4.5",
        "created_at": "1970-01-01T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "lifecycle": "deprecated",
    } == by_id["sonnet"]
    assert (False, "sonnet") == (answer["has_more"], answer["first_id"])


def test_one_model_is_shown_and_an_unknown_one_is_not(gateway: Gateway) -> None:
    assert "sonnet" == gateway.http.get("/v1/models/sonnet").json()["id"]
    assert "claude-new-9" == gateway.http.get("/v1/models/claude-new-9").json()["id"]
    unknown = gateway.http.get("/v1/models/gpt-9")
    assert (404, "not_found_error") == (unknown.status_code, unknown.json()["error"]["type"])


def test_metrics_count_what_was_served(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(text("Hi"), error(529))
    gateway.ask()
    gateway.ask()
    gateway.ask(model="nope")
    gateway.records.wait(3)
    page = gateway.http.get("/metrics").text

    answered = 'alias="sonnet",deployment="sonnet-direct"'
    for line in (
        f'llmroute_requests_total{{{answered},outcome="answered",status="200"}} 1.0',
        f'llmroute_requests_total{{{answered},outcome="failed",status="529"}} 1.0',
        'llmroute_requests_total{alias="",deployment="",outcome="refused",status="404"} 1.0',
        'llmroute_failed_attempts_total{deployment="sonnet-direct",type="overloaded_error"} 1.0',
        f'llmroute_errors_total{{{answered},type="overloaded_error"}} 1.0',
        'llmroute_errors_total{alias="",deployment="",type="not_found_error"} 1.0',
        f'llmroute_cost_dollars_total{{{answered},team=""}} ',
        "llmroute_requests_in_flight 0.0",
        'llmroute_deployment_in_flight{deployment="sonnet-direct"} 0.0',
        'llmroute_deployment_up{deployment="as-asked"} 1.0',
        'llmroute_deployment_up{deployment="sonnet-direct"} 0.0',
        'llmroute_deployment_cooldowns_total{deployment="sonnet-direct"} 1.0',
    ):
        assert line in page


def test_other_paths_and_methods_are_refused_in_the_apis_shape(gateway: Gateway) -> None:
    missing = gateway.http.get("/v1/complete")
    wrong = gateway.http.get("/v1/messages")

    assert (404, "not_found_error") == (missing.status_code, missing.json()["error"]["type"])
    assert (405, "POST") == (wrong.status_code, wrong.headers["allow"])


def test_below_anthropic_any_path_is_relayed_with_the_deployments_credential(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on(
        "POST",
        "/v1/files",
        raw(201, [("content-type", "application/json"), ("x-odd", "kept")], b'{ "id":"file_1" }'),
    )
    reply = gateway.http.post(
        "/anthropic/v1/files?beta=true",
        content=iter([b"part one, ", b"part two"]),
        headers={"content-type": "multipart/form-data; boundary=b", "anthropic-beta": "files"},
    )

    assert (201, b'{ "id":"file_1" }', "kept") == (
        reply.status_code,
        reply.content,
        reply.headers["x-odd"],
    )
    [received] = upstream.requests
    assert ("/v1/files", "beta=true", b"part one, part two") == (
        received.path,
        received.query,
        received.body,
    )
    assert ("multipart/form-data; boundary=b", "files", UPSTREAM_KEY, None) == tuple(
        received.header(name)
        for name in ("content-type", "anthropic-beta", "x-api-key", "authorization")
    )
    [record] = gateway.records.wait()
    assert ("POST /anthropic/v1/files", 201) == (record.endpoint, record.status)


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_requests_without_a_body_are_relayed(
    gateway: Gateway, upstream: FakeUpstream, method: str
) -> None:
    upstream.on(method, "/v1/models/claude-x", raw(200, [("content-type", "text/plain")], b"x"))
    reply = gateway.http.request(method, "/anthropic/v1/models/claude-x")

    assert 200 == reply.status_code
    assert ("" if method == "HEAD" else "x") == reply.text
    assert (method, b"") == (upstream.requests[0].method, upstream.requests[0].body)


@pytest.mark.parametrize(
    "path", ["/anthropic/../v1/files", "/anthropic/%2e%2e/admin", "/anthropic/./x"]
)
def test_a_path_cannot_climb_out(gateway: Gateway, upstream: FakeUpstream, path: str) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(
            f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {MASTER_KEY}\r\n"
            "connection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: client.recv(65536), b""))

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
    assert [] == upstream.requests


def test_a_proxy_without_a_master_key_lets_everyone_in(
    upstream: FakeUpstream, serve: Serve
) -> None:
    config = config_for(upstream.url)
    del config["server"]
    gateway = serve(config)
    gateway.http.headers.pop("authorization")

    assert 200 == gateway.ask().status_code
    assert "local" == gateway.records.wait()[0].key


@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/files"])
def test_a_query_of_odd_bytes_is_quoted_where_a_url_needs_it(
    gateway: Gateway, upstream: FakeUpstream, path: str
) -> None:
    body = b'{"model":"sonnet","max_tokens":1,"messages":[]}'
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(
            f"POST {path}?beta=true&a=%20+b[]=".encode() + b"\xc3\xa9 HTTP/1.1\r\nhost: x\r\n"
            b"connection: close\r\nx-api-key: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (MASTER_KEY.encode(), len(body), body)
        )
        answer = b"".join(iter(lambda: client.recv(65536), b""))

    assert not answer.startswith(b"HTTP/1.1 500")
    assert ["beta=true&a=%20+b[]=%C3%A9"] == [r.query for r in upstream.requests] or (
        answer.startswith(b"HTTP/1.1 400") and [] == upstream.requests
    )
