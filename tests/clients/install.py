"""The clients from npm that these tests run: pinned, fetched once, kept in a cache.

`python tests/clients/install.py` fetches them when they are missing and prints where they are.

They are pinned in `npm.json` beside this file, down to the hash of each archive; with `--pin`, what
its `dependencies` ask for is looked up and pinned anew.  They land in
`$XDG_CACHE_HOME/llmroute/clients/<digest of that file>` (`~/.cache` by default), outside the tree.
No package's install script is run.

Node is one of them: the AI SDK wants a newer one than a distribution may have.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_PINS = _HERE / "npm.json"
_ASKED = ("dependencies", "optionalDependencies")
# Members of a pinned package that say nothing of what is installed.
_NOTES = ("license", "funding", "resolved")
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
    digest = hashlib.sha256(_PINS.read_bytes()).hexdigest()
    return Path(root) / "llmroute" / "clients" / digest[:16]


def _architecture() -> str:
    machine = platform.machine().lower()
    if platform.system() != "Linux" or machine not in _MACHINES:
        raise InstallError(f"no pinned clients for {platform.system()} on {machine}")
    return _MACHINES[machine]


def _fetch(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename and two runs at once cannot collide.
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / "clients"
        folder.mkdir()
        pins = json.loads(_PINS.read_text("utf-8"))
        _write(folder / "package.json", _project(pins))
        lock = {"": _project(pins), **pins["packages"]}
        _write(
            folder / "package-lock.json", {**_project(pins), "lockfileVersion": 3, "packages": lock}
        )
        _npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        try:
            folder.rename(target)
        except OSError:
            # Another run was faster, with the same packages.
            if not target.exists():
                raise


def _pin() -> None:
    """Look up what is asked for, and write down what was found."""
    pins = json.loads(_PINS.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(folder / "package.json", _project(pins))
        _npm(folder, "install", "--package-lock-only", "--ignore-scripts", "--no-audit")
        found = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    packages = {
        path: {name: value for name, value in package.items() if name not in _NOTES}
        for path, package in found.items()
        if path
    }
    _write(_PINS, {name: pins[name] for name in _ASKED} | {"packages": packages})


def _project(pins: dict[str, Any]) -> dict[str, Any]:
    return {"name": "llmroute-clients", **{name: pins[name] for name in _ASKED}}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _npm(folder: Path, *arguments: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is not on the PATH")
    done = subprocess.run(
        [npm, *arguments, "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_NPM_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise InstallError(f"npm {arguments[0]} failed: {done.stderr.strip()[-500:]}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--pin"]:
        _pin()
    sys.stdout.write(f"{packages()}\n")
