"""The figures on their page, `docs/concepts/affinity-and-caching.md`, between its two markers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.simulate.figures import table

__all__ = ["tables", "write"]

_PAGE = Path(__file__).parents[2] / "docs/concepts/affinity-and-caching.md"
_BEGIN, _END = "<!-- figures: begin -->\n", "<!-- figures: end -->"


def tables(results: Mapping[str, Any]) -> str:
    """Return what stands between the markers."""
    return (
        f"\n{table(results['figures'])}\n"
        "Requests begun during a failure and answered at the client's first attempt, per cent:\n\n"
        f"{table(results['first_during'])}\n"
    )


def write(results: Mapping[str, Any]) -> None:
    """Put the figures of a run in the place of earlier ones."""
    before, begin, rest = _PAGE.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert end, f"{_PAGE.name} has no markers for the figures"
    _PAGE.write_text(before + begin + tables(results) + end + after, "utf-8")
