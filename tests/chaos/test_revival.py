"""Upstreams that are killed and revived under load: nothing is lost that somebody could answer."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
import uvloop
from tests.chaos.client import Client, Reply
from tests.chaos.run import ALL
from tests.chaos.transcript import events_of, problems_of
from tests.cli.program import MASTER_KEY, Served

from llmroute.testing import Answer, FakeUpstream, Received, text

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

CLIENTS = 6
COOLDOWN = 0.4  # seconds
WHILE_DEAD = 150  # answers
ROUNDS = [["one"], ["two"], ["three"], ["one", "two"]] * (20 if ALL else 1)
FLAPS = 10 * (20 if ALL else 1)
PATIENCE = 30.0  # seconds


class Asked(NamedTuple):
    """A call that is over; times are of `time.monotonic`."""

    started: float
    ended: float
    streamed: bool
    reply: Reply

    @property
    def deployment(self) -> str:
        return self.reply.headers[b"x-llmroute-deployment"].decode()

    @property
    def failed_attempts(self) -> int:
        return int(self.reply.headers[b"x-llmroute-attempts"]) - 1


class Load:
    """Clients that ask one thing after another until they are told to stop."""

    def __init__(self, port: int) -> None:
        self.asked: list[Asked] = []
        self._port = port
        self._news = asyncio.Event()
        self._over = False
        self._count = 0

    def stop(self) -> None:
        self._over = True

    async def keep_asking(self) -> None:
        async with Client(self._port, MASTER_KEY) as client:
            while not self._over:
                self._count += 1
                streamed = self._count % 3 == 0
                # No two are one conversation, which would stay where it is.
                said = [{"role": "user", "content": f"question {self._count}"}]
                body = {"model": "any", "max_tokens": 9, "messages": said, "stream": streamed}
                started = time.monotonic()
                reply = await client.ask(json.dumps(body).encode())
                self.asked.append(Asked(started, time.monotonic(), streamed, reply))
                self._news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something holds of what was asked."""
        async with asyncio.timeout(PATIENCE):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    async def goes_on(self, count: int) -> None:
        """Wait until so many more calls are over."""
        goal = len(self.asked) + count
        await self.until(lambda: len(self.asked) >= goal)

    async def reaches(self, names: Iterable[str]) -> None:
        """Wait until each of these has answered a call that begins from now on."""
        now, wanted = time.monotonic(), {*names}
        await self.until(
            lambda: wanted <= {each.deployment for each in self.asked if each.started > now}
        )


class Kill(NamedTuple):
    """While an upstream died; times are of `time.monotonic`."""

    started: float
    ended: float


class Round(NamedTuple):
    """Some upstreams were dead for a while."""

    victims: int
    seconds: float
    calls: int
    failed_attempts: int


def slowly(received: Received) -> Answer:
    """Answer in pieces, so that there is always something to break."""
    answer = text("The upstream is alive and well.")
    if received.json["stream"]:
        return answer.paced(0.002)
    return answer.pieces([1, 50, 150]).paced(0.004)


def is_lost(asked: Asked, kills: list[Kill]) -> str:
    """Say why a call was not served; nothing if it was, or could not be any more."""
    reply = asked.reply
    if reply.status != 200:
        return f"{reply.status} {reply.body!r}"
    if not asked.streamed:
        return "" if json.loads(reply.body)["stop_reason"] == "end_turn" else f"{reply.body!r}"
    problems, events = problems_of(reply.body), events_of(reply.body)
    if problems or events[-1].kind != "error":
        return f"{problems} in {reply.body!r}" if problems else ""
    if not any(event.kind == "content_block_delta" for event in events):
        return f"ended in an error before anything was said: {reply.body!r}"
    somebody_died = any(asked.started < kill.ended and kill.started < asked.ended for kill in kills)
    return "" if somebody_died else f"ended in an error although nobody died: {reply.body!r}"


async def kill(upstream: FakeUpstream) -> Kill:
    """Break every connection, and take no more."""
    started = time.monotonic()
    await asyncio.to_thread(upstream.stop)
    return Kill(started, time.monotonic())


async def revive(upstream: FakeUpstream) -> None:
    """Start again on the same port, which a connection of somebody else's may hold for a moment."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                upstream.start()
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return


async def live_through(
    upstreams: Mapping[str, FakeUpstream], port: int
) -> tuple[list[Asked], list[Round], list[Kill]]:
    """Kill and revive under load; return the calls, the rounds, and when somebody was killed."""
    load = Load(port)
    rounds = []
    kills = []
    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(load.keep_asking())
        await load.reaches(upstreams)
        for names in ROUNDS:
            kills += [await kill(upstreams[name]) for name in names]
            dead_at = time.monotonic()
            await load.goes_on(WHILE_DEAD)
            reviving_at = time.monotonic()
            among = [each for each in load.asked if dead_at < each.started]
            for name in names:
                await revive(upstreams[name])
            await load.reaches(names)
            failed = sum(each.failed_attempts for each in among)
            rounds.append(Round(len(names), reviving_at - dead_at, len(among), failed))
        for number in range(FLAPS):
            name = ("one", "two")[number % 2]
            kills.append(await kill(upstreams[name]))
            await load.goes_on(CLIENTS)
            await revive(upstreams[name])
        await load.reaches(upstreams)
        load.stop()
    return load.asked, rounds, kills


def test_no_call_is_lost_while_upstreams_die_and_return(
    serve: Callable[[Mapping[str, Any]], Served], say: Callable[[str], None]
) -> None:
    with ExitStack() as stack:
        upstreams = {}
        for name in ("one", "two", "three"):
            upstreams[name] = FakeUpstream(port=free_port(), keep=0)
            upstreams[name].answer_with(slowly)
            stack.enter_context(upstreams[name])
        proxy = serve(
            {
                "deployments": {
                    name: {"provider": "anthropic", "base_url": each.url, "api_key": "k"}
                    for name, each in upstreams.items()
                },
                "aliases": {"any": [*upstreams]},
                "routing": {"strategy": "weighted", "cooldown": COOLDOWN},
                "server": {"master_key": MASTER_KEY, "port": 0},
            }
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            asked, rounds, kills = runner.run(live_through(upstreams, proxy.port))

    lost = [why for each in asked if (why := is_lost(each, kills))]
    cut = sum(each.streamed and b"event: error" in each.reply.body for each in asked)
    failed = sum(each.failed_attempts for each in rounds)
    seconds = asked[-1].ended - asked[0].started
    summary = (
        f"{len(kills)} deaths: {len(asked)} calls in {seconds:.1f} s; {len(lost)} lost, {cut} cut "
        f"in what they said; of {sum(each.calls for each in rounds)} while some were dead for "
        f"long, {failed} attempts were at the dead"
    )
    assert not lost, "\n".join([summary, *lost[:5]])
    for each in rounds:
        # Calls that were under way together, then one probe a cooldown.
        assert each.failed_attempts <= each.victims * (CLIENTS + each.seconds / COOLDOWN), summary
    say("revival: " + summary)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
