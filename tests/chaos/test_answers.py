"""A whole answer whose upstream fails at any byte, in any manner: another's, or a clean error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.chaos.client import Reply
from tests.chaos.run import MODEL, Case, Outcome, Source, cases, judge_error, pieces_of, run
from tests.cli.program import Served

from llmroute.testing import message, text, thinking, tool_use

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

JSON = "application/json"
SOURCES = [
    Source("said", pieces_of(text("Good morning."), stream=False)),
    Source(
        "thought",
        pieces_of(message([thinking("Hm."), "So.", tool_use("look", {"at": "it"})]), stream=False),
    ),
]
SECOND = pieces_of(text("This is the second, and it is well."), stream=False)


def second(model: str) -> list[bytes]:
    return [piece.replace(MODEL, model.encode()) for piece in SECOND]


def judge(case: Case, reply: Reply, sent: bytes, read: bytes) -> Outcome:
    meant = b"".join(case.pieces)
    if reply.status != 200:
        if case.is_alone:
            return judge_error(reply)
        return Outcome("", f"{reply.status} {reply.body!r}")
    if reply.body == meant:
        # What the upstream said after that is nobody's.
        return Outcome("whole") if sent == meant else Outcome("", f"made up: {reply.body!r}")
    if reply.body == b"".join(second(case.model)) and not case.is_alone:
        return Outcome("by the second")
    return Outcome("", f"neither's answer: {reply.body!r}")


def test_an_answer_that_breaks_anywhere_is_another_s_or_an_error(
    serve: Callable[[Mapping[str, Any]], Served], say: Callable[[str], None]
) -> None:
    framings = ("length", "chunked", "until_closed")
    tried = cases(SOURCES, framings, JSON, random_places=40)
    say("answers: " + run(tried, judge, second, serve, content_type=JSON, stream=False))
