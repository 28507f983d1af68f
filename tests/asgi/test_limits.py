"""Limits as the official SDK meets them: in headers, in errors it waits for, and in streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import anthropic
import pytest
from tests.accounts.timing import counting_by
from tests.asgi.conftest import Gateway, config_for, serving

from llmroute.testing import FakeUpstream, error, text

KEY = "sk-limited-1234567890"
HELLO: dict[str, Any] = {
    "model": "sonnet",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}

Limited = Callable[..., tuple[Gateway, anthropic.Anthropic]]


@pytest.fixture
def limited(upstream: FakeUpstream) -> Iterator[Limited]:
    """Return a function that serves a key with limits, and a client with it."""
    now = time.time()
    with ExitStack() as stack:
        # In memory a minute is a full one, and none may begin while a test is at it.
        stack.enter_context(counting_by(lambda: now))

        def make(**limits: int) -> tuple[Gateway, anthropic.Anthropic]:
            config = config_for(upstream.url)
            config |= {"database": "none", "keys": {"ci": {"key": KEY, "limits": limits}}}
            gateway = stack.enter_context(serving(config))
            client = anthropic.Anthropic(base_url=gateway.url, auth_token=KEY, max_retries=0)
            return gateway, stack.enter_context(client)

        yield make


def test_an_answer_tells_what_is_left(limited: Limited, upstream: FakeUpstream) -> None:
    upstream.default = text("Hello.").header("anthropic-ratelimit-requests-limit", "4000")
    _, client = limited(requests_per_minute=5, tokens_per_minute=10_000)
    told = client.messages.with_raw_response.create(**HELLO).headers
    assert ("5", "4") == tuple(
        told[f"anthropic-ratelimit-requests-{name}"] for name in ("limit", "remaining")
    )
    assert "10000" == told["anthropic-ratelimit-tokens-limit"]
    assert 9000 < int(told["anthropic-ratelimit-tokens-remaining"]) < 10_000
    reset = datetime.fromisoformat(told["anthropic-ratelimit-requests-reset"])
    assert timedelta(seconds=50) < reset - datetime.now(UTC) <= timedelta(seconds=121)


def test_too_many_are_refused_in_words_that_the_sdk_knows(
    limited: Limited, upstream: FakeUpstream
) -> None:
    gateway, client = limited(requests_per_minute=1)
    client.messages.create(**HELLO)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(**HELLO)
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert caught.value.body == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": caught.value.body["error"]["message"]},  # type: ignore[index]
    }
    # Counting is free, and others are not held.
    assert client.messages.count_tokens(**{n: HELLO[n] for n in ("model", "messages")})
    assert 200 == gateway.ask().status_code
    assert "refused" in {record.outcome for record in gateway.records.wait(3)}


@pytest.mark.parametrize("ends", ["by-itself", "because-the-client-goes"])
def test_a_stream_is_under_way_until_its_last_byte(
    limited: Limited, upstream: FakeUpstream, ends: str
) -> None:
    gateway, client = limited(parallel=1)
    upstream.answer(text("Hello, world.").stall(after_events=3))
    with client.messages.create(**HELLO, stream=True) as stream:
        assert "message_start" == next(iter(stream)).type
        with pytest.raises(anthropic.RateLimitError, match="1 request under way at once"):
            client.messages.create(**HELLO)
        if ends == "by-itself":
            upstream.release()
            assert "message_stop" == list(stream)[-1].type
    gateway.records.wait(2)
    assert client.messages.create(**HELLO).content


def test_an_upstream_that_fails_holds_nothing(limited: Limited, upstream: FakeUpstream) -> None:
    _, client = limited(parallel=1)
    upstream.answer(*[error(400, message="No.")] * 3)
    for _ in range(3):
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(**HELLO)
    assert client.messages.create(**HELLO).content
