"""What holds for every test of the router, and a house with two upstreams for some."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

# A router imports its HTTP client when it is made, once, and what limits are counted with; a test
# of its own must not be the one that is found to block the event loop by it.
import limits.aio.storage  # noqa: F401
import pytest

import llmroute
import llmroute.transport.httpx
from llmroute.testing import Clock, FakeUpstream
from llmroute.transport.direct import DirectTransport


class House:
    """Two upstreams, `east` and `west`, a clock, and routers to them.

    The deployments are named like the upstreams and serve the alias `sonnet`, in that order.

    Attributes:
        clock: All of a router's: what is waited for takes no time.
        records: What was written down of the calls.
    """

    def __init__(self, east: FakeUpstream, west: FakeUpstream) -> None:
        self.east = east
        self.west = west
        # At the beginning of a minute, since limits go by it.
        self.clock = Clock(960.0)
        self.records: list[llmroute.Record] = []

    def record(self, record: llmroute.Record) -> None:
        self.records.append(record)

    def deployment(self, upstream: FakeUpstream, **settings: Any) -> dict[str, Any]:
        given = {"provider": "anthropic", "base_url": upstream.url, "model": "claude-sonnet-4-5"}
        key = {} if "api_keys" in settings else {"api_key": "sk-canary"}
        return {**given, **key, **settings}

    def config(
        self,
        *,
        east: dict[str, Any] | None = None,
        west: dict[str, Any] | None = None,
        sonnet: dict[str, Any] | None = None,
        aliases: dict[str, Any] | None = None,
        **top: Any,
    ) -> dict[str, Any]:
        return {
            "deployments": {
                "east": self.deployment(self.east, **(east or {})),
                "west": self.deployment(self.west, **(west or {})),
            },
            "aliases": {
                "sonnet": {"deployments": ["east", "west"], **(sonnet or {})},
                **(aliases or {}),
            },
            **top,
        }

    def router(
        self,
        config: dict[str, Any] | None = None,
        *,
        draw: Callable[[], float] = lambda: 1.0 - 2**-53,
        **options: Any,
    ) -> llmroute.Router:
        given: dict[str, Any] = {
            "transport": DirectTransport(),
            "observers": [self],
            "clock": self.clock.now,
            "wall_clock": self.clock.now,
            "sleep": self.clock.sleep,
            "draw": draw,
        }
        return llmroute.Router.from_dict(config or self.config(), **(given | options))

    @staticmethod
    async def ask(
        router: llmroute.Router, words: str = "Hi", model: str = "sonnet", **members: Any
    ) -> llmroute.Message:
        """Ask, in a conversation of its own for each first message."""
        given = {"messages": [{"role": "user", "content": words}], "max_tokens": 64}
        return await router.complete(model=model, **(given | members))

    @property
    def asked(self) -> tuple[int, int]:
        """How many requests each upstream has had."""
        return len(self.east.requests), len(self.west.requests)


@pytest.fixture
def house() -> Iterator[House]:
    with FakeUpstream() as east, FakeUpstream() as west:
        east.default, west.default = "From the east.", "From the west."
        yield House(east, west)
