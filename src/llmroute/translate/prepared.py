"""A Messages request made ready for formats that are not Messages: what all of them need, once.

Whatever is done to a message depends on it and on those before it, so that the prompt of one turn
begins with the prompt of the turn before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmroute.errors import InvalidRequestError
from llmroute.translate.blocks import Blocks, blocks_of, text_block
from llmroute.translate.target import Losses, Target
from llmroute.translate.tools import function_tools

__all__ = ["Prepared", "prepared"]

_Block = dict[str, Any]
_Message = dict[str, Any]

# The first system block of Claude Code says who is asking, to Anthropic and nobody else.
_ATTRIBUTION = "x-anthropic-billing-header:"
_UNANSWERED = "[no result recorded]"
_HOISTED = {"image": "[image attached below]", "document": "[document attached below]"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request in plain pieces.

    Attributes:
        system: Text blocks.
        messages: `role` and `content`, a list that is never empty. Roles alternate and begin with
            `user`; where the target takes them, `system` messages, of text only, stand between.
            Content is `text`, `image` and `document` blocks; in a user's message `tool_result`
            before all others, in the order of the calls; in an assistant's `tool_use`, and
            `thinking` with the `state` that `reasoning.seal` was given.
        tools: `name`, `description`, `input_schema`, perhaps `strict` and `cache_control`.
        tool_choice: As the Messages API has it, if it was given and there are tools.
        server_tools: Of the tools that Anthropic runs, those this upstream runs, as they came.
        effort: The latest `output_config.effort`; empty if none.
        losses: What the upstream does not get to see.
    """

    system: list[_Block]
    messages: list[_Message]
    tools: list[dict[str, Any]]
    tool_choice: dict[str, Any] | None
    server_tools: list[dict[str, Any]]
    effort: str
    losses: tuple[str, ...]


def prepared(body: Mapping[str, Any], target: Target) -> Prepared:
    """Make a Messages request ready for `target`.

    Raises:
        InvalidRequestError: `messages` is no list of messages, or all the tools are such as this
            upstream does not run.
    """
    losses = Losses()
    given = body.get("messages")
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise InvalidRequestError("messages: must be a list of objects")
    walk = _Walk(target, losses)
    messages = _mended(_begun(_merged(walk.messages(given))), losses)
    if not (target.tool_images and target.tool_documents):
        messages = [_hoisted(message, target) for message in messages]
    listed = body.get("tools")
    tools, served = function_tools(
        walk.offered(_settled(listed if isinstance(listed, list) else [], given)), target, losses
    )
    return Prepared(
        system=_system(body.get("system"), target),
        messages=[{"role": each["role"], "content": each["content"]} for each in messages],
        tools=tools,
        tool_choice=_tool_choice(body.get("tool_choice"), tools, losses),
        server_tools=served,
        effort=walk.effort or _effort(body),
        losses=losses.lines,
    )


def _system(system: Any, target: Target) -> list[_Block]:
    found = []
    for block in blocks_of(system):
        text = block.get("text")
        if isinstance(text, str) and text.strip() and not text.startswith(_ATTRIBUTION):
            found.append(text_block(text, block if target.cache_marks else None))
    return found


def _effort(members: Mapping[str, Any]) -> str:
    config = members.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    return effort if isinstance(effort, str) else ""


def _tool_choice(choice: Any, tools: list[dict[str, Any]], losses: Losses) -> dict[str, Any] | None:
    if not isinstance(choice, dict) or not tools:
        return None
    if choice.get("type") == "tool" and choice.get("name") not in [t["name"] for t in tools]:
        losses.note("tool_choice", f"{choice.get('name')} is not among the tools")
        return {**{k: v for k, v in choice.items() if k != "name"}, "type": "auto"}
    return dict(choice)


def _settled(tools: list[Any], messages: list[_Message]) -> list[Any]:
    """Put the tools that were loaded on the way last, in the order in which they were.

    The client lists them by name, wherever that is; so those before them can still be cached.
    """
    if not any(map(_is_deferred, tools)):
        return tools
    order = {name: at for at, name in enumerate(dict.fromkeys(_loaded(messages)))}
    return sorted(
        tools,
        key=lambda tool: order.get(_named(tool), len(order)) if _is_deferred(tool) else -1,
    )


def _is_deferred(tool: Any) -> bool:
    return isinstance(tool, dict) and tool.get("defer_loading") is True


def _loaded(messages: list[_Message]) -> Iterator[str]:
    for message in messages:
        for block in blocks_of(message.get("content")):
            for part in blocks_of(block.get("content")) if "content" in block else ():
                if part.get("type") == "tool_reference":
                    yield str(part.get("tool_name"))


class _Walk:
    """Goes through the messages once; knows what those so far have changed."""

    def __init__(self, target: Target, losses: Losses) -> None:
        self._target = target
        self._losses = losses
        self._blocks = Blocks(target, losses)
        self._removed: set[str] = set()
        self._added: list[dict[str, Any]] = []
        self.effort = ""

    def messages(self, given: list[_Message]) -> list[_Message]:
        found: list[_Message] = []
        first, summary = _compacted(given)
        if summary:
            found.append({"role": "user", "content": [text_block(summary)], "place": "messages"})
        last_user = max((at for at, m in enumerate(given) if m.get("role") == "user"), default=-1)
        for at, message in enumerate(given):
            if at < first:
                continue
            place = f"messages[{at}]"
            role = message.get("role")
            if role == "system":
                content = self._reminder(message, is_past=at < last_user)
                role = "system" if self._target.system_messages else "user"
            elif role == "assistant":
                content = self._blocks.assistant(message.get("content"), place)
            else:
                role = "user"
                content = self._blocks.user(message.get("content"), place)
            if content:
                found.append({"role": role, "content": content, "place": place})
        return found

    def offered(self, tools: list[Any]) -> list[Any]:
        """Return the tools with those that messages have added, without those they removed."""
        every = [*tools, *self._added]
        return [t for t in every if not isinstance(t, dict) or _named(t) not in self._removed]

    def _reminder(self, message: _Message, *, is_past: bool) -> list[_Block]:
        """Read a system message: what it changes, and what it says."""
        self.effort = _effort(message) or self.effort
        said: list[_Block] = []
        for block in blocks_of(message.get("content")):
            match block:
                case {"type": "text", "text": str(text)} if text.strip():
                    if not (is_past and message.get("clear_at") == "next_user_message"):
                        said.append(self._reminded(text, block))
                case {"type": "tool_addition", "tool": dict(tool)}:
                    definition = tool.get("definition")
                    if isinstance(definition, dict):
                        self._added.append(definition)
                    self._removed.discard(_named(tool))
                case {"type": "tool_removal", "tool": dict(tool)}:
                    self._removed.add(_named(tool))
        return said

    def _reminded(self, text: str, block: _Block) -> _Block:
        of = block if self._target.cache_marks else None
        if self._target.system_messages or text.lstrip().startswith("<system-reminder>"):
            return text_block(text, of)
        return text_block(f"<system-reminder>\n{text}\n</system-reminder>", of)


def _named(tool: Mapping[str, Any]) -> str:
    definition = tool.get("definition")
    named = definition if isinstance(definition, dict) else tool
    return str(named.get("name") or "")


def _compacted(given: list[_Message]) -> tuple[int, str]:
    """Return the message that holds the latest summary of those before it, and the summary.

    https://docs.claude.com/en/build-with-claude/compaction: the API reads nothing before it.
    """
    for at in range(len(given) - 1, -1, -1):
        if given[at].get("role") == "assistant":
            for block in blocks_of(given[at].get("content")):
                if block.get("type") == "compaction" and isinstance(block.get("content"), str):
                    return at, block["content"]
    return 0, ""


def _merged(messages: list[_Message]) -> list[_Message]:
    """Put neighbours of one role together; in a user's turn the results of tools come first."""
    found: list[_Message] = []
    for message in messages:
        if found and found[-1]["role"] == message["role"]:
            found[-1]["content"].extend(message["content"])
        else:
            # A list of its own, which grows: a copy a message would take minutes for many.
            found.append({**message, "content": list(message["content"])})
    return found


def _begun(messages: list[_Message]) -> list[_Message]:
    """Let a user speak first, as every API wants it."""
    first = next((m["role"] for m in messages if m["role"] != "system"), "")
    if first == "user":
        return messages
    return [{"role": "user", "content": [text_block("…")], "place": "messages"}, *messages]


def _mended(messages: list[_Message], losses: Losses) -> list[_Message]:
    """Give every call its one result, right after it, and let no result be without its call."""
    found: list[_Message] = []
    calls: list[str] = []
    held: list[_Message] = []
    for message in messages:
        content = message["content"]
        if message["role"] == "system" and calls:
            held.append(message)
            continue
        if message["role"] == "user":
            results = {b["tool_use_id"]: b for b in content if b["type"] == "tool_result"}
            found += [{**message, "content": _answered(calls, results, message, losses)}, *held]
            calls, held = [], []
            continue
        if calls:
            found += [_unanswered(calls), *held]
            held = []
        content = _without_repeated(content)
        calls = [block["id"] for block in content if block["type"] == "tool_use"]
        found.append({**message, "content": content})
    return [*found, _unanswered(calls), *held] if calls else found


def _without_repeated(content: list[_Block]) -> list[_Block]:
    """Leave out a call whose id another one has: there is one result for both."""
    taken: set[str] = set()
    found: list[_Block] = []
    for block in content:
        if block["type"] == "tool_use":
            if block["id"] in taken:
                continue
            taken.add(block["id"])
        found.append(block)
    return found


def _answered(
    calls: list[str], results: dict[str, _Block], message: _Message, losses: Losses
) -> list[_Block]:
    content = [results.get(call) or _no_result(call) for call in calls]
    called = frozenset(calls)
    for block in message["content"]:
        if block["type"] != "tool_result":
            content.append(block)
        elif block["tool_use_id"] not in called and results[block["tool_use_id"]] is block:
            # Its call was left out of the history, but what it says may matter.
            losses.note(message["place"], f"{block['tool_use_id']} is the result of no call")
            content += block["content"]
    return content or [text_block("…")]


def _unanswered(calls: list[str]) -> _Message:
    return {"role": "user", "content": [_no_result(call) for call in calls], "place": "messages"}


def _no_result(call: str) -> _Block:
    content = [text_block(_UNANSWERED)]
    return {"type": "tool_result", "tool_use_id": call, "content": content, "is_error": True}


def _hoisted(message: _Message, target: Target) -> _Message:
    """Let images and documents follow the results they are in, where they cannot stay there."""
    kept = {"image": target.tool_images, "document": target.tool_documents}
    results: list[_Block] = []
    hoisted: list[_Block] = []
    others: list[_Block] = []
    for block in message["content"]:
        if block["type"] != "tool_result":
            others.append(block)
            continue
        content: list[_Block] = []
        for inner in block["content"]:
            if kept.get(inner["type"], True):
                content.append(inner)
            else:
                content.append(text_block(_HOISTED[inner["type"]]))
                hoisted.append(inner)
        results.append({**block, "content": content})
    return {**message, "content": [*results, *hoisted, *others]}
