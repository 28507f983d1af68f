"""LiteLLM's settings for Claude in Microsoft Foundry → ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from llmroute.config import azure
from llmroute.config.litellm_cloud import Cloud, Given, Taken
from llmroute.config.settings import Settings
from llmroute.providers.foundry import FoundryDeployment

__all__ = ["FOUNDRY", "FoundryParams", "credential"]

_BASES = ("AZURE_AI_API_BASE", "AZURE_API_BASE")
_KEYS = ("AZURE_AI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_KEY")
_APPLICATION = {
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
}
_USER = {"azure_username": "AZURE_USERNAME", "azure_password": "AZURE_PASSWORD"}
_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - the name of a variable


class FoundryParams(Settings):
    """What `litellm_params` may hold for Foundry, besides what every provider has."""

    azure_ad_token: SecretStr | None = None
    """An Entra ID token; left out with all else, `AZURE_AD_TOKEN` is taken from the environment.
    With `oidc/azure/`, `oidc/file/PATH` or `oidc/env_path/VARIABLE`, a file whose token the
    application is trusted by; its ids are `client_id` and `tenant_id`."""
    tenant_id: str | None = None
    """The Entra ID tenant of an application; left out, `AZURE_TENANT_ID`."""
    client_id: str | None = None
    """The application's id; left out, `AZURE_CLIENT_ID`."""
    client_secret: SecretStr | None = None
    """Its secret; left out, `AZURE_CLIENT_SECRET`."""
    azure_scope: str | None = None
    """What its tokens are asked for; left out, `AZURE_SCOPE`."""
    azure_username: str | None = None
    """A user's name, for whom the application of `client_id` asks; left out, `AZURE_USERNAME`."""
    azure_password: SecretStr | None = None
    """The user's password; left out, `AZURE_PASSWORD`."""
    api_version: str | None = None
    """Accepted: the Messages endpoint has no versions of that kind."""


def _refusal(model: str) -> str | None:
    if "claude" in model.lower() or model == "*":
        return None
    return "is no Claude model; no other is served from Foundry in this version of llmroute"


def _take(given: Given) -> Taken:
    document, own, environ = given.document, given.own, given.environ
    base, base_at = given.base, given.base_at
    if base is None:
        base = next(filter(None, map(environ.get, _BASES)), None)
    if base is None:
        document.wrong(base_at, "no api_base, and AZURE_AI_API_BASE is not set")
    proof = credential(given)
    settings = {
        "base_url": base,
        "scope": own.azure_scope or environ.get("AZURE_SCOPE") or None,
        "authority": _authority(environ.get("AZURE_AUTHORITY_HOST")),
        **(proof if document.credentials else azure.with_placeholder(proof)),
    }
    places = {
        "base_url": base_at,
        "scope": given.place("azure_scope"),
        "auth_token": given.place("azure_ad_token"),
        "federated_token_file": given.place("azure_ad_token"),
        "username": given.place("azure_username"),
        "password": given.place("azure_password"),
    }
    return Taken(settings, places)


def _authority(host: str | None) -> str | None:
    if not host:
        return None
    return host if "://" in host else f"https://{host}"


def credential(given: Given) -> dict[str, Any]:
    """Return what the file names, else what the environment holds, in LiteLLM's order."""
    own = given.own
    named = ("api_key", "azure_ad_token", "azure_username", "azure_password", *_APPLICATION)
    if any(given.document.is_wrong(given.place(name)) for name in named):
        # That is problem enough; it shall not be called missing as well.
        return {"managed_identity": True}
    if given.api_key is not None:
        return {"api_key": given.api_key}
    if own.azure_ad_token is not None:
        return _token(given, own.azure_ad_token)
    return _found(given)


def _token(given: Given, token: SecretStr) -> dict[str, Any]:
    """Return a token, or the file that `oidc/` tells of and the application that goes with it."""
    text = token.get_secret_value()
    if not text.startswith("oidc/"):
        return {"auth_token": token}
    kind, _, rest = text.removeprefix("oidc/").partition("/")
    variable = {"azure": _TOKEN_FILE, "env_path": rest}.get(kind)
    file = given.environ.get(variable) if variable else rest if kind == "file" else None
    if not file and not given.document.credentials:
        return {}
    if not file:
        problem = (
            f"environment variable {variable} is not set"
            if variable
            else "of the oidc/ tokens, only oidc/azure/, oidc/file/PATH and oidc/env_path/VARIABLE"
            " are part of this version of llmroute"
        )
        given.document.wrong(given.place("azure_ad_token"), problem)
        return {"managed_identity": True}
    return {**_ids(given), "federated_token_file": file}


def _either(given: Given, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what the file names, and of the rest what the environment holds."""
    own, environ = given.own, given.environ
    return {name: getattr(own, name) or environ.get(other) or None for name, other in names.items()}


def _ids(given: Given) -> dict[str, Any]:
    return _either(given, {name: _APPLICATION[name] for name in ("tenant_id", "client_id")})


def _found(given: Given) -> dict[str, Any]:
    """Return an application or a user, of whom the file may name a part, or what there is."""
    own, environ = given.own, given.environ
    named = any(getattr(own, name) for name in (*_APPLICATION, *_USER))
    if not named and (key := next(filter(None, map(environ.get, _KEYS)), None)):
        return {"api_key": SecretStr(key)}
    if proof := _application(given) or _user(given):
        return proof
    if not named and (token := environ.get("AZURE_AD_TOKEN")):
        return _token(given, SecretStr(token))
    ids, file = _ids(given), environ.get(_TOKEN_FILE)
    if file and all(ids.values()) and not own.client_secret:
        return {**ids, "federated_token_file": file}
    if given.refreshing and not named:
        return {"managed_identity": True, "client_id": ids["client_id"]}
    return _either(given, _APPLICATION) if named else {}


def _application(given: Given) -> dict[str, Any] | None:
    own = given.own
    found = _either(given, _APPLICATION)
    # A user in the file comes before a secret that only the environment has.
    theirs = any(getattr(own, name) for name in _USER) and not own.client_secret
    return found if all(found.values()) and not theirs else None


def _user(given: Given) -> dict[str, Any] | None:
    own, ids = given.own, _ids(given)
    name, password = _either(given, _USER).values()
    if not (own.azure_username or own.azure_password or (name and password and ids["client_id"])):
        return None
    return {**ids, "client_secret": own.client_secret, "username": name, "password": password}


FOUNDRY = Cloud(
    deployment=FoundryDeployment,
    params=FoundryParams,
    prefixes=("azure_", "client_id", "client_secret", "tenant_id"),
    refusal=_refusal,
    take=_take,
)
