"""The LiteLLM dialect: a file with a `model_list` works as it is.

What is honoured is in `litellm_model`, what is accepted without effect in `litellm_keys`; anything
else is an unknown setting.  Deployments are read in `litellm_deployment`, and become aliases in
`litellm_groups`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import SecretStr

from llmroute.config import litellm_accounts
from llmroute.config.document import Document, Path
from llmroute.config.environment import master_key
from llmroute.config.litellm_deployment import Defaults, Entry, accepted, read_entry
from llmroute.config.litellm_groups import Groups, Sections
from llmroute.config.litellm_keys import IGNORED, LITELLM_OWN, LITELLM_SECTIONS
from llmroute.config.litellm_model import (
    CredentialEntry,
    GeneralSettings,
    LitellmParams,
    LitellmSettings,
    RouterSettings,
)
from llmroute.config.litellm_policy import policy
from llmroute.config.litellm_prices import terms_of
from llmroute.config.litellm_store import store
from llmroute.config.litellm_telemetry import telemetry
from llmroute.config.model import Alias, Config, Server
from llmroute.config.settings import Settings
from llmroute.config.validation import meant, names, section, validated

__all__ = ["read"]

S = TypeVar("S", bound=Settings)


def read(document: Document, environ: Mapping[str, str]) -> Config:
    """Turn a document in LiteLLM's dialect into a `Config`; problems are the document's."""
    for name in document.data.keys() - LITELLM_OWN:
        if name in IGNORED[""]:
            document.warn((name,), f"ignored: {IGNORED[''][name]}")
        else:
            hint = _belonging(name, "")
            document.wrong((name,), hint or f"unknown setting{meant(name, LITELLM_SECTIONS)}")
    own = _read_section(document, "litellm_settings", LitellmSettings)
    router = _read_section(document, "router_settings", RouterSettings)
    general = _read_section(document, "general_settings", GeneralSettings)
    sections = Sections(own, router, general)
    entries = _entries(document, environ, sections)
    groups = Groups(document, entries, sections)
    groups.add_names(router.model_group_alias or {})
    groups.add_fallbacks(sections)
    groups.add_classifier(sections)
    aliases = {
        name: alias
        for name, block in groups.blocks.items()
        if (alias := validated(document, Alias, block, ("model_list",)))
    }
    return Config(
        deployments=groups.deployments,
        aliases=aliases,
        server=_server(document, environ, sections),
        policy=policy(document, entries, sections),
        prices=groups.prices,
        origins=groups.origins,
        store=store(document, router),
        database=litellm_accounts.database(document, general),
        accounts=litellm_accounts.accounts(document, own, general),
        telemetry=telemetry(document, own, environ),
        warnings=document.warnings,
        source=document.name,
    )


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


def _entries(document: Document, environ: Mapping[str, str], sections: Sections) -> list[Entry]:
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
        parallel=sections.router.default_max_parallel_requests,
        credentials=_credentials(document),
        environ=environ,
        forwarding=_forwarding(document, sections),
        refreshing=sections.own.enable_azure_ad_token_refresh,
        terms=terms_of(document, sections.own),
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


def _forwarding(document: Document, sections: Sections) -> frozenset[str] | None:
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


def _server(document: Document, environ: Mapping[str, str], sections: Sections) -> Server:
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
