"""Rows of text in columns, readable without colour."""

from __future__ import annotations

from collections.abc import Sequence

import typer

__all__ = ["show"]


def show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads; what is unknown is an empty text."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        typer.echo("  ".join(cells).rstrip())
