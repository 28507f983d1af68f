"""Which door a request comes in by."""

from __future__ import annotations

from typing import Any

from llmroute.asgi.bedrock import BedrockDoor
from llmroute.asgi.door import Door
from llmroute.asgi.messages import MessagesDoor
from llmroute.asgi.openai_chat import ChatDoor
from llmroute.asgi.openai_responses import ResponsesDoor
from llmroute.asgi.vertex import VertexDoor
from llmroute.messages.call import Endpoint
from llmroute.router import Router

__all__ = ["door_of", "is_messages_path"]

# A base URL that ends in `/v1` makes clients ask for `/v1/v1/…`.
_PATHS: tuple[tuple[str, Endpoint], ...] = (
    ("/messages", "messages"),
    ("/messages/count_tokens", "count_tokens"),
)
_DOORS: dict[str, MessagesDoor] = {
    prefix + version + path: MessagesDoor(endpoint, passes_on=prefix != "")
    for prefix in ("", "/anthropic")
    for version in ("/v1", "/v1/v1")
    for path, endpoint in _PATHS
}


def door_of(router: Router, scope: dict[str, Any]) -> Door | None:
    """Return the door for a POST, by its path; `None` if it is none's."""
    return (
        _DOORS.get(scope["path"])
        or ChatDoor.of(router, scope)
        or ResponsesDoor.of(scope)
        or BedrockDoor.of(router, scope)
        or VertexDoor.of(router, scope)
    )


def is_messages_path(path: str) -> bool:
    """Tell whether a path is that of the Messages API's own door, under any of its spellings."""
    return path in _DOORS
