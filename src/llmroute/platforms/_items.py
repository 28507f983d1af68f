"""JSON one level at a time: what is not looked into keeps its bytes."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from llmroute.wire.envelope import MALFORMED

__all__ = ["Item", "items", "members", "text_of", "word"]

Item: TypeAlias = Any
"""A `msgspec.Raw`, or what takes its place and is encoded with the rest."""

_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def items(raw: Item) -> list[Item] | None:
    """Split a list; `None`, if it is something else."""
    try:
        return list(_list.decode(raw))
    except MALFORMED:
        return None


def members(raw: Item) -> dict[str, Item] | None:
    """Split an object; `None`, if it is something else."""
    if isinstance(raw, dict):
        return raw
    try:
        return dict(_object.decode(raw))
    except MALFORMED:
        return None


def text_of(raw: Item) -> str:
    """Return a string; empty, if it is something else or not there."""
    if raw is None:
        return ""
    if isinstance(raw, str):
        return raw
    try:
        return _text.decode(raw)
    except MALFORMED:
        return ""


def word(value: Any, name: str) -> str:
    """Return a string member of what should be an object; empty, if it is anything else."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
