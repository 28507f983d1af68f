"""A JSON Schema for editors, from the same models that check the file."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from llmroute.config.accounts import (
    Accounts,
    BudgetSettings,
    Guards,
    KeySettings,
    LimitSettings,
    TeamSettings,
    UsageSettings,
)
from llmroute.config.litellm_clouds import CLOUDS
from llmroute.config.litellm_keys import IGNORED, NOT_NEEDED
from llmroute.config.litellm_model import (
    CredentialEntry,
    GeneralSettings,
    LitellmParams,
    LitellmSettings,
    ModelEntry,
    ModelInfo,
    RouterSettings,
)
from llmroute.config.litellm_vendors import PARAMS
from llmroute.config.model import Alias, ErrorRule, Hedge, Routing, Safeguards, Server, Sharing
from llmroute.config.native_vendor import API
from llmroute.config.prices import ModePrice, PriceSettings, TierPrice
from llmroute.config.telemetry import BodySettings, Logs, Telemetry
from llmroute.providers import PROVIDERS
from llmroute.providers.vendors import VENDORS

__all__ = ["attribute_docs", "cloud_schemas", "json_schema"]

_REFERENCE = {"type": "string", "pattern": r"^os\.environ/|\$\{"}
_NAMES: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_NAME_OR_NAMES: dict[str, Any] = {"anyOf": [{"type": "string"}, _NAMES]}


def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return the text under each setting of a model, its bases' included; reads the source."""
    docs: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if not issubclass(cls, BaseModel) or cls is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101 - it is a class
        for statement, text in zip(body.body, body.body[1:], strict=False):
            match statement, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(doc))),
                ):
                    docs[name] = " ".join(doc.split())
                case _:
                    pass
    return docs


def json_schema() -> dict[str, Any]:
    """Return the schema of both dialects, for editors; loading checks more than it can say."""
    deployments = [_object(row.deployment) for row in PROVIDERS.values()]
    for deployment in deployments:
        deployment["required"] = ["provider"]
        deployment["properties"]["price"] = _price()
    deployments.append(_of_vendors(deployments))
    native = {
        "deployments": _mapping({"anyOf": deployments}, "By name."),
        "aliases": _mapping(
            {"anyOf": [{"type": "string"}, _NAMES, _alias()]},
            "What callers ask for, by name or pattern: a deployment, a list of them, or settings.",
        ),
        "routing": _routing(),
        "server": _object(Server),
        **_accounts(),
        "telemetry": _object(Telemetry),
        "logs": _logs(),
        **_object(Sharing)["properties"],
    }
    params = _object(LitellmParams, "litellm_params")
    for own in cloud_schemas().values():
        params["properties"] |= own["properties"]
    # Another provider's settings are not known here, and not reported as unknown.
    params["additionalProperties"] = True
    entry = _object(ModelEntry)
    entry["properties"]["litellm_params"] = params
    entry["properties"]["model_info"] = {
        **_object(ModelInfo, "model_info"),
        "additionalProperties": True,
    }
    litellm = {
        "model_list": {"type": "array", "items": entry},
        "litellm_settings": _object(LitellmSettings, "litellm_settings"),
        "router_settings": _object(RouterSettings, "router_settings"),
        "general_settings": _object(GeneralSettings, "general_settings"),
        "environment_variables": _mapping({}, "Variables that the rest of the file refers to."),
        "credential_list": {"type": "array", "items": _object(CredentialEntry)},
        **_ignored(IGNORED[""]),
    }
    include = {"type": "array", "items": {"type": "string"}, "description": "Further files."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "llmroute configuration",
        "type": "object",
        "properties": {"include": include, **native, **litellm},
        "additionalProperties": False,
        "anyOf": [{"required": ["deployments"]}, {"required": ["model_list"]}, _INCLUDING],
    }


_INCLUDING = {"required": ["include"]}


def cloud_schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of what `litellm_params` may hold for each cloud alone."""
    every: dict[str, type[BaseModel]] = {name: cloud.params for name, cloud in CLOUDS.items()}
    every |= PARAMS
    return {name: _object(params) for name, params in every.items() if params.model_fields}


def _of_vendors(deployments: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of a deployment that names a vendor: what either provider has."""
    either = {"anthropic_compatible", "openai_compatible"}
    settings = {
        name: setting
        for deployment in deployments
        if deployment["properties"]["provider"]["const"] in either
        for name, setting in deployment["properties"].items()
    }
    api = {"enum": ["messages", "chat"], "description": API}
    names = {"enum": [*VENDORS], "description": settings["provider"].get("description", "")}
    return {
        "type": "object",
        "properties": {**settings, "provider": names, "api": api},
        "required": ["provider"],
        "additionalProperties": False,
    }


def _object(model: type[BaseModel], section: str = "") -> dict[str, Any]:
    schema = model.model_json_schema()
    docs = attribute_docs(model)
    for name, found in schema["properties"].items():
        schema["properties"][name] = _setting(found, docs.get(name))
    for name, text in _ignored(IGNORED.get(section, {}) if section else {}).items():
        schema["properties"].setdefault(name, text)
    for name in sorted(NOT_NEEDED.get(section, ())):
        schema["properties"][name] = {"description": "Accepted: it is so anyway."}
    for name in ("title", "description", "$defs"):
        schema.pop(name, None)
    return schema


def _setting(schema: dict[str, Any], doc: str | None) -> dict[str, Any]:
    """Return the schema of one setting as a file has it: no null, and any value a reference."""
    kept = {key: schema[key] for key in ("default",) if schema.get(key) is not None}
    kinds = [
        _plain(_inlined(kind))
        for outer in schema.get("anyOf", [schema])
        for kind in outer.get("anyOf", [outer])
        if kind.get("type") != "null"
    ]
    if any(kind.get("type") in {"boolean", "integer", "number"} for kind in kinds):
        kinds.append(_REFERENCE)
    described = {} if doc is None else {"description": doc}
    return (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | kept | described


def _plain(kind: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kind of value without what a reader of the schema has no use for."""
    dropped = {"anyOf", "default", "description", "format", "title", "writeOnly"}
    plain = {key: value for key, value in kind.items() if key not in dropped}
    if isinstance(items := plain.get("items"), dict):
        plain["items"] = _plain(items)
    return plain


def _inlined(kind: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a kind of value without references to blocks described elsewhere."""
    if "$ref" in kind:
        return {"type": "object"}
    if "$ref" in kind.get("items", {}):
        return {**kind, "items": {"type": "object"}}
    return kind


def _price() -> dict[str, Any]:
    schema = _object(PriceSettings)
    settings = schema["properties"]
    mode, tier = _object(ModePrice), _object(TierPrice)
    for name in PriceSettings.model_fields.keys() - ModePrice.model_fields.keys():
        if name == "tiers":
            settings[name] = {**settings[name], "items": tier}
        elif settings[name].get("type") == "object":
            settings[name] = mode | {"description": settings[name]["description"]}
    return schema | {"description": "What it costs, where no list knows it, or knows it wrong."}


def _alias() -> dict[str, Any]:
    schema = _object(Alias)
    settings = schema["properties"]
    for name in ("deployments", "fallbacks", "when_too_long", "when_refused"):
        settings[name] = _NAME_OR_NAMES | {"description": settings[name]["description"]}
    for name, block in (("hedge", Hedge), ("safeguards", Safeguards)):
        settings[name] = _object(block) | {"description": settings[name]["description"]}
    return schema


def _routing() -> dict[str, Any]:
    schema = _object(Routing)
    settings = schema["properties"]
    judge = {"description": settings["safeguards"]["description"]}
    settings["safeguards"] = _object(Safeguards) | judge
    rule = _object(ErrorRule)
    errors = settings["errors"]
    short = {"enum": rule["properties"]["remedy"]["enum"]}
    errors["additionalProperties"] = {"anyOf": [short, rule]}
    return schema


def _accounts() -> dict[str, Any]:
    docs = attribute_docs(Accounts)
    blocks: dict[str, type[BaseModel]] = {
        "limits": LimitSettings,
        "guards": Guards,
        "usage": UsageSettings,
    }
    return {
        "keys": _mapping(_account(KeySettings), docs["keys"]),
        "teams": _mapping(_account(TeamSettings), docs["teams"]),
        "budgets": _budgets(docs["budgets"]),
        **{name: _object(each) | {"description": docs[name]} for name, each in blocks.items()},
    }


def _logs() -> dict[str, Any]:
    schema = _object(Logs)
    bodies = schema["properties"]["bodies"]
    settings = _object(BodySettings)
    schema["properties"]["bodies"] = {
        "anyOf": [{"type": "string"}, settings],
        "description": bodies["description"],
    }
    return schema


def _account(model: type[BaseModel]) -> dict[str, Any]:
    schema = _object(model)
    settings = schema["properties"]
    for name in ("aliases", "tags"):
        settings[name] = _NAME_OR_NAMES | {"description": settings[name]["description"]}
    limits = {"description": settings["limits"]["description"]}
    settings["limits"] = _object(LimitSettings) | limits
    settings["budgets"] = _budgets(settings["budgets"]["description"])
    return schema


def _budgets(description: str) -> dict[str, Any]:
    return {"type": "array", "items": _object(BudgetSettings), "description": description}


def _mapping(values: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values, "description": description}


def _ignored(reasons: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": f"Ignored: {why}."} for name, why in sorted(reasons.items())}
