"""What a platform refuses is left out the next time; the client need not find its way around."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.testing import Clock, FakeUpstream, as_json, error

pytestmark = pytest.mark.anyio

CALL: dict[str, Any] = {
    "model": "sonnet",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
    "metadata": {"user_id": "u"},
    "headers": {"anthropic-beta": "context-1m-2025-08-07,claude-code-20250219"},
}
BETA = error(
    400, message="Unexpected value(s) `context-1m-2025-08-07` for the `anthropic-beta` header."
)
REFUSED_METADATA = "metadata: Extra inputs are not permitted"
MEMBER = error(400, message=REFUSED_METADATA)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream(prefix="/anthropic") as fake:
        yield fake


def router_for(upstream: FakeUpstream, provider: str, clock: Clock) -> llmroute.Router:
    deployment = {"provider": provider, "base_url": upstream.url, "api_key": "k", "model": "m"}
    config = {
        "deployments": {"one": deployment},
        "aliases": {"sonnet": "one"},
        "routing": {"retries": 0},
    }
    return llmroute.Router.from_dict(config, clock=clock.now, sleep=clock.sleep)


class Observed:
    def __init__(self) -> None:
        self.records: list[llmroute.Record] = []

    def record(self, record: llmroute.Record) -> None:
        self.records.append(record)


async def test_a_refused_beta_and_member_are_left_out_and_remembered(
    upstream: FakeUpstream,
) -> None:
    clock = Clock()
    upstream.answer(BETA, MEMBER, "First.", "Second.")
    observed = Observed()
    async with router_for(upstream, "foundry", clock) as router:
        router.observers.append(observed)
        first = await router.complete(**CALL)
        second = await router.complete(**CALL)

    assert ("First.", "Second.") == (first.text, second.text)
    betas = [received.header("anthropic-beta") or "" for received in upstream.requests]
    assert [True, False, False, False] == ["context-1m" in beta for beta in betas]
    assert all("claude-code" in beta for beta in betas)
    assert [True, True, False, False] == ["metadata" in r.json for r in upstream.requests]
    assert ["answered"] * 2 == [record.outcome for record in observed.records]
    assert observed.records[0].losses == observed.records[1].losses
    assert any("metadata" in loss for loss in observed.records[0].losses)


async def test_of_a_rejected_request_nothing_is_kept(upstream: FakeUpstream) -> None:
    upstream.answer(*[error(400, message="The provided model identifier is invalid.")] * 3)
    async with router_for(upstream, "foundry", Clock()) as router:
        with pytest.raises(llmroute.RejectedError):
            await router.complete(**CALL)

        assert {} == router._dispatcher.house.targets["one"]._learned


async def test_what_was_refused_is_tried_again_after_a_while(upstream: FakeUpstream) -> None:
    clock = Clock()
    upstream.answer(MEMBER, "First.", "Later.")
    async with router_for(upstream, "foundry", clock) as router:
        await router.complete(**CALL)
        clock.advance(3601)
        await router.complete(**CALL)

    assert [True, False, True] == ["metadata" in r.json for r in upstream.requests]


async def test_a_refusal_that_is_no_news_is_the_answer(upstream: FakeUpstream) -> None:
    upstream.answer(*[MEMBER] * 5)
    async with router_for(upstream, "foundry", Clock()) as router:
        with pytest.raises(llmroute.RejectedError, match="metadata"):
            await router.complete(**CALL)

    assert 2 == len(upstream.requests)


async def test_what_an_anthropic_upstream_refuses_is_the_clients_to_mend() -> None:
    with FakeUpstream() as upstream:
        upstream.answer(MEMBER)
        async with router_for(upstream, "anthropic", Clock()) as router:
            with pytest.raises(llmroute.RejectedError):
                await router.complete(**CALL)

        assert 1 == len(upstream.requests)


async def test_what_counting_refuses_is_still_sent_in_messages(upstream: FakeUpstream) -> None:
    upstream.answer("Hello.")
    refusal = as_json(
        {"error": {"type": "invalid_request_error", "message": REFUSED_METADATA}, "type": "error"},
        400,
    )
    upstream.on("POST", "/v1/messages/count_tokens", refusal)
    counted = {name: CALL[name] for name in ("model", "messages", "metadata")}
    async with router_for(upstream, "foundry", Clock()) as router:
        with pytest.raises(llmroute.RejectedError, match="metadata"):
            await router.count_tokens(**counted)
        await router.complete(**CALL)

    assert "metadata" in upstream.requests[-1].json


async def test_of_betas_refused_without_a_name_all_are_left_out_with_what_they_unlock(
    upstream: FakeUpstream,
) -> None:
    upstream.answer(error(400, message="invalid beta flag"), "First.", "Second.")
    betas = "context-management-2025-06-27,interleaved-thinking-2025-05-14,own-2026-01-01"
    call = CALL | {
        "headers": {"anthropic-beta": betas},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    }
    async with router_for(upstream, "foundry", Clock()) as router:
        answers = [(await router.complete(**call)).text for _ in range(2)]

    assert ["First.", "Second."] == answers
    assert [betas, None, None] == [r.header("anthropic-beta") for r in upstream.requests]
    assert [True, False, False] == ["context_management" in r.json for r in upstream.requests]


async def test_fields_of_tools_and_blocks_are_left_out_wherever_they_stand(
    upstream: FakeUpstream,
) -> None:
    upstream.answer(
        error(400, message="tools.1.custom.priority: Extra inputs are not permitted"),
        error(400, message="messages.0.content.0.text.weight: Extra inputs are not permitted"),
        "Done.",
    )
    tool = {"name": "a", "description": "A.", "input_schema": {"type": "object"}, "priority": 1}
    call = CALL | {
        "tools": [tool, {**tool, "name": "b"}],
        "system": [{"type": "text", "text": "S", "weight": 1}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "weight": 1}]}],
    }
    async with router_for(upstream, "foundry", Clock()) as router:
        assert "Done." == (await router.complete(**call)).text

    sent = upstream.requests[-1].json
    fields = {"name", "description", "input_schema"}
    assert [fields, fields] == [tool.keys() for tool in sent["tools"]]
    assert [{"type": "text", "text": "Hi"}] == sent["messages"][0]["content"]
    assert [{"type": "text", "text": "S"}] == sent["system"]


async def test_system_messages_that_are_refused_are_folded(upstream: FakeUpstream) -> None:
    upstream.answer(error(400, message="role 'system' is not supported on this model"), "Done.")
    call = CALL | {
        "model": "opus",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "system", "content": "Be brief."},
        ],
    }
    deployment = {
        "provider": "foundry",
        "base_url": upstream.url,
        "api_key": "k",
        "model": "claude-opus-5-5",
    }
    config = {"deployments": {"one": deployment}, "aliases": {"opus": "one"}}
    async with llmroute.Router.from_dict(config) as router:
        assert "Done." == (await router.complete(**call)).text

    roles = [[m["role"] for m in r.json["messages"]] for r in upstream.requests]
    assert [["user", "system"], ["user"]] == roles
    assert "Be brief." in str(upstream.requests[-1].json["messages"])
