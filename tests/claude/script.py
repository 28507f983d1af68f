"""What the upstream says in the sessions that need more than a canned answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmroute.testing import Answer, Received, events, text, tool_use

from .journey import DONE, is_of_a_subagent

_PING = {"type": "ping"}


def delegating(*, background: bool) -> Callable[[Received], Answer]:
    """Have the main conversation ask a subagent, and be done when it has answered."""
    task = {"description": "look", "prompt": "Look.", "subagent_type": "general-purpose"}
    # Slow in the background, so that the main conversation has ended its turn by then.
    report = text("I have looked.").paced(0.15 if background else 0.0)

    def answer(received: Received) -> Answer:
        if is_of_a_subagent(received):
            return report
        if b'"tool_use_id"' in received.body:
            return DONE
        return tool_use("Agent", {**task, "run_in_background": background}, id="toolu_agent")

    return answer


def reviewed(verdict: Mapping[str, str]) -> Answer:
    """Use a tool that auto mode runs by the upstream's verdict, and bring that along."""
    status = {"type": "available", "tool_uses": {"toolu_1": {"type": "evaluated", **verdict}}}
    results = [{"type": "dangerous_tool_use", "status": status}]
    tool = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
    command = '{"command": "python3 -c \'print(6 * 7)\'"}'
    return events(
        [
            _start(),
            {"type": "content_block_start", "index": 0, "content_block": tool},
            _delta({"type": "input_json_delta", "partial_json": command}),
            {"type": "content_block_stop", "index": 0},
            _end("tool_use", safeguard_results=results),
            {"type": "message_stop"},
        ]
    )


def breakable() -> Answer:
    """Answer "Hello there.", with a ping before each place where the stream may break.

    The last event before a cut may be lost with the connection; a ping is no loss.
    """
    block = {"type": "text", "text": ""}
    return events(
        [
            _start(),
            _PING,
            {"type": "content_block_start", "index": 0, "content_block": block},
            _delta({"type": "text_delta", "text": "Hello there."}),
            _PING,
            {"type": "content_block_stop", "index": 0},
            _PING,
            _end("end_turn"),
            _PING,
            {"type": "message_stop"},
        ]
    ).paced(0.03)


def _start() -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    }
    return {"type": "message_start", "message": message}


def _delta(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _end(stop_reason: str, **members: Any) -> dict[str, Any]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None, **members}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 6}}
