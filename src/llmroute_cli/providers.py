"""`llmroute providers`: whom it can speak to, where, in which format, and with whose key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import typer

from llmroute.providers.anthropic import DEFAULT_BASE_URL
from llmroute.providers.openai import DEFAULT_BASE_URL as OPENAI_BASE_URL
from llmroute.providers.vendors import VENDORS, Vendor
from llmroute_cli import table

__all__ = ["Listed", "listed", "providers"]

MESSAGES, CHAT = "Messages", "Chat Completions"
_YOURS = "base_url"


class Listed(NamedTuple):
    """A provider, as it is listed.

    Attributes:
        provider: As written in `provider:`.
        title: As people write it.
        address: Where it is; `base_url` where the configuration has to say so.
        format: What it is spoken to in.
        native: That is Anthropic's own: requests go out as they came in, or nearly so.
        keys: The variables that hold its key, the usual one first; none where it has other
            credentials, or needs none.
        source: Where a vendor's row is from; empty for what is no vendor.
    """

    provider: str
    title: str
    address: str
    format: str
    native: bool
    keys: tuple[str, ...]
    source: str = ""


_AZURE = "https://RESOURCE.openai.azure.com"
_CLOUDS = (
    Listed(
        "anthropic",
        "Anthropic",
        DEFAULT_BASE_URL,
        MESSAGES,
        native=True,
        keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    ),
    Listed("anthropic_compatible", "any such server", _YOURS, MESSAGES, native=True, keys=()),
    Listed(
        "azure_openai",
        "Azure OpenAI",
        _AZURE,
        f"{CHAT}, Responses",
        native=False,
        keys=("AZURE_API_KEY",),
    ),
    Listed(
        "bedrock",
        "Amazon Bedrock",
        "https://bedrock-runtime.REGION.amazonaws.com",
        f"{MESSAGES}, Converse",
        native=True,
        keys=("AWS_BEARER_TOKEN_BEDROCK",),
    ),
    Listed(
        "foundry",
        "Microsoft Foundry",
        "https://RESOURCE.services.ai.azure.com",
        MESSAGES,
        native=True,
        keys=("AZURE_AI_API_KEY",),
    ),
    Listed(
        "gemini",
        "Gemini",
        "https://generativelanguage.googleapis.com",
        "generateContent",
        native=False,
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
    Listed(
        "openai", "OpenAI", OPENAI_BASE_URL, "Responses", native=False, keys=("OPENAI_API_KEY",)
    ),
    Listed("openai_compatible", "any such server", _YOURS, CHAT, native=False, keys=()),
    Listed(
        "vertex",
        "Claude on Vertex AI",
        "https://LOCATION-aiplatform.googleapis.com",
        MESSAGES,
        native=True,
        keys=(),
    ),
)


def listed() -> Iterator[Listed]:
    """Return every provider there is, by name: those with settings of their own, then vendors."""
    yield from _CLOUDS
    for vendor in VENDORS.values():
        yield _listed(vendor)


def _listed(vendor: Vendor) -> Listed:
    native = vendor.platform is not None
    address = vendor.base.messages if native else vendor.base.chat
    form = MESSAGES if native else CHAT
    return Listed(
        vendor.name, vendor.title, address or _YOURS, form, native, vendor.keys, vendor.source
    )


def providers(*, as_json: bool) -> None:
    """Print the providers, and for which of them the environment holds a key."""
    if as_json:
        found = [{**each._asdict(), "found": _found(each, os.environ) or None} for each in listed()]
        typer.echo(msgspec.json.encode(found))
        return
    rows = [_row(each, os.environ) for each in listed()]
    table.show(("provider", "address", "spoken to in", "key", ""), rows)


def _found(each: Listed, environ: Mapping[str, str]) -> str:
    """Return the variable that holds a key, if one does."""
    return next((name for name in each.keys if environ.get(name)), "")


def _row(each: Listed, environ: Mapping[str, str]) -> tuple[str, ...]:
    form = f"{each.format}, native" if each.native else f"{each.format}, translated"
    found = _found(each, environ)
    usual = each.keys[0] if each.keys else ""
    return each.provider, each.address, form, found or usual, "set" if found else ""
