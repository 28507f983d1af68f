"""What answers teach of an estimate raises it, and never lowers it under the truth."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.messages.calibration import Calibration
from llmroute.messages.estimate import measure, vocabulary_of

CORPUS = json.loads((Path(__file__).parent / "token_corpus.json").read_text("utf-8"))["texts"]
# As a prompt of some length, and in each vocabulary that was measured.
MEASURED = [
    (
        measure({"messages": [{"role": "user", "content": each["text"] * 10}]}),
        {name: 10 * each[name] for name in ("cl100k", "o200k", "digitwise")},
    )
    for each in CORPUS
]


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [("gpt-5.2", "o200k"), ("gpt-4", "cl100k"), ("qwen3-coder", "digitwise"), ("any", "cl100k")],
)
@given(answers=st.lists(st.sampled_from(range(len(MEASURED))), max_size=30))
def test_no_sequence_of_answers_makes_an_estimate_count_too_few(model, vocabulary, answers):
    calibration = Calibration()
    for at in answers:
        measured, truths = MEASURED[at]
        estimated = measured.tokens(vocabulary_of(model))
        calibration.observe("d", estimated, truths[vocabulary])

    for measured, truths in MEASURED:
        estimated = measured.tokens(vocabulary_of(model)) * calibration.factor("d")
        assert estimated >= 0.95 * truths[vocabulary]


def test_a_model_that_makes_more_tokens_is_learned_within_a_few_answers():
    calibration = Calibration()
    for _ in range(5):
        calibration.observe("d", 10_000, 16_000)

    assert 1.55 <= calibration.factor("d") <= 1.6
    assert calibration.factor("another") == 1.0


def test_what_one_odd_answer_says_fades():
    calibration = Calibration()
    calibration.observe("d", 10_000, 500_000)
    at_once = calibration.factor("d")
    for _ in range(60):
        calibration.observe("d", 10_000, 9_000)

    assert at_once == 1.5
    assert calibration.factor("d") < 1.05


@pytest.mark.parametrize(
    ("estimated", "counted"),
    [
        pytest.param(100, 400, id="a-short-prompt-is-mostly-the-vendors-own-words"),
        pytest.param(10_000, 0, id="an-answer-that-does-not-say"),
        pytest.param(10_000, 7_000, id="fewer-than-thought"),
    ],
)
def test_what_teaches_nothing_changes_nothing(estimated, counted):
    calibration = Calibration()
    calibration.observe("d", estimated, counted)

    assert calibration.factor("d") == 1.0


def test_the_names_that_clients_choose_do_not_pile_up():
    calibration = Calibration()
    for number in range(5_000):
        calibration.observe(("d", number), 10_000, 15_000)

    assert len(calibration._ratios) <= 1_000
