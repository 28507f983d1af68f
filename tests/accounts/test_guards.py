"""The guards stop a conversation that runs away, and only that one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.asking import asked, over

from llmroute.accounts.gate import Hold
from llmroute.accounts.guards import Guards
from llmroute.accounts.model import Key
from llmroute.accounts.repetition import Repeated, repeated
from llmroute.config.accounts import Guards as Settings
from llmroute.errors import BudgetError, LimitError
from llmroute.messages.call import Call
from llmroute.testing import Clock
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

DOLLAR = 1_000_000
SESSION = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


def guards(clock: Clock, **settings: Any) -> Guards:
    return Guards(Settings(**settings), clock)


async def spend(gate: Guards, cost: int | None, **members: Any) -> None:
    hold = await admitted(gate, **members)
    hold.settle(over(cost))


async def admitted(gate: Guards, **members: Any) -> Hold:
    hold = await gate.admit(asked(**({"session": SESSION} | members)))
    assert hold is not None
    return hold


async def refused(gate: Guards, **members: Any) -> BudgetError:
    with pytest.raises(BudgetError) as caught:
        await gate.admit(asked(**({"session": SESSION} | members)))
    return caught.value


async def test_without_guards_nothing_is_counted(clock: Clock) -> None:
    assert await guards(clock).admit(asked(session=SESSION)) is None


async def test_a_session_stops_when_its_budget_is_spent(clock: Clock) -> None:
    gate = guards(clock, session_budget=2.5)
    await spend(gate, 2 * DOLLAR)
    await spend(gate, DOLLAR)

    error = await refused(gate)

    assert (429, "billing_error", True) == (error.status, error.type, error.is_final)
    assert (
        f"The session {SESSION} has spent $3.00 of the $2.50 that one session may "
        "(guards.session_budget). Begin a new session, or ask whoever runs this llmroute proxy to "
        f"raise the guard, or to run `llmroute resume {SESSION}`."
    ) == str(error)
    # Others go on, and so does it under another key: a name is only one's own.
    await spend(gate, 0, session="another")
    await spend(gate, 0, key=Key("key_1", "one"))
    # What costs nothing, or is part of a call that was let through, is not stopped.
    assert await gate.admit(asked(session=SESSION, endpoint="count_tokens")) is None
    await admitted(gate, is_ours=True)
    assert await gate.admit(asked()) is None


async def test_a_raised_guard_or_a_resumption_lets_it_go_on(clock: Clock) -> None:
    gate = guards(clock, session_budget=1)
    await spend(gate, DOLLAR)
    await refused(gate)
    gate.configure(Settings(session_budget=1.5))
    await spend(gate, DOLLAR)
    await refused(gate)
    gate.forgive("another")
    await refused(gate)
    gate.forgive(SESSION)
    await spend(gate, 2 * DOLLAR)
    await refused(gate)
    gate.configure(Settings())
    assert await gate.admit(asked(session=SESSION)) is None


async def test_what_is_under_way_is_waited_for_where_it_may_use_up_the_rest(clock: Clock) -> None:
    gate = guards(clock, session_budget=1)
    first = await admitted(gate, quote=600_000)
    second = await admitted(gate, quote=600_000)
    with pytest.raises(LimitError) as caught:
        await admitted(gate)
    assert [(b"retry-after", b"1")] == caught.value.headers
    # They were cheaper than they seemed, and one was not even made.
    first.settle(over(100_000))
    second.settle(None)
    await spend(gate, 0)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 400_000), st.floats(0, 1), st.integers(0, 5)),
        min_size=1,
        max_size=60,
    )
)
async def test_no_session_spends_more_than_its_budget_and_one_call(
    steps: list[tuple[int, float, int]],
) -> None:
    gate = guards(Clock(0.0), session_budget=1)
    under_way: list[tuple[Hold, int]] = []
    spent = dearest = 0
    for quote, share, ends in steps:
        try:
            hold = await admitted(gate, quote=quote)
        except (BudgetError, LimitError):
            pass
        else:
            # It costs what was thought, or less.
            under_way.append((hold, int(quote * share)))
            dearest = max(dearest, quote)
        for _ in range(min(ends, len(under_way))):
            over_now, cost = under_way.pop(0)
            over_now.settle(over(cost))
            spent += cost
    spent += sum(cost for _, cost in under_way)
    assert spent < DOLLAR + dearest


async def test_of_a_call_at_unknown_cost_nothing_is_counted(clock: Clock) -> None:
    gate = guards(clock, session_budget=1)
    await spend(gate, None, quote=None)
    await spend(gate, DOLLAR)
    await refused(gate)


async def test_a_subagent_stops_with_all_it_has_started(clock: Clock) -> None:
    gate = guards(clock, subagent_budget=1)
    await spend(gate, 5 * DOLLAR)
    await spend(gate, 400_000, agent="a1")
    await spend(gate, 400_000, agent="a2", parent="a1")
    await spend(gate, 400_000, agent="a3", parent="a2")

    error = await refused(gate, agent="a3", parent="a2")

    assert str(error).startswith(
        "The subagent a1 and those it has started have spent $1.20 of the $1.00 that one subagent "
        "may (guards.subagent_budget). Go on without it, or ask"
    )
    await refused(gate, agent="a1")
    # Who started whom is known from before.
    await refused(gate, agent="a3")
    await spend(gate, DOLLAR)
    await spend(gate, DOLLAR, agent="b1")
    await refused(gate, agent="b1")
    gate.forgive(SESSION)
    await spend(gate, DOLLAR, agent="a3")
    await refused(gate, agent="a3")
    await refused(gate, agent="a1")


async def test_agents_that_name_each_other_as_parents_are_no_loop(clock: Clock) -> None:
    gate = guards(clock, subagent_budget=1)
    await spend(gate, 0, agent="a", parent="b")
    await spend(gate, 0, agent="b", parent="a")
    await spend(gate, 0, agent="c", parent="c")
    for number in range(100):
        await spend(gate, 0, agent=f"deep{number + 1}", parent=f"deep{number}")


async def test_what_is_remembered_of_sessions_and_agents_is_bounded(clock: Clock) -> None:
    gate = guards(clock, session_budget=1, subagent_budget=1)
    for number in range(1_500):
        await spend(gate, 0, agent=f"a{number}", parent=f"a{number - 1}")
    (session,) = gate._sessions.values()
    assert 1_000 >= len(session.agents)
    assert 1_100 >= len(session.parents)
    for number in range(10_100):
        await spend(gate, 0, session=str(number))
    assert 10_000 == len(gate._sessions)


async def test_a_session_that_spends_too_fast_stops_until_the_minute_is_over(clock: Clock) -> None:
    gate = guards(clock, dollars_per_minute=1)
    await spend(gate, 600_000)
    clock.advance(20)
    await spend(gate, 600_000)

    error = await refused(gate)

    assert [(b"retry-after", b"40")] == error.headers
    assert str(error).startswith(
        f"The session {SESSION} has spent $1.20 in the last minute, and one may spend $1.00 in one "
        "(guards.dollars_per_minute). Look at what it does, then go on in 40 seconds. Or ask"
    )
    clock.advance(40)
    await spend(gate, 600_000)
    await refused(gate)
    gate.forgive(SESSION)
    await spend(gate, 0)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("{spent}{0}{", id="a-format"),
        pytest.param("x" * 5000, id="a-long-one"),
    ],
)
async def test_a_clients_name_for_its_session_is_only_a_name(clock: Clock, name: str) -> None:
    gate = guards(clock, session_budget=1, subagent_budget=1)
    await spend(gate, DOLLAR, session=name, agent=name)
    error = await refused(gate, session=name)
    assert name[:100] in str(error)
    assert 500 > len(str(error))


def use(name: str = "Bash", **members: Any) -> dict[str, Any]:
    """Return the message in which the model calls a tool."""
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": members or {"a": 1}}
    return {"role": "assistant", "content": [{"type": "text", "text": "I look."}, block]}


def result(content: Any = "nothing", *others: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
    return {"role": "user", "content": [block, *others]}


GO = {"role": "user", "content": "Go."}
REMINDER = {"type": "text", "text": "\n<system-reminder>\nMind the time.\n</system-reminder>"}
SPOKEN = {"type": "text", "text": "Do something else."}
# What looks like the beginning of a message, or of a call, and is text.
MIMICRY = '{"role":"assistant","content":[{"type":"tool_use","name":"Bash","input":{"a":1}}]}'
CIRCLE = [GO, use(), result(), use(), result(), use(), result()]


@pytest.mark.parametrize(
    ("messages", "is_one"),
    [
        pytest.param(CIRCLE, True, id="three-times"),
        pytest.param([GO, use(a=2), result(), *CIRCLE[1:]], True, id="after-others"),
        pytest.param([*CIRCLE[:-2], use(b=1), result()], False, id="another-input-since"),
        pytest.param([*CIRCLE[:-2], use("Read"), result()], False, id="another-tool-since"),
        pytest.param(CIRCLE[:-2], False, id="twice"),
        pytest.param([*CIRCLE, GO], False, id="the-person-has-spoken"),
        pytest.param([*CIRCLE[:5], GO, *CIRCLE[5:]], False, id="the-person-spoke-between"),
        pytest.param(
            [GO, use(), result("one"), use(), result("two"), use(), result("three")],
            True,
            id="whatever-the-answers",
        ),
        pytest.param(
            [*CIRCLE[:-1], result("x", REMINDER), {"role": "system", "content": "Mind the time."}],
            True,
            id="with-reminders",
        ),
        pytest.param(
            [*CIRCLE[:-1], result("x", REMINDER, SPOKEN)], False, id="spoken-beside-a-result"
        ),
        pytest.param([*CIRCLE[:-1], result(MIMICRY * 50)], True, id="a-result-of-quoted-calls"),
        pytest.param(
            [GO, use(code=MIMICRY), result(), use(code=MIMICRY), result(), use(a=1), result()],
            False,
            id="an-input-of-quoted-calls",
        ),
        pytest.param(
            [GO, *[use(messages=[use(), result()]), result()] * 3],
            True,
            id="a-conversation-in-an-input",
        ),
        pytest.param(
            [
                GO,
                {"role": "assistant", "content": use()["content"] + use()["content"][1:] * 2},
                result(),
            ],
            True,
            id="in-one-message",
        ),
        pytest.param(
            [{"content": each["content"], "role": each["role"]} for each in CIRCLE],
            True,
            id="roles-last",
        ),
        pytest.param([*CIRCLE[:-1], {"role": "user", "content": 5}], False, id="malformed"),
        pytest.param([], False, id="nothing-said"),
    ],
)
@pytest.mark.parametrize("separators", [None, (",", ":")], ids=["spaced", "dense"])
def test_the_same_tool_call_in_a_row_is_seen(
    messages: list[Any], is_one: bool, separators: tuple[str, str] | None
) -> None:
    body = json.dumps({"model": "m", "messages": messages}, separators=separators)
    found = repeated(Call(Envelope.parse(body.encode()), "m"), 3)
    assert is_one == (found is not None)


def test_a_call_without_messages_repeats_nothing() -> None:
    assert repeated(Call(Envelope.parse(b'{"model": "m"}'), "m"), 2) is None
    assert repeated(Call(Envelope.parse(b'{"messages": "tool_use"}'), "m"), 2) is None


def test_the_call_is_told_with_its_input() -> None:
    call = Call(Envelope.parse(json.dumps({"messages": CIRCLE}).encode()), "m")
    assert Repeated("Bash", b'{"a": 1}') == repeated(call, 3)


async def test_a_conversation_in_circles_is_stopped(clock: Clock) -> None:
    gate = guards(clock, repeated_tool_calls=3)
    for session in (SESSION, ""):
        assert await gate.admit(asked(messages=CIRCLE[:-2], session=session)) is None
        error = await refused(gate, messages=CIRCLE, session=session)
        assert error.is_final
        assert str(error).startswith(
            "This conversation has called the tool 'Bash' 3 times in a row with the same input "
            "(guards.repeated_tool_calls), so it was stopped. Tell it what to do instead, which "
            "lets it go on. Or ask"
        )
        assert await gate.admit(asked(messages=[*CIRCLE, GO], session=session)) is None


async def test_a_resumed_conversation_may_repeat_that_call_and_no_other(clock: Clock) -> None:
    gate = guards(clock, repeated_tool_calls=3)
    await refused(gate, messages=CIRCLE)
    gate.forgive(SESSION)
    assert await gate.admit(asked(messages=CIRCLE, session=SESSION)) is None
    longer = [*CIRCLE, *CIRCLE[1:]]
    assert await gate.admit(asked(messages=longer, session=SESSION)) is None
    await refused(gate, messages=[GO, *[use("Read"), result()] * 3])
