"""How much a model reads and writes at a deployment: by its name, or as the configuration says."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.config import load_dict
from llmroute.providers import Deployment
from llmroute.providers.limits import is_claude, limits_of, tells_at_once, vocabulary_at


def deployment(**settings: Any) -> Deployment:
    given = {"base_url": "http://there.example", "api_key": "k", **settings}
    config = load_dict({"deployments": {"it": given}, "aliases": {"a": "it"}}, {})
    return config.deployments["it"]


BEDROCK = {"provider": "bedrock", "region": "us-east-1"}
AZURE = {"provider": "azure_openai"}
CHAT = {"provider": "openai_compatible"}
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("settings", "model", "window"),
    [
        pytest.param({"provider": "openai"}, "gpt-5.2", (272_000, 128_000), id="openai"),
        pytest.param({"provider": "openai"}, "gpt-5.5-2026-01-02", (922_000, 128_000), id="later"),
        pytest.param({"provider": "openai"}, "gpt-5.4-mini", (272_000, 128_000), id="small"),
        pytest.param({"provider": "openai"}, "o3", (200_000, 100_000), id="reasoner"),
        pytest.param({"provider": "openai"}, "ft:mine", (None, None), id="unknown"),
        pytest.param(AZURE | {"base_model": "gpt-4o"}, "mine", (128_000, 16_384), id="base-model"),
        pytest.param(
            {"provider": "gemini"}, "gemini-3-pro-preview", (1_048_576, 65_536), id="gemini"
        ),
        pytest.param(BEDROCK, "us.amazon.nova-lite-v1:0", (300_000, 10_000), id="nova"),
        pytest.param(BEDROCK, SONNET, (200_000, 64_000), id="claude"),
        pytest.param(
            {"provider": "openrouter"},
            "anthropic/claude-sonnet-4.5",
            (200_000, 64_000),
            id="claude-with-a-dot",
        ),
        pytest.param({"provider": "openrouter"}, "openai/gpt-5.2", (272_000, 128_000), id="prefix"),
        pytest.param({"provider": "zai"}, "glm-4.6", (204_800, 131_072), id="vendor"),
        pytest.param(
            {"provider": "fireworks_ai"},
            "accounts/fireworks/models/kimi-k2p6",
            (262_144, None),
            id="path",
        ),
        pytest.param({"provider": "groq"}, "llama-4-maverick", (131_072, None), id="capped"),
        pytest.param({"provider": "ollama"}, "kimi-k2.5", (None, None), id="your-own-server"),
        pytest.param(CHAT, "kimi-k2.5", (None, None), id="nobody-knows-whose-server"),
        pytest.param(CHAT, "gpt-4", (None, None), id="a-name-that-own-servers-use"),
        pytest.param(
            CHAT | {"max_input_tokens": 9, "max_tokens_limit": 8}, "kimi-k2.5", (9, 8), id="told"
        ),
        pytest.param(
            {"provider": "openai", "max_input_tokens": 9}, "gpt-5.2", (9, 128_000), id="half-told"
        ),
    ],
)
def test_what_a_model_reads_and_writes(
    settings: dict[str, Any], model: str, window: tuple[int | None, int | None]
) -> None:
    assert window == limits_of(deployment(**settings), model)


@pytest.mark.parametrize(
    ("settings", "model", "claude", "at_once", "times"),
    [
        pytest.param({"provider": "anthropic"}, "house-name", True, True, 1.3, id="anthropic"),
        pytest.param({"provider": "foundry"}, "mine", True, True, 1.3, id="foundry"),
        pytest.param(
            {"provider": "foundry", "base_model": "claude-opus-4-6"},
            "mine",
            True,
            True,
            1.0,
            id="base-model",
        ),
        pytest.param(BEDROCK, SONNET, True, True, 1.0, id="bedrock"),
        pytest.param(BEDROCK | {"surface": "converse"}, SONNET, True, False, 1.0, id="converse"),
        pytest.param(BEDROCK, "amazon.nova-pro-v1:0", False, False, 1.0, id="nova"),
        pytest.param(CHAT, "anthropic/claude-opus-4.8", True, False, 1.3, id="claude-by-chat"),
        pytest.param(CHAT, "house-model", False, False, 1.0, id="another"),
    ],
)
def test_where_the_model_is_claude_and_where_it_counts_at_once(
    settings: dict[str, Any], model: str, claude: bool, at_once: bool, times: float
) -> None:
    there = deployment(**settings)

    found = (
        is_claude(there, model),
        tells_at_once(there, model),
        vocabulary_at(there, model).times,
    )
    assert (claude, at_once, times) == found
