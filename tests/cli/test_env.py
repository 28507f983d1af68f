"""`llmroute env`: what each shell is told, and that no key is printed unless asked for."""

import os
import subprocess

import pytest

from .program import MASTER_KEY

KEY = 'it\'s-$HOME-\\-"quoted"'


@pytest.fixture(autouse=True)
def _shell(monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/bash")


def test_the_configuration_says_where_the_proxy_is(invoke, config_file, monkeypatch):
    monkeypatch.setenv("LLMROUTE_MASTER_KEY", MASTER_KEY)

    done = invoke("env", "--config", config_file(port=4567))

    assert 0 == done.exit_code
    assert [
        "export ANTHROPIC_BASE_URL=http://127.0.0.1:4567",
        'export ANTHROPIC_AUTH_TOKEN="$LLMROUTE_MASTER_KEY"',
        "export CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY=1",
        "export CLAUDE_CODE_GATEWAY_HINT_HEADERS=1",
    ] == done.stdout.splitlines()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        pytest.param("0.0.0.0", "http://127.0.0.1:4000", id="every-address"),
        pytest.param("::1", "'http://[::1]:4000'", id="ipv6"),
        pytest.param("gateway.example", "http://gateway.example:4000", id="name"),
    ],
)
def test_the_address_is_one_to_connect_to(invoke, config_file, host, url):
    done = invoke("env", "--config", config_file(host=host, port=4000))

    assert f"export ANTHROPIC_BASE_URL={url}" == done.stdout.splitlines()[0]


def test_a_key_that_is_in_no_variable_is_asked_for(invoke, config_file):
    done = invoke("env", "--config", config_file())

    assert 'export ANTHROPIC_AUTH_TOKEN="$LLMROUTE_MASTER_KEY"' in done.stdout
    assert "LLMROUTE_MASTER_KEY is not set" in done.stderr
    assert MASTER_KEY not in done.output


def test_the_variable_that_holds_the_key_is_named_whatever_it_is(invoke, config_file, monkeypatch):
    monkeypatch.setenv("TEAM_KEY", MASTER_KEY)

    done = invoke("env", "--config", config_file())

    assert 'export ANTHROPIC_AUTH_TOKEN="$TEAM_KEY"' in done.stdout


def test_the_key_is_printed_if_asked_for(invoke, config_file):
    done = invoke("env", "--show-key", "--config", config_file())

    assert f"export ANTHROPIC_AUTH_TOKEN={MASTER_KEY}" in done.stdout


def test_without_a_master_key_any_token_will_do(invoke, config_file):
    done = invoke("env", "--config", config_file(master_key=None))

    assert "export ANTHROPIC_AUTH_TOKEN=local" in done.stdout


def test_without_a_configuration_the_proxy_is_where_it_usually_is(invoke):
    done = invoke("env")

    assert 0 == done.exit_code
    assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:4000" in done.stdout
    assert "export ANTHROPIC_AUTH_TOKEN=local" in done.stdout
    assert "no master key is known here" in done.stderr


def test_a_proxy_elsewhere_needs_no_configuration(invoke, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("not: [ours")
    monkeypatch.setenv("LITELLM_MASTER_KEY", MASTER_KEY)

    done = invoke("env", "--url", "https://gateway.example/")

    assert "export ANTHROPIC_BASE_URL=https://gateway.example\n" in done.stdout
    assert 'export ANTHROPIC_AUTH_TOKEN="$LITELLM_MASTER_KEY"' in done.stdout


def test_a_configuration_of_another_shell_is_passed_over(invoke, tmp_path):
    (tmp_path / "llmroute.yaml").write_text(
        "deployments: {a: {provider: anthropic, api_key: '${ONLY_THERE}'}}\naliases: {b: a}\n"
    )

    done = invoke("env")

    assert 0 == done.exit_code
    assert "passing over llmroute.yaml" in done.stderr
    assert "LLMROUTE_MASTER_KEY is not set" in done.stderr
    assert 'export ANTHROPIC_AUTH_TOKEN="$LLMROUTE_MASTER_KEY"' in done.stdout
    assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:4000" in done.stdout


def test_a_configuration_that_was_asked_for_must_load(invoke, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("deployments: {}\naliases: {}\n")

    assert 2 == invoke("env", "--config", path).exit_code


@pytest.mark.parametrize(
    ("shell", "lines"),
    [
        pytest.param(
            "fish",
            [
                "set -gx ANTHROPIC_BASE_URL 'http://127.0.0.1:4000'",
                'set -gx ANTHROPIC_AUTH_TOKEN "$LLMROUTE_MASTER_KEY"',
            ],
            id="fish",
        ),
        pytest.param(
            "powershell",
            [
                "$env:ANTHROPIC_BASE_URL = 'http://127.0.0.1:4000'",
                "$env:ANTHROPIC_AUTH_TOKEN = $env:LLMROUTE_MASTER_KEY",
            ],
            id="powershell",
        ),
        pytest.param(
            "cmd",
            [
                'set "ANTHROPIC_BASE_URL=http://127.0.0.1:4000"',
                'set "ANTHROPIC_AUTH_TOKEN=%LLMROUTE_MASTER_KEY%"',
            ],
            id="cmd",
        ),
    ],
)
def test_each_shell_is_spoken_to_in_its_own_way(invoke, monkeypatch, shell, lines):
    monkeypatch.setenv("LLMROUTE_MASTER_KEY", MASTER_KEY)

    assert lines == invoke("env", "--shell", shell).stdout.splitlines()[:2]


def test_the_shell_is_the_user_s_own(invoke, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")

    assert invoke("env").stdout.startswith("set -gx ")


@pytest.mark.parametrize("options", [[], ["--show-key"]], ids=["reference", "key"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_that_evaluates_it_has_the_key(invoke, config_file, monkeypatch, shell, options):
    monkeypatch.setenv("LLMROUTE_MASTER_KEY", KEY)
    printed = invoke("env", "--config", config_file(master_key=KEY), *options).stdout

    done = subprocess.run(
        [shell, "-c", f'{printed}\nprintf %s "$ANTHROPIC_AUTH_TOKEN"'],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
        env=dict(os.environ),
    )

    assert KEY == done.stdout


def test_where_nobody_judges_tool_calls_the_client_is_told_to_do_so(invoke, other_models):
    done = invoke("env", "--config", other_models(), "--shell", "bash")

    assert "export CLAUDE_CODE_AUTO_MODE_SERVER=0" == done.stdout.splitlines()[-1]
    assert "auto mode: there is no classifier for the tool calls of gpt," in done.stderr


def test_where_a_classifier_judges_them_the_client_is_told_nothing(invoke, other_models):
    done = invoke("env", "--config", other_models("claude-haiku-5-5"))

    assert "AUTO_MODE" not in done.stdout
    assert "auto mode" not in done.stderr
