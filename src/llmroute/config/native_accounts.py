"""The native dialect's `keys`, `teams`, `budgets`, `limits`, `guards` and `usage`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import SecretStr

from llmroute.config.accounts import (
    Accounts,
    BudgetSettings,
    Guards,
    KeySettings,
    LimitSettings,
    TeamSettings,
    UsageSettings,
    name_problem,
)
from llmroute.config.document import Document, Path
from llmroute.config.extras import check_accounts
from llmroute.config.validation import meant, names, quoted, section, validated
from llmroute.routing.aliases import Aliases, fits

__all__ = ["NO_KEY_AND_NO_DIGEST", "accounts"]

# The blocks of a key or a team that are read by themselves.
_BLOCKS = ("aliases", "tags", "limits", "budgets")
NO_KEY_AND_NO_DIGEST = "required, and not given: key (a reference, ${CI_KEY} say), or sha256"

S = TypeVar("S", KeySettings, TeamSettings)


def accounts(
    document: Document, aliases: Mapping[str, Any], master_key: SecretStr | None
) -> Accounts:
    """Read who may what; problems are the document's.

    Args:
        document: In the native dialect.
        aliases: The aliases that there are.
        master_key: What no other key may be.
    """
    read = _Reading(document, aliases).read(master_key)
    given = [name for name in Accounts.model_fields if name in document.data]
    check_accounts(document, read, (given[0],) if given else ())
    return read


class _Reading:
    """One document's reading."""

    def __init__(self, document: Document, aliases: Mapping[str, Any]) -> None:
        self._document = document
        self._known = aliases
        self._aliases = Aliases(aliases)

    def read(self, master_key: SecretStr | None) -> Accounts:
        """Return what the document says."""
        document = self._document
        teams = self._blocks("teams", TeamSettings)
        keys = self._blocks("keys", KeySettings)
        for name, key in keys.items():
            self._check_team(key, ("keys", name, "team"))
        return Accounts(
            keys=self._told_apart(keys, master_key),
            teams=teams,
            budgets=self._budgets(document.data.get("budgets"), ("budgets",)),
            limits=self._limits(document.data.get("limits"), ("limits",)),
            guards=validated(document, Guards, self._section("guards"), ("guards",)) or Guards(),
            usage=validated(document, UsageSettings, self._section("usage"), ("usage",))
            or UsageSettings(),
        )

    def _section(self, name: str) -> dict[str, Any]:
        return section(self._document, self._document.data.get(name), (name,))

    def _blocks(self, kind: str, model: type[S]) -> dict[str, S]:
        """Return the blocks of a section that can be used, by name."""
        found = {}
        for name, value in self._section(kind).items():
            at: Path = (kind, name)
            if problem := name_problem(name):
                self._document.wrong(at, f"its name {problem}")
            block = self._block(value, model, at)
            if block is not None:
                found[name] = block
        return found

    def _block(self, value: Any, model: type[S], at: Path) -> S | None:
        document = self._document
        given = dict(section(document, value, at))
        if value is not None and not isinstance(value, dict):
            return None
        apart = {name: given.pop(name, None) for name in _BLOCKS}
        block = validated(document, model, given, at, known=_BLOCKS)
        if block is None:
            return None
        patterns = names(document, apart["aliases"], (*at, "aliases"))
        for path, pattern in patterns:
            self._check_pattern(path, pattern)
        read = {
            "aliases": tuple(pattern for _, pattern in patterns),
            "tags": tuple(tag for _, tag in names(document, apart["tags"], (*at, "tags"))),
            "limits": self._limits(apart["limits"], (*at, "limits")),
            "budgets": self._budgets(apart["budgets"], (*at, "budgets")),
        }
        return block.model_copy(update=read)

    def _limits(self, value: Any, at: Path) -> LimitSettings:
        given = section(self._document, value, at)
        return validated(self._document, LimitSettings, given, at) or LimitSettings()

    def _budgets(self, value: Any, at: Path) -> tuple[BudgetSettings, ...]:
        document = self._document
        if value is not None and not isinstance(value, list):
            document.wrong(at, "must be a list")
            return ()
        found: dict[tuple[str, str], BudgetSettings] = {}
        for index, item in enumerate(value or ()):
            here = (*at, index)
            budget = None
            if isinstance(item, dict):
                budget = validated(document, BudgetSettings, item, here)
            else:
                document.wrong(here, "must be a mapping (amount: 50, period: month)")
            if budget is None:
                continue
            if budget.alias:
                self._check_pattern((*here, "alias"), budget.alias)
            if (budget.period, budget.alias) in found:
                document.wrong(here, "another one above has the same period and alias")
            found[budget.period, budget.alias] = budget
        return tuple(found.values())

    def _check_pattern(self, path: Path, pattern: str) -> None:
        """Warn of a name that nobody could ask for."""
        if not pattern:
            self._document.wrong(path, "must not be empty")
        elif not self._matches(pattern):
            shown = quoted(self._document, path, pattern)
            near = meant(pattern, self._known)
            self._document.warn(path, f"no alias of this file matches {shown}{near}")

    def _matches(self, pattern: str) -> bool:
        if "*" not in pattern:
            return self._aliases.find(pattern) is not None
        return any(_have_in_common(pattern, alias) for alias in self._known)

    def _check_team(self, key: KeySettings, at: Path) -> None:
        teams = self._section("teams")
        if key.team is not None and key.team not in teams:
            shown = quoted(self._document, at, key.team)
            self._document.wrong(at, f"no team is named {shown}{meant(key.team, teams)}")

    def _told_apart(
        self, keys: Mapping[str, KeySettings], master_key: SecretStr | None
    ) -> dict[str, KeySettings]:
        """Return the keys that have one secret each, which is nobody else's."""
        document = self._document
        taken = {} if master_key is None else {_digest(master_key): "the master key"}
        usable = {}
        for name, key in keys.items():
            at: Path = ("keys", name)
            settings = ("key", "sha256")
            if any(document.is_wrong((*at, setting)) for setting in settings):
                continue
            if key.key is None and key.sha256 is None:
                document.wrong(at, NO_KEY_AND_NO_DIGEST)
                continue
            if key.key is not None and key.sha256 is not None:
                document.wrong((*at, "sha256"), "stands beside key; one of them is too many")
            digest = key.sha256 if key.key is None else _digest(key.key)
            if digest in taken and document.credentials:
                place = (*at, "sha256" if key.key is None else "key")
                document.wrong(place, f"is the same as that of {taken[digest]}")
                continue
            taken[digest or ""] = f"the key {quoted(document, at, name)}"
            usable[name] = key
        return usable


def _digest(secret: SecretStr) -> str:
    return hashlib.sha256(secret.get_secret_value().encode()).hexdigest()


def _have_in_common(pattern: str, alias: str) -> bool:
    """Tell whether a name matches both: a pattern with any number of `*`, and an alias."""
    if "*" not in alias:
        return fits(pattern, alias)
    first, *_, last = pattern.split("*")
    prefix, _, suffix = alias.partition("*")
    return _nested(first, prefix, str.startswith) and _nested(last, suffix, str.endswith)


def _nested(one: str, other: str, test: Any) -> bool:
    return bool(test(one, other) or test(other, one))
