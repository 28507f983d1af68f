"""Two proxies hold the limits of a key together, and one that is killed lets go of its share."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.cli.program import MASTER_KEY, Served, eventually
from tests.stores.conftest import RealRedis

from llmroute.testing import FakeUpstream, text

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

KEY = "sk-limited-canary-0123456789"

Start = Callable[..., Served]


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        fake.default = text("Hello.")
        yield fake


@pytest.fixture
def start(server: RealRedis, upstream: FakeUpstream, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a proxy with a limited key."""
    started: list[Served] = []

    def run(*arguments: str, **limits: int) -> Served:
        config = {
            "store": server.url,
            "database": f"sqlite:///{tmp_path}/llmroute.db",
            "deployments": {
                "one": {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
            },
            "aliases": {"any": ["one"]},
            "keys": {"ci": {"key": KEY, "limits": limits}},
            "server": {"master_key": MASTER_KEY, "port": 0},
        }
        path = tmp_path / "llmroute.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        started.append(Served(["serve", "--config", str(path), *arguments], {}, tmp_path))
        return started[-1]

    yield run
    for program in started:
        program.close()
        assert "Traceback" not in program.output


def ask(proxy: Served, key: str = KEY) -> tuple[int, dict[str, str]]:
    connection = proxy.connect()
    body = {"model": "any", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]}
    connection.request("POST", "/v1/messages", json.dumps(body), {"x-api-key": key})
    answer = connection.getresponse()
    answer.read()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    return answer.status, headers


def test_exactly_so_many_requests_a_minute_pass(start: Start, upstream: FakeUpstream) -> None:
    proxies = [start(requests_per_minute=15), start(requests_per_minute=15)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: ask(proxies[n % 2]), range(40)))

    assert Counter({200: 15, 429: 25}) == Counter(status for status, _ in answers)
    assert 15 == len(upstream.requests)
    for status, headers in answers:
        assert "15" == headers["anthropic-ratelimit-requests-limit"]
        if status == 429:
            assert 1 <= int(headers["retry-after"]) <= 60
            assert "x-should-retry" not in headers
    # Somebody else's key has nothing to do with it.
    assert 200 == ask(proxies[0], MASTER_KEY)[0]


def test_workers_hold_a_limit_together(start: Start, upstream: FakeUpstream) -> None:
    proxy = start("--workers", "2", requests_per_minute=10)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask(proxy), range(30)))
    assert Counter({200: 10, 429: 20}) == Counter(status for status, _ in answers)


def test_a_proxy_that_is_killed_does_not_keep_what_was_under_way(
    start: Start, upstream: FakeUpstream
) -> None:
    one, two = start(parallel=2), start(parallel=2)
    upstream.default = text("Hello.").late()
    with ThreadPoolExecutor(4) as threads:
        doomed = [threads.submit(ask, one) for _ in range(2)]
        eventually(lambda: len(upstream.requests) == 2)
        assert 429 == ask(two)[0]
        one.process.send_signal(signal.SIGKILL)
        for each in doomed:
            assert isinstance(each.exception(20), OSError)
    upstream.release()
    upstream.default = text("Hello.")
    assert 429 == ask(two)[0]

    # Longer than the lease of what was under way.
    until = time.monotonic() + 45
    while ask(two)[0] != 200:
        assert time.monotonic() < until
        time.sleep(0.5)
