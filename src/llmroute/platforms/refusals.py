"""What an upstream says it does not take: a 400 that names a beta or a member.

Wordings of the Anthropic API and of what fronts it, as Claude Code 2.1.330 recognises them too.
"""

from __future__ import annotations

import re

__all__ = ["refused_in"]

_BETAS = re.compile(r"Unexpected value\(s\) (.+?) for the `?anthropic[-_]beta`?")
_QUOTED = re.compile(r"`([^`]+)`")
_EXTRA = re.compile(r"([A-Za-z_][\w.-]*): Extra inputs are not permitted")

# What a request cannot do without, and a conversation is bound to.
_NEEDED = frozenset({"max_tokens", "messages", "model", "stream", "system", "tools"})


def refused_in(message: str) -> frozenset[str]:
    """Return the betas and the places that `message` refuses, named as `bridge` names them.

    >>> sorted(refused_in("tools.3.custom.defer_loading: Extra inputs are not permitted"))
    ['tools[].defer_loading']
    """
    names = {beta for listed in _BETAS.findall(message) for beta in _QUOTED.findall(listed) if beta}
    names |= {_place(path.split(".")) for path in _EXTRA.findall(message)}
    return frozenset(names - _NEEDED)


def _place(path: list[str]) -> str:
    """Leave out of a path its indexes, and the types by which the API tells unions apart."""
    match path:
        case [*_, "cache_control", "ephemeral", member] | [*_, "cache_control", member]:
            return f"cache_control.{member}"
        case ["tools", _, *_, member]:
            return f"tools[].{member}"
        case ["messages", _, "content", _, *_, member]:
            return f"messages[].content[].{member}"
        case ["messages", _, member, *_]:
            return f"messages[].{member}"
        case [member, *_, last]:
            return f"{member}.{last}"
        case _:
            return path[0]
