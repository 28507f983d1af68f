"""LiteLLM's own quickstart files load as they are."""

from pathlib import Path

import pytest

from llmroute.config import load_file

FOLDER = Path(__file__).parent / "quickstart"
EXAMPLES = Path(__file__).parents[2] / "examples"
ENVIRON = {
    "ANTHROPIC_API_KEY": "sk-ant-1",
    "LITELLM_MASTER_KEY": "sk-1234567890",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AZURE_AI_API_KEY": "c",
    "AZURE_AI_API_BASE": "https://my-resource.services.ai.azure.com/anthropic",
    "VERTEX_FILE_PATH_ENV_VAR": "/path/to/service_account.json",
}


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.stem)
def test_each_is_among_the_examples_to_the_byte(file):
    assert file.read_bytes() == (EXAMPLES / file.name).read_bytes()


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


def test_the_file_for_bedrock_loads_as_it_is():
    config = load_file(FOLDER / "bedrock.yaml", ENVIRON)

    assert ["bedrock", "bedrock"] == [d.provider for d in config.deployments.values()]
    assert () == config.warnings


def test_the_file_for_several_providers_loads_as_it_is():
    config = load_file(FOLDER / "multi-provider.yaml", ENVIRON)

    foundry, vertex = config.deployments["claude-4-azure"], config.deployments["anthropic-vertex"]
    assert ["anthropic", "anthropic", "bedrock", "foundry", "vertex"] == [
        deployment.provider for deployment in config.deployments.values()
    ]
    assert ("claude-opus-4-1", ENVIRON["AZURE_AI_API_BASE"]) == (foundry.model, foundry.base_url)
    assert "c" == foundry.api_key.get_secret_value()
    assert "claude-haiku-4-5@20251001" == vertex.model
    assert ("my-test-project", "us-east-1") == (vertex.project, vertex.location)
    assert "/path/to/service_account.json" == vertex.credentials_file


def test_the_location_that_the_file_names_is_not_googles():
    config = load_file(FOLDER / "multi-provider.yaml", ENVIRON)

    assert [
        f"{FOLDER / 'multi-provider.yaml'}:33: model_list[4].litellm_params.vertex_ai_location: "
        "is no Google Cloud region, as us-east5 is one; it is used as it stands"
    ] == [str(warning) for warning in config.warnings]
