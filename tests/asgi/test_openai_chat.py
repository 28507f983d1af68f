"""The official OpenAI SDK, against the Chat Completions door in front of Claude."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pydantic
import pytest
from tests.asgi.chat_door import HELLO, PATH, WEATHER, client_of
from tests.asgi.conftest import MASTER_KEY, Gateway

from llmroute.testing import FakeUpstream, error, message, text, thinking, tool_use

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
TWO_CALLS = message(
    ["Two é.", tool_use("weather", {"in": "Oslo"}), tool_use("weather", {"in": "Rom"})]
)


class River(pydantic.BaseModel):
    name: str
    length: int = pydantic.Field(ge=0)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with client_of(gateway) as client:
        yield client


@pytest.fixture
async def asynchronous(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=gateway.url + "/v1", api_key=MASTER_KEY, max_retries=0
    ) as client:
        yield client


def test_a_whole_answer(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    upstream.answer(
        message(
            [thinking("Hm."), "Hello."],
            usage={
                "input_tokens": 7,
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 3,
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 4},
            },
        )
    )
    answer = client.chat.completions.create(**HELLO)

    said = answer.choices[0].message
    assert ("Hello.", "Hm.") == (said.content, said.model_dump()["reasoning_content"])
    assert ("sonnet", "stop") == (answer.model, answer.choices[0].finish_reason)
    assert answer.id.startswith("chatcmpl-")
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (30, 9, 39) == (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    details = usage.prompt_tokens_details
    assert (20, 3) == (details.cached_tokens, details.cache_write_tokens)
    assert 4 == usage.completion_tokens_details.reasoning_tokens
    assert "/v1/messages" == upstream.requests[0].path


def test_a_stream_with_parallel_tools_thinking_and_usage(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    uses = [tool_use("weather", {"in": "Oslo"}), tool_use("weather", {}), tool_use("weather", {})]
    upstream.answer(message([thinking("Hm."), "Two é.", thinking("So."), *uses]))
    with client.chat.completions.stream(
        **HELLO, tools=[WEATHER], stream_options={"include_usage": True}
    ) as stream:
        answer = stream.until_done().get_final_completion()

    choice = answer.choices[0]
    assert ("Two é.", "tool_calls") == (choice.message.content, choice.finish_reason)
    calls = [json.loads(call.function.arguments) for call in choice.message.tool_calls or ()]
    assert [{"in": "Oslo"}, {}, {}] == calls
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    blocks = choice.message.model_dump()["thinking_blocks"]
    assert ["Hm.", "So."] == [block["thinking"] for block in blocks]
    assert all(block["signature"] for block in blocks)


def test_without_asking_no_chunk_holds_usage(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(text("Hello there."))
    reply = gateway.http.post(PATH, json={**HELLO, "stream": True})

    chunks = [line[6:] for line in reply.text.split("\n\n") if line.startswith("data: ")]
    assert "[DONE]" == chunks[-1]
    decoded = [json.loads(chunk) for chunk in chunks[:-1]]
    assert all("usage" not in chunk for chunk in decoded)
    assert "assistant" == decoded[0]["choices"][0]["delta"]["role"]
    assert ["stop"] == [
        reason for chunk in decoded if (reason := chunk["choices"][0]["finish_reason"])
    ]
    assert 1 == len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in decoded})


@pytest.mark.anyio
async def test_the_asynchronous_client(
    asynchronous: openai.AsyncOpenAI, upstream: FakeUpstream
) -> None:
    upstream.answer("Hello there.", "Hello.", TWO_CALLS)
    chunks = await asynchronous.chat.completions.create(**HELLO, stream=True)
    said = "".join([each.choices[0].delta.content or "" async for each in chunks])
    answer = await asynchronous.chat.completions.create(**HELLO)
    async with asynchronous.chat.completions.stream(**HELLO, tools=[WEATHER]) as stream:
        final = await (await stream.until_done()).get_final_completion()

    assert ("Hello there.", "Hello.") == (said, answer.choices[0].message.content)
    assert 2 == len(final.choices[0].message.tool_calls or ())


@pytest.mark.anyio
async def test_the_asynchronous_clients_errors(
    asynchronous: openai.AsyncOpenAI, upstream: FakeUpstream
) -> None:
    upstream.answer(error(529), error(413))
    with pytest.raises(openai.InternalServerError) as overloaded:
        await asynchronous.chat.completions.create(**HELLO, stream=True)
    with pytest.raises(openai.APIStatusError) as large:
        await asynchronous.chat.completions.create(**HELLO)

    assert (503, 413) == (overloaded.value.status_code, large.value.status_code)


def test_a_conversation_reaches_the_model_as_messages(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    upstream.answer(text("Cold."))
    function = {"name": "weather", "arguments": '{"in":"Oslo"}'}
    calls = [{"id": f"call_{n}", "type": "function", "function": function} for n in (1, 2)]
    picture: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    turns: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look:"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "-3"},
        {"role": "tool", "tool_call_id": "call_2", "content": "-4"},
    ]
    schema: Any = {"type": "object", "properties": {}, "additionalProperties": False}
    client.chat.completions.create(
        model="claude-opus-4-6",
        messages=turns,
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        stop="END",
        reasoning_effort="minimal",
        max_completion_tokens=50,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )

    sent = upstream.requests[0].json
    assert [{"type": "text", "text": "Be brief."}] == sent["system"]
    assert ["user", "assistant", "user"] == [turn["role"] for turn in sent["messages"]]
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert source == sent["messages"][0]["content"][1]["source"]
    assert {"in": "Oslo"} == sent["messages"][1]["content"][0]["input"]
    assert ["call_1", "call_2"] == [each["tool_use_id"] for each in sent["messages"][2]["content"]]
    assert {"type": "any", "disable_parallel_tool_use": True} == sent["tool_choice"]
    assert {"format": {"type": "json_schema", "schema": schema}, "effort": "low"} == sent[
        "output_config"
    ]
    assert (["END"], 50) == (sent["stop_sequences"], sent["max_tokens"])


def test_thinking_survives_a_loop_of_tools(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    """As the SDK hands an answer back, with what it does not know of it."""
    upstream.answer(message([thinking("Hm."), tool_use("weather", {"in": "Oslo"}, id="toolu_1")]))
    upstream.answer(message([thinking("So."), tool_use("weather", {"in": "Rom"}, id="toolu_2")]))
    upstream.answer("Cold.")
    turns: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = client.chat.completions.create(
        model="sonnet", messages=turns, tools=[WEATHER], reasoning_effort="high"
    )
    turns += [first.choices[0].message]
    turns += [{"role": "tool", "tool_call_id": "toolu_1", "content": "-3"}]
    with client.chat.completions.stream(model="sonnet", messages=turns, tools=[WEATHER]) as stream:
        second = stream.get_final_completion()
    turns += [second.choices[0].message]
    turns += [{"role": "tool", "tool_call_id": "toolu_2", "content": "20"}]
    client.chat.completions.create(model="sonnet", messages=turns, tools=[WEATHER])

    kept = upstream.requests[2].json["messages"]
    assert ["user", "assistant", "user", "assistant", "user"] == [turn["role"] for turn in kept]
    for turn, thought in ((1, "Hm."), (3, "So.")):
        block = kept[turn]["content"][0]
        assert ("thinking", thought) == (block["type"], block["thinking"])
        assert {"type", "thinking", "signature"} == block.keys()
        assert block["signature"]
    assert upstream.requests[1].json["messages"] == kept[:3]


def test_a_structured_answer(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    upstream.answer('{"name": "Rhine", "length": 1233}')
    answer = client.chat.completions.parse(**HELLO, response_format=River)

    assert River(name="Rhine", length=1233) == answer.choices[0].message.parsed
    form = upstream.requests[0].json["output_config"]["format"]
    assert "json_schema" == form["type"]
    length = form["schema"]["properties"]["length"]
    assert "minimum" not in length
    assert "minimum: 0" in length["description"]


def test_calls_of_pydantics_tools_are_parsed(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    upstream.answer(message([tool_use("River", {"name": "Rhine", "length": 1})]))
    answer = client.chat.completions.parse(**HELLO, tools=[openai.pydantic_function_tool(River)])

    calls = answer.choices[0].message.tool_calls or []
    assert [River(name="Rhine", length=1)] == [call.function.parsed_arguments for call in calls]
    assert upstream.requests[0].json["tools"][0]["strict"] is True


def test_a_custom_tool_is_called_with_the_text_it_takes(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    tool: Any = {"type": "custom", "custom": {"name": "sql", "description": "Runs SQL."}}
    upstream.answer(
        message([tool_use("sql", {"input": 'SELECT "é"'}, id="toolu_1")]),
        message([tool_use("sql", {"input": 'SELECT "é"'}, id="toolu_2")]),
    )
    answer = client.chat.completions.create(**HELLO, tools=[tool])
    chunks = list(client.chat.completions.create(**HELLO, tools=[tool], stream=True))

    call: Any = (answer.choices[0].message.tool_calls or [])[0]
    assert ("custom", 'SELECT "é"') == (call.type, call.custom.input)
    streamed = [
        each.model_dump() for chunk in chunks for each in chunk.choices[0].delta.tool_calls or ()
    ]
    assert 'SELECT "é"' == "".join(each["custom"]["input"] for each in streamed)
    turns: list[Any] = [
        {"role": "user", "content": "Hi"},
        answer.choices[0].message,
        {"role": "tool", "tool_call_id": "toolu_1", "content": "é"},
    ]
    client.chat.completions.create(model="sonnet", messages=turns, tools=[tool])
    asked = upstream.requests[2].json["messages"][1]["content"][0]
    assert {"input": 'SELECT "é"'} == asked["input"]


def test_a_search_of_the_web_is_cited(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    cited = {
        "type": "web_search_result_location",
        "url": "https://example.com/rhine",
        "title": "The Rhine",
        "encrypted_index": "x",
        "cited_text": "1233 km",
    }
    blocks: list[Any] = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "1233 km", "citations": [cited]},
        {"type": "text", "text": " long."},
    ]
    upstream.answer(message(blocks), message(blocks))
    answer = client.chat.completions.create(
        **HELLO,
        web_search_options={
            "user_location": {"type": "approximate", "approximate": {"country": "DE"}}
        },
    )
    with client.chat.completions.stream(**HELLO) as stream:
        streamed = stream.get_final_completion()

    note = (answer.choices[0].message.annotations or [])[0].url_citation
    assert ("https://example.com/rhine", "The Rhine") == (note.url, note.title)
    said = answer.choices[0].message.content or ""
    assert "1233 km" == said[note.start_index : note.end_index]
    again: Any = (streamed.choices[0].message.annotations or [])[0]
    again = again if isinstance(again, dict) else again.model_dump()
    assert note.model_dump() == again["url_citation"]
    assert {
        "type": "web_search_20250305",
        "name": "web_search",
        "user_location": {"type": "approximate", "country": "DE"},
    } == upstream.requests[0].json["tools"][0]


def test_a_refusal(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "That I will not do."}
    refused = message([], stop_reason="refusal", stop_details=details)
    upstream.answer(refused, refused)
    answer = client.chat.completions.create(**HELLO)
    with client.chat.completions.stream(**HELLO) as stream:
        seen = list(stream)

    said = answer.choices[0]
    assert ("That I will not do.", "content_filter") == (said.message.refusal, said.finish_reason)
    assert "That I will not do." in [each.delta for each in seen if each.type == "refusal.delta"]
