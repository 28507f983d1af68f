"""Users' code: type-checked by `make check`, never run.  It fails when the types get worse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, assert_type

import llmroute
import llmroute.sync
from llmroute import (
    Bill,
    BudgetError,
    ConfigError,
    LLMRouteError,
    Message,
    RequestError,
    Router,
    UpstreamError,
    openai_format,
)
from llmroute.asgi import Proxy
from llmroute.config import Config, load_dict, load_env, load_file
from llmroute.errors import Problem, Remedy
from llmroute.messages.catalog import ModelInfo
from llmroute.messages.events import Event
from llmroute.messages.usage import Usage
from llmroute.observe import Observer, Record
from llmroute.testing import Answer, FakeUpstream, Received, error, text, tool_use
from llmroute.transport import Transport

MESSAGES = [{"role": "user", "content": "Name three rivers."}]


async def ask(router: Router) -> str:
    message = await router.complete(
        model="claude-sonnet-4-5-20250929",
        max_tokens=1024,
        messages=[{"role": "user", "content": [{"type": "text", "text": "Name three rivers."}]}],
        system="Answer briefly.",
        temperature=0.2,
        tools=[{"name": "look_up", "input_schema": {"type": "object"}}],
        a_member_nobody_has_heard_of={"nested": [1, 2.5, None, True]},
    )
    assert_type(message, Message)
    assert_type(message.text, str)
    assert_type(message.usage, Usage)
    assert_type(message.usage.output_tokens, int)
    assert_type(message.stop_reason, str | None)
    assert_type(message.tool_uses, list[dict[str, Any]])
    assert_type(message.deployment, str)
    assert_type(message.attempts, int)
    assert_type(message.call, str)
    assert_type(message.cost, int | None)
    assert_type(message.bill, Bill | None)
    return message.text


async def watch(router: Router) -> AsyncIterator[str]:
    async with router.stream(model="fast", max_tokens=64, messages=MESSAGES) as stream:
        async for event in stream:
            assert_type(event, Event)
            if event.type == "content_block_delta":
                yield event.text
        assert_type(await stream.message(), Message)
        assert_type(stream.cost, int | None)
    async with router.stream(model="fast", max_tokens=64, messages=MESSAGES) as stream:
        async for piece in stream.text_stream:
            assert_type(piece, str)
            yield piece


async def look_around(router: Router) -> None:
    assert_type(await router.count_tokens(model="fast", messages=MESSAGES), int)
    for model in await router.models():
        assert_type(model, ModelInfo)
    assert_type(router.config, Config)


async def use(transport: Transport, observer: Observer) -> None:
    async with Router.from_file("llmroute.yaml") as router:
        assert_type(router, Router)
        await ask(router)
    async with Router(load_env(), transport=transport, observers=[observer]) as router:
        await ask(router)
    router = Router.from_env()
    await router.aclose()


def use_without_a_loop() -> Iterator[str]:
    with llmroute.sync.Router.from_dict({"model_list": []}) as router:
        assert_type(router, llmroute.sync.Router)
        message = router.complete(model="fast", max_tokens=64, messages=MESSAGES)
        assert_type(message, Message)
        with router.stream(model="fast", max_tokens=64, messages=MESSAGES) as stream:
            for event in stream:
                assert_type(event, Event)
        with router.stream(model="fast", max_tokens=64, messages=MESSAGES) as stream:
            yield from stream.text_stream
            assert_type(stream.message(), Message)
        assert_type(router.count_tokens(model="fast", messages=MESSAGES), int)
        assert_type(router.models(), list[ModelInfo])
        # Each of these is an error; were it none, the comment would be one.
        router.complete(modle="fast", max_tokens=64, messages=MESSAGES)  # type: ignore[call-arg]
        router.stream(model="fast", max_tokens="64", messages=MESSAGES)  # type: ignore[arg-type]
        router.count_tokens(model="fast")  # type: ignore[call-arg]
    llmroute.sync.Router.from_env(transprot=None)  # type: ignore[call-arg]


async def speak_openais_format(router: Router, plain: llmroute.sync.Router) -> None:
    body = {"model": "fast", "messages": MESSAGES}
    parameters = openai_format.request(body)
    assert_type(parameters, dict[str, Any])
    assert_type(openai_format.losses(body), tuple[str, ...])
    message = await router.complete(**parameters)
    assert_type(openai_format.response(message, body), dict[str, Any])
    async with router.stream(**parameters) as stream:
        async for chunk in openai_format.chunks(stream, body):
            assert_type(chunk, dict[str, Any])
    with plain.stream(**parameters) as pieces:
        assert_type(openai_format.chunks(pieces, body), Iterator[dict[str, Any]])


def load() -> Config | None:
    try:
        return load_file("llmroute.yaml", {"ANTHROPIC_API_KEY": "k"})
    except ConfigError as problems:
        for problem in problems.problems:
            assert_type(problem, Problem)
            assert_type(problem.line, int)
        return None


async def recover(router: Router) -> str:
    try:
        return await ask(router)
    except UpstreamError as failure:
        assert_type(failure.status, int)
        assert_type(failure.body, bytes)
        assert_type(failure.retry_after, float | None)
        assert_type(failure.remedy, Remedy)
        return failure.deployment
    except BudgetError as refusal:
        assert_type(refusal.resets, datetime | None)
        return refusal.period
    except RequestError as refusal:
        return f"{refusal.status} {refusal.type}"
    except LLMRouteError as other:
        return str(other)


def serve() -> Proxy:
    return Proxy(Router(load_dict({"deployments": {}, "aliases": {}})))


class Watcher:
    """An observer is any object with this method."""

    def record(self, record: Record) -> None:
        assert_type(record.usage, Usage)
        assert_type(record.error, str)


def observe(router: Router) -> None:
    observer: Observer = Watcher()
    router.observers.append(observer)


def test() -> None:
    with FakeUpstream() as upstream:
        assert_type(upstream.url, str)
        upstream.answer(error(529), text("Hi"), tool_use("look_up", {"name": "Elbe"}))
        upstream.answer_with(reply)
        assert_type(upstream.requests, list[Received])


def reply(received: Received) -> Answer:
    return text(received.path)
