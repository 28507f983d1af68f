"""What Claude Code has sent, turn by turn: behind every format a turn begins as the one before."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.platforms.goldens import CAPTURES, recorded
from tests.router.test_every_format import FORMATS, TRANSLATED, router_for

from llmroute.messages.call import Call
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

# Where a client has set a mark of the cache is no part of what is cached: it moves with every turn.
_MARKS = ("cache_control", "prompt_cache_breakpoint", "cachePoint")


def unmarked(value: Any) -> Any:
    """Leave out the marks of a request; a text alone is the list of its one part."""
    if isinstance(value, dict):
        kept = {name: unmarked(each) for name, each in value.items() if name not in _MARKS}
        if isinstance(kept.get("content"), str):
            kept["content"] = [{"type": "text", "text": kept["content"]}]
        return kept
    if isinstance(value, list):
        return [
            unmarked(each)
            for each in value
            if not (isinstance(each, dict) and "cachePoint" in each)
        ]
    return value


def begun(value: Any, like: Any) -> Any:
    """Cut lists to the length of others: turns, and tools that were loaded meanwhile, come last."""
    if isinstance(value, dict) and isinstance(like, dict):
        return {name: begun(each, like.get(name)) for name, each in value.items()}
    if isinstance(value, list) and isinstance(like, list):
        cut = value[: len(like)]
        return (
            [begun(*both) for both in zip(cut, like, strict=True)] if len(cut) == len(like) else cut
        )
    return value


def pairs() -> Iterator[Any]:
    """Yield two turns of a conversation each: what is said in the second begins with the first."""
    for path in CAPTURES:
        bodies = [request["body"] for request in recorded(path) if "messages" in request["body"]]
        found = 0
        for one, two in itertools.combinations(bodies, 2):
            said, more = unmarked(one["messages"]), unmarked(two["messages"])
            if len(said) < len(more) and said == more[: len(said)]:
                found += 1
                yield pytest.param(one, two, id=f"{path.stem}-{found}")


@pytest.mark.parametrize("name", TRANSLATED)
@pytest.mark.parametrize(("one", "two"), list(pairs()))
async def test_a_turn_begins_as_the_one_before(
    name: str, one: dict[str, Any], two: dict[str, Any]
) -> None:
    format_ = FORMATS[name]
    with format_.start() as server:
        async with router_for(format_, server) as router:
            for body in (one, two):
                given = {**body, "model": "opus", "stream": False}
                answer = await router.send(Call(Envelope.parse(json.dumps(given).encode()), "opus"))
                assert 200 == answer.head.status
                await answer.aclose()
        first, second = (unmarked(each.json) for each in server.requests)

    assert first == begun(second, first)
