"""The Codex CLI, set up as its page tells, before the proxy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from tests.claude.gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from tests.clients.frameworks import ADDRESS, PAGE

from llmroute.testing import (
    Answer,
    FakeOpenAI,
    FakeUpstream,
    Received,
    error,
    message,
    text,
    thinking,
    tool_use,
)

pytestmark = pytest.mark.clients

# What Codex calls a model that it knows, and then lets change files by a tool of its own.
KNOWN = "gpt-5.5"
# What it calls one that does everything by scripts.
SCRIPTING = "gpt-6-sol"
SCRIPT = "text(await tools.exec_command({cmd: 'echo canary-$((20+3))'}))"
SHELL = tool_use("exec_command", {"cmd": "echo canary-$((20+3))"})
PATCH = "*** Begin Patch\n*** Add File: river.txt\n+Rhine é\n*** End Patch"
_SECONDS = 60.0


def said_last(received: Received) -> str:
    """Return what a model is asked to go on from, in either format."""
    body = received.json
    last = body["messages"][-1]["content"][-1] if "messages" in body else body["input"][-1]
    return json.dumps(last)


# What is answered to what was said last.
_ANSWERS = {
    "Run it.": message([thinking("Let me run it."), "I run it.", SHELL]),
    "canary-23": text("It says canary-23."),
    "Script it.": tool_use("exec", {"input": SCRIPT}),
    "Patch it.": tool_use("apply_patch", {"input": PATCH}),
    "river.txt": text("It is there."),
    "Delegate it.": tool_use("multi_agent_v1__spawn_agent", {"message": "Say it."}),
    "Hello there.": text("The agent says hello."),
    "CHECKPOINT COMPACTION": text("So far: an agent said hello."),
    "Fail.": error(400, message="A fault of the test's."),
}


def answer(received: Received) -> Answer:
    last = said_last(received)
    if started := re.search(r"agent_id\W+([\w-]+)", last):
        return tool_use("multi_agent_v1__wait_agent", {"targets": [started[1]]})
    found = [answer for said, answer in _ANSWERS.items() if said in last]
    return found[0] if found else text("Hello there.")


@pytest.fixture
def claude() -> Iterator[FakeUpstream]:
    with FakeUpstream(api_key=UPSTREAM_KEY) as upstream:
        upstream.answer_with(answer)
        yield upstream


@pytest.fixture
def gpt() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key=UPSTREAM_KEY) as upstream:
        # Codex sends what no page of OpenAI's tells of.
        upstream.on("POST", "/v1/responses", *[answer] * 9)
        yield upstream


@pytest.fixture
def gateway(claude: FakeUpstream, gpt: FakeOpenAI, tmp_path: Path) -> Iterator[Gateway]:
    deployments = {
        "claude": {"provider": "anthropic", "base_url": claude.url, "model": "claude-opus-5-5"},
        "gpt": {"provider": "openai", "base_url": f"{gpt.url}/v1", "model": "gpt-5.4"},
    }
    config: dict[str, Any] = {
        "deployments": {
            name: {**deployment, "api_key": UPSTREAM_KEY}
            for name, deployment in deployments.items()
        },
        # Of what Codex asks nothing is lost, unless it takes Claude for one that it knows.
        "aliases": {
            "team-sonnet": {"deployments": "claude", "strict": True},
            KNOWN: "claude",
            SCRIPTING: "claude",
            "team-gpt": "gpt",
        },
        "server": {"master_key": MASTER_KEY},
    }
    (tmp_path / "gateway").mkdir()
    with Gateway("", tmp_path / "gateway", json.dumps(config)) as running:
        yield running
        assert "Traceback" not in running.log


class Codex:
    """The client, with a home and a folder of its own."""

    def __init__(self, program: Path, folder: Path, url: str, model: str) -> None:
        self._program = program
        self._home = folder / "home"
        self.folder = folder / "work"
        self.folder.mkdir()
        (self._home / ".codex").mkdir(parents=True)
        config = configuration().replace("team-sonnet", model).replace(ADDRESS, url)
        (self._home / ".codex" / "config.toml").write_text(config, "utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Ask once; return the status, the last message and all that it has printed."""
        last = self._home / "last.txt"
        last.unlink(missing_ok=True)
        everything = "--dangerously-bypass-approvals-and-sandbox"
        done = subprocess.run(
            [self._program, "exec", *arguments, "--skip-git-repo-check", everything, "-o", last],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._home), "LLMROUTE_KEY": MASTER_KEY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        shown = done.stdout + done.stderr
        sys.stdout.write(shown)
        return done.returncode, last.read_text("utf-8") if last.exists() else "", shown


def configuration() -> str:
    """Return the `config.toml` of the page."""
    tokens = MarkdownIt().parse(PAGE.read_text("utf-8"))
    (found,) = [token.content for token in tokens if token.info == "toml codex"]
    return found


def test_a_session_in_front_of_claude(
    codex: Path, gateway: Gateway, claude: FakeUpstream, tmp_path: Path
) -> None:
    client = Codex(codex, tmp_path, gateway.url, "team-sonnet")

    status, last, shown = client.run("Run it.")
    assert (0, "It says canary-23.") == (status, last)
    assert "Let me run it." in shown
    status, last, _ = client.run("resume", "--last", "Good bye.")
    assert (0, "Hello there.") == (status, last)

    first, second, third = [each.json for each in claude.requests]
    assert "claude-opus-5-5" == first["model"]
    assert {"type": "adaptive", "display": "summarized"} == first["thinking"]
    said, result = second["messages"][-2:]
    assert ["thinking", "text", "tool_use"] == [block["type"] for block in said["content"]]
    assert {"thinking": "Let me run it."}.items() <= said["content"][0].items()
    assert said["content"][0]["signature"]
    assert "canary-23" in json.dumps(result)
    # What was said stays as it is, and so in the cache.
    for earlier, later in ((first, second), (second, third)):
        assert (earlier["system"], earlier["tools"]) == (later["system"], later["tools"])
        before = unmarked(earlier["messages"])
        assert before == unmarked(later["messages"])[: len(before)]
    assert {"type": "ephemeral"} == third["messages"][-1]["content"][-1]["cache_control"]


def unmarked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **turn,
            "content": [
                {name: value for name, value in block.items() if name != "cache_control"}
                for block in turn["content"]
            ],
        }
        for turn in messages
    ]


def test_a_patch_in_front_of_claude(
    codex: Path, gateway: Gateway, claude: FakeUpstream, tmp_path: Path
) -> None:
    client = Codex(codex, tmp_path, gateway.url, KNOWN)
    status, last, _ = client.run("Patch it.")

    assert (0, "It is there.") == (status, last)
    assert "Rhine é\n" == (client.folder / "river.txt").read_text("utf-8")
    use = claude.requests[1].json["messages"][-2]["content"][-1]
    assert ("apply_patch", {"input": PATCH}) == (use["name"], use["input"])


def test_a_script_in_front_of_claude(
    codex: Path, gateway: Gateway, claude: FakeUpstream, tmp_path: Path
) -> None:
    status, last, _ = Codex(codex, tmp_path, gateway.url, SCRIPTING).run("Script it.")

    assert (0, "It says canary-23.") == (status, last)
    use = claude.requests[1].json["messages"][-2]["content"][-1]
    assert ("exec", {"input": SCRIPT}) == (use["name"], use["input"])


def test_an_agent_and_a_compaction_in_front_of_claude(
    codex: Path, gateway: Gateway, claude: FakeUpstream, tmp_path: Path
) -> None:
    client = Codex(codex, tmp_path, gateway.url, "team-sonnet")

    status, last, _ = client.run("Delegate it.")
    assert (0, "The agent says hello.") == (status, last)
    assert 1 == len([each for each in claude.requests if "Say it." in said_last(each)])
    compact = ("-c", "model_auto_compact_token_limit=5")
    status, last, shown = client.run("resume", "--last", *compact, "Good bye.")
    assert (0, "Hello there.") == (status, last)
    assert "context compacted" in shown
    kept = claude.requests[-1].json["messages"]
    assert "So far: an agent said hello." in json.dumps(kept)
    assert "tool_use" not in json.dumps(kept)


def test_a_session_in_front_of_its_own_format(
    codex: Path, gateway: Gateway, gpt: FakeOpenAI, tmp_path: Path
) -> None:
    client = Codex(codex, tmp_path, gateway.url, "team-gpt")

    status, last, shown = client.run("Run it.")
    assert (0, "It says canary-23.") == (status, last)
    assert "Let me run it." in shown
    status, last, _ = client.run("resume", "--last", "Good bye.")
    assert (0, "Hello there.") == (status, last)

    first, second, third = [each.json for each in gpt.requests]
    assert "gpt-5.4" == first["model"]
    assert "client_metadata" in first
    kinds = [item["type"] for item in second["input"][len(first["input"]) :]]
    assert ["reasoning", "message", "function_call", "function_call_output"] == kinds
    kept = [item for item in third["input"] if item["type"] == "reasoning"]
    assert set(gpt.reasoning.values()) == {item["encrypted_content"] for item in kept}


def test_an_error_is_told(
    codex: Path, gateway: Gateway, claude: FakeUpstream, tmp_path: Path
) -> None:
    status, _, shown = Codex(codex, tmp_path, gateway.url, "team-sonnet").run("Fail.")

    assert status != 0
    assert "A fault of the test's." in shown
    assert 1 == len(claude.requests)
