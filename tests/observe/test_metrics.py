"""Figures whose labels are the configuration's, and nothing a client makes up."""

import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Metrics, Reading, Record

USAGE = Usage(input_tokens=12, output_tokens=34, cache_read_input_tokens=56)


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
        "attempts": [
            Attempt("a", "529 overloaded_error", kind="overloaded_error"),
            Attempt("anthropic-1"),
        ],
        "team": "research",
        "_cost": 250_000,
    }
    return Record(**(given | fields))


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
    failed = {"status": 529, "outcome": "failed", "error_kind": "overloaded_error"}
    metrics.record(record(**failed, first_byte=None, usage=Usage(), duration=2))

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
        ("llmroute_failed_attempts_total", "a", "overloaded_error"): 2,
        ("llmroute_errors_total", "sonnet", "anthropic-1", "overloaded_error"): 1,
        ("llmroute_cost_dollars_total", "sonnet", "anthropic-1", "research"): 0.25,
        ("llmroute_key_cost_dollars_total", "master", "research"): 0.25,
    } == samples(metrics)


def test_what_a_client_makes_up_is_no_label():
    metrics = Metrics()

    for n in range(50):
        metrics.record(
            record(
                alias="claude-*",
                asked=f"claude-{n}",
                model=f"model-{n}",
                session=f"session-{n}",
                agent=f"agent-{n}",
                error=f"error-{n}",
                error_kind=f"kind-{n}",
                outcome="broken" if n % 2 else "failed",
                attempts=[Attempt("a", f"error-{n}", kind=f"kind-{n}")],
            )
        )

    found = samples(metrics)
    assert 25 == found["llmroute_requests_total", "claude-*", "anthropic-1", "failed", "200"]
    assert 25 == found["llmroute_errors_total", "claude-*", "anthropic-1", "other"]
    assert 25 == found["llmroute_errors_total", "claude-*", "anthropic-1", "broken"]
    assert 50 == found["llmroute_failed_attempts_total", "a", "other"]
    assert 14 == len(found)


def test_a_call_whose_price_nobody_knows_is_counted_as_such():
    metrics = Metrics()

    metrics.record(record(_cost=None))
    found = samples(metrics)

    assert 1 == found["llmroute_unpriced_requests_total", "sonnet", "anthropic-1"]
    assert not [name for name, *_ in found if "cost" in name]


def test_keys_beyond_a_thousand_are_counted_as_one():
    metrics = Metrics()

    for n in range(1100):
        metrics.record(record(key=f"key-{n}"))
    found = {key: value for key, value in samples(metrics).items() if "key_cost" in key[0]}

    assert 1001 == len(found)
    assert 25 == found["llmroute_key_cost_dollars_total", "other", "other"]


def test_cost_is_not_worked_out_where_the_call_ends():
    asked = []
    metrics = Metrics()

    metrics.record(record(_cost=None, tariff=lambda: asked.append("tariff")))

    assert [] == asked
    metrics.work()
    assert ["tariff"] == asked


def test_instruments_are_read_at_every_scrape():
    busy = {"a": 2, "b": 1}
    metrics = Metrics()
    metrics.sources.append(
        lambda: [Reading("llmroute_deployment_in_flight", n, (name,)) for name, n in busy.items()]
    )

    before = samples(metrics)
    del busy["b"]
    busy["a"] = 5

    assert {
        ("llmroute_deployment_in_flight", "a"): 2,
        ("llmroute_deployment_in_flight", "b"): 1,
    } == before
    assert {("llmroute_deployment_in_flight", "a"): 5} == samples(metrics)


def test_what_only_grows_goes_on_growing_when_it_begins_anew():
    shown = [3.0, 5.0, 5.0, 2.0]
    metrics = Metrics()
    metrics.sources.append(lambda: [Reading("llmroute_usage_dropped", shown[0])])

    totals = []
    while shown:
        totals.append(samples(metrics)["llmroute_usage_dropped_total",])
        shown.pop(0)

    assert [3, 5, 5, 7] == totals


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


READ_AND_SHOW = """
import os, sys
from llmroute.observe import Metrics, Reading
metrics = Metrics()
values = [float(arg) for arg in sys.argv[1:]]
def source():
    yield Reading("llmroute_requests_in_flight", values[0])
    yield Reading("llmroute_deployment_up", values[1], ("d",))
    yield Reading("llmroute_deployment_cooldowns", values[2], ("d",))
metrics.sources.append(source)
metrics.work()
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
sys.stdout.buffer.write(metrics.render())
"""


def test_the_instruments_of_workers_are_read_together(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    start = [sys.executable, "-c", READ_AND_SHOW]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([*start, "2", "1", "1"], **pipes) as one,
        subprocess.Popen([*start, "3", "0", "4"], **pipes) as other,
    ):
        assert ["ready\n"] * 2 == [one.stdout.readline(), other.stdout.readline()]
        shown = one.communicate("go\n", timeout=30)[0]
        other.communicate("go\n", timeout=30)

    assert "llmroute_requests_in_flight 5.0" in shown
    assert 'llmroute_deployment_up{deployment="d"} 0.0' in shown
    assert 'llmroute_deployment_cooldowns_total{deployment="d"} 5.0' in shown
