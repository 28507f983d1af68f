"""What OpenAI's models take, by their names."""

import pytest

from llmroute.translate.openai_models import EFFORTS, nearest_effort, traits


@pytest.mark.parametrize(
    ("name", "efforts", "longest"),
    [
        pytest.param("gpt-5", "minimal low medium high", 128_000, id="5"),
        pytest.param("gpt-5-mini-2025-08-07", "minimal low medium high", 128_000, id="dated"),
        pytest.param("openai/gpt-5-codex", "low medium high", 128_000, id="codex"),
        pytest.param("gpt-5-chat-latest", "", 16_384, id="chat"),
        pytest.param("gpt-5-pro", "high", 128_000, id="pro"),
        pytest.param("gpt-5.1", "none low medium high", 128_000, id="5.1"),
        pytest.param("gpt-5.1-codex-max", "low medium high xhigh", 128_000, id="codex-max"),
        pytest.param("gpt-5.2-pro", "medium high xhigh", 128_000, id="5.2-pro"),
        pytest.param("gpt-5.5", "none low medium high xhigh", 128_000, id="5.5"),
        pytest.param("GPT-5.6-sol", "none low medium high xhigh max", 128_000, id="5.6"),
        pytest.param("gpt-6", "none low medium high xhigh max", 128_000, id="6"),
        pytest.param("o3", "low medium high", 100_000, id="o3"),
        pytest.param("o4-mini-2025-04-16", "low medium high", 100_000, id="o4"),
        pytest.param("gpt-4.1-nano", "", 32_768, id="4.1"),
        pytest.param("gpt-4o-2024-11-20", "", 16_384, id="4o"),
        pytest.param("chatgpt-4o-latest", "", 16_384, id="chatgpt"),
        pytest.param("ft:gpt-4o-mini:acme::1", "", 16_384, id="fine-tuned"),
        pytest.param("gpt-4-turbo", "", 4_096, id="4-turbo"),
        pytest.param("gpt-4-0613", "", 8_192, id="4"),
        pytest.param("gpt-oss-120b", "low medium high", 0, id="oss"),
        pytest.param("house-o3-like", "low medium high", 0, id="unknown"),
    ],
)
def test_traits(name, efforts, longest):
    found = traits(name)
    assert (tuple(efforts.split()), longest) == (found.efforts, found.longest)
    assert (name != "house-o3-like") == found.is_known


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("none", "low"),
        ("minimal", "low"),
        ("medium", "medium"),
        ("max", "high"),
        ("of tomorrow", "medium"),
    ],
)
def test_the_nearest_effort(asked, expected):
    assert expected == nearest_effort(asked, ("high", "low", "medium"))


@pytest.mark.parametrize("asked", EFFORTS)
def test_no_effort_where_there_is_none(asked):
    assert "" == nearest_effort(asked, ())
