"""What the platforms that host Claude take of a Messages request, and how a request is fitted.

Bedrock, Google Cloud and Foundry read the same format as the Anthropic API, each a little less
of it.  What each takes is data; `bridge` applies it.
"""

from __future__ import annotations

from llmroute.platforms.bridge import Bridged, bridge
from llmroute.platforms.platform import BEDROCK, FOUNDRY, MANTLE, VERTEX, Overrides, Platform
from llmroute.platforms.refusals import refused_in

__all__ = [
    "BEDROCK",
    "FOUNDRY",
    "MANTLE",
    "VERTEX",
    "Bridged",
    "Overrides",
    "Platform",
    "bridge",
    "refused_in",
]
