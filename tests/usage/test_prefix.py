"""What counts as a change of a prompt, and what does not."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.platforms.goldens import CAPTURES, recorded

from llmroute.usage.difference import difference, has_grown, is_next, kinship
from llmroute.usage.prefix import Prompt, prompt_of
from llmroute.wire.envelope import Envelope

MARK = {"type": "ephemeral"}


def digested(body: Any, *earlier: Prompt, separators: tuple[str, str] = (",", ":")) -> Prompt:
    envelope = Envelope.parse(json.dumps(body, separators=separators).encode())
    found = prompt_of(envelope, (), earlier)
    assert found is not None
    return found


def captured() -> Iterator[Any]:
    """Yield two turns of a conversation each, as Claude Code has sent them."""
    for path in CAPTURES:
        bodies = [each["body"] for each in recorded(path) if each["path"].endswith("/messages")]
        bodies = [body for body in bodies if "messages" in body]
        for at, (one, two) in enumerate(itertools.combinations(bodies, 2)):
            if one.get("system") != two.get("system") or one.get("tools") != two.get("tools"):
                continue
            said, more = texts(one), texts(two)
            if said == more[: len(said)]:
                yield pytest.param(one, two, id=f"{path.stem}-{at}")


def texts(body: Any) -> list[Any]:
    """Return the messages without marks, texts as blocks."""
    found = copy.deepcopy(body["messages"])
    for message in found:
        if isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]
        for block in message["content"]:
            block.pop("cache_control", None)
    return found


@pytest.mark.parametrize(("one", "two"), list(captured()))
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["tight", "spaced"])
def test_turns_of_claude_code_differ_in_nothing(
    one: Any, two: Any, separators: tuple[str, str]
) -> None:
    before = digested(one, separators=separators)

    now = digested(two, before, separators=separators)

    found = difference(before, now)
    # After a refusal it sends its request again without that.
    gone = one.get("context_management") != two.get("context_management")
    assert ("context_management" if gone else None) == (found and found.at)
    assert kinship(before, now) > 0


@pytest.mark.parametrize(("one", "two"), list(captured()))
def test_what_is_not_read_again_has_the_same_digests(one: Any, two: Any) -> None:
    assert digested(two) == digested(two, digested(one))


def body() -> dict[str, Any]:
    return {
        "model": "claude-opus-5-5",
        "thinking": {"type": "adaptive"},
        "tools": [
            {"name": "Bash", "input_schema": {"type": "object"}},
            {"name": "Read", "input_schema": {"type": "object"}, "cache_control": MARK},
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.1a2; cch=0;"},
            {"type": "text", "text": "You are.", "cache_control": MARK},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": 'Say "hi".'}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash"}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": "a\nb"},
                    {"type": "text", "text": "Go on.", "cache_control": MARK},
                ],
            },
        ],
    }


def next_turn() -> dict[str, Any]:
    """Return the turn after `body()`: the mark has moved on."""
    turn = body()
    del turn["messages"][2]["content"][1]["cache_control"]
    turn["messages"] += [
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
        {"role": "user", "content": [{"type": "text", "text": "More.", "cache_control": MARK}]},
    ]
    return turn


def _text_alone(turn: dict[str, Any]) -> None:
    turn["messages"][0]["content"] = 'Say "hi".'


def _attribution(turn: dict[str, Any]) -> None:
    turn["system"][0]["text"] = "x-anthropic-billing-header: cc_version=2.1.330.ff0; cch=12345;"


def _deferred(turn: dict[str, Any]) -> None:
    turn["tools"].insert(0, {"name": "Later", "input_schema": {}, "defer_loading": True})


def _first_mark(turn: dict[str, Any]) -> None:
    turn["messages"][2]["content"][0] = {
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        **turn["messages"][2]["content"][0],
    }


def _no_marks(turn: dict[str, Any]) -> None:
    del turn["tools"][1]["cache_control"], turn["system"][1]["cache_control"]


def _metadata(turn: dict[str, Any]) -> None:
    turn["metadata"] = {"user_id": "other"}
    turn["max_tokens"] = 7


@pytest.mark.parametrize(
    "edit", [_text_alone, _attribution, _deferred, _first_mark, _no_marks, _metadata]
)
def test_what_moves_without_breaking_anything_is_no_change(
    edit: Callable[[dict[str, Any]], None],
) -> None:
    before, turn = digested(body()), next_turn()
    edit(turn)

    assert difference(before, digested(turn, before)) is None


def _tool(turn: dict[str, Any]) -> None:
    turn["tools"][1]["description"] = "Reads."


def _tool_added(turn: dict[str, Any]) -> None:
    turn["tools"].insert(1, {"name": "mcp__db__query", "input_schema": {}})


def _tool_removed(turn: dict[str, Any]) -> None:
    del turn["tools"][0]


def _tools_turned(turn: dict[str, Any]) -> None:
    turn["tools"].reverse()


def _no_tools(turn: dict[str, Any]) -> None:
    del turn["tools"]


def _system(turn: dict[str, Any]) -> None:
    turn["system"][1]["text"] += " It is 10:01."


def _thinking(turn: dict[str, Any]) -> None:
    turn["thinking"] = {"type": "disabled"}


def _choice(turn: dict[str, Any]) -> None:
    turn["tool_choice"] = {"type": "any"}


def _first_message(turn: dict[str, Any]) -> None:
    turn["messages"][0]["content"].insert(0, {"type": "text", "text": "<system-reminder>"})


def _result(turn: dict[str, Any]) -> None:
    turn["messages"][2]["content"][0]["content"] = "(cut)"


def _role(turn: dict[str, Any]) -> None:
    turn["messages"][1]["role"] = "user"


def _effort(turn: dict[str, Any]) -> None:
    turn["output_config"] = {"effort": "low"}


@pytest.mark.parametrize(
    ("edit", "part", "at"),
    [
        pytest.param(_tool, "tools", "tools[1] Read", id="a-tool"),
        pytest.param(_tool_added, "tools", "tools[1] mcp__db__query (added)", id="a-new-tool"),
        pytest.param(_tool_removed, "tools", "tools[0] Bash (removed)", id="a-tool-less"),
        pytest.param(_tools_turned, "tools", "tools[0] Read (moved)", id="tools-in-another-order"),
        pytest.param(_no_tools, "tools", "tools[0] Bash (removed)", id="no-tools"),
        pytest.param(_system, "system", "system[1]", id="system"),
        pytest.param(_thinking, "parameters", "thinking", id="thinking"),
        pytest.param(_choice, "parameters", "tool_choice", id="tool-choice"),
        pytest.param(_first_message, "message", "messages[0] (user)", id="the-first-message"),
        pytest.param(_result, "message", "messages[2] (user)", id="a-result"),
        pytest.param(_role, "message", "messages[1] (user)", id="a-role"),
        pytest.param(_effort, "parameters", "output_config", id="effort"),
    ],
)
def test_a_change_is_named_by_its_place(
    edit: Callable[[dict[str, Any]], None], part: str, at: str
) -> None:
    before, turn = digested(body()), next_turn()
    edit(turn)

    now = digested(turn, before)

    found = difference(before, now)
    assert found is not None
    assert (part, at) == (found.part, found.at)
    assert kinship(before, now) > 0


def test_a_request_for_a_title_is_no_turn_of_the_conversation() -> None:
    title = {
        "system": [{"type": "text", "text": "Name it."}],
        "messages": [{"role": "user", "content": 'Say "hi".'}],
    }

    assert 0 == kinship(digested(body()), digested(title))


def test_another_conversation_with_the_same_prompt_is_another() -> None:
    other = body() | {"messages": [{"role": "user", "content": "Something else."}]}

    assert 0 == kinship(digested(body()), digested(other))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b'{"messages": [], "tools": {}}', id="no-tools"),
        pytest.param(b'{"messages": [], "tools": [{"name": "\xff"}]}', id="no-utf-8"),
    ],
)
def test_what_is_no_prompt_has_no_digests(sent: bytes) -> None:
    assert prompt_of(Envelope.parse(sent), (), ()) is None


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"{}", id="nothing"),
        pytest.param(b'{"messages": 7}', id="no-list"),
        pytest.param(b'{"messages": ""}', id="no-list-at-all"),
        pytest.param(b'{"messages": []}', id="none"),
        pytest.param(b'{"messages": [7]}', id="no-messages"),
        pytest.param(b'{"messages": [{"role": 1, "content": ""}]}', id="no-role"),
        pytest.param(b'{"messages": [{"role": "\xff", "content": ""}]}', id="no-utf-8"),
    ],
)
def test_messages_that_cannot_be_read_are_none(sent: bytes) -> None:
    found = prompt_of(Envelope.parse(sent), (), ())

    assert found is not None
    assert not found.said.read().messages


def test_odd_messages_are_taken_as_they_are() -> None:
    odd = {"messages": [{"role": "", "content": None}, {"content": 7}, {"role": "\u20ac"}]}

    assert 3 == len(digested(odd).said.read().messages)


def test_white_space_between_messages_does_not_confuse_the_places() -> None:
    one, two = json.dumps(body(), indent=2), json.dumps(next_turn(), indent=2)
    before = prompt_of(Envelope.parse(one.encode()), (), ())
    assert before is not None

    now = prompt_of(Envelope.parse(two.encode()), (), [before])

    assert now is not None
    assert difference(before, now) is None
    assert 2 == before.said.read().settled
    assert 4 == now.said.read().settled


_BLOCKS = st.builds(
    lambda text, marked, kind: {
        **({"type": "text", "text": text} if kind else {"type": "tool_result", "content": text}),
        **({"cache_control": MARK} if marked else {}),
    },
    st.text(max_size=8),
    st.booleans(),
    st.booleans(),
)
_SAID = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "assistant", "system"]),
        st.one_of(st.text(max_size=8), st.lists(_BLOCKS, max_size=3)),
    ),
    max_size=6,
)


@given(_SAID, _SAID, st.sampled_from([None, 1]), st.sampled_from([0, 2_000, 20_000]))
def test_reading_on_from_an_earlier_turn_is_reading_anew(
    said: list[Any], more: list[Any], indent: int | None, length: int
) -> None:
    said = [{"role": "user", "content": "x" * length}, *said]
    one, two = (
        Envelope.parse(json.dumps({"messages": each}, indent=indent).encode())
        for each in (said, said + more)
    )
    before = prompt_of(one, (), ())
    assert before is not None

    now = prompt_of(two, (), [before])

    assert now is not None
    assert prompt_of(two, (), ()) == now
    assert difference(before, now) is None


def long_body() -> dict[str, Any]:
    turn = body()
    turn["messages"][0]["content"][0]["text"] = "word " * 1000
    return turn


def long_next_turn() -> dict[str, Any]:
    return next_turn() | {"messages": [long_body()["messages"][0], *next_turn()["messages"][1:]]}


def test_a_turn_that_goes_on_the_one_before_is_known_without_being_read() -> None:
    before = digested(long_body())

    now = digested(long_next_turn(), before)

    assert is_next(before, now)
    assert has_grown(before, now)
    assert [0, 0] == [each.said.known.settled for each in (before, now)]
    assert 4 == now.said.read().settled


def test_the_same_request_again_has_not_grown() -> None:
    before = digested(long_body())

    now = digested(long_body(), before)

    assert is_next(before, now)
    assert not has_grown(before, now)


def test_a_long_turn_is_read_at_once_and_not_kept() -> None:
    turn = long_body()
    turn["messages"][0]["content"][0]["text"] = "word " * 10_000

    assert 2 == digested(turn).said.known.settled


def _shorter(turn: dict[str, Any]) -> None:
    del turn["messages"][2:]


def _another_result(turn: dict[str, Any]) -> None:
    turn["messages"][2]["content"][0]["content"] = "c\nd"


def _other_tools(turn: dict[str, Any]) -> None:
    turn["tools"].pop()


def _other_system(turn: dict[str, Any]) -> None:
    turn["system"].pop()


@pytest.mark.parametrize("edit", [_shorter, _another_result, _other_tools, _other_system])
def test_a_turn_that_may_be_another_is_read(edit: Callable[[dict[str, Any]], None]) -> None:
    before, turn = digested(long_body()), long_next_turn()
    edit(turn)

    assert not is_next(before, digested(turn, before))


def test_of_two_conversations_that_begin_alike_the_right_one_is_found() -> None:
    other = long_body()
    other["messages"][2]["content"][1]["cache_control"] = MARK
    other["messages"][2]["content"].append({"type": "text", "text": "Stop."})
    one, two = digested(long_body()), digested(other)
    turn = long_body()
    turn["messages"][2]["content"] = [*other["messages"][2]["content"]]
    turn["messages"] += next_turn()["messages"][3:]

    now = digested(turn, one, two)

    assert not is_next(one, now)
    assert not is_next(two, now)
    assert kinship(two, now) > kinship(one, now)


def test_of_two_that_are_the_same_one_is_gone_on() -> None:
    one, two = digested(long_body()), digested(long_body())

    now = digested(long_next_turn(), one, two)

    assert one.said.is_sent_again_by(two.said)
    assert not one.said.is_sent_again_by(now.said)
    assert is_next(one, now)
    assert 0 == now.said.known.settled
