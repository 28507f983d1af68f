"""What the platforms that host Claude take of a Messages request, and how a request is fitted.

Bedrock, Google Cloud and Foundry read the same format as the Anthropic API, each a little less
of it, and other vendors' servers a good deal less.  What each takes is data; `bridge` applies it,
and `adapt` what the models take.
"""

from __future__ import annotations

from llmroute.platforms.bridge import Bridged, adapt, bridge
from llmroute.platforms.platform import (
    ANTHROPIC,
    BEDROCK,
    FOUNDRY,
    MANTLE,
    VERTEX,
    Overrides,
    Platform,
    compatible,
    gateway,
)
from llmroute.platforms.refusals import refused_in

__all__ = [
    "ANTHROPIC",
    "BEDROCK",
    "FOUNDRY",
    "MANTLE",
    "VERTEX",
    "Bridged",
    "Overrides",
    "Platform",
    "adapt",
    "bridge",
    "compatible",
    "gateway",
    "refused_in",
]
