"""LiteLLM's tables of retries become a number and a few rules, and Redis in parts an address."""

import pytest

from llmroute.config import load_dict
from llmroute.errors import ConfigError, Remedy
from llmroute.routing.remedies import Rule

NEVER_AGAIN = Rule(Remedy.ELSEWHERE)


def load(router, **own):
    entry = {"model_name": "a", "litellm_params": {"model": "anthropic/x", "api_key": "k"}}
    sections = {"router_settings": router, "litellm_settings": own}
    return load_dict({"model_list": [entry], **sections}, {})


def warned(config):
    return {warning.path: warning.text for warning in config.warnings}


EVERY = {
    "TimeoutErrorRetries": 3,
    "RateLimitErrorRetries": 3,
    "InternalServerErrorRetries": 3,
    "ServiceUnavailableErrorRetries": 3,
}


@pytest.mark.parametrize(
    ("table", "otherwise", "retries", "without"),
    [
        pytest.param({}, None, None, set(), id="empty"),
        pytest.param({}, 2, 2, set(), id="the number for all"),
        pytest.param(EVERY, None, 3, set(), id="all the same"),
        pytest.param({"DefaultRetries": 4}, 2, 4, set(), id="default"),
        pytest.param({"RateLimitErrorRetries": None}, 2, 2, set(), id="no value"),
        pytest.param(
            {"RateLimitErrorRetries": 0}, 2, 2, {"rate_limit_error", "429"}, id="not one of them"
        ),
        pytest.param(
            {**EVERY, "TimeoutErrorRetries": 0, "ServiceUnavailableErrorRetries": 0},
            None,
            3,
            {"timeout_error", "408", "504", "503"},
            id="two of them not",
        ),
        pytest.param(
            {"RateLimitErrorRetries": 3},
            0,
            3,
            {"timeout_error", "408", "504", "503", "api_error", "500", "overloaded_error", "529"},
            id="only one",
        ),
        pytest.param(
            {
                "BadRequestErrorRetries": 0,
                "AuthenticationErrorRetries": 0,
                "NotFoundErrorRetries": 0,
            },
            1,
            1,
            set(),
            id="what is never tried again",
        ),
    ],
)
def test_what_a_table_of_retries_says_exactly_gives_no_warning(table, otherwise, retries, without):
    config = load({"retry_policy": table}, num_retries=otherwise)

    assert retries == config.policy.retries
    assert dict.fromkeys(without, NEVER_AGAIN) == config.policy.errors
    assert {} == warned(config)


@pytest.mark.parametrize(
    ("table", "otherwise", "retries", "expected"),
    [
        pytest.param(
            {**EVERY, "TimeoutErrorRetries": 1},
            None,
            3,
            {".TimeoutErrorRetries": "taken as 3, the largest number there is"},
            id="smaller",
        ),
        pytest.param(
            {"RateLimitErrorRetries": 3, "DefaultRetries": 1},
            5,
            3,
            {".DefaultRetries": "taken as 3, the largest number there is"},
            id="default",
        ),
        pytest.param(
            {"RateLimitErrorRetries": 3},
            None,
            3,
            {"": "taken as 3, the largest number there is"},
            id="not said of the others",
        ),
        pytest.param(
            {"ContentPolicyViolationErrorRetries": 2},
            1,
            1,
            {".ContentPolicyViolationErrorRetries": "ignored: the same request would fail again"},
            id="never",
        ),
    ],
)
def test_what_it_does_not_say_exactly_gives_a_warning(table, otherwise, retries, expected):
    config = load({"retry_policy": table}, num_retries=otherwise)

    assert retries == config.policy.retries
    at = "router_settings.retry_policy"
    assert {f"{at}{name}": text for name, text in expected.items()} == warned(config)


def test_a_table_of_retries_is_checked():
    table = {"RateLimitErrorsRetries": 1, "TimeoutErrorRetries": "many", "DefaultRetries": True}
    with pytest.raises(ConfigError) as caught:
        load({"retry_policy": table})

    at = "router_settings.retry_policy"
    number = "must be a whole number, 0 or more"
    assert {
        f"{at}.RateLimitErrorsRetries": "unknown setting (did you mean 'RateLimitErrorRetries'?)",
        f"{at}.TimeoutErrorRetries": number,
        f"{at}.DefaultRetries": number,
    } == {problem.path: problem.text for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        pytest.param({"redis_url": "rediss://h:1/2"}, "rediss://h:1/2", id="whole"),
        pytest.param({"redis_host": "h"}, "redis://h:6379/0", id="host"),
        pytest.param(
            {"redis_host": "h", "redis_port": "1", "redis_password": "p/@: é"},
            "redis://:p%2F%40%3A%20%C3%A9@h:1/0",
            id="password",
        ),
        pytest.param(
            {
                "redis_host": "::1",
                "redis_username": "u",
                "redis_password": "p",
                "redis_db": 3,
                "redis_ssl": True,
            },
            "rediss://u:p@[::1]:6379/3",
            id="all",
        ),
        pytest.param({"redis_url": "redis://u", "redis_host": "h"}, "redis://u", id="url above"),
    ],
)
def test_redis_in_parts_becomes_an_address(router, expected):
    config = load(router)

    assert expected == config.store.get_secret_value()
    assert {} == warned(config)


def test_parts_of_redis_without_a_host_give_a_warning():
    config = load({"redis_port": 1, "redis_host": None})

    assert None is config.store
    assert {"router_settings.redis_port": "ignored: no redis_host is named"} == warned(config)


def test_redis_at_an_address_that_is_none_is_a_problem():
    with pytest.raises(ConfigError) as caught:
        load({"redis_url": "http://h"})

    assert [
        "<dict>: router_settings.redis_url: must start with redis://, rediss:// or unix://"
    ] == str(caught.value).splitlines()
