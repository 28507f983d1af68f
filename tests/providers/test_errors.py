"""What an upstream's error means, by its type, and where that says nothing, by its status."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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


NOW = b"Sun, 06 Nov 1994 08:49:37 GMT"
LATER = b"Sun, 06 Nov 1994 08:51:07 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([(b"retry-after", b"30")], 30.0, id="seconds"),
        pytest.param([(b"retry-after", b" 1.5 ")], 1.5, id="a-fraction"),
        pytest.param([(b"retry-after", b"0")], 0.0, id="at-once"),
        pytest.param([(b"retry-after", b"-5")], 0.0, id="in-the-past"),
        pytest.param([(b"retry-after", b"86401")], 86_400.0, id="more-than-a-day"),
        pytest.param([(b"retry-after-ms", b"1e300")], 86_400.0, id="much-more-than-a-day"),
        pytest.param([(b"retry-after", LATER)], None, id="a-date-and-no-clock"),
        pytest.param([(b"retry-after", LATER), (b"date", NOW)], 90.0, id="a-date"),
        pytest.param([(b"date", LATER), (b"retry-after", NOW)], 0.0, id="a-date-in-the-past"),
        pytest.param(
            [(b"retry-after", b"Sun, 06-Nov-94 08:50:37 GMT"), (b"date", NOW)], 60.0, id="rfc-850"
        ),
        pytest.param(
            [(b"retry-after", b"Sun Nov  6 08:50:37 1994"), (b"date", NOW)], 60.0, id="asctime"
        ),
        pytest.param(
            [(b"retry-after", b"Sun, 06 Nov 1995 08:49:37 GMT"), (b"date", NOW)],
            86_400.0,
            id="a-date-next-year",
        ),
        pytest.param([(b"retry-after", b"5"), (b"date", NOW)], 5.0, id="seconds-are-no-date"),
        pytest.param(
            [(b"retry-after", LATER), (b"date", b"now")], None, id="a-clock-that-tells-nothing"
        ),
        pytest.param(
            [(b"retry-after", b"Sun, 99 Nov 1994 08:49:37 GMT"), (b"date", NOW)],
            None,
            id="a-day-that-is-none",
        ),
        pytest.param(
            [(b"retry-after-ms", b"250"), (b"retry-after", LATER), (b"date", NOW)],
            0.25,
            id="milliseconds-and-a-date",
        ),
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
        pytest.param([(b"retry-after", b"\xff\xfe"), (b"date", NOW)], None, id="not-ascii"),
    ],
)
def test_an_upstream_says_when_to_come_back(headers, expected):
    assert expected == native_error(429, headers, b"").retry_after
    assert expected == event_error(body("rate_limit_error"), headers).retry_after


@example(b"Sun, 06 Nov 1994 08:49:37 +99999999999999999999")
@example(b"Sun, 06 Nov 99999999999 08:49:37 GMT")
@example(b"Sun, 06 Nov 0000 08:49:37 GMT")
@example(b"01 Jan 0001 00:00:00 +2359")
@example(b"31 Dec 9999 23:59:59 -2359")
@given(st.binary() | st.from_regex(rb"\A[A-Z]{3}, [0-9]{1,2} Nov [0-9]{1,6} [0-9:+ -]*\Z"))
def test_whatever_is_sent_for_a_date_is_no_surprise(date):
    asked = native_error(429, [(b"retry-after", date), (b"date", NOW)], b"").retry_after
    clock = native_error(429, [(b"retry-after", NOW), (b"date", date)], b"").retry_after

    assert asked is None or 0 <= asked <= 86_400
    assert clock is None or 0 <= clock <= 86_400


RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        pytest.param("12s", 12.0, id="seconds"),
        pytest.param("0.250s", 0.25, id="a-fraction"),
        pytest.param("0s", 0.0, id="at-once"),
        pytest.param("-3s", 0.0, id="in-the-past"),
        pytest.param("100000s", 86_400.0, id="more-than-a-day"),
        pytest.param({"seconds": 12, "nanos": 500_000_000}, 12.5, id="an-object"),
        pytest.param({"seconds": "12"}, 12.0, id="a-number-as-text"),
        pytest.param({"nanos": 1_000_000}, 0.001, id="nanoseconds"),
        pytest.param({}, 0.0, id="an-object-of-zeros"),
        pytest.param({"seconds": [1]}, None, id="no-number"),
        pytest.param({"seconds": None}, None, id="null-in-it"),
        pytest.param({"seconds": 10**400}, None, id="no-end-of-digits"),
        pytest.param("nans", None, id="not-a-number"),
        pytest.param("infs", None, id="for-ever"),
        pytest.param("soon", None, id="a-word"),
        pytest.param("", None, id="empty"),
        pytest.param(12, None, id="a-bare-number"),
        pytest.param(None, None, id="null"),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [pytest.param(RETRY_INFO, id="in-full"), pytest.param("google.rpc.RetryInfo", id="in-short")],
)
@pytest.mark.parametrize("listed", [pytest.param(False, id="alone"), pytest.param(True, id="list")])
def test_googles_advice_on_when_to_come_back_is_read(delay, expected, kind, listed):
    details = [{"@type": "x.QuotaFailure"}, 7, {"@type": kind, "retryDelay": delay}]
    error = {"error": {"code": 429, "message": "m", "details": details}}
    said = json.dumps([error] if listed else error).encode()

    assert expected == native_error(429, (), said).retry_after
    assert expected == event_error(said, ()).retry_after
    assert 7.0 == native_error(429, [(b"retry-after", b"7")], said).retry_after
    assert "429: m" == str(native_error(429, (), said))


@pytest.mark.parametrize(
    "details",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="none"),
        pytest.param([{"@type": "google.rpc.ErrorInfo", "retryDelay": "12s"}], id="of-other-kinds"),
        pytest.param([{"@type": 7, "retryDelay": "12s"}], id="of-no-kind"),
        pytest.param([{"@type": RETRY_INFO}], id="without-a-delay"),
        pytest.param({"@type": RETRY_INFO, "retryDelay": "12s"}, id="no-list"),
    ],
)
def test_other_details_give_no_advice(details):
    said = json.dumps({"error": {"message": "m", "details": details}}).encode()

    assert native_error(429, (), said).retry_after is None


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        pytest.param(
            {"type": "rate_limit_error", "details": {"error_code": "ramp_limit_exceeded"}},
            "rate_limit_error",
            "ramp_limit_exceeded",
            id="both",
        ),
        pytest.param({"type": "novel_error"}, "novel_error", "", id="a-type"),
        pytest.param({"details": {"error_code": "x"}}, "", "x", id="a-code"),
        pytest.param({"type": None, "details": {"error_code": None}}, "", "", id="nulls"),
        pytest.param({"type": ["a"], "details": {"error_code": ["b"]}}, "", "", id="lists"),
        pytest.param({"details": [{"error_code": "x"}]}, "", "", id="googles-details"),
        pytest.param({"code": "x", "details": {}}, "", "", id="another-code"),
        pytest.param("overloaded", "", "", id="a-string"),
        pytest.param([], "", "", id="a-list"),
        pytest.param(None, "", "", id="null"),
    ],
)
def test_an_errors_type_and_code_are_kept(error, kind, code):
    said = json.dumps({"type": "error", "error": error}).encode()

    assert (kind, code) == _named(native_error(429, (), said))
    assert (kind, code) == _named(event_error(said, ()))


@pytest.mark.parametrize(
    "said", [pytest.param(b"", id="nothing"), pytest.param(b"<html>", id="html")]
)
def test_an_error_that_is_none_has_neither_type_nor_code(said):
    assert ("", "") == _named(native_error(502, (), said))
    assert ("", "") == _named(event_error(said, ()))


def _named(error):
    return error.type, error.code


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
