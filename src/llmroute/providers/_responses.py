"""What the providers that speak OpenAI's Responses share: OpenAI itself, and Azure OpenAI."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
from pydantic import Field

from llmroute.errors import FaultError, InvalidRequestError
from llmroute.messages.call import Call
from llmroute.providers._base import Decoder, Deployment, UpstreamRequest
from llmroute.providers._openai_error import raised
from llmroute.providers._spoken import spoken_in, spoken_request
from llmroute.translate.names import digest
from llmroute.translate.openai_errors import OpenAIProblem
from llmroute.translate.responses_request import (
    ResponsesModel,
    responses_count,
    responses_request,
)
from llmroute.translate.responses_response import ResponsesDecoder, responses_message
from llmroute.translate.responses_wanted import Wanted, wanted
from llmroute.wire.envelope import MALFORMED

__all__ = [
    "ResponsesDeployment",
    "described",
    "refused_of_responses",
    "responses_decoder",
    "responses_request_of",
    "responses_whole",
]

_Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ResponsesDeployment(Deployment):
    """The settings of a model behind Responses."""

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


def responses_request_of(
    call: Call,
    deployment: ResponsesDeployment,
    model: ResponsesModel,
    urls: dict[str, str],
    headers: list[tuple[bytes, bytes]],
    sent_as: str,
) -> UpstreamRequest:
    """Build the request for `call`; one that came as Responses goes on as it came.

    Args:
        urls: By endpoint; tokens are counted where there is one for it.
        sent_as: The name that the model goes by there.

    Raises:
        InvalidRequestError: Tokens are not counted there; or it is no Messages request.
    """
    if (spoken := spoken_in(call, "responses")) is not None:
        return spoken_request(spoken, deployment, sent_as, urls["messages"], headers)
    counts = call.endpoint == "count_tokens"
    if counts and not (deployment.count_tokens and call.endpoint in urls):
        raise InvalidRequestError("tokens are not counted there")
    made, losses = responses_request(_decoded(call), model, cache_key=_cache_key(call))
    made["model"] = sent_as
    made = responses_count(made) if counts else _with_extra(made, deployment.extra_body)
    body = msgspec.json.encode(made)
    return UpstreamRequest("POST", urls[call.endpoint], headers, (body,), losses)


def described(
    call: Call, deployment: ResponsesDeployment, name: str, family: str
) -> ResponsesModel:
    """Return what is known of a model, by its name and by the settings."""
    return ResponsesModel(
        name,
        family,
        efforts=None if deployment.efforts is None else tuple(deployment.efforts),
        summary=deployment.reasoning_summary or "",
        cache_marks=deployment.cache_breakpoints,
        limit=deployment.max_tokens_limit or 0,
        images=deployment.images,
        documents=deployment.documents,
        web_search=deployment.web_search,
        without=call.without,
    )


def _decoded(call: Call) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(bytes(call.body))
    except MALFORMED as error:
        raise InvalidRequestError(f"The request body cannot be read: {error}") from None
    return body if isinstance(body, dict) else {}


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


def responses_decoder(call: Call, family: str) -> Decoder:
    """Return a decoder for one streamed answer."""
    return ResponsesDecoder(_wanted(call, family))


def _wanted(call: Call, family: str) -> Wanted:
    return wanted(call.body, call.model, family, call.input_tokens)


def responses_whole(call: Call, family: str, body: bytes) -> bytes:
    """Return a whole answer as the Messages API's.

    Raises:
        UpstreamError: It is an error, in spite of its status, or no answer.
    """
    try:
        answer = msgspec.json.decode(body)
    except MALFORMED:
        answer = None
    if not isinstance(answer, dict):
        raise FaultError("the answer is no JSON object; is the base_url right?")
    if call.endpoint == "count_tokens":
        return msgspec.json.encode({"input_tokens": answer.get("input_tokens")})
    message = responses_message(answer, _wanted(call, family))
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


def refused_of_responses(message: str) -> frozenset[str]:
    """Read off a refusal what can be left out: the names of members."""
    found = set()
    for name in _NAMED.findall(message):
        place = name.rstrip(".")
        found |= {place, place.rpartition(".")[2]} & _OPTIONAL
    if _UNVERIFIED.search(message):
        found.add("reasoning.summary")
    if _UNENCRYPTED.search(message):
        found.add("include")
    return frozenset(found)
