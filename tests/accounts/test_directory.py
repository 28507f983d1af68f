"""Keys and teams in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio.to_thread
import pytest

from llmroute.accounts.directory import Directory, Wanted
from llmroute.accounts.model import Budget, Key, Limits, Team
from llmroute.accounts.secrets import Secret, digest_of
from llmroute.accounts.trail import Sought
from llmroute.errors import ConflictError, UnknownSubjectError
from llmroute.testing import Clock

pytestmark = pytest.mark.anyio

DAILY = Budget("", 5_000_000, "day", message="Ask Ada for more.")
FULL = Key(
    id="",
    name="ci",
    aliases=("claude-*", "gpt"),
    owner="ada@example.com",
    tags=("nightly",),
    limits=Limits(requests_per_minute=60, parallel=4),
    budgets=(DAILY, Budget("", 9, "total", "gpt")),
    trusted=True,
    expires=datetime(2030, 1, 1, tzinfo=UTC),
    metadata={"cost centre": 7},
)


def told(key: Key) -> Key:
    """Leave out what is drawn."""
    from dataclasses import replace

    budgets = tuple(replace(each, id="") for each in key.budgets)
    return replace(key, id="", hint="", created=None, created_by="", budgets=budgets)


async def test_a_key_is_found_by_what_the_client_presents(directory: Directory) -> None:
    secret = await directory.create_key(FULL, "master")
    found = await directory.find_key(digest_of(secret.key))

    assert found is not None
    assert found.until is None
    found = found.key
    assert FULL == told(found)
    assert found == await directory.key("ci") == await directory.key(found.id)
    assert "master" == found.created_by
    assert secret.key.startswith("sk-llmr-")
    assert secret.key[-4:] == found.hint[-4:]
    assert secret.key not in repr((secret, found))


async def test_a_key_the_client_has_already_can_be_taken_over(directory: Directory) -> None:
    await directory.create_key(Key("", "old"), "cli", Secret("sk-1234"))

    found = await directory.find_key(digest_of("sk-1234"))
    assert found is not None
    assert "old" == found.key.name
    with pytest.raises(ConflictError, match="in use already"):
        await directory.create_key(Key("", "other"), "cli", Secret("sk-1234"))


async def test_an_unknown_key_is_nobodys(directory: Directory) -> None:
    assert await directory.find_key(digest_of("sk-x")) is None
    with pytest.raises(UnknownSubjectError, match="no key named 'x'"):
        await directory.key("x")


async def test_two_keys_have_two_names(directory: Directory) -> None:
    await directory.create_key(Key("", "a"), "cli")
    await directory.create_key(Key("", "b"), "cli")

    with pytest.raises(ConflictError, match="there is a key named 'a' already"):
        await directory.create_key(Key("", "a"), "cli")
    with pytest.raises(ConflictError, match="there is a key named 'b' already"):
        await directory.update_key("a", "cli", name="b")
    assert ["a", "b"] == [key.name for key in await directory.keys()]


async def test_a_rotated_key_is_taken_until_the_overlap_is_over(
    directory: Directory, clock: Clock
) -> None:
    first = await directory.create_key(Key("", "ci"), "cli")
    second = await directory.rotate_key("ci", "cli", timedelta(hours=1))

    async def names() -> list[str | None]:
        found = [await directory.find_key(digest_of(each.key)) for each in (first, second)]
        return [each.key.name if each else None for each in found]

    assert ["ci", "ci"] == await names()
    clock.advance(3601)
    assert [None, "ci"] == await names()


async def test_a_deleted_key_is_gone_and_its_name_free(directory: Directory) -> None:
    secret = await directory.create_key(FULL, "cli")
    await directory.delete_key("ci", "cli")

    assert await directory.find_key(digest_of(secret.key)) is None
    assert [] == await directory.keys()
    await directory.create_key(FULL, "cli")
    assert 2 == len((await directory.key("ci")).budgets)


async def test_a_budget_that_stays_is_the_same_one(directory: Directory) -> None:
    await directory.create_key(FULL, "cli")
    (before, _) = (await directory.key("ci")).budgets
    await directory.update_key("ci", "cli", budgets=(Budget("", 7_000_000, "day"),))
    (after,) = (await directory.key("ci")).budgets

    assert (before.id, 7_000_000) == (after.id, after.amount)


async def test_a_team_is_what_its_keys_share(directory: Directory) -> None:
    team = await directory.create_team(Team("", "backend", ("claude-*",), budgets=(DAILY,)), "cli")
    await directory.create_key(Key("", "ada", team=team), "cli")
    await directory.create_key(Key("", "bob", aliases=("gpt",), team=team), "cli")
    ada, bob = await directory.keys(team=team.id)

    assert ada.team is not None
    assert DAILY.amount == ada.team.budgets[0].amount
    assert (True, False) == (ada.may_ask_for("claude-opus"), ada.may_ask_for("gpt"))
    assert (False, False) == (bob.may_ask_for("claude-opus"), bob.may_ask_for("gpt"))
    with pytest.raises(ConflictError, match="team 'backend' has keys"):
        await directory.delete_team("backend", "cli")
    for name in ("ada", "bob"):
        await directory.delete_key(name, "cli")
    await directory.delete_team("backend", "cli")
    assert [] == await directory.teams()


async def test_others_learn_what_has_changed(directory: Directory) -> None:
    team = await directory.create_team(Team("", "backend"), "cli")
    for key in (Key("", "ada", team=team), Key("", "bob")):
        await directory.create_key(key, "cli")
    ada, bob = await directory.keys()
    start = await anyio.to_thread.run_sync(directory.changes, 0)
    await directory.update_key("bob", "cli", "block", blocked=True)
    one = await anyio.to_thread.run_sync(directory.changes, start.revision)
    await directory.update_team("backend", "cli", "block", blocked=True)
    two = await anyio.to_thread.run_sync(directory.changes, one.revision)

    assert {ada.id, bob.id} == start.ids
    assert {bob.id} == one.ids
    assert {ada.id} == two.ids
    assert frozenset() == (await anyio.to_thread.run_sync(directory.changes, two.revision)).ids


async def test_every_change_is_written_down(directory: Directory, clock: Clock) -> None:
    secret = await directory.create_key(FULL, "master")
    clock.advance(1)
    await directory.update_key("ci", "ada", owner="bob@example.com")
    clock.advance(1)
    rotated = await directory.rotate_key("ci", "ada", timedelta(0))
    clock.advance(1)
    await directory.delete_key("ci", "cli")
    trail = await directory.audit()

    assert [("cli", "delete"), ("ada", "rotate"), ("ada", "update"), ("master", "create")] == [
        (each.actor, each.action) for each in trail
    ]
    changed = trail[2]
    assert changed.before is not None
    assert changed.after is not None
    assert ("ada@example.com", "bob@example.com") == (
        changed.before["owner"],
        changed.after["owner"],
    )
    assert not any(each.key in str(trail) for each in (secret, rotated))
    assert {"ci"} == {each.name for each in trail}


async def test_changes_are_found_by_name_and_by_time(directory: Directory, clock: Clock) -> None:
    for _ in range(2):
        await directory.create_key(Key("", "ci"), "cli")
        clock.advance(1)
        await directory.delete_key("ci", "cli")
        clock.advance(1)
    await directory.create_key(Key("", "ci (deleted by hand)"), "cli")
    clock.advance(1)
    made = await directory.create_key(Key("key_x", "c_"), "cli")

    of_name = await directory.audit(Sought(subject="ci"))
    assert [("delete", "ci"), ("create", "ci")] * 2 == [
        (each.action, each.name) for each in of_name
    ]
    assert ["key_x"] == [each.subject for each in await directory.audit(Sought(subject="c_"))]
    since = int(clock() * 1_000_000)
    assert ["c_"] == [each.name for each in await directory.audit(Sought(since=since))]
    assert 3 == len(await directory.audit(Sought(3)))
    assert made.key not in str(of_name)


async def test_it_is_known_until_when_the_key_before_is_taken(
    directory: Directory, clock: Clock
) -> None:
    await directory.create_key(Key("key_x", "ci"), "cli")
    assert await directory.overlap("key_x") is None
    await directory.rotate_key("ci", "cli", timedelta(hours=1))

    until = await directory.overlap("key_x")
    assert until == directory.now() + timedelta(hours=1)
    clock.advance(3600)
    assert await directory.overlap("key_x") is None


async def test_a_key_of_which_only_the_digest_is_known_is_taken_over(directory: Directory) -> None:
    await directory.adopt_key(Key("", "old"), "cli", digest_of("sk-1234"))

    found = await directory.find_key(digest_of("sk-1234"))
    assert found is not None
    assert ("old", "") == (found.key.name, found.key.hint)
    assert {found.key.id: digest_of("sk-1234").hex()} == await directory.digests([found.key.id])


async def test_a_rotation_to_a_key_that_is_in_use_changes_nothing(directory: Directory) -> None:
    first = await directory.create_key(Key("", "a"), "cli")
    other = await directory.create_key(Key("", "b"), "cli")

    with pytest.raises(ConflictError, match="in use already"):
        await directory.rotate_key("a", "cli", timedelta(0), other)
    assert await directory.find_key(digest_of(first.key)) is not None


async def test_a_team_may_go_with_its_keys(directory: Directory) -> None:
    team = await directory.create_team(Team("mine", "backend"), "cli")
    secret = await directory.create_key(Key("", "ada", team=team), "cli")
    await directory.create_key(Key("", "bob"), "cli")
    await directory.delete_team("mine", "cli", with_keys=True)

    assert await directory.find_key(digest_of(secret.key)) is None
    assert ["bob"] == [key.name for key in await directory.keys()]
    with pytest.raises(ConflictError, match="was a deleted one's"):
        await directory.create_team(Team("mine", "other"), "cli")


async def test_no_name_is_anothers_id(directory: Directory) -> None:
    await directory.create_team(Team("mine", "backend"), "cli")

    with pytest.raises(ConflictError):
        await directory.create_team(Team("", "mine"), "cli")
    with pytest.raises(ConflictError):
        await directory.create_team(Team("backend", "other"), "cli")


async def test_a_key_of_a_team_that_is_gone_is_not_made(directory: Directory) -> None:
    team = await directory.create_team(Team("", "backend"), "cli")
    await directory.delete_team("backend", "cli")

    with pytest.raises(UnknownSubjectError, match="no team named"):
        await directory.create_key(Key("", "ada", team=team), "cli")


@pytest.mark.parametrize("name", ["\0", "a\0b", "x" * 100_000])
async def test_a_name_that_nobody_can_have_is_nobodys(directory: Directory, name: str) -> None:
    with pytest.raises(UnknownSubjectError):
        await directory.key(name)
    with pytest.raises(UnknownSubjectError):
        await directory.team(name)


async def test_a_page_of_keys_and_how_many_there_are(directory: Directory) -> None:
    team = await directory.create_team(Team("", "backend"), "cli")
    for name in "abc":
        await directory.create_key(Key("", name, team=team, owner="ada"), "cli")
    await directory.create_key(Key("", "d", owner="ada"), "cli")

    async def page(wanted: Wanted, limit: int, offset: int) -> tuple[str, int]:
        found, total = await directory.page(wanted, limit, offset)
        return "".join(key.name for key in found), total

    assert ("bc", 4) == await page(Wanted(), 2, 1)
    assert ("abc", 3) == await page(Wanted(team="backend"), 9, 0)
    assert ("c", 3) == await page(Wanted(team=team.id), 9, 2)
    assert ("b", 1) == await page(Wanted(owner="ada", name="b"), 9, 0)
    assert ("", 0) == await page(Wanted(owner="bob"), 9, 0)


async def test_a_key_is_changed_by_what_it_is_now(directory: Directory) -> None:
    await directory.create_key(FULL, "cli")
    changed = await directory.alter_key(
        "ci", "cli", "update", lambda key: {"tags": (*key.tags, "more")}
    )

    assert ("nightly", "more") == changed.tags == (await directory.key("ci")).tags
