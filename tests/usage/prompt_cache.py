"""A prompt cache as Anthropic documents it: what is marked is kept, and found twenty blocks on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from llmroute.testing import Answer, Received, text

__all__ = ["PromptCache"]

_LOOKS_BACK = 20
_INVALIDATING = ("tool_choice", "thinking", "speed")


class PromptCache:
    """Keeps prefixes of prompts, by model, and tells an answer's usage.

    Attributes:
        now: Seconds; a test moves it on.
    """

    def __init__(self, *, minimum: int = 1024, tokens_of: Callable[[str], int] = len) -> None:
        self.now = 0.0
        self._minimum = minimum
        self._tokens_of = tokens_of
        self._kept: dict[str, float] = {}

    def forget(self) -> None:
        """Lose everything, as an upstream may."""
        self._kept.clear()

    def answer(self, received: Received) -> Answer:
        """Answer a request of `FakeUpstream`'s with the usage that it has here."""
        return text("Done.", usage=self.usage(received.json))

    def usage(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what a request's prompt uses; it is in the cache from then on."""
        digest, total = hashlib.sha256(body["model"].encode()), 0
        places: list[tuple[str, int]] = []
        marks: list[tuple[int, float]] = []
        for block in _blocks(body):
            mark = block.pop("cache_control", None)
            data = json.dumps(block, sort_keys=True)
            digest.update(data.encode())
            total += self._tokens_of(data)
            places.append((digest.hexdigest(), total))
            if mark is not None:
                marks.append((len(places) - 1, 3600.0 if mark.get("ttl") == "1h" else 300.0))
        read = max((self._found(at, places) for at, _ in marks), default=0)
        written = {300.0: 0, 3600.0: 0}
        end = read
        for at, lifetime in marks:
            key, length = places[at]
            if length < self._minimum:
                continue
            self._kept[key] = self.now + lifetime
            if length > end:
                written[lifetime] += length - end
                end = length
        return {
            "input_tokens": total - end,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": sum(written.values()),
            "cache_creation": {
                "ephemeral_5m_input_tokens": written[300.0],
                "ephemeral_1h_input_tokens": written[3600.0],
            },
            "output_tokens": 6,
        }

    def _found(self, mark: int, places: list[tuple[str, int]]) -> int:
        for key, length in reversed(places[max(0, mark - _LOOKS_BACK) : mark + 1]):
            if self._kept.get(key, 0.0) > self.now:
                return length
        return 0


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the blocks of a prompt, in the order in which they are cached."""
    for tool in body.get("tools", []):
        if not tool.get("defer_loading"):
            yield {"tool": True, **tool}
    for at, block in enumerate(_listed(body.get("system", []))):
        if at or not block["text"].startswith("x-anthropic-billing-header"):
            yield {"system": True, **block}
    settings = {name: body.get(name) for name in _INVALIDATING}
    for message in body["messages"]:
        for block in _listed(message["content"]):
            yield {"role": message["role"], "settings": settings, **block}


def _listed(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
