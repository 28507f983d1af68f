"""Messages requests as requests of OpenAI's Chat Completions.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.chat_members import limits_of, offered, thinking_of, tool_choice_of
from llmroute.translate.json_schema import OPENAI, OPENAI_STRICT, reduced
from llmroute.translate.names import ANY_IDS, MISTRAL_IDS, OPENAI_NAMES, Limits, Names, call_id
from llmroute.translate.prepared import Prepared, prepared
from llmroute.translate.target import Losses, Target

__all__ = ["chat_request", "tool_names"]

_Block = dict[str, Any]
_Message = dict[str, Any]

_FAILED = "[tool error] "
_NO_OUTPUT = "(no output)"
# What stands where a server wants a message to say something, and there is nothing to say.
_SILENCE = "…"
# OpenAI writes a cache entry for the last four marks at most.
_MOST_BREAKPOINTS = 4


def chat_request(
    body: Mapping[str, Any], dialect: ChatDialect, model: str, *, cache_key: str = ""
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the request that says the same, and what of it is lost.

    Args:
        body: A Messages request.
        dialect: What the server takes.
        model: The upstream's name of the model.
        cache_key: The same for all requests of a conversation; sent if the server takes one.

    Raises:
        InvalidRequestError: `messages` is no list of messages.
    """
    target = Target(
        title=dialect.title,
        provider=dialect.provider,
        family=dialect.family,
        system_messages=dialect.system_messages,
        images=dialect.images,
        documents=dialect.documents,
        urls=dialect.urls,
        tool_images=dialect.tool_images,
        cache_marks=dialect.cache_marks != "none",
    )
    ready = prepared(body, target)
    tools = offered(ready, dialect)
    losses = Losses()
    names = Names((tool["name"] for tool in ready.tools), OPENAI_NAMES)
    writer = _Writer(dialect, names)
    request: dict[str, Any] = {"model": model, "messages": writer.messages(ready)}
    if tools:
        request["tools"] = [writer.tool(tool, losses) for tool in tools]
        request |= tool_choice_of(ready.tool_choice, dialect, names, losses)
    request |= limits_of(body, dialect, losses)
    request |= thinking_of(body, ready, dialect)
    _ask_for_format(body, request, dialect, losses)
    _prefill(request, dialect, losses)
    if body.get("stream") is True:
        request["stream"] = True
        if dialect.stream_options:
            request["stream_options"] = {"include_usage": True}
    if dialect.prompt_cache_key and cache_key:
        request["prompt_cache_key"] = cache_key
    if dialect.cache_marks == "prompt_cache_breakpoint" and _keep_last_marks(request["messages"]):
        request["prompt_cache_options"] = {"mode": "explicit"}
    for name in dialect.drop_members & request.keys():
        del request[name]
    return request, tuple(dict.fromkeys([*ready.losses, *losses.lines]))


def tool_names(body: Mapping[str, Any]) -> Names:
    """Return the names of a request's tools as `chat_request` sends them."""
    ready = prepared(body, Target("", "", ""))
    return Names((tool["name"] for tool in ready.tools), OPENAI_NAMES)


class _Writer:
    """Writes the messages and tools of one request."""

    def __init__(self, dialect: ChatDialect, names: Names) -> None:
        self._dialect = dialect
        self._names = names
        self._ids: Limits = MISTRAL_IDS if dialect.tool_ids == "mistral" else ANY_IDS

    def messages(self, ready: Prepared) -> list[_Message]:
        found: list[_Message] = []
        if ready.system:
            role = self._dialect.system_role
            found.append({"role": role, "content": self._content(ready.system)})
        for message in ready.messages:
            match message["role"]:
                case "assistant":
                    found.append(self._assistant(message["content"]))
                case "system":
                    content = self._content(message["content"])
                    found.append({"role": self._dialect.system_role, "content": content})
                case _:
                    found += self._user(message["content"])
        return found

    def tool(self, tool: Mapping[str, Any], losses: Losses) -> dict[str, Any]:
        name = tool["name"]
        is_strict = self._dialect.strict_tools and tool.get("strict") is True
        schema, lost = reduced(tool["input_schema"], OPENAI_STRICT if is_strict else OPENAI)
        for line in lost:
            losses.note(f"tools[] {name}", line)
        function: dict[str, Any] = {"name": self._names.outward(name)}
        if tool["description"]:
            function["description"] = tool["description"]
        function["parameters"] = schema
        if is_strict:
            function["strict"] = True
        made: dict[str, Any] = {"type": "function", "function": function}
        if self._dialect.cache_marks == "cache_control" and "cache_control" in tool:
            made["cache_control"] = tool["cache_control"]
        return made

    def _user(self, content: list[_Block]) -> list[_Message]:
        results = [block for block in content if block["type"] == "tool_result"]
        others = [block for block in content if block["type"] != "tool_result"]
        found = [self._result(block) for block in results]
        if others:
            if results and not self._dialect.user_after_tool:
                found.append({"role": "assistant", "content": _SILENCE})
            found.append({"role": "user", "content": self._content(others)})
        return found

    def _result(self, block: _Block) -> _Message:
        said = [dict(inner) for inner in block["content"]]
        if block["is_error"]:
            said.insert(0, {"type": "text", "text": _FAILED.rstrip()})
        if "cache_control" in block and said:
            said[-1]["cache_control"] = block["cache_control"]
        content = self._content(said, joint="\n") if said else _NO_OUTPUT
        if block["is_error"] and isinstance(content, str):
            content = _FAILED + content.removeprefix(_FAILED.rstrip()).lstrip("\n")
        return {
            "role": "tool",
            "tool_call_id": call_id(block["tool_use_id"], self._ids),
            "content": content,
        }

    def _assistant(self, content: list[_Block]) -> _Message:
        said = [block for block in content if block["type"] in ("text", "image", "document")]
        thoughts = [block for block in content if block["type"] == "thinking"]
        extras: dict[str, Any] = {}
        for thought in thoughts:
            kept = thought["state"].get("calls")
            extras |= kept if isinstance(kept, dict) else {}
        calls = [self._call(block, extras) for block in content if block["type"] == "tool_use"]
        nothing: str | None = _SILENCE
        if calls:
            nothing = None if self._dialect.null_content else ""
        message: _Message = {
            "role": "assistant",
            "content": self._content(said) if said else nothing,
        }
        message |= self._replayed(thoughts, has_calls=bool(calls))
        if calls:
            message["tool_calls"] = calls
        return message

    def _replayed(self, thoughts: list[_Block], *, has_calls: bool) -> _Message:
        member = self._dialect.reasoning_replay
        if member == "none":
            return {}
        if member == "reasoning_details":
            details: list[Any] = []
            for thought in thoughts:
                kept = thought["state"].get("details")
                details += kept if isinstance(kept, list) else []
            return {member: details} if details else {}
        text = "".join(thought["thinking"] for thought in thoughts)
        # DeepSeek refuses a call without it, also one that another model made.
        return {member: text} if text or has_calls else {}

    def _call(self, block: _Block, extras: Mapping[str, Any]) -> dict[str, Any]:
        upstream_id = call_id(block["id"], ANY_IDS)
        call: dict[str, Any] = {
            "id": call_id(block["id"], self._ids),
            "type": "function",
            "function": {
                "name": self._names.outward(block["name"]),
                "arguments": msgspec.json.encode(block["input"]).decode(),
            },
        }
        if upstream_id in extras:
            call["extra_content"] = extras[upstream_id]
        return call

    def _content(self, blocks: list[_Block], joint: str = "\n\n") -> str | list[_Block]:
        """Return a plain text where there is nothing else: every server takes that."""
        is_plain = all(b["type"] == "text" and "cache_control" not in b for b in blocks)
        # Marks move on from turn to turn, and what was marked must stay the prompt it was.
        if is_plain and (self._dialect.cache_marks == "none" or len(blocks) < 2):
            return joint.join(block["text"] for block in blocks)
        return [self._part(block) for block in blocks]

    def _part(self, block: _Block) -> _Block:
        match block:
            case {"type": "text", "text": str(text)}:
                part: _Block = {"type": "text", "text": text}
            case {"type": "image", "source": source}:
                part = {"type": "image_url", "image_url": {"url": _url(source, "image/png")}}
            case _:
                part = {"type": "file", "file": _file(block)}
        mark = block.get("cache_control")
        if mark and self._dialect.cache_marks == "cache_control":
            part["cache_control"] = mark
        elif mark:
            part["prompt_cache_breakpoint"] = {"mode": "explicit", "ttl": "30m"}
        return part


def _url(source: Mapping[str, Any], otherwise: str) -> str:
    if source.get("type") == "url":
        return str(source["url"])
    return f"data:{source.get('media_type') or otherwise};base64,{source['data']}"


def _file(block: Mapping[str, Any]) -> dict[str, Any]:
    name = str(block.get("title") or "document.pdf")
    return {
        "filename": name if name.lower().endswith(".pdf") else f"{name}.pdf",
        "file_data": _url(block["source"], "application/pdf"),
    }


def _ask_for_format(
    body: Mapping[str, Any], request: dict[str, Any], dialect: ChatDialect, losses: Losses
) -> None:
    """Ask for an answer by a schema: with a member for it, or in words."""
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    wanted = wanted or body.get("output_format")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("schema"), dict):
        return
    schema, lost = reduced(wanted["schema"], OPENAI_STRICT)
    for line in lost:
        losses.note("output_config.format", line)
    if dialect.response_format == "json_schema":
        described = {"name": "answer", "schema": schema, "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": described}
        return
    losses.note("output_config.format", f"{dialect.title} is asked for it in words only")
    if dialect.response_format == "json_object":
        request["response_format"] = {"type": "json_object"}
    written = msgspec.json.encode(wanted["schema"]).decode()
    ask = f"Answer with a JSON object only, by this JSON Schema: {written}"
    first = request["messages"][0]
    if first["role"] != dialect.system_role:
        request["messages"].insert(0, {"role": dialect.system_role, "content": ask})
    elif isinstance(first["content"], str):
        first["content"] += f"\n\n{ask}"
    else:
        first["content"].append({"type": "text", "text": ask})


def _prefill(request: dict[str, Any], dialect: ChatDialect, losses: Losses) -> None:
    last = request["messages"][-1]
    if last["role"] != "assistant":
        return
    match dialect.prefill:
        case "none":
            losses.note("messages", "the answer is not made to begin with the last one")
        case "continue_final_message":
            request |= {"continue_final_message": True, "add_generation_prompt": False}
        case member:
            last[member] = True


def _keep_last_marks(messages: list[_Message]) -> bool:
    """Keep as many breakpoints as are taken, the last ones; tell whether there are any."""
    marked = [
        part
        for message in messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if "prompt_cache_breakpoint" in part
    ]
    for part in marked[:-_MOST_BREAKPOINTS]:
        del part["prompt_cache_breakpoint"]
    return bool(marked)
