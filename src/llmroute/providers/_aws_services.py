"""AWS's services that have models: where they are, and what signatures for them say."""

from __future__ import annotations

from llmroute.providers._aws_zones import ZONES

__all__ = ["address_of", "service_of"]

# By surface, other than those of Bedrock's runtime.
_RUNTIME = "https://bedrock-runtime.{region}.{zone.domain}"
_ADDRESSES = {
    "messages": "https://bedrock-mantle.{region}.{zone.api_domain}/anthropic",
    "claude_platform": "https://aws-external-anthropic.{region}.{zone.api_domain}",
}
_SERVICES = {
    "messages": "bedrock-mantle",
    "claude_platform": "aws-external-anthropic",
}


def address_of(surface: str | None, region: str) -> str:
    """Return where a surface is in a region."""
    zone = next(zone for zone in ZONES if region.startswith(zone.start))
    return _ADDRESSES.get(str(surface), _RUNTIME).format(region=region, zone=zone)


def service_of(surface: str | None) -> str:
    """Return the service that signatures for a surface name."""
    return _SERVICES.get(str(surface), "bedrock")
