"""A call leaves one line, and figures whose labels are the configuration's."""

import json
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, LineLog, Metrics, Record

USAGE = Usage(input_tokens=12, output_tokens=34, cache_read_input_tokens=56)
HOSTILE = 'x\n2026-01-01 status=200 key="admin"\r\x00\x1b[31m\u2028\x85'


def record(**fields):
    given = {
        "at": 1_795_000_000.1234,
        "key": "master",
        "session": "s-1",
        "asked": "sonnet",
        "alias": "sonnet",
        "deployment": "anthropic-1",
        "first_byte": 0.123456,
        "duration": 1.5,
        "usage": USAGE,
        "attempts": [Attempt("a", "529 overloaded_error"), Attempt("anthropic-1")],
    }
    return Record(**(given | fields))


def lines(*records, as_json=False):
    written = []
    log = LineLog(written.append, as_json=as_json)
    for each in records:
        log.record(each)
    return written


def test_a_line_for_people():
    assert [
        "time=2026-11-18T11:06:40.123Z status=200 endpoint=messages key=master session=s-1 "
        "alias=sonnet deployment=anthropic-1 ttfb=0.1235 duration=1.5 in=12 out=34 cache_read=56 "
        'cache_write=0 attempts=2 failed="a: 529 overloaded_error" outcome=answered\n'
    ] == lines(record())


def test_a_line_for_machines_has_every_field():
    losses = ("tools: left out", "thinking: left out")
    (line,) = lines(record(agent="a-1", outcome="broken", losses=losses, error="cut"), as_json=True)

    assert {
        "time": "2026-11-18T11:06:40.123Z",
        "status": 200,
        "endpoint": "messages",
        "key": "master",
        "session": "s-1",
        "agent": "a-1",
        "asked": "sonnet",
        "alias": "sonnet",
        "deployment": "anthropic-1",
        "ttfb": 0.1235,
        "duration": 1.5,
        "in": 12,
        "out": 34,
        "cache_read": 56,
        "cache_write": 0,
        "attempts": 2,
        "failed": "a: 529 overloaded_error",
        "outcome": "broken",
        "losses": "tools: left out; thinking: left out",
        "why": "",
        "error": "cut",
    } == json.loads(line)


def test_a_field_without_a_value_is_null_and_not_missing():
    full, bare = lines(record(), Record(at=0.0), as_json=True)

    assert list(json.loads(full)) == list(json.loads(bare))
    assert json.loads(bare)["ttfb"] is None
    assert "" == json.loads(bare)["alias"]


@pytest.mark.parametrize("field", ["asked", "alias", "session", "agent", "error", "deployment"])
def test_whatever_a_client_sends_stays_on_its_line(field):
    (people,) = lines(record(**{field: HOSTILE}))
    (machines,) = lines(record(**{field: HOSTILE}), as_json=True)

    for line in (people, machines):
        assert 1 == len(line.splitlines())
        assert line[:-1].isprintable()
    assert HOSTILE == json.loads(machines)[field]


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        pytest.param("claude-*", "asked=claude-*", id="plain"),
        pytest.param("größe", 'asked="gr\\u00f6\\u00dfe"', id="letters"),
        pytest.param("a b", 'asked="a b"', id="space"),
        pytest.param("x status=500", 'asked="x status=500"', id="another-field"),
        pytest.param('a"b', 'asked="a\\"b"', id="quote"),
        pytest.param("a\nb", 'asked="a\\nb"', id="line-break"),
        pytest.param("\u202eevil", 'asked="\\u202eevil"', id="direction"),
    ],
)
def test_what_could_be_mistaken_is_quoted(asked, shown):
    (line,) = lines(record(asked=asked))

    assert f" {shown} alias=sonnet " in line


@pytest.mark.parametrize("as_json", [False, True], ids=["console", "json"])
@pytest.mark.parametrize("letter", ["x", " ", "\n", "é"])
def test_a_name_of_a_megabyte_does_not_make_a_line_of_one(letter, as_json):
    (line,) = lines(record(asked=letter * 1_000_000), as_json=as_json)

    assert len(line) < 4_000


def samples(metrics):
    """Return what is counted, by name and labels in the order of their names; buckets left out."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def test_what_is_counted_of_a_call():
    metrics = Metrics()

    metrics.record(record())
    metrics.record(record(status=529, outcome="failed", first_byte=None, usage=Usage(), duration=2))

    assert {
        ("llmroute_requests_total", "sonnet", "anthropic-1", "answered", "200"): 1,
        ("llmroute_requests_total", "sonnet", "anthropic-1", "failed", "529"): 1,
        ("llmroute_request_seconds_count", "sonnet"): 2,
        ("llmroute_request_seconds_sum", "sonnet"): 3.5,
        ("llmroute_first_byte_seconds_count", "sonnet"): 1,
        ("llmroute_first_byte_seconds_sum", "sonnet"): 0.123456,
        ("llmroute_tokens_total", "sonnet", "anthropic-1", "input"): 12,
        ("llmroute_tokens_total", "sonnet", "anthropic-1", "output"): 34,
        ("llmroute_tokens_total", "sonnet", "anthropic-1", "cache_read"): 56,
        ("llmroute_failed_attempts_total", "a"): 2,
    } == samples(metrics)


def test_what_a_client_makes_up_is_no_label():
    metrics = Metrics()

    for n in range(50):
        metrics.record(
            record(
                alias="claude-*",
                asked=f"claude-{n}",
                model=f"model-{n}",
                key=f"key-{n}",
                session=f"session-{n}",
                agent=f"agent-{n}",
                error=f"error-{n}",
                attempts=[Attempt("a", f"error-{n}")],
            )
        )

    found = samples(metrics)
    assert 50 == found["llmroute_requests_total", "claude-*", "anthropic-1", "answered", "200"]
    assert 9 == len(found)


def test_a_label_may_hold_any_text():
    metrics = Metrics()

    metrics.record(record(alias='a"b\\c\nd é'))

    assert 1 == samples(metrics)["llmroute_request_seconds_count", 'a"b\\c\nd é']


def test_two_proxies_in_one_process_count_apart():
    one, other = Metrics(), Metrics()

    one.record(record())

    assert ("llmroute_request_seconds_count", "sonnet") in samples(one)
    assert {} == samples(other)


COUNT_AND_SHOW = """
import sys
from llmroute.observe import Metrics, Record
metrics = Metrics()
metrics.record(Record(at=0.0, alias="sonnet", deployment="d"))
sys.stdout.buffer.write(metrics.render())
"""


def test_workers_show_the_figures_of_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for total in (1.0, 2.0):
        shown = subprocess.run(
            [sys.executable, "-c", COUNT_AND_SHOW], check=True, capture_output=True, timeout=30
        ).stdout.decode()

        counted = 'llmroute_requests_total{alias="sonnet",deployment="d",outcome="answered",'
        assert f'{counted}status="200"}} {total}' in shown.splitlines()
