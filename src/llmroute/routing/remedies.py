"""What can help after an attempt failed, and for how long its deployment is left alone.

A refusal is looked up by `error.details.error_code` first, then by `error.type`, then by its
status; the configuration's own rows (`routing.errors`) stand above those here.  What no row names
is decided by the error's class, which `llmroute.providers` chose by the same three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from llmroute.errors import MisconfiguredError, RejectedError, Remedy, UpstreamError

__all__ = ["RULES", "Overflow", "Rule", "overflow", "rule_for"]


class Rule(NamedTuple):
    """What to do about one kind of error.

    Attributes:
        remedy: What can help.
        cooldown: Seconds to leave the deployment alone, where there is another; `None` for what
            the upstream asked for, or else the policy's.
    """

    remedy: Remedy
    cooldown: float | None = None


# Nobody mends a key, a bill or a model's name within seconds.
_UNTIL_MENDED = 60.0
_UNTIL_PAID = 300.0

# https://docs.claude.com/en/api/errors
RULES: Mapping[str, Rule] = {
    # By `error.details.error_code`: no retry helps against a limit on spending.
    "contract_spend_limit_reached": Rule(Remedy.ELSEWHERE, _UNTIL_PAID),
    "enforced_spend_limit_reached": Rule(Remedy.ELSEWHERE, _UNTIL_PAID),
    # Only this one request is too much; others are answered.
    "compaction_unavailable": Rule(Remedy.TIME, 0.0),
    # Claude Code sends the whole conversation upon it.
    "thread_unsupported_request": Rule(Remedy.NOTHING),
    # By `error.type`.
    "authentication_error": Rule(Remedy.ELSEWHERE, _UNTIL_MENDED),
    "billing_error": Rule(Remedy.ELSEWHERE, _UNTIL_PAID),
    "permission_error": Rule(Remedy.ELSEWHERE, _UNTIL_MENDED),
    "not_found_error": Rule(Remedy.ELSEWHERE, _UNTIL_MENDED),
    # It is about two requests that met, and not about the deployment.
    "conflict_error": Rule(Remedy.TIME, 0.0),
}


def rule_for(error: UpstreamError, overrides: Mapping[str, Rule]) -> Rule:
    """Return what to do about `error`; `overrides` are keyed by error code, type or status."""
    named = (error.code, error.type, str(error.status))
    for table in (overrides, RULES):
        for name in named:
            if (rule := table.get(name)) is not None:
                return rule
    configured = isinstance(error, MisconfiguredError)
    return Rule(error.remedy, _UNTIL_MENDED if configured else None)


Overflow: TypeAlias = Literal["too_long", "refused"]
"""Why another model may answer what this one does not: the prompt is more than it holds, or it is
something that it will not talk about."""

_TOO_LONG = re.compile(
    r"prompt is too long|exceed context limit|request_too_large|prompt_too_long", re.IGNORECASE
)
_REFUSED = re.compile(
    r"content_policy_violation|content filtering policy|content management policy", re.IGNORECASE
)


def overflow(error: UpstreamError) -> Overflow | None:
    """Tell whether a rejected request may be another model's: `None` if it is wrong for all."""
    if not isinstance(error, RejectedError):
        return None
    said = f"{error.code} {error.type} {error}"
    if _TOO_LONG.search(said):
        return "too_long"
    return "refused" if _REFUSED.search(said) else None
