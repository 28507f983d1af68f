"""A program under measurement: pinned to a core, its CPU time and memory read from `/proc`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

__all__ = ["Cores", "Process", "pinned", "run_pinned"]

_STOP_PATIENCE = 15.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Cores:
    """Which core runs what.

    With two, the target has one to itself; upstream and load share the other.  With one, all share
    it, and figures say little.

    Attributes:
        count: How many this process may use.
        target: The target's.
        upstream: The fake upstream's.
        load: The load's, and ours.
    """

    def __init__(self) -> None:
        allowed = sorted(os.sched_getaffinity(0))
        self.count = len(allowed)
        self.target = allowed[0]
        self.upstream = allowed[1 % len(allowed)]
        self.load = allowed[2 % len(allowed)] if len(allowed) > 2 else self.upstream


class Process:
    """A running program and its children.  A context manager: leaving it stops them."""

    def __init__(
        self,
        command: Sequence[str],
        core: int,
        *,
        environ: Mapping[str, str],
        log: Path,
        piped: bool = False,
    ) -> None:
        """Start it.

        Args:
            command: The program and its arguments.
            core: The core it and its children run on.
            environ: Its whole environment.
            log: What it prints goes there.
            piped: Whether `say` and `hear` reach it; then only its errors go to the log.
        """
        with pinned(core), log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                env=dict(environ),
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._popen.stdin
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def hear(self) -> str:
        """The next line it prints.

        Raises:
            EOFError: It stopped.
        """
        assert self._popen.stdout
        line = self._popen.stdout.readline()
        if not line:
            raise EOFError("a process of the benchmark stopped")
        return line.decode()

    def cpu_seconds(self) -> float:
        """Time on a processor so far, all threads of all processes."""
        return sum(
            int(fields[0]) / 1e9
            for pid in self._family()
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat")
            if (fields := _fields(path))
        )

    def memory_bytes(self) -> int:
        """Resident memory of all processes; what they share is counted in each."""
        return sum(
            int(fields[1]) * _PAGE_BYTES
            for pid in self._family()
            if (fields := _fields(Path(f"/proc/{pid}/statm")))
        )

    def stop(self) -> None:
        """Ask it to stop, and after a while make it."""
        self._popen.terminate()
        try:
            self._popen.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe:
                pipe.close()

    def _family(self) -> Iterator[int]:
        found = [self._popen.pid]
        while found:
            pid = found.pop()
            yield pid
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, _fields(path))


def _fields(path: Path) -> list[str]:
    """What a file of `/proc` says; nothing of a thread or process that has just ended."""
    try:
        return path.read_text().split()
    except OSError:
        return []


def run_pinned(command: Sequence[str], core: int, *, environ: Mapping[str, str]) -> str:
    """Run a program to its end on one core; what it printed.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with pinned(core):
        return subprocess.run(
            command,
            env=dict(environ),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        ).stdout


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core; a program started meanwhile inherits it, before its first instruction."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
