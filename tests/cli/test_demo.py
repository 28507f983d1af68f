"""`llmroute demo`: the whole proxy, an answer, and commands that work as they are printed."""

import contextlib
import getopt
import http.client
import re
import shlex
import signal
import socket

import httpx

from .program import PATIENCE


def test_once_it_shows_an_answer_and_ends(run):
    program = run("demo", "--once")

    assert 0 == program.wait()
    assert "> What is between us?" in program.lines
    assert "This is claude-sonnet-5-5, or rather a stand-in for it" in program.output
    program.wait_for("^answered by demo as claude-sonnet-5-5: first token")
    # The log's line does not come in the middle of the answer.
    assert ["answered by demo", "time="] == [
        found[0] for line in program.lines if (found := re.match("answered by demo|time=", line))
    ]
    assert "Traceback" not in program.output


def test_it_goes_on_serving_until_it_is_ended(run):
    program = run("demo", "--port", 0)
    url, key = program.wait_for(
        r"ANTHROPIC_BASE_URL=(\S+) ANTHROPIC_AUTH_TOKEN=(\S+) claude"
    ).groups()
    program.wait_for("Ctrl-C")
    headers = {"x-api-key": key, "content-type": "application/json"}
    body = b'{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"Ho"}]}'
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/messages", body, headers)
        answer = connection.getresponse()

        assert 200 == answer.status
        assert "You said “Ho”." in answer.read().decode()
    assert 0 == program.stop(signal.SIGINT)
    assert "Traceback" not in program.output


def test_the_curl_command_works_as_it_is_printed(run):
    program = run("demo", "--port", 0)
    program.wait_for("Ctrl-C")
    command = program.wait_for(r"curl (.*) \\\n(.*)$")
    # Read as a shell and curl would, neither of which every machine has.
    options, words = getopt.gnu_getopt(shlex.split(f"{command[1]} {command[2]}"), "NH:d:")
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    (body,) = [value.encode() for name, value in options if name == "-d"]
    (url,) = words
    answer = httpx.post(url, content=body, headers=headers, timeout=PATIENCE)

    assert b"event: message_stop" in answer.content


def test_a_port_that_is_taken_is_an_error(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = run("demo", "--port", taken.getsockname()[1])

        assert 2 == program.wait()
    assert "is taken" in program.output
