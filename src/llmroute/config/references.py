"""Values that stand outside the file: `os.environ/NAME`, `${NAME}`, `${file:/path}`.

Any text in a configuration may refer so.  A reference that leads nowhere is a problem with its
line; it is never replaced by something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from llmroute.config.document import Document, Path
from llmroute.config.validation import meant

__all__ = ["Reader", "resolve"]

Reader: TypeAlias = Callable[[str], str]
"""Returns the text of a file; raises `OSError` or `UnicodeDecodeError`."""

_WHOLE = "os.environ/"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INLINE = re.compile(r"(\$?)\$\{([^}]*)\}")


class _DeadEndError(Exception):
    """A reference leads nowhere; the message says how."""


class _Sources(NamedTuple):
    environ: Mapping[str, str]
    read: Reader


def resolve(document: Document, environ: Mapping[str, str], read: Reader) -> Mapping[str, str]:
    """Replace every reference in `document` by what it refers to.

    Returns `environ` with the file's own `environment_variables` on top.  Those are resolved first,
    against `environ` alone, so that the rest of the file can refer to them.
    """
    section = "environment_variables"
    own = document.data.get(section)
    if isinstance(own, dict):
        _walk(document, own, (section,), _Sources(environ, read))
        environ = {**environ, **_variables(document, own, (section,))}
    sources = _Sources(environ, read)
    for name, value in document.data.items():
        if name != section:
            document.data[name] = _replaced(document, value, (name,), sources)
    return environ


def _variables(document: Document, own: dict[str, Any], at: Path) -> dict[str, str]:
    variables = {}
    for name, value in own.items():
        if isinstance(value, (str, int, float)):
            variables[name] = str(value)
        else:
            document.wrong((*at, name), "must be text")
    return variables


def _walk(document: Document, inside: Any, path: Path, sources: _Sources) -> None:
    steps = inside.items() if isinstance(inside, dict) else enumerate(inside)
    for step, value in list(steps):
        inside[step] = _replaced(document, value, (*path, step), sources)


def _replaced(document: Document, value: Any, path: Path, sources: _Sources) -> Any:
    if isinstance(value, (dict, list)):
        _walk(document, value, path, sources)
        return value
    if not isinstance(value, str):
        return value
    try:
        text = _text(value, sources)
    except _DeadEndError as error:
        document.wrong(path, str(error))
        return None
    if text != value:
        document.references.add(path)
    return text


def _text(value: str, sources: _Sources) -> str:
    if value.startswith(_WHOLE):
        return _variable(value.removeprefix(_WHOLE), sources, empty=False)

    def replace(match: re.Match[str]) -> str:
        escape, reference = match.groups()
        if escape:  # `$${…}` is a literal `${…}`
            return match[0][1:]
        kind, colon, name = reference.partition(":")
        if colon and kind == "file":
            return _file(name, sources)
        return _variable(reference, sources, empty=match[0] != value)

    return _INLINE.sub(replace, value)


def _variable(name: str, sources: _Sources, *, empty: bool) -> str:
    """Look a variable up; as part of a longer text it may be empty, as the whole it may not."""
    if not _NAME.fullmatch(name):
        raise _DeadEndError(
            "is not a reference to a variable or a file; write ${NAME} or ${file:/path}"
        )
    value = sources.environ.get(name)
    if value is None:
        near = meant(name, sources.environ)
        raise _DeadEndError(f"environment variable {name} is not set{near}")
    if not value and not empty:
        raise _DeadEndError(f"environment variable {name} is empty")
    return value


def _file(name: str, sources: _Sources) -> str:
    try:
        text = sources.read(name).strip()
    except FileNotFoundError:
        raise _DeadEndError("the file it names does not exist") from None
    except (OSError, UnicodeDecodeError, ValueError):
        raise _DeadEndError("the file it names cannot be read") from None
    if not text:
        raise _DeadEndError("the file it names is empty")
    return text
