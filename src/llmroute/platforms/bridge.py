"""Fits a call to the platform that hosts the model.

Two things hold.  What is changed depends on the member and the deployment alone, never on the
turn: newer models bind their thinking to the exact text before it.  And what needs no change keeps
its bytes: messages and blocks in which nothing can be wrong are not decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from llmroute.errors import InvalidRequestError
from llmroute.messages.call import Call
from llmroute.platforms._items import items
from llmroute.platforms.content import fit_messages, fit_system
from llmroute.platforms.generations import differ
from llmroute.platforms.parameters import Parameters
from llmroute.platforms.platform import ANTHROPIC, Overrides, Platform
from llmroute.platforms.results import put_apart
from llmroute.platforms.terms import Losses, Terms, terms_of
from llmroute.platforms.tools import fit_tools
from llmroute.wire.envelope import Envelope

__all__ = ["Bridged", "adapt", "bridge"]

_NO_OVERRIDES = Overrides()
_EAGER_STREAMING = "fine-grained-tool-streaming-2025-05-14"
# What a caller that speaks Bedrock's or Google's dialect has in the body; the provider writes it.
_DIALECT = frozenset({"anthropic_beta", "anthropic_version"})


class Bridged(NamedTuple):
    """What goes to a platform in place of a call.

    Attributes:
        body: The request. `model` and `stream` are as they came: where they go is the provider's
            business, and so are `anthropic_version` and `anthropic_beta`, which it has not.
        betas: What goes into the `anthropic-beta` header or the `anthropic_beta` member.
        losses: What was changed, a line each: the place in the request, and why.
    """

    body: Envelope
    betas: tuple[str, ...]
    losses: tuple[str, ...]


def bridge(
    call: Call,
    platform: Platform,
    model: str,
    overrides: Overrides = _NO_OVERRIDES,
) -> Bridged:
    """Leave out of `call`, or put in other words, what `platform` would refuse for `model`.

    So is what the deployment has refused before, `call.without`: `effort-2025-11-24`, `metadata`,
    `output_config.format`.

    Raises:
        InvalidRequestError: The platform cannot do what is asked, and leaving it out would change
            the question: an image or a document that somebody would have to fetch.
    """
    terms = terms_of(platform, model, overrides, call.without)
    losses = Losses()
    body = call.body
    parameters = Parameters(body, terms, losses)
    _leave_out(body, parameters, terms, losses)
    asked = list(_asked(call))
    loaded: frozenset[str] = frozenset()
    definitions: list[Any] = []
    if "messages" in body:
        messages = fit_messages(body, terms, losses)
        if messages is not None:
            parameters.put("messages", messages.entries)
            loaded, definitions = messages.loaded, messages.definitions
        if platform.results_apart:
            entries = messages.entries if messages else items(body.raw("messages"))
            if (apart := put_apart(entries or [])) is not None:
                parameters.put("messages", apart)
    if "system" in body:
        system = fit_system(body, terms, losses)
        if system is not None:
            parameters.put("system", system)
    if "tools" in parameters.cut:
        parameters.put_tools([], ())
    elif "tools" in body or definitions:
        tools = fit_tools(body, terms, losses, loaded, definitions)
        if tools is not None:
            parameters.put_tools(tools.entries, tools.dropped)
            if tools.streams_eagerly:
                asked.append(_EAGER_STREAMING)
    parameters.fit()
    betas = terms.betas(dict.fromkeys(asked), frozenset(parameters.cut), losses)
    return Bridged(parameters.body(), betas, losses.lines())


def adapt(call: Call, model: str) -> tuple[Envelope, tuple[str, ...]]:
    """Return a body for `model` on the Anthropic API, and what was changed for it, a line each.

    The caller shaped its request for the name it asked for, unless it speaks another vendor's
    format, and what came in was shaped here, for no model yet.  Where `model` is that Claude model,
    or one that takes the same, or none we know, the body is the caller's own; and so is one that
    cannot be decoded, for the API to judge.
    """
    asked = call.model if call.spoken is None else ""
    if model == asked or not differ(asked, model):
        return call.body, ()
    try:
        bridged = bridge(call, ANTHROPIC, model)
    except InvalidRequestError:
        return call.body, ()
    return bridged.body, bridged.losses


def _asked(call: Call) -> Iterator[str]:
    """Yield the betas a caller names: in a header, in several, in the body."""
    for name, value in call.headers:
        if name == b"anthropic-beta":
            yield from (
                beta for part in value.decode("latin-1").split(",") if (beta := part.strip())
            )
    if "anthropic_beta" in call.body:
        listed = call.body["anthropic_beta"]
        listed = [listed] if isinstance(listed, str) else listed
        if isinstance(listed, list):
            yield from (beta for beta in listed if isinstance(beta, str))


def _leave_out(body: Envelope, parameters: Parameters, terms: Terms, losses: Losses) -> None:
    """Drop the members of the top level that are not taken."""
    for member in body:
        if terms.platform.open and member not in terms.refused:
            continue
        if member in _DIALECT:
            parameters.drop(member)
        elif member in terms.refused:
            parameters.drop(member)
            losses.note(member, terms.refused[member])
        elif member == "output_format":
            parameters.rename_format()
        elif member not in terms.platform.members:
            parameters.drop(member)
            losses.note(member, f"{terms.platform.title} does not take it")
