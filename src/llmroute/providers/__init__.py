"""The table of providers.  A new one is a file here and a row below."""

from __future__ import annotations

from typing import Any

from llmroute.providers import anthropic, bedrock, foundry, vertex
from llmroute.providers._base import (
    BridgedDeployment,
    Decoder,
    Deployment,
    Provider,
    UpstreamRequest,
    event_error,
    native_error,
)

__all__ = [
    "PROVIDERS",
    "BridgedDeployment",
    "Decoder",
    "Deployment",
    "Provider",
    "UpstreamRequest",
    "event_error",
    "native_error",
]

_ROWS: tuple[Provider[Any], ...] = (
    anthropic.PROVIDER,
    bedrock.PROVIDER,
    foundry.PROVIDER,
    vertex.PROVIDER,
)
PROVIDERS = {row.name: row for row in _ROWS}
