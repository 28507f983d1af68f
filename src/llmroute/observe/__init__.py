"""What is written down of a call when it is over, and who is told: the log, the metrics."""

from __future__ import annotations

from llmroute.observe.log import LineLog
from llmroute.observe.metrics import Instrumented, Metrics, Reading
from llmroute.observe.record import Attempt, Observer, Outcome, Record, call_id

__all__ = [
    "Attempt",
    "Instrumented",
    "LineLog",
    "Metrics",
    "Observer",
    "Outcome",
    "Reading",
    "Record",
    "call_id",
]
