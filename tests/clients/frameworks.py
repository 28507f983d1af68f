"""Clients of frameworks, made as the documents say, and the programs that put them to use."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from markdown_it import MarkdownIt
from tests.clients import install

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "openai-clients.md"
ADDRESS = "http://127.0.0.1:4000"
_HEADING = "Frameworks"
_PROGRAMS = Path(__file__).parent / "programs"
# Made by the Makefile, beside the tests' own packages and not among them.
_PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
_SECONDS = 50.0


def blocks() -> dict[str, str]:
    """Return the code of the page's section on frameworks; each block has a name, `python name`."""
    found = {}
    heading = ""
    for before, token in itertools.pairwise(MarkdownIt().parse(PAGE.read_text("utf-8"))):
        if before.type == "heading_open" and before.tag == "h2":
            heading = token.content
        if heading == _HEADING and token.type == "fence":
            found[token.info.partition(" ")[2]] = token.content
    return found


class Program:
    """A framework's program, which puts to use one client after the other.

    It runs for as long as the tests do: to load a framework takes longer than to use it.
    """

    def __init__(self, name: str, folder: Path, key: str) -> None:
        self._folder = folder
        self._is_node = name.endswith(".mjs")
        if self._is_node:
            # A module finds its packages by where it stands.
            (folder / "node_modules").symlink_to(install.packages())
        shutil.copy(_PROGRAMS / name, folder)
        self._errors = folder / "errors.txt"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [install.node() if self._is_node else _PYTHON, name],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LLMROUTE_KEY": key},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def use(self, client: str, code: str) -> dict[str, Any]:
        """Use the `model` that the code of a client makes; return what is found out."""
        module = self._folder / f"{client}.{'mjs' if self._is_node else 'py'}"
        module.write_text(f"{code}\nexport {{ model }};\n" if self._is_node else code, "utf-8")
        patience = threading.Timer(_SECONDS, self._process.kill)
        patience.start()
        line = self._ask(str(module))
        patience.cancel()
        assert line, self._errors.read_text("utf-8")
        found: dict[str, Any] = json.loads(line)
        return found

    def _ask(self, line: str) -> str:
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None
        assert told is not None
        try:
            asked.write(f"{line}\n")
            asked.flush()
        except BrokenPipeError:
            return ""
        return told.readline()
