"""Redis behind TLS, `rediss://`: what proxies know together, and the limits of keys."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.cli.program import MASTER_KEY, Served, eventually
from tests.stores.conftest import RealRedis

from llmroute.testing import FakeUpstream, error

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

KEY = "sk-limited-canary-0123456789"
PASSWORD = "canary-of-redis"


class SecureRedis(RealRedis):
    """A redis-server that speaks nothing but TLS, and wants a password."""

    def __init__(self, scratch: Path, authority: trustme.CA) -> None:
        super().__init__(scratch)
        self._ca = scratch / "ca.pem"
        self._own, self.client_pem = scratch / "server.pem", scratch / "client.pem"
        authority.cert_pem.write_to_path(self._ca)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self._own)
        authority.issue_cert("proxy").private_key_and_cert_chain_pem.write_to_path(self.client_pem)
        self.url = f"rediss://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def trusted(self) -> str:
        """The address for who trusts its authority."""
        return f"{self.url}?ssl_ca_certs={self._ca}"

    def start(self, *settings: str, clients: str = "no") -> None:
        port = ("--port", "0", "--tls-port", str(self.port), "--requirepass", PASSWORD)
        own = ("--tls-cert-file", str(self._own), "--tls-key-file", str(self._own))
        super().start(
            *(*port, *own, "--tls-ca-cert-file", str(self._ca), "--tls-auth-clients", clients),
            *settings,
        )


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[SecureRedis]:
    redis = SecureRedis(tmp_path, trustme.CA())
    try:
        yield redis
    finally:
        redis.close()


@pytest.fixture
def upstreams() -> Iterator[dict[str, FakeUpstream]]:
    with FakeUpstream() as one, FakeUpstream() as two:
        one.default, two.default = "one", "two"
        yield {"one": one, "two": two}


Start = Callable[[str], list[Served]]


@pytest.fixture
def start(upstreams: dict[str, FakeUpstream], tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts two proxies with a limited key and a store."""
    started: list[Served] = []

    def run(store: str) -> list[Served]:
        config: dict[str, Any] = {
            "store": store,
            "database": f"sqlite:///{tmp_path}/llmroute.db",
            "deployments": {
                name: {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
                for name, upstream in upstreams.items()
            },
            "aliases": {"any": ["one", "two"]},
            "routing": {"cooldown": 60},
            "keys": {"ci": {"key": KEY, "limits": {"requests_per_minute": 15, "parallel": 9}}},
            "server": {"master_key": MASTER_KEY, "port": 0},
        }
        path = tmp_path / "llmroute.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        for _ in range(2):
            started.append(Served(["serve", "--config", str(path)], {}, tmp_path))
        return started

    yield run
    for program in started:
        program.close()
        sys.stdout.write(program.output)
        assert "Traceback" not in program.output
        assert PASSWORD not in program.output


def ask(proxy: Served, key: str = KEY, what: str = "Hi.") -> int:
    connection = proxy.connect()
    body = {"model": "any", "max_tokens": 9, "messages": [{"role": "user", "content": what}]}
    connection.request("POST", "/v1/messages", json.dumps(body), {"x-api-key": key})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def page(proxy: Served) -> dict[str, Any]:
    status, body = proxy.ask("GET", "/llmroute/deployments")
    assert 200 == status
    found: dict[str, Any] = json.loads(body)
    return found


def cools(proxy: Served, name: str) -> bool:
    states = {each["name"]: each["state"] for each in page(proxy)["deployments"]}
    return bool(states[name] == "cooling")


def all_asked(proxies: list[Served]) -> Counter[int]:
    """Ask thirty times, of both; not across the end of a minute, where the count begins anew."""
    with ThreadPoolExecutor(6) as threads:
        return Counter(threads.map(lambda n: ask(proxies[n % 2]), range(30)))


@pytest.mark.parametrize("clients", ["no", "yes"], ids=["the-servers", "the-clients-too"])
def test_proxies_share_limits_and_what_they_know(
    clients: str, secure: SecureRedis, start: Start, upstreams: dict[str, FakeUpstream]
) -> None:
    secure.start(clients=clients)
    pem = secure.client_pem
    own = f"&ssl_certfile={pem}&ssl_keyfile={pem}" if clients == "yes" else ""
    first, second = proxies = start(secure.trusted + own)

    assert {200: 15, 429: 15} == all_asked(proxies)
    assert 15 == sum(len(upstream.requests) for upstream in upstreams.values())
    upstreams["one"].answer(error(529))
    assert 200 == ask(first, MASTER_KEY, "One more.")
    eventually(lambda: cools(second, "one"))
    assert ["redis"] * 2 == [page(proxy)["store"] for proxy in proxies]
    for proxy in proxies:
        assert "rate limits are counted" not in proxy.output, proxy.output


def test_a_server_of_another_authority_is_not_believed_and_stops_nobody(
    secure: SecureRedis, start: Start
) -> None:
    secure.start()
    proxies = start(secure.url)

    # Each counts alone.
    assert {200: 30} == all_asked(proxies)
    for proxy in proxies:
        proxy.wait_for(
            r"Redis at 127\.0\.0\.1:\d+ does not answer \(\w+\); rate limits are counted"
        )
        assert "redis (away)" == page(proxy)["store"]


def test_it_may_be_started_anew(secure: SecureRedis, start: Start) -> None:
    secure.start()
    proxies = start(secure.trusted)
    assert 200 == ask(proxies[0])
    secure.kill()
    until = time.monotonic() + 10
    while not all("rate limits are counted" in proxy.output for proxy in proxies):
        assert time.monotonic() < until
        assert {200} == {ask(proxy, MASTER_KEY) for proxy in proxies} | {ask(proxies[0])} - {429}
        assert ask(proxies[1]) in {200, 429}
    secure.start()

    eventually(lambda: ["redis"] * 2 == [page(proxy)["store"] for proxy in proxies])
