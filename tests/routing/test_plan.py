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
    StreamBrokenError,
    UnreachableError,
)
from llmroute.routing.plan import GiveUp, Leg, Plan, Policy, Try, Wait
from llmroute.routing.remedies import Rule

BUSY = OverloadedError("busy", status=529)
FAULT = FaultError("fault", status=500)
SOON = RateLimitedError("soon", status=429, retry_after=3.0)
NOW = RateLimitedError("now", status=429, retry_after=0.0)
LATER = RateLimitedError("later", status=429, retry_after=60.0)
WRONG_KEY = MisconfiguredError("wrong key", status=401)
NO_ANSWER = UnreachableError("no answer")
BROKEN = StreamBrokenError("broken")
WRONG = RejectedError("messages: field required", status=400)
TOO_LONG = RejectedError("prompt is too long: 9 tokens > 8 maximum", status=400)
FILTERED = RejectedError("blocked by content filtering policy", status=400)


def legs(names):
    return [Leg(name, "m") for name in names]


def refusing(*what):
    error = RejectedError(f"no {what}", status=400)
    error.refused = frozenset(what)
    return error


def walk(plan, *outcomes, draw=1.0):
    """Follow a plan to its end, or to the first attempt that is not said to fail.

    A wait takes as long as it says, and nothing else takes any time.
    """
    steps, left, now = [], list(outcomes), 0.0
    while True:
        match plan.next(now):
            case Wait(seconds):
                steps.append(seconds)
                now += seconds
            case Try(leg, without):
                steps.append(leg.deployment if not without else (leg.deployment, *sorted(without)))
                if not left:
                    return steps
                plan.failed(left.pop(0), now, draw)
            case GiveUp(error):
                assert [] == left
                return [*steps, f"give up: {error}"]


@pytest.mark.parametrize(
    ("outcomes", "steps"),
    [
        pytest.param([], ["a"], id="first-answers"),
        pytest.param([BUSY], ["a", "b"], id="elsewhere-before-again"),
        pytest.param([BUSY] * 2, ["a", "b", 0.5, "a"], id="again-when-all-were-asked"),
        pytest.param([BUSY] * 3, ["a", "b", 0.5, "a", "b"], id="whose-turn-comes-first"),
        pytest.param(
            [BUSY] * 4, ["a", "b", 0.5, "a", "b", 1.0, "a"], id="the-next-wait-is-twice-as-long"
        ),
        pytest.param(
            [BUSY] * 6,
            ["a", "b", 0.5, "a", "b", 1.0, "a", "b", "give up: busy"],
            id="nobody-answers",
        ),
        pytest.param([SOON, BUSY, BUSY], ["a", "b", 0.5, "b", 1.0, "b"], id="who-is-back-sooner"),
        pytest.param([SOON, SOON], ["a", "b", 3.0, "a"], id="wait-as-told"),
        pytest.param([SOON, NOW], ["a", "b", "b"], id="told-not-to-wait"),
        pytest.param([LATER], ["a", "b"], id="too-long-to-wait"),
        pytest.param([LATER, BUSY], ["a", "b", 0.5, "b"], id="and-never-asked-again"),
        pytest.param([LATER, LATER], ["a", "b", "give up: later"], id="all-too-long"),
        pytest.param([WRONG_KEY], ["a", "b"], id="wrong-key"),
        pytest.param([WRONG_KEY, BUSY], ["a", "b", 0.5, "b"], id="wrong-key-is-not-asked-again"),
        pytest.param([WRONG_KEY] * 2, ["a", "b", "give up: wrong key"], id="all-keys-wrong"),
        pytest.param([NO_ANSWER, BROKEN], ["a", "b", 0.5, "a"], id="no-answer-passes-with-time"),
        pytest.param([WRONG], ["a", "give up: messages: field required"], id="rejected-is-final"),
        pytest.param(
            [WRONG_KEY, WRONG], ["a", "b", "give up: messages: field required"], id="final-anywhere"
        ),
        pytest.param(
            [BUSY, BUSY, WRONG],
            ["a", "b", 0.5, "a", "give up: messages: field required"],
            id="final-any-time",
        ),
        pytest.param([LATER, WRONG_KEY], ["a", "b", "give up: later"], id="time-helps-most"),
        pytest.param([WRONG_KEY, LATER], ["a", "b", "give up: later"], id="in-either-order"),
        pytest.param(
            [refusing("x")], ["a", ("a", "x")], id="without-what-was-refused-and-there-first"
        ),
        pytest.param(
            [refusing("x"), refusing("y")], ["a", ("a", "x"), ("a", "x", "y")], id="one-at-a-time"
        ),
        pytest.param(
            [refusing("x"), refusing("x")],
            ["a", ("a", "x"), "give up: no ('x',)"],
            id="refused-again-though-left-out",
        ),
        pytest.param(
            [refusing("x"), BUSY, BUSY],
            ["a", ("a", "x"), "b", 0.5, "b"],
            id="it-is-an-attempt-like-any-other",
        ),
        pytest.param(
            [refusing(n) for n in "wxyz"],
            ["a", ("a", "w"), ("a", "w", "x"), ("a", "w", "x", "y"), "give up: no ('z',)"],
            id="three-times-at-most",
        ),
    ],
)
def test_steps(outcomes, steps):
    assert steps == walk(Plan(legs("ab"), Policy(), 2), *outcomes)


@pytest.mark.parametrize(
    ("policy", "retries", "outcomes", "steps"),
    [
        pytest.param(Policy(), 0, [BUSY] * 2, ["a", "b", "give up: busy"], id="no-retries"),
        pytest.param(Policy(backoff=0.0), 1, [BUSY] * 2, ["a", "b", "a"], id="no-wait"),
        pytest.param(
            Policy(patience=0.4), 2, [BUSY] * 2, ["a", "b", "give up: busy"], id="no-patience"
        ),
        pytest.param(
            Policy(patience=1.4),
            2,
            [BUSY] * 4,
            ["a", "b", 0.5, "a", "b", "give up: busy"],
            id="patience-for-the-first-wait-only",
        ),
        pytest.param(
            Policy(patience=60), 1, [LATER] * 2, ["a", "b", 60.0, "a"], id="all-the-patience"
        ),
        pytest.param(
            Policy(longest_backoff=0.7),
            3,
            [BUSY] * 6,
            ["a", "b", 0.5, "a", "b", 0.7, "a", "b", 0.7, "a"],
            id="the-doubling-ends",
        ),
        pytest.param(
            Policy(errors={"529": Rule(Remedy.NOTHING)}),
            2,
            [BUSY],
            ["a", "give up: busy"],
            id="a-row-of-the-configuration",
        ),
        pytest.param(
            Policy(errors={"400": Rule(Remedy.ELSEWHERE)}), 2, [WRONG], ["a", "b"], id="and-another"
        ),
    ],
)
def test_steps_by_policy(policy, retries, outcomes, steps):
    assert [pytest.approx(step) if isinstance(step, float) else step for step in steps] == walk(
        Plan(legs("ab"), policy, retries), *outcomes
    )


@pytest.mark.parametrize(
    ("draw", "error", "waited"),
    [
        pytest.param(0.0, BUSY, [], id="not-at-all"),
        pytest.param(0.5, BUSY, [0.25], id="half-of-it"),
        pytest.param(1.0, BUSY, [0.5], id="all-of-it"),
        pytest.param(0.5, SOON, [3.0], id="what-was-asked-for-is-not-drawn"),
    ],
)
def test_a_wait_that_nobody_prescribed_is_drawn(draw, error, waited):
    plan = Plan(legs("a"), Policy(), 1)

    assert ["a", *waited, "a"] == walk(plan, error, draw=draw)


def test_patience_is_counted_from_the_calls_arrival():
    plan = Plan(legs("a"), Policy(patience=10.0), 5, now=100.0)
    plan.next(100.0)
    plan.failed(SOON, 106.0)
    assert Wait(3.0) == plan.next(106.0)
    assert Try(Leg("a", "m")) == plan.next(109.0)
    plan.failed(SOON, 109.0)

    assert GiveUp(SOON) == plan.next(109.0)


@pytest.mark.parametrize(
    ("errors", "given_"),
    [
        pytest.param([BUSY, WRONG_KEY], BUSY, id="what-passes-before-what-an-operator-mends"),
        pytest.param([WRONG_KEY, NO_ANSWER], NO_ANSWER, id="in-either-order"),
        pytest.param([LATER, SOON], SOON, id="the-one-that-passes-soonest"),
        pytest.param([SOON, LATER], SOON, id="the-soonest-in-either-order"),
        pytest.param(
            [OverloadedError("worded", status=529, body=b"{}"), NO_ANSWER],
            OverloadedError("worded"),
            id="the-one-that-an-upstream-worded",
        ),
        pytest.param([FAULT, BUSY], BUSY, id="the-last-of-those-alike"),
        pytest.param([BUSY, WRONG], WRONG, id="what-the-client-can-mend"),
    ],
)
def test_the_most_useful_error_is_given(errors, given_):
    plan = Plan(legs("ab"), Policy(), 0)

    assert ["a", "b", f"give up: {given_}"] == walk(plan, *errors)


def test_asking_again_after_giving_up_gives_the_same():
    plan = Plan(legs("a"), Policy(), 0)
    plan.next()
    plan.failed(WRONG_KEY)

    assert GiveUp(WRONG_KEY) == plan.next() == plan.next()


def test_a_plan_whose_time_is_over_gives_the_most_useful_error_so_far():
    plan = Plan(legs("abc"), Policy(), 2)
    for error in (BUSY, WRONG_KEY):
        plan.next()
        plan.failed(error)

    assert GiveUp(BUSY) == plan.stop()


def test_nothing_fails_before_it_was_begun():
    with pytest.raises(AssertionError):
        Plan(legs("a"), Policy(), 0).failed(BUSY)


RESERVES = {"too_long": [Leg("long", "l", "bigger")], "refused": legs(["bold"])}


@pytest.mark.parametrize(
    ("outcomes", "steps"),
    [
        pytest.param([TOO_LONG], ["a", "long"], id="too-long"),
        pytest.param([FILTERED], ["a", "bold"], id="refused"),
        pytest.param([BUSY, TOO_LONG], ["a", "b", "long"], id="after-another-failure"),
        pytest.param([TOO_LONG, FILTERED], ["a", "long", "bold"], id="one-and-then-the-other"),
        pytest.param(
            [TOO_LONG, TOO_LONG], ["a", "long", f"give up: {TOO_LONG}"], id="too-long-there-too"
        ),
        pytest.param(
            [TOO_LONG, LATER], ["a", "long", f"give up: {TOO_LONG}"], id="the-refusal-is-more-use"
        ),
        pytest.param([TOO_LONG, BUSY], ["a", "long", 0.5, "long"], id="retried-there-as-anywhere"),
        pytest.param([WRONG], ["a", f"give up: {WRONG}"], id="wrong-anywhere"),
    ],
)
def test_a_reserve_takes_what_the_model_cannot_or_will_not_answer(outcomes, steps):
    assert steps == walk(Plan(legs("ab"), Policy(), 1, reserves=RESERVES), *outcomes)


def test_the_reserve_is_named_in_the_notes():
    plan = Plan(legs("a"), Policy(), 0, reserves=RESERVES)
    walk(plan, TOO_LONG)

    assert ["too long"] == plan.notes


def test_a_reserve_that_was_asked_already_is_not_asked_again():
    reserves = {"too_long": [Leg("a", "m", "bigger"), Leg("a", "larger", "bigger")]}
    plan = Plan(legs("a"), Policy(), 0, reserves=reserves)
    plan.next()
    plan.failed(TOO_LONG)

    assert Try(Leg("a", "larger", "bigger")) == plan.next()


def test_an_answer_that_is_a_refusal_opens_the_reserve_once():
    plan = Plan(legs("ab"), Policy(), 0, reserves=RESERVES)
    plan.next()

    assert True is plan.refused()
    assert Try(Leg("bold", "m")) == plan.next()
    assert False is plan.refused()


def test_there_is_another_while_one_is_left_or_waited_for_or_in_reserve():
    plan = Plan(legs("ab"), Policy(), 1)
    plan.next()
    assert plan.elsewhere
    plan.failed(BUSY)
    plan.next()
    assert plan.elsewhere
    plan.failed(BUSY)
    plan.next(9.0)
    assert plan.elsewhere
    plan.failed(BUSY, 9.0)
    plan.next(9.0)
    assert not plan.elsewhere


@pytest.mark.parametrize(
    ("reserves", "expected"),
    [
        pytest.param({"refused": legs("b")}, True, id="who-answers-what-is-refused"),
        pytest.param({"too_long": legs("b")}, False, id="a-stream-never-begins-too-long"),
    ],
)
def test_a_lone_deployments_reserve_counts_as_another(reserves, expected):
    plan = Plan(legs("a"), Policy(), 0, reserves=reserves)
    plan.next()

    assert expected == plan.elsewhere


@pytest.mark.parametrize(
    ("moving", "error", "steps", "note"),
    [
        pytest.param(
            70_000,
            SOON,
            ["a", 3.0, "a"],
            "waits: 3.0 s are worth 0.0600 $, moving costs 0.0700 $",
            id="waits-while-moving-is-dearer",
        ),
        pytest.param(
            50_000,
            SOON,
            ["a", "b"],
            "moves: 3.0 s are worth 0.0600 $, moving costs 0.0500 $",
            id="moves-when-waiting-is-dearer",
        ),
        pytest.param(60_000, SOON, ["a", "b"], "moves:", id="moves-when-equal"),
        pytest.param(
            70_000, BUSY, ["a", 0.5, "a"], "waits: 0.5 s are worth 0.0100 $", id="or-backs-off"
        ),
        pytest.param(9_000_000, LATER, ["a", "b"], None, id="not-beyond-patience"),
        pytest.param(9_000_000, WRONG_KEY, ["a", "b"], None, id="nor-where-time-is-no-help"),
        pytest.param(9_000_000, NO_ANSWER, ["a", "b"], None, id="nor-for-one-that-is-not-there"),
        pytest.param(0, SOON, ["a", "b"], None, id="nothing-to-be-weighed"),
    ],
)
def test_the_holder_of_the_prompt_cache_is_waited_for_while_that_is_cheaper(
    moving, error, steps, note
):
    plan = Plan(legs("ab"), Policy(), 2, moving=moving)

    assert steps == walk(plan, error)
    assert ([note] if note else []) == [line[: len(note or "")] for line in plan.notes]


def test_the_holder_is_waited_for_twice_at_most():
    plan = Plan(legs("ab"), Policy(), 0, moving=9_000_000)

    assert ["a", 3.0, "a", 3.0, "a", "b"] == walk(plan, SOON, SOON, SOON)


def test_a_holder_that_is_the_only_one_has_its_retries_and_no_more():
    plan = Plan(legs("a"), Policy(), 1, moving=9_000_000)

    assert ["a", 3.0, "a", f"give up: {SOON}"] == walk(plan, SOON, SOON)
    assert [] == plan.notes


def test_another_than_the_holder_is_not_waited_for():
    plan = Plan(legs("abc"), Policy(), 0, moving=9_000_000)

    assert ["a", "b", "c"] == walk(plan, LATER, SOON)


def test_a_spare_is_taken_out_and_fails_by_its_name():
    plan = Plan(legs("abc"), Policy(), 1)
    first, spare = plan.next(), plan.spare()
    plan.failed(BUSY, leg=spare)
    plan.failed(WRONG_KEY, leg=first.leg)

    assert (Leg("a", "m"), Leg("b", "m")) == (first.leg, spare)
    assert Try(Leg("c", "m")) == plan.next()
    plan.failed(WRONG_KEY)
    assert [0.5, "b"] == walk(plan)


def test_there_is_no_spare_behind_the_last():
    plan = Plan(legs("a"), Policy(), 0)
    plan.next()

    assert plan.spare() is None
    assert plan.ahead is None


def test_what_would_be_the_spare_can_be_looked_at():
    plan = Plan(legs("ab"), Policy(), 0)
    plan.next()

    assert Leg("b", "m") == plan.ahead == plan.ahead == plan.spare()


def test_one_that_is_put_off_comes_last_and_is_not_put_off_again():
    plan = Plan(legs("ab"), Policy(), 0)
    plan.next()

    assert True is plan.put_off()
    assert "b" == plan.next().leg.deployment
    plan.failed(BUSY)
    assert "a" == plan.next().leg.deployment
    assert False is plan.put_off()


def test_the_only_one_is_not_put_off():
    plan = Plan(legs("a"), Policy(), 0)
    plan.next()

    assert False is plan.put_off()


@given(
    st.integers(1, 4),
    st.integers(0, 3),
    st.lists(st.sampled_from([BUSY, SOON, LATER, WRONG_KEY, NO_ANSWER, WRONG]), max_size=40),
    st.floats(0.0, 1.0),
    st.integers(0, 100_000),
)
def test_no_plan_goes_on_for_ever_or_asks_more_often_than_told(
    count, retries, outcomes, draw, moving
):
    names = [f"d{n}" for n in range(count)]
    plan = Plan(legs(names), Policy(), retries, moving=moving)
    tried, now, left = [], 0.0, list(outcomes)
    while True:
        step = plan.next(now)
        if isinstance(step, Wait):
            assert 0 < step.seconds
            now += step.seconds
        elif isinstance(step, Try) and left:
            tried.append(step.leg.deployment)
            plan.failed(left.pop(0), now, draw)
        else:
            break

    # The holder of the prompt cache may have been waited for twice besides.
    stays = 2 if moving else 0
    assert all(tried.count(name) <= max(retries + 1, stays + 1) for name in names)
    assert now <= Policy().patience
    firsts = [name for at, name in enumerate(tried) if name not in tried[:at]]
    assert names[: len(firsts)] == firsts
    if isinstance(step, GiveUp):
        assert step.error in outcomes
        rejected = [e for e in outcomes[: len(tried)] if e.remedy is Remedy.NOTHING]
        assert rejected[:1] in ([], [step.error])


@pytest.mark.parametrize("late", [BUSY, refusing("beta")], ids=["time", "without"])
def test_what_one_calls_wrong_is_not_asked_again_when_the_one_beside_it_fails(late):
    east, west = legs(["east", "west"])
    plan = Plan([east, west], Policy(), 2)
    assert Try(east) == plan.next()
    assert west == plan.spare()

    plan.failed(WRONG)
    plan.failed(late, leg=west)

    assert GiveUp(WRONG) == plan.next()


def test_what_is_refused_beside_a_wrong_request_is_not_asked_again():
    east, west = legs(["east", "west"])
    plan = Plan([east, west], Policy(), 2)
    plan.next()
    plan.spare()

    plan.failed(refusing("beta"))
    plan.failed(WRONG, leg=west)

    assert GiveUp(WRONG) == plan.next()


def test_a_call_whose_time_is_over_before_anything_is_final_has_had_no_answer():
    plan = Plan(legs(["east"]), Policy(), 2)
    plan.next()
    plan.failed(refusing("beta"))

    assert isinstance(plan.stop().error, UnreachableError)
