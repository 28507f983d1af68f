"""What either dialect says of prices, and what is said of a price that is none."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.config import Config, load_dict
from llmroute.config.model import OwnRates, Price, PriceTier
from llmroute.errors import ConfigError


def native(price: Any, **deployment: Any) -> Config:
    block = {"provider": "anthropic", "api_key": "k", "price": price, **deployment}
    return load_dict({"deployments": {"a": block}, "aliases": {"*": "a"}}, {})


def litellm(
    info: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **params: Any
) -> Config:
    given = {"model": "anthropic/claude-x", "api_key": "k", **params}
    item = {"model_name": "a", "litellm_params": given, "model_info": info or {}}
    return load_dict({"model_list": [item], "litellm_settings": settings or {}}, {})


def problems(load: Any, *args: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(*args, **more)
    return [(problem.path, problem.text) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param(
            {
                "input": 3,
                "output": "15",
                "cache_read": 0.3,
                "cache_write": 3.75,
                "cache_write_1h": 6,
                "thinking": 0.1,
            },
            Price(
                input=3e-6,
                output=1.5e-5,
                cache_read=3e-7,
                cache_write=3.75e-6,
                cache_write_1h=6e-6,
                thinking=1e-7,
            ),
            id="every-kind-by-the-token-without-binary-rounding",
        ),
        pytest.param({"base_model": "claude-opus-5"}, Price(base_model="claude-opus-5"), id="base"),
        pytest.param({"factor": 0.9}, Price(factor=0.9), id="factor"),
        pytest.param(
            {"web_search": 0.01, "request": 0.005}, Price(web_search=0.01, request=0.005), id="each"
        ),
        pytest.param(
            {"tiers": [{"above": 200_000, "input": 6}, {"above": 1_000, "output": 2}]},
            Price(
                tiers=(PriceTier(above=1_000, output=2e-6), PriceTier(above=200_000, input=6e-6))
            ),
            id="tiers-in-their-order",
        ),
        pytest.param(
            {"flex": {"input": 1}, "batch": {}},
            Price(modes={"flex": OwnRates(input=1e-6)}),
            id="modes",
        ),
        pytest.param({"input": 0, "output": 0}, Price(input=0, output=0), id="free"),
    ],
)
def test_a_price_of_the_native_dialect(price: dict[str, Any], expected: Price) -> None:
    assert {"a": expected} == native(price).prices


def test_no_price_is_none() -> None:
    assert {} == native(None).prices
    assert {} == native({}).prices


def test_every_key_of_a_deployment_has_its_price() -> None:
    block = {"provider": "anthropic", "api_keys": ["k", "l"], "price": {"input": 1, "output": 2}}
    config = load_dict({"deployments": {"a": block}, "aliases": {"*": "a"}}, {})

    assert ["a#1", "a#2"] == list(config.prices)


@pytest.mark.parametrize(
    ("price", "path", "text"),
    [
        pytest.param(3, "", "must be a mapping (name: value)", id="number"),
        pytest.param({"input": -1}, ".input", "must be 0 or more", id="negative"),
        pytest.param({"input": "dear"}, ".input", "must be a number", id="word"),
        pytest.param(
            {"inputs": 1}, ".inputs", "unknown setting (did you mean 'input'?)", id="unknown"
        ),
        pytest.param({"tiers": 3}, ".tiers", "must be a list", id="no-list"),
        pytest.param(
            {"tiers": [{"input": 1}]}, ".tiers[0].above", "required, and not given", id="no-length"
        ),
        pytest.param({"flex": {"above": 1}}, ".flex.above", "unknown setting", id="in-a-mode"),
        pytest.param({"input": float("nan")}, ".input", "must be a finite number", id="nan"),
    ],
)
def test_a_price_that_is_none(price: Any, path: str, text: str) -> None:
    assert [(f"deployments.a.price{path}", text)] == problems(native, price)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            {
                "input_cost_per_token": 1e-6,
                "output_cost_per_token": 5e-6,
                "cache_read_input_token_cost": 1e-7,
                "cache_creation_input_token_cost": 1.25e-6,
                "cache_creation_input_token_cost_above_1hr": 2e-6,
                "output_cost_per_reasoning_token": 7e-6,
            },
            Price(
                input=1e-6,
                output=5e-6,
                cache_read=1e-7,
                cache_write=1.25e-6,
                cache_write_1h=2e-6,
                thinking=7e-6,
            ),
            id="every-kind",
        ),
        pytest.param(
            {
                "input_cost_per_token_above_200k_tokens": 2e-6,
                "output_cost_per_token_above_200k_tokens": 6e-6,
                "cache_read_input_token_cost_above_200k_tokens": 2e-7,
                "cache_creation_input_token_cost_above_200k_tokens": 3e-6,
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 4e-6,
                "input_cost_per_token_above_128k_tokens": 1.5e-6,
                "input_cost_per_token_above_272k_tokens": 9e-6,
            },
            Price(
                tiers=(
                    PriceTier(above=128_000, input=1.5e-6),
                    PriceTier(
                        above=200_000,
                        input=2e-6,
                        output=6e-6,
                        cache_read=2e-7,
                        cache_write=3e-6,
                        cache_write_1h=4e-6,
                    ),
                    PriceTier(above=272_000, input=9e-6),
                )
            ),
            id="tiers",
        ),
        pytest.param(
            {
                "input_cost_per_token_batches": 1e-6,
                "output_cost_per_token_flex": 2e-6,
                "cache_read_input_token_cost_priority": 3e-6,
            },
            Price(
                modes={
                    "batch": OwnRates(input=1e-6),
                    "flex": OwnRates(output=2e-6),
                    "priority": OwnRates(cache_read=3e-6),
                }
            ),
            id="modes",
        ),
        pytest.param(
            {
                "tiered_pricing": [
                    {"range": [0, 32_000], "input_cost_per_token": 1e-6},
                    {"range": [32_000, 128_000], "input_cost_per_token": "2e-6"},
                ]
            },
            Price(input=1e-6, tiers=(PriceTier(above=32_000, input=2e-6),)),
            id="tiered-pricing",
        ),
        pytest.param(
            {
                "input_cost_per_request": 0.01,
                "search_context_cost_per_query": {
                    "search_context_size_low": 0.03,
                    "search_context_size_medium": 0.035,
                },
            },
            Price(request=0.01, web_search=0.035),
            id="pieces",
        ),
        pytest.param({"input_cost_per_token": "3e-6"}, Price(input=3e-6), id="as-yaml-reads-3e-6"),
        pytest.param({"input_cost_per_token_flex": None}, None, id="null"),
    ],
)
@pytest.mark.parametrize("place", ["litellm_params", "model_info"])
def test_prices_of_a_litellm_file(
    place: str, given: dict[str, Any], expected: Price | None
) -> None:
    config = litellm(given) if place == "model_info" else litellm(**given)

    assert ({} if expected is None else {"a": expected}) == config.prices
    assert () == config.warnings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"cost_discount_config": {"anthropic": 0.05}},
            Price(input=9.5e-7, factor=0.95),
            id="off",
        ),
        pytest.param({"cost_discount_config": {"openai": 0.05}}, Price(input=1e-6), id="another's"),
        pytest.param(
            {"cost_margin_config": {"anthropic": 0.1, "global": 0.5}},
            Price(input=1.1e-6, factor=1.1),
            id="on-top",
        ),
        pytest.param(
            {"cost_margin_config": {"global": {"percentage": 0.5, "fixed_amount": 0.001}}},
            Price(input=1.5e-6, request=0.001, factor=1.5),
            id="for-all-and-a-request",
        ),
        pytest.param(
            {"cost_discount_config": {"anthropic": 0.5}, "cost_margin_config": {"global": 0.1}},
            Price(input=5.5e-7, factor=0.55),
            id="both",
        ),
    ],
)
def test_terms_of_a_litellm_file(settings: dict[str, Any], expected: Price) -> None:
    config = litellm(settings=settings, input_cost_per_token=1e-6)

    assert ({"a": expected}, ()) == (config.prices, config.warnings)


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        pytest.param(
            {"input_cost_per_token_flex": -1},
            "input_cost_per_token_flex",
            "must be 0 or more",
            id="-",
        ),
        pytest.param(
            {"input_cost_per_token_flex": True},
            "input_cost_per_token_flex",
            "must be a number",
            id="true",
        ),
        pytest.param(
            {"input_cost_per_token_flex": "inf"},
            "input_cost_per_token_flex",
            "must be a finite number",
            id="endless",
        ),
        pytest.param({"tiered_pricing": 1}, "tiered_pricing", "must be a list", id="no-list"),
        pytest.param(
            {"tiered_pricing": [{"input_cost_per_token": 1}]},
            "tiered_pricing[0].range",
            "must be two lengths, [0, 128000] say",
            id="no-range",
        ),
    ],
)
def test_a_price_of_a_litellm_file_that_is_none(
    given: dict[str, Any], path: str, text: str
) -> None:
    assert [(f"model_list[0].litellm_params.{path}", text)] == problems(litellm, **given)


@pytest.mark.parametrize(
    ("settings", "path", "text"),
    [
        pytest.param(
            {"cost_discount_config": {"anthropic": 5}},
            "cost_discount_config.anthropic",
            "must be a share from 0 to 1: 0.05 for 5 % off",
            id="percent",
        ),
        pytest.param(
            {"cost_margin_config": {"global": "much"}},
            "cost_margin_config.global",
            "must be a number",
            id="word",
        ),
        pytest.param(
            {"cost_margin_config": {"global": {"percentage": -1}}},
            "cost_margin_config.global.percentage",
            "must be 0 or more",
            id="negative",
        ),
    ],
)
def test_terms_that_are_none(settings: dict[str, Any], path: str, text: str) -> None:
    assert [(f"litellm_settings.{path}", text)] == problems(litellm, settings=settings)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, id=name) for name in ("input_cost_per_second", "input_cost_per_image")],
)
def test_a_price_by_what_no_answer_tells_is_refused_with_words(name: str) -> None:
    config = litellm(**{name: 0.1})

    (warning,) = config.warnings
    assert {} == config.prices
    assert "an answer does not tell what this is a price of" in warning.text
