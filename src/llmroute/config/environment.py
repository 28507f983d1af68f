"""What the environment says of Anthropic and of the master key, with and without a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from llmroute.config.document import Document, Path
from llmroute.config.model import Server
from llmroute.config.validation import validated

__all__ = [
    "Base",
    "Credential",
    "anthropic_base",
    "anthropic_credential",
    "is_anthropic",
    "is_loopback",
    "is_openai",
    "master_key",
    "master_key_variable",
    "normalised",
]

_KEYS: tuple[tuple[str, Literal["api_key", "auth_token"]], ...] = (
    ("ANTHROPIC_API_KEY", "api_key"),
    ("ANTHROPIC_AUTH_TOKEN", "auth_token"),
)
_BASES = ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")
_MASTER_KEYS = ("LLMROUTE_MASTER_KEY", "LITELLM_MASTER_KEY")
_HERE = frozenset({"localhost", "0.0.0.0", "::", "::1"})  # noqa: S104 - read, not bound to
_PORT = 4000


class Credential(NamedTuple):
    """A credential for Anthropic that the environment holds.

    Attributes:
        variable: Where it stands.
        setting: The deployment's setting that it is.
        value: Itself.
    """

    variable: str
    setting: Literal["api_key", "auth_token"]
    value: SecretStr


def anthropic_credential(environ: Mapping[str, str]) -> Credential | None:
    """Return the credential for Anthropic, if there is one.

    A shell set up for Claude Code behind this proxy has the proxy's own key in
    `ANTHROPIC_AUTH_TOKEN`; it is not for Anthropic, and is passed over.
    """
    ours = {environ[name] for name in _MASTER_KEYS if environ.get(name)}
    _, _, own_proxy = anthropic_base(environ)
    for variable, setting in _KEYS:
        value = environ.get(variable)
        meant_for_us = value in ours or (own_proxy and setting == "auth_token")
        if value and not meant_for_us:
            return Credential(variable, setting, SecretStr(value))
    return None


class Base(NamedTuple):
    """An address for Anthropic that the environment holds.

    Attributes:
        variable: Where it stands; empty if there is none.
        url: The address; `None` if there is none, or it is this very proxy's.
        own_proxy: Whether it is: what is sent there would come back to us for ever.
    """

    variable: str
    url: str | None
    own_proxy: bool


def anthropic_base(environ: Mapping[str, str]) -> Base:
    """Return the address for Anthropic that the environment names."""
    for variable in _BASES:
        if value := environ.get(variable):
            url = normalised(value)
            ours = _is_ours(url)
            return Base(variable, None if ours else url, own_proxy=ours)
    return Base("", None, own_proxy=False)


def normalised(url: str) -> str:
    """Take off what users add to an address and we add ourselves: `/v1/messages`, `/v1`."""
    return url.rstrip("/").removesuffix("/messages").removesuffix("/v1").rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = _host(url)
    return host in _HERE or host.startswith("127.")


def is_anthropic(url: str) -> bool:
    """Whether an address is Anthropic's own."""
    host = _host(url)
    return url.startswith("https://") and (
        host == "anthropic.com" or host.endswith(".anthropic.com")
    )


def is_openai(url: str) -> bool:
    """Whether an address is OpenAI's own."""
    host = _host(url)
    return url.startswith("https://") and (host == "openai.com" or host.endswith(".openai.com"))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_ours(url: str) -> bool:
    try:
        return is_loopback(url) and urlsplit(url).port == _PORT
    except ValueError:
        return False


def master_key(
    document: Document, environ: Mapping[str, str], given: Iterable[tuple[Path, SecretStr | None]]
) -> SecretStr | None:
    """Return the master key: the file's, else the environment's.

    Args:
        document: Where a disagreement is reported.
        environ: The environment.
        given: The places of the file where it may stand, and what stands there.
    """
    places = list(given)
    found = [(path, key) for path, key in places if key is not None]
    if any(document.is_wrong(path) for path, _ in places):
        return None
    if found:
        for path, key in found[1:]:
            if key != found[0][1]:
                document.wrong(path, "is another key than the file's other master_key")
        return found[0][1]
    for variable in _MASTER_KEYS:
        if variable in environ:
            origins: dict[str, Path] = {"master_key": (variable,)}
            server = validated(
                document,
                Server,
                {"master_key": environ[variable]},
                (),
                origins=origins,
            )
            return server.master_key if server else None
    return None


def master_key_variable(environ: Mapping[str, str]) -> str | None:
    """Return the variable that holds the master key, if one does."""
    return next((name for name in _MASTER_KEYS if name in environ), None)
