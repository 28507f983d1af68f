"""What an OpenAI-format server refuses of a Chat Completions request.

Only what is documented is taken: the lists are kept apart from `llmroute.translate`, so that a
mistake in one shows against the other.  https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["problem_with"]

_MEMBERS = frozenset(
    """
    chat_template_kwargs enable_thinking frequency_penalty logit_bias logprobs max_completion_tokens
    max_tokens messages metadata modalities model n parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_cache_options reasoning reasoning_effort response_format
    safety_identifier seed service_tier stop store stream stream_options temperature thinking
    tool_choice tools top_k top_logprobs top_p user verbosity web_search_options
    """.split()  # noqa: SIM905 - a list of this length would be read by nobody
)
_ROLES = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "tool": {"role", "content", "tool_call_id"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "prefix", "partial"}
    | {"reasoning_content", "reasoning", "reasoning_details"},
}
_PARTS = {
    "text": {"type", "text"},
    "image_url": {"type", "image_url"},
    "file": {"type", "file"},
}
_MARKS = {"cache_control", "prompt_cache_breakpoint"}
_PARTS_OF = {"user": {"text", "image_url", "file"}}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_IMAGE = re.compile(r"https?://|data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*$")
_MOST_STOPS = 4
_LONGEST_ID = 64


def problem_with(body: bytes, *, takes: frozenset[str] | None = None) -> str | None:
    """Return what the server would say of a request; `None` if it takes it.

    Args:
        body: As it came.
        takes: The members that are taken; all there are if `None`.
    """
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return "We could not parse the JSON body of your request."
    return next(_problems(given, _MEMBERS if takes is None else takes), None)


def _problems(given: Mapping[str, Any], members: frozenset[str]) -> Iterator[str]:
    for name in sorted(given.keys() - members):
        yield f"Unrecognized request argument supplied: {name}"
    if not isinstance(given.get("model"), str) or not given["model"]:
        yield "you must provide a model parameter"
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        yield "Invalid 'messages': empty array. Expected an array with minimum length 1."
        return
    if "max_tokens" in given and "max_completion_tokens" in given:
        yield "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    for name in ("max_tokens", "max_completion_tokens"):
        if name in given and not (isinstance(given[name], int) and given[name] > 0):
            yield f"Invalid '{name}': must be at least 1"
    if "stream_options" in given and given.get("stream") is not True:
        yield "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    stop = given.get("stop", [""])
    if isinstance(stop, list) and not 1 <= len(stop) <= _MOST_STOPS:
        yield "Invalid 'stop': expected an array with 1 to 4 items"
    yield from _of_tools(given)
    yield from _of_messages(messages)


def _of_tools(given: Mapping[str, Any]) -> Iterator[str]:
    tools = given.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in given:
                yield f"'{name}' is only allowed when 'tools' are specified."
        return
    if not isinstance(tools, list) or not tools:
        yield "Invalid 'tools': empty array. Expected an array with minimum length 1."
        return
    names = [str(_function(tool).get("name")) for tool in tools]
    for at, tool in enumerate(tools):
        yield from _of_tool(tool, f"tools[{at}]")
    if len(set(names)) < len(names):
        yield "Invalid 'tools': a name is there twice"
    choice = given.get("tool_choice", "auto")
    if isinstance(choice, dict):
        if choice.get("function", {}).get("name") not in names:
            yield "Invalid 'tool_choice': the function is not among the tools"
    elif choice not in ("auto", "none", "required"):
        yield f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    return function if tool.get("type") == "function" and isinstance(function, dict) else {}


def _of_tool(tool: Mapping[str, Any], place: str) -> Iterator[str]:
    function = _function(tool)
    if unknown := function.keys() - {"name", "description", "parameters", "strict"}:
        yield f"Unknown parameter: '{place}.function.{min(unknown)}'."
    if unknown := tool.keys() - {"type", "function", "cache_control"}:
        yield f"Unknown parameter: '{place}.{min(unknown)}'."
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"Invalid '{place}.function.name': does not match '^[a-zA-Z0-9_-]+$'"
    schema = function.get("parameters")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        yield f"Invalid schema for function '{name}': schema must be of type 'object'"
    elif "properties" not in schema:
        yield f"Invalid schema for function '{name}': object schema missing properties"
    elif schema.keys() & {"anyOf", "oneOf", "allOf", "enum", "not"}:
        yield f"Invalid schema for function '{name}': has alternatives at the top level"


def _of_messages(messages: list[Any]) -> Iterator[str]:
    waiting: list[str] = []
    for at, message in enumerate(messages):
        place = f"messages[{at}]"
        role = message.get("role")
        if role not in _ROLES:
            yield f"Invalid value: '{role}' at '{place}.role'"
            return
        if unknown := message.keys() - _ROLES[role]:
            yield f"Unknown parameter: '{place}.{min(unknown)}'."
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                yield (
                    "messages with role 'tool' must be a response to a preceding message with"
                    f" 'tool_calls'. ({place})"
                )
                return
            waiting.remove(message["tool_call_id"])
        elif waiting:
            yield (
                "An assistant message with 'tool_calls' must be followed by tool messages"
                f" responding to each 'tool_call_id'. Without a response: {', '.join(waiting)}"
            )
            return
        yield from _of_content(message, role, place)
        calls = message.get("tool_calls")
        if calls is not None:
            yield from _of_calls(calls, place)
            waiting = [call["id"] for call in calls]
    if waiting:
        yield f"These tool_call_ids did not have response messages: {', '.join(waiting)}"


def _of_calls(calls: Any, place: str) -> Iterator[str]:
    if not isinstance(calls, list) or not calls:
        yield f"Invalid '{place}.tool_calls': empty array"
        return
    for at, call in enumerate(calls):
        here = f"{place}.tool_calls[{at}]"
        if unknown := call.keys() - {"id", "type", "function", "extra_content"}:
            yield f"Unknown parameter: '{here}.{min(unknown)}'."
        if not isinstance(call.get("id"), str) or not 0 < len(call["id"]) <= _LONGEST_ID:
            yield f"Invalid '{here}.id': expected a string with a length of 1 to 64"
        function = call.get("function", {})
        if call.get("type") != "function" or function.keys() != {"name", "arguments"}:
            yield f"Missing required parameter: '{here}.function'."
        elif not _NAME.fullmatch(function["name"]):
            yield f"Invalid '{here}.function.name'"
        elif not isinstance(function["arguments"], str):
            yield f"Invalid type for '{here}.function.arguments': expected a string"


def _of_content(message: Mapping[str, Any], role: str, place: str) -> Iterator[str]:
    content = message.get("content")
    if content is None and role == "assistant" and message.get("tool_calls"):
        return
    if isinstance(content, str):
        if not content and not message.get("tool_calls"):
            yield f"Invalid '{place}.content': is empty"
        return
    if not isinstance(content, list) or not content:
        yield f"Invalid value for '{place}.content': expected a string or an array of parts"
        return
    for at, part in enumerate(content):
        kind = part.get("type")
        here = f"{place}.content[{at}]"
        if kind not in _PARTS_OF.get(role, {"text"}):
            yield f"Invalid value: '{kind}' at '{here}.type'"
            return
        if unknown := part.keys() - _PARTS[kind] - _MARKS:
            yield f"Unknown parameter: '{here}.{min(unknown)}'."
        if kind == "text" and not part.get("text"):
            yield f"Invalid '{here}.text': is empty"
        if kind == "image_url" and not _IMAGE.match(part["image_url"]["url"]):
            yield f"Invalid '{here}.image_url': expected an address or a data URL of an image"
        if kind == "file" and not part["file"].get("file_data", "").startswith("data:"):
            yield f"Invalid '{here}.file.file_data'"
