"""How one server's Chat Completions differ from another's, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "CacheMarks",
    "ChatDialect",
    "EffortIn",
    "Prefill",
    "ReasoningIn",
    "ReasoningReplay",
    "ToolChoice",
]

ReasoningIn = Literal[
    "auto", "reasoning_content", "reasoning", "reasoning_text", "thinking", "none"
]
ReasoningReplay = Literal["none", "reasoning_content", "reasoning", "reasoning_details"]
EffortIn = Literal[
    "reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs"
]
CacheMarks = Literal["none", "cache_control", "prompt_cache_breakpoint"]
Prefill = Literal["none", "prefix", "partial", "continue_final_message"]
ToolChoice = Literal["auto", "none", "required", "named"]


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """What a server takes and how it answers; the settings of `openai_compatible` tell each one.

    Attributes:
        title: The server's name, for people.
        provider: Its name in the signatures of `translate.reasoning`.
        family: Which models read each other's reasoning, likewise.
    """

    title: str
    provider: str
    family: str
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    max_tokens_limit: int | None = None
    system_role: Literal["system", "developer"] = "system"
    system_messages: bool = False
    images: bool = True
    urls: bool = True
    documents: bool = False
    tool_images: bool = False
    user_after_tool: bool = True
    null_content: bool = True
    tool_ids: Literal["any", "mistral"] = "any"
    tool_choices: frozenset[str] = frozenset({"auto", "none", "required", "named"})
    parallel_tool_calls: bool = True
    strict_tools: bool = False
    response_format: Literal["none", "json_object", "json_schema"] = "json_schema"
    sampling: bool = True
    top_k: bool = False
    stop: bool = True
    prefill: Prefill = "none"
    stream_options: bool = True
    prompt_cache_key: bool = False
    cache_marks: CacheMarks = "none"
    effort_in: frozenset[EffortIn] = frozenset()
    efforts: Mapping[str, str] = field(default_factory=dict)
    tools_effort: str = ""
    reasoning_in: ReasoningIn = "auto"
    reasoning_replay: ReasoningReplay = "none"
    think_tags: str = "think"
    think_tags_open: bool = False
    drop_members: frozenset[str] = frozenset()
