"""What a model's name tells."""

import pytest

from llmroute.platforms.generations import EFFORTS, GENERATIONS, UNKNOWN, generation_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("claude-opus-5-5", "claude-opus-5-5", id="plain"),
        pytest.param("claude-opus-4-8[1m]", "claude-opus-4-8", id="with-a-window"),
        pytest.param("claude-haiku-4-5@20251001", "claude-haiku-4-5", id="google"),
        pytest.param("us.anthropic.claude-opus-4-6-v1", "claude-opus-4-6", id="profile"),
        pytest.param(
            "anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", id="versioned"
        ),
        pytest.param("claude-sonnet-4-20250514", "claude-sonnet-4", id="a-date-is-no-version"),
        pytest.param("anthropic.claude-opus-5-v1:0", "claude-opus-5", id="nor-is-v1"),
        pytest.param("claude-sonnet-4-0", "claude-sonnet-4", id="zero"),
        pytest.param("claude-sonnet-4.6", "claude-sonnet-4-6", id="with-a-dot"),
        pytest.param("Claude-Opus-5-5", "claude-opus-5-5", id="in-capitals"),
        pytest.param("claude-3-7-sonnet@20250219", "claude-sonnet-3-7", id="claude-3-7"),
        pytest.param("anthropic.claude-3-haiku-20240307-v1:0", "claude-haiku-3", id="claude-3"),
        pytest.param(
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5",
            "claude-haiku-4-5",
            id="arn-of-a-profile",
        ),
        pytest.param(
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "", id="opaque-arn"
        ),
        pytest.param("prod", "", id="a-name-of-ones-own"),
    ],
)
def test_a_name_is_read(name, expected):
    assert expected == generation_of([name]).name


def test_the_first_name_that_tells_counts():
    assert (
        "claude-opus-5" == generation_of([None, "prod", "claude-opus-5", "claude-haiku-4-5"]).name
    )
    assert UNKNOWN is generation_of(["prod", None])


def test_a_newer_model_takes_what_it_is_sent_and_system_messages():
    newer = generation_of(["claude-sonnet-6"])

    assert (None, EFFORTS, True) == (newer.thinking, newer.efforts, newer.system_messages)
    assert not generation_of(["claude-opus-4-9"]).system_messages


@pytest.mark.parametrize("name", GENERATIONS)
def test_the_table_is_in_order(name):
    generation = GENERATIONS[name]

    assert name == generation.name == generation_of([name]).name
    assert list(generation.efforts) == [e for e in EFFORTS if e in generation.efforts]
    # A model that thinks by itself has no need of a budget, and the other way round.
    assert generation.thinking is not None
    assert ("enabled" in generation.thinking) <= (generation.max_tokens >= 1024)
