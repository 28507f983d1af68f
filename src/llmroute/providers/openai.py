"""OpenAI's own API: a Messages request is translated, and so is the answer.

By Responses, https://platform.openai.com/docs/api-reference/responses; it is the one format in
which a model may reason and use tools, and gets its reasoning back.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, SecretStr, StringConstraints

from llmroute.errors import FaultError, InvalidRequestError
from llmroute.messages.call import Call
from llmroute.messages.estimate import estimate
from llmroute.providers._base import (
    BaseUrl,
    Decoder,
    Deployment,
    Provider,
    UpstreamRequest,
    own_headers,
)
from llmroute.providers._chat import (
    chat_decoder,
    chat_request_of,
    chat_whole,
    of_family,
    openai_dialect,
)
from llmroute.providers._openai_error import openai_error, raised
from llmroute.providers._spoken import spoken_in, spoken_request
from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.names import digest
from llmroute.translate.openai_errors import OpenAIProblem
from llmroute.translate.openai_models import EFFORTS, nearest_effort
from llmroute.translate.responses_request import (
    ResponsesModel,
    responses_count,
    responses_request,
)
from llmroute.translate.responses_response import ResponsesDecoder, responses_message
from llmroute.translate.responses_wanted import Wanted, wanted
from llmroute.wire.envelope import MALFORMED

__all__ = ["DEFAULT_BASE_URL", "PROVIDER", "OpenAIDeployment"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"

_CHAT = "/chat/completions"
_PATHS = {"messages": "/responses", "count_tokens": "/responses/input_tokens"}
# Of a caller's headers those that tell nothing of them.
_TRACES = (b"traceparent", b"tracestate")
# An estimate for a status line, of a body that is JSON; images are none of the text.
_BYTES_PER_TOKEN = 4
_IMAGES = b'"base64"'

_Id = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$")]
_Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class OpenAIDeployment(Deployment):
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
    efforts: list[_Effort] | None = None
    """The reasoning efforts the model takes, where its name does not tell; empty for one that does
    not reason.  What a caller asks for becomes the nearest of them."""
    reasoning_summary: Literal["auto", "concise", "detailed", "none"] | None = None
    """How much of its reasoning the model tells; left out, `auto` where the caller shows thinking
    and `none` where not."""
    cache_breakpoints: bool | None = None
    """Mark the prompt where the caller has `cache_control`, and cache there and nowhere else; left
    out, for `gpt-5.6` and later.  All others are cached without marks."""
    max_tokens_limit: int | None = Field(None, gt=0)
    """The longest answer in tokens that the model gives, where its name does not tell; a longer one
    that is asked for is lowered to it."""
    images: bool = True
    """The model sees images; else words stand for them."""
    documents: bool = True
    """The model reads PDFs; else words stand for them."""
    web_search: bool = True
    """Let OpenAI search the web where the caller offers Anthropic's tool for it."""
    count_tokens: bool = True
    """Let OpenAI count tokens; else they are estimated."""

    @property
    def learns(self) -> bool:
        """Whether what the upstream refuses of a request can be left out of the next one."""
        return True


def _base_url(deployment: OpenAIDeployment) -> str:
    base = deployment.base_url or DEFAULT_BASE_URL
    return base.removesuffix(_CHAT if deployment.api == "chat" else "/responses")


def _family(deployment: OpenAIDeployment) -> str:
    """Reasoning is read where it was made; what another organization made is refused there."""
    return urlsplit(_base_url(deployment)).netloc


def _prepare(call: Call, deployment: OpenAIDeployment, model: str) -> UpstreamRequest:
    if (spoken := spoken_in(call, "responses")) is not None and deployment.api == "responses":
        url = _base_url(deployment) + _PATHS["messages"]
        return spoken_request(spoken, deployment, model, url, _headers(call, deployment))
    if _by_chat(call, deployment):
        url = _base_url(deployment) + _CHAT
        request = chat_request_of(call, deployment, model, url, _dialect(call, deployment, model))
        return request._replace(headers=_headers(call, deployment))
    counts = call.endpoint == "count_tokens"
    if counts and not deployment.count_tokens:
        raise InvalidRequestError("tokens are not counted there")
    sent, losses = responses_request(
        _decoded(call), _model(call, deployment, model), cache_key=_cache_key(call)
    )
    sent = responses_count(sent) if counts else _with_extra(sent, deployment.extra_body)
    url = _base_url(deployment) + _PATHS[call.endpoint]
    body = msgspec.json.encode(sent)
    return UpstreamRequest("POST", url, _headers(call, deployment), (body,), losses)


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
    dialect = dataclasses.replace(
        dialect,
        max_tokens_limit=deployment.max_tokens_limit or dialect.max_tokens_limit,
        images=deployment.images,
        documents=deployment.documents,
        drop_members=call.without,
    )
    if deployment.efforts is not None:
        dialect = dataclasses.replace(
            dialect,
            effort_in=frozenset({"reasoning_effort"} if deployment.efforts else ()),
            efforts={each: nearest_effort(each, deployment.efforts) for each in EFFORTS},
        )
    return of_family(dialect, call, deployment)


def _answered(call: Call, deployment: OpenAIDeployment) -> ChatDialect:
    """Return how the answer is read: it may say more than it was told to, and not less."""
    dialect = _dialect(call, deployment, deployment.model or call.model)
    return dataclasses.replace(dialect, stop=False)


def _decoded(call: Call) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(bytes(call.body))
    except MALFORMED as error:
        raise InvalidRequestError(f"The request body cannot be read: {error}") from None
    return body if isinstance(body, dict) else {}


def _model(call: Call, deployment: OpenAIDeployment, model: str) -> ResponsesModel:
    return ResponsesModel(
        model,
        _family(deployment),
        efforts=None if deployment.efforts is None else tuple(deployment.efforts),
        summary=deployment.reasoning_summary or "",
        cache_marks=deployment.cache_breakpoints,
        limit=deployment.max_tokens_limit or 0,
        images=deployment.images,
        documents=deployment.documents,
        web_search=deployment.web_search,
        without=call.without,
    )


def _cache_key(call: Call) -> str:
    """Return what the requests of one conversation have in common, and tells nothing of it."""
    if call.session:
        return digest(call.session, call.agent)
    metadata = call.body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return digest(user) if isinstance(user, str) and user else ""


def _with_extra(sent: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    for name, value in extra.items():
        given = sent.get(name)
        both = isinstance(given, dict) and isinstance(value, dict)
        sent[name] = {**given, **value} if both and given else value
    return sent


def _wanted(call: Call, deployment: OpenAIDeployment) -> Wanted:
    return wanted(call.body, call.model, _family(deployment), _expected_tokens(call))


def _expected_tokens(call: Call) -> int:
    """Return about how long the prompt is; the upstream's own count comes at the end."""
    raw = bytes(call.body)
    if _IMAGES in raw:
        return estimate(_decoded(call))
    return len(raw) // _BYTES_PER_TOKEN


def _decoder(call: Call, deployment: OpenAIDeployment) -> Decoder:
    if _by_chat(call, deployment):
        return chat_decoder(call, _answered(call, deployment))
    return ResponsesDecoder(_wanted(call, deployment))


def _whole(call: Call, deployment: OpenAIDeployment, body: bytes) -> bytes:
    if _by_chat(call, deployment):
        return chat_whole(call, body, _answered(call, deployment))
    try:
        answer = msgspec.json.decode(body)
    except MALFORMED:
        answer = None
    if not isinstance(answer, dict):
        raise FaultError("the answer is no JSON object; is the base_url right?")
    if call.endpoint == "count_tokens":
        return msgspec.json.encode({"input_tokens": answer.get("input_tokens")})
    message = responses_message(answer, _wanted(call, deployment))
    if isinstance(message, OpenAIProblem):
        raise raised(message, ())
    return msgspec.json.encode(message)


# What is refused under these names can be left out: the answer is the same kind of answer.
_OPTIONAL = frozenset(
    """
    include max_tool_calls parallel_tool_calls phase prompt_cache_breakpoint prompt_cache_key
    prompt_cache_options reasoning reasoning.effort reasoning.summary service_tier store
    temperature top_p
    """.split()  # noqa: SIM905 - a list of this length would be read by nobody
)
_NAMED = re.compile(
    r"(?:unsupported|unknown|unrecognized) (?:parameter|value|request argument supplied)s?:"
    r"\s*['\"`]?([\w.\[\]]+)",
    re.IGNORECASE,
)
# Some models tell their reasoning only to organizations that have shown who they are.
_UNVERIFIED = re.compile(r"verified to (?:generate|stream) reasoning summar", re.IGNORECASE)
_UNENCRYPTED = re.compile(r"encrypted content is not supported", re.IGNORECASE)


def _refused(message: str) -> frozenset[str]:
    found = set()
    for name in _NAMED.findall(message):
        place = name.rstrip(".")
        found |= {place, place.rpartition(".")[2]} & _OPTIONAL
    if _UNVERIFIED.search(message):
        found.add("reasoning.summary")
    if _UNENCRYPTED.search(message):
        found.add("include")
    return frozenset(found)


PROVIDER = Provider(
    "openai",
    OpenAIDeployment,
    _prepare,
    openai_error,
    decoder=_decoder,
    refused=_refused,
    whole=_whole,
    address=_base_url,
)
