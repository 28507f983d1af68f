"""`llmroute usage`: who used what, and what it cost."""

import csv
import io
import json
import time

import pytest

from llmroute.database import open_database
from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Record
from llmroute.pricing import tariff
from llmroute.usage.recorder import Recorder
from llmroute_cli.usage_shown import call_rows

from .program import question

PRICED = tariff("anthropic", "claude-sonnet-5-5")  # 2, 10, 0.1, 2.5 and 4 dollars a million


def record(number, **members):
    known = {
        "at": time.time(),
        "id": f"call_{number}",
        "key": "ci",
        "owner": "ada@example.com",
        "team": "core",
        "tags": ("nightly",),
        "session": "s-1",
        "kind": "main",
        "client": "claude-cli/2.1.330",
        "stream": True,
        "asked": "sonnet",
        "alias": "sonnet",
        "deployment": "main",
        "provider": "anthropic",
        "model": "claude-sonnet-5-5",
        "tariff": lambda: PRICED,
        "usage": Usage.of(
            {"input_tokens": 10, "cache_read_input_tokens": 90_000, "output_tokens": 1_000}
        ),
        "first_byte": 0.5,
        "duration": 2.0,
    }
    return Record(**known | members)


@pytest.fixture
def config(tmp_path):
    url = f"sqlite:///{tmp_path}/usage.db"
    path = tmp_path / "llmroute.yaml"
    settings = {
        "deployments": {"main": {"provider": "anthropic", "api_key": "k"}},
        "aliases": {"claude-*": "main"},
        "database": url,
    }
    path.write_text(json.dumps(settings))
    database = open_database(url)
    database.upgrade_now()
    recorder = Recorder(database)
    attempts = [
        Attempt("east", "over\x1b[31mloaded", 529, 0.2),
        Attempt("main", "", 200, 0.5),
    ]
    recorder.record(
        record(1, attempts=attempts, why=("east is cooling",), losses=("system[0]: cut",))
    )
    recorder.record(record(2, key="eve", owner="eve\x1b[2J", model="ours", tariff=lambda: None))
    recorder.work()
    database.dispose()
    return path


@pytest.fixture
def ask(invoke, config):
    def call(*arguments):
        done = invoke("usage", *arguments, "--config", config)
        assert 0 == done.exit_code, done.output
        return done.stdout

    return call


def rows(output):
    return [line.split() for line in output.splitlines()]


def test_the_last_days_by_key(ask):
    head, ci, eve, total = rows(ask())

    assert ["key", "calls"] == head[:2]
    # 10 x 2 + 90000 x 0.1 + 1000 x 10 = 19020; saved 90000 x 1.9 = 171000
    assert ["ci", "1", "0", "10", "1,000", "90,000", "0", "100.0%", "$0.02", "$0.17"] == ci
    assert ["eve", "1"] == eve[:2]
    assert ["total", "2"] == total[:2]
    assert "$0.02 + 1 of unknown price" in " ".join(total)


def test_by_several_and_narrowed(ask):
    output = ask("--by", "day", "--by", "model,team", "--key", "ci", "--tag", "nightly")

    assert ["day", "model", "team"] == rows(output)[0][:3]
    assert "claude-sonnet-5-5" == rows(output)[1][1]
    assert "ours" not in output


def test_as_comma_separated_values(ask):
    found = list(csv.DictReader(io.StringIO(ask("--format", "csv", "--by", "key"))))

    assert [("ci", "0.019020"), ("eve", "0.000000")] == [
        (row["key"], row["cost_usd"]) for row in found
    ]


def test_as_json(ask):
    found = json.loads(ask("--format", "json", "--by", "model", "--key", "ci"))

    assert (19_020, 171_000) == (found["totals"]["cost"], found["totals"]["saved"])
    assert 0.9999 == found["rows"][0]["cache_hit_share"]


def test_conversations(ask):
    lines = ask("sessions").splitlines()

    assert ["session", "key", "last"] == lines[0].split()[:3]
    assert {("s-1", "ci"), ("s-1", "eve")} == {tuple(line.split()[:2]) for line in lines[1:]}
    assert 2 == len(json.loads(ask("sessions", "--format", "json")))
    assert 3 == len(ask("sessions", "--format", "csv").splitlines())


def test_the_agents_of_a_conversation(ask):
    lines = rows(ask("agents", "s-1", "--key", "ci"))

    assert ["main", "1"] == lines[1][:2]
    assert 1 == len(json.loads(ask("agents", "s-1", "--json")))


def test_the_latest_calls(ask):
    output = ask("calls", "--limit", "1", "--key", "ci")

    assert ["call_1", "$0.0190"] == [rows(output)[1][0], rows(output)[1][-1]]
    assert "call_1" == json.loads(ask("calls", "--json", "--key", "ci"))[0]["id"]


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        pytest.param(42, "$0.000042", id="less than is shown"),
        pytest.param(100, "$0.0001", id="as little as is shown"),
        pytest.param(0, "$0.0000", id="nothing"),
    ],
)
def test_what_cost_little_did_cost_something(micros, shown):
    call = dict.fromkeys(("id", "key", "asked", "deployment", "outcome", "status"), "")
    _, (row,) = call_rows([{**call, "at": 0, "cost": micros}])

    assert shown == row[-1]


def test_a_call_is_explained(ask):
    lines = ask("explain", "call_1").splitlines()

    cells = [line.split() for line in lines]
    assert ["input", "10", "$2", "a", "million", "$0.000020", "claude-sonnet-5-5"] in cells
    assert ["cache", "read", "90,000", "$0.1", "a", "million", "$0.009000"] in [
        each[:7] for each in cells
    ]
    assert ["total", "$0.019020"] in cells
    assert "key       ci (owner ada@example.com; team core; tags nightly)" in lines
    assert "attempt   1: east, 529, 0.20 s: over [31mloaded" in lines
    assert "attempt   2: main, 200, 0.50 s: answered" in lines
    assert "why       east is cooling" in lines
    assert "losses    system[0]: cut" in lines
    assert "outcome   answered, 200, first byte after 0.50 s, 2.00 s in all" in lines
    assert "caching   saved $0.171000 against plain input" in lines
    assert any(line.startswith("prices    genai-prices 0.2.3, of 20") for line in lines)


def test_of_an_unknown_price_it_says_how_to_set_it(ask):
    lines = ask("explain", "call_2").splitlines()

    assert (
        "cost      unknown: no list has a price of ours; set `price:` on the deployment main"
        in lines
    )


def test_all_that_is_kept_of_a_call(ask):
    assert 19_020 == json.loads(ask("explain", "call_1", "--json"))["bill"]["total"]


def test_nothing_in_a_name_gets_to_the_terminal(ask):
    for arguments in ((), ("--by", "owner"), ("sessions",), ("calls",), ("explain", "call_2")):
        assert "\x1b" not in ask(*arguments)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param(("--by", "colour"), 2, "a report is divided by key", id="dimension"),
        pytest.param(("--since", "soon"), 2, "not a time: 'soon'; write 7d", id="time"),
        pytest.param(("agents", "s-9"), 1, "nothing is known of", id="session"),
        pytest.param(("explain", "call_9"), 1, "there is no call 'call_9'", id="call"),
    ],
)
def test_what_cannot_be_asked(invoke, config, arguments, status, message):
    done = invoke("usage", *arguments, "--config", config)

    assert (status, True) == (done.exit_code, done.stderr.startswith(message))


def test_without_a_database_the_proxy_is_asked(invoke, config):
    settings = json.loads(config.read_text()) | {"database": "none", "server": {"port": 1}}
    config.write_text(json.dumps(settings))
    done = invoke("usage", "--config", config)

    assert 1 == done.exit_code
    assert "No proxy answers at http://127.0.0.1:1" in done.stderr
    assert "llmroute serve" in done.stderr


def test_where_nothing_was_used_there_are_only_heads_and_nothing(ask):
    head, total = rows(ask("--until", "2020-01-02", "--since", "2020-01-01"))

    assert ["total", "0", "0", "0", "0", "0", "0", "$0.00", "$0.00"] == total
    assert "key" == head[0]


def test_a_call_of_a_running_proxy_is_explained(invoke, serve, tmp_path, monkeypatch):
    proxy = serve()
    status, _ = proxy.ask("POST", "/v1/messages", question("claude-haiku-4-5"))
    assert 200 == status
    (found,) = proxy.wait_for(r"call=(call_\S+)").groups()
    # What is left is written down when it ends.
    assert 0 == proxy.stop()
    monkeypatch.setenv("LLMROUTE_DATA_DIR", str(tmp_path / ".local/share/llmroute"))
    done = invoke("usage", "explain", found, "--config", tmp_path / "llmroute.yaml")

    assert 0 == done.exit_code, done.output
    assert "$1 a million" in done.stdout
    assert "$5 a million" in done.stdout
    assert "key       master" in done.stdout.splitlines()
