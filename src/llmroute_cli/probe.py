"""`llmroute test-model`: one model, tried in the ways Claude Code uses it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import typer

from llmroute import (
    Config,
    ConfigError,
    LLMRouteError,
    MisconfiguredError,
    Record,
    Router,
    UnknownAliasError,
    UnreachableError,
)
from llmroute.config import load_dict
from llmroute.transport import Body, Reply, Timeouts, Transport
from llmroute.transport.httpx import HttpxTransport
from llmroute.wire.headers import Headers, first
from llmroute_cli import table
from llmroute_cli.configuration import fail, load
from llmroute_cli.notices import silenced
from llmroute_cli.running import presented

__all__ = ["NotingTransport", "probe", "proxy_config"]

_PATIENCE = 120.0  # seconds, for one try
# What no other way of asking changes.
_HOPELESS = (MisconfiguredError, UnknownAliasError, UnreachableError)
# Room for a model that thinks before it speaks.
_MAX_TOKENS = 1024
_QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "Name three rivers, nothing else."}]
_TOOL = {
    "name": "weather",
    "description": "Tells the weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def probe(model: str, path: Path | None, url: str | None, key: str | None) -> None:
    """Try a model whole, streamed, with a tool and counted; print a table.

    Raises:
        typer.Exit: A try failed, or there is nothing to try.
    """
    config = load(path) if url is None else proxy_config(url, presented(key))
    try:
        # A proxy's configuration is not at hand, and ours for it has no lines to mend.
        with silenced() if url is not None else nullcontext():
            tries = anyio.run(_try_all, config, model, url is not None)
    except _HOPELESS as error:
        is_proxy = url is not None and isinstance(error, UnreachableError)
        hint = "; is `llmroute serve` running there?" if is_proxy else ""
        raise fail(f"{error}{hint}", 1) from None
    table.show(
        ("try", "result", "first token ms", "ms", "in", "out", "answered by", ""),
        [each.cells() for each in tries],
    )
    if any(each.problem for each in tries):
        raise typer.Exit(1)


def proxy_config(url: str, key: str | None) -> Config:
    """Return a configuration that has one deployment, the proxy at `url`, for every model.

    Raises:
        typer.Exit: It is no address.
    """
    if not url.startswith(("http://", "https://")):
        raise fail("--url must start with http:// or https://")
    proxy = {"provider": "anthropic", "base_url": url, **({"auth_token": key} if key else {})}
    try:
        return load_dict({"deployments": {"proxy": proxy}, "aliases": {"*": "proxy"}}, {})
    except ConfigError as error:
        about = [problem.text for problem in error.problems if problem.path.endswith("base_url")]
        raise fail(f"--url {'; '.join(about) or 'and its key cannot be used'}") from None


class NotingTransport:
    """Sends through another transport, and notes what a proxy says of its last answer.

    Attributes:
        status: The HTTP status; 0 if there was no answer.
        deployment: Who answered; empty if it did not say.
        is_estimate: Whether it has counted by itself.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.status = 0
        self.deployment = ""
        self.is_estimate = False

    async def send(
        self, method: str, url: str, headers: Headers, body: Body, timeouts: Timeouts
    ) -> Reply:
        """Send, and note."""
        self.status, self.deployment, self.is_estimate = 0, "", False
        reply = await self._transport.send(method, url, headers, body, timeouts)
        self.status = reply.status
        self.is_estimate = first(reply.headers, b"x-llmroute-estimated") is not None
        self.deployment = first(reply.headers, b"x-llmroute-deployment") or ""
        return reply

    async def aclose(self) -> None:
        """Close the other transport."""
        await self._transport.aclose()


@dataclass(slots=True)
class _Try:
    """One way to use a model, and how it went; `problem` is empty if well."""

    name: str
    problem: str = ""
    note: str = ""
    first_token: float | None = None
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    deployment: str = ""

    def cells(self) -> Sequence[str]:
        return (
            self.name,
            "FAIL" if self.problem else "pass",
            "" if self.first_token is None else f"{1000 * self.first_token:.0f}",
            f"{1000 * self.seconds:.0f}",
            str(self.tokens_in or ""),
            str(self.tokens_out or ""),
            self.deployment,
            self.problem or self.note,
        )


class _LastRecord:
    """Observes a router for what it says of the last call."""

    def __init__(self) -> None:
        self.deployment = ""

    def record(self, record: Record) -> None:
        self.deployment = record.deployment


async def _try_all(config: Config, model: str, through_proxy: bool) -> list[_Try]:
    transport = NotingTransport(HttpxTransport())
    last = _LastRecord()
    ways: dict[str, Callable[[Router, str, _Try], Awaitable[None]]] = {
        "whole answer": _whole,
        "stream": _stream,
        "tool use": _tool_use,
        "count_tokens": _count,
    }
    tries = []
    async with Router(config, transport=transport, observers=[last]) as router:
        for name, way in ways.items():
            outcome = _Try(name)
            await _timed(partial(way, router, model, outcome), outcome)
            outcome.deployment = transport.deployment if through_proxy else last.deployment
            tries.append(outcome)
    # A router that gets no count makes an estimate of its own.
    if through_proxy and transport.status != 200:
        tries[-1].problem = f"the proxy answered {transport.status or 'nothing'}"
    elif transport.is_estimate or transport.status != 200:
        tries[-1].note = "an estimate: the upstream did not count"
    return tries


async def _timed(way: Callable[[], Awaitable[None]], outcome: _Try) -> None:
    started = time.perf_counter()
    try:
        with anyio.fail_after(_PATIENCE):
            await way()
    except _HOPELESS:
        raise
    except LLMRouteError as error:
        outcome.problem = str(error)
    except TimeoutError:
        outcome.problem = f"took more than {_PATIENCE:.0f} s"
    outcome.seconds = time.perf_counter() - started


async def _whole(router: Router, model: str, outcome: _Try) -> None:
    message = await router.complete(model=model, max_tokens=_MAX_TOKENS, messages=_QUESTION)
    outcome.tokens_in = message.usage.input_tokens
    outcome.tokens_out = message.usage.output_tokens
    if not message.text:
        outcome.problem = f"the answer holds no text (stop_reason {message.stop_reason})"


async def _stream(router: Router, model: str, outcome: _Try) -> None:
    started = time.perf_counter()
    async with router.stream(model=model, max_tokens=_MAX_TOKENS, messages=_QUESTION) as stream:
        async for event in stream:
            if outcome.first_token is None and event.type == "content_block_delta":
                outcome.first_token = time.perf_counter() - started
        message = await stream.message()
    outcome.tokens_in = message.usage.input_tokens
    outcome.tokens_out = message.usage.output_tokens
    if not message.text:
        outcome.problem = f"the answer holds no text (stop_reason {message.stop_reason})"


async def _tool_use(router: Router, model: str, outcome: _Try) -> None:
    message = await router.complete(
        model=model,
        max_tokens=_MAX_TOKENS,
        messages=[{"role": "user", "content": "What is the weather in Oslo?"}],
        tools=[_TOOL],
        tool_choice={"type": "any"},
    )
    outcome.tokens_in = message.usage.input_tokens
    outcome.tokens_out = message.usage.output_tokens
    if not message.tool_uses:
        outcome.problem = f"the model used no tool (stop_reason {message.stop_reason})"


async def _count(router: Router, model: str, outcome: _Try) -> None:
    outcome.tokens_in = await router.count_tokens(model=model, messages=_QUESTION)
    if outcome.tokens_in < 1:
        outcome.problem = "it counts no tokens"
