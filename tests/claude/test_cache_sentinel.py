"""The real Claude Code's sessions: no alarm while nothing breaks, and each break by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.usage.prompt_cache import PromptCache

from llmroute.database import open_database
from llmroute.testing import Answer, FakeUpstream, Received, error, message, tool_use
from llmroute.usage.cache_report import CacheTurn, session_cache

from .client import SESSION, Machine
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import BEARER, is_of_a_subagent

pytestmark = [pytest.mark.claude, pytest.mark.timeout(180)]

HI = ("-p", "Say hi.")
RUN = ("-p", "Run it.", "--allowedTools", "Bash")
DELEGATE = ("-p", "Delegate it.", "--allowedTools", "Bash")
AGAIN = ("-p", "And again.")
_TASK = {"description": "look", "prompt": "Look.", "subagent_type": "general-purpose"}


class Cached:
    """An upstream with a prompt cache, that answers by what has been said."""

    def __init__(self) -> None:
        self.upstream = FakeUpstream(api_key=UPSTREAM_KEY)
        self.cache = PromptCache(minimum=512, tokens_of=lambda data: len(data) // 4 + 1)
        self.upstream.answer_with(self._answer)

    def _answer(self, received: Received) -> Answer:
        return message(_said(received), usage=self.cache.usage(received.json))


def _said(received: Received) -> Any:
    body = received.body
    if is_of_a_subagent(received):
        if b"toolu_look" in body:
            return "I have looked."
        return tool_use("Bash", {"command": "echo a look"}, id="toolu_look")
    if b"tasked with summarizing" in body or b"summary of the conversation" in body:
        return "<analysis>Short.</analysis>\n<summary>We greeted each other.</summary>"
    if b"Delegate it." in body and b"toolu_agent" not in body:
        return tool_use("Agent", {**_TASK, "run_in_background": False}, id="toolu_agent")
    if b"Run it." in body and b"toolu_run" not in body:
        return tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="toolu_run")
    return "All done."


class House:
    """Two deployments, the proxy before them, and a session of the client."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.upstreams = {"one": Cached(), "two": Cached()}
        self._url = f"sqlite:///{machine.folder}/usage.db"

    def config(self) -> str:
        deployments = {
            name: {"provider": "anthropic", "base_url": each.upstream.url, "api_key": UPSTREAM_KEY}
            for name, each in self.upstreams.items()
        }
        return json.dumps(
            {
                "deployments": deployments,
                "aliases": {"claude-*": [*deployments]},
                "database": self._url,
                "server": {"master_key": MASTER_KEY},
            }
        )

    def travel(self, gateway: Gateway, *runs: Sequence[str], **env: str) -> None:
        """Have the session's next turns."""
        for run in runs:
            known = (self.machine.home / ".claude" / "projects").exists()
            same = ("--resume", SESSION) if known else ("--session-id", SESSION)
            done = self.machine.run(gateway.url, {**BEARER, **env}, *run, *same)
            assert 0 == done.status, done.stderr

    def turns(self) -> list[CacheTurn]:
        """Return what is written down of the session, once the proxy has ended."""
        database = open_database(self._url)
        try:
            found = database.read_now(lambda connection: session_cache(connection, SESSION))
        finally:
            database.dispose()
        assert found is not None
        return list(found.turns)


@pytest.fixture
def house(machine: Machine) -> Iterator[House]:
    machine.wipe()
    house = House(machine)
    with house.upstreams["one"].upstream, house.upstreams["two"].upstream:
        yield house


def _breaks(turns: Sequence[CacheTurn]) -> list[tuple[str, str, str]]:
    return [(turn.change, turn.by, turn.where) for turn in turns if turn.is_break]


def test_a_whole_session_with_tools_and_a_subagent_breaks_nothing(house: House) -> None:
    with Gateway("", house.machine.folder, house.config()) as gateway:
        house.travel(gateway, HI, RUN, DELEGATE, AGAIN)
        assert "cache_break" not in gateway.log

    turns = house.turns()
    main = [turn.change for turn in turns if not turn.agent]
    beside = [turn.change for turn in turns if turn.agent]
    assert ["first", "grew"] == beside
    assert "first" == main[0]
    assert {"grew"} == set(main[1:])
    assert [] == [turn for turn in turns if turn.lost]


def test_a_compaction_breaks_nothing(house: House) -> None:
    with Gateway("", house.machine.folder, house.config()) as gateway:
        house.travel(gateway, HI, AGAIN, ("-p", "/compact"), AGAIN)
        assert "cache_break" not in gateway.log

    turns = house.turns()
    assert [] == _breaks(turns)
    assert "compacted" in [turn.change for turn in turns]


def test_a_deployment_that_fails_is_named(house: House) -> None:
    with Gateway("", house.machine.folder, house.config()) as gateway:
        house.travel(gateway, HI)
        house.upstreams["one"].upstream.on("POST", "/v1/messages", error(529))
        house.travel(gateway, AGAIN, AGAIN)
        assert 'cache_break="moved by failover: one' in gateway.log

    turns = house.turns()
    assert ["first", "moved", "grew"] == [turn.change for turn in turns]
    assert [("moved", "failover", "one → two")] == _breaks(turns)
    assert turns[1].lost > 1000
    assert (turns[1].lost_cost or 0) > 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {"run": AGAIN, "env": {"DISABLE_PROMPT_CACHING": "1"}},
            ("no marks", "client"),
            id="caching-turned-off",
        ),
        pytest.param(
            {"run": (*AGAIN, "--disallowedTools", "Bash")}, ("tools", "client"), id="a-tool-less"
        ),
        pytest.param(
            {"run": (*AGAIN, "--model", "claude-opus-4-8")}, ("model", "client"), id="a-model"
        ),
        pytest.param({"forget": True, "run": AGAIN}, ("upstream", "upstream"), id="forgetting"),
    ],
)
def test_what_breaks_a_cache_is_named(
    house: House, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    with Gateway("", house.machine.folder, house.config()) as gateway:
        house.travel(gateway, HI, AGAIN)
        if change.get("forget"):
            house.upstreams["one"].cache.forget()
        house.travel(gateway, change["run"], **change.get("env", {}))

    turns = house.turns()
    assert [expected] == [each[:2] for each in _breaks(turns)], turns
    assert turns[-1].is_break
