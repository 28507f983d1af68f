"""What stands in the configuration, and cannot be changed over HTTP."""

from __future__ import annotations

import hmac

from llmroute.accounts.directory import Wanted
from llmroute.accounts.model import Key, Team
from llmroute.accounts.secrets import digest_of
from llmroute.asgi.admin.route import Asking
from llmroute.errors import ConflictError
from llmroute.ledger import Ledger

__all__ = [
    "configured_keys",
    "configured_teams",
    "found_team",
    "listed",
    "team_unconfigured",
    "unclaimed",
    "unconfigured",
]


def configured_keys(ledger: Ledger) -> list[Key]:
    """Return the keys of the configuration, by name."""
    return sorted(ledger.keyring.configured.values(), key=lambda key: key.name)


def configured_teams(ledger: Ledger) -> list[Team]:
    """Return the teams of the configuration that have a key there, by name."""
    found = {key.team.id: key.team for key in configured_keys(ledger) if key.team is not None}
    return sorted(found.values(), key=lambda team: team.name)


async def listed(ledger: Ledger, wanted: Wanted, limit: int, offset: int) -> tuple[list[Key], int]:
    """Return some of all keys, those of the configuration first, and how many there are."""
    fixed = [key for key in configured_keys(ledger) if wanted.holds_for(key)]
    some = fixed[offset : offset + limit]
    start = max(0, offset - len(fixed))
    others, total = await ledger.directory.page(wanted, limit - len(some), start)
    return [*some, *others], len(fixed) + total


def unconfigured(ledger: Ledger, name: str) -> None:
    """Make sure that a key is not one of the configuration.

    Raises:
        ConflictError: It is.
    """
    if any(name in (key.id, key.name) for key in ledger.keyring.configured.values()):
        raise ConflictError(f"the key {name!r} stands in the configuration; change it there")


def team_unconfigured(ledger: Ledger, name: str) -> None:
    """Make sure that a team is not one of the configuration.

    Raises:
        ConflictError: It is.
    """
    if any(name in (team.id, team.name) for team in configured_teams(ledger)):
        raise ConflictError(f"the team {name!r} stands in the configuration; change it there")


def unclaimed(asking: Asking, digest: bytes) -> None:
    """Make sure that a key is none of the configuration's, nor the master key.

    Raises:
        ConflictError: It is.
    """
    master = asking.router.config.server.master_key
    mastered = master is not None and hmac.compare_digest(
        digest_of(master.get_secret_value()), digest
    )
    if mastered or digest in asking.ledger.keyring.configured:
        raise ConflictError("that key is in use already")


async def found_team(ledger: Ledger, name: str | None) -> Team | None:
    """Return the team that a key is to be of; `None` if it is to be of none.

    Raises:
        UnknownSubjectError: There is no such team in the database.
        ConflictError: It stands in the configuration, whose teams have only keys that do.
    """
    if not name:
        return None
    if any(name in (team.id, team.name) for team in configured_teams(ledger)):
        raise ConflictError(
            f"the team {name!r} stands in the configuration: name its keys there, or make a team "
            "of another name here"
        )
    return await ledger.directory.team(name)
