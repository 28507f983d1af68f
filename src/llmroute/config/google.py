"""What the environment says of Google Cloud, and what its locations look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmroute.config.document import Document, Path
from llmroute.providers.vertex import VertexDeployment

__all__ = ["check", "check_location", "completed"]

_PROJECTS = ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
_LOCATIONS = ("CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION")
# us-east5, northamerica-northeast1; without a dash, several regions in one.
_LOCATION = re.compile(r"[a-z]+(?:-[a-z]+[0-9]{1,2})?")


def completed(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return a Vertex deployment's settings with what the environment adds to them."""
    more = {}
    for name, variables in (("project", _PROJECTS), ("location", _LOCATIONS)):
        found = next(filter(None, map(environ.get, variables)), None)
        if found and settings.get(name) is None:
            more[name] = found
    return {**settings, **more}


def check(document: Document, deployment: VertexDeployment, at: Path) -> None:
    """Report credentials that are too many, and warn of a location that is none."""
    check_location(document, deployment.location, (*at, "location"))
    given = ("auth_token", "credentials", "credentials_file")
    for name in [name for name in given if getattr(deployment, name) is not None][1:]:
        document.wrong((*at, name), "is another credential; one of them is too many")


def check_location(document: Document, location: str, at: Path) -> None:
    """Warn of a location that is none of Google's: the address made of it leads nowhere."""
    if not _LOCATION.fullmatch(location):
        document.warn(at, "is no Google Cloud region, as us-east5 is one; it is used as it stands")
