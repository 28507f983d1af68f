"""The figures: each has one key, a unit, a meaning, and a way to get it from what was observed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from bench.profiles import Observation
from bench.upstream import BURST_DELTAS, PACED_INTERVAL

__all__ = ["FIGURES", "MEASURED_ONCE", "Figure", "Observations", "tabulate"]

Observations = Mapping[tuple[str, str], Sequence[Observation]]
"""What was seen, round by round, of each (profile, target)."""

Values = dict[str, float | None]
"""A value for each target; None where it has none."""

_BURST_EVENTS = BURST_DELTAS + 6
_PACED_EVENTS_PER_SECOND = 500 / PACED_INTERVAL


class Figure(NamedTuple):
    """One row of the results.

    Attributes:
        key: Its name in the results.
        unit: What its values are in.
        meaning: What it says, in a line.
        profile: The traffic it comes from.
        read: Its value in one observation; the figure is the median over the rounds.
        added: Whether the direct connection's value is taken off.
    """

    key: str
    unit: str
    meaning: str
    profile: str
    read: Callable[[Observation], float]
    added: bool = False


def _first_p50(seen: Observation) -> float:
    return seen.sample.first[0] * 1e3


def _first_p99(seen: Observation) -> float:
    return seen.sample.first[1] * 1e3


def _whole_p50(seen: Observation) -> float:
    return seen.sample.whole[0] * 1e3


def _rate(seen: Observation) -> float:
    return seen.sample.counted / seen.sample.seconds


def _busy(seen: Observation) -> float:
    return 100 * seen.cpu_seconds / seen.elapsed


def _rate_per_core(seen: Observation) -> float:
    return seen.sample.total / seen.cpu_seconds


def _cpu_per_burst_event(seen: Observation) -> float:
    return seen.cpu_seconds * 1e6 / (seen.sample.total * _BURST_EVENTS)


def _cpu_per_paced_event(seen: Observation) -> float:
    return seen.cpu_seconds / seen.elapsed * 1e6 / _rate(seen)


def _kept_up(seen: Observation) -> float:
    return 100 * _rate(seen) / _PACED_EVENTS_PER_SECOND


def _memory(seen: Observation) -> float:
    return seen.memory_bytes / 1e6


def _first_byte(name: str, profile: str, what: str) -> Iterator[Figure]:
    for percentile, words, read in (
        ("p50", "median", _first_p50),
        ("p99", "99th percentile", _first_p99),
    ):
        key = f"first_byte_{name}_{percentile}"
        meaning = f"Time to first byte, {words}: {what}, 1 client"
        yield Figure(key, "ms", meaning, profile, read)
        added = f"The same, added to direct: {what}"
        yield Figure(f"{key}_added", "ms", added, profile, read, added=True)


def _requests(name: str, what: str) -> Iterator[Figure]:
    key = f"requests_{name}"
    yield Figure(key, "1/s", f"Requests per second: {what}", name, _rate)
    capacity = "Requests for each second of the target's CPU time: the same"
    yield Figure(f"{key}_per_core", "1/s", capacity, name, _rate_per_core)
    busy = "Share of its core the target used: far below 100, something else was the limit"
    yield Figure(f"{key}_busy", "%", busy, name, _busy)


FIGURES: tuple[Figure, ...] = (
    *_first_byte("small", "small_1", "question of 1 KB, whole answer"),
    *_first_byte("100kb", "turn_100kb_1", "turn of 0.1 MB, streamed"),
    *_first_byte("500kb", "turn_500kb_1", "turn of 0.5 MB, streamed"),
    *_first_byte("1mb", "turn_1mb_1", "turn of 1 MB, streamed"),
    *_requests("small_1", "question of 1 KB, whole answer, 1 client"),
    *_requests("small_16", "question of 1 KB, whole answer, 16 clients"),
    *_requests("small_64", "question of 1 KB, whole answer, 64 clients"),
    *_requests("turn_200kb_8", "turn of 200 KB, streamed, 8 clients"),
    *_requests("turn_1mb_4", "turn of 1 MB, streamed, 4 clients"),
    Figure(
        "event_burst_cpu",
        "us",
        "CPU time of the target per event: stream of 500 as fast as it goes, 1 client",
        "burst_1",
        _cpu_per_burst_event,
    ),
    Figure("stream_burst_p50", "ms", "Duration of that stream, median", "burst_1", _whole_p50),
    Figure(
        "stream_burst_p50_added",
        "ms",
        "Duration of that stream, median, added to direct",
        "burst_1",
        _whole_p50,
        added=True,
    ),
    Figure("streams_burst_16", "1/s", "Such streams per second, 16 at once", "burst_16", _rate),
    Figure(
        "event_burst_16_cpu",
        "us",
        "CPU time of the target per event, 16 such streams at once",
        "burst_16",
        _cpu_per_burst_event,
    ),
    Figure(
        "event_paced_cpu",
        "us",
        "CPU time of the target per event: 500 streams open, an event every 20 ms in each",
        "paced_500",
        _cpu_per_paced_event,
    ),
    Figure("event_paced_delay_p50", "ms", "Delay of those events, median", "paced_500", _first_p50),
    Figure(
        "event_paced_delay_p99",
        "ms",
        "Delay of those events, 99th percentile",
        "paced_500",
        _first_p99,
    ),
    Figure(
        "event_paced_kept_up", "%", "Share of those events that came in time", "paced_500", _kept_up
    ),
    Figure(
        "memory_500_streams", "MB", "Resident memory with those streams open", "paced_500", _memory
    ),
)

MEASURED_ONCE: Mapping[str, tuple[str, str]] = {
    "memory_ready": ("MB", "Resident memory after the first answers"),
    "memory_end": ("MB", "Resident memory after the whole run"),
    "start_import": ("s", "`import llmroute` in a fresh interpreter, its own start not counted"),
    "start_help": ("s", "`llmroute --help`, from start to exit"),
    "start_ready": ("s", "From start to the first answered request, config and port included"),
}
"""Figures that do not come from the rounds: unit and meaning by key."""

_NO_PROCESS = {_rate_per_core, _cpu_per_burst_event, _cpu_per_paced_event, _busy, _memory}


def tabulate(
    observations: Observations, once: Mapping[str, Values], targets: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Every figure by its key, with a value for each target and how llmroute compares."""
    table: dict[str, dict[str, Any]] = {}
    for figure in FIGURES:
        values: Values = {
            name: _value(figure, observations.get((figure.profile, name), ()), name)
            for name in targets
        }
        if figure.added:
            direct = values["direct"]
            values = {
                name: None if value is None or direct is None else value - direct
                for name, value in values.items()
            }
        table[figure.key] = _row(values, figure.unit, figure.meaning)
    for key, (unit, meaning) in MEASURED_ONCE.items():
        table[key] = _row({name: once[key].get(name) for name in targets}, unit, meaning)
    return table


def _value(figure: Figure, seen: Sequence[Observation], target: str) -> float | None:
    """The median over the rounds; None if one of them lost an answer."""
    if target == "direct" and figure.read in _NO_PROCESS:
        return None
    if not seen or any(one.sample.failed or not one.sample.counted for one in seen):
        return None
    return median(map(figure.read, seen))


def _row(values: Values, unit: str, meaning: str) -> dict[str, Any]:
    ours = values.get("llmroute")
    row: dict[str, Any] = {name: _rounded(value) for name, value in values.items()}
    row["of_nginx"] = _ratio(ours, values.get("nginx"))
    row["vs_direct"] = _ratio(ours, values.get("direct"))
    row["of_bare"] = _ratio(ours, values.get("llmroute-bare"))
    return {**row, "unit": unit, "meaning": meaning}


def _ratio(value: float | None, to: float | None) -> float | None:
    return _rounded(value / to) if value is not None and to is not None and to > 0 else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
