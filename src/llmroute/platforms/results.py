"""Tool results, for servers that read a message's other blocks first."""

from __future__ import annotations

from operator import is_

from llmroute.platforms._items import Item, items, members, text_of

__all__ = ["put_apart"]


def put_apart(entries: list[Item]) -> list[Item] | None:
    """Give tool results a message of their own, before what stands beside them.

    Returns:
        The messages; `None`, if they can stay as they are.
    """
    apart = [part for entry in entries for part in _parts(entry)]
    return None if len(apart) == len(entries) and all(map(is_, apart, entries)) else apart


def _parts(message: Item) -> list[Item]:
    raw = members(message) or {}
    content = raw.get("content")
    blocks = content if isinstance(content, list) else items(content or b"")
    if text_of(raw.get("role")) != "user" or not blocks:
        return [message]
    results = [each for each in blocks if _kind(each) == "tool_result"]
    if not 0 < len(results) < len(blocks):
        return [message]
    others = [each for each in blocks if _kind(each) != "tool_result"]
    return [{**raw, "content": results}, {**raw, "content": others}]


def _kind(block: Item) -> str:
    return text_of((members(block) or {}).get("type"))
