"""What an upstream's error means, by its type, and where that says nothing, by its status."""

import json

import pytest

from llmroute.errors import (
    FaultError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    RejectedError,
    Remedy,
)
from llmroute.providers import event_error, native_error


def body(kind, message="Because."):
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", RejectedError),
        (401, "authentication_error", MisconfiguredError),
        (402, "billing_error", MisconfiguredError),
        (403, "permission_error", MisconfiguredError),
        (404, "not_found_error", MisconfiguredError),
        (408, "timeout_error", FaultError),
        (409, "conflict_error", FaultError),
        (413, "request_too_large", RejectedError),
        (422, "invalid_request_error", RejectedError),
        (429, "rate_limit_error", RateLimitedError),
        (500, "api_error", FaultError),
        (503, "api_error", FaultError),
        (504, "timeout_error", FaultError),
        (529, "overloaded_error", OverloadedError),
        # The type says more than the status.
        (400, "billing_error", MisconfiguredError),
        (429, "billing_error", MisconfiguredError),
        (500, "rate_limit_error", RateLimitedError),
        (503, "overloaded_error", OverloadedError),
        # But for this one, which other servers send with every status.
        (401, "invalid_request_error", MisconfiguredError),
        (404, "invalid_request_error", MisconfiguredError),
        (429, "invalid_request_error", RateLimitedError),
        (500, "invalid_request_error", FaultError),
        (400, "BadRequestError", RejectedError),
        (404, "NotFoundError", MisconfiguredError),
        (500, "InternalServerError", FaultError),
    ],
)
def test_the_type_of_an_error_decides(status, kind, expected):
    error = native_error(status, (), body(kind))

    assert expected is type(error)
    assert f"{status} {kind}: Because." == str(error)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html><h1>Bad Gateway</h1></html>", id="html"),
        pytest.param(b"\xff\xfe", id="bytes"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"detail":"no"}', id="another-shape"),
        pytest.param(b'{"error":null}', id="null-inside"),
        pytest.param(b'{"error":{"type":null,"message":null}}', id="nulls-inside"),
        pytest.param(b'{"error":["\xff"]}', id="not-utf-8"),
        pytest.param(b'{"error":' + b"[" * 100_000, id="deep"),
    ],
)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, MisconfiguredError),
        (307, MisconfiguredError),
        (400, RejectedError),
        (401, MisconfiguredError),
        (402, MisconfiguredError),
        (403, MisconfiguredError),
        (404, MisconfiguredError),
        (405, MisconfiguredError),
        (408, FaultError),
        (409, FaultError),
        (413, RejectedError),
        (422, RejectedError),
        (429, RateLimitedError),
        (499, RejectedError),
        (500, FaultError),
        (501, FaultError),
        (502, FaultError),
        (503, FaultError),
        (504, FaultError),
        (529, OverloadedError),
    ],
)
def test_where_the_body_says_nothing_the_status_decides(status, expected, said):
    error = native_error(status, (), said)

    assert expected is type(error)
    assert str(status) == str(error)
    assert (status, said) == (error.status, error.body)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(b'{"error":"model not found"}', "404: model not found", id="a-string"),
        pytest.param(b'{"error":{"message":"no"}}', "404: no", id="no-type"),
        pytest.param(b'{"error":{"type":"x_error"}}', "404 x_error", id="no-message"),
        pytest.param(b'{"error":{"type":7,"message":8}}', "404 7: 8", id="numbers"),
    ],
)
def test_what_is_said_is_shown(said, expected):
    assert expected == str(native_error(404, (), said))


def test_an_error_keeps_what_the_client_is_to_get():
    headers = [(b"request-id", b"req_1"), (b"x-should-retry", b"false")]
    said = b' {"type":"error","error":{"type":"rate_limit_error","message":"m"}}\n'

    error = native_error(429, headers, said)

    assert (429, tuple(headers), said) == (error.status, error.headers, error.body)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([(b"retry-after", b"30")], 30.0, id="seconds"),
        pytest.param([(b"retry-after", b" 1.5 ")], 1.5, id="a-fraction"),
        pytest.param([(b"retry-after", b"0")], 0.0, id="at-once"),
        pytest.param([(b"retry-after", b"-5")], 0.0, id="in-the-past"),
        pytest.param([(b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT")], None, id="date"),
        pytest.param([(b"retry-after", b"")], None, id="empty"),
        pytest.param([(b"retry-after", b"soon")], None, id="a-word"),
        pytest.param([(b"retry-after", b"inf")], None, id="for-ever"),
        pytest.param([(b"retry-after", b"nan")], None, id="not-a-number"),
        pytest.param([(b"retry-after", b"1e999")], None, id="too-large"),
        pytest.param([(b"retry-after-ms", b"250")], 0.25, id="milliseconds"),
        pytest.param(
            [(b"retry-after", b"1"), (b"retry-after-ms", b"250")], 0.25, id="the-finer-one"
        ),
        pytest.param(
            [(b"retry-after", b"2"), (b"retry-after-ms", b"?")], 2.0, id="the-legible-one"
        ),
    ],
)
def test_an_upstream_says_when_to_come_back(headers, expected):
    assert expected == native_error(429, headers, b"").retry_after
    assert expected == event_error(body("rate_limit_error"), headers).retry_after


@pytest.mark.parametrize(
    ("kind", "expected", "status", "remedy"),
    [
        ("overloaded_error", OverloadedError, 529, Remedy.TIME),
        ("rate_limit_error", RateLimitedError, 429, Remedy.TIME),
        ("api_error", FaultError, 500, Remedy.TIME),
        ("timeout_error", FaultError, 504, Remedy.TIME),
        ("invalid_request_error", RejectedError, 400, Remedy.NOTHING),
        ("request_too_large", RejectedError, 413, Remedy.NOTHING),
        ("authentication_error", MisconfiguredError, 401, Remedy.ELSEWHERE),
        ("permission_error", MisconfiguredError, 403, Remedy.ELSEWHERE),
        ("not_found_error", MisconfiguredError, 404, Remedy.ELSEWHERE),
        ("billing_error", MisconfiguredError, 402, Remedy.ELSEWHERE),
        ("novel_error", FaultError, 500, Remedy.TIME),
    ],
)
def test_an_error_in_place_of_an_answer_is_read_like_one_with_a_status(
    kind, expected, status, remedy
):
    said = body(kind)

    error = event_error(said, [(b"request-id", b"req_1")])

    assert expected is type(error)
    assert (status, remedy, said) == (error.status, error.remedy, error.body)
    assert f"{kind} at the start of the stream: Because." == str(error)


def test_an_error_event_that_says_nothing_is_a_fault():
    error = event_error(b"?", ())

    assert FaultError is type(error)
    assert "error at the start of the stream: " == str(error)
