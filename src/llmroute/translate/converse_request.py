"""A Messages request as a request to Bedrock's Converse.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from llmroute.translate import converse_model as known
from llmroute.translate.chat_members import level_of
from llmroute.translate.converse_content import ConverseContent
from llmroute.translate.converse_model import ConverseModel
from llmroute.translate.json_schema import CONVERSE, reduced
from llmroute.translate.names import CONVERSE_NAMES, Names
from llmroute.translate.prepared import Prepared, prepared
from llmroute.translate.reasoning import is_sealed, seal
from llmroute.translate.target import Losses, Target

__all__ = ["PROVIDER", "ConverseRequest", "converse_request", "tool_names"]

PROVIDER = "bedrock"

_TITLE = "Converse"
_NO_TOOLS = "Answer without calling a tool."
# Of a schema's top level, what Nova reads.
# https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html
_NOVA_SCHEMA = ("type", "properties", "required")
_UNTOLD = ("container", "fallbacks", "inference_geo", "mcp_servers", "speed")
# Of what edits the conversation: no thinking is there to be cleared but what its maker wants back.
_NEEDLESS = "clear_thinking"
_EFFORTS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


class ConverseRequest(NamedTuple):
    """A request's body, and what of the caller's it has no place for."""

    body: dict[str, Any]
    losses: tuple[str, ...]


def converse_request(
    body: Mapping[str, Any], model: ConverseModel, *, family: str = "", limit: int | None = None
) -> ConverseRequest:
    """Translate a Messages request.

    Args:
        body: The request; not changed.  That of a Claude is one that Bedrock takes of it: what
            goes into `additionalModelRequestFields` is taken from it as it is.
        model: What the model takes.
        family: Which model's reasoning is sent back, by the name that its answers are sealed for;
            the model's own name if empty.
        limit: The longest answer that may be asked for, in tokens.

    Raises:
        InvalidRequestError: `messages` is no list of messages.
    """
    if model.is_claude:
        body = _with_own_thinking(body, family or model.name)
    ready = prepared(body, _target(model, family or model.name))
    losses = Losses()
    names = _names(ready)
    if (ready.tool_choice or {}).get("type") == "none" and known.TOOLS not in model.lacks:
        # Behind the cache points of the system prompt, and at the same place on every turn.
        ready.system.append({"type": "text", "text": _NO_TOOLS})
    writer = ConverseContent(model, names, losses)
    made: dict[str, Any] = {}
    tools = _tools(ready, names, model, writer, losses)
    if ready.system and known.SYSTEM not in model.lacks:
        made["system"] = writer.system(ready.system)
    elif ready.system:
        first = ready.messages[0]["content"]
        at = sum(block["type"] == "tool_result" for block in first)
        first[at:at] = ready.system
    made["messages"] = writer.messages(ready.messages)
    if isinstance(body.get("cache_control"), dict):
        writer.mark(made["messages"][-1]["content"], body["cache_control"])
    if tools or writer.has_calls:
        made["toolConfig"] = _tool_config(tools, ready.tool_choice, names, model, losses)
    if inference := _inference(body, model, limit, losses):
        made["inferenceConfig"] = inference
    made |= _output(body, model, ready.effort, losses)
    if fields := _fields(body, model, ready, losses):
        made["additionalModelRequestFields"] = fields
    if model.is_claude and "stopSequences" in inference:
        # Which of them it was is told nowhere else.
        made["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    _note_untold(body, losses)
    return ConverseRequest(made, (*ready.losses, *losses.lines))


def tool_names(body: Mapping[str, Any]) -> Names:
    """Return the tools' names as `converse_request` sends them, for what comes back.

    Raises:
        InvalidRequestError: `messages` is no list of messages.
    """
    return _names(prepared(body, Target(_TITLE, PROVIDER, "")))


def _names(ready: Prepared) -> Names:
    return Names((tool["name"] for tool in ready.tools), CONVERSE_NAMES)


def _target(model: ConverseModel, family: str) -> Target:
    return Target(
        _TITLE,
        PROVIDER,
        family,
        images=known.IMAGES not in model.lacks,
        documents=known.DOCUMENTS not in model.lacks,
        urls=False,
        tool_images=known.RESULT_IMAGES not in model.lacks,
        tool_documents=known.RESULT_DOCUMENTS not in model.lacks,
        cache_marks=known.CACHE_POINTS not in model.lacks,
    )


def _with_own_thinking(body: Mapping[str, Any], family: str) -> Mapping[str, Any]:
    """Seal what a Claude has thought, for it to be kept: Claude reads it wherever it was made."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    return {**body, "messages": [_sealed(each, family) for each in messages]}


def _sealed(message: Any, family: str) -> Any:
    match message:
        case {"role": "assistant", "content": list(content)}:
            blocks = [_sealed_block(block, family) for block in content]
            return {**message, "content": blocks}
        case _:
            return message


def _sealed_block(block: Any, family: str) -> Any:
    match block:
        case {"type": "thinking", "signature": str(signature)} if not is_sealed(signature):
            return {**block, "signature": seal(PROVIDER, family, {"signature": signature})}
        case {"type": "redacted_thinking", "data": str(data)}:
            signature = seal(PROVIDER, family, {"redacted": data})
            return {"type": "thinking", "thinking": "", "signature": signature}
        case _:
            return block


def _tools(
    ready: Prepared, names: Names, model: ConverseModel, writer: ConverseContent, losses: Losses
) -> list[dict[str, Any]]:
    if known.TOOLS in model.lacks:
        if ready.tools:
            losses.note("tools", "left out: this model does not call tools")
        return []
    made: list[dict[str, Any]] = []
    for tool in ready.tools:
        schema, lost = reduced(tool["input_schema"], CONVERSE)
        for line in lost:
            losses.note(f"tools[] {tool['name']}", line)
        if model.vendor == "amazon":
            schema = {name: schema[name] for name in _NOVA_SCHEMA if name in schema}
        spec: dict[str, Any] = {"name": names.outward(tool["name"])}
        if tool["description"].strip():
            spec["description"] = tool["description"]
        spec["inputSchema"] = {"json": schema}
        if tool.get("strict") is True and model.is_claude:
            spec["strict"] = True
        made.append({"toolSpec": spec})
        if known.TOOL_CACHE_POINTS not in model.lacks:
            writer.mark(made, tool.get("cache_control"))
    return made


def _tool_config(
    tools: list[dict[str, Any]],
    choice: Mapping[str, Any] | None,
    names: Names,
    model: ConverseModel,
    losses: Losses,
) -> dict[str, Any]:
    if not tools:
        # Calls in the history are refused where no tool is declared.
        empty = {"json": {"type": "object", "properties": {}}}
        spec = {"name": "no_tool", "description": "Never call this.", "inputSchema": empty}
        return {"tools": [{"toolSpec": spec}]}
    config: dict[str, Any] = {"tools": tools}
    kind = str((choice or {}).get("type"))
    if kind == "tool" and known.ONE_TOOL in model.lacks:
        losses.note("tool_choice", "this model cannot be told which tool to call")
        kind = "any"
    if kind == "any" and known.ANY_TOOL in model.lacks:
        losses.note("tool_choice", "this model cannot be made to call a tool")
        kind = "auto"
    match kind:
        case "any":
            config["toolChoice"] = {"any": {}}
        case "tool":
            config["toolChoice"] = {"tool": {"name": names.outward(str((choice or {})["name"]))}}
    return config


def _inference(
    body: Mapping[str, Any], model: ConverseModel, limit: int | None, losses: Losses
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    asked = body.get("max_tokens")
    if isinstance(asked, int) and not isinstance(asked, bool):
        # With 0 a prompt is only put in the cache, for which Converse has no way.
        made["maxTokens"] = most = min(filter(None, (max(asked, 1), limit, model.longest)))
        if most < asked:
            losses.note("max_tokens", f"lowered to {most}, which is the model's own")
    for name, theirs in (("temperature", "temperature"), ("top_p", "topP")):
        value = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if name in model.lacks:
                losses.note(name, "left out: this model does not take it")
            else:
                made[theirs] = min(max(value, 0), 1)
    given = body.get("stop_sequences")
    stops = [s for s in given if isinstance(s, str) and s] if isinstance(given, list) else []
    # What is not sent is watched for in the answer.
    if stops and known.STOPS not in model.lacks:
        made["stopSequences"] = stops
    return made


def _output(
    body: Mapping[str, Any], model: ConverseModel, effort: str, losses: Losses
) -> dict[str, Any]:
    """Return `outputConfig`, alone in an object, if there is anything to say in it."""
    made: dict[str, Any] = {}
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else body.get("output_format")
    match wanted:
        case {"type": "json_schema", "schema": dict(schema)}:
            if known.FORMATS in model.lacks:
                losses.note("output_config.format", "left out: this model does not take it")
            else:
                text = msgspec.json.encode(schema).decode()
                structure = {"jsonSchema": {"schema": text, "name": "answer"}}
                made["textFormat"] = {"type": "json_schema", "structure": structure}
    if effort and model.is_claude:
        made["effort"] = effort
    return {"outputConfig": made} if made else {}


def _fields(
    body: Mapping[str, Any], model: ConverseModel, ready: Prepared, losses: Losses
) -> dict[str, Any]:
    """Return what only this model's own API has."""
    made: dict[str, Any] = {}
    top_k = body.get("top_k")
    if isinstance(top_k, int) and not isinstance(top_k, bool):
        if model.is_claude:
            made["top_k"] = top_k
        elif model.vendor == "amazon" and "titan" not in model.name:
            made["inferenceConfig"] = {"topK": top_k}
        else:
            losses.note("top_k", "left out: Converse does not take it")
    if model.is_claude:
        thinking, betas = body.get("thinking"), body.get("anthropic_beta")
        made |= {"thinking": thinking} if isinstance(thinking, dict) else {}
        return made | ({"anthropic_beta": betas} if betas else {})
    level = level_of(body, ready.effort)
    thinking = body.get("thinking")
    is_on = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
    if model.name.startswith("openai.gpt-oss") and level:
        made["reasoning_effort"] = _EFFORTS.get(level, "medium")
    elif model.name.startswith("amazon.nova-2") and level != "none" and (level or is_on):
        # With `high` it takes no limit on the answer's length.
        # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
        effort = "low" if _EFFORTS.get(level) == "low" else "medium"
        made["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": effort}
    return made


def _note_untold(body: Mapping[str, Any], losses: Losses) -> None:
    for name in _UNTOLD:
        if body.get(name):
            losses.note(name, "left out: Converse does not know it")
    edits = body.get("context_management")
    listed = edits.get("edits") if isinstance(edits, dict) else None
    for edit in listed if isinstance(listed, list) else []:
        kind = str(edit.get("type")) if isinstance(edit, dict) else ""
        if not kind.startswith(_NEEDLESS):
            losses.note("context_management", f"{kind} left out: Converse does not know it")
