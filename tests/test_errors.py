"""The tree of errors: what each is answered with, and what can help."""

import pickle

import pytest

from llmroute import errors
from llmroute.errors import (
    ConfigError,
    InvalidRequestError,
    LLMRouteError,
    OverloadedError,
    Problem,
    Remedy,
    UnknownAliasError,
    UpstreamError,
)


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_everything_raised_is_caught_by_the_root(name):
    assert issubclass(getattr(errors, name), LLMRouteError)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = {word for word in errors.__doc__.split() if word.endswith("Error")}

    assert {name for name in errors.__all__ if name.endswith("Error")} == drawn


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("InvalidRequestError", 400, "invalid_request_error"),
        ("UnauthorizedError", 401, "authentication_error"),
        ("ForbiddenError", 403, "permission_error"),
        ("UnknownAliasError", 404, "not_found_error"),
        ("RequestTooLargeError", 413, "request_too_large"),
    ],
)
def test_a_callers_error_has_its_status_and_the_apis_name(name, status, kind):
    cls = getattr(errors, name)

    assert issubclass(cls, errors.RequestError)
    assert (status, kind) == (cls.status, cls.type)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("RejectedError", Remedy.NOTHING),
        ("UntranslatableError", Remedy.ELSEWHERE),
        ("MisconfiguredError", Remedy.ELSEWHERE),
        ("RateLimitedError", Remedy.TIME),
        ("OverloadedError", Remedy.TIME),
        ("FaultError", Remedy.TIME),
        ("UnreachableError", Remedy.TIME),
        ("StreamBrokenError", Remedy.TIME),
    ],
)
def test_an_upstreams_error_says_what_can_help(name, remedy):
    cls = getattr(errors, name)

    assert issubclass(cls, UpstreamError)
    assert remedy is cls.remedy
    assert 502 == cls("no answer").status


def test_an_upstreams_error_keeps_what_came():
    headers = [(b"retry-after", b"1")]
    error = OverloadedError(
        "busy",
        status=529,
        headers=headers,
        body=b"{}",
        retry_after=1.0,
        type="overloaded_error",
        code="full",
    )
    headers.clear()

    assert "busy" == str(error)
    assert (529, ((b"retry-after", b"1"),), b"{}", 1.0) == (
        error.status,
        error.headers,
        error.body,
        error.retry_after,
    )
    assert ("overloaded_error", "full") == (error.type, error.code)
    assert ("", 0, b"", frozenset()) == (
        error.deployment,
        error.attempts,
        error.event,
        error.refused,
    )


def test_an_error_that_says_no_more_has_neither_type_nor_code():
    error = OverloadedError("busy")

    assert ("", "") == (error.type, error.code)


def test_an_unknown_alias_is_named():
    error = UnknownAliasError("no alias `x`", "x")

    assert ("no alias `x`", "x") == (str(error), error.alias)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        pytest.param(Problem("a.yaml", 3, "x.y", "no"), "a.yaml:3: x.y: no", id="all"),
        pytest.param(Problem("a.yaml", 3, "", "no"), "a.yaml:3: no", id="the-file"),
        pytest.param(Problem("<dict>", 0, "x", "no"), "<dict>: x: no", id="no-line"),
        pytest.param(Problem("<dict>", 0, "", "no"), "<dict>: no", id="neither"),
    ],
)
def test_a_problem_says_where(problem, expected):
    assert expected == str(problem)


def test_every_problem_is_told_at_once():
    problems = [Problem("a.yaml", 1, "x", "no"), Problem("a.yaml", 2, "y", "neither")]

    error = ConfigError(problems)

    assert "a.yaml:1: x: no\na.yaml:2: y: neither" == str(error)
    assert tuple(problems) == error.problems


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(InvalidRequestError("no"), id="request"),
        pytest.param(OverloadedError("busy", status=529, body=b"{}"), id="upstream"),
        pytest.param(UnknownAliasError("no `x`", "x"), id="alias"),
        pytest.param(ConfigError([Problem("a", 1, "b", "c")]), id="config"),
    ],
)
def test_an_error_survives_the_way_to_another_process(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (type(error), str(error), vars(error)) == (type(again), str(again), vars(again))
