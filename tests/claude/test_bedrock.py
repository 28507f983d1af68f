"""The real Claude Code, in its default mode, with its models at a strict Bedrock."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmroute.testing import (
    Answer,
    FakeBedrock,
    FakeSts,
    Received,
    aws_error,
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

OPUS = "us.anthropic.claude-opus-5-5"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
SECRET = "fake-secret"
KEYS = {"access_key_id": "AKIAFAKE", "secret_access_key": SECRET}


def config_for(bedrock: FakeBedrock, model: str, **settings: Any) -> str:
    amazon = {
        "provider": "bedrock",
        "base_url": bedrock.url,
        "region": bedrock.region,
        "model": model,
        **KEYS,
        **settings,
    }
    return json.dumps(
        {
            "deployments": {"amazon": amazon},
            "aliases": {"claude-*": "amazon"},
            "server": {"master_key": MASTER_KEY},
        }
    )


def held(
    machine: Machine,
    bedrock: FakeBedrock,
    *turns: tuple[str, ...],
    model: str = OPUS,
    between: Callable[[], None] = lambda: None,
    **settings: Any,
) -> Run:
    """Hold a conversation through the proxy; return its last turn."""
    machine.wipe()
    run = None
    with Gateway("", machine.folder, config_for(bedrock, model, **settings)) as gateway:
        for turn in turns:
            same = ("--resume", SESSION) if run else ("--session-id", SESSION)
            if run:
                between()
            run = machine.run(gateway.url, BEARER, *turn, *same)
        assert "Traceback" not in gateway.log
        assert SECRET not in gateway.log
    assert run is not None
    return run


@pytest.fixture
def bedrock() -> Any:
    with FakeBedrock() as fake:
        fake.default = DONE
        yield fake


def refused(bedrock: FakeBedrock) -> list[Received]:
    """Return the requests that the upstream answered with an exception."""
    return [received for received in bedrock.requests if b'{"message"' in received.sent]


@pytest.mark.parametrize("model", [OPUS, HAIKU])
def test_a_conversation_with_a_tool(machine: Machine, bedrock: FakeBedrock, model: str) -> None:
    use = tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="toolu_1")
    bedrock.answer(message([thinking("A command."), "I run it.", use]))
    run = held(
        machine,
        bedrock,
        ("-p", "Run it.", "--allowedTools", "Bash"),
        ("-p", "And again."),
        model=model,
    )

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert [] == refused(bedrock)
    assert any(b"six times 42" in received.body for received in bedrock.requests)
    assert all(
        received.path.endswith(("-with-response-stream", "/invoke", "/count-tokens"))
        for received in bedrock.requests
    )


def test_a_subagent(machine: Machine, bedrock: FakeBedrock) -> None:
    answer = delegating(background=False)

    def answered(received: Received) -> Answer:
        return answer(received)

    bedrock.answer_with(answered)
    run = held(machine, bedrock, ("-p", "Delegate it."))

    assert ("All done.", []) == (run.result, run.retries)
    assert [] == refused(bedrock)


def test_a_prompt_that_is_too_long_is_compacted(machine: Machine, bedrock: FakeBedrock) -> None:
    summary = text("<analysis>Short.</analysis>\n<summary>We greeted each other.</summary>")
    too_long = aws_error("ValidationException", "Input is too long for requested model.")
    bedrock.answer(DONE, DONE, too_long, summary)
    run = held(machine, bedrock, ("-p", "Say hi."), ("-p", "And again."), ("-p", "And once more."))

    assert "All done." == run.result
    assert b"We greeted each other." in bedrock.requests[-1].body


def test_a_throttled_request_is_repeated(machine: Machine, bedrock: FakeBedrock) -> None:
    bedrock.answer(aws_error("ThrottlingException", "Too many requests"))
    run = held(machine, bedrock, ("-p", "Say hi."))

    assert ("All done.", [429]) == (run.result, run.retries)


def test_an_exception_in_mid_stream_is_recovered_from(
    machine: Machine, bedrock: FakeBedrock
) -> None:
    bedrock.answer(text("Hello there.").fail("overloaded_error", "busy", after_events=4))
    run = held(machine, bedrock, ("-p", "Say hi."))

    assert "All done." == run.result


def test_credentials_that_expire_in_mid_session_are_renewed(
    machine: Machine, bedrock: FakeBedrock
) -> None:
    with FakeSts(bedrock) as sts:

        def expire() -> None:
            for name, key in bedrock.keys.items():
                if key.token:
                    bedrock.keys[name] = key._replace(expires=1.0)

        run = held(
            machine,
            bedrock,
            ("-p", "Say hi."),
            ("-p", "And again."),
            between=expire,
            role_arn="arn:aws:iam::123456789012:role/gateway",
            sts_endpoint=sts.url,
        )

    assert ("All done.", []) == (run.result, run.retries)
    assert 2 <= len(sts.assumed)
