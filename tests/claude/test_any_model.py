"""The real Claude Code on models behind every format.

For each format one conversation uses all there is, and each check looks at a part of it.  The table
of what works is made of these checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType

import pytest

from .client import Machine
from .formats import FORMATS, SOURCE, THOUGHT, Format, calls, results, tool_names
from .mcp_server import RIVER
from .tour import RIVER_TOOL, TIDE, WINDOW, Tour, page, picture, shown, taken
from .what_works import FEATURES

pytestmark = [pytest.mark.claude, pytest.mark.timeout(180)]


def result(tour: Tour, call: str) -> str:
    """Return what the model was told of a call in the first run."""
    return dict(results(tour.bodies["done"]))[call]


def a_prompt(tour: Tour) -> None:
    first = tour.runs["first"]

    assert (0, "All done.", []) == (first.status, first.result, first.retries)


def thinking(tour: Tour) -> None:
    assert [THOUGHT] == shown(tour.runs["first"], "thinking")


def own_reasoning(tour: Tour) -> None:
    assert (THOUGHT,) == tour.thoughts


def parallel_tools(tour: Tour) -> None:
    body = tour.bodies["search"]
    ids = ["call_a", "call_b", "call_c", "call_d"]

    assert [*zip(ids, ["Bash", "Read", "Read", "Read"], strict=True)] == calls(body)
    assert set(ids) == {own for own, _ in results(body)}
    assert "42" in result(tour, "call_a")
    assert "does not exist" in result(tour, "call_d")


def an_image(tour: Tour) -> None:
    said = str(tour.bodies["search"])

    assert ("image" in tour.spoken.lost) != (picture() in said)
    assert ("image" in tour.spoken.lost) == ("[image left out]" in said)


def a_pdf(tour: Tour) -> None:
    said = str(tour.bodies["search"])

    assert ("pdf" in tour.spoken.lost) != (page() in said)
    assert ("pdf" in tour.spoken.lost) == bool(re.search(r"\[document (omitted|left out)\]", said))


def tool_search(tour: Tour) -> None:
    body = tour.bodies["agent"]
    outward = dict(calls(body))["call_f"]

    assert RIVER_TOOL not in tool_names(tour.bodies["parallel"])
    assert outward in tool_names(body)
    assert f"{RIVER} of Europe: the Rhine" in result(tour, "call_f")
    assert RIVER_TOOL in tour.used


def web_search(tour: Tour) -> None:
    said = result(tour, "call_h")

    assert ("search" in tour.spoken.lost) != (SOURCE in said)
    assert ("search" in tour.spoken.lost) == ("does not run web_search" in said)


def a_subagent(tour: Tour) -> None:
    assert "Bash" in tool_names(tour.bodies["report"])
    # In auto mode it comes as a message of its own, to which the result refers.
    assert TIDE in str(tour.bodies["done"])
    assert "call_g" in dict(results(tour.bodies["done"]))


def auto_mode(tour: Tour) -> None:
    assert tour.spoken.judged == ("print(6 * 7)" in str(tour.judged))
    assert "42" in result(tour, "call_a")


def resuming(tour: Tour) -> None:
    before, body = tour.bodies["done"], tour.bodies["overflow"]

    assert "And again." in str(body)
    assert calls(before) == calls(body)
    assert [call for call, _ in results(before)] == [call for call, _ in results(body)]


def overflow(tour: Tour) -> None:
    resumed, retry = tour.runs["resumed"], str(tour.bodies["retry"])

    assert (0, "All done.", []) == (resumed.status, resumed.result, resumed.retries)
    assert "We saw a river." in retry
    assert "And again." in retry
    assert "note.pdf" not in retry


def compacting(tour: Tour) -> None:
    compact = tour.runs["compact"]
    done = [event for event in compact.events if event.get("subtype") == "compact_boundary"]

    assert (0, []) == (compact.status, compact.retries)
    assert 1 == len(done)
    assert "We saw a lake." in str(compact.events)


def context(tour: Tour) -> None:
    told = tour.runs["context"].result
    found = re.search(r"\*\*Tokens:\*\* ([\d.]+)k / (\d+)k", told)

    assert found is not None
    assert WINDOW == 1000 * int(found[2])
    # What the fakes say, or the proxy by its own estimate, of some 50 KB.
    assert 5 < float(found[1]) < 25
    assert (tour.counted > 0) == tour.spoken.counts


CHECKS: MappingProxyType[str, Callable[[Tour], None]] = MappingProxyType(
    {
        "prompt": a_prompt,
        "thinking": thinking,
        "reasoning": own_reasoning,
        "parallel": parallel_tools,
        "image": an_image,
        "pdf": a_pdf,
        "mcp": tool_search,
        "search": web_search,
        "subagent": a_subagent,
        "auto": auto_mode,
        "resume": resuming,
        "overflow": overflow,
        "compact": compacting,
        "context": context,
    }
)


@pytest.mark.parametrize("spoken", FORMATS, ids=lambda spoken: spoken.name)
def test_everything_works(machine: Machine, spoken: Format, subtests: pytest.Subtests) -> None:
    tour = taken(machine, spoken)

    assert () == tour.refused
    for feature in FEATURES:
        with subtests.test(feature):
            CHECKS[feature](tour)
