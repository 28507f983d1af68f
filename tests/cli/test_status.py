"""`llmroute status`: how the deployments of a running proxy are, and why it does not know."""

import json
import socket

import pytest

from llmroute.testing import FakeUpstream, error, raw

from .program import MASTER_KEY, UPSTREAM_KEY, question


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("LLMROUTE_MASTER_KEY", "LITELLM_MASTER_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy(serve):
    return serve()


@pytest.fixture
def status(invoke, monkeypatch):
    def ask(url, *arguments, key=MASTER_KEY):
        monkeypatch.setenv("LLMROUTE_MASTER_KEY", key)
        return invoke("status", "--url", url, *arguments)

    return ask


def test_each_deployment_is_a_line(status, proxy, upstream):
    done = status(proxy.url)

    assert 0 == done.exit_code
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["deployment", "provider", "model", "address", "state", "busy"] == lines[0][:6]
    assert ["main", "anthropic", upstream.url, "ready", "0"] == lines[1][:5]
    assert ["small", "anthropic", "claude-haiku-4-5", upstream.url, "ready", "0"] == lines[2][:6]
    assert ["store:", "memory"] == lines[-1]


def test_what_failed_says_so(status, proxy, upstream):
    upstream.answer(error(529))
    proxy.ask("POST", "/v1/messages", question())
    done = status(proxy.url)

    line = done.stdout.splitlines()[1]
    assert "cooling for" in line
    assert "529" in line or "overloaded" in line.lower()
    assert "ago: " in line


def test_how_soon_it_answers_is_shown(status, proxy):
    proxy.ask("POST", "/v1/messages", question())
    done = status(proxy.url)

    assert " ms" in done.stdout.splitlines()[1]


def test_as_json_it_is_the_proxys_own_answer(status, proxy):
    done = status(proxy.url, "--json")

    page = json.loads(done.stdout)
    assert ["main", "small"] == [each["name"] for each in page["deployments"]]
    assert json.loads(proxy.ask(path="/llmroute/deployments")[1]) == page


def test_the_configuration_says_where_it_is_and_has_the_key(invoke, proxy, config_file):
    done = invoke("status", "--config", config_file(port=proxy.port))

    assert 0 == done.exit_code
    assert "main" in done.stdout


def test_no_secret_is_shown(status, proxy, upstream):
    upstream.answer(error(401, message="invalid x-api-key"))
    proxy.ask("POST", "/v1/messages", question())
    done = status(proxy.url, "--json")

    assert "invalid x-api-key" in done.stdout
    assert MASTER_KEY not in done.output
    assert UPSTREAM_KEY not in done.output


def test_with_another_key_it_says_which_is_wanted(status, proxy):
    done = status(proxy.url, key="sk-wrong-canary")

    assert 1 == done.exit_code
    assert "wants another key. Set LLMROUTE_MASTER_KEY" in done.stderr
    assert "canary" not in done.output


def test_where_no_proxy_runs_it_says_how_to_start_one(status):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = status(f"http://127.0.0.1:{port}")

    assert 1 == done.exit_code
    assert f"No proxy answers at http://127.0.0.1:{port}" in done.stderr
    assert "llmroute serve" in done.stderr


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raw(404), id="not-found"),
        pytest.param(raw(body=b"hello"), id="no-json"),
        pytest.param(raw(body=b"[]"), id="other-json"),
    ],
)
def test_what_is_no_proxy_is_told_apart(status, answer):
    with FakeUpstream() as other:
        other.on("GET", "/llmroute/deployments", answer)
        done = status(other.url)

    assert 1 == done.exit_code
    assert "llmroute proxy" in done.stderr


def test_an_address_is_one_of_http(status):
    done = status("localhost:4000")

    assert 2 == done.exit_code
    assert "http://" in done.stderr
