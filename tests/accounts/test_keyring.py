"""Keys in the memory of a proxy: read once, and anew when they change."""

from __future__ import annotations

from datetime import timedelta

import anyio.to_thread
import pytest

from llmroute.accounts.directory import Directory
from llmroute.accounts.keyring import Keyring
from llmroute.accounts.model import Key
from llmroute.accounts.secrets import digest_of
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
    from llmroute.accounts.secrets import Secret

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
