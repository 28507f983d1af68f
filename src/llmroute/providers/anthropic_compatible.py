"""Other vendors' servers that read the Messages format: no translation, and little left out.

What each of them does not take is in its row of `llmroute.providers.vendors`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from llmroute.errors import InvalidRequestError, UpstreamError
from llmroute.messages.call import Call
from llmroute.messages.events import error_body
from llmroute.platforms import Platform, bridge, compatible, refused_in
from llmroute.platforms.generations import UNKNOWN
from llmroute.providers._base import (
    BaseUrl,
    BridgedDeployment,
    Provider,
    UpstreamRequest,
    native_error,
    own_headers,
    unsealed,
)
from llmroute.providers._opening import OpeningDecoder
from llmroute.providers._worded import decoded, is_native
from llmroute.providers.limits import is_claude, limits_of
from llmroute.providers.vendors import VENDORS, Vendor
from llmroute.translate.openai_errors import problem_of
from llmroute.wire.headers import Headers

__all__ = ["PROVIDER", "AnthropicCompatibleDeployment"]

_PATH = "/v1/messages"
_VERSION = (b"anthropic-version", b"2023-06-01")
_CONTENT_TYPE = (b"content-type", b"application/json")
# What is Anthropic's own to know: who asks, in which session, under which account.
_ANTHROPICS = (b"anthropic-", b"x-claude-", b"x-stainless-")
_PLAIN = compatible("the server", documents=True)
_UNKNOWN = Vendor("", _PLAIN.title, (), (), _PLAIN, counts=True)


class AnthropicCompatibleDeployment(BridgedDeployment):
    """A model of another vendor's behind an address that reads the Messages format.

    `provider: VENDOR` with a vendor's name is the same, with the rest filled in from its row.
    """

    provider: Literal["anthropic_compatible"] = "anthropic_compatible"
    forward_client_auth: Literal[False] = False
    """A caller's own credential is for Anthropic, and never sent here."""
    base_url: BaseUrl
    """The server's address, up to but without `/v1/messages`."""
    vendor: str = ""
    """Whose server it is, by the name in the table of providers: it decides what of a request is
    left out.  Left out itself, only the core of the format is sent."""
    images: bool | None = None
    """Whether the model sees images, else words stand for them; as the vendor's row says if left
    out."""
    documents: bool | None = None
    """Whether it reads PDFs, likewise."""
    max_tokens_limit: int | None = Field(None, gt=0)
    """The longest answer in tokens that the model takes, if it is no Claude model; a longer one
    that is asked for is lowered to it."""
    api_key: SecretStr | None = None
    """Sent as `x-api-key`; with a vendor's name as `provider`, as `Authorization: Bearer`, which
    all of them take."""

    @field_validator("vendor")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value and (value not in VENDORS or VENDORS[value].platform is None):
            raise ValueError("is no vendor that reads the Messages format; see llmroute providers")
        return value

    @property
    def seller(self) -> str:
        """Whose price list holds."""
        return _row(self).seller or self.provider

    @cached_property
    def platform(self) -> Platform:
        """What the server takes: by its vendor's row, and by the settings of this class."""
        platform = _row(self).platform or _PLAIN
        blocks = platform.refused_blocks
        for kind, taken in (("image", self.images), ("document", self.documents)):
            if taken is not None:
                blocks = blocks - {kind} if taken else blocks | {kind}
        generation = platform.generation
        if self.max_tokens_limit is not None:
            named = (generation or UNKNOWN)._replace(name=platform.title)
            generation = named._replace(max_tokens=self.max_tokens_limit)
        return replace(platform, refused_blocks=blocks, generation=generation)


def _fitted(deployment: AnthropicCompatibleDeployment, model: str) -> Platform:
    """Return what is taken there of a model, whose longest answer its name may tell."""
    platform = deployment.platform
    if deployment.max_tokens_limit is not None or is_claude(deployment, model):
        return platform
    longest = limits_of(deployment, model).answer
    if longest is None:
        return platform
    named = (platform.generation or UNKNOWN)._replace(name=platform.title, max_tokens=longest)
    return replace(platform, generation=named)


def _row(deployment: AnthropicCompatibleDeployment) -> Vendor:
    return VENDORS[deployment.vendor] if deployment.vendor else _UNKNOWN


def _prepare(call: Call, deployment: AnthropicCompatibleDeployment, model: str) -> UpstreamRequest:
    if call.endpoint == "count_tokens" and not _row(deployment).counts:
        raise InvalidRequestError(f"{_row(deployment).title} does not count tokens")
    platform = _fitted(deployment, model)
    bridged = bridge(unsealed(call), platform, model, deployment.overrides)
    members: dict[str, Any] = {}
    if model != call.model:
        members["model"] = model
    url = _url(deployment.base_url)
    if call.endpoint == "count_tokens":
        url += "/count_tokens"
    else:
        members |= {n: v for n, v in deployment.extra_body.items() if n not in call.body}
    body = bridged.body.replace(**members) if members else bridged.body
    headers = _headers(call.headers, bridged.betas, deployment)
    return UpstreamRequest("POST", url, headers, body.pieces(), bridged.losses)


def _url(base: str) -> str:
    """Return the endpoint at an address as people write it."""
    return base.removesuffix("/messages").removesuffix("/v1") + _PATH


def _headers(
    given: Headers, betas: tuple[str, ...], deployment: AnthropicCompatibleDeployment
) -> list[tuple[bytes, bytes]]:
    sent = dict((_CONTENT_TYPE, _VERSION))
    sent |= {name: value for name, value in given if not name.startswith(_ANTHROPICS)}
    if betas:
        sent[b"anthropic-beta"] = ",".join(betas).encode("latin-1")
    return [*(sent | own_headers(deployment)).items()]


def _error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Read an error in the format's own shape, or in that of OpenAI's, which many answer with.

    A prompt that is too long is put in the words by which Claude Code compacts a conversation.
    """
    described = decoded(body)
    problem = problem_of(described or body[:_LONGEST_TEXT].decode("utf-8", "replace"), status)
    error = described.get("error")
    said = error.get("message") if isinstance(error, dict) else None
    if is_native(described) and (problem.message == said or not _overflows(problem.message)):
        return native_error(status, headers, body)
    kept = [header for header in headers if header[0] != b"content-type"]
    text = error_body(problem.kind, problem.message)
    return native_error(problem.status, [*kept, _CONTENT_TYPE], text)


# Characters of an answer that is no JSON which an error repeats.
_LONGEST_TEXT = 500


def _overflows(message: str) -> bool:
    return message.startswith("prompt is too long")


def _decoder(call: Call, deployment: AnthropicCompatibleDeployment) -> OpeningDecoder | None:
    return OpeningDecoder(call) if _row(deployment).starts_late else None


def _address(deployment: AnthropicCompatibleDeployment) -> str:
    return deployment.base_url


PROVIDER = Provider(
    "anthropic_compatible",
    AnthropicCompatibleDeployment,
    _prepare,
    _error,
    _decoder,
    refused=refused_in,
    address=_address,
)
