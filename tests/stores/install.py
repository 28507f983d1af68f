"""The real PostgreSQL and Redis that these tests start: the system's packages.

`python tests/stores/install.py` installs them with apt-get when they are missing and prints where
they are.  The tests start servers of their own, on loopback ports that nobody else has; services
that the packages may start are left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_SECONDS = 600
# Debian keeps PostgreSQL's own programs out of PATH.
_POSTGRESQL = "/usr/lib/postgresql"


class InstallError(Exception):
    """A server could not be installed; the text says what to do."""


def servers() -> Mapping[str, Path]:
    """Return each package's server program, installed first where it is not there.

    Raises:
        InstallError: There is no apt-get, or it failed.
    """
    missing = [name for name, path in _found().items() if path is None]
    if missing:
        _install(missing)
    found = {name: path for name, path in _found().items() if path is not None}
    if lacking := _found().keys() - found.keys():
        raise InstallError(f"{', '.join(sorted(lacking))}: installed, but its server is not there")
    return found


def _found() -> dict[str, Path | None]:
    redis = shutil.which("redis-server")
    by_version = sorted(Path(_POSTGRESQL).glob("*/bin/postgres"), reverse=True)
    postgres = next(iter(by_version), None) or shutil.which("postgres")
    return {
        "postgresql": Path(postgres) if postgres else None,
        "redis-server": Path(redis) if redis else None,
    }


def _install(names: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise InstallError(f"install {' and '.join(names)}, with their server programs, by hand")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *names]):
        command = [*sudo, "apt-get", "-qq", *arguments]
        try:
            subprocess.run(
                command, check=True, env=environ, timeout=_SECONDS, stdout=subprocess.DEVNULL
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise InstallError(f"{' '.join(command)}: {error}") from None


if __name__ == "__main__":
    try:
        for program in servers().values():
            sys.stdout.write(f"{program}\n")
    except InstallError as error:
        sys.exit(f"install: {error}")
