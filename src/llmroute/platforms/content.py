"""The messages and the system prompt of a request."""

from __future__ import annotations

from operator import is_
from typing import Any, NamedTuple

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.platforms._items import Item, items, members, text_of, word
from llmroute.platforms.blocks import as_text, tool_of
from llmroute.platforms.parameters import fit_cache_control
from llmroute.platforms.terms import Losses, Terms
from llmroute.wire.envelope import Envelope

__all__ = ["Messages", "fit_messages", "fit_system"]

_CONTINUE = "Continue from exactly where your last message stops, and repeat nothing of it."
_IN_SYSTEM_MESSAGES = frozenset(
    {
        *("messages[].output_config", "messages[].clear_at", "tool_addition", "tool_definition"),
    }
)
_BILLING = "x-anthropic-billing-header:"
_REMINDER = "<system-reminder>"
_IN_BLOCKS = "messages[].content[]."
_COMPACT_EDIT = "context_management.compact_20260112"


class Messages(NamedTuple):
    """What becomes of `messages`.

    Attributes:
        entries: What is sent.
        loaded: Tools that a message brought in, and that cannot stay deferred.
        definitions: Tools that a message defined.
    """

    entries: list[Item]
    loaded: frozenset[str]
    definitions: list[Item]


def fit_system(body: Envelope, terms: Terms, losses: Losses) -> list[Item] | None:
    """Fit the system prompt; `None`, if it can stay as it is."""
    if terms.takes_every_block:
        return None
    fitter = _Fitter(terms, losses)
    decoded = body["system"]
    if not isinstance(decoded, list):
        return None
    before = listed = items(body.raw("system")) or []
    if terms.platform.generation is not None:
        listed, decoded = _without_attribution(listed, decoded)
    changed = len(listed) < len(before) or any(map(fitter.concerns_block, decoded))
    return fitter.blocks(listed, decoded, "system") if changed else None


def _without_attribution(listed: list[Item], decoded: list[Any]) -> tuple[list[Item], list[Any]]:
    """Leave out what tells Anthropic whom to bill: to any other model it is noise.

    It differs from one conversation to the next, so no prompt cache would match behind it.
    """
    kept = [i for i, block in enumerate(decoded) if not word(block, "text").startswith(_BILLING)]
    return [listed[i] for i in kept], [decoded[i] for i in kept]


def fit_messages(body: Envelope, terms: Terms, losses: Losses) -> Messages | None:
    """Fit the messages; `None`, if they can stay as they are.

    Raises:
        InvalidRequestError: An image or a document would have to be fetched.
    """
    if terms.takes_every_block and not _may_end_in_answer(body):
        return None
    fitter = _Fitter(terms, losses)
    decoded = body["messages"]
    if not isinstance(decoded, list):
        return None
    concerned = [fitter.concerns(message) for message in decoded]
    continues = not terms.generation.prefill and _ends_in_answer(decoded)
    if not continues and not any(concerned):
        return None
    fitted: list[Item] = []
    listed = items(body.raw("messages")) or []
    for index, (entry, message) in enumerate(zip(listed, decoded, strict=True)):
        if concerned[index]:
            fitter.message(entry, message, index, fitted)
        else:
            fitted.append(entry)
    if continues:
        fitted.append({"role": "user", "content": _CONTINUE})
        name = terms.generation.name
        losses.note("messages[]", f"{name} does not continue an answer; asked to, in words")
    if len(fitted) == len(listed) and all(map(is_, fitted, listed)):
        return None
    return Messages(fitted, frozenset(fitter.loaded), fitter.definitions)


def _may_end_in_answer(body: Envelope) -> bool:
    """Say whether the last message is the assistant's, without a look into those before it."""
    listed = items(body.raw("messages"))
    last = members(listed[-1]) if listed else None
    return last is not None and text_of(last.get("role")) == "assistant"


def _ends_in_answer(messages: list[Any]) -> bool:
    """Say whether the last message is the beginning of an answer, to be continued."""
    last = messages[-1] if messages else None
    if not isinstance(last, dict) or last.get("role") != "assistant":
        return False
    content = last.get("content")
    if not isinstance(content, list):
        return True
    end = content[-1] if content else None
    # One that paused, or waits for a tool, is no beginning of a text.
    return isinstance(end, dict) and end.get("type") == "text"


class _Fitter:
    """Fits messages one after the other.

    What is to be done is seen in what was decoded, and done to the bytes, so that the rest of a
    block stays as it was written.
    """

    __slots__ = (
        "_control",
        "_losses",
        "_refused_fields",
        "_system_is_plain",
        "_terms",
        "definitions",
        "loaded",
    )

    def __init__(self, terms: Terms, losses: Losses) -> None:
        self._terms = terms
        self._losses = losses
        self._control = {"type", "ttl", "scope"} - {
            place.removeprefix("cache_control.") for place in terms.refused
        }
        self._refused_fields = {
            place.removeprefix(_IN_BLOCKS)
            for place in terms.refused
            if place.startswith(_IN_BLOCKS)
        }
        self._system_is_plain = (
            terms.generation.system_messages and not terms.refused.keys() & _IN_SYSTEM_MESSAGES
        )
        self.loaded: set[str] = set()
        self.definitions: list[Item] = []

    def concerns(self, message: Any) -> bool:
        """Say whether there may be anything to do in a message."""
        if not isinstance(message, dict):
            return False
        if message.get("role") == "system" and not self._system_is_plain:
            return True
        content = message.get("content")
        return isinstance(content, list) and any(map(self.concerns_block, content))

    def concerns_block(self, block: Any) -> bool:
        """Say whether there is anything to do in a block."""
        if not isinstance(block, dict):
            return False
        if "cache_control" in block and self._concerns_control(block["cache_control"]):
            return True
        if not self._refused_fields.isdisjoint(block):
            return True
        match word(block, "type"):
            case "text" | "tool_use":
                concerned = False
            case "tool_result":
                content = block.get("content")
                concerned = isinstance(content, list) and any(map(self.concerns_block, content))
            case "image" | "document" as kind:
                source = word(block.get("source"), "type")
                concerned = source in self._fetched() or self._is_refused(kind, block)
            case kind:
                concerned = self._is_refused(kind, block)
        return concerned

    def _concerns_control(self, control: Any) -> bool:
        if not isinstance(control, dict):
            return False
        if self._terms.platform.any_beta:
            return any(f"cache_control.{member}" in self._terms.refused for member in control)
        return not control.keys() <= self._control

    def _fetched(self) -> frozenset[str]:
        return self._terms.platform.refused_sources

    def message(self, entry: Item, message: dict[str, Any], index: int, fitted: list[Item]) -> None:
        """Append what becomes of a message to `fitted`; a system message may join the last one."""
        raw = members(entry) or {}
        if message.get("role") == "system":
            self._system(entry, raw, message, fitted)
            return
        listed = items(raw.get("content")) or []
        blocks = self.blocks(listed, message["content"], f"messages.{index}.content")
        if blocks:
            fitted.append({**raw, "content": blocks})

    def blocks(self, listed: list[Item], decoded: list[Any], place: str) -> list[Item]:
        """Return what becomes of blocks, those left out left out.

        Raises:
            InvalidRequestError: One would have to be fetched.
        """
        blocks = []
        for index, (entry, block) in enumerate(zip(listed, decoded, strict=True)):
            new = entry
            if self.concerns_block(block):
                new = self._block(members(entry) or {}, block, f"{place}.{index}")
            if new is not None:
                blocks.append(new)
        return blocks

    def _block(self, raw: dict[str, Item], block: dict[str, Any], place: str) -> Item:
        kind = word(block, "type")
        if self._is_refused(kind, block):
            return self._in_words(kind, block)
        if kind in {"image", "document"}:
            self._check_source(block, place)
        if kind == "tool_result" and isinstance(block.get("content"), list):
            listed = items(raw["content"]) or []
            raw["content"] = self.blocks(listed, block["content"], f"{place}.content")
        for field in sorted(self._refused_fields & raw.keys()):
            del raw[field]
            self._losses.note(_IN_BLOCKS + field, self._terms.refused[_IN_BLOCKS + field])
        if "cache_control" in raw:
            control = fit_cache_control(block["cache_control"], self._terms, self._losses)
            if control is not None:
                raw["cache_control"] = control
        return raw

    def _is_refused(self, kind: str, block: dict[str, Any]) -> bool:
        refused = self._terms.platform.refused_blocks
        match kind:
            case "text" | "image" | "document" | "tool_use" | "tool_result":
                return kind in refused
            case _ if kind in refused:
                return True
            case "thinking" | "redacted_thinking":
                return self._terms.generation.thinking == frozenset()
            case "tool_reference":
                return "tools[].defer_loading" in self._terms.refused
            case "compaction":
                return {"compaction", _COMPACT_EDIT} <= self._terms.refused.keys()
            case _:
                tool = tool_of(kind, word(block, "name"))
                return (bool(tool) and self._terms.refuses_tool(tool)) or (
                    kind == "fallback" and not self._terms.platform.open
                )

    def _in_words(self, kind: str, block: dict[str, Any]) -> Item:
        text = as_text(kind, block)
        what = "sent as text" if text else "left out"
        self._losses.note(
            f"messages[].content[] {kind}", f"{self._terms.title} does not take it; {what}"
        )
        return {"type": "text", "text": text} if text else None

    def _check_source(self, block: dict[str, Any], place: str) -> None:
        kind = word(block.get("source"), "type")
        if kind in self._fetched():
            title = self._terms.platform.title
            raise InvalidRequestError(
                f"{place}.source: {title} does not take sources of the type {kind}; send base64"
            )

    def _system(
        self, entry: Item, raw: dict[str, Item], message: dict[str, Any], fitted: list[Item]
    ) -> None:
        """Keep a system message as far as it is taken, or fold it into the turn before it."""
        content = message.get("content")
        if isinstance(content, list):
            before = items(raw["content"]) or []
            blocks = self._notices(before, content)
            changed = len(blocks) != len(before) or not all(map(is_, blocks, before))
        else:
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else []
            blocks = blocks if content else []
            changed = False
        if not self._terms.generation.system_messages:
            for member in sorted(raw.keys() & {"output_config", "clear_at"}):
                self._losses.note(
                    f"messages[].{member}", "says nothing of the user's turn; left out"
                )
            self._fold(blocks, fitted)
            return
        if changed:
            raw["content"] = blocks
        changed |= self._fit_members(raw)
        if not blocks and not raw.keys() - {"role", "content"}:
            self._losses.note("messages[]", "an empty system message says nothing; left out")
        else:
            fitted.append(raw if changed else entry)

    def _fit_members(self, raw: dict[str, Item]) -> bool:
        """Fit what a system message has beside its content; say whether that changed it.

        Every model that takes system messages takes every effort.
        """
        changed = False
        for member in ("output_config", "clear_at"):
            if member in raw and (reason := self._refused(f"messages[].{member}")):
                del raw[member]
                self._losses.note(f"messages[].{member}", reason)
                changed = True
        return changed

    def _notices(self, listed: list[Item], decoded: list[Any]) -> list[Item]:
        """Fit the blocks of a system message; changes of the tools become text where not taken."""
        blocks: list[Item] = []
        for entry, block in zip(listed, decoded, strict=True):
            kind = word(block, "type")
            if kind in {"tool_addition", "tool_removal"}:
                blocks.append(self._tool_change(kind, block, entry))
            else:
                blocks += self.blocks([entry], [block], "messages[].content")
        return blocks

    def _tool_change(self, kind: str, block: dict[str, Any], entry: Item) -> Item:
        tool: Any = block.get("tool")
        inline = word(tool, "type") == "tool_definition"
        reason = self._refused("tool_definition" if inline else "tool_addition")
        if not reason and self._terms.generation.system_messages:
            return entry
        definition = tool["definition"] if inline and "definition" in tool else tool
        name = word(definition, "name") or word(definition, "server_name")
        if kind == "tool_addition":
            if inline:
                self.definitions.append(definition)
            else:
                self.loaded.add(name)
        self._losses.note(f"messages[].content[] {kind}", "sent as text, and in tools")
        now = "available" if kind == "tool_addition" else "no longer available"
        return {"type": "text", "text": f"The tool {name} is {now} from here on."}

    def _fold(self, blocks: list[Item], fitted: list[Item]) -> None:
        """Append the text of a system message to the user's turn before it."""
        name = self._terms.generation.name or "a model of unknown name"
        self._losses.note("messages[] system", f"folded into the user's turn for {name}")
        reminders = [_reminder(block) for block in blocks]
        if not reminders:
            return
        last = members(fitted[-1]) if fitted else None
        if last is None or text_of(last.get("role")) != "user":
            fitted.append({"role": "user", "content": reminders})
            return
        content = last.get("content", msgspec.Raw(b"null"))
        before = content if isinstance(content, list) else items(content)
        if before is None:
            before = [{"type": "text", "text": content}] if text_of(content) else []
        fitted[-1] = {**last, "content": [*before, *reminders]}

    def _refused(self, place: str) -> str | None:
        return self._terms.refused.get(place)


def _reminder(entry: Item) -> Item:
    """Mark a block of a system message as not the user's own words, in the way Claude Code does."""
    block = members(entry)
    if block is None or "text" not in block:
        return entry
    text = text_of(block["text"])
    if text.startswith(_REMINDER):
        return entry
    return {**block, "text": f"{_REMINDER}\n{text}\n</system-reminder>"}
