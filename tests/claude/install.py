"""The Claude Code client these tests drive: one pinned version, fetched with npm, kept in a cache.

`python tests/claude/install.py` fetches it when it is missing and prints where it is.

Only the native binary package is taken: it has no dependencies and runs without Node.  It lands in
`$XDG_CACHE_HOME/llmroute/claude-code/<version>` (`~/.cache` by default), outside the tree.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2.1.330"

# The registry's own `dist.integrity` of each archive, so that what runs is what was measured.
INTEGRITY = {
    "x64": (
        "9Gn+V7DtJ8M1nztP9CeDVl9g3RtrepI7rOFTyPRRnZe8D6zebIHKmC7OvBauucuAP0X0k85SDN/LPVZyjsGezQ=="
    ),
    "arm64": (
        "V4yanAY5EA5UpwwRPtjSfqDbNqAlUJeVn3NYZw2AgmRHjdpSsLtHAzbxRXfkAnbjwTXzE0uedjQxUY02ARPcsA=="
    ),
}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_NPM_SECONDS = 600


class InstallError(Exception):
    """The client could not be fetched; the text says why."""


def client() -> Path:
    """The client's executable, fetched first when the cache does not hold it.

    Raises:
        InstallError: no build for this machine, npm is missing or failed, or the archive is not
            the pinned one.
    """
    target = _cache() / "claude"
    if not target.exists():
        _fetch(_architecture(), target)
    return target


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "llmroute" / "claude-code" / VERSION


def _architecture() -> str:
    machine = platform.machine().lower()
    if platform.system() != "Linux" or machine not in _MACHINES:
        raise InstallError(f"no pinned client for {platform.system()} on {machine}")
    return _MACHINES[machine]


def _fetch(architecture: str, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is not on the PATH")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename and two runs at once cannot collide.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        package = f"@anthropic-ai/claude-code-linux-{architecture}@{VERSION}"
        packed = subprocess.run(
            [npm, "pack", package, "--silent", "--pack-destination", folder],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_NPM_SECONDS,
            check=False,
        )
        archives = list(Path(folder).glob("*.tgz"))
        if packed.returncode != 0 or len(archives) != 1:
            raise InstallError(f"npm pack {package} failed: {packed.stderr.strip()[-500:]}")
        _verify(archives[0], architecture)
        _unpack(archives[0], Path(folder) / "claude").replace(target)


def _verify(archive: Path, architecture: str) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if base64.b64encode(digest).decode() != INTEGRITY[architecture]:
        raise InstallError(f"{archive.name} is not the pinned archive")


def _unpack(archive: Path, target: Path) -> Path:
    with tarfile.open(archive) as members:
        source = members.extractfile("package/claude")
        if source is None:
            raise InstallError(f"{archive.name} holds no client")
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
    target.chmod(0o755)
    return target


if __name__ == "__main__":
    sys.stdout.write(f"{client()}\n")
