"""Data against the models, with problems in our words, at their lines, and without the values.

pydantic's own messages are not shown: some of them quote the input, and one of those is a key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from llmroute.config.document import Document, Path

__all__ = ["check_headers", "meant", "names", "quoted", "section", "validated"]

M = TypeVar("M", bound=BaseModel)

_MAPPING = "must be a mapping (name: value)"
_WORDS = {
    "missing": "required, and not given",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "literal_error": "must be {expected}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "value_error": "{error}",
}
_ADDRESSES = frozenset({"api_base", "base_url"})
# How the names of secrets end that are in no header.
_NOT_SENT = ("password", "database", "database_url")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


def meant(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)`, or nothing if no known name is near."""
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f" (did you mean '{near[0]}'?)" if near else ""


def quoted(document: Document, path: Path, name: str) -> str:
    """Return a name in quotes for a message, but not what came from outside or may be a key."""
    secret = path in document.references or name.lower().startswith(("sk-", "bearer "))
    return "that name" if secret else f"'{name}'"


def section(document: Document, value: Any, path: Path) -> dict[str, Any]:
    """Return a mapping of settings; one that is not there, or has nothing in it, is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        document.wrong(path, _MAPPING)
        return {}
    return value


def names(document: Document, value: Any, path: Path) -> list[tuple[Path, str]]:
    """Return the names in one name or a list of them, each with where it stands."""
    if isinstance(value, str):
        return [(path, value)]
    if not isinstance(value, list):
        if value is not None:
            document.wrong(path, "must be a name or a list of names")
        return []
    found = []
    for index, name in enumerate(value):
        if isinstance(name, str):
            found.append(((*path, index), name))
        else:
            document.wrong((*path, index), "must be a name")
    return found


def validated(
    document: Document,
    model: type[M],
    data: Mapping[str, Any],
    at: Path,
    *,
    origins: Mapping[str, Path] | None = None,
    known: Iterable[str] = (),
    hints: Mapping[str, str] | None = None,
) -> M | None:
    """Return a `model` of `data`, reporting what is wrong with it; `None` if there is no way.

    Settings that are wrong are left out of the result, so that reading can go on and find more.

    Args:
        document: Where problems are reported.
        model: What `data` is to become.
        data: The settings.
        at: Where they stand in the document.
        origins: Where single settings stand, if not under `at` by their own name.
        known: Names to suggest for an unknown one, besides the model's.
        hints: What to say of a name the model does not have.
    """

    def path_of(location: tuple[str | int, ...]) -> Path:
        if origins and location and location[0] in origins:
            return (*origins[str(location[0])], *location[1:])
        return (*at, *location)

    given = {}
    for name, value in data.items():
        refusal = _refusal(model, name, value)
        if refusal:
            document.wrong(path_of((name,)), refusal)
        elif value is not None:
            given[name] = value
    while True:
        try:
            return model.model_validate(given)
        except ValidationError as failure:
            errors = failure.errors(include_url=False)
        for error in errors:
            name = str(error["loc"][0]) if error["loc"] else ""
            if error["type"] == "extra_forbidden":
                near = meant(name, {*model.model_fields, *known})
                text = (hints or {}).get(name) or f"unknown setting{near}"
            else:
                text = _worded(error)
            document.wrong(path_of(error["loc"]), text)
        if not {str(error["loc"][0]) if error["loc"] else "" for error in errors} <= set(given):
            return None
        for error in errors:
            given.pop(str(error["loc"][0]), None)


def _worded(error: ErrorDetails) -> str:
    words = _WORDS.get(error["type"], "is not what belongs here").format(**error.get("ctx", {}))
    given = error["input"]
    if error["type"] == "string_type" and isinstance(given, (bool, int, float)):
        return words + "; put it in quotes"
    if error["type"] == "literal_error" and isinstance(given, str):
        return words + meant(given, re.findall(r"'([^']+)'", words))
    return words


def _refusal(model: type[BaseModel], name: str, value: Any) -> str | None:
    """Say what pydantic would let pass: nothing for a key, `true` for a number, infinity."""
    field = model.model_fields.get(name)
    if field is None:
        return None
    kinds = set(get_args(field.annotation) or (field.annotation,)) - {NoneType}
    if value is None:
        needed = field.is_required() or SecretStr in kinds or name in _ADDRESSES
        return "has no value" if needed else None
    if SecretStr in kinds:
        return _refusal_of_secret(value, sent=not name.endswith(_NOT_SENT))
    if kinds <= {int, float}:
        if isinstance(value, bool):
            return "must be a number"
        if isinstance(value, float) and not math.isfinite(value):
            return "must be a finite number"
    return None


def _refusal_of_secret(value: Any, *, sent: bool) -> str | None:
    """Say what is wrong with a secret, which may be `sent` in a header as it is."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str):
        if not text.strip():
            return "is empty"
        if sent and (not (text.isascii() and text.isprintable()) or " " in text):
            return "holds a character that a key cannot have"
    return None


def check_headers(document: Document, headers: Mapping[str, str], at: Path) -> None:
    """Report the names and values that HTTP does not allow; one of them could add a header."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            document.wrong((*at, name), "is not the name of a header")
        elif not _HEADER_VALUE.fullmatch(value):
            document.wrong((*at, name), "holds a character that a header cannot have")
