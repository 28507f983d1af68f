"""Callers that speak the upstream's own format: what they send and get is as it came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import llmroute
from llmroute.errors import RejectedError, StreamBrokenError, UntranslatableError, UpstreamError
from llmroute.messages.call import Call, Spoken
from llmroute.router import Answer
from llmroute.testing import (
    Clock,
    FakeChat,
    FakeOpenAI,
    FakeUpstream,
    chat_chunks,
    error,
    raw,
    text,
)
from llmroute.testing.openai import openai_error
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

TRANSLATED = Envelope.of(
    {"model": "opus", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
)
# Spelled as no encoder of ours would.
ASKED = (
    b'{ "messages":[{"role":"user","content":"H\\u00ef"}],\n"model" : "opus","seed":7 ,'
    b'"temperature":1.0e0%s}'
)
RESPONSES = b'{"input" : "H\\u00ef", "model":"opus", "store":false%s}'


class _Seen:
    def __init__(self) -> None:
        self.records: list[Any] = []

    def record(self, record: Any) -> None:
        self.records.append(record)


@pytest.fixture
def server() -> Iterator[FakeChat]:
    with FakeChat(api_key="fake-key") as fake:
        yield fake


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key="fake-key") as fake:
        yield fake


@pytest.fixture
def anthropic() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def seen() -> _Seen:
    return _Seen()


def chat(server: FakeChat, **settings: Any) -> dict[str, Any]:
    at = {"provider": "openai_compatible", "base_url": server.url, "api_key": "fake-key"}
    return {**at, "model": "qwen", **settings}


def responses(openai: FakeOpenAI) -> dict[str, Any]:
    at = {"provider": "openai", "base_url": openai.url + "/v1", "api_key": "fake-key"}
    return {**at, "model": "gpt-5.2"}


def native(anthropic: FakeUpstream) -> dict[str, Any]:
    return {"provider": "anthropic", "base_url": anthropic.url, "api_key": "k"}


def router_of(seen: _Seen, *deployments: dict[str, Any], **alias: Any) -> llmroute.Router:
    named = {f"d{at}": each for at, each in enumerate(deployments)}
    config = {
        "deployments": named,
        "aliases": {"opus": {"deployments": list(named), **alias}},
    }
    options: Any = {"transport": DirectTransport(), "sleep": Clock().sleep, "observers": [seen]}
    return llmroute.Router.from_dict(config, **options)


def call_of(body: bytes, written: Any = "chat", **spoken: Any) -> Call:
    said = Spoken(written, Envelope.parse(body), **spoken)
    return Call(TRANSLATED, "opus", stream=said.body.is_true("stream"), spoken=said)


async def read(answer: Answer) -> bytes:
    data = b""
    while events := await answer.receive():
        data += events
    await answer.aclose()
    return data


async def test_a_whole_answer_and_its_request_are_as_they_came(
    server: FakeChat, seen: _Seen
) -> None:
    said = (
        b'{"id":"c1","object":"chat.completion", "choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"G\\u00f6od"},"finish_reason":"stop"}],"model":"qwen-3",'
        b'"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}'
    )
    server.answer(raw(200, [("content-type", "application/json")], said))
    async with router_of(seen, chat(server)) as router:
        answer = await router.send(call_of(ASKED % b""))
        await answer.aclose()
    assert (said, "chat") == (answer.body, answer.head.format)
    assert (ASKED % b"").replace(b'"opus"', b'"qwen"') == server.requests[0].body
    assert (12, 3) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert ["answered"] == [each.outcome for each in seen.records]


async def test_responses_go_through_as_they_came(openai: FakeOpenAI, seen: _Seen) -> None:
    openai.answer(text("Good day."), text("Good day."))
    async with router_of(seen, responses(openai)) as router:
        whole = await router.send(call_of(RESPONSES % b"", "responses"))
        await whole.aclose()
        streamed = await router.send(call_of(RESPONSES % b', "stream":true', "responses"))
        events = await read(streamed)
    assert "response" == msgspec.json.decode(whole.body)["object"]
    assert (RESPONSES % b"").replace(b'"opus"', b'"gpt-5.2"') == openai.requests[0].body
    assert ("responses", "responses") == (whole.head.format, streamed.head.format)
    assert events.startswith(b"event: response.created\n")
    assert b"event: response.completed\n" in events
    assert all(each.usage.output_tokens > 0 for each in seen.records)


async def test_chat_to_openai_itself_is_not_turned_into_responses(
    openai: FakeOpenAI, seen: _Seen
) -> None:
    async with router_of(seen, responses(openai)) as router:
        with pytest.raises(UpstreamError):  # the fake speaks Responses only
            await router.send(call_of(ASKED % b""))
    assert "/v1/chat/completions" == openai.requests[0].path


CHUNKS = (
    b'data: {"id":"c","choices":[{"delta":{"role":"assistant","content":"O\\u006b"}}]}\n\n',
    b": keep\n\n",
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
)
USED = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("asked", "handed_on"),
    [
        pytest.param(b',"stream":true,"stream_options":{"include_usage":true}', True, id="asked"),
        pytest.param(b',"stream":true', False, id="not-asked"),
        pytest.param(b',"stream":true,"stream_options":{"x":1}', False, id="other-options"),
    ],
)
async def test_usage_is_always_asked_for_and_handed_on_to_who_asked(
    server: FakeChat, seen: _Seen, asked: bytes, handed_on: bool
) -> None:
    server.answer(chat_chunks(*CHUNKS, USED, DONE).bytewise())
    async with router_of(seen, chat(server)) as router:
        events = await read(await router.send(call_of(ASKED % asked)))
    assert b"".join([*CHUNKS, USED if handed_on else b"", DONE]) == events
    sent = msgspec.json.decode(server.requests[0].body)["stream_options"]
    assert sent["include_usage"] is True
    assert ((9, 2), "answered") == (
        (seen.records[0].usage.input_tokens, seen.records[0].usage.output_tokens),
        seen.records[0].outcome,
    )


async def test_a_refusal_keeps_its_words(server: FakeChat, seen: _Seen) -> None:
    said = openai_error(400, "No such thing.", code="bad_thing")
    server.answer(said)
    async with router_of(seen, chat(server)) as router:
        with pytest.raises(RejectedError) as refused:
            await router.send(call_of(ASKED % b""))
    error = msgspec.json.decode(refused.value.body)["error"]
    assert ("chat", "No such thing.") == (refused.value.format, error["message"])
    assert "type" not in msgspec.json.decode(refused.value.body)


async def test_an_error_that_begins_a_stream_keeps_its_words(server: FakeChat, seen: _Seen) -> None:
    first = b'data: {"error":{"message":"Slow down.","code":429}}\n\n'
    server.answer(chat_chunks(first))
    async with router_of(seen, chat(server)) as router:
        with pytest.raises(UpstreamError) as failed:
            await router.send(call_of(ASKED % b',"stream":true'))
    assert ("chat", first) == (failed.value.format, failed.value.event)


async def test_a_stream_without_an_end_is_broken(server: FakeChat, seen: _Seen) -> None:
    server.answer(chat_chunks(CHUNKS[0]))
    async with router_of(seen, chat(server)) as router:
        answer = await router.send(call_of(ASKED % b',"stream":true'))
        with pytest.raises(StreamBrokenError):
            await read(answer)
    assert "broken" == seen.records[0].outcome


async def test_others_get_the_translation(
    server: FakeChat, anthropic: FakeUpstream, seen: _Seen
) -> None:
    server.answer(openai_error(500, "Oh."))
    anthropic.answer(text("Good day."))
    async with router_of(seen, chat(server), native(anthropic)) as router:
        answer = await router.send(call_of(ASKED % b"", losses=("seed: left out",)))
        await answer.aclose()
    assert ("messages", ("seed: left out",)) == (answer.head.format, answer.head.losses)
    assert "message" == msgspec.json.decode(answer.body)["type"]


async def test_what_has_no_translation_is_asked_only_where_it_needs_none(
    server: FakeChat, anthropic: FakeUpstream, seen: _Seen
) -> None:
    server.answer(text("Good day."))
    call = call_of(ASKED % b',"n":1', obstacle="n: only one answer can be asked for")
    async with router_of(seen, native(anthropic), chat(server)) as router:
        answer = await router.send(call)
        await answer.aclose()
    assert ("d1", []) == (answer.head.deployment, anthropic.requests)
    async with router_of(seen, native(anthropic)) as router:
        with pytest.raises(UntranslatableError, match="only one answer"):
            await router.send(call)


async def test_a_strict_alias_refuses_the_losses_of_the_door(
    server: FakeChat, anthropic: FakeUpstream, seen: _Seen
) -> None:
    call = call_of(ASKED % b"", losses=("seed: left out",))
    async with router_of(seen, native(anthropic), strict=True) as router:
        with pytest.raises(UntranslatableError, match="seed"):
            await router.send(call)
    server.answer(text("Good day."))
    async with router_of(seen, chat(server), strict=True) as router:
        answer = await router.send(call)
        await answer.aclose()
    assert () == answer.head.losses


async def test_reasoning_that_a_translation_handed_out_is_translated_back(
    server: FakeChat, seen: _Seen
) -> None:
    server.answer(text("Good day."))
    async with router_of(seen, chat(server)) as router:
        answer = await router.send(call_of(ASKED % b',"x":{"thinking_blocks":[]}'))
        await answer.aclose()
    assert "messages" == answer.head.format
    assert b"thinking_blocks" not in server.requests[0].body


async def test_a_dead_upstream_is_left_before_anything_was_said(
    server: FakeChat, seen: _Seen
) -> None:
    with FakeChat() as dead:
        dead.answer(error(529))
        server.answer(chat_chunks(*CHUNKS, DONE))
        async with router_of(seen, chat(dead), chat(server)) as router:
            events = await read(await router.send(call_of(ASKED % b',"stream":true')))
    assert b"".join([*CHUNKS, DONE]) == events
