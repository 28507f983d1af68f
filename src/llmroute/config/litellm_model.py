"""What of a LiteLLM file is honoured, section by section; the rest is in `litellm_keys`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr

from llmroute.config.settings import Settings
from llmroute.routing.select import Strategy

__all__ = [
    "STRATEGIES",
    "CredentialEntry",
    "GeneralSettings",
    "LitellmParams",
    "LitellmSettings",
    "ModelEntry",
    "ModelInfo",
    "RouterSettings",
    "RoutingStrategy",
]

RoutingStrategy = Literal[
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
]

STRATEGIES: dict[str, Strategy] = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "lowest_latency",
    "cost-based-routing": "lowest_price",
    "usage-based-routing": "least_busy",
    "usage-based-routing-v2": "least_busy",
}


class ModelEntry(Settings):
    """One of `model_list`."""

    model_name: str = Field(min_length=1)
    """The alias; entries of one name share its calls, by weight."""
    litellm_params: dict[str, Any]
    """The deployment; see below."""
    model_info: dict[str, Any] | None = None
    """What is known of it; see below."""


class LitellmParams(Settings):
    """A deployment."""

    model: str = Field(min_length=1)
    """`provider/model`; a `*` in the model is what the alias's `*` matched."""
    custom_llm_provider: str | None = None
    """The provider, where `model` does not begin with it."""
    api_key: SecretStr | None = None
    """Left out, `ANTHROPIC_API_KEY` or `ANTHROPIC_AUTH_TOKEN` is taken from the environment."""
    api_base: str | None = None
    """The upstream's address; a `/v1` or `/v1/messages` at its end is taken off.  Left out,
    `ANTHROPIC_API_BASE` or `ANTHROPIC_BASE_URL` is taken from the environment."""
    base_url: str | None = None
    """The same as `api_base`."""
    litellm_credential_name: str | None = None
    """An entry of `credential_list`, for what is not given here."""
    extra_headers: dict[str, str] = Field(default_factory=dict)
    """Further headers for every request."""
    headers: dict[str, str] = Field(default_factory=dict)
    """The same as `extra_headers`."""
    default_headers: dict[str, str] = Field(default_factory=dict)
    """The same as `extra_headers`."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Members set in the body of every request that does not have them."""
    timeout: float | None = Field(None, gt=0)
    """Seconds until an answer must begin."""
    stream_timeout: float | None = Field(None, gt=0)
    """The same for streamed answers."""
    num_retries: int | None = Field(None, ge=0)
    """Honoured where every deployment has the same; there is one number for all."""
    max_retries: int | None = Field(None, ge=0)
    """The same as `num_retries`."""
    order: int = 0
    """Deployments of an alias are tried by rising order."""
    weight: float | None = Field(None, ge=0)
    """Share of the calls among deployments of equal order."""
    rpm: int | None = Field(None, gt=0)
    """Requests a minute: the weight, where no entry of the alias has one; a limit where limits are
    asked for."""
    tpm: int | None = Field(None, gt=0)
    """Tokens a minute: the weight, where no entry has a weight or an `rpm`; a limit likewise."""
    max_parallel_requests: int | None = Field(None, gt=0)
    """Requests that are under way there at once; what is more goes elsewhere."""
    use_in_pass_through: bool = False
    """Serve what comes in under `/anthropic` and names no alias."""
    input_cost_per_token: float | None = Field(None, ge=0)
    """US dollars; here or in `model_info`, like the four below.  Each may end in
    `_above_200k_tokens`, with any number, for longer prompts, or in `_batches`, `_flex`,
    `_priority` or `_fast`.  `output_cost_per_reasoning_token`, `input_cost_per_request`,
    `search_context_cost_per_query` and `tiered_pricing` count as well; a tier holds for the whole
    of a call."""
    output_cost_per_token: float | None = Field(None, ge=0)
    """US dollars."""
    cache_read_input_token_cost: float | None = Field(None, ge=0)
    """US dollars."""
    cache_creation_input_token_cost: float | None = Field(None, ge=0)
    """US dollars, for five minutes."""
    cache_creation_input_token_cost_above_1hr: float | None = Field(None, ge=0)
    """US dollars, for an hour."""


class ModelInfo(Settings):
    """What is known of a deployment."""

    id: str | None = Field(None, min_length=1)
    """The deployment's name; left out, one is made from the alias."""
    base_model: str | None = None
    """The model whose list price holds."""
    max_input_tokens: int | None = Field(None, gt=0)
    """The longest prompt, in tokens, as told to clients."""
    max_output_tokens: int | None = Field(None, gt=0)
    """The longest answer, in tokens, as told to clients."""
    max_tokens: int | None = Field(None, gt=0)
    """The same as `max_output_tokens`."""
    supported_endpoints: list[str] | None = None
    """With `/v1/messages` among them, the server at `api_base` is spoken to in Anthropic's format,
    whatever the provider."""
    input_cost_per_token: float | None = Field(None, ge=0)
    """US dollars, like the four below."""
    output_cost_per_token: float | None = Field(None, ge=0)
    """US dollars."""
    cache_read_input_token_cost: float | None = Field(None, ge=0)
    """US dollars."""
    cache_creation_input_token_cost: float | None = Field(None, ge=0)
    """US dollars, for five minutes."""
    cache_creation_input_token_cost_above_1hr: float | None = Field(None, ge=0)
    """US dollars, for an hour."""


class CredentialEntry(Settings):
    """One of `credential_list`."""

    credential_name: str = Field(min_length=1)
    """What `litellm_credential_name` refers to."""
    credential_values: dict[str, Any] = Field(default_factory=dict)
    """Settings of `litellm_params`."""
    credential_info: dict[str, Any] | None = None
    """Free remarks."""


class LitellmSettings(Settings):
    """`litellm_settings`."""

    master_key: SecretStr | None = None
    """What clients present to the proxy."""
    num_retries: int | None = Field(None, ge=0)
    """Further attempts at the same deployment."""
    request_timeout: float | None = Field(None, gt=0)
    """The `timeout` of deployments that have none; `router_settings.timeout` stands above it."""
    fallbacks: list[Any] | None = None
    """Aliases to go on with, by alias or `"*"`; `router_settings` stands above it."""
    context_window_fallbacks: list[Any] | None = None
    """Aliases to go on with when a prompt is too long, likewise."""
    content_policy_fallbacks: list[Any] | None = None
    """Aliases to go on with when the model refuses to answer, likewise."""
    default_fallbacks: list[str] | None = None
    """The fallbacks of every alias that has none."""
    max_fallbacks: int | None = Field(None, ge=0)
    """The most of them that an alias has; those beyond are left out."""
    allowed_fails: int | None = Field(None, ge=0)
    """Faults (5xx) in a row that are forgiven before a deployment is left alone."""
    enable_azure_ad_token_refresh: bool = False
    """Foundry deployments without any credential use the identity of the machine this runs on."""
    json_logs: bool = False
    """Write the log as JSON."""
    callbacks: list[Any] | str | None = None
    """What is told of calls: `otel` has spans and metrics sent to a collector, and `prometheus` is
    so anyway; others are ignored."""
    success_callback: list[Any] | str | None = None
    """The same."""
    failure_callback: list[Any] | str | None = None
    """The same."""
    service_callback: list[Any] | str | None = None
    """The same."""
    max_budget: float | None = Field(None, gt=0)
    """US dollars that all calls together may cost."""
    budget_duration: str | None = None
    """How long the window of that budget is: `1d`, `7d` or `30d`; what is something else is taken
    as the nearest of these, with a warning.  Left out, the budget is for good."""
    model_group_settings: dict[str, Any] | None = None
    """`forward_client_headers_to_llm_api`: aliases whose callers' own credential is forwarded."""
    cost_discount_config: dict[str, Any] | None = None
    """What is taken off all prices of a provider, a share by its name: 0.05 for 5 %."""
    cost_margin_config: dict[str, Any] | None = None
    """What is added to them, a share likewise, or a mapping with `percentage`, which is a share,
    and `fixed_amount`, US dollars a request; `global` is for providers that are not named."""


class RouterSettings(Settings):
    """`router_settings`."""

    routing_strategy: RoutingStrategy = "simple-shuffle"
    """How the next deployment is chosen among those of equal `order`: `simple-shuffle` draws by
    weight, `least-busy` takes the one with the fewest calls under way, `latency-based-routing` the
    one that answers soonest, `cost-based-routing` the cheapest; the two that go by usage are taken
    as `least-busy`."""
    num_retries: int | None = Field(None, ge=0)
    """Further attempts at the same deployment."""
    retry_after: float | None = Field(None, ge=0)
    """Seconds to wait before the first of them."""
    timeout: float | None = Field(None, gt=0)
    """The `timeout` of deployments that have none."""
    stream_timeout: float | None = Field(None, gt=0)
    """The `stream_timeout` of deployments that have none."""
    cooldown_time: float | None = Field(None, ge=0)
    """Seconds that a deployment which failed is left alone."""
    disable_cooldowns: bool = False
    """The same as a `cooldown_time` of 0."""
    fallbacks: list[Any] | None = None
    """Aliases to go on with, by alias or `"*"`."""
    context_window_fallbacks: list[Any] | None = None
    """Aliases to go on with when a prompt is too long, likewise."""
    content_policy_fallbacks: list[Any] | None = None
    """Aliases to go on with when the model refuses to answer, likewise."""
    default_fallbacks: list[str] | None = None
    """The fallbacks of every alias that has none."""
    max_fallbacks: int | None = Field(None, ge=0)
    """The most of them that an alias has; those beyond are left out."""
    allowed_fails: int | None = Field(None, ge=0)
    """Faults (5xx) in a row that are forgiven before a deployment is left alone."""
    model_group_alias: dict[str, Any] | None = None
    """Further names: `name: alias`, or `name: {model: alias, hidden: true}`; they go on as the
    alias does, where no fallbacks are named for them."""
    enable_pre_call_checks: bool = False
    """With it, `rpm` and `tpm` are limits."""
    optional_pre_call_checks: list[str] | None = None
    """With `enforce_model_rate_limits` among them, `rpm` and `tpm` are limits."""
    default_max_parallel_requests: int | None = Field(None, gt=0)
    """The `max_parallel_requests` of deployments that have none."""
    retry_policy: dict[str, Any] | None = None
    """Retries by kind of error: none for what has 0, and the largest number for all the others."""
    redis_url: SecretStr | None = None
    """Where several proxies keep together what they know of deployments and conversations:
    `redis://…`, or `rediss://…` for TLS."""
    redis_host: str | None = Field(None, min_length=1)
    """The same in parts, of which this is the host."""
    redis_port: int = Field(6379, gt=0, le=65_535)
    """The port there."""
    redis_username: str | None = None
    """The user."""
    redis_password: SecretStr | None = None
    """The user's password."""
    redis_db: int = Field(0, ge=0)
    """The number of the database."""
    redis_ssl: bool = False
    """Whether it is spoken to by TLS."""


class GeneralSettings(Settings):
    """`general_settings`."""

    master_key: SecretStr | None = None
    """What clients present to the proxy."""
    forward_client_headers_to_llm_api: bool = False
    """Send a caller's own credential (a claude.ai login) on to Anthropic."""
    forward_llm_provider_auth_headers: bool = False
    """The same."""
    max_request_size_mb: float | None = Field(None, gt=0)
    """The largest request accepted, in units of 1,048,576 bytes."""
    database_url: SecretStr | None = None
    """Where keys, budgets and usage are kept, `postgresql://…`.  It may be the database that
    LiteLLM has: the names of all our tables begin with `llmroute_`, and its own are not touched,
    nor read.  Left out, they are kept in a file, as with `database` in a native one."""
    global_max_parallel_requests: int | None = Field(None, gt=0)
    """Requests of everybody that are under way at once."""
    maximum_spend_logs_retention_period: str | None = None
    """How long the record of a call is kept: `30d`, say; whole days.  Left out, for good."""
    disable_spend_logs: bool = False
    """Write no record of any call, and no sums of days; what budgets have spent is kept."""
    allow_requests_on_db_unavailable: bool | None = None
    """What becomes of calls that have a budget while the database is away; they are let through,
    if this is not `false`."""
    safeguards_classifier_model: str | None = None
    """The `model_name` that judges tool calls for Claude Code's auto mode, where the upstream does
    not."""
