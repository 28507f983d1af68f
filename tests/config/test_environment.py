"""Without a file, the environment's keys make a configuration, and it says what it found."""

import pytest

from llmroute.config import load_env
from llmroute.config.model import Alias
from llmroute.errors import ConfigError


def test_a_key_makes_an_alias():
    config = load_env({"ANTHROPIC_API_KEY": "sk-ant-1"})

    assert {"claude-*": Alias(deployments=("anthropic",))} == config.aliases
    deployment = config.deployments["anthropic"]
    assert ("sk-ant-1", None, None) == (
        deployment.api_key.get_secret_value(),
        deployment.base_url,
        deployment.model,
    )
    assert ("ANTHROPIC_API_KEY: claude-* goes to https://api.anthropic.com",) == config.found
    assert None is config.server.master_key
    assert "<environment>" == config.source


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"ANTHROPIC_API_KEY": "a"}, ("a", None), id="key"),
        pytest.param({"ANTHROPIC_AUTH_TOKEN": "b"}, (None, "b"), id="token"),
        pytest.param(
            {"ANTHROPIC_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b"}, ("a", None), id="both"
        ),
        pytest.param(
            {"ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": "b"}, (None, "b"), id="empty"
        ),
    ],
)
def test_the_credential_is_found(environ, expected):
    deployment = load_env(environ).deployments["anthropic"]

    shown = [key and key.get_secret_value() for key in (deployment.api_key, deployment.auth_token)]
    assert list(expected) == shown


def test_an_address_is_taken_from_the_environment():
    config = load_env({"ANTHROPIC_API_KEY": "a", "ANTHROPIC_BASE_URL": "https://gw.example/v1/"})

    assert "https://gw.example" == config.deployments["anthropic"].base_url
    assert ("ANTHROPIC_API_KEY: claude-* goes to https://gw.example",) == config.found


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost", "[::1]"])
def test_the_proxys_own_address_is_no_upstream(host):
    config = load_env(
        {
            "ANTHROPIC_API_KEY": "a",
            "ANTHROPIC_AUTH_TOKEN": "ours",
            "ANTHROPIC_BASE_URL": f"http://{host}:4000/anthropic",
        }
    )

    assert None is config.deployments["anthropic"].base_url
    assert None is config.deployments["anthropic"].auth_token
    assert [
        "<environment>: ANTHROPIC_BASE_URL: is this proxy's own address, and is not an upstream"
    ] == [str(warning) for warning in config.warnings]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"ANTHROPIC_API_KEY": ""}, id="empty"),
        pytest.param(
            {"ANTHROPIC_AUTH_TOKEN": "ours", "ANTHROPIC_BASE_URL": "http://0.0.0.0:4000"},
            id="a token for us",
        ),
        pytest.param(
            {"ANTHROPIC_AUTH_TOKEN": "ours", "LITELLM_MASTER_KEY": "ours"}, id="the master key"
        ),
    ],
)
def test_no_key_is_a_problem_that_says_which_would_do(environ):
    with pytest.raises(ConfigError) as caught:
        load_env(environ)

    assert (
        "<environment>: holds no provider's key; set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or "
        "that of another provider (`llmroute providers` lists them), or write a configuration file"
    ) == str(caught.value)


def test_the_master_key_is_found():
    config = load_env({"ANTHROPIC_API_KEY": "a", "LLMROUTE_MASTER_KEY": "ours"})

    assert "ours" == config.server.master_key.get_secret_value()
    assert "LLMROUTE_MASTER_KEY: the key that clients present" == config.found[1]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param(
            "ANTHROPIC_BASE_URL", "gw.example", "must start with http:// or https://", id="address"
        ),
        pytest.param(
            "ANTHROPIC_BASE_URL", "http://[::1", "is not an address", id="half an address"
        ),
        pytest.param("ANTHROPIC_BASE_URL", "http://localhost:x", "is not an address", id="no port"),
        pytest.param("ANTHROPIC_BASE_URL", "http://h\\x", "is not an address", id="backslash"),
        pytest.param("ANTHROPIC_BASE_URL", "http://é.example", "is not an address", id="host"),
        pytest.param("ANTHROPIC_BASE_URL", "http://h.example/é", "is not an address", id="path"),
        pytest.param("LLMROUTE_MASTER_KEY", "", "is empty", id="master key"),
    ],
)
def test_what_is_wrong_names_the_variable(name, value, expected):
    with pytest.raises(ConfigError) as caught:
        load_env({"ANTHROPIC_API_KEY": "a", name: value})

    assert f"<environment>: {name}: {expected}" == str(caught.value)
