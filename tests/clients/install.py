"""The clients from npm that these tests run: pinned, fetched once, kept in a cache.

`python tests/clients/install.py` fetches them when they are missing and prints where they are.

They are pinned in `package-lock.json` beside this file, down to the hash of each archive; `npm
install --package-lock-only --omit-lockfile-registry-resolved` writes it anew, and names no registry
in it.  They land in `$XDG_CACHE_HOME/llmroute/clients/<digest of those files>` (`~/.cache` by
default), outside the tree.  No package's install script is run.

Node is one of them: the AI SDK wants a newer one than a distribution may have.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json")
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_NPM_SECONDS = 600


class InstallError(Exception):
    """The clients could not be fetched; the text says why."""


def packages() -> Path:
    """The `node_modules` that holds them, fetched first when the cache does not.

    Raises:
        InstallError: no builds for this machine, or npm is missing or failed.
    """
    target = _cache()
    if not target.exists():
        _architecture()
        _fetch(target)
    return target / "node_modules"


def node() -> Path:
    """The `node` that runs the packages; raises as `packages` does."""
    return packages() / f"node-linux-{_architecture()}" / "bin" / "node"


def codex() -> Path:
    """The Codex CLI's native executable, which needs no Node; raises as `packages` does."""
    vendor = packages() / "@openai" / f"codex-linux-{_architecture()}" / "vendor"
    (found,) = vendor.glob("*/bin/codex")
    return found


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _FILES)).hexdigest()
    return Path(root) / "llmroute" / "clients" / digest[:16]


def _architecture() -> str:
    machine = platform.machine().lower()
    if platform.system() != "Linux" or machine not in _MACHINES:
        raise InstallError(f"no pinned clients for {platform.system()} on {machine}")
    return _MACHINES[machine]


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is not on the PATH")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename and two runs at once cannot collide.
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / "clients"
        folder.mkdir()
        for name in _FILES:
            shutil.copy(_HERE / name, folder)
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        done = subprocess.run(
            [npm, "ci", *quiet],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_NPM_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise InstallError(f"npm ci failed: {done.stderr.strip()[-500:]}")
        try:
            folder.rename(target)
        except OSError:
            # Another run was faster, with the same packages.
            if not target.exists():
                raise


if __name__ == "__main__":
    sys.stdout.write(f"{packages()}\n")
