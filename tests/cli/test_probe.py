"""`llmroute test-model`: what passes, what fails, and who answered."""

import json

import pytest

from llmroute.testing import Answer, error, text, tool_use

from .program import MASTER_KEY, UPSTREAM_KEY


def answer(received):
    """Answer as a model that can do everything."""
    asked = json.loads(received.body)
    if "tools" in asked:
        return tool_use("weather", {"city": "Oslo"})
    return text("Rhine, Nile, Ob.")


def rows(done):
    lines = [line for line in done.stdout.splitlines() if "  " in line]
    return {line[:12].strip(): line[12:].split() for line in lines[1:]}


def results(done):
    return {name: cells[0] for name, cells in rows(done).items()}


def test_a_model_that_can_do_everything_passes(invoke, config_file, upstream):
    upstream.answer_with(answer)

    done = invoke("test-model", "claude-x", "--config", config_file())

    assert 0 == done.exit_code
    ways = ["whole answer", "stream", "tool use", "count_tokens"]
    assert dict.fromkeys(ways, "pass") == results(done)
    assert ["claude-x"] * 4 == [request.json["model"] for request in upstream.requests]
    assert all("main" in cells for cells in rows(done).values())


@pytest.mark.parametrize(
    ("broken", "failed", "why"),
    [
        pytest.param(error(529), "whole answer", "529", id="whole"),
        pytest.param(text("").cut(after_events=1), "stream", "cut short", id="stream"),
    ],
)
def test_one_that_fails_is_an_exit_status(
    invoke, config_file, upstream, broken: Answer, failed, why
):
    upstream.answer_with(
        lambda received: (
            broken
            if (failed == "stream") == bool(received.json.get("stream"))
            and "tools" not in received.json
            else answer(received)
        )
    )

    done = invoke("test-model", "claude-x", "--config", config_file())

    assert 1 == done.exit_code
    assert [failed] == [name for name, result in results(done).items() if result == "FAIL"]
    assert why in " ".join(rows(done)[failed])


def test_a_model_that_uses_no_tool_fails(invoke, config_file, upstream):
    upstream.answer_with(lambda _: text("No."))

    done = invoke("test-model", "claude-x", "--config", config_file())

    assert 1 == done.exit_code
    assert "the model used no tool (stop_reason end_turn)" in done.stdout


def test_an_estimate_is_called_one(invoke, config_file, upstream):
    upstream.answer_with(answer)
    upstream.on("POST", "/v1/messages/count_tokens", error(404))

    done = invoke("test-model", "claude-x", "--config", config_file())

    assert 0 == done.exit_code
    assert "an estimate" in done.stdout


def test_a_model_that_no_alias_matches_is_one_line(invoke, config_file):
    done = invoke("test-model", "gpt", "--config", config_file())

    assert 1 == done.exit_code
    assert done.stderr.startswith("model not found: gpt.")


@pytest.mark.parametrize(
    "variable", ["LLMROUTE_MASTER_KEY", "LITELLM_MASTER_KEY", "ANTHROPIC_AUTH_TOKEN"]
)
def test_a_running_proxy_says_which_deployment_answered(
    invoke, serve, upstream, monkeypatch, variable
):
    upstream.answer_with(answer)
    proxy = serve()
    monkeypatch.setenv(variable, MASTER_KEY)

    done = invoke("test-model", "fast", "--url", proxy.url)

    assert 0 == done.exit_code
    assert 4 == len([cells for cells in rows(done).values() if "small" in cells])
    assert UPSTREAM_KEY == upstream.requests[0].header("x-api-key")


def test_the_key_may_be_given(invoke, serve, upstream):
    upstream.answer_with(answer)
    proxy = serve()

    good = invoke("test-model", "claude-x", "--url", proxy.url, "--key", MASTER_KEY)
    wrong = invoke("test-model", "claude-x", "--url", proxy.url, "--key", "sk-wrong")

    assert 0 == good.exit_code
    assert 1 == wrong.exit_code
    assert wrong.stderr.startswith("401 authentication_error: The key that was sent is not one of")
    assert "sk-wrong" not in wrong.output


def test_what_fails_in_every_way_is_one_line(invoke):
    done = invoke("test-model", "claude-x", "--url", "http://127.0.0.1:9")

    assert (1, "") == (done.exit_code, done.stdout)
    said = "http://127.0.0.1:9: no connection; is `llmroute serve` running there?\n"
    assert said == done.stderr


def test_an_address_without_a_scheme_is_wrong_usage(invoke):
    done = invoke("test-model", "claude-x", "--url", "127.0.0.1:4000")

    assert (2, "--url must start with http:// or https://\n") == (done.exit_code, done.stderr)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param(f"http://u:{MASTER_KEY}@127.0.0.1:9", "nothing more", id="user"),
        pytest.param("http://127.0.0.1:99999", "is not an address", id="port"),
        pytest.param("http://caf\u00e9.example", "is not an address", id="not-ascii"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_shown(invoke, url, why):
    done = invoke("test-model", "claude-x", "--url", url, "--key", "k")

    assert 2 == done.exit_code
    assert why in done.stderr
    assert MASTER_KEY not in done.stderr
