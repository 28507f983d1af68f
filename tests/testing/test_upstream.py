"""The fake upstream over its socket: what it answers, what it breaks, what it tells afterwards."""

import contextlib
import gc
import http.client
import json
import socket
import threading
import time

import anthropic
import anyio
import pytest
from anyio import to_thread

from llmroute.testing import (
    FakeUpstream,
    as_json,
    conversation,
    error,
    events,
    message,
    raw,
    text,
    thinking,
    tool_use,
)

BOUND = 5.0  # seconds a wait may take
ASK = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
STREAM = ASK | {"stream": True}


@pytest.fixture
def upstream():
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def client(upstream):
    client = connect(upstream)
    yield client
    client.close()


def connect(upstream):
    client = http.client.HTTPConnection(upstream.url.removeprefix("http://"), timeout=BOUND)
    client.connect()
    return client


def ask(client, body=ASK, path="/v1/messages", method="POST", headers=()):
    client.request(method, path, json.dumps(body) if body is not None else None, dict(headers))
    reply = client.getresponse()
    return reply.status, reply.read()


def dial(upstream):
    connection = socket.create_connection(
        tuple(upstream.url.removeprefix("http://").split(":")), BOUND
    )
    connection.settimeout(BOUND)
    return connection


def head(body, *, length=None):
    size = len(body) if length is None else length
    return b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + body


def until(connection, end):
    """Read up to `end`; what comes with it is returned too."""
    received = b""
    while not received.endswith(end):
        data = connection.recv(65536)
        if not data:
            raise EOFError(received)
        received += data
    return received


ASKED = json.dumps(ASK).encode()
STREAMED = json.dumps(STREAM).encode()


class TestAnswers:
    def test_queued_answers_come_in_order_and_then_the_default(self, upstream, client):
        upstream.answer("one", text("two"), {"content": [{"type": "text", "text": "three"}]})
        upstream.default = "default"

        assert ["one", "two", "three", "default", "default"] == [
            json.loads(ask(client)[1])["content"][0]["text"] for _ in range(5)
        ]

    def test_a_function_answers_by_the_request(self, upstream, client):
        upstream.answer_with(lambda received: text(received.json["model"]))

        assert b'"text":"claude-x"' in ask(client)[1]

    def test_a_failing_function_is_a_500_and_raises_when_the_upstream_stops(self):
        upstream = FakeUpstream()
        upstream.answer_with(lambda received: received.json["absent"])
        with pytest.raises(KeyError, match="absent"), upstream:
            client = connect(upstream)
            status, _ = ask(client)
            client.close()
            assert 500 == status

    @pytest.mark.parametrize(
        ("method", "path", "body", "expected"),
        [
            pytest.param(
                "POST", "/v1/messages/count_tokens?beta=true", {}, {"input_tokens": 1}, id="count"
            ),
            pytest.param("GET", "/v1/models/claude-nope", None, "not_found_error", id="no-model"),
            pytest.param("GET", "/nowhere", None, "not_found_error", id="nowhere"),
        ],
    )
    def test_unscripted_endpoints(self, client, method, path, body, expected):
        answer = json.loads(ask(client, body, path, method)[1])

        assert expected == (answer["error"]["type"] if "error" in answer else answer)

    def test_models_are_listed_and_each_is_found(self, client):
        models = json.loads(ask(client, None, "/v1/models?limit=1000", "GET")[1])["data"]

        assert models == [
            json.loads(ask(client, None, f"/v1/models/{model['id']}", "GET")[1]) for model in models
        ]
        assert len(models) > 1

    def test_greeting_has_no_body(self, client):
        assert (200, b"") == ask(client, None, "/api/hello", "HEAD")
        assert (200, b"") == ask(client, None, "/api/hello", "GET")

    def test_head_tells_the_length_and_sends_nothing(self, upstream, client):
        upstream.on("HEAD", "/file", raw(body=b"12345"))
        client.request("HEAD", "/file")
        reply = client.getresponse()

        assert ("5", b"") == (reply.headers["content-length"], reply.read())
        assert 404 == ask(client, None, "/other", "GET")[0]

    def test_scripted_endpoints_repeat_their_last_answer(self, upstream, client):
        upstream.on("GET", "/v1/files", as_json(1), as_json(2))

        assert [b"1", b"2", b"2"] == [ask(client, None, "/v1/files", "GET")[1] for _ in range(3)]

    def test_the_longest_pattern_answers(self, upstream, client):
        upstream.on("GET", "/v1/*", as_json("any"))
        upstream.on("GET", "/v1/files/*", as_json("file"))
        upstream.on("GET", "/v1/files/a", as_json("a"))

        assert [b'"any"', b'"file"', b'"a"'] == [
            ask(client, None, path, "GET")[1] for path in ("/v1/x", "/v1/files/b", "/v1/files/a")
        ]

    def test_a_message_answers_at_any_endpoint(self, upstream, client):
        upstream.on("POST", "/model/*", "Hi")

        assert b'"text":"Hi"' in ask(client, {}, "/model/m/invoke")[1]

    def test_an_endpoint_needs_an_answer(self, upstream):
        with pytest.raises(ValueError, match="needs an answer"):
            upstream.on("GET", "/v1/files")

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
    def test_what_is_no_json_object_is_refused(self, upstream, client, body):
        client.request("POST", "/v1/messages", body)
        reply = client.getresponse()

        assert 400 == reply.status
        assert b'"invalid_request_error"' in reply.read()
        assert [body] == [received.body for received in upstream.requests]

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            pytest.param({"X-Api-Key": "secret"}, 200, id="key"),
            pytest.param({"Authorization": "Bearer secret"}, 200, id="bearer"),
            pytest.param({"x-api-key": "wrong"}, 401, id="wrong"),
            pytest.param({"x-api-key": ""}, 401, id="empty"),
            pytest.param({}, 401, id="none"),
        ],
    )
    def test_a_key_can_be_demanded(self, headers, status):
        with (
            FakeUpstream(api_key="secret") as upstream,
            contextlib.closing(connect(upstream)) as client,
        ):
            assert status == ask(client, headers=headers)[0]
            assert 200 == ask(client, None, "/api/hello", "HEAD")[0]

    def test_a_prefix_stands_before_every_path(self):
        with FakeUpstream(prefix="/anthropic") as upstream:
            host, _, prefix = upstream.url.removeprefix("http://").partition("/")
            upstream.on("GET", "/v1/files", as_json([]))
            client = http.client.HTTPConnection(host, timeout=BOUND)
            statuses = [
                ask(client, ASK, f"/{prefix}/v1/messages")[0],
                ask(client, None, f"/{prefix}/v1/files", "GET")[0],
                ask(client, ASK, "/v1/messages")[0],
            ]
            client.close()

        assert [200, 200, 404] == statuses

    def test_two_runs_give_the_same_bytes(self):
        def run():
            with FakeUpstream() as upstream, dial(upstream) as connection:
                upstream.answer(tool_use("a"), error(429, retry_after=1), thinking("x", then="y"))
                received = []
                for body, end in ((STREAMED, b"0\r\n\r\n"), (ASKED, b'"}'), (ASKED, b"}}")):
                    connection.sendall(head(body))
                    received.append(until(connection, end))
                return received

        first = run()
        assert first == run()
        assert b"request-id: req_000000000000000000000002\r\n" in first[1]
        assert b'"id":"msg_000000000000000000000002"' in first[2]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(text("Good morning."), id="text"),
        pytest.param(thinking("Hm.", then=tool_use("Read", {"path": "a\n"})), id="tool"),
        pytest.param(text("Good morning.").bytewise(), id="bytewise"),
        pytest.param(text("Good morning.").pieces([5, 6, 300]), id="in-pieces"),
        pytest.param(text("Good morning.").paced(0.001), id="paced"),
    ],
)
def test_anthropics_own_client_reads_the_same_message_streamed_and_whole(upstream, answer):
    upstream.answer(answer.header("x", "1"), message([answer], id="msg_" + "1".zfill(24)))
    with anthropic.Anthropic(base_url=upstream.url, api_key="k", max_retries=0) as client:
        with client.messages.stream(**ASK) as stream:
            streamed = stream.get_final_message().to_dict(exclude_none=True)
        whole = client.messages.create(**ASK).to_dict(exclude_none=True)

    for block in (*streamed["content"], *whole["content"]):
        block.pop("id", None)
        block.pop("parsed_output", None)
    assert whole == streamed


class TestRequests:
    def test_they_are_kept_as_sent(self, upstream, client):
        client.putrequest("POST", "/v1/messages?beta=true", skip_accept_encoding=True)
        for name, value in (("X-Two", "1"), ("x-two", "2"), ("Content-Length", "2")):
            client.putheader(name, value)
        client.endheaders(b"{}")
        client.getresponse().read()
        [received] = upstream.requests

        assert ("POST", "/v1/messages", "beta=true") == (
            received.method,
            received.path,
            received.query,
        )
        assert (("X-Two", "1"), ("x-two", "2"), ("Content-Length", "2")) == received.headers[1:]
        assert (b"{}", {}) == (received.body, received.json)
        assert ("1", None) == (received.header("X-TWO"), received.header("absent"))
        assert "<POST /v1/messages of 2 bytes>" == repr(received)

    @pytest.mark.parametrize("answer", [text("Hi"), text("Hi").bytewise(), raw(body=b"Hi")])
    def test_what_was_sent_is_kept_too(self, upstream, client, answer):
        upstream.answer(answer)
        _, body = ask(client, STREAM)

        assert body == upstream.requests[0].sent
        assert upstream.requests[0].done.wait(BOUND)
        assert not upstream.requests[0].closed.is_set()

    @pytest.mark.parametrize("size", [1, 7, 100, 70_000])
    def test_bodies_may_come_in_chunks(self, upstream, client, size):
        body = ASKED + b" " * 100_000
        pieces = [body[at : at + size] for at in range(0, len(body), size)][:2000]
        client.request("POST", "/v1/messages", iter(pieces), encode_chunked=True)
        client.getresponse().read()

        assert [b"".join(pieces)] == [received.body for received in upstream.requests]

    def test_trailers_and_chunk_extensions_are_left_out(self, upstream):
        with dial(upstream) as connection:
            connection.sendall(
                b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
                b"2;x=y\r\n{}\r\n0\r\nx-sum: 1\r\n\r\n"
            )
            until(connection, b"}")

        assert [b"{}"] == [received.body for received in upstream.requests]

    def test_a_request_may_come_a_byte_at_a_time(self, upstream):
        with dial(upstream) as connection:
            for byte in head(ASKED):
                connection.sendall(bytes([byte]))
            until(connection, b"}}")

        assert [ASKED] == [received.body for received in upstream.requests]

    def test_large_bodies_and_large_answers_pass(self, upstream, client):
        upstream.answer(text("y" * 8_000_000))
        status, body = ask(client, ASK | {"system": "x" * 8_000_000})

        assert (200, upstream.requests[0].sent) == (status, body)
        assert len(upstream.requests[0].body) > 8_000_000

    def test_requests_sent_at_once_are_answered_in_order(self, upstream):
        upstream.answer(raw(body=b"one"), raw(body=b"two"))
        with dial(upstream) as connection:
            connection.sendall(head(b"{}") + head(b"{}"))
            received = until(connection, b"two")

        assert received.index(b"one") < received.index(b"two")

    def test_who_asks_to_continue_is_told_so(self, upstream):
        with dial(upstream) as connection:
            connection.sendall(
                b"POST /v1/messages HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
            )
            until(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"{}")
            until(connection, b"}}")

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(b"nonsense\r\n\r\n", id="no-request-line"),
            pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="other-version"),
            pytest.param(b"GET / HTTP/1.1\r\nx y\r\n\r\n", id="no-colon"),
            pytest.param(b"GET / HTTP/1.1\r\nx : y\r\n\r\n", id="space-in-name"),
            pytest.param(b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", id="no-length"),
            pytest.param(b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", id="negative-length"),
            pytest.param(
                b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", id="no-size"
            ),
            pytest.param(
                b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", id="wrong-size"
            ),
            pytest.param(b"GET / HTTP/1.1\r\nx: " + b"y" * 2_000_000, id="endless-head"),
        ],
    )
    def test_what_is_not_http_is_refused_and_closed(self, upstream, request_):
        with dial(upstream) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(request_)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while data := connection.recv(65536):
                    received += data

        assert received.startswith(b"HTTP/1.1 400 ")
        assert [] == upstream.requests

    def test_waiting_for_requests_is_bounded(self, upstream, client):
        ask(client)

        assert [ASKED] == [received.body for received in upstream.wait_for(1, BOUND)]
        with pytest.raises(TimeoutError, match=r"1 of 2 requests came in 0\.01 s"):
            upstream.wait_for(2, 0.01)

    def test_only_the_last_are_kept_if_so_wished(self):
        with FakeUpstream(keep=2) as upstream, contextlib.closing(connect(upstream)) as client:
            for number in range(4):
                ask(client, ASK | {"max_tokens": number})
            kept = [received.json["max_tokens"] for received in upstream.wait_for(4, BOUND)]

        assert [2, 3] == kept


class TestFaults:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            pytest.param(events([b"one\n\n", b"two\n\n"]).cut(2), b"on", id="cut-in-bytes"),
            pytest.param(events([b"one", b"", b"two"]).cut(5), b"onetw", id="an-empty-piece"),
            pytest.param(
                events([b"one\n\n", b"two\n\n"]).cut(after_events=1), b"one\n\n", id="cut-in-events"
            ),
            pytest.param(
                events([b"one\n\n", b"two\n\n"]).cut(), b"one\n\ntwo\n\n", id="cut-before-the-end"
            ),
            pytest.param(raw(body=b"whole").cut(3), b"who", id="sized"),
            pytest.param(raw(body=b"whole").cut(0), b"", id="at-once"),
            pytest.param(raw(body=b"whole").bytewise().cut(3), b"who", id="bytewise"),
        ],
    )
    def test_cut_answers_end_without_their_end(self, upstream, client, answer, expected):
        upstream.answer(answer)
        with pytest.raises(http.client.IncompleteRead) as broken:
            ask(client)

        assert expected == broken.value.partial
        assert expected == upstream.requests[0].sent
        assert upstream.requests[0].done.is_set()
        assert not upstream.requests[0].closed.is_set()

    def test_a_reset_is_one(self, upstream):
        upstream.answer(events([b"one\n\n", b"two\n\n"]).cut(after_events=1, reset=True))
        with dial(upstream) as connection:
            connection.sendall(head(ASKED))
            with pytest.raises(ConnectionResetError):
                until(connection, b"never")

    def test_an_early_end_is_sound(self, upstream, client):
        upstream.answer(events([b"one\n\n", b"two\n\n"]).end(after_events=1), raw(body=b"x").end(0))

        assert [(200, b"one\n\n"), (200, b"")] == [ask(client), ask(client)]
        assert 1 == upstream.connections_made

    @pytest.mark.parametrize(
        ("reset", "problem"),
        [
            pytest.param(False, http.client.RemoteDisconnected, id="closed"),
            pytest.param(True, ConnectionResetError, id="reset"),
        ],
    )
    def test_a_dropped_answer_has_no_head(self, upstream, client, reset, problem):
        upstream.answer(text("Hi").drop(reset=reset))
        with pytest.raises(problem):
            ask(client)

    def test_a_stream_can_fail(self, upstream, client):
        upstream.answer(text("Hi").fail(after_events=1))
        _, body = ask(client, STREAM)

        assert [b"message_start", b"error"] == [
            line.removeprefix(b"event: ")
            for line in body.split(b"\n")
            if line.startswith(b"event: ")
        ]

    def test_a_stall_waits_for_its_release(self, upstream):
        upstream.answer(raw(body=b"abcdef").stall(2).stall(4))
        with dial(upstream) as connection:
            connection.sendall(head(ASKED))
            until(connection, b"\r\n\r\nab")
            [received] = upstream.requests
            upstream.release()
            assert b"cd" == until(connection, b"cd")
            assert (b"abcd", False) == (received.sent, received.done.is_set())
            received.release()
            assert b"ef" == until(connection, b"ef")
            assert received.done.wait(BOUND)

    def test_a_release_may_come_before_the_stall(self, upstream):
        upstream.answer(raw(body=b"abcdef").late().stall(2).stall(4))
        with dial(upstream) as connection:
            connection.sendall(head(ASKED))
            upstream.wait_for(1, BOUND)
            for _ in range(3):
                upstream.release()
            until(connection, b"abcdef")

    def test_a_late_answer_sends_nothing_before_its_release(self, upstream):
        upstream.answer(raw(body=b"late").late(), raw(body=b"prompt"))
        with dial(upstream) as slow, dial(upstream) as fast:
            slow.sendall(head(ASKED))
            upstream.wait_for(1, BOUND)
            fast.sendall(head(ASKED))
            until(fast, b"prompt")
            slow.setblocking(False)  # noqa: FBT003
            with pytest.raises(BlockingIOError):
                slow.recv(1)
            slow.settimeout(BOUND)
            upstream.release()
            until(slow, b"late")

    def test_a_release_is_for_answers_under_way_only(self, upstream):
        upstream.answer(raw(body=b"first").stall(1), raw(body=b"second").stall(1))
        with dial(upstream) as connection:
            connection.sendall(head(ASKED))
            upstream.wait_for(1, BOUND)
            upstream.release()
            until(connection, b"first")
            upstream.release()
            connection.sendall(head(ASKED))
            until(connection, b"\r\n\r\ns")
            assert not upstream.wait_for(2, BOUND)[1].done.is_set()
            upstream.release()
            until(connection, b"econd")

    def test_paced_answers_take_their_time(self, upstream, client):
        upstream.answer(events([b"x\n\n"] * 5).paced(0.02))
        begun = time.monotonic()
        ask(client)

        assert 0.08 <= time.monotonic() - begun

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(text("Hi").late(), id="before-the-head"),
            pytest.param(text("Hi").stall(0), id="at-the-body"),
            pytest.param(text("Hi").stall(after_events=3), id="in-the-body"),
            pytest.param(text("Hi").stall(), id="at-the-end"),
            pytest.param(text("Hi").paced(600.0), id="between-events"),
        ],
    )
    def test_a_client_that_goes_away_is_noticed_at_once(self, upstream, answer):
        upstream.answer(answer)
        connection = dial(upstream)
        connection.sendall(head(STREAMED))
        [received] = upstream.wait_for(1, BOUND)
        gone = time.monotonic()
        connection.close()

        assert received.wait_closed(BOUND) - gone < 0.25
        assert not received.done.is_set()

    def test_a_client_that_goes_away_while_it_is_written_to_is_noticed_at_once(self, upstream):
        upstream.answer(raw(body=b"x" * 10_000_000))
        connection = dial(upstream)
        connection.sendall(head(ASKED))
        until(connection, b"x")
        [received] = upstream.requests
        gone = time.monotonic()
        connection.close()

        assert received.wait_closed(BOUND) - gone < 0.25

    def test_a_client_that_stays_is_not_taken_for_one_that_went(self, upstream, client):
        ask(client)

        with pytest.raises(TimeoutError, match="has not closed <POST /v1/messages"):
            upstream.requests[0].wait_closed(0.01)


class TestConnections:
    def test_they_are_kept_alive_and_counted(self, upstream):
        first, second = connect(upstream), connect(upstream)
        for client in (first, second, first):
            ask(client)
        assert (2, 2) == (upstream.connections, upstream.connections_made)
        first.close()
        second.close()
        upstream.wait_idle(BOUND)

        assert (0, 2) == (upstream.connections, upstream.connections_made)

    def test_waiting_until_none_is_open_is_bounded(self, upstream, client):
        ask(client)

        with pytest.raises(TimeoutError, match="1 connections are open"):
            upstream.wait_idle(0.01)

    @pytest.mark.parametrize(
        ("sent", "answered"),
        [
            pytest.param(b"connection: close\r\n", (), id="the-client-says-so"),
            pytest.param(b"", (("Connection", "close"),), id="the-answer-says-so"),
        ],
    )
    def test_they_are_closed_when_one_side_says_so(self, upstream, sent, answered):
        upstream.answer(raw(headers=answered, body=b"bye"))
        with dial(upstream) as connection:
            connection.sendall(
                b"POST /v1/messages HTTP/1.1\r\n" + sent + b"content-length: 2\r\n\r\n{}"
            )
            until(connection, b"bye")
            assert b"" == connection.recv(1)

    @pytest.mark.parametrize("status", [204, 304])
    def test_answers_without_a_body_have_no_length(self, upstream, client, status):
        upstream.answer(raw(status))
        client.request("POST", "/v1/messages", ASKED)
        reply = client.getresponse()

        assert (status, None, b"") == (reply.status, reply.headers["content-length"], reply.read())

    def test_a_length_of_ones_own_is_sent_right_or_wrong(self, upstream):
        upstream.answer(raw(headers=[("content-length", "99")], body=b"short"))
        with dial(upstream) as connection:
            connection.sendall(head(ASKED))
            received = until(connection, b"short")

        assert 1 == received.count(b"content-length: 99\r\n")
        assert 1 == received.count(b"content-length")

    def test_chunks_on_request(self, upstream, client):
        upstream.answer(raw(headers=[("transfer-encoding", "chunked")], body=b"chunk"))

        assert (200, b"chunk") == ask(client)

    def test_many_are_served_at_once(self, upstream):
        upstream.default = text("Hi").stall(after_events=2)
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(dial(upstream)) for _ in range(100)]
            for connection in connections:
                connection.sendall(head(STREAMED))
            upstream.wait_for(100, BOUND)
            assert 100 == upstream.connections
            upstream.release()
            bodies = {until(connection, b"0\r\n\r\n")[-30:] for connection in connections}

        assert 1 == len(bodies)


class TestLife:
    def test_nothing_is_left_when_it_stops(self):
        upstream = FakeUpstream()
        with upstream:
            assert "llmroute-fake-upstream" in {thread.name for thread in threading.enumerate()}
            upstream.default = text("Hi").stall()
            connection = dial(upstream)
            connection.sendall(head(STREAMED))
            upstream.wait_for(1, BOUND)
        with pytest.raises((EOFError, ConnectionResetError)):
            until(connection, b"never")
        connection.close()
        gc.collect()  # an unclosed socket would warn, and a warning is an error

        assert "llmroute-fake-upstream" not in {thread.name for thread in threading.enumerate()}
        assert not upstream.requests[0].closed.is_set()
        upstream.requests[0].release()  # too late, and no harm

    def test_it_stops_at_once_after_it_started(self):
        for _ in range(20):
            with FakeUpstream():
                pass

    def test_it_can_serve_again(self):
        upstream = FakeUpstream()
        for _ in range(2):
            with upstream, contextlib.closing(connect(upstream)) as client:
                assert 200 == ask(client)[0]

    def test_it_listens_where_it_is_told(self):
        with FakeUpstream() as first:
            port = int(first.url.rpartition(":")[2])
            with pytest.raises(OSError, match="in use"):
                FakeUpstream(port=port).start()
        with FakeUpstream(port=port) as second:
            assert f"http://127.0.0.1:{port}" == second.url

    def test_it_starts_once(self, upstream):
        with pytest.raises(RuntimeError, match="serving already"):
            upstream.start()

    def test_it_has_no_address_before_it_serves(self):
        with pytest.raises(RuntimeError, match="is not serving"):
            _ = FakeUpstream().url


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
class TestFromAnEventLoop:
    async def test_it_serves_and_waits_without_blocking(self, anyio_backend):
        async with FakeUpstream() as upstream:
            upstream.answer(text("Hi").late())
            stream = await anyio.connect_tcp("127.0.0.1", int(upstream.url.rpartition(":")[2]))
            async with stream:
                await stream.send(head(ASKED))
                [received] = await upstream.awaited(1, BOUND)
                gone = time.monotonic()
            closed_at = await received.awaited_close(BOUND)

        assert closed_at - gone < 0.25

    async def test_waiting_can_be_cancelled(self, anyio_backend):
        async with FakeUpstream() as upstream:
            with anyio.move_on_after(0.02) as scope:
                await upstream.awaited(1, 0.5)

        assert scope.cancelled_caught

    async def test_what_failed_in_answering_is_raised(self, anyio_backend):
        upstream = FakeUpstream()
        upstream.answer_with(lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            async with upstream:
                await to_thread.run_sync(self.fail_to_ask, upstream)

    @staticmethod
    def fail_to_ask(upstream):
        with contextlib.closing(connect(upstream)) as client:
            assert 500 == ask(client)[0]


class TestConversation:
    @pytest.mark.parametrize(
        ("messages", "heard"),
        [
            pytest.param([{"role": "user", "content": "Good morning"}], "Good morning", id="text"),
            pytest.param(
                [{"role": "user", "content": "one two three four five six seven eight nine"}],
                "one two three four five six seven eight …",
                id="long",
            ),
            pytest.param(
                [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "Fix it"},
                            {"type": "text", "text": "<system-reminder>x</system-reminder>"},
                            {"type": "image", "source": {}},
                        ],
                    },
                    {"role": "assistant", "content": "Which?"},
                    {"role": "system", "content": []},
                ],
                "Fix it",
                id="as-claude-code-asks",
            ),
        ],
    )
    def test_it_repeats_what_was_said(self, upstream, client, messages, heard):
        upstream.answer_with(conversation)
        whole = json.loads(ask(client, ASK | {"messages": messages})[1])["content"][0]["text"]

        assert f"“{heard}”" in whole
        assert "claude-x" in whole

    @pytest.mark.parametrize(
        "messages",
        [
            pytest.param([], id="no-messages"),
            pytest.param([{"role": "user", "content": [{"type": "image"}]}], id="no-words"),
        ],
    )
    def test_it_copes_with_nobody_having_said_a_thing(self, upstream, client, messages):
        upstream.answer_with(conversation)

        assert b"You said nothing." in ask(client, {"messages": messages})[1]

    def test_it_comes_a_word_or_so_at_a_time(self, upstream, client):
        upstream.answer_with(conversation)

        assert 20 < ask(client, STREAM)[1].count(b"text_delta")

    def test_it_uses_the_tool_it_is_told_to_use(self, upstream, client):
        upstream.answer_with(conversation)
        forced = {"tools": [{"name": "weather"}], "tool_choice": {"type": "any"}}
        answer = json.loads(ask(client, ASK | forced)[1])

        assert ("tool_use", "weather") == (answer["stop_reason"], answer["content"][0]["name"])
