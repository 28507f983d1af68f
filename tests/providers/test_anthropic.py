"""The request to an Anthropic-format upstream is the caller's, but for what has to differ."""

import pytest
from pydantic import ValidationError

from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.anthropic import PROVIDER, AnthropicDeployment
from llmroute.wire.envelope import Envelope

BODY = (
    b'{"model": "fast", "max_tokens":1,\n "messages" : [{"role":"user","content":"\\u0048i"}] }\n'
)
VERSION = (b"anthropic-version", b"2023-06-01")
JSON = (b"content-type", b"application/json")


def prepared(body=BODY, model="fast", *, settings=None, **call):
    envelope = Envelope.parse(body)
    given = Call(envelope, envelope.string("model") or "", **call)
    return PROVIDER.prepare(given, AnthropicDeployment(**settings or {}), model)


def sent(**given):
    return b"".join(prepared(**given).body)


def test_the_table_has_it():
    assert PROVIDER is PROVIDERS["anthropic"]
    assert AnthropicDeployment is PROVIDER.deployment


def test_a_body_in_which_nothing_has_to_change_is_the_callers_own():
    request = prepared(settings={"extra_body": {"max_tokens": 5}})

    assert 1 == len(request.body)
    assert BODY is request.body[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            {"model": "claude-sonnet-5-5"}, BODY.replace(b"fast", b"claude-sonnet-5-5"), id="model"
        ),
        pytest.param(
            {"settings": {"extra_body": {"top_k": 5, "metadata": {"user_id": "é"}}}},
            BODY.replace(b"] }", '] ,"top_k":5,"metadata":{"user_id":"é"}}'.encode()),
            id="more-members",
        ),
        pytest.param(
            {"settings": {"extra_body": {"max_tokens": 9, "self": 1}}},
            BODY.replace(b"] }", b'] ,"self":1}'),
            id="the-callers-members-win",
        ),
        pytest.param(
            {"settings": {"extra_body": {"model": "other"}}, "model": "m"},
            BODY.replace(b"fast", b"m"),
            id="the-model-is-the-alias-s-business",
        ),
        pytest.param(
            {"settings": {"extra_body": {"top_k": 5}}, "endpoint": "count_tokens"},
            BODY,
            id="counting-takes-no-more-members",
        ),
        pytest.param(
            {"endpoint": "count_tokens", "model": "m"}, BODY.replace(b"fast", b"m"), id="counting"
        ),
        pytest.param(
            {"body": b'{"model":"a","model":"fast","x":1}', "model": "m"},
            b'{"model":"m","x":1}',
            id="two-models",
        ),
        pytest.param(
            {"body": b'{"model":"a","x":1,"model":"fast"}'},
            b'{"model":"fast","x":1}',
            id="two-models-of-which-the-last-is-right",
        ),
    ],
)
def test_only_what_is_named_changes_in_the_body(given, expected):
    assert expected == sent(**given)


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        pytest.param("fast", "claude-haiku-4-5", id="a-model-that-takes-it"),
        pytest.param("claude-opus-5-5", "claude-opus-5-5-20260901", id="the-same-by-its-date"),
        pytest.param("claude-haiku-4-5", "fast", id="a-model-we-do-not-know"),
        pytest.param("claude-opus-5-5", "claude-opus-5-5", id="the-name-asked-for"),
    ],
)
def test_a_body_that_suits_the_model_keeps_its_bytes(asked, model):
    body = b'{"model": "%s", "metadata":{} ,"top_k": 5.0, "messages":[]}'
    request = prepared(body % asked.encode(), model)

    assert body % model.encode() == b"".join(request.body)
    assert () == request.losses


@pytest.mark.parametrize(
    ("asked", "endpoint"),
    [
        pytest.param("fast", "messages", id="from-a-name-that-does-not-tell"),
        pytest.param("claude-haiku-4-5", "messages", id="from-another-generation"),
        pytest.param("fast", "count_tokens", id="counting"),
    ],
)
def test_what_a_model_of_another_generation_refuses_is_left_out_and_told(asked, endpoint):
    body = b'{"model": "%s", "metadata":{} ,"top_k": 5, "messages":[]}' % asked.encode()
    request = prepared(body, "claude-opus-5-5", endpoint=endpoint)

    assert b'{"model":"claude-opus-5-5","metadata":{},"messages":[]}' == b"".join(request.body)
    assert ("top_k: claude-opus-5-5 does not take it",) == request.losses


def test_what_the_deployment_sets_is_not_fitted():
    settings = {"extra_body": {"top_k": 5}}
    request = prepared(BODY, "claude-opus-5-5", settings=settings)

    assert BODY.replace(b"fast", b"claude-opus-5-5").replace(
        b" }\n", b' ,"top_k":5}\n'
    ) == b"".join(request.body)
    assert () == request.losses


def test_betas_pass_whatever_the_model_refuses():
    betas = [(b"anthropic-beta", b"effort-2025-11-24,of-tomorrow")]
    body = b'{"model":"fast","output_config":{"effort":"low"},"messages":[]}'
    request = prepared(body, "claude-haiku-4-5", headers=betas)

    assert b'{"model":"claude-haiku-4-5","messages":[]}' == b"".join(request.body)
    assert [JSON, *betas, VERSION] == request.headers


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, "https://api.anthropic.com/v1/messages", id="default"),
        pytest.param(
            {"endpoint": "count_tokens"},
            "https://api.anthropic.com/v1/messages/count_tokens",
            id="counting",
        ),
        pytest.param(
            {"query": "beta=true&x=%2F"},
            "https://api.anthropic.com/v1/messages?beta=true&x=%2F",
            id="query",
        ),
        pytest.param(
            {"settings": {"base_url": "http://127.0.0.1:8080/anthropic/"}},
            "http://127.0.0.1:8080/anthropic/v1/messages",
            id="elsewhere",
        ),
    ],
)
def test_the_address_is_the_deployments_and_the_query_the_callers(given, expected):
    request = prepared(**given)

    assert ("POST", expected) == (request.method, request.url)


@pytest.mark.parametrize(
    ("headers", "own", "expected"),
    [
        pytest.param([], {}, [JSON, VERSION], id="version-if-there-is-none"),
        pytest.param(
            [(b"anthropic-version", b"2099-01-01")],
            {},
            [JSON, (b"anthropic-version", b"2099-01-01")],
            id="every-version-passes",
        ),
        pytest.param(
            [(b"anthropic-beta", b"a,b"), (b"anthropic-beta", b"c"), (b"anthropic-new", b"1")],
            {},
            [
                JSON,
                (b"anthropic-beta", b"a,b"),
                (b"anthropic-beta", b"c"),
                (b"anthropic-new", b"1"),
                VERSION,
            ],
            id="every-line-passes",
        ),
        pytest.param(
            [
                (b"anthropic-beta", b"a"),
                (b"user-agent", b"claude-cli/2"),
                (b"anthropic-beta", b"b"),
            ],
            {"Anthropic-Beta": "mine", "X-Tenant": "Zürich"},
            [
                JSON,
                (b"user-agent", b"claude-cli/2"),
                (b"anthropic-beta", b"mine"),
                (b"x-tenant", b"Z\xfcrich"),
                VERSION,
            ],
            id="the-deployments-win",
        ),
        pytest.param(
            [(b"anthropic-version", b"2099-01-01")],
            {"anthropic-version": "2023-01-01"},
            [JSON, (b"anthropic-version", b"2023-01-01")],
            id="the-deployments-version",
        ),
        pytest.param(
            [],
            {"Content-Type": "application/vnd.api+json"},
            [(b"content-type", b"application/vnd.api+json"), VERSION],
            id="one-content-type",
        ),
    ],
)
def test_headers_are_the_callers_completed(headers, own, expected):
    request = prepared(headers=headers, settings={"headers": own})

    assert expected == request.headers


def test_no_credential_is_in_an_unsigned_request():
    settings = {"api_key": "sk-canary", "auth_token": "canary"}
    request = prepared(client_auth=[(b"x-api-key", b"canary")], settings=settings)

    assert "canary" not in repr(request)


def test_no_secret_is_shown_of_a_deployment():
    deployment = AnthropicDeployment(api_key="sk-canary", auth_token="tok-canary")

    assert "canary" not in repr(deployment)
    assert "canary" not in str(deployment.model_dump())
    assert "canary" not in deployment.model_dump_json()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://a.example", "https://a.example", id="bare"),
        pytest.param("https://a.example/", "https://a.example", id="slash"),
        pytest.param("http://[::1]:80/x/y//", "http://[::1]:80/x/y", id="path"),
        pytest.param("https://a.example/@x", "https://a.example/@x", id="at-in-the-path"),
    ],
)
def test_an_address_is_taken_as_it_is_but_for_the_slash(url, expected):
    assert expected == AnthropicDeployment(base_url=url).base_url


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"base_url": "a.example"}, id="no-scheme"),
        pytest.param({"base_url": "ftp://a.example"}, id="another-scheme"),
        pytest.param({"base_url": "https://a.example?x=1"}, id="query"),
        pytest.param({"base_url": "https://a.example#x"}, id="fragment"),
        pytest.param({"base_url": "https://user:pass@a.example"}, id="credential"),
        pytest.param({"base_url": "https://"}, id="no-host"),
        pytest.param({"base_url": "https://a.example:99999"}, id="no-such-port"),
        pytest.param({"base_url": "https://[::1"}, id="half-a-bracket"),
        pytest.param({"base_url": "https://a b.example"}, id="space"),
        pytest.param({"timeout": 0}, id="no-time"),
        pytest.param({"silence_timeout": -1}, id="negative-time"),
        pytest.param({"weight": -1}, id="negative-weight"),
        pytest.param({"rpm": 0}, id="no-requests"),
        pytest.param({"provider": "other"}, id="another-provider"),
        pytest.param({"colour": "red"}, id="unknown-setting"),
    ],
)
def test_what_cannot_work_is_refused(settings):
    with pytest.raises(ValidationError):
        AnthropicDeployment(**settings)


def test_a_deployment_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        AnthropicDeployment().model = "other"
