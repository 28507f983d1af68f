"""What LiteLLM's paths have in common: how keys are named, how errors are worded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec

from llmroute.accounts.model import Key
from llmroute.accounts.secrets import digest_of
from llmroute.asgi.admin.configured import configured_keys
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.render import Rendered
from llmroute.errors import InvalidRequestError, RequestError, UnknownSubjectError
from llmroute.ledger import Ledger

__all__ = ["ROUTES", "found_key", "litellm_failure", "names_in", "route", "text_in", "tokens"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_TYPES: Final = {
    400: "bad_request_error",
    401: "auth_error",
    403: "auth_error",
    404: "not_found_error",
    409: "bad_request_error",
    413: "bad_request_error",
    503: "service_unavailable_error",
}


def litellm_failure(error: RequestError) -> Rendered:
    """Word an error as LiteLLM does."""
    told = {
        "message": str(error),
        "type": _TYPES.get(error.status, "internal_server_error"),
        "param": "None",
        "code": str(error.status),
    }
    headers = [(b"content-type", b"application/json"), *error.headers]
    return Rendered(error.status, headers, msgspec.json.encode({"error": told}))


def route(method: str, path: str, handler: Any, *, for_all: bool = False) -> Route:
    """Return a page of LiteLLM's; a slash at its end does no harm."""
    return Route(method, re.compile(rf"{path}/?"), handler, for_all, litellm_failure)


async def found_key(ledger: Ledger, given: str) -> Key:
    """Return a key by itself, by its digest, its name or its id.

    Raises:
        UnknownSubjectError: There is none; it is not repeated, for it may be a key.
    """
    digest = None
    if _DIGEST.fullmatch(given.lower()):
        digest = bytes.fromhex(given)
    elif given.startswith("sk-"):
        digest = digest_of(given)
    if digest is not None:
        fixed = ledger.keyring.configured.get(digest)
        found = None if fixed is not None else await ledger.directory.find_key(digest)
        key = fixed or (found and found.key)
        if key is None:
            raise UnknownSubjectError("there is no such key")
        return key
    named = (key for key in configured_keys(ledger) if given in (key.id, key.name))
    return next(named, None) or await ledger.directory.key(given)


async def tokens(ledger: Ledger, keys: Sequence[Key]) -> dict[str, str]:
    """Return what LiteLLM calls the token of each key: its SHA-256 in hex, by id."""
    found = {key.id: digest.hex() for digest, key in ledger.keyring.configured.items()}
    wanted = [key.id for key in keys if key.id not in found]
    return found | await ledger.directory.digests(wanted)


def text_in(body: dict[str, Any], member: str) -> str:
    """Return a member of a request that is text; nothing if it is null or left out.

    Raises:
        InvalidRequestError: It is something else.
    """
    value = body.get(member)
    if value is not None and not isinstance(value, str):
        raise InvalidRequestError(f"{member}: must be text")
    return value or ""


def names_in(body: dict[str, Any], *members: str) -> list[str]:
    """Return the names in members that may be a name, or a list of names.

    Raises:
        InvalidRequestError: They are something else, or there are none.
    """
    found: list[str] = []
    for member in members:
        value = body.get(member)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(each, str) and each for each in values):
            raise InvalidRequestError(f"{member}: must be text, or a list of it")
        found += values
    if not found:
        raise InvalidRequestError(f"{members[0]}: required, and not given")
    return found


# What is managed elsewhere here, or not at all.
_NO_MEMBERS: Final = (
    "A team has keys here, and no members: make a key with this team_id and the person's user_id "
    "by /key/generate."
)
_ELSEWHERE: Final = (
    (r"/team/(?:member_add|member_update|member_delete|bulk_member_add)", _NO_MEMBERS),
    (
        r"/user/(?:new|update|delete|list|bulk_update)",
        "There are no users to be made here: name the person by user_id in /key/generate.",
    ),
    (
        r"/(?:budget|customer|end_user|organization|project|tag|access_group)/.+",
        "There is no such thing here: budgets, owners and tags are part of a key or a team.",
    ),
    (
        r"/model/(?:new|update|delete|\w+/update)",
        "Models stand in the configuration, which a running proxy loads again on SIGHUP.",
    ),
    (
        r"/(?:spend|global)/.+",
        "This is not served: ask /usage, /spend/logs, or /global/spend with keys, teams or models.",
    ),
    (
        r"/key/(?:bulk_update|health|aliases|[^/]+/reset_spend)",
        "This is not served: /key/update, /key/info and /key/list are.",
    ),
)


def _elsewhere(words: str) -> Any:
    async def refuse(_: Asking) -> NoReturn:
        raise InvalidRequestError(words)

    return refuse


ROUTES: Final = tuple(
    route(method, path, _elsewhere(words))
    for path, words in _ELSEWHERE
    for method in ("POST", "GET")
)
