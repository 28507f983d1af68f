"""What may not get through the pass-through."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.asgi.conftest import MASTER_KEY, Gateway, config_for

from llmroute.asgi.passthrough import is_counted_nowhere
from llmroute.testing import FakeUpstream, raw


def ask(gateway: Gateway, path: str) -> bytes:
    """Send a path as it is spelled; return the status line."""
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {MASTER_KEY}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(request.encode("latin-1"))
        return connection.recv(65536).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "path",
    [
        "/anthropic%2fv1/files",
        "/anthropic%2f@192.0.2.1/v1/files",
        "/%61nthropic/v1/files",
    ],
)
def test_a_prefix_that_is_spelled_otherwise_is_refused(
    gateway: Gateway, upstream: FakeUpstream, path: str
) -> None:
    assert b"HTTP/1.1 400 Bad Request" == ask(gateway, path)
    assert [] == upstream.requests


@pytest.mark.parametrize("value", [MASTER_KEY, f"Bearer {MASTER_KEY}"], ids=["bare", "bearer"])
@pytest.mark.parametrize("name", ["api-key", "x-goog-api-key", "x-anything"])
def test_the_master_key_goes_up_in_no_header(
    gateway: Gateway, upstream: FakeUpstream, name: str, value: str
) -> None:
    gateway.http.get("/anthropic/v1/files", headers={name: value})

    (received,) = upstream.requests
    assert None is received.header(name)


def test_what_belongs_to_the_connection_stays_with_it(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on("POST", "/v1/files", raw(200, [("connection", "x-down"), ("x-down", "1")], b"{}"))
    up = {"connection": "x-up, content-length", "x-up": "1", "expect": "100-continue"}

    reply = gateway.http.post("/anthropic/v1/files", content=b"abc", headers=up)

    (received,) = upstream.requests
    assert None is received.header("x-up")
    assert None is received.header("expect")
    assert b"abc" == received.body
    assert (200, b"{}") == (reply.status_code, reply.content)
    assert "x-down" not in reply.headers


def test_a_status_that_no_server_can_send_is_an_error(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on("GET", "/v1/files", raw(999))

    reply = gateway.http.get("/anthropic/v1/files")

    assert 502 == reply.status_code
    assert "api_error" == reply.json()["error"]["type"]


def test_a_redirect_does_not_lead_a_client_and_its_key_elsewhere(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on("GET", "/v1/files", raw(307, [("location", "https://elsewhere.example/")]))
    reply = gateway.http.get("/anthropic/v1/files")

    assert 307 == reply.status_code
    assert "location" not in reply.headers


@pytest.mark.parametrize(
    "path",
    [
        "/anthropic/v1/messages/",
        "/anthropic/v1//messages",
        "/anthropic//v1/messages",
        "/anthropic/v1/Messages",
        "/anthropic/v1/messages/count_tokens/",
        "/anthropic/v1/%6Dessages/",
    ],
)
def test_a_messages_request_that_is_spelled_otherwise_is_not_relayed_uncounted(
    gateway: Gateway, upstream: FakeUpstream, path: str
) -> None:
    body = {"model": "sonnet", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
    reply = gateway.http.post(path, json=body)

    assert (404, "false") == (reply.status_code, reply.headers["x-should-retry"])
    assert [] == upstream.requests


@pytest.mark.parametrize(
    ("method", "path", "uncounted"),
    [
        pytest.param("POST", "/anthropic/v1/messages/batches", True, id="a batch"),
        pytest.param("post", "/anthropic/v1/messages/batches", True, id="in lower case"),
        pytest.param("GET", "/anthropic/v1/messages/batches", False, id="a list of batches"),
        pytest.param("POST", "/anthropic/v1/messages/batches/b/cancel", False, id="its end"),
        pytest.param("DELETE", "/anthropic/v1/messages/batches/b", False, id="its deletion"),
        pytest.param("POST", "/anthropic/v1/files", False, id="a file"),
        pytest.param("POST", "/anthropic/v1/filesystem", True, id="a beginning of that"),
        pytest.param("POST", "/anthropic/api/event_logging/batch", False, id="telemetry"),
        pytest.param("POST", "/anthropic/v1/agents", True, id="what there is tomorrow"),
    ],
)
def test_what_a_model_may_have_a_part_in_is_counted_nowhere(
    method: str, path: str, uncounted: bool
) -> None:
    assert uncounted == is_counted_nowhere(method, path)


@pytest.mark.parametrize("path", ["/v1/organizations/api_keys", "//v1/Organizations/x/y"])
def test_what_the_organization_has_is_the_master_keys(
    upstream: FakeUpstream, serve: Callable[[dict[str, Any]], Gateway], path: str
) -> None:
    gateway = serve(config_for(upstream.url) | {"keys": {"ada": {"key": "sk-adas-0123456789"}}})
    path = f"/anthropic{path}"
    held = gateway.http.get(path, headers={"authorization": "Bearer sk-adas-0123456789"})

    assert (403, "permission_error") == (held.status_code, held.json()["error"]["type"])
    assert [] == upstream.requests
    assert 403 != gateway.http.get(path).status_code
    assert 1 == len(upstream.requests)


def test_a_model_has_no_name_without_end(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.ask("/anthropic/v1/messages", model="m" * 100_000)

    assert 404 == reply.status_code
    assert len(reply.content) < 2000
    assert [] == upstream.requests
