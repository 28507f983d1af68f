"""Two proxies with one Redis know together what one has found out; without it, what each knows."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Self

import pytest
from redis import Redis
from tests.cli.program import MASTER_KEY, Served, eventually
from tests.redis.conftest import Upstreams
from tests.stores.conftest import RealRedis

from llmroute.testing import error, text

pytestmark = pytest.mark.redis

Pair = Callable[..., list[Served]]

CLIENTS = 4
MORE = 60
"""Answers that load is to go on for."""
LONG = 60.0  # seconds, longer than any test


class Reply(NamedTuple):
    """What a client got."""

    status: int
    deployment: str | None
    attempts: str | None
    body: bytes


class Client:
    """A connection that is kept."""

    def __init__(self, proxy: Served) -> None:
        self._connection = proxy.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, what: str, session: str | None = None) -> Reply:
        messages = [{"role": "user", "content": what}]
        body = json.dumps({"model": "any", "max_tokens": 9, "messages": messages})
        headers = {"x-api-key": MASTER_KEY}
        if session is not None:
            headers["x-claude-code-session-id"] = session
        self._connection.request("POST", "/v1/messages", body, headers)
        answer = self._connection.getresponse()
        name, attempts = (answer.getheader(f"x-llmroute-{n}") for n in ("deployment", "attempts"))
        return Reply(answer.status, name, attempts, answer.read())


def ask(proxy: Served, what: str = "Say hi.", session: str | None = None) -> Reply:
    with Client(proxy) as client:
        return client.ask(what, session)


def page(proxy: Served) -> dict[str, Any]:
    status, body = proxy.ask("GET", "/llmroute/deployments")
    assert 200 == status
    found: dict[str, Any] = json.loads(body)
    return found


def state(proxy: Served, name: str) -> str:
    return next(each["state"] for each in page(proxy)["deployments"] if each["name"] == name)


def keys(server: RealRedis, pattern: str) -> list[bytes]:
    with Redis.from_url(server.url) as redis:
        return [*redis.scan_iter(pattern)]


def test_what_fails_for_one_is_left_alone_by_the_other(pair: Pair, upstreams: Upstreams) -> None:
    first, second = pair(cooldown=LONG)
    upstreams["one"].answer(error(529))

    assert ("two", "2") == ask(first)[1:3]
    eventually(lambda: state(second, "one") == "cooling")
    assert [("two", "1")] * 10 == [ask(second, f"{number}")[1:3] for number in range(10)]
    assert {"one": 1, "two": 11} == upstreams.asked()


def test_a_session_that_one_has_placed_stays_there_through_the_other(
    pair: Pair, upstreams: Upstreams, server: RealRedis
) -> None:
    # Nothing but the session speaks for the second.
    first, second = pair(cooldown=0)
    upstreams["one"].answer(error(529))
    cached = text("two", usage={"cache_read_input_tokens": 20_000})
    upstreams["two"].default = cached

    assert "two" == ask(first, "Say hi.", "a session").deployment
    eventually(lambda: keys(server, "llmroute:v:pin:*"))
    assert "two" == ask(second, "And again.", "a session").deployment
    assert "one" == ask(second, "Say hi.", "another").deployment


def test_a_limit_is_counted_together(pair: Pair, upstreams: Upstreams, server: RealRedis) -> None:
    proxies = pair({"rpm": 4}, affinity=False)
    for number in range(12):
        assert 200 == ask(proxies[number % 2], f"{number}").status
        counted = len(upstreams["one"].requests)
        eventually(lambda counted=counted: requests_of(server, "one") >= counted)

    # One more than the limit if a minute ends meanwhile; counted by each, it would be eight.
    assert 4 <= upstreams.asked()["one"] <= 5
    assert 12 == sum(upstreams.asked().values())


def requests_of(server: RealRedis, name: str) -> int:
    with Redis.from_url(server.url) as redis:
        return sum(int(redis.get(key)) for key in redis.scan_iter(f"llmroute:n:requests:{name}:*"))


def test_one_call_of_both_finds_out_whether_it_is_well_again(
    pair: Pair, upstreams: Upstreams
) -> None:
    proxies = pair(cooldown=0.5)
    one = upstreams["one"]
    one.answer(error(529))
    one.default = text("one").late()
    ask(proxies[0])
    eventually(lambda: [state(proxy, "one") for proxy in proxies] == ["trial"] * 2)

    with ThreadPoolExecutor(10) as threads:
        asked = [threads.submit(ask, proxies[n % 2], f"{n}") for n in range(10)]
        eventually(lambda: sum(each.done() for each in asked) == 9)
        assert 2 == upstreams.asked()["one"]
        one.release()
        replies = [each.result(10) for each in asked]

    assert 2 == upstreams.asked()["one"]
    assert ["one"] + ["two"] * 9 == sorted(str(each.deployment) for each in replies)
    assert {200} == {each.status for each in replies}
    # Its success is known to both.
    one.default = "one"
    eventually(lambda: [state(proxy, "one") for proxy in proxies] == ["ready"] * 2)
    assert ["one", "one"] == [ask(proxy, "At last.").deployment for proxy in proxies]


class Load:
    """Clients that ask both proxies one thing after another, until told to stop."""

    def __init__(self, proxies: list[Served]) -> None:
        self.replies: list[Reply] = []
        self._proxies = proxies
        self._numbers = itertools.count()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._work = [self._threads.submit(self._keep_asking) for _ in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._threads:
            for each in self._work:
                each.result(20)

    def _keep_asking(self) -> None:
        with Client(self._proxies[0]) as first, Client(self._proxies[1]) as second:
            while not self._over.is_set():
                for client in (first, second):
                    number = next(self._numbers)
                    # Every other one belongs to a session.
                    session = f"session {number % 5}" if number % 2 else None
                    self.replies.append(client.ask(f"{number}", session))

    def goes_on(self) -> list[Reply]:
        """Wait for more answers; return them."""
        before = len(self.replies)
        eventually(lambda: len(self.replies) >= before + MORE)
        return self.replies[before:]


def test_no_call_is_lost_when_redis_is_killed_and_both_go_on_with_what_they_know(
    pair: Pair, upstreams: Upstreams, server: RealRedis
) -> None:
    proxies = pair(cooldown=LONG)
    upstreams["one"].answer(error(529))
    ask(proxies[0])
    eventually(lambda: state(proxies[1], "one") == "cooling")

    with Load(proxies) as load:
        load.goes_on()
        server.kill()
        away = load.goes_on() + load.goes_on()
        assert ["redis (away)"] * 2 == [page(proxy)["store"] for proxy in proxies]
        server.start()
        eventually(lambda: [page(proxy)["store"] for proxy in proxies] == ["redis"] * 2)
        load.goes_on()

    assert {200} == {each.status for each in load.replies}
    assert {("two", "1")} == {each[1:3] for each in away}
    assert 1 == upstreams.asked()["one"]
    # What was known before, and what one finds out now, is shared again.
    assert keys(server, "llmroute:v:cool:one")
    upstreams["two"].answer(error(529))
    ask(proxies[0], "Once more.")
    eventually(lambda: state(proxies[1], "two") == "cooling")
