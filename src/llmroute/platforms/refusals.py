"""What an upstream says it does not take: a 400 that names a beta or a member.

Wordings of the Anthropic API and of what fronts it, as Claude Code 2.1.330 recognises them too.
"""

from __future__ import annotations

import re

__all__ = ["ALL_BETAS", "SYSTEM_MESSAGES", "refused_in"]

ALL_BETAS = "anthropic-beta"
"""Stands for every beta, where an upstream does not say which it refuses."""
SYSTEM_MESSAGES = "messages[] system"
"""Stands for messages of the role `system`."""

_BETAS = re.compile(r"Unexpected value\(s\) (.+?) for the `?anthropic[-_]beta`?")
_QUOTED = re.compile(r"`([^`]+)`")
# It begins where a word does, or a long word would be tried from each of its letters.
_EXTRA = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*): Extra inputs are not permitted")
# How much of a message is read; it may repeat what was sent.
_READ = 8192

# Bedrock's words, which do not tell which.
_SOME_BETA = re.compile(r"invalid beta flag", re.IGNORECASE)
_SYSTEM_ROLE = re.compile(
    r"role '?\"?system'?\"? is not supported|unexpected role \"system\""
    r"|messages\.\d+\.role: Input should be 'user' or 'assistant'",
    re.IGNORECASE,
)

# What a request cannot do without, and a conversation is bound to.  A member that is refused in one
# kind of tool, block or thinking is needed in another, and what is learned holds for all.
_NEEDED = frozenset(
    {
        *("max_tokens", "messages", "model", "stream", "system", "tools"),
        *("thinking.type", "thinking.budget_tokens", "tool_choice.type", "tool_choice.name"),
        *("cache_control.type", "messages[].role", "messages[].content"),
        *(
            f"tools[].{field}"
            for field in ("cache_control", "description", "input_schema", "name", "type")
        ),
        *(
            f"messages[].content[].{field}"
            for field in (
                *("cache_control", "content", "data", "id", "input", "is_error", "name"),
                *("signature", "source", "text", "thinking", "tool_name", "tool_use_id", "type"),
            )
        ),
    }
)


def refused_in(message: str) -> frozenset[str]:
    """Return the betas and the places that `message` refuses, named as `bridge` names them.

    >>> sorted(refused_in("tools.3.custom.defer_loading: Extra inputs are not permitted"))
    ['tools[].defer_loading']
    """
    message = message[:_READ]
    names = {beta for listed in _BETAS.findall(message) for beta in _QUOTED.findall(listed) if beta}
    if not names and _SOME_BETA.search(message):
        names.add(ALL_BETAS)
    if _SYSTEM_ROLE.search(message):
        names.add(SYSTEM_MESSAGES)
    names |= {_place(path.split(".")) for path in _EXTRA.findall(message)}
    return frozenset(names - _NEEDED)


def _place(path: list[str]) -> str:
    """Leave out of a path its indexes, and the types by which the API tells unions apart."""
    match path:
        case [*_, "cache_control", "ephemeral", member] | [*_, "cache_control", member]:
            return f"cache_control.{member}"
        case ["tools", _, *_, member]:
            return f"tools[].{member}"
        case ["messages", _, "content", _, *_, member] | ["system", _, *_, member]:
            return f"messages[].content[].{member}"
        case ["messages", _, member, *_]:
            return f"messages[].{member}"
        case [member, *_, last]:
            return f"{member}.{last}"
        case _:
            return path[0]
