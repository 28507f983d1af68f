"""`llmroute serve`: what it takes, what it refuses, what it prints, and how it ends."""

import contextlib
import json
import signal
import socket

import pytest

from llmroute.testing import text

from .program import MASTER_KEY, UPSTREAM_KEY, eventually, is_refused, question


def test_it_serves_the_configuration(serve, upstream):
    proxy = serve()

    status, body = proxy.ask("POST", "/v1/messages", question())

    assert 200 == status
    assert "message" == json.loads(body)["type"]
    assert UPSTREAM_KEY == upstream.requests[0].header("x-api-key")


def test_it_says_where_it_serves_what_and_how_claude_code_gets_there(serve):
    proxy = serve()

    proxy.wait_for("ANTHROPIC_AUTH_TOKEN")

    assert [
        "aliases: claude-*, fast",
        f"for Claude Code (or run `llmroute claude --url {proxy.url}`):",
        f"  export ANTHROPIC_BASE_URL={proxy.url}",
        '  export ANTHROPIC_AUTH_TOKEN="$LLMROUTE_MASTER_KEY"',
    ] == proxy.lines[1:]


def test_warnings_come_first(run, tmp_path, upstream):
    path = tmp_path / "litellm.yaml"
    params = {"model": "anthropic/x", "api_base": upstream.url, "api_key": "k"}
    entry = {"model_name": "x", "litellm_params": params}
    path.write_text(json.dumps({"model_list": [entry], "callback_settings": {}}))

    program = run("serve", "--config", path, "--port", "0")
    program.wait_for("ANTHROPIC_AUTH_TOKEN")

    assert program.lines[0].startswith(f"warning: {path}:")
    assert "callback_settings" in program.lines[0]


@pytest.mark.parametrize(
    "host", [pytest.param("127.0.0.1", id="ipv4"), pytest.param("localhost", id="name")]
)
def test_without_a_master_key_everyone_on_this_machine_is_let_in(serve, host):
    proxy = serve("--host", host, master_key=None)

    assert 200 == proxy.ask("POST", "/v1/messages", question(), key="anything")[0]
    assert "no master key" in proxy.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_without_a_master_key_it_serves_no_other_machine(run, config_file, host):
    program = run("serve", "--config", config_file(master_key=None), "--host", host)

    assert 2 == program.wait()
    assert 1 == len(program.lines)
    assert f"There is no master key, so everyone who reaches {host}" in program.output
    assert "LLMROUTE_MASTER_KEY" in program.output


def test_with_a_master_key_it_serves_every_address(serve):
    proxy = serve("--host", "0.0.0.0")

    assert f"http://127.0.0.1:{proxy.port}" == proxy.url
    assert 200 == proxy.ask()[0]
    assert 401 == proxy.ask("POST", "/v1/messages", question(), key="wrong")[0]


def test_a_port_that_is_taken_is_an_error_and_never_another_port(run, config_file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = run("serve", "--config", config_file(), "--port", port)

        assert 2 == program.wait()
    assert [
        f"Cannot listen on 127.0.0.1: port {port} is taken. Stop what listens there, or choose "
        "another --port."
    ] == program.lines


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_that_cannot_be_had_is_an_error_in_a_line(run, config_file, workers):
    path = config_file()
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"database": "postgresql://nobody@127.0.0.1:1/keys"}))
    program = run("serve", "--workers", workers, "--config", path)

    assert 0 != program.wait()
    assert "database: 127.0.0.1:1/keys: connection failed" in program.output
    assert "Traceback" not in program.output
    # With one process nothing is said to be served before it is.
    assert ("serves" in program.output) == (workers == "2")


def test_an_address_of_another_machine_is_an_error(run, config_file):
    program = run("serve", "--config", config_file(), "--host", "192.0.2.1")

    assert 2 == program.wait()
    assert "it is no address of this machine" in program.output


def test_a_port_is_free_again_as_soon_as_its_proxy_has_ended(serve, run, config_file):
    first = serve()
    first.ask()
    first.stop()
    second = run("serve", "--config", config_file(), "--port", first.port)

    assert str(first.port) == second.wait_for(r"at http://127.0.0.1:(\d+)$")[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_proxy_ends_at_once_and_well(serve, number):
    proxy = serve()
    idle = proxy.connect()
    idle.request("GET", "/health")
    idle.getresponse().read()

    assert 0 == proxy.stop(number)
    assert "Traceback" not in proxy.output
    idle.close()


def test_told_to_end_it_takes_no_new_calls_and_finishes_those_that_run(serve, upstream):
    upstream.answer(text("One two three").stall(after_events=3))
    proxy = serve()
    with proxy.stream() as answer:
        begun = answer.read(20)
        proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_refused(proxy.port))
        upstream.release()

        assert (begun + answer.read()).rstrip().endswith(b'data: {"type":"message_stop"}')
    assert 0 == proxy.wait()
    assert "outcome=answered" in proxy.output
    assert "Traceback" not in proxy.output


def test_it_waits_for_them_no_longer_than_it_is_told(serve, upstream):
    upstream.answer(text("One two three").stall(after_events=3))
    proxy = serve(drain=0.2)
    with proxy.stream() as answer:
        begun = answer.read(20)
        proxy.process.send_signal(signal.SIGTERM)
        *events, end = (begun + answer.read()).split(b"\n\n")

    assert b"" == end
    assert b"event: message_start" in events[0]
    kind, data = events[-1].split(b"\n")
    assert b"event: error" == kind
    error = json.loads(data.removeprefix(b"data: "))["error"]
    assert {"type": "api_error", "message": "the proxy is stopping"} == error
    assert 0 == proxy.wait()
    assert "Traceback" not in proxy.output


def test_a_call_that_it_does_not_wait_for_is_told_so(serve, upstream):
    upstream.answer(text("At last.").late())
    proxy = serve(drain=0.2)
    with contextlib.closing(proxy.connect()) as connection:
        connection.request("POST", "/v1/messages", question(), {"x-api-key": MASTER_KEY})
        eventually(lambda: upstream.requests)
        proxy.process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()

        assert 503 == answer.status
        assert "api_error" == json.loads(answer.read())["error"]["type"]
    assert 0 == proxy.wait()


def test_a_line_is_written_for_each_request(serve):
    proxy = serve()

    proxy.ask("POST", "/v1/messages", question())
    line = proxy.wait_for(r"^time=.*$")[0]

    for part in ("status=200", "key=master", "alias=claude-*", "deployment=main", "in=", "out="):
        assert part in line


def test_lines_for_machines_are_json(serve):
    proxy = serve("--log", "json")

    proxy.ask("POST", "/v1/messages", question())
    record = json.loads(proxy.wait_for(r"^\{.*$")[0])

    assert ("claude-x", "claude-*", "main", 200) == tuple(
        record[name] for name in ("asked", "alias", "deployment", "status")
    )


@pytest.mark.parametrize("log", ["console", "json"])
def test_no_secret_and_nothing_of_a_body_is_printed(serve, log):
    proxy = serve("--log", log)

    proxy.ask("POST", "/v1/messages", question())
    proxy.ask("POST", "/v1/messages", question("gpt"))
    proxy.ask("POST", "/v1/messages", question(), key="sk-wrong-canary")
    proxy.ask("POST", "/v1/messages", '{"secret": "secret thing"')
    proxy.wait_for("not a JSON|not JSON|JSON")
    proxy.stop()

    assert 4 == len([line for line in proxy.lines if "status" in line and "messages" in line])
    for secret in (MASTER_KEY, UPSTREAM_KEY, "sk-wrong-canary", "secret thing"):
        assert secret not in proxy.output


def test_metrics_are_those_of_the_proxy(serve):
    proxy = serve()

    proxy.ask("POST", "/v1/messages", question())
    _, metrics = proxy.ask(path="/metrics")

    assert b'llmroute_requests_total{alias="claude-*",deployment="main"' in metrics


def test_it_finds_a_configuration_in_the_directory_it_runs_in(run, config_file):
    config_file("config.yaml")
    program = run("serve")

    assert "config.yaml" == program.wait_for(r"serves (\S+) at")[1]


@pytest.mark.parametrize("variable", ["LLMROUTE_CONFIG", "CONFIG_FILE_PATH"])
def test_a_variable_names_the_configuration(run, config_file, variable):
    config_file("config.yaml")
    path = config_file("elsewhere.yaml")
    program = run("serve", **{variable: str(path)})

    assert str(path) == program.wait_for(r"serves (\S+) at")[1]


def test_without_a_file_it_serves_what_the_environment_holds_and_says_so(run, upstream):
    program = run(
        "serve",
        "--port",
        0,
        ANTHROPIC_API_KEY=UPSTREAM_KEY,
        ANTHROPIC_BASE_URL=upstream.url,
        LLMROUTE_MASTER_KEY=MASTER_KEY,
    )
    program.wait_for("ANTHROPIC_AUTH_TOKEN=")

    assert [
        f"found ANTHROPIC_API_KEY: claude-* goes to {upstream.url}",
        "found LLMROUTE_MASTER_KEY: the key that clients present",
    ] == program.lines[:2]


def test_with_nothing_to_serve_it_says_what_it_looked_for(run):
    program = run("serve")

    assert 2 == program.wait()
    assert "ANTHROPIC_API_KEY" in program.lines[0]
    assert "./llmroute.yaml" in program.lines[1]
