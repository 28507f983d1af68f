"""The warnings of the library: lines of the log while it serves, nothing where a command speaks."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["log_warnings", "silenced"]

_LIBRARY = "llmroute"


class _Lines(logging.Handler):
    """Writes lines of the log to stderr: for people, or JSON for machines."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if self._as_json:
            line = json.dumps(fields)
        else:
            line = f"time={fields['time']} level={fields['level']} {fields['message']}"
        sys.stderr.write(line + "\n")


def log_warnings(*, as_json: bool) -> None:
    """Have the library's warnings written to stderr, beside the lines for the calls."""
    log = logging.getLogger(_LIBRARY)
    log.handlers = [handler for handler in log.handlers if not isinstance(handler, _Lines)]
    log.addHandler(_Lines(as_json=as_json))


@contextmanager
def silenced() -> Iterator[None]:
    """Have nothing written: what a command finds out it says itself."""
    log = logging.getLogger(_LIBRARY)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
