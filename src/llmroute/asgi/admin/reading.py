"""What is sent, against the settings that it has to be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel

from llmroute.accounts.model import Budget, Limits
from llmroute.accounts.secrets import PREFIX, Secret
from llmroute.config.accounts import (
    BudgetSettings,
    KeySettings,
    LimitSettings,
    TeamSettings,
    name_problem,
)
from llmroute.config.document import Document, from_data
from llmroute.config.validation import validated
from llmroute.errors import ConfigError, InvalidRequestError

__all__ = ["as_budgets", "as_limits", "as_name", "as_secret", "bounded", "limits_of", "read"]

M = TypeVar("M", bound=BaseModel)

_MICROS: Final = 1_000_000
_MOST_ITEMS: Final = 200  # of a list
_LONGEST: Final = 200  # characters of one
_LONGEST_MESSAGE: Final = 1000  # characters
_LARGEST_METADATA: Final = 16_384  # bytes
_MOST: Final = 10**12  # of tokens or requests
_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)
# Whoever has the database can try out what somebody thought up.
_SHORTEST_SECRET, _LONGEST_SECRET = 16, 512


def read(model: type[M], body: Mapping[str, Any]) -> M:
    """Return a body as settings; a member that is null counts as left out.

    Raises:
        InvalidRequestError: It is not such; every problem is named.
    """
    _refuse_flags(body)
    document = Document("the body", from_data(body, "the body"))
    settings = validated(document, model, document.data, ())
    try:
        document.check()
    except ConfigError as error:
        words = (f"{each.path}: {each.text}" if each.path else each.text for each in error.problems)
        raise InvalidRequestError("; ".join(words)) from None
    if settings is None:
        raise InvalidRequestError(f"the body is not a {model.__name__}")
    return settings


def _refuse_flags(body: Mapping[str, Any]) -> None:
    """Make sure that no amount is `true`, which would count as 1."""
    budgets = body.get("budgets")
    for name, each in (
        ("limits", body.get("limits")),
        *(("budgets", each) for each in (budgets if isinstance(budgets, list) else ())),
    ):
        if isinstance(each, dict) and any(isinstance(value, bool) for value in each.values()):
            raise InvalidRequestError(f"{name}: must be numbers")


def as_name(name: str, kind: str) -> str:
    """Return the name of a key or a team.

    Raises:
        InvalidRequestError: It cannot have that name.
    """
    if problem := name_problem(name):
        raise InvalidRequestError(f"the name of a {kind} {problem}")
    return name


def as_secret(text: str) -> Secret:
    """Return a key that somebody has chosen or has already.

    Raises:
        InvalidRequestError: It cannot be one, or can be guessed.
    """
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise InvalidRequestError("key: holds a character that a key cannot have")
    if not text.startswith("sk-") or not _SHORTEST_SECRET <= len(text) <= _LONGEST_SECRET:
        raise InvalidRequestError(
            f"key: must begin with sk- and have {_SHORTEST_SECRET} to {_LONGEST_SECRET} "
            f"characters; leave it out, and one that begins with {PREFIX} is drawn"
        )
    return Secret(text)


def as_limits(settings: LimitSettings) -> Limits:
    """Return limits."""
    return Limits(settings.requests_per_minute, settings.tokens_per_minute, settings.parallel)


def as_budgets(settings: Iterable[BudgetSettings]) -> tuple[Budget, ...]:
    """Return budgets, whose ids the directory knows or draws."""
    return tuple(
        Budget("", round(each.amount * _MICROS), each.period, each.alias, each.message)
        for each in settings
    )


def bounded(settings: KeySettings | TeamSettings, metadata: Mapping[str, Any]) -> None:
    """Make sure that nothing is larger than anybody needs.

    Raises:
        InvalidRequestError: Something is.
    """
    for name in ("aliases", "tags"):
        _texts(name, getattr(settings, name))
    limits = as_limits(settings.limits)
    if any(limit and limit > _MOST for limit in limits_of(limits)):
        raise InvalidRequestError(f"limits: must be {_MOST} or less")
    if len(settings.budgets) > _MOST_ITEMS:
        raise InvalidRequestError(f"budgets: must not be more than {_MOST_ITEMS}")
    if len({(each.period, each.alias) for each in settings.budgets}) < len(settings.budgets):
        raise InvalidRequestError("budgets: there may be one for each period and alias")
    for each in settings.budgets:
        _text("budgets: an alias", each.alias)
        if len(each.message) > _LONGEST_MESSAGE:
            raise InvalidRequestError(
                f"budgets: a message must not be longer than {_LONGEST_MESSAGE} characters"
            )
    if isinstance(settings, KeySettings):
        _text("owner", settings.owner)
        if settings.expires is not None and not _FIRST <= settings.expires <= _LAST:
            raise InvalidRequestError("expires: must be a time between 1970 and 9998")
    try:
        size = len(msgspec.json.encode(metadata))
    except RecursionError:
        size = _LARGEST_METADATA + 1
    if size > _LARGEST_METADATA:
        raise InvalidRequestError(f"metadata: must not be over {_LARGEST_METADATA} bytes")


def limits_of(limits: Limits) -> tuple[int | None, ...]:
    """Return each of the limits."""
    return (limits.requests_per_minute, limits.tokens_per_minute, limits.parallel)


def _texts(name: str, values: Collection[str]) -> None:
    if len(values) > _MOST_ITEMS:
        raise InvalidRequestError(f"{name}: must not be more than {_MOST_ITEMS}")
    for value in values:
        if not value:
            raise InvalidRequestError(f"{name}: must not be empty")
        _text(name, value)


def _text(name: str, value: str) -> None:
    if len(value) > _LONGEST:
        raise InvalidRequestError(f"{name}: must not be longer than {_LONGEST} characters")
    if not value.isprintable():
        raise InvalidRequestError(f"{name}: must be printable text")
