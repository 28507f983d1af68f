"""Who makes a call, with which program, and what kind of call it is, as the headers tell.

What is told here goes into records and reports only, but for the owner, whom only a trusted gateway
may name: budgets go by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from llmroute.accounts.caller import Caller
from llmroute.messages.call import Endpoint, Sender
from llmroute.wire.envelope import Envelope

__all__ = ["LONGEST_NAME", "client_of", "kind_of", "name_of", "sender_of", "tags_of"]

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
_CLAUDE_CODE: Final = b"claude-cli/"
# Claude Code says so in the first block of the system prompt, also where a gateway drops its
# headers.
_SUBAGENT: Final = b"cc_is_subagent=true"
_BEGINNING: Final = 300  # bytes


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


def client_of(named: Mapping[bytes, bytes]) -> str:
    """Return what the client calls itself, with its version: `claude-cli/2.1.330`.

    The SDKs have a space in it, `Anthropic/Python 1.2.3`; what else is behind the name, systems
    and other programs on the way, is left out.
    """
    name, _, rest = named.get(b"user-agent", b"").partition(b" ")
    if rest[:1].isdigit():
        name += b" " + rest.partition(b" ")[0]
    return name_of(name)


def kind_of(endpoint: Endpoint, named: Mapping[bytes, bytes], body: Envelope) -> str:
    """Return the class of a request: the one that Claude Code names, else the one it looks like.

    It names them if `CLAUDE_CODE_GATEWAY_HINT_HEADERS=1`.  By its looks a request is of `main`, of
    a `subagent`, or `auxiliary`: asked on the side, for a title, say.  Those of other clients,
    which look like anything, are of none.
    """
    if hint := named.get(b"x-claude-code-request-class"):
        return name_of(hint)
    if not named.get(b"user-agent", b"").startswith(_CLAUDE_CODE):
        return ""
    if b"x-claude-code-agent-id" in named or _begins(body, "system").find(_SUBAGENT) >= 0:
        return "subagent"
    if endpoint == "count_tokens" or "tool_choice" in body:
        return "auxiliary"
    has_tools = _begins(body, "tools")[:2] not in (b"", b"[]")
    return "main" if has_tools or _thinks(body) else "auxiliary"


def _thinks(body: Envelope) -> bool:
    return "thinking" in body and b'"disabled"' not in _begins(body, "thinking")


def _begins(body: Envelope, name: str) -> bytes:
    return bytes(body.raw(name)[:_BEGINNING]) if name in body else b""
