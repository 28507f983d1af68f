"""Values that stand outside the file: `os.environ/NAME`, `${NAME}`, `${file:/path}`.

Any text in a configuration may refer so.  A reference that leads nowhere is a problem with its
line; it is never replaced by something else, unless the file is loaded only to look at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from llmroute.config.document import Document, Path
from llmroute.config.validation import meant

__all__ = ["ABSENT_DATABASE", "Reader", "placeholder", "resolve"]

Reader: TypeAlias = Callable[[str], str]
"""Returns the text of a file; raises `OSError` or `UnicodeDecodeError`."""

_WHOLE = "os.environ/"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNPRINTABLE = re.compile(r"[^!-~]")
_INLINE = re.compile(r"(\$?)\$\{([^}]*)\}")


# Where a credential may stand, in either dialect.
_CREDENTIALS = frozenset(
    """
    access_key_id api_key api_keys auth_token client_secret credentials credentials_file database
    federated_token_file key master_key password profile secret_access_key session_token sha256
    store username web_identity_token
    aws_access_key_id aws_profile_name aws_secret_access_key aws_session_token
    aws_web_identity_token azure_ad_token azure_password azure_username database_url
    redis_password redis_url redis_username vertex_ai_credentials vertex_credentials
    api-key authorization x-api-key
    """.split()  # noqa: SIM905 - a list of this length would be read by nobody
)
ABSENT_DATABASE = "postgresql://absent/absent"
"""What stands for the address of a database that a variable would have."""
# What stands for those of them that are more than a word.
_WHOLES = {
    "credentials": '{"type": "absent"}',
    "database": ABSENT_DATABASE,
    "database_url": ABSENT_DATABASE,
    "redis_url": "redis://absent",
    "sha256": "0" * 64,
    "store": "redis://absent",
}


class _DeadEndError(Exception):
    """A reference leads nowhere; the message says how."""


class _AbsentError(_DeadEndError):
    """What a reference names is not there, or empty."""


class _Sources(NamedTuple):
    """Where references lead.

    Attributes:
        environ: The variables.
        read: Reads the files.
        placeholders: Whether one stands for what is absent.
    """

    environ: Mapping[str, str]
    read: Reader
    placeholders: bool = False


def placeholder(name: str) -> str:
    """Return what stands for a credential that is not there: nothing that a header cannot have.

    >>> placeholder("ANTHROPIC_API_KEY")
    '<ANTHROPIC_API_KEY>'
    """
    return f"<{_UNPRINTABLE.sub('_', name)}>"


def resolve(document: Document, environ: Mapping[str, str], read: Reader) -> Mapping[str, str]:
    """Replace every reference in `document` by what it refers to.

    Where the document's credentials need not exist, a placeholder stands for one that does not.

    Returns `environ` with the file's own `environment_variables` on top.  Those are resolved first,
    against `environ` alone, so that the rest of the file can refer to them.
    """
    section = "environment_variables"
    own = document.data.get(section)
    if isinstance(own, dict):
        sources = _Sources(environ, read)
        if not document.credentials:
            _drop_absent(own, sources)
        _walk(document, own, (section,), sources)
        environ = {**environ, **_variables(document, own, (section,))}
    sources = _Sources(environ, read)
    for name, value in document.data.items():
        if name != section:
            document.data[name] = _replaced(document, value, (name,), sources)
    return environ


def _drop_absent(own: dict[str, Any], sources: _Sources) -> None:
    """Take out the variables that refer to what is not there: they are not set either."""
    for name, value in list(own.items()):
        try:
            _text(str(value), sources)
        except _AbsentError:
            del own[name]
        except _DeadEndError:
            pass  # reported when it is replaced


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
    name = "" if document.credentials else _credential(path)
    try:
        text = _text(value, sources._replace(placeholders=bool(name) and name not in _WHOLES))
    except _DeadEndError as error:
        if isinstance(error, _AbsentError) and name in _WHOLES:
            return _WHOLES[name]
        document.wrong(path, str(error))
        return None
    if text != value:
        document.references.add(path)
    return text


def _credential(path: Path) -> str:
    """Return which credential stands at a place; empty if it is something else."""
    name = next((step.lower() for step in reversed(path) if isinstance(step, str)), "")
    return name if name in _CREDENTIALS else ""


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
    if value or (empty and value is not None):
        return value
    if sources.placeholders:
        return placeholder(name)
    if value is None:
        near = meant(name, sources.environ)
        raise _AbsentError(f"environment variable {name} is not set{near}")
    raise _AbsentError(f"environment variable {name} is empty")


def _file(name: str, sources: _Sources) -> str:
    try:
        text = sources.read(name).strip()
        problem = "" if text else "the file it names is empty"
    except FileNotFoundError:
        problem = "the file it names does not exist"
    except (OSError, UnicodeDecodeError, ValueError):
        problem = "the file it names cannot be read"
    if not problem:
        return text
    if sources.placeholders:
        return placeholder(name)
    raise _AbsentError(problem)
