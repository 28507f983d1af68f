"""How many tokens a request has, for upstreams that cannot count: an estimate that errs high.

A client that compacts a little early loses little; one that compacts too late loses the turn.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.errors import InvalidRequestError

__all__ = ["estimate"]

# Characters that make a token, at least. Measured on English, code and JSON, on tables of figures,
# on scripts other than Latin, and on emoji with two public vocabularies of 100,000 and 200,000
# tokens; random letters, base64 in a text, are the one kind of which this counts too few.
_PER_TOKEN = 3.2
_DIGITS_PER_TOKEN = 2.0
_WIDE_PER_TOKEN = 1.2
_ASTRAL_PER_TOKEN = 0.4
_PER_MESSAGE = 4
_PER_TOOL = 8
_FOR_TOOLS = 350
# The API scales images down to at most so many tokens (newest models; older ones take 1,600), and
# a page of a PDF comes to about 2,000 tokens.
_PER_IMAGE = 4_800
_PER_PAGE = 2_000
_DOCUMENT_TOKENS_PER_BYTE = 0.03
# A document that is only named, by its address or its file id: as long as a short paper.
_PER_REFERENCE = 10 * _PER_PAGE
# Claude 4.7 and later make up to three tenths more tokens of the same text than earlier ones.
_NEWEST = 1.3
_MARGIN = 1.05
# A request nests content at most so deep: a message's, a tool result's, a document's. What is
# deeper is no request, and counted as the text it is.
_DEEPEST = 8

_WIDE = re.compile("[^\u0000-\u02af]+")


def estimate(body: Mapping[str, Any]) -> int:
    """Return the input tokens a Messages request will come to, rather too many than too few.

    Raises:
        InvalidRequestError: A member of the body cannot be decoded.
    """
    total = 0.0
    for message in _list(body.get("messages")):
        total += _PER_MESSAGE + _content(message)
    total += _content(body.get("system"))
    tools = _list(body.get("tools"))
    if tools:
        total += _FOR_TOOLS + sum(_PER_TOOL + _text(_json(tool)) for tool in tools)
    return math.ceil(total * _NEWEST * _MARGIN)


def _content(value: Any, depth: int = 0) -> float:
    if depth > _DEEPEST:
        return _text(_json(value))
    deeper = depth + 1
    match value:
        case None:
            tokens = 0.0
        case str():
            tokens = _text(value)
        case list():
            tokens = sum(_content(item, deeper) for item in value)
        case {"type": "image"}:
            tokens = _PER_IMAGE
        case {"type": "document", "source": {"type": "base64", "data": str(data)}}:
            tokens = max(_PER_PAGE, len(data) * 0.75 * _DOCUMENT_TOKENS_PER_BYTE)
        case {"type": "document", "source": {"type": "url" | "file"}}:
            tokens = _PER_REFERENCE
        case {"type": "document", "source": {"content": content}}:
            tokens = _content(content, deeper)
        case {"content": content, **rest}:
            tokens = _content(content, deeper) + _text(_json(rest))
        case _:
            tokens = _text(_json(value))
    return tokens


def _text(text: str) -> float:
    digits = sum(map(text.count, "0123456789"))
    wide = astral = 0
    if not text.isascii():
        wide = len(text) - len(_WIDE.sub("", text))
        astral = len(text.encode("utf-16-le", "surrogatepass")) // 2 - len(text)
    return (
        (len(text) - digits - wide) / _PER_TOKEN
        + digits / _DIGITS_PER_TOKEN
        + (wide - astral) / _WIDE_PER_TOKEN
        + astral / _ASTRAL_PER_TOKEN
    )


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        raise InvalidRequestError("The request body is nested too deeply") from None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
