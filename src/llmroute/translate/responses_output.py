"""A response as it grows: numbered events, and items that open and close one after the other.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import encode

__all__ = ["Output", "echoed"]

_Item = dict[str, Any]

# What of the request a response repeats, and what it says where the request says nothing.
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "user": None,
}


def echoed(body: Envelope) -> dict[str, Any]:
    """Return what every response to a request repeats of it, and nothing else of the request."""
    return {
        # Whatever it holds, it need not be read, and the rest of the request need not be kept.
        name: msgspec.Raw(bytes(body.raw(name))) if _says(body, name) else otherwise
        for name, otherwise in _ECHOED.items()
    } | {"model": body.string("model")}


def _says(body: Envelope, name: str) -> bool:
    return name in body and bytes(body.raw(name)) != b"null"


class Output:
    """What has been said of one response.

    Attributes:
        response: As far as it has come.
        item: The item that is open; `None` between two.
        number: That of the next event.
    """

    def __init__(self, echo: Mapping[str, Any], now: int) -> None:
        """Prepare; `echo` is what `echoed` has kept of the request, `now` seconds since 1970."""
        self.response: dict[str, Any] = {
            "id": "resp_0",
            "object": "response",
            "created_at": now,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "previous_response_id": None,
            "service_tier": "default",
            "store": False,
            "top_logprobs": 0,
            "truncation": "disabled",
            "usage": None,
            **echo,
        }
        self.item: _Item | None = None
        self._key = "0"
        self.number = 0

    def begin(self, key: str) -> bytes:
        """Return the first events; the response's id and those of its items are made of `key`."""
        self._key = key
        self.response["id"] = f"resp_{key}"
        return self.event("response.created", response=self.response) + self.event(
            "response.in_progress", response=self.response
        )

    def event(self, kind: str, **members: Any) -> bytes:
        """Return the next event."""
        data = {"type": kind, "sequence_number": self.number, **members}
        self.number += 1
        return encode(kind.encode(), msgspec.json.encode(data))

    @property
    def kind(self) -> str:
        """The type of the item that is open; empty if none is."""
        return "" if self.item is None else str(self.item["type"])

    @property
    def content(self) -> list[_Item]:
        """The parts of the message that is open."""
        content: list[_Item] = (self.item or {}).get("content", [])
        return content

    def here(self, **more: int) -> dict[str, Any]:
        """Say in which item something happens."""
        item = self.item or {}
        return {"item_id": item.get("id"), "output_index": len(self.response["output"]), **more}

    def next_key(self) -> str:
        """Return what the id of the next item is made of."""
        return f"{self._key}_{len(self.response['output']) + (self.item is not None)}"

    def add(self, item: _Item) -> bytes:
        """Open an item; the one that is open is closed."""
        written = self.close()
        self.item = item
        at = len(self.response["output"])
        return written + self.event("response.output_item.added", output_index=at, item=item)

    def close(self) -> bytes:
        """Complete the item that is open, if one is."""
        item = self.item
        if item is None:
            return b""
        if "status" in item:
            item["status"] = "completed"
        at = len(self.response["output"])
        written = self.event("response.output_item.done", output_index=at, item=item)
        self.item = None
        self.response["output"].append(item)
        return written
