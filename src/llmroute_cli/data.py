"""Where the program keeps what outlives it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from llmroute.config import Config

__all__ = ["data_directory", "database_url"]

_FILE = "llmroute.db"


def data_directory(environ: Mapping[str, str]) -> Path:
    """Return the folder of this person's data, which need not be there yet."""
    if named := environ.get("LLMROUTE_DATA_DIR"):
        return Path(named).expanduser().absolute()
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "llmroute"


def database_url(config: Config, environ: Mapping[str, str]) -> str:
    """Return the address of the database: the configuration's, else a file among the data."""
    if config.database is not None:
        return config.database.get_secret_value()
    return f"sqlite:///{quote(str(data_directory(environ) / _FILE))}"
