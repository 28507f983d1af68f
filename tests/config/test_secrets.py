"""No value of a configuration is in a message, a warning or a repr."""

import copy

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmroute.config import load_dict, load_env, load_file
from llmroute.errors import ConfigError

CANARY = "sk-Canary-0123456789"

NATIVE = {
    "deployments": {
        "a": {
            "provider": "anthropic",
            "model": "m",
            "base_url": "https://gw.example",
            "headers": {"x-a": "b"},
            "extra_body": {"c": {"d": ["e"]}},
            "timeout": 1,
            "order": 1,
            "rpm": 1,
            "weight": 1,
            "forward_client_auth": True,
            "api_key": "k",
        },
        "k": {"provider": "anthropic", "api_keys": ["k", "l"]},
    },
    "aliases": {
        "b": "a",
        "c": ["a", "k"],
        "d": {"deployments": ["a"], "fallbacks": ["b"], "hedge": {"after": 1}},
    },
    "routing": {"strategy": "listed", "retries": 1, "errors": {"529": {"remedy": "time"}}},
    "store": "redis://:s@h/1",
    "database": "postgresql://u:s@h/x",
    "keys": {
        "ci": {"key": "sk-ci", "team": "t", "expires": "2027-01-31", "trusted": True},
        "by": {"sha256": "0" * 64, "limits": {"parallel": 1}, "budgets": [{"amount": 1}]},
    },
    "teams": {"t": {"blocked": False}},
    "budgets": [{"amount": 1, "period": "day"}],
    "limits": {"parallel": 1},
    "guards": {"session_budget": 1},
    "usage": {"retention_days": 1},
    "store_prefix": "p",
    "server": {"host": "h", "port": 1, "master_key": "m", "log": "json"},
}
LITELLM = {
    "model_list": [
        {
            "model_name": "a",
            "litellm_params": {
                "model": "anthropic/claude-x",
                "custom_llm_provider": "anthropic",
                "api_key": "k",
                "api_base": "https://gw.example",
                "litellm_credential_name": "c",
                "extra_headers": {"x-a": "b"},
                "extra_body": {"c": "d"},
                "tags": ["x"],
                "rpm": 1,
            },
            "model_info": {"id": "i", "base_model": "b", "supported_endpoints": ["x"]},
        }
    ],
    "credential_list": [{"credential_name": "c", "credential_values": {"api_key": "x"}}],
    "litellm_settings": {
        "master_key": "m",
        "fallbacks": [{"a": ["a"]}],
        "cache": True,
        "max_budget": 1,
        "budget_duration": "30d",
    },
    "router_settings": {
        "routing_strategy": "least-busy",
        "model_group_alias": {"b": {"model": "a", "hidden": True}},
        "retry_policy": {"RateLimitErrorRetries": 1},
        "redis_host": "h",
        "redis_password": "s",
        "redis_username": "u",
    },
    "general_settings": {
        "master_key": "m",
        "database_url": "postgresql://u:s@h/x",
        "maximum_spend_logs_retention_period": "30d",
    },
    "environment_variables": {"X": "y"},
}


def paths(value, path=()):
    """Yield the path of every part of some data."""
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in steps:
        yield (*path, step)
        if isinstance(inner, (dict, list)):
            yield from paths(inner, (*path, step))


def replaced(data, path, value):
    data = copy.deepcopy(data)
    inside = data
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return data


def said(load):
    """Return everything that loading says, of itself or of what is wrong."""
    try:
        config = load()
    except ConfigError as error:
        return f"{error} {error!r} {error.problems} {error.__cause__} {error.__context__}"
    return f"{config} {config!r} {config.warnings} {config.found}"


CASES = [
    pytest.param(data, path, id=f"{dialect}.{'.'.join(map(str, path))}")
    for dialect, data in (("native", NATIVE), ("litellm", LITELLM))
    for path in paths(data)
]

# These are names and not secrets: they stand in logs and headers. A base model is an id.
SHOWN = {"model", "base_model", "host", "id", "model_name", "store_prefix"}


@pytest.mark.parametrize(("data", "path"), CASES)
@pytest.mark.parametrize("reference", [False, True], ids=["literal", "reference"])
def test_a_secret_in_any_place_is_in_no_message(data, path, reference):
    value = "${SECRET}" if reference else CANARY
    text = said(lambda: load_dict(replaced(data, path, value), {"SECRET": CANARY}))

    assert path[-1] in SHOWN or CANARY not in text


@pytest.mark.parametrize("wrong", [[CANARY], {CANARY[3:]: CANARY}, 7, True, None], ids=repr)
@pytest.mark.parametrize(("data", "path"), CASES)
def test_a_secret_of_the_wrong_type_is_in_no_message(data, path, wrong):
    text = said(lambda: load_dict(replaced(data, path, wrong), {}))

    assert path[-1] in SHOWN or CANARY not in text


@pytest.mark.parametrize("quote", ["", "'", '"'])
@given(
    start=st.text("!&*%@`|>{}[],#?:-\\\"'\t ", max_size=3), end=st.text("'\"\\:#{[\t ", max_size=2)
)
@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_secret_that_is_bad_yaml_is_in_no_message(tmp_path, quote, start, end):
    path = tmp_path / "c.yaml"
    path.write_text(
        "model_list:\n- model_name: a\n  litellm_params:\n    model: claude-x\n"
        f"    api_key: {quote}{start}{CANARY}{end}{quote}\n    api_base: 3\n"
    )
    text = said(lambda: load_file(path, {}))

    assert CANARY not in text


def test_the_good_files_load_and_show_nothing():
    config = load_dict(NATIVE | {"server": {"master_key": CANARY}}, {})

    assert CANARY == config.server.master_key.get_secret_value()
    assert CANARY not in f"{config!r} {config.warnings}"
    assert () == config.warnings


def test_the_environments_secrets_are_in_no_message():
    environ = {"ANTHROPIC_API_KEY": CANARY, "LLMROUTE_MASTER_KEY": f"{CANARY}\n"}

    assert CANARY not in said(lambda: load_env(environ))


def test_yaml_that_is_good_is_read_as_yaml_reads_it(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(NATIVE))

    assert load_dict(NATIVE, {}).deployments == load_file(path, {}).deployments
