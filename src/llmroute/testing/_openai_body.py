"""What OpenAI refuses of a Responses request, and how it says so.

Only what is documented as refused is refused here, and none of it is read off `llmroute.translate`,
so that a mistake in one shows against the other.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Complaint", "complaint_about"]

_MEMBERS = frozenset(
    """
    background context_management conversation include input instructions max_output_tokens
    max_tool_calls metadata model parallel_tool_calls previous_response_id prompt prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store
    stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user
    """.split()  # noqa: SIM905 - a list of this length would be read by nobody
)
_COUNTED = frozenset(
    """
    conversation input instructions model parallel_tool_calls previous_response_id reasoning text
    tool_choice tools truncation
    """.split()  # noqa: SIM905 - likewise
)
_ITEMS = {
    "message": {"type", "id", "role", "content", "phase", "status"},
    "reasoning": {"type", "id", "summary", "content", "encrypted_content", "status"},
    "function_call": {"type", "id", "call_id", "name", "arguments", "status"},
    "function_call_output": {"type", "id", "call_id", "output", "status"},
}
_PARTS = {
    "input_text": {"type", "text"},
    "input_image": {"type", "image_url", "file_id", "detail"},
    "input_file": {"type", "filename", "file_data", "file_url", "file_id", "detail"},
}
# What an answer has said, as it came.
_SAID = {
    "output_text": {"type", "text", "annotations", "logprobs"},
    "refusal": {"type", "refusal"},
}
_INCLUDED = {"reasoning.encrypted_content", "web_search_call.action.sources"}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,(.+)", re.DOTALL)
_FILE = re.compile(r"data:application/pdf;base64,(.+)", re.DOTALL)
_FEWEST = 16
_LONGEST_KEY = 64
_MOST_MARKS = 4


class Complaint(NamedTuple):
    """A refusal."""

    message: str
    code: str | None = None
    param: str | None = None


def complaint_about(
    given: Mapping[str, Any], known: Mapping[str, str], *, counting: bool
) -> Complaint | None:
    """Return what OpenAI would say of a request; `None` if it takes it.

    Args:
        given: The request.
        known: The reasoning that was handed out: what is encrypted, by its id.
        counting: Whether only tokens are to be counted.
    """
    return next(_complaints(given, known, counting=counting), None)


def _complaints(
    given: Mapping[str, Any], known: Mapping[str, str], *, counting: bool
) -> Iterator[Complaint]:
    for name in given.keys() - (_COUNTED if counting else _MEMBERS):
        yield _unknown(name)
    if not isinstance(given.get("model"), str):
        yield Complaint("you must provide a model parameter")
    if not given.get("input"):
        yield Complaint("Missing required parameter: 'input'.", "missing_required_parameter")
    model = str(given.get("model"))
    yield from _of_limits(given)
    yield from _of_reasoning(given, model)
    yield from _of_tools(given)
    marks = 0
    items = given["input"] if isinstance(given.get("input"), list) else []
    for at, item in enumerate(items):
        yield from _of_item(item, f"input[{at}]")
        marks += str(item).count("'prompt_cache_breakpoint'")
    yield from _of_order(items, known)
    if marks and not re.match(r"gpt-(?:5\.[6-9]|[6-9])", model):
        yield _unknown("input[0].content[0].prompt_cache_breakpoint")
    if marks > _MOST_MARKS:
        yield Complaint(f"At most {_MOST_MARKS} prompt cache breakpoints can be written")


def _of_limits(given: Mapping[str, Any]) -> Iterator[Complaint]:
    longest = given.get("max_output_tokens")
    if longest is not None and longest < _FEWEST:
        yield Complaint(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16,"
            f" but got {longest} instead.",
            "integer_below_min_value",
        )
    if len(given.get("prompt_cache_key", "")) > _LONGEST_KEY:
        yield Complaint("Invalid 'prompt_cache_key': string too long.", "string_above_max_length")
    for name in given.get("include", []):
        if name not in _INCLUDED:
            yield Complaint(f"Invalid value: '{name}'.", "invalid_value")
    if given.get("service_tier", "auto") not in ("auto", "default", "flex", "priority", "fast"):
        yield Complaint("Invalid value: 'service_tier'.", "invalid_value")
    wanted = given.get("text", {}).get("format")
    if wanted and wanted.get("strict"):
        yield from _of_strict(wanted.get("schema"), "text.format.schema")


def _of_reasoning(given: Mapping[str, Any], model: str) -> Iterator[Complaint]:
    reasoning = given.get("reasoning", {})
    for name in reasoning.keys() - {"effort", "summary"}:
        yield _unknown(f"reasoning.{name}")
    effort = reasoning.get("effort")
    if re.match(r"gpt-[34]", model):
        if reasoning:
            yield _unsupported("reasoning.effort")
        return
    taken = {"low", "medium", "high"}
    if re.match(r"gpt-5(?!\.)", model):
        taken |= {"minimal"}
    elif re.match(r"gpt-5\.", model):
        taken |= {"none", "xhigh"} | ({"max"} if re.match(r"gpt-5\.[6-9]", model) else set())
    if effort is not None and effort not in taken:
        yield Complaint(
            f"Unsupported value: '{effort}' is not supported with the '{model}' model. Supported"
            f" values are: {', '.join(sorted(taken))}.",
            "unsupported_value",
            "reasoning.effort",
        )
    if effort != "none" and re.match(r"gpt-5|o[1-9]", model):
        for name in ("temperature", "top_p"):
            if name in given:
                yield _unsupported(name)


def _of_tools(given: Mapping[str, Any]) -> Iterator[Complaint]:
    names = set()
    for at, tool in enumerate(given.get("tools", [])):
        place = f"tools[{at}]"
        if tool.get("type") == "web_search":
            for name in tool.keys() - {"type", "filters", "user_location", "search_context_size"}:
                yield _unknown(f"{place}.{name}")
            continue
        if tool.get("type") != "function":
            yield Complaint(f"Invalid value: '{tool.get('type')}'.", "invalid_value", place)
            continue
        for name in tool.keys() - {"type", "name", "description", "parameters", "strict"}:
            yield _unknown(f"{place}.{name}")
        if not _NAME.fullmatch(str(tool.get("name"))) or tool["name"] in names:
            yield Complaint(f"Invalid '{place}.name'", "invalid_value", place)
        names.add(tool["name"])
        parameters = tool.get("parameters") or {}
        if parameters.get("type") != "object" or "properties" not in parameters:
            yield Complaint(
                f"Invalid schema for function '{tool['name']}'", "invalid_function_parameters"
            )
        # Left out, the real one makes a schema strict itself, where it can.
        if tool.get("strict") is True:
            yield from _of_strict(parameters, place)
    choice = given.get("tool_choice", "auto")
    if isinstance(choice, Mapping):
        if choice.get("type") == "function" and choice.get("name") not in names:
            yield Complaint(f"Tool choice '{choice.get('name')}' not found in 'tools' parameter.")
    elif choice not in ("auto", "none", "required"):
        yield Complaint(f"Invalid value: '{choice}'.", "invalid_value", "tool_choice")


def _of_strict(schema: Any, place: str) -> Iterator[Complaint]:
    if not isinstance(schema, Mapping):
        return
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", [])) != set(schema.get("properties", {})):
            yield Complaint(f"Invalid schema in {place}", "invalid_json_schema", place)
    for each in (*schema.get("properties", {}).values(), schema.get("items")):
        yield from _of_strict(each, place)


def _of_item(item: Mapping[str, Any], place: str) -> Iterator[Complaint]:
    kind = item.get("type", "message")
    if kind not in _ITEMS:
        yield Complaint(f"Invalid value: '{kind}'.", "invalid_value", place)
        return
    for name in item.keys() - _ITEMS[kind]:
        yield _unknown(f"{place}.{name}")
    if kind == "message":
        yield from _of_message(item, place)
    if "call_id" in item and not 0 < len(item["call_id"]) <= _LONGEST_KEY:
        yield Complaint(f"Invalid '{place}.call_id': string too long.", "string_above_max_length")
    if kind == "function_call":
        if not _NAME.fullmatch(str(item.get("name"))):
            yield Complaint(f"Invalid '{place}.name'", "invalid_value", place)
        if not isinstance(item.get("arguments"), str):
            yield Complaint(f"Invalid type for '{place}.arguments'", "invalid_type", place)
    if kind == "function_call_output" and not isinstance(item.get("output"), str):
        yield from _of_parts(item.get("output"), f"{place}.output")
    if kind == "reasoning" and not isinstance(item.get("summary"), list):
        yield Complaint(f"Missing required parameter: '{place}.summary'.")


def _of_message(item: Mapping[str, Any], place: str) -> Iterator[Complaint]:
    role, content = item.get("role"), item.get("content")
    if role not in ("user", "assistant", "developer", "system"):
        yield Complaint(f"Invalid value: '{role}'.", "invalid_value", f"{place}.role")
    if role == "assistant":
        if isinstance(content, list) and content:
            yield from _of_parts(content, f"{place}.content", _SAID)
        elif not (isinstance(content, str) and content):
            yield Complaint(f"Invalid '{place}.content'", "invalid_value", place)
        if item.get("phase", "final_answer") not in ("commentary", "final_answer"):
            yield Complaint(f"Invalid '{place}.phase'", "invalid_value", place)
        return
    for name in item.keys() & {"phase", "id"}:
        yield _unknown(f"{place}.{name}")
    if not isinstance(content, str):
        yield from _of_parts(content, f"{place}.content")


def _of_parts(
    parts: Any, place: str, kinds: Mapping[str, set[str]] = _PARTS
) -> Iterator[Complaint]:
    if not isinstance(parts, list) or not parts:
        yield Complaint(f"Invalid type for '{place}'", "invalid_type", place)
        return
    for at, part in enumerate(parts):
        kind, here = part.get("type"), f"{place}[{at}]"
        if kind not in kinds:
            yield Complaint(f"Invalid value: '{kind}'.", "invalid_value", here)
            continue
        for name in part.keys() - kinds[kind] - {"prompt_cache_breakpoint"}:
            yield _unknown(f"{here}.{name}")
        if kind in ("input_text", "output_text") and not isinstance(part.get("text"), str):
            yield Complaint(f"Invalid type for '{here}.text'", "invalid_type", here)
        if kind == "input_image" and not _is_sound(part.get("image_url"), _IMAGE):
            yield Complaint("The image data you provided does not represent a valid image.")
        if kind == "input_file":
            if not (part.get("file_url") or _is_sound(part.get("file_data"), _FILE)):
                yield Complaint(f"Invalid '{here}.file_data'", "invalid_value", here)
            if part.get("file_data") and not part.get("filename"):
                yield Complaint(f"Missing required parameter: '{here}.filename'.")


def _is_sound(url: Any, form: re.Pattern[str]) -> bool:
    if not isinstance(url, str):
        return False
    if url.startswith("https://"):
        return True
    match = form.fullmatch(url)
    try:
        return match is not None and bool(base64.b64decode(match[1], validate=True))
    except binascii.Error:
        return False


def _of_order(items: list[Any], known: Mapping[str, str]) -> Iterator[Complaint]:
    called = {each["call_id"] for each in items if each.get("type") == "function_call"}
    answered = set()
    for at, item in enumerate(items):
        follower = items[at + 1] if at + 1 < len(items) else {}
        match item.get("type"):
            case "function_call_output":
                answered.add(item["call_id"])
                earlier = {e.get("call_id") for e in items[:at] if e.get("type") == "function_call"}
                if item["call_id"] not in earlier:
                    yield Complaint(f"No tool call found for call_id {item['call_id']}.")
            case "reasoning":
                if known.get(item.get("id")) != item.get("encrypted_content"):
                    yield Complaint(
                        f"The encrypted content for item {item.get('id')} could not be verified."
                        " Reason: Encrypted content could not be decrypted or parsed.",
                        "invalid_encrypted_content",
                    )
                if follower.get("type") != "function_call" and follower.get("role") != "assistant":
                    yield Complaint(
                        f"Item '{item.get('id')}' of type 'reasoning' was provided without its"
                        " required following item."
                    )
    for call in sorted(called - answered):
        yield Complaint(f"No tool output found for function call {call}.")


def _unknown(name: str) -> Complaint:
    return Complaint(f"Unknown parameter: '{name}'.", "unknown_parameter", name)


def _unsupported(name: str) -> Complaint:
    text = f"Unsupported parameter: '{name}' is not supported with this model."
    return Complaint(text, "unsupported_parameter", name)
