"""The real Claude Code, in its default mode, with its models at a strict Vertex AI and Foundry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from llmroute.testing import (
    FakeEntra,
    FakeFoundry,
    FakeVertex,
    azure_error,
    error,
    google_error,
    message,
    text,
    thinking,
    tool_use,
)

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, Gateway
from .journey import BEARER, DONE
from .script import delegating

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]


class Cloud(NamedTuple):
    """A fake, the deployment that is there, and what counts the tokens that were given."""

    fake: FakeVertex | FakeFoundry
    deployment: dict[str, Any]
    given: Callable[[], int]

    def refused(self) -> list[str]:
        """Return the paths of the requests that were answered with an error."""
        return [
            received.path
            for received in self.fake.requests
            if b'"error":{' in received.sent and b'"type":"message' not in received.sent
        ]


@pytest.fixture(params=["vertex", "foundry"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "vertex":
        with FakeVertex() as vertex:
            vertex.default = DONE
            deployment = {
                "provider": "vertex",
                "base_url": vertex.url,
                "credentials": vertex.service_account(),
            }
            yield Cloud(vertex, deployment, lambda: vertex.given)
    else:
        with FakeFoundry() as foundry, FakeEntra(foundry) as entra:
            foundry.default = DONE
            deployment = {
                "provider": "foundry",
                "base_url": foundry.url,
                "authority": entra.url,
                "tenant_id": "fake-tenant",
                "client_id": "fake-client",
                "client_secret": "fake-secret",
            }
            yield Cloud(foundry, deployment, lambda: entra.given)


def held(
    machine: Machine,
    cloud: Cloud,
    *turns: tuple[str, ...],
    between: Callable[[], None] = lambda: None,
) -> Run:
    """Hold a conversation through the proxy; return its last turn."""
    config = {
        "deployments": {"cloud": cloud.deployment},
        "aliases": {"claude-*": "cloud"},
        "server": {"master_key": MASTER_KEY},
    }
    machine.wipe()
    run = None
    with Gateway("", machine.folder, json.dumps(config)) as gateway:
        for turn in turns:
            same = ("--resume", SESSION) if run else ("--session-id", SESSION)
            if run:
                between()
            run = machine.run(gateway.url, BEARER, *turn, *same)
        assert "Traceback" not in gateway.log
        assert "fake-secret" not in gateway.log
        assert "PRIVATE KEY" not in gateway.log
    assert run is not None
    return run


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-4-5-20251001"])
def test_a_conversation_with_a_tool(machine: Machine, cloud: Cloud, model: str) -> None:
    use = tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="toolu_1")
    cloud.fake.answer(message([thinking("A command."), "I run it.", use]))
    run = held(
        machine,
        cloud,
        ("-p", "Run it.", "--allowedTools", "Bash", "--model", model),
        ("-p", "And again.", "--model", model),
    )

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert [] == cloud.refused()
    assert any(b"six times 42" in received.body for received in cloud.fake.requests)
    assert 1 == cloud.given()


def test_a_subagent(machine: Machine, cloud: Cloud) -> None:
    cloud.fake.answer_with(delegating(background=False))
    run = held(machine, cloud, ("-p", "Delegate it."))

    assert ("All done.", []) == (run.result, run.retries)
    assert [] == cloud.refused()


def test_a_tool_that_is_searched_for(machine: Machine, cloud: Cloud) -> None:
    cloud.fake.answer(tool_use("ToolSearch", {"query": "select:WebFetch"}, id="toolu_1"))
    run = held(machine, cloud, ("-p", "Say hi."))

    assert ("All done.", []) == (run.result, run.retries)
    assert [] == cloud.refused()


def test_a_prompt_that_is_too_long_is_compacted(machine: Machine, cloud: Cloud) -> None:
    summary = text("<analysis>Short.</analysis>\n<summary>We greeted each other.</summary>")
    too_long = error(400, message="prompt is too long: 210000 tokens > 200000 maximum")
    cloud.fake.answer(DONE, DONE, too_long, summary)
    run = held(machine, cloud, ("-p", "Say hi."), ("-p", "And again."), ("-p", "And once more."))

    assert "All done." == run.result
    assert b"We greeted each other." in cloud.fake.requests[-1].body


def test_a_request_over_the_quota_is_repeated(machine: Machine, cloud: Cloud) -> None:
    over = {
        "FakeVertex": google_error(429, "Quota exceeded", in_list=True),
        "FakeFoundry": azure_error(429, "Rate limit is exceeded"),
    }
    cloud.fake.answer(over[type(cloud.fake).__name__])
    run = held(machine, cloud, ("-p", "Say hi."))

    assert ("All done.", [429]) == (run.result, run.retries)


def test_an_error_in_mid_stream_is_recovered_from(machine: Machine, cloud: Cloud) -> None:
    cloud.fake.answer(text("Hello there.").fail("overloaded_error", "busy", after_events=4))
    run = held(machine, cloud, ("-p", "Say hi."))

    assert "All done." == run.result


def test_a_token_that_is_revoked_in_mid_session_is_replaced(machine: Machine, cloud: Cloud) -> None:
    run = held(machine, cloud, ("-p", "Say hi."), ("-p", "Again."), between=cloud.fake.tokens.clear)

    assert ("All done.", []) == (run.result, run.retries)
    assert 2 == cloud.given()


def test_token_counts(machine: Machine, cloud: Cloud) -> None:
    run = held(machine, cloud, ("-p", "/context"))

    assert "Context Usage" in run.result
    assert [] == cloud.refused()
    assert any("count" in received.path for received in cloud.fake.requests)
