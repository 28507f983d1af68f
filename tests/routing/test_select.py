"""Who is tried first: by order, by weight, and those that failed a moment ago last."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.routing.select import Candidate, order

DRAWS = [0.5] * 9


def names(*candidates, cooling=(), weighted=False, draws=DRAWS):
    return " ".join(order(candidates, cooling, weighted=weighted, draws=draws))


A, B, C = Candidate("a"), Candidate("b"), Candidate("c")


@pytest.mark.parametrize(
    ("candidates", "cooling", "expected"),
    [
        pytest.param([], "", "", id="nobody"),
        pytest.param([A, B, C], "", "a b c", id="the-configurations-order"),
        pytest.param([C, A, B], "", "c a b", id="not-the-alphabets"),
        pytest.param([A._replace(order=2), B, C._replace(order=1)], "", "b c a", id="tiers"),
        pytest.param([A._replace(order=1), B._replace(order=-1), C], "", "b c a", id="below-zero"),
        pytest.param([A, B, C], "a", "b c a", id="cooling-comes-last"),
        pytest.param([A, B, C], "ab", "c a b", id="two-cooling"),
        pytest.param([A, B, C], "abc", "a b c", id="all-cooling"),
        pytest.param([A, B._replace(order=1), C], "a", "c b a", id="cooling-behind-later-tiers"),
        pytest.param([A._replace(weight=0.0), B], "", "a b", id="weights-do-not-matter"),
    ],
)
def test_the_order_without_weights(candidates, cooling, expected):
    assert expected == names(*candidates, cooling=set(cooling), draws=())


@pytest.mark.parametrize(
    ("weights", "draws", "cooling", "expected"),
    [
        pytest.param([1, 1, 1], [0.1, 0.9, 0.5], "", "b c a", id="the-highest-draw"),
        pytest.param([9, 1, 1], [0.5, 0.6, 0.1], "", "a b c", id="weight-lifts-a-draw"),
        pytest.param([0, 1, 1], [0.9, 0.0, 0.1], "", "c b a", id="no-weight-comes-last"),
        pytest.param([0, 0, 0], [0.1, 0.2, 0.3], "", "a b c", id="no-weights-at-all"),
        pytest.param([1, 1, 1], [0.1, 0.9, 0.5], "b", "c a b", id="cooling-comes-last"),
        pytest.param([5e-324, 1e308, 1], [0.5, 0.5, 0.5], "", "b c a", id="extremes"),
    ],
)
def test_the_order_by_weight(weights, draws, cooling, expected):
    candidates = [Candidate(n, 0, w) for n, w in zip("abc", weights, strict=True)]

    assert expected == names(*candidates, cooling=cooling, weighted=True, draws=draws)


def test_a_weight_counts_only_within_its_order():
    first, second = Candidate("a", 0, 1), Candidate("b", 1, 1000)

    assert "a b" == names(first, second, weighted=True, draws=[0.01, 0.99])


def test_calls_are_shared_by_weight():
    dice = random.Random(7)
    candidates = [Candidate("a", 0, 6), Candidate("b", 0, 3), Candidate("c", 0, 1)]
    orders = Counter(
        names(*candidates, weighted=True, draws=[dice.random() for _ in candidates])
        for _ in range(20_000)
    )

    first = Counter()
    for found, count in orders.items():
        first[found[0]] += count / 20_000
    assert pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.015) == first
    # Once a is out, b and c share three to one.
    assert pytest.approx(3, rel=0.1) == orders["a b c"] / orders["a c b"]


CANDIDATES = st.lists(
    st.builds(
        Candidate, st.uuids().map(str), st.integers(-2, 2), st.floats(0, 1e6, allow_nan=False)
    ),
    max_size=6,
)


@given(CANDIDATES, st.booleans(), st.data())
def test_everyone_has_one_place(candidates, weighted, data):
    draws = data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6))
    cooling = {c.name for c in candidates if data.draw(st.booleans())}

    found = order(candidates, cooling, weighted=weighted, draws=draws)

    by_name = {c.name: c for c in candidates}
    assert sorted(by_name) == sorted(found)
    ranks = [(name in cooling, by_name[name].order) for name in found]
    assert sorted(ranks) == ranks
