"""What the real Claude Code does when OpenAI fails."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from llmroute.testing import (
    FakeOpenAI,
    error,
    openai_error,
    text,
)

from .client import Machine, Run
from .gateway import MASTER_KEY, Gateway
from .journey import BEARER, DONE

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

KEY = "sk-openai-canary-3"


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key=KEY) as fake:
        fake.default = DONE
        yield fake


def prompted(machine: Machine, openai: FakeOpenAI) -> Run:
    """Have the client ask once, through the proxy."""
    own = {"provider": "openai", "base_url": f"{openai.url}/v1", "api_key": KEY, "model": "gpt-5.4"}
    config = {
        "deployments": {"own": own},
        "aliases": {"claude-*": "own"},
        "server": {"master_key": MASTER_KEY},
    }
    machine.wipe()
    with Gateway("", machine.folder, json.dumps(config)) as gateway:
        run = machine.run(gateway.url, BEARER, "-p", "Say hi.")
        assert "Traceback" not in gateway.log
        assert KEY not in gateway.log
    return run


def test_a_request_over_the_rate_limit_is_repeated(machine: Machine, openai: FakeOpenAI) -> None:
    openai.answer(openai_error(429, "Slow.", code="rate_limit_exceeded"))
    run = prompted(machine, openai)

    assert ("All done.", [429]) == (run.result, run.retries)


def test_an_error_in_mid_stream_is_recovered_from(machine: Machine, openai: FakeOpenAI) -> None:
    openai.answer(text("Hello there.").fail("server_error", "busy", after_events=6), error(500))
    run = prompted(machine, openai)

    assert "All done." == run.result
