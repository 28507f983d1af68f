"""LiteLLM's settings for Claude in Microsoft Foundry → ours."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from llmroute.config.litellm_cloud import Cloud, Given, Taken
from llmroute.config.model import Settings
from llmroute.providers.foundry import FoundryDeployment

__all__ = ["FOUNDRY", "FoundryParams"]

_BASES = ("AZURE_AI_API_BASE", "AZURE_API_BASE")
_KEYS = ("AZURE_AI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_KEY")
_APPLICATION = {
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
}
_LATER = "is not part of this version of llmroute"


class FoundryParams(Settings):
    """What `litellm_params` may hold for Foundry, besides what every provider has."""

    azure_ad_token: SecretStr | None = None
    """An Entra ID token; left out with all else, `AZURE_AD_TOKEN` is taken from the environment."""
    tenant_id: str | None = None
    """The Entra ID tenant of an application; left out, `AZURE_TENANT_ID`."""
    client_id: str | None = None
    """The application's id; left out, `AZURE_CLIENT_ID`."""
    client_secret: SecretStr | None = None
    """Its secret; left out, `AZURE_CLIENT_SECRET`."""
    azure_scope: str | None = None
    """What its tokens are asked for."""
    azure_username: str | None = None
    """Not part of this version: a problem."""
    azure_password: SecretStr | None = None
    """Not part of this version: a problem."""
    api_version: str | None = None
    """Accepted: the Messages endpoint has no versions of that kind."""


def _refusal(model: str) -> str | None:
    if "claude" in model.lower() or model == "*":
        return None
    return "is no Claude model; no other is served from Foundry in this version of llmroute"


def _take(given: Given) -> Taken:
    document, own = given.document, given.own
    for name in ("azure_username", "azure_password"):
        if getattr(own, name) is not None:
            document.wrong(given.place(name), _LATER)
    token = own.azure_ad_token
    if token is not None and token.get_secret_value().startswith("oidc/"):
        document.wrong(given.place("azure_ad_token"), f"an oidc/ token {_LATER}")
    base, base_at = given.base, given.base_at
    if base is None:
        base = next(filter(None, map(given.environ.get, _BASES)), None)
    if base is None:
        document.wrong(base_at, "no api_base, and AZURE_AI_API_BASE is not set")
    settings = {"base_url": base, "scope": own.azure_scope, **_credential(given)}
    places = {
        "base_url": base_at,
        "scope": given.place("azure_scope"),
        "auth_token": given.place("azure_ad_token"),
    }
    return Taken(settings, places)


def _credential(given: Given) -> dict[str, Any]:
    """Return what the file names, else what the environment holds, in LiteLLM's order."""
    own = given.own
    if any(given.document.is_wrong(given.place(name)) for name in ("api_key", *_APPLICATION)):
        # That is problem enough; it shall not be called missing as well.
        return {"managed_identity": True}
    if given.api_key is not None:
        return {"api_key": given.api_key}
    if own.azure_ad_token is not None:
        return {"auth_token": own.azure_ad_token}
    return _found(given)


def _found(given: Given) -> dict[str, Any]:
    """Return an application's secret, of which the file may name a part, or what there is."""
    own, environ = given.own, given.environ
    named = {name: getattr(own, name) for name in _APPLICATION}
    application = {n: v or environ.get(_APPLICATION[n]) or None for n, v in named.items()}
    key = next(filter(None, map(environ.get, _KEYS)), None)
    if key and not any(named.values()):
        return {"api_key": SecretStr(key)}
    if any(named.values()) or all(application.values()):
        return application
    if token := environ.get("AZURE_AD_TOKEN"):
        return {"auth_token": SecretStr(token)}
    return {"managed_identity": True} if given.refreshing else {}


FOUNDRY = Cloud(
    deployment=FoundryDeployment,
    params=FoundryParams,
    prefixes=("azure_", "client_id", "client_secret", "tenant_id"),
    refusal=_refusal,
    take=_take,
)
