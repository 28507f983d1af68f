"""A database of each kind, empty or with the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.database.server import RealPostgres

from llmroute.database import Database, open_database


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPostgres]:
    server = RealPostgres(tmp_path_factory.mktemp("postgres"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stores)],
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/llmroute.db"
    return request.getfixturevalue("postgres").empty()


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[], Database]]:
    """Return a function that opens it, as a process of its own would."""
    databases: list[Database] = []

    def opening() -> Database:
        databases.append(open_database(url))
        return databases[-1]

    yield opening
    for each in databases:
        each.dispose()
