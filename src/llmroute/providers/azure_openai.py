"""OpenAI's models at Azure: at the newer address, or at the one with a deployment's name in it.

https://learn.microsoft.com/azure/ai-foundry/openai/reference and, for the address that needs no
`api-version`, https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr

from llmroute.errors import InvalidRequestError
from llmroute.messages.call import Call
from llmroute.providers._base import BaseUrl, Decoder, Provider, UpstreamRequest, own_headers
from llmroute.providers._chat import (
    chat_decoder,
    chat_request_of,
    chat_whole,
    openai_dialect,
    with_settings,
)
from llmroute.providers._entra import EntraDeployment
from llmroute.providers._openai_error import openai_error
from llmroute.providers._responses import (
    ResponsesDeployment,
    described,
    refused_of_responses,
    responses_decoder,
    responses_request_of,
    responses_whole,
)
from llmroute.providers._spoken import spoken_in
from llmroute.translate.chat_dialect import ChatDialect

__all__ = ["PROVIDER", "AzureOpenAIDeployment", "azure_chat_url", "azure_responses_url"]

_PATH = "/chat/completions"
_RESPONSES = "/responses"
_DEPLOYMENTS = "/openai/deployments/"
# The oldest one that everything sent here is known to.
_CLASSIC_VERSION = "2024-10-21"
# With these a resource is asked at the newer address.
_NEWER = frozenset({"v1", "preview", "latest"})


class AzureOpenAIDeployment(ResponsesDeployment, EntraDeployment):
    """A deployment in Azure OpenAI; `model` is its name there.

    The credential is the first of: `auth_token`, `api_key`, `password`, `client_secret`,
    `federated_token_file` and `managed_identity`.
    """

    provider: Literal["azure_openai"] = "azure_openai"
    api: Literal["chat", "responses"] | None = None
    """How it is spoken to: by Chat Completions, or by Responses, in which a model may reason and
    use tools, and gets its reasoning back.  Left out, by Responses at the newer address for models
    that take no tools by the other while they reason (`gpt-5.4` and later), and else by Chat
    Completions."""
    base_url: BaseUrl
    """The resource's address, `https://RESOURCE.openai.azure.com`, with or without `/openai/v1`
    or `/openai/deployments/NAME` at its end."""
    api_key: SecretStr | None = None
    """A key of the resource, sent as `api-key`."""
    api_version: str | None = Field(None, pattern=r"^[A-Za-z0-9.-]+$")
    """A date, `2024-10-21` or later, for the older address with the deployment's name in it; left
    out, or `preview`, for the newer one, `/openai/v1`."""
    base_model: str | None = None
    """The model of OpenAI's that this is (`gpt-5.2`), where the deployment's name does not tell:
    by it the efforts, the longest answer and sampling are known."""
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Members set in the body of every request as it is sent, in place of translated ones."""
    drop_members: list[str] = Field(default_factory=list)
    """Members of the translated body that are left out."""
    tools_effort: str | None = None
    """The `reasoning_effort` of requests that have tools, in place of any other; `none` for models
    that take no tools with another one, and are known to."""
    strict_tools: bool = False
    """Tools that are marked `strict` are sent so, with their schemas in OpenAI's strict mode."""


def azure_responses_url(base: str, api_version: str | None) -> str:
    """Return the endpoint of Responses, which no deployment has for its own.

    >>> azure_responses_url("https://acme.openai.azure.com", None)
    'https://acme.openai.azure.com/openai/v1/responses'
    >>> azure_responses_url("https://acme.openai.azure.com", "2025-04-01-preview")
    'https://acme.openai.azure.com/openai/responses?api-version=2025-04-01-preview'
    """
    root = base.removesuffix(_RESPONSES).removesuffix(_PATH).partition(_DEPLOYMENTS)[0]
    root = root.removesuffix("/v1").removesuffix("/openai")
    if api_version is None or api_version in _NEWER:
        query = "" if api_version in (None, "v1") else f"?api-version={api_version}"
        return f"{root}/openai/v1{_RESPONSES}{query}"
    return f"{root}/openai{_RESPONSES}?api-version={api_version}"


def azure_chat_url(base: str, api_version: str | None, deployment: str) -> str:
    """Return the endpoint of a deployment, at an address as people write it.

    >>> azure_chat_url("https://acme.openai.azure.com", None, "gpt")
    'https://acme.openai.azure.com/openai/v1/chat/completions'
    >>> azure_chat_url("https://acme.openai.azure.com", "2024-10-21", "gpt")
    'https://acme.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21'
    """
    base = base.removesuffix(_PATH)
    parts = urlsplit(base)
    root, at, name = base.partition(_DEPLOYMENTS)
    if at:
        return f"{root}{at}{name}{_PATH}?api-version={api_version or _CLASSIC_VERSION}"
    root = base.removesuffix("/v1").removesuffix("/openai")
    if api_version is None or api_version in _NEWER or parts.path.endswith("/v1"):
        query = "" if api_version in (None, "v1") else f"?api-version={api_version}"
        return f"{root}/openai/v1{_PATH}{query if api_version in _NEWER else ''}"
    if deployment in (".", ".."):
        raise InvalidRequestError("model: is no name")
    segment = quote(deployment, safe="")
    return f"{root}{_DEPLOYMENTS}{segment}{_PATH}?api-version={api_version}"


def _dialect(call: Call, deployment: AzureOpenAIDeployment) -> ChatDialect:
    dialect = openai_dialect("Azure OpenAI", deployment.provider, _known_as(call, deployment))
    tools_effort = deployment.tools_effort
    dialect = dataclasses.replace(
        dialect,
        tools_effort=dialect.tools_effort if tools_effort is None else tools_effort,
        strict_tools=deployment.strict_tools,
        drop_members=frozenset(deployment.drop_members),
        # The older address refuses members that came after its date.
        prompt_cache_key=deployment.api_version is None or deployment.api_version in _NEWER,
    )
    return with_settings(dialect, call, deployment)


def _by_chat(call: Call, deployment: AzureOpenAIDeployment) -> bool:
    """Whether Chat Completions are spoken: Azure speaks both, and a caller may have."""
    for written in ("chat", "responses"):
        if spoken_in(call, written) is not None:
            return written == "chat"
    if deployment.api is not None:
        return deployment.api == "chat"
    is_newer = deployment.api_version is None or deployment.api_version in _NEWER
    return not (is_newer and _DEPLOYMENTS not in deployment.base_url and _is_late(call, deployment))


def _is_late(call: Call, deployment: AzureOpenAIDeployment) -> bool:
    """Whether the model is known to take no tools by Chat Completions while it reasons."""
    return bool(openai_dialect("", "", _known_as(call, deployment)).tools_effort)


def _known_as(call: Call, deployment: AzureOpenAIDeployment) -> str:
    return deployment.base_model or deployment.model or call.model


def _family(deployment: AzureOpenAIDeployment) -> str:
    """Reasoning is read in the resource where it was made."""
    return urlsplit(deployment.base_url).netloc


def _prepare(call: Call, deployment: AzureOpenAIDeployment, model: str) -> UpstreamRequest:
    if _by_chat(call, deployment):
        url = azure_chat_url(deployment.base_url, deployment.api_version, model)
        return chat_request_of(call, deployment, model, url, _dialect(call, deployment))
    known = described(call, deployment, _known_as(call, deployment), _family(deployment))
    urls = {"messages": azure_responses_url(deployment.base_url, deployment.api_version)}
    headers = {b"content-type": b"application/json"} | own_headers(deployment)
    return responses_request_of(call, deployment, known, urls, [*headers.items()], model)


def _decoder(call: Call, deployment: AzureOpenAIDeployment) -> Decoder:
    if _by_chat(call, deployment):
        return chat_decoder(call, _dialect(call, deployment))
    return responses_decoder(call, _family(deployment))


def _whole(call: Call, deployment: AzureOpenAIDeployment, body: bytes) -> bytes:
    if _by_chat(call, deployment):
        return chat_whole(call, body, _dialect(call, deployment))
    return responses_whole(call, _family(deployment), body)


PROVIDER = Provider(
    "azure_openai",
    AzureOpenAIDeployment,
    _prepare,
    openai_error,
    _decoder,
    _whole,
    refused=refused_of_responses,
)
