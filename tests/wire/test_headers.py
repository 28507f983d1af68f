"""What passes in either direction, and what never does."""

import pytest

from llmroute.wire.headers import downward, first, upward


@pytest.mark.parametrize(
    "name",
    [
        b"anthropic-version",
        b"anthropic-beta",
        b"anthropic-workspace-id",
        b"anthropic-dangerous-direct-browser-access",
        b"anthropic-invented-tomorrow",
        b"x-claude-code-session-id",
        b"x-claude-code-agent-id",
        b"x-claude-code-invented-tomorrow",
        b"x-claude-1p-request-class",
        b"x-stainless-retry-count",
        b"x-stainless-timeout",
        b"user-agent",
        b"x-app",
        b"idempotency-key",
        b"traceparent",
        b"tracestate",
    ],
)
def test_a_header_of_the_api_goes_up(name):
    assert [(name, b"value")] == upward([(name, b"value")])


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"x-api-key",
        b"x-litellm-api-key",
        b"proxy-authorization",
        b"cookie",
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"accept",
        b"accept-encoding",
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"origin",
        b"referer",
        b"x-anthropic-beta",
    ],
)
def test_credentials_cookies_and_the_connections_own_headers_do_not_go_up(name):
    assert [] == upward([(name, b"value")])


@pytest.mark.parametrize(
    "name",
    [
        b"content-type",
        b"request-id",
        b"x-request-id",
        b"apim-request-id",
        b"x-amzn-requestid",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
        b"anthropic-ratelimit-unified-status",
        b"anthropic-invented-tomorrow",
        b"x-ratelimit-remaining-requests",
        b"cf-ray",
    ],
)
def test_a_header_of_the_answer_comes_down(name):
    assert [(name, b"value")] == downward([(name, b"value")])


@pytest.mark.parametrize(
    "name",
    [
        b"set-cookie",
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"trailer",
        b"upgrade",
        b"content-length",
        b"content-encoding",
        b"www-authenticate",
        b"proxy-authenticate",
        b"authorization",
        b"x-api-key",
        b"server",
        b"date",
        b"location",
        b"alt-svc",
        b"strict-transport-security",
        b"access-control-allow-origin",
    ],
)
def test_cookies_and_the_connections_own_headers_do_not_come_down(name):
    assert [] == downward([(name, b"value")])


@pytest.mark.parametrize("direction", [upward, downward])
def test_headers_keep_their_order_and_their_repetitions(direction):
    headers = [(b"anthropic-b", b"1"), (b"anthropic-a", b"2"), (b"anthropic-b", b"3")]

    assert headers == direction([headers[0], (b"cookie", b"x"), *headers[1:]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(b"a", "1", id="the-first-of-two"),
        pytest.param(b"b", "\xff", id="any-bytes"),
        pytest.param(b"c", None, id="missing"),
    ],
)
def test_the_first_value_of_a_header_is_found(name, expected):
    assert expected == first([(b"a", b"1"), (b"b", b"\xff"), (b"a", b"2")], name)
