"""`llmroute check`: the configuration, and with `--live` each of its deployments."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import typer

from llmroute import (
    Config,
    FaultError,
    LLMRouteError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    Record,
    RejectedError,
    Router,
    UpstreamError,
)
from llmroute.config import Alias
from llmroute.messages.catalog import CLAUDE, facts
from llmroute.platforms.generations import generation_of
from llmroute.providers import PROVIDERS, BridgedDeployment, Deployment
from llmroute.providers.anthropic import DEFAULT_BASE_URL
from llmroute.providers.anthropic_compatible import AnthropicCompatibleDeployment
from llmroute.providers.bedrock import BedrockDeployment
from llmroute.providers.openai_compatible import OpenAICompatibleDeployment
from llmroute.router.reviewers import NOBODY, converses, judges
from llmroute.router.tariffs import unpriced
from llmroute.routing.aliases import Aliases
from llmroute_cli import table
from llmroute_cli.client_request import client_request
from llmroute_cli.configuration import load, say
from llmroute_cli.data import database_shown

__all__ = ["check"]

_TRANSLATED = frozenset({"azure_openai", "gemini", "openai", "openai_compatible"})
_PATIENCE = 60.0  # seconds, for one deployment
# Where any model will do, the cheapest that everyone may use.
_SAMPLES = ("claude-haiku-4-5", *CLAUDE)
_PLAIN: dict[str, Any] = {"max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}


def check(path: Path | None, *, live: bool) -> None:
    """Print what the configuration says, and with `live` how each deployment answers.

    Raises:
        typer.Exit: The configuration is wrong, or a deployment does not answer.
    """
    config = load(path)
    for line in config.found:
        say(f"found {line}")
    typer.echo(f"OK: {config.source}")
    server = config.server
    key = _door(config)
    typer.echo(f"serves {server.host}:{server.port}, with {key}")
    typer.echo(f"database: {database_shown(config, os.environ)}")
    if accounts := _accounts(config):
        typer.echo(accounts)
    typer.echo()
    rows = []
    for alias, settings in config.aliases.items():
        for name in settings.deployments:
            deployment = config.deployments[name]
            address = PROVIDERS[deployment.provider].address
            where = address(deployment) if address else deployment.base_url or DEFAULT_BASE_URL
            model = deployment.model or "(as asked)"
            rows.append((alias, name, _provider(deployment), model, where))
    table.show(("alias", "deployment", "provider", "model", "address"), rows)
    for line in _unpriced(config):
        typer.echo(line)
    for line in _auto_mode(config):
        typer.echo(line)
    if live:
        typer.echo()
        results = anyio.run(_try_all, config)
        table.show(
            ("deployment", "model", "status", "ms", "what to do"),
            [result.cells() for result in results],
        )
        if changes := [change for result in results for change in result.changes()]:
            typer.echo()
            table.show(
                ("deployment", "in a request of Claude Code's", "what becomes of it"), changes
            )
        if not all(result.is_good for result in results):
            raise typer.Exit(1)


def _door(config: Config) -> str:
    if config.server.master_key is not None:
        return "a master key"
    if config.accounts.keys:
        return "no master key, so for the keys of this file only"
    return "no master key, so for this machine only"


def _accounts(config: Config) -> str:
    """Say how many keys, teams and budgets stand in the file; empty if there are none."""
    keys, teams = config.accounts.keys.values(), config.accounts.teams.values()
    budgets = [len(key.budgets) for key in keys] + [len(team.budgets) for team in teams]
    counts = {
        "key": len(keys),
        "team": len(teams),
        "budget": len(config.accounts.budgets) + sum(budgets),
    }
    words = [f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
    blocked = [*(key.blocked for key in keys), *(team.blocked for team in teams)].count(True)
    shut = f"; {blocked} blocked" if blocked else ""
    return f"of this file: {', '.join(words)}{shut}" if words else ""


def _provider(deployment: Deployment) -> str:
    """Return a provider's name as people know it: a vendor's, if it is one."""
    if isinstance(deployment, AnthropicCompatibleDeployment | OpenAICompatibleDeployment):
        return deployment.vendor or deployment.provider
    return deployment.provider


def _is_translated(deployment: Deployment, model: str) -> bool:
    if isinstance(deployment, BedrockDeployment):
        return converses(deployment, model)
    return deployment.provider in _TRANSLATED


def _unpriced(config: Config) -> Iterator[str]:
    """Say which deployments' prices nobody knows, and how to set them."""
    found = unpriced(config, datetime.now(UTC).date())
    if found:
        yield ""
        yield "prices: of these nobody knows the price, so that their cost is unknown:"
        yield from (f"  {name}: {model}" for name, model in found.items())
        yield (
            "  `price: {input: 3, output: 15}` at the deployment sets it, in US dollars a million "
            "tokens (0 for a model of your own), and `price: {base_model: …}` takes another's; in "
            "LiteLLM's files, `input_cost_per_token`, `output_cost_per_token` or `base_model`"
        )


def _auto_mode(config: Config) -> Iterator[str]:
    """Say who judges tool calls where upstreams do not, or cannot be relied on to."""
    found = judges(config)
    if found:
        yield ""
    for classifier, names in found.items():
        aliases = ", ".join(names)
        if classifier == NOBODY:
            yield (
                f"auto mode: there is no classifier for the tool calls of {aliases}; "
                "`safeguards` would name one"
            )
        else:
            yield f"auto mode: {classifier} judges the tool calls of {aliases}"


class Result(NamedTuple):
    """How a deployment answered.

    Attributes:
        deployment: Its name.
        model: What it was asked for.
        status: The HTTP status, or why there is none.
        milliseconds: How long that took.
        advice: What to do; empty if nothing.
        losses: What was left out of the request or reworded, by the tables and by what the platform
            has refused; `None` if the request was not answered.
        translated: It does not speak the Messages format, so that nothing goes there as it is.
    """

    deployment: str
    model: str
    status: str
    milliseconds: float
    advice: str
    losses: tuple[str, ...] | None
    translated: bool

    @property
    def is_good(self) -> bool:
        return self.status == "200"

    def cells(self) -> Sequence[str]:
        return self.deployment, self.model, self.status, f"{self.milliseconds:.0f}", self.advice

    def changes(self) -> Sequence[Sequence[str]]:
        """Return the rows on what becomes of the request."""
        if self.losses is None:
            return ()
        split = [loss.partition(": ") for loss in self.losses]
        rows = [(self.deployment, place, reason) for place, _, reason in split]
        if self.translated:
            what = "everything else" if rows else "everything"
            return [*rows, (self.deployment, what, "is translated; `llmroute explain` shows how")]
        return rows or [(self.deployment, "everything", "goes there as it is")]


class _LastRecord:
    """Observes a router for what was left out of the last call."""

    losses: tuple[str, ...] = ()

    def record(self, record: Record) -> None:
        self.losses = record.losses


async def _try_all(config: Config) -> Sequence[Result]:
    results: dict[str, Result] = {}

    async def note(name: str) -> None:
        results[name] = await _try(config, name)

    async with anyio.create_task_group() as tasks:
        for name in config.deployments:
            tasks.start_soon(note, name)
    return [results[name] for name in config.deployments]


async def _try(config: Config, name: str) -> Result:
    pattern, asked = _question(config, name)
    alone = replace(
        config,
        deployments={name: config.deployments[name]},
        aliases={pattern: Alias(deployments=(name,))},
        policy=replace(config.policy, retries=0),
    )
    match = Aliases([pattern]).find(asked)
    model = match.model(config.deployments[name].model, asked) if match else asked
    last, losses = _LastRecord(), None
    started = time.perf_counter()
    async with Router(alone, observers=[last]) as router:
        try:
            with anyio.fail_after(_PATIENCE):
                advice = await _ask(router, asked, _request(config.deployments[name], model))
            status, losses = "200", None if advice else last.losses
        except LLMRouteError as error:
            status = str(error.status) if isinstance(error, UpstreamError) else "error"
            advice = f"{_advice(error, config.deployments[name])} ({error})"
        except TimeoutError:
            status, advice = "no answer", f"it took more than {_PATIENCE:.0f} s; try again later"
    elapsed = 1000 * (time.perf_counter() - started)
    translated = _is_translated(config.deployments[name], model)
    return Result(name, model, status, elapsed, advice, losses, translated)


def _request(deployment: Deployment, model: str) -> dict[str, Any]:
    base = deployment.base_model if isinstance(deployment, BridgedDeployment) else None
    return client_request(generation_of((base, model)))


async def _ask(router: Router, asked: str, request: dict[str, Any]) -> str:
    """Ask as Claude Code does, and plainly where that is refused; return what to know of it."""
    try:
        await router.complete(model=asked, **request)
    except RejectedError as refusal:
        await router.complete(model=asked, **_PLAIN)
        return f"it takes a plain request, and refuses what Claude Code sends ({refusal})"
    return ""


def _question(config: Config, name: str) -> tuple[str, str]:
    """Return an alias for one deployment, and the model to ask it for."""
    model = config.deployments[name].model
    if model is not None and "*" not in model:
        return model, model
    # The name that is asked for goes upstream, so one that is known there is best.
    serving = [alias for alias, its in config.aliases.items() if name in its.deployments]
    for alias in serving:
        if facts(alias):
            return alias, alias
    for alias in serving:
        fitting = [sample for sample in _SAMPLES if Aliases([alias]).find(sample)]
        if fitting:
            return alias, fitting[0]
    alias = next(iter(serving), "*")
    return alias, alias.replace("*", _SAMPLES[0])


def _advice(error: LLMRouteError, deployment: Deployment) -> str:
    match error:
        case MisconfiguredError(status=404 | 405):
            advice = "check its model and base_url"
            if isinstance(deployment, AnthropicCompatibleDeployment) and deployment.vendor:
                advice += ", or have it asked by Chat Completions (`api: chat`)"
        case MisconfiguredError(status=402):
            advice = "check the account's credit"
        case MisconfiguredError():
            advice = "check its api_key, and what the account may use"
        case RateLimitedError():
            advice = "it answers, but its limit is reached; try again later"
        case OverloadedError() | FaultError(status=500 | 502 | 503 | 504):
            advice = "nothing on this side; try again later"
        case RejectedError() | FaultError():
            advice = "check its model and base_url: this is no answer of a Messages API"
        case _:
            advice = "check its base_url and the network"
    return advice
