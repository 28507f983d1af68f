"""What people do all day: sessions of a coding agent, drawn from a seed.

A session is a person's turns.  Each begins after a pause for thought and is a chain of requests
with tools run in between; the prompt grows by what was said and read, until it is compacted.  Now
and then a turn sends out subagents, each with a conversation of its own.  The shapes, pauses that
are mostly short and sometimes long, and prompts that are large and read again and again, are what
a prompt cache of five minutes meets; the numbers are assumptions, and stand here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Request", "Session", "session"]

# Tokens of tools and system prompt, which all sessions have in common, and of a subagent's.
_COMMON, _COMMON_OF_AGENTS = 18_000, 9_000
# A prompt that grew to this is compacted, to about so much.
_FULL, _COMPACTED = 160_000, 12_000
# Every fifth account has caches that live for an hour.
_HOUR_SHARE = 0.2
_AGENT_SHARE = 0.08  # of the turns
_SIDE_SHARE = 0.15  # of the turns: a title, a summary; short, unstreamed and not cached
_LONGEST_PAUSE = 2_400.0  # seconds


class Request(NamedTuple):
    """One request, as it would be if nothing failed.

    Attributes:
        key: Names it in every run of the same seed.
        session: The session's id.
        agent: The subagent's id; empty in the main conversation.
        pause: Seconds between the answer before it and the request.
        common: Which prefix it shares with other sessions, and its tokens.
        own: Which prefix is this conversation's, and its tokens; what a cache may hold of it.
        output: Tokens of the answer.
        think: Seconds an upstream takes to the first content, besides reading the prompt.
        write: Seconds from there to the end.
        lifetime: Seconds that what it writes to a cache lives; 0 if it writes nothing.
        stream: Whether the answer is streamed.
        agents: Conversations that are led after the answer, at the same time, before the next
            request goes out.
    """

    key: str
    session: str
    agent: str
    pause: float
    common: tuple[str, int]
    own: tuple[str, int]
    output: int
    think: float
    write: float
    lifetime: float
    stream: bool = True
    agents: tuple[tuple[Request, ...], ...] = ()


class Session(NamedTuple):
    """A person at work: when they start, and what is asked one after the other."""

    start: float
    requests: tuple[Request, ...]


def session(seed: int, number: int, day: float) -> Session:
    """Draw a session.  It starts in the first nine tenths of a day of `day` seconds."""
    draw = random.Random(f"{seed}:{number}")  # noqa: S311 -- repeatable, not secret
    lifetime = 3600.0 if draw.random() < _HOUR_SHARE else 300.0
    start = draw.random() * 0.9 * day
    return Session(start, tuple(_requests(draw, f"s{number}", lifetime)))


def _requests(draw: random.Random, name: str, lifetime: float) -> Iterator[Request]:
    tokens, compactions, at = round(_around(draw, 3_000, 0.6)), 0, 0
    for turn in range(1 + min(12, round(draw.expovariate(1 / 4)))):
        pause = 0.0 if turn == 0 else min(_around(draw, 45, 1.3), _LONGEST_PAUSE)
        if draw.random() < _SIDE_SHARE:
            yield _side(draw, f"{name}.{turn}.side", name, pause)
            pause = 0.0
        for step in range(1 + min(8, round(draw.expovariate(1 / 2.5)))):
            agents: tuple[tuple[Request, ...], ...] = ()
            if step == 0 and draw.random() < _AGENT_SHARE:
                agents = tuple(
                    tuple(_agent(draw, f"{name}.{turn}", name, number, lifetime))
                    for number in range(draw.choice((1, 1, 2, 3)))
                )
            output = round(min(_around(draw, 300, 0.9), 8_000))
            yield Request(
                key=f"{name}.{at}",
                session=name,
                agent="",
                pause=pause if step == 0 else _around(draw, 1.5, 1.0),
                common=("main", _COMMON),
                own=(f"{name}/{compactions}", tokens),
                output=output,
                think=_around(draw, 1.2, 0.4),
                write=output / 80,
                lifetime=lifetime,
                agents=agents,
            )
            at += 1
            tokens += output + round(min(_around(draw, 1_200, 1.1), 30_000))
            if tokens > _FULL:
                tokens, compactions = _COMPACTED, compactions + 1


def _agent(
    draw: random.Random, turn: str, session: str, number: int, lifetime: float
) -> Iterator[Request]:
    agent = f"{turn}.a{number}"
    tokens = round(_around(draw, 1_500, 0.5))
    for step in range(2 + min(8, round(draw.expovariate(1 / 3)))):
        output = round(min(_around(draw, 250, 0.8), 4_000))
        yield Request(
            key=f"{agent}.{step}",
            session=session,
            agent=agent,
            pause=_around(draw, 1.0, 1.0),
            common=("agent", _COMMON_OF_AGENTS),
            own=(agent, tokens),
            output=output,
            think=_around(draw, 1.0, 0.4),
            write=output / 80,
            lifetime=lifetime,
        )
        tokens += output + round(min(_around(draw, 1_800, 1.0), 30_000))


def _side(draw: random.Random, key: str, session: str, pause: float) -> Request:
    return Request(
        key=key,
        session=session,
        agent="",
        pause=pause,
        common=("", 0),
        own=("", round(_around(draw, 900, 0.5))),
        output=40,
        think=_around(draw, 0.8, 0.3),
        write=0.5,
        lifetime=0.0,
        stream=False,
    )


def _around(draw: random.Random, median: float, spread: float) -> float:
    """Draw from a log-normal distribution: most near the median, a few far above."""
    return median * math.exp(draw.gauss(0.0, spread))
