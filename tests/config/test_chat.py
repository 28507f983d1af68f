"""Deployments that speak Chat Completions, in the native dialect."""

import pytest

from llmroute.config import load_dict
from llmroute.errors import ConfigError

BASE = "http://localhost:8000/v1"


def loaded(**settings):
    config = load_dict({"deployments": {"c": settings}, "aliases": {"a": "c"}}, {})
    return config.deployments["c"]


def problems(**settings):
    with pytest.raises(ConfigError) as caught:
        loaded(**settings)
    assert "canary" not in str(caught.value)
    return [problem.path for problem in caught.value.problems]


def test_a_server_of_ones_own_needs_no_key():
    deployment = loaded(provider="openai_compatible", base_url=BASE)

    assert (BASE, None) == (deployment.base_url, deployment.api_key)


def test_what_servers_differ_in_can_be_set():
    deployment = loaded(
        provider="openai_compatible",
        base_url=BASE,
        max_tokens_name="max_completion_tokens",
        effort_in=["reasoning_effort", "thinking"],
        efforts={"max": "high"},
        reasoning_replay="reasoning_content",
        tool_choices=["auto"],
        drop_members=["parallel_tool_calls"],
        think_tags="",
    )
    dialect = deployment.dialect

    assert "max_completion_tokens" == dialect.max_tokens_name
    assert {"reasoning_effort", "thinking"} == dialect.effort_in
    assert {"auto"} == dialect.tool_choices
    assert ("reasoning_content", "") == (dialect.reasoning_replay, dialect.think_tags)


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        pytest.param({}, ["deployments.c.base_url"], id="no-address"),
        pytest.param(
            {"base_url": BASE, "reasoning_replay": "sk-canary"},
            ["deployments.c.reasoning_replay"],
            id="no-such-replay",
        ),
        pytest.param(
            {"base_url": BASE, "api_key": "sk-canary", "tool_choices": ["any"]},
            ["deployments.c.tool_choices[0]"],
            id="no-such-choice",
        ),
        pytest.param(
            {"base_url": BASE, "max_token_name": "x"},
            ["deployments.c.max_token_name"],
            id="no-such-setting",
        ),
    ],
)
def test_what_is_wrong_is_told(settings, paths):
    assert paths == problems(provider="openai_compatible", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"api_key": "k"}, id="key"),
        pytest.param({"auth_token": "t"}, id="token"),
        pytest.param({"managed_identity": True}, id="machine"),
        pytest.param({"tenant_id": "t", "client_id": "c", "client_secret": "s"}, id="application"),
    ],
)
def test_azure_takes_any_of_its_credentials(settings):
    base = "https://acme.openai.azure.com"

    assert base == loaded(provider="azure_openai", base_url=base, **settings).base_url


def test_azure_without_a_credential_is_told():
    base = "https://acme.openai.azure.com"

    assert ["deployments.c"] == problems(provider="azure_openai", base_url=base)


def test_several_keys_make_several_deployments():
    config = load_dict(
        {
            "deployments": {
                "c": {"provider": "openai_compatible", "base_url": BASE, "api_keys": ["a", "b"]}
            },
            "aliases": {"a": "c"},
        },
        {},
    )

    assert ["c#1", "c#2"] == list(config.deployments)
