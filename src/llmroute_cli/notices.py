"""What the library warns of while it serves, in the form of the log: an event, not a call."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys

__all__ = ["log_warnings", "silence_warnings"]

_LIBRARY = "llmroute"


class _Line(logging.Formatter):
    """Writes a line of the log: for people, or JSON for machines."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if self._as_json:
            return json.dumps(fields)
        return f"time={fields['time']} level={fields['level']} {fields['message']}"


def log_warnings(*, as_json: bool) -> None:
    """Have the library's warnings written to stderr, beside the lines for the calls."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(as_json=as_json))
    log = logging.getLogger(_LIBRARY)
    log.propagate = False
    log.handlers = [handler]


def silence_warnings() -> None:
    """Have nothing written: what a command finds out it says itself."""
    logging.getLogger(_LIBRARY).setLevel(logging.ERROR)
