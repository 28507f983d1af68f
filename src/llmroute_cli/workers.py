"""Several processes behind one port.

The workers are forks of a process that has loaded everything and runs no event loop and no thread:
they share its memory and its socket, and one that dies is replaced by another fork.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from llmroute_cli.configuration import fail, say

__all__ = ["supervise"]

_STOP = (signal.SIGINT, signal.SIGTERM)
# One that fails this soon could not start, and another could not either.
_STARTING = 10.0  # seconds
# What a worker may take to stop beyond the time its calls are given.
_GRACE = 10.0  # seconds


def supervise(run: Callable[[], None], listener: socket.socket, count: int, drain: float) -> None:
    """Keep `count` processes in `run` until told to stop; then have each of them drain.

    Each serves `listener`, which is closed.

    Raises:
        typer.Exit: A worker could not start, or had to be killed.
    """
    if not hasattr(os, "fork"):
        raise fail("--workers needs a system with fork(); on this one, start several proxies.")
    with tempfile.TemporaryDirectory(prefix="llmroute-metrics-") as figures:
        # Set before prometheus_client is imported: it decides then.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = figures
        status = _Supervisor(run, listener, drain).supervise(count)
    if status:
        raise fail("A worker did not start or did not stop by itself; see above.", 1)


class _Supervisor:
    """The parent of the workers."""

    def __init__(self, run: Callable[[], None], listener: socket.socket, drain: float) -> None:
        self._run = run
        self._listener = listener
        self._drain = drain
        self._started: dict[int, float] = {}  # by process id
        self._stopping = False
        self._failed = False
        # Each worker waits for the end of this pipe, which comes when its parent is no more.
        self._lifeline, self._alive = os.pipe()

    def supervise(self, count: int) -> int:
        for number in _STOP:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        for _ in range(count):
            self._start()
        while self._started:
            pid, wait_status = os.wait()
            lived = time.monotonic() - self._started.pop(pid)
            status = os.waitstatus_to_exitcode(wait_status)
            if self._stopping:
                self._failed |= status != 0
                continue
            if lived < _STARTING and status > 0:
                say(f"worker {pid} ended with {status} before it served")
                self._failed = True
                self._stop(signal.SIGTERM, None)
            else:
                say(f"worker {pid} ended with {status}; starting another")
                self._start()
        return int(self._failed)

    def _start(self) -> None:
        # A signal that came between the fork and the note of it would not reach the new worker.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        if not self._stopping:
            pid = os.fork()
            if pid == 0:
                self._work()
            self._started[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    def _work(self) -> NoReturn:
        status = 1
        try:
            # Out of the terminal's reach: on Ctrl-C it is the parent that says when to stop.
            os.setpgid(0, 0)
            os.close(self._alive)
            for number in _STOP:
                signal.signal(number, lambda *_: sys.exit(0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)
            threading.Thread(target=self._watch_parent, daemon=True).start()
            self._run()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        finally:
            if sys.exc_info()[0] is not None:
                sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            # Not `sys.exit`: what that would clean up is the parent's.
            os._exit(status)

    def _watch_parent(self) -> None:
        os.read(self._lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        # A worker takes a second Ctrl-C, and nothing else, as leave not to wait for its calls.
        passed_on = number if self._stopping else signal.SIGTERM
        if not self._stopping:
            self._stopping = True
            # While one process listens, connections are taken that no one will serve.
            self._listener.close()
            signal.setitimer(signal.ITIMER_REAL, self._drain + _GRACE)
        self._tell(passed_on)

    def _kill(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._tell(signal.SIGKILL)

    def _tell(self, number: int) -> None:
        for pid in self._started:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
