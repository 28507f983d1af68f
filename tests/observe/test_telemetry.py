"""A collector is told of every call by the conventions, and of nothing else."""

import logging
import threading

import pytest
from pydantic import SecretStr

from llmroute.config.telemetry import Telemetry as Settings
from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Record
from llmroute.observe.telemetry import Telemetry, wanted

from .collector import collecting, plain

AT = 1_795_000_000.5
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SERVER, CLIENT, ERROR = 2, 3, 2


def record(**fields):
    given = {
        "at": AT,
        "id": "call_1",
        "stream": True,
        "key": "alice",
        "owner": "alice@example.com",
        "team": "research",
        "tags": ("ci", "nightly"),
        "session": "session-1",
        "agent": "agent-2",
        "parent": "agent-1",
        "kind": "subagent",
        "client": "claude-cli/2.1.330",
        "asked": "claude-sonnet-4-5",
        "alias": "claude-*",
        "deployment": "b",
        "provider": "bedrock",
        "model": "anthropic.claude-sonnet-4-5",
        "first_byte": 1.25,
        "duration": 3.0,
        "usage": Usage(10, 20, 3000, 400),
        "attempts": [
            Attempt("a", "529: CANARY", 529, 0.5, "overloaded_error", 0.0, "anthropic", "claude-s"),
            Attempt("b", "", 200, 0.5, "", 0.75, "bedrock", "anthropic.claude-sonnet-4-5"),
        ],
        "_cost": 123_456,
    }
    return Record(**(given | fields))


@pytest.fixture
def collector():
    with collecting() as listening:
        yield listening


def told(collector, *records, environ=None, **settings):
    """Tell the collector of calls, and wait until it knows."""
    telemetry = Telemetry(
        Settings(endpoint=collector.url, **settings), environ or {}, version="1.2.3"
    )
    for each in records:
        telemetry.record(each)
    telemetry.work()
    telemetry.close()
    return telemetry


def test_a_call_is_a_span_and_each_attempt_another_below_it(collector):
    told(collector, record(), metrics=False)

    (call,) = [span for span in collector.spans if span.kind == SERVER]
    failed, answered = (span for span in collector.spans if span.kind == CLIENT)
    assert ("messages claude-*", SERVER) == (call.name, call.kind)
    assert b"" == call.parent_span_id
    assert [call.span_id] * 2 == [failed.parent_span_id, answered.parent_span_id]
    assert 1 == len({span.trace_id for span in collector.spans})
    assert [(0, 3.0), (0, 0.5), (0.75, 3.0)] == [
        tuple(
            round(at / 1e9 - AT, 3) for at in (span.start_time_unix_nano, span.end_time_unix_nano)
        )
        for span in (call, failed, answered)
    ]
    assert [0, ERROR, 0] == [span.status.code for span in (call, failed, answered)]


def test_what_is_said_of_a_call(collector):
    told(collector, record(), metrics=False)

    (call,) = [span for span in collector.spans if span.kind == SERVER]
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.conversation.id": "session-1",
        "gen_ai.agent.id": "agent-2",
        "gen_ai.usage.input_tokens": 3410,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 3000,
        "gen_ai.usage.cache_creation.input_tokens": 400,
        "http.response.status_code": 200,
        "llmroute.agent": "agent-2",
        "llmroute.alias": "claude-*",
        "llmroute.attempts": 2,
        "llmroute.call": "call_1",
        "llmroute.client": "claude-cli/2.1.330",
        "llmroute.cost_usd": 0.123456,
        "llmroute.deployment": "b",
        "llmroute.endpoint": "messages",
        "llmroute.key": "alice",
        "llmroute.kind": "subagent",
        "llmroute.outcome": "answered",
        "llmroute.owner": "alice@example.com",
        "llmroute.parent_agent": "agent-1",
        "llmroute.tags": ["ci", "nightly"],
        "llmroute.team": "research",
    } == plain(call.attributes)


def test_what_is_said_of_attempts(collector):
    told(collector, record(), metrics=False)

    failed, answered = (span for span in collector.spans if span.kind == CLIENT)
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.conversation.id": "session-1",
        "gen_ai.agent.id": "agent-2",
        "llmroute.alias": "claude-*",
    }
    assert "chat claude-s" == failed.name
    assert common | {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-s",
        "llmroute.deployment": "a",
        "http.response.status_code": 529,
        "error.type": "overloaded_error",
    } == plain(failed.attributes)
    assert "chat anthropic.claude-sonnet-4-5" == answered.name
    assert common | {
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "anthropic.claude-sonnet-4-5",
        "gen_ai.response.model": "anthropic.claude-sonnet-4-5",
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 3410,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 3000,
        "gen_ai.usage.cache_creation.input_tokens": 400,
        "llmroute.deployment": "b",
        "http.response.status_code": 200,
    } == plain(answered.attributes)


@pytest.mark.parametrize(
    ("fields", "said", "status"),
    [
        pytest.param(
            {"outcome": "failed", "error_kind": "api_error"}, "api_error", ERROR, id="failed"
        ),
        pytest.param(
            {"outcome": "refused", "error_kind": "billing_error"}, "billing_error", 0, id="refused"
        ),
        pytest.param({"outcome": "broken"}, "broken", ERROR, id="broken"),
        pytest.param({"outcome": "cancelled", "status": 499}, "cancelled", 0, id="cancelled"),
    ],
)
def test_how_a_call_ended(collector, fields, said, status):
    told(collector, record(**fields), metrics=False)

    (call,) = [span for span in collector.spans if span.kind == SERVER]
    assert (said, status) == (plain(call.attributes)["error.type"], call.status.code)


def test_a_clients_trace_is_joined(collector):
    told(collector, record(trace=f"00-{TRACE}-{SPAN}-01"), metrics=False)

    assert {TRACE} == {span.trace_id.hex() for span in collector.spans}
    (call,) = [span for span in collector.spans if span.kind == SERVER]
    assert SPAN == call.parent_span_id.hex()


@pytest.mark.parametrize(
    ("trace", "state", "carried"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", "vendor=t61,t@s=a/b", "vendor=t61,t@s=a/b", id="it"),
        pytest.param(f"00-{TRACE}-{SPAN}-01", "", "", id="none"),
        pytest.param(f"00-{TRACE}-{SPAN}-01", "Not one", "", id="of no form"),
        pytest.param("", "vendor=t61", "", id="of no trace"),
    ],
)
def test_what_other_systems_say_of_a_trace_is_carried_on(collector, trace, state, carried):
    told(collector, record(trace=trace, trace_state=state), metrics=False)

    assert [carried] * 3 == [span.trace_state for span in collector.spans]
    assert (TRACE in {span.trace_id.hex() for span in collector.spans}) is bool(trace)


@pytest.mark.parametrize(
    ("trace", "sample", "count"),
    [
        pytest.param("", 0.0, 0, id="ours-not-sampled"),
        pytest.param("", 1.0, 3, id="ours-sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", 1.0, 0, id="the-client-says-no"),
        pytest.param(f"00-{TRACE}-{SPAN}-01", 0.0, 3, id="the-client-says-yes"),
    ],
)
def test_which_traces_are_sent(collector, trace, sample, count):
    told(collector, record(trace=trace), metrics=False, sample=sample)

    assert count == len(collector.spans)


def test_what_is_measured(collector):
    told(
        collector,
        record(),
        record(outcome="failed", error_kind="api_error", usage=Usage(), first_byte=None),
        traces=False,
    )

    assert [] == collector.spans
    units = {name: metric.unit for name, metric in collector.metrics.items()}
    assert {
        "gen_ai.client.token.usage": "{token}",
        "gen_ai.client.operation.duration": "s",
        "gen_ai.server.time_to_first_token": "s",
    } == units
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "anthropic.claude-sonnet-4-5",
        "llmroute.alias": "claude-*",
        "llmroute.deployment": "b",
        "llmroute.team": "research",
    }
    points = {
        name: sorted(
            (sorted(plain(point.attributes).items()), point.count, point.sum)
            for point in metric.histogram.data_points
        )
        for name, metric in collector.metrics.items()
    }
    assert [
        (sorted((common | {"gen_ai.token.type": "input"}).items()), 1, 3410),
        (sorted((common | {"gen_ai.token.type": "output"}).items()), 1, 20),
    ] == points["gen_ai.client.token.usage"]
    assert [(sorted(common.items()), 1, 1.25)] == points["gen_ai.server.time_to_first_token"]
    assert {1} == {count for _, count, _ in points["gen_ai.client.operation.duration"]}
    bounds = collector.metrics["gen_ai.client.token.usage"].histogram.data_points[0].explicit_bounds
    assert [1, 4, 16, 64, 256, 1024, 4096, 16384] == list(bounds)[:8]


def test_neither_words_nor_secrets_are_told(collector):
    key = "sk-collector-canary"
    told(
        collector,
        record(error="messages.3: CANARY", outcome="failed", losses=("CANARY",), why=("CANARY",)),
        headers={"authorization": SecretStr(f"Bearer {key}")},
    )

    assert b"claude-*" in collector.raw
    assert b"CANARY" not in collector.raw
    assert key.encode() not in collector.raw
    assert {f"Bearer {key}"} == {headers["authorization"] for headers in collector.headers}


def test_who_tells_it(collector):
    told(collector, record(), metrics=False, service_name="gateway")

    resource = plain(collector.came["/v1/traces"][0].resource_spans[0].resource.attributes)
    assert ("gateway", "1.2.3") == (resource["service.name"], resource["service.version"])


def test_a_collector_that_is_away_costs_one_line(collector, caplog, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    collector.status = 500
    telemetry = Telemetry(Settings(endpoint=collector.url, metrics=False), {})
    with caplog.at_level(logging.WARNING, "llmroute"):
        for _ in range(3):
            telemetry.record(record())
            telemetry.work()
        collector.status = 200
        telemetry.record(record())
        telemetry.work()
        telemetry.close()

    assert [
        "the collector takes no spans; they are dropped until it does",
        "the collector takes spans again",
    ] == [each.getMessage() for each in caplog.records if each.name == "llmroute"]
    assert 3 == telemetry.dropped
    assert 3 == len(collector.spans)
    assert [("llmroute_telemetry_dropped", 3, ())] == list(telemetry.readings())


def test_what_waits_is_bounded(collector):
    telemetry = Telemetry(Settings(endpoint=collector.url, metrics=False), {})
    for _ in range(10_007):
        telemetry.record(record())

    assert 7 == telemetry.dropped
    telemetry.close()


def test_the_thread_tells_the_last_of_them_before_it_ends(collector):
    telemetry = Telemetry(Settings(endpoint=collector.url), {})
    telemetry.start()
    telemetry.record(record())
    telemetry.close()

    assert 3 == len(collector.spans)
    assert "gen_ai.client.operation.duration" in collector.metrics
    assert not [each.name for each in threading.enumerate() if "llmroute" in each.name]


@pytest.mark.parametrize(
    ("settings", "environ", "found"),
    [
        pytest.param(None, {}, None, id="nobody-asks"),
        pytest.param(Settings(), {}, (True, True), id="the-section"),
        pytest.param(Settings(enabled=False), {}, None, id="switched-off"),
        pytest.param(
            None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}, (True, True), id="environment"
        ),
        pytest.param(
            None,
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h", "OTEL_METRICS_EXPORTER": "none"},
            (True, False),
            id="traces-alone",
        ),
        pytest.param(Settings(), {"OTEL_SDK_DISABLED": "true"}, None, id="disabled"),
        pytest.param(
            Settings(enabled=False),
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"},
            None,
            id="the-file-stands-above",
        ),
        pytest.param(Settings(traces=False, metrics=False), {}, None, id="nothing-to-tell"),
    ],
)
def test_when_a_collector_is_told(settings, environ, found):
    settings = wanted(settings, environ)

    assert found == (None if settings is None else (settings.traces, settings.metrics))
