"""The configuration as the rest of the house sees it; nothing in it says which dialect it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from llmroute.errors import Problem
from llmroute.providers import Deployment
from llmroute.routing.plan import Policy

__all__ = ["Alias", "Config", "Price", "Routing", "Server", "Settings", "Strategy"]

Strategy: TypeAlias = Literal["listed", "weighted", "least_busy", "lowest_latency", "lowest_price"]

_POLICY = Policy()


class Settings(BaseModel):
    """A block of settings.  An unknown one is an error, and no error quotes a value."""

    # Deferred: a process pays for the models of the dialect that it reads, and not at import.
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )


class Alias(Settings):
    """A model name that callers ask for; a `*` in it stands for any text."""

    deployments: tuple[str, ...] = Field(min_length=1)
    """The deployments that serve it, in order of preference; a single name will do."""
    fallbacks: tuple[str, ...] = ()
    """Aliases to go on with when every deployment failed, in order."""
    when_too_long: str | None = None
    """The alias to use instead when a prompt is too long for this one; without effect in this
    version."""
    strategy: Strategy = "listed"
    """How the next deployment is chosen among those of equal `order`; in this version all but
    `listed` are taken as `weighted`."""
    hidden: bool = False
    """Keep it out of `/v1/models`; it can be asked for all the same."""
    display_name: str | None = None
    """What a person is shown instead of the name."""
    description: str | None = None
    """A sentence on what it is for."""
    max_input_tokens: int | None = Field(None, gt=0)
    """The longest prompt, in tokens, as told to clients."""
    max_output_tokens: int | None = Field(None, gt=0)
    """The longest answer, in tokens, as told to clients."""


class Routing(Settings):
    """How hard to try, and in which order."""

    strategy: Strategy = "listed"
    """The `strategy` of every alias that names none."""
    retries: int | None = Field(_POLICY.retries, ge=0)
    """Further attempts at the same deployment; left out, none over HTTP, where clients retry by
    themselves, and 2 in Python."""
    backoff: float = Field(_POLICY.backoff, ge=0)
    """Seconds to wait before the first of them; doubled for each one after."""
    patience: float = Field(_POLICY.patience, ge=0)
    """The longest wait, in seconds, that a caller is asked to sit through."""
    cooldown: float = Field(_POLICY.cooldown, ge=0)
    """Seconds that a deployment which failed is left alone."""

    def policy(self) -> Policy:
        """The part of it that decides on attempts."""
        return Policy(self.retries, self.backoff, self.patience, self.cooldown)


class Server(Settings):
    """The proxy's own settings."""

    host: str = "127.0.0.1"
    """The address to listen on; without a master key, only loopback is accepted."""
    port: int = Field(4000, ge=0, le=65_535)
    """The port to listen on; one that is taken is an error."""
    master_key: SecretStr | None = None
    """What clients present.  Left out, `LLMROUTE_MASTER_KEY` or `LITELLM_MASTER_KEY` is taken from
    the environment."""
    max_body_bytes: int = Field(33_554_432, gt=0)
    """The largest request accepted."""
    ping_after: float = Field(15.0, gt=0)
    """Seconds of silence in a stream after which a `ping` is sent."""
    drain: float = Field(30.0, ge=0)
    """Seconds that running calls are given to finish when the proxy is told to stop."""
    log: Literal["console", "json"] = "console"
    """How the line for each request is written."""


class Price(Settings):
    """What a deployment's tokens cost, in US dollars a token."""

    input: float | None = Field(None, ge=0)
    """Tokens of the prompt that were not read from a cache."""
    output: float | None = Field(None, ge=0)
    """Tokens of the answer."""
    cache_read: float | None = Field(None, ge=0)
    """Tokens read from the prompt cache."""
    cache_write: float | None = Field(None, ge=0)
    """Tokens written to the prompt cache for five minutes."""
    cache_write_1h: float | None = Field(None, ge=0)
    """Tokens written to the prompt cache for an hour."""
    base_model: str | None = None
    """The model whose list price holds where none is given."""


def _nothing() -> Mapping[str, Price]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, checked.  It never changes; loading again makes another.

    Attributes:
        deployments: By name.
        aliases: By name or pattern, in the order of the file.
        server: The proxy's own settings; not used in process.
        policy: How hard to try.
        prices: Overrides of the list price, by deployment.
        warnings: What is not as the file says, and does no harm.
        found: What was found in the environment, a line each, where there is no file.
        source: The file, or `<dict>` or `<environment>`.
    """

    deployments: Mapping[str, Deployment]
    aliases: Mapping[str, Alias]
    server: Server = field(default_factory=Server)
    policy: Policy = field(default_factory=Policy)
    prices: Mapping[str, Price] = field(default_factory=_nothing)
    warnings: tuple[Problem, ...] = ()
    found: tuple[str, ...] = ()
    source: str = "<dict>"

    def __post_init__(self) -> None:
        for name in ("deployments", "aliases", "prices"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
