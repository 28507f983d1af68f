"""What real answers teach of an estimate: how many tokens a model makes of what was thought more.

A tokenizer nobody here has seen may make more of a text than the ones that `estimate` was measured
on.  The first answers say so.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["Calibration"]

# A prompt that is shorter is mostly what the vendor puts around it.
_SHORTEST: Final = 500
# Beyond that something else was counted as well: pages that were searched, say.
_MOST: Final = 2.0
# How much of what one answer says is believed; another has to say so again.
_BELIEVED: Final = 0.5
# How fast it fades when later answers say otherwise.
_FADED: Final = 0.05
# For how many models; clients choose the names that a pattern matches.
_KEPT: Final = 1000


class Calibration:
    """Ratios of counted to estimated tokens, by deployment and model, kept in this process.

    An estimate is only ever raised.  What was seen is one kind of text, and the next may be of
    another of which the same tokenizer makes more: a factor below 1 that English has taught would
    count too few of the first Chinese page.
    """

    __slots__ = ("_ratios",)

    def __init__(self) -> None:
        self._ratios: dict[Hashable, float] = {}

    def observe(self, key: Hashable, estimated: int, counted: int) -> None:
        """Take note that a prompt estimated at so many tokens was counted at so many."""
        if estimated < _SHORTEST or counted <= 0 or counted == estimated:
            return
        seen = min(max(counted / estimated, 1.0), _MOST)
        known = self._ratios.get(key, 1.0)
        if seen == known == 1.0:
            return
        if key not in self._ratios and len(self._ratios) >= _KEPT:
            self._ratios.clear()
        self._ratios[key] = known + (seen - known) * (_BELIEVED if seen > known else _FADED)

    def factor(self, key: Hashable) -> float:
        """Return what an estimate is to be multiplied by: from 1 to 2."""
        return self._ratios.get(key, 1.0)
