"""In which order the deployments of an alias are tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

__all__ = ["Candidate", "order"]


class Candidate(NamedTuple):
    """A deployment that may answer.

    Attributes:
        name: The deployment's name.
        order: Lower ones are tried first.
        weight: Its share of the calls among those of equal order.
    """

    name: str
    order: int = 0
    weight: float = 1.0


def order(
    candidates: Sequence[Candidate],
    cooling: Collection[str],
    *,
    weighted: bool,
    draws: Sequence[float],
) -> list[str]:
    """Return the deployments' names, the one to try first in front.

    Those in `cooling` come last, and not never: a cooldown is a guess, and the alias has no one
    else.  Within an order they keep their place in the configuration or, if `weighted`, are drawn.

    Args:
        candidates: In the configuration's order.
        cooling: Names of deployments that failed a moment ago.
        weighted: Draw by weight instead of going by the list.
        draws: A number in [0, 1) for each candidate; read only if `weighted`.
    """

    def rank(at: int) -> tuple[bool, int, float]:
        candidate = candidates[at]
        return candidate.name in cooling, candidate.order, lot(at)

    def lot(at: int) -> float:
        # Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006: the draw to the
        # power of 1/weight, the greatest first, gives every order its weighted chance.
        if not weighted:
            return 0.0
        weight = candidates[at].weight
        return -(draws[at] ** (1.0 / weight)) if weight else 1.0

    return [candidates[at].name for at in sorted(range(len(candidates)), key=rank)]
