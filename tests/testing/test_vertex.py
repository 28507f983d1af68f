"""The fake Vertex AI refuses what the real one refuses."""

import base64
import json
import time
from urllib.parse import urlencode

import httpx
import pytest

from llmroute.testing import Clock, FakeVertex, as_json

BODY = {
    "anthropic_version": "vertex-2023-10-16",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}
PATH = "/v1/projects/fake-project/locations/us-east5/publishers/anthropic/models/"
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture(scope="module")
def keyed():
    with FakeVertex() as fake:
        fake.service_account()
        yield fake._account


@pytest.fixture
def vertex(keyed):
    with FakeVertex(clock=Clock(time.time())) as fake:
        fake._account = keyed
        fake.tokens["good"] = fake._clock() + 60
        yield fake


def ask(vertex, name="claude-opus-5-5", action="rawPredict", **rest):
    headers = {"authorization": rest.pop("authorization", "Bearer good"), **rest.pop("headers", {})}
    url = f"{vertex.url}{rest.pop('path', PATH)}{name}:{action}"
    body = {**BODY, **rest}
    return httpx.post(url, json={k: v for k, v in body.items() if v is not None}, headers=headers)


def test_a_request_as_it_should_be_is_answered(vertex):
    answer = ask(vertex)

    assert (200, "claude-opus-5-5") == (answer.status_code, answer.json()["model"])
    assert answer.json()["id"].startswith("msg_vrtx_")
    assert answer.headers["request-id"].startswith("req_vrtx_")


def test_a_stream_is_an_event_stream(vertex):
    answer = ask(vertex, action="streamRawPredict", stream=True)

    assert answer.headers["content-type"].startswith("text/event-stream")


def test_tokens_are_counted(vertex):
    answer = ask(vertex, "count-tokens", max_tokens=None)
    assert "model: Field required" == answer.json()["error"]["message"]

    body = {**BODY, "model": "claude-opus-5-5"}
    del body["max_tokens"]
    url = f"{vertex.url}{PATH}count-tokens:rawPredict"
    counted = httpx.post(url, json=body, headers={"authorization": "Bearer good"})
    assert 0 < counted.json()["input_tokens"]


@pytest.mark.parametrize("authorization", ["Bearer unknown", "Basic good", "good", ""])
def test_a_token_it_has_not_given_is_refused(vertex, authorization):
    answer = ask(vertex, authorization=authorization)

    assert (401, "UNAUTHENTICATED") == (answer.status_code, answer.json()["error"]["status"])


def test_a_token_ends(vertex):
    vertex._clock.advance(61)

    assert 401 == ask(vertex).status_code


@pytest.mark.parametrize(
    ("model", "status"),
    [
        pytest.param("claude-haiku-4-5@20251001", 200, id="dated"),
        pytest.param("claude-3-5-sonnet-v2@20241022", 200, id="version"),
        pytest.param("claude-haiku-4-5-20251001", 404, id="anthropics-date"),
        pytest.param("gemini-3-pro", 404, id="not-claude"),
    ],
)
def test_models_are_known_by_googles_names(vertex, model, status):
    assert status == ask(vertex, model).status_code


def test_another_project_is_forbidden(vertex):
    answer = ask(vertex, path=PATH.replace("fake-project", "other"))

    assert (403, "PERMISSION_DENIED") == (answer.status_code, answer.json()["error"]["status"])


@pytest.mark.parametrize(
    ("members", "betas", "message"),
    [
        pytest.param({"model": "m"}, "", "model: Extra inputs are not permitted", id="model"),
        pytest.param({"anthropic_version": None}, "", "anthropic_version: Field", id="no-version"),
        pytest.param({"anthropic_version": "x"}, "", "anthropic_version: unexp", id="version"),
        pytest.param({"speed": "fast"}, "", "speed: Extra inputs", id="member"),
        pytest.param({}, "no-such-beta", "Unexpected value(s) `no-such-beta`", id="beta"),
        pytest.param(
            {"context_management": {}}, "", "context_management: Extra inputs", id="locked"
        ),
        pytest.param({"stream": True}, "", "stream: does not go with rawPredict", id="stream"),
        pytest.param(
            {"tools": [{"name": "t", "defer_loading": True}]},
            "",
            "tools.0.custom.defer_loading: Extra inputs",
            id="tool-member",
        ),
        pytest.param(
            {"tools": [{"type": "web_fetch_20250910"}]}, "", "tools.0: Input tag", id="server-tool"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "tool_reference"}]}]},
            "",
            "messages.0.content.0.tool_reference: Input tag 'tool_reference'",
            id="tool-reference",
        ),
        pytest.param(
            {"system": [{"type": "text", "text": "", "cache_control": {"scope": "global"}}]},
            "",
            "system.0.text.cache_control.ephemeral.scope: Extra inputs",
            id="cache-scope",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "content": [
                                    {"type": "image", "source": {"type": "url"}},
                                    {"type": "tool_reference"},
                                ],
                            }
                        ],
                    }
                ]
            },
            "",
            "messages.0.content.0.tool_result.content.0.image.source: Input tag 'url'",
            id="address-of-an-image",
        ),
    ],
)
def test_what_vertex_does_not_take_is_refused_in_the_models_words(vertex, members, betas, message):
    answer = ask(vertex, **members, headers={"anthropic-beta": betas} if betas else {})

    assert (400, "invalid_request_error") == (answer.status_code, answer.json()["error"]["type"])
    assert answer.json()["error"]["message"].startswith(message)


NATIVE = "/v1/projects/fake-project/locations/global/workspaces/wrkspc_fake/invoke/v1/messages"


def ask_natively(vertex, path=NATIVE, version="2023-06-01", **members):
    body = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [], **members}
    headers = {"authorization": "Bearer good"}
    if version is not None:
        headers["anthropic-version"] = version
    body = {name: value for name, value in body.items() if value is not None}
    return httpx.post(f"{vertex.url}{path}", json=body, headers=headers)


def test_the_messages_api_is_behind_the_gate(vertex):
    answer = ask_natively(vertex, speed="fast", metadata={"user_id": "u"})

    assert (200, "claude-opus-5-5") == (answer.status_code, answer.json()["model"])
    assert answer.json()["id"].startswith("msg_0")
    streamed = ask_natively(vertex, stream=True)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    counted = ask_natively(vertex, f"{NATIVE}/count_tokens", max_tokens=None)
    assert 0 < counted.json()["input_tokens"]


@pytest.mark.parametrize(
    ("members", "status", "message"),
    [
        pytest.param(
            {"anthropic_version": "vertex-2023-10-16"},
            400,
            "anthropic_version: Extra inputs are not permitted",
            id="the-other-dialect",
        ),
        pytest.param({"model": None}, 400, "model: Field required", id="no-model"),
        pytest.param({"max_tokens": None}, 400, "max_tokens: Field required", id="no-max-tokens"),
        pytest.param({"version": None}, 400, "anthropic-version: header is requi", id="no-version"),
        pytest.param(
            {"model": "claude-haiku-4-5@20251001"}, 404, "model: claude-haiku-4-5@", id="googles-id"
        ),
        pytest.param(
            {"path": NATIVE.replace("fake-project", "other")}, 403, "Permission", id="project"
        ),
        pytest.param(
            {"path": NATIVE.replace("wrkspc_fake", "wrkspc_1")}, 403, "Permission", id="workspace"
        ),
    ],
)
def test_the_messages_api_is_as_strict_as_anthropics(vertex, members, status, message):
    answer = ask_natively(vertex, **members)

    assert status == answer.status_code
    assert answer.json()["error"]["message"].startswith(message)


def test_the_messages_api_wants_a_token_too(vertex):
    vertex.tokens.clear()

    assert 401 == ask_natively(vertex).status_code


def test_other_paths_are_nobodys(vertex):
    assert 404 == ask(vertex, path="/v1/models/").status_code


def test_other_endpoints_can_be_scripted(vertex):
    vertex.on("GET", "/v1/operations/*", as_json({"done": True}))

    assert {"done": True} == httpx.get(f"{vertex.url}/v1/operations/7").json()


def test_what_is_no_json_is_refused(vertex):
    url = f"{vertex.url}{PATH}claude-opus-5-5:rawPredict"
    answer = httpx.post(url, content=b"no", headers={"authorization": "Bearer good"})

    assert 400 == answer.status_code


def signed(keyed, **claims):
    """Return an assertion by the account, made without google-auth."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    header = {"alg": "RS256", "kid": "fake-key-id", **claims.pop("header", {})}
    text = part(header) + b"." + part({k: v for k, v in claims.items() if v is not None})
    signature = keyed._key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def exchange(vertex, **form):
    return httpx.post(f"{vertex.url}/token", content=urlencode(form).encode())


def claims(vertex, **changed):
    now = vertex._clock()
    return {
        "iss": vertex._account.email,
        "aud": f"{vertex.url}/token",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "iat": now,
        "exp": now + 3600,
    } | changed


def test_a_signed_assertion_is_worth_a_token(vertex, keyed):
    answer = exchange(vertex, grant_type=JWT, assertion=signed(keyed, **claims(vertex)))

    assert (200, 3600) == (answer.status_code, answer.json()["expires_in"])
    assert 200 == ask(vertex, authorization=f"Bearer {answer.json()['access_token']}").status_code


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"iss": "somebody"}, "Invalid JWT: iss", id="issuer"),
        pytest.param({"aud": "https://a.example"}, "Invalid JWT: aud", id="audience"),
        pytest.param({"scope": "email"}, "Invalid JWT: scope", id="scope"),
        pytest.param({"exp": 9}, "Invalid JWT: exp", id="expired"),
        pytest.param({"exp": 9e12}, "Invalid JWT: exp", id="too-long"),
        pytest.param({"iat": 9e12, "exp": 9e12}, "Invalid JWT: iat", id="not-yet"),
        pytest.param({"iat": None}, "Invalid JWT: iat", id="missing"),
        pytest.param({"header": {"alg": "none"}}, "Invalid JWT: the header", id="algorithm"),
        pytest.param({"header": {"kid": "x"}}, "Invalid JWT: the header", id="key"),
    ],
)
def test_an_assertion_that_claims_too_much_is_refused(vertex, keyed, changed, message):
    assertion = signed(keyed, **claims(vertex, **changed))
    answer = exchange(vertex, grant_type=JWT, assertion=assertion)

    assert (400, "invalid_grant") == (answer.status_code, answer.json()["error"])
    assert answer.json()["error_description"].startswith(message)
    assert 0 == vertex.given


def test_an_assertion_that_was_changed_is_refused(vertex, keyed):
    header, _, signature = signed(keyed, **claims(vertex)).split(".")
    _, payload, _ = signed(keyed, **claims(vertex, extra=1)).split(".")
    answer = exchange(vertex, grant_type=JWT, assertion=f"{header}.{payload}.{signature}")

    assert "Invalid JWT Signature." == answer.json()["error_description"]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"grant_type": JWT, "assertion": "a.b.c"}, id="unreadable"),
        pytest.param({"grant_type": JWT, "assertion": ""}, id="empty"),
        pytest.param({"grant_type": "refresh_token", "refresh_token": "x"}, id="refresh-token"),
        pytest.param({"grant_type": "password"}, id="grant"),
        pytest.param(
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token": "x",
            },
            id="identity",
        ),
        pytest.param({}, id="nothing"),
    ],
)
def test_what_is_worth_no_token_gets_none(vertex, form):
    assert 400 == exchange(vertex, **form).status_code
