"""What can help after an error: by its code, then by its type, then by its status."""

import pytest

from llmroute.errors import (
    FaultError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    RejectedError,
    Remedy,
    UnreachableError,
    UntranslatableError,
)
from llmroute.routing.remedies import RULES, Rule, overflow, rule_for

NOTHING, ELSEWHERE, TIME = Remedy.NOTHING, Remedy.ELSEWHERE, Remedy.TIME


def error(cls=RejectedError, status=400, kind="", code="", text="no"):
    return cls(text, status=status, type=kind, code=code)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            error(RateLimitedError, 429, "rate_limit_error", "enforced_spend_limit_reached"),
            Rule(ELSEWHERE, 300.0),
            id="the-code-before-the-type",
        ),
        pytest.param(
            error(RejectedError, 400, "invalid_request_error", "contract_spend_limit_reached"),
            Rule(ELSEWHERE, 300.0),
            id="whatever-the-class",
        ),
        pytest.param(
            error(FaultError, 500, "", "compaction_unavailable"), Rule(TIME, 0.0), id="one-request"
        ),
        pytest.param(
            error(RejectedError, 400, "invalid_request_error", "thread_unsupported_request"),
            Rule(NOTHING),
            id="for-the-client",
        ),
        pytest.param(
            error(MisconfiguredError, 401, "authentication_error"), Rule(ELSEWHERE, 60.0), id="key"
        ),
        pytest.param(
            error(RejectedError, 402, "billing_error"), Rule(ELSEWHERE, 300.0), id="not-paid"
        ),
        pytest.param(
            error(MisconfiguredError, 403, "permission_error"), Rule(ELSEWHERE, 60.0), id="no-right"
        ),
        pytest.param(
            error(MisconfiguredError, 404, "not_found_error"), Rule(ELSEWHERE, 60.0), id="no-model"
        ),
        pytest.param(
            error(RejectedError, 409, "conflict_error"), Rule(TIME, 0.0), id="two-that-met"
        ),
        pytest.param(
            error(MisconfiguredError, 404), Rule(ELSEWHERE, 60.0), id="no-row-but-misconfigured"
        ),
        pytest.param(
            error(RejectedError, 400, "invalid_request_error"), Rule(NOTHING), id="by-its-class"
        ),
        pytest.param(error(RateLimitedError, 429, "rate_limit_error"), Rule(TIME), id="limited"),
        pytest.param(error(OverloadedError, 529, "overloaded_error"), Rule(TIME), id="overloaded"),
        pytest.param(error(FaultError, 500, "api_error"), Rule(TIME), id="fault"),
        pytest.param(error(UnreachableError, 502), Rule(TIME), id="no-connection"),
        pytest.param(error(UntranslatableError, 400), Rule(ELSEWHERE), id="not-in-its-words"),
    ],
)
def test_what_can_help(given, expected):
    assert expected == rule_for(given, {})


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        pytest.param({}, RULES["billing_error"], id="none"),
        pytest.param({"402": Rule(TIME, 1.0)}, Rule(TIME, 1.0), id="status"),
        pytest.param(
            {"402": Rule(TIME, 1.0), "billing_error": Rule(TIME, 2.0)},
            Rule(TIME, 2.0),
            id="the-type-before-the-status",
        ),
        pytest.param(
            {"402": Rule(TIME, 1.0), "billing_error": Rule(TIME, 2.0), "broke": Rule(TIME, 3.0)},
            Rule(TIME, 3.0),
            id="the-code-before-both",
        ),
        pytest.param({"429": Rule(TIME, 1.0)}, RULES["billing_error"], id="anothers"),
    ],
)
def test_rows_of_the_configuration_stand_above_all(overrides, expected):
    assert expected == rule_for(error(RejectedError, 402, "billing_error", "broke"), overrides)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            error(text="prompt is too long: 210000 tokens > 200000 maximum"), "too_long", id="api"
        ),
        pytest.param(
            error(
                text="input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000"
            ),
            "too_long",
            id="with-the-answer",
        ),
        pytest.param(
            error(status=413, kind="request_too_large"), "too_long", id="too-large-by-its-type"
        ),
        pytest.param(error(code="prompt_too_long"), "too_long", id="by-its-code"),
        pytest.param(error(text="Prompt Is Too Long"), "too_long", id="in-any-case"),
        pytest.param(
            error(text="Output blocked by content filtering policy"), "refused", id="filtered"
        ),
        pytest.param(
            error(text="The response was filtered due to Azure's content management policy."),
            "refused",
            id="azure",
        ),
        pytest.param(error(code="content_policy_violation"), "refused", id="refused-by-its-code"),
        pytest.param(error(text="messages: field required"), None, id="wrong-for-all"),
        pytest.param(error(text="max_tokens: too long"), None, id="another-thing-is-too-long"),
        pytest.param(
            error(FaultError, 500, text="prompt is too long"), None, id="no-rejection-at-all"
        ),
    ],
)
def test_another_model_may_answer_what_this_one_does_not(given, expected):
    assert expected == overflow(given)
