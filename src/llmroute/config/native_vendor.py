"""`provider: VENDOR` in the native dialect → a provider's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import SecretStr

from llmroute.config.document import Document, Path
from llmroute.config.references import placeholder
from llmroute.config.vendors import carries_key, settled
from llmroute.providers.vendors import Vendor

__all__ = ["API", "Expanded", "expanded"]

API = (
    "The format a vendor is spoken to in, if it has both: `messages`, or `chat` for Chat"
    " Completions; `messages` if left out."
)
"""What is said of the setting `api`, which stands beside a vendor's name alone."""

_FORMATS = ("chat", "messages")


class Expanded(NamedTuple):
    """What a deployment's settings become.

    Attributes:
        settings: Those of the provider, which is one of them.
        origins: Where they stand, if not under their own name.
    """

    settings: dict[str, Any]
    origins: Mapping[str, Path]


def expanded(
    document: Document,
    vendor: Vendor,
    given: Mapping[str, Any],
    at: Path,
    places: Mapping[str, Path],
) -> Expanded | None:
    """Fill in what a vendor's row says; a setting that is given stands above it.

    Args:
        document: Where problems are reported.
        vendor: Its row.
        given: The settings in the file.
        at: Where they stand.
        places: Where single ones stand, if not under their own name.

    Returns:
        `None` if it cannot be done, which has been reported.
    """
    own = {name: value for name, value in given.items() if name not in ("api", "provider")}
    form, base = given.get("api"), given.get("base_url")
    if form is not None and form not in _FORMATS:
        document.wrong((*at, "api"), "must be 'messages' or 'chat'")
    if form == "messages" and vendor.platform is None:
        document.wrong((*at, "api"), f"{vendor.title} does not read the Messages format")
    if base is None and not vendor.addresses:
        document.wrong((*at, "base_url"), "required, and not given: it is of your account's own")
        return None
    base = base if isinstance(base, str) else None
    row = settled(vendor, base, chat=form == "chat", trusting=True)
    own.pop("base_url", None)
    if "extra_body" in row and isinstance(own.get("extra_body"), dict):
        own["extra_body"] = {**row["extra_body"], **own["extra_body"]}
    settings = {**row, **own}
    origins = {"base_url": (*at, "base_url"), **places}
    headers = given.get("headers")
    proved = carries_key(headers) if isinstance(headers, dict) else False
    if vendor.key_needed and not (proved or "api_key" in given or "auth_token" in given):
        if document.credentials:
            text = f"required, and not given; ${{{vendor.keys[0]}}}, say"
            document.wrong((*at, "api_key"), text)
        settings["api_key"] = SecretStr(placeholder("api_key"))
    is_native = row["provider"] == "anthropic_compatible"
    if is_native and "api_key" in settings and "auth_token" not in settings:
        settings["auth_token"] = settings.pop("api_key")
        origins["auth_token"] = origins.pop("api_key", (*at, "api_key"))
    return Expanded(settings, origins)
