"""What only a real redis-server shows: killed, stalled, with a password, over TLS."""

import signal

import anyio
import pytest
import trustme

from llmroute.stores import _conversation, open_counters

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "llmroute"]


async def test_killed_in_the_midst_of_it_every_call_goes_on(server, opened, eventually, caplog):
    one, other = opened(server, "one"), opened(server, "other")
    done = []
    killed = anyio.Event()

    async def work(counters, name):
        for number in range(60):
            key = f"{name}-{number}"
            counters.put(key, b"mine", 60.0)
            counters.share("under way", number)
            assert await counters.claim(key, 60.0)
            assert ([b"mine"], []) == await counters.read([key])
            if number == 20:
                await killed.wait()
        done.append(name)

    async with anyio.create_task_group() as tasks:
        for name in range(5):
            tasks.start_soon(work, one, f"one-{name}")
            tasks.start_soon(work, other, f"other-{name}")
        await eventually(([b"mine"], []), lambda: one.read(["other-0-19"]))
        server.kill()
        killed.set()

    assert 10 == len(done)
    server.start()
    # It came back empty, and is told what was written while it was away.
    await eventually(([b"mine"], [118]), lambda: one.read(["other-4-59"], ["under way"]))
    await eventually(([b"mine"], [118]), lambda: other.read(["one-4-59"], ["under way"]))
    assert 4 == len(warnings(caplog))


async def test_started_anew_unnoticed_it_is_told_what_was_known(server, opened, caplog):
    one, other = opened(server, "one"), opened(server, "other")
    one.put("a", b"one", 60.0)
    one.share("sum", 3)
    await one.read(["a"])
    assert ([b"one"], [3]) == await other.read(["a"], ["sum"])
    server.kill()
    server.start()
    await anyio.wait_all_tasks_blocked()

    assert ([b"one"], [3]) == await one.read(["a"], ["sum"])
    assert ([b"one"], [3]) == await other.read(["a"], ["sum"])
    assert [] == warnings(caplog)


async def test_stalled_it_is_waited_for_once(server, opened, eventually, caplog):
    one, other = opened(server, "one"), opened(server, "other")
    one.put("a", b"one's", 60.0)
    await eventually(([b"one's"], []), lambda: other.read(["a"]))
    server.signal(signal.SIGSTOP)
    try:
        # Forty times the wait for one read is more than this.
        with anyio.fail_after(5.0):
            for _ in range(20):
                assert ([b"one's"], []) == await other.read(["a"])
                other.add("sum", 1, 60.0)
                await other.claim(f"claim-{_}", 60.0)
        other.put("a", b"other's", 60.0)
    finally:
        server.signal(signal.SIGCONT)

    await eventually(([b"other's"], [20]), lambda: one.read(["a"], ["sum"]))
    assert ([b"other's"], [20]) == await other.read(["a"], ["sum"])
    assert 2 == len(warnings(caplog))


async def test_a_connection_the_server_closed_is_made_again(server, opened, caplog):
    counters, raw = opened(server, "one"), opened(server, "raw")
    counters.put("a", b"one", 60.0)
    await counters.read(["a"])
    closed = []
    command = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await raw._redis.ask([command], closed.extend)

    assert [1] == closed
    await anyio.wait_all_tasks_blocked()
    assert ([b"one"], []) == await counters.read(["a"])
    assert [] == warnings(caplog)


async def test_a_process_killed_with_its_server_up_leaves_no_key_behind_for_long(server, opened):
    counters = opened(server)
    counters.put("a", b"one", 60.0)
    counters.add("a", 1, 60.0)
    counters.share("a", 1)
    assert await counters.claim("a", 60.0)
    names = [f"llmroute:{kind}:a" for kind in "vnsc"]
    left = []
    assert await counters._redis.ask([("PTTL", name) for name in names], left.extend)

    assert [] == [ttl for ttl in left if not 0 < ttl <= 90_000]


@pytest.mark.parametrize(
    ("password", "warned"),
    [
        pytest.param("hunter2", [], id="right"),
        pytest.param(
            "hunter3", ["invalid username-password pair or user is disabled."], id="wrong"
        ),
    ],
)
async def test_a_password_is_presented_and_never_shown(server, caplog, password, warned):
    server.kill()
    server.start("--requirepass", "hunter2")
    counters = open_counters(f"redis://:{password}@127.0.0.1:{server.port}/2")
    counters.put("a", b"one", 60.0)

    assert ([b"one"], []) == await counters.read(["a"])
    await counters.aclose()
    assert warned == [line.partition("knows: ")[2] for line in warnings(caplog)]
    assert password not in caplog.text + repr(counters)


async def test_a_password_that_is_missing_is_told_of(server, opened, caplog):
    server.kill()
    server.start("--requirepass", "hunter2")
    counters = opened(server)

    assert ([None], []) == await counters.read(["a"])
    assert "Authentication required." in warnings(caplog)[0]


async def test_it_is_reached_over_tls_and_only_if_it_is_trusted(
    server, tmp_path, caplog, monkeypatch
):
    # The handshake takes longer on a busy machine than a call would wait for it.
    monkeypatch.setattr(_conversation, "_DEADLINE", 5.0)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    server.kill()
    server.start(
        *("--tls-port", str(server.port), "--port", "0", "--tls-auth-clients", "no"),
        *("--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"),
        *("--tls-ca-cert-file", "ca.pem"),
    )
    url = f"rediss://127.0.0.1:{server.port}"
    trusting = open_counters(f"{url}?ssl_ca_certs={tmp_path}/ca.pem", process="trusting")
    doubting = open_counters(url, process="doubting")
    trusting.put("a", b"one", 60.0)

    assert ([b"one"], []) == await trusting.read(["a"])
    assert [] == warnings(caplog)
    assert ([None], []) == await doubting.read(["a"])
    assert "CERTIFICATE_VERIFY_FAILED" in warnings(caplog)[0]
    await trusting.aclose()
    await doubting.aclose()


async def test_it_is_reached_through_a_unix_socket(server, tmp_path, caplog):
    path = tmp_path / "redis.sock"
    server.kill()
    server.start("--unixsocket", str(path))
    one = open_counters(f"unix://{path}?db=1")
    other = open_counters(f"redis://127.0.0.1:{server.port}/1")
    one.put("a", b"one", 60.0)
    await one.read(["a"])

    assert ([b"one"], []) == await other.read(["a"])
    await one.aclose()
    await other.aclose()
    assert [] == warnings(caplog)
