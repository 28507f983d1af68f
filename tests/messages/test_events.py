"""Events as objects, and the few that are written here."""

import json

import pytest

from llmroute.messages.events import PING, Event, error_body, error_event, error_type
from llmroute.wire.sse import frames


def event(stream):
    (frame,) = frames(stream)
    return Event.of(frame)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b'event: a\ndata: {"type":"b"}\n\n', "b", id="the-data-says-it"),
        pytest.param(b"event: a\ndata: {}\n\n", "a", id="only-the-event-line-does"),
        pytest.param(b'data: {"type":"b"}\n\n', "b", id="no-event-line"),
        pytest.param(b"data: {}\n\n", "", id="nobody-does"),
    ],
)
def test_an_event_has_a_type(stream, expected):
    assert expected == event(stream).type


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b": comment\n\n", id="comment"),
        pytest.param(b"event: a\n\n", id="no-data"),
        pytest.param(b"data: [DONE]\n\n", id="not-json"),
        pytest.param(b"data: []\n\n", id="not-an-object"),
        pytest.param(b'data: {"a":"\xff"}\n\n', id="not-utf-8"),
        pytest.param(b'data: {"a":' + b"[" * 100_000 + b"\n\n", id="deep"),
    ],
)
def test_what_holds_no_event_is_none(stream):
    assert event(stream) is None


@pytest.mark.parametrize(
    ("data", "index", "delta", "text"),
    [
        pytest.param({"index": 3, "delta": {"text": "a"}}, 3, {"text": "a"}, "a", id="text"),
        pytest.param({"delta": {"partial_json": "{"}}, -1, {"partial_json": "{"}, "", id="json"),
        pytest.param({"index": "3", "delta": "a"}, -1, {}, "", id="other-types"),
        pytest.param({"delta": {"text": None}}, -1, {"text": None}, "", id="null"),
        pytest.param({}, -1, {}, "", id="nothing"),
    ],
)
def test_what_is_asked_for_most_is_at_hand(data, index, delta, text):
    found = Event("content_block_delta", data)

    assert (index, delta, text) == (found.index, found.delta, found.text)


def test_a_ping_is_worded_as_the_api_words_it():
    assert b'event: ping\ndata: {"type": "ping"}\n\n' == PING


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (408, "timeout_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_every_status_has_a_type_of_error(status, expected):
    assert expected == error_type(status)


def test_an_error_is_worded_as_the_api_words_it():
    body = error_body("api_error", 'No "luck"\n')

    assert {
        "type": "error",
        "error": {"type": "api_error", "message": 'No "luck"\n'},
    } == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(error_body("api_error", "two\nlines"), id="ours"),
        pytest.param(b'{\n  "type": "error",\r\n  "error": {}\n}\n', id="pretty-printed"),
    ],
)
def test_an_error_body_becomes_one_event(body):
    (frame,) = frames(error_event(body))

    assert b"error" == frame.event
    assert json.loads(body) == json.loads(frame.data)
