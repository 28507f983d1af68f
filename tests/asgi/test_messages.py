"""What reaches the upstream and what comes back: everything, but for what is ours to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.asgi.conftest import MASTER_KEY, UPSTREAM_KEY, Gateway, config_for

from llmroute.testing import FakeUpstream, error, message, raw, text, thinking, tool_use

ODD = (
    b'{ "max_tokens":6.4e1,\n "model" : "%s", "messages":[{"role":"user",'
    b'"content":"\\u00e9 \xc3\xa9","model":"nested"}],"future":{"b":1,"a":[1.0,  2]},"stream":%s }'
)
CLAUDE_CODE_HEADERS = {
    "anthropic-version": "2026-10-21",
    "anthropic-beta": "claude-code-20250219,a-beta-of-tomorrow-2027-01-01",
    "anthropic-workspace-id": "wrkspc_1",
    "anthropic-whatever-comes": "yes",
    "x-claude-code-session-id": "00000000-0000-4000-8000-000000000001",
    "x-app": "cli",
    "user-agent": "claude-cli/2.1.330 (external, sdk-cli)",
}


@pytest.mark.parametrize("stream", [b"true", b"false"], ids=["streamed", "whole"])
def test_a_body_arrives_byte_for_byte_but_for_the_model(
    gateway: Gateway, upstream: FakeUpstream, stream: bytes
) -> None:
    gateway.http.post("/v1/messages?beta=true", content=ODD % (b"sonnet", stream))

    [received] = upstream.requests
    assert ODD % (b"claude-sonnet-4-5-20250929", stream) == received.body
    assert "beta=true" == received.query
    assert "/v1/messages" == received.path


def test_a_body_whose_alias_is_the_model_arrives_untouched(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    body = ODD % (b"claude-opus-5-5", b"true")
    gateway.http.post("/v1/messages", content=body)

    assert body == upstream.requests[0].body


def test_headers_of_the_api_pass_and_credentials_do_not(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    extra = {"cookie": "a=b", "x-litellm-api-key": MASTER_KEY, "x-forwarded-for": "10.0.0.1"}
    gateway.http.post(
        "/v1/messages", content=ODD % (b"sonnet", b"false"), headers=CLAUDE_CODE_HEADERS | extra
    )

    [received] = upstream.requests
    for name, value in CLAUDE_CODE_HEADERS.items():
        assert value == received.header(name)
    assert UPSTREAM_KEY == received.header("x-api-key")
    assert [None] * 4 == [
        received.header(name)
        for name in ("authorization", "cookie", "x-litellm-api-key", "x-forwarded-for")
    ]
    assert MASTER_KEY not in str(received.headers)


def test_a_version_is_supplied_where_the_client_sends_none(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    gateway.ask()

    assert "2023-06-01" == upstream.requests[0].header("anthropic-version")


ANSWERS = [
    pytest.param(text("Hello there."), id="text"),
    pytest.param(thinking("Hm.", then="So."), id="thinking"),
    pytest.param(tool_use("Bash", {"command": "echo hi"}), id="tool-use"),
    pytest.param(message(["One.", tool_use("Read", {})]), id="text-and-tool"),
    pytest.param(text("Snow ❄ and 𝄞.").bytewise(), id="bytewise"),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_stream_comes_back_byte_for_byte(
    gateway: Gateway, upstream: FakeUpstream, answer: Any
) -> None:
    upstream.answer(answer)
    reply = gateway.ask(model="claude-opus-5-5", stream=True)

    assert upstream.requests[0].sent == reply.content
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "no" == reply.headers["x-accel-buffering"]


@pytest.mark.parametrize("answer", ANSWERS[:-1])
def test_a_whole_answer_comes_back_byte_for_byte(
    gateway: Gateway, upstream: FakeUpstream, answer: Any
) -> None:
    upstream.answer(answer)
    reply = gateway.ask(model="claude-opus-5-5")

    assert upstream.requests[0].sent == reply.content
    assert "application/json" == reply.headers["content-type"]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_the_answers_model_is_the_one_asked_for_and_nothing_else_differs(
    gateway: Gateway, upstream: FakeUpstream, stream: bool
) -> None:
    reply = gateway.ask(stream=stream)

    sent = upstream.requests[0].sent
    assert b'"claude-sonnet-4-5-20250929"' in sent
    assert sent.replace(b'"claude-sonnet-4-5-20250929"', b'"sonnet"') == reply.content


def test_the_answer_says_who_answered_and_passes_the_upstreams_headers(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer(
        text("Hi")
        .header("anthropic-ratelimit-requests-remaining", "17")
        .header("anthropic-organization-id", "org")
        .header("set-cookie", "a=b")
    )
    reply = gateway.ask()

    assert "sonnet-direct" == reply.headers["x-llmroute-deployment"]
    assert "claude-sonnet-4-5-20250929" == reply.headers["x-llmroute-model"]
    assert "1" == reply.headers["x-llmroute-attempts"]
    (record,) = gateway.records.wait()
    assert record.id == reply.headers["x-llmroute-call"]
    assert "17" == reply.headers["anthropic-ratelimit-requests-remaining"]
    assert "org" == reply.headers["anthropic-organization-id"]
    assert reply.headers["request-id"].startswith("req_")
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        pytest.param(error(400, message="prompt is too long: 2 tokens > 1 maximum"), {}, id="400"),
        pytest.param(error(429, retry_after=7), {"retry-after": "7"}, id="429"),
        pytest.param(
            error(429, headers=[("anthropic-ratelimit-unified-status", "rejected")]),
            {"anthropic-ratelimit-unified-status": "rejected"},
            id="429-unified",
        ),
        pytest.param(
            error(529, headers=[("x-should-retry", "true")]), {"x-should-retry": "true"}, id="529"
        ),
        pytest.param(error(500), {}, id="500"),
        pytest.param(error(404, message="model: nope"), {}, id="404"),
        pytest.param(
            raw(502, [("content-type", "text/html")], b"<html>Bad gateway</html>"),
            {"content-type": "text/html"},
            id="502-html",
        ),
        pytest.param(raw(418, [], b"teapot"), {}, id="418-plain"),
    ],
)
def test_an_error_comes_back_as_it_was_sent(
    gateway: Gateway, upstream: FakeUpstream, answer: Any, headers: dict[str, str], stream: bool
) -> None:
    upstream.answer(answer)
    reply = gateway.ask(stream=stream)

    assert 1 == len(upstream.requests)
    assert upstream.requests[0].sent == reply.content
    assert answer.status == reply.status_code
    for name, value in headers.items():
        assert value == reply.headers[name]
    assert "sonnet-direct" == reply.headers["x-llmroute-deployment"]


def test_a_configured_credential_that_is_refused_is_not_tried_ten_times(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer(error(401, message="invalid x-api-key"))
    reply = gateway.ask()

    assert (401, "false") == (reply.status_code, reply.headers["x-should-retry"])
    assert upstream.requests[0].sent == reply.content


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/v1/messages", "/anthropic/v1/messages"])
def test_messages_are_served_at_every_path_a_client_makes_of_its_base_url(
    gateway: Gateway, upstream: FakeUpstream, path: str
) -> None:
    reply = gateway.ask(path + "?beta=true")

    assert 200 == reply.status_code
    assert ("/v1/messages", "beta=true") == (
        upstream.requests[0].path,
        upstream.requests[0].query,
    )


@pytest.mark.parametrize("path", ["", "/v1", "/anthropic"])
def test_tokens_are_counted_by_the_upstream(
    gateway: Gateway, upstream: FakeUpstream, path: str
) -> None:
    upstream.on("POST", "/v1/messages/count_tokens", raw(200, [], b'{"input_tokens": 42}'))
    reply = gateway.ask(path + "/v1/messages/count_tokens?beta=true")

    assert b'{"input_tokens": 42}' == reply.content
    assert "claude-sonnet-4-5-20250929" == upstream.requests[0].json["model"]


def test_tokens_are_estimated_where_the_upstream_cannot_count(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on("POST", "/v1/messages/count_tokens", error(404))
    reply = gateway.ask("/v1/messages/count_tokens")

    assert 200 == reply.status_code
    assert reply.json()["input_tokens"] > 1
    assert "true" == reply.headers["x-llmroute-estimated"]


def test_a_request_that_the_upstream_refuses_to_count_is_not_estimated(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on("POST", "/v1/messages/count_tokens", error(400, message="max_tokens: Extra inputs"))
    reply = gateway.ask("/v1/messages/count_tokens")

    assert 400 == reply.status_code


def test_extra_members_are_added_and_the_clients_own_win(
    upstream: FakeUpstream, serve: Callable[[dict[str, Any]], Gateway]
) -> None:
    config = config_for(upstream.url)
    config["deployments"]["as-asked"]["extra_body"] = {"service_tier": "auto", "top_k": 5}
    gateway = serve(config)
    gateway.ask(model="claude-opus-5-5", top_k=1)

    assert (1, "auto") == (
        upstream.requests[0].json["top_k"],
        upstream.requests[0].json["service_tier"],
    )


def test_a_second_deployment_answers_when_the_first_fails(
    upstream: FakeUpstream, serve: Callable[[dict[str, Any]], Gateway]
) -> None:
    config = config_for(upstream.url)
    config["aliases"]["sonnet"] = ["sonnet-direct", "as-asked"]
    gateway = serve(config)
    upstream.answer(error(529), text("Second."))
    reply = gateway.ask()

    assert ("as-asked", "2") == (
        reply.headers["x-llmroute-deployment"],
        reply.headers["x-llmroute-attempts"],
    )
    assert ["claude-sonnet-4-5-20250929", "sonnet"] == [r.json["model"] for r in upstream.requests]
    [record] = gateway.records.wait()
    assert ["sonnet-direct", "as-asked"] == [attempt.deployment for attempt in record.attempts]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "not valid JSON", id="empty"),
        pytest.param(b"{", "not valid JSON", id="cut"),
        pytest.param(b"[]", "not one object", id="array"),
        pytest.param(b'{"messages":[]}', "model: Field required", id="no-model"),
        pytest.param(b'{"model":7}', "model: Field required", id="model-is-a-number"),
        pytest.param(b'{"model":""}', "model: Field required", id="model-is-empty"),
    ],
)
def test_a_body_that_is_no_request_is_refused_in_the_apis_words(
    gateway: Gateway, upstream: FakeUpstream, body: bytes, message: str
) -> None:
    reply = gateway.http.post("/v1/messages", content=body)

    assert 400 == reply.status_code
    answer = reply.json()
    assert ("error", "invalid_request_error") == (answer["type"], answer["error"]["type"])
    assert message in answer["error"]["message"]
    assert "false" == reply.headers["x-should-retry"]
    assert [] == upstream.requests


def test_a_body_over_the_limit_is_refused_announced_or_not(
    upstream: FakeUpstream, serve: Callable[[dict[str, Any]], Gateway]
) -> None:
    gateway = serve(config_for(upstream.url, max_body_bytes=1_000))
    body = json.dumps({"model": "sonnet", "messages": "x" * 2_000}).encode()
    announced = gateway.http.post("/v1/messages", content=body)
    chunked = gateway.http.post("/v1/messages", content=iter([body[:500], body[500:]]))

    for reply in (announced, chunked):
        assert (413, "request_too_large") == (reply.status_code, reply.json()["error"]["type"])
    assert [] == upstream.requests


def test_an_unknown_alias_is_named_with_the_nearest_and_the_config(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    reply = gateway.ask(model="sonet")

    assert (404, "not_found_error") == (reply.status_code, reply.json()["error"]["type"])
    said = reply.json()["error"]["message"]
    assert "model not found: sonet" in said
    assert "'sonnet'" in said
    assert gateway.records.wait()[0].error.startswith("model not found: sonet")
    assert [] == upstream.requests


def test_below_anthropic_an_unknown_model_is_sent_as_asked(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    reply = gateway.ask("/anthropic/v1/messages", model="some-other-model")

    assert 200 == reply.status_code
    assert "some-other-model" == upstream.requests[0].json["model"]
    assert UPSTREAM_KEY == upstream.requests[0].header("x-api-key")


def test_what_the_upstream_did_not_get_to_see_is_in_a_header(
    serve: Callable[[dict[str, Any]], Gateway], upstream: FakeUpstream
) -> None:
    config = config_for(upstream.url)
    config["deployments"]["sonnet-direct"]["provider"] = "deepseek"
    gateway = serve(config)

    whole = gateway.ask()
    partly = gateway.ask(metadata={"user_id": "u"}, context_management={"edits": []})

    assert "x-llmroute-losses" not in whole.headers
    assert (
        "2; metadata: DeepSeek does not take it; context_management: DeepSeek does not take the "
        "beta it needs"
    ) == partly.headers["x-llmroute-losses"]
