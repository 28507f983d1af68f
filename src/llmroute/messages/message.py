"""A whole answer, as Python sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmroute.messages.usage import Usage

__all__ = ["Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """An answer of the Messages API.

    Attributes:
        data: The answer as it came, decoded; every member, known to us or not.
        deployment: Name of the deployment that answered.
        attempts: How many attempts it took, the successful one included.
        request_id: The upstream's `request-id`; empty if it sent none.
    """

    data: Mapping[str, Any]
    deployment: str = ""
    attempts: int = 1
    request_id: str = ""

    @property
    def id(self) -> str:
        """The upstream's id of the message."""
        return str(self.data.get("id") or "")

    @property
    def model(self) -> str:
        """The alias that was asked for."""
        return str(self.data.get("model") or "")

    @property
    def content(self) -> list[dict[str, Any]]:
        """The content blocks, to be sent back as they are in the next turn."""
        content = self.data.get("content")
        return content if isinstance(content, list) else []

    @property
    def text(self) -> str:
        """The text blocks, put together."""
        return "".join(str(block.get("text") or "") for block in self._blocks("text"))

    @property
    def thinking(self) -> str:
        """The thinking blocks, put together; empty where the upstream omits their text."""
        return "".join(str(block.get("thinking") or "") for block in self._blocks("thinking"))

    @property
    def tool_uses(self) -> list[dict[str, Any]]:
        """The `tool_use` blocks: each has `id`, `name` and `input`."""
        return self._blocks("tool_use")

    @property
    def stop_reason(self) -> str | None:
        """`end_turn`, `max_tokens`, `tool_use`, `stop_sequence`, `refusal`, or a newer one."""
        value = self.data.get("stop_reason")
        return value if isinstance(value, str) else None

    @property
    def usage(self) -> Usage:
        """What the answer used."""
        usage = self.data.get("usage")
        return Usage.of(usage if isinstance(usage, dict) else {})

    def _blocks(self, kind: str) -> list[dict[str, Any]]:
        content: list[Any] = self.content
        return [b for b in content if isinstance(b, dict) and b.get("type") == kind]
