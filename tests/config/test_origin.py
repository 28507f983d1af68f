"""Every setting of a deployment knows the line to mend, in the words of the file's dialect."""

import pytest

from llmroute.config import load_dict, load_env, load_file

NATIVE = """\
deployments:
  one:
    provider: anthropic
    api_key: k
    model: m
  several:
    provider: anthropic
    api_keys:
    - k
    - l
aliases: {a: [one, several]}
"""
LITELLM = """\
include: [more.yaml]
model_list:
- model_name: a
  litellm_params:
    model: anthropic/x
    api_base: https://gw.example
    litellm_credential_name: shared
    extra_headers: {x: y}
- model_name: b-*
  litellm_params:
    model: anthropic/*
- model_name: c
  litellm_params:
    model: azure_ai/claude-x
    api_base: https://r.services.ai.azure.com
    azure_ad_token: t
- model_name: d
  litellm_params:
    model: hosted_vllm/x
    base_url: https://gpu.example
    api_key: k
  model_info: {supported_endpoints: [/v1/messages]}
- model_name: e
  litellm_params:
    model: bedrock/us.anthropic.claude-x
    aws_region_name: us-east-1
    api_key: k
router_settings:
  model_group_alias: {b: b-1}
"""
MORE = """\
credential_list:
- credential_name: shared
  credential_values:
    api_key: k
"""


@pytest.mark.parametrize(
    ("deployment", "setting", "expected"),
    [
        pytest.param("one", "api_key", "c.yaml:4: deployments.one.api_key", id="given"),
        pytest.param("one", "base_url", "c.yaml:2: deployments.one.base_url", id="not given"),
        pytest.param("several#1", "api_key", "c.yaml:9: deployments.several.api_keys[0]", id="key"),
        pytest.param(
            "several#2", "api_key", "c.yaml:10: deployments.several.api_keys[1]", id="other key"
        ),
        pytest.param("several#2", "model", "c.yaml:6: deployments.several.model", id="of both"),
    ],
)
def test_a_native_setting_has_its_line(tmp_path, monkeypatch, deployment, setting, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(NATIVE)

    assert expected == load_file("c.yaml", {}).origins[deployment].place(setting)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"api_key": "k"}, "deployments.a.api_key", id="first"),
        pytest.param({"auth_token": "t"}, "deployments.a.auth_token", id="second"),
        pytest.param({}, "deployments.a", id="none"),
    ],
)
def test_of_several_settings_the_one_that_is_given_is_named(settings, expected):
    given = {"provider": "anthropic", "base_url": "http://127.0.0.1:1", **settings}
    origin = load_dict({"deployments": {"a": given}, "aliases": {"a": "a"}}, {}).origins["a"]

    assert f"<dict>: {expected}" == origin.place_of(["api_key", "auth_token"])


@pytest.mark.parametrize(
    ("deployment", "setting", "expected"),
    [
        pytest.param("a", "model", "c.yaml:5: model_list[0].litellm_params.model", id="model"),
        pytest.param("a", "base_url", "c.yaml:6: model_list[0].litellm_params.api_base", id="base"),
        pytest.param(
            "a", "headers", "c.yaml:8: model_list[0].litellm_params.extra_headers", id="headers"
        ),
        pytest.param(
            "a",
            "api_key",
            "more.yaml:4: credential_list[0].credential_values.api_key",
            id="credential of another file",
        ),
        pytest.param("a", "weight", "c.yaml:4: model_list[0].litellm_params.weight", id="none"),
        pytest.param("b-*", "api_key", "c.yaml: ANTHROPIC_API_KEY", id="environment"),
        pytest.param("b-*", "base_url", "c.yaml: ANTHROPIC_BASE_URL", id="environment's base"),
        pytest.param("b-1", "model", "c.yaml:11: model_list[1].litellm_params.model", id="pattern"),
        pytest.param(
            "c", "auth_token", "c.yaml:16: model_list[2].litellm_params.azure_ad_token", id="token"
        ),
        pytest.param(
            "d", "auth_token", "c.yaml:21: model_list[3].litellm_params.api_key", id="key"
        ),
        pytest.param(
            "d", "base_url", "c.yaml:20: model_list[3].litellm_params.base_url", id="other name"
        ),
        pytest.param(
            "e", "region", "c.yaml:26: model_list[4].litellm_params.aws_region_name", id="region"
        ),
        pytest.param("e", "api_key", "c.yaml:27: model_list[4].litellm_params.api_key", id="aws"),
    ],
)
def test_a_litellm_setting_has_its_line_and_its_name_there(
    tmp_path, monkeypatch, deployment, setting, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(LITELLM)
    (tmp_path / "more.yaml").write_text(MORE)
    environ = {"ANTHROPIC_API_KEY": "e", "ANTHROPIC_BASE_URL": "https://gw.example"}

    assert expected == load_file("c.yaml", environ).origins[deployment].place(setting)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("auth_token", "<environment>: ANTHROPIC_AUTH_TOKEN"),
        ("base_url", "<environment>: ANTHROPIC_BASE_URL"),
        ("model", "<environment>: model"),
    ],
)
def test_what_the_environment_holds_is_named_by_its_variable(setting, expected):
    environ = {"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_BASE_URL": "https://gw.example"}

    assert expected == load_env(environ).origins["anthropic"].place(setting)


def test_a_dict_has_paths_and_no_lines():
    config = load_dict(
        {
            "deployments": {"a": {"provider": "anthropic", "api_key": "k"}},
            "aliases": {"a": "a"},
        },
        {},
    )

    assert "<dict>: deployments.a.api_key" == config.origins["a"].place("api_key")


def test_every_deployment_has_an_origin(tmp_path):
    (tmp_path / "c.yaml").write_text(LITELLM)
    (tmp_path / "more.yaml").write_text(MORE)
    config = load_file(tmp_path / "c.yaml", {"ANTHROPIC_API_KEY": "e"})

    assert config.deployments.keys() == config.origins.keys()
