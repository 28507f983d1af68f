"""The official Anthropic SDK, against the proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from tests.asgi.conftest import MASTER_KEY, UPSTREAM_KEY, Gateway

from llmroute.testing import FakeUpstream, error, message, text, thinking, tool_use

HELLO: dict[str, Any] = {
    "model": "sonnet",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
CREDENTIALS = [
    pytest.param({"api_key": MASTER_KEY}, id="api-key"),
    pytest.param({"auth_token": MASTER_KEY}, id="auth-token"),
]


@pytest.fixture(params=CREDENTIALS)
def client(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, max_retries=0, **request.param) as client:
        yield client


@pytest.fixture
def connect(gateway: Gateway) -> Callable[[], anthropic.AsyncAnthropic]:
    return lambda: anthropic.AsyncAnthropic(base_url=gateway.url, api_key=MASTER_KEY, max_retries=0)


def test_a_whole_answer(client: anthropic.Anthropic, upstream: FakeUpstream) -> None:
    upstream.answer(thinking("Hm.", then="Hello."))
    answer = client.messages.create(**HELLO)

    assert ["thinking", "text"] == [block.type for block in answer.content]
    assert ("sonnet", "end_turn") == (answer.model, answer.stop_reason)
    assert UPSTREAM_KEY == upstream.requests[0].header("x-api-key")
    assert None is upstream.requests[0].header("authorization")


def test_a_streamed_answer(client: anthropic.Anthropic, upstream: FakeUpstream) -> None:
    upstream.answer("Hello there.")
    with client.messages.stream(**HELLO) as stream:
        said = "".join(stream.text_stream)
        answer = stream.get_final_message()

    assert "Hello there." == said
    assert "sonnet" == answer.model
    assert answer.usage.output_tokens > 0


def test_tools(client: anthropic.Anthropic, upstream: FakeUpstream) -> None:
    upstream.answer(
        message(["Two.", tool_use("weather", {"in": "Oslo"}), tool_use("weather", {})]), "Cold."
    )
    first = client.messages.create(**HELLO, tools=TOOLS)
    uses = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "-5"} for use in uses]
    client.messages.create(
        **HELLO
        | {
            "messages": [
                *HELLO["messages"],
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": results},
            ]
        },
        tools=TOOLS,
    )

    assert [{"in": "Oslo"}, {}] == [use.input for use in uses]
    assert "tool_use" == first.stop_reason
    assert [use.id for use in uses] == [
        block["id"]
        for block in upstream.requests[1].json["messages"][1]["content"]
        if block["type"] == "tool_use"
    ]


def test_counting_tokens(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model="sonnet", messages=HELLO["messages"])

    assert counted.input_tokens > 0


def test_models(client: anthropic.Anthropic) -> None:
    models = {model.id: model for model in client.models.list(limit=1000)}

    assert "Claude Sonnet 4.5" == models["sonnet"].display_name
    assert "sonnet" == client.models.retrieve("sonnet").id


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(error(400), anthropic.BadRequestError, id="400"),
        pytest.param(error(429), anthropic.RateLimitError, id="429"),
        pytest.param(error(529), anthropic.InternalServerError, id="529"),
    ],
)
def test_errors(
    client: anthropic.Anthropic, upstream: FakeUpstream, answer: Any, kind: type[Exception]
) -> None:
    upstream.answer(answer)
    with pytest.raises(kind) as caught:
        client.messages.create(**HELLO)

    assert isinstance(caught.value, anthropic.APIStatusError)
    assert str(caught.value.request_id).startswith("req_")


def test_an_unknown_model_and_a_wrong_key(client: anthropic.Anthropic, gateway: Gateway) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model not found: gpt-9"):
        client.messages.create(**HELLO | {"model": "gpt-9"})
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="wrong") as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.messages.create(**HELLO)


def test_a_stream_that_breaks_is_an_error(
    client: anthropic.Anthropic, upstream: FakeUpstream
) -> None:
    upstream.answer(text("Hello there.").cut(after_events=4))
    with pytest.raises(anthropic.APIStatusError), client.messages.stream(**HELLO) as stream:
        stream.until_done()


def test_betas_arrive(client: anthropic.Anthropic, upstream: FakeUpstream) -> None:
    client.beta.messages.create(**HELLO, betas=["a-2026-01-01", "b-2026-01-01"])

    sent = upstream.requests[0].header("anthropic-beta") or ""
    assert ["a-2026-01-01", "b-2026-01-01"] == [beta.strip() for beta in sent.split(",")]


def test_below_anthropic_the_rest_of_the_api_is_reached(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.on("POST", "/v1/messages/batches", error(429))
    with anthropic.Anthropic(
        base_url=gateway.url + "/anthropic", api_key=MASTER_KEY, max_retries=0
    ) as client:
        answer = client.messages.create(**HELLO)
        with pytest.raises(anthropic.RateLimitError):
            client.messages.batches.create(requests=[])

    assert "sonnet" == answer.model
    assert UPSTREAM_KEY == upstream.requests[1].header("x-api-key")


@pytest.mark.anyio
async def test_the_async_client(
    connect: Callable[[], anthropic.AsyncAnthropic], upstream: FakeUpstream
) -> None:
    upstream.answer("Hello.", "Hello there.")
    async with connect() as client:
        answer = await client.messages.create(**HELLO)
        async with client.messages.stream(**HELLO) as stream:
            said = "".join([piece async for piece in stream.text_stream])
        counted = await client.messages.count_tokens(model="sonnet", messages=HELLO["messages"])
        models = [model.id async for model in client.models.list()]

    assert "Hello there." == said
    assert "text" == answer.content[0].type
    assert counted.input_tokens > 0
    assert "sonnet" in models
