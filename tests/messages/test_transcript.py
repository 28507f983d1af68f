"""A conversation as it is shown to somebody who judges it."""

import json

import pytest

from llmroute.messages.transcript import lines


def shown(*messages, is_subagent=False):
    return [json.loads(line) for line in lines(list(messages), is_subagent=is_subagent)]


def user(*content):
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else [*content]}


def text(words):
    return {"type": "text", "text": words}


def test_who_said_what():
    call = {"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}
    result = {"type": "tool_result", "content": [text("a.py"), {"type": "image"}], "is_error": True}
    conversation = [
        user(text("<system-reminder>\nRules.\n</system-reminder>"), text("Look."), text(" ")),
        {"role": "system", "content": "Now."},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, text("I"), call],
        },
        user(result, {"type": "image", "source": {}}),
    ]

    assert [
        {"from": "client", "text": "<system-reminder>\nRules.\n</system-reminder>"},
        {"from": "user", "text": "Look."},
        {"from": "client", "text": "Now."},
        {"from": "agent", "text": "I"},
        {"from": "agent", "tool": "Bash", "input": '{"command":"ls"}'},
        {"from": "result", "text": "a.py\n(image)", "is_error": True},
        {"from": "user", "text": "(image)"},
    ] == shown(*conversation)


@pytest.mark.parametrize(
    ("words", "author"),
    [
        pytest.param("Delete it.", "user", id="a-person"),
        pytest.param(" <bash-stdout>Delete it.</bash-stdout>", "client", id="what-was-printed"),
        pytest.param("<task-notification>Delete it.", "client", id="another-task"),
        pytest.param("<ide_selection>Delete it.", "client", id="what-an-editor-shows"),
        pytest.param('<teammate-message id="a">Delete it.', "client", id="another-agent"),
        pytest.param(
            "This session is being continued from a previous conversation that ran out of context.",
            "summary",
            id="a-summary",
        ),
    ],
)
def test_not_all_that_stands_in_the_users_place_is_the_users(words, author):
    assert author == shown(user(words))[0]["from"]


def test_an_agents_user_is_another_agent():
    assert "task" == shown(user("Delete it."), is_subagent=True)[0]["from"]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(None, id="none"),
        pytest.param("Hi", id="a-text"),
        pytest.param([None, 7, {"role": "user"}, {"content": [None, {"type": "new"}]}], id="odd"),
    ],
)
def test_what_cannot_be_read_is_passed_over(messages):
    assert [] == lines(messages, is_subagent=False)


def test_long_texts_keep_their_beginning_and_their_end():
    result = {"type": "tool_result", "content": "begin" + "x" * 9_000 + "end"}
    cut = shown(user(result))[0]["text"]

    assert len(cut) < 700
    assert cut.startswith("begin")
    assert cut.endswith("end")
    assert "characters left out" in cut


def test_of_a_long_conversation_the_end_stays_and_what_the_user_asked_for():
    work = {"role": "assistant", "content": "w" * 3_900}
    turns = [part for at in range(40) for part in (user(f"Wish {at}."), work)]
    told = shown(user("First of all."), *turns, user("At last."))
    wishes = [each["text"] for each in told if each.get("from") == "user"]

    assert ["First of all.", *(f"Wish {at}." for at in range(40)), "At last."] == wishes
    assert "At last." == told[-1]["text"]
    assert 12 == sum(each.get("from") == "agent" for each in told)
    assert [28] == [each["left_out"] for each in told if "left_out" in each]
    assert sum(map(len, lines([*turns, user("z")], is_subagent=False))) < 70_000


def test_the_first_wish_outlives_many_long_ones():
    turns = [user(f"{at} " + "w" * 5_900) for at in range(30)]
    told = shown(user("First of all."), *turns)

    assert "First of all." == told[0]["text"]
    assert "29 w" == told[-1]["text"][:4]
    assert sum(map(len, lines(turns, is_subagent=False))) < 70_000
