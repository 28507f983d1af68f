"""The reference page on the platforms, generated from their tables."""

# ruff: noqa: E501 - a sentence of a page is one line

from __future__ import annotations

from collections.abc import Iterator

from llmroute.platforms import BEDROCK, FOUNDRY, MANTLE, VERTEX
from llmroute.platforms.betas import BETAS, UNLOCKS
from llmroute.platforms.generations import GENERATIONS

__all__ = ["platforms_reference"]

_PLATFORMS = (BEDROCK, MANTLE, VERTEX, FOUNDRY)

_INTRODUCTION = """\
# Platforms

<!-- Generated from the tables; `make docs` writes it anew. -->

What each platform that hosts Claude is sent of a request.
How the tables are applied, and how a deployment departs from them, is in [Bridging](../concepts/bridging.md).
"""

_BETAS = """\
## Betas

`yes` is sent as it is, another name is what is sent in its place, and an empty cell is left out.
A value that is not in the table is sent to Foundry and to no one else.

The last column says where the row is from: `client` is what Claude Code 2.1.330 sends to that platform itself, `docs` the vendor's documentation, `table` another gateway's forwarding table, and `assumed` nobody's word.
"""

_MEMBERS = """\
## Members

Members of a body's top level that not every platform is sent.
Those that a beta unlocks are in the table above; any other that is not known is sent to none.
"""

_TOOLS = """\
## Tools that run at Anthropic, sources, edits

What is left out, or refused with its place where nothing could take its place.
"""

_MODELS = """\
## Models

What is put in other words for a model that does not take it.
Dates, prefixes and versions of a name do not count, and `base_model` tells what a name does not.
"""


def platforms_reference() -> str:
    """Return the page on the platforms."""
    parts = [_INTRODUCTION, *_betas(), *_members(), *_tools(), *_models()]
    return "\n".join(parts).rstrip() + "\n"


def _head(first: str, *more: str) -> Iterator[str]:
    titles = [first, *more]
    yield "| " + " | ".join(titles) + " |"
    yield "|---" * len(titles) + "|"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _betas() -> Iterator[str]:
    yield _BETAS
    yield from _head("beta", *(each.title for each in _PLATFORMS), "unlocks", "from")
    for name, beta in BETAS.items():
        cells = []
        for platform in _PLATFORMS:
            sent: tuple[str, ...] = getattr(beta, platform.name)
            cells.append("yes" if sent == (name,) else ", ".join(f"`{each}`" for each in sent))
        unlocks = ", ".join(f"`{place}`" for place in sorted(UNLOCKS[name]))
        yield _row(f"`{name}`", *cells, unlocks, f"`{beta.source}`")
    yield ""


def _members() -> Iterator[str]:
    yield _MEMBERS
    yield from _head("member", *(each.title for each in _PLATFORMS))
    everything = set().union(*(each.members for each in _PLATFORMS))
    for member in sorted(everything):
        taken = [member in platform.members for platform in _PLATFORMS]
        if not all(taken):
            yield _row(f"`{member}`", *("yes" if each else "" for each in taken))
    yield ""


def _tools() -> Iterator[str]:
    yield _TOOLS
    yield from _head("platform", "types of tools", "sources", "edits", "")
    for platform in _PLATFORMS:
        yield _row(
            platform.title,
            ", ".join(f"`{kind}*`" for kind in platform.refused_tools),
            ", ".join(f"`{kind}`" for kind in sorted(platform.refused_sources)),
            ", ".join(f"`{kind}`" for kind in sorted(platform.refused_edits)),
            "" if platform.formats else "`output_config.format`, `strict`",
        )
    yield ""


def _models() -> Iterator[str]:
    yield _MODELS
    titles = ("thinking", "effort", "`max_tokens`", "forced tool", "sampling", "prefill")
    yield from _head("model", *titles, "system messages")
    for model in GENERATIONS.values():
        flags = (model.forced_tools, model.sampling, model.prefill, model.system_messages)
        yield _row(
            f"`{model.name}`",
            ", ".join(f"`{kind}`" for kind in sorted(model.thinking or ())),
            ", ".join(f"`{effort}`" for effort in model.efforts),
            str(model.max_tokens or ""),
            *("yes" if flag else "" for flag in flags),
        )
