"""The generated pages are those that the models make, and say something of every setting."""

import json
from pathlib import Path

import pytest
import yaml

from llmroute.config import load_dict
from llmroute.config.schema import json_schema
from llmroute_cli.reference import pages

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_up_to_date(name):
    assert pages()[name] == (ROOT / "docs/reference" / name).read_text("utf-8")


def test_the_example_of_the_page_loads():
    example = pages()["config.md"].split("```yaml\n")[1].split("```")[0]
    environ = {"ANTHROPIC_API_KEY": "k", "LLMROUTE_MASTER_KEY": "m"}
    config = load_dict(yaml.safe_load(example), environ)

    assert ["claude-sonnet-*"] == list(config.aliases)
    assert () == config.warnings


def described(schema, path=""):
    for name, setting in schema.get("properties", {}).items():
        yield f"{path}.{name}", "description" in setting or "properties" in setting
        yield from described(setting, f"{path}.{name}")
        yield from described(setting.get("items", {}), f"{path}.{name}")


def test_every_setting_is_described():
    found = list(described(json_schema()))

    missing = {path for path, has in found if not has}
    assert {".model_list", ".credential_list"} == missing
    assert len(found) > 200


def test_the_schema_is_json_and_knows_both_dialects():
    schema = json.loads(json.dumps(json_schema()))

    assert {"deployments", "aliases", "model_list", "litellm_settings"} <= set(schema["properties"])
    port = schema["properties"]["server"]["properties"]["port"]
    assert ["integer", "string"] == [kind["type"] for kind in port["anyOf"]]
