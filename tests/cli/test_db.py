"""`llmroute db`, on a database in which there is something."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmroute_cli.main import app

runner = CliRunner()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "llmroute.yaml"
    file.write_text(
        f"database: sqlite:///{tmp_path}/data/llmroute.db\n"
        "deployments: {one: {provider: anthropic, api_key: k}}\n"
        "aliases: {claude-*: one}\n"
    )
    made = runner.invoke(app, ["keys", "create", "=ada", "--tag", "docs", "--quiet"])
    assert 0 == made.exit_code, made.output
    (tmp_path / "key").write_text(made.stdout.strip())
    return file


def test_it_says_where_it_is_and_what_is_in_it(config: Path) -> None:
    result = runner.invoke(app, ["db", "info"])

    assert 0 == result.exit_code
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert str(config.parent / "data/llmroute.db") == lines["database:"]
    assert ("1", "0") == (lines["keys:"], lines["calls:"])


def test_it_is_brought_up_to_date(config: Path) -> None:
    result = runner.invoke(app, ["db", "upgrade"])

    assert 0 == result.exit_code
    assert result.stdout.endswith("is at 0001\n")


def test_a_backup_is_the_same_database_for_nobody_else_to_read(config: Path) -> None:
    copy = config.parent / "copy.db"
    result = runner.invoke(app, ["db", "backup", str(copy)])

    assert 0 == result.exit_code, result.output
    assert 0o600 == stat.S_IMODE(copy.stat().st_mode)
    with closing(sqlite3.connect(copy)) as connection:
        assert [("=ada",)] == connection.execute("SELECT name FROM llmroute_keys").fetchall()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("llmroute.yaml", "is there already", id="there"),
        pytest.param("none/copy.db", "cannot write", id="no folder"),
    ],
)
def test_a_backup_overwrites_nothing(config: Path, name: str, words: str) -> None:
    before = config.read_text()
    result = runner.invoke(app, ["db", "backup", str(config.parent / name)])

    assert 1 == result.exit_code
    assert words in result.stderr
    assert before == config.read_text()


def test_postgresql_is_backed_up_by_its_own_program(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is asked of it.
    monkeypatch.setattr("llmroute.database.Database.upgrade_now", lambda _: False)
    config.write_text(
        config.read_text().replace(
            config.read_text().splitlines()[0], "database: postgresql://u:pw-canary@127.0.0.1:1/d"
        )
    )
    result = runner.invoke(app, ["db", "backup", "copy.db"])

    assert 1 == result.exit_code
    assert "pg_dump" in result.stderr
    assert "canary" not in result.output


def test_an_export_holds_everything_but_the_keys(config: Path) -> None:
    result = runner.invoke(app, ["db", "export", "keys"])
    [key] = map(json.loads, result.stdout.splitlines())

    assert ("=ada", ["docs"]) == (key["name"], key["tags"])
    secret = (config.parent / "key").read_text()
    assert not {"digest", "previous_digest"} & key.keys()
    assert secret not in result.stdout


def test_an_export_can_be_opened_in_a_spreadsheet(config: Path) -> None:
    out = config.parent / "keys.csv"
    result = runner.invoke(app, ["db", "export", "keys", "--format", "csv", "-o", str(out)])
    assert 0 == result.exit_code, result.output
    [key] = csv.DictReader(io.StringIO(out.read_text()))

    assert ("'=ada", '["docs"]') == (key["name"], key["tags"])


def test_without_a_database_there_is_nothing(config: Path) -> None:
    lines = config.read_text().splitlines()
    config.write_text("\n".join(["database: none", *lines[1:]]))

    assert "nothing on disk" in runner.invoke(app, ["db", "info"]).stdout
    assert 1 == runner.invoke(app, ["db", "export", "calls"]).exit_code
