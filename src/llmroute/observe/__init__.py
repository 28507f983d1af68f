"""What is written down of a call when it is over, and who is told: the log, the metrics."""

from __future__ import annotations

from llmroute.observe.log import LineLog
from llmroute.observe.metrics import Metrics
from llmroute.observe.record import Attempt, Observer, Outcome, Record

__all__ = ["Attempt", "LineLog", "Metrics", "Observer", "Outcome", "Record"]
