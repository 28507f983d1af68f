"""Verdicts on the tool calls of an answer: which are asked for, and how an answer carries them.

Claude Code's auto mode sends `safeguards` and runs what the answer's `safeguard_results` do not
flag, without asking anybody.  Both were read off Claude Code 2.1.330; Anthropic has no page on
them.  So a call for which there is no verdict is `unavailable`, and is never taken for harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.messages.events import Event
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.sse import Frame, encode, frames

__all__ = [
    "CUT_SHORT",
    "MEMBER",
    "NOT_FLAGGED",
    "RESULTS",
    "Action",
    "Ending",
    "Reason",
    "Said",
    "Verdict",
    "Wanted",
    "asked",
    "flagged",
    "reviewable",
    "said",
    "unavailable",
    "with_results",
]

MEMBER: Final = "safeguards"
"""The request's member that asks for verdicts."""
RESULTS: Final = "safeguard_results"
"""The answer's member that holds them; in a stream it stands in the `delta` of `message_delta`."""
_TOOL_USE: Final = "dangerous_tool_use"
CUT_SHORT: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Why an answer ended whose last block may have been cut."""

Reason: TypeAlias = Literal["timeout", "error", "refused", "input_too_long", "truncated"]
"""Why there is no verdict on a tool call."""
Verdict: TypeAlias = Mapping[str, str]
"""What is said of one tool call, as the API writes it."""

NOT_FLAGGED: Final[Verdict] = {"type": "evaluated", "outcome": "not_flagged"}
"""A classifier has looked at the call and let it pass."""


def flagged(explanation: str) -> Verdict:
    """Say that a call is dangerous; the explanation is shown to the model and the user."""
    return {"type": "evaluated", "outcome": "flagged", "explanation": explanation}


def unavailable(reason: Reason) -> Verdict:
    """Say that there is no verdict on a call."""
    return {"type": "unavailable", "reason": reason}


class Wanted(NamedTuple):
    """What a request asks for.

    Attributes:
        context: What the client tells a classifier: where it runs, and under which rules.
        kinds: The kinds of safeguards, in their order.
    """

    context: Mapping[str, Any]
    kinds: tuple[str, ...]

    def results(self, verdicts: Mapping[str, Verdict] | None) -> list[dict[str, Any]]:
        """Return what an answer says: verdicts by the call's id; with `None`, that none are had."""
        unsupported: dict[str, Any] = {"type": "unsupported"}
        found = (
            unsupported if verdicts is None else {"type": "available", "tool_uses": dict(verdicts)}
        )
        return [
            {"type": kind, "status": found if kind == _TOOL_USE else unsupported}
            for kind in self.kinds
        ]


def asked(body: Envelope) -> Wanted | None:
    """Return what a request wants to have checked; `None` if that is not its tool calls."""
    if MEMBER not in body:
        return None
    try:
        listed = body[MEMBER]
    except InvalidRequestError:
        return None
    given = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    kinds = dict.fromkeys(kind for each in given if isinstance(kind := each.get("type"), str))
    if _TOOL_USE not in kinds:
        return None
    own = next(each for each in given if each.get("type") == _TOOL_USE)
    context = own.get("classifier_context")
    return Wanted(context if isinstance(context, dict) else {}, tuple(kinds))


class Action(NamedTuple):
    """A tool call that is about to be made.

    Attributes:
        id: The `tool_use` block's.
        tool: The tool's name.
        input: What it is called with.
    """

    id: str
    tool: str
    input: Mapping[str, Any]


class Said(NamedTuple):
    """What of an answer matters here.

    Attributes:
        tool_uses: Its `tool_use` blocks.
        ends_in_tool: The last block is one of them.
        stop_reason: Why it ended; empty if it does not tell.
        reviewed: It holds results already.
    """

    tool_uses: Sequence[Mapping[str, Any]]
    ends_in_tool: bool
    stop_reason: str
    reviewed: bool


def reviewable(said: Said) -> tuple[list[Action], dict[str, Verdict]]:
    """Return the calls that a classifier can judge, and the verdicts on those that none can.

    A call that was cut short says something else than what was meant; and of two calls with one id,
    a verdict on the one would be taken for the other's.
    """
    actions: dict[str, Action] = {}
    settled: dict[str, Verdict] = {}
    last = len(said.tool_uses) - 1 if said.ends_in_tool else -1
    for index, block in enumerate(said.tool_uses):
        given = block.get("id")
        if not isinstance(given, str) or not given:
            continue
        tool, arguments = block.get("name"), block.get("input")
        cut = index == last and said.stop_reason in CUT_SHORT
        if given in actions or given in settled:
            actions.pop(given, None)
            settled[given] = unavailable("error")
        elif cut or not isinstance(arguments, dict):
            settled[given] = unavailable("truncated")
        else:
            actions[given] = Action(given, tool if isinstance(tool, str) else "", arguments)
    return list(actions.values()), settled


class _Message(msgspec.Struct):
    """What is read of a whole answer."""

    content: Any = None
    stop_reason: Any = None


_message = msgspec.json.Decoder(_Message).decode


def said(body: bytes) -> Said | None:
    """Read a whole answer; `None` if it cannot be read."""
    try:
        message = _message(body)
        reviewed = RESULTS in Envelope.parse(body)
    except (InvalidRequestError, *MALFORMED):
        return None
    content = message.content if isinstance(message.content, list) else []
    blocks = [block for block in content if isinstance(block, dict)]
    uses = [block for block in blocks if block.get("type") == "tool_use"]
    ends_in_tool = bool(blocks) and blocks[-1].get("type") == "tool_use"
    stop_reason = message.stop_reason if isinstance(message.stop_reason, str) else ""
    return Said(uses, ends_in_tool, stop_reason, reviewed)


def with_results(body: bytes, results: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a whole answer with `results`; every other member keeps its bytes."""
    return bytes(Envelope.parse(body).replace(**{RESULTS: results}))


class Ending:
    """Keeps the end of a stream back, from `message_delta` on, until the verdicts are there.

    Attributes:
        complete: `message_stop` has come.
    """

    __slots__ = ("_held", "_inputs", "_is_last", "_uses", "complete")

    def __init__(self) -> None:
        self._uses: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}
        self._is_last = False
        self._held: list[tuple[Frame, Event | None]] = []
        self.complete = False

    def feed(self, events: bytes) -> bytes:
        """Take whole events; return those that can be sent on now."""
        passed = []
        for frame in frames(events):
            # Text and thinking come in many pieces, of which none matters.
            plain = frame.event == b"content_block_delta" and b"input_json" not in frame.data
            event = None if plain and not self._held else Event.of(frame)
            kind = event.type if event is not None else ""
            if self._held or kind == "message_delta":
                self._held.append((frame, event))
                self.complete = self.complete or kind == "message_stop"
            else:
                passed.append(frame.raw)
            if event is not None:
                self._take(event)
        return b"".join(passed)

    def _take(self, event: Event) -> None:
        match event.type:
            case "content_block_start":
                block = event.data.get("content_block")
                self._is_last = isinstance(block, dict) and block.get("type") == "tool_use"
                if isinstance(block, dict) and self._is_last:
                    self._uses[event.index] = block
                    self._inputs[event.index] = []
            case "content_block_delta" if event.index in self._inputs:
                piece = event.delta.get("partial_json")
                if isinstance(piece, str):
                    self._inputs[event.index].append(piece)
            case _:
                pass

    @property
    def said(self) -> Said:
        """What the answer says, once it is complete."""
        uses = [{**use, "input": self._input(index)} for index, use in self._uses.items()]
        _, ended = self._delta()
        reason = ended.get("stop_reason")
        stop_reason = reason if isinstance(reason, str) else ""
        return Said(uses, self._is_last, stop_reason, RESULTS in ended)

    def _input(self, index: int) -> Any:
        """Return what a call's pieces make; what is no JSON has been cut short, and is text."""
        text = "".join(self._inputs[index])
        if not text.strip():
            return self._uses[index].get("input", {})
        try:
            return msgspec.json.decode(text)
        except MALFORMED:
            return text

    def _delta(self) -> tuple[int, Mapping[str, Any]]:
        """Return where the answer is ended, and what is said there; some servers do so in pieces.

        The place is -1 if there is none.
        """
        found: tuple[int, Mapping[str, Any]] = (-1, {})
        for at, (_, event) in enumerate(self._held):
            if event is None or event.type != "message_delta":
                continue
            if found[0] < 0 or event.delta.get("stop_reason"):
                found = (at, event.delta)
        return found

    def close(self, results: Sequence[Mapping[str, Any]] | None) -> bytes:
        """Return what was kept back, with `results` in it; with `None`, as it came."""
        events = [frame.raw for frame, _ in self._held]
        at, _ = self._delta()
        if results is not None and at >= 0:
            events[at] = _with_results(self._held[at][0], results)
        self._held.clear()
        return b"".join(events)


def _with_results(frame: Frame, results: Sequence[Mapping[str, Any]]) -> bytes:
    event = Envelope.parse(frame.data)
    own = isinstance(event.get("delta"), dict)
    delta = Envelope.parse(bytes(event.raw("delta")) if own else b"{}")
    return encode(b"message_delta", bytes(event.replace(delta=delta.replace(**{RESULTS: results}))))
