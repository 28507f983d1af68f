"""What a client over HTTP sees of failures behind the proxy: as little as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.asgi.conftest import Gateway, config_for

from llmroute.testing import FakeUpstream, error, message, text

Serve = Callable[[dict[str, Any]], Gateway]


@pytest.fixture
def other() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        fake.default = "From the other."
        yield fake


def both(upstream: FakeUpstream, other: FakeUpstream, **settings: Any) -> dict[str, Any]:
    """Return a configuration in which either upstream answers for `sonnet`."""
    config = config_for(upstream.url)
    config["deployments"]["sonnet-direct"].update(settings)
    config["deployments"]["sonnet-other"] = {
        **config["deployments"]["sonnet-direct"],
        "base_url": other.url,
    }
    config["aliases"]["sonnet"] = ["sonnet-direct", "sonnet-other"]
    return config


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(error(529), id="overloaded"),
        pytest.param(error(429, retry_after=600), id="limited"),
        pytest.param(error(500), id="fault"),
        pytest.param(error(401), id="key-refused"),
        pytest.param(text("No.").drop(), id="no-answer"),
    ],
)
def test_another_deployment_answers_and_the_client_does_not_notice(
    upstream: FakeUpstream, other: FakeUpstream, serve: Serve, failure: Any, stream: bool
) -> None:
    upstream.answer(failure)
    gateway = serve(both(upstream, other))
    answer = gateway.ask(stream=stream)
    [record] = gateway.records.wait()

    assert 200 == answer.status_code
    assert "error" not in answer.text
    assert ("answered", 2) == (record.outcome, len(record.attempts))


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(error(401), id="refused"),
        pytest.param(error(403), id="not-allowed"),
        pytest.param(error(429, retry_after=600), id="limited"),
    ],
)
def test_a_callers_own_credential_that_fails_is_nothing_to_other_callers(
    upstream: FakeUpstream,
    other: FakeUpstream,
    serve: Serve,
    failure: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = both(upstream, other, forward_client_auth=True)
    upstream.answer(failure)
    gateway = serve({**config, "routing": {"affinity": False}})
    answers = []
    for login in ("login-1", "login-2"):
        gateway.http.headers["x-api-key"] = login
        answers.append(gateway.ask())

    deployments = [answer.headers["x-llmroute-deployment"] for answer in answers]
    assert ["sonnet-other", "sonnet-direct"] == deployments
    assert ["login-1", "login-2"] == [each.header("x-api-key") for each in upstream.requests]
    assert [] == caplog.messages


def test_a_callers_own_login_that_is_refused_may_be_renewed_and_tried_again(
    upstream: FakeUpstream, serve: Serve
) -> None:
    upstream.answer(error(401), error(401))
    config = both(upstream, upstream, forward_client_auth=True)
    config["aliases"] = {"sonnet": "sonnet-direct"}
    gateway = serve(config)
    gateway.http.headers["x-api-key"] = "login-1"
    forwarded = gateway.ask()
    del gateway.http.headers["x-api-key"]
    ours = gateway.ask()

    assert [401, 401] == [forwarded.status_code, ours.status_code]
    assert [None, "false"] == [each.headers.get("x-should-retry") for each in (forwarded, ours)]


@pytest.mark.parametrize("after", [1, 3], ids=["after-the-start", "after-an-empty-block"])
def test_of_a_stream_that_broke_before_any_content_the_client_sees_nothing(
    upstream: FakeUpstream, other: FakeUpstream, serve: Serve, after: int
) -> None:
    upstream.answer(text("No.").fail(after_events=after))
    answer = serve(both(upstream, other)).ask(stream=True)

    assert 1 == answer.text.count("event: message_start")
    assert "event: error" not in answer.text
    assert "event: message_stop" in answer.text


def test_when_all_are_at_their_limits_the_client_is_told_when_to_return(
    upstream: FakeUpstream, other: FakeUpstream, serve: Serve
) -> None:
    gateway = serve(both(upstream, other, rpm=1))
    first, second, third = (gateway.ask() for _ in range(3))

    assert [200, 200, 429] == [answer.status_code for answer in (first, second, third)]
    assert "rate_limit_error" == third.json()["error"]["type"]
    assert 1 <= int(third.headers["retry-after"]) <= 60
    assert [1, 1] == [len(fake.requests) for fake in (upstream, other)]


def test_a_thread_whose_owner_is_gone_is_asked_for_whole(
    upstream: FakeUpstream, other: FakeUpstream, serve: Serve
) -> None:
    gateway = serve(both(upstream, other))
    begun = gateway.ask(thread={"type": "create"}).json()
    gateway.records.wait()
    upstream.answer(error(529))
    thread = {"type": "continue", "previous_message_id": begun["id"]}
    refused = gateway.ask(thread=thread)
    whole = gateway.ask()

    assert 400 == refused.status_code
    assert "thread_unsupported_request" == refused.json()["error"]["details"]["error_code"]
    assert "From the other." == whole.json()["content"][0]["text"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_refusal_that_nobody_betters_arrives_as_it_was(
    upstream: FakeUpstream, other: FakeUpstream, serve: Serve, stream: bool
) -> None:
    upstream.answer(message([], stop_reason="refusal", model="sonnet"))
    other.answer(error(401))
    config = both(upstream, other)
    config["aliases"]["spare"] = "sonnet-other"
    config["aliases"]["sonnet"] = {"deployments": ["sonnet-direct"], "when_refused": "spare"}
    gateway = serve(config)
    answer = gateway.ask(stream=stream)
    gateway.records.wait()

    assert upstream.requests[0].sent == answer.content
    assert 1 == len(gateway.records.records)
