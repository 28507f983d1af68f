"""What holds for counters of every kind."""

import anyio
import anyio.lowlevel
import pytest

pytestmark = pytest.mark.anyio


async def test_nothing_is_known_at_first(counters):
    assert ([None, None], [0]) == await counters.read(["a", "b"], ["a"])


async def test_the_status_says_where_the_state_is(kind, counters):
    await counters.read(["a"])

    assert ("memory" if kind == "memory" else "redis") == counters.status


async def test_nothing_asked_is_nothing_answered(counters):
    assert ([], []) == await counters.read([])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"one", id="text"),
        pytest.param(bytes(range(256)) * 400, id="every-byte"),
    ],
)
async def test_a_value_is_read_as_it_was_put(counters, value):
    counters.put("a", value, 60.0)

    assert ([None, value], []) == await counters.read(["b", "a"])


async def test_the_last_value_holds(counters):
    for number in range(10):
        counters.put("a", b"%d" % number, 60.0)

    assert ([b"9"], []) == await counters.read(["a"])


async def test_a_dropped_value_is_forgotten(counters):
    counters.put("a", b"one", 60.0)
    counters.put("b", b"two", 60.0)
    counters.drop("a")
    counters.drop("never put")

    assert ([None, b"two"], []) == await counters.read(["a", "b"])


async def test_a_value_ends(counters, eventually):
    counters.put("short", b"one", 0.03)
    counters.put("long", b"two", 60.0)

    await eventually(([None, b"two"], []), lambda: counters.read(["short", "long"]))


@pytest.mark.parametrize("ttl", [0.0, -1.0])
async def test_a_value_whose_time_has_come_replaces_one_and_is_over(counters, ttl):
    counters.put("a", b"one", 60.0)
    await counters.read(["a"])
    counters.put("a", b"two", ttl)

    assert ([None], []) == await counters.read(["a"])


async def test_what_is_added_is_summed(counters):
    counters.add("a", 3, 60.0)
    await counters.read([], ["a"])
    counters.add("a", 4, 60.0)
    counters.add("a", -2, 60.0)
    counters.add("b", 7, 60.0)

    assert ([], [5, 7]) == await counters.read([], ["a", "b"])
    assert ([], [5, 7]) == await counters.read([], ["a", "b"])


async def test_a_sum_ends_after_what_was_added_last(counters, eventually):
    counters.add("a", 3, 0.03)

    await eventually(([], [0]), lambda: counters.read([], ["a"]))


async def test_a_share_is_set_and_not_added(counters):
    counters.share("a", 3)
    await counters.read([], ["a"])
    counters.share("a", 4)

    assert ([], [4]) == await counters.read([], ["a"])


async def test_a_sum_is_what_was_added_and_what_is_shared(counters):
    counters.share("a", 3)
    counters.add("a", 4, 60.0)

    assert ([], [7]) == await counters.read([], ["a"])


async def test_a_share_is_taken_back(counters):
    counters.share("a", 3)
    counters.share("a", 0)
    counters.share("never shared", 0)

    assert ([], [0, 0]) == await counters.read([], ["a", "never shared"])


async def test_one_of_many_gets_what_all_claim(counters):
    got = []

    async def claim():
        got.append(await counters.claim("a", 60.0))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(claim)

    assert [False] * 19 + [True] == sorted(got)
    assert await counters.claim("b", 60.0)


async def test_a_claim_ends(counters, eventually):
    assert await counters.claim("a", 0.03)

    await eventually(expected=True, question=lambda: counters.claim("a", 60.0))
    assert not await counters.claim("a", 60.0)


async def test_a_claim_of_one_who_goes_away_is_given_back(counters, eventually):
    async def claim():
        if await counters.claim("a", 60.0):
            counters.drop("a")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(claim)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    await eventually(expected=True, question=lambda: counters.claim("a", 60.0))


async def test_a_claim_is_given_back(counters):
    assert await counters.claim("a", 60.0)
    counters.drop("a")
    counters.put("a", b"one", 60.0)

    assert await counters.claim("a", 60.0)
    assert not await counters.claim("a", 60.0)
    assert ([b"one"], []) == await counters.read(["a"])


async def test_keys_of_each_verb_are_their_own(counters):
    counters.put("a", b"one", 60.0)
    counters.add("a", 2, 60.0)
    counters.share("a", 3)

    assert await counters.claim("a", 60.0)
    assert ([b"one"], [5]) == await counters.read(["a"], ["a"])


async def test_closing_twice_is_as_good_as_once(counters):
    counters.put("a", b"one", 60.0)
    await counters.aclose()
    await counters.aclose()


async def test_closed_counters_go_on_alone(counters):
    await counters.aclose()
    counters.put("a", b"one", 60.0)
    counters.add("b", 2, 60.0)
    counters.share("b", 3)

    assert ([b"one"], [5]) == await counters.read(["a"], ["b"])
    assert await counters.claim("a", 60.0)
    assert not await counters.claim("a", 60.0)
