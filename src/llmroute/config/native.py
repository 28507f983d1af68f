"""The native dialect: `deployments`, `aliases`, `routing`, `server`.  All of it is strict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.config import aws, google
from llmroute.config.document import Document, Path
from llmroute.config.environment import master_key
from llmroute.config.extras import check_installed
from llmroute.config.later import warn_of_length, warn_of_limits, warn_of_strategy
from llmroute.config.model import Alias, Config, Routing, Server
from llmroute.config.provider_names import PLANNED, refusal
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
from llmroute.providers.vertex import VertexDeployment
from llmroute.routing.aliases import Aliases

__all__ = ["TOP", "read"]

TOP = ("deployments", "aliases", "routing", "server", "include")
_SOME_NAME = frozenset({"api-key", "authorization", "x-api-key"})


def read(document: Document, environ: Mapping[str, str]) -> Config:
    """Turn a document in the native dialect into a `Config`; problems are the document's."""
    data = document.data
    for name in data.keys() - set(TOP):
        document.wrong((name,), f"unknown setting{meant(name, TOP)}")
    routing = validated(
        document, Routing, section(document, data.get("routing"), ("routing",)), ("routing",)
    )
    server = validated(
        document, Server, section(document, data.get("server"), ("server",)), ("server",)
    )
    routing, server = routing or Routing(), server or Server()
    warn_of_strategy(document, routing.strategy, ("routing", "strategy"))
    declared = section(document, data.get("deployments"), ("deployments",))
    deployments = _deployments(document, declared, environ)
    aliases = _aliases(document, declared, deployments, routing)
    if not declared:
        document.wrong(("deployments",), "no models: name at least one deployment")
    elif not aliases and not document.is_wrong(("aliases",)):
        document.wrong(("aliases",), "no aliases: say which names callers may ask for")
    key = master_key(document, environ, [(("server", "master_key"), server.master_key)])
    return Config(
        deployments=deployments,
        aliases=aliases,
        server=server.model_copy(update={"master_key": key}),
        policy=routing.policy(),
        warnings=document.warnings,
        source=document.name,
    )


def _deployments(
    document: Document, declared: Mapping[str, Any], environ: Mapping[str, str]
) -> dict[str, Deployment]:
    deployments = {}
    for name, value in declared.items():
        at: Path = ("deployments", name)
        if not (name.isascii() and name.isprintable() and name.strip() == name and name):
            document.wrong(at, "a deployment's name goes into a header: it must be plain ASCII")
        settings = section(document, value, at)
        if settings is not value and value is not None:
            continue
        deployment = _deployment(document, settings, at, environ)
        if deployment is not None:
            deployments[name] = deployment
    return deployments


def _deployment(
    document: Document, settings: dict[str, Any], at: Path, environ: Mapping[str, str]
) -> Deployment | None:
    place = (*at, "provider")
    provider = settings.get("provider")
    if not isinstance(provider, str):
        given = provider is not None or document.is_wrong(place)
        document.wrong(place, "must be text" if given else "required, and not given")
        return None
    no = refusal(provider, quoted(document, place, provider), PROVIDERS.keys(), PLANNED)
    if no:
        document.wrong(place, no)
        return None
    model: type[Deployment] = PROVIDERS[provider].deployment
    if provider == "bedrock":
        settings = aws.completed(settings, environ)
    elif provider == "vertex":
        settings = google.completed(settings, environ)
    deployment = validated(document, model, settings, at)
    if deployment is None:
        return None
    if isinstance(deployment, BedrockDeployment):
        aws.check(document, deployment, at)
    elif isinstance(deployment, VertexDeployment):
        google.check(document, deployment, at)
    check_headers(document, deployment.headers, (*at, "headers"))
    _check_credential(document, deployment, settings, at)
    check_installed(document, deployment, at)
    places = {name: (*at, name) for name, value in settings.items() if value is not None}
    warn_of_limits(document, places)
    return deployment


def _check_credential(
    document: Document, deployment: Deployment, settings: Mapping[str, Any], at: Path
) -> None:
    if "api_key" in settings and "auth_token" in settings:
        document.wrong((*at, "auth_token"), "stands beside api_key; one of them is too many")
    elif deployment.key_required and not (
        "api_key" in settings
        or "auth_token" in settings
        or deployment.base_url  # a server of one's own may ask for none
        or deployment.forward_client_auth
        or any(name.lower() in _SOME_NAME for name in deployment.headers)
    ):
        document.wrong((*at, "api_key"), "required, and not given")


def _aliases(
    document: Document,
    declared: Mapping[str, Any],
    deployments: Mapping[str, Deployment],
    routing: Routing,
) -> dict[str, Alias]:
    given = section(document, document.data.get("aliases"), ("aliases",))
    known = Aliases(given)
    aliases = {}
    for name, value in given.items():
        at: Path = ("aliases", name)
        if name.count("*") > 1:
            document.wrong(at, "may have one *")
        settings = value if isinstance(value, dict) else {"deployments": value}
        place = (*at, "deployments") if isinstance(value, dict) else at
        chosen = names(document, settings.get("deployments"), place)
        for path, deployment in chosen:
            _check_deployment(document, path, deployment, declared, given)
            template = deployments[deployment].model if deployment in deployments else None
            if template and "*" in template and "*" not in name:
                document.wrong(path, "its model has a *, and this alias has none to put there")
        fallbacks = names(document, settings.get("fallbacks"), (*at, "fallbacks"))
        too_long = names(document, settings.get("when_too_long"), (*at, "when_too_long"))
        for path, other in (*fallbacks, *too_long):
            _check_alias(document, path, other, known, given)
        for path, _ in too_long:
            warn_of_length(document, path)
        if "strategy" in settings:
            warn_of_strategy(document, settings["strategy"], (*at, "strategy"))
        alias_settings = {**settings, "deployments": [n for _, n in chosen]}
        if "fallbacks" in settings:
            alias_settings["fallbacks"] = [n for _, n in fallbacks]
        if isinstance(value, dict) and "deployments" not in value:
            del alias_settings["deployments"]
        alias_settings.setdefault("strategy", routing.strategy)
        alias = validated(document, Alias, alias_settings, at, origins={"deployments": place})
        if alias is not None:
            aliases[name] = alias
    return aliases


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


def _check_alias(
    document: Document, path: Path, name: str, known: Aliases, given: Mapping[str, Any]
) -> None:
    if "*" in name:
        document.wrong(path, "must be one model's name, without a *")
    elif known.find(name) is None:
        shown = quoted(document, path, name)
        document.wrong(path, f"no alias matches {shown}{meant(name, given)}")
