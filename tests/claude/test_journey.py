"""The comparison can be trusted: the same is the same, and a planted difference is found."""

from __future__ import annotations

import pytest

from llmroute.testing import text, tool_use

from .journey import DONE, Session, differences, straight

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

TURNS = [("-p", "Run it.", "--allowedTools", "Bash")]
SCRIPT = [tool_use("Bash", {"command": "echo one"}, id="toolu_1")]


def test_two_runs_are_the_same_in_everything(machine):
    first = straight(machine, Session(TURNS, SCRIPT))
    second = straight(machine, Session(TURNS, SCRIPT))

    assert 2 == len(first.received)
    assert [] == differences(first.sent(), second.sent())
    assert [] == differences(first.runs[0].printed(), second.runs[0].printed())


@pytest.mark.parametrize(
    ("planted", "requests", "lines"),
    [
        pytest.param({"script": [*SCRIPT, text("Done, all.")]}, [], True, id="another-answer"),
        pytest.param(
            {"env": {"CLAUDE_CODE_EXTRA_BODY": '{"a":1}'}}, ["body"], False, id="a-member"
        ),
        pytest.param({"env": {"ANTHROPIC_BETAS": "a-2026-01-01"}}, ["headers"], False, id="a-beta"),
        pytest.param({"turns": [("-p", "Run this.", *TURNS[0][2:])]}, ["body"], False, id="a-word"),
    ],
)
def test_a_planted_difference_is_found(machine, planted, requests, lines):
    given = {"turns": TURNS, "script": [*SCRIPT, DONE]}
    first = straight(machine, Session(**given))
    second = straight(machine, Session(**{**given, **planted}))
    changed = [
        name
        for name in ("target", "headers", "body")
        if [getattr(it, name) for it in first.sent()] != [getattr(it, name) for it in second.sent()]
    ]

    assert requests == changed
    assert bool(requests) == bool(differences(first.sent(), second.sent()))
    assert lines == bool(differences(first.runs[0].printed(), second.runs[0].printed()))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(["a"], ["a"], [], id="same"),
        pytest.param(["a", "b"], ["a"], ["2 became 1"], id="one-missing"),
        pytest.param(["abc"], ["abd"], ["0: at 2, 'abc' became 'abd'"], id="a-letter"),
        pytest.param([("x", "ab")], [("x", "a")], ["0: at 1, 'ab' became 'a'"], id="cut-short"),
    ],
)
def test_differences_are_told_in_little(before, after, expected):
    assert expected == differences(before, after)
