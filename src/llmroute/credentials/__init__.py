"""What proves to an upstream who is asking."""

from __future__ import annotations

from typing import Protocol

from llmroute.credentials.static import KeyCredential, StaticCredential
from llmroute.providers import Deployment, UpstreamRequest
from llmroute.providers._entra import EntraDeployment
from llmroute.providers.azure_openai import AzureOpenAIDeployment
from llmroute.providers.bedrock import BedrockDeployment
from llmroute.providers.gemini import GeminiDeployment
from llmroute.providers.openai import OpenAIDeployment
from llmroute.providers.openai_compatible import OpenAICompatibleDeployment
from llmroute.providers.vertex import VertexDeployment
from llmroute.wire.headers import Headers

__all__ = ["Credential", "credential_for"]


class Credential(Protocol):
    """Signs requests to one deployment."""

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        """Return `request` with what only the credential knows of its address: a project.

        Raises:
            MisconfiguredError: It does not know.
        """

    async def headers(self, request: UpstreamRequest) -> Headers:
        """Return the headers that carry the credential for `request`.

        Raises:
            MisconfiguredError: There is no credential to be had; why.
        """

    async def renew(self) -> bool:
        """Fetch another credential, for the last one was refused; tell whether there is one."""


def credential_for(deployment: Deployment) -> Credential:  # noqa: PLR0911 - one for each kind
    """Return the credential a deployment's settings describe; nothing is fetched yet."""
    # Each is imported where it is used: together they take longer than the rest of llmroute.
    if isinstance(deployment, BedrockDeployment):
        from llmroute.credentials.aws import aws_credential

        return aws_credential(deployment)
    if isinstance(deployment, EntraDeployment) and deployment.obtains_token:
        from llmroute.credentials.azure import AzureCredential

        return AzureCredential(deployment)
    if isinstance(deployment, VertexDeployment | GeminiDeployment) and deployment.obtains_token:
        from llmroute.credentials.google import GoogleCredential

        return GoogleCredential(deployment)
    if isinstance(deployment, AzureOpenAIDeployment) and deployment.api_key:
        return KeyCredential(b"api-key", deployment.api_key)
    if isinstance(deployment, OpenAIDeployment | OpenAICompatibleDeployment):
        return StaticCredential(None, deployment.auth_token or deployment.api_key)
    if isinstance(deployment, GeminiDeployment) and deployment.api_key:
        return KeyCredential(b"x-goog-api-key", deployment.api_key)
    return StaticCredential(deployment.api_key, deployment.auth_token)
