"""What answers cost at every provider and by every kind of rate, against sums of list prices.

The list prices of November 2026 are written out here, in US dollars for a million tokens, or for
one piece; nothing of the code that is tested has a part in the sums that are expected.
"""

from __future__ import annotations

import json
import math
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.config.model import OwnRates, Price, PriceTier
from llmroute.messages.usage import Usage
from llmroute.pricing import Tariff, bill, cost, itemised, saved, tariff
from llmroute.pricing.rates import Listing, Rates

DAY = date(2026, 11, 23)


def micro(*terms: tuple[int, str] | tuple[int, str, str]) -> int:
    """Add up counts times prices times factors, half of a micro-dollar rounded up."""
    total = sum(
        (
            Fraction(count) * math.prod(map(Fraction, prices), start=Fraction(1))
            for count, *prices in terms
        ),
        Fraction(0),
    )
    return math.floor(total + Fraction(1, 2))


def each(count: int, dollars: str) -> tuple[int, str]:
    """Return pieces at a price for one of them."""
    return count * 1_000_000, dollars


def usage(plain: int = 0, output: int = 0, read: int = 0, written: int = 0, **more: Any) -> Usage:
    return Usage.of(
        {
            "input_tokens": plain,
            "output_tokens": output,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            **more,
        }
    )


def hours(long: int, short: int = 0) -> dict[str, Any]:
    lifetimes = {"ephemeral_1h_input_tokens": long, "ephemeral_5m_input_tokens": short}
    return {"cache_creation": lifetimes}


def thought(tokens: int) -> dict[str, Any]:
    return {"output_tokens_details": {"thinking_tokens": tokens}}


def tools(**counts: int) -> dict[str, Any]:
    return {"server_tool_use": counts}


OPUS, GPT, PRO = "claude-opus-5-5", "gpt-5.4", "gemini-2.5-pro"


@pytest.mark.parametrize(
    ("provider", "model", "used", "expected"),
    [
        # Anthropic: $4, $20, read $0.20, written $5 for five minutes, $8 for an hour.
        pytest.param(
            "anthropic",
            OPUS,
            usage(1_234, 567, 89_012, 3_456, **hours(1_000, 2_456)),
            micro((1_234, "4"), (567, "20"), (89_012, "0.2"), (2_456, "5"), (1_000, "8")),
            id="anthropic-every-kind-of-token",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(100, 2_000, **thought(1_500)),
            micro((100, "4"), (2_000, "20")),
            id="anthropic-thinking-is-output",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(100, 200, 3_000, 400, speed="fast", **hours(400)),
            micro((100, "8"), (200, "40"), (3_000, "0.4"), (400, "16")),
            id="anthropic-fast",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(101, 201, 3_001, 401, service_tier="batch", **hours(401)),
            micro((101, "2"), (201, "10"), (3_001, "0.1"), (401, "4")),
            id="anthropic-batch",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(100, 200, 3_000, 400, inference_geo="us"),
            micro((100, "4", "1.1"), (200, "20", "1.1"), (3_000, "0.2", "1.1"), (400, "5", "1.1")),
            id="anthropic-in-the-us",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(7, 9, speed="fast", inference_geo="us", **tools(web_search_requests=2)),
            micro((7, "8", "1.1"), (9, "40", "1.1"), each(2, "0.01")),
            id="anthropic-fast-in-the-us-with-searches",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(1_000, 10, **tools(web_fetch_requests=4, web_search_requests=0)),
            micro((1_000, "4"), (10, "20")),
            id="anthropic-fetching-is-free",
        ),
        pytest.param(
            "anthropic",
            "claude-haiku-5-5",
            usage(1, 1_000, 90_000, 10_000),
            micro((1, "0.5"), (1_000, "2.5"), (90_000, "0.05"), (10_000, "0.625")),
            id="anthropic-above-100k-tokens",
        ),
        pytest.param(
            "anthropic",
            "claude-haiku-5-5",
            usage(1, 1_000, 90_000, 10_000, service_tier="batch"),
            micro((1, "0.25"), (1_000, "1.25"), (90_000, "0.025"), (10_000, "0.3125")),
            id="anthropic-above-100k-tokens-in-a-batch",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(
                500,
                60,
                iterations=[
                    {"type": "message", "input_tokens": 1_000, "output_tokens": 50, "model": OPUS},
                    {
                        "type": "advisor_message",
                        "model": "claude-fable-5-2",
                        "input_tokens": 3_000,
                        "output_tokens": 70,
                        "cache_read_input_tokens": 200,
                    },
                    {"type": "compaction", "input_tokens": 90_000, "output_tokens": 900},
                    {"type": "message", "input_tokens": 500, "output_tokens": 60},
                ],
            ),
            micro(
                *((1_000, "4"), (50, "20"), (3_000, "8"), (70, "40"), (200, "0.2")),
                *((90_000, "4"), (900, "20"), (500, "4"), (60, "20")),
            ),
            id="anthropic-iterations",
        ),
        pytest.param(
            "anthropic",
            "claude-fable-5-1",
            usage(10, 20, 100_000, 30, **hours(30)),
            micro((10, "10"), (20, "50"), (100_000, "0.25"), (30, "20")),
            id="anthropic-fable",
        ),
        # Bedrock: a region, or a group of them, costs a tenth more than the global endpoint.
        pytest.param(
            "bedrock",
            "global.anthropic.claude-opus-5-5",
            usage(1_000, 200, 3_000, 400, **hours(100, 300)),
            micro((1_000, "4"), (200, "20"), (3_000, "0.2"), (300, "5"), (100, "8")),
            id="bedrock-global",
        ),
        pytest.param(
            "bedrock",
            "eu.anthropic.claude-opus-5-5",
            usage(1_000, 200, 3_000, 400, **hours(100, 300)),
            micro((1_000, "4.4"), (200, "22"), (3_000, "0.22"), (300, "5.5"), (100, "8.8")),
            id="bedrock-regional",
        ),
        pytest.param(
            "bedrock",
            "amazon.nova-pro-v1:0",
            usage(1_000, 200, 3_000),
            micro((1_000, "0.8"), (200, "3.2"), (3_000, "0.2")),
            id="bedrock-nova",
        ),
        # Foundry has Anthropic's prices.
        pytest.param(
            "foundry",
            "claude-sonnet-5-5",
            usage(1_000, 200, 3_000, 400, **hours(400)),
            micro((1_000, "2"), (200, "10"), (3_000, "0.1"), (400, "4")),
            id="foundry",
        ),
        # OpenAI: GPT-5.4 $2.50, $15, read $0.25; above 272k tokens $5, $22.50, $0.50.
        pytest.param(
            "openai",
            GPT,
            usage(1_000, 300, 50_000, **thought(200)),
            micro((1_000, "2.5"), (300, "15"), (50_000, "0.25")),
            id="openai",
        ),
        pytest.param(
            "openai",
            GPT,
            usage(272_000, 10),
            micro((272_000, "2.5"), (10, "15")),
            id="openai-at-272k-tokens",
        ),
        pytest.param(
            "openai",
            GPT,
            usage(2_001, 10, 270_000),
            micro((2_001, "5"), (10, "22.5"), (270_000, "0.5")),
            id="openai-above-272k-tokens",
        ),
        pytest.param(
            "openai",
            GPT,
            usage(1_000, 300, 50_000, service_tier="flex"),
            micro((1_000, "1.25"), (300, "7.5"), (50_000, "0.13")),
            id="openai-flex",
        ),
        pytest.param(
            "openai",
            GPT,
            usage(1_000, 300, 50_000, service_tier="priority"),
            micro((1_000, "5"), (300, "30"), (50_000, "0.5")),
            id="openai-priority",
        ),
        pytest.param(
            "openai",
            GPT,
            usage(1_000, 300, 50_000, service_tier="fast"),
            micro((1_000, "5"), (300, "30"), (50_000, "0.5")),
            id="openai-fast",
        ),
        pytest.param(
            "openai",
            GPT,
            usage(1_000, 300, 300_000, service_tier="batch"),
            micro((1_000, "2.5"), (300, "11.25"), (300_000, "0.25")),
            id="openai-batch-above-272k-tokens",
        ),
        pytest.param(
            "openai",
            GPT,
            usage(1_000, 1, **tools(web_search_requests=3, file_search_requests=2)),
            micro((1_000, "2.5"), (1, "15"), each(3, "0.01"), each(2, "0.0025")),
            id="openai-searches",
        ),
        pytest.param(
            "openai",
            "gpt-6-sol",
            usage(1_000, 10, 100, 5_000),
            micro((1_000, "2"), (10, "10"), (100, "0.2"), (5_000, "2.5")),
            id="openai-cache-writes",
        ),
        pytest.param(
            "azure_openai",
            "gpt-4.1",
            usage(1_000, 300, 50_000),
            micro((1_000, "2"), (300, "8"), (50_000, "0.5")),
            id="azure",
        ),
        # Google: Gemini 2.5 Pro $1.25, $10, read $0.125; above 200k tokens $2.50, $15, $0.25.
        pytest.param(
            "google",
            PRO,
            usage(1_000, 300, 50_000, **thought(250)),
            micro((1_000, "1.25"), (300, "10"), (50_000, "0.125")),
            id="gemini",
        ),
        pytest.param(
            "google",
            PRO,
            usage(1_000, 300, 200_000),
            micro((1_000, "2.5"), (300, "15"), (200_000, "0.25")),
            id="gemini-above-200k-tokens",
        ),
        pytest.param(
            "google",
            PRO,
            usage(1_000, 1, **tools(web_search_requests=5)),
            micro((1_000, "1.25"), (1, "10"), each(1, "0.035")),
            id="gemini-a-prompt-that-was-searched-for",
        ),
        pytest.param(
            "google",
            "gemini-3.1-pro-preview",
            usage(1_000, 1, **tools(web_search_requests=5)),
            micro((1_000, "2"), (1, "12"), each(5, "0.014")),
            id="gemini-3-each-search",
        ),
        pytest.param(
            "vertex",
            PRO,
            usage(1_000, 300),
            micro((1_000, "1.25"), (300, "10")),
            id="vertex-gemini",
        ),
        pytest.param(
            "vertex",
            OPUS,
            usage(1_000, 300, 10, 20, **tools(web_search_requests=1)),
            micro((1_000, "4"), (300, "20"), (10, "0.2"), (20, "5"), each(1, "0.01")),
            id="vertex-claude",
        ),
        # Others.
        pytest.param(
            "perplexity",
            "sonar-pro",
            usage(1_000, 300),
            micro((1_000, "3"), (300, "15"), each(1, "0.014")),
            id="perplexity-a-fee-for-each-request",
        ),
        pytest.param(
            "perplexity",
            "sonar-deep-research",
            usage(1_000, 5_000, **thought(4_000), **tools(web_search_requests=10)),
            micro((1_000, "2"), (1_000, "8"), (4_000, "3"), each(10, "0.005")),
            id="perplexity-thinking-has-a-price-of-its-own",
        ),
        pytest.param(
            "x-ai",
            "grok-4",
            usage(1_000, 300, 200),
            micro((1_000, "3"), (300, "15"), (200, "0.75")),
            id="xai",
        ),
        pytest.param(
            "deepseek",
            "deepseek-chat",
            usage(1_000, 300, 200),
            micro((1_000, "0.27"), (300, "1.1"), (200, "0.07")),
            id="deepseek",
        ),
        pytest.param(
            "zai",
            "glm-4.6",
            usage(1_000, 300, 200),
            micro((1_000, "0.6"), (300, "2.2"), (200, "0.11")),
            id="zai",
        ),
        pytest.param(
            "moonshotai",
            "kimi-k2-0905-preview",
            usage(1_000, 300, 200),
            micro((1_000, "0.6"), (300, "2.5"), (200, "0.15")),
            id="moonshot",
        ),
        pytest.param(
            "mistral",
            "mistral-large-2512",
            usage(1_000, 300, 200),
            micro((1_000, "0.5"), (300, "1.5"), (200, "0.05")),
            id="mistral",
        ),
        pytest.param(
            "groq",
            "openai/gpt-oss-120b",
            usage(1_000, 300, 200),
            micro((1_000, "0.15"), (300, "0.6"), (200, "0.075")),
            id="groq-by-its-whole-name",
        ),
        pytest.param(
            "openrouter",
            "z-ai/glm-4.6",
            usage(1_000, 300),
            micro((1_000, "0.6"), (300, "2.2")),
            id="openrouter",
        ),
    ],
)  # fmt: skip
def test_an_answer_costs_what_the_list_says(
    provider: str, model: str, used: Usage, expected: int
) -> None:
    known = tariff(provider, model, day=DAY)
    assert known is not None

    assert expected == cost(known, used)
    assert expected == bill(known, used).total
    assert json.loads(itemised(known, used)) == bill(known, used).as_json()


def test_a_location_on_google_cloud_costs_a_tenth_more() -> None:
    known = tariff("vertex", OPUS, regional=True, day=DAY)
    assert known is not None
    used = usage(1_001, 300, 10, 20, **hours(20))

    expected = micro((1_001, "4.4"), (300, "22"), (10, "0.22"), (20, "8.8"))
    assert expected == cost(known, used)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        pytest.param(usage(1_000, 100), 0, id="no-cache"),
        pytest.param(usage(10, 10, 100_000), micro((100_000, "3.8")), id="read"),
        pytest.param(usage(10, 10, 0, 1_000), -1_000, id="written"),  # at $5, not $4
        pytest.param(usage(10, 10, 0, 1_000, **hours(1_000)), -4_000, id="for-an-hour"),  # at $8
        pytest.param(usage(10, 10, 1_000, 1_000), 2_800, id="both"),
        pytest.param(usage(10, 10, 1_000, speed="fast"), 7_600, id="fast"),
        pytest.param(usage(10, 10, 1_000, inference_geo="us"), 4_180, id="in-the-us"),
        pytest.param(
            usage(
                iterations=[
                    {"type": "compaction", "cache_read_input_tokens": 1_000},
                    {"type": "message", "cache_creation_input_tokens": 1_000},
                ]
            ),
            2_800,
            id="samplings",
        ),
        pytest.param(usage(0, 0, 0, 1), -1, id="a-micro-dollar"),
    ],
)
def test_what_caching_saved(used: Usage, expected: int) -> None:
    known = tariff("anthropic", OPUS, day=DAY)
    assert known is not None

    assert expected == saved(known, used)


def test_a_bill_says_how_it_comes_about() -> None:
    known = tariff("anthropic", OPUS, day=DAY)
    assert known is not None
    used = usage(100, 50, 2_000, speed="fast", **thought(20), **tools(web_search_requests=1))
    found = json.loads(json.dumps(bill(known, used).as_json()))

    fast = {"model": OPUS, "why": "fast rates"}
    assert {
        "total": 13_600,
        "source": "genai-prices 0.2.3",
        "as_of": "2026-11-23",
        "notes": [],
        "lines": [
            {"kind": "input", "count": 100, "rate": 8.0, "amount": 800.0, **fast},
            {"kind": "cache_read", "count": 2_000, "rate": 0.4, "amount": 800.0, **fast},
            {"kind": "thinking", "count": 20, "rate": 40.0, "amount": 800.0, **fast},
            {"kind": "output", "count": 30, "rate": 40.0, "amount": 1_200.0, **fast},
            {"kind": "web_search", "count": 1, "rate": 10_000.0, "amount": 10_000.0},
        ],
    } == found


@pytest.mark.parametrize(
    ("provider", "model", "used", "note"),
    [
        pytest.param(
            "anthropic",
            OPUS,
            usage(1, service_tier="priority"),
            "no price of its own is known for priority: counted at the standard rates",
            id="mode",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(iterations=[{"type": "advisor_message", "model": "who", "input_tokens": 1}]),
            f"the price of who is not known: counted as {OPUS}",
            id="advisor",
        ),
        pytest.param(
            "deepseek",
            "deepseek-chat",
            usage(1, **tools(web_search_requests=2)),
            "the fee for 2 searches of the web is not known: left out",
            id="searches",
        ),
        pytest.param(
            "anthropic",
            OPUS,
            usage(1, **tools(code_execution_requests=2)),
            "code is charged by the hours of its container, which no usage tells: left out",
            id="code",
        ),
    ],
)
def test_what_a_bill_cannot_tell_is_noted(
    provider: str, model: str, used: Usage, note: str
) -> None:
    known = tariff(provider, model, day=DAY)
    assert known is not None

    assert (note,) == bill(known, used).notes


def test_samplings_of_the_same_rates_are_one_line() -> None:
    known = tariff("anthropic", OPUS, day=DAY)
    assert known is not None
    turns = [{"type": "message", "input_tokens": 10}, {"type": "compaction", "input_tokens": 5}]
    lines = bill(known, usage(iterations=turns * 1_000)).lines

    assert [("", 10_000), ("compaction", 5_000)] == [(line.why, line.count) for line in lines]


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param({"speed": ["fast"], "service_tier": {"a": 1}}, id="modes"),
        pytest.param({"iterations": [1, None, []]}, id="samplings"),
        pytest.param({"iterations": {"type": "message"}}, id="no-list"),
        pytest.param({"server_tool_use": {"web_search_requests": "many"}}, id="searches"),
        pytest.param({"output_tokens_details": [3], "cache_creation": 4}, id="details"),
    ],
)
def test_nonsense_of_an_upstream_costs_nothing(nonsense: dict[str, Any]) -> None:
    known = tariff("anthropic", OPUS, day=DAY)
    assert known is not None

    assert (
        4_000
        == cost(known, usage(1_000, **nonsense))
        == bill(known, usage(1_000, **nonsense)).total
    )


@pytest.mark.parametrize(
    ("factor", "own", "expected", "source"),
    [
        pytest.param(
            0.85,
            None,
            micro((1_000, "4", "0.85"), (100, "20", "0.85"), each(1, "0.0085")),
            "genai-prices 0.2.3, times 0.85",
            id="of-all-list-prices",
        ),
        pytest.param(
            0.85,
            Price(factor=0.5),
            micro((1_000, "2"), (100, "10"), each(1, "0.005")),
            "genai-prices 0.2.3, times 0.5",
            id="the-deployment's-own-in-its-place",
        ),
        pytest.param(
            0.5,
            Price(input=3e-6, web_search=0.02),
            micro((1_000, "3"), (100, "10"), each(1, "0.02")),
            "config and genai-prices 0.2.3, times 0.5",
            id="not-of-one's-own-prices",
        ),
        pytest.param(1, Price(factor=0), 0, "genai-prices 0.2.3, times 0", id="free"),
    ],
)  # fmt: skip
def test_a_factor_is_one_of_list_prices(
    factor: float, own: Price | None, expected: int, source: str
) -> None:
    known = tariff("anthropic", OPUS, own, day=DAY, factor=factor)
    assert known is not None

    used = usage(1_000, 100, **tools(web_search_requests=1))
    assert (expected, source) == (cost(known, used), known.source)


def test_a_factor_holds_for_an_advisor_as_well() -> None:
    known = tariff("anthropic", OPUS, day=DAY, factor=0.5)
    assert known is not None
    advisor = {"type": "advisor_message", "model": "claude-fable-5-2", "input_tokens": 1_000}

    assert 4_000 == cost(known, usage(iterations=[advisor]))


@pytest.mark.parametrize(
    ("own", "used", "expected"),
    [
        pytest.param(
            Price(input=1e-6, output=2e-6, tiers=(PriceTier(above=128_000, input=3e-6),)),
            usage(128_000, 10),
            micro((128_000, "1"), (10, "2")),
            id="up-to-a-tier",
        ),
        pytest.param(
            Price(input=1e-6, output=2e-6, tiers=(PriceTier(above=128_000, input=3e-6),)),
            usage(128_001, 10),
            micro((128_001, "3"), (10, "2")),
            id="above-a-tier",
        ),
        pytest.param(
            Price(
                input=1e-6,
                output=2e-6,
                tiers=(PriceTier(above=10, input=3e-6), PriceTier(above=20, output=9e-6)),
            ),
            usage(21, 10),
            micro((21, "3"), (10, "9")),
            id="a-tier-begins-with-the-one-below",
        ),
        pytest.param(
            Price(input=1e-6, output=2e-6, modes={"flex": OwnRates(input=5e-7)}),
            usage(1_000, 10, service_tier="flex"),
            micro((1_000, "0.5"), (10, "2")),
            id="mode",
        ),
        pytest.param(
            Price(input=1e-6, output=2e-6, thinking=4e-6),
            usage(1_000, 10, **thought(4)),
            micro((1_000, "1"), (6, "2"), (4, "4")),
            id="thinking",
        ),
        pytest.param(
            Price(input=1e-6, output=2e-6, request=0.003),
            usage(1_000, 10),
            micro((1_000, "1"), (10, "2"), each(1, "0.003")),
            id="request",
        ),
        pytest.param(
            Price(input=1e-6, output=2e-6),
            usage(1_000, 10, speed="fast"),
            micro((1_000, "2"), (10, "4")),
            id="a-mode-without-a-price-by-the-rule",
        ),
    ],
)
def test_prices_of_one_s_own(own: Price, used: Usage, expected: int) -> None:
    known = tariff("openai_compatible", "ours", own, day=DAY)
    assert known is not None

    assert (expected, "config", None) == (cost(known, used), known.source, known.as_of)


def test_a_mode_of_a_price_of_one_s_own_is_as_much_dearer_as_the_list_s() -> None:
    known = tariff("openai", GPT, Price(input=1e-6), day=DAY)
    assert known is not None
    used = usage(1_000, 10, service_tier="priority")

    # The list's priority input is twice its standard one, and its output $30.
    assert micro((1_000, "2"), (10, "30")) == cost(known, used)


counts = st.integers(0, 2_000_000)
rates = st.decimals(0, 1_000, places=6).map(float)


@given(
    st.tuples(counts, counts, counts, counts),
    counts,
    st.tuples(rates, rates, rates, rates, rates),
    st.sampled_from([{}, {"service_tier": "standard"}, {"iterations": [{"type": "message"}]}]),
)
def test_the_short_way_and_the_bill_come_to_the_same(
    tokens: tuple[int, int, int, int],
    hour: int,
    prices: tuple[float, float, float, float, float],
    more: dict[str, Any],
) -> None:
    listing = Listing("anthropic", regional=False, day=DAY)
    known = Tariff("config", ((0, Rates(*prices)), (200_000, Rates(*prices).times("2"))), listing)
    used = usage(*tokens, **more, **hours(hour))
    found = bill(known, used)

    assert cost(known, used) == found.total
    assert json.loads(itemised(known, used)) == found.as_json()
    # The long way: by a sampling that is not the usual one.
    apart = usage(*tokens, **hours(hour), iterations=[{"type": "compaction", **used.data}])
    assert saved(known, used) == saved(known, apart)
    assert found.total == math.floor(
        sum(map(Fraction, (x.amount for x in found.lines)), Fraction(1, 2))
    )
