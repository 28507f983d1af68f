"""What Bedrock refuses of an invocation's body, and how it says so.

Only what is known to be refused, or documented as the whole of what is taken, is refused here: the
lists are kept apart from `llmroute.platforms`, so that a mistake in one shows against the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["problem_with"]

_VERSIONS = frozenset({"bedrock-2023-05-31"})
_MEMBERS = frozenset(
    """
    anthropic_beta anthropic_version compaction context_management fallback_credit_token max_tokens
    messages metadata output_config safeguards stop_sequences system temperature thinking
    tool_choice tools top_k top_p user_profile_id
    """.split()  # noqa: SIM905 - a list of this length would be read by nobody
)
_REQUIRED = ("anthropic_version", "max_tokens", "messages")
_BETAS = frozenset(
    """
    compact-2026-01-12 computer-use-2024-10-22 computer-use-2025-01-24 computer-use-2025-11-24
    context-1m-2025-08-07 context-management-2025-06-27 dangerous-tool-use-2026-09-03
    effort-2025-11-24 fallback-credit-2026-06-01 fallback-credit-2026-07-01
    fine-grained-tool-streaming-2025-05-14 interleaved-thinking-2025-05-14
    mid-conversation-output-config-2026-07-01 mid-conversation-tool-changes-2026-07-01
    thinking-binding-controls-2026-08-01 thinking-display-updates-2026-08-18
    thinking-token-count-2026-05-13 tool-search-tool-2025-10-19 afk-mode-2026-01-31
    """.split()  # noqa: SIM905 - likewise
)
_UNLOCKED_BY = {
    "context_management": {"context-management-2025-06-27", "compact-2026-01-12"},
    "safeguards": {"dangerous-tool-use-2026-09-03"},
}
_TOOL_MEMBERS_OF_SEARCH = ("defer_loading", "allowed_callers")
_SERVER_TOOL = re.compile(r"(web_search|web_fetch|code_execution|advisor|mcp_toolset)")
# Ids that end in a version are served by the older interface.
_OLDER = re.compile(r"-v\d+(:\d+)?$")


def problem_with(body: bytes, model: str) -> str | None:
    """Return what Bedrock would say of `body`; `None` if it takes it."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return "Malformed input request, please reformat your input and try again."
    if not isinstance(given, dict):
        return "Malformed input request: expected type: JSONObject"
    older = _OLDER.search(model) is not None
    return next(_problems(given, older=older), None)


def _problems(given: Mapping[str, Any], *, older: bool) -> Iterator[str]:
    for name in _REQUIRED:
        if name not in given:
            yield f"{name}: Field required"
    if given["anthropic_version"] not in _VERSIONS:
        yield "Invalid API version"
    members = _MEMBERS if older else _MEMBERS | {"cache_control"}
    for name in given:
        if name not in members:
            yield f"{name}: Extra inputs are not permitted"
    betas = set(given.get("anthropic_beta") or ())
    if betas - _BETAS:
        yield "invalid beta flag"
    for name, needed in _UNLOCKED_BY.items():
        if name in given and not betas & needed:
            yield f"{name}: Extra inputs are not permitted"
    for index, tool in enumerate(given.get("tools") or ()):
        yield from _of_tool(tool, f"tools.{index}", betas)
    if isinstance(given.get("system"), list):
        yield from _of_blocks(given["system"], "system", betas)
    yield from _of_messages(given["messages"], betas, older=older)
    thinking = given.get("thinking") or {}
    if thinking.get("type") == "enabled" and thinking["budget_tokens"] >= given["max_tokens"]:
        yield "`max_tokens` must be greater than `thinking.budget_tokens`."


def _of_messages(messages: Any, betas: set[str], *, older: bool) -> Iterator[str]:
    for index, message in enumerate(messages):
        roles = ("user", "assistant") if older else ("user", "assistant", "system")
        if message.get("role") not in roles:
            yield f"messages.{index}.role: Input should be 'user' or 'assistant'"
        if isinstance(message.get("content"), list):
            yield from _of_blocks(message["content"], f"messages.{index}.content", betas)


def _of_tool(tool: Mapping[str, Any], place: str, betas: set[str]) -> Iterator[str]:
    kind = tool.get("type", "custom")
    if _SERVER_TOOL.match(kind):
        yield (
            f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected"
            " tags: 'bash_20250124', 'custom', 'memory_20250818', 'text_editor_20250728',"
            " 'tool_search_tool_regex'"
        )
    if "tool-search-tool-2025-10-19" not in betas:
        for name in _TOOL_MEMBERS_OF_SEARCH:
            if name in tool:
                yield f"{place}.{kind}.{name}: Extra inputs are not permitted"
    yield from _of_cache_control(tool, f"{place}.{kind}")


def _of_blocks(blocks: list[Any], place: str, betas: set[str]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        kind = block.get("type")
        at = f"{place}.{index}.{kind}"
        yield from _of_cache_control(block, at)
        source = block.get("source")
        if kind in ("image", "document") and source["type"] in ("url", "file"):
            yield f"{at}.source.type: URL sources are not supported"
        if kind == "tool_reference" and "tool-search-tool-2025-10-19" not in betas:
            yield f"{at}: Input tag 'tool_reference' found using 'type' does not match"
        if isinstance(block.get("content"), list):
            yield from _of_blocks(block["content"], f"{at}.content", betas)


def _of_cache_control(block: Mapping[str, Any], place: str) -> Iterator[str]:
    for name in block.get("cache_control") or ():
        if name not in ("type", "ttl"):
            yield f"{place}.cache_control.ephemeral.{name}: Extra inputs are not permitted"
