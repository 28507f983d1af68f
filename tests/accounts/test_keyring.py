"""Keys in the memory of a proxy: read once, and anew when they change."""

from __future__ import annotations

from datetime import timedelta

import anyio
import anyio.to_thread
import pytest

from llmroute.accounts.directory import Changes, Directory, Found
from llmroute.accounts.keyring import Keyring
from llmroute.accounts.model import Key, Team
from llmroute.accounts.secrets import Secret, digest_of
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def keyring(directory: Directory, clock: Clock) -> Keyring:
    return Keyring({digest_of("sk-config"): Key("", "configured")}, directory, clock)


def name(key: Key | None) -> str:
    return key.name if key else ""


async def test_a_key_is_read_when_it_is_first_presented(
    directory: Directory, keyring: Keyring
) -> None:
    digest = digest_of((await directory.create_key(Key("", "ci"), "cli")).key)

    assert "" == name(keyring.find(digest))
    assert "ci" == name(await keyring.load(digest))
    assert "ci" == name(keyring.find(digest))
    assert "configured" == name(keyring.find(digest_of("sk-config")))


async def test_what_nobody_knows_is_not_asked_for_again_at_once(
    directory: Directory, keyring: Keyring, clock: Clock
) -> None:
    secret = "sk-soon"
    assert "" == name(await keyring.load(digest_of(secret)))
    await directory.create_key(Key("", "soon"), "cli", Secret(secret))
    assert "" == name(await keyring.load(digest_of(secret)))
    clock.advance(6)
    assert "soon" == name(await keyring.load(digest_of(secret)))


async def test_a_change_is_seen_by_the_next_refresh(directory: Directory, keyring: Keyring) -> None:
    digest = digest_of((await directory.create_key(Key("", "ci"), "cli")).key)
    await anyio.to_thread.run_sync(keyring.work)
    await keyring.load(digest)
    await directory.update_key("ci", "cli", "block", blocked=True)
    await anyio.to_thread.run_sync(keyring.work)

    key = keyring.find(digest) or await keyring.load(digest)
    assert key is not None
    assert key.blocked


async def test_the_key_before_a_rotation_is_known_as_long_as_it_is_taken(
    directory: Directory, keyring: Keyring, clock: Clock
) -> None:
    first = digest_of((await directory.create_key(Key("", "ci"), "cli")).key)
    await directory.rotate_key("ci", "cli", timedelta(minutes=1))
    await keyring.load(first)

    assert "ci" == name(keyring.find(first))
    clock.advance(61)
    assert "" == name(keyring.find(first))
    assert "" == name(await keyring.load(first))


class Held(Directory):
    """A directory whose answer waits, after it was read, until a test lets it go."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.was_read, self.let_go = anyio.Event(), anyio.Event()

    async def find_key(self, digest: bytes) -> Found | None:
        found = await self._directory.find_key(digest)
        self.was_read.set()
        with anyio.fail_after(10):
            await self.let_go.wait()
        return found

    def changes(self, since: int) -> Changes:
        return self._directory.changes(since)


async def test_a_key_that_changes_while_it_is_read_does_not_stay_as_it_was(
    directory: Directory, clock: Clock
) -> None:
    digest = digest_of((await directory.create_key(Key("", "ci"), "cli")).key)
    held = Held(directory)
    keyring = Keyring({}, held, clock)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keyring.load, digest)
        await held.was_read.wait()
        await directory.update_key("ci", "cli", "block", blocked=True)
        await anyio.to_thread.run_sync(keyring.work)
        held.let_go.set()

    assert None is keyring.find(digest)
    key = await keyring.load(digest)
    assert key is not None
    assert key.blocked


async def test_a_key_that_is_made_while_it_is_looked_for_does_not_stay_unknown(
    directory: Directory, clock: Clock
) -> None:
    held = Held(directory)
    keyring = Keyring({}, held, clock)
    digest = digest_of("sk-soon")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keyring.load, digest)
        await held.was_read.wait()
        await directory.create_key(Key("", "soon"), "cli", Secret("sk-soon"))
        await anyio.to_thread.run_sync(keyring.work)
        held.let_go.set()

    assert "soon" == name(await keyring.load(digest))


async def test_every_digest_of_a_key_is_forgotten_when_it_changes(
    directory: Directory, keyring: Keyring
) -> None:
    first = digest_of((await directory.create_key(Key("", "ci"), "cli")).key)
    second = digest_of((await directory.rotate_key("ci", "cli", timedelta(hours=1))).key)
    await anyio.to_thread.run_sync(keyring.work)
    await keyring.load(first)
    await keyring.load(second)
    await directory.update_key("ci", "cli", "block", blocked=True)
    await anyio.to_thread.run_sync(keyring.work)

    assert [None, None] == [keyring.find(first), keyring.find(second)]
    again = await keyring.load(first)
    assert again is not None
    assert again.blocked


async def test_a_key_of_a_team_changes_with_the_team(
    directory: Directory, keyring: Keyring
) -> None:
    team = await directory.create_team(Team("", "core"), "cli")
    digest = digest_of((await directory.create_key(Key("", "ci", team=team), "cli")).key)
    await anyio.to_thread.run_sync(keyring.work)
    await keyring.load(digest)
    await directory.update_team("core", "cli", blocked=True)
    await anyio.to_thread.run_sync(keyring.work)

    key = await keyring.load(digest)
    assert key is not None
    assert key.team is not None
    assert key.team.blocked


async def test_no_more_is_kept_than_it_is_told(directory: Directory, clock: Clock) -> None:
    keyring = Keyring({}, directory, clock, most_known=2, most_unknown=2)
    made = [await directory.create_key(Key("", f"key {index}"), "cli") for index in range(4)]
    digests = [digest_of(secret.key) for secret in made]
    for digest in digests:
        await keyring.load(digest)
    for index in range(5):
        await keyring.load(digest_of(f"sk-{index}"))

    assert ["", "", "key 2", "key 3"] == [name(keyring.find(digest)) for digest in digests]
    sizes = {each: len(getattr(keyring, each)) for each in ("_known", "_digests", "_unknown")}
    assert {"_known": 2, "_digests": 2, "_unknown": 2} == sizes


async def test_a_key_of_the_configuration_stands_above_one_of_the_database(
    directory: Directory, clock: Clock
) -> None:
    digest = digest_of((await directory.create_key(Key("", "kept"), "cli")).key)
    keyring = Keyring({}, directory, clock)
    await keyring.load(digest)
    keyring.configure({digest: Key("", "configured")})

    assert "configured" == name(keyring.find(digest))
    keyring.configure({})
    assert "kept" == name(keyring.find(digest))


async def test_a_deleted_key_is_unknown_after_the_next_refresh(
    directory: Directory, keyring: Keyring
) -> None:
    digest = digest_of((await directory.create_key(Key("", "ci"), "cli")).key)
    await anyio.to_thread.run_sync(keyring.work)
    await keyring.load(digest)
    await directory.delete_key("ci", "cli")
    await anyio.to_thread.run_sync(keyring.work)

    assert None is await keyring.load(digest)


class Busy(Directory):
    """A directory whose answers wait until a test lets them go; counts who asks."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.at_once = self.most = 0
        self.let_go = anyio.Event()

    async def find_key(self, digest: bytes) -> Found | None:
        self.asked.append(digest)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        with anyio.fail_after(10):
            await self.let_go.wait()
        self.at_once -= 1
        return None


async def test_who_tries_many_keys_does_not_keep_the_database_from_others(clock: Clock) -> None:
    busy = Busy()
    keyring = Keyring({}, busy, clock)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(keyring.load, digest_of(f"sk-{number % 10}"))
        await anyio.wait_all_tasks_blocked()
        assert 2 == len(busy.asked)
        busy.let_go.set()

    assert 2 == busy.most
    # Who asks for the same is told what the first one was.
    assert len(set(busy.asked)) == len(busy.asked) == 10
