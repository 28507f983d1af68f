"""`llmroute explain`: what would become of a request, without sending it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import typer

from llmroute import Config, LLMRouteError, Router
from llmroute.router.explain import Explanation
from llmroute.router.prospect import Changes, Cost, Prospect
from llmroute.wire.envelope import Envelope
from llmroute_cli import table
from llmroute_cli.configuration import fail, load
from llmroute_cli.recording import Recorded, call_of, recorded

__all__ = ["explain"]

# Characters of a member that a summary shows.
_SHOWN = 60
# What the clouds have in the address and not in the body.
_IN_ADDRESS = frozenset({"model", "stream"})
_KEPT = {
    "name": "by that name",
    "pattern": "a pattern that matches it",
    "": "no alias matches it",
}


def explain(
    request: str,
    path: Path | None,
    alias: str | None,
    deployment: str | None,
    *,
    number: int,
    whole: bool,
    as_json: bool,
) -> None:
    """Print what would become of a request.

    Raises:
        typer.Exit: The configuration or the request cannot be used.
    """
    if alias is not None and deployment is not None:
        raise fail("--alias and --deployment exclude one another")
    found = recorded(request, number)
    config = load(path, credentials=False)
    try:
        explanation = anyio.run(_explained, config, found, alias, deployment)
    except LLMRouteError as error:
        raise fail(str(error)) from None
    if as_json:
        typer.echo(msgspec.json.encode(_plain(explanation)))
        return
    for line in _head(explanation, found):
        typer.echo(line)
    typer.echo()
    table.show(
        ("", "deployment", "provider", "model", "why"),
        [
            (_mark(number, each), each.deployment, each.provider, each.model, each.why)
            for number, each in enumerate(explanation.prospects, 1)
        ],
    )
    for each in explanation.prospects:
        typer.echo(f"\n{each.deployment}: {each.model}")
        for line in _lines(each, explanation, whole=whole):
            typer.echo(f"  {line}" if line else "")


async def _explained(
    config: Config, request: Recorded, alias: str | None, deployment: str | None
) -> Explanation:
    async with Router(config) as router:
        return await router.explain(await call_of(router, request, alias), deployment)


def _mark(number: int, prospect: Prospect) -> str:
    return str(number) if prospect.role == "turn" else prospect.role


def _head(explanation: Explanation, request: Recorded) -> Iterator[str]:
    tokens = explanation.input_tokens
    length = "unreadable" if tokens is None else f"at most about {tokens:,} input tokens"
    kind = "a token count" if explanation.endpoint == "count_tokens" else "a whole answer"
    yield f"asked for  {explanation.asked}, {'a stream' if explanation.stream else kind}, {length}"
    alias = explanation.alias and f"{explanation.alias}, "
    yield f"alias      {alias}{_KEPT[explanation.matched]}"
    session = explanation.session
    yield "session    " + (session or "none: there is nothing to be remembered of where it went")
    if not request.headers:
        yield "headers    none are known; a client's betas would be among them"
    for each in explanation.assumed:
        yield f"assumed    {each}"


def _lines(each: Prospect, explanation: Explanation, *, whole: bool) -> Iterator[str]:
    if each.problem:
        yield f"cannot be sent: {each.problem}"
        return
    yield f"{each.method} {each.url}"
    for name, value in each.headers:
        yield f"{name}: {value}"
    yield ""
    if whole:
        yield each.body.decode("utf-8", "replace")
    else:
        yield f"body, {len(each.body):,} bytes"
        yield from _summary(each.body)
    yield ""
    if each.changes is not None:
        yield from _changes(each.changes)
    if each.reviewed_by:
        yield f"auto mode  tool calls are judged by {each.reviewed_by}"
    if explanation.endpoint == "count_tokens":
        yield "cost     nothing, as counting is free"
    else:
        yield from _cost(each.cost)


def _summary(body: bytes) -> Iterator[str]:
    members = Envelope.parse(body)
    width = max(map(len, members), default=0)
    for name in members:
        raw = bytes(members.raw(name))
        text = " ".join(raw[: 4 * _SHOWN].decode("utf-8", "ignore").split())
        if len(raw) > _SHOWN:
            text = f"{len(raw):,} bytes  {text[:_SHOWN]}…"
        yield f"  {name.ljust(width)}  {text}"


def _changes(changes: Changes) -> Iterator[str]:
    moved = [name for name in changes.removed if name in _IN_ADDRESS]
    removed = [name for name in changes.removed if name not in _IN_ADDRESS]
    rows: Sequence[tuple[str, Sequence[str]]] = (
        ("set", changes.added),
        ("changed", changes.changed),
        ("left out", removed),
        ("in the address", moved),
        ("betas set", changes.betas_added),
        ("betas left out", changes.betas_removed),
        ("headers left out", changes.headers_removed),
    )
    found = [f"{name}: {', '.join(names)}" for name, names in rows if names]
    for change in (*found, *changes.losses) or ["none: it goes there as it is"]:
        yield f"changes  {change}"


def _cost(cost: Cost | None) -> Iterator[str]:
    if cost is None:
        yield "cost     unknown"
        return
    yield (
        f"cost     prompt {_dollars(cost.prompt)}; {_dollars(cost.cached)} if all of it is read "
        f"from the cache, {_dollars(cost.written)} if it is written there"
    )
    if cost.answer is None:
        yield "cost     answer unknown, without max_tokens"
    else:
        yield f"cost     answer {_dollars(cost.answer)}, if it takes all of max_tokens"
    yield f"prices   {cost.source}"


def _dollars(micro: int) -> str:
    return f"${micro / 1_000_000:,.4f}"


def _plain(explanation: Explanation) -> dict[str, Any]:
    """Return it as JSON has it; bodies keep their bytes."""
    return {
        "asked": explanation.asked,
        "endpoint": explanation.endpoint,
        "stream": explanation.stream,
        "alias": explanation.alias,
        "matched": explanation.matched,
        "session": explanation.session,
        "assumed": explanation.assumed,
        "input_tokens": explanation.input_tokens,
        "deployments": [_plain_prospect(each) for each in explanation.prospects],
    }


def _plain_prospect(each: Prospect) -> dict[str, Any]:
    return {
        "deployment": each.deployment,
        "provider": each.provider,
        "model": each.model,
        "alias": each.alias,
        "role": each.role,
        "why": each.why,
        "problem": each.problem,
        "method": each.method,
        "url": each.url,
        "headers": each.headers,
        "body": msgspec.Raw(each.body) if each.body else None,
        "changes": each.changes and each.changes._asdict(),
        "cost": each.cost and each.cost._asdict(),
        "reviewed_by": each.reviewed_by,
    }
