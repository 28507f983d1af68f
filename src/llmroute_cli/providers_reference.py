"""The reference page on the providers, generated from their tables."""

# ruff: noqa: E501 - a sentence of a page is one line

from __future__ import annotations

from collections.abc import Iterator

from llmroute.providers.vendors import CHECKED, VENDORS, Vendor
from llmroute_cli.providers import listed

__all__ = ["providers_reference"]

_INTRODUCTION = """\
# Providers

<!-- Generated from the tables; `make docs` writes it anew. -->

What may stand as `provider:` in a configuration, and before the model in LiteLLM's `model_list`.
`llmroute providers` lists the same, and tells for which of them the environment holds a key.

A provider that is spoken to in Messages gets a request as it came in, or nearly so; the others get a translation.
How to use them, and what is lost, is in [Claude Code on any model](../guides/any-model.md).
"""

_VENDORS = f"""\
## Vendors

A vendor's name stands for `anthropic_compatible` where it reads the Messages format, else for `openai_compatible`, with the settings of its row.
Any setting of [those](config.md) stands above the row's, `base_url` included.
With `api: chat` a vendor that has both is spoken to by Chat Completions.

A row is from `docs`, the vendor's documentation or models.dev, or from `table`, another gateway's table, which is not the vendor's word; last compared on {CHECKED}.
"""

_QUIRKS = """\
## What vendors differ in

Settings of `openai_compatible` that a row has, where Chat Completions are spoken.
"""

_LEFT_OUT = """\
## What is left out for vendors that read Messages

OpenRouter, the Vercel AI Gateway and a LiteLLM proxy are sent everything, for they hand it on to Claude.
All others get the core of the format: betas and what they unlock, `context_management`, `metadata`, deferred tools, tools that run at Anthropic, `strict`, `redacted_thinking` and the attribution block are left out; adaptive thinking becomes a budget, and system messages between the others become reminders.
A row of this table says what else is put in words, and who takes an effort.
"""


def providers_reference() -> str:
    """Return the page on the providers."""
    parts = [_INTRODUCTION, *_own(), *_vendors(), *_left_out(), *_quirks()]
    return "\n".join(parts).rstrip() + "\n"


def _own() -> Iterator[str]:
    yield "## With settings of their own\n"
    yield "| provider | | address | spoken to in | key |"
    yield "|---|---|---|---|---|"
    for each in listed():
        if not each.source:
            keys = ", ".join(f"`{key}`" for key in each.keys)
            cells = f"`{each.provider}` | {each.title} | `{each.address}` | {each.format} | {keys}"
            yield f"| {cells} |"
    yield ""


def _vendors() -> Iterator[str]:
    yield _VENDORS
    yield "| provider | | Messages | Chat Completions | key | counts tokens | from |"
    yield "|---|---|---|---|---|---|---|"
    for vendor in VENDORS.values():
        cells = (
            f"`{vendor.name}`",
            vendor.title,
            ", ".join(f"`{each.messages}`" for each in vendor.addresses if each.messages),
            ", ".join(f"`{each.chat}`" for each in vendor.addresses if each.chat),
            ", ".join(f"`{key}`" for key in vendor.keys),
            "yes" if vendor.counts else "",
            f"`{vendor.source}`",
        )
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _left_out() -> Iterator[str]:
    yield _LEFT_OUT
    yield "| provider | put in words | takes an effort |"
    yield "|---|---|---|"
    for vendor in VENDORS.values():
        if vendor.platform is not None and not vendor.platform.open:
            kinds = sorted(vendor.platform.refused_blocks & {"image", "document"})
            effort = "output_config.effort" in vendor.platform.taken_places
            words = ", ".join(f"`{kind}`" for kind in kinds)
            yield f"| `{vendor.name}` | {words} | {'yes' if effort else ''} |"
    yield ""


def _quirks() -> Iterator[str]:
    yield _QUIRKS
    yield "| provider | settings |"
    yield "|---|---|"
    for vendor in VENDORS.values():
        if vendor.chat:
            yield f"| `{vendor.name}` | {_settings(vendor)} |"
    yield ""


def _settings(vendor: Vendor) -> str:
    return ", ".join(f"`{name}: {_shown(value)}`" for name, value in vendor.chat.items())


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case dict():
            return f"{{{', '.join(f'{name}: {_shown(each)}' for name, each in value.items())}}}"
        case "":
            return "''"
        case _:
            return str(value)
