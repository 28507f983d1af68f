"""What proves to an upstream who is asking."""

from __future__ import annotations

from typing import Protocol

from llmroute.credentials.static import StaticCredential
from llmroute.providers import Deployment, UpstreamRequest
from llmroute.wire.headers import Headers

__all__ = ["Credential", "credential_for"]


class Credential(Protocol):
    """Signs requests to one deployment."""

    async def headers(self, request: UpstreamRequest) -> Headers:
        """Return the headers that carry the credential for `request`.

        Raises:
            MisconfiguredError: There is no credential to be had; why.
        """

    async def renew(self) -> bool:
        """Fetch another credential, for the last one was refused; tell whether there is one."""


def credential_for(deployment: Deployment) -> Credential:
    """Return the credential a deployment's settings describe; nothing is fetched yet."""
    return StaticCredential(deployment.api_key, deployment.auth_token)
