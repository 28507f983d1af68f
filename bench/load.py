"""The load: clients that ask, wait for the answer and ask again, each on a connection of its own.

It runs as a process of its own: reads one `Job` a line (JSON) from standard input, writes its
`Sample` as one line, and stops when standard input closes.  One loop over epoll with prepared
bytes, as in `bench.upstream`, and for the same reason.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.upstream import STAMP

__all__ = ["Job", "Sample", "main"]

_OK = b"HTTP/1.1 200 "
_RECEIVE_BYTES = 1 << 16
_STAMP_BYTES = len(STAMP) + 19
_WRITTEN = re.compile(re.escape(STAMP) + rb"(\d{19})")

_WARM_UP = 0.15
"""Seconds of load before anything is counted."""

_PATIENCE = 20.0
"""Seconds an answer may take.  Beyond them the run is broken, and says so."""

_RAMP = 1.0
"""Seconds over which paced streams are opened, so that their events are spread evenly."""


class Job(NamedTuple):
    """What to send, and for how long.

    Attributes:
        port: Where, on loopback.
        head: The request's head, complete.
        body: The file its body is in.
        clients: Connections, each with one request under way.
        seconds: How long to count.
        paced: Whether the answers are paced streams: open all of them, print a line once they run,
            note each event's delay, and hang up at the end.
    """

    port: int
    head: str
    body: str
    clients: int
    seconds: float
    paced: bool = False


class Sample(NamedTuple):
    """What came back.

    Attributes:
        counted: Answers completed within the time, or events of paced streams.
        total: All answers, those before and after the time included.
        seconds: The time.
        first: Seconds from the first byte sent to the first byte of an answer's body: the median
            and the 99th percentile.  Of paced streams, the delay of an event.
        whole: The same to the last byte of an answer.
        failed: Answers that were not 200, or were cut.
    """

    counted: int
    total: int
    seconds: float
    first: tuple[float, float]
    whole: tuple[float, float]
    failed: int


class _Client:
    """One connection and the request under way on it.

    Attributes:
        left: What of the request is not sent.
        started: When it was begun.
        first: When the first byte of the answer's body came; 0 before.
        missing: Bytes that are still to come of an answer with a length.
        tail: The end of what was received.
    """

    __slots__ = ("_chunked", "first", "left", "missing", "socket", "started", "tail")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.left = memoryview(b"")
        self.started = self.first = 0.0
        self.missing = 0
        self.tail = b""
        self._chunked = False

    def begin(self, request: memoryview, now: float) -> bool:
        """Whether all of the request was sent."""
        self.started = now
        self.first = 0.0
        self.tail = b""
        self.left = request
        return self.send()

    def send(self) -> bool:
        """Send what the socket takes.  Whether nothing is left."""
        while self.left:
            try:
                self.left = self.left[self.socket.send(self.left) :]
            except BlockingIOError:
                return False
            except ConnectionError:
                self.left = self.left[:0]  # the next read says what happened
        return True

    def receive(self, now: float) -> bool:
        """Take what came.  Whether the answer is complete.

        Raises:
            OSError: The answer was cut, or is no 200.
        """
        data = self._received()
        if not self.first:
            data = self.tail + data
            end = data.find(b"\r\n\r\n")
            if end < 0 or (len(data) == end + 4 and data.startswith(_OK)):
                self.tail = data
                return False
            self._read_head(data[:end])
            self.missing -= len(data) - end - 4
            self.first = now
        else:
            self.missing -= len(data)
        if not self._chunked:
            return not self.missing
        self.tail = (self.tail + data)[-200:] if len(data) < 200 else data[-200:]
        return self.tail.endswith(b"\r\n0\r\n\r\n") and b"message_stop" in self.tail

    def stamps(self, now: float) -> list[int]:
        """When each of the paced events that came was written.

        Raises:
            OSError: The stream was cut.
        """
        data = self.tail + self._received()
        self.first = now
        stamps = []
        end = 0
        for match in _WRITTEN.finditer(data):
            stamps.append(int(match[1]))
            end = match.end()
        self.tail = data[end:][-(_STAMP_BYTES - 1) :]  # one that is cut, never one that is whole
        return stamps

    def _received(self) -> bytes:
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the answer was cut")
        return data

    def _read_head(self, head: bytes) -> None:
        if not head.startswith(_OK):
            raise ConnectionError(head.decode("latin-1"))
        fields = head.lower()
        at = fields.find(b"\r\ncontent-length:")
        self._chunked = at < 0
        self.missing = 0 if at < 0 else int(fields[at + 17 :].partition(b"\r\n")[0])


class _Crowd:
    """All clients of a job, and one epoll over their sockets.

    Attributes:
        clients: Those that are connected, by descriptor.
        failed: How many were lost.
    """

    def __init__(self, job: Job) -> None:
        self.clients: dict[int, _Client] = {}
        self.failed = 0
        self._port = job.port
        self._request = memoryview(job.head.encode() + Path(job.body).read_bytes())
        self._epoll = select.epoll()

    def join(self) -> None:
        """Connect one more client, and let it ask."""
        try:
            client = _Client(self._port)
        except OSError as error:
            self._count(error)
            return
        self.clients[client.socket.fileno()] = client
        self._epoll.register(client.socket, select.EPOLLIN)
        self.ask(client)

    def ask(self, client: _Client) -> None:
        """Begin a request."""
        if not client.begin(self._request, time.perf_counter()):
            self._epoll.modify(client.socket, select.EPOLLIN | select.EPOLLOUT)

    def readable(self, patience: float) -> Iterator[_Client]:
        """The clients for which something came; what is left of requests is sent on the way."""
        for descriptor, events in self._epoll.poll(patience):
            client = self.clients[descriptor]
            if client.left and events & select.EPOLLOUT and client.send():
                self._epoll.modify(descriptor, select.EPOLLIN)
            if events & ~select.EPOLLOUT:
                yield client

    def leave(self, client: _Client) -> None:
        """Disconnect a client."""
        del self.clients[client.socket.fileno()]
        client.socket.close()

    def lose(self, client: _Client, reason: OSError) -> None:
        """Disconnect a client that did not get its answer; the first one says why."""
        self._count(reason)
        self.leave(client)

    def close(self) -> None:
        """Disconnect everyone."""
        for client in list(self.clients.values()):
            self.leave(client)
        self._epoll.close()

    def _count(self, reason: OSError) -> None:
        if not self.failed:
            print(f"a client was lost: {reason}", file=sys.stderr)
        self.failed += 1


def _ask_again(job: Job) -> Sample:
    """Every client asks, waits for its answer and asks again."""
    crowd = _Crowd(job)
    first: list[float] = []
    whole: list[float] = []
    total = 0
    for _ in range(job.clients):
        crowd.join()
    opens = time.perf_counter() + _WARM_UP
    closes = opens + job.seconds
    while crowd.clients and time.perf_counter() < closes + _PATIENCE:
        for client in crowd.readable(_PATIENCE):
            now = time.perf_counter()
            try:
                if not client.receive(now):
                    continue
            except OSError as error:
                crowd.lose(client, error)
                continue
            total += 1
            if opens <= now < closes:
                first.append(client.first - client.started)
                whole.append(now - client.started)
            if now < closes:
                crowd.ask(client)
            else:
                crowd.leave(client)
    failed = crowd.failed + len(crowd.clients)
    crowd.close()
    return Sample(len(whole), total, job.seconds, percentiles(first), percentiles(whole), failed)


def _listen(job: Job) -> Sample:
    """Every client holds one paced stream open, and hangs up at the end."""
    crowd = _Crowd(job)
    delays: list[float] = []
    begun = time.perf_counter()
    opens = closes = begun + _RAMP + _PATIENCE
    running = False
    while (now := time.perf_counter()) < closes:
        due = min(1.0, (now - begun) / _RAMP)
        while len(crowd.clients) + crowd.failed < job.clients * due:
            crowd.join()
        if due == 1.0 and not running:
            running = all(client.first for client in crowd.clients.values())
            if running:
                print("open", flush=True)
                opens = time.perf_counter() + _WARM_UP
                closes = opens + job.seconds
        for client in crowd.readable(0.001):
            try:
                written = client.stamps(now)
            except OSError as error:
                crowd.lose(client, error)
                continue
            if opens <= time.perf_counter():
                now_ns = time.monotonic_ns()
                delays += [(now_ns - stamp) / 1e9 for stamp in written]
    silent = sum(not client.first for client in crowd.clients.values())
    if silent:
        print(f"{silent} streams did not begin within {_PATIENCE:.0f} s", file=sys.stderr)
    failed = crowd.failed + silent
    crowd.close()
    delay = percentiles(delays)
    return Sample(len(delays), job.clients, job.seconds, delay, delay, failed)


def percentiles(values: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile; zeros of nothing."""
    if not values:
        return 0.0, 0.0
    values = sorted(values)
    return values[len(values) // 2], values[len(values) * 99 // 100]


def main() -> None:
    for line in sys.stdin:
        job = Job(*json.loads(line))
        sample = _listen(job) if job.paced else _ask_again(job)
        print(json.dumps(sample), flush=True)


if __name__ == "__main__":
    main()
