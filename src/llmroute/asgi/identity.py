"""Who makes a call, as the headers tell.

What is told here goes into records and reports only, but for the owner, whom only a trusted gateway
may name: budgets go by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from llmroute.accounts.caller import Caller
from llmroute.messages.call import Sender

__all__ = ["LONGEST_NAME", "name_of", "sender_of", "tags_of"]

LONGEST_NAME: Final = 200
"""Characters of what a client calls a session, an agent or itself: guards and records keep it, for
thousands of them."""

# What gateways in front say of the person behind a request: the Claude apps gateway the first two,
# and the third as well, as LiteLLM reads it.
_PEOPLE: Final = (
    b"x-claude-gateway-user-email",
    b"x-claude-gateway-user-id",
    b"x-litellm-end-user-id",
)
_TAGS: Final = (b"x-llmroute-tags", b"x-litellm-tags")
_MOST_TAGS: Final = 16
_LONGEST_TAG: Final = 64


def name_of(value: bytes) -> str:
    """Return a name as a header tells it, cut where it is too long, without what is not shown."""
    text = value[:LONGEST_NAME].decode("utf-8", "replace").strip()
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def sender_of(caller: Caller, named: Mapping[bytes, bytes]) -> Sender:
    """Return who makes a call: the person whom a trusted gateway names, else the key's owner."""
    key = caller.key
    if key is not None and key.trusted:
        person = next((name for each in _PEOPLE if (name := name_of(named.get(each, b"")))), "")
        if person:
            return caller.sender._replace(owner=person)
    return caller.sender


def tags_of(named: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return what the request is to be marked with, besides what its key is."""
    given = [named[name] for name in _TAGS if name in named]
    if not given:
        return ()
    parts = (name_of(part)[:_LONGEST_TAG] for part in b",".join(given).split(b","))
    return tuple(dict.fromkeys(part for part in parts if part))[:_MOST_TAGS]
