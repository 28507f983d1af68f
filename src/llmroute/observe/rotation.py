"""A file that several processes append to, and that is put aside when it is full."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["RotatingFile"]

# How often the file may have been put aside by others while we were about to write.
_TRIES = 10


class RotatingFile:
    """Appends lines, each in one piece; full files become `PATH.1`, `PATH.2` and so on.

    Whoever writes holds a lock on the file meanwhile, so that several processes may share it.  One
    that was moved away or deleted, by `logrotate` say, is begun anew.
    """

    def __init__(self, path: Path, *, most_bytes: int, files: int) -> None:
        """Prepare; nothing is opened yet.

        Args:
            path: Of the file; made readable and writable for its owner alone.
            most_bytes: How long it may become.
            files: How many full ones are kept.
        """
        self._path = path
        self._most_bytes = most_bytes
        self._files = files
        self._file = -1

    def open(self) -> None:
        """Open the file, and make it if there is none.

        Raises:
            OSError: It cannot be written.
        """
        if self._file < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._file = os.open(self._path, flags, 0o600)

    def write(self, line: bytes) -> None:
        """Append a line.

        Raises:
            OSError: It cannot be written; nothing of it has been.
        """
        for _ in range(_TRIES):
            self.open()
            _lock(self._file)
            try:
                found = os.fstat(self._file)
                if not stat.S_ISREG(found.st_mode):
                    _append(self._file, line, None)
                    return
                if self._is_current(found):
                    if not found.st_size or found.st_size + len(line) <= self._most_bytes:
                        _append(self._file, line, found.st_size)
                        return
                    self._put_aside()
            finally:
                _unlock(self._file)
            self.close()
        raise OSError(f"{self._path} is put aside again and again")

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _is_current(self, found: os.stat_result) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(found, self._path.stat())
        return False

    def _put_aside(self) -> None:
        if not self._files:
            self._path.unlink()
        for number in range(self._files, 0, -1):
            before = self._path if number == 1 else self._numbered(number - 1)
            with suppress(FileNotFoundError):
                before.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _append(file: int, line: bytes, size: int | None) -> None:
    try:
        left = memoryview(line)
        while left:
            left = left[os.write(file, left) :]
    except OSError:
        # The disk is full, say: half a line would spoil the next one.
        if size is not None:
            os.ftruncate(file, size)
        raise


def _lock(file: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX)


def _unlock(file: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_UN)
