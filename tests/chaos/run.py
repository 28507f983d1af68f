"""Asks the proxy many things at once, of an upstream that breaks."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import uvloop
from tests.chaos.breaking import MANNERS, Breaking, Framing, Manner, Play, Wire, broken
from tests.chaos.client import Client, Reply
from tests.cli.program import MASTER_KEY, Served

from llmroute.testing import Answer
from llmroute.testing.answer import Request

__all__ = ["ALL", "Case", "Source", "cases", "config_for", "judge_error", "pieces_of", "run"]

ALL: Final = bool(os.environ.get("CHAOS_ALL"))
"""Whether every byte gets its turn, in place of a sample."""

PATIENT, IMPATIENT = "claude-chaos", "claude-stall"
# So soon that the upstream's silence is filled with pings before it is over.
SILENCE, PING_AFTER = 0.4, 0.15  # seconds

# A stalled call costs time and nothing else.
_AT_ONCE: Final = {False: 16, True: 64}
_SHOWN = 12

_CASE = re.compile(rb"case (\d+)\b")


class Source(NamedTuple):
    """What the first upstream would have said, had nothing gone wrong.

    Attributes:
        name: For people.
        pieces: The answer's body; `MODEL` in it stands for the model that was asked for.
    """

    name: str
    pieces: tuple[bytes, ...]


MODEL = b"{{model}}"


class Case(NamedTuple):
    """One call, and what goes wrong with it.

    Attributes:
        source: The first upstream's answer.
        framing: How HTTP tells its end.
        manner: What goes wrong.
        at: After how many bytes on the wire.
        is_alone: Whether there is no second deployment.
    """

    source: Source
    framing: Framing
    manner: Manner
    at: int
    is_alone: bool

    @property
    def model(self) -> str:
        name = IMPATIENT if self.manner == "stall" else PATIENT
        return f"{name}-{'alone' if self.is_alone else 'again'}"

    @property
    def pieces(self) -> list[bytes]:
        """The answer's body, as it was meant to be."""
        return [piece.replace(MODEL, self.model.encode()) for piece in self.source.pieces]

    def __str__(self) -> str:
        end = "alone" if self.is_alone else "of two"
        return f"{self.source.name}, {self.framing}, {self.manner} at {self.at}, {end}"


def pieces_of(answer: Answer, *, stream: bool) -> tuple[bytes, ...]:
    """Return what the fake upstream would write as the body of an answer."""
    asked = Request(MODEL.decode(), stream, "msg_chaos", "req_chaos")
    return tuple(answer.script(asked).pieces)


def cases(
    sources: Iterable[Source], framings: Sequence[Framing], content_type: str, *, random_places: int
) -> list[Case]:
    """Return what is to be tried.

    Where HTTP frames the body in the first way that is every byte, or in a sample what is around
    every edge; and in every way, random places.  At every other place the first deployment is also
    tried alone.
    """
    found = []
    for source in sources:
        dice = random.Random(source.name)
        for framing in framings:
            shape = Case(source, framing, "close", 0, is_alone=False)
            wire = Wire(shape.pieces, framing, content_type)
            end = len(wire.data)
            places = {dice.randrange(end) for _ in range(random_places)}
            if framing == framings[0]:
                places |= {*range(end + 1)} if ALL else wire.edges()
            found += [
                Case(source, framing, manner, at, is_alone)
                for number, at in enumerate(sorted(places))
                for manner in MANNERS
                # Nothing is missing at the end, so nobody waits.
                if not (manner == "stall" and at == end)
                for is_alone in ((False, True) if number % 2 else (False,))
            ]
    return found


def config_for(port: int) -> dict[str, Any]:
    """Return a configuration in which every call begins at the first upstream."""
    first = {"provider": "anthropic", "base_url": f"http://127.0.0.1:{port}/first", "api_key": "k"}
    limits = dict.fromkeys(("timeout", "stream_timeout", "silence_timeout"), SILENCE)
    return {
        "deployments": {
            "first": first,
            "first-impatient": first | limits,
            "second": first | {"base_url": f"http://127.0.0.1:{port}/second"},
        },
        "aliases": {
            f"{PATIENT}-again": ["first", "second"],
            f"{PATIENT}-alone": "first",
            f"{IMPATIENT}-again": ["first-impatient", "second"],
            f"{IMPATIENT}-alone": "first-impatient",
        },
        # What one call learns must not help the next.
        "routing": {"retries": 0, "cooldown": 0},
        "server": {"master_key": MASTER_KEY, "port": 0, "ping_after": PING_AFTER},
    }


class Outcome(NamedTuple):
    """What became of a case: a word for the summary, or what is wrong with it."""

    word: str
    problem: str = ""


Judge = Callable[[Case, Reply, bytes, bytes], Outcome]
"""Judges a case by the reply, the body that the first upstream sent, and what could be read of it
where junk came with it."""


def run(
    tried: Sequence[Case],
    judge: Judge,
    second: Callable[[str], Sequence[bytes]],
    serve: Callable[[Mapping[str, Any]], Served],
    *,
    content_type: str,
    stream: bool,
) -> str:
    """Try every case; return a line that sums it up.

    Raises:
        AssertionError: With some of the cases that went wrong.
    """
    started = time.monotonic()
    dice = random.Random(len(tried))
    plays: dict[int, Play] = {}
    counts: Counter[str] = Counter()
    wrong: list[tuple[Case, str]] = []

    def choose(path: bytes, body: bytes) -> Play:
        found = _CASE.search(body)
        assert found is not None, body
        number = int(found[1])
        if path.startswith(b"/first"):
            # One that the proxy has given up by now is nobody's any more.
            return plays.get(number, Play((), "close"))
        whole = Wire(second(tried[number].model), "chunked", content_type)
        return Play((whole.data,), "keep")

    async def ask(numbers: list[int], port: int) -> None:
        async with Client(port, MASTER_KEY) as client:
            while numbers:
                number = numbers.pop()
                case = tried[number]
                wire = Wire(case.pieces, case.framing, content_type)
                plays[number], read = broken(
                    wire,
                    case.at,
                    case.manner,
                    lambda body, framing=case.framing: Wire([body], framing, content_type),
                    dice,
                )
                try:
                    reply = await client.ask(_question(case.model, number, stream=stream))
                    outcome = judge(case, reply, wire.sent(case.at), read)
                except Exception as error:  # noqa: BLE001 - whatever it is, the case went wrong
                    outcome = Outcome("", f"{type(error).__name__}: {error}")
                del plays[number]
                if outcome.problem:
                    wrong.append((case, outcome.problem))
                counts[outcome.word or "wrong"] += 1

    async def all_of_them() -> None:
        async with Breaking(choose) as upstream:
            proxy = await asyncio.to_thread(serve, config_for(upstream.port))
            for stalls in (False, True):
                numbers = [
                    at for at, each in enumerate(tried) if (each.manner == "stall") is stalls
                ]
                dice.shuffle(numbers)
                async with asyncio.TaskGroup() as group:
                    for _ in range(_AT_ONCE[stalls]):
                        group.create_task(ask(numbers, proxy.port))
        assert upstream.left_open == 0, "stalled connections were not given up"

    # No test of anyio's: whether an event loop is blocked is nothing to look for here.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_of_them())
    seconds = time.monotonic() - started
    places = {(case.source.name, case.framing, case.at) for case in tried}
    summary = (
        f"{len({case.source.name for case in tried})} answers broken at {len(places)} places in "
        f"{len(MANNERS)} manners: {len(tried)} calls in {seconds:.1f} s; "
        + ", ".join(f"{count} {word}" for word, count in counts.most_common())
    )
    assert not wrong, "\n".join([summary, *_shown(wrong)])
    return summary


def _shown(wrong: Sequence[tuple[Case, str]]) -> list[str]:
    """Describe some of what went wrong: one of each kind, the most frequent first."""
    kinds = Counter((case.manner, problem[:30]) for case, problem in wrong)
    first = {(case.manner, problem[:30]): f"{case}: {problem}" for case, problem in wrong[::-1]}
    return [f"{count} like {first[kind]}" for kind, count in kinds.most_common(_SHOWN)]


def judge_error(reply: Reply) -> Outcome:
    """Judge an HTTP error in place of an answer."""
    kind = reply.headers.get(b"content-type", b"")
    if reply.status < 500 and reply.status != 429:
        return Outcome("", f"{reply.status}, which the client would not repeat")
    if not kind.startswith(b"application/json") or b'"type":"error"' not in reply.body:
        return Outcome("", f"{reply.status} {kind!r} {reply.body!r}")
    return Outcome("refused")


def _question(model: str, number: int, *, stream: bool) -> bytes:
    messages = [{"role": "user", "content": f"case {number}"}]
    body = {"model": model, "max_tokens": 9, "messages": messages, "stream": stream}
    return json.dumps(body).encode()
