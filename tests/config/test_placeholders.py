"""A file can be looked at where its credentials do not exist; all else is checked as ever."""

import pytest

from llmroute.config import load_file
from llmroute.errors import ConfigError

AZURE = "https://r.services.ai.azure.com"


@pytest.fixture
def look(tmp_path):
    """Return the function that loads a file of this text without its credentials."""

    def look(text, environ=None):
        (tmp_path / "c.yaml").write_text(text)
        return load_file(tmp_path / "c.yaml", environ or {}, credentials=False)

    return look


def native(deployment, more=""):
    return f"deployments:\n  a: {{{deployment}}}\naliases: {{x: a}}\n{more}"


def litellm(params, more=""):
    return f"model_list:\n- model_name: a\n  litellm_params: {{{params}}}\n{more}"


def secret(value):
    return value and value.get_secret_value()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            native("provider: anthropic, api_key: '${KEY}'"), ("<KEY>", None), id="variable"
        ),
        pytest.param(
            native("provider: anthropic, api_key: os.environ/KEY"), ("<KEY>", None), id="other form"
        ),
        pytest.param(
            native("provider: anthropic, auth_token: '${file:/no where}'"),
            (None, "</no_where>"),
            id="file",
        ),
        pytest.param(native("provider: anthropic"), ("<api_key>", None), id="left out"),
        pytest.param(
            native("provider: anthropic, base_url: 'http://h'"), (None, None), id="none needed"
        ),
        pytest.param(
            native(f"provider: foundry, base_url: '{AZURE}'"), ("<api_key>", None), id="foundry"
        ),
        pytest.param(
            native(f"provider: foundry, base_url: '{AZURE}', tenant_id: t, client_id: c"),
            ("<api_key>", None),
            id="foundry's application",
        ),
        pytest.param(
            native(f"provider: foundry, base_url: '{AZURE}', managed_identity: true"),
            (None, None),
            id="foundry's machine",
        ),
        pytest.param(
            native("provider: bedrock, region: us-east-1, access_key_id: '${A}'"),
            (None, None),
            id="half a key",
        ),
        pytest.param(
            native("provider: vertex, project: p, credentials: '${JSON}'"),
            (None, None),
            id="vertex",
        ),
        pytest.param(litellm("model: anthropic/x"), ("<ANTHROPIC_API_KEY>", None), id="litellm"),
        pytest.param(
            litellm("model: anthropic/x, api_key: os.environ/KEY"), ("<KEY>", None), id="litellm's"
        ),
        pytest.param(
            litellm(f"model: azure_ai/claude-x, api_base: '{AZURE}'"),
            ("<api_key>", None),
            id="litellm's foundry",
        ),
        pytest.param(
            litellm(f"model: azure_ai/claude-x, api_base: '{AZURE}', azure_ad_token: oidc/azure/"),
            ("<api_key>", None),
            id="litellm's token file",
        ),
        pytest.param(
            litellm("model: bedrock/us-east-1/anthropic.claude-x, aws_access_key_id: k"),
            (None, None),
            id="litellm's half a key",
        ),
        pytest.param(
            litellm(
                "model: anthropic/x, api_key: os.environ/KEY",
                "environment_variables: {KEY: os.environ/REAL}\n",
            ),
            ("<KEY>", None),
            id="variable of a variable",
        ),
        pytest.param(
            litellm(
                "model: anthropic/x, litellm_credential_name: c",
                "credential_list:\n- credential_name: c\n"
                "  credential_values: {api_key: os.environ/KEY}\n",
            ),
            ("<KEY>", None),
            id="named credential",
        ),
    ],
)
def test_a_placeholder_stands_for_a_credential_that_is_not_there(look, text, expected):
    deployment = look(text).deployments["a"]

    assert expected == (secret(deployment.api_key), secret(deployment.auth_token))


def test_a_credential_that_is_there_is_taken(look):
    config = look(native("provider: anthropic, api_key: '${KEY}'"), {"KEY": "k"})

    assert "k" == secret(config.deployments["a"].api_key)


def test_each_of_several_keys_has_its_placeholder(look):
    config = look(native("provider: anthropic, api_keys: ['${K}', '${L}']"))

    assert ["<K>", "<L>"] == [secret(d.api_key) for d in config.deployments.values()]


def test_a_key_in_a_header_has_a_placeholder(look):
    config = look(native("provider: anthropic, headers: {Authorization: 'Bearer ${KEY}'}"))

    assert {"Authorization": "Bearer <KEY>"} == config.deployments["a"].headers


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(native("provider: anthropic, api_key: k", "store: '${STORE}'\n"), id="native"),
        pytest.param(
            native("provider: anthropic", "store: 'redis://:${PASSWORD}@h:${PORT}'\n"),
            id="in parts",
        ),
        pytest.param(
            litellm("model: anthropic/x", "router_settings: {redis_url: os.environ/STORE}\n"),
            id="litellm",
        ),
        pytest.param(
            native("provider: anthropic, api_key: k", "store: redis://h\n"), id="is there"
        ),
    ],
)
def test_nothing_is_shared_by_what_is_only_looked_at(look, text):
    assert None is look(text).store


def test_the_master_key_need_not_exist(look):
    more = "server: {master_key: '${MASTER}'}\n"
    config = look(native("provider: anthropic, api_key: k", more))

    assert "<MASTER>" == secret(config.server.master_key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            native("provider: anthropic, model: '${MODEL}'"),
            ["deployments.a.model: environment variable MODEL is not set"],
            id="no credential",
        ),
        pytest.param(
            native("provider: anthropic, headers: {x: '${X}'}"),
            ["deployments.a.headers.x: environment variable X is not set"],
            id="header",
        ),
        pytest.param(
            native("provider: anthropic, api_key: '${KEY:-x}'"),
            [
                "deployments.a.api_key: is not a reference to a variable or a file; "
                "write ${NAME} or ${file:/path}"
            ],
            id="no reference",
        ),
        pytest.param(
            native("provider: anthropic, api_key:"),
            ["deployments.a.api_key: has no value"],
            id="no",
        ),
        pytest.param(
            native("provider: anthropic", "store: http://h\n"),
            ["store: must start with redis://, rediss:// or unix://"],
            id="store",
        ),
        pytest.param(
            litellm(
                "model: os.environ/MODEL",
                "environment_variables: {MODEL: os.environ/REAL, A: [b], B: os.environ/a-b}",
            ),
            [
                "model_list[0].litellm_params.model: environment variable MODEL is not set",
                "environment_variables.A: must be text",
                "environment_variables.B: is not a reference to a variable or a file; "
                "write ${NAME} or ${file:/path}",
            ],
            id="variable of a variable",
        ),
    ],
)
def test_all_else_is_checked_as_ever(look, text, expected):
    with pytest.raises(ConfigError) as caught:
        look(text)

    assert expected == [f"{problem.path}: {problem.text}" for problem in caught.value.problems]
