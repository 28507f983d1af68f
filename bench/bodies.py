"""Request bodies shaped like Claude Code's, the same ones on every run."""

from __future__ import annotations

import json
import random
from typing import Any

__all__ = ["conversation", "question"]

Json = dict[str, Any]

_SAMPLE = (
    "the session reads a file and then edits it because one test fails when its fixture is late "
    "please return only what changed keep every comment that says why and run the suite again "
    "async def value: list[str] = None if not self.path else (a, b) # naïve “quoted” — done ✓ "
    "C:\\work\\tree\\src \"name\": \t{} <div class='x'> && grep -rn 'pattern' | sort -u"
)
_WORDS = _SAMPLE.split(" ")

_TOOLS = (
    "Agent",
    "Bash",
    "Edit",
    "ListAgents",
    "Read",
    "ReportFindings",
    "ScheduleWakeup",
    "Skill",
    "ToolSearch",
    "Workflow",
    "Write",
    "WebFetch",
)


def question(model: str, *, stream: bool) -> bytes:
    """A request of about 1 KB, as Claude Code's side requests are."""
    words = _Prose(seed=1)
    body = {
        "model": model,
        "messages": [{"role": "user", "content": words.text(600)}],
        "system": [{"type": "text", "text": words.text(200)}],
        "metadata": {"user_id": "user_0_account__session_0"},
        "max_tokens": 512,
        "stream": stream,
    }
    return _encode(body)


def conversation(model: str, size_bytes: int) -> bytes:
    """A streamed turn late in a session: a long system prompt, twelve tools, a history of tool use.

    The result is exactly `size_bytes` long, which must be 80,000 or more: about 50 KB of it is what
    Claude Code sends with the first turn.
    """
    words = _Prose(seed=2)
    messages: list[Json] = [{"role": "user", "content": [_text(words.text(9_000))]}]
    body: Json = {
        "model": model,
        "messages": messages,
        "system": [
            _text("x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli;"),
            _cached(_text("You are Claude Code, a command line tool.")),
            _cached(_text(words.text(16_000))),
        ],
        "tools": [_tool(name, words) for name in _TOOLS],
        "metadata": {"user_id": "user_0_account__session_0"},
        "max_tokens": 64_000,
        "thinking": {"type": "adaptive"},
        "stream": True,
    }
    length = len(_encode(body))
    turn = 0
    while True:
        exchange = _exchange(turn, words)
        grown = length + sum(len(_encode(message)) + 1 for message in exchange)
        if grown > size_bytes - 200:
            break
        messages += exchange
        length = grown
        turn += 1
    messages.append({"role": "user", "content": [_cached(_text(""))]})
    messages[-1]["content"][0]["text"] = "." * (size_bytes - len(_encode(body)))
    return _encode(body)


class _Prose:
    """An endless supply of the same words in the same order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- repeatable, not secret

    def text(self, characters: int) -> str:
        """About that many characters, in lines."""
        lines = []
        while characters > 0:
            line = " ".join(self._random.choices(_WORDS, k=14))
            lines.append(line)
            characters -= len(line) + 1
        return "\n".join(lines)

    def number(self, below: int) -> int:
        return self._random.randrange(below)


def _exchange(turn: int, words: _Prose) -> list[Json]:
    tool_id = f"toolu_{turn:024d}"
    call = {"file_path": f"/home/user/project/src/module_{turn}.py", "limit": 200}
    read = words.text(1_000 + words.number(7_000))
    return [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": words.text(400), "signature": "c2lnbg==" * 40},
                _text(words.text(150)),
                {"type": "tool_use", "id": tool_id, "name": "Read", "input": call},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": tool_id, "content": read}],
        },
    ]


def _tool(name: str, words: _Prose) -> Json:
    properties = {
        f"member_{index}": {"type": "string", "description": words.text(160)} for index in range(6)
    }
    return {
        "name": name,
        "description": words.text(900),
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": ["member_0"],
            "additionalProperties": False,
        },
    }


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _cached(block: Json) -> Json:
    return {**block, "cache_control": {"type": "ephemeral"}}


def _encode(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
