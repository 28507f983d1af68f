"""What a call is called in OpenTelemetry's conventions for generative AI.

Names and values of https://opentelemetry.io/docs/specs/semconv/gen-ai/, as of version 1.40; what
they have no name for is `llmroute.…`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from llmroute.observe.record import Attempt, Record

__all__ = [
    "DURATION",
    "FIRST_TOKEN",
    "TOKENS",
    "Attributes",
    "Measure",
    "answering",
    "attempt_attributes",
    "attempt_name",
    "call_attributes",
    "call_name",
    "measures",
    "metric_attributes",
]

Attributes: TypeAlias = dict[str, str | int | float | bool | tuple[str, ...]]
Measure: TypeAlias = tuple[str, float, Attributes]

TOKENS: Final = "gen_ai.client.token.usage"
DURATION: Final = "gen_ai.client.operation.duration"
FIRST_TOKEN: Final = "gen_ai.server.time_to_first_token"  # noqa: S105 - no password

_LONGEST: Final = 200  # characters of what a client or an upstream chose
_PROVIDERS: Final = {
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "foundry": "azure.ai.inference",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
_MICROS: Final = 1e6


def call_name(record: Record) -> str:
    """Return the name of the span of a whole call: few different ones."""
    method, path, _ = record.endpoint.partition(" ")
    if path:
        return f"{method} /anthropic"
    return f"{record.endpoint} {record.alias}".rstrip()


def call_attributes(record: Record) -> Attributes:
    """Return what is said of a whole call."""
    usage, cost = record.usage, record.cost
    given = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.request.model": record.asked,
        "gen_ai.conversation.id": record.session,
        "gen_ai.agent.id": record.agent,
        "llmroute.call": record.id,
        "llmroute.endpoint": record.endpoint,
        "llmroute.alias": record.alias,
        "llmroute.deployment": record.deployment,
        "llmroute.key": record.key,
        "llmroute.owner": record.owner,
        "llmroute.team": record.team,
        "llmroute.agent": record.agent,
        "llmroute.parent_agent": record.parent,
        "llmroute.kind": record.kind,
        "llmroute.client": record.client,
        "llmroute.outcome": record.outcome,
        "error.type": _error(record),
    }
    attributes: Attributes = {name: value[:_LONGEST] for name, value in given.items() if value}
    attributes["http.response.status_code"] = record.status
    attributes["llmroute.attempts"] = len(record.attempts)
    if record.tags:
        attributes["llmroute.tags"] = record.tags
    if any(usage.counts):
        attributes |= _usage(record)
        if cost is not None:
            attributes["llmroute.cost_usd"] = cost / _MICROS
    return attributes


def attempt_name(record: Record, attempt: Attempt) -> str:
    """Return the name of the span of one attempt."""
    return f"{_operation(record)} {attempt.model[:_LONGEST]}".rstrip()


def attempt_attributes(record: Record, attempt: Attempt, *, answers: bool) -> Attributes:
    """Return what is said of one attempt.

    Args:
        record: Of its call.
        attempt: It.
        answers: Whether the call was answered by it.
    """
    given = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": _provider(attempt.provider),
        "gen_ai.request.model": attempt.model,
        "gen_ai.conversation.id": record.session,
        "gen_ai.agent.id": record.agent,
        "llmroute.alias": record.alias,
        "llmroute.deployment": attempt.deployment,
        "error.type": attempt.kind or (_error(record) if answers else ""),
    }
    attributes: Attributes = {name: value[:_LONGEST] for name, value in given.items() if value}
    attributes["http.response.status_code"] = attempt.status
    if answers:
        attributes["gen_ai.response.model"] = attempt.model[:_LONGEST]
        attributes["gen_ai.response.time_to_first_chunk"] = attempt.seconds
        if any(record.usage.counts):
            attributes |= _usage(record)
    return attributes


def answering(record: Record) -> int | None:
    """Return which of the attempts the call was answered by, counted from 0; `None` if by none."""
    for number in range(len(record.attempts) - 1, -1, -1):
        attempt = record.attempts[number]
        if not attempt.error and attempt.deployment == record.deployment:
            return number
    return None


def measures(record: Record) -> Iterator[Measure]:
    """Return what is measured of a call: the instrument, the value, and what it is of."""
    if " " in record.endpoint:
        return
    attributes = metric_attributes(record)
    error = _error(record)
    failed = attributes | {"error.type": error} if error else attributes
    yield DURATION, record.duration, failed
    if any(record.usage.counts):
        yield TOKENS, _prompt(record), attributes | {"gen_ai.token.type": "input"}
        yield TOKENS, record.usage.output_tokens, attributes | {"gen_ai.token.type": "output"}
    if record.first_byte is not None and record.stream:
        yield FIRST_TOKEN, record.first_byte, attributes


def metric_attributes(record: Record) -> Attributes:
    """Return what figures are told apart by; a client cannot make up any of it."""
    number = answering(record)
    model = record.alias if number is None else record.attempts[number].model
    given = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": _provider(record.provider),
        "gen_ai.request.model": model,
        "llmroute.alias": record.alias,
        "llmroute.deployment": record.deployment,
        "llmroute.team": record.team,
    }
    return {name: value[:_LONGEST] for name, value in given.items() if value}


def _operation(record: Record) -> str:
    return "chat" if record.endpoint == "messages" else record.endpoint.partition(" ")[0]


def _provider(name: str) -> str:
    return _PROVIDERS.get(name, name)


def _error(record: Record) -> str:
    match record.outcome:
        case "refused" | "failed":
            return record.error_kind or "_OTHER"
        case "broken":
            return "broken"
        case "cancelled":
            return "cancelled"
        case _:
            return ""


def _prompt(record: Record) -> int:
    usage = record.usage
    return usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens


def _usage(record: Record) -> Attributes:
    return {
        "gen_ai.usage.input_tokens": _prompt(record),
        "gen_ai.usage.output_tokens": record.usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.usage.cache_read_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": record.usage.cache_creation_input_tokens,
    }
