"""LiteLLM's prefixes of vendors → ours: where each is, and by which format it is spoken to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from pydantic import SecretStr

from llmroute.config import azure
from llmroute.config.environment import is_openai
from llmroute.config.litellm_cloud import Cloud, Given, Taken
from llmroute.config.litellm_foundry import FoundryParams, credential
from llmroute.config.litellm_vertex import VERTEX, VertexParams
from llmroute.config.references import placeholder
from llmroute.config.settings import Settings
from llmroute.config.vendors import settled
from llmroute.providers import PROVIDERS
from llmroute.providers.azure_openai import AzureOpenAIDeployment
from llmroute.providers.gemini import GeminiDeployment
from llmroute.providers.openai import OpenAIDeployment
from llmroute.providers.openai_compatible import OpenAICompatibleDeployment
from llmroute.providers.vendors import Vendor, vendor_of

__all__ = [
    "NAMES",
    "PARAMS",
    "AzureParams",
    "GeminiParams",
    "OpenAIParams",
    "VendorParams",
    "vendor_cloud",
]

NAMES = frozenset({"azure", "custom_openai", "gemini", "openai", "openai_like"})
"""What is neither a row of the vendors' table nor a cloud of Claude's."""

_OPENAI_BASES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
_OPENAI_KEYS = ("OPENAI_API_KEY",)
_GEMINI_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_AZURE_BASES = ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")
# `azure/responses/NAME`: a deployment that is asked by Responses.
_BY_RESPONSES = "responses/"
# Of Foundry alone: here it would be another resource's key.
_FOUNDRYS_KEY = "AZURE_AI_API_KEY"


class VendorParams(Settings):
    """What `litellm_params` may hold for a vendor of the table, besides what every one has."""

    use_chat_completions_api: bool = False
    """Speak Chat Completions, though the vendor reads the Messages format."""


class OpenAIParams(Settings):
    """What `litellm_params` may hold for OpenAI."""

    organization: str | None = None
    """The organization that pays, where the key is of several."""
    use_chat_completions_api: bool = False
    """Accepted: another server than OpenAI's is spoken to by Chat Completions, and OpenAI by
    Responses."""


class GeminiParams(Settings):
    """What `litellm_params` may hold for Gemini on AI Studio: nothing of its own."""


class AzureParams(FoundryParams):
    """What `litellm_params` may hold for Azure OpenAI."""

    api_version: str | None = None
    """A date, `2024-10-21` or later; left out, `AZURE_API_VERSION`, else the address that needs
    none."""


def vendor_cloud(
    name: str, model: str, given: Mapping[str, Any], environ: Mapping[str, str]
) -> Cloud | None:
    """Return what turns an entry's settings into a deployment's; `None` for an unknown prefix.

    Args:
        name: The prefix.
        model: What follows it.
        given: The entry's `litellm_params`.
        environ: The environment, the file's own variables included.
    """
    base = given.get("api_base") or given.get("base_url")
    base = base if isinstance(base, str) else None
    if name in ("custom_openai", "openai", "openai_like"):
        return _openai(name, base, environ)
    if name == "vertex_ai" and model.startswith("gemini"):
        return _GEMINI_ON_VERTEX
    vendor = vendor_of(name)
    if vendor is None:
        return _ROWS.get(name)
    variables = [f"{each.upper().replace('-', '_')}_API_BASE" for each in (name, vendor.name)]
    chat = given.get("use_chat_completions_api") is True
    own = settled(vendor, base or _found(environ, variables), chat=chat, trusting=False)
    deployment = PROVIDERS[own["provider"]].deployment
    return _cloud(deployment, VendorParams, partial(_take_vendor, vendor, own, variables[0]))


def _cloud(deployment: Any, params: type[Settings], take: Callable[[Given], Taken]) -> Cloud:
    return Cloud(deployment, params, (), _takes_any, take)


def _takes_any(_model: str) -> None:
    return None


def _openai(name: str, base: str | None, environ: Mapping[str, str]) -> Cloud:
    """Tell OpenAI itself from the servers that speak its older format."""
    base = base or _found(environ, _OPENAI_BASES)
    if name == "openai" and (base is None or is_openai(base)):
        return _cloud(OpenAIDeployment, OpenAIParams, partial(_take_openai, base))
    return _cloud(OpenAICompatibleDeployment, OpenAIParams, partial(_take_compatible, base))


def _take_vendor(vendor: Vendor, own: dict[str, Any], variable: str, given: Given) -> Taken:
    if "base_url" not in own:
        given.document.wrong(given.base_at, f"no api_base, and {variable} is not set")
    is_ours = given.base is None or vendor.own_server or vendor.at(given.base) is not None
    key = _key(given, vendor.keys, needed=vendor.key_needed, is_ours=is_ours)
    setting = "auth_token" if own["provider"] == "anthropic_compatible" else "api_key"
    origins = {"base_url": given.base_at, setting: given.place("api_key")}
    return Taken({**own, setting: key}, origins)


def _take_openai(base: str | None, given: Given) -> Taken:
    settings = {
        "base_url": base,
        "organization": given.own.organization,
        "api_key": _key(given, _OPENAI_KEYS, needed=True),
    }
    return Taken(settings, {"base_url": given.base_at})


def _take_compatible(base: str | None, given: Given) -> Taken:
    if base is None:
        given.document.wrong(given.base_at, "required, and not given")
    # The key in the environment is OpenAI's, and not for another server.
    settings = {"base_url": base, "api_key": given.api_key}
    return Taken(settings, {"base_url": given.base_at})


def _take_gemini(given: Given) -> Taken:
    settings = {"base_url": given.base, "api_key": _key(given, _GEMINI_KEYS, needed=True)}
    return Taken(settings, {"base_url": given.base_at})


def _take_gemini_on_vertex(given: Given) -> Taken:
    taken = VERTEX.take(given)
    return Taken({**taken.settings, "surface": "vertex"}, taken.origins)


def _take_azure(given: Given) -> Taken:
    environ = {name: value for name, value in given.environ.items() if name != _FOUNDRYS_KEY}
    given = given._replace(environ=environ)
    document, own = given.document, given.own
    base = given.base or _found(environ, _AZURE_BASES)
    if base is None:
        document.wrong(given.base_at, f"no api_base, and {_AZURE_BASES[0]} is not set")
    proof = credential(given)
    settings = {
        "base_url": base,
        "api_version": own.api_version or environ.get("AZURE_API_VERSION") or None,
        "scope": own.azure_scope or environ.get("AZURE_SCOPE") or None,
        **(proof if document.credentials else azure.with_placeholder(proof)),
    }
    if given.model.startswith(_BY_RESPONSES):
        settings |= {"api": "responses", "model": given.model.removeprefix(_BY_RESPONSES)}
    origins = {
        "base_url": given.base_at,
        "scope": given.place("azure_scope"),
        "auth_token": given.place("azure_ad_token"),
        "federated_token_file": given.place("azure_ad_token"),
        "username": given.place("azure_username"),
        "password": given.place("azure_password"),
    }
    return Taken(settings, origins)


def _found(environ: Mapping[str, str], variables: Iterable[str]) -> str | None:
    return next(filter(None, map(environ.get, variables)), None)


def _key(
    given: Given, variables: tuple[str, ...], *, needed: bool, is_ours: bool = True
) -> SecretStr | None:
    """Return the key that the file or the environment holds, or report that there is none."""
    document, place = given.document, given.place("api_key")
    if given.api_key is not None or document.is_wrong(place):
        return given.api_key
    variable = next((each for each in variables if given.environ.get(each)), None)
    if variable is not None:
        if not is_ours:
            document.warn(place, f"none is given, so {variable} is sent to this api_base")
        return SecretStr(given.environ[variable])
    if not needed or given.carries_key:
        return None
    if not document.credentials:
        return SecretStr(placeholder(variables[0]))
    document.wrong(place, f"no api_key, and {variables[0]} is not set")
    return None


_GEMINI_ON_VERTEX = Cloud(
    GeminiDeployment, VertexParams, ("vertex_",), _takes_any, _take_gemini_on_vertex
)
_ROWS = {
    "azure": Cloud(
        AzureOpenAIDeployment,
        AzureParams,
        ("azure_", "client_id", "client_secret", "tenant_id"),
        _takes_any,
        _take_azure,
    ),
    "gemini": _cloud(GeminiDeployment, GeminiParams, _take_gemini),
}

PARAMS: Mapping[str, type[Settings]] = {
    "azure": AzureParams,
    "gemini": GeminiParams,
    "openai": OpenAIParams,
    "vendor": VendorParams,
}
"""What `litellm_params` may hold, by provider; `vendor` is any of the vendors' table."""
