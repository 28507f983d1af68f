"""What one upstream keeps and no other has: threads, containers, files, and thinking."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.router.conftest import House

import llmroute
from llmroute.testing import error, message, text

pytestmark = pytest.mark.anyio

CONTAINER = {"id": "container_1", "expires_at": "2030-01-01T00:00:00Z"}
SIGNATURE = error(400, message="messages.1.content.0: Invalid `signature` in `thinking` block")


async def moved_to_the_west(house: House, router: llmroute.Router, **members: Any) -> Any:
    """Make a call that the east is too busy for, and let its cooldown pass."""
    house.east.answer(error(429, retry_after=1))
    answer = await house.ask(router, "Begin", **members)
    house.clock.advance(400)
    return answer


async def test_a_thread_goes_on_where_it_was_begun(house: House) -> None:
    async with house.router() as router:
        begun = await moved_to_the_west(house, router, thread={"type": "create"})
        second = await house.ask(
            router, "On", thread={"type": "continue", "previous_message_id": begun.data["id"]}
        )
        third = await house.ask(
            router, "And on", thread={"type": "continue", "previous_message_id": second.data["id"]}
        )

    assert ["west", "west", "west"] == [it.deployment for it in (begun, second, third)]


async def test_an_ordinary_answer_is_no_thread(house: House) -> None:
    async with house.router() as router:
        begun = await moved_to_the_west(house, router)
        other = await house.ask(
            router, "On", thread={"type": "continue", "previous_message_id": begun.data["id"]}
        )

    assert "east" == other.deployment


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([error(529)], id="overloaded"),
        pytest.param([error(401)], id="key-refused"),
        # The transport takes the first for a connection that was closed while nobody used it.
        pytest.param([text("").drop()] * 2, id="no-answer"),
    ],
)
async def test_a_thread_whose_owner_does_not_answer_is_to_be_sent_whole(
    house: House, answers: list[Any]
) -> None:
    async with house.router() as router:
        begun = await moved_to_the_west(house, router, thread={"type": "create"})
        house.west.answer(*answers)
        with pytest.raises(llmroute.RejectedError) as caught:
            await house.ask(
                router, "On", thread={"type": "continue", "previous_message_id": begun.data["id"]}
            )

    assert 400 == caught.value.status
    refusal = msgspec.json.decode(caught.value.body)["error"]
    assert "invalid_request_error" == refusal["type"]
    assert "thread_unsupported_request" == refusal["details"]["error_code"]
    assert 1 == len(house.east.requests)


async def test_a_thread_whose_owner_is_no_longer_configured_is_to_be_sent_whole(
    house: House,
) -> None:
    router = house.router()
    begun = await moved_to_the_west(house, router, thread={"type": "create"})
    config = house.config(sonnet={"deployments": ["east"], "fallbacks": ["north"]})
    config["deployments"]["north"] = house.deployment(house.west)
    config["aliases"]["north"] = "north"
    async with router.reconfigured(llmroute.config.load_dict(config)) as later:
        asked = house.asked
        with pytest.raises(llmroute.RejectedError) as caught:
            await house.ask(
                later, "On", thread={"type": "continue", "previous_message_id": begun.data["id"]}
            )

    assert "thread_unsupported_request" == caught.value.code
    assert asked == house.asked


async def test_a_thread_that_is_too_long_is_so_everywhere(house: House) -> None:
    config = house.config(east={"model": "claude-sonnet-5"}, sonnet={"when_too_long": "spare"})
    config["aliases"]["spare"] = "east"
    async with house.router(config) as router:
        begun = await moved_to_the_west(house, router, thread={"type": "create"})
        house.west.answer(error(400, message="prompt is too long: 9 tokens > 8 maximum"))
        before = house.asked
        with pytest.raises(llmroute.RejectedError, match="prompt is too long"):
            await house.ask(
                router, "On", thread={"type": "continue", "previous_message_id": begun.data["id"]}
            )

    assert (before[0], before[1] + 1) == house.asked


async def test_the_apis_own_word_that_a_thread_is_unknown_is_handed_on(house: House) -> None:
    house.east.answer(error(400, details={"error_code": "thread_unsupported_request"}))
    async with house.router() as router:
        with pytest.raises(llmroute.RejectedError) as caught:
            await house.ask(
                router, "On", thread={"type": "continue", "previous_message_id": "msg_unknown"}
            )

    assert house.east.requests[0].sent == caught.value.body
    assert (1, 0) == house.asked


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", ["container_1", {"id": "container_1"}], ids=["name", "object"])
async def test_a_container_stays_where_it_was_made(house: House, streamed: bool, name: Any) -> None:
    house.west.answer(message("Ran.", container=CONTAINER))
    async with house.router() as router:
        if streamed:
            house.east.answer(error(429, retry_after=1))
            call = {"messages": [{"role": "user", "content": "Begin"}], "max_tokens": 9}
            async with router.stream(model="sonnet", **call) as stream:
                await stream.message()
            house.clock.advance(400)
        else:
            await moved_to_the_west(house, router)
        there = await house.ask(router, "On", container=name)
        elsewhere = await house.ask(router, "Another conversation")

    assert ("west", "east") == (there.deployment, elsewhere.deployment)


async def test_what_is_bound_is_asked_of_nobody_else(house: House) -> None:
    house.west.answer(message("Ran.", container=CONTAINER), error(401))
    async with house.router() as router:
        await moved_to_the_west(house, router)
        with pytest.raises(llmroute.MisconfiguredError):
            await house.ask(router, "On", container="container_1")

    assert 1 == len(house.east.requests)


async def test_files_are_asked_for_where_uploads_go(house: House) -> None:
    document = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    config = house.config(west={"use_in_pass_through": True})
    async with house.router(config) as router:
        plain = await house.ask(router, "Plain")
        with_file = await house.ask(router, messages=[{"role": "user", "content": [document]}])

    assert ("east", "west") == (plain.deployment, with_file.deployment)


def turns(count: int) -> list[dict[str, Any]]:
    """Return a conversation in which every answer so far has thinking."""
    said: list[dict[str, Any]] = [{"role": "user", "content": "Begin"}]
    for n in range(count):
        block = {"type": "thinking", "thinking": f"Thought {n}.", "signature": f"sig-{n}"}
        answer = {"type": "text", "text": f"Answer {n}."}
        said += [
            {"role": "assistant", "content": [block, answer]},
            {"role": "user", "content": f"Question {n}"},
        ]
    return said


def thoughts(received: Any) -> list[str]:
    """Return the thinking that an upstream was given."""
    return [
        block["thinking"]
        for turn in received.json["messages"]
        if turn["role"] == "assistant"
        for block in turn["content"]
        if block["type"] == "thinking"
    ]


async def test_refused_thinking_is_left_out_and_on_every_turn_to_come(house: House) -> None:
    house.east.answer("Zero.", SIGNATURE, "Once more.")
    async with house.router() as router:
        for count in range(4):
            answer = await house.ask(router, session="one", messages=turns(count))

    sent = [thoughts(received) for received in house.east.requests]
    assert [[], ["Thought 0."], [], ["Thought 1."], ["Thought 1.", "Thought 2."]] == sent
    assert ("east", 1) == (answer.deployment, answer.attempts)
    assert (2, 400) == (len(house.records[1].attempts), house.records[1].attempts[0].status)
    assert [] == house.west.requests


async def test_thinking_that_is_refused_once_more_is_the_clients_to_mend(house: House) -> None:
    house.east.answer(SIGNATURE, SIGNATURE)
    async with house.router() as router:
        with pytest.raises(llmroute.RejectedError, match="signature"):
            await house.ask(router, session="one", messages=turns(1))
        assert ["ready", "ready"] == [state.state for state in await router.deployments()]

    assert (2, 0) == house.asked


async def test_a_lone_deployments_word_about_thinking_is_handed_on(house: House) -> None:
    house.east.answer(SIGNATURE)
    async with house.router(house.config(sonnet={"deployments": ["east"]})) as router:
        with pytest.raises(llmroute.RejectedError, match="signature"):
            await house.ask(router, session="one", messages=turns(1))

    assert 1 == len(house.east.requests)


async def test_what_another_vendor_thought_is_left_out_on_every_turn_alike(house: House) -> None:
    # Moving costs so little that the second deployment goes on once it has begun.
    house.east.answer("Zero.", "One.", error(429, retry_after=60))
    async with house.router(house.config(west={"model": "qwen-3"})) as router:
        for count in range(5):
            await house.ask(router, session="one", messages=turns(count))

    assert (3, 3) == house.asked
    assert [[], ["Thought 0."], ["Thought 0.", "Thought 1."]] == [
        thoughts(received) for received in house.east.requests
    ]
    assert [[], ["Thought 2."], ["Thought 2.", "Thought 3."]] == [
        thoughts(received) for received in house.west.requests
    ]
    assert "west: thinking it cannot read is left out" in house.records[2].why


async def test_one_claude_is_given_what_another_thought(house: House) -> None:
    house.east.answer("Zero.", error(429, retry_after=60))
    async with house.router() as router:
        for count in range(2):
            await house.ask(router, session="one", messages=turns(count))

    assert ["Thought 0."] == thoughts(house.west.requests[0])
