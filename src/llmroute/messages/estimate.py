"""How many tokens a request has, for upstreams that cannot count: an estimate that errs high.

A client that compacts a little early loses little; one that compacts too late loses the turn.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.wire.envelope import Envelope

__all__ = [
    "NEWEST_CLAUDE",
    "Measure",
    "Vocabulary",
    "at_least",
    "estimate",
    "measure",
    "vocabulary_of",
]


class Vocabulary(NamedTuple):
    """What a tokenizer makes of text: the tokens that come to each of a kind of characters.

    Words count most: no tokenizer makes one token of two.  The figures are the least with which no
    text of the corpus (`tests/messages/token_corpus.json`) comes to less than 0.95 of its tokens;
    figures, random letters and text in other scripts set them, and English comes out high.

    Attributes:
        word: A run of Latin letters.
        letter: Each of its letters.
        digit: Some tokenizers have a token for each, others for three.
        mark: Punctuation.
        escape: A line break, as JSON has it, or a quotation mark.
        accented: A Latin letter with an accent.
        two: A character that UTF-8 has two bytes for: Greek, Cyrillic, Hebrew, Arabic.
        indic: Indic and Thai characters, and Vietnamese letters with two accents.
        symbol: Arrows, boxes, typographic quotation marks.
        cjk: Chinese, Japanese and Korean characters.
        astral: Emoji.
        times: What all of it is multiplied by.
    """

    word: float
    letter: float
    digit: float
    mark: float
    escape: float
    accented: float
    two: float
    indic: float
    symbol: float
    cjk: float
    astral: float
    times: float = 1.0


_ANY = Vocabulary(0.78, 0.15, 1.22, 0.21, 0.77, 2.15, 1.17, 1.43, 1.37, 1.43, 3.0)
"""The larger figure of three public vocabularies: two of OpenAI's, and one that has a token for
each digit, as Qwen and Gemini do."""
_O200K = Vocabulary(0.9, 0.125, 0.77, 0.2, 0.8, 1.2, 0.48, 0.43, 1.43, 1.0, 2.0)
"""That of OpenAI's models since GPT-4o."""
NEWEST_CLAUDE = _ANY._replace(times=1.3)
"""Claude 4.7 and later make up to three tenths more tokens of the same text than earlier ones."""

_O200K_MODELS = re.compile(
    r"(?:^|[/:.])(?:gpt-(?:4o|4\.[15]|[5-9]|oss)|chatgpt-4o|codex-|o[1-9]\b)"
)
_EARLIER_CLAUDE = re.compile(r"claude-(?:[a-z]+-(?:3|4(?![-.][7-9]\b))|[123]\b)")

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
# A request nests content at most so deep: a message's, a tool result's, a document's. What is
# deeper is no request, and counted as the text it is.
_DEEPEST = 8

_MEMBERS = ("messages", "system", "tools")
# Blocks whose data are no text.
_MEDIA = (b'"base64"', b'"document"', b'"image"')
_SIGNATURE = b'"signature"'
_ATTRIBUTION = "x-anthropic-billing-header"
# Escapes for characters that could stand as they are make six letters of one: text in which there
# are more of them than one in so many bytes is written anew.
_BYTES_PER_ESCAPE = 200

# Bytes that are looked over at once: a few copies of them stay in the processor's cache.
_AT_ONCE = 65_536

_FOLLOWING = bytes(range(0x80, 0xC0))
_LATIN = bytes(range(0xC0, 0xCC))
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NOTHING = b' "' + bytes(range(32))
_DIGITS = b"0123456789"
# All that is no letter becomes a space, so that a word begins wherever a letter follows one.
_WORDS = bytes(97 if each in _LETTERS else 32 for each in range(256))
_SPACED = b"a" * 32 + b" " + b"a" * 223
_ACCENTS = _FOLLOWING + _LATIN
_TWO = bytes(range(0xCC, 0xE0))
_INDIC = b"\xe0\xe1"
_SYMBOL = b"\xe2"
_CJK = bytes(range(0xE3, 0xF0))
_ASTRAL = bytes(range(0xF0, 0x100))


class Measure(NamedTuple):
    """What of a request makes tokens, whatever the model.

    Attributes:
        kinds: How often each kind of character is there, in the order of `Vocabulary`.
        spaced: How many words there are between spaces and line breaks, of whatever characters:
            the least that the text comes to.
        rest: Tokens that are no text: images, documents, what sets messages and tools apart.
    """

    kinds: tuple[int, ...]
    spaced: int
    rest: float

    def tokens(self, vocabulary: Vocabulary) -> int:
        """Return the estimate for a model of that vocabulary."""
        text = sum(map(float.__mul__, vocabulary[:-1], map(float, self.kinds)))
        return math.ceil((max(text, self.spaced) + self.rest) * vocabulary.times)


def vocabulary_of(model: str) -> Vocabulary:
    """Return what is known of a model's tokenizer, by any spelling of its name.

    >>> vocabulary_of("openai/gpt-5.2").digit
    0.77
    >>> vocabulary_of("us.anthropic.claude-haiku-4-5-20251001-v1:0").times
    1.0
    >>> vocabulary_of("claude-opus-4-8").times
    1.3
    """
    name = model.lower()
    if "claude" in name:
        return _ANY if _EARLIER_CLAUDE.search(name) else NEWEST_CLAUDE
    return _O200K if _O200K_MODELS.search(name) else _ANY


def measure(body: Mapping[str, Any]) -> Measure:
    """Look over a Messages request once; it takes half a millisecond for 100 kilobytes.

    Raises:
        InvalidRequestError: A member of the body cannot be decoded.
    """
    raws: list[bytes] = []
    rest = 0.0
    for name in _MEMBERS:
        if name not in body:
            continue
        is_raw = isinstance(body, Envelope)
        raw = bytes(body.raw(name)) if isinstance(body, Envelope) else b""
        if not is_raw or _needs_reading(raw):
            kept, tokens = _without_media(body[name])
            raw = _json(kept)
            rest += tokens
        raws.append(_unsigned(raw))
        rest += _overhead(name, raw)
    *kinds, spaced = _kinds(b" ".join(raws))
    return Measure(tuple(kinds), spaced, rest)


def estimate(body: Mapping[str, Any], vocabulary: Vocabulary = NEWEST_CLAUDE) -> int:
    """Return the input tokens a Messages request will come to, rather too many than too few.

    Raises:
        InvalidRequestError: A member of the body cannot be decoded.
    """
    return measure(body).tokens(vocabulary)


def _needs_reading(raw: bytes) -> bool:
    if any(mark in raw for mark in _MEDIA):
        return True
    return raw.count(b"\\u") * _BYTES_PER_ESCAPE > len(raw)


def _overhead(name: str, raw: bytes) -> float:
    if name == "messages":
        return _PER_MESSAGE * raw.count(b'"role"')
    if name == "tools" and len(raw) > 2:
        return _FOR_TOOLS + _PER_TOOL * raw.count(b'"input_schema"')
    return 0.0


def _unsigned(raw: bytes) -> bytes:
    """Cut out the signatures of thinking, which are long, and no tokens."""
    at = raw.find(_SIGNATURE)
    if at < 0:
        return raw
    kept, done = [], 0
    while at >= 0:
        start = raw.find(b'"', at + len(_SIGNATURE)) + 1
        end = raw.find(b'"', start)
        # It is another's member of that name, and no string.
        if not start or end < 0 or raw[at + len(_SIGNATURE) : start].strip() != b':"':
            start = end = at + len(_SIGNATURE)
        kept.append(raw[done:start])
        done = end
        at = raw.find(_SIGNATURE, end)
    kept.append(raw[done:])
    return b"".join(kept)


def _kinds(raw: bytes) -> tuple[int, ...]:
    parts = [_kinds_of(raw[at : at + _AT_ONCE]) for at in range(0, len(raw) or 1, _AT_ONCE)]
    return tuple(map(sum, zip(*parts, strict=True)))


def _kinds_of(raw: bytes) -> tuple[int, ...]:
    """Count the characters of each kind: each is taken out, and the next looked for in the rest.

    Last comes the number of words between spaces and line breaks.
    """
    is_ascii = raw.isascii()
    spaced = (b" " + raw.replace(b"\\n", b" ")).translate(_SPACED).count(b" a")
    words = (b" " + raw).translate(_WORDS, b"" if is_ascii else _ACCENTS).count(b" a")
    letters, left = _taken(raw, _LETTERS)
    _, left = _taken(left, _NOTHING)
    digits, left = _taken(left, _DIGITS)
    escapes, left = _taken(left, b"\\")
    if is_ascii:
        return (words, letters, digits, len(left), escapes, 0, 0, 0, 0, 0, 0, spaced)
    _, left = _taken(left, _FOLLOWING)
    counts = []
    for lead in (_LATIN, _TWO, _INDIC, _SYMBOL, _CJK, _ASTRAL):
        count, left = _taken(left, lead)
        counts.append(count)
    return (words, letters, digits, len(left), escapes, *counts, spaced)


def _taken(text: bytes, kind: bytes) -> tuple[int, bytes]:
    left = text.translate(None, kind)
    return len(text) - len(left), left


def _without_media(value: Any, depth: int = 0) -> tuple[Any, float]:
    """Take images and documents out of content; return what they come to as well."""
    kept, tokens = value, 0.0
    if depth > _DEEPEST:
        return kept, tokens
    match value:
        case list():
            parts = [_without_media(each, depth + 1) for each in value]
            kept, tokens = [each for each, _ in parts], sum(each for _, each in parts)
        case {"type": "image"}:
            kept, tokens = None, _PER_IMAGE
        case {"type": "document", "source": {"type": "base64", "data": str(data)}}:
            kept, tokens = None, max(_PER_PAGE, len(data) * 0.75 * _DOCUMENT_TOKENS_PER_BYTE)
        case {"type": "document", "source": {"type": "url" | "file"}}:
            kept, tokens = None, _PER_REFERENCE
        case {"type": "document", "source": {"content": content}}:
            kept, tokens = _without_media(content, depth + 1)
        case {"content": content}:
            inner, tokens = _without_media(content, depth + 1)
            kept = {**value, "content": inner}
    return kept, tokens


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise InvalidRequestError("The request body is nested too deeply") from None


def at_least(body: Mapping[str, Any]) -> int:
    """Return tokens that the text of a request surely comes to, whatever the model.

    No tokenizer in use makes one token of what a space sets apart, so it has at least as many as
    words.  Only text is counted that reaches every upstream: no thinking, no deferred tools.

    Raises:
        InvalidRequestError: A member of the body cannot be decoded.
    """
    tools = [tool for tool in _list(body.get("tools")) if isinstance(tool, dict)]
    return (
        _spaced(body.get("system"))
        + sum(_spaced(message) for message in _since_compaction(_list(body.get("messages"))))
        + sum(_words(tool.get("description")) for tool in tools if not tool.get("defer_loading"))
    )


def _since_compaction(messages: list[Any]) -> list[Any]:
    """Leave out what stands before the last summary of a conversation: nobody reads it."""
    for at in range(len(messages) - 1, -1, -1):
        content = messages[at].get("content") if isinstance(messages[at], dict) else None
        kinds = [block.get("type") for block in _list(content) if isinstance(block, dict)]
        if "compaction" in kinds:
            return messages[at:]
    return messages


def _spaced(value: Any, depth: int = 0) -> int:
    """Count the words of a message's, a system prompt's or a tool result's text."""
    if depth > _DEEPEST:
        return 0
    match value:
        case str():
            # Claude Code's note to Anthropic on who pays is sent to nobody else.
            return 0 if value.startswith(_ATTRIBUTION) else _words(value)
        case list():
            return sum(_spaced(each, depth + 1) for each in value)
        case {"type": "tool_use", "input": given}:
            return _words(_json(given).decode())
        case (
            {"type": "text", "text": content}
            | {"type": "tool_result", "content": content}
            | {"role": _, "content": content}
        ) if "clear_at" not in value:  # such a reminder goes once the user has spoken again
            return _spaced(content, depth + 1)
    return 0


def _words(text: Any) -> int:
    # ASCII's spaces alone: of others it is not known that tokens end there.
    return len(text.encode("utf-8", "replace").split()) if isinstance(text, str) else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
