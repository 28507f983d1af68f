"""`llmroute providers`: whom it can speak to, and with whose key."""

import json

import pytest


@pytest.fixture
def keys(monkeypatch):
    for name in ("ZAI_API_KEY", "GROQ_API_KEY", "OR_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OR_API_KEY", "sk-canary")


@pytest.mark.usefixtures("keys")
def test_a_provider_is_listed_with_its_address_its_format_and_its_key(invoke):
    done = invoke("providers")

    assert 0 == done.exit_code
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "provider address spoken to in key" == lines[0]
    assert "zai https://api.z.ai/api/anthropic Messages, native ZAI_API_KEY" in lines
    assert (
        "groq https://api.groq.com/openai/v1 Chat Completions, translated GROQ_API_KEY"
    ) in lines
    assert "openrouter https://openrouter.ai/api Messages, native OR_API_KEY set" in lines
    assert "sk-canary" not in done.stdout


@pytest.mark.usefixtures("keys")
def test_the_same_is_there_as_json(invoke):
    done = invoke("providers", "--json")

    found = {each["provider"]: each for each in json.loads(done.stdout)}
    assert ("OR_API_KEY", None) == (found["openrouter"]["found"], found["groq"]["found"])
    assert [True, False] == [found[name]["native"] for name in ("openrouter", "groq")]
    assert {"anthropic", "bedrock", "openai", "gemini", "azure_openai"} <= found.keys()
