"""A vendor's name and an address → the provider that speaks to it, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from llmroute.config.environment import normalised
from llmroute.providers.vendors import Vendor

__all__ = ["carries_key", "settled", "speaks_messages_at"]

_CHAT = "/chat/completions"
# How the path of a Messages endpoint is told from that of Chat Completions.
_MESSAGES_PATH = "/anthropic"
_KEY_HEADERS = frozenset({"api-key", "authorization", "x-api-key"})


def settled(vendor: Vendor, base: str | None, *, chat: bool, trusting: bool) -> dict[str, Any]:
    """Return the settings of a deployment at a vendor: the provider, the address, the quirks.

    Args:
        vendor: Its row.
        base: The address that the configuration names, if it does.
        chat: Chat Completions is asked for, though there may be Messages.
        trusting: An address that is not the vendor's own is taken to be one of Messages, if the
            vendor has that; else only if it looks so.
    """
    messages = "" if chat else speaks_messages_at(vendor, base, trusting=trusting)
    if messages:
        return {
            "provider": "anthropic_compatible",
            "vendor": vendor.name,
            "base_url": messages,
        }
    url = vendor.base.chat if base is None else base.rstrip("/").removesuffix(_CHAT)
    if base is not None and (known := vendor.at(base)) and _MESSAGES_PATH in base:
        url = known.chat
    named = {"base_url": url} if url else {}
    return {"provider": "openai_compatible", "vendor": vendor.name, **vendor.chat, **named}


def speaks_messages_at(vendor: Vendor, base: str | None, *, trusting: bool) -> str:
    """Return where the vendor reads the Messages format; empty if it does not there."""
    if vendor.platform is None:
        return ""
    if base is None:
        return vendor.base.messages
    if vendor.own_server:
        return normalised(base.rstrip("/").removesuffix(_CHAT))
    known = vendor.at(base)
    if known is not None:
        return known.messages
    looks_so = _MESSAGES_PATH in urlsplit(base).path or base.endswith("/v1/messages")
    return normalised(base) if trusting or looks_so else ""


def carries_key(headers: Mapping[str, Any]) -> bool:
    """Whether one of the headers is a credential."""
    return any(name.lower() in _KEY_HEADERS for name in headers)
