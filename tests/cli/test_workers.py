"""`llmroute serve --workers`: several processes, one port, one set of figures."""

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

from llmroute.testing import text

from .program import eventually, is_refused, question


def children(pid):
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.fixture
def proxy(serve):
    proxy = serve("--workers", "2", drain=5)
    eventually(lambda: len(children(proxy.process.pid)) == 2)
    return proxy


def counted(proxy):
    _, metrics = proxy.ask(path="/metrics")
    calls = re.findall(rb"^llmroute_requests_total\{.*\} (.*)$", metrics, re.MULTILINE)
    return sum(map(float, calls))


def test_the_figures_are_those_of_all_workers(proxy):
    for _ in range(20):
        assert 200 == proxy.ask("POST", "/v1/messages", question())[0]

    assert 20 == counted(proxy)


def test_each_worker_serves(proxy):
    first, second = children(proxy.process.pid)
    for stopped in (first, second):
        # A worker that is stopped takes no connection, so the other one answers.
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert 200 == proxy.ask("POST", "/v1/messages", question())[0]
        finally:
            os.kill(stopped, signal.SIGCONT)


def test_one_that_dies_is_replaced(proxy):
    before = children(proxy.process.pid)
    dead = min(before)
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: len(children(proxy.process.pid) - before) == 1)

    proxy.wait_for(f"^worker {dead} ended with -9; starting another$")
    assert 200 == proxy.ask("POST", "/v1/messages", question())[0]


def test_told_to_end_all_of_them_finish_what_runs(proxy, upstream):
    upstream.answer(*[text("One two three").stall(after_events=3)] * 4)
    with contextlib.ExitStack() as stack:
        answers = [stack.enter_context(proxy.stream()) for _ in range(4)]
        begun = [answer.read(20) for answer in answers]
        proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_refused(proxy.port))
        upstream.release()

        for start, answer in zip(begun, answers, strict=True):
            assert (start + answer.read()).rstrip().endswith(b'data: {"type":"message_stop"}')
    assert 0 == proxy.wait()
    assert 4 == proxy.output.count("outcome=answered")
    assert "Traceback" not in proxy.output


def test_they_do_not_outlive_the_process_that_started_them(proxy):
    workers = children(proxy.process.pid)
    proxy.process.kill()
    proxy.process.wait()

    eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))


def test_workers_that_cannot_start_are_not_started_for_ever(run, tmp_path, config_file):
    # Found before the real one, and fails where only a worker loads it.
    (tmp_path / "prometheus_client.py").write_text("raise RuntimeError('no figures')")
    program = run("serve", "--config", config_file(), "--workers", 2, PYTHONPATH=str(tmp_path))

    assert 1 == program.wait()
    assert "RuntimeError: no figures" in program.output
    assert "starting another" not in program.output
