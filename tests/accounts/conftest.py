"""A directory of keys in a database of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.database.conftest import postgres, url

from llmroute.accounts.directory import Directory
from llmroute.database import open_database
from llmroute.testing import Clock

__all__ = ["postgres", "url"]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
async def directory(url: str, clock: Clock) -> AsyncIterator[Directory]:
    database = open_database(url)
    await database.upgrade()
    yield Directory(database, clock)
    await database.aclose()
