"""What one process knows: for how long, and how much of it."""

import tracemalloc

import pytest

from llmroute.stores import Memory
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return Clock(1_800_000_000.0)


@pytest.mark.parametrize(
    ("later", "value"),
    [
        pytest.param(9.999, b"one", id="just-before"),
        pytest.param(10.0, None, id="when-its-time-has-come"),
        pytest.param(1e9, None, id="long-after"),
    ],
)
async def test_a_value_ends_when_its_time_has_come(clock, later, value):
    memory = Memory(clock)
    memory.put("a", b"one", 10.0)
    clock.advance(later)

    assert ([value], []) == await memory.read(["a"])


async def test_a_value_put_again_ends_later(clock):
    memory = Memory(clock)
    memory.put("a", b"one", 10.0)
    clock.advance(9.0)
    memory.put("a", b"two", 100.0)
    clock.advance(90.0)
    memory.put("another", b"", 1.0)

    assert ([b"two"], []) == await memory.read(["a"])


async def test_a_sum_ends_after_what_was_added_last(clock):
    memory = Memory(clock)
    memory.add("a", 1, 10.0)
    clock.advance(9.0)
    memory.add("a", 2, 10.0)
    clock.advance(9.0)

    assert ([], [3]) == await memory.read([], ["a"])
    clock.advance(1.0)
    assert ([], [0]) == await memory.read([], ["a"])


async def test_a_share_does_not_end(clock):
    memory = Memory(clock)
    memory.share("a", 3)
    clock.advance(1e9)

    assert ([], [3]) == await memory.read([], ["a"])


async def test_a_claim_is_free_again_when_its_time_has_come(clock):
    memory = Memory(clock)

    assert await memory.claim("a", 10.0)
    clock.advance(9.999)
    assert not await memory.claim("a", 10.0)
    clock.advance(0.001)
    assert await memory.claim("a", 10.0)


async def test_beyond_the_most_the_oldest_are_forgotten(clock):
    memory = Memory(clock, most=3)
    for key in "abc":
        memory.put(key, key.encode(), 60.0)
    memory.put("a", b"again", 60.0)
    memory.put("d", b"d", 60.0)

    assert ([b"again", None, b"c", b"d"], []) == await memory.read(["a", "b", "c", "d"])


async def test_putting_again_what_is_there_forgets_nothing(clock):
    memory = Memory(clock, most=2)
    memory.put("a", b"a", 60.0)
    memory.put("b", b"b", 60.0)
    memory.put("b", b"again", 60.0)

    assert ([b"a", b"again"], []) == await memory.read(["a", "b"])


async def test_what_is_over_gives_its_memory_back_to_what_comes(clock):
    memory = Memory(clock)

    def write(hour):
        for number in range(1000):
            memory.put(f"{hour}-{number}", bytes(100), 60.0)
            memory.put("the same key", bytes(100), 3600.0)
            clock.advance(3.6)

    write(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        write(1)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 20_000
