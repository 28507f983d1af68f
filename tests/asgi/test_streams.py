"""Streams that stall, break, or are no streams; clients that go away."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.asgi.conftest import MASTER_KEY, Gateway, config_for

from llmroute.messages.events import Event
from llmroute.testing import FakeUpstream, error, events, message, raw, text
from llmroute.wire.sse import SSEDecoder

Serve = Callable[[dict[str, Any]], Gateway]


def parsed(stream: bytes) -> list[Event]:
    """Read a stream, all of which must be whole events."""
    frames = SSEDecoder().feed(stream)
    assert stream == b"".join(frame.raw for frame in frames)
    return [event for frame in frames if (event := Event.of(frame)) is not None]


@pytest.fixture
def impatient(upstream: FakeUpstream, serve: Serve) -> Gateway:
    """A proxy that pings after a twentieth of a second."""
    return serve(config_for(upstream.url, ping_after=0.05))


def read_until(gateway: Gateway, wanted: bytes, upstream: FakeUpstream, count: int = 1) -> bytes:
    """Stream a call, release the upstream once `wanted` has come `count` times; return all."""
    got = b""
    body = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [], "stream": True}
    with gateway.http.stream("POST", "/v1/messages", json=body) as reply:
        assert 200 == reply.status_code
        for piece in reply.iter_raw():
            got += piece
            if got.count(wanted) >= count:
                upstream.release()
    return got


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(text("Hello there.").stall(after_events=1), id="after-message-start"),
        pytest.param(text("Hello there.").stall(after_events=4), id="inside-a-block"),
        pytest.param(text("Hello there.").stall(after_bytes=700), id="inside-an-event"),
    ],
)
def test_silence_is_filled_with_pings_between_whole_events(
    impatient: Gateway, upstream: FakeUpstream, answer: Any
) -> None:
    upstream.answer(answer)
    got = read_until(impatient, b'event: ping\ndata: {"type": "ping"}\n\n', upstream, count=3)

    kinds = [event.type for event in parsed(got)]
    assert kinds.count("ping") >= 3
    assert "message_start" == kinds[0]
    assert "message_stop" == kinds[-1]
    ours = b'event: ping\ndata: {"type": "ping"}\n\n'
    theirs = upstream.requests[0].sent
    assert theirs.replace(ours, b"") == got.replace(ours, b"")


def test_a_call_whose_upstream_is_slow_to_begin_is_answered_and_pinged(
    impatient: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer(text("At last.").late())
    got = read_until(impatient, b"event: ping", upstream, count=2)

    kinds = [event.type for event in parsed(got)]
    assert ["ping", "ping"] == kinds[:2]
    assert ["message_start", "message_stop"] == [
        k for k in kinds if k in ("message_start", "message_stop")
    ]


@pytest.mark.parametrize(
    ("answer", "kind", "wording"),
    [
        pytest.param(error(529), "overloaded_error", "Overloaded", id="529"),
        pytest.param(
            error(400, message="prompt is too long: 2 tokens > 1 maximum"),
            "invalid_request_error",
            "prompt is too long: 2 tokens > 1 maximum",
            id="400",
        ),
        pytest.param(raw(502, [], b"<html>"), "api_error", "502", id="html"),
    ],
)
def test_an_error_after_the_first_ping_follows_as_an_event_in_its_own_words(
    impatient: Gateway, upstream: FakeUpstream, answer: Any, kind: str, wording: str
) -> None:
    upstream.answer(answer.late())
    got = read_until(impatient, b"event: ping", upstream)

    last = parsed(got)[-1]
    assert ("error", kind) == (last.type, last.data["error"]["type"])
    assert wording in last.data["error"]["message"]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("after", [1, 2, 4, 6], ids=lambda n: f"after-{n}-events")
def test_a_stream_that_is_cut_ends_in_an_error_event(
    gateway: Gateway, upstream: FakeUpstream, after: int, reset: bool
) -> None:
    upstream.answer(text("Hello there.").cut(after_events=after, reset=reset))
    reply = gateway.ask(model="claude-opus-5-5", stream=True)

    got = parsed(reply.content)
    assert ("error", "api_error") == (got[-1].type, got[-1].data["error"]["type"])
    assert upstream.requests[0].sent.startswith(
        reply.content[: reply.content.index(b"event: error")]
    )
    [record] = gateway.records.wait()
    assert "broken" == record.outcome


def test_a_stream_cut_at_any_byte_leaves_whole_events_and_one_error(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    gateway.ask(model="claude-opus-5-5", stream=True)
    whole = upstream.requests[0].sent
    for at in range(0, len(whole) - 1, 7):
        upstream.answer(text("Hello there.").end(after_bytes=at))
        reply = gateway.ask(model="claude-opus-5-5", stream=True)
        if reply.status_code == 200:
            kinds = [event.type for event in parsed(reply.content)]
            assert 1 == kinds.count("error") + kinds.count("message_stop")
            assert kinds[-1] in ("error", "message_stop")
        else:
            assert (502, "error") == (reply.status_code, reply.json()["type"])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(events(b""), "ended before it began", id="nothing"),
        pytest.param(events(b": hello\n\n"), "ended before it began", id="only-a-comment"),
        pytest.param(events([{"type": "ping"}]), "ended before it began", id="only-a-ping"),
        pytest.param(
            raw(200, [("content-type", "text/html")], b"<html>Sign in</html>"),
            "text/html",
            id="html",
        ),
        pytest.param(
            raw(200, [("content-type", "application/json")], b'{"type":"message"}'),
            "application/json",
            id="plain-json",
        ),
        pytest.param(text("Hi").drop(), "", id="dropped"),
        pytest.param(text("Hi").drop(reset=True), "", id="reset"),
    ],
)
def test_an_answer_that_is_no_stream_becomes_an_error_that_can_be_retried(
    gateway: Gateway, upstream: FakeUpstream, answer: Any, said: str
) -> None:
    upstream.answer(answer)
    reply = gateway.ask(stream=True)

    body = reply.json()
    assert (502, "error", "api_error") == (reply.status_code, body["type"], body["error"]["type"])
    assert said in body["error"]["message"]
    assert "sonnet-direct" in body["error"]["message"]
    assert "x-should-retry" not in reply.headers


def test_an_error_in_place_of_the_first_event_comes_back_as_sent(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    stream = (
        b'event: error\ndata: {"type":"error",'
        b'"error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    upstream.answer(events(stream))
    reply = gateway.ask(stream=True)

    assert (200, stream) == (reply.status_code, reply.content)
    assert "failed" == gateway.records.wait()[0].outcome


def test_an_error_in_place_of_the_first_event_gives_another_deployment_its_turn(
    upstream: FakeUpstream, serve: Serve
) -> None:
    config = config_for(upstream.url)
    config["aliases"]["sonnet"] = ["sonnet-direct", "as-asked"]
    gateway = serve(config)
    failing = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    upstream.answer(events([{"type": "ping"}, failing]), text("Second."))
    reply = gateway.ask(stream=True)

    assert "message_stop" == parsed(reply.content)[-1].type
    assert "as-asked" == reply.headers["x-llmroute-deployment"]


def test_unknown_events_and_comments_are_relayed(gateway: Gateway, upstream: FakeUpstream) -> None:
    stream = (
        b'event: message_start\ndata: {"type":"message_start",'
        b'"message":{"model":"claude-opus-5-5"}}\n\n'
        b": a comment\n\n"
        b'event: of_tomorrow\ndata: {"type":"of_tomorrow","x":1.0e0}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    upstream.answer(events(stream))

    assert stream == gateway.ask(model="claude-opus-5-5", stream=True).content


def test_an_upstream_that_cannot_be_reached_is_said_to_be_so(serve: Serve) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        reply = serve(config_for(url)).ask()

    assert (502, "api_error") == (reply.status_code, reply.json()["error"]["type"])
    assert "sonnet-direct" in reply.json()["error"]["message"]


def test_usage_is_read_off_a_stream(gateway: Gateway, upstream: FakeUpstream) -> None:
    usage = {
        "input_tokens": 12,
        "cache_read_input_tokens": 3000,
        "cache_creation_input_tokens": 40,
        "output_tokens": 9,
    }
    upstream.answer(message("Hi", usage=usage))
    gateway.ask(stream=True)

    [record] = gateway.records.wait()
    assert (12, 3000, 40, 9) == (
        record.usage.input_tokens,
        record.usage.cache_read_input_tokens,
        record.usage.cache_creation_input_tokens,
        record.usage.output_tokens,
    )
    assert ("answered", "sonnet", "master") == (record.outcome, record.alias, record.key)
    assert record.first_byte is not None
    assert 0 < record.first_byte <= record.duration


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(text("Hello there.").late(), id="before-the-head"),
        pytest.param(text("Hello there.").stall(after_bytes=0), id="after-the-head"),
        pytest.param(text("Hello there.").stall(after_bytes=40), id="in-the-body"),
        pytest.param(text("Hello there.").stall(after_bytes=200), id="late-in-the-body"),
    ],
)
def test_a_client_that_goes_away_closes_the_upstream_connection_at_once(
    gateway: Gateway, upstream: FakeUpstream, answer: Any, stream: bool
) -> None:
    upstream.answer(answer)
    body = b'{"model":"claude-opus-5-5","max_tokens":9,"messages":[],"stream":%s}' % (
        b"true" if stream else b"false"
    )
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {MASTER_KEY}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    client = socket.create_connection(("127.0.0.1", gateway.port))
    client.sendall(head.encode() + body)
    [received] = upstream.wait_for(1)
    gone = time.monotonic()
    client.close()

    assert received.wait_closed() - gone < 0.25
    assert "cancelled" == gateway.records.wait()[0].outcome
