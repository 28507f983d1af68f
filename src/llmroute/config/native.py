"""The native dialect: `deployments`, `aliases`, `routing`, `server`.  All of it is strict.

Who may what is read in `native_accounts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from llmroute.config import aws, azure, google
from llmroute.config.accounts import Accounts
from llmroute.config.document import Document, Path
from llmroute.config.environment import master_key
from llmroute.config.extras import check_database, check_installed, check_store
from llmroute.config.model import (
    Alias,
    Config,
    ErrorRule,
    Hedge,
    Price,
    Routing,
    Safeguards,
    Server,
    Sharing,
)
from llmroute.config.native_accounts import accounts
from llmroute.config.native_vendor import Expanded, expanded
from llmroute.config.origin import Origin
from llmroute.config.prices import read_price
from llmroute.config.provider_names import unknown
from llmroute.config.references import placeholder
from llmroute.config.telemetry import logs, telemetry
from llmroute.config.validation import (
    check_headers,
    meant,
    names,
    quoted,
    section,
    validated,
)
from llmroute.providers import PROVIDERS, Deployment
from llmroute.providers.bedrock import BedrockDeployment
from llmroute.providers.gemini import GeminiDeployment
from llmroute.providers.vendors import VENDORS, vendor_of
from llmroute.providers.vertex import VertexDeployment
from llmroute.routing.aliases import Aliases

__all__ = ["TOP", "read"]

_SECTIONS = ("deployments", "aliases", "routing", "server", "telemetry", "logs", "include")
TOP = (*_SECTIONS, *Accounts.model_fields, *Sharing.model_fields)
_SOME_NAME = frozenset({"api-key", "authorization", "x-api-key"})
# What tells `NAME#2` from `NAME`.
_OF_SEVERAL = "#"
# The variables that a message names where a key is missing.
_USUAL_KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openai": "OPENAI_API_KEY",
}
# What LiteLLM, and other tools, call the settings of a deployment.
_ELSEWHERE = {
    "api_base": "base_url",
    "aws_region_name": "region",
    "context_window": "max_input_tokens",
    "extra_headers": "headers",
    "max_output_tokens": "max_tokens_limit",
    "max_tokens": "max_tokens_limit",
    "url": "base_url",
    "vertex_location": "location",
    "vertex_project": "project",
}
# What of an alias's settings names other aliases.
_OTHERS = ("fallbacks", "when_too_long", "when_refused")
_ERROR_NAME = re.compile(r"[a-z][a-z0-9_]*|[45][0-9][0-9]")


def read(document: Document, environ: Mapping[str, str]) -> Config:
    """Turn a document in the native dialect into a `Config`; problems are the document's."""
    data = document.data
    for name in data.keys() - set(TOP):
        hint = _belonging(name)
        document.wrong((name,), hint or f"unknown setting{meant(name, TOP)}")
    known = Aliases(_given(document))
    routing = _routing(document, known)
    server = validated(
        document, Server, section(document, data.get("server"), ("server",)), ("server",)
    )
    server = server or Server()
    declared = section(document, data.get("deployments"), ("deployments",))
    blocks = _Blocks(document, environ)
    for name, value in declared.items():
        blocks.add(name, value)
    aliases = _Aliases(document, declared, blocks, routing, known).read()
    if not declared:
        document.wrong(("deployments",), "no models: name at least one deployment")
    elif not aliases and not document.is_wrong(("aliases",)):
        text = "no aliases: say which names callers may ask for, `claude-*: NAME` for instance"
        document.wrong(("aliases",), text)
    key = master_key(document, environ, [(("server", "master_key"), server.master_key)])
    own = {name: data[name] for name in Sharing.model_fields if name in data}
    sharing = validated(document, Sharing, own, ()) or Sharing()
    check_store(document, sharing.store, ("store",))
    check_database(document, sharing.database, ("database",))
    return Config(
        deployments=blocks.deployments,
        aliases=aliases,
        server=server.model_copy(update={"master_key": key}),
        policy=routing.policy(),
        groups=blocks.groups,
        prices=blocks.prices,
        origins=blocks.origins,
        store=sharing.store if document.credentials else None,
        store_prefix=sharing.store_prefix,
        database=sharing.database,
        accounts=accounts(document, _given(document), key),
        telemetry=telemetry(document),
        logs=logs(document),
        warnings=document.warnings,
        source=document.name,
    )


def _belonging(name: str) -> str:
    """Say where a setting belongs that stands at the top by mistake."""
    for place, model in (("routing", Routing), ("server", Server)):
        if name in model.model_fields:
            return f"unknown setting here; it belongs under {place}"
    return ""


def _hints(model: type[Deployment]) -> Mapping[str, str]:
    """Say of other tools' names for settings what they are called here."""
    return {
        name: f"unknown setting (did you mean '{own}'?)"
        for name, own in _ELSEWHERE.items()
        if own in model.model_fields
    }


def _routing(document: Document, aliases: Aliases) -> Routing:
    at: Path = ("routing",)
    given = dict(section(document, document.data.get("routing"), at))
    errors, safeguards = given.pop("errors", None), given.pop("safeguards", None)
    known = ("errors", "safeguards")
    routing = validated(document, Routing, given, at, known=known) or Routing()
    chosen = _safeguards(document, safeguards, (*at, "safeguards"), aliases)
    rules = {}
    here = (*at, "errors")
    for name, value in section(document, errors, here).items():
        if not _ERROR_NAME.fullmatch(name):
            text = "is neither an error's code or type nor a status from 400 to 599"
            document.wrong((*here, name), text)
        is_short = not isinstance(value, dict)
        origins = {"remedy": (*here, name)} if is_short else None
        rule = validated(
            document,
            ErrorRule,
            {"remedy": value} if is_short else value,
            (*here, name),
            origins=origins,
        )
        if rule is not None:
            rules[name] = rule
    return routing.model_copy(update={"errors": rules, "safeguards": chosen})


def _safeguards(document: Document, value: Any, at: Path, aliases: Aliases) -> Safeguards | None:
    """Return who judges tool calls; a classifier that is no alias is a problem."""
    given = section(document, value, at)
    safeguards = validated(document, Safeguards, given, at) if given is value else None
    if safeguards is not None:
        _check_alias(document, (*at, "classifier"), safeguards.classifier, aliases)
    return safeguards


class _Blocks:
    """The blocks under `deployments`, and what becomes of them.

    Attributes:
        deployments: By name.
        groups: Of those made of one block with several keys, the block's name by theirs.
        origins: Where each of them stands.
        members: The deployments made of each block, by the block's name.
        prices: What the file says of prices, by deployment.
    """

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.groups: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        self.members: dict[str, list[str]] = {}
        self.prices: dict[str, Price] = {}
        self._document = document
        self._environ = environ

    def add(self, name: str, value: Any) -> None:
        """Read one block; what is wrong with it is the document's."""
        at: Path = ("deployments", name)
        if not (name.isascii() and name.isprintable() and name.strip() == name and name):
            text = "a deployment's name goes into a header: it must be plain ASCII"
            self._document.wrong(at, text)
        elif _OF_SEVERAL in name:
            text = "a # stands between a name and the number of one of its api_keys; leave it out"
            self._document.wrong(at, text)
        settings = section(self._document, value, at)
        if settings is not value and value is not None:
            return
        if "api_keys" not in settings:
            self._make(name, name, settings, at, {})
            return
        rest = {n: v for n, v in settings.items() if n != "api_keys"}
        for index, key in enumerate(self._keys(settings, at)):
            place = {"api_key": (*at, "api_keys", index)}
            one = f"{name}{_OF_SEVERAL}{index + 1}"
            self._make(one, name, {**rest, "api_key": key}, at, place)

    def _keys(self, settings: Mapping[str, Any], at: Path) -> list[Any]:
        """Return the keys of a block that has several."""
        document, keys = self._document, settings["api_keys"]
        if "api_key" in settings:
            document.wrong((*at, "api_keys"), "stands beside api_key; one of them is too many")
        if not isinstance(keys, list):
            document.wrong((*at, "api_keys"), "must be a list")
        elif not keys:
            document.wrong((*at, "api_keys"), "must not be empty")
        else:
            for index, key in enumerate(keys):
                if key in keys[:index]:
                    document.warn((*at, "api_keys", index), "is in the list already")
            return keys
        return []

    def _make(
        self, name: str, block: str, settings: dict[str, Any], at: Path, origins: dict[str, Path]
    ) -> None:
        own = {key: value for key, value in settings.items() if key != "price"}
        deployment = _deployment(self._document, own, at, origins, self._environ)
        price = read_price(self._document, settings.get("price"), (*at, "price"))
        if deployment is None:
            return
        if price is not None:
            self.prices[name] = price
        self.deployments[name] = deployment
        self.members.setdefault(block, []).append(name)
        if name != block:
            self.groups[name] = block
        places = {setting: (*at, setting) for setting in settings} | origins
        self.origins[name] = self._document.origin(at, places)


def _filled(
    document: Document,
    provider: str,
    settings: dict[str, Any],
    at: Path,
    origins: Mapping[str, Path],
) -> Expanded | None:
    """Fill in what stands for a vendor's name; report a name that stands for nothing."""
    if provider in PROVIDERS:
        return Expanded(settings, origins)
    if (vendor := vendor_of(provider)) is not None:
        return expanded(document, vendor, settings, at, origins)
    place = (*at, "provider")
    shown = quoted(document, place, provider)
    document.wrong(place, unknown(provider, shown, {*PROVIDERS, *VENDORS}))
    return None


def _deployment(
    document: Document,
    settings: dict[str, Any],
    at: Path,
    origins: Mapping[str, Path],
    environ: Mapping[str, str],
) -> Deployment | None:
    place = (*at, "provider")
    provider = settings.get("provider")
    if not isinstance(provider, str):
        given = provider is not None or document.is_wrong(place)
        document.wrong(place, "must be text" if given else "required, and not given")
        return None
    filled = _filled(document, provider, settings, at, origins)
    if filled is None:
        return None
    settings, origins = filled
    provider = settings["provider"]
    model: type[Deployment] = PROVIDERS[provider].deployment
    if provider == "bedrock":
        settings = aws.completed(settings, environ)
    elif provider in ("vertex", "gemini"):
        settings = google.completed(settings, environ)
    elif provider in ("azure_openai", "foundry") and not document.credentials:
        settings = azure.with_placeholder(settings)
    deployment = validated(document, model, settings, at, origins=origins, hints=_hints(model))
    if deployment is None:
        return None
    if isinstance(deployment, BedrockDeployment):
        aws.check(document, deployment, at)
    elif isinstance(deployment, VertexDeployment | GeminiDeployment):
        google.check(document, deployment, at)
    check_headers(document, deployment.headers, (*at, "headers"))
    if "api_key" in settings and "auth_token" in settings:
        document.wrong((*at, "auth_token"), "stands beside api_key; one of them is too many")
    elif _lacks_key(deployment, settings):
        if not document.credentials:
            key = SecretStr(placeholder("api_key"))
            return deployment.model_copy(update={"api_key": key})
        usual = _USUAL_KEYS.get(provider)
        such = f"; ${{{usual}}}, say" if usual else ""
        document.wrong((*at, "api_key"), f"required, and not given{such}")
    check_installed(document, deployment, at)
    return deployment


def _lacks_key(deployment: Deployment, settings: Mapping[str, Any]) -> bool:
    if isinstance(deployment, GeminiDeployment):
        return deployment.needs_key
    return deployment.key_required and not (
        "api_key" in settings
        or "auth_token" in settings
        or deployment.base_url  # a server of one's own may ask for none
        or deployment.forward_client_auth
        or any(name.lower() in _SOME_NAME for name in deployment.headers)
    )


def _given(document: Document) -> dict[str, Any]:
    """Return the aliases as they are written."""
    return section(document, document.data.get("aliases"), ("aliases",))


class _Aliases:
    """The reading of `aliases`."""

    def __init__(
        self,
        document: Document,
        declared: Mapping[str, Any],
        blocks: _Blocks,
        routing: Routing,
        known: Aliases,
    ) -> None:
        self._document = document
        self._declared = declared
        self._blocks = blocks
        self._routing = routing
        self._given = _given(document)
        self._known = known

    def read(self) -> dict[str, Alias]:
        """Return the aliases that can be used."""
        read = {name: self._alias(name, value) for name, value in self._given.items()}
        return {name: alias for name, alias in read.items() if alias is not None}

    def _alias(self, name: str, value: Any) -> Alias | None:
        document = self._document
        at: Path = ("aliases", name)
        if name.count("*") > 1:
            document.wrong(at, "may have one *")
        settings = dict(value) if isinstance(value, dict) else {"deployments": value}
        place = (*at, "deployments") if isinstance(value, dict) else at
        if "deployments" in settings:
            settings["deployments"] = self._deployments(name, settings["deployments"], place)
        for setting in _OTHERS:
            if setting in settings:
                here = (*at, setting)
                others = names(document, settings[setting], here)
                for path, other in others:
                    self._check_other(path, other, name)
                settings[setting] = [other for _, other in others]
        hedge = settings.pop("hedge", None)
        if hedge is not None:
            here = (*at, "hedge")
            given = section(document, hedge, here)
            hedge = validated(document, Hedge, given, here) if given is hedge else None
        here = (*at, "safeguards")
        safeguards = _safeguards(document, settings.pop("safeguards", None), here, self._known)
        settings.setdefault("strategy", self._routing.strategy)
        origins = {"deployments": place}
        known = ("hedge", "safeguards")
        alias = validated(document, Alias, settings, at, origins=origins, known=known)
        judges = safeguards or self._routing.safeguards
        blocks = {"hedge": hedge, "safeguards": judges}
        given = {name: block for name, block in blocks.items() if block is not None}
        return alias.model_copy(update=given) if alias and given else alias

    def _deployments(self, alias: str, value: Any, at: Path) -> list[str]:
        chosen = []
        for path, name in names(self._document, value, at):
            _check_deployment(self._document, path, name, self._declared, self._given)
            members = self._blocks.members.get(name, [name])
            made = self._blocks.deployments.get(members[0])
            if made and "*" in (made.model or "") and "*" not in alias:
                text = "its model has a *, and this alias has none to put there"
                self._document.wrong(path, text)
            chosen += members
        return chosen

    def _check_other(self, path: Path, name: str, alias: str) -> None:
        if name == alias and "*" not in name:
            self._document.wrong(path, "is this alias itself")
        else:
            _check_alias(self._document, path, name, self._known)


def _check_alias(document: Document, path: Path, name: str, aliases: Aliases) -> None:
    """Report a name that is none of an alias."""
    if "*" in name:
        document.wrong(path, "must be one model's name, without a *")
    elif aliases.find(name) is None:
        shown = quoted(document, path, name)
        near = meant(name, _given(document))
        if not near and name in section(document, document.data.get("deployments"), ()):
            near = ": that is a deployment, which needs an alias of its own"
        document.wrong(path, f"no alias matches {shown}{near}")


def _check_deployment(
    document: Document,
    path: Path,
    name: str,
    declared: Mapping[str, Any],
    aliases: Mapping[str, Any],
) -> None:
    if name in declared:
        return
    shown = quoted(document, path, name)
    if name in aliases:
        document.wrong(path, f"{shown} is an alias; here stands a deployment, or use fallbacks")
    else:
        document.wrong(path, f"no deployment is named {shown}{meant(name, declared)}")
