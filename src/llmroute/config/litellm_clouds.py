"""The clouds there are, by LiteLLM's names for them.  A new one is a file here and a row below."""

from __future__ import annotations

from llmroute.config.litellm_bedrock import BEDROCK, BEDROCK_MANTLE
from llmroute.config.litellm_cloud import Cloud
from llmroute.config.litellm_foundry import FOUNDRY
from llmroute.config.litellm_vertex import VERTEX

__all__ = ["CLOUDS"]

CLOUDS: dict[str, Cloud] = {
    "azure_ai": FOUNDRY,
    "bedrock": BEDROCK,
    "bedrock_mantle": BEDROCK_MANTLE,
    "vertex_ai": VERTEX,
}
