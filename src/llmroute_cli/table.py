"""Rows of text in columns, readable without colour."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Final

import typer

__all__ = ["fitted", "show"]

_GAP: Final = "  "
# Figures are narrower, and would be wrong if they were cut.
_NARROWEST: Final = 16  # characters


def show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads; what is unknown is an empty text.

    On a terminal that is too narrow, the longest texts are cut; a file or a pipe gets all of them.
    """
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    if sys.stdout.isatty():
        widths = fitted(widths, shutil.get_terminal_size().columns)
    for row in (heads, *rows):
        cells = [
            (cell if len(cell) <= width else cell[: width - 1] + "…").ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        typer.echo(_GAP.join(cells).rstrip())


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """Return widths of columns that fit into a line, if that can be.

    The first column stays as it is: what a row is about has to be copied from it.

    >>> fitted([20, 50, 30, 5], 80)
    [20, 24, 25, 5]
    """
    cut = list(widths)
    while sum(cut) + len(_GAP) * (len(cut) - 1) > room:
        widest = max(range(1, len(cut)), key=cut.__getitem__, default=0)
        if not widest or cut[widest] <= _NARROWEST:
            break
        cut[widest] -= 1
    return cut
