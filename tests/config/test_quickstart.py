"""LiteLLM's own quickstart files load as they are, or say exactly what is not built yet."""

from pathlib import Path

import pytest

from llmroute.config import load_file
from llmroute.errors import ConfigError

FOLDER = Path(__file__).parent / "quickstart"
ENVIRON = {
    "ANTHROPIC_API_KEY": "sk-ant-1",
    "LITELLM_MASTER_KEY": "sk-1234567890",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AZURE_AI_API_KEY": "c",
    "AZURE_AI_API_BASE": "https://my-resource.services.ai.azure.com/anthropic",
    "VERTEX_FILE_PATH_ENV_VAR": "/path/to/service_account.json",
}


def test_the_minimal_file_loads_as_it_is():
    config = load_file(FOLDER / "minimal.yaml", ENVIRON)

    names = ["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]
    assert names == list(config.aliases)
    assert [(name,) for name in names] == [a.deployments for a in config.aliases.values()]
    assert names == [deployment.model for deployment in config.deployments.values()]
    assert ["sk-ant-1"] * 2 == [d.api_key.get_secret_value() for d in config.deployments.values()]
    assert "sk-1234567890" == config.server.master_key.get_secret_value()
    assert () == config.warnings
    assert str(FOLDER / "minimal.yaml") == config.source


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("bedrock.yaml", [(7, 0, "bedrock"), (14, 1, "bedrock")], id="bedrock"),
        pytest.param(
            "multi-provider.yaml",
            [(16, 2, "bedrock"), (24, 3, "azure_ai"), (31, 4, "vertex_ai")],
            id="multi-provider",
        ),
    ],
)
def test_a_provider_that_is_not_built_is_the_only_problem(name, expected):
    with pytest.raises(ConfigError) as caught:
        load_file(FOLDER / name, ENVIRON)

    assert [
        f"{FOLDER / name}:{line}: model_list[{index}].litellm_params.model: "
        f"provider '{provider}' is not part of this version of llmroute"
        for line, index, provider in expected
    ] == str(caught.value).splitlines()
