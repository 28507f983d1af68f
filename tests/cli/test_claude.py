"""`llmroute claude`: starts a program of that name, wired to the proxy, or says why not."""

import json
import os
import sys

import pytest

from .program import MASTER_KEY


@pytest.fixture
def claude(tmp_path):
    """Put a `claude` on a path that prints what it was started with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "claude"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
        "sys.exit(7)\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def started(program):
    """Return the arguments and the environment that `claude` was started with."""
    assert 7 == program.wait(), program.output
    arguments, environ = json.loads(program.lines[-1])
    return arguments, environ


def test_it_has_the_proxy_s_address_and_key(run, serve, claude):
    proxy = serve()

    program = run("claude", "--url", proxy.url, LLMROUTE_MASTER_KEY=MASTER_KEY, **claude)
    _, environ = started(program)

    assert (proxy.url, MASTER_KEY, "1", "1") == (
        environ["ANTHROPIC_BASE_URL"],
        environ["ANTHROPIC_AUTH_TOKEN"],
        environ["CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"],
        environ["CLAUDE_CODE_GATEWAY_HINT_HEADERS"],
    )


def test_it_has_its_arguments(run, serve, claude):
    proxy = serve()

    program = run(
        "claude", "--url", proxy.url, "--", "-p", "Say it", "-c", "--url", "x",
        LLMROUTE_MASTER_KEY=MASTER_KEY, **claude,
    )  # fmt: skip
    arguments, _ = started(program)

    assert ["-p", "Say it", "-c", "--url", "x"] == arguments


def test_it_has_one_credential_and_goes_to_one_place(run, serve, claude):
    proxy = serve()
    in_the_way = {
        "ANTHROPIC_API_KEY": "sk-own",
        "ANTHROPIC_AUTH_TOKEN": "own",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "CLAUDE_CODE_USE_FOUNDRY": "1",
        "CLAUDE_CODE_USE_VERTEX": "1",
    }

    program = run(
        "claude",
        "--url",
        proxy.url,
        LLMROUTE_MASTER_KEY=MASTER_KEY,
        KEPT="1",
        **in_the_way,
        **claude,
    )
    _, environ = started(program)

    assert {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"} == environ.keys() & in_the_way.keys()
    assert (proxy.url, MASTER_KEY) == (
        environ["ANTHROPIC_BASE_URL"],
        environ["ANTHROPIC_AUTH_TOKEN"],
    )
    assert "1" == environ["KEPT"]


def test_the_configuration_says_where_the_proxy_is(run, serve, config_file, claude):
    proxy = serve()

    program = run("claude", "--config", config_file(port=proxy.port), **claude)
    _, environ = started(program)

    assert MASTER_KEY == environ["ANTHROPIC_AUTH_TOKEN"]


@pytest.mark.parametrize(
    ("classifier", "expected"),
    [pytest.param(None, "0", id="nobody"), pytest.param("claude-haiku-5-5", None, id="judged")],
)
def test_it_checks_itself_where_nobody_judges_tool_calls(
    run, serve, other_models, claude, classifier, expected
):
    proxy = serve()

    program = run("claude", "--config", other_models(classifier, port=proxy.port), **claude)
    _, environ = started(program)

    assert expected == environ.get("CLAUDE_CODE_AUTO_MODE_SERVER")


def test_a_proxy_without_a_key_is_given_any(run, serve, config_file, claude):
    proxy = serve(master_key=None)

    program = run("claude", "--config", config_file(port=proxy.port, master_key=None), **claude)
    _, environ = started(program)

    assert "local" == environ["ANTHROPIC_AUTH_TOKEN"]


def test_no_program_of_that_name_is_an_error(run, serve, tmp_path):
    program = run("claude", "--url", serve().url, PATH=str(tmp_path))

    assert 2 == program.wait()
    assert "npm install -g @anthropic-ai/claude-code" in program.output


def test_no_proxy_is_an_error(run, claude):
    program = run("claude", "--url", "http://127.0.0.1:9", **claude)

    assert 1 == program.wait()
    assert program.output.startswith("No proxy answers at http://127.0.0.1:9.")


def test_something_else_at_that_address_is_an_error(run, upstream, claude):
    program = run("claude", "--url", upstream.url, **claude)

    assert 1 == program.wait()
    assert f"What answers at {upstream.url} is no llmroute proxy." == program.output


def test_a_key_that_the_proxy_refuses_is_an_error(run, serve, claude):
    proxy = serve()

    program = run("claude", "--url", proxy.url, LLMROUTE_MASTER_KEY="sk-wrong", **claude)

    assert 1 == program.wait()
    assert "refuses the key: set LLMROUTE_MASTER_KEY" in program.output
    assert "sk-wrong" not in program.output
