"""`llmroute check`: every problem of a configuration, and how its deployments answer."""

import json

import pytest

from llmroute.testing import error

from .program import MASTER_KEY, UPSTREAM_KEY


def test_a_good_configuration_is_shown(invoke, config_file, upstream):
    done = invoke("check", "--config", config_file())

    assert 0 == done.exit_code
    assert "" == done.stderr
    assert done.stdout.startswith("OK: ")
    assert ["claude-*", "main", "anthropic", "(as asked)", upstream.url] in rows(done.stdout)
    assert ["fast", "small", "anthropic", "claude-haiku-4-5", upstream.url] in rows(done.stdout)


def test_no_key_is_shown(invoke, config_file):
    done = invoke("check", "--live", "--config", config_file())

    assert MASTER_KEY not in done.output
    assert UPSTREAM_KEY not in done.output


def test_every_problem_is_printed_a_line_each(invoke, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "deployments:\n  a: {provider: antropic}\naliases:\n  b: c\nserver: {prot: 1}\n"
    )

    done = invoke("check", "--config", path)

    assert 2 == done.exit_code
    assert "" == done.stdout
    lines = done.stderr.splitlines()
    assert 3 == len(lines)
    assert all(line.startswith(f"{path}:") for line in lines)
    assert "did you mean 'anthropic'?" in done.stderr
    assert "did you mean 'port'?" in done.stderr


def test_a_file_that_is_not_there_is_a_problem(invoke):
    done = invoke("check", "--config", "nowhere.yaml")

    assert (2, "nowhere.yaml: does not exist\n") == (done.exit_code, done.stderr)


def test_warnings_do_no_harm(invoke, tmp_path, upstream):
    path = tmp_path / "litellm.yaml"
    params = {"model": "anthropic/x", "api_base": upstream.url, "api_key": "k"}
    entry = {"model_name": "x", "litellm_params": params}
    path.write_text(json.dumps({"model_list": [entry], "callback_settings": {}}))

    done = invoke("check", "--config", path)

    assert 0 == done.exit_code
    assert done.stderr.startswith(f"warning: {path}:")
    assert done.stdout.startswith("OK: ")


def test_the_environment_alone_will_do(invoke, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")

    done = invoke("check")

    assert 0 == done.exit_code
    assert "found ANTHROPIC_API_KEY: claude-* goes to https://api.anthropic.com" in done.stderr
    assert "sk-canary" not in done.output


def test_live_asks_each_deployment_for_one_token(invoke, config_file, upstream):
    done = invoke("check", "--live", "--config", config_file())

    assert 0 == done.exit_code
    asked = sorted((r.json["model"], r.json["max_tokens"]) for r in upstream.requests)
    assert [("claude-haiku-4-5", 1), ("claude-haiku-4-5", 1)] == asked
    assert ["main", "claude-haiku-4-5", "200"] in [row[:3] for row in rows(done.stdout)]


@pytest.mark.parametrize(
    ("answer", "status", "advice"),
    [
        pytest.param(error(401), "401", "check its api_key", id="key"),
        pytest.param(error(404), "404", "check its model", id="model"),
        pytest.param(error(429), "429", "its limit is reached", id="limit"),
        pytest.param(error(529), "529", "try again later", id="overloaded"),
        pytest.param(error(500), "500", "try again later", id="fault"),
        pytest.param(error(400), "400", "no answer of a Messages API", id="rejected"),
    ],
)
def test_a_deployment_that_fails_is_an_exit_status_and_a_hint(
    invoke, config_file, upstream, answer, status, advice
):
    upstream.answer(answer)

    done = invoke("check", "--live", "--config", config_file())

    assert 1 == done.exit_code
    statuses = {row[0]: row[2] for row in rows(done.stdout) if row[0] in {"main", "small"}}
    assert sorted([status, "200"]) == sorted(statuses.values())
    assert advice in done.stdout


def test_a_deployment_that_is_not_there_is_reported(invoke, config_file):
    path = config_file(deployment={"base_url": "http://127.0.0.1:9"})

    done = invoke("check", "--live", "--config", path)

    assert 1 == done.exit_code
    assert "check its base_url and the network" in done.stdout


def rows(table):
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in table.splitlines()
        if line
    ]
