"""LiteLLM's settings for Vertex AI → ours."""

from __future__ import annotations

from typing import Any

from llmroute.config import google
from llmroute.config.litellm_cloud import Cloud, Given, Taken, either
from llmroute.config.settings import Settings
from llmroute.providers.vertex import VertexDeployment

__all__ = ["VERTEX", "VertexParams"]

_DEFAULT_LOCATION = "us-central1"
_BASES = ("VERTEXAI_API_BASE", "VERTEX_API_BASE")
# What Google's access tokens begin with.
_TOKEN = "ya29."  # noqa: S105 - the public part


class VertexParams(Settings):
    """What `litellm_params` may hold for Vertex AI, besides what every provider has."""

    vertex_project: str | None = None
    """The Google Cloud project; left out, `VERTEXAI_PROJECT` is taken from the environment, else
    the credentials' own is meant."""
    vertex_ai_project: str | None = None
    """The same as `vertex_project`."""
    vertex_location: str | None = None
    """A region, `us`, `eu` or `global`; left out, `VERTEXAI_LOCATION` or `VERTEX_LOCATION` is taken
    from the environment, else it is `us-central1`."""
    vertex_ai_location: str | None = None
    """The same as `vertex_location`."""
    vertex_credentials: str | dict[str, Any] | None = None
    """A Google credential: its file, or the JSON itself, as text or as a mapping.  Left out,
    `VERTEXAI_CREDENTIALS` is taken from the environment, else what Google's own tools would find
    on this machine."""
    vertex_ai_credentials: str | dict[str, Any] | None = None
    """The same as `vertex_credentials`."""


def _refusal(model: str) -> str | None:
    if "claude" in model.lower() or model == "*":
        return None
    return "is neither Claude nor Gemini; no other is served from Vertex AI in this version"


def _take(given: Given) -> Taken:
    environ = given.environ
    project, project_at = either(given, "vertex_project", "vertex_ai_project")
    location, location_at = either(given, "vertex_location", "vertex_ai_location")
    credentials, credentials_at = either(given, "vertex_credentials", "vertex_ai_credentials")
    if location is None:
        location = environ.get("VERTEXAI_LOCATION") or environ.get("VERTEX_LOCATION")
    if location is None:
        location = _DEFAULT_LOCATION
        given.document.warn(location_at, f"no location is named; taken as {_DEFAULT_LOCATION}")
    google.check_location(given.document, location, location_at)
    if credentials is None:
        credentials = environ.get("VERTEXAI_CREDENTIALS") or None
    if given.api_key is not None:
        given.document.warn(given.place("api_key"), "ignored: Vertex AI takes no key for Claude")
    setting = _setting_of(credentials)
    settings = {
        "project": project or environ.get("VERTEXAI_PROJECT") or None,
        "location": location,
        setting: credentials,
        "base_url": given.base or next(filter(None, map(environ.get, _BASES)), None),
    }
    origins = {
        "project": project_at,
        "location": location_at,
        setting: credentials_at,
        "base_url": given.base_at,
    }
    return Taken(settings, origins)


def _setting_of(credentials: Any) -> str:
    if isinstance(credentials, str):
        if credentials.startswith(_TOKEN):
            return "auth_token"
        return "credentials" if credentials.lstrip().startswith("{") else "credentials_file"
    return "credentials"


VERTEX = Cloud(
    deployment=VertexDeployment,
    params=VertexParams,
    prefixes=("vertex_",),
    refusal=_refusal,
    take=_take,
)
