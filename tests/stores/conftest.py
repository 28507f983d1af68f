"""Counters of every kind, and Redis in each of its: pretended, silent, real."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

import anyio
import fakeredis
import pytest
from redis.driver_info import DriverInfo

# Imported by the first counters that need it; a test of its own must not be the one that is found
# to block the event loop by it.
import llmroute.stores.redis
from llmroute.stores import Memory

BOUND = 10.0


class PretendedRedis:
    """Redis, written again in Python, in this process; may be away."""

    url = "redis://pretended"

    def __init__(self):
        self.server = fakeredis.FakeServer()

    def client(self):
        client = fakeredis.FakeAsyncRedis(server=self.server)
        # Otherwise it looks up its own version, in files, for every connection.
        driver = DriverInfo(name="", lib_version="")
        client.connection_pool.connection_kwargs["driver_info"] = driver
        return client

    def kill(self):
        self.server.connected = False

    def start(self):
        self.server.connected = True


class RealRedis:
    """A redis-server on a free port of loopback, which keeps nothing on disk."""

    def __init__(self, scratch):
        self._scratch = scratch
        self._process = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"

    def client(self):
        return None  # a connection of its own, to the URL

    def start(self, *settings):
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed: apt-get install redis-server"
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, *settings], cwd=self._scratch, stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + BOUND
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            time.sleep(0.01)
        raise TimeoutError("redis-server does not listen")

    def signal(self, number):
        os.kill(self._process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self._process.wait(BOUND)

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self.kill()


@pytest.fixture
def pretended():
    return PretendedRedis()


@pytest.fixture
def server(tmp_path):
    """A redis-server that runs; what stops or stalls it may be undone or not."""
    redis = RealRedis(tmp_path)
    try:
        redis.start()
        yield redis
    finally:
        redis.close()


@pytest.fixture(
    params=["memory", "pretended", pytest.param("redis", marks=pytest.mark.redis)],
)
def kind(request):
    """The name of a kind of counters."""
    return request.param


@pytest.fixture(params=["pretended", pytest.param("redis", marks=pytest.mark.redis)])
def redis(request):
    """A Redis that answers."""
    return request.getfixturevalue("pretended" if request.param == "pretended" else "server")


@pytest.fixture
async def opened():
    """Return a function that opens counters in a Redis; they are closed after the test."""
    made = []

    def open_counters(redis, process="this", **settings):
        client = redis.client() if "client" not in settings else settings.pop("client")
        counters = llmroute.stores.redis.RedisCounters(
            redis.url, process=process, client=client, **settings
        )
        made.append(counters)
        return counters

    yield open_counters
    for counters in made:
        await counters.aclose()


@pytest.fixture
async def counters(request, kind, opened):
    """Counters of every kind."""
    if kind == "memory":
        return Memory()
    return opened(request.getfixturevalue("pretended" if kind == "pretended" else "server"))


@pytest.fixture
def eventually():
    """Return a function that waits until a question is answered as expected."""

    async def wait(expected, question):
        actual = await question()
        with anyio.move_on_after(BOUND):
            while actual != expected:
                await anyio.sleep(0.005)
                actual = await question()
        assert expected == actual

    return wait
