"""The real Claude Code works through whole sessions while deployments die and return.

What the person sees is compared with the same session held straight with one sound upstream.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import pytest

from llmroute.testing import (
    Answer,
    FakeBedrock,
    FakeUpstream,
    Received,
    error,
    message,
    raw,
    text,
    thinking,
    tool_use,
)

from .client import SESSION, Machine, Run
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway, free_port
from .journey import BEARER, Session, differences, is_of_a_subagent, straight

pytestmark = [pytest.mark.claude, pytest.mark.timeout(120)]

HI = ("-p", "Say hi.")
RUN = ("-p", "Run it.", "--allowedTools", "Bash")
DELEGATE = ("-p", "Delegate it.", "--allowedTools", "Bash")
AGAIN = ("-p", "And again.")
WHOLE = (HI, RUN, DELEGATE, AGAIN)
CALLS = 8
"""How many requests the client makes for them."""

NAMES = ("one", "two", "three")
# A prompt cache that is worth staying for.
_CACHED = {"cache_read_input_tokens": 20_000}
_TASK = {"description": "look", "prompt": "Look.", "subagent_type": "general-purpose"}
_REQUEST_ID = re.compile(r'"request_id": "[^"]*"')
_STALLED = 1.0  # seconds without content, after which another deployment is asked


def converse(received: Received) -> Answer:
    """Answer a turn by what has been said: whoever is asked says the same."""
    body = received.body
    if is_of_a_subagent(received):
        if b"toolu_look" in body:
            return _said("msg_report", "I have looked.")
        return _said("msg_look", tool_use("Bash", {"command": "echo a look"}, id="toolu_look"))
    if b"Delegate it." in body and b"toolu_agent" not in body:
        task = {**_TASK, "run_in_background": False}
        return _said("msg_delegate", tool_use("Agent", task, id="toolu_agent"))
    if b"Run it." in body and b"toolu_run" not in body:
        command = tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="toolu_run")
        return _said("msg_run", thinking("A command."), "I run it.", command)
    return _said("msg_done", thinking("Nothing is left."), "All done.")


def _said(identity: str, *parts: Any) -> Answer:
    return message(parts, id=identity, usage=_CACHED)


class House:
    """Deployments that serve one alias, the proxy before them, and a session of the client.

    Attributes:
        upstreams: By the deployment's name.
        disturb: Asked for each request, with the deployment's name, what goes wrong with it;
            `None` for nothing.
    """

    def __init__(
        self, machine: Machine, third: type[FakeUpstream] = FakeUpstream, **alias: Any
    ) -> None:
        kinds = (FakeUpstream, FakeUpstream, third)
        self.upstreams = {name: _upstream(kind) for name, kind in zip(NAMES, kinds, strict=True)}
        self.disturb: Callable[[str, Received], Answer | None] = lambda *_: None
        self._machine = machine
        self._alias = alias
        self.alive: set[str] = set()
        self._runs: list[Run] = []

    def __enter__(self) -> Self:
        self._machine.wipe()
        with ExitStack() as stack:
            for name, upstream in self.upstreams.items():
                upstream.answer_with(partial(self._answer, name))
                stack.callback(self.stop, name)
                self.start(name)
            deployments = {name: _settings(it) for name, it in self.upstreams.items()}
            config = {
                "deployments": deployments,
                "aliases": {"claude-*": {"deployments": [*deployments], **self._alias}},
                "routing": {"cooldown": 0.3, "longest_cooldown": 1.0, "backoff": 0.2},
                "server": {"master_key": MASTER_KEY, "log": "json"},
            }
            gateway = Gateway("", self._machine.folder, json.dumps(config))
            self._gateway = stack.enter_context(gateway)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            assert "Traceback" not in self._gateway.log
            assert MASTER_KEY not in self._gateway.log
            assert UPSTREAM_KEY not in self._gateway.log

    def _answer(self, name: str, received: Received) -> Answer:
        return self.disturb(name, received) or converse(received)

    def stop(self, name: str) -> None:
        """Let a deployment die: its connections close, and new ones are refused."""
        if name in self.alive:
            self.alive.remove(name)
            assert [] == self.upstreams[name].stop()

    def start(self, name: str) -> None:
        if name not in self.alive:
            self.upstreams[name].start()
            self.alive.add(name)

    def turn(self, arguments: Sequence[str]) -> Run:
        """Have the client take one more turn of the session."""
        same = ("--resume", SESSION) if self._runs else ("--session-id", SESSION)
        self._runs.append(self._machine.run(self._gateway.url, BEARER, *arguments, *same))
        return self._runs[-1]

    def calls(self) -> list[dict[str, Any]]:
        """Return what the proxy wrote down of each call that is over."""
        lines = [line for line in self._gateway.log.splitlines() if line.startswith("{")]
        return [call for call in map(json.loads, lines) if call.get("endpoint") == "messages"]

    def requests(self) -> list[Received]:
        return [it for upstream in self.upstreams.values() for it in upstream.requests if it.body]


def _upstream(kind: type[FakeUpstream]) -> FakeUpstream:
    """Make an upstream that returns to where it was."""
    port = free_port()
    return kind(port=port) if kind is FakeBedrock else kind(port=port, api_key=UPSTREAM_KEY)


def _settings(upstream: FakeUpstream) -> dict[str, Any]:
    settings = {"base_url": upstream.url, "stream_timeout": _STALLED}
    if not isinstance(upstream, FakeBedrock):
        return {"provider": "anthropic", "api_key": UPSTREAM_KEY, **settings}
    return {
        "provider": "bedrock",
        "region": upstream.region,
        "model": "us.anthropic.claude-opus-5-5",
        "access_key_id": "AKIAFAKE",
        "secret_access_key": "fake-secret",
        **settings,
    }


class Faults:
    """Makes the first two attempts at each call fail, wherever they are made, until none is left.

    Attributes:
        left: Those that are still to come.
    """

    def __init__(self, *faults: Answer) -> None:
        self.left = [*faults]
        self._met: Counter[Any] = Counter()
        self._lock = threading.Lock()

    def __call__(self, name: str, received: Received) -> Answer | None:
        messages = received.json["messages"]
        turns = sum(message["role"] == "assistant" for message in messages)
        call = is_of_a_subagent(received), turns
        with self._lock:
            if not self.left or self._met[call] == 2:
                return None
            self._met[call] += 1
            return self.left.pop(0)


def shown(run: Run) -> list[str]:
    """Return what is printed, less the number that one upstream gave a request."""
    return [_REQUEST_ID.sub("request_id", line) for line in run.printed()]


def shows_no_error(run: Run) -> bool:
    printed = json.dumps(run.events) + run.stderr
    return (0, False, False) == (run.status, run.events[-1]["is_error"], "API Error" in printed)


# A 401 comes last: its deployment is left alone until somebody has mended its key.
BEFORE_CONTENT = [
    error(529),
    DROPPED := text("Lost.").drop(),
    error(429, retry_after=1),
    DROPPED.drop(reset=True),
    text("Lost.").fail("overloaded_error", "busy", after_events=0),
    text("Lost.").late(),
    error(500),
    text("Lost.").cut(after_events=0),
    text("Lost.").fail("api_error", "broken", after_events=1),
    text("Lost.").stall(after_events=1),
    error(503),
    text("Lost.").cut(after_events=1, reset=True),
    raw(502, [("content-type", "text/html")], b"<h1>Bad gateway</h1>"),
    text("Lost.").end(after_events=1),
    error(529, retry_after=30),
    error(401, message="invalid x-api-key"),
]


def test_what_goes_wrong_before_the_content_is_seen_by_nobody(machine: Machine) -> None:
    expected = straight(machine, Session(WHOLE, converse))
    with House(machine, FakeBedrock) as house:
        house.disturb = faults = Faults(*BEFORE_CONTENT)
        runs = [house.turn(turn) for turn in WHOLE]
        calls, requests = house.calls(), house.requests()

    assert CALLS == len(expected.received)
    assert [] == faults.left
    # The client has asked for nothing twice.
    assert [("answered", 200)] * CALLS == [(each["outcome"], each["status"]) for each in calls]
    assert CALLS + len(BEFORE_CONTENT) == len(requests)
    # Bedrock held the session until its key was refused.
    assert {"three"} < {each["deployment"] for each in calls}
    # Bedrock is not told.
    assert {"0"} == {each.header("x-stainless-retry-count") for each in requests} - {None}
    for before, after in zip(expected.runs, runs, strict=True):
        assert [] == differences(shown(before), shown(after))


def test_whoever_holds_the_session_dies_and_another_goes_on(machine: Machine) -> None:
    with House(machine) as house:

        def die(name: str, received: Received) -> Answer | None:
            """Die with the next request, unless one is dead already."""
            if len(house.alive) < 3:
                return None
            house.alive.remove(name)
            dying.append(threading.Thread(target=house.upstreams[name].stop))
            dying[-1].start()
            return text("Lost.").late()

        dying: list[threading.Thread] = []
        deaths: list[str] = []
        runs: list[Run] = []
        for number, turn in enumerate(WHOLE):
            # Between two calls of the client, and under one by turns.
            if number % 2:
                house.disturb = die
            elif runs:
                house.stop(house.calls()[-1]["deployment"])
            runs.append(house.turn(turn))
            house.disturb = lambda *_: None
            for thread in dying:
                thread.join(5)
            dead = {*NAMES} - house.alive
            deaths += dead
            for name in dead:
                house.start(name)
        calls, requests = house.calls(), house.requests()

    assert 3 == len(deaths)
    assert ["All done."] * 4 == [run.result for run in runs]
    assert all(map(shows_no_error, runs))
    assert [("answered", 200)] * CALLS == [(each["outcome"], each["status"]) for each in calls]
    assert {"0"} == {each.header("x-stainless-retry-count") for each in requests}
    assert 1 < len({each["deployment"] for each in calls})


def test_when_nobody_is_left_the_client_waits_until_somebody_returns(machine: Machine) -> None:
    with House(machine) as house:

        def return_after(failures: int) -> None:
            until = time.monotonic() + 20
            while len(house.calls()) < 1 + failures and time.monotonic() < until:
                time.sleep(0.02)
            house.start("three")

        house.turn(HI)
        for name in NAMES:
            house.stop(name)
        returning = threading.Thread(target=return_after, args=[2])
        returning.start()
        run = house.turn(RUN)
        returning.join(20)
        calls = house.calls()

    assert "All done." == run.result
    assert shows_no_error(run)
    outcomes = [each["outcome"] for each in calls]
    assert ["failed", "failed"] == outcomes[1:3]
    assert ["answered", "answered"] == outcomes[-2:]
    assert 2 <= len(run.retries) == outcomes.count("failed")


WORDS = text("Hello there.").paced(0.02)
COMMAND = tool_use("Bash", {"command": "echo lost"}, id="toolu_lost").paced(0.02)


BREAKS = (
    WORDS.cut(after_events=5),
    WORDS.cut(after_events=5, reset=True),
    WORDS.end(after_events=5),
    WORDS.fail("overloaded_error", "busy", after_events=5),
    COMMAND.cut(after_events=5),
)


def test_the_client_gets_over_what_breaks_in_mid_answer(machine: Machine) -> None:
    with House(machine) as house:
        runs = []
        for broken in BREAKS:
            coming = [broken]
            house.disturb = lambda *_, coming=coming: coming.pop() if coming else None
            runs.append(house.turn(AGAIN))
        calls = house.calls()

    assert ["All done."] * len(BREAKS) == [run.result for run in runs]
    assert all(map(shows_no_error, runs))
    # It asks once more by itself; what it has been told is never gone on with by somebody else.
    assert ["broken", "answered"] * len(BREAKS) == [each["outcome"] for each in calls]
    assert {1} == {each["attempts"] for each in calls}


def test_a_session_and_its_subagent_keep_to_a_deployment_each(machine: Machine) -> None:
    with House(machine, strategy="weighted") as house:

        def elsewhere(name: str, received: Received) -> Answer | None:
            """Keep the subagent from where the session is, which no cooldown follows."""
            is_first = b"toolu_look" not in received.body
            if is_of_a_subagent(received) and is_first and name == home:
                return error(409)
            return None

        runs = [house.turn(HI)]
        home = house.calls()[0]["deployment"]
        house.disturb = elsewhere
        runs += [house.turn(turn) for turn in (RUN, DELEGATE, AGAIN)]
        calls = house.calls()

    assert ["All done."] * 4 == [run.result for run in runs]
    assert {SESSION} == {each["session"] for each in calls}
    assert {home} == {each["deployment"] for each in calls if not each["agent"]}
    # Its second request could go anywhere.
    first, second = (each["deployment"] for each in calls if each["agent"])
    assert first == second != home
