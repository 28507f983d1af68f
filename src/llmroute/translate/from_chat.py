"""A Chat Completions request of a client's, as a Messages request.

What has no place there is told, a line each; what would change the question is in the way of it.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.errors import InvalidRequestError
from llmroute.translate.answer_format import answer_format
from llmroute.translate.asked import Asked, sampling, served, unread
from llmroute.translate.from_chat_messages import ChatMessages
from llmroute.translate.from_chat_tools import tools_of
from llmroute.translate.target import Losses

__all__ = ["from_chat"]

_Members = dict[str, Any]

_EFFORTS = {"minimal": "low", **{e: e for e in ("low", "medium", "high", "xhigh", "max")}}
_ONLY_JSON = "Answer with one JSON object and nothing else."
# What changes nothing, and so is no loss.
_IDLE: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "store": (False,),
    "verbosity": ("medium",),
    "top_logprobs": (0,),
    "prediction": ({},),
}
# Read elsewhere: here, in the messages and the tools, or by whoever writes the answer.
_READ = frozenset(
    {
        *("model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options"),
        *("temperature", "top_p", "top_k", "stop", "n", "logprobs", "modalities", "audio"),
        *("moderation", "tools", "tool_choice", "parallel_tool_calls", "functions"),
        *("function_call", "response_format", "reasoning_effort", "reasoning", "thinking"),
        *("user", "safety_identifier", "metadata", "service_tier", "prompt_cache_key"),
        *("cache_control", "web_search_options"),
    }
)


def from_chat(body: Mapping[str, Any], longest: int) -> Asked:
    """Return what a request asks for as a Messages request.

    Args:
        body: The request; `model` is handed on as it is.
        longest: `max_tokens` where the request names none: Messages cannot do without.

    Raises:
        InvalidRequestError: It is no Chat Completions request, whoever reads it.
    """
    losses = Losses()
    read = ChatMessages(losses)
    read.read(body.get("messages"))
    tools, obstacle = tools_of(body, losses)
    made: _Members = {"model": body.get("model"), "max_tokens": _longest(body, longest)}
    form, is_json = _format(body.get("response_format"), losses)
    thinking, effort = _thinking(body, losses)
    if thinking and thinking.get("type") != "disabled" and _is_forced(tools.get("tool_choice")):
        losses.note("reasoning", "the model does not think first where it has to call a tool")
        thinking = {}
    config = {"effort": effort, "format": form}
    config = {name: value for name, value in config.items() if value}
    system = read.system
    if is_json:
        system = [*system, {"type": "text", "text": _ONLY_JSON}]
    if system:
        made["system"] = system
    made["messages"] = read.messages
    if web := _web_search(body.get("web_search_options"), losses):
        tools["tools"] = [*tools.get("tools", ()), web]
    made |= tools
    if thinking:
        made["thinking"] = thinking
    if config:
        made["output_config"] = config
    made |= sampling(body, losses, thinks=thinking.get("type") in ("adaptive", "enabled"))
    made |= _stops(body.get("stop"), losses)
    made |= _rest(body, losses)
    obstacle = _obstacle(body, form, is_json=is_json) or obstacle or read.obstacle
    return Asked(made, losses.lines, obstacle)


def _longest(body: Mapping[str, Any], otherwise: int) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InvalidRequestError(f"{name}: must be a whole number above 0")
        return value
    return otherwise


def _obstacle(body: Mapping[str, Any], form: Any, *, is_json: bool) -> str:
    """Return what cannot be left out without changing the question."""
    stated = body.get("response_format")
    kind = stated.get("type") if isinstance(stated, dict) else None
    modalities = body.get("modalities")
    found: dict[str, bool] = {
        "n: Messages gives one answer": body.get("n") not in (None, 1),
        "logprobs: Messages does not tell them": body.get("logprobs") is True,
        "audio: Messages has no place for it": bool(body.get("audio")),
        "modalities: Messages answers with text": isinstance(modalities, list)
        and modalities not in ([], ["text"]),
        "moderation: is OpenAI's own": bool(body.get("moderation")),
        f"response_format: Messages has none of the type {kind}": bool(stated)
        and not form
        and not is_json
        and kind != "text",
    }
    return next((why for why, is_there in found.items() if is_there), "")


def _format(form: Any, losses: Losses) -> tuple[_Members, bool]:
    """Return the format of the answer, and whether it is any JSON, to be asked for in words."""
    if not isinstance(form, dict):
        return {}, False
    if form.get("type") == "json_object":
        losses.note("response_format", "json_object is asked for in words")
        return {}, True
    if form.get("type") != "json_schema":
        return {}, False
    given = form.get("json_schema")
    inner = given if isinstance(given, dict) else {}
    return answer_format(inner, "response_format.json_schema.schema", losses), False


def _thinking(body: Mapping[str, Any], losses: Losses) -> tuple[_Members, str]:
    """Return `thinking` and the effort, from OpenAI's member, OpenRouter's or Anthropic's own."""
    given = body.get("reasoning")
    reasoning = given if isinstance(given, dict) else {}
    level = body.get("reasoning_effort") or reasoning.get("effort") or ""
    if reasoning.get("enabled") is False:
        level = "none"
    effort = _EFFORTS.get(str(level), "")
    if level and level not in ("none", "default") and not effort:
        losses.note("reasoning_effort", "left out: not one that Messages knows")
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking:
        return dict(thinking), effort
    display = "omitted" if reasoning.get("exclude") is True else "summarized"
    budget = reasoning.get("max_tokens")
    if isinstance(budget, int) and not isinstance(budget, bool) and budget > 0:
        return {"type": "enabled", "budget_tokens": budget, "display": display}, effort
    if level == "none":
        return {"type": "disabled"}, ""
    if effort or reasoning.get("enabled") is True:
        return {"type": "adaptive", "display": display}, effort
    return {}, ""


def _is_forced(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("type") in ("any", "tool")


def _stops(stop: Any, losses: Losses) -> _Members:
    if isinstance(stop, str):
        stop = [stop]
    if not isinstance(stop, list):
        return {}
    kept = [each for each in stop if isinstance(each, str) and each.strip()]
    if len(kept) < len(stop):
        losses.note("stop", "left out what is blank: Messages does not stop at it")
    return {"stop_sequences": kept} if kept else {}


def _rest(body: Mapping[str, Any], losses: Losses) -> _Members:
    """Return whose request it is, how it is served and streamed; and tell what is left."""
    given = body.get("metadata")
    metadata = given if isinstance(given, dict) else {}
    users = (body.get("safety_identifier"), body.get("user"), metadata.get("user_id"))
    made = served(body, users, losses)
    if any(name != "user_id" for name in metadata):
        losses.note("metadata", "left out: Messages has a place for user_id alone")
    if isinstance(mark := body.get("cache_control"), dict):
        made["cache_control"] = mark
    unread(body, _READ, _IDLE, losses)
    return made


_PLACE = ("city", "region", "country", "timezone")


def _web_search(options: Any, losses: Losses) -> _Members:
    """Return Anthropic's search for OpenAI's, asked for by any object, an empty one too."""
    if not isinstance(options, dict):
        return {}
    if options.get("search_context_size") not in (None, "medium"):
        losses.note("web_search_options.search_context_size", "left out: Messages has no such size")
    tool: _Members = {"type": "web_search_20250305", "name": "web_search"}
    place = options.get("user_location")
    near = place.get("approximate") if isinstance(place, dict) else None
    if isinstance(near, dict):
        kept = {name: near[name] for name in _PLACE if isinstance(near.get(name), str)}
        tool["user_location"] = {"type": "approximate", **kept}
    return tool
