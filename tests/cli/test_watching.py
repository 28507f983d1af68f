"""What `llmroute serve` tells of calls: a file of bodies, spans for a collector, figures."""

import contextlib
import http.client
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from tests.observe.collector import collecting, plain

from llmroute.testing import error, text

from .program import MASTER_KEY, UPSTREAM_KEY, Served, eventually, question

CANARY = "sk-ant-canary-0123456789abcdef"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WORDS = f"remember {CANARY} please"


@pytest.fixture
def watched(programs, config_file, tmp_path):
    """Run `llmroute serve` with a configuration that says what is told."""

    def start(*arguments, environ=None, **told):
        path = config_file()
        path.write_text(json.dumps(json.loads(path.read_text()) | told))
        command = ["serve", "--config", str(path), *arguments]
        programs.append(Served(command, environ or {}, tmp_path))
        return programs[-1]

    return start


@pytest.fixture
def file(tmp_path):
    return tmp_path / "bodies.jsonl"


def lines(file, count):
    """Return the lines of the file, once there are as many."""
    found = eventually(
        lambda: file.exists() and len(found := file.read_text().splitlines()) >= count and found
    )
    return [json.loads(line) for line in found]


USER = [{"role": "user", "content": WORDS}]
MESSAGES = {"model": "claude-x", "max_tokens": 9, "messages": USER}
CLOUD = {"anthropic_version": "x", "max_tokens": 9, "messages": USER}
VERTEX = "/vertex/v1/projects/p/locations/l/publishers/anthropic/models/claude-x"
DOORS = [
    pytest.param("/v1/messages", MESSAGES, id="messages"),
    pytest.param("/v1/messages", MESSAGES | {"stream": True}, id="messages-streamed"),
    pytest.param("/v1/messages/count_tokens", MESSAGES, id="count-tokens"),
    pytest.param("/v1/chat/completions", {"model": "claude-x", "messages": USER}, id="chat"),
    pytest.param(
        "/v1/chat/completions",
        {"model": "claude-x", "messages": USER, "stream": True},
        id="chat-streamed",
    ),
    pytest.param("/v1/responses", {"model": "claude-x", "input": WORDS}, id="responses"),
    pytest.param("/bedrock/model/claude-x/invoke", CLOUD, id="bedrock"),
    pytest.param(
        "/bedrock/model/claude-x/invoke-with-response-stream", CLOUD, id="bedrock-streamed"
    ),
    pytest.param(f"{VERTEX}:rawPredict", CLOUD, id="vertex"),
]


@pytest.mark.parametrize(("door", "body"), DOORS)
def test_what_is_asked_and_answered_is_in_the_file_without_the_secrets(
    watched, upstream, file, door, body
):
    upstream.answer(text(f"{WORDS}, I said"))
    proxy = watched(logs={"bodies": str(file)})

    assert 200 == proxy.ask("POST", door, json.dumps(body))[0]
    (line,) = lines(file, 1)

    assert "remember [redacted] please" in json.dumps(line["request"])
    if "count" not in door:
        assert "remember [redacted] please, I said" in json.dumps(line["answer"])
    for secret in ("canary", MASTER_KEY, UPSTREAM_KEY):
        assert secret not in file.read_text()
    assert ("master", "claude-*", "main") == (line["key"], line["alias"], line["deployment"])
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_without_the_setting_there_is_no_file_and_no_word_of_it_anywhere(
    watched, upstream, tmp_path
):
    upstream.answer(text(WORDS))
    proxy = watched()
    before = set(tmp_path.rglob("*"))
    for _ in range(2):
        proxy.ask("POST", "/v1/messages", json.dumps(MESSAGES))
    proxy.stop()

    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert {path.name for path in new} <= {"llmroute.db", "llmroute.db-wal", "llmroute.db-shm"}
    for path in new:
        assert b"remember" not in path.read_bytes()
    assert "remember" not in proxy.output


def test_a_client_that_goes_away_leaves_what_came(watched, upstream, file):
    upstream.answer(text("One two three").stall(after_events=3))
    proxy = watched(logs={"bodies": str(file)})
    with proxy.stream() as answer:
        answer.read(20)

    (line,) = lines(file, 1)
    assert "cancelled" == line["outcome"]
    assert "A secret thing to say." == line["request"]["messages"][0]["content"]
    assert "message" == line["answer"]["type"]


def test_the_file_is_chosen_anew_when_the_configuration_is_loaded_again(
    watched, config_file, file, tmp_path
):
    proxy = watched(logs={"bodies": str(file)})
    proxy.ask("POST", "/v1/messages", question())
    lines(file, 1)
    path = tmp_path / "llmroute.yaml"
    settings = json.loads(path.read_text())
    for count, told in enumerate(({"bodies": str(tmp_path / "other.jsonl")}, {}), 1):
        path.write_text(json.dumps(settings | {"logs": told}))
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for("takes over", count)
        proxy.ask("POST", "/v1/messages", question())
    lines(tmp_path / "other.jsonl", 1)
    proxy.stop()

    assert [1, 1] == [
        len(each.read_text().splitlines()) for each in (file, tmp_path / "other.jsonl")
    ]


def test_workers_share_the_file(watched, file, tmp_path):
    proxy = watched(
        "--workers", "2", logs={"bodies": {"path": str(file), "max_file_bytes": 4000, "files": 99}}
    )
    for _ in range(40):
        assert 200 == proxy.ask("POST", "/v1/messages", question())[0]

    def ids():
        text = "".join(each.read_text() for each in tmp_path.glob("bodies.jsonl*"))
        found = [json.loads(line)["id"] for line in text.splitlines()]
        return len(found) >= 40 and found

    found = eventually(ids)
    assert 40 == len(set(found)) == len(found)
    assert len(list(tmp_path.glob("bodies.jsonl*"))) > 5


def test_a_file_that_cannot_be_written_is_said_at_the_start(run, config_file):
    path = config_file()
    settings = {"logs": {"bodies": "/no/such/folder/bodies.jsonl"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    program = run("serve", "--config", path)

    assert 2 == program.wait()
    assert "logs.bodies.path: cannot be written: No such file or directory" in program.output


def test_a_collector_is_told_of_calls_and_of_the_clients_trace(watched, upstream):
    upstream.answer(error(529), text(WORDS))
    with collecting() as collector:
        proxy = watched(telemetry={"endpoint": collector.url}, environ={"OTEL_SERVICE_NAME": "gw"})
        connection = proxy.connect()
        headers = {"x-api-key": MASTER_KEY, "traceparent": TRACE, "tracestate": "other=1"}
        connection.request("POST", "/v1/messages", question("fast"), headers)
        assert 200 == connection.getresponse().status
        connection.close()
        assert 0 == proxy.stop()

        assert {TRACE.split("-")[1]} == {span.trace_id.hex() for span in collector.spans}
        names = ["chat claude-haiku-4-5", "chat claude-x", "messages fast"]
        assert names[0] in {span.name for span in collector.spans}
        (call,) = [span for span in collector.spans if span.name == "messages fast"]
        assert (TRACE.split("-")[2], "other=1") == (call.parent_span_id.hex(), call.trace_state)
        assert 2 == plain(call.attributes)["llmroute.attempts"]
        assert "gen_ai.client.token.usage" in collector.metrics
        resource = collector.came["/v1/traces"][0].resource_spans[0].resource
        assert "gw" == plain(resource.attributes)["service.name"]
        assert b"canary" not in collector.raw
        assert b"secret thing" not in collector.raw


def test_a_collector_that_is_away_is_a_line_and_no_more(watched):
    proxy = watched(
        telemetry={"endpoint": "http://127.0.0.1:9"}, environ={"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    )
    for _ in range(3):
        assert 200 == proxy.ask("POST", "/v1/messages", question())[0]
    proxy.wait_for("level=warning the collector takes no spans; they are dropped until it does")

    assert 0 == proxy.stop()
    assert 1 == proxy.output.count("takes no spans")
    assert "Traceback" not in proxy.output
    assert "Transient" not in proxy.output


def test_the_environment_alone_names_a_collector(watched):
    with collecting() as collector:
        proxy = watched(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        proxy.ask("POST", "/v1/messages", question())
        collector.wait(lambda collector: len(collector.spans) == 2)


def test_metrics_of_workers_show_what_is_under_way_in_all_of_them(watched, upstream):
    upstream.answer(*[text("One two").stall(after_events=3)] * 6)
    proxy = watched("--workers", "2")
    streams = []
    try:
        for _ in range(6):
            stream = proxy.stream()
            stream.__enter__().read(20)
            streams.append(stream)

        def page():
            return proxy.ask(path="/metrics")[1].decode()

        eventually(lambda: "llmroute_requests_in_flight 6.0" in page())
        assert 'llmroute_deployment_in_flight{deployment="main"} 6.0' in page()
        assert 'llmroute_deployment_up{deployment="main"} 1.0' in page()
        assert "llmroute_database_up 1.0" in page()
    finally:
        upstream.release()
        for stream in streams:
            stream.__exit__(None, None, None)


def test_what_a_worker_had_under_way_when_it_died_is_not_counted_for_ever(watched, upstream):
    upstream.answer(text("One two").stall(after_events=3))
    proxy = watched("--workers", "2")
    workers = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children")
    eventually(lambda: len(workers.read_text().split()) == 2)
    with contextlib.suppress(http.client.HTTPException, OSError), proxy.stream() as stream:
        stream.read(20)

        def page():
            return proxy.ask(path="/metrics")[1].decode()

        eventually(lambda: "llmroute_requests_in_flight 1.0" in page())
        for pid in workers.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        proxy.wait_for("starting another", 2)
        eventually(lambda: "llmroute_requests_in_flight 0.0" in page())
    upstream.release()
