"""A real PostgreSQL on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

# Debian keeps the server's programs out of PATH.
_PROGRAMS = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/bin"))
_USER = "llmroute"
_LONGEST = 60.0  # seconds


class RealPostgres:
    """A server of its own for a run of the tests; root's is run by the user `postgres`."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._programs = next(path for path in _PROGRAMS if (path / "postgres").exists())
        self._user = "postgres" if os.geteuid() == 0 else None
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port = taken.getsockname()[1]
        self._is_running = False
        self._made = 0
        if self._user:
            # The folder of the tests is root's alone.
            self._data = Path("/var/tmp") / f"llmroute-postgres-{os.getpid()}-{self._port}"
        self._data.mkdir(mode=0o700)
        if self._user:
            shutil.chown(self._data, pwd.getpwnam(self._user).pw_uid)
        self._run(
            "initdb", "--pgdata", str(self._data), "--auth=trust", "--username", _USER, "-E", "UTF8"
        )

    def empty(self) -> str:
        """Make a database; return its address."""
        self._made += 1
        name = f"test{self._made}"
        server = ("-h", "127.0.0.1", "-p", str(self._port), "-U", _USER)
        self._run("createdb", *server, name)
        return f"postgresql://{_USER}@127.0.0.1:{self._port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            user=self._user,
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            timeout=_LONGEST,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": self._data,
            "fsync": "off",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = str(self._data / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, "-o", options)
        self._is_running = True

    def stop(self) -> None:
        """End it as a crash does, without waiting for anybody."""
        if self._is_running:
            self._run("pg_ctl", "stop", "-w", "-D", str(self._data), "-m", "immediate")
            self._is_running = False

    def close(self) -> None:
        """End it and delete what it has written."""
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)
