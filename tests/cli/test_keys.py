"""`llmroute keys` and `llmroute teams`: on the database itself, whether a proxy runs or not."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.database.conftest import postgres, url

from llmroute.accounts.secrets import digest_of

from .program import MASTER_KEY, Served

__all__ = ["postgres", "url"]

KEY = re.compile(r"sk-llmr-[\w-]{43}")
PATIENCE = 10.0


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMROUTE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("LLMROUTE_CONFIG", raising=False)
    return tmp_path / "data" / "llmroute.db"


@pytest.fixture
def keys(invoke, data):
    """Call `llmroute keys`; it must go well."""

    def call(*arguments):
        done = invoke("keys", *arguments)
        assert 0 == done.exit_code, done.output
        return done

    return call


def shown(keys, name):
    return json.loads(keys("show", name, "--json").stdout)


def test_a_key_is_printed_once_and_kept_nowhere(keys, data):
    done = keys("create", "ci", "--alias", "claude-haiku-*", "--owner", "ann@example.com")

    key = done.stdout.strip()
    assert KEY.fullmatch(key)
    assert key not in done.stderr
    assert str(data) in done.stderr
    assert (
        key not in keys("list").output + keys("show", "ci").output + keys("list", "--json").output
    )
    with sqlite3.connect(data) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert key not in dump
    assert digest_of(key).hex() in dump


def test_nothing_but_the_key_is_printed_if_that_is_wanted(keys):
    done = keys("create", "ci", "--quiet")

    assert "" == done.stderr
    assert KEY.fullmatch(done.stdout.strip())


def test_as_json_the_key_comes_with_what_it_may(keys):
    made = json.loads(keys("create", "ci", "--json", "--alias", "fast").stdout)

    assert KEY.fullmatch(made["key"])
    assert {"name": "ci", "aliases": ["fast"], "source": "database"}.items() <= made.items()
    assert made["hint"].endswith(made["key"][-4:])


def test_every_option_is_kept(invoke, keys):
    invoke("teams", "create", "core", "--budget", "500/month")
    keys(
        *("create", "ci", "--alias", "fast", "--alias", "claude-*", "--tag", "a", "--tag", "b"),
        *("--owner", "ann", "--team", "core", "--expires", "2099-01-31", "--trusted"),
        *("--rpm", 60, "--tpm", 1000, "--parallel", 4, "--message", "Ask Ann"),
        *("--budget", "50", "--budget", "0.5/week:claude-opus-*"),
    )

    ci = shown(keys, "ci")
    assert (["fast", "claude-*"], ["a", "b"], "ann", "core", True) == (
        *(ci["aliases"], ci["tags"], ci["owner"], ci["team"], ci["trusted"]),
    )
    assert "2099-01-31T00:00:00+00:00" == ci["expires"]
    assert {"requests_per_minute": 60, "tokens_per_minute": 1000, "parallel": 4} == ci["limits"]
    budgets = {(each["amount"], each["period"], each["alias"]) for each in ci["budgets"]}
    assert {(50, "month", ""), (0.5, "week", "claude-opus-*")} == budgets
    assert {("Ask Ann", 0)} == {(each["message"], each["spent"]) for each in ci["budgets"]}
    said = keys("show", "ci").stdout
    assert "50/month: $0 of $50 spent, begins anew at " in said
    assert "team's budget: 500/month: $0 of $500 spent" in said


def test_an_update_changes_what_is_given_and_nothing_else(invoke, keys):
    invoke("teams", "create", "core")
    keys(
        *("create", "ci", "--alias", "fast", "--owner", "ann", "--rpm", 60, "--tpm", 9),
        *("--budget", "50", "--budget", "20/week", "--expires", "30d", "--team", "core"),
    )
    before = shown(keys, "ci")
    keys("update", "ci", "--rpm", 0, "--budget", "0/week", "--budget", "70/month")
    keys("update", "ci", "--message", "Ask Ann")

    after = shown(keys, "ci")
    assert {"requests_per_minute": None, "tokens_per_minute": 9, "parallel": None} == after[
        "limits"
    ]
    (budget,) = after["budgets"]
    assert (70, "month", "Ask Ann") == (budget["amount"], budget["period"], budget["message"])
    same = before.keys() - {"limits", "budgets"}
    assert {name: before[name] for name in same} == {name: after[name] for name in same}
    keys("update", "ci", "--alias", "", "--team", "", "--expires", "never", "--name", "cd")
    cd = shown(keys, "cd")
    assert ([], None, None) == (cd["aliases"], cd["team"], cd["expires"])


def test_a_key_drawn_anew_is_another_one(keys):
    first = keys("create", "ci", "-q").stdout.strip()
    done = keys("rotate", "ci", "--overlap", "24h")

    assert KEY.fullmatch(done.stdout.strip())
    assert first != done.stdout.strip()
    assert "the one before is taken until " in done.stderr
    assert "the one before is taken no more\n" in keys("rotate", "ci").stderr


def test_a_key_that_has_ended_is_not_made(invoke, data):
    done = invoke("keys", "create", "ci", "--expires", "2020-01-01")

    assert 2 == done.exit_code
    assert done.stderr == (
        "--expires: '2020-01-01' is over; the key would be refused from the start\n"
    )


def test_blocked_unblocked_deleted(keys):
    keys("create", "ci", "-q")

    assert "blocked" in keys("block", "ci").stdout
    assert shown(keys, "ci")["blocked"]
    assert "blocked" not in keys("unblock", "ci").stdout
    keys("delete", "ci")
    assert [] == json.loads(keys("list", "--json").stdout)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        pytest.param(("show", "nobody"), 1, "there is no key named 'nobody'", id="no such key"),
        pytest.param(("create", "taken"), 1, "there is a key named 'taken' already", id="taken"),
        pytest.param(("create", "a", "--team", "b"), 1, "there is no team named 'b'", id="no team"),
        pytest.param(("create", "master"), 2, "choose another name", id="name"),
        pytest.param(("create", "sk-something"), 2, "choose another name", id="a key for a name"),
        pytest.param(("create", "a", "--budget", "x"), 2, "write 50/month", id="budget"),
        pytest.param(("create", "a", "--budget", "5/year"), 2, "write 50/month", id="period"),
        pytest.param(("create", "a", "--budget", "9" * 12), 2, "write 50/month", id="too much"),
        pytest.param(("create", "a", "--expires", "soon"), 2, "30d, 2027-01-31", id="expires"),
        pytest.param(("create", "a", "--owner", "a\nb"), 2, "--owner: must be", id="owner"),
        pytest.param(("create", "a", "--tag", "x" * 201), 2, "--tag: must be", id="tag"),
        pytest.param(("create", "a", "--alias", "\udcff"), 2, "--alias: must be", id="bytes"),
        pytest.param(("rotate", "taken", "--overlap", "x"), 2, "24h, or 30d", id="overlap"),
    ],
)
def test_what_cannot_be_done_is_said(invoke, keys, arguments, status, words):
    keys("create", "taken", "-q")

    done = invoke("keys", *arguments)

    assert (status, "") == (done.exit_code, done.stdout)
    assert words in done.stderr


@pytest.fixture
def with_keys(config_file):
    """Write a configuration with a key and a team of its own."""

    def write(**more):
        path = config_file("keys.yaml")
        settings = json.loads(path.read_text())
        settings["keys"] = {
            "fixed": {"sha256": "ab" * 32, "team": "core", "aliases": "fast", "owner": "bob"}
        }
        settings["teams"] = {"core": {"budgets": [{"amount": 5}]}}
        path.write_text(json.dumps(settings | more))
        return path

    return write


def test_keys_of_the_file_are_listed_and_changed_there(invoke, keys, with_keys):
    path = with_keys()
    keys("create", "made", "-q", "--config", path)

    listed = {each["name"]: each for each in json.loads(keys("list", "--json", "-c", path).stdout)}
    assert {"fixed": "config", "made": "database"} == {
        name: each["source"] for name, each in listed.items()
    }
    assert "core" == shown(lambda *words: keys(*words, "-c", path), "fixed")["team"]
    for command in ("block", "delete", "rotate", "update"):
        done = invoke("keys", command, "fixed", "-c", path)
        assert (1, "") == (done.exit_code, done.stdout)
        assert f"stands in {path}; change it there" in done.stderr
    assert 1 == invoke("keys", "create", "fixed", "-c", path).exit_code
    assert 1 == invoke("teams", "update", "core", "--rpm", "1", "-c", path).exit_code
    assert ["made"] == [
        each["name"]
        for each in json.loads(keys("list", "--json", "-c", path).stdout)
        if each["owner"] == ""
    ]
    only = keys("list", "--owner", "bob", "--team", "core", "--json", "-c", path).stdout
    assert ["fixed"] == [each["name"] for each in json.loads(only)]


def test_without_a_database_it_says_what_to_do(invoke, keys, with_keys):
    path = with_keys(database="none")

    done = invoke("keys", "create", "ci", "--config", path)

    assert (2, "") == (done.exit_code, done.stdout)
    assert "POST /llmroute/keys, or name a database" in done.stderr
    listed = keys("list", "--config", path)
    assert "fixed" in listed.stdout
    assert "`database: none`" in listed.stderr
    assert "fixed" in keys("show", "fixed", "--config", path).stdout
    unknown = invoke("keys", "show", "other", "--config", path)
    assert 1 == unknown.exit_code
    assert "there is no key 'other' in the configuration" in unknown.stderr


def test_the_key_before_is_told_of_as_long_as_it_is_taken(keys, data):
    keys("create", "ci")
    assert shown(keys, "ci")["previous_until"] is None

    keys("rotate", "ci", "--overlap", "24h")

    until = datetime.fromisoformat(shown(keys, "ci")["previous_until"]) - datetime.now(UTC)
    assert timedelta(hours=23) < until <= timedelta(hours=24)
    assert re.search(r"key before: +taken until 20", keys("show", "ci").stdout)
    keys("rotate", "ci")
    assert "taken until" not in keys("show", "ci").stdout


def test_no_other_secret_has_to_exist(invoke, keys, tmp_path, monkeypatch):
    path = tmp_path / "llmroute.yaml"
    path.write_text(
        "deployments: {a: {provider: anthropic, api_key: '${NOWHERE}'}}\naliases: {a: a}\n"
        "database: ${DATABASE_URL}\n"
    )
    monkeypatch.delenv("DATABASE_URL", raising=False)

    done = invoke("keys", "list", "-c", path)

    assert (2, f"{path}:3: database: environment variable DATABASE_URL is not set\n") == (
        done.exit_code,
        done.stderr,
    )
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    keys("create", "ci", "-q", "-c", path)
    assert (tmp_path / "other.db").is_file()


def test_a_database_that_is_away_is_said_without_its_password(invoke, config_file, data):
    path = config_file()
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "database": "postgresql://u:canary@127.0.0.1:1/x"}))

    done = invoke("keys", "list", "-c", path)

    assert 1 == done.exit_code
    assert done.stderr.startswith("127.0.0.1:1/x: ")
    assert "canary" not in done.output


def test_a_digest_is_printed_for_a_key_that_no_command_line_shows(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from llmroute_cli.main import app

    done = CliRunner().invoke(app, ["keys", "hash"], input="sk-mine\n")

    assert digest_of("sk-mine").hex() == done.stdout.strip()
    assert 2 == CliRunner().invoke(app, ["keys", "hash"], input="").exit_code


def test_teams(invoke, keys):
    assert 0 == invoke("teams", "create", "core", "--budget", "5", "--alias", "fast").exit_code
    keys("create", "ci", "-q", "--team", "core")

    invoke("teams", "update", "core", "--rpm", "7", "--block", "--name", "kern")
    kern = json.loads(invoke("teams", "show", "kern", "--json").stdout)
    assert (["ci"], ["fast"], True, 7) == (
        *(kern["keys"], kern["aliases"], kern["blocked"]),
        kern["limits"]["requests_per_minute"],
    )
    assert "5/month: $0 of $5 spent" in invoke("teams", "show", "kern").stdout
    (listed,) = json.loads(invoke("teams", "list", "--json").stdout)
    assert ("kern", 1) == (listed["name"], listed["keys"])
    assert "team blocked" in keys("list").stdout
    refused = invoke("teams", "delete", "kern")
    assert 1 == refused.exit_code
    assert "has keys" in refused.stderr
    assert "--with-keys" in refused.stderr
    assert 0 == invoke("teams", "delete", "kern", "--with-keys").exit_code
    assert [] == json.loads(keys("list", "--json").stdout)


def asked(proxy, key, model="fast"):
    body = {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{proxy.url}/v1/messages", json=body, headers=headers, timeout=PATIENCE)


def until(status, proxy, key):
    """Ask until it is answered so; a running proxy sees a change within a second or two."""
    end = time.monotonic() + PATIENCE
    while (reply := asked(proxy, key)).status_code != status and time.monotonic() < end:
        pass
    assert status == reply.status_code, reply.text
    return reply


def test_a_proxy_that_runs_sees_what_the_command_does(serve, run, tmp_path):
    proxy = serve()
    command = ["--config", str(tmp_path / "llmroute.yaml")]

    def keys(*arguments):
        program = run("keys", *arguments, *command)
        assert 0 == program.wait(), program.output
        return program.output

    key = keys("create", "ci", "-q", "--alias", "fast")

    assert 200 == asked(proxy, key).status_code
    refused = asked(proxy, key, "claude-opus-5")
    assert (403, "false") == (refused.status_code, refused.headers["x-should-retry"])
    keys("block", "ci")
    assert "is blocked" in until(403, proxy, key).text
    keys("unblock", "ci")
    until(200, proxy, key)
    new = keys("rotate", "ci", "-q", "--overlap", "1h")
    assert [200, 200] == [asked(proxy, each).status_code for each in (new, key)]
    keys("delete", "ci")
    assert "not one of this llmroute proxy's" in until(401, proxy, key).text
    assert 401 == asked(proxy, new).status_code
    assert 200 == asked(proxy, MASTER_KEY).status_code
    assert 0 == proxy.stop()
    assert key not in proxy.output


def test_every_kind_of_database_will_do(invoke, keys, with_keys, url):
    path = with_keys(database=url)
    invoke("teams", "create", "made", "--budget", "5", "-c", path)
    key = keys("create", "ci", "-q", "--team", "made", "--expires", "30d", "-c", path).stdout

    keys("update", "ci", "--budget", "20/week:fast", "--owner", "schlüssel", "-c", path)
    new = keys("rotate", "ci", "-q", "--overlap", "1h", "-c", path).stdout
    keys("block", "ci", "-c", path)
    ci = json.loads(keys("show", "ci", "--json", "-c", path).stdout)
    assert ("made", "schlüssel", True) == (ci["team"], ci["owner"], ci["blocked"])
    assert ci["hint"].endswith(new.strip()[-4:])
    assert key != new
    keys("delete", "ci", "-c", path)
    assert 1 == invoke("keys", "show", "ci", "-c", path).exit_code


def test_keys_of_the_file_come_and_go_with_it(programs, with_keys, tmp_path):
    first, second = ({"key": f"sk-{name}-canary"} for name in ("first", "second"))
    path = with_keys(keys={"a": first})
    command = ["serve", "--config", str(path), "--host", "0.0.0.0"]
    settings = json.loads(path.read_text())
    del settings["server"]["master_key"]
    path.write_text(json.dumps(settings))
    proxy = Served(command, {}, tmp_path)
    programs.append(proxy)

    keys = [each["key"] for each in (first, second)]
    assert [200, 401] == [asked(proxy, key).status_code for key in keys]
    path.write_text(json.dumps(settings | {"keys": {"b": {**second, "aliases": "claude-*"}}}))
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_for("was loaded again and takes over")
    assert [401, 403] == [asked(proxy, key).status_code for key in keys]
    path.write_text(json.dumps(settings | {"keys": {}}))
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_for("There is no master key, so everyone who reaches 0.0.0.0")
    assert 403 == asked(proxy, keys[1]).status_code
    assert 0 == proxy.stop()
    assert "canary" not in proxy.output


def commands_of(page):
    """Return the commands on keys and teams of a page, in its order."""
    text = (Path(__file__).parents[2] / page).read_text("utf-8")
    lines = re.findall(r"^\$ llmroute ((?:keys|teams) .*)$", text, re.MULTILINE)
    return [words for line in lines if (words := shlex.split(line))[1] != "hash"]


def test_the_guide_can_be_followed_from_top_to_bottom(invoke, data):
    commands = commands_of("docs/guides/keys.md")

    assert 15 <= len(commands)
    for words in commands:
        done = invoke(*words)
        assert 0 == done.exit_code, (words, done.output)
