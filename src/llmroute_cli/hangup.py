"""SIGHUP: to a server, that its configuration has changed; to a program, that its terminal is gone.

A proxy is started as either, so what is meant is found out when the signal comes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

__all__ = ["heed_hangup"]

_TERMINAL = "/dev/tty"


def heed_hangup(reload: Callable[[], None]) -> None:
    """Have SIGHUP do `reload`, and the end of the terminal what SIGTERM does.

    What was started by `nohup`, or without a terminal, outlives any.
    """
    # Windows has no such signal.
    if (number := getattr(signal, "SIGHUP", None)) is None:
        return
    depends = signal.getsignal(number) != signal.SIG_IGN and _has_terminal()
    shown = [output for output in (1, 2) if os.isatty(output)]

    def heed(*_: object) -> None:
        if not depends or _has_terminal():
            reload()
            return
        # What is still said goes nowhere, and must not be an error.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in shown:
            os.dup2(nowhere, output)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(number, heed)


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
