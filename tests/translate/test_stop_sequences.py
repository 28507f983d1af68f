"""Text is cut where the first stop sequence would be, whatever pieces it comes in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.translate.stop_sequences import StopSequences


def passed(pieces, stops):
    scanner = StopSequences(stops)
    said = "".join(scanner.feed(piece) for piece in pieces) + scanner.close()
    return said, scanner.found


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        pytest.param(["abc"], None, ("abc", ""), id="none"),
        pytest.param(["abc"], ["b"], ("a", "b"), id="one"),
        pytest.param(["a", "<", "/", "b>", "c"], ["</b>"], ("a", "</b>"), id="in-pieces"),
        pytest.param(["aab"], ["ab"], ("a", "ab"), id="after-a-false-beginning"),
        pytest.param(["a<", "/"], ["</b>"], ("a</", ""), id="never-complete"),
        pytest.param(["abcd"], ["cd", "bc"], ("a", "bc"), id="the-first-in-the-text"),
        pytest.param(["abc"], ["bc", "b"], ("a", "b"), id="the-first-to-be-complete"),
        pytest.param(["abc"], ["", 7, None], ("abc", ""), id="what-is-no-sequence"),
        pytest.param(["abc"], "b", ("abc", ""), id="no-list"),
    ],
)
def test_the_cut(pieces, stops, expected):
    assert expected == passed(pieces, stops)


LETTERS = st.text("ab", max_size=8)


@given(LETTERS, st.lists(st.text("ab", min_size=1, max_size=3), max_size=3), st.data())
def test_pieces_change_nothing_about_what_comes_before_a_lone_sequence(text, stops, data):
    stops = stops[:1]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]

    assert passed([text], stops) == passed(pieces, stops)
    at = text.find(stops[0]) if stops else -1
    assert (text if at < 0 else text[:at]) == passed(pieces, stops)[0]
