"""What the environment and a model's ARN say of AWS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmroute.config.document import Document, Path
from llmroute.providers._aws_zones import ZONES
from llmroute.providers.bedrock import BedrockDeployment

__all__ = ["arn_region", "check", "completed", "host_region", "identity_refusal"]

_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:([a-z0-9-]+):")
_DOMAINS = "|".join(re.escape(name) for zone in ZONES for name in (zone.domain, zone.api_domain))
# Public endpoints, FIPS ones, and those of a VPC: `NAME.SERVICE.REGION.vpce.amazonaws.com`.
_HOST = re.compile(
    r"https?://[^/]+\.([a-z]{2,5}(?:-[a-z]+)+-[0-9]+)\."
    rf"(?:vpce\.)?(?:{_DOMAINS})(?:[:/]|$)"
)
# The places that an identity token can be had from each time, with what has to be told of them.
_OIDC = re.compile(r"oidc/(?:(?:env|env_path|file|github|google)/.+|circleci(?:_v2)?(?:/.*)?)")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_WORKSPACE = "ANTHROPIC_AWS_WORKSPACE_ID"
# By surface, the variables that hold a key for it.
_KEYS = {
    "messages": ("AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_AWS_API_KEY"),
    "claude_platform": ("ANTHROPIC_AWS_API_KEY",),
}
# With any of these, the key of the environment is not meant.
_CREDENTIALS = frozenset(
    {"api_key", "auth_token", "access_key_id", "profile", "role_arn", "web_identity_token"}
)


def arn_region(model: Any) -> str | None:
    """Return the region that a model's ARN names."""
    found = _ARN.match(model) if isinstance(model, str) else None
    return found[1] if found else None


def host_region(base_url: Any) -> str | None:
    """Return the region that an address of AWS's names: signatures must be for it.

    >>> host_region("https://bedrock-runtime-fips.us-east-1.amazonaws.com")
    'us-east-1'
    """
    found = _HOST.match(base_url) if isinstance(base_url, str) else None
    return found[1] if found else None


def completed(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return a Bedrock deployment's settings with what is told elsewhere.

    That is by its address, by its model's ARN and by the environment, in this order.
    """
    more: dict[str, Any] = {}
    told = [host_region(settings.get("base_url")), arn_region(settings.get("model"))]
    found = [*told, *(environ.get(name) for name in _REGIONS)]
    region = next(filter(None, found), None)
    if region and settings.get("region") is None:
        more["region"] = region
    surface = settings.get("surface")
    names = _KEYS.get(str(surface), ("AWS_BEARER_TOKEN_BEDROCK",))
    key = next(filter(None, (environ.get(name) for name in names)), None)
    if key and not any(settings.get(name) for name in _CREDENTIALS):
        more["api_key"] = key
    workspace = environ.get(_WORKSPACE)
    if workspace and surface == "claude_platform" and settings.get("workspace_id") is None:
        more["workspace_id"] = workspace
    return {**settings, **more}


def identity_refusal(token: str) -> str | None:
    """Return what is wrong with a web identity token that is given by an `oidc/…` name."""
    if not token.startswith("oidc/") or _OIDC.fullmatch(token):
        return None
    return "no oidc/ token that is known, or what it is for is left out"


def check(document: Document, deployment: BedrockDeployment, at: Path) -> None:
    """Report what is missing beside what is there."""
    told = deployment.region or deployment.base_url or deployment.default_region
    if deployment.api_key and not told:
        # A key needs none of AWS's packages, so its files are no place to rely on.
        document.wrong((*at, "region"), "required with an API key, and not given")
    if deployment.surface == "claude_platform" and not deployment.workspace_id:
        document.wrong((*at, "workspace_id"), "required on Claude Platform on AWS, and not given")
    halves = bool(deployment.access_key_id), bool(deployment.secret_access_key)
    if halves[0] != halves[1] and document.credentials:
        missing = "secret_access_key" if deployment.access_key_id else "access_key_id"
        document.wrong((*at, missing), "the other half of the key is given, and this one is not")
    token = deployment.web_identity_token
    if token and (no := identity_refusal(token.get_secret_value())):
        document.wrong((*at, "web_identity_token"), no)
    if token and not deployment.role_arn:
        document.wrong((*at, "role_arn"), "required with a web identity token, and not given")
