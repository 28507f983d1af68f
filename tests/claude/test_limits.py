"""The real Claude Code at a limit, a guard or a pause: it waits, or says why it has stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any, Self

import pytest

from llmroute.testing import Answer, FakeUpstream, Received, message, tool_use

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import is_of_a_subagent

pytestmark = [pytest.mark.claude, pytest.mark.timeout(240)]

KEY = "sk-ci-canary-0123456789"
HI = ("-p", "Say hi.")
AGAIN = ("-p", "And again.")
LOOP = ("-p", "Run it.", "--allowedTools", "Bash")
# At the prices of the model, some dollars.
DEAR = {"input_tokens": 500_000, "output_tokens": 1_000}


class House:
    """A proxy with one key, and a session of the client that presents it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._runs = 0
        self.upstream = FakeUpstream(api_key=UPSTREAM_KEY)
        self.upstream.default = "All done."

    def __enter__(self) -> Self:
        self._machine.wipe()
        self.upstream.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        self.upstream.__exit__(*args)

    def proxy(self, key: dict[str, Any] | None = None, **more: Any) -> Gateway:
        url = f"sqlite:///{self._machine.folder}/usage.db"
        config = {
            "deployments": {
                "one": {
                    "provider": "anthropic",
                    "base_url": self.upstream.url,
                    "api_key": UPSTREAM_KEY,
                    "model": "claude-sonnet-4-5",
                }
            },
            "aliases": {"claude-*": ["one"]},
            "keys": {"ci": {"key": KEY, **(key or {})}},
            "server": {"master_key": MASTER_KEY, "log": "json"},
            "database": url,
            **more,
        }
        return Gateway("", self._machine.folder, json.dumps(config))

    def run(self, gateway: Gateway, *arguments: str, seconds: float = 100.0) -> Run:
        same = ("--resume", SESSION) if self._runs else ("--session-id", SESSION)
        self._runs += 1
        env = {"ANTHROPIC_AUTH_TOKEN": KEY}
        return self._machine.run(gateway.url, env, *arguments, *same, seconds=seconds)


@pytest.fixture
def house(machine: Machine) -> Iterator[House]:
    with House(machine) as house:
        yield house


def manage(gateway: Gateway, method: str, below: str = "", body: Any = None) -> Any:
    """Ask the proxy's own pages."""
    sent = None if body is None else json.dumps(body).encode()
    headers = {"x-api-key": MASTER_KEY, "content-type": "application/json"}
    connection = HTTPConnection(gateway.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, f"/llmroute/pauses{below}", sent, headers)
        answer = connection.getresponse()
        assert 200 == answer.status
        return json.loads(answer.read())
    finally:
        connection.close()


def statuses(gateway: Gateway) -> list[int]:
    """Return how each call of the client's ended."""
    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [
        each["status"] for each in lines if each.get("endpoint") == "messages" and "key" in each
    ]


def going_in_circles(received: Received) -> Answer:
    """Answer with the same call of a tool, whatever was said before."""
    if is_of_a_subagent(received) or b"Run it." not in received.body:
        return message(["Well."])
    return message([tool_use("Bash", {"command": "echo again"})])


def delegating(received: Received) -> Answer:
    """Answer as one who has a subagent look, which never ends."""
    if is_of_a_subagent(received):
        return message([tool_use("Bash", {"command": "echo a look"})], usage=DEAR)
    if b"toolu_agent" in received.body:
        return message(["All done."])
    task = {"description": "look", "prompt": "Look.", "subagent_type": "general-purpose"}
    return message([tool_use("Agent", {**task, "run_in_background": False}, id="toolu_agent")])


def test_a_key_at_its_limit_waits_and_goes_on_by_itself(house: House) -> None:
    # A third more than the limit, so that there is no room at the beginning of the next minute
    # either, whenever that is.
    house.upstream.answer(message(["All done."], usage=DEAR))
    with house.proxy({"limits": {"tokens_per_minute": 376_000}}) as gateway:
        assert "All done." == house.run(gateway, *HI).result

        run = house.run(gateway, *AGAIN, seconds=150.0)

        assert "All done." == run.result
        assert 0 == run.status
        assert {429} == set(run.retries)
        # It waited for as long as it was told to, and did not knock all the time.
        assert 3 >= len(run.retries)
        assert 2 == len(house.upstream.requests)


def test_a_paused_key_is_told_so_after_one_attempt(house: House) -> None:
    with house.proxy() as gateway:
        assert "All done." == house.run(gateway, *HI).result
        manage(gateway, "POST", body={"subject": "ci", "reason": "The audit is on."})

        run = house.run(gateway, *AGAIN)

        assert 1 == run.status
        assert [] == run.retries
        assert [200, 429] == statuses(gateway)
        assert re.search(r"The key 'ci' is paused: The audit is on\. Ask whoever", run.result)
        assert "Failed to authenticate" not in run.result
        manage(gateway, "DELETE", "/ci")
        assert "All done." == house.run(gateway, "-p", "And once more.").result


def test_a_paused_session_is_told_so_after_one_attempt(house: House) -> None:
    with house.proxy() as gateway:
        manage(gateway, "POST", body={"subject": SESSION, "duration": "1h"})
        run = house.run(gateway, *HI)
        assert [] == run.retries
        assert re.search(rf"The session '{SESSION}' is paused until 2", run.result)
        assert [] == house.upstream.requests


def test_a_session_over_its_budget_stops_and_goes_on_when_it_is_resumed(house: House) -> None:
    house.upstream.default = message(["All done."], usage=DEAR)
    with house.proxy(guards={"session_budget": 1}) as gateway:
        assert "All done." == house.run(gateway, *HI).result

        run = house.run(gateway, *AGAIN)

        assert [] == run.retries
        assert re.search(
            rf"The session {SESSION} has spent \$\d\.\d\d of the \$1\.00 that one session may",
            run.result,
        )
        assert f"llmroute resume {SESSION}" in run.result
        assert 1 == len(house.upstream.requests)
        manage(gateway, "DELETE", f"/{SESSION}")
        assert "All done." == house.run(gateway, "-p", "And once more.").result


def test_a_conversation_in_circles_is_stopped(house: House) -> None:
    house.upstream.answer_with(going_in_circles)
    with house.proxy(guards={"repeated_tool_calls": 4}) as gateway:
        run = house.run(gateway, *LOOP)

        assert [] == run.retries
        assert [200, 200, 200, 200, 429] == statuses(gateway)
        assert "has called the tool 'Bash' 4 times in a row with the same input" in run.result
        # The person says something, and it goes on.
        house.upstream.answer_with(lambda _: message(["All done."]))
        assert "All done." == house.run(gateway, *AGAIN).result


def test_a_subagent_over_its_budget_ends_and_the_conversation_goes_on(house: House) -> None:
    house.upstream.answer_with(delegating)
    with house.proxy(guards={"subagent_budget": 1}) as gateway:
        run = house.run(gateway, "-p", "Delegate it.", "--allowedTools", "Bash")

        assert "All done." == run.result
        assert [200, 200, 429, 200] == statuses(gateway)
        told = house.upstream.requests[-1].body.decode()
        assert re.search(r"The subagent \w+ and those it has started have spent \$\d", told)
