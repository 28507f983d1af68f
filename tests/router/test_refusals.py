"""What a platform refuses is left out the next time; the client need not find its way around."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.testing import Clock, FakeUpstream, error

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
MEMBER = error(400, message="metadata: Extra inputs are not permitted")


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
