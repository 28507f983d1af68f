"""`llmroute audit` and `llmroute budgets`, and `--url`: the same asked of a running proxy."""

import csv
import io
import json
import re
import time

import httpx
import pytest

from llmroute.testing import text
from llmroute_cli import table

from .program import MASTER_KEY, eventually, question

LONG_AGO = "2026-01-01"


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMROUTE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("LLMROUTE_CONFIG", raising=False)


@pytest.fixture
def done(invoke, database):
    """Call a command; it must go well."""

    def call(*arguments):
        result = invoke(*arguments)
        assert 0 == result.exit_code, result.output
        return result.stdout

    return call


def actions(told):
    return [(each["action"], each["kind"], each["name"]) for each in json.loads(told)]


def test_the_trail_names_who_did_what_to_whom_and_what_was_before(done):
    done("keys", "create", "ada", "--budget", "50/month", "--rpm", "5")
    done("keys", "update", "ada", "--name", "ada@example.com", "--budget", "80/month")
    done("keys", "delete", "ada@example.com")

    delete, update, create = re.split(r"\n(?=\d{4}-)", done("audit").strip())

    assert "cli  create key ada@example.com (key_" in create
    assert ["rpm=5", "50/month"] == re.findall(r"(?:limits|budgets): (.+)", create)
    assert [
        "name: ada → ada@example.com",
        "budgets: 50/month → 80/month",
    ] == re.findall(r"^    (.+)", update, re.MULTILINE)
    assert "delete key ada@example.com" in delete
    assert max(map(len, f"{delete}\n{update}\n{create}".splitlines())) <= 100


def test_the_trail_of_one_name_goes_back_beyond_its_deletion(done):
    for _ in range(2):
        done("keys", "create", "ada")
        done("keys", "delete", "ada")
    done("teams", "create", "core")
    done("budgets", "set", "5/day", "--person", "ann@example.com")

    assert 2 * [("delete", "key", "ada"), ("create", "key", "ada")] == actions(
        done("audit", "ada", "--format", "json")
    )
    assert [("create", "team", "core")] == actions(done("audit", "core", "--format", "json"))
    assert [("create", "budget", "ann@example.com")] == actions(
        done("audit", "ann@example.com", "--format", "json")
    )
    assert 2 == len(actions(done("audit", "--limit", "2", "--format", "json")))


def test_the_trail_as_a_spreadsheet_has_no_formulas(done):
    done("keys", "create", "=1+1")

    (row,) = csv.DictReader(io.StringIO(done("audit", "--format", "csv")))

    assert ("cli", "create", "'=1+1") == (row["actor"], row["action"], row["name"])
    assert {"name": "=1+1"}.items() <= json.loads(row["after"]).items()


@pytest.mark.parametrize(
    ("since", "status", "told"),
    [
        pytest.param(LONG_AGO, 0, "cli", id="before"),
        pytest.param("0m", 0, "nothing of 'ada' has been changed", id="after"),
        pytest.param("soon", 2, "--since: not a time: 'soon'", id="no-time"),
    ],
)
def test_the_trail_since(invoke, done, since, status, told):
    done("keys", "create", "ada")
    time.sleep(0.001)

    result = invoke("audit", "ada", "--since", since)

    assert status == result.exit_code
    assert told in result.output


def budget_rows(told):
    return [
        (each["of"], each["name"], each["period"], each["amount"], each["spent"])
        for each in json.loads(told)
    ]


def test_budgets_of_all_kinds_are_listed_and_set(done, config_file):
    path = config_file()
    settings = json.loads(path.read_text())
    settings["teams"] = {"empty": {"budgets": [{"amount": 5, "period": "day"}]}}
    settings["budgets"] = [{"amount": 900, "period": "month"}]
    path.write_text(json.dumps(settings))
    done("keys", "create", "ada", "--budget", "50", "-c", path)

    shown = done("budgets", "set", "80/month", "--key", "ada", "-c", path)
    done("budgets", "set", "5/day", "--person", "ann@example.com", "-c", path)
    done("budgets", "set", "0/day", "--person", "ann@example.com", "-c", path)
    done("budgets", "set", "6/week", "--person", "ann@example.com", "-c", path)
    done("budgets", "set", "3/week", "--each-person", "-c", path)

    assert [
        ("all", "", "month", 900, 0),
        ("owner", "ann@example.com", "week", 6, 0),
        ("team", "empty", "day", 5, 0),
        ("key", "ada", "month", 80, 0),
    ] == budget_rows(done("budgets", "--format", "json", "-c", path))
    assert "$80.00" in shown
    assert "budgets: 50/month → 80/month" in done("audit", "ada", "-c", path)
    assert "empty  0" in done("teams", "list", "-c", path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["5"], "one of --key, --team, --person and --each-person", id="nobody"),
        pytest.param(["5", "--key", "a", "--team", "b"], "say whose budget", id="two"),
        pytest.param(["5x", "--person", "a"], "'5x' is no budget", id="no-amount"),
        pytest.param(["5/total", "--person", "a"], "per day, week or month", id="for-good"),
        pytest.param(["5", "--person", "a", "--message", "b"], "--message", id="message"),
        pytest.param(["5", "--key", "nobody"], "there is no key named 'nobody'", id="unknown"),
    ],
)
def test_a_budget_that_cannot_be_set_says_why(invoke, database, arguments, told):
    result = invoke("budgets", "set", *arguments)

    assert result.exit_code in (1, 2)
    assert told in result.stderr


def test_a_proxy_answers_its_administrator_and_whoever_has_a_key(serve, upstream, run):
    upstream.default = text("Hello.", usage={"input_tokens": 100, "output_tokens": 10})
    proxy = serve()
    with httpx.Client(base_url=proxy.url, headers={"x-api-key": MASTER_KEY}) as admin:
        budgets = [{"amount": 7, "period": "day"}]
        made = [
            admin.post("/llmroute/keys", json={"name": name, "budgets": budgets}).json()["key"]
            for name in ("ada", "bob")
        ]
    for key in (*made, made[0]):
        assert 200 == proxy.ask("POST", "/v1/messages", question(), key)[0]
    eventually(lambda: json.loads(proxy.ask(path="/usage")[1])["totals"]["calls"] == 3)

    def asked(key, *arguments):
        program = run(*arguments, "--url", proxy.url, LLMROUTE_MASTER_KEY=key)
        status = program.wait()
        return status, program.output

    def names(key, *arguments):
        status, output = asked(key, *arguments)
        assert 0 == status, output
        return [line.split()[0] for line in output.splitlines() if "no master key" not in line]

    assert ["key", "ada", "bob", "total"] == names(MASTER_KEY, "usage")
    assert ["alias", "claude-*", "total"] == names(made[1], "usage", "--by", "alias")
    assert 1 + 2 == len(names(made[0], "usage", "calls"))
    assert 2 == asked(MASTER_KEY, "budgets")[1].count("$7.00 ") / 2
    assert ["of", "key"] == names(made[1], "budgets")
    assert 2 == asked(MASTER_KEY, "audit")[1].count("create key")
    status, output = asked(made[0], "audit")
    assert (1, True) == (status, "This takes the master key" in output)
    status, output = asked("sk-nobodys", "usage")
    assert (1, True) == (status, "ANTHROPIC_AUTH_TOKEN" in output)


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        pytest.param(200, "sk-1  {long}  {long}  5", id="wide"),
        pytest.param(59, "sk-1  {cut}  {cut}  5", id="narrow"),
        pytest.param(None, "sk-1  {long}  {long}  5", id="no-terminal"),
    ],
)
def test_a_table_fits_the_terminal(monkeypatch, capsys, room, expected):
    long = "x" * 40
    monkeypatch.setattr("sys.stdout.isatty", lambda: room is not None)
    monkeypatch.setenv("COLUMNS", str(room or 10))
    table.show(("key", "a", "b", "n"), [("sk-1", long, long, "5")])

    cut = "x" * 23 + "…"
    line = capsys.readouterr().out.splitlines()[1]
    assert expected.format(long=long, cut=cut) == line
    assert len(line) <= (room or 200)
