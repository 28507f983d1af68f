"""A conversation stays where its prompt is cached, unless moving it is cheaper."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.messages.call import Call
from llmroute.messages.usage import Usage
from llmroute.pricing import Rates
from llmroute.routing.affinity import (
    NOBODY,
    Cache,
    Choice,
    Pin,
    choose,
    prompt_costs,
    session_key,
)
from llmroute.wire.envelope import Envelope

SESSION = "5b1f0c0e-6c8e-4a6e-9a53-0d9d1c0f3f11"
MARK = {"type": "ephemeral"}
HELLO = {"role": "user", "content": "hello"}


def call(body, **known):
    source = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(Envelope.parse(source), "fast", **known)


def text(words, **members):
    return {"type": "text", "text": words, **members}


def attribution(build):
    return text(f"x-anthropic-billing-header: cc_version=2.1.330.{build}; cc_entrypoint=cli;")


@pytest.mark.parametrize(
    ("body", "known", "kind"),
    [
        pytest.param({"messages": [HELLO]}, {"session": SESSION}, "s", id="session"),
        pytest.param(
            {"metadata": {"user_id": "me"}, "messages": [HELLO]},
            {"session": SESSION},
            "s",
            id="session-before-user",
        ),
        pytest.param(
            {"metadata": {"user_id": "user_1_session_2"}, "messages": [HELLO]}, {}, "u", id="user"
        ),
        pytest.param({"metadata": {"user_id": "me"}}, {}, "u", id="user-without-messages"),
        pytest.param({"metadata": {"user_id": "\N{SNOWMAN}"}}, {}, "u", id="user-of-odd-letters"),
        pytest.param({"metadata": {"user_id": ""}, "messages": [HELLO]}, {}, "c", id="no-user"),
        pytest.param({"metadata": {"user_id": 7}, "messages": [HELLO]}, {}, "c", id="no-text"),
        pytest.param({"metadata": None, "messages": [HELLO]}, {}, "c", id="no-metadata"),
        pytest.param({"messages": [HELLO]}, {}, "c", id="opening"),
        pytest.param({"system": 7, "messages": [HELLO]}, {}, "c", id="an-odd-system"),
        pytest.param({"messages": [{"role": "user"}]}, {}, "c", id="an-empty-message"),
    ],
)
def test_a_session_is_known_by_the_best_there_is(body, known, kind):
    key = session_key(call(body, **known))

    assert kind == key[0]
    assert 17 == len(key)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="nothing"),
        pytest.param(b'{"messages": []}', id="no-message"),
        pytest.param(b'{"messages": 7}', id="no-list"),
        pytest.param(b'{"messages": ["hello"]}', id="no-object"),
        pytest.param(b'{"messages": [{"content": [7]}]}', id="no-block"),
        pytest.param(b'{"metadata": {"user_id": "\xff"}, "messages": []}', id="no-utf-8"),
    ],
)
def test_an_unreadable_body_has_no_session(body):
    assert "" == session_key(call(body))


def test_agents_of_one_session_are_conversations_of_their_own():
    bodies = {"messages": [HELLO]}
    keys = {
        session_key(call(bodies, session=session, agent=agent))
        for session, agent in [("s", ""), ("s", "a1"), ("s", "a2"), ("sa", "1"), ("t", "a1")]
    }

    assert 5 == len(keys)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        pytest.param(
            {"system": "Be brief.", "messages": [HELLO]},
            {"messages": [HELLO, {"role": "assistant", "content": "hi"}], "system": "Be brief."},
            id="more-messages",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [text("hello", cache_control=MARK)]}]},
            {"messages": [{"role": "user", "content": [text("hello")]}]},
            id="the-mark-moved",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [text("hello", cache_control=MARK)]}]},
            {"messages": [HELLO]},
            id="text-alone-or-a-block",
        ),
        pytest.param(
            {"system": [attribution("abc"), text("You are Claude Code.")], "messages": [HELLO]},
            {"system": [attribution("def"), text("You are Claude Code.")], "messages": [HELLO]},
            id="another-attribution",
        ),
        pytest.param(
            {"system": [attribution("abc"), text("You are.")], "messages": [HELLO]},
            {"system": [text("You are.", cache_control=MARK)], "messages": [HELLO]},
            id="no-attribution",
        ),
        pytest.param(
            {"model": "fast", "max_tokens": 9, "messages": [HELLO]},
            {"model": "slow", "stream": True, "messages": [HELLO]},
            id="other-members",
        ),
        pytest.param(
            b'{"messages":[{"role":"user","content":"hello"}]}',
            b'{ "messages" : [ { "content" : "hello" , "role" : "user" } , 7 ] }',
            id="white-space",
        ),
    ],
)
def test_the_turns_of_a_conversation_have_one_key(first, later):
    assert session_key(call(first)) == session_key(call(later)) != ""


def test_conversations_that_begin_otherwise_have_other_keys():
    bodies = [
        {"messages": [HELLO]},
        {"messages": [{"role": "user", "content": "good morning"}]},
        {"messages": [{"role": "user", "content": [text("hello"), text("hello")]}]},
        {"system": "hello", "messages": [{"role": "user", "content": []}]},
        {"system": "Be brief.", "messages": [HELLO]},
        {"system": [text("Be brief."), text("Be kind.")], "messages": [HELLO]},
        # Only Claude Code's own block, the first, is no part of the prompt.
        {"system": [text("Be brief."), attribution("abc")], "messages": [HELLO]},
        {"system": [text("Be brief."), attribution("def")], "messages": [HELLO]},
    ]

    assert len(bodies) == len({session_key(call(body)) for body in bodies})


def test_a_key_tells_nobody_who_it_is():
    key = session_key(call({"metadata": {"user_id": "ann@example.org"}}))

    assert "ann" not in key


def used(read=0, written=0, hour=None):
    data = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    if hour is not None:
        data["cache_creation"] = {"ephemeral_1h_input_tokens": hour}
    return Usage.of(data)


NOW = 1_000_000.0
HOUR_LONG = Cache(80, NOW + 60, 3600.0)


@pytest.mark.parametrize(
    ("earlier", "usage", "expected"),
    [
        pytest.param(None, used(), None, id="nothing-cached"),
        pytest.param(None, used(0, 100), Cache(100, NOW + 300, 300.0), id="written"),
        pytest.param(None, used(90, 10), Cache(100, NOW + 300, 300.0), id="read-and-written"),
        pytest.param(None, used(0, 100, 100), Cache(100, NOW + 3600, 3600.0), id="for-an-hour"),
        pytest.param(None, used(0, 100, 0), Cache(100, NOW + 300, 300.0), id="for-five-minutes"),
        pytest.param(HOUR_LONG, used(80), Cache(80, NOW + 3600, 3600.0), id="an-hour-from-now"),
        pytest.param(
            HOUR_LONG, used(80, 9, 0), Cache(89, NOW + 300, 300.0), id="no-longer-for-an-hour"
        ),
        pytest.param(
            HOUR_LONG._replace(until=NOW), used(80), Cache(80, NOW + 300, 300.0), id="too-late"
        ),
        pytest.param(HOUR_LONG, used(), HOUR_LONG, id="no-figures"),
        pytest.param(HOUR_LONG._replace(until=NOW), used(), None, id="no-figures-and-too-late"),
        pytest.param(None, used(5, 5, "7"), Cache(10, NOW + 300, 300.0), id="odd-figures"),
        pytest.param(
            None,
            Usage.of({"cache_read_input_tokens": 5, "cache_creation": 3}),
            Cache(5, NOW + 300, 300.0),
            id="odd-kinds",
        ),
    ],
)
def test_what_an_answer_leaves_in_the_cache(earlier, usage, expected):
    pin = Pin(caches={"east": earlier} if earlier else {})

    found = pin.answered("east", usage, realm="r", messages=1, now=NOW)

    assert ({"east": expected} if expected else {}) == found.caches
    assert ("east", NOW) == (found.last, found.at)


def test_other_deployments_keep_their_caches_until_these_are_forgotten():
    west, north = Cache(50, NOW + 1, 300.0), Cache(50, NOW, 300.0)
    pin = Pin("west", NOW - 9, {"west": west, "north": north})

    found = pin.answered("east", used(0, 70), realm="r", messages=3, now=NOW)

    assert {"west": west, "east": Cache(70, NOW + 300, 300.0)} == found.caches


def test_the_caches_longest_unused_are_dropped():
    pin = Pin()
    for at, name in enumerate("abcdefghia"):
        pin = pin.answered(name, used(0, 10), realm="r", messages=1, now=NOW + at)

    assert list("cdefghia") == list(pin.caches)


def test_a_pin_does_not_change():
    pin = Pin("east", NOW, {"east": HOUR_LONG}, ((1, "r"),))
    before = pin.to_bytes()

    pin.answered("west", used(0, 10), realm="q", messages=3, now=NOW)

    assert before == pin.to_bytes()


def talked(*turns):
    """Return the pin after answers, each given as (messages of the request, realm)."""
    pin = Pin()
    for messages, realm in turns:
        pin = pin.answered("d", used(), realm=realm, messages=messages, now=NOW)
    return pin


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        pytest.param([(1, "a")], ((1, "a"),), id="first"),
        pytest.param([(1, "a"), (3, "a"), (5, "a")], ((1, "a"),), id="the-same"),
        pytest.param([(1, "a"), (3, "b"), (5, "b")], ((1, "a"), (3, "b")), id="moved"),
        pytest.param([(1, "a"), (3, "b"), (5, "a")], ((1, "a"), (3, "b"), (5, "a")), id="back"),
        pytest.param([(7, "a")], ((7, "a"),), id="not-from-the-start"),
        pytest.param([(1, "a"), (3, "b"), (3, "a")], ((1, "a"),), id="answered-again"),
        pytest.param([(1, "a"), (9, "b"), (1, "b")], ((1, "b"),), id="compacted"),
        pytest.param([(1, "a"), (9, "b"), (5, "b")], ((1, "a"), (5, "b")), id="wound-back"),
        pytest.param([(1, "a"), (9, "b"), (5, "a")], ((1, "a"),), id="wound-back-before-the-move"),
    ],
)
def test_a_pin_knows_who_made_which_messages(turns, expected):
    assert expected == talked(*turns).turns


@pytest.mark.parametrize(
    ("turns", "realm", "expected"),
    [
        pytest.param([], "a", (), id="nothing-known"),
        pytest.param([(1, "a")], "a", (), id="all-its-own"),
        pytest.param([(1, "a")], "b", ((0, None),), id="all-of-another"),
        pytest.param([(5, "a"), (7, "b")], "a", ((7, None),), id="the-later-ones"),
        pytest.param([(5, "a"), (7, "b")], "b", ((0, 7),), id="the-earlier-ones-and-before"),
        pytest.param([(1, "a"), (3, "b"), (5, "a")], "a", ((3, 5),), id="those-between"),
        pytest.param([(1, "a"), (3, "b"), (5, "a")], "b", ((0, 3), (5, None)), id="those-around"),
        pytest.param([(1, "a"), (3, "b"), (5, "a")], "c", ((0, None),), id="one-range"),
        pytest.param(
            [(1, "a"), (3, "b"), (5, "c"), (7, "a")], "a", ((3, 7),), id="neighbours-are-joined"
        ),
        pytest.param([(1, NOBODY)], NOBODY, ((0, None),), id="nobody-reads-it"),
    ],
)
def test_thinking_of_another_realm_is_foreign(turns, realm, expected):
    assert expected == talked(*turns).foreign(realm)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        pytest.param([], False, id="nothing-known"),
        pytest.param([(1, "a"), (3, "a")], False, id="all-its-own"),
        pytest.param([(1, "a"), (3, "b"), (5, "a")], True, id="another-in-between"),
        pytest.param([(1, "b")], True, id="another"),
    ],
)
def test_a_pin_tells_whether_anyone_else_has_answered(turns, expected):
    assert expected == talked(*turns).differs("a")


@pytest.mark.parametrize(
    ("turns", "before", "realm", "expected"),
    [
        pytest.param([], 5, "a", ((0, None),), id="nothing-known"),
        pytest.param([(1, "a")], 5, "a", ((0, 5),), id="its-own"),
        pytest.param([(1, "a")], 5, "b", ((0, None),), id="of-another"),
        pytest.param([(1, "a"), (3, "b"), (7, "a")], 5, "b", ((0, 5), (7, None)), id="between"),
        pytest.param([(1, "a"), (5, "b")], 5, "b", ((0, 5),), id="at-a-move"),
        pytest.param([(7, "a")], 5, "a", ((0, 7),), id="before-the-first-turn"),
    ],
)
def test_thinking_that_was_refused_is_given_to_nobody(turns, before, realm, expected):
    assert expected == talked(*turns).without_thinking_before(before).foreign(realm)


def test_after_a_refusal_the_same_blocks_are_left_out_on_every_turn():
    pin = talked((1, "a"), (3, "a")).without_thinking_before(5)
    for messages in (5, 7, 9):
        pin = pin.answered("d", used(), realm="b", messages=messages, now=NOW)

        assert ((0, 5),) == pin.foreign("b")


def test_of_many_moves_the_oldest_are_given_to_nobody():
    pin = talked(*((at, "ab"[at % 2]) for at in range(1, 101)))

    assert 32 == len(pin.turns)
    assert (0, NOBODY) == pin.turns[0]
    assert (100, "a") == pin.turns[-1]
    assert (0, 71) == pin.foreign("b")[0]
    assert (0, 70) == pin.foreign("a")[0]


CACHES = st.builds(
    Cache, st.integers(1, 10**6), st.floats(NOW - 500, NOW + 3600), st.sampled_from([300.0, 3600.0])
)
NAMES = ("east", "west", "north", "south")
PINS = st.builds(
    Pin,
    st.sampled_from(["", "gone", *NAMES]),
    st.floats(NOW - 1000, NOW),
    st.dictionaries(st.sampled_from([*NAMES, "gone"]), CACHES, max_size=4),
    st.lists(st.tuples(st.integers(0, 99), st.sampled_from("ab?")), max_size=4)
    .map(sorted)
    .map(tuple),
)


@given(PINS)
def test_a_pin_survives_a_store(pin):
    assert pin == Pin.from_bytes(pin.to_bytes())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b'{"last":7}',
        b'{"caches":{"a":[1]}}',
        b'{"caches":{"a":7}}',
        b'{"turns":[[1,2]]}',
        b'{"last":"\xff"}',
    ],
    ids=repr,
)
def test_garbage_in_a_store_is_nothing(data):
    assert Pin.from_bytes(data) is None


SONNET = Rates(3.0, 15.0, 0.3, 3.75, 6.0)
CHEAP = Rates(0.2, 1.0, 0.02, 0.25, 0.4)
FREE_WRITES = Rates(3.0, 15.0, 0.3, 0.0, 0.0)
SAME = dict.fromkeys(NAMES, SONNET)
BOTH = ["west", "east"]


def cached(tokens, until=NOW + 100, lifetime=300.0):
    return Cache(tokens, until, lifetime)


def pinned(last="east", ago=60.0, **caches):
    return Pin(last, NOW - ago, caches)


@pytest.mark.parametrize(
    ("pin", "names", "ready", "rates", "expected"),
    [
        pytest.param(None, BOTH, BOTH, SAME, Choice(BOTH), id="no-pin"),
        pytest.param(Pin(), BOTH, BOTH, SAME, Choice(BOTH), id="an-empty-pin"),
        pytest.param(pinned(), [], [], SAME, Choice([]), id="nobody"),
        pytest.param(
            pinned(east=cached(84_000)), BOTH, [], SAME, Choice(BOTH), id="nobody-is-ready"
        ),
        pytest.param(
            pinned(east=cached(84_000)),
            BOTH,
            BOTH,
            SAME,
            # That is 84,000 tokens at 3.75 less 0.3
            Choice(
                ["east", "west"],
                "east",
                289_800,
                "stays with east: 84,000 tokens cached there, moving would cost 0.290 $ more",
            ),
            id="stays",
        ),
        pytest.param(
            pinned(east=cached(84_000, lifetime=3600.0)),
            BOTH,
            BOTH,
            SAME,
            # That is 84,000 tokens at 6 less 0.3
            Choice(
                ["east", "west"],
                "east",
                478_800,
                "stays with east: 84,000 tokens cached there, moving would cost 0.479 $ more",
            ),
            id="an-hour-is-dearer-to-write",
        ),
        pytest.param(
            pinned(east=cached(84_000)),
            BOTH,
            BOTH,
            {"east": SONNET},
            Choice(
                ["east", "west"],
                "east",
                289_800,
                "stays with east: 84,000 tokens cached there, moving would cost 0.290 $ more"
                " (rates assumed)",
            ),
            id="unknown-rates",
        ),
        pytest.param(
            pinned(east=cached(84_000)),
            ["west", "east", "north"],
            ["east"],
            SAME,
            Choice(
                ["east", "west", "north"],
                "east",
                0,
                "stays with east: 84,000 tokens cached there, no other is ready",
            ),
            id="nobody-else-is-ready",
        ),
        pytest.param(
            pinned("west", east=cached(84_000), west=cached(20_000)),
            BOTH,
            BOTH,
            SAME,
            # That is 64,000 tokens at 3.75 less 0.3
            Choice(
                ["east", "west"],
                "east",
                220_800,
                "returns to east: 84,000 tokens cached there, moving would cost 0.221 $ more",
            ),
            id="returns-to-the-greater-cache",
        ),
        pytest.param(
            pinned("west", east=cached(80_000), west=cached(84_000)),
            ["east", "west"],
            BOTH,
            SAME,
            Choice(
                ["west", "east"],
                "west",
                13_800,
                "stays with west: 84,000 tokens cached there, moving would cost 0.0138 $ more",
            ),
            id="does-not-return-to-the-smaller-one",
        ),
        pytest.param(
            pinned("west", east=cached(9_000), west=cached(9_000)),
            ["north", "east", "west"],
            NAMES,
            SAME,
            Choice(
                ["west", "north", "east"],
                "west",
                0,
                "stays with west: 9,000 tokens cached there, moving would cost no more",
            ),
            id="equal-ones-the-last",
        ),
        pytest.param(
            pinned("gone", east=cached(9_000), west=cached(9_000)),
            ["north", "east", "west"],
            NAMES,
            SAME,
            Choice(
                ["east", "north", "west"],
                "east",
                0,
                "returns to east: 9,000 tokens cached there, moving would cost no more",
            ),
            id="else-the-first",
        ),
        pytest.param(
            pinned(east=cached(84_000)),
            ["west", "north", "east"],
            NAMES,
            SAME | {"north": CHEAP},
            # 84,000 * 0.3 there, 84,000 * 0.25 at north, 84,000 * 3.75 at west
            Choice(
                ["north", "west", "east"],
                "",
                4_200,
                "moves to north: staying with east and its 84,000 tokens would cost 0.00420 $ more",
            ),
            id="moves-if-that-is-cheaper",
        ),
        pytest.param(
            pinned(east=cached(1_000)),
            BOTH,
            BOTH,
            SAME | {"west": FREE_WRITES},
            Choice(
                ["east", "west"],
                "east",
                2_700,
                "stays with east: 1,000 tokens cached there, moving would cost 0.00270 $ more",
            ),
            id="what-is-not-cached-is-plain-input",
        ),
        pytest.param(
            pinned("west", ago=900.0, east=cached(84_000)),
            ["west", "north", "east"],
            ["west", "north"],
            SAME,
            Choice(
                ["west", "north", "east"], "", 0, "not ready, though cached: 84,000 tokens at east"
            ),
            id="yields-to-a-cooldown",
        ),
        pytest.param(
            pinned("north", ago=9.0, east=cached(84_000)),
            ["west", "north", "east"],
            ["west", "north"],
            SAME,
            Choice(["north", "west", "east"], "north", 0, "stays with north: it answered 9 s ago"),
            id="and-then-stays-where-it-went",
        ),
        pytest.param(
            pinned(ago=299.0, east=cached(84_000, until=NOW)),
            BOTH,
            BOTH,
            SAME,
            Choice(["east", "west"], "east", 0, "stays with east: it answered 299 s ago"),
            id="stays-without-a-cache",
        ),
        pytest.param(pinned(ago=300.0), BOTH, BOTH, SAME, Choice(BOTH), id="but-not-for-ever"),
        pytest.param(pinned(), BOTH, ["west"], SAME, Choice(BOTH), id="the-last-is-not-ready"),
        pytest.param(pinned("gone"), BOTH, BOTH, SAME, Choice(BOTH), id="the-last-is-gone"),
        pytest.param(
            pinned(ago=-5.0),
            BOTH,
            BOTH,
            SAME,
            Choice(["east", "west"], "east", 0, "stays with east: it answered 0 s ago"),
            id="a-clock-set-back",
        ),
    ],
)
def test_where_the_next_turn_goes(pin, names, ready, rates, expected):
    assert expected == choose(names, ready, pin, rates, NOW)


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        pytest.param(1, "0.000004 $", id="a-token"),
        pytest.param(100, "0.000345 $", id="a-hundred"),
        pytest.param(10_000, "0.0345 $", id="ten-thousand"),
        pytest.param(1_000_000, "3.45 $", id="a-million"),
        pytest.param(10_000_000, "34.50 $", id="ten-millions"),
    ],
)
def test_dollars_have_digits_enough(tokens, shown):
    why = choose(BOTH, BOTH, pinned(east=cached(tokens)), SAME, NOW).why

    assert f"moving would cost {shown} more" in why


def test_a_prompt_costs_what_is_read_and_what_is_written():
    pin = pinned(east=cached(1_000), west=cached(400), north=cached(5_000, until=NOW))

    # 1,000 * 0.3; 400 * 0.3 + 600 * 3.75; 1,000 * 3.75
    expected = {"east": 300, "west": 2_370, "north": 3_750}
    assert expected == prompt_costs(["east", "west", "north"], pin, SAME, NOW)


RATES = st.builds(Rates, *[st.floats(0, 100)] * 5)


@given(
    st.permutations(NAMES).flatmap(lambda names: st.integers(0, 4).map(lambda n: names[:n])),
    st.sets(st.sampled_from([*NAMES, "gone"])),
    st.none() | PINS,
    st.dictionaries(st.sampled_from(NAMES), RATES),
)
def test_a_choice_is_of_everyone_and_nobody_ready_is_cheaper(names, ready, pin, rates):
    choice = choose(names, ready, pin, rates, NOW)

    assert sorted(names) == sorted(choice.names)
    # The others keep their order.
    led = choice.names[:1]
    assert [name for name in names if name not in led] == choice.names[1:]
    assert choice.held in {"", *led}
    if choice.why and "not ready" not in choice.why:
        assert led[0] in ready
    willing = [name for name in names if name in ready]
    if pin and any(NOW < pin.caches[name].until for name in willing if name in pin.caches):
        costs = prompt_costs(willing, pin, rates, NOW)
        assert min(costs.values()) == costs[led[0]]
        others = [costs[name] - costs[led[0]] for name in willing if name != led[0]]
        assert min(others, default=0) == choice.moving
    else:
        assert 0 == choice.moving
