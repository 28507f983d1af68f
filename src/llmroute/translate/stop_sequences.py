"""Stop sequences for APIs that have none: the text is cut where the first of them would be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["StopSequences"]


class StopSequences:
    """Passes text on up to the first stop sequence.

    What may be the beginning of one is held back until that is decided.

    Attributes:
        found: The sequence that was met; empty before.
    """

    __slots__ = ("_held", "_sequences", "found")

    def __init__(self, sequences: Any) -> None:
        given: Iterable[Any] = sequences if isinstance(sequences, list) else ()
        self._sequences = [each for each in given if isinstance(each, str) and each]
        self._held = ""
        self.found = ""

    def feed(self, piece: str) -> str:
        """Take text; return what of it is sure to come before any stop sequence."""
        if self.found or not self._sequences:
            return "" if self.found else piece
        text = self._held + piece
        places = [(at, each) for each in self._sequences if (at := text.find(each)) >= 0]
        if places:
            # Where two begin at one place, the shorter one is complete first.
            at, self.found = min(places, key=lambda place: (place[0], len(place[1])))
            self._held = ""
            return text[:at]
        kept = max(self._beginning(text, each) for each in self._sequences)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def close(self) -> str:
        """The text is over; return what was held back."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _beginning(text: str, sequence: str) -> int:
        """Return how many characters at the end of `text` begin `sequence`."""
        longest = min(len(sequence) - 1, len(text))
        return next((n for n in range(longest, 0, -1) if text.endswith(sequence[:n])), 0)
