"""What a LiteLLM file says of a database, a budget and limits holds here too."""

from __future__ import annotations

import pytest

from llmroute.config import load_dict
from llmroute.config.durations import duration
from llmroute.errors import ConfigError

ENTRY = {"model_name": "a", "litellm_params": {"model": "anthropic/x", "api_key": "k"}}


def load(**sections):
    return load_dict({"model_list": [ENTRY], **sections}, {})


def told(config):
    return [(each.path, each.text) for each in config.warnings]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("postgresql://u:p@h:5432/l", "postgresql://u:p@h:5432/l", id="as it is"),
        pytest.param(
            "postgresql://u:p@h/l?schema=public&connection_limit=5&pool_timeout=2",
            "postgresql://u:p@h/l",
            id="prismas own",
        ),
        pytest.param(
            "postgresql://u:p@h/l?sslmode=require&pgbouncer=true",
            "postgresql://u:p@h/l?sslmode=require",
            id="some of them",
        ),
        pytest.param(
            "postgresql://u:p@h/l?schema=ai",
            "postgresql://u:p@h/l?options=-csearch_path%3Dai",
            id="a schema",
        ),
    ],
)
def test_the_address_of_the_database_is_taken(given, kept):
    config = load(general_settings={"database_url": given})

    assert kept == config.database.get_secret_value()
    assert [] == told(config)


@pytest.mark.parametrize("given", ["mysql://u:canary@h/l", "postgres://", "canary"])
def test_what_is_no_address_is_refused(given):
    with pytest.raises(ConfigError, match=r"general_settings\.database_url") as refused:
        load(general_settings={"database_url": given})

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "period", "warning"),
    [
        pytest.param({}, "total", "", id="for good"),
        pytest.param({"budget_duration": "1d"}, "day", "", id="a day"),
        pytest.param({"budget_duration": "24h"}, "day", "", id="24 hours"),
        pytest.param({"budget_duration": "7d"}, "week", "", id="a week"),
        pytest.param({"budget_duration": "30d"}, "month", "", id="30 days"),
        pytest.param({"budget_duration": "1mo"}, "month", "", id="a month"),
        pytest.param({"budget_duration": "1h"}, "day", "taken as a day", id="an hour"),
        pytest.param({"budget_duration": "10d"}, "week", "taken as a week", id="ten days"),
        pytest.param({"budget_duration": "60d"}, "month", "taken as a month", id="60 days"),
        pytest.param({"budget_duration": "365d"}, "total", "taken as for good", id="a year"),
    ],
)
def test_the_budget_is_for_all_calls(settings, period, warning):
    config = load(litellm_settings={"max_budget": 100, **settings})

    (budget,) = config.accounts.budgets
    assert (100.0, period, "") == (budget.amount, budget.period, budget.alias)
    assert bool(warning) == bool(config.warnings)
    assert all(text.startswith(warning) for _, text in told(config))


def test_a_window_without_a_budget_is_a_warning():
    config = load(litellm_settings={"budget_duration": "30d"})

    assert [("litellm_settings.budget_duration", "ignored: no max_budget is named")] == told(config)
    assert () == config.accounts.budgets


@pytest.mark.parametrize("text", ["", "d", "30", "0d", "-1d", "1.5d", "30 days", "99999999y"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ConfigError, match="24h, or 30d"):
        load(litellm_settings={"max_budget": 1, "budget_duration": text})


def test_limits_and_retention():
    config = load(
        general_settings={
            "global_max_parallel_requests": 50,
            "maximum_spend_logs_retention_period": "36h",
            "allow_requests_on_db_unavailable": False,
        }
    )

    accounts = config.accounts
    assert (50, 2, "refuse") == (
        accounts.limits.parallel,
        accounts.usage.retention_days,
        accounts.usage.when_store_fails,
    )
    assert [
        (
            "general_settings.maximum_spend_logs_retention_period",
            "taken as 2d: usage is kept for whole days",
        )
    ] == told(config)


@pytest.mark.parametrize(
    ("general", "records"), [({}, True), ({"disable_spend_logs": True}, False)]
)
def test_whether_calls_are_written_down(general, records):
    config = load(general_settings=general)

    assert records == config.accounts.usage.records
    assert [] == told(config)


def test_a_limit_of_each_key_is_told_to_be_the_keys():
    config = load(general_settings={"max_parallel_requests": 5})

    ((path, text),) = told(config)
    assert "general_settings.max_parallel_requests" == path
    assert "llmroute keys update" in text


def test_lengths_of_time_are_read_in_any_case_and_with_spaces():
    assert duration("24h") == duration(" 1 D ")
