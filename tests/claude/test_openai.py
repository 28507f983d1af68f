"""The real Claude Code, in its default mode, with its models at a strict OpenAI."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmroute.testing import (
    Answer,
    FakeOpenAI,
    Received,
    error,
    message,
    openai_error,
    text,
    thinking,
    tool_use,
)

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, Gateway
from .journey import BEARER, DONE

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

KEY = "sk-openai-canary-3"
# One pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key=KEY) as fake:
        fake.default = DONE
        yield fake


def held(machine: Machine, openai: FakeOpenAI, *turns: tuple[str, ...], **settings: Any) -> Run:
    """Hold a conversation, each turn of it through another proxy; return its last turn."""
    own = {"provider": "openai", "base_url": f"{openai.url}/v1", "api_key": KEY, **settings}
    config = json.dumps(
        {
            "deployments": {"own": {"model": "gpt-5.4", **own}},
            "aliases": {"claude-*": "own"},
            "server": {"master_key": MASTER_KEY},
        }
    )
    machine.wipe()
    (machine.folder / "work" / "dot.png").write_bytes(base64.b64decode(PNG))
    run = None
    for turn in turns:
        with Gateway("", machine.folder, config) as gateway:
            same = ("--resume", SESSION) if run else ("--session-id", SESSION)
            run = machine.run(gateway.url, BEARER, *turn, *same)
            assert "Traceback" not in gateway.log
            assert KEY not in gateway.log
    assert run is not None
    return run


def refused(openai: FakeOpenAI) -> list[bytes]:
    return [each.sent for each in openai.requests if each.sent.startswith(b'{"error"')]


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.6"])
def test_a_conversation_with_tools_thinking_and_an_image(
    machine: Machine, openai: FakeOpenAI, model: str
) -> None:
    uses = [
        tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="call_1"),
        tool_use("Read", {"file_path": str(machine.folder / "work" / "dot.png")}, id="call_2"),
    ]
    openai.answer(message([thinking("Both at once."), "I run it.", *uses]))
    run = held(
        machine,
        openai,
        ("-p", "Run it, and look at dot.png.", "--allowedTools", "Bash", "Read"),
        ("-p", "And again."),
        model=model,
    )

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert [] == refused(openai)
    items = openai.requests[-1].json["input"]
    outputs = [each["output"] for each in items if each["type"] == "function_call_output"]
    assert "six times 42" in str(outputs[0])
    assert "data:image/png;base64," in str(outputs[1])
    assert ["rs_00000000000100"] == [each["id"] for each in items if each["type"] == "reasoning"]


def test_a_web_search(machine: Machine, openai: FakeOpenAI) -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_result", "url": "https://rivers.example/rhine", "title": "Rhine"}
    shown = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]}

    def answer(received: Received) -> Answer:
        if b'"type":"web_search"' in received.body:
            return message([search, shown, "The Rhine."])
        if b"function_call_output" in received.body:
            return DONE
        return tool_use("WebSearch", {"query": "rivers of Europe"}, id="call_1")

    openai.answer_with(answer)
    run = held(machine, openai, ("-p", "Search for it.", "--allowedTools", "WebSearch"))

    assert ("All done.", []) == (run.result, run.retries)
    assert [] == refused(openai)
    assert b"https://rivers.example/rhine" in openai.requests[-1].body


def test_a_prompt_that_is_too_long_is_compacted(machine: Machine, openai: FakeOpenAI) -> None:
    summary = text("<analysis>Short.</analysis>\n<summary>We greeted each other.</summary>")
    words = "Your input exceeds the context window of this model."
    too_long = openai_error(400, words, code="context_length_exceeded")
    openai.answer(DONE, DONE, too_long, summary)
    run = held(machine, openai, ("-p", "Say hi."), ("-p", "And again."), ("-p", "Once more."))

    assert "All done." == run.result
    assert b"We greeted each other." in openai.requests[-1].body


def test_a_request_over_the_rate_limit_is_repeated(machine: Machine, openai: FakeOpenAI) -> None:
    openai.answer(openai_error(429, "Slow.", code="rate_limit_exceeded"))
    run = held(machine, openai, ("-p", "Say hi."))

    assert ("All done.", [429]) == (run.result, run.retries)


def test_an_error_in_mid_stream_is_recovered_from(machine: Machine, openai: FakeOpenAI) -> None:
    openai.answer(text("Hello there.").fail("server_error", "busy", after_events=6), error(500))
    run = held(machine, openai, ("-p", "Say hi."))

    assert "All done." == run.result


def test_token_counts(machine: Machine, openai: FakeOpenAI) -> None:
    run = held(machine, openai, ("-p", "/context"))

    assert "Context Usage" in run.result
    assert [] == refused(openai)
    assert any(each.path.endswith("/input_tokens") for each in openai.requests)
