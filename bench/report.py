"""The results as a table, on the terminal and in `docs/performance.md`.

`python -m bench.report` writes the table of `bench/results/latest.json` into the page, between its
two markers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["main", "table"]

_ROOT = Path(__file__).parents[1]
_BEGIN, _END = "<!-- figures: begin -->\n", "<!-- figures: end -->"
_NOT_TARGETS = {"unit", "meaning", "of_nginx", "of_bare", "vs_direct"}


def table(results: Mapping[str, Any]) -> str:
    """The figures in Markdown, one a line."""
    figures: Mapping[str, Mapping[str, Any]] = results["figures"]
    targets = [name for name in next(iter(figures.values())) if name not in _NOT_TARGETS]
    columns = ["figure", "unit", *targets, "of nginx", "of bare", "meaning"]
    lines = [_line(columns), _line(["---", "---", *["--:"] * len(targets), "--:", "--:", "---"])]
    for key, row in figures.items():
        values = [_number(row.get(name)) for name in [*targets, "of_nginx", "of_bare"]]
        lines.append(_line([f"`{key}`", row["unit"], *values, row["meaning"]]))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _circumstances(results: Mapping[str, Any]) -> str:
    run, machine = results["run"], results["machine"]
    notes = "".join(f"{note}\n" for note in run["notes"])
    return (
        f"Measured on {run['date']}, Python {machine['python']}, {machine['cores']} cores, "
        f"median of {run['rounds']} rounds.\n"
        f"Other programs used {run['other_load_percent']:.0f} % of the machine meanwhile.\n{notes}"
    )


def main() -> int:
    results = json.loads((_ROOT / "bench/results/latest.json").read_text())
    page = _ROOT / "docs/performance.md"
    before, begin, rest = page.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        print(f"{page.name} has no markers for the figures", file=sys.stderr)
        return 1
    page.write_text(f"{before}{begin}\n{_circumstances(results)}\n{table(results)}\n{end}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
