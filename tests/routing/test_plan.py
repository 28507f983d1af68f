"""What comes next, given how the last attempt ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.errors import (
    FaultError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    RejectedError,
    Remedy,
    UnreachableError,
)
from llmroute.routing.plan import GiveUp, Plan, Policy, Try, Wait

BUSY = OverloadedError("busy", status=529)
FAULT = FaultError("fault", status=500)
SOON = RateLimitedError("soon", status=429, retry_after=3.0)
NOW = RateLimitedError("now", status=429, retry_after=0.0)
LATER = RateLimitedError("later", status=429, retry_after=60.0)
WRONG_KEY = MisconfiguredError("wrong key", status=401)
NO_ANSWER = UnreachableError("no answer")
TOO_LONG = RejectedError("too long", status=400)


def walk(plan, *outcomes):
    """Follow a plan to its end, or to the first attempt that is not said to fail."""
    steps, left = [], list(outcomes)
    while True:
        match plan.next():
            case Wait(seconds):
                steps.append(seconds)
            case Try(deployment):
                steps.append(deployment)
                if not left:
                    return steps
                plan.failed(left.pop(0))
            case GiveUp(error):
                assert [] == left
                return [*steps, f"give up: {error}"]


@pytest.mark.parametrize(
    ("outcomes", "steps"),
    [
        pytest.param([], ["a"], id="first-answers"),
        pytest.param([BUSY], ["a", 0.5, "a"], id="retry-same"),
        pytest.param([BUSY, FAULT], ["a", 0.5, "a", 1.0, "a"], id="wait-twice-as-long"),
        pytest.param([BUSY] * 3, ["a", 0.5, "a", 1.0, "a", "b"], id="then-fall-back"),
        pytest.param(
            [BUSY] * 4, ["a", 0.5, "a", 1.0, "a", "b", 0.5, "b"], id="retry-anew-at-the-next"
        ),
        pytest.param(
            [BUSY] * 6,
            ["a", 0.5, "a", 1.0, "a", "b", 0.5, "b", 1.0, "b", "give up: busy"],
            id="nobody-answers",
        ),
        pytest.param([SOON], ["a", 3.0, "a"], id="wait-as-told"),
        pytest.param([NOW], ["a", "a"], id="told-not-to-wait"),
        pytest.param([LATER], ["a", "b"], id="too-long-to-wait"),
        pytest.param([SOON, LATER, SOON], ["a", 3.0, "a", "b", 3.0, "b"], id="each-as-told"),
        pytest.param([WRONG_KEY], ["a", "b"], id="elsewhere-at-once"),
        pytest.param([BUSY, WRONG_KEY], ["a", 0.5, "a", "b"], id="elsewhere-after-a-retry"),
        pytest.param([NO_ANSWER], ["a", "b"], id="no-answer-is-no-reason-to-ask-again"),
        pytest.param([TOO_LONG], ["a", "give up: too long"], id="rejected-is-final"),
        pytest.param([WRONG_KEY, TOO_LONG], ["a", "b", "give up: too long"], id="final-anywhere"),
        pytest.param([BUSY, TOO_LONG], ["a", 0.5, "a", "give up: too long"], id="final-any-time"),
        pytest.param([LATER, WRONG_KEY], ["a", "b", "give up: later"], id="time-helps-most"),
        pytest.param([WRONG_KEY, LATER], ["a", "b", "give up: later"], id="in-either-order"),
        pytest.param([WRONG_KEY, NO_ANSWER], ["a", "b", "give up: no answer"], id="else-the-last"),
    ],
)
def test_steps(outcomes, steps):
    assert steps == walk(Plan(["a", "b"], Policy(), 2), *outcomes)


@pytest.mark.parametrize(
    ("policy", "retries", "outcomes", "steps"),
    [
        pytest.param(Policy(), 0, [BUSY], ["a", "b"], id="no-retries"),
        pytest.param(Policy(backoff=0.0), 1, [BUSY], ["a", "a"], id="no-wait"),
        pytest.param(Policy(patience=0.4), 2, [BUSY], ["a", "b"], id="no-patience-for-the-first"),
        pytest.param(
            Policy(patience=0.5), 2, [BUSY, BUSY], ["a", 0.5, "a", "b"], id="nor-for-the-second"
        ),
        pytest.param(Policy(patience=60), 1, [LATER], ["a", 60.0, "a"], id="all-the-patience"),
        pytest.param(Policy(), 1, [BUSY, BUSY], ["a", 0.5, "a", "b"], id="one-retry"),
    ],
)
def test_steps_by_policy(policy, retries, outcomes, steps):
    assert steps == walk(Plan(["a", "b"], policy, retries), *outcomes)


def test_the_last_error_of_the_most_useful_kind_is_given():
    first, second = RateLimitedError("first"), RateLimitedError("second")

    assert ["a", "b", "c", "give up: second"] == walk(
        Plan(["a", "b", "c"], Policy(), 0), first, second, WRONG_KEY
    )


def test_asking_again_after_giving_up_gives_the_same():
    plan = Plan(["a"], Policy(), 0)
    plan.failed(WRONG_KEY)

    assert GiveUp(WRONG_KEY) == plan.next() == plan.next()


@given(
    st.integers(1, 4),
    st.integers(0, 3),
    st.lists(st.sampled_from([BUSY, SOON, LATER, WRONG_KEY, NO_ANSWER, TOO_LONG]), max_size=40),
)
def test_no_deployment_is_tried_more_often_than_told(count, retries, outcomes):
    names = [f"d{n}" for n in range(count)]
    plan, tried, waited, left = Plan(names, Policy(), retries), [], [], list(outcomes)
    while True:
        step = plan.next()
        if isinstance(step, Wait):
            waited.append(step.seconds)
        elif isinstance(step, Try) and left:
            tried.append(step.deployment)
            plan.failed(left.pop(0))
        else:
            break

    assert all(tried.count(name) <= retries + 1 for name in names)
    assert sorted(tried) == tried
    assert all(0 < seconds <= Policy().patience for seconds in waited)
    if isinstance(step, GiveUp):
        assert step.error in outcomes
        rejected = [e for e in outcomes[: len(tried)] if e.remedy is Remedy.NOTHING]
        assert rejected[:1] in ([], [step.error])
