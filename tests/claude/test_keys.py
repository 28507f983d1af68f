"""The real Claude Code with a key of its own: what it may not ask for, it is told at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmroute.testing import FakeUpstream

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway

pytestmark = [pytest.mark.claude, pytest.mark.timeout(240)]

KEY = "sk-claude-canary-0123456789"
HI = ("-p", "Say hi.", "--session-id", SESSION)


@pytest.fixture
def upstream(machine: Machine) -> Iterator[FakeUpstream]:
    machine.wipe()
    with FakeUpstream(api_key=UPSTREAM_KEY) as fake:
        fake.default = "All done."
        yield fake


def proxy(machine: Machine, upstream: FakeUpstream, **key: Any) -> Gateway:
    account = {"provider": "anthropic", "base_url": upstream.url, "api_key": UPSTREAM_KEY}
    config = {
        "deployments": {"one": account},
        "aliases": {"claude-*": "one"},
        "keys": {"ann": {"key": KEY, **key}},
        "server": {"master_key": MASTER_KEY, "log": "json"},
        "database": "none",
    }
    return Gateway("", machine.folder, json.dumps(config))


def run(machine: Machine, gateway: Gateway, *arguments: str, below: str = "") -> Run:
    env = {"ANTHROPIC_AUTH_TOKEN": KEY}
    return machine.run(gateway.url + below, env, *HI, *arguments, seconds=100.0)


def statuses(gateway: Gateway) -> list[int]:
    """Return how each call of the client's ended."""
    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [each["status"] for each in lines if each.get("endpoint") == "messages"]


@pytest.mark.parametrize("below", ["", "/anthropic"])
def test_another_model_is_refused_after_one_attempt_with_the_ones_it_may_ask_for(
    machine: Machine, upstream: FakeUpstream, below: str
) -> None:
    with proxy(machine, upstream, aliases=["claude-haiku-*"]) as gateway:
        done = run(machine, gateway, "--model", "claude-opus-4-8", below=below)

        assert 1 == done.status
        assert [] == done.retries
        assert {403} == set(statuses(gateway))
        assert "The key 'ann' may not ask for 'claude-opus-4-8'" in done.result
        assert "It may ask for: claude-haiku-*." in done.result
        assert "Please run /login" not in done.result
        assert [] == upstream.requests


def test_its_own_model_is_answered(machine: Machine, upstream: FakeUpstream) -> None:
    with proxy(machine, upstream, aliases=["claude-haiku-*"]) as gateway:
        done = run(machine, gateway, "--model", "claude-haiku-4-5")

        assert (0, "All done.") == (done.status, done.result)
        assert all(KEY not in str(received.headers) for received in upstream.requests)


def test_a_key_that_nobody_made_is_said_to_be_one(machine: Machine, upstream: FakeUpstream) -> None:
    with proxy(machine, upstream) as gateway:
        env = {"ANTHROPIC_AUTH_TOKEN": "sk-of-another-proxy"}
        done = machine.run(gateway.url, env, *HI, seconds=100.0)

        assert 1 == done.status
        assert "The key that was sent is not one of this llmroute proxy's." in done.result
        assert "Please run /login" not in done.result


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param({"blocked": True}, "The key 'ann' is blocked.", id="blocked"),
        pytest.param({"expires": "2020-01-01"}, "The key 'ann' ended on 2020-01-01", id="ended"),
    ],
)
def test_a_key_that_is_taken_no_more_says_why_after_one_attempt(
    machine: Machine, upstream: FakeUpstream, key: dict[str, Any], words: str
) -> None:
    with proxy(machine, upstream, **key) as gateway:
        done = run(machine, gateway)

        assert 1 == done.status
        assert [] == done.retries
        assert words in done.result
        assert [] == upstream.requests
