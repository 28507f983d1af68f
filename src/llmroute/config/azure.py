"""What makes a Foundry deployment's credential, where none need exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from llmroute.config.references import placeholder

__all__ = ["with_placeholder"]

_PROOFS = (
    *("api_key", "auth_token", "client_secret"),
    *("federated_token_file", "managed_identity", "password"),
)


def with_placeholder(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deployment's settings, with a key if nothing among them proves who asks."""
    if any(settings.get(name) for name in _PROOFS):
        return dict(settings)
    return {**settings, "api_key": SecretStr(placeholder("api_key"))}
