"""What the providers that speak Chat Completions share."""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.messages.call import Call
from llmroute.providers._base import Decoder, Deployment, UpstreamRequest, own_headers
from llmroute.providers._openai_error import raised
from llmroute.providers._responses import ResponsesDeployment
from llmroute.providers._spoken import spoken_in, spoken_request
from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.chat_request import chat_request
from llmroute.translate.chat_response import ChatDecoder, chat_message
from llmroute.translate.names import digest
from llmroute.translate.openai_errors import OpenAIProblem
from llmroute.translate.openai_models import EFFORTS, nearest_effort, traits
from llmroute.wire.envelope import MALFORMED

__all__ = [
    "chat_decoder",
    "chat_request_of",
    "chat_whole",
    "of_family",
    "openai_dialect",
    "with_settings",
]

# From here on OpenAI's models take no tools in this format while they reason.
_NO_TOOLS_WITH_REASONING = (5, 4)
_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?")


def chat_request_of(
    call: Call, deployment: Deployment, model: str, url: str, dialect: ChatDialect
) -> UpstreamRequest:
    """Build the request for `call`: nothing of its headers, which are for Anthropic.

    One that came as Chat Completions goes on as it came.

    Raises:
        InvalidRequestError: Tokens are to be counted, for which there is no such endpoint; or it
            is no Messages request.
    """
    if call.endpoint == "count_tokens":
        raise InvalidRequestError("Chat Completions do not count tokens")
    headers = [*({b"content-type": b"application/json"} | own_headers(deployment)).items()]
    if (spoken := spoken_in(call, "chat")) is not None:
        asks = dialect.stream_options
        return spoken_request(spoken, deployment, model, url, headers, asks_usage=asks)
    # One member by its name and not the envelope's: it decodes each of them once.
    given = {name: call.body[name] for name in call.body}
    cache_key = digest(call.session) if call.session else ""
    request, losses = chat_request(given, dialect, model, cache_key=cache_key)
    request |= deployment.extra_body
    return UpstreamRequest("POST", url, headers, (msgspec.json.encode(request),), losses)


def chat_decoder(call: Call, dialect: ChatDialect) -> Decoder:
    """Return a decoder for one streamed answer."""
    return ChatDecoder(call.body, call.model, dialect, call.input_tokens)


def chat_whole(call: Call, body: bytes, dialect: ChatDialect) -> bytes:
    """Return a whole answer as the Messages API's.

    Raises:
        UpstreamError: It is an error, in spite of its status.
    """
    try:
        data: Any = msgspec.json.decode(body)
    except MALFORMED:
        return body
    if not isinstance(data, dict):
        return body
    message = chat_message(data, call.body, call.model, dialect, call.input_tokens)
    if isinstance(message, OpenAIProblem):
        raise raised(message, ())
    return msgspec.json.encode(message)


def of_family(dialect: ChatDialect, call: Call, deployment: Deployment) -> ChatDialect:
    """Return a dialect for the model that a call is for.

    The model's name is taken where it stands still: what one alias's `*` matched is the caller's.
    Reasoning is a vendor's own, whoever else has a model of that name; where no vendor is known,
    its host stands for it.
    """
    model = deployment.model or call.model
    whose = getattr(deployment, "vendor", "") or urlsplit(deployment.base_url or "").netloc
    family = f"{whose}/{call.model if '*' in model else model}"
    return dataclasses.replace(dialect, family=family)


def with_settings(dialect: ChatDialect, call: Call, deployment: ResponsesDeployment) -> ChatDialect:
    """Return a dialect of OpenAI's models, with what a deployment's settings say above it."""
    dialect = dataclasses.replace(
        dialect,
        max_tokens_limit=deployment.max_tokens_limit or dialect.max_tokens_limit,
        images=deployment.images,
        documents=deployment.documents,
        drop_members=dialect.drop_members | call.without,
    )
    if deployment.efforts is not None:
        dialect = dataclasses.replace(
            dialect,
            effort_in=frozenset({"reasoning_effort"} if deployment.efforts else ()),
            efforts={each: nearest_effort(each, deployment.efforts) for each in EFFORTS},
        )
    return of_family(dialect, call, deployment)


def openai_dialect(title: str, provider: str, model: str) -> ChatDialect:
    """Return what a model of OpenAI's takes, by its name; one that is not known may be any.

    Args:
        title: Who serves it, for people.
        provider: Its name in the table of providers.
        model: OpenAI's own name for the model.
    """
    known = traits(model)
    reasons = known.is_known and bool(known.efforts)
    version = _VERSION.search(model.lower())
    is_late = version is not None and (
        (int(version[1]), int(version[2] or 0)) >= _NO_TOOLS_WITH_REASONING
    )
    return ChatDialect(
        title=title,
        provider=provider,
        family="",
        max_tokens_name="max_completion_tokens",
        max_tokens_limit=known.longest or None,
        system_role="developer" if reasons else "system",
        system_messages=True,
        documents=True,
        sampling=not reasons,
        stop=not reasons,
        effort_in=frozenset({"reasoning_effort"}) if reasons else frozenset(),
        efforts={level: nearest_effort(level, known.efforts) for level in EFFORTS},
        tools_effort="none" if is_late and "none" in known.efforts else "",
        prompt_cache_key=True,
        think_tags="",
    )
