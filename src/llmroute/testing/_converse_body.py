"""What Converse refuses of a request, and how it says so.

Kept apart from `llmroute.translate`, so that a mistake in one shows against the other.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["CACHES", "MODEL", "lacks_of", "problem_with"]

MODEL = re.compile(
    r"(?:(?:us|eu|apac|jp|au|global|us-gov)\.)?"
    r"((?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot|openai|qwen"
    r"|test|zai)\.[a-z0-9.:-]+)"
)
CACHES = re.compile(r"amazon\.nova|anthropic\.")

_MEMBERS = frozenset(
    {"messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "requestMetadata"}
    | {"additionalModelRequestFields", "additionalModelResponseFieldPaths", "outputConfig"}
    | {"performanceConfig", "promptVariables", "serviceTier"}
)
_CONFIG = {"maxTokens": int, "temperature": (int, float), "topP": (int, float)}
_BLOCKS = frozenset(
    {"text", "image", "document", "toolUse", "toolResult", "cachePoint", "reasoningContent"}
)
_IN_RESULTS = frozenset({"text", "json", "image", "document"})
_IMAGES = frozenset({"png", "jpeg", "gif", "webp"})
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TITLE = re.compile(r"(?! )(?!.*  )[A-Za-z0-9 ()\[\]-]{1,200}(?<! )")
_MOST_CACHE_POINTS = 4

# What models are known to refuse, in words that are AWS's.
_REFUSALS = {
    "system": "This model doesn't support system messages. Try again without a system message or"
    " use a model that supports system messages.",
    "tools": "This model doesn't support tool use.",
    "streamed_tools": "This model doesn't support tool use in streaming mode.",
    "text_beside_results": "messages.{at}.content: Conversation blocks and tool result blocks"
    " cannot be provided in the same turn.",
    "status": "This model doesn't support the status field. Remove status and try again.",
    "images": "This model doesn't support the image field for user messages. Remove the image"
    " field and try again.",
    "documents": "This model doesn't support the document field. Remove document and try again.",
    "reasoning": "User messages cannot contain reasoning content. Please remove the reasoning"
    " content and try again.",
    "stop_sequences": "This model doesn't support the stopSequences field. Remove stopSequences"
    " and try again.",
    "any": "This model doesn't support the toolConfig.toolChoice.any field. Remove"
    " toolConfig.toolChoice.any and try again.",
    "tool": "This model doesn't support the toolConfig.toolChoice.tool field. Remove"
    " toolConfig.toolChoice.tool and try again.",
}
_BY_MODEL = (
    (re.compile(r"anthropic\."), ()),
    (re.compile(r"amazon\.nova"), ()),
    (re.compile(r"meta\.llama3-3"), ("streamed_tools", "text_beside_results", "status", "images")),
    (re.compile(r"amazon\.titan"), ("system", "tools", "status", "images")),
    (re.compile(r"deepseek\.r1"), ("tools", "reasoning", "status", "images")),
    (re.compile(r"qwen\.|zai\."), ("stop_sequences", "status", "images")),
    (re.compile(r""), ("status",)),
)


def lacks_of(model: str) -> Collection[str]:
    """Return what a model refuses, unless a test says otherwise."""
    return next(lacks for pattern, lacks in _BY_MODEL if pattern.match(model))


def problem_with(
    body: bytes,
    model: str,
    *,
    lacks: Collection[str],
    longest: int | None,
    signatures: Collection[str],
    streams: bool,
) -> str | None:
    """Return what Converse would say of a request; `None` if it takes it.

    Args:
        body: The request.
        model: The model's id, without a region before it.
        lacks: What the model refuses.
        longest: Its longest answer, in tokens.
        signatures: Those it has signed its reasoning with.
        streams: Whether the answer is to be a stream.
    """
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return "The request body is not valid JSON."
    if not isinstance(given, dict):
        return "The request body must be an object."
    found = next(_problems(given, model, longest, signatures), None)
    return found or next(_refusals(given, model, lacks, streams=streams), None)


def _problems(
    given: Mapping[str, Any], model: str, longest: int | None, signatures: Collection[str]
) -> Iterator[str]:
    yield from _unknown(given, _MEMBERS, "")
    for at, block in enumerate(given.get("system", [])):
        yield from _unknown(block, frozenset({"text", "cachePoint"}), f"system.{at}")
        if not block.get("text", "-").strip():
            yield f"The text field in the SystemContentBlock object at system.{at} is blank."
    messages = given.get("messages")
    if not messages:
        yield "messages: must not be empty"
        return
    yield from _of_turns(messages)
    titles: list[str] = []
    for at, message in enumerate(messages):
        if not message["content"]:
            yield (
                f"The content field in the Message object at messages.{at} is empty. Add a"
                " ContentBlock object to the content field and try again."
            )
        for index, block in enumerate(message["content"]):
            yield from _of_block(block, f"messages.{at}.content.{index}", signatures, titles)
        kinds = {next(iter(block)) for block in message["content"]}
        if "document" in kinds and "text" not in kinds:
            yield f"messages.{at}.content: must include a text block beside documents"
        if kinds <= {"reasoningContent", "cachePoint"}:
            yield "This model does not support assistant message prefill."
    yield from _of_tools(given, model)
    yield from _of_cache_points(given, model)
    yield from _of_config(given.get("inferenceConfig", {}), longest)


def _of_config(config: Mapping[str, Any], longest: int | None) -> Iterator[str]:
    yield from _unknown(config, frozenset({*_CONFIG, "stopSequences"}), "inferenceConfig")
    if config.get("maxTokens", 1) < 1:
        yield "inferenceConfig.maxTokens: must be at least 1"
    if longest is not None and config.get("maxTokens", 1) > longest:
        yield (
            f"The maximum tokens you requested exceeds the model limit of {longest}. Try again with"
            f" a maximum tokens value that is lower than {longest}."
        )
    if not all(0 <= config.get(name, 0) <= 1 for name in ("temperature", "topP")):
        yield "inferenceConfig: must be between 0 and 1"
    if not all(config.get("stopSequences", ["-"])):
        yield "inferenceConfig.stopSequences: must not be empty"


def _unknown(given: Mapping[str, Any], known: frozenset[str], place: str) -> Iterator[str]:
    for name in given:
        if name not in known:
            yield f"{place or 'The request'}: extraneous key [{name}] is not permitted"


def _of_turns(messages: list[dict[str, Any]]) -> Iterator[str]:
    calls: list[str] = []
    for at, message in enumerate(messages):
        yield from _unknown(message, frozenset({"role", "content"}), f"messages.{at}")
        if message.get("role") != ("assistant" if at % 2 else "user"):
            yield (
                "A conversation must alternate between user and assistant roles. Make sure the"
                " conversation alternates between user and assistant roles and try again."
            )
        content = message["content"]
        results = [b["toolResult"]["toolUseId"] for b in content if "toolResult" in b]
        if missing := [call for call in calls if call not in results]:
            yield (
                f"Expected toolResult blocks at messages.{at}.content for the following Ids:"
                f" {', '.join(missing)}"
            )
        if len(results) > len(calls) or set(results) - set(calls):
            yield (
                f"The number of toolResult blocks at messages.{at}.content exceeds the number of"
                " toolUse blocks of previous turn."
            )
        calls = [b["toolUse"]["toolUseId"] for b in content if "toolUse" in b]
        if len(set(calls)) < len(calls):
            yield f"messages.{at}.content: duplicate toolUseId"
    if messages[-1]["role"] != "user":
        yield "A conversation must end with a user message. Try again with such a conversation."


def _of_block(
    block: Mapping[str, Any], place: str, signatures: Collection[str], titles: list[str]
) -> Iterator[str]:
    yield from _unknown(block, _BLOCKS, place)
    if len(block) != 1:
        yield f"{place}: exactly one member of the union must be set"
    if not block.get("text", "-").strip():
        yield (
            f"The text field in the ContentBlock object at {place} is blank. Add text to the text"
            " field, and try again."
        )
    yield from _of_media(block, place, titles)
    match block:
        case {"toolUse": use}:
            yield from _unknown(use, frozenset({"toolUseId", "name", "input"}), place)
            if not (_ID.fullmatch(use["toolUseId"]) and _NAME.fullmatch(use["name"])):
                yield f"{place}.toolUse: failed to satisfy constraint: pattern"
            if not isinstance(use["input"], dict):
                yield f"The format of the value at {place}.toolUse.input is invalid."
        case {"toolResult": result}:
            yield from _unknown(result, frozenset({"toolUseId", "content", "status"}), place)
            if not _ID.fullmatch(result["toolUseId"]):
                yield f"{place}.toolResult.toolUseId: failed to satisfy constraint: pattern"
            for index, inner in enumerate(result["content"]):
                yield from _unknown(inner, _IN_RESULTS, f"{place}.toolResult.content.{index}")
                yield from _of_media(inner, place, titles)
        case {"reasoningContent": {"reasoningText": said}}:
            if said.get("signature") not in signatures:
                yield f"{place}: Invalid `signature` in `thinking` block"
        case {"reasoningContent": said} if set(said) != {"redactedContent"}:
            yield f"{place}: reasoning is neither text nor redacted"


def _of_media(block: Mapping[str, Any], place: str, titles: list[str]) -> Iterator[str]:
    for kind in {"image", "document"} & set(block):
        media = block[kind]
        try:
            data = base64.b64decode(media["source"]["bytes"], validate=True)
        except (ValueError, KeyError, TypeError):
            data = b""
        if not data:
            yield f"{place}.{kind}.source.bytes: is no base64"
        if kind == "image" and media["format"] not in _IMAGES:
            yield f"{place}.image.format: must be one of gif, jpeg, png, webp"
        if kind == "document":
            if not _TITLE.fullmatch(media["name"]):
                yield (
                    "The provided file name can only contain alphanumeric characters, whitespace"
                    " characters, hyphens, parentheses, and square brackets."
                )
            if media["name"] in titles:
                yield "The request contains documents with the same name."
            titles.append(media["name"])


def _of_tools(given: Mapping[str, Any], model: str) -> Iterator[str]:
    blocks = [block for message in given["messages"] for block in message["content"]]
    config = given.get("toolConfig")
    if config is None:
        if any("toolUse" in block or "toolResult" in block for block in blocks):
            yield (
                "The toolConfig field must be defined when using toolUse and toolResult content"
                " blocks."
            )
        config = {"tools": []}
    elif not config.get("tools"):
        yield "toolConfig.tools: must not be empty"
    names: set[str] = set()
    for tool in config["tools"]:
        yield from _unknown(tool, frozenset({"toolSpec", "cachePoint"}), "toolConfig.tools")
        if "toolSpec" not in tool:
            continue
        spec = tool["toolSpec"]
        members = frozenset({"name", "description", "inputSchema", "strict"})
        yield from _unknown(spec, members, "toolSpec")
        if not _NAME.fullmatch(spec["name"]) or spec["name"] in names:
            yield f"The tool name {spec['name']} is invalid or defined twice."
        names.add(spec["name"])
        if spec.get("description") == "":
            yield "toolSpec.description: must not be empty"
        schema = spec["inputSchema"]["json"]
        if schema.get("type") != "object":
            yield "The value at toolSpec.inputSchema.json.type must be: object."
        if model.startswith("amazon.nova") and set(schema) - {"type", "properties", "required"}:
            yield "Invalid tool schema: only type, properties and required are supported."
    choice = config.get("toolChoice", {})
    if choice.get("tool", {"name": next(iter(names), "")})["name"] not in names and names:
        yield "toolConfig.toolChoice.tool.name: is no tool's"


def _of_cache_points(given: Mapping[str, Any], model: str) -> Iterator[str]:
    tools = given.get("toolConfig", {}).get("tools", [])
    blocks = [block for message in given["messages"] for block in message["content"]]
    points = [*given.get("system", []), *blocks, *tools]
    if sum("cachePoint" in each for each in points) > _MOST_CACHE_POINTS:
        yield "The request has more than 4 cache points."
    if model.startswith("amazon.nova") and any("cachePoint" in each for each in tools):
        yield "This model doesn't support cache points after tools."


def _refusals(
    given: Mapping[str, Any], model: str, lacks: Collection[str], *, streams: bool
) -> Iterator[str]:
    """Yield what this model refuses of a request that is sound in itself."""
    messages = given["messages"]
    blocks = [(at, block) for at, m in enumerate(messages) for block in m["content"]]
    results = [(at, block["toolResult"]) for at, block in blocks if "toolResult" in block]
    inner = [each for _, result in results for each in result["content"]]
    every = [*inner, *(block for _, block in blocks)]
    mixed = [at for at, _ in results if any("toolResult" not in b for b in messages[at]["content"])]
    tools = "toolConfig" in given
    choice = given.get("toolConfig", {}).get("toolChoice", {})
    has = {
        "system": bool(given.get("system")),
        "tools": tools,
        "streamed_tools": tools and streams,
        "text_beside_results": bool(mixed),
        "status": any("status" in result for _, result in results),
        "images": any("image" in each for each in every),
        "documents": any("document" in each for each in every),
        "reasoning": any("reasoningContent" in block for _, block in blocks),
        "stop_sequences": bool(given.get("inferenceConfig", {}).get("stopSequences")),
        "any": "any" in choice,
        "tool": "tool" in choice,
    }
    for name, said in _REFUSALS.items():
        if name in lacks and has[name]:
            yield said.format(at=mixed[0] if mixed else 0)
    if not CACHES.match(model) and any("image" in each for each in inner):
        yield _REFUSALS["images"]
