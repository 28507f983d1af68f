"""Counters shared through Redis: together, alone while it is away, and together again."""

import asyncio
import logging
import sys
import threading

import anyio
import fakeredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from llmroute.errors import ConfigError
from llmroute.stores import Memory, open_counters
from llmroute.stores._conversation import Place
from llmroute.stores.redis import RedisCounters
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0


class Manipulated:
    """A client whose pipelines can be held, changed and broken.

    Attributes:
        go_on: Each pipeline that has its replies waits until it is set.
        sent: The commands of each pipeline.
        broken: Raised once, in place of the replies.
        replies: Given once, in their place.
    """

    def __init__(self, client):
        self._client = client
        self.connection_pool = client.connection_pool
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.reached = asyncio.Event()
        self.sent = []
        self.broken = None
        self.replies = None

    def pipeline(self, *, transaction):
        pipeline = self._client.pipeline(transaction=transaction)
        execute = pipeline.execute

        async def manipulated(*, raise_on_error):
            self.sent.append([command[0][0] for command in pipeline.command_stack])
            replies = await execute(raise_on_error=raise_on_error)
            self.reached.set()
            await self.go_on.wait()
            broken, self.broken = self.broken, None
            if broken is not None:
                raise broken
            given, self.replies = self.replies, None
            return replies if given is None else given

        pipeline.execute = manipulated
        return pipeline

    async def last_two(self):
        return self.sent[-2:]

    async def aclose(self):
        await self._client.aclose()


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Together


async def test_what_one_puts_the_other_reads(redis, opened, eventually):
    one, other = opened(redis, "one"), opened(redis, "other")
    one.put("a", b"one's", 60.0)

    await eventually(([b"one's"], []), lambda: other.read(["a"]))


async def test_what_one_drops_is_gone_for_the_other(redis, opened, eventually):
    one, other = opened(redis, "one"), opened(redis, "other")
    one.put("a", b"one's", 60.0)
    await eventually(([b"one's"], []), lambda: other.read(["a"]))
    one.drop("a")

    await eventually(([None], []), lambda: other.read(["a"]))


async def test_the_last_of_two_to_put_prevails(redis, opened, eventually):
    one, other = opened(redis, "one"), opened(redis, "other")
    one.put("a", b"one's", 60.0)
    await eventually(([b"one's"], []), lambda: other.read(["a"]))
    other.put("a", b"other's", 60.0)

    assert ([b"other's"], []) == await other.read(["a"])
    await eventually(([b"other's"], []), lambda: one.read(["a"]))


async def test_sums_are_over_all(redis, opened, eventually):
    one, other = opened(redis, "one"), opened(redis, "other")
    one.add("a", 1, 60.0)
    one.share("a", 20)
    other.add("a", 300, 60.0)
    other.share("a", 4000)

    await eventually(([], [4321]), lambda: one.read([], ["a"]))
    await eventually(([], [4321]), lambda: other.read([], ["a"]))


async def test_a_claim_is_for_one_of_all(redis, opened):
    everyone = [opened(redis, f"process-{number}") for number in range(5)]
    got = [await counters.claim("a", 60.0) for counters in everyone]

    assert [True, False, False, False, False] == got


async def test_a_claim_that_is_given_back_is_free_for_the_other(redis, opened, eventually):
    one, other = opened(redis, "one"), opened(redis, "other")

    assert await one.claim("a", 60.0)
    one.drop("a")
    await eventually(expected=True, question=lambda: other.claim("a", 60.0))
    assert not await one.claim("a", 60.0)


async def test_prefixes_keep_strangers_apart(redis, opened):
    one, other = opened(redis), opened(redis, prefix="another:")
    one.put("a", b"one", 60.0)
    await one.read(["a"])

    assert ([None], []) == await other.read(["a"])
    assert await one.claim("a", 60.0)
    assert await other.claim("a", 60.0)


async def test_a_process_that_closes_takes_back_its_share_and_leaves_the_rest(redis, opened):
    one, other = opened(redis, "one"), opened(redis, "other")
    one.share("a", 3)
    one.add("a", 40, 60.0)
    one.put("a", b"one", 60.0)
    await one.aclose()

    assert ([b"one"], [40]) == await other.read(["a"], ["a"])


async def test_a_read_is_one_pipeline_with_what_was_written_before(pretended, opened):
    client = Manipulated(pretended.client())
    counters = opened(pretended, client=client)
    await counters.read(["a"])
    client.sent.clear()
    counters.put("a", b"one", 60.0)
    counters.put("b", b"two", 60.0)
    counters.put("b", b"three", 60.0)
    await counters.read(["a", "b"], ["c", "d"])

    assert [["SET", "SET", "MGET", "HGETALL", "HGETALL"]] == client.sent


async def test_what_was_put_since_is_newer_than_a_reply(pretended, opened):
    client = Manipulated(pretended.client())
    counters = opened(pretended, client=client)
    counters.put("a", b"old", 60.0)
    await counters.read(["a"])
    client.go_on.clear()
    client.reached.clear()
    read = []

    async def reader():
        read.append(await counters.read(["a"], ["a"]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        await client.reached.wait()
        counters.put("a", b"new", 60.0)
        counters.add("a", 5, 60.0)
        client.go_on.set()

    assert [([b"new"], [5])] == read


async def test_a_reader_that_is_cancelled_disturbs_no_other(pretended, opened):
    client = Manipulated(pretended.client())
    counters = opened(pretended, client=client)
    counters.put("a", b"one", 60.0)
    counters.put("b", b"two", 60.0)
    await counters.read(["a", "b"])
    client.go_on.clear()
    client.reached.clear()
    read = []

    async def reader():
        read.append(await counters.read(["b", "a"]))

    async with anyio.create_task_group() as tasks, anyio.create_task_group() as cancelled:
        cancelled.start_soon(counters.read, ["a", "b"])
        tasks.start_soon(reader)
        await client.reached.wait()
        cancelled.cancel_scope.cancel()
        client.go_on.set()

    assert [([b"two", b"one"], [])] == read
    assert ([b"one"], []) == await counters.read(["a"])


# Shares of processes that die


async def test_a_killed_process_stops_counting(redis, opened):
    clock = Clock(NOW)
    killed = opened(redis, "killed", clock=clock)
    killed.share("a", 3)
    await killed.read([], ["a"])
    other_clock = Clock(NOW)
    other = opened(redis, "other", clock=other_clock)

    assert ([], [3]) == await other.read([], ["a"])
    other_clock.advance(29.9)
    assert ([], [3]) == await other.read([], ["a"])
    other_clock.advance(0.2)
    assert ([], [0]) == await other.read([], ["a"])


async def test_a_process_that_lives_goes_on_counting(redis, opened):
    clock = Clock(NOW)
    one, other = opened(redis, "one", clock=clock), opened(redis, "other", clock=clock)
    one.share("a", 3)
    for _ in range(10):
        clock.advance(10.0)
        await one.read(["anything"])

        assert ([], [3]) == await other.read([], ["a"])


async def test_the_share_of_a_process_long_dead_is_cleared_away(pretended, opened):
    clock = Clock(NOW)
    client = Manipulated(pretended.client())
    counters = opened(pretended, clock=clock, client=client)
    raw = pretended.client()
    await raw.hset("llmroute:s:a", mapping={"dead": f"3 {NOW - 61:.3f}", "ill": f"4 {NOW - 1:.3f}"})
    await raw.hset("llmroute:s:a", mapping={"nonsense": "!"})

    assert ([], [0]) == await counters.read([], ["a"])
    await counters.read([], ["a"])
    assert [b"ill"] == list(await raw.hgetall("llmroute:s:a"))
    await raw.aclose()


# Away


async def test_away_from_the_start_is_being_alone(pretended, opened, caplog):
    pretended.kill()
    counters = opened(pretended)
    counters.put("a", b"one", 60.0)
    counters.add("b", 2, 60.0)
    counters.share("b", 3)

    assert ([b"one", None], [5]) == await counters.read(["a", "b"], ["b"])
    assert await counters.claim("a", 60.0)
    assert not await counters.claim("a", 60.0)
    assert "redis (away)" == counters.status
    assert [
        "Redis at pretended:6379 does not answer, so this process goes on with what it knows:"
        " FakeRedis is emulating a connection error."
    ] == warnings(caplog)


async def test_away_it_goes_on_with_what_it_knew_of_others(redis, opened, eventually):
    one, other = opened(redis, "one"), opened(redis, "other")
    other.put("a", b"other's", 60.0)
    other.add("a", 1, 60.0)
    other.share("a", 20)
    one.add("a", 300, 60.0)
    await eventually(([b"other's"], [321]), lambda: one.read(["a"], ["a"]))
    redis.kill()
    one.add("a", 4000, 60.0)

    assert ([b"other's"], [4321]) == await one.read(["a"], ["a"])


async def test_a_claim_it_got_holds_while_redis_is_away(redis, opened):
    counters = opened(redis)

    assert await counters.claim("a", 60.0)
    redis.kill()
    assert not await counters.claim("a", 60.0)


async def test_back_it_is_told_what_was_written_meanwhile(redis, opened, eventually, caplog):
    one, other = opened(redis, "one"), opened(redis, "other")
    one.put("kept", b"old", 60.0)
    one.share("sum", 3)
    await one.read(["kept"])
    redis.kill()
    await one.read(["kept"])
    one.put("kept", b"new", 60.0)
    one.put("over", b"late", 0.001)
    one.add("sum", 30, 60.0)
    one.add("sum", 10, 60.0)
    one.drop("never there")
    redis.start()

    await eventually(([b"new", None], [43]), lambda: other.read(["kept", "over"], ["sum"]))
    assert ([b"new", None], [43]) == await one.read(["kept", "over"], ["sum"])
    # The other may or may not have noticed, but each says it once.
    heard = warnings(caplog)
    assert len([line for line in heard if "does not answer" in line]) in {1, 2}
    assert len([line for line in heard if "answers again" in line]) in {1, 2}


async def test_one_that_has_lost_everything_is_told_what_was_known(pretended, opened, eventually):
    one, raw = opened(pretended, "one"), opened(pretended, "raw")
    one.put("own", b"one's", 60.0)
    one.put("changed", b"old", 60.0)
    one.put("dropped", b"old", 60.0)
    raw.put("learned", b"another's", 60.0)
    await eventually(([b"another's"], []), lambda: one.read(["learned"]))
    pretended.kill()
    await one.read(["own"])
    await raw.aclose()
    one.drop("dropped")
    pretended.server.dbs.clear()
    pretended.start()
    newer = opened(pretended, "newer")
    newer.put("changed", b"new", 60.0)
    assert ([b"new"], []) == await newer.read(["changed"])

    keys = ["own", "learned", "changed", "dropped"]
    expected = ([b"one's", b"another's", b"new", None], [])
    await eventually(expected, lambda: newer.read(keys))
    assert expected == await one.read(keys)


async def test_what_is_about_to_be_restored_is_not_forgotten(pretended, opened):
    counters = opened(pretended)
    for number in range(600):  # more than go into one pipeline
        counters.put(f"{number}", b"one", 60.0)
    await counters.read(["599"])
    pretended.kill()
    await counters.read(["0"])
    pretended.server.dbs.clear()
    pretended.start()
    with anyio.fail_after(5.0):
        while counters.status != "redis":
            await anyio.sleep(0.005)

    assert ([b"one", b"one"], []) == await counters.read(["0", "599"])


async def test_what_may_have_been_added_is_not_added_again(pretended, opened, eventually):
    client = Manipulated(pretended.client())
    counters, other = opened(pretended, client=client), opened(pretended, "other")
    await counters.read(["a"])
    client.broken = RedisConnectionError("gone, with every reply")
    counters.add("sum", 3, 60.0)
    counters.put("a", b"one", 60.0)

    assert ([b"one"], [3]) == await counters.read(["a"], ["sum"])
    # The value was written twice, which does not matter.
    both = ["INCRBY", "PEXPIRE", "SET", "MGET", "HGETALL"]
    await eventually([both, ["SET"]], client.last_two)
    assert ([b"one"], [3]) == await other.read(["a"], ["sum"])
    assert ([b"one"], [3]) == await counters.read(["a"], ["sum"])


async def test_a_server_that_may_only_be_read_is_left(pretended, opened, caplog):
    client = Manipulated(pretended.client())
    counters = opened(pretended, client=client)
    await counters.read(["a"])
    client.replies = [ReadOnlyError("You can't write against a read only replica.")]
    counters.put("a", b"one", 60.0)

    assert ([b"one"], []) == await counters.read(["a"])
    assert [
        "Redis at pretended:6379 does not answer, so this process goes on with what it knows:"
        " You can't write against a read only replica."
    ] == warnings(caplog)


async def test_what_is_refused_is_said_once_and_leaves_the_rest(pretended, opened, caplog):
    counters, other = opened(pretended), opened(pretended, "other")
    raw = pretended.client()
    await raw.set("llmroute:s:theirs", "no hash")
    await raw.aclose()
    for _ in range(3):
        counters.share("theirs", 2)
        counters.put("a", b"one", 60.0)

        assert ([b"one"], [2]) == await counters.read(["a"], ["theirs"])
    assert ([b"one"], []) == await other.read(["a"])
    assert "redis" == counters.status
    assert 1 == len(warnings(caplog))
    assert "WRONGTYPE" in warnings(caplog)[0]


async def test_what_is_not_ours_to_read_is_not_known(pretended, opened, caplog):
    counters = opened(pretended)
    raw = pretended.client()
    await raw.set("llmroute:n:a", "no number")
    await raw.set("llmroute:v:a", "no time")
    await raw.aclose()

    assert ([None], [0]) == await counters.read(["a"], ["a"])
    assert [] == warnings(caplog)


async def test_only_the_newest_writes_wait_for_it(pretended, opened):
    pretended.kill()
    counters = opened(pretended)
    for number in range(10_001):
        counters.put(str(number), b"", 60.0)

    assert counters._redis.unsent(Place("put", "0")) is None
    assert counters._redis.unsent(Place("put", "1")) is not None
    assert ([b""], []) == await counters.read(["0"])


async def test_closing_does_not_wait_for_a_redis_that_is_away(pretended):
    pretended.kill()
    counters = RedisCounters(pretended.url, process="this", client=pretended.client())
    counters.put("a", b"one", 60.0)
    await counters.read(["a"])

    with anyio.fail_after(5.0):
        await counters.aclose()


async def test_closing_waits_a_little_for_one_that_is_slow(pretended):
    client = Manipulated(pretended.client())
    counters = RedisCounters(pretended.url, process="this", client=client)
    client.go_on.clear()
    counters.put("a", b"one", 60.0)
    await client.reached.wait()

    with anyio.fail_after(5.0):
        await counters.aclose()


# On sockets


@pytest.fixture
async def served():
    """Return a function that serves on loopback and returns the URL."""
    servers = []

    async def serve(talk):
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        servers.append(server)
        return f"redis://:hunter2@127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield serve
    for server in servers:
        server.close()


async def test_a_redis_that_says_nothing_is_waited_for_once(served, caplog):
    over = asyncio.Event()

    async def say_nothing(reader, writer):
        await over.wait()
        writer.close()

    counters = RedisCounters(await served(say_nothing), process="this")
    counters.put("a", b"one", 60.0)
    # Twenty times the wait for one read is more than this.
    with anyio.fail_after(4.0):
        for _ in range(20):
            assert ([b"one"], [0]) == await counters.read(["a"], ["b"])
            assert not await counters.claim("a", 60.0) or _ == 0
    over.set()
    await counters.aclose()

    assert 1 == len(warnings(caplog))
    assert "no answer within 0.25 s" in warnings(caplog)[0]


async def test_no_password_is_logged_if_a_server_repeats_it(served, caplog):
    async def repeat(reader, writer):
        while line := await reader.readline():
            if line.strip() == b"hunter2":
                writer.write(b"-ERR unknown command, with args beginning with: 'hunter2'\r\n")
        writer.close()

    counters = RedisCounters(await served(repeat), process="this")

    assert ([None], []) == await counters.read(["a"])
    await counters.aclose()
    assert 1 == len(warnings(caplog))
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(counters)


def test_a_second_event_loop_has_a_connection_of_its_own():
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_address[1]
    counters = RedisCounters(f"redis://127.0.0.1:{port}", process="this")

    async def use(value):
        counters.put("a", value, 60.0)
        return await counters.read(["a"], ["a"])

    try:
        assert ([b"one"], [0]) == asyncio.run(use(b"one"))
        assert ([b"two"], [0]) == asyncio.run(use(b"two"))
        asyncio.run(counters.aclose())
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told_that_it_will_not_do(pretended):
    counters = RedisCounters(pretended.url, process="this", client=pretended.client())
    with pytest.raises(RuntimeError, match="asyncio's event loop only"):
        counters.put("a", b"one", 60.0)
    with pytest.raises(RuntimeError, match="asyncio's event loop only"):
        counters.share("a", 1)
    with pytest.raises(RuntimeError, match="asyncio's event loop only"):
        await counters.read(["a"])


# Addresses


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("redis://cache", "cache:6379", id="plain"),
        pytest.param("redis://:hunter2@cache:7000/3", "cache:7000", id="password"),
        pytest.param("redis://me:hunter%2F2@[::1]:7000", "::1:7000", id="ipv6"),
        pytest.param("rediss://:hunter2@cache?ssl_cert_reqs=none", "cache:6379", id="tls"),
        pytest.param("unix:///run/redis.sock?db=1&password=hunter2", "/run/redis.sock", id="unix"),
    ],
)
async def test_an_address_is_shown_without_its_password(url, shown):
    counters = open_counters(url)

    assert isinstance(counters, RedisCounters)
    assert f"RedisCounters({shown})" == repr(counters)
    await counters.aclose()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("http://hunter2@cache", "not an address of Redis", id="scheme"),
        pytest.param("hunter2", "not an address of Redis", id="no-scheme"),
        pytest.param("redis://", "without a host", id="no-host"),
        pytest.param("redis://:hunter2@", "without a host", id="only-a-password"),
        pytest.param("redis://:12#hunter2@cache", "%23 for #", id="hash-in-password"),
        pytest.param("redis://:hunter2/x@cache", "not an address", id="slash-in-password"),
        pytest.param("redis://hunter2?x@cache", "not an address", id="question-in-password"),
        pytest.param("redis://hunter2/x@cache", "%2F for a /", id="slash-in-user"),
        pytest.param("redis://cache:hunter2", "not an address", id="port"),
        pytest.param("redis://cache?db=hunter2", "not an address of Redis", id="database"),
        pytest.param("redis://cache?hunter2=1", "may stand after the ?", id="setting"),
        pytest.param("redis://cache?ssl_hunter2=1", "not an address of Redis", id="tls-setting"),
        pytest.param("redis://cache?decode_responses=1", "may stand after", id="forbidden"),
    ],
)
def test_what_is_no_address_is_reported_and_not_repeated(url, reason):
    with pytest.raises(ConfigError, match="store: ") as caught:
        open_counters(url, source="llmroute.yaml")

    assert reason in str(caught.value)
    assert "llmroute.yaml" == caught.value.problems[0].file
    assert "hunter2" not in str(caught.value)


def test_without_an_address_a_process_is_alone():
    assert isinstance(open_counters(None), Memory)


def test_a_missing_package_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("llmroute.stores.", "redis."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r'pip install "llmroute\[redis\]"'):
        open_counters("redis://cache")


def test_a_package_that_is_missing_besides_is_an_error_of_its_own(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("llmroute.stores.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "llmroute.stores.memory", None)
    with pytest.raises(ModuleNotFoundError):
        open_counters("redis://cache")
