"""What LiteLLM's requests for keys and teams say, in our terms, and what of it we have not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from llmroute.accounts.model import Budget, Key, Period, Team
from llmroute.asgi.admin.reading import bounded, read
from llmroute.config.accounts import BudgetSettings, KeySettings, LimitSettings
from llmroute.config.durations import duration, window
from llmroute.config.settings import Settings
from llmroute.config.validation import meant
from llmroute.errors import InvalidRequestError

__all__ = ["DURATIONS", "Terms"]

DURATIONS: Final[Mapping[Period, str | None]] = {
    "day": "1d",
    "week": "7d",
    "month": "1mo",
    "total": None,
}
"""What LiteLLM calls our periods."""

_HARMLESS: Final[Mapping[str, str]] = {
    "soft_budget": "every budget warns at 75 % and at 95 %",
    "send_invite_email": "no mail is sent",
    "spend": "what was spent is counted here from the start",
    "permissions": "a key may do what its models and limits say",
    "config": "a key has no configuration of its own",
    "allowed_cache_controls": "answers are not cached here",
    "rpm_limit_type": "there is one kind of limit",
    "tpm_limit_type": "there is one kind of limit",
    "default_estimated_output_tokens": "how long answers get is known by their models",
    "default_estimated_output_tokens_per_model": "how long answers get is known by their models",
    "disable_global_guardrails": "there are no guardrails",
    "enable_prompt_caching": "what is cached is marked by the client",
    "enforced_batch_output_expires_after": "batches and files of OpenAI's are not served",
    "enforced_file_expires_after": "batches and files of OpenAI's are not served",
    "disabled_callbacks": "there are no callbacks",
    "prompts": "there are no prompts kept here",
    "members_with_roles": "a team has keys, and no members: name its people by user_id in keys",
    "members": "a team has keys, and no members: name its people by user_id in keys",
    "admins": "the master key manages teams",
    "team_member_permissions": "the master key manages teams",
    "user_role": "there are no roles: the master key manages, other keys make calls",
    "user_alias": "an owner has no other name",
    "auto_create_key": "make a key for it",
    "organization_alias": "there are no organizations",
    "updated_by": "who changes something is known by the key",
    "created_by": "who makes something is known by the key",
}
_NO_ORGANIZATIONS: Final = "there are no organizations or projects; make a team of it"
_BUDGET_OBJECTS: Final = "budgets are part of a key or a team: name max_budget and budget_duration"
_BY_MODEL: Final = "limits are for all models of a key or a team together"
_REFUSED: Final[Mapping[str, str]] = {
    "access_group_ids": "name the models, or patterns of them",
    "agent_id": "name the models that the key may ask for",
    "aliases": "aliases belong in the configuration, and hold for every key",
    "allowed_passthrough_routes": "a key without models may use every path",
    "allowed_routes": "name the models that the key may ask for; it manages nothing",
    "allowed_vector_store_indexes": "there are no vector stores",
    "auto_rotate": "have it drawn anew by /key/regenerate, or llmroute keys rotate",
    "budget_fallbacks": "an alias falls back to others by the configuration",
    "budget_id": _BUDGET_OBJECTS,
    "default_team_member_models": "name the models of each key",
    "denied_passthrough_routes": "a key with models may not use other paths at all",
    "end_user_budget_id": _BUDGET_OBJECTS,
    "enforced_params": "requests are not looked into for parameters",
    "guardrails": "there are no guardrails",
    "key_type": "a key makes calls, and manages nothing",
    "mcp_rpm_limit": "there are no MCP servers",
    "model_aliases": "aliases belong in the configuration, and hold for every key",
    "model_rpm_limit": _BY_MODEL,
    "model_tpm_limit": _BY_MODEL,
    "object_permission": "there are no MCP servers or vector stores",
    "organization_id": _NO_ORGANIZATIONS,
    "policies": "there are no policies",
    "project_id": _NO_ORGANIZATIONS,
    "require_trace_id": "requests are not looked into for it",
    "rotation_interval": "have it drawn anew by /key/regenerate, or llmroute keys rotate",
    "router_settings": "how calls are routed stands in the configuration",
    "secret_manager_settings": "credentials of upstreams stand in the configuration",
    "tag_rpm_limit": "limits are for a key or a team",
    "team_member_budget": "give each key a budget of its own",
    "team_member_budget_duration": "give each key a budget of its own",
    "team_member_key_duration": "give each key a duration of its own",
    "team_member_model_max_budget": "give each key a budget of its own",
    "team_member_rpm_limit": "give each key a limit of its own",
    "team_member_tpm_limit": "give each key a limit of its own",
    "temp_budget_expiry": "raise max_budget, and lower it afterwards",
    "temp_budget_increase": "raise max_budget, and lower it afterwards",
    "throttle_on_budget_exceeded": "over a budget, calls are refused",
    "tpd_limit": "limits are for a minute; for a day there are budgets",
}
# What LiteLLM writes for "everything".
_ALL_MODELS: Final = frozenset({"all-proxy-models", "all-team-models", "*"})
_NOTHING: Final[Sequence[Any]] = (None, "", False, 0, [], {}, "default", "llm_api")
_BUDGETS: Final = ("max_budget", "budget_duration", "budget_limits", "model_max_budget")
_MICROS: Final = 1_000_000


class _Window(Settings):
    """A budget, for a model or for a window of time."""

    budget_limit: float | None = Field(None, ge=0.000001, le=1e9)
    max_budget: float | None = Field(None, ge=0.000001, le=1e9)
    time_period: str | None = None
    budget_duration: str | None = None
    reset_at: Any = None


class _Request(Settings):
    """What is read of a request; each member may be null."""

    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    user_id: str = ""
    user_email: str = ""
    team_id: str = ""
    blocked: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    rpm_limit: int | None = Field(None, gt=0)
    tpm_limit: int | None = Field(None, gt=0)
    max_parallel_requests: int | None = Field(None, gt=0)
    max_budget: float | None = Field(None, ge=0.000001, le=1e9)
    budget_duration: str = ""
    budget_limits: tuple[_Window, ...] = ()
    model_max_budget: dict[str, _Window] = Field(default_factory=dict)


class Terms:
    """What a request wants of a key or a team.

    Attributes:
        warnings: What is not as the request has it, and why.
    """

    def __init__(self, body: Mapping[str, Any], others: Collection[str] = ()) -> None:
        """Read a request.

        Args:
            body: The request's.
            others: Members that the caller reads.

        Raises:
            InvalidRequestError: Something in it is wrong, unknown, or cannot be had here.
        """
        self.warnings: list[str] = []
        self._given = body.keys() & _Request.model_fields.keys()
        self._refuse(body, others)
        self._said = said = read(_Request, {name: body[name] for name in self._given})
        if "no-default-models" in said.models:
            raise InvalidRequestError("models: a key without any model is of no use; block it")
        everything = _ALL_MODELS & set(said.models)
        self._aliases = () if everything else said.models
        self._owner = said.user_id or said.user_email
        self._by_model = [
            self._budget(f"model_max_budget.{model}", each, model)
            for model, each in said.model_max_budget.items()
        ]
        self._windows = [self._budget("budget_limits", each) for each in said.budget_limits]
        self._period = self._window("budget_duration", said.budget_duration)
        self._check()

    @property
    def team(self) -> str | None:
        """The team's name or id; empty for none, and `None` if nothing is said."""
        return self._said.team_id if "team_id" in self._given else None

    def of_key(self, key: Key) -> dict[str, Any]:
        """Return the members of a key that are to change, but for its team."""
        changed = self.of_team(key)
        if self._given & {"user_id", "user_email"}:
            changed["owner"] = self._owner
        return changed

    def of_team(self, it: Key | Team) -> dict[str, Any]:
        """Return the members of a team that are to change."""
        said, changed = self._said, dict[str, Any]()
        if "models" in self._given:
            changed["aliases"] = self._aliases
        for name in ("tags", "blocked", "metadata"):
            if name in self._given:
                changed[name] = getattr(said, name)
        limits = {
            ours: getattr(said, theirs) for theirs, ours in _LIMITS.items() if theirs in self._given
        }
        if limits:
            changed["limits"] = replace(it.limits, **limits)
        if self._given & set(_BUDGETS):
            changed["budgets"] = self._budgets(it.budgets)
        return changed

    def _budgets(self, present: Sequence[Budget]) -> tuple[Budget, ...]:
        whole = [each for each in present if not each.alias]
        by_model = [each for each in present if each.alias]
        if self._given & {"max_budget", "budget_duration"}:
            whole = self._whole(next(iter(whole), None))
        if "budget_limits" in self._given:
            whole = self._windows
        if "model_max_budget" in self._given:
            by_model = self._by_model
        return (*whole, *by_model)

    def _whole(self, present: Budget | None) -> list[Budget]:
        """Return the budget for all models; of amount and window, one may stay as it is."""
        amount = None if present is None else present.amount
        if "max_budget" in self._given:
            amount = _micros(self._said.max_budget)
        if amount is None:
            return []
        now = present or Budget("", amount, "total")
        period = self._period if "budget_duration" in self._given else now.period
        return [replace(now, amount=amount, period=period)]

    def _budget(self, name: str, said: _Window, alias: str = "") -> Budget:
        amount = _micros(said.max_budget if said.budget_limit is None else said.budget_limit)
        if amount is None:
            raise InvalidRequestError(f"{name}: names no max_budget")
        period = self._window(name, said.budget_duration or said.time_period or "")
        return Budget("", amount, period, alias)

    def _window(self, name: str, text: str) -> Period:
        if not text:
            return "total"
        try:
            found = window(duration(text))
        except ValueError as error:
            raise InvalidRequestError(f"{name}: {error}") from None
        if not found.is_exact:
            self.warnings.append(
                f"{name}: {text} is taken for {found.period}: budgets are for a day, a week, a "
                "month, or total"
            )
        return found.period

    def _refuse(self, body: Mapping[str, Any], others: Collection[str]) -> None:
        known = {*_Request.model_fields, *others, *_HARMLESS, *_REFUSED}
        for name, value in body.items():
            if name not in known:
                raise InvalidRequestError(f"{name}: unknown member{meant(name, known)}")
            if name in others or name in _Request.model_fields or value in _NOTHING:
                continue
            if name in _REFUSED:
                raise InvalidRequestError(f"{name}: cannot be had: {_REFUSED[name]}")
            self.warnings.append(f"{name}: left out: {_HARMLESS[name]}")

    def _check(self) -> None:
        """Hold what was said to the bounds that hold for every key."""
        said = self._said
        budgets = [*self._by_model, *self._windows]
        limits = {ours: getattr(said, theirs) for theirs, ours in _LIMITS.items()}
        settings = KeySettings(
            aliases=self._aliases,
            tags=said.tags,
            owner=self._owner,
            limits=LimitSettings(**limits),
            budgets=tuple(_settings(budgets)),
        )
        bounded(settings, said.metadata)


_LIMITS: Final[Mapping[str, str]] = {
    "rpm_limit": "requests_per_minute",
    "tpm_limit": "tokens_per_minute",
    "max_parallel_requests": "parallel",
}


def _settings(budgets: Iterable[Budget]) -> Iterable[BudgetSettings]:
    for each in budgets:
        amount = each.amount / _MICROS
        yield BudgetSettings(amount=amount, period=each.period, alias=each.alias)


def _micros(dollars: float | None) -> int | None:
    return None if dollars is None else round(dollars * _MICROS)
