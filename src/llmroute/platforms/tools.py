"""The tools of a request: those that Anthropic would run, and the fields that betas unlock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import is_
from typing import Any, NamedTuple

from llmroute.errors import InvalidRequestError
from llmroute.platforms._items import Item, items, members, word
from llmroute.platforms.parameters import fit_cache_control
from llmroute.platforms.terms import Losses, Terms
from llmroute.wire.envelope import Envelope

__all__ = ["Tools", "fit_tools"]

_FIELDS = (
    *("defer_loading", "input_examples", "allowed_callers"),
    *("eager_input_streaming", "strict"),
)
# Claude Code's own stand-in: it keeps the list from being empty of deferred tools, and does
# nothing when it is called.
_PLACEHOLDER = "DeferredToolPlaceholder"
_STREAMS = "tools[].eager_input_streaming"


class Tools(NamedTuple):
    """What becomes of `tools`.

    Attributes:
        entries: What is sent.
        dropped: The names of those that are not.
        streams_eagerly: One asked for `eager_input_streaming`, for which there is a beta.
    """

    entries: list[Item]
    dropped: frozenset[str]
    streams_eagerly: bool


def fit_tools(
    body: Envelope,
    terms: Terms,
    losses: Losses,
    loaded: Collection[str] = (),
    definitions: Sequence[Any] = (),
) -> Tools | None:
    """Fit the tools; `None`, if they can stay as they are.

    Those that messages have `loaded` do not stay deferred; `definitions` join at the end.

    Raises:
        InvalidRequestError: All it offers is run by Anthropic, and not there: a search of the web,
            say, whose results the model would else make up.
    """
    if terms.takes_every_block:
        return None
    decoded = body.get("tools", [])
    if not isinstance(decoded, list):
        return None
    listed = (items(body.raw("tools")) or []) if decoded else []
    kept: list[Item] = []
    dropped: set[str] = set()
    missing: list[str] = []
    eager = False
    for entry, tool in zip(listed, decoded, strict=True):
        if not isinstance(tool, dict):
            kept.append(entry)
            continue
        kind, name = word(tool, "type"), word(tool, "name")
        if terms.refuses_tool(kind):
            losses.note(f"tools[] {kind}", f"{terms.title} does not run it")
            dropped.add(name or kind)
            missing += [] if kind.startswith("tool_search_tool_") else [name or kind]
        elif name == _PLACEHOLDER and "tools[].defer_loading" in terms.refused:
            losses.note(f"tools[] {name}", "no tool is deferred")
            dropped.add(name)
        else:
            kept.append(_fit(entry, tool, terms, losses, awake=name in loaded))
            eager |= _STREAMS in terms.refused and tool.get("eager_input_streaming") is True
    if missing and not kept and not definitions:
        raise InvalidRequestError(f"tools: {terms.title} does not run {', '.join(missing)}")
    if not dropped and not definitions and all(map(is_, kept, listed)):
        return None
    named = {word(tool, "name") for tool in decoded}
    added = [tool for tool in definitions if word(tool, "name") not in named]
    return Tools([*kept, *added], frozenset(dropped), eager)


def _fit(entry: Item, tool: dict[str, Any], terms: Terms, losses: Losses, *, awake: bool) -> Item:
    fields = dict.fromkeys((*_FIELDS, *tool))
    gone = [field for field in fields if field in tool and f"tools[].{field}" in terms.refused]
    for field in gone:
        losses.note(f"tools[].{field}", terms.refused[f"tools[].{field}"])
    if awake and "defer_loading" in tool:
        gone.append("defer_loading")
    control = None
    if "cache_control" in tool:
        control = fit_cache_control(tool["cache_control"], terms, losses)
    if not gone and control is None:
        return entry
    raw = {field: value for field, value in (members(entry) or {}).items() if field not in gone}
    return raw if control is None else {**raw, "cache_control": control}
