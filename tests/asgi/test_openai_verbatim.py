"""A Chat Completions client in front of a server of that format: bytes stay as they are."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from tests.asgi.chat_door import HELLO, PATH, WEATHER, Serve, chat, client_of, native, serving
from tests.asgi.conftest import Gateway

from llmroute.testing import (
    FakeChat,
    FakeOpenAI,
    FakeUpstream,
    chat_chunks,
    error,
    openai_error,
    raw,
)
from llmroute.translate.reasoning import seal


def spelled(**members: Any) -> bytes:
    """Spell a request as no encoder of ours would."""
    rest = "".join(f', "{name}":{json.dumps(value)}' for name, value in members.items())
    return (
        '{ "messages":[{"role":"user","content":"H\\u00ef","name":"ann"}],\n"model" : "sonnet"'
        f',"seed":7 ,"temperature":1.0e0{rest}}}'
    ).encode()


def posted(gateway: Gateway, body: bytes) -> httpx.Response:
    return gateway.http.post(PATH, content=body, headers={"content-type": "application/json"})


def test_to_the_same_format_all_goes_as_it_came(serve: Serve) -> None:
    said = b'{"id":"chatcmpl-9", "object":"chat.completion","choices":[{"index":0,"message":'
    said += b'{"role":"assistant","content":"H\\u00ef"},"finish_reason":"stop"}],'
    said += b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7},"odd":1.0e1}'
    with FakeChat() as server:
        gateway = serving(serve, chat(server))
        server.answer(raw(200, [("content-type", "application/json")], said))
        reply = posted(gateway, spelled(n=2, logprobs=True))
        sent = server.requests[0].body

    assert spelled(n=2, logprobs=True).replace(b'"sonnet"', b'"qwen"') == sent
    assert said == reply.content
    assert "x-llmroute-losses" not in reply.headers
    usage = gateway.records.wait()[0].usage
    assert (5, 2) == (usage.input_tokens, usage.output_tokens)


def test_so_does_a_stream(serve: Serve) -> None:
    frames = [
        b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","odd":1.0e1}}]}\n\n',
        b': comment\n\ndata: {"id":"c","choices":[{"index":0,"delta":{"content":"H\\u00ef"}}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n',
        b"data: [DONE]\n\n",
    ]
    with FakeChat() as server:
        gateway = serving(serve, chat(server))
        server.answer(chat_chunks(*frames), chat_chunks(*frames))
        asked = spelled(stream=True, stream_options={"include_usage": True})
        with_usage = posted(gateway, asked)
        sent = server.requests[0].body
        without = posted(gateway, spelled(stream=True))

    assert asked.replace(b'"sonnet"', b'"qwen"') == sent
    assert b"".join(frames) == with_usage.content
    assert b"".join([*frames[:3], frames[4]]) == without.content
    records = gateway.records.wait(2)
    assert [(5, 2), (5, 2)] == [(r.usage.input_tokens, r.usage.output_tokens) for r in records]


def test_an_error_of_the_same_format_stays_as_it_is(serve: Serve) -> None:
    with FakeChat() as server:
        gateway = serving(serve, chat(server))
        server.answer(
            openai_error(400, "That seed is odd.", code="odd_seed"),
            openai_error(400, "That seed is odd.", code="odd_seed"),
        )
        with client_of(gateway) as client, pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**HELLO, seed=7)
        reply = gateway.http.post(PATH, json={**HELLO, "stream": True})

    assert ("odd_seed", "That seed is odd.") == (
        caught.value.code,
        dict(caught.value.body or {})["message"],  # type: ignore[call-overload]
    )
    assert (400, "odd_seed") == (reply.status_code, reply.json()["error"]["code"])


def test_where_the_same_format_fails_another_answers(serve: Serve, upstream: FakeUpstream) -> None:
    with FakeChat() as server:
        gateway = serving(serve, chat(server), native(upstream, model="claude-sonnet-5-5"))
        server.answer(error(500), error(500))
        upstream.answer("Hello.", "Hello there.")
        with client_of(gateway) as client:
            answer = client.chat.completions.with_raw_response.create(**HELLO, seed=7)
            chunks = list(client.chat.completions.create(**HELLO, stream=True))

    assert "d1" == answer.headers["x-llmroute-deployment"]
    assert "seed" in answer.headers["x-llmroute-losses"]
    assert "Hello." == answer.parse().choices[0].message.content
    assert "Hello there." == "".join(each.choices[0].delta.content or "" for each in chunks)


def test_what_messages_cannot_say_goes_where_it_can_be_said(
    serve: Serve, upstream: FakeUpstream
) -> None:
    with FakeChat() as server:
        gateway = serving(serve, native(upstream, model="claude-sonnet-5-5"), chat(server))
        server.answer("Hello.")
        with client_of(gateway) as client:
            answer = client.chat.completions.with_raw_response.create(**HELLO, logprobs=True)

    assert "d1" == answer.headers["x-llmroute-deployment"]
    assert [] == upstream.requests


def test_openai_by_responses(serve: Serve) -> None:
    """Where the history holds what a translation has left in it; else it is asked as it was."""
    state = seal("gemini", "gemini-3", {})
    turns: list[Any] = [{"role": "user", "content": "Weather?"}]
    function = {"name": "weather", "arguments": "{}"}
    turns += [
        {
            "role": "assistant",
            "content": None,
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": state}],
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
    ]
    turns += [{"role": "tool", "tool_call_id": "call_1", "content": "-3"}]
    with FakeOpenAI(api_key="k") as server:
        address = {"base_url": server.url + "/v1", "api_key": "k", "model": "gpt-5.4"}
        gateway = serving(serve, {"provider": "openai", **address})
        server.answer("Cold.", "Cold.")
        with client_of(gateway) as client:
            asked: dict[str, Any] = {"model": "sonnet", "messages": turns, "tools": [WEATHER]}
            answer = client.chat.completions.create(**asked, reasoning_effort="low")
            with client.chat.completions.stream(**asked) as stream:
                streamed = stream.get_final_completion()

    for each in (answer, streamed):
        assert "Cold." == each.choices[0].message.content
    assert ["/v1/responses"] * 2 == [each.path for each in server.requests]
    sent = server.requests[0].json
    assert ("gpt-5.4", "low") == (sent["model"], sent["reasoning"]["effort"])
    kinds = [item.get("type", "message") for item in sent["input"]]
    assert ["message", "function_call", "function_call_output"] == kinds
