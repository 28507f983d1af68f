"""Thinking is left out where it is told to be, and nowhere else is a byte changed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.messages.thinking import messages_of, refuses_thinking, without_thinking
from llmroute.wire.envelope import Envelope

ASK = b'{"role" : "user", "content": "Which \\u0072ivers?"}'
THINK = b'{"signature":"Eq==","type":"thinking","thinking":""}'
REDACTED = b'{ "type" : "redacted_thinking", "data": "Em==" }'
TEXT = b'{"type":"text", "text":"The \\u0052hine; thinking done.", "temperature":1.0e0}'
TOOL = b'{"id":"t","type":"tool_use","name":"thinking","input":{"type":"thinking"}}'
RESULT = (
    b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":'
    b'[{"type":"thinking","thinking":"not the model\'s"}]}]}'
)
EVERYWHERE = [(0, None)]


def turn(*blocks, novelty=b""):
    return b'{"role":"assistant",%s"content":[%s]}' % (novelty, b",".join(blocks))


def body(*messages, around=b'{"model":"m",  "messages":[%s] ,"top_k":1.0e1}'):
    return Envelope.parse(around % b",".join(messages))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([ASK, turn(THINK, TEXT)], [ASK, turn(TEXT)], id="thinking"),
        pytest.param([ASK, turn(REDACTED, TEXT)], [ASK, turn(TEXT)], id="redacted"),
        pytest.param(
            [ASK, turn(THINK, TEXT, THINK, REDACTED, TOOL), RESULT],
            [ASK, turn(TEXT, TOOL), RESULT],
            id="between-others",
        ),
        pytest.param(
            [ASK, turn(THINK), ASK, turn(REDACTED, THINK), ASK],
            [ASK, ASK, ASK],
            id="nothing-else-in-the-message",
        ),
        pytest.param(
            [ASK, turn(THINK, TEXT, novelty=b'"novelty":{"n":1.50, "m" : []}, ')],
            [ASK, turn(TEXT, novelty=b'"novelty":{"n":1.50, "m" : []}, ')],
            id="other-members-of-the-message",
        ),
        pytest.param(
            [turn(THINK, b'7,"thinking",null,{"type":["thinking"]},[]', TEXT)],
            [turn(b'7,"thinking",null,{"type":["thinking"]},[]', TEXT)],
            id="blocks-that-are-none",
        ),
        pytest.param(
            [turn(THINK, b'{"type":"thinking_novelty"}')],
            [turn(b'{"type":"thinking_novelty"}')],
            id="another-kind-of-block",
        ),
        pytest.param(
            [b'{"content":[1],"role":"assistant","content":[%s,%s]}' % (THINK, TEXT)],
            [b'{"content":[%s],"role":"assistant"}' % TEXT],
            id="content-twice",
        ),
        pytest.param(
            [turn(THINK, b'{"type":"text","text":"\xff"}')],
            [turn(b'{"type":"text","text":"\xff"}')],
            id="text-that-is-not-utf-8",
        ),
    ],
)
def test_thinking_is_left_out_and_all_else_stays(before, after):
    left = without_thinking(body(*before), EVERYWHERE)

    assert bytes(body(*after)) == bytes(left)
    assert bytes(left) == bytes(without_thinking(left, EVERYWHERE))


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        pytest.param([], "TTTT", id="none"),
        pytest.param([(0, 1)], "TTTT", id="a-users"),
        pytest.param([(1, 2)], "-TTT", id="one"),
        pytest.param([(1, 3)], "-TTT", id="the-end-is-not-in-it"),
        pytest.param([(1, 4)], "--TT", id="two"),
        pytest.param([(4, None)], "TT--", id="to-the-end"),
        pytest.param([(5, 6), (0, 3)], "-T-T", id="two-ranges-in-any-order"),
        pytest.param([(0, 4), (2, None)], "----", id="ranges-that-overlap"),
        pytest.param([(9, 99)], "TTTT", id="behind-the-end"),
        pytest.param([(6, 2)], "TTTT", id="backwards"),
    ],
)
def test_only_the_messages_asked_for_lose_their_thinking(ranges, expected):
    before = body(*[ASK, turn(THINK, TEXT)] * 4)
    wanted = [turn(THINK, TEXT) if mark == "T" else turn(TEXT) for mark in expected]

    after = without_thinking(before, ranges)

    assert bytes(body(*[each for answer in wanted for each in (ASK, answer)])) == bytes(after)
    assert ("-" not in expected) == (after is before)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(body(ASK, turn(TEXT), ASK), id="no-thinking"),
        pytest.param(body(ASK, turn(TOOL), RESULT), id="only-a-tools"),
        pytest.param(body(turn(THINK).replace(b"assistant", b"user")), id="a-users"),
        pytest.param(body(b'{"role":"assistant","content":"thinking"}'), id="a-string"),
        pytest.param(body(b'{"role":"assistant","thinking":[]}'), id="no-content"),
        pytest.param(body(b'{"role":7,"content":[%s]}' % THINK), id="no-role"),
        pytest.param(body(b'{"role":"\xff","content":[%s]}' % THINK), id="a-role-not-utf-8"),
        pytest.param(body(b"[%s]" % THINK, b'"thinking"'), id="no-messages-in-it"),
        pytest.param(body(), id="empty"),
        pytest.param(Envelope.parse(b"{}"), id="nothing"),
        pytest.param(Envelope.parse(b'{"messages":{"type":"thinking"}}'), id="an-object"),
        pytest.param(Envelope.parse(b'{"messages":"thinking"}'), id="text"),
    ],
)
def test_a_request_with_nothing_to_leave_out_is_returned_itself(before):
    assert before is without_thinking(before, EVERYWHERE)


BLOCKS = st.sampled_from(
    [
        {"type": "text", "text": "t"},
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"thinking": [1, {"a": None}]}},
    ]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system"]),
            "content": st.lists(BLOCKS, min_size=1) | st.text(),
        }
    )
)
RANGES = st.lists(st.tuples(st.integers(0, 8), st.none() | st.integers(0, 8)), max_size=3)


def left(message):
    if message["role"] != "assistant" or isinstance(message["content"], str):
        return [message]
    kept = [b for b in message["content"] if b["type"] not in ("thinking", "redacted_thinking")]
    return [{**message, "content": kept}] if kept else []


@given(MESSAGES, RANGES)
def test_what_is_left_is_what_it_was_without_thinking(messages, ranges):
    asked = {at for start, end in ranges for at in range(start, 99 if end is None else end)}
    expected = []
    for at, message in enumerate(messages):
        expected += left(message) if at in asked else [message]
    before = Envelope.parse(json.dumps({"messages": messages, "model": "m"}).encode())

    after = without_thinking(before, ranges)

    assert {"messages": expected, "model": "m"} == json.loads(bytes(after))
    assert (expected == messages) == (after is before)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(body(ASK, turn(TEXT), ASK), 3, id="some"),
        pytest.param(body(), 0, id="none"),
        pytest.param(body(b"1", b'"\xff"'), 2, id="whatever-they-are"),
        pytest.param(Envelope.parse(b"{}"), 0, id="no-member"),
        pytest.param(Envelope.parse(b'{"messages":{}}'), 0, id="an-object"),
        pytest.param(Envelope.parse(b'{"messages":null}'), 0, id="null"),
    ],
)
def test_messages_are_counted(before, expected):
    assert expected == messages_of(before)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            "messages.1.content.0: Invalid `signature` in `thinking` block", True, id="signature"
        ),
        pytest.param(
            "messages.3.content.0: Invalid signature in thinking block", True, id="no-quotes"
        ),
        pytest.param(
            "messages.23.content.2: Invalid `data` in `redacted_thinking` block",
            True,
            id="redacted",
        ),
        pytest.param(
            "messages.2.content.0: Invalid `signature` in `thinking` block. The block is bound to "
            "a different conversation. Send it back only where it was made.",
            True,
            id="another-conversation",
        ),
        pytest.param("This block is bound to a different conversation.", True, id="its-core"),
        pytest.param(
            "400 invalid_request_error: messages.1.content.0.thinking.signature: Field required",
            True,
            id="never-signed",
        ),
        pytest.param(
            "messages.0.content.0.redacted_thinking.data: Field required", True, id="no-data"
        ),
        pytest.param(
            "messages.9.content.15: `thinking` or `redacted_thinking` blocks in the latest "
            "assistant message cannot be modified. These blocks must remain as they were.",
            False,
            id="modified",
        ),
        pytest.param(
            "messages.5.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
            "`text`. When `thinking` is enabled, a final `assistant` message must start with one.",
            False,
            id="missing",
        ),
        pytest.param(
            '"thinking.type.enabled" is not supported for this model.', False, id="the-setting"
        ),
        pytest.param("adaptive thinking is not supported on this model", False, id="adaptive"),
        pytest.param("prompt is too long: 2 tokens > 1 maximum", False, id="another-matter"),
        pytest.param("The request's signature is invalid", False, id="another-signature"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_a_refusal_of_earlier_thinking_is_known_by_its_words(message, expected):
    assert expected == refuses_thinking(message)
