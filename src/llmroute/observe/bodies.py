"""Requests and answers in a file, for an owner who asks for it; without secrets.

The event loop keeps bytes and puts them into a queue.  A thread decodes them, takes out what is
secret, and writes one line of JSON for each call.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import queue
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from llmroute.config.telemetry import BodySettings
from llmroute.messages.call import Call, Format
from llmroute.observe.assembly import assembled
from llmroute.observe.metrics import Reading
from llmroute.observe.record import Record
from llmroute.observe.redaction import Redaction
from llmroute.observe.rotation import RotatingFile
from llmroute.routing.aliases import Aliases
from llmroute.wire.envelope import MALFORMED

__all__ = ["Bodies", "Taken", "up_to_an_edge"]

_log = logging.getLogger("llmroute")

_MOST: Final = 1000  # calls that may wait to be written
_MOST_BYTES: Final = 64 * 1024 * 1024
# A stream is longer than what it says, by the frame around each word.
_FRAMES: Final = 8
_GRACE: Final = 5.0  # seconds for the last ones
# Where what is cut off may have begun.
_EDGES: Final = (" ", '"', "\n", "\t")


class Taken:
    """What is kept of one call until it is over."""

    __slots__ = ("_answer", "_bodies", "_format", "_request", "_request_size", "_room", "_stream")

    def __init__(self, bodies: Bodies, request: bytes, most: int) -> None:
        self._bodies = bodies
        self._request = request[:most]
        self._request_size = len(request)
        self._answer: list[bytes] = []
        self._format: Format = "messages"
        self._stream = False
        self._room = most

    def answered(self, body: bytes, form: Format) -> None:
        """Take the answer's beginning: all of it, or nothing of a stream yet."""
        self._format = form
        if body:
            self.feed(body)
        else:
            self._stream = True
            self._room *= _FRAMES

    def feed(self, data: bytes) -> None:
        """Take the next events of a stream."""
        if self._room > 0:
            self._answer.append(data)
            self._room -= len(data)

    def over(self, record: Record) -> None:
        """Have it written."""
        self._bodies.put(record, self)

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return len(self._request) + sum(map(len, self._answer))

    @property
    def request_size(self) -> int:
        """How long the request was."""
        return self._request_size

    @property
    def request(self) -> bytes:
        """What is kept of the request."""
        return self._request

    def answer(self) -> Any:
        """Return the answer, decoded: bytes if it cannot be; `None` if there was none."""
        data = b"".join(self._answer)
        if not data:
            return None
        try:
            return assembled(data, self._format) if self._stream else msgspec.json.decode(data)
        except MALFORMED:
            return data


class Bodies:
    """Writes bodies where the settings say so.

    Attributes:
        dropped: How many calls are missing in the file.
    """

    def __init__(self, settings: BodySettings | None = None) -> None:
        """Prepare; nothing is written before `start()`."""
        self.dropped = 0
        self._queue: queue.SimpleQueue[tuple[Record, Taken] | None] = queue.SimpleQueue()
        self._put = 0
        self._done = 0
        self._thread: threading.Thread | None = None
        self._is_failing = False
        self._is_full = False
        self._settings: BodySettings | None = None
        self._writer: _Writer | None = None
        self._last: _Writer | None = None
        self.configure(settings)

    def configure(self, settings: BodySettings | None) -> None:
        """Write as these settings say from now on; `None` for nothing."""
        if settings != self._settings:
            self._writer = None if settings is None else _Writer(settings)
        self._settings = settings

    def start(self) -> None:
        """Begin to write, in a thread that ends with the program, or with `close()`.

        Raises:
            OSError: The file cannot be written.
        """
        if self._writer is not None:
            self._writer.file.open()
        self._thread = threading.Thread(target=self._run, name="llmroute bodies", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left; this waits for it, for some seconds."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(_GRACE)
            self._thread = None

    def begin(self, call: Call, alias: str) -> Taken | None:
        """Keep what a call asks; `None` if it is not to be written."""
        settings, writer = self._settings, self._writer
        if settings is None or writer is None or not writer.wants(call, alias):
            return None
        body = call.body if call.spoken is None else call.spoken.body
        return Taken(self, bytes(body), settings.max_body_bytes)

    def put(self, record: Record, taken: Taken) -> None:
        """Have a call written that is over."""
        size = taken.size
        if self._queue.qsize() >= _MOST or self._put - self._done + size > _MOST_BYTES:
            self.dropped += 1
            if not self._is_full:
                self._is_full = True
                _log.warning("bodies come faster than they can be written; some are left out")
            return
        self._is_full = False
        self._put += size
        self._queue.put((record, taken))

    def readings(self) -> Iterable[Reading]:
        """Return how many calls are missing in the file."""
        return [Reading("llmroute_bodies_dropped", self.dropped)]

    def work(self) -> bool:
        """Write what comes next, and wait for it; return whether there will be more."""
        came = self._queue.get()
        if came is None:
            return False
        record, taken = came
        size, writer = taken.size, self._writer
        if self._last is not None and self._last is not writer:
            self._last.file.close()
        self._last = writer
        try:
            if writer is not None:
                writer.write(record, taken)
        except OSError as error:
            self.dropped += 1
            if not self._is_failing:
                _log.warning("bodies cannot be written: %s", error.strerror or error)
            self._is_failing = True
        except Exception:  # noqa: BLE001 - the reason is below
            # A thread that ended here would be missed by nobody.
            self.dropped += 1
            _log.exception("the log of bodies met a fault of its own; it goes on")
        else:
            if self._is_failing:
                _log.warning("bodies are written again")
            self._is_failing = False
        self._done += size
        return True

    def _run(self) -> None:
        while self.work():
            pass


class _Writer:
    """Writes lines as one set of settings has them.

    Attributes:
        file: Where they go.
    """

    def __init__(self, settings: BodySettings) -> None:
        self._settings = settings
        self._redaction = Redaction(settings.redact, emails=settings.redact_emails)
        self._aliases = Aliases(settings.aliases)
        path = Path(settings.path).expanduser()
        self.file = RotatingFile(path, most_bytes=settings.max_file_bytes, files=settings.files)

    def wants(self, call: Call, alias: str) -> bool:
        settings = self._settings
        if settings.keys and call.sender.key not in settings.keys:
            return False
        if not settings.aliases or alias in settings.aliases:
            return True
        return self._aliases.find(call.model) is not None

    def write(self, record: Record, taken: Taken) -> None:
        fields = self._described(record)
        fields["request"], is_cut = self._request(taken)
        if is_cut:
            fields["request_bytes"] = taken.request_size
        fields["answer"], is_cut = self._answer(taken.answer())
        if is_cut:
            fields["answer_is_cut"] = True
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        self.file.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def _described(self, record: Record) -> dict[str, Any]:
        clean = self._redaction.text
        at = dt.datetime.fromtimestamp(record.at, dt.UTC).isoformat(timespec="milliseconds")
        return {
            "time": at.replace("+00:00", "Z"),
            "id": record.id,
            "endpoint": record.endpoint,
            "key": record.key,
            "owner": record.owner,
            "team": record.team,
            "session": clean(record.session),
            "agent": clean(record.agent),
            "asked": clean(record.asked),
            "alias": record.alias,
            "deployment": record.deployment,
            "model": clean(record.model),
            "status": record.status,
            "outcome": record.outcome,
            "duration": round(record.duration, 4),
            "losses": [clean(loss) for loss in record.losses],
            "error": clean(record.error),
        }

    def _request(self, taken: Taken) -> tuple[Any, bool]:
        if taken.request_size > len(taken.request):
            return self._redaction.raw(up_to_an_edge(taken.request)), True
        return self._clean(taken.request), False

    def _answer(self, answer: Any) -> tuple[Any, bool]:
        most = self._settings.max_body_bytes
        clean = self._clean(answer) if isinstance(answer, bytes) else self._redacted(answer)
        text = clean if isinstance(clean, str) else json.dumps(clean, ensure_ascii=False)
        return (text[:most], True) if len(text) > most else (clean, False)

    def _clean(self, body: bytes) -> Any:
        try:
            return self._redacted(msgspec.json.decode(body))
        except MALFORMED:
            return self._redaction.raw(body.decode("utf-8", "replace"))

    def _redacted(self, value: Any) -> Any:
        try:
            return self._redaction.value(value)
        except RecursionError:
            return "[nested too deeply]"


def up_to_an_edge(data: bytes) -> str:
    """Decode what was cut off, without the word that may have been cut in two."""
    text = data.decode("utf-8", "replace")
    return text[: max(map(text.rfind, _EDGES)) + 1]
