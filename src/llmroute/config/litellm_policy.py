"""What LiteLLM's settings say of retries and cooldowns → our policy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from llmroute.config.document import Document, Path
from llmroute.config.litellm_deployment import Entry
from llmroute.config.litellm_groups import Sections
from llmroute.config.validation import meant, section
from llmroute.errors import Remedy
from llmroute.routing.plan import Policy
from llmroute.routing.remedies import Rule

__all__ = ["policy"]

# By LiteLLM's name for its retries, a kind of error that time may help, by its types and statuses.
_RETRIED = {
    "TimeoutErrorRetries": ("timeout_error", "408", "504"),
    "RateLimitErrorRetries": ("rate_limit_error", "429"),
    "InternalServerErrorRetries": ("api_error", "500", "overloaded_error", "529"),
    "ServiceUnavailableErrorRetries": ("503",),
}
_NOT_RETRIED = frozenset(
    {
        "AuthenticationErrorRetries",
        "BadRequestErrorRetries",
        "ContentPolicyViolationErrorRetries",
        "NotFoundErrorRetries",
    }
)
_ALL = "DefaultRetries"


def policy(document: Document, entries: list[Entry], sections: Sections) -> Policy:
    """Return how hard to try."""
    own, router, _ = sections
    retries = _retries(document, entries, sections)
    rules: dict[str, Rule] = {}
    if router.retry_policy is not None:
        retries, rules = _by_error(document, router.retry_policy, retries)
    ours = Policy()
    backoff = router.retry_after or ours.backoff
    cooldown = ours.cooldown if router.cooldown_time is None else router.cooldown_time
    given = (router.allowed_fails, own.allowed_fails, ours.allowed_failures)
    return Policy(
        retries=retries,
        backoff=backoff,
        longest_backoff=max(ours.longest_backoff, backoff),
        patience=max(ours.patience, backoff),
        cooldown=0.0 if router.disable_cooldowns else cooldown,
        longest_cooldown=max(ours.longest_cooldown, cooldown),
        allowed_failures=next(number for number in given if number is not None),
        errors=MappingProxyType(rules),
    )


def _retries(document: Document, entries: list[Entry], sections: Sections) -> int | None:
    own, router, _ = sections
    retries = router.num_retries if router.num_retries is not None else own.num_retries
    each = {entry.retries for entry in entries}
    if retries is None and len(each) == 1:
        return each.pop()
    for entry in entries:
        if entry.retries not in {None, retries} and entry.retries_at:
            document.warn(
                entry.retries_at,
                "ignored: there is one number for all; set router_settings.num_retries",
            )
    return retries


def _by_error(
    document: Document, value: Any, otherwise: int | None
) -> tuple[int | None, dict[str, Rule]]:
    """Return the number of retries, and the rules for the errors that are to have none."""
    at: Path = ("router_settings", "retry_policy")
    given = _numbers(document, section(document, value, at), at)
    otherwise = given.get(_ALL, otherwise)
    numbers = {name: given.get(name, otherwise) for name in _RETRIED}
    retries = max((number for number in numbers.values() if number is not None), default=None)
    rules: dict[str, Rule] = {}
    for name, number in numbers.items():
        if number == 0:
            rules |= dict.fromkeys(_RETRIED[name], Rule(Remedy.ELSEWHERE))
        elif number != retries:
            said = [setting for setting in (name, _ALL) if setting in given]
            place = (*at, *said[:1])
            document.warn(place, f"taken as {retries}, the largest number there is")
    return retries, rules


def _numbers(document: Document, given: Mapping[str, Any], at: Path) -> dict[str, int]:
    known = {*_RETRIED, *_NOT_RETRIED, _ALL}
    numbers = {}
    for name, number in given.items():
        if name not in known:
            document.wrong((*at, name), f"unknown setting{meant(name, known)}")
        elif number is None:
            continue
        elif isinstance(number, bool) or not isinstance(number, int) or number < 0:
            document.wrong((*at, name), "must be a whole number, 0 or more")
        elif name not in _NOT_RETRIED:
            numbers[name] = number
        elif number:
            document.warn((*at, name), "ignored: the same request would fail again")
    return numbers
