"""Which aliases a key may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from llmroute.accounts.gate import Asked, Hold
from llmroute.accounts.model import Key
from llmroute.errors import ForbiddenError
from llmroute.messages.call import Call
from llmroute.routing.aliases import fits
from llmroute.wire.envelope import MALFORMED, Envelope

__all__ = ["Access", "check_alias", "check_unrestricted"]


class Access:
    """The gate of the aliases."""

    async def admit(self, asked: Asked) -> Hold | None:
        """Let a call through if its key, and the key's team, may ask for the model.

        Raises:
            ForbiddenError: It may not.
        """
        key, model = asked.key, asked.call.model
        if key is not None and key.is_restricted and not asked.call.is_ours:
            check_alias(key, model)
            if not asked.alias:
                check_unrestricted(key, f"no alias of this llmroute proxy matches {_shown(model)}")
            for other in _beside(asked.call):
                check_alias(key, other)
        return None


class _Named(msgspec.Struct):
    """A part of a request that names a model of its own, as an advisor does."""

    model: Any = None


# Of these, each item is a name, or has one: where an upstream goes on if the model refuses or
# fails.  The last one is OpenRouter's.
_INSTEAD: Final = ("fallbacks", "models")
# No tool is made of what else is in it: there may be a hundred, with long schemas.
_tools: Final = msgspec.json.Decoder(list[_Named])


def _beside(call: Call) -> Iterator[str]:
    """Return the models that a request names beside the one it asks for."""
    for body in (call.body, *([call.spoken.body] if call.spoken is not None else [])):
        yield from _named_in(body)


def _named_in(body: Envelope) -> Iterator[str]:
    for member in _INSTEAD:
        given = body.get(member)
        for each in given if isinstance(given, list) else ():
            model = each.get("model") if isinstance(each, dict) else each
            if isinstance(model, str):
                yield model
    if "tools" in body:
        try:
            tools = _tools.decode(body.raw("tools"))
        except MALFORMED:
            return  # it is no list of tools, and no upstream takes it
        yield from (tool.model for tool in tools if isinstance(tool.model, str))


def check_alias(key: Key, model: str) -> None:
    """Check that a key, and its team, may ask for a model.

    Raises:
        ForbiddenError: It may not.
    """
    if not key.may_ask_for(model):
        raise ForbiddenError(
            f"The key {key.name!r} may not ask for {_shown(model)}. It may ask for: "
            f"{_allowed(key)}. {_CHOOSE}"
        )


def check_unrestricted(key: Key, why: str) -> None:
    """Check that a key may use what is not told apart by aliases.

    Args:
        key: The key.
        why: The reason that it has to be one without aliases of its own.

    Raises:
        ForbiddenError: It, or its team, has some.
    """
    if key.is_restricted:
        raise ForbiddenError(
            f"The key {key.name!r} may ask for some models only, and {why}. It may ask for: "
            f"{_allowed(key)}. {_CHOOSE}"
        )


_CHOOSE = "Choose one of these (in Claude Code: /model), or ask whoever runs this llmroute proxy."
_LONGEST_SHOWN = 200  # characters of what a client has sent


def _shown(model: str) -> str:
    return repr(model if len(model) <= _LONGEST_SHOWN else model[:_LONGEST_SHOWN] + "…")


def _allowed(key: Key) -> str:
    of_team = key.team.aliases if key.team else ()
    if key.aliases and all(any(fits(each, name) for each in of_team) for name in key.aliases):
        of_team = ()  # it allows all that the key does
    return ", and of these: ".join(", ".join(names) for names in (key.aliases, of_team) if names)
