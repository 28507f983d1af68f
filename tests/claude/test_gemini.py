"""The real Claude Code, in its default mode, with a strict Gemini behind the proxy."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from llmroute.testing import (
    Answer,
    FakeGemini,
    Received,
    events,
    google_error,
    message,
    text,
    thinking,
    tool_use,
)

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, Gateway
from .journey import BEARER, DONE

pytestmark = [pytest.mark.claude, pytest.mark.timeout(120)]


def png() -> bytes:
    """Make a picture of one red dot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + b"\xff\0\0" * 8 for _ in range(8))
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        fake.default = DONE
        yield fake


def held(machine: Machine, gemini: FakeGemini, *turns: tuple[str, ...]) -> Run:
    """Hold a conversation through the proxy, each turn a run of its own; return the last."""
    deployment: dict[str, Any] = {
        "provider": "gemini",
        "base_url": gemini.url,
        "api_key": "fake-key",
        "model": "gemini-3-pro-preview",
    }
    config = {
        "deployments": {"gemini": deployment},
        "aliases": {"claude-*": "gemini"},
        "server": {"master_key": MASTER_KEY},
    }
    machine.wipe()
    (machine.folder / "work" / "dot.png").write_bytes(png())
    run = None
    with Gateway("", machine.folder, json.dumps(config)) as gateway:
        for turn in turns:
            same = ("--resume", SESSION) if run else ("--session-id", SESSION)
            run = machine.run(gateway.url, BEARER, *turn, *same)
        assert "Traceback" not in gateway.log
        assert "fake-key" not in gateway.log
    assert run is not None
    return run


def refused(gemini: FakeGemini) -> list[bytes]:
    return [each.sent for each in gemini.requests if b'"error":{"code"' in each.sent]


def parts_of(request: Any, name: str) -> list[dict[str, Any]]:
    parts = [part for content in request.json["contents"] for part in content["parts"]]
    return [part for part in parts if name in part]


def test_a_conversation_with_parallel_tools_and_an_image(
    machine: Machine, gemini: FakeGemini
) -> None:
    uses = [
        tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="call.1"),
        tool_use("Read", {"file_path": str(machine.folder / "work" / "dot.png")}),
    ]
    gemini.answer(message([thinking("Two things."), "I look.", *uses]), "A red dot.")
    run = held(
        machine,
        gemini,
        ("-p", "Look.", "--allowedTools", "Bash,Read"),
        ("-p", "And again."),
    )

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert [] == refused(gemini)
    first, last = gemini.requests[0].json, gemini.requests[-1]
    assert first["generationConfig"]["thinkingConfig"]["includeThoughts"] is True
    calls = parts_of(last, "functionCall")
    assert ["Bash", "Read"] == [part["functionCall"]["name"] for part in calls]
    assert "call.1" == calls[0]["functionCall"]["id"]
    assert calls[0]["thoughtSignature"] in gemini.signed
    results = parts_of(last, "functionResponse")
    assert "six times 42" in results[0]["functionResponse"]["response"]["output"]
    shown = results[1]["functionResponse"]["parts"][0]["inlineData"]
    assert b"PNG" in base64.b64decode(shown["data"])[:8]


def test_a_prompt_that_is_too_long_is_compacted(machine: Machine, gemini: FakeGemini) -> None:
    summary = text("<analysis>Short.</analysis>\n<summary>We greeted each other.</summary>")
    too_long = google_error(
        400,
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    )
    gemini.answer(DONE, DONE, too_long, summary)
    run = held(machine, gemini, ("-p", "Say hi."), ("-p", "And again."), ("-p", "Once more."))

    assert "All done." == run.result
    assert b"We greeted each other." in gemini.requests[-1].body


def test_the_web_is_searched_by_google(machine: Machine, gemini: FakeGemini) -> None:
    grounding = {
        "webSearchQueries": ["longest river"],
        "groundingChunks": [{"web": {"uri": "https://rivers.example/nile", "title": "Nile"}}],
    }
    found = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "It is the Nile."}]},
                "finishReason": "STOP",
                "groundingMetadata": grounding,
            }
        ]
    }

    def answer(received: Received) -> Answer:
        if b"googleSearch" in received.body:
            return events(b"data: %s\r\n\r\n" % json.dumps(found).encode())
        if b"functionResponse" in received.body:
            return DONE
        return tool_use("WebSearch", {"query": "longest river"})

    gemini.answer_with(answer)
    run = held(machine, gemini, ("-p", "Search.", "--allowedTools", "WebSearch"))

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert [] == refused(gemini)
    results = parts_of(gemini.requests[-1], "functionResponse")
    said = results[0]["functionResponse"]["response"]["output"]
    assert "https://rivers.example/nile" in said
    assert "It is the Nile." in said
