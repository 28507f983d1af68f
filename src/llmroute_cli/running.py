"""Where the proxy runs that a command talks to, and the key it wants."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from llmroute import Config, ConfigError
from llmroute.config import load_file
from llmroute_cli.configuration import MASTER_KEYS, find, key_variable, load, say

__all__ = ["Running", "presented", "running"]

_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - read, not bound to


class Running(NamedTuple):
    """A proxy to talk to.

    Attributes:
        url: Its address, without a slash at the end.
        key: Its master key; `None` where there is none or it is not known.
        variable: The environment variable that holds the key, if one does.
        is_open: Whether it wants no key, as far as can be known here.
        config: What it serves; `None` where that is not known here.
    """

    url: str
    key: str | None
    variable: str | None
    is_open: bool
    config: Config | None = None


def running(path: Path | None, url: str | None) -> Running:
    """Return the proxy at `url`, or the one that serves the configuration.

    Raises:
        typer.Exit: The configuration cannot be used; every problem has been printed.
    """
    config = None if url else _config(path)
    if config is None:
        # Not the environment's own configuration: this shell may be another than the proxy's,
        # and need hold no provider's key.
        variable = key_variable(None, os.environ)
        key = os.environ[variable] if variable else None
        is_open = url is None and key is None and find(path) is None
        return Running((url or "http://127.0.0.1:4000").rstrip("/"), key, variable, is_open)
    server = config.server
    host = server.host if server.host not in _ANY else "127.0.0.1"
    key = server.master_key.get_secret_value() if server.master_key else None
    return Running(
        f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}",
        key,
        key_variable(config, os.environ),
        key is None,
        config,
    )


def _config(path: Path | None) -> Config | None:
    file = find(path)
    if file is None:
        return None
    if path is not None:
        return load(path)
    try:
        return load_file(file)
    except ConfigError as error:
        # Most likely it names a provider's key that only the proxy's own shell holds.
        say(f"passing over {file}, which does not load here: {error.problems[0]}")
        return None


def presented(key: str | None) -> str | None:
    """Return the key to present to a proxy: the one given, else one from the environment."""
    names = (*MASTER_KEYS, "ANTHROPIC_AUTH_TOKEN")
    return key or next((os.environ[name] for name in names if os.environ.get(name)), None)
