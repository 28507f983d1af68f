"""The table of providers.  A new one is a file here and a row below."""

from __future__ import annotations

from typing import Any

from llmroute.providers import (
    anthropic,
    anthropic_compatible,
    azure_openai,
    bedrock,
    foundry,
    gemini,
    openai,
    openai_compatible,
    vertex,
)
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
    anthropic_compatible.PROVIDER,
    azure_openai.PROVIDER,
    bedrock.PROVIDER,
    foundry.PROVIDER,
    gemini.PROVIDER,
    openai.PROVIDER,
    openai_compatible.PROVIDER,
    vertex.PROVIDER,
)
PROVIDERS = {row.name: row for row in _ROWS}
