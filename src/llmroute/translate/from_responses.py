"""An OpenAI Responses request of a client's, as a Messages request.

What has no place there is told, a line each; what would change the question is in the way of it.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.errors import InvalidRequestError
from llmroute.translate.answer_format import answer_format
from llmroute.translate.asked import Asked, sampling, served, unread
from llmroute.translate.from_responses_items import Turns, text
from llmroute.translate.from_responses_tools import Toolbox
from llmroute.translate.responses_calls import Called
from llmroute.translate.target import Losses

__all__ = ["from_responses", "read_responses"]

_Members = dict[str, Any]

_EFFORTS = {e: e for e in ("low", "medium", "high", "xhigh", "max")}
_NEAREST = {"minimal": "low", "ultra": "max"}
_ONLY_JSON = "Answer with one JSON object and nothing else."
_MOST_MARKS = 4
# What changes nothing, and so is no loss.
_IDLE: dict[str, tuple[Any, ...]] = {
    "store": (False,),
    "background": (False,),
    "truncation": ("disabled",),
    "top_logprobs": (0,),
    "context_management": ([],),
    "prompt_cache_options": ({}, {"mode": "implicit"}),
}
# Read elsewhere: here, in the input and the tools, or by whoever writes the answer.
_READ = frozenset(
    {
        *("model", "input", "instructions", "max_output_tokens", "max_tool_calls", "stream"),
        *("temperature", "top_p", "top_k", "tools", "tool_choice", "parallel_tool_calls", "text"),
        *("reasoning", "include", "stream_options", "user", "safety_identifier", "metadata"),
        # The Codex CLI's, of its own session.
        "client_metadata",
        *("service_tier", "prompt_cache_key", "previous_response_id", "conversation", "prompt"),
    }
)
_STATEFUL = ("previous_response_id", "conversation")
# What an answer of ours has anyway.
_INCLUDED = frozenset({"reasoning.encrypted_content", "web_search_call.action.sources"})


def from_responses(body: Mapping[str, Any], longest: int) -> Asked:
    """Return what a request asks for as a Messages request.

    Args:
        body: The request; `model` is handed on as it is.
        longest: `max_tokens` where the request names none: Messages cannot do without.

    Raises:
        InvalidRequestError: It is no Responses request, whoever reads it.
    """
    return read_responses(body, longest)[0]


def read_responses(body: Mapping[str, Any], longest: int) -> tuple[Asked, dict[str, Called]]:
    """Do as `from_responses`, and return besides which tools of the client are no functions.

    They are keyed by the names of the functions that stand for them.
    """
    if body.get("background") is True and body.get("stream") is not True:
        raise InvalidRequestError("background: nothing is stored here, to be fetched later")
    losses = Losses()
    toolbox = Toolbox(losses)
    toolbox.add(body.get("tools"), "tools")
    turns = Turns(toolbox, losses)
    given = body.get("instructions")
    if isinstance(given, str) and given.strip():
        turns.system.append(text(given))
    stands_alone = body.get("input") is None and body.get("instructions")
    turns.read([] if stands_alone or _points_back(body) else body.get("input"))
    messages = turns.messages()
    if (most := body.get("max_tool_calls")) is not None:
        toolbox.limit_searches(most)
    parallel = body.get("parallel_tool_calls") is not False
    tools = toolbox.choose(body.get("tool_choice"), parallel=parallel)
    form, is_json = _format(body.get("text"), losses)
    if is_json:
        turns.system.append(text(_ONLY_JSON))
    _mark(body, turns, tools.get("tools", []), messages, losses)
    thinking, effort = _thinking(body.get("reasoning"), tools.get("tool_choice"), losses)
    config = {name: v for name, v in (("effort", effort), ("format", form)) if v}
    made: _Members = {"model": body.get("model"), "max_tokens": _longest(body, longest)}
    made |= {"system": turns.system} if turns.system else {}
    made |= {"messages": messages, **tools}
    made |= {"thinking": thinking} if thinking else {}
    made |= {"output_config": config} if config else {}
    made |= sampling(body, losses, thinks=thinking.get("type") in ("adaptive", "enabled"))
    made |= _rest(body, losses)
    obstacle = _obstacle(body) or toolbox.obstacle or turns.obstacle
    return Asked(made, losses.lines, obstacle), toolbox.called


def _points_back(body: Mapping[str, Any]) -> bool:
    """Tell whether there may be no input, for it is kept elsewhere."""
    return body.get("input") is None and any(body.get(name) for name in (*_STATEFUL, "prompt"))


def _longest(body: Mapping[str, Any], otherwise: int) -> int:
    value = body.get("max_output_tokens")
    if value is None:
        return otherwise
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidRequestError("max_output_tokens: must be a whole number above 0")
    return value


def _obstacle(body: Mapping[str, Any]) -> str:
    """Return what cannot be left out without changing the question."""
    for name in _STATEFUL:
        if body.get(name):
            return f"{name}: nothing is stored here; send the whole conversation as `input`"
    if body.get("prompt"):
        return "prompt: templates are kept at OpenAI; send `instructions` and `input`"
    if body.get("top_logprobs") or "message.output_text.logprobs" in _list(body.get("include")):
        return "top_logprobs: Messages does not tell them"
    return ""


def _format(said: Any, losses: Losses) -> tuple[_Members, bool]:
    """Return the format of the answer, and whether it is any JSON, to be asked for in words."""
    given = said if isinstance(said, dict) else {}
    if given.get("verbosity") not in (None, "medium"):
        losses.note("text.verbosity", "left out: Messages has no place for it")
    form = given.get("format")
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_object":
        losses.note("text.format", "json_object is asked for in words")
        return {}, True
    if kind != "json_schema" or not isinstance(form, dict):
        return {}, False
    return answer_format(form, "text.format.schema", losses), False


def _thinking(given: Any, choice: Any, losses: Losses) -> tuple[_Members, str]:
    """Return `thinking` and the effort."""
    reasoning = given if isinstance(given, dict) else {}
    for name, idle in (("context", ("auto", "all_turns")), ("mode", ("standard",))):
        if reasoning.get(name) not in (None, *idle):
            losses.note(f"reasoning.{name}", "left out: Messages has no place for it")
    level = str(reasoning.get("effort") or "")
    if level == "none":
        return {"type": "disabled"}, ""
    effort = _EFFORTS.get(level) or _NEAREST.get(level, "")
    if level and level != effort:
        what = f"sent as {effort}, the nearest" if effort else "left out: not one of Messages'"
        losses.note("reasoning.effort", what)
    summary = reasoning.get("summary") or reasoning.get("generate_summary")
    if not (level or summary):
        return {}, ""
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        losses.note("reasoning", "the model does not think first where it has to call a tool")
        return {}, effort
    shown = "summarized" if summary not in (None, "none") else "omitted"
    return {"type": "adaptive", "display": shown}, effort


def _rest(body: Mapping[str, Any], losses: Losses) -> _Members:
    """Return whose request it is, how it is served and streamed; and tell what is left."""
    made = served(body, (body.get("safety_identifier"), body.get("user")), losses)
    for each in map(str, _list(body.get("include"))):
        if each not in _INCLUDED:
            losses.note(f"include {each}", "left out: an answer has no such thing")
    unread(body, _READ, _IDLE, losses)
    return made


def _mark(
    body: Mapping[str, Any],
    turns: Turns,
    tools: list[_Members],
    messages: list[_Members],
    losses: Losses,
) -> None:
    """Say what is to be cached.

    OpenAI caches unasked; Anthropic where it is told to, for a price that only a prompt is worth
    which is sent again.  That is the one of an agent, or one that the client has a key for.
    """
    said = [block for message in messages for block in message["content"]]
    if turns.is_marked:
        marked = [each for each in (*turns.system, *said) if "cache_control" in each]
        for each in marked[:-_MOST_MARKS]:
            del each["cache_control"]
            losses.note("prompt_cache_breakpoint", f"left out: all but the last {_MOST_MARKS}")
        return
    options = body.get("prompt_cache_options")
    if isinstance(options, dict) and options.get("mode") == "explicit":
        return
    if not (tools or body.get("prompt_cache_key")):
        return
    # All before a mark is cached with it; the system's text follows the tools.
    for blocks in (turns.system or tools, said):
        if blocks:
            blocks[-1]["cache_control"] = {"type": "ephemeral"}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
