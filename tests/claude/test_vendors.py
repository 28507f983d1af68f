"""The real Claude Code, with its models at a vendor that reads the core of the format alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence

import pytest

from llmroute.testing import Answer, FakeUpstream, Received, error, message, thinking, tool_use

from .client import SESSION, Machine
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import BEARER, DONE

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
    "Jggg=="
)
CORE = {
    *("model", "messages", "system", "tools", "tool_choice", "max_tokens", "thinking", "stream"),
    *("stop_sequences", "temperature", "top_p", "top_k", "output_config"),
}
BLOCKS = {"text", "thinking", "tool_use", "tool_result"}
FIELDS = {"name", "description", "input_schema", "cache_control"}


def wrong_with(received: Received) -> str:
    """Say what a vendor of few features would refuse of a request; empty if nothing."""
    body = received.json
    blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    found = [
        *(f"member {name}" for name in body.keys() - CORE),
        *(f"role {m['role']}" for m in body["messages"] if m["role"] == "system"),
        *(f"block {b['type']}" for b in blocks if b["type"] not in BLOCKS),
        *(f"tool {field}" for tool in body.get("tools", []) for field in tool.keys() - FIELDS),
        *(f"header {name}" for name, _ in received.headers if name.lower() == "anthropic-beta"),
    ]
    if body.get("thinking", {}).get("type") == "adaptive":
        found.append("adaptive thinking")
    return ", ".join(found)


def strictly(answers: Sequence[Answer]) -> Callable[[Received], Answer]:
    """Give one answer after the other, the last one for ever, and 400 to what is refused."""
    left = list(answers)

    def answer(received: Received) -> Answer:
        if wrong := wrong_with(received):
            return error(400, message=f"not taken here: {wrong}")
        if "tools" not in received.json:
            return DONE
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def test_a_conversation_with_thinking_tools_and_an_image(machine: Machine) -> None:
    machine.wipe()
    picture = machine.folder / "work" / "dot.png"
    picture.write_bytes(base64.b64decode(PNG))
    command = tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="call_a")
    look = tool_use("Read", {"file_path": str(picture)}, id="call_b")
    with FakeUpstream() as server:
        server.answer_with(strictly([message([thinking("Two things."), command, look]), DONE]))
        theirs = {"provider": "deepseek", "base_url": server.url, "api_key": UPSTREAM_KEY}
        config = {
            "deployments": {"theirs": {**theirs, "model": "deepseek-v4-pro"}},
            "aliases": {"claude-*": "theirs"},
            "server": {"master_key": MASTER_KEY},
        }
        runs = []
        for turn in (
            ("-p", "Run it.", "--allowedTools", "Bash,Read", "--session-id", SESSION),
            ("-p", "And again.", "--resume", SESSION),
        ):
            with Gateway("", machine.folder, json.dumps(config)) as gateway:
                runs.append(machine.run(gateway.url, BEARER, *turn, "--model", "claude-opus-5-5"))
                assert UPSTREAM_KEY not in gateway.log
        refused = [each.sent for each in server.requests if b"not taken here" in each.sent]
        bodies = [each.json for each in server.requests]

    assert [] == refused
    assert [("All done.", 0, [])] * 2 == [(run.result, run.status, run.retries) for run in runs]
    told = [body["messages"] for body in bodies if "tools" in body][-1]
    blocks = [b for m in told if isinstance(m["content"], list) for b in m["content"]]
    results = {b["tool_use_id"]: json.dumps(b) for b in blocks if b["type"] == "tool_result"}
    assert "six times 42" in results["call_a"]
    assert "[image left out]" in results["call_b"]
    assert "Two things." in [b.get("thinking") for b in blocks]
