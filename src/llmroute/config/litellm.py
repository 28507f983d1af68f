"""The LiteLLM dialect: a file with a `model_list` works as it is.

What is honoured is in `litellm_model`, what is accepted without effect in `litellm_keys`; anything
else is an unknown setting.  Deployments are read in `litellm_deployment`, and come together here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import SecretStr

from llmroute.config.document import Document, Path
from llmroute.config.environment import master_key
from llmroute.config.litellm_deployment import Defaults, Entry, accepted, read_entry
from llmroute.config.litellm_keys import IGNORED
from llmroute.config.litellm_model import (
    STRATEGIES,
    CredentialEntry,
    GeneralSettings,
    LitellmParams,
    LitellmSettings,
    RouterSettings,
)
from llmroute.config.model import Alias, Config, Price, Server, Settings
from llmroute.config.validation import meant, names, quoted, section, validated
from llmroute.providers import Deployment
from llmroute.routing.aliases import Aliases
from llmroute.routing.plan import Policy

__all__ = ["SECTIONS", "read"]

S = TypeVar("S", bound=Settings)

_OWN = frozenset(
    {
        "credential_list",
        "environment_variables",
        "general_settings",
        "litellm_settings",
        "model_list",
        "router_settings",
    }
)
SECTIONS = _OWN | IGNORED[""].keys()
"""What may stand at the top of a file, besides `include`."""


def read(document: Document, environ: Mapping[str, str]) -> Config:
    """Turn a document in LiteLLM's dialect into a `Config`; problems are the document's."""
    for name in document.data.keys() - _OWN:
        if name in IGNORED[""]:
            document.warn((name,), f"ignored: {IGNORED[''][name]}")
        else:
            hint = _belonging(name, "")
            document.wrong((name,), hint or f"unknown setting{meant(name, SECTIONS)}")
    own = _read_section(document, "litellm_settings", LitellmSettings)
    router = _read_section(document, "router_settings", RouterSettings)
    general = _read_section(document, "general_settings", GeneralSettings)
    sections = _Sections(own, router, general)
    entries = _entries(document, environ, sections)
    groups = _Groups(document, entries, sections)
    groups.add_names(router.model_group_alias or {})
    groups.add_fallbacks(sections)
    aliases = {
        name: alias
        for name, block in groups.blocks.items()
        if (alias := validated(document, Alias, block, ("model_list",)))
    }
    return Config(
        deployments=groups.deployments,
        aliases=aliases,
        server=_server(document, environ, sections),
        policy=_policy(document, entries, sections),
        prices=groups.prices,
        warnings=document.warnings,
        source=document.name,
    )


class _Sections(NamedTuple):
    own: LitellmSettings
    router: RouterSettings
    general: GeneralSettings


_MODELS: dict[str, type[Settings]] = {
    "litellm_settings": LitellmSettings,
    "router_settings": RouterSettings,
    "general_settings": GeneralSettings,
    "litellm_params": LitellmParams,
}


def _read_section(document: Document, name: str, model: type[S]) -> S:
    at: Path = (name,)
    settings = section(document, document.data.get(name), at)
    kept = accepted(document, name, settings, {key: (*at, key) for key in settings})
    hints = {key: _belonging(key, name) for key in kept}
    known = IGNORED[name]
    return validated(document, model, kept, at, known=known, hints=hints) or model()


def _belonging(name: str, here: str) -> str:
    for other, model in _MODELS.items():
        if other != here and (name in model.model_fields or name in IGNORED[other]):
            return f"unknown setting here; it belongs under {other}"
    return ""


def _entries(document: Document, environ: Mapping[str, str], sections: _Sections) -> list[Entry]:
    at: Path = ("model_list",)
    listed = document.data.get("model_list")
    if listed is not None and not isinstance(listed, list):
        document.wrong(at, "must be a list")
        return []
    if not listed:
        document.wrong(at if "model_list" in document.data else (), "no models in model_list")
        return []
    defaults = Defaults(
        timeout=sections.router.timeout or sections.own.request_timeout,
        stream_timeout=sections.router.stream_timeout,
        limits=_limits(sections.router),
        credentials=_credentials(document),
        environ=environ,
        forwarding=_forwarding(document, sections),
    )
    entries = []
    for index, item in enumerate(listed):
        entry = read_entry(document, item, (*at, index), defaults)
        if entry is not None:
            entries.append(entry)
    return entries


def _limits(router: RouterSettings) -> bool:
    """Whether `rpm` and `tpm` are more than weights."""
    return (
        router.enable_pre_call_checks
        or "enforce_model_rate_limits" in (router.optional_pre_call_checks or [])
        or router.routing_strategy.startswith("usage-based")
    )


def _forwarding(document: Document, sections: _Sections) -> frozenset[str] | None:
    """The aliases whose callers' credentials are forwarded; `None` for all of them."""
    general = sections.general
    if general.forward_client_headers_to_llm_api or general.forward_llm_provider_auth_headers:
        return None
    setting = "forward_client_headers_to_llm_api"
    at: Path = ("litellm_settings", "model_group_settings")
    groups = sections.own.model_group_settings or {}
    for name in groups.keys() - {setting}:
        document.wrong((*at, name), f"unknown setting{meant(name, [setting])}")
    return frozenset(name for _, name in names(document, groups.get(setting), (*at, setting)))


def _credentials(document: Document) -> dict[str, tuple[Path, dict[str, Any]]]:
    at: Path = ("credential_list",)
    listed = document.data.get("credential_list")
    credentials = {}
    if listed is not None and not isinstance(listed, list):
        document.wrong(at, "must be a list")
        return {}
    for index, item in enumerate(listed or []):
        here = (*at, index)
        entry = validated(document, CredentialEntry, section(document, item, here), here)
        if entry is not None:
            if entry.credential_name in credentials:
                document.wrong((*here, "credential_name"), "another credential has that name")
            place = (*here, "credential_values")
            credentials[entry.credential_name] = (place, entry.credential_values)
    return credentials


class _Groups:
    """The aliases as they come to be: one for each `model_name`, then the further names.

    Attributes:
        blocks: The settings of each alias.
        deployments: By the names they were given.
        prices: Overrides of the list price, by deployment.
    """

    def __init__(self, document: Document, entries: list[Entry], sections: _Sections) -> None:
        self.blocks: dict[str, dict[str, Any]] = {}
        self.deployments: dict[str, Deployment] = {}
        self.prices: dict[str, Price] = {}
        self._document = document
        self._taken: set[str] = set()
        for entry in entries:
            if entry.id in self._taken:
                document.wrong((*entry.at, "model_info", "id"), "another entry has that id")
            elif entry.id:
                self._taken.add(entry.id)
        by_name: dict[str, list[Entry]] = {}
        for entry in entries:
            by_name.setdefault(entry.alias, []).append(entry)
        for alias, members in by_name.items():
            self._add_group(alias, members, STRATEGIES[sections.router.routing_strategy])
        if sections.router.routing_strategy.startswith("usage-based"):
            document.warn(
                ("router_settings", "routing_strategy"), "taken as least-busy, the nearest there is"
            )

    def _add_group(self, alias: str, members: list[Entry], strategy: str) -> None:
        weights = _weights(members)
        chosen = []
        for number, (entry, weight) in enumerate(zip(members, weights, strict=True), 1):
            name = entry.id or self._name(alias if len(members) == 1 else f"{alias}/{number}")
            chosen.append(name)
            if entry.deployment is not None:
                self.deployments[name] = entry.deployment.model_copy(update={"weight": weight})
                if entry.price is not None:
                    self.prices[name] = entry.price
        self.blocks[alias] = {
            "deployments": chosen,
            "strategy": strategy if len(members) > 1 else "listed",
            "max_input_tokens": _least(entry.max_input_tokens for entry in members),
            "max_output_tokens": _least(entry.max_output_tokens for entry in members),
        }

    def _name(self, wish: str) -> str:
        """Return `wish` as a header can have it, changed if another deployment has it."""
        plain = "".join(c if c.isascii() and c.isprintable() else "_" for c in wish).strip()
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}~{number}"
        self._taken.add(name)
        return name

    def add_names(self, further: Mapping[str, Any]) -> None:
        """Add `model_group_alias`: other names for an alias."""
        groups = dict(self.blocks)
        for name, value in further.items():
            at: Path = ("router_settings", "model_group_alias", name)
            hidden = False
            target, path = value, at
            if isinstance(value, dict):
                target, path = value.get("model"), (*at, "model")
                hidden = value.get("hidden", False)
                for key in value.keys() - {"model", "hidden"}:
                    near = meant(key, ["model", "hidden"])
                    self._document.wrong((*at, key), f"unknown setting{near}")
            if not isinstance(hidden, bool):
                self._document.wrong((*at, "hidden"), "must be true or false")
            elif not isinstance(target, str):
                self._document.wrong(path, "must be a name, or a mapping with model and hidden")
            elif (found := self._find(path, target, groups)) is not None:
                if name in groups:
                    self._document.warn(at, "stands above the model_name of that name")
                self.blocks[name] = {**self._block(found, groups), "hidden": hidden}

    def add_fallbacks(self, sections: _Sections) -> None:
        """Add where to go on, and where too long prompts go."""
        where = self._fallbacks(sections, "fallbacks")
        general = [n for place, n in where.pop("*", [])]
        default = self._chosen(sections, "default_fallbacks")
        if default is not None:
            at, listed = default
            general += [
                found
                for path, name in names(self._document, listed, at)
                if (found := self._find(path, name, self.blocks)) is not None
            ]
        for alias, targets in where.items():
            self.blocks[alias]["fallbacks"] = [name for _, name in targets]
        for alias, block in self.blocks.items():
            rest = [name for name in dict.fromkeys(general) if name != alias]
            block.setdefault("fallbacks", rest)
        for alias, targets in self._fallbacks(sections, "context_window_fallbacks").items():
            for path, _ in targets[1:]:
                self._document.warn(path, "ignored: a prompt too long for one goes to one other")
            for name in [alias] if alias != "*" else list(self.blocks):
                if targets and targets[0][1] != name:
                    self.blocks[name].setdefault("when_too_long", targets[0][1])

    def _chosen(self, sections: _Sections, name: str) -> tuple[Path, Any] | None:
        """Return the one of two places for a setting that holds it; the router's stands above."""
        router, own = getattr(sections.router, name), getattr(sections.own, name)
        if router is not None and own is not None and router != own:
            self._document.warn(
                ("litellm_settings", name), f"ignored: router_settings.{name} stands above it"
            )
        if router is not None:
            return ("router_settings", name), router
        return None if own is None else (("litellm_settings", name), own)

    def _fallbacks(self, sections: _Sections, name: str) -> dict[str, list[tuple[Path, str]]]:
        """Return what each alias goes on with, from a list of mappings."""
        chosen = self._chosen(sections, name)
        where: dict[str, list[tuple[Path, str]]] = {}
        if chosen is None:
            return where
        at, listed = chosen
        for index, item in enumerate(listed):
            if not isinstance(item, dict):
                self._document.wrong((*at, index), "must be a mapping (alias: list of aliases)")
                continue
            for alias, value in item.items():
                here = (*at, index, alias)
                targets = [
                    (path, found)
                    for path, target in names(self._document, self._bare(value, here), here)
                    if (found := self._find(path, target, self.blocks)) is not None
                ]
                found = "*" if alias == "*" else self._find(here, alias, self.blocks)
                if found is not None:
                    if found != "*" and found not in self.blocks:
                        self.blocks[found] = self._block(found, self.blocks)
                    where.setdefault(found, []).extend(targets)
        return where

    def _bare(self, value: Any, at: Path) -> Any:
        """Reduce `{"model": name, …}` in a list of fallbacks to the name."""
        if not isinstance(value, list):
            return value
        bare = list(value)
        for index, item in enumerate(value):
            if isinstance(item, dict) and isinstance(item.get("model"), str):
                bare[index] = item["model"]
                for key in item.keys() - {"model"}:
                    self._document.warn((*at, index, key), "ignored: a fallback has the same body")
        return bare

    def _find(self, path: Path, name: str, groups: Mapping[str, Any]) -> str | None:
        """Return the alias that `name` means, with or without a provider before it."""
        known = Aliases(groups)
        added = (group for group in groups if group.partition("/")[2] == name)
        for candidate in (name, name.partition("/")[2], *added):
            if candidate in groups or ("*" not in candidate and known.find(candidate)):
                return candidate
        if groups or not self._document.is_wrong(("model_list",)):
            shown = quoted(self._document, path, name)
            near = meant(name, groups)
            self._document.wrong(path, f"no model_name matches {shown}{near}")
        return None

    def _block(self, alias: str, groups: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return an alias's settings; those of a pattern with its `*` filled in."""
        match = Aliases(groups).find(alias)
        if alias in groups or match is None:
            return dict(groups[alias])
        block = dict(groups[match.alias])
        chosen = []
        for name in block["deployments"]:
            deployment = self.deployments.get(name)
            if deployment is None or "*" not in (deployment.model or ""):
                chosen.append(name)
                continue
            filled = self._name(alias)
            model = match.model(deployment.model, alias)
            self.deployments[filled] = deployment.model_copy(update={"model": model})
            if name in self.prices:
                self.prices[filled] = self.prices[name]
            chosen.append(filled)
        return {**block, "deployments": chosen}


def _weights(members: list[Entry]) -> list[float | None]:
    """Return the members' shares: by `weight`, else by `rpm`, else by `tpm`, else none.

    As in LiteLLM, a member without the setting that decides gets no share.
    """
    for shares in zip(*(entry.shares for entry in members), strict=True):
        if any(share is not None for share in shares):
            return [share or 0.0 for share in shares]
    return [None] * len(members)


def _least(values: Iterator[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _server(document: Document, environ: Mapping[str, str], sections: _Sections) -> Server:
    own, _, general = sections
    settings: dict[str, Any] = {}
    places: list[tuple[Path, SecretStr | None]] = [
        (("general_settings", "master_key"), general.master_key),
        (("litellm_settings", "master_key"), own.master_key),
    ]
    if (key := master_key(document, environ, places)) is not None:
        settings["master_key"] = key
    if general.max_request_size_mb is not None:
        settings["max_body_bytes"] = int(general.max_request_size_mb * 1_048_576)
    if own.json_logs:
        settings["log"] = "json"
    at: Path = ("general_settings",)
    origins = {"max_body_bytes": (*at, "max_request_size_mb")}
    return validated(document, Server, settings, at, origins=origins) or Server()


def _policy(document: Document, entries: list[Entry], sections: _Sections) -> Policy:
    own, router, _ = sections
    retries = router.num_retries if router.num_retries is not None else own.num_retries
    each = {entry.retries for entry in entries}
    if retries is None and len(each) == 1:
        retries = each.pop()
    else:
        for entry in entries:
            if entry.retries not in {None, retries} and entry.retries_at:
                document.warn(
                    entry.retries_at,
                    "ignored: there is one number for all; set router_settings.num_retries",
                )
    policy = Policy(retries=retries)
    backoff = router.retry_after or policy.backoff
    cooldown = policy.cooldown if router.cooldown_time is None else router.cooldown_time
    return Policy(
        retries=retries,
        backoff=backoff,
        patience=max(policy.patience, backoff),
        cooldown=0.0 if router.disable_cooldowns else cooldown,
    )
