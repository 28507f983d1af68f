"""llama.cpp's server, built from source: one pinned version, kept in a cache.

`python tests/real/install.py` builds it when it is missing and prints where it is; that takes some
twenty minutes on two cores.

The source is the one that the package llama-cpp-python brings along.  The program lands in
`$XDG_CACHE_HOME/llmroute/llama.cpp/<version>` (`~/.cache` by default), outside the tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "0.3.36"
"""Of llama-cpp-python, which has llama.cpp of commit 0c1e57098."""

_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
_SOURCE = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/"
_FETCH_SECONDS = 900
_BUILD_SECONDS = 3600
# One program that needs nothing beside it, built in little time; the model is too small to need
# a fast one.
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_NATIVE=OFF",
    "-DGGML_OPENMP=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)


class InstallError(Exception):
    """The server could not be built; the text says why."""


def program() -> Path:
    """The server's executable, built first when the cache does not hold it.

    Raises:
        InstallError: a tool is missing, the source could not be had, or it does not build.
    """
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    target = Path(root) / "llmroute" / "llama.cpp" / VERSION / "llama-server"
    if not target.exists():
        _build(target)
    return target


def _build(target: Path) -> None:
    missing = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
    if missing:
        raise InstallError(f"not on the PATH: {', '.join(missing)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename and two runs at once cannot collide.
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        source, build = _source(folder), str(folder / "build")
        generator = ("-G", "Ninja") if shutil.which("ninja") else ()
        _run("cmake", "-S", str(source), "-B", build, *generator, *_OPTIONS)
        jobs = str(os.cpu_count() or 1)
        _run("cmake", "--build", build, "--parallel", jobs, "--target", "llama-server")
        (folder / "build" / "bin" / "llama-server").replace(target)


def _source(folder: Path) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"llama-cpp-python=={VERSION} --hash=sha256:{_SHA256}\n")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps")
    # The environment of the tests has no pip of its own.
    if not _has_pip():
        pip = (shutil.which("pip") or "pip", *pip[3:])
    _run(
        *pip,
        *("--no-binary", "llama-cpp-python", "--require-hashes", "--dest", str(folder)),
        *("--requirement", str(wanted)),
        seconds=_FETCH_SECONDS,
    )
    with tarfile.open(folder / f"llama_cpp_python-{VERSION}.tar.gz") as members:
        members.extractall(
            folder,
            [each for each in members if each.name.startswith(_SOURCE)],
            filter="data",
        )
    return folder / _SOURCE


def _has_pip() -> bool:
    found = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, check=False
    )
    return found.returncode == 0


def _run(*command: str, seconds: int = _BUILD_SECONDS) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise InstallError(f"{' '.join(command[:4])}… failed: {done.stdout.strip()[-2000:]}")


if __name__ == "__main__":
    sys.stdout.write(f"{program()}\n")
