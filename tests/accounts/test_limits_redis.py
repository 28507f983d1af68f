"""Rate limits that several proxies hold together, on a real Redis that may go away."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.accounts.asking import asked, over
from tests.accounts.timing import counting_by
from tests.stores.conftest import RealRedis

from llmroute.accounts import shared
from llmroute.accounts.limits import RateLimits
from llmroute.accounts.model import Key, Limits, Team
from llmroute.accounts.shared import SharedWindows
from llmroute.config.accounts import LimitSettings
from llmroute.errors import LimitError

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

Proxies = Callable[[int], list[RateLimits]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealRedis]:
    redis = RealRedis(tmp_path)
    try:
        redis.start()
        yield redis
    finally:
        redis.close()


@pytest.fixture
async def proxies(server: RealRedis) -> AsyncIterator[Proxies]:
    """Return a function that makes gates of several proxies on one Redis."""
    made: list[RateLimits] = []

    def make(count: int) -> list[RateLimits]:
        gates = [
            RateLimits(LimitSettings(), SharedWindows(server.url, "llmroute:"))
            for _ in range(count)
        ]
        made.extend(gates)
        return gates

    yield make
    for gate in made:
        await gate.aclose()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for Redis on a busy machine too: calls are let through if it takes too long."""
    monkeypatch.setattr(shared, "_PATIENCE", 10.0)


@pytest.fixture
def _no_minute_begins() -> Iterator[None]:
    """Hold the clock of what is counted in memory, where a minute is a full one."""
    with counting_by(lambda: 1_800_000_000.0):
        yield


def key(**limits: int) -> Key:
    return Key("key_ci", "ci", limits=Limits(**limits))


async def passes(gate: RateLimits, key: Key, **members: object) -> bool:
    try:
        await gate.admit(asked(key, **members))  # type: ignore[arg-type]
    except LimitError:
        return False
    return True


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds, which may be awaitable; for ten seconds at most."""
    async with asyncio.timeout(10):
        while True:
            found = holds()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("count", [2, 4])
async def test_several_proxies_let_exactly_so_many_requests_through(
    proxies: Proxies, count: int
) -> None:
    gates = proxies(count)
    team = Team("team_a", "a", limits=Limits(requests_per_minute=25))

    passed = await asyncio.gather(
        *(
            passes(gate, Key(f"key_{number % 3}", "k", team=team))
            for number in range(20)
            for gate in gates
        )
    )

    assert 25 == sum(passed)


async def test_several_proxies_share_the_tokens_of_a_minute(proxies: Proxies) -> None:
    one, two = proxies(2)
    limited = key(tokens_per_minute=1000)
    text = [{"role": "user", "content": "x" * 1600}]  # some 400 tokens
    first = await one.admit(asked(limited, text))
    assert first is not None
    assert await passes(two, limited, messages=text)
    assert not await passes(two, limited, messages=text)

    # It was shorter than it seemed, and what it did not use is there for everybody.
    first.settle(over(tokens=10))
    await eventually(lambda: passes(two, limited, messages=text))
    assert not await passes(one, limited, messages=text)


async def test_a_call_that_was_not_made_after_all_takes_nothing(proxies: Proxies) -> None:
    one, two = proxies(2)
    limited = key(requests_per_minute=1, tokens_per_minute=600, parallel=1)
    text = [{"role": "user", "content": "x" * 2000}]
    hold = await one.admit(asked(limited, text))
    assert hold is not None
    assert not await passes(two, limited, messages=text)
    hold.settle(None)
    await eventually(lambda: passes(two, limited, messages=text))
    assert not await passes(one, limited, messages=text)


async def test_what_was_used_beyond_the_estimate_counts_everywhere(proxies: Proxies) -> None:
    one, two = proxies(2)
    limited = key(tokens_per_minute=1000)
    hold = await one.admit(asked(limited))
    assert hold is not None
    hold.settle(over(tokens=4000))

    async def is_full() -> bool:
        return not await passes(two, limited)

    await eventually(is_full)
    with pytest.raises(LimitError) as caught:
        await two.admit(asked(limited))
    wait = int(dict(caught.value.headers)[b"retry-after"])
    assert 1 <= wait <= 60


async def test_no_more_are_under_way_than_may_be(proxies: Proxies) -> None:
    one, two = proxies(2)
    limited = key(parallel=3)
    holds = [await gate.admit(asked(limited)) for gate in (one, two, one)]
    assert not await passes(two, limited)
    holds[0].settle(over())  # type: ignore[union-attr]
    await eventually(lambda: passes(two, limited))
    assert not await passes(one, limited)


async def test_of_many_at_once_exactly_so_many_are_under_way(proxies: Proxies) -> None:
    gates = proxies(4)
    limited = key(parallel=7, requests_per_minute=1000)
    passed = await asyncio.gather(
        *(passes(gate, limited) for _ in range(10) for gate in gates),
    )
    assert 7 == sum(passed)


async def test_what_a_dead_proxy_had_under_way_ends_by_itself(
    server: RealRedis, proxies: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_LEASE", 1.0)
    monkeypatch.setattr(shared, "_RENEWAL", 0.2)
    dead, alive = (SharedWindows(server.url, "llmroute:") for _ in range(2))
    gates = [RateLimits(LimitSettings(), it) for it in (dead, alive)]
    limited = key(parallel=2)
    for gate in gates:
        assert await passes(gate, limited)
    # It dies: nobody renews its leases, and nobody gives them back.
    assert dead._renewal is not None
    dead._renewal.cancel()

    began = time.monotonic()
    await eventually(lambda: passes(gates[1], limited))

    assert time.monotonic() - began < 5
    # The one that lives holds on to what it has.
    await asyncio.sleep(1.5)
    assert not await passes(gates[1], limited)
    for windows in (dead, alive):
        await windows.aclose()


@pytest.mark.usefixtures("_no_minute_begins")
async def test_without_redis_each_process_counts_alone_and_says_so_once(
    server: RealRedis, proxies: Proxies, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = proxies(2)
    limited = key(requests_per_minute=4)
    assert await passes(one, limited)
    assert await passes(one, limited)
    server.kill()
    with caplog.at_level(logging.WARNING, "llmroute"):
        # It knows of its own two, and not of the other's.
        passed = [await passes(one, limited) for _ in range(6)]
        assert [True, True, False, False, False, False] == passed
        assert [True] * 4 == [await passes(two, limited) for _ in range(4)]
        assert not await passes(two, limited)
    assert 2 == len(caplog.records)  # one each
    assert "does not answer" in caplog.text
    assert server.url not in caplog.text

    server.start()

    async def are_back() -> bool:
        for gate in (one, two):
            await passes(gate, Key("key_other", "other", limits=Limits(requests_per_minute=10_000)))
        return caplog.text.count("answers again") == 2

    with caplog.at_level(logging.WARNING, "llmroute"):
        await eventually(are_back)
    # A Redis that was started anew has lost what it knew; from here on they count together.
    passed = [await passes(gate, limited) for gate in (one, two) for _ in range(3)]
    assert 4 == sum(passed)


async def test_a_stalled_redis_holds_nobody_up(
    server: RealRedis, proxies: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = proxies(1)
    limited = key(requests_per_minute=100)
    assert await passes(one, limited)
    monkeypatch.setattr(shared, "_PATIENCE", 0.25)
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        passed = await asyncio.gather(*(passes(one, limited) for _ in range(50)))
        assert all(passed)
        assert time.monotonic() - began < 2
    finally:
        server.signal(signal.SIGCONT)


async def test_names_begin_with_the_prefix_and_end_by_themselves(
    server: RealRedis, proxies: Proxies
) -> None:
    (one,) = proxies(1)
    hold = await one.admit(asked(key(requests_per_minute=9, tokens_per_minute=99, parallel=9)))
    assert hold is not None
    async with Redis.from_url(server.url) as redis:
        names = await redis.keys("*")
        assert 3 == len(names)
        for name in names:
            assert name.startswith(b"llmroute:limits:")
            assert 0 < await redis.ttl(name) <= 120


@pytest.mark.parametrize("kind", ["password", "socket"])
async def test_it_is_reached_with_a_password_and_by_a_socket(
    server: RealRedis, tmp_path: Path, kind: str
) -> None:
    server.kill()
    server.start("--requirepass", "p/w", "--unixsocket", f"{tmp_path}/redis.sock")
    if kind == "password":
        url = f"redis://:p%2Fw@127.0.0.1:{server.port}/3"
    else:
        url = f"unix://:p%2Fw@{tmp_path}/redis.sock?db=3"
    gates = [RateLimits(LimitSettings(), SharedWindows(url, "x:")) for _ in range(2)]
    limited = key(requests_per_minute=2, tokens_per_minute=1000, parallel=2)
    assert [True, True, False] == [
        await passes(gate, limited) for gate in (gates[0], gates[1], gates[0])
    ]
    for gate in gates:
        await gate.aclose()


def test_it_goes_over_to_another_event_loop(server: RealRedis) -> None:
    gate = RateLimits(LimitSettings(), SharedWindows(server.url, "llmroute:"))
    limited = key(requests_per_minute=2, parallel=9)

    async def once() -> bool:
        passed = await passes(gate, limited)
        await gate.aclose()
        return passed

    assert [True, True, False] == [asyncio.run(once()) for _ in range(3)]


async def test_a_password_is_part_of_no_repr_and_no_error(server: RealRedis) -> None:
    windows = SharedWindows("redis://user:sekret@127.0.0.1:1/0", "llmroute:")
    assert "sekret" not in repr(windows)
    with pytest.raises(ValueError, match="not an address") as caught:
        SharedWindows("http://user:sekret@host", "llmroute:")
    assert "sekret" not in str(caught.value)
    await windows.aclose()
