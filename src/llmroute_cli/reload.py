"""A configuration that is loaded again while it is served.

A good file takes over; a bad one is reported and changes nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from llmroute import Config, ConfigError
from llmroute.config import load_file
from llmroute_cli.configuration import say, say_problems
from llmroute_cli.exposure import exposed

__all__ = ["LOOK_EVERY", "Source"]

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the files."""
_TICKS = 10
"""How often in that time it is found out whether somebody asked; uvicorn does the same."""

# What something was made of before the first request, and is not made of again.
_FIXED_OF_SERVER = ("host", "port", "log")
_FIXED = ("store", "store_prefix", "database", "telemetry")


class _File(NamedTuple):
    """What tells one state of a file from another: of a link, that of the file it leads to."""

    modified: int
    size: int
    device: int
    inode: int


class Source:
    """The file that is served, and what was last made of it.

    Attributes:
        config: What is served: the newest that could be used.
        is_watched: Whether the files are looked at; else it is loaded again when asked for.
        is_asked: Somebody asked for that.
    """

    def __init__(
        self, file: Path | None, config: Config, options: Mapping[str, Any], *, watch: bool = False
    ) -> None:
        """Take what was loaded from `file`.

        Args:
            file: The file; `None` where there is only the environment.
            config: What is served.
            options: Of the command line, which stand above `server` in the file.
            watch: Whether to look at the files.
        """
        self.config = config
        self.is_watched = watch and file is not None
        self.is_asked = False
        self._file = file
        self._options = options
        self._reported = ""
        self._files = set(config.files)
        self._taken = self._seen = {path: _state(path) for path in self._files}

    def ask(self) -> None:
        """Have it loaded again; a signal's handler may call it."""
        self.is_asked = True

    async def changes(self) -> AsyncIterator[Config]:
        """Yield each further configuration as soon as it can be served."""
        ticks = 0
        while True:
            await asyncio.sleep(LOOK_EVERY / _TICKS)
            ticks += 1
            is_due = self.is_watched and ticks % _TICKS == 0
            if self.is_asked or (is_due and await asyncio.to_thread(self.has_changed)):
                config = await asyncio.to_thread(self.load)
                if config is not None:
                    yield config
                    # Whoever takes it comes back for the next when it is served.
                    self.announce()

    def has_changed(self) -> bool:
        """Look at the files, and tell whether they have changed since they were loaded.

        They are believed once two looks in a row saw the same: a file may be written in pieces.
        """
        before, self._seen = self._seen, {path: _state(path) for path in self._taken}
        return before == self._seen != self._taken

    def load(self) -> Config | None:
        """Load the file again; `None` if it cannot be served, and why has been said."""
        is_asked, self.is_asked = self.is_asked, False
        if self._file is None:
            say("what is served comes from the environment, and no process sees that change")
            return None
        # Before it is read: what changes meanwhile is found by the next look.
        self._taken = {path: _state(path) for path in self._taken}
        try:
            loaded = load_file(self._file)
        except ConfigError as error:
            files = {*self._files, *(problem.file for problem in error.problems)}
            # What mends it may be a file that is not there yet, beside one that is.
            self._follow({*files, *(str(Path(name).parent) for name in files)})
            if is_asked or str(error) != self._reported:
                self._reported = str(error)
                say_problems(error.problems)
                say(f"{self._file} cannot be used; what was served before is served still")
            return None
        self._files = set(loaded.files)
        self._follow(self._files)
        self._reported = ""
        say_problems(loaded.warnings, "warning: ")
        config = self._fitted(loaded)
        if open_door := exposed(config):
            say(f"{self._file}: {open_door}")
            say("what was served before is served still")
            return None
        self.config = config
        return config

    def announce(self) -> None:
        """Say that what was loaded last is served."""
        aliases = ", ".join(self.config.aliases)
        say(f"{self._file} was loaded again and takes over; aliases: {aliases}")

    def _fitted(self, loaded: Config) -> Config:
        """Return it with the command line's options, and what cannot change as it was."""
        current = self.config
        server = loaded.server.model_copy(update=dict(self._options))
        stays = {name: getattr(current.server, name) for name in _FIXED_OF_SERVER}
        store = {name: getattr(current, name) for name in _FIXED}
        other = [
            *(f"server.{name}" for name, value in stays.items() if getattr(server, name) != value),
            *(name for name, value in store.items() if getattr(loaded, name) != value),
        ]
        if other:
            say(f"{', '.join(other)}: what is new here holds once the proxy is started again")
        return replace(loaded, server=server.model_copy(update=stays), **store)

    def _follow(self, paths: set[str]) -> None:
        """Look at these from now on, and take them as they were before the file was read."""
        known = self._taken
        self._taken = {path: known[path] if path in known else _state(path) for path in paths}
        self._seen = self._taken


def _state(path: str) -> _File | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - names, most of them of others
    except OSError:
        return None
    return _File(found.st_mtime_ns, found.st_size, found.st_dev, found.st_ino)
