"""The router without an event loop does what the async one does."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
import llmroute.sync
from llmroute.testing import FakeUpstream, error, text

HELLO = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def router(upstream: FakeUpstream) -> Iterator[llmroute.sync.Router]:
    config: dict[str, Any] = {
        "deployments": {"one": {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}},
        "aliases": {"claude-*": "one"},
        "routing": {"retries": 0},
    }
    with llmroute.sync.Router.from_dict(config) as router:
        yield router


def test_a_whole_answer(router: llmroute.sync.Router, upstream: FakeUpstream) -> None:
    upstream.answer("Hello.")

    assert "Hello." == router.complete(model="claude-x", **HELLO).text


def test_a_stream(router: llmroute.sync.Router, upstream: FakeUpstream) -> None:
    upstream.answer("Hello there.", "Again.")
    with router.stream(model="claude-x", **HELLO) as stream:
        said = "".join(stream.text_stream)
        answer = stream.message()
    with router.stream(model="claude-x", **HELLO) as again:
        kinds = [event.type for event in again]

    assert "Hello there." == said == answer.text
    assert "message_stop" == kinds[-1]
    assert ("one", 1) == (stream.deployment, stream.attempts)


def test_leaving_a_stream_early(router: llmroute.sync.Router, upstream: FakeUpstream) -> None:
    upstream.answer(text("Hello there.").stall(after_events=2))
    with router.stream(model="claude-x", **HELLO) as stream:
        next(stream)

    upstream.requests[0].wait_closed()


def test_errors_are_the_same(router: llmroute.sync.Router, upstream: FakeUpstream) -> None:
    upstream.answer(error(529))
    with pytest.raises(llmroute.OverloadedError):
        router.complete(model="claude-x", **HELLO)
    with pytest.raises(llmroute.UnknownAliasError):
        router.complete(model="gpt", **HELLO)


def test_counting_and_models(router: llmroute.sync.Router) -> None:
    assert router.count_tokens(model="claude-x", messages=HELLO["messages"]) > 0
    assert "claude-opus-5-5" in [model.id for model in router.models()]


def test_many_threads_share_one_router(
    router: llmroute.sync.Router, upstream: FakeUpstream
) -> None:
    answers: list[str] = []

    def ask() -> None:
        answers.append(router.complete(model="claude-x", **HELLO).text)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert 8 == len(answers) == len(upstream.requests)


def test_closing_may_be_repeated(router: llmroute.sync.Router) -> None:
    router.close()
    router.close()


@pytest.mark.parametrize("name", ["complete", "stream", "count_tokens", "models"])
def test_an_editor_shows_the_parameters_of_the_async_router(name: str) -> None:
    shown, meant = getattr(llmroute.sync.Router, name), getattr(llmroute.Router, name)

    assert inspect.signature(meant) == inspect.signature(shown)
    assert meant.__doc__ == shown.__doc__


def test_a_member_may_have_any_name(router: llmroute.sync.Router, upstream: FakeUpstream) -> None:
    router.complete(model="claude-x", **{**HELLO, "self": 1})

    assert 1 == upstream.requests[0].json["self"]


def test_nothing_of_the_async_router_is_missing() -> None:
    def public(cls: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}

    # `send` and what it is made of are for doors that have an event loop of their own, and so are
    # what a proxy shows of itself and how it takes another configuration.
    doors = {"aclose", "forward", "model", "note", "send", "serves"}
    doors |= {"bodies", "glance", "pass_through", "reconfigured", "store"}
    assert public(llmroute.Router) - doors == public(llmroute.sync.Router) - {"close", "config"}
    assert public(llmroute.MessageStream) == public(llmroute.sync.MessageStream)
