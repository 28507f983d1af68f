"""What Vertex AI refuses of a request, and how it says so.

Only what is known to be refused, or documented as the whole of what is taken, is refused here: the
lists are kept apart from `llmroute.platforms`, so that a mistake in one shows against the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["problem_with"]

_VERSIONS = frozenset({"vertex-2023-10-16", "2026-10-21"})
_MEMBERS = frozenset(
    """
    anthropic_version cache_control compaction context_management fallback_credit_token max_tokens
    messages metadata output_config safeguards stop_sequences stream system temperature thinking
    tool_choice tools top_k top_p
    """.split()  # noqa: SIM905 - a list of this length would be read by nobody
)
_BETAS = frozenset(
    """
    afk-mode-2026-01-31 claude-code-20250219 compact-2026-01-12 compact-2026-09-04
    computer-use-2024-10-22 computer-use-2025-01-24 computer-use-2025-11-24 context-1m-2025-08-07
    context-management-2025-06-27 dangerous-tool-use-2026-09-03 effort-2025-11-24
    fallback-credit-2026-06-01 fallback-credit-2026-07-01 inline-tools-2026-09-15
    interleaved-thinking-2025-05-14 mid-conversation-tool-changes-2026-07-01
    per-turn-control-2026-07-01 thinking-binding-controls-2026-08-01
    thinking-display-updates-2026-08-18 thinking-token-count-2026-05-13 token-counting-2024-11-01
    tool-search-tool-2025-10-19 web-search-2025-03-05
    """.split()  # noqa: SIM905 - likewise
)
_UNLOCKED_BY = {
    "context_management": {"context-management-2025-06-27", "compact-2026-01-12"},
    "safeguards": {"dangerous-tool-use-2026-09-03"},
}
_SERVER_TOOL = re.compile(r"(web_fetch|code_execution|advisor|mcp_toolset)")
_SEARCH = "tool-search-tool-2025-10-19"


def problem_with(body: bytes, betas: set[str], *, counting: bool) -> str | None:
    """Return what Vertex AI would say of a request; `None` if it takes it."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return "The request body is not valid JSON"
    return next(_problems(given, betas, counting=counting), None)


def _problems(given: Mapping[str, Any], betas: set[str], *, counting: bool) -> Iterator[str]:
    for name in ("anthropic_version", "messages", "model" if counting else "max_tokens"):
        if name not in given:
            yield f"{name}: Field required"
    if given["anthropic_version"] not in _VERSIONS:
        yield f"anthropic_version: unexpected value {given['anthropic_version']!r}"
    for beta in sorted(betas - _BETAS):
        yield f"Unexpected value(s) `{beta}` for the `anthropic-beta` header"
    members = _MEMBERS | {"model"} if counting else _MEMBERS
    locked = {name for name, needed in _UNLOCKED_BY.items() if not betas & needed}
    for name in given:
        if name in locked or name not in members:
            yield f"{name}: Extra inputs are not permitted"
    for index, tool in enumerate(given.get("tools") or ()):
        yield from _of_tool(tool, f"tools.{index}", betas)
    if isinstance(given.get("system"), list):
        yield from _of_blocks(given["system"], "system", betas)
    for index, message in enumerate(given["messages"]):
        if isinstance(message.get("content"), list):
            yield from _of_blocks(message["content"], f"messages.{index}.content", betas)


def _of_tool(tool: Mapping[str, Any], place: str, betas: set[str]) -> Iterator[str]:
    kind = tool.get("type", "custom")
    if _SERVER_TOOL.match(kind):
        yield f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected"
    if "defer_loading" in tool and _SEARCH not in betas:
        yield f"{place}.{kind}.defer_loading: Extra inputs are not permitted"
    yield from _of_cache_control(tool, f"{place}.{kind}")


def _of_blocks(blocks: list[Any], place: str, betas: set[str]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        kind = block.get("type")
        at = f"{place}.{index}.{kind}"
        yield from _of_cache_control(block, at)
        if kind in ("image", "document") and block["source"]["type"] in ("url", "file"):
            yield f"{at}.source: Input tag '{block['source']['type']}' is not supported"
        if kind == "tool_reference" and _SEARCH not in betas:
            yield f"{at}: Input tag 'tool_reference' found using 'type' does not match"
        if isinstance(block.get("content"), list):
            yield from _of_blocks(block["content"], f"{at}.content", betas)


def _of_cache_control(block: Mapping[str, Any], place: str) -> Iterator[str]:
    for name in block.get("cache_control") or ():
        if name not in ("type", "ttl"):
            yield f"{place}.cache_control.ephemeral.{name}: Extra inputs are not permitted"
