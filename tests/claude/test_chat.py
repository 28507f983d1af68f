"""The real Claude Code, with its models behind strict servers that speak Chat Completions."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmroute.testing import FakeAzureOpenAI, FakeChat, message, text, thinking, tool_use
from llmroute.testing.openai import openai_error

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import BEARER, DONE

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
    "Jggg=="
)


def held(machine: Machine, deployment: dict[str, Any], *turns: tuple[str, ...]) -> Run:
    """Hold a conversation through the proxy, started anew for each turn; return the last one."""
    config = {
        "deployments": {"chat": {**deployment, "model": "qwen"}},
        "aliases": {"claude-*": "chat"},
        "server": {"master_key": MASTER_KEY},
    }
    run = None
    for turn in turns:
        same = ("--resume", SESSION) if run else ("--session-id", SESSION)
        with Gateway("", machine.folder, json.dumps(config)) as gateway:
            run = machine.run(gateway.url, BEARER, *turn, *same)
            assert "Traceback" not in gateway.log
            assert UPSTREAM_KEY not in gateway.log
    assert run is not None
    return run


def refused(server: FakeChat) -> list[bytes]:
    """Return the bodies of the answers that were errors."""
    return [each.sent for each in server.requests if b'{"error":' in each.sent]


def test_a_conversation_with_thinking_tools_and_an_image(machine: Machine) -> None:
    machine.wipe()
    picture = machine.folder / "work" / "dot.png"
    picture.write_bytes(base64.b64decode(PNG))
    command = tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="call_a")
    look = tool_use("Read", {"file_path": str(picture)}, id="call_b")
    with FakeChat(api_key=UPSTREAM_KEY) as server:
        server.default = DONE
        server.answer(message([thinking("Two things."), command, look]))
        deployment = {
            "provider": "openai_compatible",
            "base_url": server.url,
            "api_key": UPSTREAM_KEY,
            "reasoning_replay": "reasoning_content",
        }
        run = held(
            machine,
            deployment,
            ("-p", "Run it.", "--allowedTools", "Bash,Read", "--model", "claude-opus-5-5"),
            ("-p", "And again.", "--model", "claude-opus-5-5"),
        )
        bodies = [each.json for each in server.requests]
        errors = refused(server)

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert [] == errors
    turns = [body["messages"] for body in bodies if "tools" in body]
    told = turns[-1]
    replies = {each["tool_call_id"]: each["content"] for each in told if each["role"] == "tool"}
    assert ["call_a", "call_b"] == list(replies)
    assert "six times 42" in replies["call_a"]
    parts = [p for m in told if isinstance(m["content"], list) for p in m["content"]]
    assert any(part["type"] == "image_url" for part in parts)
    assert "Two things." in [each.get("reasoning_content") for each in told]


def test_a_prompt_that_is_too_long_is_compacted(machine: Machine) -> None:
    machine.wipe()
    summary = text("<analysis>Short.</analysis>\n<summary>We greeted each other.</summary>")
    words = "This model's maximum context length is 8192 tokens, and the messages came to 9000."
    with FakeAzureOpenAI(api_key=UPSTREAM_KEY) as azure:
        azure.default = DONE
        azure.answer(DONE, DONE, openai_error(400, words, code="context_length_exceeded"), summary)
        deployment = {
            "provider": "azure_openai",
            "base_url": azure.url,
            "api_key": UPSTREAM_KEY,
            "base_model": "gpt-5.2",
        }
        turns = [("-p", "Say hi."), ("-p", "And again."), ("-p", "And once more.")]
        run = held(machine, deployment, *turns)
        last = azure.requests[-1].body

    assert "All done." == run.result
    assert b"We greeted each other." in last
