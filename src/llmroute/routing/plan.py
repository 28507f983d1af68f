"""The plan of one call: which step comes next, given how the last one ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from llmroute.errors import Remedy, UpstreamError

__all__ = ["GiveUp", "Plan", "Policy", "Step", "Try", "Wait"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard to try.  Times are in seconds."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    retries: int | None = None
    """Further attempts at the same deployment.  Left out: 2 in process, as the Anthropic SDK has
    it, and 0 over HTTP, where the client retries by itself and would multiply ours."""
    backoff: float = 0.5
    """The wait before the first of them; doubled for each one after."""
    patience: float = 5.0
    """The longest wait between two attempts that a caller is asked to sit through."""
    cooldown: float = 5.0
    """How long a deployment that failed is left alone, if there is another."""


class Try(NamedTuple):
    """Make an attempt at this deployment."""

    deployment: str


class Wait(NamedTuple):
    """Do nothing for so many seconds, then ask again."""

    seconds: float


class GiveUp(NamedTuple):
    """No attempt is left; answer with this, the most useful of the errors."""

    error: UpstreamError


Step: TypeAlias = Try | Wait | GiveUp

# Which error to answer with when every deployment failed: one the client can act on first.  The
# last error of the first class wins.
_USEFUL: tuple[Literal[Remedy.NOTHING, Remedy.TIME, Remedy.ELSEWHERE], ...] = (
    Remedy.NOTHING,
    Remedy.TIME,
    Remedy.ELSEWHERE,
)


class Plan:
    """The state of one call's attempts.

    Ask `next()` for a step, do it, and say how it ended: `failed()` after a `Try` that failed.
    A `Wait` is over when it has been returned.
    """

    __slots__ = ("_errors", "_left", "_policy", "_retried", "_retries", "_wait")

    def __init__(self, deployments: Sequence[str], policy: Policy, retries: int) -> None:
        self._left = list(deployments)
        self._policy = policy
        self._retries = retries
        self._retried = 0
        self._wait = 0.0
        self._errors: list[UpstreamError] = []

    def next(self) -> Step:
        """Return what to do now."""
        if not self._left:
            return GiveUp(self._most_useful())
        if self._wait:
            wait, self._wait = self._wait, 0.0
            return Wait(wait)
        return Try(self._left[0])

    def failed(self, error: UpstreamError) -> None:
        """Take note that the attempt last told to make failed with `error`."""
        self._errors.append(error)
        wait = error.retry_after
        if wait is None:
            wait = self._policy.backoff * 2**self._retried
        match error.remedy:
            case Remedy.NOTHING:
                self._left.clear()
            case Remedy.TIME if self._retried < self._retries and wait <= self._policy.patience:
                self._retried += 1
                self._wait = wait
            case Remedy.TIME | Remedy.ELSEWHERE:
                del self._left[0]
                self._retried = 0

    def _most_useful(self) -> UpstreamError:
        for remedy in _USEFUL:
            for error in reversed(self._errors):
                if error.remedy is remedy:
                    return error
        raise AssertionError("a plan has at least one deployment")
