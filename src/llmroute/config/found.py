"""A configuration made of nothing but the keys that the environment holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import SecretStr

from llmroute.config.document import Document, Path, from_data
from llmroute.config.environment import (
    anthropic_base,
    anthropic_credential,
    is_openai,
    master_key,
    master_key_variable,
)
from llmroute.config.model import Alias, Config, Server
from llmroute.config.origin import Origin
from llmroute.config.validation import validated
from llmroute.config.vendors import settled
from llmroute.errors import ConfigError, Problem
from llmroute.providers import PROVIDERS, Deployment
from llmroute.providers.anthropic import DEFAULT_BASE_URL
from llmroute.providers.openai import DEFAULT_BASE_URL as OPENAI_BASE_URL
from llmroute.providers.vendors import VENDORS, Vendor

__all__ = ["config"]

_NO_KEY = (
    "holds no provider's key; set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or that of another "
    "provider (`llmroute providers` lists them), or write a configuration file"
)
_OPENAI_BASES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
_GEMINI = "https://generativelanguage.googleapis.com"


class _Found(NamedTuple):
    """A provider whose key is there.

    Attributes:
        name: The deployment's.
        pattern: The alias that leads to it.
        settings: The deployment's.
        origins: Where those of them stand that are variables.
        address: Where it is, for people to see.
    """

    name: str
    pattern: str
    settings: dict[str, Any]
    origins: dict[str, Path]
    address: str


def config(environ: Mapping[str, str]) -> Config:
    """Build a configuration from the keys that the environment holds.

    Claude models are Anthropic's; another provider's are asked for with its name before theirs,
    `deepseek/deepseek-v4-pro`.  `found` says what was found.  Raises `ConfigError` if that is
    nothing.
    """
    document = Document("<environment>", from_data({}, "<environment>"))
    every = [*_anthropic(document, environ), *_openai(environ), *_gemini(environ)]
    every += [_of(vendor, key, environ) for vendor, key in _vendors(environ)]
    if not every:
        raise ConfigError([Problem(document.name, 0, "", _NO_KEY)])
    deployments: dict[str, Deployment] = {}
    origins: dict[str, Origin] = {}
    for each in every:
        model = PROVIDERS[each.settings["provider"]].deployment
        deployment = validated(document, model, each.settings, (), origins=each.origins)
        if deployment is not None:
            deployments[each.name] = deployment
            origins[each.name] = document.origin((), each.origins)
    key = master_key(document, environ, ())
    document.check()
    found = [f"{_variable(each)}: {each.pattern} goes to {each.address}" for each in every]
    if key is not None:
        found.append(f"{master_key_variable(environ)}: the key that clients present")
    return Config(
        deployments=deployments,
        aliases={each.pattern: Alias(deployments=(each.name,)) for each in every},
        server=Server(master_key=key),
        origins=origins,
        warnings=document.warnings,
        found=tuple(found),
        source=document.name,
    )


def _variable(found: _Found) -> str:
    """Return the variable that holds the credential, which is named first."""
    return str(next(iter(found.origins.values()))[0])


def _anthropic(document: Document, environ: Mapping[str, str]) -> Iterator[_Found]:
    credential = anthropic_credential(environ)
    if credential is None:
        return
    base = anthropic_base(environ)
    if base.own_proxy:
        document.warn((base.variable,), "is this proxy's own address, and is not an upstream")
    settings: dict[str, Any] = {"provider": "anthropic", credential.setting: credential.value}
    origins: dict[str, Path] = {credential.setting: (credential.variable,)}
    if base.url:
        settings["base_url"] = base.url
        origins["base_url"] = (base.variable,)
    yield _Found("anthropic", "claude-*", settings, origins, base.url or DEFAULT_BASE_URL)


def _openai(environ: Mapping[str, str]) -> Iterator[_Found]:
    key = environ.get("OPENAI_API_KEY")
    if not key:
        return
    settings: dict[str, Any] = {"provider": "openai", "model": "*", "api_key": SecretStr(key)}
    origins: dict[str, Path] = {"api_key": ("OPENAI_API_KEY",)}
    variable = next((name for name in _OPENAI_BASES if environ.get(name)), None)
    if variable is not None:
        settings["base_url"] = environ[variable]
        origins["base_url"] = (variable,)
        if not is_openai(environ[variable]):
            settings["provider"] = "openai_compatible"
    yield _Found("openai", "openai/*", settings, origins, settings.get("base_url", OPENAI_BASE_URL))


def _gemini(environ: Mapping[str, str]) -> Iterator[_Found]:
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        if key := environ.get(variable):
            settings = {"provider": "gemini", "model": "*", "api_key": SecretStr(key)}
            yield _Found("gemini", "gemini/*", settings, {"api_key": (variable,)}, _GEMINI)
            return


def _vendors(environ: Mapping[str, str]) -> Iterator[tuple[Vendor, str]]:
    """Yield the vendors whose key is there, with the variable that holds it."""
    for vendor in VENDORS.values():
        variable = next((name for name in vendor.keys if environ.get(name)), None)
        if variable and vendor.addresses and not (vendor.shared_key or vendor.own_server):
            yield vendor, variable


def _of(vendor: Vendor, variable: str, environ: Mapping[str, str]) -> _Found:
    settings = settled(vendor, None, chat=False, trusting=False)
    name = "auth_token" if settings["provider"] == "anthropic_compatible" else "api_key"
    settings |= {"model": "*", name: SecretStr(environ[variable])}
    pattern = f"{vendor.name}/*"
    return _Found(vendor.name, pattern, settings, {name: (variable,)}, settings["base_url"])
