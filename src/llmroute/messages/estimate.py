"""How many tokens a request has, for upstreams that cannot count: an estimate that errs high.

A client that compacts a little early loses little; one that compacts too late loses the turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["estimate"]

# Tokens a byte of text or of JSON makes at most, measured on English, code and tool schemas; a
# character outside Latin scripts makes nearly one.
_BYTES_PER_TOKEN = 3.2
_WIDE_PER_TOKEN = 1.2
_PER_MESSAGE = 4
_PER_TOOL = 8
_FOR_TOOLS = 350
# The API scales images down to at most so many tokens (newest models; older ones take 1,600), and
# a page of a PDF comes to about 2,000 tokens.
_PER_IMAGE = 4_800
_DOCUMENT_TOKENS_PER_BYTE = 0.03
# Claude 4.7 and later make up to three tenths more tokens of the same text than earlier ones.
_NEWEST = 1.3
_MARGIN = 1.05


def estimate(body: Mapping[str, Any]) -> int:
    """Return the input tokens a Messages request will come to, rather too many than too few."""
    total = 0.0
    for message in _list(body.get("messages")):
        total += _PER_MESSAGE + _content(message)
    total += _content(body.get("system"))
    tools = _list(body.get("tools"))
    if tools:
        total += _FOR_TOOLS + sum(_PER_TOOL + _text(_json(tool)) for tool in tools)
    return math.ceil(total * _NEWEST * _MARGIN)


def _content(value: Any) -> float:
    match value:
        case str():
            return _text(value)
        case list():
            return sum(_content(item) for item in value)
        case {"type": "image"}:
            return _PER_IMAGE
        case {"type": "document", "source": {"type": "base64", "data": str(data)}}:
            return max(2_000.0, len(data) * 0.75 * _DOCUMENT_TOKENS_PER_BYTE)
        case {"content": content, **rest}:
            return _content(content) + _text(_json(rest))
        case None:
            return 0.0
        case _:
            return _text(_json(value))


def _text(text: str) -> float:
    wide = sum(character > "\u02af" for character in text) if not text.isascii() else 0
    return (len(text) - wide) / _BYTES_PER_TOKEN + wide / _WIDE_PER_TOKEN


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
