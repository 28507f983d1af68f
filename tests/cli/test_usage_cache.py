"""`llmroute usage cache`: why prompt caches were not read."""

import json
import time

import pytest

from llmroute.database import open_database
from llmroute.messages.usage import Usage
from llmroute.observe import Record
from llmroute.usage.recorder import Recorder


def turn(number, prefix, read=0, written=0, session="s1"):
    usage = {"input_tokens": 10, "cache_read_input_tokens": read}
    usage |= {"cache_creation_input_tokens": written}
    return Record(
        at=time.time(),
        id=f"call_{number}",
        session=session,
        agent="",
        kind="main",
        deployment="main\x1b[31m",
        usage=Usage.of(usage),
        prefix=prefix,
    )


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
    recorder.record(turn(1, {"change": "first"}, written=40_000))
    tools = {"change": "tools", "break": True, "by": "client", "at": "tools[1] Bash\x07"}
    recorder.record(turn(2, {**tools, "lost_tokens": 40_000, "cost": 138_000}, written=41_000))
    recorder.record(turn(3, {"change": "expired", "by": "time", "lost_tokens": 600}, read=1))
    recorder.record(turn(4, {"change": "grew"}, read=41_000, written=100))
    recorder.work()
    database.dispose()
    return path


def test_a_session_is_printed_turn_by_turn(invoke, config):
    result = invoke("usage", "cache", "s1", "--config", config)

    assert 0 == result.exit_code, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("time (UTC)")
    assert "BREAK tools by client: tools[1] Bash?" in lines[2]
    assert lines[2].endswith("40,000       $0.1380")
    assert "main?[31m" in lines[2]
    assert "expired by time" in lines[3]
    assert "BREAK" not in lines[3]
    assert (
        "4 calls, 33.6% of their prompts read from the cache; 1 break lost 40,000 tokens, $0.1380"
        in lines
    )


def test_only_what_lost_something_may_be_printed(invoke, config):
    result = invoke("usage", "cache", "s1", "--breaks", "--json", "--config", config)

    told = json.loads(result.output)
    assert ["tools", "expired"] == [each["change"] for each in told["turns"]]
    assert (1, 40_000) == (told["breaks"], told["lost_tokens"])


def test_without_a_session_those_that_lost_most_are_printed(invoke, config):
    result = invoke("usage", "cache", "--config", config)

    assert 0 == result.exit_code, result.output
    heads, row = result.output.splitlines()
    assert heads.startswith("session")
    assert row.startswith("s1")
    assert row.endswith("tools by client")


def test_a_call_that_is_explained_says_what_became_of_its_cache(invoke, config):
    result = invoke("usage", "explain", "call_2", "--config", config)

    assert "cache     tools by client tools[1] Bash : lost 40,000 tokens" in result.output


def test_json_is_for_machines(invoke, config):
    result = invoke("usage", "cache", "--since", "2020-01-01", "--json", "--config", config)

    assert ["s1"] == [each["session"] for each in json.loads(result.output)]


def test_where_nothing_was_lost_that_is_said(invoke, config, tmp_path):
    empty = json.loads(config.read_text()) | {"database": f"sqlite:///{tmp_path}/empty.db"}
    config.write_text(json.dumps(empty))

    result = invoke("usage", "cache", "--config", config)

    assert (0, "no session has lost any of its prompt cache (--since 7d)\n") == (
        result.exit_code,
        result.stderr,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(["s9"], 1, "there is no session 's9'", id="no-session"),
        pytest.param(["--since", "yesterday"], 2, "not a time", id="no-time"),
    ],
)
def test_what_cannot_be_told_is_said(invoke, config, arguments, status, said):
    result = invoke("usage", "cache", *arguments, "--config", config)

    assert status == result.exit_code
    assert said in result.output


def test_a_database_in_memory_cannot_be_asked(invoke, config):
    config.write_text(json.dumps(json.loads(config.read_text()) | {"database": "none"}))

    result = invoke("usage", "cache", "--config", config)

    assert 2 == result.exit_code
    assert "ask the proxy for `GET /usage/cache`" in result.output
