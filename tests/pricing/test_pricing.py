"""Usage to micro-dollars, with and without the price list of genai-prices."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

import anyio
import pytest
from genai_prices.data import providers
from genai_prices.data_snapshot import get_snapshot

from llmroute.config.model import Price
from llmroute.messages.catalog import CLAUDE
from llmroute.messages.usage import Usage
from llmroute.pricing import Rates, cost, load, tariff
from llmroute.pricing._genai import package
from llmroute.pricing.listed import listed

TABLE = "llmroute's table of 2026-11-23"
PACKAGE = "genai-prices 0.2.3"

# What the package knows under no spelling, or for one platform only with the model's date.
UNKNOWN_TO_PACKAGE = {"claude-mythos-5", "claude-mythos-5-1"}
BY_DATE_ON_BEDROCK = {"claude-haiku-4-5": "-20251001-v1:0", "claude-sonnet-4-5": "-20250929-v1:0"}


@pytest.fixture(autouse=True)
def _nothing_remembered():
    yield
    forget()


def forget():
    listed.cache_clear()
    package.cache_clear()


def take_away(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "genai_prices"]:
        monkeypatch.delitem(sys.modules, name)
    # What Python itself does for a module that must not be imported.
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    forget()


@pytest.fixture
def _without_package(monkeypatch):
    take_away(monkeypatch)


@pytest.fixture(params=["with-package", "without-package"])
def _either_way(request, monkeypatch):
    if request.param == "without-package":
        take_away(monkeypatch)


def usage(plain=0, output=0, read=0, written=0, **more):
    return Usage.of(
        {
            "input_tokens": plain,
            "output_tokens": output,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            **more,
        }
    )


def lifetimes(short, long):
    return {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize(
    ("provider", "model", "used", "expected"),
    [
        pytest.param(
            "anthropic",
            "claude-opus-5-5",
            usage(1_000, 500),
            14_000,  # 1000 x 4 + 500 x 20
            id="input-and-output",
        ),
        pytest.param(
            "anthropic",
            "claude-opus-5-5",
            usage(10, 100, read=200_000, written=3_000),
            57_040,  # 10 x 4 + 100 x 20 + 200000 x 0.2 + 3000 x 4 x 1.25
            id="cache",
        ),
        pytest.param(
            "anthropic",
            "claude-sonnet-4-5",
            usage(1_000, 100, read=2_000, written=800, cache_creation=lifetimes(500, 300)),
            8_775,  # 1000 x 3 + 100 x 15 + 2000 x 0.3 + 500 x 3.75 + 300 x 6
            id="cache-by-lifetime",
        ),
        pytest.param(
            "anthropic",
            "claude-opus-5",
            usage(written=100, cache_creation=lifetimes(0, 10**30)),
            625,  # 100 x 6.25: a lifetime's figure that cannot be is none
            id="absurd-lifetime",
        ),
        pytest.param(
            "anthropic",
            "claude-opus-5",
            usage(written=100, cache_creation=lifetimes(0, 500)),
            1_000,  # 100 x 10: never more than was written
            id="lifetime-above-total",
        ),
        pytest.param(
            "anthropic",
            "claude-haiku-5-5",
            usage(1_000, 1_000, read=98_000, written=1_000),
            1_705,  # 100000 in all: 1000 x 0.1 + 1000 x 0.5 + 98000 x 0.01 + 1000 x 0.125
            id="up-to-a-tier",
        ),
        pytest.param(
            "anthropic",
            "claude-haiku-5-5",
            usage(1_001, 1_000, read=98_000, written=1_000),
            8_526,  # 1001 x 0.5 + 1000 x 2.5 + 98000 x 0.05 + 1000 x 0.625 = 8525.5
            id="above-a-tier",
        ),
        pytest.param(
            "anthropic",
            "claude-haiku-5-5",
            usage(4),
            0,  # 0.4
            id="rounded-down",
        ),
        pytest.param(
            "anthropic",
            "claude-haiku-5-5",
            usage(3, read=20),
            1,  # 3 x 0.1 + 20 x 0.01 = 0.5, where floats have a little less or more
            id="half-rounded-up",
        ),
        pytest.param("anthropic", "claude-opus-5", usage(), 0, id="nothing-used"),
        pytest.param(
            "bedrock",
            "us.anthropic.claude-opus-5-5",
            usage(1_000, 500, read=10_000),
            17_600,  # (1000 x 4 + 500 x 20 + 10000 x 0.2) x 1.1
            id="bedrock-regional",
        ),
        pytest.param(
            "bedrock",
            "global.anthropic.claude-opus-5-5",
            usage(1_000, 500, read=10_000),
            16_000,  # 1000 x 4 + 500 x 20 + 10000 x 0.2
            id="bedrock-global",
        ),
        pytest.param(
            "bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            usage(1_000),
            1_100,  # 1000 x 1 x 1.1
            id="bedrock-arn",
        ),
        pytest.param(
            "vertex",
            "claude-opus-4-5@20251101",
            usage(1_000, 100),
            7_500,  # 1000 x 5 + 100 x 25
            id="vertex",
        ),
        pytest.param("foundry", "claude-sonnet-5-5", usage(1_000), 2_000, id="foundry"),
        pytest.param(
            "anthropic",
            "claude-opus-5-5",
            usage(1_000, 500, speed="fast"),
            28_000,  # (1000 x 4 + 500 x 20) x 2
            id="fast",
        ),
        pytest.param(
            "anthropic",
            "claude-opus-5-5",
            usage(1_000, 500, inference_geo="us"),
            15_400,  # (1000 x 4 + 500 x 20) x 1.1
            id="in-the-us",
        ),
        pytest.param(
            "bedrock",
            "us.anthropic.claude-opus-5-5",
            usage(1_000, inference_geo="us"),
            4_400,  # 1000 x 4.4: the id has it already
            id="in-the-us-by-profile",
        ),
        pytest.param(
            "anthropic",
            "claude-opus-5-5",
            usage(1_000, speed="fast", server_tool_use={"web_search_requests": 3}),
            38_000,  # 1000 x 4 x 2 + 3 x 10000
            id="searches",
        ),
        pytest.param(
            "anthropic",
            "claude-opus-5-5",
            usage(1_000, server_tool_use=["web_search_requests"], cache_creation=7, iterations="x"),
            4_000,
            id="nonsense-is-nothing",
        ),
    ],
)
def test_what_an_answer_costs(provider, model, used, expected):
    assert expected == cost(tariff(provider, model), used)


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize(
    ("iterations", "expected"),
    [
        pytest.param(
            [
                {"type": "message", "input_tokens": 600, "output_tokens": 10},
                {"type": "message", "input_tokens": 400, "output_tokens": 10},
            ],
            4_400,  # 1000 x 4 + 20 x 20, the usage's own figures
            id="messages-only",
        ),
        pytest.param(
            [
                {"type": "compaction", "input_tokens": 100_000, "output_tokens": 1_000},
                {"type": "message", "input_tokens": 1_000, "output_tokens": 20},
            ],
            424_400,  # 100000 x 4 + 1000 x 20 + 1000 x 4 + 20 x 20
            id="compaction",
        ),
        pytest.param(
            [
                {"type": "message", "input_tokens": 1_000, "model": "claude-opus-5-5"},
                {"type": "advisor_message", "input_tokens": 1_000, "model": "claude-fable-5-2"},
            ],
            12_000,  # 1000 x 4 + 1000 x 8
            id="advisor-by-its-own-price",
        ),
        pytest.param(
            [{"type": "fallback_message", "input_tokens": 1_000, "model": "nobody-knows"}],
            4_000,
            id="unknown-fallback-by-the-deployment's-price",
        ),
        pytest.param(
            [{"type": "compaction", "cache_creation_input_tokens": 1_000}],
            8_000,  # 1000 x 8: the usage says that what was written lives an hour
            id="lifetime-from-the-whole",
        ),
        pytest.param(
            [
                {
                    "type": "compaction",
                    "cache_creation_input_tokens": 1_000,
                    "cache_creation": lifetimes(1_000, 0),
                }
            ],
            5_000,  # 1000 x 5
            id="lifetime-of-its-own",
        ),
    ],
)
def test_samplings_are_charged_each(iterations, expected):
    used = usage(1_000, 20, iterations=iterations, cache_creation=lifetimes(0, 1_000))

    assert expected == cost(tariff("anthropic", "claude-opus-5-5"), used)


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize(
    ("provider", "model"),
    [
        pytest.param("anthropic", "qwen3-coder", id="local-model"),
        pytest.param("anthropic", "claude-opus-7", id="model-of-the-future"),
        pytest.param("anthropic", "", id="no-name"),
        pytest.param("foundry", "our-best", id="name-of-one's-own"),
        pytest.param(
            "bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
            id="application-profile",
        ),
        pytest.param("bedrock", "us-gov.anthropic.claude-opus-4-8", id="government"),
        pytest.param("vertex", "gemini-embedding-001", id="model-that-answers-nothing"),
        pytest.param("nobody", "some-model", id="unknown-provider"),
    ],
)
def test_what_nobody_knows_is_none(provider, model):
    assert None is tariff(provider, model)


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("name", CLAUDE)
@pytest.mark.parametrize(
    ("provider", "prefix", "factor"),
    [
        pytest.param("anthropic", "", "1", id="anthropic"),
        pytest.param("bedrock", "global.anthropic.", "1", id="bedrock-global"),
        pytest.param("bedrock", "eu.anthropic.", "1.1", id="bedrock-eu"),
        pytest.param("bedrock", "anthropic.", "1.1", id="bedrock-one-region"),
        pytest.param("vertex", "", "1", id="vertex"),
        pytest.param("foundry", "", "1", id="foundry"),
    ],
)
def test_every_model_of_the_catalog_has_a_price(name, provider, prefix, factor):
    rates = tariff(provider, prefix + name).at(0)

    assert tariff("anthropic", name).at(0).times(factor) == rates
    assert 0 < rates.cache_read < rates.input < rates.cache_write < rates.cache_write_1h


@pytest.mark.parametrize("name", sorted(CLAUDE.keys() - UNKNOWN_TO_PACKAGE))
@pytest.mark.parametrize(
    ("provider", "prefix"),
    [
        pytest.param("anthropic", "", id="anthropic"),
        pytest.param("bedrock", "global.anthropic.", id="bedrock-global"),
        pytest.param("bedrock", "us.anthropic.", id="bedrock-us"),
        pytest.param("vertex", "", id="vertex"),
        pytest.param("foundry", "", id="foundry"),
    ],
)
def test_both_lists_agree(name, provider, prefix, monkeypatch):
    model = prefix + name + (BY_DATE_ON_BEDROCK.get(name, "") if prefix else "")
    theirs = tariff(provider, model)
    take_away(monkeypatch)
    ours = tariff(provider, model)

    assert (PACKAGE, TABLE) == (theirs.source, ours.source)
    # The table has no prices for prompts that no longer fit into the model's window.
    for prompt in (0, 100_000, 100_001, CLAUDE[name].max_input_tokens):
        assert theirs.at(prompt) == ours.at(prompt)


@pytest.mark.parametrize("name", sorted(UNKNOWN_TO_PACKAGE))
def test_the_table_fills_the_package_s_gaps(name):
    assert TABLE == tariff("anthropic", name).source


def test_the_factors_of_the_bill_are_those_of_the_package():
    today = datetime(2026, 11, 23, tzinfo=UTC)
    (anthropic,) = (entry for entry in providers if entry.id == "anthropic")
    models = [model for model in anthropic.models if model.id in CLAUDE]
    standard = {model.id: model.get_prices(today) for model in models}
    fast = {model.id: model.get_prices(today, {"speed": "fast"}) for model in models}
    factors = {
        name: fast[name].output_mtok / price.output_mtok
        for name, price in standard.items()
        if isinstance(price.output_mtok, Decimal)
    }

    assert 2 == factors["claude-opus-5-5"]
    assert {1, 2} == set(factors.values())  # not every model has a fast mode
    assert {10} == {price.web_searches_kcount for price in standard.values()}  # dollars a thousand


def test_a_price_that_changes_is_that_of_the_day():
    before = tariff("anthropic", "claude-opus-4-6", day=date(2026, 3, 12))
    after = tariff("anthropic", "claude-opus-4-6", day=date(2026, 3, 13))

    assert [(0, 5.0), (200_000, 10.0)] == [(above, rates.input) for above, rates in before.tiers]
    assert [(0, 5.0)] == [(above, rates.input) for above, rates in after.tiers]


def test_a_model_without_a_cache_price_in_the_list_gets_one_that_is_not_too_low():
    known = tariff("bedrock", "anthropic.claude-3-opus-20240229-v1:0")

    assert Rates(15.0, 75.0, 15.0, 18.75, 30.0) == known.at(0)


@pytest.mark.usefixtures("_either_way")
def test_a_location_on_google_cloud_costs_more_than_the_global_endpoint():
    known = tariff("vertex", "claude-haiku-5-5", regional=True)

    assert [
        (0, Rates(0.11, 0.55, 0.011, 0.1375, 0.22)),
        (100_000, Rates(0.55, 2.75, 0.055, 0.6875, 1.1)),
    ] == list(known.tiers)


def test_a_location_on_google_cloud_costs_no_more_for_an_older_model():
    everywhere = tariff("vertex", "claude-3-5-haiku@20241022")
    here = tariff("vertex", "claude-3-5-haiku@20241022", regional=True)

    assert everywhere.at(0) == here.at(0)


class Given(NamedTuple):
    """The least that can stand for the configuration's price."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    base_model: str | None = None
    thinking: float | None = None
    tiers: tuple[()] = ()
    modes: Mapping[str, object] = MappingProxyType({})
    web_search: float | None = None
    request: float | None = None
    factor: float | None = None


@pytest.mark.usefixtures("_without_package")
@pytest.mark.parametrize("kind", [Price, Given])
@pytest.mark.parametrize(
    ("model", "given", "source", "tiers"),
    [
        pytest.param(
            "ours",
            {
                "input": 3e-6,
                "output": 1.5e-5,
                "cache_read": 3e-7,
                "cache_write": 3.75e-6,
                "cache_write_1h": 6e-6,
            },
            "config",
            [(0, Rates(3.0, 15.0, 0.3, 3.75, 6.0))],
            id="whole",
        ),
        pytest.param(
            "claude-opus-5",
            {
                "input": 1e-6,
                "output": 2e-6,
                "cache_read": 3e-6,
                "cache_write": 4e-6,
                "cache_write_1h": 5e-6,
            },
            "config",
            [(0, Rates(1.0, 2.0, 3.0, 4.0, 5.0))],
            id="whole-for-a-listed-model",
        ),
        pytest.param(
            "ours",
            {"input": 3.3e-6, "output": 1.65e-5},
            "config",
            [(0, Rates(3.3, 16.5, 3.3, 4.125, 6.6))],
            id="cache-not-too-low",
        ),
        pytest.param(
            "ours",
            {"input": 0, "output": 0},
            "config",
            [(0, Rates(0, 0, 0, 0, 0))],
            id="free",
        ),
        pytest.param(
            "claude-opus-5",
            {"output": 2e-5},
            f"config and {TABLE}",
            [(0, Rates(5, 20.0, 0.5, 6.25, 10))],
            id="the-rest-from-the-list",
        ),
        pytest.param(
            "claude-haiku-5-5",
            {"output": 1e-6},
            f"config and {TABLE}",
            [(0, Rates(0.1, 1.0, 0.01, 0.125, 0.2)), (100_000, Rates(0.5, 1.0, 0.05, 0.625, 1))],
            id="in-every-tier",
        ),
        pytest.param(
            "our-best",
            {"base_model": "claude-opus-5-5"},
            TABLE,
            [(0, Rates(4, 20, 0.2, 5, 8))],
            id="base-model",
        ),
        pytest.param(
            "our-best",
            {"base_model": "anthropic/claude-opus-5-5", "input": 3e-6},
            f"config and {TABLE}",
            [(0, Rates(3.0, 20, 0.2, 5, 8))],
            id="base-model-for-the-rest",
        ),
        pytest.param(
            "claude-opus-5", {}, TABLE, [(0, Rates(5, 25, 0.5, 6.25, 10))], id="says-nothing"
        ),
    ],
)
def test_the_configuration_comes_first(kind, model, given, source, tiers):
    known = tariff("anthropic", model, kind(**given))

    assert (source, tiers) == (known.source, list(known.tiers))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"input": 1e-6}, id="no-output"),
        pytest.param({"output": 1e-6}, id="no-input"),
        pytest.param({"cache_read": 1e-6, "cache_write": 1e-6}, id="cache-only"),
        pytest.param({"base_model": "nobody-knows"}, id="unknown-base-model"),
    ],
)
def test_a_part_of_a_price_is_no_price(given):
    assert None is tariff("anthropic", "ours", Given(**given))


def test_the_package_is_not_imported_before_a_price_is_asked_for():
    # A process of its own, for another test may have imported it here.
    code = "import sys, llmroute, llmroute.pricing; print('genai_prices' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert "False" == done.stdout.strip()


def test_asking_does_not_start_the_package_s_own_updates():
    before = set(threading.enumerate())

    assert PACKAGE == tariff("anthropic", "claude-opus-5").source
    assert before == set(threading.enumerate())
    assert not get_snapshot().from_auto_update


@pytest.mark.anyio
@pytest.mark.usefixtures("_either_way")
async def test_what_is_loaded_does_not_block_the_event_loop():
    await anyio.to_thread.run_sync(load)

    assert 4.0 == tariff("anthropic", "claude-opus-5-5").at(0).input
