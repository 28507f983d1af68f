"""The dashboard and the alerts name metrics that there are, in queries that can be read."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Metrics, Reading, Record
from llmroute.observe.metrics import _INSTRUMENTS

EXAMPLES = Path(__file__).parents[2] / "examples"
DASHBOARD = json.loads((EXAMPLES / "grafana" / "llmroute.json").read_text("utf-8"))
RULES = yaml.safe_load((EXAMPLES / "prometheus" / "llmroute-rules.yml").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
] + [
    pytest.param(rule["expr"], id=rule["alert"])
    for group in RULES["groups"]
    for rule in group["rules"]
]
WORDS = {
    *("sum", "min", "max", "count", "topk", "by", "or", "vector"),
    *("rate", "increase", "histogram_quantile"),
}
# Prometheus' own.
OTHERS = {"up": {"job"}}
TOKEN = re.compile(
    r"""\s*(?:(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>\d[\d.]*)"""
    r"""|(?P<range>\[(?:\d+[smhd]|\$__rate_interval|\$__range)\])|(?P<sign>[(){},]|=~|!=|==|=|[<>/*+-]))"""
)


@pytest.fixture(scope="module")
def exported():
    """Every sample that can be scraped, with its labels."""
    metrics = Metrics()
    usage = Usage(1, 1, 1, 1)
    attempts = [Attempt("a", "no", kind="api_error")]
    base = {"at": 0.0, "key": "k", "usage": usage, "first_byte": 1.0, "attempts": attempts}
    metrics.record(Record(**base, _cost=1))
    metrics.record(Record(**base, outcome="failed"))
    metrics.sources.append(
        lambda: [
            Reading(name, 1, ("x",) * len(instrument.labels))
            for name, instrument in _INSTRUMENTS.items()
        ]
    )
    return OTHERS | {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def tokens(query):
    """Split a query into tokens, each with its kind; nothing may be left over."""
    found, at = [], 0
    while at < len(query.rstrip()):
        match = TOKEN.match(query, at)
        assert match, f"what is this? {query[at:]}"
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_metrics_and_labels_that_there_are(query, exported):
    read = tokens(query)
    metrics = [word for kind, word in read if kind == "name" and word in exported]
    names = {word for kind, word in read if kind == "name"} - WORDS - set(metrics)

    assert metrics
    assert set() == names - set.union(*(exported[metric] for metric in metrics))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_whole(query):
    opened = []
    for _, word in tokens(query):
        if word in ("(", "{"):
            opened.append(word)
        elif word in (")", "}"):
            assert {")": "(", "}": "{"}[word] == opened.pop()
    assert [] == opened


@pytest.mark.parametrize("query", QUERIES)
def test_only_what_grows_is_a_rate(query):
    for metric in re.findall(r"(?:rate|increase)\((\w+)", query):
        assert metric.endswith(("_total", "_bucket"))
    for metric in re.findall(r"(\w+_total|\w+_bucket)\b", query):
        assert re.search(rf"(?:rate|increase)\({metric}", query)


def test_every_metric_is_on_the_dashboard(exported):
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    missing = {
        name
        for name in exported.keys() - OTHERS.keys()
        if not name.endswith(("_sum", "_count", "_created")) and name not in shown
    }

    assert set() == missing


def test_panels_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_is_told_where_the_rules_are():
    settings = yaml.safe_load((EXAMPLES / "prometheus" / "prometheus.yml").read_text("utf-8"))

    assert ["llmroute-rules.yml"] == settings["rule_files"]
    assert "/metrics" == settings["scrape_configs"][0]["metrics_path"]
