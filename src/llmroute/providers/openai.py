"""OpenAI's own API: a Messages request is translated, and so is the answer.

By Responses, https://platform.openai.com/docs/api-reference/responses; it is the one format in
which a model may reason and use tools, and gets its reasoning back.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints

from llmroute.messages.call import Call
from llmroute.providers._base import BaseUrl, Decoder, Provider, UpstreamRequest, own_headers
from llmroute.providers._chat import (
    chat_decoder,
    chat_request_of,
    chat_whole,
    openai_dialect,
    with_settings,
)
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

__all__ = ["DEFAULT_BASE_URL", "PROVIDER", "OpenAIDeployment"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"

_CHAT = "/chat/completions"
_PATHS = {"messages": "/responses", "count_tokens": "/responses/input_tokens"}
# Of a caller's headers those that tell nothing of them.
_TRACES = (b"traceparent", b"tracestate")

_Id = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$")]


class OpenAIDeployment(ResponsesDeployment):
    """A model of OpenAI's, or of a server that speaks its Responses API."""

    provider: Literal["openai"] = "openai"
    forward_client_auth: Literal[False] = False
    """A caller's own credential is never sent to OpenAI."""
    api: Literal["responses", "chat"] = "responses"
    """How it is spoken to: by Responses, or for servers that lack those by Chat Completions, where
    reasoning does not come back, tokens are not counted and the web is not searched."""
    base_url: BaseUrl | None = None
    """Another address than `https://api.openai.com/v1`, up to but without `/responses`:
    `https://eu.api.openai.com/v1` for data that stays in Europe."""
    api_key: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    auth_token: SecretStr | None = None
    """The same, for tokens that are no keys."""
    organization: _Id | None = None
    """The organization that pays, where the key is of several."""
    project: _Id | None = None
    """The project the request counts for, where the key is of several."""
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Members set in the body of every request as it is sent, in place of translated ones; those
    of `text` and `reasoning` one by one."""


def _base_url(deployment: OpenAIDeployment) -> str:
    base = deployment.base_url or DEFAULT_BASE_URL
    return base.removesuffix(_CHAT if deployment.api == "chat" else "/responses")


def _family(deployment: OpenAIDeployment) -> str:
    """Reasoning is read where it was made; what another organization made is refused there."""
    return urlsplit(_base_url(deployment)).netloc


def _prepare(call: Call, deployment: OpenAIDeployment, model: str) -> UpstreamRequest:
    headers = _headers(call, deployment)
    if _by_chat(call, deployment):
        url = _base_url(deployment) + _CHAT
        request = chat_request_of(call, deployment, model, url, _dialect(call, deployment, model))
        return request._replace(headers=headers)
    known = described(call, deployment, model, _family(deployment))
    urls = {endpoint: _base_url(deployment) + path for endpoint, path in _PATHS.items()}
    return responses_request_of(call, deployment, known, urls, headers, model)


def _by_chat(call: Call, deployment: OpenAIDeployment) -> bool:
    """Whether Chat Completions are spoken: OpenAI itself speaks both, and a caller may have."""
    return deployment.api == "chat" or spoken_in(call, "chat") is not None


def _headers(call: Call, deployment: OpenAIDeployment) -> list[tuple[bytes, bytes]]:
    headers = {b"content-type": b"application/json"}
    headers |= {name: value for name, value in call.headers if name in _TRACES}
    if deployment.organization:
        headers[b"openai-organization"] = deployment.organization.encode()
    if deployment.project:
        headers[b"openai-project"] = deployment.project.encode()
    return [*(headers | own_headers(deployment)).items()]


def _dialect(call: Call, deployment: OpenAIDeployment, model: str) -> ChatDialect:
    dialect = openai_dialect("OpenAI", deployment.provider, model)
    return with_settings(dialect, call, deployment)


def _answered(call: Call, deployment: OpenAIDeployment) -> ChatDialect:
    """Return how the answer is read: it may say more than it was told to, and not less."""
    dialect = _dialect(call, deployment, deployment.model or call.model)
    return dataclasses.replace(dialect, stop=False)


def _decoder(call: Call, deployment: OpenAIDeployment) -> Decoder:
    if _by_chat(call, deployment):
        return chat_decoder(call, _answered(call, deployment))
    return responses_decoder(call, _family(deployment))


def _whole(call: Call, deployment: OpenAIDeployment, body: bytes) -> bytes:
    if _by_chat(call, deployment):
        return chat_whole(call, body, _answered(call, deployment))
    return responses_whole(call, _family(deployment), body)


PROVIDER = Provider(
    "openai",
    OpenAIDeployment,
    _prepare,
    openai_error,
    decoder=_decoder,
    refused=refused_of_responses,
    whole=_whole,
    address=_base_url,
)
