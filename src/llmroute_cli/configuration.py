"""Which configuration a command is about, and what is said of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from llmroute import Config, ConfigError, Problem
from llmroute.config import load_env, load_file

__all__ = ["MASTER_KEYS", "fail", "find", "key_variable", "load", "say", "say_problems"]

_VARIABLES = ("LLMROUTE_CONFIG", "CONFIG_FILE_PATH")
_FILES = ("llmroute.yaml", "config.yaml")
MASTER_KEYS = ("LLMROUTE_MASTER_KEY", "LITELLM_MASTER_KEY")


def say(line: str = "") -> None:
    """Print to stderr, where everything goes that is not a command's result."""
    typer.echo(line, err=True)


def fail(text: str, status: int = 2) -> typer.Exit:
    """Say why it cannot go on; raise what is returned."""
    say(text)
    return typer.Exit(status)


def say_problems(problems: Iterable[Problem], kind: str = "") -> None:
    """Print problems, one a line."""
    for problem in problems:
        say(f"{kind}{problem}")


def find(given: Path | None) -> Path | None:
    """Return the file to load; `None` where there is only the environment."""
    if given is not None:
        return given
    for variable in _VARIABLES:
        if value := os.environ.get(variable):
            return Path(value)
    return next((Path(name) for name in _FILES if Path(name).is_file()), None)


def load(given: Path | None, *, credentials: bool = True) -> Config:
    """Load the file that was given or found, else what the environment holds.

    Prints the warnings.

    Args:
        given: The file.
        credentials: Whether they must exist; if not, it is a configuration to look at.

    Raises:
        typer.Exit: It cannot be used; every problem has been printed.
    """
    file = find(given)
    try:
        if file is None:
            config = _from_environment(credentials=credentials)
        else:
            config = load_file(file, credentials=credentials)
    except ConfigError as error:
        say_problems(error.problems)
        if file is None:
            say(
                "No configuration file was given, and there is no ./llmroute.yaml or ./config.yaml."
            )
        raise typer.Exit(2) from None
    say_problems(config.warnings, "warning: ")
    return config


def _from_environment(*, credentials: bool) -> Config:
    try:
        return load_env()
    except ConfigError:
        if credentials:
            raise
    say("There is no configuration and no key, so it is taken to be as with ANTHROPIC_API_KEY set.")
    return load_env({**os.environ, "ANTHROPIC_API_KEY": "<ANTHROPIC_API_KEY>"})


def key_variable(config: Config | None, environ: Mapping[str, str]) -> str | None:
    """Return the name of a variable that holds the master key, so that none need show the key.

    Without a configuration, the one of the two usual names that is set.
    """
    if config is None:
        return next((name for name in MASTER_KEYS if environ.get(name)), None)
    if config.server.master_key is None:
        return None
    key = config.server.master_key.get_secret_value()
    names = [*MASTER_KEYS, *(name for name in environ if not name.startswith("ANTHROPIC_"))]
    return next((name for name in names if environ.get(name) == key), None)
