"""What Gemini refuses of a request, and how it says so.

Kept apart from `llmroute.translate`, so that a mistake in one shows against the other.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["NO_SIGNATURE", "problem_with"]

NO_SIGNATURE = "skip_thought_signature_validator"

_MEMBERS = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings"}
    | {"cachedContent", "serviceTier", "labels", "model"}
)
_PART = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse"})
_BESIDE = frozenset({"thought", "thoughtSignature"})
_CONFIG = frozenset(
    {"maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "candidateCount"}
    | {"responseMimeType", "responseJsonSchema", "responseSchema", "thinkingConfig", "seed"}
)
_KEYWORDS = frozenset(
    {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items"}
    | {"prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties"}
    | {"additionalProperties", "required", "propertyOrdering"}
)
_OLD_KEYWORDS = frozenset(
    {"type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems"}
    | {"properties", "required", "propertyOrdering", "minProperties", "maxProperties", "anyOf"}
    | {"minLength", "maxLength", "pattern", "minimum", "maximum", "default", "example"}
)
_OLD_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_MEDIA = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "application/pdf"}
)
_LEVELS = frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"})
_LONGEST = 65_536


def problem_with(
    given: Mapping[str, Any], version: tuple[int, int], signed: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Return what Gemini would say of a request; `None` if it takes it.

    Args:
        given: The request.
        version: The model's generation.
        signed: The parts that signatures were given for, by signature.
    """
    return next(_problems(given, version, signed), None)


def _problems(
    given: Mapping[str, Any], version: tuple[int, int], signed: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    yield from _unknown(given, _MEMBERS, "")
    for part in given.get("systemInstruction", {}).get("parts", [{"text": "-"}]):
        if not part.get("text"):
            yield "systemInstruction.parts: must be text"
    contents = given.get("contents")
    if not contents:
        yield "* GenerateContentRequest.contents: contents is not specified"
    yield from _of_turns(contents or [])
    for at, content in enumerate(contents or []):
        for index, part in enumerate(content["parts"]):
            yield from _of_part(part, f"contents[{at}].parts[{index}]", version, signed)
    if version >= (3, 0):
        yield from _unsigned(contents or [])
    yield from _of_tools(given, version)
    yield from _of_config(given.get("generationConfig", {}), version)
    for setting in given.get("safetySettings", []):
        if set(setting) != {"category", "threshold"}:
            yield "safety_settings: Invalid value"


def _unknown(given: Mapping[str, Any], known: frozenset[str], place: str) -> Iterator[str]:
    for name in given:
        if name not in known:
            where = f" at '{place}'" if place else ""
            yield (
                f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
            )


def _of_turns(contents: list[dict[str, Any]]) -> Iterator[str]:
    calls: list[dict[str, Any]] = []
    for at, content in enumerate(contents):
        yield from _unknown(content, frozenset({"role", "parts"}), f"contents[{at}]")
        if content.get("role") not in ("user", "model"):
            yield "Please use a valid role: user, model."
        if not content.get("parts"):
            yield f"* GenerateContentRequest.contents[{at}].parts: must not be empty."
        results = [p["functionResponse"] for p in content["parts"] if "functionResponse" in p]
        if len(results) != len(calls):
            yield (
                "Please ensure that the number of function response parts is equal to the number"
                " of function call parts of the function call turn."
            )
        for call, result in zip(calls, results, strict=True):
            if (call["name"], call.get("id")) != (result["name"], result.get("id")):
                yield "Please ensure that function responses are those of the function call turn."
        if any("functionResponse" not in p for p in content["parts"][: len(results)]):
            yield "Function responses must come first in their turn."
        calls = [p["functionCall"] for p in content["parts"] if "functionCall" in p]
        if calls and content["role"] == "user":
            yield "Function calls are for the model to make."
    if contents and (contents[0]["role"], contents[-1]["role"]) != ("user", "user"):
        yield "Please ensure that multiturn requests begin and end with a user role."


def _of_part(
    part: Mapping[str, Any],
    place: str,
    version: tuple[int, int],
    signed: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    yield from _unknown(part, _PART | _BESIDE, place)
    if len(set(part) & _PART) != 1:
        yield f"{place}: required oneof field 'data' must have one initialized field"
    signature = part.get("thoughtSignature")
    if part.get("text") == "" and not signature:
        yield "Unable to submit request because it must have a text parameter."
    yield from _of_media(part, place)
    if "functionResponse" in part:
        response = part["functionResponse"]
        known = frozenset({"id", "name", "response", "parts"})
        yield from _unknown(response, known, f"{place}.function_response")
        if not isinstance(response.get("response"), dict):
            yield f"{place}.function_response.response: must be an object"
        if "parts" in response and version < (3, 0):
            yield f"{place}: Multimodal function response is not supported for this model"
        for inner in response.get("parts", []):
            yield from _of_media(inner, place)
    if signature and signature != NO_SIGNATURE:
        kept = {name: part[name] for name in part if name != "thoughtSignature"}
        if signature not in signed:
            yield "Invalid thought signature."
        elif kept != signed[signature]:
            yield f"Corrupted thought signature: {place} is not what was signed."


def _of_media(part: Mapping[str, Any], place: str) -> Iterator[str]:
    if "inlineData" in part:
        data = part["inlineData"]
        yield from _unknown(data, frozenset({"mimeType", "data"}), place)
        if data["mimeType"] not in _MEDIA:
            yield f"Unsupported MIME type: {data['mimeType']}"
        try:
            base64.b64decode(data["data"], validate=True)
        except binascii.Error:
            yield f"Invalid value at '{place}.inline_data.data': Base64 decoding failed"
    if "fileData" in part and set(part["fileData"]) != {"mimeType", "fileUri"}:
        yield f"{place}.file_data: needs mimeType and fileUri"


def _unsigned(contents: list[dict[str, Any]]) -> Iterator[str]:
    """Look at the current turn: what follows the last words of the user."""
    start = max(
        (
            at
            for at, content in enumerate(contents)
            if content["role"] == "user"
            and not any("functionResponse" in part for part in content["parts"])
        ),
        default=0,
    )
    for at, content in enumerate(contents[start:], start):
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            name = first["functionCall"]["name"]
            yield (
                "Function call is missing a thought_signature in functionCall parts. This is"
                f" required for tools to work correctly. Function call `{name}`, position {at}."
            )


def _of_tools(given: Mapping[str, Any], version: tuple[int, int]) -> Iterator[str]:
    names: list[str] = []
    for at, tool in enumerate(given.get("tools", [])):
        known = frozenset({"functionDeclarations", "googleSearch"})
        yield from _unknown(tool, known, f"tools[{at}]")
        if len(tool) != 1:
            yield "Tool use with function calling is unsupported"
        for function in tool.get("functionDeclarations", []):
            names.append(function["name"])
            yield from _of_function(function, version)
    if len(set(names)) != len(names):
        yield "Duplicate function declaration found"
    if "toolConfig" in given:
        calling = given["toolConfig"]["functionCallingConfig"]
        if calling.get("mode") not in ("AUTO", "ANY", "NONE", "VALIDATED"):
            yield "tool_config.function_calling_config.mode: Invalid value"
        allowed = calling.get("allowedFunctionNames", [])
        if not set(allowed) <= set(names) or (allowed and calling["mode"] != "ANY"):
            yield "allowed_function_names should only be set when the function calling mode is ANY"


def _of_function(function: Mapping[str, Any], version: tuple[int, int]) -> Iterator[str]:
    known = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
    yield from _unknown(function, known, "tools[0].function_declarations[0]")
    if not _NAME.fullmatch(function["name"]):
        yield "Invalid function name. Must start with a letter or an underscore."
    if "parametersJsonSchema" in function:
        if version < (2, 5):
            yield "parametersJsonSchema is not supported for this model"
        yield from _of_schema(function["parametersJsonSchema"], _KEYWORDS)
    if "parameters" in function:
        if "parametersJsonSchema" in function:
            yield "parameters and parametersJsonSchema are mutually exclusive"
        yield from _of_schema(function["parameters"], _OLD_KEYWORDS)


def _of_schema(schema: Any, keywords: frozenset[str]) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    yield from _unknown(schema, keywords, "parameters")
    kind = schema.get("type")
    if keywords is _OLD_KEYWORDS and kind is not None and kind not in _OLD_TYPES:
        yield f"Invalid value at 'parameters.type': {kind}"
    properties = schema.get("properties", {})
    if not set(schema.get("required", [])) <= set(properties):
        yield "parameters.required: property is not defined"
    if str(kind).upper() == "ARRAY" and "items" not in schema and "prefixItems" not in schema:
        yield "parameters.items: missing field."
    inner = [*properties.values(), *schema.get("anyOf", []), schema.get("items")]
    for each in inner:
        yield from _of_schema(each, keywords)


def _of_config(config: Mapping[str, Any], version: tuple[int, int]) -> Iterator[str]:
    yield from _unknown(config, _CONFIG, "generation_config")
    longest = _LONGEST if version >= (2, 5) else 8_192
    if not 1 <= config.get("maxOutputTokens", 1) <= longest:
        yield f"max_output_tokens must be in the range from 1 to {longest + 1} (exclusive)"
    if len(config.get("stopSequences", [])) > 5:
        yield "stop_sequences: at most 5"
    if "responseJsonSchema" in config:
        yield from _of_schema(config["responseJsonSchema"], _KEYWORDS)
    thinking = config.get("thinkingConfig")
    if thinking is None:
        return
    known = frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"})
    yield from _unknown(thinking, known, "generation_config.thinking_config")
    if version < (2, 5):
        yield "Thinking is not enabled for this model"
    if "thinkingLevel" in thinking and (
        "thinkingBudget" in thinking or version < (3, 0) or thinking["thinkingLevel"] not in _LEVELS
    ):
        yield "Thinking level is not supported for this model."
