"""Thinking between tags is told from text, however the pieces are cut."""

import random

import pytest

from llmroute.translate.think_tags import ThinkTags


def whole(text):
    return [text]


def bytewise(text):
    return list(text)


def anywhere(text):
    dice = random.Random(len(text))
    places = sorted(dice.sample(range(len(text)), min(len(text), 4)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def split(pieces, **options):
    tags = ThinkTags(**options)
    parts = [part for piece in pieces for part in tags.feed(piece)] + tags.close()
    assert all(part.text for part in parts)
    return tuple(
        "".join(part.text for part in parts if part.kind == kind) for kind in ("thinking", "text")
    )


@pytest.mark.parametrize("cut", [whole, bytewise, anywhere])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Yes", ("", "Yes"), id="no-tags"),
        pytest.param("", ("", ""), id="empty"),
        pytest.param("<think>Hm.</think>Yes", ("Hm.", "Yes"), id="tags"),
        pytest.param("\n<think>\nHm.\n</think>\n\nYes\n", ("Hm.", "Yes\n"), id="white-space"),
        pytest.param("<think>a < b </thin c</think>d", ("a < b </thin c", "d"), id="almost-closed"),
        pytest.param("<think>\n\n</think>\n\nYes", ("", "Yes"), id="nothing-thought"),
        pytest.param("<think>Hm. </th", ("Hm. </th", ""), id="never-closed"),
        pytest.param("<thinker>x", ("", "<thinker>x"), id="another-tag"),
        pytest.param("<thi", ("", "<thi"), id="cut-in-the-tag"),
        pytest.param("a <think>b</think>", ("", "a <think>b</think>"), id="later"),
        pytest.param("<think>a</think>b</think>", ("a", "b</think>"), id="closed-twice"),
    ],
)
def test_a_leading_thought_is_split_off(text, expected, cut):
    assert expected == split(cut(text))


@pytest.mark.parametrize("cut", [whole, bytewise, anywhere])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Hm.</think>Yes", ("Hm.", "Yes"), id="opened-by-the-prompt"),
        pytest.param("<think>Hm.</think>Yes", ("Hm.", "Yes"), id="opened-again"),
    ],
)
def test_the_tag_may_have_been_opened_by_the_prompt(text, expected, cut):
    assert expected == split(cut(text), is_open=True)


def test_the_tag_may_be_another_word():
    assert ("Hm.", "Yes") == split(["<thought>Hm.</thought>Yes"], tag="thought")


def test_nothing_certain_is_held_back():
    tags = ThinkTags()

    assert [("thinking", "Hm")] == tags.feed("<think>Hm")
    assert [("thinking", ".")] == tags.feed(". </thi")
    assert [("text", "Yes")] == tags.feed("nk>Yes")
    assert [("text", " ")] == tags.feed(" ")
