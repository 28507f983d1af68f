"""`llmroute serve --workers`: several processes, one port, one set of figures."""

import contextlib
import json
import os
import re
import signal
from pathlib import Path

import pytest
from tests.usage.prompt_cache import PromptCache
from tests.usage.test_sentinel import conversation

from llmroute.config import load_dict, load_file
from llmroute.testing import text
from llmroute_cli.workers import packed, unpacked

from .program import MASTER_KEY, Served, eventually, is_refused, question


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


def models_asked_for(proxy, upstream):
    """Return the model that each worker asks the upstream for."""
    models = []
    for stopped in children(proxy.process.pid):
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert 200 == proxy.ask("POST", "/v1/messages", question())[0]
        finally:
            os.kill(stopped, signal.SIGCONT)
        models.append(upstream.requests[-1].json["model"])
    return models


def test_a_new_configuration_reaches_each_of_them(proxy, config_file, upstream):
    before = children(proxy.process.pid)
    config_file(deployment={"model": "claude-new"})
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_for("was loaded again and takes over")

    eventually(lambda: models_asked_for(proxy, upstream) == ["claude-new", "claude-new"])
    assert before == children(proxy.process.pid)
    assert 1 == proxy.output.count("takes over")


def test_a_bad_one_reaches_none(proxy, tmp_path, upstream):
    (tmp_path / "llmroute.yaml").write_text("aliases: {x: nowhere}")
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_for("what was served before is served still")

    assert ["claude-x", "claude-x"] == models_asked_for(proxy, upstream)
    assert 1 == proxy.output.count("what was served before")


def test_one_that_starts_later_begins_with_the_newest_good_one(
    proxy, tmp_path, config_file, upstream
):
    config_file(deployment={"model": "claude-new"})
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_for("was loaded again and takes over")
    (tmp_path / "llmroute.yaml").write_text("")
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_for("what was served before is served still")
    before = children(proxy.process.pid)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: len(children(proxy.process.pid) - before) == 2)

    assert ["claude-new", "claude-new"] == models_asked_for(proxy, upstream)


def test_the_file_is_watched_for_all_of_them(serve, config_file, upstream):
    proxy = serve("--workers", "2", "--watch")
    eventually(lambda: len(children(proxy.process.pid)) == 2)
    config_file(deployment={"model": "claude-new"})
    proxy.wait_for("was loaded again and takes over")

    eventually(lambda: models_asked_for(proxy, upstream) == ["claude-new", "claude-new"])


def test_a_configuration_arrives_in_a_worker_as_it_left():
    key = {"api_key": "sk-canary"}
    config = load_dict(
        {
            "deployments": {
                "direct": {"provider": "anthropic", **key},
                "aws": {"provider": "bedrock", "model": "us.a", "region": "us-east-1", **key},
                "google": {
                    "provider": "vertex",
                    "model": "claude-x",
                    "project": "p",
                    "location": "global",
                },
                "azure": {"provider": "foundry", "model": "x", "base_url": "https://a", **key},
            },
            "aliases": {"a": ["direct", "aws"], "b-*": {"deployments": ["google", "azure"]}},
            "routing": {"retries": 1},
            "server": {"master_key": "sk-canary"},
        }
    )

    assert config == unpacked(packed(config))


def test_so_does_one_in_litellms_dialect(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "model_list:\n"
        "  - model_name: a\n"
        "    litellm_params: {model: anthropic/x, api_key: k, input_cost_per_token: 1e-6, rpm: 3}\n"
        "general_settings: {master_key: sk-canary}\n"
        "callback_settings: {}\n"
    )
    config = load_file(path)

    assert config == unpacked(packed(config))


def test_workers_that_cannot_start_are_not_started_for_ever(run, tmp_path, config_file):
    # Found before the real one, and fails where only a worker loads it.
    (tmp_path / "prometheus_client.py").write_text("raise RuntimeError('no figures')")
    program = run("serve", "--config", config_file(), "--workers", 2, PYTHONPATH=str(tmp_path))

    assert 1 == program.wait()
    assert "RuntimeError: no figures" in program.output
    assert "starting another" not in program.output


def asked_of(proxy, worker, body):
    """Have one of the two workers answer."""
    (other,) = children(proxy.process.pid) - {worker}
    os.kill(other, signal.SIGSTOP)
    try:
        headers = {"x-api-key": MASTER_KEY, "x-claude-code-session-id": "s1"}
        with contextlib.closing(proxy.connect()) as connection:
            connection.request("POST", "/v1/messages", json.dumps(body), headers)
            answer = connection.getresponse()
            answer.read()
            assert 200 == answer.status
    finally:
        os.kill(other, signal.SIGCONT)


def test_who_has_not_seen_the_turn_before_blames_nobody(config_file, programs, upstream, tmp_path):
    path = config_file()
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "database": f"sqlite:///{tmp_path}/usage.db"}))
    proxy = Served(["serve", "--config", str(path), "--workers", "2"], {}, tmp_path)
    programs.append(proxy)
    eventually(lambda: len(children(proxy.process.pid)) == 2)
    one, two = children(proxy.process.pid)
    upstream.default = PromptCache().answer
    tool = {"name": "mcp__db__query", "input_schema": {}}
    for turns, worker in enumerate((one, two, one, two, two, one), 1):
        body = {**conversation(turns), "max_tokens": 9}
        if turns > 2:
            body["tools"].append(tool)
        if turns > 4:
            body["system"][1]["text"] += "It is 10:01."
        asked_of(proxy, worker, body)

    def told():
        _, found = proxy.ask(path="/usage/cache/s1")
        turns = json.loads(found).get("turns", [])
        return len(turns) == 6 and turns

    assert [
        *("first", "first", "missed", "grew"),
        "system",  # it has seen the turn before
        "grew",  # what was lost then, was lost by the other's turn
    ] == [turn["change"] for turn in eventually(told)]
    assert [False] * 4 + [True, False] == [turn["break"] for turn in told()]
