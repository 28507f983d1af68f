"""Counts are totals; zeros and nulls say nothing."""

import pytest

from llmroute.messages.usage import Usage


def figures(usage):
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    )


FULL = {
    "input_tokens": 1,
    "output_tokens": 2,
    "cache_read_input_tokens": 3,
    "cache_creation_input_tokens": 4,
}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(FULL, (1, 2, 3, 4), id="all"),
        pytest.param({}, (0, 0, 0, 0), id="none"),
        pytest.param(dict.fromkeys(FULL), (0, 0, 0, 0), id="nulls"),
        pytest.param(dict.fromkeys(FULL, "7"), (0, 0, 0, 0), id="strings"),
        pytest.param(dict.fromkeys(FULL, -1), (0, 0, 0, 0), id="negative"),
        pytest.param(dict.fromkeys(FULL, 10**400), (0, 0, 0, 0), id="beyond-all-bounds"),
        pytest.param(dict.fromkeys(FULL, True), (0, 0, 0, 0), id="truths"),
        pytest.param({"output_tokens": 9, "novelty": {"a": 1}}, (0, 9, 0, 0), id="unknown-members"),
    ],
)
def test_counts_are_read(data, expected):
    usage = Usage.of(data)

    assert expected == figures(usage)
    assert data == usage.data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param({"output_tokens": 20}, (1, 20, 3, 4), id="output-only"),
        pytest.param({"output_tokens": 1}, (1, 1, 3, 4), id="the-last-one-counts"),
        pytest.param(dict.fromkeys(FULL, 9), (9, 9, 9, 9), id="all"),
        pytest.param(dict.fromkeys(FULL, 0), (1, 2, 3, 4), id="zeros"),
        pytest.param(dict.fromkeys(FULL), (1, 2, 3, 4), id="nulls"),
        pytest.param({}, (1, 2, 3, 4), id="nothing"),
    ],
)
def test_later_counts_take_the_place_of_earlier_ones(data, expected):
    assert expected == figures(Usage.of(FULL).updated(data))


def test_a_zero_that_is_the_first_news_is_kept():
    assert {"a": 0, "b": 1} == Usage.of({"b": 1}).updated({"a": 0}).data
