"""Who is tried first: who is well, by order, by the strategy, and else by lot."""

import math
import random
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.routing.select import Candidate, Latency, Strategy, order

STRATEGIES = get_args(Strategy)


def names(*candidates, strategy="listed", draws=None):
    return " ".join(order(candidates, strategy, draws or [0.5] * len(candidates)))


A, B, C = (Candidate(name, place=place) for place, name in enumerate("abc"))


def one(name, **known):
    return Candidate(name, **known)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([], "", id="nobody"),
        pytest.param([A], "a", id="one"),
        pytest.param([A, B, C], "a b c", id="the-configurations-order"),
        pytest.param([C, A, B], "a b c", id="places-and-not-arguments"),
        pytest.param([A._replace(order=2), B, C._replace(order=1)], "b c a", id="tiers"),
        pytest.param([A._replace(order=1), B._replace(order=-1), C], "b c a", id="below-zero"),
        pytest.param([A._replace(cooling=True), B, C], "b c a", id="cooling-comes-last"),
        pytest.param(
            [A._replace(cooling=True), B._replace(cooling=True), C], "c a b", id="two-cooling"
        ),
        pytest.param([c._replace(cooling=True) for c in (A, B, C)], "a b c", id="all-cooling"),
        pytest.param(
            [A._replace(cooling=True), B._replace(order=1), C],
            "c b a",
            id="cooling-behind-later-tiers",
        ),
        pytest.param([A._replace(weight=0.0), B], "a b", id="weights-do-not-matter"),
    ],
)
def test_the_order_of_a_list(candidates, expected):
    assert expected == names(*candidates, draws=[0.1, 0.9, 0.5][: len(candidates)])


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        pytest.param([0.9, 0.1, 0.5], "a#1 a#2 b", id="the-first-key"),
        pytest.param([0.1, 0.9, 0.5], "a#2 a#1 b", id="the-second-key"),
        pytest.param([0.1, 0.2, 0.9], "a#1 a#2 b", id="the-list-still-stands"),
        pytest.param([0.5, 0.6, 0.0], "a#1 a#2 b", id="by-weight"),
    ],
)
def test_the_keys_of_one_listed_deployment_are_drawn(draws, expected):
    keys = [one("a#1", weight=2.0), one("a#2")]

    assert expected == names(*keys, one("b", place=1), draws=draws)


@pytest.mark.parametrize(
    ("weights", "draws", "expected"),
    [
        pytest.param([1, 1, 1], [0.1, 0.9, 0.5], "b c a", id="the-highest-draw"),
        pytest.param([9, 1, 1], [0.5, 0.6, 0.1], "a b c", id="weight-lifts-a-draw"),
        pytest.param([0, 1, 1], [0.9, 0.0, 0.1], "c b a", id="no-weight-comes-last"),
        pytest.param([0, 0, 0], [0.1, 0.2, 0.3], "c b a", id="no-weights-at-all"),
        pytest.param([5e-324, 1e308, 1], [0.5, 0.5, 0.5], "b c a", id="extremes"),
        pytest.param([1e-4, 1e-4, 1e-4], [0.2, 0.4, 0.3], "b c a", id="small-weights-are-drawn"),
    ],
)
def test_the_order_by_weight(weights, draws, expected):
    # Places count in a list only.
    candidates = [one(n, place=9 - w, weight=w) for n, w in zip("abc", weights, strict=True)]

    assert expected == names(*candidates, strategy="weighted", draws=draws)


@pytest.mark.parametrize("strategy", ["weighted", "least_busy", "lowest_latency", "lowest_price"])
def test_who_has_no_weight_only_stands_by(strategy):
    standby = one("a", weight=0.0, latency=0.0, price=0.0)
    others = [one(name, busy=5, latency=9.0, price=9.0) for name in "bc"]

    for draws in ([0.99, 0.1, 0.1], [0.0, 0.0, 0.0], [0.5, 0.9, 0.1]):
        assert "a" == names(standby, *others, strategy=strategy, draws=draws)[-1]
    assert "b a" == names(standby, others[0], strategy=strategy, draws=[0.9, 0.1])


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_the_better_one_counts_only_within_its_order(strategy):
    good = {"weight": 1000.0, "latency": 0.1, "price": 0.1}

    assert "b a" == names(one("a", order=1, **good), one("b", busy=9), strategy=strategy)
    assert "b a" == names(one("a", cooling=True, **good), one("b", busy=9), strategy=strategy)


@pytest.mark.parametrize(
    ("busy", "weights", "draws", "expected"),
    [
        pytest.param([2, 0, 1], [1, 1, 1], [0.9, 0.1, 0.5], "b c a", id="the-idlest"),
        pytest.param([3, 2, 2], [3, 1, 1], [0.1, 0.1, 0.9], "a c b", id="for-its-weight"),
        pytest.param([1, 1, 1], [1, 1, 1], [0.1, 0.9, 0.5], "b c a", id="ties-are-drawn"),
        pytest.param([0, 0, 0], [9, 1, 1], [0.5, 0.6, 0.1], "a b c", id="by-weight"),
    ],
)
def test_the_order_by_calls_in_flight(busy, weights, draws, expected):
    candidates = [one(n, busy=b, weight=w) for n, b, w in zip("abc", busy, weights, strict=True)]

    assert expected == names(*candidates, strategy="least_busy", draws=draws)


@pytest.mark.parametrize(
    ("prices", "draws", "expected"),
    [
        pytest.param([3.0, 1.0, 2.0], [0.9, 0.1, 0.5], "b c a", id="the-cheapest"),
        pytest.param([None, 1.0, 2.0], [0.9, 0.1, 0.5], "b c a", id="unknown-comes-last"),
        pytest.param([None, 0.0, None], [0.1, 0.1, 0.5], "b c a", id="free-of-charge"),
        pytest.param([1.0, 1.0, 1.0], [0.1, 0.9, 0.5], "b c a", id="ties-are-drawn"),
    ],
)
def test_the_order_by_price(prices, draws, expected):
    candidates = [one(n, price=p) for n, p in zip("abc", prices, strict=True)]

    assert expected == names(*candidates, strategy="lowest_price", draws=draws)


@pytest.mark.parametrize(
    ("known", "draws", "expected"),
    [
        pytest.param(
            [(1.0, 0), (2.0, 0), (3.0, 0)], [0.1, 0.9, 0.8], "b a c", id="the-better-of-two-drawn"
        ),
        pytest.param(
            [(1.0, 0), (2.0, 0), (3.0, 0)], [0.9, 0.1, 0.8], "a b c", id="the-best-if-drawn"
        ),
        pytest.param(
            [(1.0, 4), (2.0, 0), (3.0, 0)], [0.9, 0.8, 0.1], "b c a", id="calls-in-flight-count"
        ),
        pytest.param(
            [(1.0, 0), (2.0, 0), (None, 0)], [0.9, 0.1, 0.8], "c a b", id="never-measured"
        ),
        pytest.param(
            [(1.0, 0), (2.0, 0), (None, 1)], [0.9, 0.1, 0.8], "a b c", id="one-call-measures-it"
        ),
        pytest.param(
            [(None, 2), (None, 1), (None, 1)], [0.9, 0.8, 0.1], "b c a", id="nobody-measured"
        ),
        pytest.param([(1.0, 0), (1.0, 0)], [0.1, 0.9], "b a", id="ties-are-drawn"),
    ],
)
def test_the_order_by_latency(known, draws, expected):
    candidates = [
        one(n, latency=latency, busy=busy) for n, (latency, busy) in zip("abc", known, strict=False)
    ]

    assert expected == names(*candidates, strategy="lowest_latency", draws=draws)


def test_calls_are_shared_by_weight():
    dice = random.Random(7)
    candidates = [one("a", weight=6), one("b", weight=3), one("c", weight=1)]
    orders = Counter(
        names(*candidates, strategy="weighted", draws=[dice.random() for _ in candidates])
        for _ in range(20_000)
    )

    first = Counter()
    for found, count in orders.items():
        first[found[0]] += count / 20_000
    assert pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1}, abs=0.015) == first
    # Once a is out, b and c share three to one.
    assert pytest.approx(3, rel=0.1) == orders["a b c"] / orders["a c b"]


def test_the_slowest_of_many_is_never_first_and_the_quickest_not_always():
    dice = random.Random(7)
    candidates = [one(name, latency=float(at)) for at, name in enumerate("abcd", 1)]
    first = Counter(
        names(*candidates, strategy="lowest_latency", draws=[dice.random() for _ in range(4)])[0]
        for _ in range(6_000)
    )

    # Of the six pairs, three have a in them, two more b, and one more c.
    shares = {name: count / 6_000 for name, count in first.items()}
    assert pytest.approx({"a": 1 / 2, "b": 1 / 3, "c": 1 / 6}, abs=0.03) == shares


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        order=st.integers(-2, 2),
        place=st.integers(0, 2),
        weight=st.floats(0, 1e6),
        cooling=st.booleans(),
        busy=st.integers(0, 100),
        latency=st.none() | st.floats(0, 600),
        price=st.none() | st.floats(0, 1000),
    ),
    max_size=6,
    unique_by=lambda candidate: candidate.name,
)
DRAWS = st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6)


@given(CANDIDATES, st.sampled_from(STRATEGIES), DRAWS)
def test_everyone_has_one_place(candidates, strategy, draws):
    found = order(candidates, strategy, draws[: len(candidates)])

    by_name = {c.name: c for c in candidates}
    assert sorted(by_name) == sorted(found)
    ranks = [(by_name[name].cooling, by_name[name].order) for name in found]
    assert sorted(ranks) == ranks


@pytest.mark.parametrize(
    ("samples", "now", "expected"),
    [
        pytest.param([(2.0, 0.0)], 0.0, 2.0, id="as-measured"),
        pytest.param([(2.0, 0.0)], 10.0, 2.0 / math.e, id="fades"),
        pytest.param([(2.0, 0.0)], 1000.0, pytest.approx(0.0, abs=1e-9), id="is-forgotten"),
        pytest.param([(2.0, 0.0), (9.0, 0.0)], 0.0, 9.0, id="bad-news-at-once"),
        pytest.param([(2.0, 0.0), (1.0, 0.0)], 0.0, 2.0, id="good-news-takes-time"),
        pytest.param([(2.0, 0.0), (1.9, 10.0)], 10.0, 1.9, id="above-what-is-left-of-it"),
        pytest.param(
            [(2.0, 0.0), (0.1, 10.0)],
            10.0,
            pytest.approx(2 / math.e + (0.1 - 2 / math.e) * (1 - 1 / math.e)),
            id="good-news-after-a-time",
        ),
        pytest.param([(2.0, 5.0)], 0.0, 2.0, id="a-clock-set-back"),
        pytest.param([(2.0, 5.0), (1.0, 0.0)], 5.0, 2.0, id="a-sample-from-before"),
    ],
)
def test_what_latency_to_expect(samples, now, expected):
    (first, at), *later = samples
    latency = Latency(first, at)
    for sample, when in later:
        latency = latency.after(sample, when)

    assert expected == latency.estimate(now)


@given(
    st.floats(0, 600),
    st.lists(st.tuples(st.floats(0, 600), st.floats(0, 100)), min_size=1, max_size=20),
)
def test_an_estimate_lies_between_the_samples_and_what_it_was(first, later):
    latency, now = Latency(first, 0.0), 0.0
    for sample, pause in later:
        now += pause
        earlier = latency.estimate(now)
        latency = latency.after(sample, now)

        assert sample <= latency.value or sample == pytest.approx(latency.value)
        assert latency.value <= max(sample, earlier)
