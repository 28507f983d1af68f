"""The clouds there are, by LiteLLM's names for them.  A new one is a file here and a row below.

What is no cloud of Claude's is a vendor, for which `litellm_vendors` has one way for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.config.litellm_bedrock import BEDROCK, BEDROCK_MANTLE
from llmroute.config.litellm_cloud import Cloud
from llmroute.config.litellm_foundry import FOUNDRY
from llmroute.config.litellm_vendors import NAMES, vendor_cloud
from llmroute.config.litellm_vertex import VERTEX
from llmroute.providers.vendors import VENDORS

__all__ = ["CLOUDS", "SERVED", "cloud_of"]

CLOUDS: dict[str, Cloud] = {
    "azure_ai": FOUNDRY,
    "bedrock": BEDROCK,
    "bedrock_mantle": BEDROCK_MANTLE,
    "vertex_ai": VERTEX,
}

SERVED = frozenset({"anthropic", *CLOUDS, *NAMES, *VENDORS})
"""Every name of a provider there is, but for second names of the same."""

_SAME = {"vertex_ai_beta": "vertex_ai"}


def cloud_of(
    name: str, model: str, given: Mapping[str, Any], environ: Mapping[str, str]
) -> Cloud | None:
    """Return what reads an entry's settings; `None` for Anthropic itself and for unknown names.

    Args:
        name: The provider.
        model: The model there.
        given: The entry's `litellm_params`.
        environ: The environment, the file's own variables included.
    """
    name = _SAME.get(name, name)
    if name in CLOUDS and not model.startswith("gemini"):
        return CLOUDS[name]
    return vendor_cloud(name, model, given, environ) or CLOUDS.get(name)
