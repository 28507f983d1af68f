"""The router in front of Vertex AI: tokens exchanged, renewed, and errors told apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import llmroute
import llmroute.sync
from llmroute.testing import (
    Clock,
    FakeUpstream,
    FakeVertex,
    error,
    google_error,
    message,
    text,
    thinking,
    tool_use,
)
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, Any]]:
    """Make one account for all tests: its key takes a moment."""
    with FakeVertex() as fake:
        yield {"fake": fake}


@pytest.fixture
def vertex(account: dict[str, Any]) -> Iterator[FakeVertex]:
    """Run a Vertex AI of its own for each test, with the one account."""
    with FakeVertex() as fake:
        account["fake"].service_account()
        fake._account = account["fake"]._account
        yield fake


def router_for(
    vertex: FakeVertex, other: FakeUpstream | None = None, **settings: Any
) -> llmroute.Router:
    config = config_for(vertex, other, **settings)
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


def config_for(
    vertex: FakeVertex, other: FakeUpstream | None = None, **settings: Any
) -> dict[str, Any]:
    google = {
        "provider": "vertex",
        "base_url": vertex.url,
        "location": "us-east5",
        "model": "claude-opus-5-5",
        "credentials": vertex.service_account(),
        **settings,
    }
    deployments: dict[str, Any] = {"google": google}
    if other is not None:
        deployments["direct"] = {"provider": "anthropic", "base_url": other.url, "api_key": "k"}
    return {"deployments": deployments, "aliases": {"opus": list(deployments)}}


async def test_a_whole_answer_bears_the_name_that_was_asked_for(vertex: FakeVertex) -> None:
    vertex.answer(message(["Let me look.", tool_use("Bash", {"command": "ls"}, id="toolu_1")]))
    async with router_for(vertex) as router:
        answer = await router.complete(model="opus", **HELLO)

    assert ("opus", "google", "tool_use") == (answer.model, answer.deployment, answer.stop_reason)
    assert answer.request_id.startswith("req_vrtx_")
    assert (
        "/v1/projects/fake-project/locations/us-east5/publishers/anthropic/models/claude-opus-5-5"
        ":rawPredict"
    ) == vertex.requests[-1].path


async def test_a_stream_is_the_one_anthropic_would_send(vertex: FakeVertex) -> None:
    vertex.answer(thinking("A list.", then=tool_use("Bash", {"command": "ls"}, id="toolu_1")))
    async with router_for(vertex) as router, router.stream(model="opus", **HELLO) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.message()

    assert ("message_start", "message_stop") == (kinds[0], kinds[-1])
    assert ["Bash"] == [use["name"] for use in final.tool_uses]
    assert vertex.requests[-1].path.endswith(":streamRawPredict")


async def test_tokens_are_counted_upstream(vertex: FakeVertex) -> None:
    async with router_for(vertex) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])

    assert vertex.requests[-1].path.endswith("/models/count-tokens:rawPredict")
    assert "claude-opus-5-5" == vertex.requests[-1].json["model"]


async def test_many_calls_need_one_token(vertex: FakeVertex) -> None:
    async with router_for(vertex) as router, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(lambda: router.complete(model="opus", **HELLO))

    assert (1, 11) == (vertex.given, len(vertex.requests))


async def test_a_token_that_was_revoked_is_replaced_in_mid_session(vertex: FakeVertex) -> None:
    async with router_for(vertex) as router:
        await router.complete(model="opus", **HELLO)
        vertex.tokens.clear()
        answer = await router.complete(model="opus", **HELLO)

    assert ("google", 2) == (answer.deployment, vertex.given)


async def test_a_credential_that_is_refused_is_another_deployments_turn(vertex: FakeVertex) -> None:
    with FakeUpstream() as other:
        wrong = {**vertex.service_account(), "client_email": "nobody@example.com"}
        async with router_for(vertex, other, credentials=wrong) as router:
            answer = await router.complete(model="opus", **HELLO)

    assert "direct" == answer.deployment


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(google_error(429, "Quota exceeded", retry_delay=90.0), id="quota"),
        pytest.param(
            google_error(400, "not servable in region us-east5", status="FAILED_PRECONDITION"),
            id="region",
        ),
        pytest.param(google_error(403, "Permission denied", in_list=True), id="permission"),
        pytest.param(error(529), id="overloaded"),
    ],
)
async def test_a_deployment_that_will_not_serve_gives_way(vertex: FakeVertex, refusal: Any) -> None:
    vertex.default = refusal
    with FakeUpstream() as other:
        async with router_for(vertex, other) as router:
            answer = await router.complete(model="opus", **HELLO)

    assert "direct" == answer.deployment


async def test_a_project_that_is_not_ours_is_an_error_without_its_name(vertex: FakeVertex) -> None:
    async with router_for(vertex, project="somebody-elses") as router:
        with pytest.raises(llmroute.MisconfiguredError) as caught:
            await router.complete(model="opus", **HELLO)

    assert 403 == caught.value.status
    assert b"somebody-elses" not in caught.value.body
    assert b"permission_error" in caught.value.body


async def test_what_google_refuses_is_left_out_and_noted(vertex: FakeVertex) -> None:
    records: list[llmroute.Record] = []

    class Observer:
        def record(self, record: llmroute.Record) -> None:
            records.append(record)

    headers = {"anthropic-beta": "prompt-caching-scope-2026-01-05,claude-code-20250219"}
    system = [
        {"type": "text", "text": "S", "cache_control": {"type": "ephemeral", "scope": "global"}}
    ]
    async with router_for(vertex) as router:
        router.observers.append(Observer())
        await router.complete(model="opus", system=system, headers=headers, speed="fast", **HELLO)

    sent = vertex.requests[-1]
    assert "claude-code-20250219" == sent.header("anthropic-beta")
    assert {"type": "ephemeral"} == sent.json["system"][0]["cache_control"]
    assert "speed" not in sent.json
    assert 3 <= len(records[0].losses)


async def test_the_messages_api_at_google_gets_what_the_caller_sent(vertex: FakeVertex) -> None:
    settings = {"surface": "messages", "workspace_id": "wrkspc_fake", "location": "global"}
    headers = {"anthropic-beta": "prompt-caching-scope-2026-01-05,of-tomorrow"}
    system = [
        {"type": "text", "text": "S", "cache_control": {"type": "ephemeral", "scope": "global"}}
    ]
    call = {**HELLO, "system": system, "headers": headers, "speed": "fast"}
    async with router_for(vertex, **settings) as router:
        whole = await router.complete(model="opus", **call)
        async with router.stream(model="opus", **call) as stream:
            streamed = await stream.message()
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])

    assert ("opus", whole.text) == (streamed.model, streamed.text)
    sent, count = vertex.requests[1], vertex.requests[-1]
    base = "/v1/projects/fake-project/locations/global/workspaces/wrkspc_fake/invoke/v1/messages"
    assert (base, f"{base}/count_tokens") == (sent.path, count.path)
    assert headers["anthropic-beta"] == sent.header("anthropic-beta")
    assert ("claude-opus-5-5", system, "fast") == (
        sent.json["model"],
        sent.json["system"],
        sent.json["speed"],
    )
    assert 1 == vertex.given


async def test_what_the_messages_api_at_google_refuses_is_the_clients_to_mend(
    vertex: FakeVertex,
) -> None:
    vertex.answer(error(400, message="metadata: Extra inputs are not permitted"))
    settings = {"surface": "messages", "workspace_id": "wrkspc_fake"}
    async with router_for(vertex, **settings) as router:
        with pytest.raises(llmroute.RejectedError, match="metadata"):
            await router.complete(model="opus", metadata={}, **HELLO)

    assert 2 == len(vertex.requests)


async def test_a_workspace_that_is_not_ours_is_an_error_without_the_project(
    vertex: FakeVertex,
) -> None:
    settings = {"surface": "messages", "workspace_id": "wrkspc_1"}
    async with router_for(vertex, **settings) as router:
        with pytest.raises(llmroute.MisconfiguredError) as caught:
            await router.complete(model="opus", **HELLO)

    assert 403 == caught.value.status
    assert b"fake-project" not in caught.value.body


def test_it_works_without_an_event_loop(vertex: FakeVertex) -> None:
    vertex.answer(text("Good morning."))
    with llmroute.sync.Router.from_dict(config_for(vertex)) as router:
        assert "Good morning." == router.complete(model="opus", **HELLO).text
