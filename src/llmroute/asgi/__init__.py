"""The HTTP door: an ASGI app that serves a router as an Anthropic-format gateway."""

from __future__ import annotations

from llmroute.asgi.app import Proxy

__all__ = ["Proxy"]
