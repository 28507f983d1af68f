"""How long a deployment that failed is left alone, and when one call may try it again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.routing.cooldown import Cooldown, failed

BASE, LONGEST = 5.0, 60.0


def after(*failures, allowed=0, base=BASE, longest=LONGEST):
    """Return the state after failures, each given as (now, seconds asked for)."""
    state = None
    for now, asked in failures:
        state = failed(state, asked=asked, base=base, longest=longest, allowed=allowed, now=now)
    return state


@pytest.mark.parametrize(
    ("failures", "allowed", "expected"),
    [
        pytest.param([(0, None)], 0, Cooldown(1, 1, 5), id="at-once"),
        pytest.param([(0, None)], 1, Cooldown(1, 0, 0), id="forgiven"),
        pytest.param([(0, None), (1, None)], 1, Cooldown(2, 1, 6), id="the-second-is-not"),
        pytest.param([(0, None), (900, None)], 1, Cooldown(2, 1, 905), id="in-a-row-at-any-pace"),
        pytest.param([(0, 0.0)], 1, Cooldown(1, 1, 0), id="asked-for-no-time"),
        pytest.param([(0, 2.0)], 1, Cooldown(1, 1, 2), id="asked-for-less-than-the-base"),
        pytest.param(
            [(0, 2.0), (3, 2.0)], 1, Cooldown(2, 2, 13), id="asked-for-less-a-second-time"
        ),
        pytest.param([(0, 30.0)], 1, Cooldown(1, 1, 30), id="asked-for-more"),
        pytest.param([(0, 600.0)], 1, Cooldown(1, 1, 600), id="asked-for-more-than-the-longest"),
        pytest.param([(0, None), (5, None)], 0, Cooldown(2, 2, 15), id="twice-as-long"),
        pytest.param([(0, 5.0), (5, None)], 9, Cooldown(2, 2, 15), id="a-trial-is-not-forgiven"),
        pytest.param(
            [(0, None), (5, None), (15, None), (35, None), (75, None), (135, None)],
            0,
            Cooldown(6, 6, 195),
            id="no-longer-than-the-longest",
        ),
        pytest.param(
            [(0, None), (1, None), (2, None)], 0, Cooldown(3, 1, 5), id="no-news-while-it-cools"
        ),
        pytest.param([(0, None), (1, 60.0)], 0, Cooldown(2, 1, 61), id="asked-for-while-it-cools"),
        pytest.param([(0, 60.0), (1, 2.0)], 0, Cooldown(2, 1, 60), id="never-shortened"),
    ],
)
def test_the_state_after_failures(failures, allowed, expected):
    assert expected == after(*failures, allowed=allowed)


@pytest.mark.parametrize("asked", [None, 60.0])
def test_a_base_of_zero_means_never(asked):
    state = after((0, asked), (1, asked), base=0.0)

    assert Cooldown(2, 0, 0.0) == state
    assert (False, False) == (state.cooling(1), state.trial(1))


def test_the_longest_bounds_the_first_as_well():
    assert 3.0 == after((0, None), longest=3.0).until


@pytest.mark.parametrize(
    ("state", "now", "cooling", "trial"),
    [
        pytest.param(Cooldown(1, 0, 0.0), 100.0, False, False, id="never-cooled"),
        pytest.param(Cooldown(1, 1, 100.0), 99.9, True, False, id="closed"),
        pytest.param(Cooldown(1, 1, 100.0), 100.0, False, True, id="half-open"),
        pytest.param(Cooldown(1, 1, 100.0), 9999.0, False, True, id="half-open-until-tried"),
    ],
)
def test_a_cooldown_ends_in_a_trial(state, now, cooling, trial):
    assert (cooling, trial) == (state.cooling(now), state.trial(now))


STATES = st.builds(
    Cooldown, st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1e12, allow_nan=False)
)


@given(STATES)
def test_a_state_survives_a_store(state):
    assert state == Cooldown.from_bytes(state.to_bytes())


def test_a_stored_state_is_short():
    assert b"[2,1,1795456800.25]" == Cooldown(2, 1, 1795456800.25).to_bytes()


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"{}", b"null", b"[1,2,3,4]", b'[1,2,"3"]', b"[1.5,2,3]", b"[1,2,1e999]", b"\xff"],
    ids=repr,
)
def test_garbage_in_a_store_is_nothing(data):
    assert Cooldown.from_bytes(data) is None


@given(
    st.none() | STATES,
    st.none() | st.floats(0, 86_400),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.integers(0, 5),
    st.floats(0, 2e9),
)
def test_a_failure_never_shortens_a_cooldown(previous, asked, base, longest, allowed, now):
    state = failed(previous, asked=asked, base=base, longest=longest, allowed=allowed, now=now)

    before = previous or Cooldown()
    assert before.failures + 1 == state.failures
    assert state.times - before.times in {0, 1}
    assert state.until >= before.until
    if base and asked:
        assert state.until >= now + asked
