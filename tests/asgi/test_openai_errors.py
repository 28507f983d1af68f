"""What goes wrong at the Chat Completions door, in OpenAI's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from tests.asgi.chat_door import HELLO, PATH, Serve, client_of, serving
from tests.asgi.conftest import MASTER_KEY, Gateway

from llmroute.testing import FakeChat, FakeUpstream, error, events, raw, text

SECRET = "sk-of-the-upstream-1234"


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with client_of(gateway) as client:
        yield client


@pytest.mark.parametrize(
    ("answered", "raised", "status", "code"),
    [
        pytest.param(
            error(400, message="prompt is too long: 9 tokens > 8 maximum"),
            openai.BadRequestError,
            400,
            "context_length_exceeded",
            id="too-long",
        ),
        pytest.param(error(401), openai.AuthenticationError, 401, "invalid_api_key", id="401"),
        pytest.param(error(403), openai.PermissionDeniedError, 403, None, id="403"),
        pytest.param(error(404), openai.NotFoundError, 404, "model_not_found", id="404"),
        pytest.param(error(429), openai.RateLimitError, 429, "rate_limit_exceeded", id="429"),
        pytest.param(error(402), openai.RateLimitError, 429, "insufficient_quota", id="402"),
        pytest.param(error(500), openai.InternalServerError, 500, None, id="500"),
        pytest.param(error(529), openai.InternalServerError, 503, "overloaded", id="529"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_errors_are_in_openais_words(
    client: openai.OpenAI,
    upstream: FakeUpstream,
    answered: Any,
    raised: type[openai.APIStatusError],
    status: int,
    code: str | None,
    stream: bool,
) -> None:
    upstream.answer(answered)
    with pytest.raises(raised) as caught:
        client.chat.completions.create(**HELLO, stream=stream)

    told = caught.value
    assert (status, code) == (told.status_code, told.code)
    assert {"message", "type", "param", "code"} == dict(told.body or {}).keys()  # type: ignore[call-overload]
    assert told.request_id


def test_the_time_to_wait_is_handed_on(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(error(429, retry_after=7))
    reply = gateway.http.post(PATH, json=HELLO)

    assert "7" == reply.headers["retry-after"]
    assert "sonnet-direct" == reply.headers["x-llmroute-deployment"]


def test_an_error_at_the_start_of_a_stream_is_an_error(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    upstream.answer(events([failed]))
    with pytest.raises(openai.InternalServerError, match="Overloaded") as caught:
        client.chat.completions.create(**HELLO, stream=True)

    assert 503 == caught.value.status_code


def test_a_stream_that_breaks_ends_in_an_error(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    upstream.answer(text("Hello there.").cut(after_events=4), text("Hello.").fail(after_events=4))
    for _ in range(2):
        with pytest.raises(openai.APIError) as caught:
            list(client.chat.completions.create(**HELLO, stream=True))
        assert isinstance(caught.value.body, dict)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda whole: whole.cut(after_events=4), id="cut"),
        pytest.param(lambda whole: whole.cut(after_events=4, reset=True), id="reset"),
        pytest.param(lambda whole: whole.fail("api_error", "Oh", after_events=4), id="error"),
        pytest.param(lambda whole: whole.drop(), id="no-answer"),
        pytest.param(lambda whole: error(500), id="500"),
        pytest.param(lambda whole: error(401), id="401"),
    ],
)
@pytest.mark.parametrize("is_spoken", [False, True], ids=["translated", "verbatim"])
def test_an_error_is_openais_wherever_it_comes_and_tells_no_secret(
    serve: Serve, broken: Callable[[Any], Any], is_spoken: bool
) -> None:
    with FakeChat(api_key=SECRET) if is_spoken else FakeUpstream() as server:
        provider = "openai_compatible" if is_spoken else "anthropic"
        at = {"provider": provider, "base_url": server.url, "model": "m", "api_key": SECRET}
        gateway = serving(serve, at)
        server.answer(*[broken(text("Hello there.", deltas=4))] * 4)
        reply = gateway.http.post(PATH, json={**HELLO, "stream": True})

    begun = reply.status_code == 200
    last = reply.text.rstrip().rpartition("data: ")[2] if begun else reply.text
    assert {"message", "type", "code"} <= json.loads(last)["error"].keys()
    assert "[DONE]" not in reply.text
    assert "event: " not in reply.text
    told = reply.text + str(reply.headers)
    assert not any(secret in told for secret in (SECRET, MASTER_KEY, "0x", "Traceback", "/src/"))


@pytest.mark.parametrize("is_spoken", [False, True], ids=["translated", "verbatim"])
@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
def test_silence_is_filled_with_comments(serve: Serve, is_spoken: bool, fails: bool) -> None:
    with FakeChat() if is_spoken else FakeUpstream() as server:
        provider = "openai_compatible" if is_spoken else "anthropic"
        at = {"provider": provider, "base_url": server.url, "model": "m", "api_key": "k"}
        gateway = serving(serve, at, ping_after=0.05)
        server.answer((error(400, message="No.") if fails else text("At last.")).late())
        got = ""
        with gateway.http.stream("POST", PATH, json={**HELLO, "stream": True}) as reply:
            assert (200, "text/event-stream") == (
                reply.status_code,
                reply.headers["content-type"].partition(";")[0],
            )
            for piece in reply.iter_text():
                got += piece
                if "data" not in got and got.count(": ping") > 1:
                    server.release()

    assert got.startswith(": ping\n\n" * 2)
    last = got.rstrip().rpartition("data: ")[2]
    if fails:
        assert "No." == json.loads(last)["error"]["message"]
    else:
        assert "[DONE]" == last
        assert '"content":"At ' in got


@pytest.mark.parametrize(
    ("members", "param"),
    [
        pytest.param({"messages": "Hi"}, "messages", id="messages-no-list"),
        pytest.param({"messages": [{"role": "king"}]}, "messages[0].role", id="unknown-role"),
        pytest.param({"max_tokens": "many"}, "max_tokens", id="max-tokens-no-number"),
        pytest.param({"model": ""}, "model", id="no-model"),
        pytest.param({"n": 2}, None, id="two-answers"),
        pytest.param({"logprobs": True}, None, id="logprobs"),
        pytest.param({"modalities": ["text", "audio"]}, None, id="audio"),
        pytest.param({"functions": [{"name": "f"}]}, None, id="functions"),
    ],
)
def test_what_cannot_be_asked_is_refused_for_good(
    client: openai.OpenAI, upstream: FakeUpstream, members: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{**HELLO, **members})

    assert "false" == caught.value.response.headers["x-should-retry"]
    if param is not None:
        assert param == caught.value.param
    assert next(iter(members)).removesuffix("s") in str(caught.value)
    assert [] == upstream.requests


def test_what_is_left_out_is_told(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer("Hi.")
    reply = gateway.http.post(PATH, json={**HELLO, "seed": 7, "logit_bias": {}, "verbosity": "low"})

    losses = reply.headers["x-llmroute-losses"]
    assert losses.startswith("2; ")
    assert "seed: left out" in losses
    assert "verbosity: left out" in losses


def test_an_answer_that_is_none(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(raw(200, [("content-type", "application/json")], b"[1]"))
    reply = gateway.http.post(PATH, json=HELLO)

    assert 502 == reply.status_code
    assert "error" in reply.json()
