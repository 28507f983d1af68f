"""What of Claude Code works on which format: the tests prove it, and a page shows it.

`python -m tests.claude.what_works docs/reference` writes the page anew.
"""

# ruff: noqa: E501 - a sentence of a page is one line

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from llmroute.providers.vendors import VENDORS
from llmroute_cli.providers import MESSAGES, Listed, listed

from .formats import ANTHROPIC, CHAT, CONVERSE, FORMATS, GEMINI, RESPONSES, VENDOR, Format
from .install import VERSION

PAGE = "what-works.md"

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "prompt": "a prompt, answered in a stream",
        "thinking": "thinking is shown",
        "reasoning": "the model gets its own reasoning back, also after the proxy was restarted",
        "parallel": "several tools at once, one of which fails",
        "image": "reading an image",
        "pdf": "reading a PDF",
        "mcp": "tool search, and an MCP server's tool with a long name",
        "search": "web search",
        "subagent": "a subagent",
        "auto": "auto mode",
        "resume": "a conversation resumed by another process",
        "overflow": "a prompt that is too long is compacted, and the turn goes on",
        "compact": "`/compact`",
        "context": "`/context`",
    }
)
"""What a user does, by the name of the check that proves it."""

_INTRODUCTION = f"""\
# What works on which provider

<!-- Generated from the tests; `make docs` writes it anew. -->

Each cell of the first table is a test of `make test-claude`: Claude Code {VERSION}, the proxy, and behind it a server that is as strict as the real one.
Where it says `yes`, the client did it and the server refused nothing; elsewhere it says what becomes of it, and the conversation goes on all the same.

## By format
"""

_PROVIDERS = """\
## By provider

The format in which a provider is spoken to decides which column of the first table holds; two are named where it depends on the model.
Its row in [Providers](providers.md) says in what it differs.
What a model cannot do at all, such as thinking or seeing, no format gives it.
"""

_OWN: Mapping[str, tuple[Format, ...]] = MappingProxyType(
    {
        "anthropic_compatible": (VENDOR,),
        "azure_openai": (CHAT, RESPONSES),
        "bedrock": (ANTHROPIC, CONVERSE),
        "gemini": (GEMINI,),
        "openai": (RESPONSES,),
        "openai_compatible": (CHAT,),
    }
)
_CLOUDS = "but for what [the cloud](platforms.md) lacks"
_OPEN = "also what Anthropic alone has, where it hands the request on to Claude"


def page() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_formats(), _PROVIDERS, *_providers()])


def _formats() -> Iterator[str]:
    yield f"| | {' | '.join(each.title for each in FORMATS)} |"
    yield "|---" * (1 + len(FORMATS)) + "|"
    for feature, words in FEATURES.items():
        yield f"| {words} | {' | '.join(_cell(feature, each) for each in FORMATS)} |"
    yield ""


def _cell(feature: str, spoken: Format) -> str:
    if feature in spoken.lost:
        return spoken.lost[feature]
    match feature:
        case "auto" if spoken.judged:
            return "yes, with a [classifier](../guides/any-model.md#auto-mode)"
        case "context":
            return f"yes, {'counted there' if spoken.counts else 'estimated'}"
    return "yes"


def _providers() -> Iterator[str]:
    yield "| provider | is | column above | and |"
    yield "|---|---|---|---|"
    for each in listed():
        columns = ", ".join(spoken.title for spoken in _columns(each))
        yield f"| `{each.provider}` | {each.title} | {columns} | {_differing(each)} |"
    yield ""


def _columns(provider: Listed) -> tuple[Format, ...]:
    if provider.source:
        return (VENDOR,) if provider.format == MESSAGES else (CHAT,)
    return _OWN.get(provider.provider, (ANTHROPIC,))


def _differing(provider: Listed) -> str:
    """Say what works on a vendor that does not on its format, and the other way round."""
    if ANTHROPIC in _columns(provider):
        return "" if provider.provider == "anthropic" else _CLOUDS
    vendor = VENDORS.get(provider.provider)
    if vendor is None or vendor.platform is None:
        return ""
    if vendor.platform.open:
        return _OPEN
    words = [] if "image" in vendor.platform.refused_blocks else ["reads images"]
    words += ["counts tokens"] if vendor.counts else []
    return ", ".join(words)


if __name__ == "__main__":
    (Path(sys.argv[1]) / PAGE).write_text(page(), encoding="utf-8")
