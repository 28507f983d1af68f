"""One conversation that uses all there is, held through the proxy with any server behind it."""

from __future__ import annotations

import base64
import json
import re
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmroute.testing import Answer, Received, message, text, thinking, tool_use

from .client import SESSION, Machine, Run
from .formats import THOUGHT, Format, calls, tool_names
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import BEARER, DONE
from .mcp_server import RIVER

TIDE = "The tide is high."
RIVER_TOOL = f"mcp__house__{RIVER}"
WINDOW = 400_000

_TASK = b"Look at the tide."
_SEARCH = b"Perform a web search"
_HANDBACK = "SubagentHandback"
_VERDICTS = "verdicts"
_HARMLESS = {"number": 1, "explanation": "It adds up.", "outcome": "not_flagged"}
_COUNTING = re.compile("tokens$", re.IGNORECASE)
_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""


def png() -> bytes:
    """Make a picture of one red square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + b"\xff\0\0" * 8 for _ in range(8))
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@dataclass(frozen=True, slots=True)
class Tour:
    """A conversation that has taken place; its requests have a name each.

    Attributes:
        spoken: The format it was held in.
        runs: Of the client, by what they were for.
        bodies: The requests that were answered, by what was answered.
        refused: What the server said to those that it did not take.
        counted: How often it was asked to count tokens.
        thoughts: The reasoning that came back in the first turn after a restart.
        judged: What was asked of the classifier.
    """

    spoken: Format
    runs: dict[str, Run]
    bodies: dict[str, Any]
    refused: tuple[bytes, ...]
    counted: int
    thoughts: tuple[str, ...]
    judged: tuple[Any, ...]

    @property
    def used(self) -> list[str]:
        """The tools that the model has used in the first run, as the client shows them."""
        events = [each for each in self.runs["first"].events if each["type"] == "assistant"]
        own = [each for each in events if each["parent_tool_use_id"] is None]
        blocks = [block for each in own for block in each["message"]["content"]]
        return [block["name"] for block in blocks if block["type"] == "tool_use"]


class _Guide:
    """What the model says: one thing after the other, and its subagent another."""

    def __init__(self, steps: Sequence[tuple[str, Answer]], found: Answer) -> None:
        self._steps = list(steps)
        self._found = found
        self.bodies: dict[str, Any] = {}
        self.judged: list[Any] = []
        self.asked: list[Received] = []

    def __call__(self, received: Received) -> Answer:
        self.asked.append(received)
        # A subagent begins with its task; who gave it has called the tool for that.
        if _VERDICTS in tool_names(received.json):
            self.judged.append(received.json)
            return tool_use(_VERDICTS, {_VERDICTS: [_HARMLESS]})
        if _SEARCH in received.body:
            return self._say("sought", self._found, received)
        if _TASK in received.body and not calls(received.json):
            # In auto mode a subagent reports by a tool.
            by_tool = _HANDBACK in tool_names(received.json)
            report = tool_use(_HANDBACK, {"message": TIDE}) if by_tool else text(TIDE)
            return self._say("report", report, received)
        assert self._steps, "more was asked than is to be said"
        return self._say(*self._steps.pop(0), received)

    def _say(self, name: str, answer: Answer, received: Received) -> Answer:
        assert name not in self.bodies, f"{name} twice"
        self.bodies[name] = received.json
        if name == "river":
            own = [tool for tool in tool_names(received.json) if tool.startswith("mcp__house__l")]
            assert 1 == len(own)
            return tool_use(own[0], {"place": "Europe", "unit": "km"}, id="call_f")
        return answer


def taken(machine: Machine, spoken: Format) -> Tour:
    """Take the tour: the proxy is restarted after the first turn, the client after each."""
    machine.wipe()
    work = machine.folder / "work"
    (work / "dot.png").write_bytes(png())
    (work / "note.pdf").write_bytes(_PDF)
    house = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_server.py"))]}
    mcp = machine.folder / "mcp.json"
    mcp.write_text(json.dumps({"mcpServers": {"house": house}}))
    tools = f"Read,WebSearch,{RIVER_TOOL}"
    auto = ("--permission-mode", "auto") if spoken.judged else ("--allowedTools", "Bash")
    common = ("--allowedTools", tools, "--mcp-config", str(mcp), "--strict-mcp-config")
    guide = _Guide(_steps(work, spoken), spoken.found)
    with spoken.server() as server:
        server.answer_with(guide)
        config = {
            "deployments": {"there": spoken.deployment(server)},
            "aliases": {"claude-*": "there", "far": "there", "judge": "there"},
            "routing": {"safeguards": {"classifier": "judge"}},
            "server": {"master_key": MASTER_KEY},
        }
        runs: dict[str, Run] = {}

        def turn(name: str, prompt: str, *arguments: str, **env: str) -> None:
            same = ("--resume", SESSION) if runs else ("--session-id", SESSION)
            prompts = ("-p", prompt, *common, *arguments, *same)
            # What goes wrong is to end the test soon.
            given = {**BEARER, "CLAUDE_CODE_MAX_RETRIES": "1", **env}
            runs[name] = machine.run(gateway.url, given, *prompts)

        with Gateway("", machine.folder, json.dumps(config)) as gateway:
            turn("first", "Begin the tour.", *auto)
            _see_no_fault(gateway)
        with Gateway("", machine.folder, json.dumps(config)) as gateway:
            turn("resumed", "And again.")
            turn("compact", "/compact")
            window = {"CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(WINDOW)}
            turn("context", "/context", "--model", "far", **window)
            _see_no_fault(gateway)
        counts = [each for each in server.requests if _COUNTING.search(each.path)]
        others = [each for each in server.requests if each not in guide.asked + counts]
        refused = [each.sent for each in counts if b'"error"' in each.sent]
        return Tour(
            spoken,
            runs,
            guide.bodies,
            (*refused, *(each.sent for each in others)),
            len(counts),
            tuple(spoken.thoughts(guide.bodies["overflow"], server)),
            tuple(guide.judged),
        )


def _steps(work: Path, spoken: Format) -> Sequence[tuple[str, Answer]]:
    """Return what the model says, each with a name."""
    look = {"description": "look", "prompt": _TASK.decode(), "subagent_type": "general-purpose"}
    parts = [
        thinking(THOUGHT),
        "I look.",
        tool_use("Bash", {"command": "python3 -c 'print(6 * 7)'"}, id="call_a"),
        tool_use("Read", {"file_path": str(work / "dot.png")}, id="call_b"),
        tool_use("Read", {"file_path": str(work / "note.pdf")}, id="call_c"),
        tool_use("Read", {"file_path": str(work / "none.txt")}, id="call_d"),
    ]
    return [
        ("parallel", message(parts)),
        ("search", tool_use("ToolSearch", {"query": f"select:{RIVER_TOOL}"}, id="call_e")),
        ("river", DONE),
        ("web", tool_use("WebSearch", {"query": "rivers of Europe"}, id="call_h")),
        ("agent", tool_use("Agent", {**look, "run_in_background": False}, id="call_g")),
        ("done", DONE),
        ("overflow", spoken.too_long),
        ("summary", text("<analysis>Short.</analysis>\n<summary>We saw a river.</summary>")),
        ("retry", DONE),
        ("manual", text("<analysis>Short.</analysis>\n<summary>We saw a lake.</summary>")),
    ]


def _see_no_fault(gateway: Gateway) -> None:
    assert "Traceback" not in gateway.log
    for secret in (MASTER_KEY, UPSTREAM_KEY, "fake-key", "fake-secret"):
        assert secret not in gateway.log


def shown(run: Run, kind: str) -> list[str]:
    """Return the texts of the blocks of a kind that a run has shown; those of no text are not."""
    messages = [each["message"]["content"] for each in run.events if each["type"] == "assistant"]
    blocks = [block for content in messages for block in content if block["type"] == kind]
    return [block[kind] for block in blocks if block[kind]]


def picture() -> str:
    """Return the picture as it is in a request."""
    return base64.b64encode(png()).decode()


def page() -> str:
    """Return the PDF as it is in a request."""
    return base64.b64encode(_PDF).decode()
