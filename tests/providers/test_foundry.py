"""A Messages call as a request to Microsoft Foundry, and what its errors mean."""

import json

import pytest
from pydantic import ValidationError

from llmroute.errors import FaultError, MisconfiguredError, RateLimitedError, RejectedError
from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.foundry import PROVIDER, FoundryDeployment
from llmroute.wire.envelope import Envelope

BODY = b'{"model":"fast","max_tokens":9, "messages":[{"role":"user","content":"\\u0048i"}]}'
RESOURCE = "https://acme.services.ai.azure.com"


def prepared(body=BODY, model="my-claude", *, settings=None, **members):
    envelope = Envelope.parse(body)
    call = Call(envelope, "fast", stream=envelope.is_true("stream"), **members)
    deployment = FoundryDeployment(**{"base_url": RESOURCE, "api_key": "k", **(settings or {})})
    return PROVIDER.prepare(call, deployment, model)


def test_the_table_has_it():
    assert PROVIDER is PROVIDERS["foundry"]


def test_the_body_is_the_callers_but_for_the_deployments_name():
    request = prepared(query="beta=true")

    assert ("POST", f"{RESOURCE}/anthropic/v1/messages?beta=true") == (request.method, request.url)
    assert BODY.replace(b'"fast"', b'"my-claude"') == b"".join(request.body)
    assert [
        (b"content-type", b"application/json"),
        (b"anthropic-version", b"2023-06-01"),
    ] == request.headers
    assert () == request.losses


def test_a_body_that_needs_nothing_goes_out_as_it_is():
    assert BODY == b"".join(prepared(model="fast").body)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        pytest.param(RESOURCE, f"{RESOURCE}/anthropic/v1/messages", id="resource"),
        pytest.param(f"{RESOURCE}/", f"{RESOURCE}/anthropic/v1/messages", id="slash"),
        pytest.param(f"{RESOURCE}/anthropic", f"{RESOURCE}/anthropic/v1/messages", id="anthropic"),
        pytest.param(f"{RESOURCE}/models", f"{RESOURCE}/anthropic/v1/messages", id="models"),
        pytest.param(f"{RESOURCE}/openai/v1/", f"{RESOURCE}/anthropic/v1/messages", id="openai"),
        pytest.param(
            f"{RESOURCE}/api/projects/p", f"{RESOURCE}/anthropic/v1/messages", id="project"
        ),
        pytest.param(
            "https://gate.example/models",
            "https://gate.example/models/anthropic/v1/messages",
            id="gateways-own-path",
        ),
        pytest.param(f"{RESOURCE}/anthropic/v1", f"{RESOURCE}/anthropic/v1/messages", id="v1"),
        pytest.param(
            f"{RESOURCE}/anthropic/v1/messages", f"{RESOURCE}/anthropic/v1/messages", id="whole"
        ),
        pytest.param(
            "https://gate.example/claude/v1/messages",
            "https://gate.example/claude/v1/messages",
            id="gateway",
        ),
    ],
)
def test_the_address_is_completed(base, expected):
    assert expected == prepared(settings={"base_url": base}).url
    counting = prepared(settings={"base_url": base}, endpoint="count_tokens").url
    assert f"{expected}/count_tokens" == counting


def test_the_callers_version_and_betas_go_along():
    request = prepared(
        headers=[
            (b"anthropic-version", b"2026-10-21"),
            (b"anthropic-beta", b"effort-2025-11-24"),
            (b"anthropic-beta", b"new-thing-2027-01-01"),
            (b"x-app", b"cli"),
        ]
    )

    assert {
        (b"content-type", b"application/json"),
        (b"anthropic-version", b"2026-10-21"),
        (b"anthropic-beta", b"effort-2025-11-24,new-thing-2027-01-01"),
        (b"x-app", b"cli"),
    } == set(request.headers)


def test_the_deployments_own_headers_and_members_are_added():
    settings = {"headers": {"Api-Key": "h"}, "extra_body": {"top_k": 3, "max_tokens": 1}}
    request = prepared(settings=settings)

    assert (b"api-key", b"h") in request.headers
    body = json.loads(b"".join(request.body))
    assert (3, 9) == (body["top_k"], body["max_tokens"])


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="no-credential"),
        pytest.param({"tenant_id": "t", "client_id": "c"}, id="no-secret"),
        pytest.param({"client_secret": "s"}, id="a-secret-of-nobody"),
        pytest.param({"api_key": "k", "base_url": None}, id="no-address"),
        pytest.param({"api_key": "k", "forward_client_auth": True}, id="callers-credential"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings):
    with pytest.raises(ValidationError):
        FoundryDeployment(**{"base_url": RESOURCE, **settings})


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"managed_identity": True}, id="machine"),
        pytest.param({"headers": {"Api-Key": "k"}}, id="header"),
        pytest.param({"auth_token": "t"}, id="token"),
        pytest.param({"tenant_id": "t", "client_id": "c", "client_secret": "s"}, id="application"),
    ],
)
def test_any_credential_will_do(settings):
    assert FoundryDeployment(base_url=RESOURCE, **settings)


@pytest.mark.parametrize(
    ("status", "body", "cls", "kind", "message"),
    [
        pytest.param(
            401,
            {"error": {"code": "401", "message": "Access denied"}},
            MisconfiguredError,
            "authentication_error",
            "Access denied",
            id="key",
        ),
        pytest.param(
            404,
            {"error": {"code": "DeploymentNotFound", "message": "It does not exist."}},
            MisconfiguredError,
            "not_found_error",
            "DeploymentNotFound: It does not exist.",
            id="deployment",
        ),
        pytest.param(
            429,
            {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 7 seconds."},
            RateLimitedError,
            "rate_limit_error",
            "Rate limit is exceeded. Try again in 7 seconds.",
            id="gateway",
        ),
        pytest.param(
            400,
            {"error": {"code": "context_length_exceeded", "message": "Too much."}},
            RejectedError,
            "invalid_request_error",
            "prompt is too long: context_length_exceeded: Too much.",
            id="length",
        ),
        pytest.param(
            403,
            {
                "error": {
                    "code": "AuthorizationFailed",
                    "message": "6f9619ff-8b86-d011-b42d-00cf4fc964ff may not use"
                    " '/subscriptions/7f9619ff-8b86-d011-b42d-00cf4fc964ff/resourceGroups/acme/x'",
                }
            },
            MisconfiguredError,
            "permission_error",
            "AuthorizationFailed: (id) may not use '/subscriptions/(id)/resourceGroups/(group)/x'",
            id="whose",
        ),
        pytest.param(400, {"error": "no"}, RejectedError, "invalid_request_error", "no", id="text"),
        pytest.param(503, [], FaultError, "api_error", "Foundry answered 503", id="unreadable"),
    ],
)
def test_the_gateways_errors_are_worded_as_anthropics(status, body, cls, kind, message):
    error = PROVIDER.error(status, [(b"retry-after", b"7")], json.dumps(body).encode())

    assert (cls, status, 7.0) == (type(error), error.status, error.retry_after)
    assert {"type": "error", "error": {"type": kind, "message": message}} == json.loads(error.body)
    assert (kind, "") == (error.type, error.code)


def test_the_models_own_errors_are_left_as_they_are():
    body = b'{"type": "error",  "error": {"type": "overloaded_error", "message": "Overloaded"}}'

    assert body == PROVIDER.error(529, [], body).body


def test_the_models_own_error_keeps_its_code():
    described = {"type": "rate_limit_error", "details": {"error_code": "ramp_limit_exceeded"}}
    body = json.dumps({"type": "error", "error": described}).encode()
    error = PROVIDER.error(429, [], body)

    assert ("rate_limit_error", "ramp_limit_exceeded") == (error.type, error.code)
