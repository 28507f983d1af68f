"""A conversation for somebody who is to judge it: who said what, shortened, one JSON object a line.

A line is JSON and holds no `<`, so nothing that is quoted in it can end it, or be taken for a mark
around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

__all__ = ["line", "lines"]

# How texts begin that stand in the user's place and are not the user's: what Claude Code adds, what
# a command printed or an editor shows, what other agents and channels sent, and what the agent
# itself has written of a conversation that grew too long.
_BY_THE_CLIENT = (
    *("<system-reminder>", "<local-command-", "<bash-stdout>", "<bash-stderr>"),
    *("<task-notification>", "<user-prompt-submit-hook>", "<ide_", "<mcp-resource"),
    *("<teammate-message", "<cross-session-message", "<channel"),
)
_SUMMARY: Final = "This session is being continued from a previous conversation"
# Characters of an entry that are kept. What was asked for matters most, and a script that an agent
# wrote may be what it runs next; of what a tool returned, enough to see what it was.
_LONGEST = {"user": 6_000, "task": 6_000, "summary": 6_000}
_LONGEST |= {"client": 3_000, "agent": 4_000, "result": 600}
# Of what is cut, so much of the rest is its end.
_OF_THE_END = 0.3
_ASKING = ("user", "task", "summary")
# Characters of the latest entries, and of what the user said before them.
_LATEST = 48_000
_EARLIER = 16_000


class _Entry(NamedTuple):
    by: str
    data: Mapping[str, Any]


def line(data: Mapping[str, Any]) -> str:
    """Write one object."""
    return msgspec.json.encode(data).replace(b"<", b"\\u003c").decode()


def lines(messages: Any, *, is_subagent: bool) -> list[str]:
    """Return a conversation: its latest entries, and before them what the user asked for.

    Args:
        messages: Of a Messages request; what cannot be read is passed over.
        is_subagent: Its user is another agent, so what that says is a task and no one's wish.
    """
    entries = list(_entries(messages, "task" if is_subagent else "user"))
    room, start = _LATEST, len(entries)
    written: list[str] = []
    while start and (room := room - len(text := line(entries[start - 1].data))) >= 0:
        written.append(text)
        start -= 1
    written.reverse()
    if not start:
        return written
    earlier = _asked_for(entries[:start])
    return [*earlier, line({"left_out": start - len(earlier)}), *written]


def _asked_for(entries: Sequence[_Entry]) -> list[str]:
    """Return what the user said: the first of it, and of the rest the latest."""
    own = [line(entry.data) for entry in entries if entry.by in _ASKING]
    first, room = own[:1], _EARLIER
    latest: list[str] = []
    for text in reversed(own[1:]):
        room -= len(text)
        if room < 0:
            break
        latest.append(text)
    return [*first, *reversed(latest)]


def _entries(messages: Any, user: str) -> Iterator[_Entry]:
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            continue
        by = {"assistant": "agent", "user": user}.get(str(message.get("role")), "client")
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for block in content if isinstance(content, list) else []:
            if isinstance(block, dict):
                yield from _entry(by, block)


def _entry(by: str, block: Mapping[str, Any]) -> Iterator[_Entry]:
    match block.get("type"):
        case "text":
            text = str(block.get("text") or "")
            if by in ("user", "task"):
                by = _author(text.lstrip(), by)
            if text.strip():
                yield _Entry(by, {"from": by, "text": _cut(text, by)})
        case "tool_use":
            text = msgspec.json.encode(block.get("input")).decode()
            use = {"from": "agent", "tool": str(block.get("name")), "input": _cut(text, "agent")}
            yield _Entry("agent", use)
        case "tool_result":
            text = _text(block.get("content"))
            failed = {"is_error": True} if block.get("is_error") is True else {}
            yield _Entry("result", {"from": "result", "text": _cut(text, "result"), **failed})
        case "image" | "document" as kind:
            yield _Entry(by, {"from": by, "text": f"({kind})"})
        case _:
            pass


def _author(text: str, by: str) -> str:
    if text.startswith(_SUMMARY):
        return "summary"
    return "client" if text.startswith(_BY_THE_CLIENT) else by


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(
        str(block.get("text") or f"({block.get('type')})")
        for block in blocks
        if isinstance(block, dict)
    )


def _cut(text: str, by: str) -> str:
    """Keep the beginning and the end of a text that is too long."""
    longest = _LONGEST[by]
    if len(text) <= longest:
        return text
    end = int(longest * _OF_THE_END)
    start = longest - end
    return f"{text[:start]} …({len(text) - longest} characters left out)… {text[-end:]}"
