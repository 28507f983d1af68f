"""The real Claude Code's sessions: what is written down of who asked, and what for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from llmroute.database import open_database
from llmroute.database.schema import calls
from llmroute.testing import Answer, FakeUpstream, Received, message, tool_use

from .client import SESSION, Machine
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .install import VERSION
from .journey import BEARER, is_of_a_subagent

pytestmark = [pytest.mark.claude, pytest.mark.timeout(240)]

RUNS = [
    ("-p", "Look, and search.", "--allowedTools", "WebSearch"),
    ("-p", "/context"),
    ("-p", "/compact"),
    ("-p", "And again."),
]


def _said(received: Received) -> Any:
    body = received.body
    if is_of_a_subagent(received):
        is_inner = received.header("x-claude-code-parent-agent-id")
        return "I have looked." if is_inner or b"toolu_deeper" in body else _agent("deeper")
    if b"Perform a web search" in body:
        return "Nothing was found."
    if b"summary of the conversation" in body:
        return "<analysis>Short.</analysis>\n<summary>We have looked.</summary>"
    if b"Look, and search." not in body or b"toolu_search" in body:
        return "All done."
    if b"toolu_look" in body:
        return tool_use("WebSearch", {"query": "rivers of Europe"}, id="toolu_search")
    return _agent("look")


def _agent(name: str) -> Answer:
    task = {"description": name, "prompt": f"Go {name}.", "subagent_type": "general-purpose"}
    return tool_use("Agent", {**task, "run_in_background": False}, id=f"toolu_{name}")


@pytest.fixture
def upstream(machine: Machine) -> Iterator[FakeUpstream]:
    machine.wipe()
    with FakeUpstream(api_key=UPSTREAM_KEY) as fake:
        fake.answer_with(lambda received: message(_said(received)))
        yield fake


def _session(machine: Machine, upstream: FakeUpstream, **env: str) -> list[Any]:
    """Have a session, and return what is then in the database, in the order of its calls."""
    account = {"provider": "anthropic", "base_url": upstream.url, "api_key": UPSTREAM_KEY}
    url = f"sqlite:///{machine.folder}/usage.db"
    config = {
        "deployments": {"one": account},
        "aliases": {"claude-*": "one"},
        "server": {"master_key": MASTER_KEY},
        "database": url,
    }
    with Gateway("", machine.folder, json.dumps(config)) as gateway:
        for number, run in enumerate(RUNS):
            same = ("--resume", SESSION) if number else ("--session-id", SESSION)
            done = machine.run(gateway.url, {**BEARER, **env}, *run, *same)
            assert 0 == done.status, done.stderr
    database = open_database(url)
    try:
        asked = select(calls).order_by(calls.c.at)
        return list(database.read_now(lambda connection: connection.execute(asked).all()))
    finally:
        database.dispose()


@pytest.mark.parametrize(
    ("hints", "compaction"),
    [
        # A compaction looks like any other turn.
        pytest.param("0", "main", id="by its looks"),
        pytest.param("1", "compaction", id="as it says"),
    ],
)
def test_a_session_is_written_down_by_who_asked_and_what_for(
    machine: Machine, upstream: FakeUpstream, hints: str, compaction: str
) -> None:
    written = _session(machine, upstream, CLAUDE_CODE_GATEWAY_HINT_HEADERS=hints)

    asked = [call for call in written if call.endpoint == "messages"]
    counted = [call for call in written if call.endpoint == "count_tokens"]
    assert [
        *("main", "subagent", "subagent", "subagent", "main"),
        *("auxiliary", "main", compaction, "main"),
    ] == [call.kind for call in asked]
    assert counted
    assert {"auxiliary"} == {call.kind for call in counted}
    assert {(f"claude-cli/{VERSION}", SESSION)} == {(call.client, call.session) for call in written}

    agent, inner, again = [(call.agent, call.parent) for call in asked if call.agent]
    assert agent == again
    assert ("", agent[0]) == (agent[1], inner[1])
    assert inner[0] not in ("", agent[0])
