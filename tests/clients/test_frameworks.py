"""LangChain, pydantic-ai and the AI SDK, each as its page tells to set it up, before the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from tests.claude.gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from tests.clients.frameworks import ADDRESS, Program, blocks

from llmroute.testing import (
    Answer,
    FakeChat,
    FakeOpenAI,
    FakeUpstream,
    Received,
    error,
    message,
    text,
    thinking,
    tool_use,
)

THOUGHT = "Does it rain?"
OSLO = {"name": "Oslo", "people": 717710}
RAIN = {"results": ["It rains in Oslo."], "text": "Take an umbrella."}
USAGE = {"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 7}
COUNTED = {"input": 100, "cached": 80, "output": 7}

PATHS = {"claude": "/v1/messages", "qwen": "/v1/chat/completions", "gpt": "/v1/responses"}


class Case(NamedTuple):
    """A framework's client, and what is behind the proxy.

    Attributes:
        block: The name of the code that makes the client.
        behind: The upstream.
        refused: The class of what it raises for a status of 400.
        broken: Likewise for a stream that fails.
        recalls: It gives the model's thinking back, with what a tool has told.
    """

    block: str
    behind: str
    refused: str
    broken: str
    recalls: bool

    @property
    def framework(self) -> str:
        return self.block.rpartition("-")[0]


PROGRAMS = {
    "langchain": "langchain.py",
    "pydantic-ai": "pydantic_agent.py",
    "ai-sdk": "ai_sdk.mjs",
}

CLAUDE = ("AnthropicInvalidRequestError", "APIStatusError")
OPENAI = ("OpenAIInvalidRequestError", "APIError")
AGENT = ("ModelRequestRejectedError", "ModelOverloadedError")
AI_SDK = ("AI_APICallError", "AI_StreamProviderError")

CASES = [
    Case("langchain-messages", "claude", *CLAUDE, recalls=True),
    Case("langchain-chat", "claude", *OPENAI, recalls=False),
    Case("langchain-chat", "qwen", *OPENAI, recalls=False),
    Case("langchain-azure", "claude", *OPENAI, recalls=False),
    Case("langchain-responses", "claude", OPENAI[0], "ValueError", recalls=True),
    Case("langchain-responses", "gpt", *OPENAI, recalls=True),
    Case("pydantic-ai-messages", "claude", *AGENT, recalls=True),
    Case("pydantic-ai-chat", "claude", *AGENT, recalls=False),
    Case("pydantic-ai-chat", "qwen", *AGENT, recalls=True),
    Case("pydantic-ai-responses", "claude", AGENT[0], "ModelServerError", recalls=True),
    Case("pydantic-ai-responses", "gpt", *AGENT, recalls=True),
    Case("ai-sdk-messages", "claude", *AI_SDK, recalls=True),
    Case("ai-sdk-chat", "claude", *AI_SDK, recalls=False),
    Case("ai-sdk-chat", "qwen", *AI_SDK, recalls=False),
    Case("ai-sdk-compatible", "claude", *AI_SDK, recalls=False),
    Case("ai-sdk-compatible", "qwen", *AI_SDK, recalls=True),
    Case("ai-sdk-responses", "claude", *AI_SDK, recalls=True),
    Case("ai-sdk-responses", "gpt", *AI_SDK, recalls=True),
]


def answer(received: Received) -> Answer:
    """Answer the programs: what they say and what they have found out tells where they stand."""
    said = received.body.decode()
    if "Fail." in said:
        return error(400, message="A fault of the test's.")
    if "Break." in said:
        return text("It begins well.").fail(after_events=4)
    if "Describe Oslo." in said:
        return described(received.json.get("tools"))
    if "It rains in Oslo." in said:
        return text("Take an umbrella.")
    if "weather in Oslo?" in said:
        return message([thinking(THOUGHT), "Let me look.", tool_use("weather", {"city": "Oslo"})])
    return text("Hello there.", usage=USAGE)


def described(tools: list[dict[str, Any]] | None) -> Answer:
    """Answer in a schema, which some clients take for the input of a tool."""
    if not tools:
        return text(json.dumps(OSLO))
    return tool_use(tools[0].get("name") or tools[0]["function"]["name"], OSLO)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, FakeUpstream]]:
    made = {
        "claude": FakeUpstream(api_key=UPSTREAM_KEY),
        "qwen": FakeChat(api_key=UPSTREAM_KEY),
        "gpt": FakeOpenAI(api_key=UPSTREAM_KEY),
    }
    with ExitStack() as stack:
        for upstream in made.values():
            stack.enter_context(upstream)
            upstream.answer_with(answer)
        yield made


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, FakeUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    urls = {name: upstream.url for name, upstream in upstreams.items()}
    deployments = {
        "claude": {"provider": "anthropic", "base_url": urls["claude"], "model": "claude-opus-5-5"},
        "qwen": {"provider": "openai_compatible", "base_url": urls["qwen"], "model": "qwen"},
        "gpt": {"provider": "openai", "base_url": f"{urls['gpt']}/v1", "model": "gpt-5.4"},
    }
    config = {
        "deployments": {
            name: {**deployment, "api_key": UPSTREAM_KEY}
            for name, deployment in deployments.items()
        },
        "aliases": {f"team-{name}": name for name in deployments} | {"claude-*": "claude"},
        "server": {"master_key": MASTER_KEY},
    }
    with Gateway("", tmp_path_factory.mktemp("gateway"), json.dumps(config)) as running:
        yield running


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Program]]:
    with ExitStack() as stack:
        yield {
            framework: stack.enter_context(
                Program(name, tmp_path_factory.mktemp(framework), MASTER_KEY)
            )
            for framework, name in PROGRAMS.items()
        }


@pytest.mark.clients
@pytest.mark.parametrize("case", [pytest.param(c, id=f"{c.block}-{c.behind}") for c in CASES])
def test_a_client_does_all_it_can(
    case: Case,
    upstreams: dict[str, FakeUpstream],
    gateway: Gateway,
    programs: dict[str, Program],
) -> None:
    earlier = len(upstreams[case.behind].requests)
    code = blocks()[case.block].replace("team-sonnet", f"team-{case.behind}")
    code = code.replace(ADDRESS, gateway.url)
    found = programs[case.framework].use(f"{case.block}-{case.behind}", code)
    refused, broken = found.pop("refused"), found.pop("broken")
    received = upstreams[case.behind].requests[earlier:]
    told = [each.body.decode() for each in received if b"It rains in Oslo." in each.body]

    assert {
        "plain": {"text": "Hello there.", "usage": COUNTED},
        "streamed": {"text": "Hello there.", "in pieces": True, "usage": COUNTED},
        "tool": RAIN,
        "tool, streamed": RAIN,
        "structured": OSLO,
    } == found
    assert (case.refused, 400) == (refused["class"], refused["status"])
    assert "A fault of the test's." in refused["text"]
    assert case.broken == broken["class"]
    assert "Overloaded" in broken["text"]
    assert [case.recalls] * 2 == [THOUGHT in each for each in told]
    assert {PATHS[case.behind]} == {each.path for each in received}
    assert "Traceback" not in gateway.log


def test_every_block_of_the_page_is_run() -> None:
    assert {case.block for case in CASES} == set(blocks())
