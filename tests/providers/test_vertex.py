"""A Messages call as a request to Vertex AI, and what its errors mean."""

import json

import pytest
from pydantic import ValidationError

from llmroute.errors import FaultError, MisconfiguredError, RateLimitedError, RejectedError
from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.vertex import PROVIDER, VertexDeployment, base_url
from llmroute.wire.envelope import Envelope

BODY = b'{"model":"fast","max_tokens":9, "messages":[{"role":"user","content":"\\u0048i"}]}'
MODEL = "claude-opus-5-5"
AT_HOME = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/anthropic"


def call_of(body=BODY, **members):
    envelope = Envelope.parse(body)
    return Call(envelope, "fast", stream=envelope.is_true("stream"), **members)


def prepared(body=BODY, model=MODEL, *, settings=None, **members):
    deployment = VertexDeployment(**{"project": "p", **(settings or {})})
    return PROVIDER.prepare(call_of(body, **members), deployment, model)


def test_the_table_has_it():
    assert PROVIDER is PROVIDERS["vertex"]


def test_the_body_is_the_callers_without_what_stands_in_the_path():
    request = prepared()

    assert ("POST", f"{AT_HOME}/models/claude-opus-5-5:rawPredict") == (request.method, request.url)
    assert [(b"content-type", b"application/json")] == request.headers
    assert (
        b'{"max_tokens":9,"messages":[{"role":"user","content":"\\u0048i"}],'
        b'"anthropic_version":"vertex-2023-10-16"}'
    ) == b"".join(request.body)
    assert () == request.losses


def test_a_stream_has_its_own_method_and_says_so_in_the_body():
    request = prepared(BODY.replace(b'"fast"', b'"fast","stream":true'))

    assert f"{AT_HOME}/models/claude-opus-5-5:streamRawPredict" == request.url
    assert True is json.loads(b"".join(request.body))["stream"]


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        pytest.param("claude-haiku-4-5@20251001", "claude-haiku-4-5@20251001", id="dated"),
        pytest.param(
            "claude-haiku-4-5-20251001", "claude-haiku-4-5@20251001", id="anthropics-date"
        ),
        pytest.param("claude-opus-4-8", "claude-opus-4-8", id="undated"),
        pytest.param("../../x?y#z:w", "..%2F..%2Fx%3Fy%23z%3Aw", id="nothing-escapes-the-segment"),
    ],
)
def test_a_model_is_one_segment_of_the_path(model, segment):
    assert f"{AT_HOME}/models/{segment}:rawPredict" == prepared(model=model).url


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, "https://aiplatform.googleapis.com/v1", id="global"),
        pytest.param({"location": "us"}, "https://aiplatform.us.rep.googleapis.com/v1", id="us"),
        pytest.param({"location": "eu"}, "https://aiplatform.eu.rep.googleapis.com/v1", id="eu"),
        pytest.param(
            {"location": "europe-west1"},
            "https://europe-west1-aiplatform.googleapis.com/v1",
            id="region",
        ),
        pytest.param({"base_url": "https://a.example"}, "https://a.example/v1", id="own"),
        pytest.param({"base_url": "https://a.example/g/v1"}, "https://a.example/g/v1", id="path"),
    ],
)
def test_the_address_is_the_locations_or_the_configured_one(settings, expected):
    assert expected == base_url(VertexDeployment(**settings))


def test_a_project_that_is_not_named_is_left_for_the_credential_to_tell():
    request = prepared(settings={"project": None})

    assert "/v1/projects/{project}/locations/global/" in request.url


def test_tokens_are_counted_with_the_model_in_the_body():
    request = prepared(model="claude-haiku-4-5-20251001", endpoint="count_tokens")

    assert f"{AT_HOME}/models/count-tokens:rawPredict" == request.url
    body = json.loads(b"".join(request.body))
    assert "claude-haiku-4-5@20251001" == body["model"]
    assert "vertex-2023-10-16" == body["anthropic_version"]


def test_of_anthropics_headers_only_the_betas_go_there():
    request = prepared(
        headers=[
            (b"anthropic-version", b"2023-06-01"),
            (b"anthropic-beta", b"interleaved-thinking-2025-05-14, no-such-beta-2020-01-01"),
            (b"anthropic-beta", b"claude-code-20250219"),
            (b"anthropic-workspace-id", b"w"),
            (b"user-agent", b"claude-cli/2"),
        ]
    )

    assert [
        (b"content-type", b"application/json"),
        (b"user-agent", b"claude-cli/2"),
        (b"anthropic-beta", b"interleaved-thinking-2025-05-14,claude-code-20250219"),
    ] == request.headers
    assert 1 == len(request.losses)


WORKSPACE = (
    "https://claude.googleapis.com/v1/projects/p/locations/global/workspaces/wrkspc_1/invoke"
)
NATIVE = {"surface": "messages", "workspace_id": "wrkspc_1"}


def test_the_messages_api_gets_what_a_model_of_another_generation_takes():
    body = BODY.replace(b"}]}", b'}], "thinking": {"type": "adaptive"}}')
    request = prepared(body, "claude-haiku-4-5", settings=NATIVE)

    assert "thinking" not in json.loads(b"".join(request.body))
    assert ["thinking"] == [loss.partition(":")[0] for loss in request.losses]


def test_the_messages_api_gets_the_callers_request_as_it_is():
    body = BODY.replace(b"}]}", b'}], "speed": "fast", "thread": {"type": "create"}}')
    headers = [
        (b"anthropic-version", b"2030-01-01"),
        (b"anthropic-beta", b"of-tomorrow"),
        (b"anthropic-beta", b"message-threads-2026-08-12"),
        (b"user-agent", b"claude-cli/2"),
    ]
    request = prepared(body, "fast", settings=NATIVE, headers=headers, query="beta=true")

    assert ("POST", f"{WORKSPACE}/v1/messages?beta=true") == (request.method, request.url)
    assert body == b"".join(request.body)
    assert [(b"content-type", b"application/json"), *headers] == request.headers
    assert () == request.losses


def test_the_messages_api_has_anthropics_names_and_its_version():
    request = prepared(model="claude-haiku-4-5-20251001", settings=NATIVE)

    body = BODY.replace(b'"fast"', b'"claude-haiku-4-5-20251001"')
    assert json.loads(body) == json.loads(b"".join(request.body))
    assert (b"anthropic-version", b"2023-06-01") in request.headers


@pytest.mark.parametrize(
    ("settings", "members", "expected"),
    [
        pytest.param(
            {}, {"endpoint": "count_tokens"}, f"{WORKSPACE}/v1/messages/count_tokens", id="count"
        ),
        pytest.param(
            {"location": "us-central1"},
            {},
            f"{WORKSPACE}/v1/messages".replace("global", "us-central1"),
            id="location",
        ),
        pytest.param(
            {"project": None},
            {},
            f"{WORKSPACE}/v1/messages".replace("/p/", "/{project}/"),
            id="project-of-the-credentials",
        ),
        pytest.param(
            {"base_url": "https://a.example"},
            {},
            f"{WORKSPACE}/v1/messages".replace("claude.googleapis.com", "a.example"),
            id="own-address",
        ),
    ],
)
def test_the_messages_apis_address_is_the_workspaces(settings, members, expected):
    assert expected == prepared(settings={**NATIVE, **settings}, **members).url


def test_the_messages_api_gets_the_deployments_own_headers_and_members():
    own = {"headers": {"Anthropic-Beta": "mine"}, "extra_body": {"max_tokens": 1, "speed": "fast"}}
    theirs = [(b"anthropic-beta", b"theirs")]
    request = prepared(settings={**NATIVE, **own}, headers=theirs)
    count = prepared(settings={**NATIVE, **own}, headers=theirs, endpoint="count_tokens")

    sent = json.loads(b"".join(request.body))
    assert (9, "fast") == (sent["max_tokens"], sent["speed"])
    assert "speed" not in json.loads(b"".join(count.body))
    assert [b"mine"] == [value for name, value in request.headers if name == b"anthropic-beta"]


@pytest.mark.parametrize("surface", ["predict", "messages"])
def test_what_is_refused_is_learned_where_requests_are_fitted(surface):
    assert (surface == "predict") is VertexDeployment(surface=surface).learns


@pytest.mark.parametrize("workspace", ["", "a/b", "..", "wrkspc_1?x"])
def test_a_workspace_is_one_segment_of_the_path(workspace):
    with pytest.raises(ValidationError):
        VertexDeployment(surface="messages", workspace_id=workspace)


def test_the_deployments_own_headers_and_members_are_added():
    request = prepared(
        settings={"headers": {"X-Team": "red"}, "extra_body": {"top_k": 3, "max_tokens": 1}}
    )

    assert (b"x-team", b"red") in request.headers
    body = json.loads(b"".join(request.body))
    assert (3, 9) == (body["top_k"], body["max_tokens"])


def test_a_query_is_not_googles_to_read():
    assert "?" not in prepared(query="beta=true").url


@pytest.mark.parametrize(
    ("credentials", "held"),
    [
        pytest.param({"type": "authorized_user"}, '{"type": "authorized_user"}', id="mapping"),
        pytest.param('{"type":"x"}', '{"type":"x"}', id="text"),
    ],
)
def test_credentials_are_a_mapping_or_text_and_are_not_shown(credentials, held):
    deployment = VertexDeployment(credentials=credentials)

    assert held == deployment.credentials.get_secret_value()
    assert held not in repr(deployment)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"credentials": "/path/to/file"}, id="path-in-place-of-json"),
        pytest.param({"credentials": {"project_id": "p"}}, id="json-without-a-type"),
        pytest.param({"api_key": "k"}, id="key"),
        pytest.param({"base_url": "https://a.example/v1/projects/p"}, id="resource-in-the-address"),
        pytest.param({"project": "a/b"}, id="project-that-is-a-path"),
        pytest.param({"location": "us/../x"}, id="location-that-is-a-path"),
        pytest.param({"forward_client_auth": True}, id="callers-credential"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings):
    with pytest.raises(ValidationError):
        VertexDeployment(**settings)


def google(code, message, status="", details=()):
    described = {"code": code, "message": message, "status": status, "details": list(details)}
    return {"error": described}


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo"}


@pytest.mark.parametrize(
    ("status", "body", "cls", "expected_status", "kind"),
    [
        pytest.param(
            401, google(401, "no"), MisconfiguredError, 401, "authentication_error", id="token"
        ),
        pytest.param(
            403, google(403, "no"), MisconfiguredError, 403, "permission_error", id="permission"
        ),
        pytest.param(
            404, [google(404, "no")], MisconfiguredError, 404, "not_found_error", id="in-a-list"
        ),
        pytest.param(
            400,
            google(400, "The model is not servable in region us-central1.", "FAILED_PRECONDITION"),
            MisconfiguredError,
            404,
            "not_found_error",
            id="region",
        ),
        pytest.param(
            400, google(400, "bad"), RejectedError, 400, "invalid_request_error", id="argument"
        ),
        pytest.param(
            400,
            google(400, "Request payload size exceeds the limit: 31457280 bytes."),
            RejectedError,
            413,
            "request_too_large",
            id="size",
        ),
        pytest.param(
            429, google(429, "Quota"), RateLimitedError, 429, "rate_limit_error", id="quota"
        ),
        pytest.param(500, google(500, "x"), FaultError, 500, "api_error", id="internal"),
        pytest.param(503, google(503, "x"), FaultError, 503, "api_error", id="unavailable"),
        pytest.param(504, google(504, "x"), FaultError, 504, "timeout_error", id="deadline"),
        pytest.param(502, "<html>bad gateway</html>", FaultError, 502, "api_error", id="html"),
        pytest.param(404, "", MisconfiguredError, 404, "not_found_error", id="nothing"),
    ],
)
def test_the_platforms_errors_are_worded_as_anthropics(status, body, cls, expected_status, kind):
    sent = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = PROVIDER.error(status, [(b"content-type", b"text/html")], sent)

    assert (cls, expected_status) == (type(error), error.status)
    worded = json.loads(error.body)
    assert ("error", kind) == (worded["type"], worded["error"]["type"])
    assert [(b"content-type", b"application/json")] == list(error.headers)


def test_a_prompt_that_is_too_long_is_called_so():
    body = json.dumps(google(400, "The input token count (9) exceeds the maximum")).encode()
    error = PROVIDER.error(400, [], body)

    assert isinstance(error, RejectedError)
    assert json.loads(error.body)["error"]["message"].startswith("prompt is too long: The input")


def test_the_models_own_errors_are_left_as_they_are():
    body = (
        b'{"type":"error", "error":{"type":"invalid_request_error","message":"prompt is too long: '
        b'9 tokens > 8 maximum"},"request_id":"req_vrtx_1"}'
    )
    error = PROVIDER.error(400, [(b"content-type", b"application/json")], body)

    assert isinstance(error, RejectedError)
    assert body == error.body


def test_the_models_own_errors_name_no_project_and_no_account():
    said = (
        b'{"type":"error","error":{"type":"not_found_error","message":"project: no member of '
        b'%b/locations/x; ask %b"}}'
    )
    error = PROVIDER.error(404, [], said % (b"projects/acme-1", b"me@acme.iam.gserviceaccount.com"))

    assert said % (b"projects/(project)", b"(account)") == error.body
    assert "acme" not in str(error)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        pytest.param("12.4s", 13, id="text"),
        pytest.param({"seconds": 12, "nanos": 400_000_000}, 13, id="an-object"),
        pytest.param("9999999s", 86_400, id="more-than-a-day"),
    ],
)
@pytest.mark.parametrize("listed", [pytest.param(False, id="alone"), pytest.param(True, id="list")])
def test_when_to_try_again_is_read_from_the_details(delay, expected, listed):
    details = [{"@type": "x"}, {**RETRY_INFO, "retryDelay": delay}]
    said = google(429, "Quota", "RESOURCE_EXHAUSTED", details)
    error = PROVIDER.error(429, [], json.dumps([said] if listed else said).encode())

    assert expected == error.retry_after
    assert (b"retry-after", str(expected).encode()) in error.headers
    assert ("rate_limit_error", "") == (error.type, error.code)


def test_the_models_own_error_keeps_its_code():
    body = (
        b'{"type":"error","error":{"type":"overloaded_error","message":"m",'
        b'"details":{"error_code":"compaction_unavailable"}}}'
    )
    error = PROVIDER.error(529, [], body)

    assert ("overloaded_error", "compaction_unavailable") == (error.type, error.code)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            "Publisher Model `projects/acme-1/locations/us-east5/publishers/anthropic/models/x` was"
            " not found or your project does not have access to it.",
            "Publisher Model `projects/(project)/locations/us-east5/publishers/anthropic/models/x`"
            " was not found or your project does not have access to it.",
            id="resource",
        ),
        pytest.param(
            "Vertex AI API has not been used in project 123456789 before or it is disabled. Enable"
            " it by visiting https://console.example/overview?project=123456789 then retry.",
            "Vertex AI API has not been used in project (project) before or it is disabled. Enable"
            " it by visiting https://console.example/overview?project=(project) then retry.",
            id="number",
        ),
        pytest.param(
            "Quota exceeded for consumer 'project_number:123456789'.",
            "Quota exceeded for consumer 'project_number:(project)'.",
            id="consumer",
        ),
        pytest.param(
            "Caller gateway@acme-1.iam.gserviceaccount.com lacks a role on project 'acme-1'.",
            "Caller (account) lacks a role on project '(project)'.",
            id="account",
        ),
        pytest.param(
            "Project acme-1 does not have access to this model.",
            "Project (project) does not have access to this model.",
            id="bare-name",
        ),
        pytest.param("This project is not enabled.", "This project is not enabled.", id="none"),
        pytest.param("a" * 500_000, "a" * 500_000, id="long-word"),
    ],
)
def test_a_client_does_not_learn_which_project_it_is(message, expected):
    error = PROVIDER.error(403, [], json.dumps(google(403, message)).encode())

    assert expected == json.loads(error.body)["error"]["message"]
    assert "acme-1" not in str(error)
