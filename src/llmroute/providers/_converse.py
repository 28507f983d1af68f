"""Bedrock's Converse: every model, in words that are AWS's own.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.errors import InvalidRequestError
from llmroute.messages.call import Call
from llmroute.platforms import BEDROCK, Overrides, bridge
from llmroute.providers._aws import worded
from llmroute.providers._base import decoded
from llmroute.translate.converse_model import STREAMED_TOOLS, ConverseModel
from llmroute.translate.converse_request import ConverseRequest, converse_request
from llmroute.translate.converse_response import ConverseAnswer, converse_message, converse_stream

__all__ = [
    "WholeDecoder",
    "conversation",
    "converse_answer",
    "converse_whole",
    "counted",
    "is_whole",
]

# What goes to a Claude with its request; of others the request says nothing any more.
_BETAS = ("context-1m-", "interleaved-thinking-", "effort-", "fine-grained-tool-streaming-")
_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")


def conversation(
    call: Call,
    model: ConverseModel,
    *,
    family: str,
    overrides: Overrides,
    limit: int | None,
    own: Mapping[str, Any],
) -> ConverseRequest:
    """Return what Converse is sent for a call.

    Args:
        call: A Messages request.
        model: What the model takes.
        family: Which model's reasoning is sent back.
        overrides: What a deployment says of its model.
        limit: The longest answer that may be asked for, if the model is no Claude.
        own: Members that the deployment sets, in place of translated ones; those of objects one by
            one.

    Raises:
        InvalidRequestError: It is no Messages request.
    """
    if model.is_claude:
        bridged = bridge(call, BEDROCK, model.name, overrides)
        given: dict[str, Any] = {name: bridged.body[name] for name in bridged.body}
        if betas := [beta for beta in bridged.betas if beta.startswith(_BETAS)]:
            given["anthropic_beta"] = betas
        made = converse_request(given, model, family=family)
        losses = (*bridged.losses, *made.losses)
    else:
        # One member by its name and not the envelope's: it decodes each of them once.
        given = {name: call.body[name] for name in call.body}
        made = converse_request(given, model, family=family, limit=limit)
        losses = made.losses
    body = made.body
    both = {
        name: value | own[name]
        for name, value in body.items()
        if isinstance(value, dict) and isinstance(own.get(name), dict)
    }
    return ConverseRequest({**body, **own, **both}, tuple(dict.fromkeys(losses)))


def counted(body: Mapping[str, Any], model: ConverseModel) -> dict[str, Any]:
    """Return the request that counts a conversation.

    Raises:
        InvalidRequestError: There is none for this model.
    """
    if not model.is_claude:
        raise InvalidRequestError("Bedrock counts tokens for Claude only")
    return {"input": {"converse": {name: body[name] for name in _COUNTED if name in body}}}


def is_whole(call: Call, model: ConverseModel) -> bool:
    """Tell whether the answer has to come in one piece, though a stream was asked for."""
    return call.stream and STREAMED_TOOLS in model.lacks and bool(call.body.get("tools"))


def converse_answer(call: Call, family: str) -> ConverseAnswer:
    """Return what reads the events of a stream."""
    return ConverseAnswer(call, family, _explained)


def converse_whole(call: Call, body: bytes, family: str) -> bytes:
    """Return a whole answer as the Messages API's.

    Raises:
        FaultError: It came to nothing.
    """
    return converse_message(call, body, family, _explained)


class WholeDecoder:
    """Turns a whole answer into the stream that was asked for."""

    __slots__ = ("_body", "_call", "_family")

    def __init__(self, call: Call, family: str) -> None:
        self._body = bytearray()
        self._call = call
        self._family = family

    def feed(self, data: bytes) -> bytes:
        self._body += data
        return b""

    def close(self) -> bytes:
        body, self._body = bytes(self._body), bytearray()
        # It may be closed again, and an answer is given once.
        return converse_stream(self._call, body, self._family, _explained) if body else b""


def _explained(name: str, described: Mapping[str, Any]) -> tuple[str, str]:
    """Return the type and the message that the Anthropic API would have for an exception."""
    message = described.get("message")
    body = worded(name, message, 500, dict(described), ())[1]
    error = decoded(body)["error"]
    return error["type"], error["message"]
