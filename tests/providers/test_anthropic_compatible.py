"""A Messages call as a request to another vendor's server that reads the format too."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from llmroute.errors import (
    InvalidRequestError,
    MisconfiguredError,
    RateLimitedError,
    RejectedError,
)
from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.anthropic_compatible import PROVIDER, AnthropicCompatibleDeployment
from llmroute.providers.vendors import VENDORS
from llmroute.translate.reasoning import seal
from llmroute.wire.envelope import Envelope

BODY = b'{"model":"fast","max_tokens":9, "messages":[{"role":"user","content":"\\u0048i"}]}'
CAPTURES = sorted((Path(__file__).parent.parent / "platforms" / "captures").glob("*.json"))
STRICT = [name for name, each in VENDORS.items() if each.platform and not each.platform.open]
# What servers have that were written for the format as it was at first.
CORE = {
    *("model", "messages", "system", "tools", "tool_choice", "max_tokens", "thinking", "stream"),
    *("stop_sequences", "temperature", "top_p", "top_k", "output_config"),
}


def prepared(body, *, model="their-model", settings=None, **members):
    envelope = Envelope.parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    call = Call(envelope, "fast", stream=envelope.is_true("stream"), **members)
    given = {"base_url": "https://vendor.example/anthropic", **(settings or {})}
    return PROVIDER.prepare(call, AnthropicCompatibleDeployment(**given), model)


def sent(request):
    return json.loads(b"".join(request.body))


def saying(*blocks, role="user"):
    return {"model": "fast", "max_tokens": 9, "messages": [{"role": role, "content": [*blocks]}]}


def test_the_table_has_it():
    assert PROVIDER is PROVIDERS["anthropic_compatible"]


def test_the_body_is_the_callers_but_for_the_models_name():
    request = prepared(BODY, query="beta=true")

    assert ("POST", "https://vendor.example/anthropic/v1/messages") == (request.method, request.url)
    assert BODY.replace(b'"fast"', b'"their-model"') == b"".join(request.body)
    assert () == request.losses


@pytest.mark.parametrize(
    "base",
    ["https://v.example", "https://v.example/v1", "https://v.example/v1/messages"],
)
def test_the_address_may_be_written_as_people_do(base):
    assert "https://v.example/v1/messages" == prepared(BODY, settings={"base_url": base}).url


def test_what_is_anthropics_to_know_stays_here():
    headers = [
        (b"anthropic-beta", b"claude-code-20250219"),
        (b"anthropic-workspace-id", b"wrkspc_1"),
        (b"x-claude-code-session-id", b"s"),
        (b"x-stainless-os", b"Linux"),
        (b"user-agent", b"claude-cli/2.1.330"),
    ]

    request = prepared(BODY, headers=headers, settings={"headers": {"X-Own": "1"}})

    assert [
        (b"content-type", b"application/json"),
        (b"anthropic-version", b"2023-06-01"),
        (b"user-agent", b"claude-cli/2.1.330"),
        (b"x-own", b"1"),
    ] == request.headers


def test_a_gateway_to_claude_gets_the_betas_and_all_members():
    body = {**saying({"type": "text", "text": "Hi"}), "context_management": {"edits": []}}
    headers = [(b"anthropic-beta", b"context-management-2025-06-27,of-tomorrow-2027-01-01")]

    request = prepared(
        body,
        model="anthropic/claude-opus-5.5",
        headers=headers,
        settings={"vendor": "openrouter"},
    )

    assert headers[0] in request.headers
    assert body | {"model": "anthropic/claude-opus-5.5"} == sent(request)
    assert () == request.losses


@pytest.mark.parametrize("vendor", STRICT)
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_what_claude_code_sends_comes_down_to_the_core_of_the_format(path, vendor):
    for recorded in json.loads(path.read_text("utf-8")):
        headers = [(b"anthropic-beta", each.encode()) for each in recorded["betas"]]

        request = prepared(recorded["body"], headers=headers, settings={"vendor": vendor})

        body = sent(request)
        text = b"".join(request.body)
        assert set() == body.keys() - CORE
        assert {"user", "assistant"} >= {message["role"] for message in body["messages"]}
        assert "adaptive" != body.get("thinking", {}).get("type")
        assert all("type" not in tool for tool in body.get("tools", []))
        for word in (b"defer_loading", b"tool_reference", b"redacted_thinking", b'"scope"'):
            assert word not in text
        assert b"x-anthropic-billing-header" not in text


@pytest.mark.parametrize(
    ("vendor", "kept"),
    [
        pytest.param("deepseek", {"effort": "high"}, id="takes-it"),
        pytest.param("moonshot", None, id="does-not"),
    ],
)
def test_an_effort_goes_where_it_is_taken(vendor, kept):
    body = saying() | {"output_config": {"effort": "high"}}

    assert kept == sent(prepared(body, settings={"vendor": vendor})).get("output_config")


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
PDF = {
    "type": "document",
    "title": "Plan",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
}
NOTE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Ab"}}


@pytest.mark.parametrize(
    ("settings", "block", "expected"),
    [
        pytest.param({"vendor": "deepseek"}, IMAGE, "[image left out]", id="image"),
        pytest.param({"vendor": "deepseek"}, PDF, "[Plan left out]", id="document"),
        pytest.param({"vendor": "deepseek"}, NOTE, "Ab", id="text-document"),
        pytest.param({"vendor": "moonshot"}, IMAGE, IMAGE, id="image-that-is-seen"),
        pytest.param({"vendor": "deepseek", "images": True}, IMAGE, IMAGE, id="set-to-be-seen"),
        pytest.param({"documents": True}, PDF, PDF, id="set-to-be-read"),
        pytest.param(
            {"vendor": "openrouter", "images": False}, IMAGE, "[image left out]", id="gateway"
        ),
    ],
)
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "in-a-result"])
def test_words_stand_for_what_a_model_cannot_see(settings, block, expected, nested):
    result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}

    request = prepared(saying(result if nested else block), settings=settings)

    [shown] = sent(request)["messages"][0]["content"]
    shown = shown["content"][0] if nested else shown
    text = {"type": "text", "text": expected}
    assert (expected if isinstance(expected, dict) else text) == shown
    assert bool(request.losses) == (shown is not block and shown != block)


@pytest.mark.parametrize("vendor", ["moonshot", "openrouter", ""])
def test_an_answer_is_no_longer_than_the_model_writes(vendor):
    body = saying() | {"max_tokens": 128_000}

    request = prepared(body, settings={"vendor": vendor, "max_tokens_limit": 32_000})

    assert 32_000 == sent(request)["max_tokens"]
    assert any("writes at most 32000" in loss for loss in request.losses)


def test_prices_are_those_of_the_vendor():
    base = "https://v.example"

    def seller(name):
        return AnthropicCompatibleDeployment(base_url=base, vendor=name).seller

    assert ["deepseek", "moonshotai", "anthropic_compatible"] == [
        seller("deepseek"),
        seller("moonshot"),
        seller(""),
    ]


@pytest.mark.parametrize(
    ("vendor", "url"),
    [
        pytest.param("vllm", "https://vendor.example/anthropic/v1/messages/count_tokens", id="yes"),
        pytest.param("deepseek", None, id="no"),
    ],
)
def test_tokens_are_counted_where_they_can_be(vendor, url):
    if url is None:
        with pytest.raises(InvalidRequestError, match="DeepSeek does not count tokens"):
            prepared(BODY, endpoint="count_tokens", settings={"vendor": vendor})
    else:
        request = prepared(BODY, endpoint="count_tokens", settings={"vendor": vendor})
        assert url == request.url


def test_another_vendors_reasoning_is_left_out():
    sealed = {"type": "thinking", "thinking": "hm", "signature": seal("gemini", "gemini-3")}
    own = {"type": "thinking", "thinking": "ah", "signature": "theirs"}

    request = prepared(saying(sealed, own, role="assistant"), settings={"vendor": "deepseek"})

    assert [own] == sent(request)["messages"][0]["content"]


def test_an_unknown_vendor_is_refused():
    with pytest.raises(ValidationError, match="is no vendor that reads the Messages format"):
        AnthropicCompatibleDeployment(base_url="https://v.example", vendor="groq")


def test_a_key_is_not_in_the_text_of_a_deployment():
    deployment = AnthropicCompatibleDeployment(base_url="https://v.example", api_key="sk-canary")

    assert "sk-canary" not in repr(deployment)


NATIVE = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "Slow  down"}}'


def test_an_error_in_the_formats_own_shape_is_handed_on_as_it_is():
    error = PROVIDER.error(429, [(b"retry-after", b"7")], NATIVE)

    assert (RateLimitedError, 7.0, NATIVE) == (type(error), error.retry_after, error.body)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(
            400,
            b'{"error": {"message": "This model\'s maximum context length is 131072 tokens. However'
            b', you requested 140000 tokens"}}',
            (RejectedError, "prompt is too long: 140000 tokens > 131072 maximum"),
            id="openais-shape",
        ),
        pytest.param(
            400,
            b'{"type": "error", "error": {"type": "invalid_request_error", "message": "input is too'
            b' long: 300000 of 200000"}}',
            (RejectedError, "prompt is too long: "),
            id="own-shape-other-words",
        ),
        pytest.param(
            401, b'{"error": "bad key"}', (MisconfiguredError, "bad key"), id="only-a-text"
        ),
        pytest.param(
            402,
            b'{"error": {"code": 402, "message": "Insufficient credits"}}',
            (MisconfiguredError, "Insufficient credits"),
            id="openrouter",
        ),
        pytest.param(
            400,
            b'{"error":{"code":400,"message":"request (9021 tokens) exceeds the available context'
            b' size (4096 tokens), try increasing it","type":"exceed_context_size_error",'
            b'"n_prompt_tokens":9021,"n_ctx":4096}}',
            (RejectedError, "prompt is too long: 9021 tokens > 4096 maximum"),
            id="llama.cpp",
        ),
        pytest.param(
            500,
            b'{"error":{"code":500,"message":"image input is not supported - hint: if this is'
            b' unexpected, you may need to provide the mmproj","type":"server_error"}}',
            (RejectedError, "image input is not supported"),
            id="llama.cpp-sees-no-images",
        ),
    ],
)
def test_an_error_in_other_words_is_put_in_the_formats(status, body, expected):
    error = PROVIDER.error(status, [(b"content-type", b"text/plain")], body)

    kind, words = expected
    assert kind is type(error)
    told = json.loads(error.body)
    assert "error" == told["type"]
    assert words in told["error"]["message"]
    assert (b"content-type", b"application/json") in error.headers
