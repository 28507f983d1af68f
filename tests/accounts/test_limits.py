"""Rate limits: so many requests and tokens a minute, so many at once, and no more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.aio.storage import MemoryStorage
from tests.accounts.asking import asked, over
from tests.accounts.timing import counting_by

from llmroute.accounts.gate import Hold
from llmroute.accounts.limits import RateLimits
from llmroute.accounts.model import Key, Limits, Team
from llmroute.accounts.windows import MINUTE, FullError, Level, Rule, UnderWay, Windows
from llmroute.config.accounts import LimitSettings
from llmroute.errors import LimitError
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0  # a full minute


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock(NOW)
    with counting_by(clock):
        yield clock


@pytest.fixture
def gate(clock: Clock) -> RateLimits:
    return RateLimits(LimitSettings(), counted(clock))


def counted(clock: Clock) -> Windows:
    return Windows(MemoryStorage(), UnderWay(), clock)


def key(**limits: int) -> Key:
    return Key("key_ci", "ci", limits=Limits(**limits))


async def held(gate: RateLimits, *args: Any, **members: Any) -> Hold:
    hold = await gate.admit(asked(*args, **members))
    assert hold is not None
    return hold


async def refused(gate: RateLimits, *args: Any, **members: Any) -> LimitError:
    with pytest.raises(LimitError) as caught:
        await gate.admit(asked(*args, **members))
    return caught.value


def header(error: LimitError, name: bytes) -> bytes | None:
    return dict(error.headers).get(name)


async def test_a_key_without_limits_is_held_by_nothing(gate: RateLimits) -> None:
    assert await gate.admit(asked(Key("key_free", "free"))) is None
    assert await gate.admit(asked()) is None


async def test_one_request_more_than_a_minute_takes_is_refused_until_there_is_room(
    gate: RateLimits, clock: Clock
) -> None:
    for _ in range(3):
        await held(gate, key(requests_per_minute=3))
        clock.advance(10.1)

    error = await refused(gate, key(requests_per_minute=3))

    assert (429, "rate_limit_error", False) == (error.status, error.type, error.is_final)
    assert b"30" == header(error, b"retry-after")
    assert (
        "The key 'ci' may make 3 requests a minute, and the last minute saw as many. Try again in "
        "30 seconds."
    ) == str(error)
    assert b"3" == header(error, b"anthropic-ratelimit-requests-limit")
    assert b"0" == header(error, b"anthropic-ratelimit-requests-remaining")
    clock.advance(29)
    await refused(gate, key(requests_per_minute=3))
    clock.advance(1)
    # Of the three the first is gone, the next is in twenty seconds.
    await held(gate, key(requests_per_minute=3))
    assert b"20" == header(await refused(gate, key(requests_per_minute=3)), b"retry-after")
    clock.advance(20)
    await held(gate, key(requests_per_minute=3))


async def test_what_was_refused_is_not_counted(gate: RateLimits, clock: Clock) -> None:
    team = Team("team_a", "a", limits=Limits(requests_per_minute=1))
    both = Key("key_ci", "ci", limits=Limits(requests_per_minute=2), team=team)
    await held(gate, both)
    for _ in range(5):
        error = await refused(gate, both)
    assert str(error).startswith("The keys of the team 'a' may together make 1 request a minute")

    # Of its own two, the key has still one.
    await held(gate, Key("key_ci", "ci", limits=Limits(requests_per_minute=2)))


async def test_a_team_and_everybody_share_a_limit(clock: Clock) -> None:
    gate = RateLimits(LimitSettings(requests_per_minute=3), counted(clock))
    team = Team("team_a", "a", limits=Limits(requests_per_minute=2))
    await held(gate, Key("key_1", "one", team=team))
    await held(gate, Key("key_2", "two", team=team))
    assert "team 'a'" in str(await refused(gate, Key("key_3", "three", team=team)))
    await held(gate)
    assert "All who use this llmroute proxy" in str(await refused(gate, Key("key_4", "four")))

    gate.configure(LimitSettings(requests_per_minute=4))
    await held(gate, Key("key_4", "four"))
    gate.configure(LimitSettings())
    assert await gate.admit(asked()) is None


async def test_counts_of_tokens_and_what_llmroute_asks_itself_are_no_requests(
    gate: RateLimits,
) -> None:
    limited = key(requests_per_minute=1, tokens_per_minute=1, parallel=1)
    await held(gate, limited)
    for _ in range(25):
        assert await gate.admit(asked(limited, endpoint="count_tokens")) is None
    assert await gate.admit(asked(limited, is_ours=True)) is None


async def test_tokens_are_estimated_before_and_set_right_after(
    gate: RateLimits, clock: Clock
) -> None:
    limited = key(tokens_per_minute=1000)
    text = [{"role": "user", "content": "x" * 2000}]  # some 500 tokens
    first = await held(gate, limited, text)
    await refused(gate, limited, [{"role": "user", "content": "x" * 2400}])
    # It was shorter than it seemed.
    first.settle(over(tokens=100))
    second = await held(gate, limited, [{"role": "user", "content": "x" * 2400}])
    # And this one longer: of the 5,100, four fifths have to be over.
    second.settle(over(tokens=5000))
    clock.advance(MINUTE)
    error = await refused(gate, limited)
    assert b"49" == header(error, b"retry-after")
    assert "use 1,000 tokens a minute" in str(error)
    assert b"0" == header(error, b"anthropic-ratelimit-tokens-remaining")
    clock.advance(49)
    await held(gate, limited)


async def test_what_was_not_used_is_given_back_only_to_the_minute_that_it_was_taken_from(
    gate: RateLimits, clock: Clock
) -> None:
    limited = key(tokens_per_minute=1000)
    text = [{"role": "user", "content": "x" * 3600}]  # some 900 tokens
    hold = await held(gate, limited, text)
    clock.advance(MINUTE + 55)
    hold.settle(over(tokens=10))
    # So this minute has no more for others than any other has.
    await held(gate, limited, text)
    await refused(gate, limited, text)


async def test_tokens_of_a_call_of_minutes_count_when_it_ends(
    gate: RateLimits, clock: Clock
) -> None:
    limited = key(tokens_per_minute=1000)
    stream = await held(gate, limited)
    clock.advance(300)
    stream.settle(over(tokens=1200))
    await refused(gate, limited)
    clock.advance(MINUTE + 15)
    await held(gate, limited)


async def test_a_call_that_was_not_made_after_all_takes_nothing(gate: RateLimits) -> None:
    limited = key(requests_per_minute=1, tokens_per_minute=600, parallel=1)
    text = [{"role": "user", "content": "x" * 2000}]
    (await held(gate, limited, text)).settle(None)
    await held(gate, limited, text)


async def test_a_prompt_over_the_limit_waits_for_an_empty_minute(
    gate: RateLimits, clock: Clock
) -> None:
    limited = key(tokens_per_minute=100)
    small = await held(gate, limited)
    small.settle(over(tokens=1))
    long = [{"role": "user", "content": "x" * 4000}]
    assert b"60" == header(await refused(gate, limited, long), b"retry-after")
    clock.advance(MINUTE + 50)
    await held(gate, limited, long)


async def test_requests_under_way_are_counted_until_they_are_over(gate: RateLimits) -> None:
    limited = key(parallel=2)
    first = await held(gate, limited)
    await held(gate, limited)
    error = await refused(gate, limited)
    assert b"1" == header(error, b"retry-after")
    assert (
        "The key 'ci' may have 2 requests under way at once, and as many are. Try again in 1 "
        "second."
    ) == str(error)
    first.settle(over())
    await held(gate, limited)


async def test_nobody_is_told_to_wait_longer_than_claude_code_would(
    gate: RateLimits, clock: Clock
) -> None:
    await held(gate, key(requests_per_minute=1))
    assert b"60" == header(await refused(gate, key(requests_per_minute=1)), b"retry-after")
    clock.advance(59.9)
    assert b"1" == header(await refused(gate, key(requests_per_minute=1)), b"retry-after")


async def test_an_answer_tells_how_much_is_left_and_not_of_the_upstreams_limits(
    gate: RateLimits,
) -> None:
    team = Team("team_a", "a", limits=Limits(requests_per_minute=3))
    limited = Key("key_1", "one", limits=Limits(10, 5000, 7), team=team)
    hold = await held(gate, limited)
    upstreams = [
        (b"content-type", b"application/json"),
        (b"anthropic-ratelimit-requests-limit", b"4000"),
        (b"anthropic-ratelimit-input-tokens-remaining", b"1"),
        (b"anthropic-ratelimit-unified-status", b"allowed"),
    ]

    told = hold.headed(upstreams)

    # What is counted in a minute counts, ever less, to the end of the next.
    reset = datetime.fromtimestamp(NOW + 120, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    assert [
        (b"content-type", b"application/json"),
        (b"anthropic-ratelimit-unified-status", b"allowed"),
        (b"anthropic-ratelimit-requests-limit", b"3"),
        (b"anthropic-ratelimit-requests-remaining", b"2"),
        (b"anthropic-ratelimit-requests-reset", reset),
        (b"anthropic-ratelimit-tokens-limit", b"5000"),
        (b"anthropic-ratelimit-tokens-remaining", b"4993"),
        (b"anthropic-ratelimit-tokens-reset", reset),
    ] == told


async def test_minutes_that_are_over_are_forgotten(clock: Clock) -> None:
    storage = MemoryStorage()
    windows = Windows(storage, UnderWay(), clock)
    for number in range(500):
        rules = [
            Rule(kind, "key", "k", 5, f"{kind}:key:{number}") for kind in ("requests", "parallel")
        ]
        levels = await windows.take(rules, 0, str(number))
        windows.settle(levels, 1, str(number))
        clock.advance(1)
        await anyio.lowlevel.checkpoint()  # the package forgets between two steps
    assert len(storage.storage) <= 121
    assert not windows._running._tickets


LIMIT = 4


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 40), st.integers(1, 3), st.integers(0, 6)), min_size=1, max_size=60
    )
)
async def test_no_full_minute_sees_more_than_the_limit(
    steps: list[tuple[float, int, int]],
) -> None:
    clock = Clock(NOW)
    windows = counted(clock)
    requests = Rule("requests", "key", "k", LIMIT, "requests:key:k")
    tokens = Rule("tokens", "key", "k", LIMIT, "tokens:key:k")
    made: list[tuple[float, int, int]] = []
    with counting_by(clock):
        for number, (pause, amount, used) in enumerate(steps):
            clock.advance(pause)
            try:
                levels = await windows.take([requests, tokens], amount, str(number))
            except FullError as full:
                # There was no room, by the rule of the guide, and there is when it said.
                which, want = (1, 1) if full.level.rule is requests else (2, amount)
                minute, second = divmod(clock(), MINUTE)
                before, now = (
                    sum(it[which] for it in made if it[0] // MINUTE == each)
                    for each in (minute - 1, minute)
                )
                assert math.floor(before * (1 - second / MINUTE) + 1e-9) + now + want > LIMIT
                clock.advance(full.wait + 0.01)
                levels = await taken_when_told(windows, [requests, tokens], amount, clock)
            made.append((clock(), 1, min(amount, used)))
            windows.settle(levels, min(amount, used), str(number))
    for minute in {at // MINUTE for at, _, _ in made}:
        within = [amount for at, _, amount in made if at // MINUTE == minute]
        assert len(within) <= LIMIT
        assert sum(within) <= LIMIT


async def taken_when_told(
    windows: Windows, rules: list[Rule], amount: int, clock: Clock
) -> list[Level]:
    """Wait as often as there are limits: the next one may be reached as well."""
    for _ in rules:
        try:
            return await windows.take(rules, amount, "again")
        except FullError as full:
            clock.advance(full.wait + 0.01)
    return await windows.take(rules, amount, "again")
