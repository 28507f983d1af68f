"""The pinned client, and a machine for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import install
from .client import Machine


@pytest.fixture(scope="session")
def binary() -> Path:
    """Fetch the client where it is missing; without it a test fails and is never skipped."""
    return install.client()


@pytest.fixture
def machine(binary: Path) -> Iterator[Machine]:
    # Not pytest's own folder: the client binds a socket in it, and such a path must be short.
    with tempfile.TemporaryDirectory(prefix="claude-", ignore_cleanup_errors=True) as folder:
        yield Machine(binary, Path(folder))
