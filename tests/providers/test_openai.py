"""OpenAI's settings, the requests they make, and the errors that come back."""

from __future__ import annotations

import json

import msgspec
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
from llmroute.providers.openai import PROVIDER, OpenAIDeployment
from llmroute.wire.envelope import Envelope

SECRET = "sk-canary-1"


def deployment(**settings):
    return OpenAIDeployment(api_key=SecretStr(SECRET), **settings)


def called(*, endpoint="messages", session="", agent="", without=frozenset(), **members):
    body = {"model": "opus", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
    return Call(
        body=Envelope.of(body | members),
        model="opus",
        endpoint=endpoint,
        session=session,
        agent=agent,
        without=without,
    )


def prepared(call=None, model="gpt-5.4", **settings):
    return PROVIDER.prepare(call or called(), deployment(**settings), model)


def body_of(request):
    return json.loads(b"".join(request.body))


def failed(status, headers=(), code=None, message="Oh", kind="invalid_request_error"):
    error = {"message": message, "type": kind, "param": None, "code": code}
    return PROVIDER.error(status, list(headers), msgspec.json.encode({"error": error}))


def said(error):
    return json.loads(error.body)["error"]


def test_it_is_in_the_table():
    assert PROVIDER is PROVIDERS["openai"]


@pytest.mark.parametrize(
    ("base", "endpoint", "expected"),
    [
        pytest.param(None, "messages", "https://api.openai.com/v1/responses", id="default"),
        pytest.param(
            "https://eu.api.openai.com/v1",
            "messages",
            "https://eu.api.openai.com/v1/responses",
            id="another",
        ),
        pytest.param(
            "https://h.example/v1/responses",
            "messages",
            "https://h.example/v1/responses",
            id="with-its-end",
        ),
        pytest.param(
            None,
            "count_tokens",
            "https://api.openai.com/v1/responses/input_tokens",
            id="counting",
        ),
    ],
)
def test_the_address(base, endpoint, expected):
    settings = {"base_url": base} if base else {}
    assert expected == prepared(called(endpoint=endpoint), **settings).url


def test_no_header_of_anthropics_is_sent():
    headers = [
        (b"anthropic-beta", b"a"),
        (b"x-claude-code-session-id", b"b"),
        (b"user-agent", b"c"),
    ]
    call = Call(body=called().body, model="opus", headers=headers)
    assert [(b"content-type", b"application/json")] == prepared(call).headers


def test_the_cache_key_is_one_for_each_agent_of_a_session_and_tells_nothing():
    calls = [called(session="s-1"), called(session="s-1", agent="a"), called(session="s-2")]
    keys = [body_of(prepared(call))["prompt_cache_key"] for call in calls]

    assert 3 == len(set(keys))
    assert keys[0] == body_of(prepared(calls[0]))["prompt_cache_key"]
    assert not any("s-1" in key for key in keys)


def test_extra_members_take_the_place_of_translated_ones():
    call = called(thinking={"type": "adaptive"}, output_config={"effort": "low"})
    extra = {"reasoning": {"summary": "detailed"}, "service_tier": "flex"}
    sent = body_of(prepared(call, extra_body=extra))
    assert ({"effort": "low", "summary": "detailed"}, "flex") == (
        sent["reasoning"],
        sent["service_tier"],
    )


def test_tokens_that_openai_does_not_count_are_not_asked_for():
    with pytest.raises(InvalidRequestError):
        prepared(called(endpoint="count_tokens"), count_tokens=False)


def test_losses_are_those_of_the_request():
    assert ("top_k: OpenAI has nothing like it",) == prepared(called(top_k=3)).losses


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"forward_client_auth": True}, id="a-callers-credential"),
        pytest.param({"organization": "a b"}, id="an-organization-that-is-no-header"),
        pytest.param({"efforts": ["huge"]}, id="an-effort-there-is-not"),
        pytest.param({"max_tokens_limit": 0}, id="no-length"),
    ],
)
def test_settings_that_are_refused(settings):
    with pytest.raises(ValidationError):
        deployment(**settings)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["api_key", "auth_token"])
async def test_the_key_is_sent_as_bearer_and_shown_nowhere(name):
    settings = OpenAIDeployment(**{name: SecretStr(SECRET)})
    headers = await credential_for(settings).headers(prepared())

    assert [(b"authorization", f"Bearer {SECRET}".encode())] == list(headers)
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("status", "code", "cls", "answered", "kind"),
    [
        pytest.param(400, None, RejectedError, 400, "invalid_request_error", id="request"),
        pytest.param(
            401, "invalid_api_key", MisconfiguredError, 401, "authentication_error", id="key"
        ),
        pytest.param(403, None, MisconfiguredError, 403, "permission_error", id="country"),
        pytest.param(
            403, "model_not_found", MisconfiguredError, 404, "not_found_error", id="unverified"
        ),
        pytest.param(
            404, "model_not_found", MisconfiguredError, 404, "not_found_error", id="model"
        ),
        pytest.param(
            429, "rate_limit_exceeded", RateLimitedError, 429, "rate_limit_error", id="rate"
        ),
        pytest.param(
            429, "insufficient_quota", MisconfiguredError, 402, "billing_error", id="quota"
        ),
        pytest.param(500, "server_error", FaultError, 500, "api_error", id="fault"),
        pytest.param(503, "slow_down", OverloadedError, 529, "overloaded_error", id="slow-down"),
        pytest.param(424, None, FaultError, 500, "api_error", id="dependency"),
    ],
)
def test_an_error_in_anthropics_words(status, code, cls, answered, kind):
    error = failed(status, code=code)

    assert cls is type(error)
    assert (answered, kind, kind) == (error.status, error.type, said(error)["type"])
    assert (code or "") == error.code


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            "This model's maximum context length is 128000 tokens. However, your messages resulted"
            " in 130001 tokens. Please reduce the length of the messages.",
            "prompt is too long: 130001 tokens > 128000 maximum",
            id="with-numbers",
        ),
        pytest.param(
            "Your input exceeds the context window of this model. Please adjust your input and try"
            " again.",
            "prompt is too long: Your input exceeds",
            id="without",
        ),
    ],
)
def test_an_overflow_is_worded_so_that_clients_compact(message, expected):
    error = failed(400, code="context_length_exceeded", message=message)
    assert said(error)["message"].startswith(expected)


def test_reasoning_that_cannot_be_read_is_worded_so_that_it_is_left_out():
    message = "The encrypted content for item rs_1 could not be verified."
    error = failed(400, code="invalid_encrypted_content", message=message)
    assert "Invalid `signature` in `thinking` block" in said(error)["message"]


@pytest.mark.parametrize("code", ["content_policy_violation", "content_filter", "invalid_prompt"])
def test_a_refusal_by_policy_can_be_told_from_other_errors(code):
    assert "content_policy_violation" in str(failed(400, code=code))


def test_an_error_tells_no_key_and_no_organization():
    message = f"Incorrect API key provided: {SECRET}. Limit in organization org-aBcDeF123456."
    shown = said(failed(401, message=message))["message"]
    assert "Incorrect API key provided: (key). Limit in organization (owner)." == shown


@pytest.mark.parametrize(
    ("headers", "message", "expected"),
    [
        pytest.param([(b"retry-after", b"7")], "Oh", 7.0, id="header"),
        pytest.param([(b"retry-after-ms", b"250")], "Oh", 0.25, id="milliseconds"),
        pytest.param([], "Please try again in 1.2s.", 2.0, id="message"),
        pytest.param(
            [
                (b"x-ratelimit-remaining-requests", b"9"),
                (b"x-ratelimit-reset-requests", b"1h"),
                (b"x-ratelimit-remaining-tokens", b"0"),
                (b"x-ratelimit-reset-tokens", b"6m0s"),
            ],
            "Oh",
            360.0,
            id="the-limit-that-is-used-up",
        ),
        pytest.param([], "Oh", None, id="nothing"),
    ],
)
def test_how_long_to_wait(headers, message, expected):
    error = failed(429, headers, code="rate_limit_exceeded", message=message)
    assert expected == error.retry_after


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>Bad gateway</html>", id="html"),
        pytest.param(b'{"error": "Oh"}', id="a-word"),
        pytest.param(b'{"detail": [{"loc": ["body"], "msg": "Oh"}]}', id="fastapi"),
        pytest.param(b"[1]", id="a-list"),
        pytest.param(b'{"error": {"message": null, "code": 7}}', id="nulls"),
    ],
)
def test_any_body_of_an_error_can_be_read(body):
    error = PROVIDER.error(502, [], body)
    assert (502, FaultError) == (error.status, type(error))
    assert said(error)["message"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            "Unsupported parameter: 'temperature' is not supported with this model.",
            {"temperature"},
            id="parameter",
        ),
        pytest.param("Unknown parameter: 'prompt_cache_key'.", {"prompt_cache_key"}, id="unknown"),
        pytest.param(
            "Unknown parameter: 'input[0].content[1].prompt_cache_breakpoint'.",
            {"prompt_cache_breakpoint"},
            id="inside-the-input",
        ),
        pytest.param(
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            {"reasoning.effort"},
            id="a-member-of-a-member",
        ),
        pytest.param(
            "Your organization must be verified to generate reasoning summaries.",
            {"reasoning.summary"},
            id="unverified",
        ),
        pytest.param("Unknown parameter: 'tools'.", set(), id="what-cannot-be-left-out"),
        pytest.param("prompt is too long", set(), id="something-else"),
    ],
)
def test_what_a_refusal_says_can_be_left_out(message, expected):
    assert expected == PROVIDER.refused(message)


def test_a_count():
    whole = PROVIDER.whole(called(endpoint="count_tokens"), deployment(), b'{"input_tokens": 7}')
    assert {"input_tokens": 7} == json.loads(whole)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_an_answer_that_is_none_is_a_fault(body):
    with pytest.raises(FaultError):
        PROVIDER.whole(called(), deployment(), body)


def test_a_response_that_failed_is_an_error():
    body = (
        b'{"status":"failed","error":{"code":"rate_limit_exceeded","message":"Slow"},"output":[]}'
    )
    with pytest.raises(RateLimitedError):
        PROVIDER.whole(called(), deployment(), body)


def test_chat_completions_where_that_is_set():
    call = called(stop_sequences=["x"], output_config={"effort": "max"})
    request = prepared(call, api="chat", organization="org-1")
    sent = body_of(request)

    assert "https://api.openai.com/v1/chat/completions" == request.url
    assert (b"openai-organization", b"org-1") in request.headers
    assert ("xhigh", 64) == (sent["reasoning_effort"], sent["max_completion_tokens"])
    assert [{"role": "user", "content": "Hi"}] == sent["messages"]


def test_chat_completions_are_told_the_efforts_that_are_set():
    call = called(output_config={"effort": "max"})
    sent = body_of(prepared(call, "house", api="chat", efforts=["low"]))
    assert "low" == sent["reasoning_effort"]


def test_an_answer_of_chat_completions_is_read():
    choice = {"index": 0, "message": {"content": "Yes</b>No"}, "finish_reason": "stop"}
    body = msgspec.json.encode({"id": "chatcmpl-1", "choices": [choice]})
    call = called(stop_sequences=["</b>"])
    whole = json.loads(PROVIDER.whole(call, deployment(api="chat"), body))
    assert ([{"type": "text", "text": "Yes"}], "stop_sequence") == (
        whole["content"],
        whole["stop_reason"],
    )


def test_a_stream_of_chat_completions_is_read():
    decoder = PROVIDER.decoder(called(), deployment(api="chat"))
    chunk = {"choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": "stop"}]}
    stream = decoder.feed(b"data: " + msgspec.json.encode(chunk) + b"\n\n") + decoder.close()
    assert b'"text":"Yes"' in stream
