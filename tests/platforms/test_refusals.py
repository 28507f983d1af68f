"""A refusal names what was refused, in words that are read."""

import pytest

from llmroute.platforms.refusals import refused_in


@pytest.mark.parametrize(
    ("message", "names"),
    [
        pytest.param("prompt is too long: 2 tokens > 1 maximum", set(), id="something-else"),
        pytest.param(
            "Unexpected value(s) `a-2026-01-01` for the `anthropic-beta` header. Please consult",
            {"a-2026-01-01"},
            id="one-beta",
        ),
        pytest.param(
            "Unexpected value(s) `a-1`, `b-2` for the `anthropic-beta` header",
            {"a-1", "b-2"},
            id="two-betas",
        ),
        pytest.param(
            "context_management: Extra inputs are not permitted",
            {"context_management"},
            id="member",
        ),
        pytest.param(
            "output_config.effort: Extra inputs are not permitted",
            {"output_config.effort"},
            id="member-of-a-member",
        ),
        pytest.param(
            "thinking.adaptive.display: Extra inputs are not permitted",
            {"thinking.display"},
            id="member-of-a-union",
        ),
        pytest.param(
            "tools.0.custom.defer_loading: Extra inputs are not permitted; "
            "tools.1.custom.defer_loading: Extra inputs are not permitted",
            {"tools[].defer_loading"},
            id="tools",
        ),
        pytest.param(
            "messages.1.output_config: Extra inputs are not permitted",
            {"messages[].output_config"},
            id="message",
        ),
        pytest.param(
            "messages.0.content.2.text.cache_control.ephemeral.scope: "
            "Extra inputs are not permitted",
            {"cache_control.scope"},
            id="deep-in-a-block",
        ),
        pytest.param(
            "system.1.cache_control.scope: Extra inputs are not permitted",
            {"cache_control.scope"},
            id="cache-control",
        ),
        pytest.param(
            "system.0.weight: Extra inputs are not permitted",
            {"messages[].content[].weight"},
            id="block-of-the-system-prompt",
        ),
        pytest.param("invalid beta flag", {"anthropic-beta"}, id="a-beta-and-not-which"),
        pytest.param(
            "role 'system' is not supported on this model", {"messages[] system"}, id="role"
        ),
        pytest.param(
            "messages.1.role: Input should be 'user' or 'assistant'",
            {"messages[] system"},
            id="role-by-its-place",
        ),
        pytest.param('Unexpected role "system".', {"messages[] system"}, id="role-unexpected"),
        pytest.param("tools: Extra inputs are not permitted", set(), id="needed"),
        pytest.param(
            "metadata: Extra inputs are not permitted " + "a" * 500_000,
            {"metadata"},
            id="long-word",
        ),
        pytest.param("Unexpected value(s) " * 50_000, set(), id="long-repetition"),
        pytest.param(
            "thinking.disabled.budget_tokens: Extra inputs are not permitted",
            set(),
            id="needed-in-another-thinking",
        ),
        pytest.param(
            "tools.0.web_search_20250305.description: Extra inputs are not permitted",
            set(),
            id="needed-in-another-tool",
        ),
        pytest.param(
            "messages.0.content.0.thinking.cache_control: Extra inputs are not permitted",
            set(),
            id="needed-in-another-block",
        ),
    ],
)
def test_what_is_refused_is_read_off_the_message(message, names):
    assert names == refused_in(message)
