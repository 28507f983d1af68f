"""The one door to a configuration: a file, a dict or the environment → `Config`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from llmroute.config import found, native
from llmroute.config.document import Document, Path, Source, from_data, from_yaml
from llmroute.config.litellm_keys import LITELLM_SECTIONS
from llmroute.config.model import Config
from llmroute.config.references import resolve
from llmroute.errors import ConfigError, Problem

__all__ = ["load_dict", "load_env", "load_file"]


def load_file(
    path: str | os.PathLike[str],
    environ: Mapping[str, str] | None = None,
    *,
    credentials: bool = True,
) -> Config:
    """Read a YAML file in either dialect, with what it includes.

    Args:
        path: The file.
        environ: Where variables are looked up; this process's environment if left out.
        credentials: Whether the credentials must exist.  If not, a placeholder stands for one that
            is left out or refers to nothing, nothing is shared, and all else is checked as ever:
            such a configuration is to look at, and not to serve.

    Raises:
        ConfigError: With every problem of every file at once.
    """
    name = os.fspath(path)
    try:
        text = _read(FilePath(name))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(name, 0, "", _why(error))]) from None
    main = _Main(name, from_yaml(text, name), FilePath(name).parent, [name])
    return _config(main, environ, credentials=credentials)


def load_dict(data: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """Read settings from a dict, as a file in either dialect would hold them.

    Raises:
        ConfigError: With every problem at once; there are no lines.
    """
    return _config(_Main("<dict>", from_data(data, "<dict>"), FilePath(), []), environ)


def load_env(environ: Mapping[str, str] | None = None) -> Config:
    """Build a configuration from the providers' keys in the environment; `found` says which.

    Raises:
        ConfigError: There is no key.
    """
    return found.config(os.environ if environ is None else environ)


class _Main(NamedTuple):
    """What a configuration begins with.

    Attributes:
        name: The file, or what stands for it.
        source: What it holds.
        folder: Where the names of other files start.
        files: The files that were opened so far; those opened later are added.
    """

    name: str
    source: Source
    folder: FilePath
    files: list[str]


def _config(main: _Main, environ: Mapping[str, str] | None, *, credentials: bool = True) -> Config:
    included = _included(main)
    document = Document(main.name, main.source, credentials=credentials)
    for source in included:
        document.merge(source)
    data = document.data
    ours = sorted(data.keys() & {"deployments", "aliases"})
    theirs = sorted(data.keys() & LITELLM_SECTIONS)
    if not data:
        document.wrong((), "is empty; a model_list, or deployments and aliases, belong here")
    elif ours and theirs:
        document.wrong((theirs[0],), f"is LiteLLM's, and {ours[0]} is not; use one dialect")
    if not data or (ours and theirs):
        document.check()

    def read(file: str) -> str:
        main.files.append(os.fspath(main.folder / file))
        return _read(main.folder / file)

    environ = resolve(document, os.environ if environ is None else environ, read)
    if theirs:
        # Here and not at the top: it takes a while to import, and no other file needs it.
        from llmroute.config import litellm

        config = litellm.read(document, environ)
    else:
        config = native.read(document, environ)
    document.check()
    return replace(config, files=tuple(dict.fromkeys(main.files)))


def _included(main: _Main) -> list[Source]:
    """Read the files that `include` names, and those that they name in turn."""
    opened = {os.path.normpath(main.name)}
    sources: list[Source] = []
    waiting = [(main.source, main.folder)]
    while waiting:
        source, here = waiting.pop(0)
        value = source.data.pop("include", None)
        for index, file in enumerate(value if isinstance(value, list) else [value]):
            path: Path = ("include", index) if isinstance(value, list) else ("include",)
            if file is None:
                continue
            if not isinstance(file, str):
                source.problems[path] = "must be the name of a file"
                continue
            target = here / file
            if os.path.normpath(target) in opened:
                source.problems[path] = "is included already"
                continue
            opened.add(os.path.normpath(target))
            main.files.append(os.fspath(target))
            try:
                found = from_yaml(_read(target), os.fspath(target))
            except (OSError, UnicodeDecodeError) as error:
                source.problems[path] = f"the file {_why(error)}"
                continue
            sources.append(found)
            waiting.append((found, target.parent))
    return sources


def _read(file: FilePath) -> str:
    # An editor's byte order mark is not a part of the first setting.
    return file.read_text(encoding="utf-8-sig")


def _why(error: OSError | UnicodeDecodeError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case UnicodeDecodeError():
            return "is not UTF-8"
        case IsADirectoryError():
            return "is a directory"
        case _:
            return "cannot be read"
