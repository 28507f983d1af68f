"""The Anthropic API, and every server that speaks its format at another address.

Native: the body goes out as it came in, but for the model where the alias has another one, and
members that the deployment sets.  Where the alias leads to a Claude model of another generation,
what that one refuses is adapted.
"""

from __future__ import annotations

from typing import Any, Literal

from llmroute.messages.call import Call
from llmroute.platforms import adapt
from llmroute.providers._base import (
    Deployment,
    Provider,
    UpstreamRequest,
    native_error,
    own_headers,
    unsealed,
)
from llmroute.wire.headers import Headers

__all__ = ["DEFAULT_BASE_URL", "PROVIDER", "AnthropicDeployment"]

DEFAULT_BASE_URL = "https://api.anthropic.com"

# `anthropic-version` is required by the API, and left out by curl and by the quickstart. Sent only
# where the caller sent none: every date passes.
_DEFAULT_VERSION = (b"anthropic-version", b"2023-06-01")
_CONTENT_TYPE = (b"content-type", b"application/json")

_PATHS = {"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}


class AnthropicDeployment(Deployment):
    """A model behind an Anthropic-format address."""

    provider: Literal["anthropic"] = "anthropic"
    use_in_pass_through: bool = False
    """Serve what comes in under `/anthropic` and names no alias; without it, the first Anthropic
    deployment does."""


def _prepare(call: Call, deployment: AnthropicDeployment, model: str) -> UpstreamRequest:
    """Build the request for `call`; only the members named here differ from the caller's body."""
    call = unsealed(call)
    body, losses = adapt(call, model)
    edits: dict[str, Any] = {}
    if model != call.model:
        edits["model"] = model
    if deployment.extra_body and call.endpoint == "messages":
        edits |= {name: v for name, v in deployment.extra_body.items() if name not in call.body}
    if edits:
        body = body.replace(**edits)
    url = (deployment.base_url or DEFAULT_BASE_URL) + _PATHS[call.endpoint]
    if call.query:
        url += "?" + call.query
    headers = _with_defaults(call.headers, deployment)
    return UpstreamRequest("POST", url, headers, body.pieces(), losses)


def _with_defaults(
    headers: Headers,
    deployment: AnthropicDeployment,
) -> list[tuple[bytes, bytes]]:
    """Complete the caller's headers with those the API wants and those the deployment sets."""
    sent = [_CONTENT_TYPE, *headers]
    if deployment.headers:
        own = own_headers(deployment)
        sent = [*[header for header in sent if header[0] not in own], *own.items()]
    if b"anthropic-version" not in [name for name, _ in sent]:
        sent.append(_DEFAULT_VERSION)
    return sent


PROVIDER = Provider("anthropic", AnthropicDeployment, _prepare, native_error)
