"""The real Claude Code, with its models behind strict servers that speak Chat Completions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmroute.testing import FakeAzureOpenAI, FakeChat, text, tool_use

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import BEARER, DONE

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]


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


def test_a_tool_on_azure(machine: Machine) -> None:
    machine.wipe()
    with FakeAzureOpenAI(api_key=UPSTREAM_KEY) as azure:
        azure.default = DONE
        azure.answer(tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="call_a"))
        deployment = {
            "provider": "azure_openai",
            "base_url": azure.url,
            "api_key": UPSTREAM_KEY,
            "base_model": "gpt-5.2",
        }
        run = held(machine, deployment, ("-p", "Run it.", "--allowedTools", "Bash"))
        last = azure.requests[-1].body

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert b"six times 42" in last


def test_what_is_surely_too_long_is_compacted_and_never_sent(machine: Machine) -> None:
    machine.wipe()
    summary = text("<analysis>Short.</analysis>\n<summary>We said many words.</summary>")
    with FakeChat(api_key=UPSTREAM_KEY) as server:
        server.default = DONE
        server.answer(text("word " * 12_000), text("word " * 12_000), summary)
        deployment = {
            "provider": "openai_compatible",
            "base_url": server.url,
            "api_key": UPSTREAM_KEY,
            "max_input_tokens": 27_000,
        }
        turns = [("-p", "Say much."), ("-p", "And again."), ("-p", "And once more.")]
        run = held(machine, deployment, *turns)
        bodies = [each.body for each in server.requests]

    assert ("All done.", []) == (run.result, run.retries)
    assert 4 == len(bodies)
    assert b"We said many words." in bodies[-1]
