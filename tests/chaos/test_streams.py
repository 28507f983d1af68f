"""A stream whose upstream fails at any byte, in any manner: another's whole answer, or whole events
and one error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.chaos.client import Reply
from tests.chaos.run import MODEL, Case, Outcome, Source, cases, judge_error, pieces_of, run
from tests.chaos.transcript import PING, Event, events_of, problems_of, split
from tests.cli.program import Served
from tests.messages.recordings import MODEL as RECORDED_MODEL
from tests.messages.recordings import NAMES, STREAMS

from llmroute.testing import message, text, thinking, tool_use

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

SSE = "text/event-stream; charset=utf-8"
ANSWERS = {
    "said": text("Good morning."),
    "thought": message([thinking("Hm."), "Let me look.", tool_use("look", {"at": "it"})]),
    "tools": message([tool_use("a", {"x": 1}), tool_use("b", {"y": 2})]),
}
SOURCES = [
    *(
        Source(
            f"recorded {name}",
            tuple(split(STREAMS[name].replace(RECORDED_MODEL.encode(), MODEL))[0]),
        )
        for name in NAMES
    ),
    *(Source(f"fake {name}", pieces_of(each, stream=True)) for name, each in ANSWERS.items()),
]
SECOND = pieces_of(text("This is the second, and it is well."), stream=True)

# In these the proxy has read all that was sent before it learns what went wrong.
ORDERLY = ("close", "stall", "short")


def second(model: str) -> list[bytes]:
    return [piece.replace(MODEL, model.encode()) for piece in SECOND]


def is_content(event: Event) -> bool:
    """Tell whether an event shows the client something of the answer."""
    return event.kind == "content_block_delta"


def may_commit(event: Event) -> bool:
    """Tell whether another deployment could not take over any more, had the client seen it."""
    if event.kind == "content_block_start" and event.data is not None:
        block = event.data.get("content_block") or {}
        # The beginning of a text or of a thought, which is empty.
        return not {*block} <= {"type", "text", "thinking", "signature"} or any(
            block.get(member) for member in ("text", "thinking", "signature")
        )
    return event.kind.startswith("content_block") or event.kind in ("message_delta", "message_stop")


def completed(stream: bytes) -> bytes:
    """Give a last event its blank line: an end of the body may stand for it."""
    rest = split(stream)[1]
    return stream if not rest else stream.rstrip(b"\r\n") + b"\n\n"


def quiet(stream: bytes) -> bytes:
    """Leave the pings out."""
    return stream.replace(PING, b"")


def judge(case: Case, reply: Reply, sent: bytes, read: bytes) -> Outcome:
    committed = case.manner in ORDERLY and any(map(is_content, events_of(sent)))
    if reply.status != 200:
        if case.is_alone and not committed:
            return judge_error(reply)
        return Outcome("", f"{reply.status} {reply.body!r}")
    if problems := {*problems_of(reply.body)} - {*problems_of(b"".join(case.pieces))}:
        return Outcome("", f"{problems} in {reply.body!r}")
    got = quiet(reply.body)
    if got == quiet(b"".join(second(case.model))):
        if case.is_alone or committed:
            return Outcome("", "answered by the second, which was not to be asked")
        return Outcome("by the second")
    return judge_beginning(case, events_of(got), got, completed(read))


def judge_beginning(case: Case, events: list[Event], got: bytes, read: bytes) -> Outcome:
    """Judge what must be the beginning of the first's answer."""
    ends_in_error = events[-1].kind == "error"
    errors = sum(event.kind == "error" for event in events)
    theirs = quiet(read)
    ours = got
    if ends_in_error and not theirs.startswith(got):
        ours = got.removesuffix(events[-1].raw)
    if not theirs.startswith(ours):
        return Outcome("", f"{got!r} is no beginning of {theirs!r}")
    if errors > 1:
        return Outcome("", f"{errors} errors in {got!r}")
    if not case.is_alone and not any(map(may_commit, events_of(ours))):
        return Outcome("", f"not answered by the second, but {got[-160:]!r}")
    return Outcome("ended in an error" if ends_in_error else "whole")


def test_a_stream_that_breaks_anywhere_is_answered_by_another_or_ends_in_an_error(
    serve: Callable[[Mapping[str, Any]], Served], say: Callable[[str], None]
) -> None:
    tried = cases(SOURCES, ("chunked", "until_closed"), SSE, random_places=6)
    say("streams: " + run(tried, judge, second, serve, content_type=SSE, stream=True))
