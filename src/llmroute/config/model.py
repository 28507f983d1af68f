"""The configuration as the rest of the house sees it; nothing in it says which dialect it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from llmroute.config.accounts import Accounts
from llmroute.config.origin import Origin
from llmroute.config.settings import Settings
from llmroute.config.telemetry import Logs, Telemetry
from llmroute.config.validation import meant
from llmroute.errors import Problem, Remedy
from llmroute.providers import Deployment
from llmroute.routing.plan import Policy
from llmroute.routing.remedies import Rule
from llmroute.routing.select import Strategy

__all__ = [
    "Alias",
    "Config",
    "ErrorRule",
    "Hedge",
    "OwnRates",
    "Price",
    "PriceTier",
    "Routing",
    "Safeguards",
    "Server",
    "Sharing",
]

_POLICY = Policy()
_STORES = ("redis", "rediss", "unix")
_DATABASES = ("sqlite", "postgresql", "postgres")
_NO_DATABASE = "none"
_FILES = (".db", ".sqlite", ".sqlite3")


def _store_address(value: SecretStr) -> SecretStr:
    scheme, _, rest = value.get_secret_value().partition("://")
    if not rest or scheme not in _STORES:
        near = meant(scheme, _STORES)
        raise ValueError(f"must start with redis://, rediss:// or unix://{near}")
    try:
        parts = urlsplit(value.get_secret_value())
        usable = bool(parts.path if scheme == "unix" else parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("is not an address")
    return value


def _database_address(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    scheme, _, rest = text.partition("://")
    kind = scheme.partition("+")[0]
    if text == _NO_DATABASE:
        return value
    if not rest or kind not in _DATABASES:
        near = "" if kind in _DATABASES else meant(kind, (*_DATABASES, _NO_DATABASE))
        if text.endswith(_FILES) and not rest:
            near = "; for a file, write sqlite:/// before its path"
        raise ValueError(f"must start with sqlite:/// or postgresql://, or be none{near}")
    try:
        parts = urlsplit(text)
        usable = parts.path not in ("", "/") and parts.port != 0
    except ValueError:
        usable = False
    if kind == "sqlite" and (not usable or parts.netloc):
        raise ValueError("must name a file: sqlite:////absolute/path")
    if not usable:
        raise ValueError("is not an address: postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return value


class Hedge(Settings):
    """A second attempt beside one that is slow; the answer that comes first is taken.

    For short calls that are not streamed, as clients make them on the side, and where there is
    another deployment that could answer.
    """

    after: float = Field(gt=0)
    """Seconds without an answer after which the second attempt is made."""
    max_tokens: int = Field(1024, gt=0)
    """The largest `max_tokens` of a call that this is done for."""
    max_input_tokens: int = Field(8000, gt=0)
    """The longest prompt, in tokens, that it is done for."""
    max_cost: float = Field(0.01, gt=0)
    """The most that a second attempt may cost, in US dollars."""
    max_share: float = Field(0.05, gt=0, le=1)
    """The largest share of the calls that it is done for."""


class Safeguards(Settings):
    """Who judges an answer's tool calls for Claude Code's auto mode, where the upstream does not.

    It is asked about answers that call tools, if the request asks for verdicts (`safeguards`).
    """

    classifier: str = Field(min_length=1)
    """The alias of the model that is asked; it may be this alias itself, though another model is
    the better judge."""
    timeout: float = Field(20.0, gt=0)
    """Seconds it is given; a tool call without a verdict by then is not run."""


class Alias(Settings):
    """A model name that callers ask for; a `*` in it stands for any text."""

    deployments: tuple[str, ...] = Field(min_length=1)
    """The deployments that serve it, in order of preference; a single name will do."""
    fallbacks: tuple[str, ...] = ()
    """Aliases to go on with when every deployment failed, in order."""
    when_too_long: tuple[str, ...] = ()
    """Aliases to go on with when a prompt is too long for this one, in order."""
    when_refused: tuple[str, ...] = ()
    """Aliases to go on with when the model refuses to answer, in order."""
    strategy: Strategy = "listed"
    """How the next deployment is chosen among those of equal `order`: as they are listed, drawn by
    weight, the one with the fewest calls under way, the one that answers soonest, or the
    cheapest."""
    affinity: bool | None = None
    """Whether a conversation stays with the deployment that holds its prompt cache; as `routing`
    says if left out."""
    timeout: float | None = Field(None, gt=0)
    """Seconds until an answer must begin, in place of the deployments' own `timeout`."""
    stream_timeout: float | None = Field(None, gt=0)
    """The same for streamed answers, in place of their `stream_timeout`."""
    silence_timeout: float | None = Field(None, gt=0)
    """Seconds that an answer which has begun may pause, in place of their `silence_timeout`."""
    total_timeout: float | None = Field(None, gt=0)
    """Seconds from a call's arrival until its answer must be whole, in place of their
    `total_timeout`."""
    hedge: Hedge | None = None
    """A second attempt beside a slow one; left out, none is made."""
    safeguards: Safeguards | None = None
    """Who judges tool calls for auto mode where the upstream does not; as `routing` says if left
    out."""
    strict: bool = False
    """Refuse a request of which a deployment would not get to see everything, with an error that
    names what; left out, it is sent without, and the answer's headers say so."""
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


class ErrorRule(Settings):
    """What an upstream's error means, in place of what it is taken for."""

    remedy: Literal["nothing", "elsewhere", "time"]
    """What can help: `nothing`, another deployment (`elsewhere`), or the same one later
    (`time`)."""
    cooldown: float | None = Field(None, ge=0)
    """Seconds that the deployment is left alone; `routing.cooldown` if left out, and not at all
    with 0."""

    def rule(self) -> Rule:
        """The same as a row for `llmroute.routing.remedies`."""
        return Rule(Remedy(self.remedy), self.cooldown)


class Routing(Settings):
    """How hard to try, and in which order."""

    strategy: Strategy = "listed"
    """The `strategy` of every alias that names none."""
    affinity: bool = _POLICY.affinity
    """Whether a conversation stays with the deployment that holds its prompt cache, for as long as
    that lives."""
    waiting: float = Field(_POLICY.waiting, ge=0)
    """What a second of a person's waiting is worth, in US dollars: a deployment that holds the
    prompt cache is waited for as long as that costs less than writing the prompt anew elsewhere."""
    retries: int | None = Field(_POLICY.retries, ge=0)
    """Further attempts at the same deployment, once the others have been tried; left out, 2 in
    Python, and over HTTP, where clients retry by themselves, 1 if there are several deployments
    and else none."""
    backoff: float = Field(_POLICY.backoff, ge=0)
    """The longest wait before the first of them, in seconds; doubled for each one after.  The wait
    itself is drawn between nothing and that."""
    longest_backoff: float = Field(_POLICY.longest_backoff, ge=0)
    """Seconds at which the doubling ends."""
    patience: float = Field(_POLICY.patience, ge=0)
    """Seconds from a call's arrival within which a further attempt may be waited for."""
    cooldown: float = Field(_POLICY.cooldown, ge=0)
    """Seconds that a deployment which failed is left alone, if there is another; doubled each time
    that it fails again when they are over.  With 0, none is."""
    longest_cooldown: float = Field(_POLICY.longest_cooldown, ge=0)
    """Seconds at which that doubling ends."""
    allowed_failures: int = Field(_POLICY.allowed_failures, ge=0)
    """Faults (5xx) in a row that are forgiven before that; a 429, a 529 and a connection that does
    not come about count at once."""
    errors: dict[str, ErrorRule] = Field(default_factory=dict)
    """What an upstream's error means, by its `error_code`, its `type` or its status: a `remedy`, or
    a mapping of `remedy` and `cooldown`."""
    safeguards: Safeguards | None = None
    """The `safeguards` of every alias that has none."""

    def policy(self) -> Policy:
        """The part of it that decides on attempts."""
        rules = {name: error.rule() for name, error in self.errors.items()}
        settings = self.model_dump(exclude={"strategy", "errors", "safeguards"})
        return Policy(**settings, errors=MappingProxyType(rules))


class Sharing(Settings):
    """What stands at the top of a native file, beside its sections."""

    store: Annotated[SecretStr, AfterValidator(_store_address)] | None = None
    """Where several proxies keep together what they know of deployments and conversations:
    `redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]`, `rediss://` for TLS, with
    `?ssl_ca_certs=FILE` behind it for an authority of your own, or `unix://PATH`.  Left out, each
    process knows its own."""
    store_prefix: str = Field("llmroute:", min_length=1)
    """How the names of what is kept there begin."""
    database: Annotated[SecretStr, AfterValidator(_database_address)] | None = None
    """Where keys, budgets and usage are kept: `sqlite:////absolute/path`, `postgresql://…`, or
    `none` to keep them no longer than the process lives.  Left out, `llmroute serve` keeps them in
    `llmroute.db` in its data directory, and Python code nowhere."""


class Server(Settings):
    """The proxy's own settings."""

    host: str = "127.0.0.1"
    """The address to listen on; without a master key, and without keys in the file, only loopback
    is accepted."""
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


class OwnRates(Settings):
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
    thinking: float | None = Field(None, ge=0)
    """Tokens of the answer that are thinking; left out, as the others."""


class PriceTier(OwnRates):
    """What they cost in a call with a longer prompt; what is left out is as for shorter ones."""

    above: int = Field(ge=1)
    """Tokens of the prompt, cached ones included, above which this holds for the whole call."""


class Price(OwnRates):
    """What a deployment costs."""

    tiers: tuple[PriceTier, ...] = ()
    """What tokens cost in calls with longer prompts."""
    modes: Mapping[Literal["batch", "fast", "flex", "priority"], OwnRates] = Field(
        default_factory=dict
    )
    """What they cost where the answer says that it was made in a mode."""
    web_search: float | None = Field(None, ge=0)
    """A search of the web, in US dollars."""
    request: float | None = Field(None, ge=0)
    """A request, whatever its length, in US dollars."""
    base_model: str | None = None
    """The model whose list price holds where none is given."""
    factor: float | None = Field(None, ge=0)
    """What the list price is multiplied by, in place of `usage.price_factor`."""


def _nothing() -> Mapping[str, Any]:
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
        groups: Of deployments made of one block with several keys, the block's name by theirs.
        origins: Where each deployment stands, and each of its settings.
        store: The address of what several proxies share; `None` where each knows its own.
        store_prefix: How the names of what is kept there begin.
        database: Where keys, budgets and usage are kept; `none` for in memory, `None` if the file
            does not say.
        accounts: Keys, teams, limits and budgets of the file.
        telemetry: What a collector is told; `None` if the file does not say.
        logs: What is written of calls beside the log.
        warnings: What is not as the file says, and does no harm.
        found: What was found in the environment, a line each, where there is no file.
        source: The file, or `<dict>` or `<environment>`.
        files: Every file it was read from, that of `source` first, those of its secrets included.
    """

    deployments: Mapping[str, Deployment]
    aliases: Mapping[str, Alias]
    server: Server = field(default_factory=Server)
    policy: Policy = field(default_factory=Policy)
    prices: Mapping[str, Price] = field(default_factory=_nothing)
    groups: Mapping[str, str] = field(default_factory=_nothing)
    origins: Mapping[str, Origin] = field(default_factory=_nothing)
    store: SecretStr | None = None
    store_prefix: str = "llmroute:"
    database: SecretStr | None = None
    accounts: Accounts = field(default_factory=Accounts)
    telemetry: Telemetry | None = None
    logs: Logs = field(default_factory=Logs)
    warnings: tuple[Problem, ...] = ()
    found: tuple[str, ...] = ()
    source: str = "<dict>"
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("deployments", "aliases", "prices", "groups", "origins"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
