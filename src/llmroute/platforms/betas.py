"""Which `anthropic-beta` values each platform takes, and what each of them unlocks.

A platform's own API answers 400 to a request with one value that it does not know, so on Bedrock
and Google Cloud the list is closed: a value that is not in the table is left out.  What a beta
unlocks is left out with it, and what is left out takes its beta along.

Where an entry is from:

- `client`: Claude Code 2.1.330 sends it when it talks to that platform itself (recorded).
- `docs`: the vendor's documentation, August to November 2026.
- `table`: the forwarding table of another gateway, LiteLLM 1.109.1; not the vendor's word.
- `assumed`: nobody's word; left out where a guess could cost a 400.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["BETAS", "TOOLS_UNLOCKED_BY", "UNLOCKED_BY", "UNLOCKS", "Beta"]

_Source = Literal["client", "docs", "table", "assumed"]


class Beta(NamedTuple):
    """How a beta goes to each platform: the names that are sent, none if it is left out."""

    bedrock: tuple[str, ...]
    mantle: tuple[str, ...]
    vertex: tuple[str, ...]
    foundry: tuple[str, ...]
    source: _Source


def _on(name: str, platforms: str, source: _Source) -> tuple[str, Beta]:
    """Make the row of a beta that goes by its own name to `platforms`."""
    sent = platforms.split()

    def to(platform: str) -> tuple[str, ...]:
        return (name,) if platform in sent else ()

    return name, Beta(to("bedrock"), to("mantle"), to("vertex"), to("foundry"), source)


_ALL = "bedrock mantle vertex foundry"
_TOOL_SEARCH = "tool-search-tool-2025-10-19"
_TOOL_EXAMPLES = "tool-examples-2025-10-29"
_ADVANCED_TOOL_USE = "advanced-tool-use-2025-11-20"

BETAS: dict[str, Beta] = dict(
    (
        _on("claude-code-20250219", "mantle vertex foundry", "client"),
        _on("oauth-2025-04-20", "", "docs"),
        # Recorded in the `anthropic_beta` of InvokeModel requests; the table above has it dropped.
        _on("interleaved-thinking-2025-05-14", _ALL, "client"),
        _on("thinking-token-count-2026-05-13", _ALL, "client"),
        _on("thinking-binding-controls-2026-08-01", _ALL, "table"),
        _on("thinking-display-updates-2026-08-18", _ALL, "table"),
        _on("redact-thinking-2026-02-12", "foundry", "assumed"),
        _on("context-1m-2025-08-07", _ALL, "table"),
        _on("context-management-2025-06-27", _ALL, "table"),
        _on("compact-2026-01-12", "bedrock mantle vertex", "table"),
        _on("compact-2026-09-04", "vertex foundry", "table"),
        _on("fine-grained-tool-streaming-2025-05-14", "bedrock mantle", "table"),
        _on("effort-2025-11-24", _ALL, "client"),
        _on("structured-outputs-2025-11-13", "mantle foundry", "table"),
        _on("structured-outputs-2025-12-15", "foundry", "assumed"),
        # One gate on the Anthropic API, two of other names elsewhere.
        (
            _ADVANCED_TOOL_USE,
            Beta(
                (_TOOL_SEARCH,),
                (_TOOL_SEARCH, _TOOL_EXAMPLES),
                (_TOOL_SEARCH,),
                (_ADVANCED_TOOL_USE,),
                "table",
            ),
        ),
        (
            _TOOL_SEARCH,
            Beta(
                (_TOOL_SEARCH,), (_TOOL_SEARCH,), (_TOOL_SEARCH,), (_ADVANCED_TOOL_USE,), "client"
            ),
        ),
        (_TOOL_EXAMPLES, Beta((), (_TOOL_EXAMPLES,), (), (_ADVANCED_TOOL_USE,), "table")),
        _on("prompt-caching-scope-2026-01-05", "foundry", "table"),
        _on("task-budgets-2026-03-13", "foundry", "assumed"),
        _on("mid-conversation-tool-changes-2026-07-01", "bedrock vertex foundry", "table"),
        _on("inline-tools-2026-09-15", "vertex foundry", "table"),
        _on("per-turn-control-2026-07-01", "mantle vertex foundry", "table"),
        # The table has it for Bedrock; Claude Code leaves it and its member out there.
        _on("mid-conversation-output-config-2026-07-01", "foundry", "client"),
        _on("mid-conversation-system-clear-at-2026-08-21", "foundry", "assumed"),
        _on("dangerous-tool-use-2026-09-03", _ALL, "table"),
        _on("afk-mode-2026-01-31", _ALL, "assumed"),
        _on("web-search-2025-03-05", "vertex foundry", "client"),
        _on("web-fetch-2025-09-10", "foundry", "table"),
        _on("code-execution-2025-05-22", "foundry", "table"),
        _on("code-execution-2025-08-25", "foundry", "table"),
        _on("mcp-client-2025-04-04", "foundry", "table"),
        _on("mcp-client-2025-11-20", "foundry", "table"),
        _on("mcp-client-2026-09-15", "foundry", "table"),
        _on("files-api-2025-04-14", "foundry", "table"),
        _on("skills-2025-10-02", "foundry", "table"),
        _on("computer-use-2024-10-22", _ALL, "table"),
        _on("computer-use-2025-01-24", _ALL, "table"),
        _on("computer-use-2025-11-24", _ALL, "table"),
        _on("fallback-credit-2026-06-01", _ALL, "docs"),
        _on("fallback-credit-2026-07-01", _ALL, "docs"),
        _on("token-counting-2024-11-01", "vertex", "client"),
        _on("fast-mode-2026-02-01", "", "docs"),
        _on("advisor-tool-2026-03-01", "", "docs"),
        _on("server-side-fallback-2026-06-01", "", "docs"),
        _on("server-side-fallback-2026-07-01", "", "docs"),
        _on("message-threads-2026-08-12", "", "docs"),
        # Gates of what has long been open to all, or of what no platform has.
        _on("output-128k-2025-02-19", "", "table"),
        _on("output-300k-2026-03-24", "", "table"),
        _on("token-efficient-tools-2025-02-19", "", "table"),
        _on("prompt-caching-2024-07-31", "", "table"),
        _on("extended-cache-ttl-2025-04-11", "", "table"),
        _on("message-batches-2024-09-24", "", "table"),
        _on("pdfs-2024-09-25", "", "table"),
        _on("model-context-window-exceeded-2025-08-26", "", "table"),
        _on("cache-diagnosis-2026-04-07", "", "table"),
        _on("dev-full-thinking-2025-05-14", "", "table"),
    )
)

UNLOCKED_BY: dict[str, frozenset[str]] = {
    feature: frozenset(betas.split())
    for feature, betas in {
        "context_management": "context-management-2025-06-27 compact-2026-01-12",
        "context_management.compact_20260112": "compact-2026-01-12",
        "compaction": "compact-2026-09-04",
        "safeguards": "dangerous-tool-use-2026-09-03",
        "fallback_credit_token": "fallback-credit-2026-06-01 fallback-credit-2026-07-01",
        "fallbacks": "server-side-fallback-2026-06-01 server-side-fallback-2026-07-01",
        "speed": "fast-mode-2026-02-01",
        "thread": "message-threads-2026-08-12",
        "diagnostics": "cache-diagnosis-2026-04-07",
        "mcp_servers": "mcp-client-2025-04-04 mcp-client-2025-11-20 mcp-client-2026-09-15",
        "thinking.block_binding": "thinking-binding-controls-2026-08-01",
        "thinking.display=updates": "thinking-display-updates-2026-08-18",
        "output_config.effort": "effort-2025-11-24",
        "output_config.task_budget": "task-budgets-2026-03-13",
        "cache_control.scope": "prompt-caching-scope-2026-01-05",
        "tools[].defer_loading": f"{_ADVANCED_TOOL_USE} {_TOOL_SEARCH}",
        "tools[].input_examples": f"{_ADVANCED_TOOL_USE} {_TOOL_EXAMPLES}",
        "tools[].allowed_callers": _ADVANCED_TOOL_USE,
        "messages[].output_config": (
            "per-turn-control-2026-07-01 mid-conversation-output-config-2026-07-01"
        ),
        "messages[].clear_at": "mid-conversation-system-clear-at-2026-08-21",
        "tool_addition": "mid-conversation-tool-changes-2026-07-01 inline-tools-2026-09-15",
        "tool_definition": "inline-tools-2026-09-15",
    }.items()
}
"""What needs one of which betas, by the names under which they are sent."""

TOOLS_UNLOCKED_BY: dict[str, frozenset[str]] = {
    kind: frozenset(betas.split())
    for kind, betas in {
        "web_search_": "web-search-2025-03-05",
        "web_fetch_": "web-fetch-2025-09-10",
        "code_execution_": "code-execution-2025-05-22 code-execution-2025-08-25",
        "advisor_": "advisor-tool-2026-03-01",
        "mcp_toolset": "mcp-client-2025-04-04 mcp-client-2025-11-20 mcp-client-2026-09-15",
    }.items()
}
"""How the types of tools begin, and the betas that were or are their gates.

On the Anthropic API most are open to all by now, so a platform's row says which it runs; these
are for the settings that name a beta.
"""

UNLOCKS: dict[str, frozenset[str]] = {
    beta: frozenset(place for place, betas in UNLOCKED_BY.items() if beta in betas)
    for beta in BETAS
}
"""The same, by beta."""
