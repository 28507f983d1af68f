"""A session of the client, by one of two doors to the same upstream, and how two of them differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from llmroute.testing import Answer, FakeUpstream, Received, text

from .client import SESSION, Machine, Run, steady
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway

Script: TypeAlias = Callable[[Received], Answer] | Sequence[Answer]
"""What the upstream answers: one after the other, or by request.  Then always `DONE`."""

DONE = text("All done.")
BEARER = {"ANTHROPIC_AUTH_TOKEN": MASTER_KEY}


@dataclass(frozen=True, slots=True)
class Session:
    """What a user does and an upstream answers.

    Attributes:
        turns: The arguments of each run; all are turns of one conversation.
        env: Added to the client's environment.
        credential: The variable that holds the key.
    """

    turns: Sequence[Sequence[str]]
    script: Script = ()
    env: Mapping[str, str] = field(default_factory=dict)
    credential: Mapping[str, str] = field(default_factory=lambda: BEARER)


class Sent(NamedTuple):
    """What of a request the upstream must get unchanged."""

    target: str
    headers: str
    body: str


@dataclass(frozen=True, slots=True)
class Journey:
    """A session that has taken place.

    Attributes:
        received: The upstream's requests, in an order that does not depend on pace: a subagent's
            come last, and token counts, which are asked for at once, by what they count.
    """

    runs: tuple[Run, ...]
    received: tuple[Received, ...]

    def sent(self) -> list[Sent]:
        return [_sent(received) for received in self.received]

    @property
    def result(self) -> str:
        return self.runs[-1].result


def straight(machine: Machine, session: Session) -> Journey:
    """Let the client talk to the upstream itself."""
    with FakeUpstream() as upstream:
        return _travel(machine, session, upstream, upstream.url)


def routed(machine: Machine, session: Session, prefix: str = "") -> Journey:
    """Let the client talk to the upstream through llmroute, and see that no key gets astray."""
    with FakeUpstream(api_key=UPSTREAM_KEY) as upstream:
        with Gateway(upstream.url, machine.folder) as gateway:
            journey = _travel(machine, session, upstream, gateway.url + prefix)
        assert "Traceback" not in gateway.log
        assert MASTER_KEY not in gateway.log
        assert UPSTREAM_KEY not in gateway.log
        for received in journey.received:
            assert MASTER_KEY not in str(received.headers)
        return journey


def _travel(machine: Machine, session: Session, upstream: FakeUpstream, url: str) -> Journey:
    upstream.default = DONE
    if callable(session.script):
        upstream.answer_with(session.script)
    else:
        upstream.answer(*session.script)
    machine.wipe()
    runs: list[Run] = []
    for turn in session.turns:
        same = ("--resume", SESSION) if runs else ("--session-id", SESSION)
        runs.append(machine.run(url, {**session.credential, **session.env}, *turn, *same))
    return Journey(tuple(runs), tuple(sorted(upstream.requests, key=_place)))


def _place(received: Received) -> tuple[bool, bytes]:
    is_count = received.path.endswith("/count_tokens")
    return is_of_a_subagent(received), received.body if is_count else b""


def is_of_a_subagent(received: Received) -> bool:
    return b"cc_is_subagent=true" in received.body


def _sent(received: Received) -> Sent:
    headers = sorted(
        f"{name.lower()}: {value}"
        for name, value in received.headers
        if name.lower().startswith("anthropic-")
    )
    return Sent(
        f"{received.method} {received.path}?{received.query}",
        "\n".join(headers),
        steady(received.body.decode()),
    )


def differences(expected: Sequence[Sequence[str]], actual: Sequence[Sequence[str]]) -> list[str]:
    """Say briefly where two lists of texts, or of groups of texts, differ."""
    found = []
    if len(expected) != len(actual):
        found.append(f"{len(expected)} became {len(actual)}")
    for number, pair in enumerate(zip(expected, actual, strict=False)):
        groups = [[item] if isinstance(item, str) else item for item in pair]
        for before, after in zip(*groups, strict=True):
            if before != after:
                found.append(f"{number}: {_first_difference(before, after)}")
    return found


def _first_difference(before: str, after: str) -> str:
    pairs = zip(before, after, strict=False)
    shorter = min(len(before), len(after))
    at = next((place for place, (a, b) in enumerate(pairs) if a != b), shorter)
    around = slice(max(0, at - 60), at + 60)
    return f"at {at}, {before[around]!r} became {after[around]!r}"
