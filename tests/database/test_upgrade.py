"""The schema: made once, upgraded under a lock, and the same as the tables of the code."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, table

import llmroute
from llmroute.database import Database
from llmroute.database.schema import REVISION, VERSIONS, metadata, teams
from llmroute.database.upgrade import revision_of

pytestmark = pytest.mark.anyio
MIGRATIONS = Path(llmroute.__file__).parent / "database/migrations"

Opened = Callable[[], Database]


async def test_it_is_made_on_first_use_and_left_alone_later(opened: Opened) -> None:
    assert await opened().upgrade()
    assert not await opened().upgrade()


async def test_many_that_start_at_once_make_it_once(opened: Opened) -> None:
    made: list[bool] = []

    async def start() -> None:
        made.append(await opened().upgrade())

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(start)

    assert [False, False, False, True] == sorted(made)


async def test_the_migrations_make_the_tables_of_the_code(opened: Opened) -> None:
    database = opened()
    await database.upgrade()

    def differences(connection: Connection) -> list[object]:
        options = {"version_table": VERSIONS, "compare_type": True}
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        )

    assert [] == await database.read(differences)
    assert REVISION == await database.read(revision_of)


def test_the_last_migration_is_the_one_the_code_works_with() -> None:
    assert [REVISION] == ScriptDirectory(str(MIGRATIONS)).get_heads()


async def test_a_later_schema_is_left_alone(opened: Opened) -> None:
    database = opened()
    await database.upgrade()
    await database.write(
        lambda connection: connection.execute(
            table(VERSIONS, column("version_num")).update().values(version_num="9999")
        )
    )

    with pytest.raises(llmroute.StoreError, match="later version of llmroute"):
        await opened().upgrade()
    assert "9999" == await database.read(revision_of)


async def test_rows_are_kept(opened: Opened) -> None:
    database = opened()
    await database.upgrade()
    await database.write(lambda it: it.execute(teams.insert().values(id="t", name="backend")))
    await opened().upgrade()

    assert "backend" == await opened().read(
        lambda it: it.scalar(teams.select().with_only_columns(teams.c.name))
    )


async def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    from llmroute.database import open_database

    database = open_database(f"sqlite:///{tmp_path}/new/folder/llmroute.db")
    await database.upgrade()
    await database.aclose()

    assert 0o600 == stat.S_IMODE((tmp_path / "new/folder/llmroute.db").stat().st_mode)
    assert 0o700 == stat.S_IMODE((tmp_path / "new/folder").stat().st_mode)
