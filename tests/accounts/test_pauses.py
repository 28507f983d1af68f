"""Keys and sessions that are paused make no calls, in any process, until they are resumed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import anyio.to_thread
import pytest
from tests.accounts.asking import asked
from tests.database.conftest import opened, postgres, url

from llmroute.accounts.directory import Directory
from llmroute.accounts.model import Key
from llmroute.accounts.pauses import Pause, Pauses
from llmroute.database import Database
from llmroute.errors import BudgetError, InvalidRequestError
from llmroute.messages.call import Sender
from llmroute.testing import Clock

__all__ = ["opened", "postgres", "url"]

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
SESSION = "11111111-1111-4111-8111-111111111111"
CI = Key("key_1", "ci")
OTHER = Key("key_2", "other")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
async def database(opened: Callable[[], Database]) -> Database:
    database = opened()
    await database.upgrade()
    return database


@pytest.fixture
def pauses(database: Database, clock: Clock) -> Pauses:
    return Pauses(database, clock)


async def refused(pauses: Pauses, key: Key | None = None, session: str = "") -> BudgetError:
    with pytest.raises(BudgetError) as caught:
        await pauses.admit(asked(key, session=session))
    return caught.value


async def work(pauses: Pauses) -> None:
    await anyio.to_thread.run_sync(pauses.work)


async def test_a_paused_key_is_refused_with_the_reason_and_others_are_not(pauses: Pauses) -> None:
    assert await pauses.admit(asked(CI)) is None
    await pauses.pause("ci", "admin", "It ran wild.")

    error = await refused(pauses, CI)

    assert (429, "billing_error", True) == (error.status, error.type, error.is_final)
    assert (
        "The key 'ci' is paused: It ran wild. Ask whoever runs this llmroute proxy to let it go on "
        "(`llmroute resume ci`)."
    ) == str(error)
    assert [] == list(error.headers)
    assert await pauses.admit(asked(OTHER)) is None
    assert await pauses.admit(asked(CI, is_ours=True)) is None
    with pytest.raises(BudgetError):
        await pauses.admit(asked(CI, endpoint="count_tokens"))

    assert await pauses.resume("ci", "admin")
    assert await pauses.admit(asked(CI)) is None
    assert not await pauses.resume("ci", "admin")


async def test_a_key_can_be_named_by_its_id_and_the_master_key_by_what_the_records_say(
    pauses: Pauses,
) -> None:
    await pauses.pause("key_1", "cli")
    await pauses.pause("master", "cli")
    await refused(pauses, CI)
    with pytest.raises(BudgetError, match="The key 'master' is paused"):
        await pauses.admit(asked(sender=Sender("master")))


async def test_a_paused_session_is_refused_whatever_its_key(pauses: Pauses) -> None:
    await pauses.pause(SESSION, "cli")
    assert str(await refused(pauses, OTHER, SESSION)).startswith(f"The session {SESSION!r} is")
    await refused(pauses, None, SESSION)
    assert await pauses.admit(asked(OTHER, session="another")) is None


async def test_a_pause_for_a_while_ends_by_itself(pauses: Pauses, clock: Clock) -> None:
    pause = await pauses.pause("ci", "cli", length=timedelta(hours=1))
    assert Pause("ci", NOW, NOW + 3600, "", "cli") == pause
    clock.advance(3000)
    error = await refused(pauses, CI)
    assert [(b"retry-after", b"600")] == error.headers
    assert "is paused until 2027-01-15 09:00 UTC. Ask" in str(error)
    assert [pause] == await pauses.all()
    clock.advance(600)
    assert await pauses.admit(asked(CI)) is None
    assert [] == await pauses.all()
    assert not await pauses.resume("ci", "cli")


async def test_another_process_sees_it_when_it_looks(
    pauses: Pauses, opened: Callable[[], Database], clock: Clock
) -> None:
    resumed: list[str] = []
    other = Pauses(opened(), clock, resumed.append)
    await pauses.pause("ci", "cli")
    await pauses.pause(SESSION, "cli")
    await work(other)
    await refused(other, CI)
    await refused(other, OTHER, SESSION)
    assert [] == resumed

    await pauses.resume(SESSION, "cli")
    await work(other)
    await work(other)
    assert [SESSION] == resumed
    assert await other.admit(asked(OTHER, session=SESSION)) is None
    await refused(other, CI)
    # What was not paused is told of as well, and every time: a guard may have stopped it.
    clock.advance(1)
    await pauses.resume(SESSION, "cli")
    await work(other)
    assert [SESSION] * 2 == resumed
    # What was paused again is not.
    await pauses.pause(SESSION, "cli")
    await work(other)
    assert [SESSION] * 2 == resumed
    await refused(other, OTHER, SESSION)


async def test_many_that_pause_the_same_at_once_leave_one_pause(
    pauses: Pauses, opened: Callable[[], Database], clock: Clock
) -> None:
    several = [pauses, *(Pauses(opened(), clock) for _ in range(3))]
    async with anyio.create_task_group() as group:
        for each in several:
            for _ in range(3):
                group.start_soon(each.pause, "ci", "cli")
    assert 1 == len(await pauses.all())


async def test_what_ended_long_ago_is_forgotten(
    pauses: Pauses, opened: Callable[[], Database], clock: Clock
) -> None:
    await pauses.pause("old", "cli", length=timedelta(hours=1))
    await pauses.resume("older", "cli")
    clock.advance(90_000)
    await pauses.pause("new", "cli")
    resumed: list[str] = []
    await work(Pauses(opened(), clock, resumed.append))
    assert [] == resumed
    assert ["new"] == [each.subject for each in await pauses.all()]


async def test_it_is_in_the_audit_trail(pauses: Pauses, database: Database, clock: Clock) -> None:
    await pauses.pause("ci", "cli", "Enough.", timedelta(hours=1))
    clock.advance(1)
    await pauses.resume("ci", "admin")

    resumed, paused = await Directory(database, clock).audit()

    told = {"reason": "Enough.", "until": "2027-01-15T09:00:00+00:00"}
    assert ("cli", "pause", "pause", "ci", "ci", None, told) == paused[1:]
    assert ("admin", "resume", "pause", "ci", "ci", told, None) == resumed[1:]


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param(" ", "", id="a-space"),
        pytest.param("x" * 201, "", id="too-long"),
        pytest.param("a\x00b", "", id="nul"),
        pytest.param("ci", "x" * 501, id="too-long-a-reason"),
        pytest.param("ci", "a\nb", id="a-reason-of-two-lines"),
    ],
)
async def test_what_is_no_name_is_refused(pauses: Pauses, subject: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError):
        await pauses.pause(subject, "cli", reason)
