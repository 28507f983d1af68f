"""Upstreams that answer what they should not; the client gets what it can read all the same."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.asgi.conftest import Gateway, config_for

from llmroute.testing import FakeUpstream, events, raw, text

Serve = Callable[[dict[str, Any]], Gateway]
JSON = ("content-type", "application/json")
START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}}
STOP = {"type": "message_stop"}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize("status", [304, 307, 600, 999])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_status_that_is_no_error_s_is_never_handed_on(
    gateway: Gateway, upstream: FakeUpstream, status: int, stream: bool
) -> None:
    upstream.answer(raw(status, [("location", "http://192.0.2.1/")]))

    reply = gateway.ask(stream=stream)

    assert 502 == reply.status_code
    assert "api_error" == reply.json()["error"]["type"]
    assert f"answered {status}" in reply.json()["error"]["message"]
    assert 1 == len(upstream.requests)


def test_a_compressed_error_is_reported_and_not_handed_on_without_its_encoding(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    packed = gzip.compress(b'{"type": "error", "error": {"type": "x", "message": "y"}}')
    upstream.answer(raw(400, [JSON, ("content-encoding", "gzip")], packed))

    reply = gateway.ask()

    assert 400 == reply.status_code
    assert "invalid_request_error" == reply.json()["error"]["type"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"model": "\xff"}', id="model-not-utf-8"),
        pytest.param(b'{"usage": {"input_tokens": "\xff"}}', id="usage-not-utf-8"),
        pytest.param(b'{"usage": {"input_tokens": 1e999}}', id="number-out-of-range"),
    ],
)
def test_an_answer_that_cannot_be_read_is_the_upstream_s_fault(
    gateway: Gateway, upstream: FakeUpstream, body: bytes
) -> None:
    upstream.answer(raw(200, [JSON], body))

    reply = gateway.ask()

    assert 502 == reply.status_code
    assert "api_error" == reply.json()["error"]["type"]


def test_a_count_of_any_length_does_not_stop_the_answer(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    digits = b"9" * 400
    body = b'{"model": "m", "usage": {"input_tokens": %b, "output_tokens": 4}}' % digits
    upstream.answer(raw(200, [JSON], body))

    reply = gateway.ask()

    assert 200 == reply.status_code
    assert digits in reply.content
    (record,) = gateway.records.wait()
    assert (0, 4) == (record.usage.input_tokens, record.usage.output_tokens)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["claude-x\r\nset-cookie: a=b", "claude-\x00", "claude-\x1b[31m"])
def test_a_name_with_control_characters_makes_no_header(
    gateway: Gateway, upstream: FakeUpstream, name: str, stream: bool
) -> None:
    reply = gateway.ask(model=name, stream=stream)

    assert 200 == reply.status_code
    assert "set-cookie" not in reply.headers
    assert "?" in reply.headers["x-llmroute-model"]
    assert name == upstream.requests[0].json["model"]


def test_a_name_of_any_length_makes_a_short_header_and_a_short_error(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    answered = gateway.ask(model="claude-" + "x" * 2_000)
    endless = gateway.ask(model="claude-" + "x" * 100_000)
    unknown = gateway.ask(model="x" * 1_000_000)

    assert [200, 404, 404] == [it.status_code for it in (answered, endless, unknown)]
    assert len(answered.headers["x-llmroute-model"]) < 1000
    assert len(endless.content) < 1000
    assert len(unknown.content) < 1000


@pytest.mark.parametrize(
    ("last", "outcome"),
    [pytest.param(STOP, "answered", id="message"), pytest.param(OVERLOADED, "broken", id="error")],
)
def test_a_stream_in_which_all_is_said_ends_whether_the_upstream_ends_it_or_not(
    upstream: FakeUpstream, serve: Serve, last: dict[str, Any], outcome: str
) -> None:
    gateway = serve(config_for(upstream.url, ping_after=2))
    upstream.answer(events([START, last, {"type": "ping"}]).stall(after_events=2))

    started = time.monotonic()
    reply = gateway.ask(stream=True)

    assert time.monotonic() - started < 5
    assert reply.content.rstrip().endswith(b"}")
    assert b"ping" not in reply.content
    assert outcome == gateway.records.wait()[0].outcome
    upstream.wait_idle()


def test_what_follows_the_message_is_handed_on(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(events([START, STOP, {"type": "coda"}]))

    assert b'"coda"' in gateway.ask(stream=True).content


def test_a_connection_whose_answer_ends_late_is_used_again(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer(text("Hello.").paced(0.01), text("Hello."))

    gateway.ask(stream=True)
    gateway.ask()

    assert 1 == upstream.connections_made


def test_no_count_can_be_made_of_a_body_that_cannot_be_read(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on("POST", "/v1/messages/count_tokens", raw(500, [JSON], b"{}"))
    body = b'{"model": "sonnet", "messages": "\xff"}'

    reply = gateway.http.post("/v1/messages/count_tokens", content=body)

    assert 500 == reply.status_code
    assert "failed" == gateway.records.wait()[0].outcome
