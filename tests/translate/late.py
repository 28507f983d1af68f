"""Events in the order of a server that ends every block at the message's end, as llama.cpp's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def ending_late(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the ends of all blocks right before the `message_delta`."""
    listed = list(events)
    kept = [event for event in listed if event["type"] != "content_block_stop"]
    stops = [event for event in listed if event["type"] == "content_block_stop"]
    at = [event["type"] for event in kept].index("message_delta")
    return [*kept[:at], *stops, *kept[at:]]
