"""Pauses over HTTP."""

from __future__ import annotations

import anyio.to_thread
import pytest

pytestmark = pytest.mark.anyio

PATH = "/llmroute/pauses"
CALL = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]}


async def test_a_key_is_paused_shown_and_resumed(proxy, clock) -> None:
    key = (await proxy.ask("POST", "/llmroute/keys", {"name": "ci/nightly"}))["key"]

    made = await proxy.ask(
        "POST", PATH, {"subject": "ci/nightly", "duration": "1h", "reason": "Costs too much."}
    )

    assert {
        "type": "pause",
        "subject": "ci/nightly",
        "since": "2027-01-15T08:00:00Z",
        "until": "2027-01-15T09:00:00Z",
        "reason": "Costs too much.",
        "paused_by": "master",
    } == made
    assert {"pauses": [made]} == await proxy.ask("GET", PATH)
    # What goes straight through to Anthropic's other pages is refused as well.
    for path in ("/anthropic/v1/messages/batches", "/anthropic/v1/files"):
        status, why = await proxy.refused("POST", path, {}, key=key)
        assert (429, True) == (status, why.startswith("The key 'ci/nightly' is paused until 2027-"))

    ended = {"type": "pause_ended", "subject": "ci/nightly", "was_paused": True}
    assert ended == await proxy.ask("DELETE", f"{PATH}/ci%2Fnightly")
    assert ended | {"was_paused": False} == await proxy.ask("DELETE", f"{PATH}/ci%2Fnightly")
    assert {"pauses": []} == await proxy.ask("GET", PATH)


async def test_another_proxy_knows_once_it_has_looked(managed) -> None:
    one, two = await managed(), await managed()
    key = (await one.ask("POST", "/llmroute/keys", {"name": "ci"}))["key"]
    await one.ask("POST", PATH, {"subject": "ci", "duration": 90})
    await anyio.to_thread.run_sync(two.ledger.work)
    status, _ = await two.refused("POST", "/anthropic/v1/files", {}, key=key)
    assert 429 == status


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param({}, "subject: required", id="nothing"),
        pytest.param({"subject": ""}, "subject: must not be empty", id="empty"),
        pytest.param({"subject": "x" * 10_000}, "subject: must not be longer", id="long"),
        pytest.param({"subject": "a\x00"}, "", id="nul"),
        pytest.param(
            {"subject": "ci", "duration": "soon"}, "duration: must be a number", id="soon"
        ),
        pytest.param({"subject": "ci", "duration": -1}, "duration: must be over 0", id="negative"),
        pytest.param(
            {"subject": "ci", "duration": 1e300}, "duration: must be over 0", id="endless"
        ),
        pytest.param({"subject": "ci", "duration": True}, "duration", id="a-flag"),
        pytest.param({"subject": "ci", "durration": 1}, "duration", id="misspelt"),
        pytest.param({"subject": 5}, "subject", id="a-number"),
    ],
)
async def test_what_makes_no_pause_is_refused(proxy, body, why) -> None:
    status, said = await proxy.refused("POST", PATH, body)
    assert 400 == status
    assert why in said
    assert {"pauses": []} == await proxy.ask("GET", PATH)


async def test_only_the_master_key_pauses(proxy) -> None:
    key = (await proxy.ask("POST", "/llmroute/keys", {"name": "ci"}))["key"]
    for method, path in (("POST", PATH), ("GET", PATH), ("DELETE", f"{PATH}/ci")):
        status, _ = await proxy.refused(method, path, {"subject": "ci"}, key=key)
        assert 403 == status
