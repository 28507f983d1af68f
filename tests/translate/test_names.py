"""Names fit, and find their way back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.translate.names import (
    ANY_IDS,
    CONVERSE_IDS,
    GEMINI_NAMES,
    MISTRAL_IDS,
    OPENAI_NAMES,
    Names,
    answer_id,
    call_id,
    digest,
)

LONG = "mcp__" + "x" * 80


@pytest.mark.parametrize(
    ("name", "limits", "expected"),
    [
        pytest.param("Read", OPENAI_NAMES, "Read", id="legal"),
        pytest.param("x" * 64, OPENAI_NAMES, "x" * 64, id="just-fits"),
        pytest.param("a.b", OPENAI_NAMES, r"a_b_[0-9a-f]{8}", id="characters"),
        pytest.param(LONG, OPENAI_NAMES, r"mcp__x{50}_[0-9a-f]{8}", id="length"),
        pytest.param("3d", GEMINI_NAMES, r"_3d_[0-9a-f]{8}", id="first-character"),
        pytest.param("a.b", GEMINI_NAMES, r"a\.b", id="gemini-takes-dots"),
        pytest.param("", OPENAI_NAMES, r"_[0-9a-f]{8}", id="empty"),
        pytest.param("toolu_01", MISTRAL_IDS, r"[0-9a-f]{9}", id="exactly-nine"),
        pytest.param("abcDEF123", MISTRAL_IDS, "abcDEF123", id="nine-already"),
        pytest.param("a\nb c:é", ANY_IDS, "a\nb c:é", id="any-characters"),
    ],
)
def test_a_name_is_made_to_fit(name, limits, expected):
    assert re.fullmatch(expected, limits.fitted(name))
    assert limits.take(limits.fitted(name))


def test_names_come_back():
    names = Names([LONG, "Read"], OPENAI_NAMES)

    assert LONG == names.back(names.outward(LONG))
    assert ("Read", "Read") == (names.outward("Read"), names.back("Read"))
    assert "never sent" == names.back("never sent")


def test_a_legal_name_keeps_its_place_from_one_made_to_fit():
    taken = OPENAI_NAMES.fitted("a.b")
    names = Names(["a.b", taken], OPENAI_NAMES)

    assert taken == names.outward(taken)
    assert "a.b" == names.back(names.outward("a.b"))
    assert taken == names.back(taken)


@given(st.lists(st.text(max_size=80), unique=True, max_size=8))
def test_any_names_fit_and_come_back(given_names):
    names = Names(given_names, GEMINI_NAMES)
    sent = [names.outward(name) for name in given_names]

    assert given_names == [names.back(name) for name in sent]
    assert all(GEMINI_NAMES.take(name) for name in sent)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_an_upstreams_id_is_shown_legally_and_comes_back(given_id):
    shown = answer_id(given_id)

    assert re.fullmatch("[a-zA-Z0-9_-]+", shown)
    assert given_id == call_id(shown, ANY_IDS)
    assert CONVERSE_IDS.take(call_id(shown, CONVERSE_IDS))


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param("toolu_b64_!!", id="not-base64"),
        pytest.param("toolu_b64_A", id="cut"),
        pytest.param("toolu_b64__w", id="not-text"),
    ],
)
def test_an_id_that_only_looks_like_a_carrier_stays(shown):
    assert shown == call_id(shown, ANY_IDS)


def test_digests_tell_parts_apart():
    assert digest("a", "b") == digest(b"a", "b")
    assert digest("a", "b") != digest("ab")
    assert 24 == len(digest())
