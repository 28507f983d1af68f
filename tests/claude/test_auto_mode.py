"""Auto mode of the real Claude Code, with a model behind it whose upstream judges no tool calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from llmroute.testing import Answer, FakeChat, FakeUpstream, Received, error, text, tool_use

from .client import Machine
from .gateway import LLMROUTE, MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import BEARER, DONE
from .test_doors import bedrock, foundry, vertex

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

WORKS_IT_OUT = tool_use("Bash", {"command": "python3 -c 'print(6 * 7)'"}, id="call_a")
JUDGED = {"routing": {"safeguards": {"classifier": "judge"}}}
JUDGE = ("judge", {"verdicts"})
# To the client's own classifier, which is asked for a number of dangers.
HARMLESS = text("<severity>0</severity>")


def verdict(outcome: str) -> Answer:
    entry = {"number": 1, "explanation": "Too bold for this folder.", "outcome": outcome}
    return tool_use("verdicts", {"verdicts": [entry]})


def answering(judgement: Answer) -> Callable[[Received], Answer]:
    """Answer the client with a command, and whoever asks for a judgement with that."""

    def answer(received: Received) -> Answer:
        body = received.json
        tools = {tool["function"]["name"] for tool in body.get("tools", [])}
        if body["model"] == "judge" or "Bash" not in tools:
            return judgement
        done = any(message["role"] == "tool" for message in body["messages"])
        return DONE if done else WORKS_IT_OUT

    return answer


class Outing(NamedTuple):
    """What came of the command, and who was asked for what."""

    result: str
    failed: bool
    asked: list[tuple[str, set[str]]]


def config_for(server: FakeChat, claude: FakeUpstream | None) -> dict[str, Any]:
    """Put a model behind Chat Completions, as the fallback of Claude if there is one."""
    chat = {"provider": "openai_compatible", "base_url": server.url, "api_key": UPSTREAM_KEY}
    deployments = {"chat": {**chat, "model": "qwen"}, "judge": {**chat, "model": "judge"}}
    aliases: dict[str, Any] = {"claude-*": "chat", "judge": "judge"}
    if claude is not None:
        account = {"provider": "anthropic", "base_url": claude.url, "api_key": UPSTREAM_KEY}
        deployments["claude"] = account
        aliases |= {"claude-*": {"deployments": "claude", "fallbacks": ["chat"]}, "chat": "chat"}
    return {
        "deployments": deployments,
        "aliases": aliases,
        "server": {"master_key": MASTER_KEY},
    }


def direct(_: str) -> Mapping[str, str]:
    return BEARER


def outing(
    machine: Machine,
    judgement: Answer,
    settings: Mapping[str, Any] = JUDGED,
    *,
    env: Callable[[str], Mapping[str, str]] = direct,
    claude: FakeUpstream | None = None,
    launched: bool = False,
) -> Outing:
    """Let the client have a command run; it is started by `llmroute claude` if `launched`."""
    machine.wipe()
    with FakeChat(api_key=UPSTREAM_KEY) as server:
        server.answer_with(answering(judgement))
        config = config_for(server, claude) | settings
        with Gateway("", machine.folder, json.dumps(config)) as gateway:
            config["server"]["port"] = int(gateway.url.rpartition(":")[2])
            own = machine.folder / "own.yaml"
            own.write_text(json.dumps(config))
            launcher = [LLMROUTE, "claude", "--config", str(own), "--"] if launched else []
            asks = ("-p", "Work it out.", "--permission-mode", "auto")
            run = machine.run(gateway.url, env(gateway.url), *asks, launcher=launcher)
            assert "Traceback" not in gateway.log
        assert ("All done.", 0) == (run.result, run.status)
        asked = [
            (body["model"], {tool["function"]["name"] for tool in body.get("tools", [])})
            for body in (received.json for received in server.requests)
        ]
    told = [event["message"]["content"][0] for event in run.events if event["type"] == "user"]
    (result,) = (block for block in told if block["type"] == "tool_result")
    return Outing(str(result["content"]), bool(result.get("is_error")), asked)


FLAGGED = verdict("flagged")
DENIED = "Reason: Too bold for this folder. "
OUTINGS = [
    pytest.param(verdict("not_flagged"), JUDGED, "42", False, id="let-pass"),
    pytest.param(FLAGGED, JUDGED, DENIED, True, id="denied"),
    pytest.param(
        text("I cannot say."), JUDGED, "classifier gave no verdict (error)", True, id="undecided"
    ),
    pytest.param(DONE, {}, "its safety check does not run", True, id="without-a-classifier"),
]


@pytest.mark.parametrize(("judgement", "settings", "said", "failed"), OUTINGS)
def test_a_command_in_auto_mode(
    machine: Machine, judgement: Answer, settings: dict[str, Any], said: str, failed: bool
) -> None:
    found = outing(machine, judgement, settings)

    assert (True, failed) == (said in found.result, found.failed), found.result
    assert bool(settings) == (JUDGE in found.asked)


@pytest.mark.parametrize("mode", [bedrock, vertex, foundry])
def test_the_verdict_reaches_a_client_in_the_mode_of_a_cloud(
    machine: Machine, mode: Callable[[str], dict[str, str]]
) -> None:
    model = {"ANTHROPIC_MODEL": "claude-opus-5-5"}
    found = outing(machine, FLAGGED, env=lambda url: mode(url) | model)

    assert (True, True) == (DENIED in found.result, found.failed), found.result
    assert JUDGE in found.asked


def test_a_model_that_is_fallen_back_to_is_judged(machine: Machine) -> None:
    with FakeUpstream(api_key=UPSTREAM_KEY) as claude:
        claude.default = error(529)
        found = outing(machine, FLAGGED, claude=claude)

    assert claude.requests
    assert (True, True) == (DENIED in found.result, found.failed), found.result
    assert JUDGE in found.asked


def test_a_client_that_llmroute_starts_checks_itself_where_nobody_else_does(
    machine: Machine,
) -> None:
    found = outing(machine, HARMLESS, {}, env=lambda _: {}, launched=True)

    assert ("42", False) == (found.result, found.failed)
    assert JUDGE not in found.asked
