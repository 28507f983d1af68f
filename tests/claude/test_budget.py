"""The real Claude Code and a budget: it is warned, it stops, and it goes on once there is more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from llmroute.testing import FakeUpstream, Received, text

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway

pytestmark = [pytest.mark.claude, pytest.mark.timeout(240)]

# Of a session that is signed in to a gateway: in no other are the headers of a budget read.
SIGNED_IN = {"CLAUDE_CODE_USE_GATEWAY": "1"}
# 30 cents, at 3 dollars for a million.
COST = {"input_tokens": 100_000, "output_tokens": 0}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream(api_key=UPSTREAM_KEY) as upstream:

        def answer(received: Received) -> Any:
            is_turn = b"Say hi." in received.body or b"And again." in received.body
            return text("All done.", usage=COST if is_turn else None)

        upstream.answer_with(answer)
        yield upstream


@pytest.fixture
def gateway(machine: Machine, upstream: FakeUpstream) -> Iterator[Gateway]:
    machine.wipe()
    config = {
        "deployments": {
            "one": {
                "provider": "anthropic",
                "base_url": upstream.url,
                "api_key": UPSTREAM_KEY,
                "model": "claude-sonnet-4-5",
            }
        },
        "aliases": {"claude-*": ["one"]},
        "server": {"master_key": MASTER_KEY, "log": "json"},
        "database": f"sqlite:///{machine.folder}/usage.db",
    }
    with Gateway("", machine.folder, json.dumps(config)) as gateway:
        yield gateway


def manage(gateway: Gateway, method: str, path: str, body: Any) -> Any:
    headers = {"x-api-key": MASTER_KEY, "content-type": "application/json"}
    connection = HTTPConnection(gateway.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        told = answer.read()
        assert 200 == answer.status, told
        return json.loads(told)
    finally:
        connection.close()


def key_with(gateway: Gateway, amount: float) -> str:
    budget = {"amount": amount, "period": "day", "message": "Ask Ada for more."}
    return str(
        manage(gateway, "POST", "/llmroute/keys", {"name": "bob", "budgets": [budget]})["key"]
    )


def statuses(gateway: Gateway) -> list[int]:
    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [each["status"] for each in lines if each.get("endpoint") == "messages"]


def run(machine: Machine, gateway: Gateway, env: dict[str, str], *arguments: str) -> Run:
    return machine.run(gateway.url, env, *arguments, seconds=100.0)


@pytest.mark.parametrize(
    "signed_in", [pytest.param({}, id="a base URL"), pytest.param(SIGNED_IN, id="a gateway")]
)
def test_a_session_stops_at_its_budget_and_goes_on_once_it_is_raised(
    machine: Machine, gateway: Gateway, signed_in: dict[str, str]
) -> None:
    env = {"ANTHROPIC_AUTH_TOKEN": key_with(gateway, 0.2), **signed_in}
    first = run(machine, gateway, env, "-p", "Say hi.", "--session-id", SESSION)
    assert "All done." == first.result
    before = len(statuses(gateway))

    over = run(machine, gateway, env, "-p", "And again.", "--resume", SESSION)

    assert [] == over.retries
    assert 429 in statuses(gateway)[before:]
    assert "The budget of the key 'bob' is spent: $0." in over.result
    assert "Ask Ada for more." in over.result
    raised = {"budgets": [{"amount": 50.0, "period": "day"}]}
    manage(gateway, "PATCH", "/llmroute/keys/bob", raised)
    after = run(machine, gateway, env, "-p", "And again.", "--resume", SESSION)
    assert "All done." == after.result


def test_a_session_is_warned_at_three_quarters(machine: Machine, gateway: Gateway) -> None:
    env = {"ANTHROPIC_AUTH_TOKEN": key_with(gateway, 0.39), **SIGNED_IN}
    first = run(machine, gateway, env, "-p", "Say hi.", "--session-id", SESSION)

    warned = run(machine, gateway, env, "-p", "And again.", "--resume", SESSION)

    assert ["allowed"] == [each["status"] for each in limits(first)]
    (told,) = limits(warned)
    assert "All done." == warned.result
    assert ("allowed_warning", 0.75, 0.77) == (
        told["status"],
        told["surpassedThreshold"],
        told["utilization"],
    )
    assert told["resetsAt"] % 86_400 == 0


def limits(run: Run) -> list[dict[str, Any]]:
    """Return what the client has understood of the headers."""
    return [
        each["rate_limit_info"] for each in run.events if each.get("type") == "rate_limit_event"
    ]


def test_usage_shows_what_is_left(machine: Machine, gateway: Gateway) -> None:
    env = {"ANTHROPIC_AUTH_TOKEN": key_with(gateway, 0.39), **SIGNED_IN}
    run(machine, gateway, env, "-p", "Say hi.", "--session-id", SESSION)

    shown = run(machine, gateway, env, "-p", "/usage", "--resume", SESSION)

    assert "Spend limit: $0.30 / $0.39 spent today (77%) · resets" in shown.result
