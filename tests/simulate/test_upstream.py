import asyncio
import json

import pytest

from bench.simulate.loop import run
from bench.simulate.sessions import Request
from bench.simulate.upstream import Bill, World
from bench.simulate.weather import Failure
from llmroute.errors import StreamBrokenError, UnreachableError
from llmroute.pricing import tariff
from llmroute.transport import Timeouts

MODEL = "claude-opus-5-5"
TIMEOUTS = Timeouts(10.0, 60.0, 30.0)
REQUEST = Request(
    key="one",
    session="s",
    agent="",
    pause=0.0,
    common=("main", 10_000),
    own=("s/0", 2_000),
    output=100,
    think=1.0,
    write=25.0,
    lifetime=300.0,
)


class Visitor:
    """Asks a world for what the router would ask it for."""

    def __init__(self, *failures, limit=1_000_000.0):
        self.clock = asyncio.get_running_loop().time
        self.world = World(
            ["east", "west"],
            seed=1,
            weather=failures,
            day=1_000.0,
            limit=limit,
            bill=Bill(tariff("anthropic", MODEL)),
            clock=self.clock,
        )

    async def ask(self, request=REQUEST, deployment="east"):
        """Return the status, the headers and the whole body."""
        self.world.expect(request)
        body = [json.dumps({"messages": [{"role": "user", "content": request.key}]}).encode()]
        url = f"https://{deployment}.invalid/v1/messages"
        try:
            reply = await self.world.send("POST", url, [], body, TIMEOUTS)
            data = b""
            while piece := await reply.receive():
                data += piece
        finally:
            self.world.forget(request)
        return reply.status, dict(reply.headers), data

    async def usage(self, request=REQUEST, deployment="east"):
        """Return what was read from the cache and what was written to it."""
        _, _, data = await self.ask(request, deployment)
        start = json.loads(data.split(b"data: ")[1].partition(b"\n")[0])
        usage = start["message"]["usage"]
        return usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]


def in_a_world(test, *failures, **options):
    async def main():
        return await test(Visitor(*failures, **options))

    return run(main)


def test_a_prompt_is_written_to_the_cache_and_read_from_it_while_that_lives():
    async def main(visitor):
        longer = REQUEST._replace(own=("s/0", 5_000))
        usages = [await visitor.usage(), await visitor.usage(longer)]
        await asyncio.sleep(301)
        return [*usages, await visitor.usage(longer)]

    assert [(0, 12_000), (12_000, 3_000), (0, 15_000)] == in_a_world(main)


def test_another_session_reads_what_all_have_in_common():
    async def main(visitor):
        await visitor.ask()
        return await visitor.usage(REQUEST._replace(own=("other", 700)))

    assert (10_000, 700) == in_a_world(main)


def test_each_deployment_has_a_cache_of_its_own():
    async def main(visitor):
        await visitor.ask()
        return await visitor.usage(deployment="west")

    assert (0, 12_000) == in_a_world(main)


def test_an_hour_of_cache_outlives_five_minutes_and_costs_more():
    async def main(visitor):
        await visitor.ask(REQUEST._replace(lifetime=3600.0))
        await asyncio.sleep(1_000)
        return visitor.world.bill.cost, await visitor.usage()

    # 3 tokens of input at 4, 12,000 written for an hour at 8, 100 of output at 20.
    assert (98_012, (12_000, 0)) == in_a_world(main)


def test_an_answer_is_charged_once_and_one_that_broke_for_its_prompt():
    async def main(visitor):
        await visitor.ask()
        whole = visitor.world.bill.cost
        with pytest.raises(StreamBrokenError):
            await visitor.ask(REQUEST._replace(think=31.0, own=("s/1", 2_000)))
        return whole, visitor.world.bill.cost - whole

    # Read: 10,000 at 0.2; written: 2,000 at 5.
    assert (62_012, 12_012) == in_a_world(main)


def test_more_new_tokens_than_the_limit_allows_are_refused_until_there_is_room():
    async def main(visitor):
        await visitor.ask()
        refused, headers, _ = await visitor.ask()
        elsewhere, _, _ = await visitor.ask(deployment="west")
        await asyncio.sleep(int(headers[b"retry-after"]) - 28)
        early, _, _ = await visitor.ask()
        await asyncio.sleep(28)
        later, _, _ = await visitor.ask()
        return refused, elsewhere, early, later

    assert (429, 200, 429, 200) == in_a_world(main, limit=6_000.0)


@pytest.mark.parametrize(
    ("kind", "raised", "seconds"),
    [
        pytest.param("refusing", UnreachableError, 0.05, id="refused at once"),
        pytest.param("unreachable", UnreachableError, 10.05, id="after the connect timeout"),
        # A round trip, 12,003 tokens read at 10,000 a second, and 30 seconds of silence.
        pytest.param("stalling", StreamBrokenError, 31.2503, id="stalled after the first event"),
    ],
)
def test_a_deployment_fails_as_scripted_for_as_long_as_scripted(kind, raised, seconds):
    async def main(visitor):
        with pytest.raises(raised):
            await visitor.ask()
        took = visitor.clock()
        elsewhere, _, _ = await visitor.ask(deployment="west")
        await asyncio.sleep(500)
        later, _, _ = await visitor.ask()
        return took, elsewhere, later, visitor.world.attempts, visitor.world.attempts_while_dead

    took, *rest = in_a_world(main, Failure("east", 0.0, 0.5, kind))

    assert pytest.approx(seconds) == took
    assert [200, 200, 3, 1] == rest


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        pytest.param("throttling", 429, b"rate_limit_error", id="throttled"),
        pytest.param("overloaded", 529, b"overloaded_error", id="overloaded"),
        pytest.param("spent", 429, b"enforced_spend_limit_reached", id="spent"),
    ],
)
def test_a_deployment_refuses_in_the_words_of_the_api(kind, status, said):
    async def main(visitor):
        return await visitor.ask()

    answered, headers, data = in_a_world(main, Failure("east", 0.0, 1.0, kind))

    assert status == answered
    assert said in data
    assert (kind == "throttling") == (b"retry-after" in headers)


def test_a_slow_deployment_answers_eight_times_as_late():
    async def main(visitor):
        await visitor.ask()
        return visitor.clock()

    usual, slow = in_a_world(main), in_a_world(main, Failure("east", 0.0, 1.0, "slow"))

    assert pytest.approx(7 * REQUEST.think) == slow - usual
