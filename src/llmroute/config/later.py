"""Settings that load today and take effect in a later version; a warning says so for each."""

from __future__ import annotations

from collections.abc import Mapping

from llmroute.config.document import Document, Path

__all__ = ["warn_of_length", "warn_of_limits", "warn_of_strategy"]


def warn_of_limits(document: Document, places: Mapping[str, Path]) -> None:
    """Warn of the limits among a deployment's settings, each of which has its place."""
    for name in ("rpm", "tpm", "max_parallel_requests"):
        if name in places:
            document.warn(places[name], "this limit is not enforced in this version")


def warn_of_strategy(document: Document, strategy: object, at: Path) -> None:
    """Warn of a strategy that needs to know more than the configuration."""
    if strategy in {"least_busy", "lowest_latency", "lowest_price"}:
        document.warn(at, "taken as weighted in this version")


def warn_of_length(document: Document, at: Path) -> None:
    """Warn of an alias for long prompts."""
    document.warn(at, "without effect in this version: a prompt that is too long is refused")
