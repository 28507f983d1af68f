import json
from pathlib import Path

import pytest

from bench.simulate.figures import MEANINGS, figures, table
from bench.simulate.page import tables
from bench.simulate.run import VARIANTS, Day, simulate
from bench.simulate.weather import CALM, STORMY

ROOT = Path(__file__).parents[2]
DAY = Day(seed=3, sessions=30, hours=0.25)


@pytest.fixture(scope="module")
def calm():
    return simulate(VARIANTS["listed"], DAY, CALM)


@pytest.fixture(scope="module")
def stormy(calm):
    """The figures of each variant that a test here looks at."""
    names = ("alone", "listed", "listed, no cooldown", "weighted", "weighted, no affinity")
    return {name: figures(simulate(VARIANTS[name], DAY, STORMY), calm) for name in names}


def test_the_same_seed_gives_the_same_run(calm):
    assert calm == simulate(VARIANTS["listed"], DAY, CALM)


def test_where_nothing_fails_every_request_is_answered_at_once(calm):
    found = figures(calm, calm)

    assert (100.0, 100.0) == (found["first"], found["answered"])
    assert (1.0, 0) == (found["attempts"], found["dead"])
    assert (0.0, 0.0) == (found["late p99"], found["dearer"])


def test_two_deployments_answer_what_one_alone_cannot(stormy):
    assert stormy["alone"]["first"] < stormy["listed"]["first"]
    assert stormy["alone"]["late p99"] > stormy["listed"]["late p99"]


def test_cooldowns_keep_requests_from_a_dead_deployment(stormy):
    assert 2 * stormy["listed"]["dead"] < stormy["listed, no cooldown"]["dead"]


def test_affinity_reads_caches_instead_of_writing_them_anew(stormy):
    with_it, without = stormy["weighted"], stormy["weighted, no affinity"]

    assert with_it["cache read"] > without["cache read"]
    assert with_it["dollars"] < without["dollars"]


def test_the_table_has_a_column_for_each_figure_and_a_line_for_each_run(stormy):
    lines = table(stormy).splitlines()

    assert 2 + len(stormy) == len(lines)
    assert {2 + len(MEANINGS)} == {line.count("|") for line in lines}


def test_the_page_shows_the_results_that_are_on_file_and_says_what_they_mean():
    results = json.loads((ROOT / "bench/results/simulation.json").read_text("utf-8"))
    page = (ROOT / "docs/concepts/affinity-and-caching.md").read_text("utf-8")

    assert tables(results) in page
    assert [] == [name for name in MEANINGS if f"*{name}*" not in page]
    assert Day()._asdict() == results["day"]
