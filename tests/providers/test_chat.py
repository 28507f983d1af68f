"""A Messages call as a request for Chat Completions: address and headers, and what errors mean."""

import json

import pytest
from pydantic import SecretStr, ValidationError

from llmroute.credentials import credential_for
from llmroute.errors import (
    FaultError,
    InvalidRequestError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    RejectedError,
)
from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.azure_openai import AzureOpenAIDeployment, azure_chat_url
from llmroute.providers.openai_compatible import OpenAICompatibleDeployment
from llmroute.wire.envelope import Envelope

BODY = {"model": "fast", "max_tokens": 64_000, "messages": [{"role": "user", "content": "Hi"}]}
TOOLS = {"tools": [{"name": "read", "input_schema": {"type": "object"}}]}
RESOURCE = "https://acme.openai.azure.com"
ANTHROPICS = [(b"anthropic-version", b"2023-06-01"), (b"x-claude-code-session-id", b"s")]


def call_of(members=None, **options):
    return Call(Envelope.of({**BODY, **(members or {})}), "fast", headers=ANTHROPICS, **options)


def compatible(**settings):
    return OpenAICompatibleDeployment(**{"base_url": "http://localhost:8000/v1", **settings})


def azure(**settings):
    return AzureOpenAIDeployment(**{"base_url": RESOURCE, "api_key": "k", **settings})


def prepared(deployment, call, model="m"):
    return PROVIDERS[deployment.provider].prepare(call, deployment, model)


def sent(deployment, members=None, model="m", **options):
    request = prepared(deployment, call_of(members, **options), model)
    return json.loads(b"".join(request.body))


def test_nothing_of_the_callers_headers_is_sent():
    request = prepared(compatible(headers={"X-Title": "t"}), call_of())

    assert ("POST", "http://localhost:8000/v1/chat/completions") == (request.method, request.url)
    assert [
        (b"content-type", b"application/json"),
        (b"x-title", b"t"),
    ] == request.headers


def test_the_whole_address_will_do():
    deployment = compatible(base_url="http://localhost:8000/v1/chat/completions")

    assert "http://localhost:8000/v1/chat/completions" == prepared(deployment, call_of()).url


def test_the_deployments_own_members_win():
    body = sent(compatible(extra_body={"max_tokens": 5, "min_p": 0.1}))

    assert (5, 0.1) == (body["max_tokens"], body["min_p"])


def test_the_session_is_sent_as_a_hash():
    one, two = (
        sent(compatible(prompt_cache_key=True), session=session)["prompt_cache_key"]
        for session in ("s1", "s2")
    )

    assert one != two
    assert "s1" not in one
    assert "prompt_cache_key" not in sent(compatible(), session="s1")


def test_tokens_are_not_counted_there():
    with pytest.raises(InvalidRequestError):
        prepared(compatible(), call_of(endpoint="count_tokens"))


@pytest.mark.parametrize(
    ("base", "version", "expected"),
    [
        pytest.param(RESOURCE, None, f"{RESOURCE}/openai/v1/chat/completions", id="newer"),
        pytest.param(f"{RESOURCE}/openai", None, f"{RESOURCE}/openai/v1/chat/completions", id="o"),
        pytest.param(
            f"{RESOURCE}/openai/v1", "2024-10-21", f"{RESOURCE}/openai/v1/chat/completions", id="v1"
        ),
        pytest.param(
            RESOURCE,
            "preview",
            f"{RESOURCE}/openai/v1/chat/completions?api-version=preview",
            id="preview",
        ),
        pytest.param(
            RESOURCE,
            "2024-10-21",
            f"{RESOURCE}/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
            id="older",
        ),
        pytest.param(
            f"{RESOURCE}/openai/deployments/other",
            None,
            f"{RESOURCE}/openai/deployments/other/chat/completions?api-version=2024-10-21",
            id="deployments-own",
        ),
    ],
)
def test_azures_addresses(base, version, expected):
    assert expected == azure_chat_url(base, version, "my gpt")


@pytest.mark.parametrize(
    ("base_model", "members", "expected"),
    [
        pytest.param("gpt-4o", {"temperature": 0.5}, {"max_completion_tokens": 16_384}, id="4o"),
        pytest.param(
            "gpt-5",
            {"output_config": {"effort": "max"}, "temperature": 0.5},
            {"max_completion_tokens": 64_000, "reasoning_effort": "high"},
            id="gpt-5",
        ),
        pytest.param(
            "gpt-5.2",
            {"thinking": {"type": "disabled"}},
            {"max_completion_tokens": 64_000, "reasoning_effort": "none"},
            id="no-thinking",
        ),
        pytest.param(
            "gpt-5.4",
            {"output_config": {"effort": "high"}, **TOOLS},
            {"max_completion_tokens": 64_000, "reasoning_effort": "none"},
            id="no-thinking-beside-tools",
        ),
        pytest.param(
            "gpt-5.4",
            {"output_config": {"effort": "high"}},
            {"max_completion_tokens": 64_000, "reasoning_effort": "high"},
            id="thinking-without-tools",
        ),
        pytest.param(
            None,
            {"output_config": {"effort": "high"}},
            {"max_completion_tokens": 64_000},
            id="unknown",
        ),
    ],
)
def test_openais_models_are_told_apart(base_model, members, expected):
    body = sent(azure(base_model=base_model, api="chat"), members, model="my-deployment")

    assert "my-deployment" == body["model"]
    found = {n: v for n, v in body.items() if n in ("max_completion_tokens", "reasoning_effort")}
    assert expected == found
    assert ("temperature" in body) is (base_model == "gpt-4o")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        pytest.param(compatible(), [], id="none"),
        pytest.param(
            compatible(api_key="sk-canary"), [(b"authorization", b"Bearer sk-canary")], id="key"
        ),
        pytest.param(
            compatible(auth_token="sk-canary"),
            [(b"authorization", b"Bearer sk-canary")],
            id="token",
        ),
        pytest.param(azure(api_key="sk-canary"), [(b"api-key", b"sk-canary")], id="azure-key"),
        pytest.param(
            azure(api_key=None, auth_token="sk-canary"),
            [(b"authorization", b"Bearer sk-canary")],
            id="azure-token",
        ),
    ],
)
async def test_credentials(deployment, expected):
    credential = credential_for(deployment)

    assert expected == [*await credential.headers(prepared(deployment, call_of()))]
    assert await credential.renew() is False
    assert "canary" not in f"{deployment!r}{credential!r}"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(OpenAICompatibleDeployment, id="no-address"),
        pytest.param(lambda: compatible(forward_client_auth=True), id="callers-credential"),
        pytest.param(lambda: compatible(think_tags="a b"), id="tag"),
        pytest.param(lambda: azure(api_key=None), id="no-credential"),
        pytest.param(lambda: azure(api_key=SecretStr("k"), api_version="a/b"), id="version"),
    ],
)
def test_settings_that_cannot_be(make):
    with pytest.raises(ValidationError):
        make()


def failed(status, described, headers=()):
    body = described if isinstance(described, bytes) else json.dumps(described).encode()
    return PROVIDERS["openai_compatible"].error(status, headers, body)


def openai(message, code=None, **members):
    return {"error": {"message": message, "type": "x", "code": code, **members}}


OVERFLOW = "This model's maximum context length is 128000 tokens. However, your messages resulted"
VLLM = "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens"


@pytest.mark.parametrize(
    ("status", "described", "cls", "answered", "words"),
    [
        pytest.param(
            400,
            openai(f"{OVERFLOW} in 130000 tokens.", "context_length_exceeded"),
            RejectedError,
            400,
            "prompt is too long: 130000 tokens > 128000 maximum",
            id="overflow",
        ),
        pytest.param(
            400,
            {
                "object": "error",
                "message": f"{VLLM} (39000 in the messages, 1000 in the completion)",
            },
            RejectedError,
            400,
            "prompt is too long: 40000 tokens > 32768 maximum",
            id="overflow-of-vllm",
        ),
        pytest.param(
            400,
            {
                "object": "error",
                "message": f"{VLLM} (30000 in the messages, 10000 in the completion)",
            },
            RejectedError,
            400,
            "input length and `max_tokens` exceed context limit: 30000 + 10000 > 32768",
            id="too-long-an-answer",
        ),
        pytest.param(
            400,
            openai(
                "'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum"
                " context length is 32768 tokens and your request has 1200 input tokens"
            ),
            RejectedError,
            400,
            "input length and `max_tokens` exceed context limit: 1200 + 64000 > 32768",
            id="too-long-an-answer-of-vllm",
        ),
        pytest.param(
            400, openai("Too bad", "unsupported_value"), RejectedError, 400, "Too bad", id="bad"
        ),
        pytest.param(
            400,
            openai("Filtered", None, innererror={"code": "ResponsibleAIPolicyViolation"}),
            RejectedError,
            400,
            "Filtered",
            id="content-filter-of-azure",
        ),
        pytest.param(
            401, openai("Incorrect API key"), MisconfiguredError, 401, "Incorrect", id="key"
        ),
        pytest.param(
            404,
            openai("No deployment", "DeploymentNotFound"),
            MisconfiguredError,
            404,
            "No deployment",
            id="deployment",
        ),
        pytest.param(405, b"", MisconfiguredError, 405, "405", id="method"),
        pytest.param(
            429,
            openai("Slow down", "rate_limit_exceeded"),
            RateLimitedError,
            429,
            "Slow",
            id="rate",
        ),
        pytest.param(
            413,
            openai("Request too large on tokens per minute", "rate_limit_exceeded"),
            RateLimitedError,
            429,
            "tokens per minute",
            id="rate-of-groq",
        ),
        pytest.param(
            429,
            openai("You exceeded your current quota", "insufficient_quota"),
            MisconfiguredError,
            402,
            "quota",
            id="quota",
        ),
        pytest.param(
            422,
            {"detail": [{"loc": ["body", "n"], "msg": "Extra inputs"}]},
            RejectedError,
            422,
            "body.n: Extra inputs",
            id="fastapi",
        ),
        pytest.param(424, openai("Dependency"), FaultError, 500, "Dependency", id="dependency"),
        pytest.param(500, {"error": "Broken"}, FaultError, 500, "Broken", id="fault"),
        pytest.param(503, openai("Busy", "overloaded"), OverloadedError, 529, "Busy", id="busy"),
        pytest.param(502, b"", FaultError, 502, "502", id="empty"),
    ],
)
def test_errors(status, described, cls, answered, words):
    error = failed(status, described)

    assert (cls, answered) == (type(error), error.status)
    assert words in str(error)
    assert words in json.loads(error.body)["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"retry-after": "7"}, 7.0, id="retry-after"),
        pytest.param({"retry-after-ms": "1500"}, 1.5, id="milliseconds"),
        pytest.param(
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "5",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
            },
            360.0,
            id="the-limit-that-was-met",
        ),
        pytest.param({}, None, id="untold"),
    ],
)
def test_how_long_to_wait(headers, expected):
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]

    assert expected == failed(429, openai("Slow"), pairs).retry_after


def test_the_code_is_kept_for_rules():
    assert "unsupported_value" == failed(400, openai("No", "unsupported_value")).code


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_would_leave_the_deployments_path_is_refused(name):
    deployment = azure(api_version="2024-10-21")

    with pytest.raises(InvalidRequestError, match="is no name"):
        prepared(deployment, call_of(), name)


@pytest.mark.parametrize(
    ("writer", "reader", "expected"),
    [
        pytest.param({"vendor": "groq"}, {"vendor": "groq"}, True, id="its-own"),
        pytest.param({"vendor": "groq"}, {"vendor": "fireworks_ai"}, False, id="another-vendor"),
        pytest.param(
            {"base_url": "https://a.example/v1"},
            {"base_url": "https://b.example/v1"},
            False,
            id="another-host",
        ),
        pytest.param(
            {"vendor": "vllm", "base_url": "http://a.example/v1"},
            {"vendor": "vllm", "base_url": "http://b.example/v1"},
            True,
            id="servers-of-ones-own",
        ),
    ],
)
def test_reasoning_goes_back_to_the_vendor_it_is_of_and_to_no_other(writer, reader, expected):
    settings = {"model": "m", "reasoning_replay": "reasoning_content"}
    row = PROVIDERS["openai_compatible"]
    answer = {
        "choices": [{"message": {"reasoning_content": "Secret.", "content": "A"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    whole = row.whole(call_of(), compatible(**settings, **writer), json.dumps(answer).encode())
    said = {"role": "assistant", "content": json.loads(whole)["content"]}
    turns = [{"role": "user", "content": "Hi"}, said, {"role": "user", "content": "Go on."}]

    body = sent(compatible(**settings, **reader), {"messages": turns})

    assert expected == ("Secret." in json.dumps(body))
