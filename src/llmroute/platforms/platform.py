"""The platforms, what they take besides betas, and what a deployment's settings change about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmroute.platforms.generations import EFFORTS, UNKNOWN, Generation

__all__ = [
    "ANTHROPIC",
    "BEDROCK",
    "FOUNDRY",
    "MANTLE",
    "VERTEX",
    "Overrides",
    "Platform",
    "compatible",
    "gateway",
]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the configuration says about one deployment.

    Attributes:
        base_model: Tells the model where its name at the platform does not.
        accept_betas: Sent as they are, with what they unlock.
        drop_betas: Left out, with what only they unlock.
        accept_members: Top-level members that are sent as they are.
        drop_members: Left out: `metadata`, or one level down `output_config.format`.
    """

    base_model: str | None = None
    accept_betas: frozenset[str] = frozenset()
    drop_betas: frozenset[str] = frozenset()
    accept_members: frozenset[str] = frozenset()
    drop_members: frozenset[str] = frozenset()


_EVERY_CHOICE = frozenset({"auto", "any", "tool", "none"})


@dataclass(frozen=True, slots=True)
class Platform:
    """One way Claude is hosted, or a server of another vendor's that reads the same format.

    Attributes:
        name: The column of the table of betas; empty if it has none, and takes no beta.
        title: What people call it.
        members: Of a body's top level; any other is answered with 400, so the list is closed.
        open: Takes every beta, member, tool and block: only a model can refuse something there.
        any_beta: Betas that the table does not have are sent.
        refused_tools: How the types of tools begin that are run by Anthropic, and not there.
        refused_sources: Types of an image's or a document's source.
        refused_edits: Types in `context_management.edits`.
        refused_blocks: Types of blocks that are put in words, or left out.
        refused_places: Further members, named as in the losses: `thinking.display`.
        taken_places: Members that it takes though it has not the beta which unlocks them.
        tool_choices: Types of `tool_choice` that do what they say.
        results_apart: Reads tool results after whatever stands beside them, so that they get a
            message of their own.
        formats: Takes `output_config.format` and strict tools.
        legacy: Has an older interface for the models up to 4.6.
        generation: What its models take that are no Claude models; `None` if it has none of its
            own.
    """

    name: Literal["", "anthropic", "bedrock", "mantle", "vertex", "foundry"]
    title: str
    members: frozenset[str] = frozenset()
    open: bool = False
    any_beta: bool = False
    refused_tools: tuple[str, ...] = ()
    refused_sources: frozenset[str] = frozenset()
    refused_edits: frozenset[str] = frozenset()
    refused_blocks: frozenset[str] = frozenset()
    refused_places: frozenset[str] = frozenset()
    taken_places: frozenset[str] = frozenset()
    tool_choices: frozenset[str] = _EVERY_CHOICE
    results_apart: bool = False
    formats: bool = True
    legacy: bool = False
    generation: Generation | None = None


_EVERYWHERE = frozenset(
    {
        *(
            "model",
            "stream",
            "max_tokens",
            "messages",
            "system",
            "tools",
            "tool_choice",
            "metadata",
        ),
        *("stop_sequences", "temperature", "top_p", "top_k", "thinking", "output_config"),
        *(
            "cache_control",
            "context_management",
            "compaction",
            "safeguards",
            "fallback_credit_token",
        ),
    }
)
_TOOLSETS = ("computer_toolset_", "browser_toolset_")
_SERVER_TOOLS = (
    *("web_fetch_", "code_execution_", "advisor_", "mcp_toolset"),
    *_TOOLSETS,
)
_FETCHED = frozenset({"url", "file"})

ANTHROPIC = Platform("anthropic", "the Anthropic API", open=True, any_beta=True)
"""The API itself, and what speaks all of it at another address."""

# The lists of what is missing are from Anthropic's pages on each platform, August 2026, and from
# Amazon's on InvokeModel; Claude Code's own requests to Bedrock and to Google Cloud have neither
# `context_management` nor members that are not listed here.
BEDROCK = Platform(
    "bedrock",
    "Bedrock",
    _EVERYWHERE | {"user_profile_id"},
    refused_tools=("web_search_", *_SERVER_TOOLS),
    refused_sources=_FETCHED,
    # Claude Code leaves it out there, and LiteLLM cuts it out.
    refused_edits=frozenset({"clear_thinking_20251015"}),
    legacy=True,
)
"""InvokeModel."""
MANTLE = Platform(
    "mantle",
    "Bedrock's Messages endpoint",
    _EVERYWHERE | {"user_profile_id"},
    refused_tools=("web_search_", *_SERVER_TOOLS),
    refused_sources=_FETCHED,
    formats=False,
)
"""The Messages endpoint of `bedrock-mantle`."""
VERTEX = Platform(
    "vertex",
    "Google Cloud",
    _EVERYWHERE,
    refused_tools=_SERVER_TOOLS,
    refused_sources=_FETCHED,
)
"""rawPredict."""
FOUNDRY = Platform(
    "foundry",
    "Foundry",
    _EVERYWHERE | {"service_tier", "container", "mcp_servers"},
    any_beta=True,
    refused_tools=("advisor_", *_TOOLSETS),
)
"""Microsoft Foundry, of deployments that Anthropic hosts: nearly the Anthropic API."""


_MODEL_CALLS = frozenset(
    {
        *("model", "stream", "max_tokens", "messages", "system", "tools", "tool_choice"),
        *("stop_sequences", "temperature", "top_p", "top_k", "thinking"),
    }
)
_BY_BUDGET = frozenset({"enabled", "disabled"})
# What Claude Code's default requests have that a server of another vendor's may not know.
_CLAUDES_OWN = frozenset(
    {
        "thinking.display",
        "tools[].eager_input_streaming",
        "messages[].content[].caller",
    }
)


def compatible(
    title: str, *, effort: bool = False, images: bool = True, documents: bool = False
) -> Platform:
    """Return what another vendor's server takes that reads the Messages format.

    Such servers have the format's core, as it was when thinking had a budget.

    Args:
        title: The vendor's name.
        effort: Takes `output_config.effort`.
        images: Sees images.
        documents: Reads PDFs.
    """
    blocks = {"redacted_thinking"}
    if not images:
        blocks.add("image")
    if not documents:
        blocks.add("document")
    return Platform(
        "",
        title,
        _MODEL_CALLS | ({"output_config"} if effort else set()),
        refused_tools=("web_search_", *_SERVER_TOOLS),
        refused_sources=_FETCHED,
        refused_blocks=frozenset(blocks),
        refused_places=_CLAUDES_OWN,
        taken_places=frozenset({"output_config.effort"} if effort else ()),
        formats=False,
        generation=UNKNOWN._replace(
            name=title,
            thinking=_BY_BUDGET,
            efforts=EFFORTS if effort else (),
            tool_search=False,
        ),
    )


def gateway(title: str) -> Platform:
    """Return what a vendor takes that hands everything on to Claude, among other models."""
    return Platform("anthropic", title, open=True, any_beta=True)
