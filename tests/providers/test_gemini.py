"""A Messages call as a request to Gemini, and what its errors mean."""

import json

import pytest
from pydantic import ValidationError

from llmroute.errors import FaultError, MisconfiguredError, RateLimitedError, RejectedError
from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.gemini import PROVIDER, GeminiDeployment, base_url
from llmroute.wire.envelope import Envelope

BODY = b'{"model":"fast","max_tokens":2000,"messages":[{"role":"user","content":"Hi"}]}'
MODEL = "gemini-3-pro-preview"
HOME = "https://generativelanguage.googleapis.com/v1beta"
CLOUD = "https://aiplatform.googleapis.com/v1beta1"
VERTEX = {"surface": "vertex", "project": "p"}


def prepared(model=MODEL, *, settings=None, stream=False, **members):
    call = Call(Envelope.parse(BODY), "fast", stream=stream, **members)
    return PROVIDER.prepare(call, GeminiDeployment(**(settings or {})), model)


def body_of(request):
    return json.loads(b"".join(request.body))


def test_the_table_has_it():
    assert PROVIDER is PROVIDERS["gemini"]


@pytest.mark.parametrize(
    ("settings", "model", "members", "url"),
    [
        pytest.param({}, MODEL, {}, f"{HOME}/models/{MODEL}:generateContent", id="whole"),
        pytest.param(
            {},
            MODEL,
            {"stream": True},
            f"{HOME}/models/{MODEL}:streamGenerateContent?alt=sse",
            id="stream",
        ),
        pytest.param(
            {},
            MODEL,
            {"endpoint": "count_tokens"},
            f"{HOME}/models/{MODEL}:countTokens",
            id="count",
        ),
        pytest.param(
            {}, f"models/{MODEL}", {}, f"{HOME}/models/{MODEL}:generateContent", id="full"
        ),
        pytest.param(
            {}, "../x?y#z:w", {}, f"{HOME}/models/..%2Fx%3Fy%23z%3Aw:generateContent", id="odd"
        ),
        pytest.param(
            {"base_url": "https://a.example/g", "api_version": "v1"},
            MODEL,
            {},
            f"https://a.example/g/v1/models/{MODEL}:generateContent",
            id="own-address",
        ),
        pytest.param(
            VERTEX,
            MODEL,
            {},
            f"{CLOUD}/projects/p/locations/global/publishers/google/models/{MODEL}:generateContent",
            id="vertex",
        ),
        pytest.param(
            {"surface": "vertex", "location": "us-east5"},
            "endpoints/17",
            {},
            "https://us-east5-aiplatform.googleapis.com/v1beta1/projects/{project}"
            "/locations/us-east5/endpoints/17:generateContent",
            id="an-endpoint-in-the-credentials-project",
        ),
        pytest.param(
            {"surface": "vertex", "api_key": "k"},
            MODEL,
            {},
            f"{CLOUD}/publishers/google/models/{MODEL}:generateContent",
            id="express",
        ),
    ],
)
def test_addresses(settings, model, members, url):
    assert ("POST", url) == prepared(model, settings=settings, **members)[:2]


def test_the_address_people_see():
    assert HOME == base_url(GeminiDeployment())


def test_none_of_anthropics_headers_goes_there():
    request = prepared(
        settings={"headers": {"X-Team": "a"}},
        headers=[(b"anthropic-version", b"2023-06-01"), (b"x-claude-code-session-id", b"s")],
    )

    assert [(b"content-type", b"application/json"), (b"x-team", b"a")] == request.headers


def test_tokens_are_counted_with_the_whole_request():
    whole = body_of(prepared())
    studio = body_of(prepared(endpoint="count_tokens"))
    vertex = body_of(prepared(settings=VERTEX, endpoint="count_tokens"))

    assert {"generateContentRequest": {"model": f"models/{MODEL}", **whole}} == studio
    assert {"contents": whole["contents"]} == vertex


def test_what_the_deployment_sets():
    own = {"labels": {"team": "a"}, "generationConfig": {"seed": 7}}
    body = body_of(prepared(settings={"safety_filter": "none", "extra_body": own}))

    assert {"team": "a"} == body["labels"]
    assert {"maxOutputTokens": 10192, "seed": 7} == body["generationConfig"]
    shorter = body_of(
        prepared(settings={"extra_body": {"generationConfig": {"maxOutputTokens": 1}}})
    )
    assert {"maxOutputTokens": 1} == shorter["generationConfig"]
    assert 4 == len(body["safetySettings"])
    assert {"OFF"} == {setting["threshold"] for setting in body["safetySettings"]}


def test_what_is_lost_is_told():
    tools = [{"type": "advisor_20260301"}, {"name": "read", "input_schema": {"type": "object"}}]
    call = Call(Envelope.of({"messages": [], "tools": tools}), "fast")

    assert 1 == len(PROVIDER.prepare(call, GeminiDeployment(), MODEL).losses)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"location": "us/../eu"}, id="location"),
        pytest.param({"project": "a/b"}, id="project"),
        pytest.param({"credentials": "7"}, id="credentials"),
        pytest.param({"forward_client_auth": True}, id="forwarding"),
        pytest.param({"base_model": "claude-opus-5"}, id="of-another-provider"),
    ],
)
def test_settings_that_are_refused(settings):
    with pytest.raises(ValidationError):
        GeminiDeployment(**settings)


def test_no_secret_is_shown():
    assert "canary" not in repr(GeminiDeployment(api_key="canary", auth_token="canary"))


def google(code, message, status="INVALID_ARGUMENT", **details):
    error = {"code": code, "message": message, "status": status, **details}
    return json.dumps({"error": error}).encode()


WAIT = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.2s"}
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."


@pytest.mark.parametrize(
    ("status", "body", "kind", "expected", "message"),
    [
        pytest.param(
            400,
            google(400, TOO_LONG),
            RejectedError,
            400,
            "prompt is too long: 1200000 tokens > 1048576 maximum",
            id="overflow",
        ),
        pytest.param(
            400, google(400, "Bad", details=[BAD_KEY]), MisconfiguredError, 401, "Bad", id="key"
        ),
        pytest.param(
            400,
            google(400, "API key expired. Please renew the API key."),
            MisconfiguredError,
            401,
            "API key expired. Please renew the API key.",
            id="expired-key",
        ),
        pytest.param(
            400,
            google(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
            MisconfiguredError,
            403,
            "User location is not supported for the API use.",
            id="location",
        ),
        pytest.param(
            429,
            google(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"),
            MisconfiguredError,
            402,
            "Your prepayment credits are depleted.",
            id="billing",
        ),
        pytest.param(
            404,
            b"[" + google(404, "models/x is not found", "NOT_FOUND") + b"]",
            MisconfiguredError,
            404,
            "models/x is not found",
            id="in-a-list",
        ),
        pytest.param(
            503,
            google(503, "The model is overloaded.", "UNAVAILABLE"),
            FaultError,
            503,
            "The model is overloaded.",
            id="overloaded",
        ),
        pytest.param(
            403,
            google(403, "Permission denied on resource project acme-42.", "PERMISSION_DENIED"),
            MisconfiguredError,
            403,
            "Permission denied on resource project (project).",
            id="names-a-project",
        ),
        pytest.param(502, b"<html>", FaultError, 502, "Gemini answered 502", id="no-json"),
    ],
)
def test_errors_in_anthropics_words(status, body, kind, expected, message):
    error = PROVIDER.error(status, [(b"content-type", b"text/html")], body)

    assert (kind, expected) == (type(error), error.status)
    assert message == json.loads(error.body)["error"]["message"]


def test_an_error_says_when_to_come_back_and_what_google_calls_it():
    body = google(429, "Quota exceeded", "RESOURCE_EXHAUSTED", details=[WAIT])
    error = PROVIDER.error(429, [], body)

    assert (RateLimitedError, 37.0, "RESOURCE_EXHAUSTED", "rate_limit_error") == (
        type(error),
        error.retry_after,
        error.code,
        error.type,
    )


def test_a_signature_that_is_refused_can_be_left_out():
    refused = PROVIDER.refused("400 invalid_request_error: Invalid thought signature.")

    assert refused
    assert not PROVIDER.refused("Function call is missing a thought_signature")
    assert b"skip_thought" not in b"".join(prepared(without=refused).body)
