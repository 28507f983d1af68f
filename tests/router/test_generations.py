"""An alias whose deployments differ: each gets what it takes, or is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.testing import Clock, FakeBedrock, FakeUpstream, error
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
LOOK: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": [PICTURE]}]}
PLACE = r"messages\.0\.content\.0\.source: Bedrock does not take sources of the type url"


class Observed:
    def __init__(self) -> None:
        self.records: list[llmroute.Record] = []

    def record(self, record: llmroute.Record) -> None:
        self.records.append(record)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


def direct(upstream: FakeUpstream, model: str) -> dict[str, Any]:
    return {"provider": "anthropic", "base_url": upstream.url, "api_key": "k", "model": model}


def amazon(bedrock: FakeBedrock) -> dict[str, Any]:
    return {
        "provider": "bedrock",
        "base_url": bedrock.url,
        "region": bedrock.region,
        "model": "us.anthropic.claude-opus-5-5",
        "access_key_id": "AKIAFAKE",
        "secret_access_key": "fake-secret",
    }


def router_for(observed: Observed, alias: str = "opus", **deployments: Any) -> llmroute.Router:
    config = {"deployments": deployments, "aliases": {alias: list(deployments)}}
    clock = Clock()
    return llmroute.Router.from_dict(
        config,
        transport=DirectTransport(),
        clock=clock.now,
        sleep=clock.sleep,
        observers=[observed],
    )


async def test_a_fallback_to_another_generation_gets_what_that_one_takes(
    upstream: FakeUpstream,
) -> None:
    observed = Observed()
    upstream.answer(error(401), "ok", "again")
    call: dict[str, Any] = {
        "model": "claude-opus-5-5",
        **HELLO,
        "max_tokens": 128_000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "medium"},
        "speed": "fast",
    }
    deployments = {
        "new": direct(upstream, "claude-opus-5-5"),
        "old": direct(upstream, "claude-haiku-4-5-20251001"),
    }
    async with router_for(observed, "claude-opus-5-5", **deployments) as router:
        first = await router.complete(**call)
        second = await router.complete(**call)

    assert [("old", "claude-opus-5-5", 2), ("old", "claude-opus-5-5", 1)] == [
        (answer.deployment, answer.model, answer.attempts) for answer in (first, second)
    ]
    as_asked, *fitted = [received.json for received in upstream.requests]
    assert call == {name: as_asked[name] for name in call}
    expected = {
        **as_asked,
        "model": "claude-haiku-4-5-20251001",
        "max_tokens": 64_000,
        "thinking": {"type": "enabled", "budget_tokens": 8_000, "display": "omitted"},
    }
    del expected["output_config"]
    assert [expected, expected] == fitted
    for record in observed.records:
        assert ["output_config.effort", "max_tokens", "thinking"] == [
            loss.partition(":")[0] for loss in record.losses
        ]


async def test_what_one_deployment_cannot_be_sent_another_answers(
    bedrock: FakeBedrock, upstream: FakeUpstream
) -> None:
    observed = Observed()
    deployments = {"amazon": amazon(bedrock), "direct": direct(upstream, "claude-opus-5-5")}
    async with router_for(observed, **deployments) as router:
        seen = await router.complete(model="opus", **LOOK)
        count = await router.count_tokens(model="opus", messages=LOOK["messages"])
        assert [] == bedrock.requests
        # It did not fail, so it is not left alone.
        plain = await router.complete(model="opus", **HELLO)

    assert (("direct", 2), ("amazon", 1)) == (
        (seen.deployment, seen.attempts),
        (plain.deployment, plain.attempts),
    )
    assert LOOK["messages"] == upstream.requests[0].json["messages"]
    assert ["/v1/messages", "/v1/messages/count_tokens"] == [r.path for r in upstream.requests]
    assert 0 < count
    assert ["answered"] * 3 == [record.outcome for record in observed.records]


async def test_what_no_deployment_can_be_sent_is_refused(bedrock: FakeBedrock) -> None:
    observed = Observed()
    async with router_for(observed, one=amazon(bedrock), two=amazon(bedrock)) as router:
        with pytest.raises(llmroute.UntranslatableError, match=PLACE) as caught:
            await router.complete(model="opus", **LOOK)

    assert (400, "two", 2) == (
        caught.value.status,
        caught.value.deployment,
        caught.value.attempts,
    )
    assert [] == bedrock.requests
    [record] = observed.records
    assert (400, "refused") == (record.status, record.outcome)


async def test_one_that_may_answer_later_is_the_better_answer(
    bedrock: FakeBedrock, upstream: FakeUpstream
) -> None:
    upstream.default = error(529)
    deployments = {"direct": direct(upstream, "claude-opus-5-5"), "amazon": amazon(bedrock)}
    async with router_for(Observed(), **deployments) as router:
        with pytest.raises(llmroute.OverloadedError):
            await router.complete(model="opus", **LOOK)


async def test_tokens_are_estimated_where_no_deployment_can_be_sent_them(
    bedrock: FakeBedrock,
) -> None:
    async with router_for(Observed(), amazon=amazon(bedrock)) as router:
        assert 0 < await router.count_tokens(model="opus", messages=LOOK["messages"])

    assert [] == bedrock.requests
