"""The clients."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.clients import install

# They run in the clients' own environment.
collect_ignore = ["programs"]


@pytest.fixture(scope="session")
def codex() -> Path:
    """Fetch the Codex CLI where it is missing; without it a test fails and is never skipped."""
    return install.codex()
