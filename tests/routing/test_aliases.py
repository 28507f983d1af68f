"""A model name stands for one alias: an exact one, else the most specific pattern."""

import pytest

from llmroute.routing.aliases import Aliases, Match, fits

NAMES = ["*", "claude-*", "fast", "claude-sonnet-*", "claude-sonnet-5-5", "*-latest", "a*a"]


@pytest.mark.parametrize(
    ("asked", "alias", "star"),
    [
        pytest.param("fast", "fast", None, id="exact"),
        pytest.param("claude-sonnet-5-5", "claude-sonnet-5-5", None, id="exact-before-patterns"),
        pytest.param("claude-sonnet-4-5", "claude-sonnet-*", "4-5", id="longest-pattern"),
        pytest.param("claude-opus-5", "claude-*", "opus-5", id="shorter-pattern"),
        pytest.param("claude-", "claude-*", "", id="star-for-nothing"),
        pytest.param("gpt-latest", "*-latest", "gpt", id="star-in-front"),
        pytest.param("claude-latest", "claude-*", "latest", id="equally-long-the-first-one"),
        pytest.param("aba", "a*a", "b", id="star-in-the-middle"),
        pytest.param("aa", "a*a", "", id="nothing-in-the-middle"),
        pytest.param("a", "*", "a", id="one-letter-is-not-two"),
        pytest.param("Fast", "*", "Fast", id="case-counts"),
        pytest.param("claude-*", "claude-*", "*", id="the-pattern-itself"),
        pytest.param("", "*", "", id="nothing"),
    ],
)
def test_the_most_specific_alias_is_found(asked, alias, star):
    assert Match(alias, star) == Aliases(NAMES).find(asked)


@pytest.mark.parametrize("asked", ["slow", "", "claude", "xclaude-1", "fast ", "fas"])
def test_no_alias_matches_by_half(asked):
    assert Aliases(["fast", "claude-*"]).find(asked) is None


def test_the_order_of_the_configuration_does_not_decide():
    for names in (["claude-*", "claude-sonnet-*"], ["claude-sonnet-*", "claude-*"]):
        assert Match("claude-sonnet-*", "5") == Aliases(names).find("claude-sonnet-5")


@pytest.mark.parametrize(
    ("star", "template", "expected"),
    [
        pytest.param("opus-5", None, "asked", id="no-template"),
        pytest.param("opus-5", "claude-*", "claude-opus-5", id="star-for-star"),
        pytest.param("opus-5", "us.anthropic.*-v1:0", "us.anthropic.opus-5-v1:0", id="inside"),
        pytest.param("opus-5", "claude-sonnet-5", "claude-sonnet-5", id="template-without-star"),
        pytest.param("", "claude-*", "claude-", id="star-for-nothing"),
        pytest.param(None, "gpt-5.2", "gpt-5.2", id="alias-without-star"),
        pytest.param(None, "a-*", "a-*", id="no-star-to-fill-in"),
        pytest.param("*", "a-*-b", "a-*-b", id="star-for-a-star"),
    ],
)
def test_the_upstreams_model_is_filled_in(star, template, expected):
    assert expected == Match("alias", star).model(template, "asked")


@pytest.mark.parametrize(
    ("names", "asked", "expected"),
    [
        pytest.param(["sonnet", "opus", "haiku"], "sonet", ["sonnet"], id="misspelt"),
        pytest.param(
            ["fast", "claude-sonnet-5-5"], "claude-sonnet-5", ["claude-sonnet-5-5"], id="short"
        ),
        pytest.param(["fast", "claude-*"], "claud-5", ["claude-*"], id="pattern"),
        pytest.param(["a", "b", "c", "d"], "zzzzzz", ["a", "b", "c"], id="nothing-like-it"),
        pytest.param([], "fast", [], id="no-aliases"),
    ],
)
def test_the_nearest_names_are_offered(names, asked, expected):
    assert expected == Aliases(names).nearest(asked)


def test_no_more_than_three_names_are_offered():
    assert 3 == len(Aliases(f"claude-{n}" for n in range(9)).nearest("claude-10"))


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        pytest.param("fast", "fast", True, id="a name"),
        pytest.param("fast", "faster", False, id="a longer name"),
        pytest.param("fast", "Fast", False, id="case counts"),
        pytest.param("a.c", "abc", False, id="a dot is a dot"),
        pytest.param("*", "", True, id="nothing"),
        pytest.param("*", "a\nb", True, id="anything"),
        pytest.param("claude-*", "claude-", True, id="a beginning"),
        pytest.param("a*a", "a", False, id="one letter is not two"),
        pytest.param("a*b*c", "a-b-c", True, id="two stars"),
        pytest.param("a*b*c", "abc", True, id="two stars for nothing"),
        pytest.param("a*b*c", "a-c-b", False, id="in another order"),
        pytest.param("*ab*ab", "ab", False, id="a part counts once"),
        pytest.param("a**b", "a-b", True, id="two stars are one"),
    ],
)
def test_a_pattern_has_any_number_of_stars(pattern, name, does):
    assert does == fits(pattern, name)


def test_a_name_that_nearly_fits_takes_no_time():
    # A regular expression would try for days.
    assert not fits("*a*a*a*a*b", "a" * 60_000)
