"""Takes secrets out of what is about to be written.

It is for a thread beside an event loop: no step of it takes long, for nothing else runs meanwhile.
Hence the patterns that begin with letters, which are looked for fast, and the pieces.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final

__all__ = ["Redaction"]

_REDACTED: Final = "[redacted]"
# Text is gone through in pieces: a step then takes no longer than a thread may run anyway.
_PIECE: Final = 16_384  # characters
# What has no space for so long is no text, but an image, say.
_LONGEST_WORD: Final = 65_536

# Each begins with the same letters in all its forms, which is what is looked for fast; what is
# matched counts only where no letter or digit stands before it.
_KEYS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # Anthropic, OpenAI, OpenRouter, LiteLLM, and ours; Stripe
        r"sk(?:-[A-Za-z0-9_-]{12,}|_(?:live|test)_[A-Za-z0-9]{16,})",
        r"pk-[A-Za-z0-9_-]{20,}",
        # AWS, Amazon Bedrock, Google
        r"A(?:(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}|BSK[A-Za-z0-9+/=]{20,}|Iza[A-Za-z0-9_-]{30,})",
        r"ya29\.[A-Za-z0-9_-]{20,}",
        r"GOCSPX-[A-Za-z0-9_-]{20,}",
        r"g(?:h[opsur]_[A-Za-z0-9]{20,}|ithub_pat_[A-Za-z0-9_]{20,})",
        r"glpat-[A-Za-z0-9_-]{16,}",
        r"x(?:ox[abeoprs]-[A-Za-z0-9-]{10,}|ai-[A-Za-z0-9]{20,})",
        r"gsk_[A-Za-z0-9]{20,}",
        r"hf_[A-Za-z0-9]{20,}",
        r"npm_[A-Za-z0-9]{30,}",
        r"pypi-[A-Za-z0-9_-]{40,}",
        r"rk_(?:live|test)_[A-Za-z0-9]{16,}",
        r"whsec_[A-Za-z0-9]{16,}",
        r"dop_v1_[a-f0-9]{40,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    )
)
_PRIVATE: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_IN_ADDRESS: Final = re.compile(r"(://[^/\s:@]{0,256}:)[^/\s@]{1,256}(?=@)")
# A name in lower case, and what it is said to be: `password = "…"`, `API_KEY: …`, `Bearer …`.
_NAMES: Final = (
    r"(?:pass(?:word|wd|phrase)|secret|token|credentials?|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|private[_-]?key|account[_-]?key|authorization)"
)
# The same, each by its own beginning; of the keys, by what they have in common.
_NAMED: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"pass(?:word|wd|phrase)",
        r"secret",
        r"token",
        r"credentials?",
        r"authorization",
        r"key(?:[_-]?id)?",
    )
)
_OF_KEYS: Final = tuple(
    owner + mark for owner in ("api", "access", "private", "account") for mark in ("", "_", "-")
)
_LONGEST_OF_KEYS: Final = max(map(len, _OF_KEYS))
_SCHEMES: Final = (re.compile("bearer"), re.compile("basic"))
# Spaces and quotes may be escapes: JSON that cannot be decoded is looked through as well, and what
# is JSON in a string of it.
_AUTHORIZATION: Final = re.compile(r"((?:\s|\\[nrt]){1,4})[A-Za-z0-9._~+/=-]{8,}")
_ASSIGNED: Final = re.compile(
    r"""(\\{0,3}["']?(?:\s|\\[nrt]){0,3}(?::|=>?)(?:\s|\\[nrt]){0,3}\\{0,3}["']?)"""
    r"""[^\s"'\\,;&]{6,}"""
)
_SECRET_NAME: Final = re.compile(rf"(?i:(?:.{{0,64}}[_-])?{_NAMES})")
_MAIL: Final = re.compile(r"@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_BEFORE_AT: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-"
)
_LONGEST_LOCAL: Final = 64
_ESCAPED: Final = re.compile(r"\\u00([2-7][0-9A-Fa-f])")
_SPACE: Final = re.compile(r"\s")
_BREAKS: Final = ("\n", "\\n", " ")
_MOST_CLEAN: Final = 50_000  # pieces; some megabytes
_SHORT: Final = 64  # characters
_LONGEST_NAME: Final = 100  # characters that a secret's name can have


class Redaction:
    """Replaces what is secret by `[redacted]`."""

    def __init__(self, expressions: Iterable[str] = (), *, emails: bool = True) -> None:
        """Prepare.

        Args:
            expressions: Regular expressions of what is secret besides.
            emails: Whether e-mail addresses are.
        """
        self._own = tuple(map(re.compile, expressions))
        self._emails = emails
        # Pieces in which there was nothing, long ones by digest: each turn of a conversation says
        # again what all before it said.
        self._clean: set[str | bytes] = set()

    def value(self, value: Any) -> Any:
        """Return decoded JSON without secrets; a member that is called a password is one.

        Raises:
            RecursionError: It is nested too deeply.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self._member(name, item) for name, item in value.items()}
        return value

    def text(self, text: str) -> str:
        """Return text without secrets."""
        if len(text) < _PIECE:
            return self._piece(text)
        text = _PRIVATE.sub(_REDACTED, text)
        return "".join(map(self._piece, _pieces(text)))

    def raw(self, text: str) -> str:
        """Return JSON that cannot be decoded, its beginning say, without secrets."""
        return self.text(_ESCAPED.sub(_unescaped, text))

    def _member(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and value and len(name) <= _LONGEST_NAME and _is_secret(name):
            return _REDACTED
        return self.value(value)

    def _piece(self, piece: str) -> str:
        mark = piece if len(piece) <= _SHORT else _digest(piece)
        if mark in self._clean:
            return piece
        clean = self._searched(piece)
        if clean == piece:
            if len(self._clean) >= _MOST_CLEAN:
                self._clean.clear()
            self._clean.add(mark)
        return clean

    def _searched(self, piece: str) -> str:
        for expression in self._own:
            piece = expression.sub(_REDACTED, piece)
        if "PRIVATE KEY-----" in piece:
            piece = _PRIVATE.sub(_REDACTED, piece)
        for key in _KEYS:
            piece = key.sub(_unless_inside, piece)
        if "://" in piece:
            piece = _IN_ADDRESS.sub(rf"\1{_REDACTED}", piece)
        piece = "".join(_without_named(piece))
        if self._emails and "@" in piece:
            piece = "".join(_without_mail(piece))
        return piece


# The same names come again and again.
@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name) is not None


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _unless_inside(match: re.Match[str]) -> str:
    """Leave alone what is the end of a word: `task-` ends as a key begins."""
    start, text = match.start(), match.string
    inside = start > 0 and text[start - 1].isalnum() and text[start - 2 : start] not in _LETTERS
    return match[0] if inside else _REDACTED


# What an escape in JSON ends in is no part of the word behind it.
_LETTERS: Final = ("\\n", "\\t", "\\r", "\\b", "\\f")


def _without_named(text: str) -> Iterator[str]:
    # Twice as fast as patterns that take either case; one letter alone has a longer small form.
    small = text.replace("\u0130", "I").lower()
    end = 0
    for start, pattern in sorted(_said(small), key=itemgetter(0)):
        if (found := pattern.match(text, start)) is None:
            continue
        # What is taken for a value may be another name, `token=password: …`.
        if start >= end:
            yield text[end : found.end(1)]
            yield _REDACTED
        end = max(end, found.end())
    yield text[end:]


def _said(small: str) -> Iterator[tuple[int, re.Pattern[str]]]:
    """Return where a name ends, and what a secret behind it looks like."""
    for scheme in _SCHEMES:
        for name in scheme.finditer(small):
            yield name.end(), _AUTHORIZATION
    *names, key = _NAMED
    for each in names:
        for name in each.finditer(small):
            yield name.end(), _ASSIGNED
    for name in key.finditer(small):
        start = name.start()
        if small.endswith(_OF_KEYS, max(0, start - _LONGEST_OF_KEYS), start):
            yield name.end(), _ASSIGNED


def _without_mail(text: str) -> Iterator[str]:
    end = 0
    for match in _MAIL.finditer(text):
        start = match.start()
        while start > max(end, match.start() - _LONGEST_LOCAL) and text[start - 1] in _BEFORE_AT:
            start -= 1
        if start < match.start():
            yield text[end:start]
            yield _REDACTED
            end = match.end()
    yield text[end:]


def _pieces(text: str) -> Iterator[str]:
    """Cut text where no secret is cut in two: at the end of a line, else at a space."""
    start = 0
    while len(text) - start > _PIECE:
        time.sleep(0)
        window = text[start : start + _PIECE]
        cut = max(
            (window.rfind(mark) + len(mark) for mark in _BREAKS[:2] if mark in window), default=0
        )
        cut = cut or window.rfind(" ") + 1
        if cut == 0:
            found = _SPACE.search(text, start + _PIECE)
            end = found.start() if found else len(text)
            if end - start > _LONGEST_WORD:
                yield f"[{end - start} characters without a space]"
                start = end
                continue
            cut = end - start
        yield text[start : start + cut]
        start += cut
    yield text[start:]


def _unescaped(match: re.Match[str]) -> str:
    letter = chr(int(match[1], 16))
    return match[0] if letter in '"\\' else letter
