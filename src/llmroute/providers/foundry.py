"""Claude in Microsoft Foundry: the Messages API, at an address and with credentials of Azure's.

https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude
"""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from llmroute.errors import UpstreamError
from llmroute.messages.call import Call
from llmroute.platforms import FOUNDRY, bridge, refused_in
from llmroute.providers._base import (
    BaseUrl,
    BridgedDeployment,
    Provider,
    UpstreamRequest,
    native_error,
    own_headers,
    unsealed,
)
from llmroute.providers._entra import EntraDeployment
from llmroute.providers._worded import decoded, is_native, worded
from llmroute.wire.headers import Headers

__all__ = ["PROVIDER", "FoundryDeployment", "messages_url"]

_PATH = "/v1/messages"
_RESOURCES = (".services.ai.azure.com", ".services.ai.azure.us")
_DEFAULT_VERSION = b"2023-06-01"


class FoundryDeployment(EntraDeployment, BridgedDeployment):
    """A deployment of Claude in Foundry; `model` is the deployment's name there.

    The credential is the first of: `auth_token`, `api_key`, `password`, `client_secret`,
    `federated_token_file` and `managed_identity`.
    """

    provider: Literal["foundry"] = "foundry"
    base_url: BaseUrl
    """The resource's address, `https://RESOURCE.services.ai.azure.com`, with or without
    `/anthropic` at its end; that of another of its interfaces, as `/models`, will do."""
    api_key: SecretStr | None = None
    """A key of the resource, sent as `x-api-key`."""
    scope: str = "https://ai.azure.com/.default"
    """What Entra ID tokens are asked for."""


def messages_url(base: str) -> str:
    """Return the endpoint at an address as people write it.

    A resource has it at one place, whichever of its interfaces the address is of.

    >>> messages_url("https://acme.services.ai.azure.com")
    'https://acme.services.ai.azure.com/anthropic/v1/messages'
    """
    if base.endswith(_PATH):
        return base
    parts = urlsplit(base)
    if "/anthropic" in parts.path:
        return base.removesuffix("/v1") + _PATH
    if (parts.hostname or "").endswith(_RESOURCES):
        base = f"{parts.scheme}://{parts.netloc}"
    return base.removesuffix("/v1") + "/anthropic" + _PATH


def _prepare(call: Call, deployment: FoundryDeployment, model: str) -> UpstreamRequest:
    bridged = bridge(unsealed(call), FOUNDRY, model, deployment.overrides)
    members: dict[str, Any] = {}
    if model != call.model:
        members["model"] = model
    url = messages_url(deployment.base_url)
    if call.endpoint == "count_tokens":
        url += "/count_tokens"
    else:
        members |= {n: v for n, v in deployment.extra_body.items() if n not in call.body}
    if call.query:
        url += "?" + call.query
    body = bridged.body.replace(**members) if members else bridged.body
    headers = _headers(call.headers, bridged.betas, deployment)
    return UpstreamRequest("POST", url, headers, body.pieces(), bridged.losses)


def _headers(
    given: Headers, betas: tuple[str, ...], deployment: FoundryDeployment
) -> list[tuple[bytes, bytes]]:
    sent = {b"content-type": b"application/json", b"anthropic-version": _DEFAULT_VERSION}
    sent |= {name: value for name, value in given if name != b"anthropic-beta"}
    if betas:
        sent[b"anthropic-beta"] = ",".join(betas).encode("latin-1")
    return [*(sent | own_headers(deployment)).items()]


# Subscriptions, tenants and identities go by such ids, and are not for clients to read.
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GROUP = re.compile(r"(/resourceGroups/)[^/\s'\"]+", re.IGNORECASE)


def _redacted(text: str) -> str:
    return _GROUP.sub(r"\1(group)", _ID.sub("(id)", text))


def _error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Read an error of the model's, or of the gateway before it, which has words of its own."""
    described = decoded(body)
    if is_native(described):
        return native_error(status, headers, body)
    error = described.get("error")
    source = error if isinstance(error, dict) else described
    message = source.get("message") or (error if isinstance(error, str) else None)
    code = source.get("code")
    text = _redacted(str(message or f"Foundry answered {status}"))
    if isinstance(code, str) and code and not code.isdecimal() and code not in text:
        text = f"{code}: {text}"
    return worded(status, headers, text)


PROVIDER = Provider("foundry", FoundryDeployment, _prepare, _error, refused=refused_in)
