"""Several processes behind one port.

The workers are forks of a process that has loaded everything and runs no event loop and no thread:
they share its memory and its socket, and one that dies is replaced by another fork.

A configuration that is loaded again is loaded by that process alone, and handed to each worker
through a pipe, so that all serve the same.  The pipe's end is how a worker learns that its parent
is no more.
"""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import FrameType, MappingProxyType
from typing import Any, NoReturn, TypeAlias

import typer

from llmroute import Config
from llmroute_cli.configuration import fail, say
from llmroute_cli.reload import LOOK_EVERY, Source

__all__ = ["Run", "packed", "supervise", "unpacked"]

Run: TypeAlias = Callable[[Config, AsyncIterator[Config]], None]
"""Serves a configuration, and each further one as it comes, until told to stop."""

_STOP = (signal.SIGINT, signal.SIGTERM)
# One that fails this soon could not start, and another could not either.
_STARTING = 10.0  # seconds
# What a worker may take to stop beyond the time its calls are given.
_GRACE = 10.0  # seconds
_SIZE_BYTES = 8


def supervise(run: Run, listener: socket.socket, count: int, source: Source) -> None:
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
        status = _Supervisor(run, listener, source).supervise(count)
    if status:
        raise fail("A worker did not start or did not stop by itself; see above.", 1)


class _Supervisor:
    """The parent of the workers."""

    def __init__(self, run: Run, listener: socket.socket, source: Source) -> None:
        self._run = run
        self._listener = listener
        self._source = source
        self._started: dict[int, float] = {}  # by process id
        self._pipes: dict[int, int] = {}  # likewise: where each is told of what is new
        self._stopping = False
        self._failed = False
        # Every signal writes to it, so that waiting for it is waiting for any of them.
        self._signalled, self._signals = os.pipe()

    def supervise(self, count: int) -> int:
        for end in (self._signalled, self._signals):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._signals, warn_on_full_buffer=False)
        for number in _STOP:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for _ in range(count):
            self._start()
        source = self._source
        while self._started:
            patience = LOOK_EVERY if source.is_watched else None
            signalled, _, _ = select.select([self._signalled], [], [], patience)
            with suppress(BlockingIOError):
                os.read(self._signalled, 4096)
            self._replace_ended()
            is_due = not signalled and source.has_changed()
            if not self._stopping and (source.is_asked or is_due):
                self._reload()
        return int(self._failed)

    def _replace_ended(self) -> None:
        while self._started and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, wait_status = ended
            lived = time.monotonic() - self._started.pop(pid)
            _forget_gauges(pid)
            os.close(self._pipes.pop(pid))
            status = os.waitstatus_to_exitcode(wait_status)
            if self._stopping:
                self._failed |= status != 0
            elif lived < _STARTING and status > 0:
                say(f"worker {pid} ended with {status} before it served")
                self._failed = True
                self._stop(signal.SIGTERM, None)
            else:
                say(f"worker {pid} ended with {status}; starting another")
                self._start()

    def _reload(self) -> None:
        if (config := self._source.load()) is None:
            return
        news = packed(config)
        for pipe in self._pipes.values():
            # One that has just ended is replaced by one that begins with the new configuration.
            with suppress(BrokenPipeError):
                _write(pipe, news)
        self._source.announce()

    def _start(self) -> None:
        # A signal that came between the fork and the note of it would not reach the new worker.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        if not self._stopping:
            told, telling = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(telling)
                self._work(told)
            os.close(told)
            self._pipes[pid] = telling
            self._started[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    def _work(self, told: int) -> NoReturn:
        status = 1
        try:
            # Out of the terminal's reach: on Ctrl-C it is the parent that says when to stop.
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            # Also those to the other workers: they would not see their end.
            for end in (self._signalled, self._signals, *self._pipes.values()):
                os.close(end)
            for number in _STOP:
                signal.signal(number, lambda *_: sys.exit(0))
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)
            self._run(self._source.config, _changes(told))
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except typer.Exit as end:
            status = end.exit_code  # why has been printed
        finally:
            if sys.exc_info()[0] is not None:
                sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            # Not `sys.exit`: what that would clean up is the parent's.
            os._exit(status)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        # A worker takes a second Ctrl-C, and nothing else, as leave not to wait for its calls.
        passed_on = number if self._stopping else signal.SIGTERM
        if not self._stopping:
            self._stopping = True
            # While one process listens, connections are taken that no one will serve.
            self._listener.close()
            signal.setitimer(signal.ITIMER_REAL, self._source.config.server.drain + _GRACE)
        self._tell(passed_on)

    def _kill(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._tell(signal.SIGKILL)

    def _tell(self, number: int) -> None:
        for pid in self._started:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _forget_gauges(pid: int) -> None:
    """Have what a worker had under way when it ended counted no longer."""
    with suppress(ModuleNotFoundError):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


async def _changes(told: int) -> AsyncIterator[Config]:
    """Yield each configuration that the parent hands down; stop with the parent."""
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(told, "rb", buffering=0)
    )
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(_SIZE_BYTES))
            yield unpacked(await reader.readexactly(size))
    except asyncio.IncompleteReadError:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        pipe.close()


def _write(pipe: int, news: bytes) -> None:
    left = memoryview(len(news).to_bytes(_SIZE_BYTES) + news)
    while left:
        left = left[os.write(pipe, left) :]


class _Packer(pickle.Pickler):
    """Writes what a configuration is made of; pickle itself does not know read-only mappings."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, MappingProxyType):
            return _read_only, (dict(obj),)
        return NotImplemented


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def packed(config: Config) -> bytes:
    """Write a configuration for `unpacked`, secrets and all: it is for one's own processes."""
    written = io.BytesIO()
    _Packer(written).dump(config)
    return written.getvalue()


def unpacked(data: bytes) -> Config:
    """Read what a process of one's own has `packed`."""
    config: Config = pickle.loads(data)  # noqa: S301 - it comes from the parent
    return config
