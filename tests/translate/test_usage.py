"""Every vendor's figures come to Anthropic's."""

import pytest

from llmroute.translate.usage import (
    chat_usage,
    converse_usage,
    gemini_usage,
    responses_usage,
    tier_of,
)


def usage(fresh, output, *, read=0, wrote=0, thought=0):
    details = {"output_tokens_details": {"thinking_tokens": thought}} if thought else {}
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": wrote,
        "cache_read_input_tokens": read,
        "output_tokens": output,
        **details,
    }


TOTALS = {"prompt_tokens": 900, "completion_tokens": 20}


@pytest.mark.parametrize(
    ("read", "data", "expected"),
    [
        pytest.param(chat_usage, TOTALS, usage(900, 20), id="chat"),
        pytest.param(
            chat_usage,
            {
                **TOTALS,
                "prompt_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 88},
                "completion_tokens_details": {"reasoning_tokens": 12},
            },
            usage(300, 20, read=512, wrote=88, thought=12),
            id="chat-details",
        ),
        pytest.param(
            chat_usage,
            {
                **TOTALS,
                "total_tokens": 950,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            usage(900, 50, thought=30),
            id="xai-leaves-reasoning-out",
        ),
        pytest.param(
            chat_usage,
            {
                **TOTALS,
                "total_tokens": 920,
                "completion_tokens_details": {"reasoning_tokens": 12},
            },
            usage(900, 20, thought=12),
            id="chat-reasoning-in-the-total",
        ),
        pytest.param(
            chat_usage,
            {**TOTALS, "prompt_cache_hit_tokens": 512, "prompt_cache_miss_tokens": 388},
            usage(388, 20, read=512),
            id="deepseek",
        ),
        pytest.param(
            chat_usage, {**TOTALS, "cached_tokens": 900}, usage(0, 20, read=900), id="moonshot"
        ),
        pytest.param(
            chat_usage,
            {**TOTALS, "prompt_tokens_details": None, "completion_tokens": None},
            usage(900, 0),
            id="nulls",
        ),
        pytest.param(
            chat_usage, {"prompt_tokens": -1, "completion_tokens": True}, usage(0, 0), id="nonsense"
        ),
        pytest.param(
            responses_usage,
            {
                "input_tokens": 900,
                "input_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 100},
                "output_tokens": 20,
                "output_tokens_details": {"reasoning_tokens": 7},
            },
            usage(288, 20, read=512, wrote=100, thought=7),
            id="responses",
        ),
        pytest.param(
            gemini_usage,
            {
                "promptTokenCount": 900,
                "cachedContentTokenCount": 512,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "toolUsePromptTokenCount": 5,
            },
            usage(393, 50, read=512, thought=30),
            id="gemini",
        ),
        pytest.param(
            converse_usage,
            {
                "inputTokens": 300,
                "outputTokens": 20,
                "cacheReadInputTokens": 512,
                "cacheWriteInputTokens": 88,
            },
            usage(300, 20, read=512, wrote=88),
            id="converse",
        ),
        pytest.param(
            converse_usage,
            {
                "inputTokens": 300,
                "outputTokens": 20,
                "cacheWriteInputTokens": 88,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 80}, {"ttl": "5m", "inputTokens": 8}],
            },
            {
                **usage(300, 20, wrote=88),
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 8,
                    "ephemeral_1h_input_tokens": 80,
                },
            },
            id="converse-by-lifetime",
        ),
    ],
)
def test_figures(read, data, expected):
    assert expected == read(data)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param({"trafficType": "ON_DEMAND_PRIORITY"}, "priority", id="google-cloud"),
        pytest.param({"trafficType": "ON_DEMAND_FLEX"}, "flex", id="google-cloud-flex"),
        pytest.param({"serviceTier": "flex"}, "flex", id="gemini"),
        pytest.param({"trafficType": "ON_DEMAND"}, None, id="usual"),
        pytest.param({}, None, id="untold"),
    ],
)
def test_how_gemini_served_an_answer(told, expected):
    assert expected == gemini_usage({"promptTokenCount": 1, **told}).get("service_tier")


@pytest.mark.parametrize("told", [None, "default", "standard", "auto", 3, ["flex"], ""])
def test_the_usual_way_of_serving_is_not_told(told):
    assert {} == tier_of(told)
