"""What the environment says of Google Cloud, and what its locations look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmroute.config.document import Document, Path
from llmroute.providers.gemini import GeminiDeployment
from llmroute.providers.vertex import VertexDeployment

__all__ = ["check", "check_location", "completed"]

# By setting, the variables that Claude Code and Google's own tools read.
_PREDICT = (
    ("project", ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")),
    ("location", ("CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION")),
)
# Those of Anthropic's SDK. The region of other services is not meant: this one is global.
_MESSAGES = (
    ("project", ("ANTHROPIC_GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_PROJECT")),
    ("location", ("ANTHROPIC_GOOGLE_CLOUD_LOCATION",)),
    ("workspace_id", ("ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID",)),
)
# Those of Google's own SDK.
_GEMINI = (("project", ("GOOGLE_CLOUD_PROJECT",)), ("location", ("GOOGLE_CLOUD_LOCATION",)))
_Variables = tuple[tuple[str, tuple[str, ...]], ...]
# What of a deployment's settings is about one of the two surfaces alone.
_OF_PREDICT = (
    *("accept_betas", "accept_members", "anthropic_version", "base_model"),
    *("drop_betas", "drop_members"),
)
# us-east5, northamerica-northeast1; without a dash, several regions in one.
_LOCATION = re.compile(r"[a-z]+(?:-[a-z]+[0-9]{1,2})?")


def completed(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of a deployment at Google with what the environment adds to them."""
    more = {}
    for name, variables in _variables(settings):
        found = next(filter(None, map(environ.get, variables)), None)
        if found and settings.get(name) is None:
            more[name] = found
    return {**settings, **more}


def _variables(settings: Mapping[str, Any]) -> _Variables:
    surface = settings.get("surface")
    if settings.get("provider") == "gemini":
        # A key of the express mode belongs to a project of its own.
        return _GEMINI if surface == "vertex" and not settings.get("api_key") else ()
    return _MESSAGES if surface == "messages" else _PREDICT


def check(document: Document, deployment: VertexDeployment | GeminiDeployment, at: Path) -> None:
    """Report what is missing or too many, and warn of what has no effect."""
    if isinstance(deployment, GeminiDeployment):
        _check_gemini(document, deployment, at)
        return
    check_location(document, deployment.location, (*at, "location"))
    is_native = deployment.surface == "messages"
    if is_native and not deployment.workspace_id:
        document.wrong((*at, "workspace_id"), "required with surface: messages, and not given")
    for name in _OF_PREDICT if is_native else ("workspace_id",):
        if name in deployment.model_fields_set:
            document.warn((*at, name), f"without effect with surface: {deployment.surface}")
    _check_credentials(document, deployment, at)


def _check_gemini(document: Document, deployment: GeminiDeployment, at: Path) -> None:
    if deployment.surface == "vertex":
        check_location(document, deployment.location, (*at, "location"))
        _check_credentials(document, deployment, at)
        return
    for name in ("project", "location", "credentials", "credentials_file"):
        if name in deployment.model_fields_set:
            document.warn((*at, name), f"without effect with surface: {deployment.surface}")


def _check_credentials(
    document: Document, deployment: VertexDeployment | GeminiDeployment, at: Path
) -> None:
    given = ("auth_token", "credentials", "credentials_file")
    for name in [name for name in given if getattr(deployment, name) is not None][1:]:
        document.wrong((*at, name), "is another credential; one of them is too many")


def check_location(document: Document, location: str, at: Path) -> None:
    """Warn of a location that is none of Google's: the address made of it leads nowhere."""
    if not _LOCATION.fullmatch(location):
        document.warn(at, "is no Google Cloud region, as us-east5 is one; it is used as it stands")
