"""An upstream that makes conversation, for demonstrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.testing.answer import Answer
from llmroute.testing.answers import text, tool_use
from llmroute.testing.received import Received

__all__ = ["conversation", "last_words"]

_WORDS = 8


def conversation(received: Received) -> Answer:
    """Answer a Messages request with a short text about the model and what the user said last.

    A request that forces the use of a tool gets the first one used, without any input.  The answer
    is the same for the same request, its usage is plausible, and it comes a word a delta.
    Hand it to `FakeUpstream.answer_with`.
    """
    request = received.json
    if (request.get("tool_choice") or {}).get("type") in {"any", "tool"} and request.get("tools"):
        return tool_use(request["tools"][0]["name"])
    words = last_words(request).split()
    heard = " ".join(words[:_WORDS]) + (" …" if len(words) > _WORDS else "")
    said = f"You said “{heard}”." if heard else "You said nothing."
    reply = (
        f"{said} This is {request.get('model', 'a model')}, or rather a stand-in for it: "
        "no model has read your words, and this answer cost nothing. "
        "Everything between you and me was real, though."
    )
    usage = {"input_tokens": max(1, len(received.body) // 4), "output_tokens": len(reply) // 4}
    return text(reply, usage=usage, deltas=len(reply.split()))


def last_words(request: Mapping[str, Any]) -> str:
    """Return the last text a user wrote, leaving out what Claude Code adds to it."""
    for message in reversed(request.get("messages", ())):
        if message.get("role") != "user":
            continue
        content = message.get("content", ())
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in reversed(blocks):
            written = block.get("text", "").strip() if block.get("type") == "text" else ""
            if written and not written.startswith("<system-reminder>"):
                return str(written)
    return ""
