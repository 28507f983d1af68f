"""Models are known by any of their spellings."""

import pytest

from llmroute.messages.catalog import CLAUDE, facts


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("claude-sonnet-5-5", "Claude Sonnet 5.5", id="bare"),
        pytest.param("claude-opus-5", "Claude Opus 5", id="no-minor-number"),
        pytest.param("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", id="dated"),
        pytest.param("claude-opus-5-20260401", "Claude Opus 5", id="dated-without-a-minor-number"),
        pytest.param("claude-sonnet-4-5@20250929", "Claude Sonnet 4.5", id="vertex"),
        pytest.param("anthropic.claude-opus-4-6-v1", "Claude Opus 4.6", id="bedrock-version"),
        pytest.param("anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5", id="bedrock"),
        pytest.param("us.anthropic.claude-sonnet-5-5", "Claude Sonnet 5.5", id="profile"),
        pytest.param(
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", id="global"
        ),
        pytest.param("anthropic/claude-sonnet-5", "Claude Sonnet 5", id="vendors-path"),
        pytest.param("vertex_ai/claude-haiku-4-5@20251001", "Claude Haiku 4.5", id="vertex-path"),
    ],
)
def test_a_model_is_known_by_any_spelling(model, expected):
    assert expected == facts(model).display_name


@pytest.mark.parametrize(
    "model",
    [
        "",
        "fast",
        "gpt-5.2",
        "openai/claude-gpt-5.2",
        "claude-*",
        "claude-sonnet",
        "claude-sonnet-99",
        "claude-3-5-sonnet-20241022",
        "claude-sonnet-5-5-mini",
        "myclaude-sonnet-5",
        "claude-sonnet-5\n",
    ],
)
def test_nothing_is_made_up_of_an_unknown_model(model):
    assert facts(model) is None


@pytest.mark.parametrize("name", CLAUDE)
def test_the_table_is_plausible(name):
    known = facts(name)

    assert name == known.display_name.lower().replace(" ", "-").replace(".", "-")
    assert known.max_tokens < known.max_input_tokens
    assert known.lifecycle in {"active", "deprecated", "retired"}
