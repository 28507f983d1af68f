"""A fake Messages API that does as little per request as Python allows.

It runs as a process of its own, prints its port, and stops when its standard input closes.  What it
answers is named by the first segment of the path, so that it need not look into the body:

* `/whole/…`: a message in one piece.
* `/short/…`: a stream of eight events, written at once.
* `/burst/…`: a stream of 500 deltas, each written by itself, as fast as the socket takes them.
* `/paced/…`: a delta every 20 ms, each with the time it was written, until the client goes away.

One loop over epoll with prepared bytes: an event loop's transports cost several times the system
calls, and the upstream must not be what is measured.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import select
import socket
import sys
import time
from collections import deque
from typing import Any

__all__ = ["BURST_DELTAS", "PACED_INTERVAL", "STAMP", "main"]

BURST_DELTAS = 500
PACED_INTERVAL = 0.020
"""Seconds between the deltas of a paced stream: fifty a second, a fast model talking."""

STAMP = b"written at "
"""What stands before the 19 digits of `time.monotonic_ns()` in a paced delta."""

_PACED_LIMIT = 3_000  # a minute: no stream outlives a run that was killed
_RECEIVE_BYTES = 1 << 20


def _event(name: str, **members: Any) -> bytes:
    """One server-sent event of the Messages API."""
    data = json.dumps({"type": name, **members}, separators=(",", ":"))
    return f"event: {name}\ndata: {data}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(*fields: str) -> bytes:
    lines = (
        "HTTP/1.1 200 OK",
        "date: Mon, 23 Nov 2026 12:00:00 GMT",
        *fields,
        "request-id: req_011CSHoEeqs5C35K2UUqR7Fy",
        "anthropic-organization-id: 00000000-0000-0000-0000-000000000000",
        "anthropic-ratelimit-requests-limit: 4000",
        "anthropic-ratelimit-requests-remaining: 3999",
        "anthropic-ratelimit-requests-reset: 2026-11-23T12:00:00Z",
        "anthropic-ratelimit-tokens-limit: 400000",
        "anthropic-ratelimit-tokens-remaining: 399000",
        "anthropic-ratelimit-tokens-reset: 2026-11-23T12:00:00Z",
        "strict-transport-security: max-age=31536000",
        "via: 1.1 google",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _message(**members: Any) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "bench-model",
        **members,
    }


def _whole() -> bytes:
    usage = {"input_tokens": 212, "output_tokens": 64, "cache_read_input_tokens": 0}
    content = [{"type": "text", "text": "The suite passes; nothing else needed a change. " * 6}]
    message = _message(content=content, stop_reason="end_turn", stop_sequence=None, usage=usage)
    body = json.dumps(message, separators=(",", ":")).encode()
    return _head("content-type: application/json", f"content-length: {len(body)}") + body


def _delta(text: str) -> bytes:
    return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


_STREAM_HEAD = _head(
    "content-type: text/event-stream; charset=utf-8",
    "cache-control: no-cache",
    "transfer-encoding: chunked",
)
_OPENING = (
    _event(
        "message_start",
        message=_message(
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage={"input_tokens": 12_000, "output_tokens": 1},
        ),
    ),
    _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    _event("ping"),
)
_CLOSING = (
    _event("content_block_stop", index=0),
    _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 500}),
    _event("message_stop"),
)
_START = _STREAM_HEAD + b"".join(map(_chunk, _OPENING))
_END = b"".join(map(_chunk, _CLOSING)) + b"0\r\n\r\n"
_DELTA = _chunk(_delta(" a few words"))
_BURST = (_START, *[_DELTA] * BURST_DELTAS, _END)
_PACED = _chunk(_delta(STAMP.decode() + "0" * 19)).split(b"0" * 19)
_WHOLE = _whole()
_SHORT = _START + _DELTA * 2 + _END
_MISSING = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_REFUSED = b"HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Connection:
    """One client.

    Attributes:
        head: What came of a request's head so far.
        kind: Which answer the request under way gets.
        missing: Bytes of its body that are still to come.
        unsent: What the socket did not take.
        written: Parts of a stream written so far.
    """

    __slots__ = ("head", "kind", "missing", "socket", "unsent", "written")

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.head = b""
        self.kind = b""
        self.missing = 0
        self.unsent = b""
        self.written = 0

    def send(self, data: bytes) -> bool:
        """Whether the socket took all of it; what it did not take is kept."""
        data = self.unsent + data
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.unsent = data[sent:]
        return not self.unsent


class _Upstream:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2_048)
        self._listener.settimeout(0)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        self._connections: dict[int, _Connection] = {}
        self._received = bytearray(_RECEIVE_BYTES)
        self._bursting: deque[_Connection] = deque()
        self._order = itertools.count()  # no two entries of the heap compare equal
        self._paced: list[tuple[float, int, _Connection]] = []

    def serve(self) -> None:
        """Serve until standard input closes."""
        listener, stdin = self._listener.fileno(), sys.stdin.fileno()
        connections = self._connections
        while True:
            for descriptor, _ in self._epoll.poll(self._patience()):
                connection = connections.get(descriptor)
                if connection is not None:
                    try:
                        self._read(connection)
                    except OSError:
                        self._drop(connection)
                elif descriptor == listener:
                    self._accept()
                elif descriptor == stdin and not os.read(stdin, 1_024):
                    return
            if self._bursting:
                self._burst()
            if self._paced:
                self._pace()

    def _patience(self) -> float:
        if self._bursting:
            return 0
        if self._paced:
            return max(0.0, self._paced[0][0] - time.monotonic())
        return -1

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            accepted.settimeout(0)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[accepted.fileno()] = _Connection(accepted)
            self._epoll.register(accepted, select.EPOLLIN)

    def _drop(self, connection: _Connection) -> None:
        descriptor = connection.socket.fileno()
        if self._connections.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            connection.socket.close()

    def _read(self, connection: _Connection) -> None:
        if connection.missing:
            count = connection.socket.recv_into(self._received)
            connection.missing -= count
        else:
            data = connection.head + connection.socket.recv(65_536)
            count = len(data) - len(connection.head)
            end = data.find(b"\r\n\r\n")
            if end < 0:
                connection.head = data
            else:
                connection.head = b""
                self._begin(connection, data[:end], len(data) - end - 4)
        if not count:
            self._drop(connection)
        elif not connection.missing and not connection.head:
            self._answer(connection)

    @staticmethod
    def _begin(connection: _Connection, head: bytes, received: int) -> None:
        fields = head.lower()
        at = fields.find(b"\r\ncontent-length:")
        chunked = b"\r\ntransfer-encoding:" in fields
        length = int(fields[at + 17 :].partition(b"\r\n")[0]) if at >= 0 else 0
        connection.kind = b"" if chunked else head.split(b"/", 2)[1]
        connection.missing = max(0, length - received)

    def _answer(self, connection: _Connection) -> None:
        match connection.kind:
            case b"whole":
                connection.send(_WHOLE)
            case b"short":
                connection.send(_SHORT)
            case b"burst":
                connection.written = 0
                self._bursting.append(connection)
            case b"paced":
                connection.send(_START)
                connection.written = 0
                self._schedule(connection, time.monotonic() + PACED_INTERVAL)
            case b"":
                connection.send(_REFUSED)
            case _:
                connection.send(_MISSING)

    def _schedule(self, connection: _Connection, due: float) -> None:
        heapq.heappush(self._paced, (due, next(self._order), connection))

    def _burst(self) -> None:
        """Write one part of each stream, so that streams interleave as they would."""
        for _ in range(len(self._bursting)):
            connection = self._bursting.popleft()
            try:
                if connection.send(b"" if connection.unsent else _BURST[connection.written]):
                    connection.written += 1
            except OSError:
                self._drop(connection)
                continue
            if connection.written < len(_BURST):
                self._bursting.append(connection)

    def _pace(self) -> None:
        now = time.monotonic()
        while self._paced and self._paced[0][0] <= now:
            due, _, connection = heapq.heappop(self._paced)
            if connection.socket.fileno() < 0:
                continue
            connection.written += 1
            stamp = b"%019d" % time.monotonic_ns()
            try:
                connection.send(stamp.join(_PACED))
                if connection.written < _PACED_LIMIT:
                    self._schedule(connection, due + PACED_INTERVAL)
                else:
                    connection.send(_END)
            except OSError:
                self._drop(connection)


def main() -> None:
    upstream = _Upstream()
    print(upstream.port, flush=True)
    upstream.serve()


if __name__ == "__main__":
    main()
