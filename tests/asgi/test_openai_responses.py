"""The official OpenAI SDK, against the proxy's Responses door."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import openai
import pydantic
import pytest
from tests.asgi.conftest import MASTER_KEY, Gateway

from llmroute.testing import (
    FakeChat,
    FakeGemini,
    FakeOpenAI,
    FakeUpstream,
    error,
    message,
    openai_error,
    raw,
    text,
    thinking,
    tool_use,
)

HELLO: dict[str, Any] = {"model": "sonnet", "input": "Hi"}
PATH = "/v1/responses"
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"in": {"type": "string"}}},
    "strict": False,
}
PATCH: Any = {"type": "custom", "name": "patch", "description": "Changes files."}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()

Serve = Callable[[dict[str, Any]], Gateway]


class River(pydantic.BaseModel):
    name: str
    length: int = pydantic.Field(ge=0)


def client_of(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.url + "/v1", api_key=MASTER_KEY, max_retries=0)


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


def serving(serve: Serve, *deployments: dict[str, Any]) -> Gateway:
    named = {f"d{at}": each for at, each in enumerate(deployments)}
    return serve(
        {
            "deployments": named,
            "aliases": {"sonnet": list(named)},
            "server": {"master_key": MASTER_KEY},
        }
    )


def gpt(server: FakeOpenAI, **settings: Any) -> dict[str, Any]:
    address = {"provider": "openai", "base_url": server.url + "/v1", "api_key": "k"}
    return {**address, "model": "gpt-5.4", **settings}


def native(upstream: FakeUpstream) -> dict[str, Any]:
    address = {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
    return {**address, "model": "claude-sonnet-5-5"}


def dumped(output: Any) -> list[Any]:
    """Return an output as clients send it back."""
    return [item.model_dump(exclude_none=True, mode="json") for item in output]


# In front of Anthropic's API


def test_a_whole_answer(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    usage = {
        "input_tokens": 7,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 3,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    upstream.answer(message([thinking("Hm."), "Hello."], usage=usage))
    answer = client.responses.create(**HELLO, instructions="Be brief.", max_output_tokens=50)

    assert ("Hello.", "completed", "sonnet") == (answer.output_text, answer.status, answer.model)
    assert ("Be brief.", 50) == (answer.instructions, answer.max_output_tokens)
    assert ["reasoning", "message"] == [item.type for item in answer.output]
    assert answer.id.startswith("resp_")
    counted = answer.usage
    assert counted is not None
    assert (30, 9, 39) == (counted.input_tokens, counted.output_tokens, counted.total_tokens)
    assert 20 == counted.input_tokens_details.cached_tokens
    assert 4 == counted.output_tokens_details.reasoning_tokens
    sent = upstream.requests[0].json
    assert [{"type": "text", "text": "Be brief."}] == sent["system"]
    assert [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}] == sent["messages"]
    assert 50 == sent["max_tokens"]


def test_a_stream_with_parallel_tools_and_thinking(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    uses = [tool_use("weather", {"in": "Oslo"}), tool_use("weather", {}), tool_use("weather", {})]
    upstream.answer(message([thinking("Hm."), "Two é.", thinking("So."), *uses]))
    with client.responses.stream(**HELLO, tools=[WEATHER]) as stream:
        seen = list(stream)
        answer = stream.get_final_response()

    assert list(range(len(seen))) == [each.sequence_number for each in seen]
    kinds = ["reasoning", "message", "reasoning", *["function_call"] * 3]
    assert kinds == [item.type for item in answer.output]
    calls = [json.loads(item.arguments) for item in answer.output if item.type == "function_call"]
    assert [{"in": "Oslo"}, {}, {}] == calls
    assert "Two é." == answer.output_text
    told = [item.summary[0].text for item in answer.output if item.type == "reasoning"]
    assert ["Hm.", "So."] == told
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


@pytest.mark.anyio
async def test_the_asynchronous_client(
    asynchronous: openai.AsyncOpenAI, upstream: FakeUpstream
) -> None:
    upstream.answer("Hello there.", "Hello.", message(["So.", tool_use("weather", {})]))
    pieces = await asynchronous.responses.create(**HELLO, stream=True)
    said = [each.delta async for each in pieces if each.type == "response.output_text.delta"]
    answer = await asynchronous.responses.create(**HELLO)
    async with asynchronous.responses.stream(**HELLO, tools=[WEATHER]) as stream:
        final = await stream.get_final_response()
    upstream.answer(error(529))
    with pytest.raises(openai.InternalServerError) as overloaded:
        await asynchronous.responses.create(**HELLO, stream=True)

    assert ("Hello there.", "Hello.") == ("".join(said), answer.output_text)
    assert ["message", "function_call"] == [item.type for item in final.output]
    assert 503 == overloaded.value.status_code


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("keeps", [True, False], ids=["as-objects", "as-json"])
def test_thinking_survives_a_loop_of_tools(
    client: openai.OpenAI, upstream: FakeUpstream, streams: bool, keeps: bool
) -> None:
    blocks = [thinking("Hm."), tool_use("weather", {"in": "é"}, id="toolu_1")]
    upstream.answer(message(blocks), message([thinking("So."), "Cold."]), "Bye.")
    settings: dict[str, Any] = {"model": "claude-opus-5-5", "tools": [WEATHER]}
    settings |= {"reasoning": {"effort": "high", "summary": "auto"}}
    turns: list[Any] = [{"role": "user", "content": "Weather?"}]
    for then in (
        {"type": "function_call_output", "call_id": "toolu_1", "output": "-3"},
        {"role": "user", "content": "Bye."},
    ):
        if streams:
            with client.responses.stream(input=turns, **settings) as stream:
                said: Any = stream.get_final_response().output
        else:
            said = client.responses.create(input=turns, **settings).output
        turns += [*(said if keeps else dumped(said)), then]
    client.responses.create(input=turns, **settings)

    sent = [each.json for each in upstream.requests]
    assert {"type": "adaptive", "display": "summarized"} == sent[0]["thinking"]
    kept = sent[2]["messages"]
    assert ["user", "assistant", "user", "assistant", "user"] == [turn["role"] for turn in kept]
    for turn, thought in ((1, "Hm."), (3, "So.")):
        block = kept[turn]["content"][0]
        assert ("thinking", thought) == (block["type"], block["thinking"])
        assert {"type", "thinking", "signature"} == block.keys()
        assert block["signature"]
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"in": "é"}}
    assert use == kept[1]["content"][1]
    assert [{"type": "text", "text": "-3"}] == kept[2]["content"][0]["content"]


def test_images_files_and_choices(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    upstream.answer("I see.")
    parts: list[Any] = [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aa"},
    ]
    client.responses.create(
        model="claude-opus-4-6",
        input=[{"role": "user", "content": parts}],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        reasoning={"effort": "minimal"},
        safety_identifier="someone",
    )

    sent = upstream.requests[0].json
    blocks = sent["messages"][0]["content"]
    assert ["text", "image", "image", "document"] == [block["type"] for block in blocks]
    assert {"type": "base64", "media_type": "image/png", "data": PIXEL} == blocks[1]["source"]
    assert {"type": "url", "url": "https://example.com/a.png"} == blocks[2]["source"]
    assert {"type": "any", "disable_parallel_tool_use": True} == sent["tool_choice"]
    assert {"effort": "low"} == sent["output_config"]
    assert {"user_id": "someone"} == sent["metadata"]


def test_a_structured_answer(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    upstream.answer('{"name": "Rhine", "length": 1233}', '{"name": "Rhine", "length": 1233}')
    answer = client.responses.parse(**HELLO, text_format=River)
    with client.responses.stream(**HELLO, text_format=River) as stream:
        streamed = stream.get_final_response()

    for each in (answer, streamed):
        assert River(name="Rhine", length=1233) == each.output_parsed
    form = upstream.requests[0].json["output_config"]["format"]
    assert "json_schema" == form["type"]
    assert "minimum: 0" in form["schema"]["properties"]["length"]["description"]


def test_calls_of_pydantics_tools_are_parsed(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    upstream.answer(message([tool_use("River", {"name": "Rhine", "length": 1})]))
    tool: Any = {"type": "function", **openai.pydantic_function_tool(River)["function"]}
    answer = client.responses.parse(**HELLO, tools=[tool])

    (call,) = answer.output
    assert call.type == "function_call"
    assert {"name": "Rhine", "length": 1} == json.loads(call.arguments)
    assert upstream.requests[0].json["tools"][0]["strict"] is True


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_custom_tool_is_called_with_the_text_it_takes(
    client: openai.OpenAI, upstream: FakeUpstream, streams: bool
) -> None:
    upstream.answer(message([tool_use("patch", {"input": '+ "é"\n'}, id="toolu_1")]), "Done.")
    said: list[str] = []
    if streams:
        with client.responses.create(**HELLO, tools=[PATCH], stream=True) as stream:
            seen = list(stream)
        said = [e.delta for e in seen if e.type == "response.custom_tool_call_input.delta"]
        assert seen[-1].type == "response.completed"
        (call,) = seen[-1].response.output
    else:
        (call,) = client.responses.create(**HELLO, tools=[PATCH]).output
    assert call.type == "custom_tool_call"
    turns: list[Any] = [{"role": "user", "content": "Hi"}, call]
    turns += [{"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ok"}]
    client.responses.create(model="sonnet", input=turns, tools=[PATCH])

    assert ("patch", '+ "é"\n', "toolu_1") == (call.name, call.input, call.call_id)
    assert not streams or call.input == "".join(said)
    use, result = [turn["content"][0] for turn in upstream.requests[1].json["messages"][1:]]
    assert {"input": '+ "é"\n'} == use["input"]
    assert ("toolu_1", [{"type": "text", "text": "ok"}]) == (
        result["tool_use_id"],
        result["content"],
    )


def test_a_search_of_the_web_is_cited_and_goes_back(
    client: openai.OpenAI, upstream: FakeUpstream
) -> None:
    page = {"url": "https://example.com/rhine", "title": "The Rhine"}
    cited = {"type": "web_search_result_location", **page, "encrypted_index": "x"}
    found = {"type": "web_search_result", **page, "encrypted_content": "x"}
    own = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}
    blocks: list[Any] = [
        {**own, "input": {"query": "Rhine"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
        {"type": "text", "text": "1233 km", "citations": [cited]},
    ]
    upstream.answer(message(blocks), "Bye.")
    tools: Any = [{"type": "web_search", "filters": {"allowed_domains": ["example.com"]}}]
    with client.responses.stream(**HELLO, tools=tools) as stream:
        answer = stream.get_final_response()
    bye: Any = {"role": "user", "content": "Bye."}
    client.responses.create(model="sonnet", input=[*dumped(answer.output), bye], tools=tools)

    search, _, said = answer.output
    assert search.type == "web_search_call"
    assert search.action.type == "search"
    assert ["https://example.com/rhine"] == [each.url for each in search.action.sources or ()]
    assert said.type == "message"
    part = said.content[0]
    assert part.type == "output_text"
    assert ["url_citation"] == [note.type for note in part.annotations]
    tool = {"type": "web_search_20250305", "name": "web_search"}
    assert [{**tool, "allowed_domains": ["example.com"]}] == [
        {name: value for name, value in each.items() if name != "cache_control"}
        for each in upstream.requests[0].json["tools"]
    ]
    assert blocks[:2] == upstream.requests[1].json["messages"][1]["content"][:2]


def test_an_answer_cut_short_and_a_refusal(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "That I will not do."}
    upstream.answer(
        message("A long", stop_reason="max_tokens"),
        message([], stop_reason="refusal", stop_details=details),
    )
    cut = client.responses.create(**HELLO, max_output_tokens=16)
    with client.responses.stream(**HELLO) as stream:
        seen = list(stream)

    assert ("incomplete", "A long") == (cut.status, cut.output_text)
    assert cut.incomplete_details is not None
    assert "max_output_tokens" == cut.incomplete_details.reason
    refusals = [each.refusal for each in seen if each.type == "response.refusal.done"]
    assert ["That I will not do."] == refusals
    assert "response.incomplete" == seen[-1].type


@pytest.mark.parametrize("prefix", ["/v1", "", "/v1/v1", "/openai/v1", "/openai"])
def test_every_path_of_the_door(gateway: Gateway, upstream: FakeUpstream, prefix: str) -> None:
    upstream.answer("Hi.")
    reply = gateway.http.post(f"{prefix}/responses?api-version=2025-04-01-preview", json=HELLO)
    count = gateway.http.post(f"{prefix}/responses/input_tokens", json=HELLO)

    assert ("response", "completed") == (reply.json()["object"], reply.json()["status"])
    assert reply.headers["x-llmroute-deployment"] == "sonnet-direct"
    assert count.json()["input_tokens"] > 0


def test_azures_client(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer("Hi.", "Hello there.")
    with openai.AzureOpenAI(
        azure_endpoint=gateway.url, api_key=MASTER_KEY, api_version="2025-04-01-preview"
    ) as client:
        answer = client.responses.create(**HELLO)
        with client.responses.stream(**HELLO) as stream:
            streamed = stream.get_final_response()

    assert ("Hi.", "Hello there.") == (answer.output_text, streamed.output_text)


def test_tokens_are_counted(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    count = client.responses.input_tokens.count(
        **HELLO, instructions="Be brief.", tools=[WEATHER], text={"format": {"type": "text"}}
    )

    assert "response.input_tokens" == count.object
    assert count.input_tokens > 0
    assert ["/v1/messages/count_tokens"] == [each.path for each in upstream.requests]
    assert {"model", "messages", "system", "tools"} == upstream.requests[0].json.keys()


def test_prompt_cache_key_is_the_session(
    client: openai.OpenAI, gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer("Hi.")
    client.responses.create(**HELLO, prompt_cache_key="chat-7")

    assert "chat-7" == gateway.records.wait()[0].session


# What goes wrong


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
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
        pytest.param(error(429), openai.RateLimitError, 429, "rate_limit_exceeded", id="429"),
        pytest.param(error(529), openai.InternalServerError, 503, "overloaded", id="529"),
    ],
)
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
        client.responses.create(**HELLO, stream=stream)

    assert (status, code) == (caught.value.status_code, caught.value.code)
    assert caught.value.request_id


def test_a_stream_that_breaks_ends_as_failed(client: openai.OpenAI, upstream: FakeUpstream) -> None:
    upstream.answer(text("Hello there.").cut(after_events=4), text("Hello.").fail(after_events=4))
    for told in ("", "Overloaded"):
        with client.responses.create(**HELLO, stream=True) as stream:
            seen = list(stream)
        last = seen[-1]
        assert last.type == "response.failed"
        assert "failed" == last.response.status
        assert last.response.error is not None
        assert "server_error" == last.response.error.code
        assert told in last.response.error.message
        assert len(seen) - 1 == last.sequence_number


@pytest.mark.parametrize(
    ("members", "word"),
    [
        pytest.param({"previous_response_id": "resp_1"}, "previous_response_id", id="an-earlier"),
        pytest.param({"conversation": "conv_1"}, "conversation", id="a-conversation"),
        pytest.param({"prompt": {"id": "pmpt_1"}}, "prompt", id="a-template"),
        pytest.param({"background": True}, "background", id="in-the-background"),
        pytest.param({"input": 7}, "input", id="no-input"),
        pytest.param({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]", id="pointer"),
        pytest.param({"tools": [{"type": "image_generation"}]}, "tools[0]", id="a-hosted-tool"),
        pytest.param({"max_output_tokens": "many"}, "max_output_tokens", id="no-number"),
        pytest.param({"model": ""}, "model", id="no-model"),
    ],
)
def test_what_cannot_be_asked_is_refused_for_good(
    client: openai.OpenAI, upstream: FakeUpstream, members: dict[str, Any], word: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{**HELLO, **members})

    assert "false" == caught.value.response.headers["x-should-retry"]
    assert "invalid_request_error" == caught.value.type
    assert word in str(caught.value)
    assert [] == upstream.requests


def test_what_is_left_out_is_told(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer("Hi.")
    reply = gateway.http.post(PATH, json={**HELLO, "store": True, "text": {"verbosity": "low"}})

    losses = reply.headers["x-llmroute-losses"]
    assert losses.startswith("2; ")
    assert "store: left out" in losses
    assert "text.verbosity: left out" in losses


def test_nothing_is_stored(client: openai.OpenAI, gateway: Gateway) -> None:
    for ask in (
        lambda: client.responses.retrieve("resp_1"),
        lambda: client.responses.delete("resp_1"),
        lambda: client.responses.cancel("resp_1"),
        lambda: client.responses.input_items.list("resp_1"),
        client.conversations.create,
        lambda: client.conversations.retrieve("conv_1"),
    ):
        with pytest.raises(openai.NotFoundError, match="Nothing is stored here") as caught:
            ask()
        assert "false" == caught.value.response.headers["x-should-retry"]
    for path in ("/v1/responses/compact", "/v1/responses/input_tokens", PATH):
        told = gateway.http.get(path).json()["error"]
        assert told["message"].startswith("Invalid URL")


def test_an_answer_that_is_none(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(raw(200, [("content-type", "application/json")], b"[1]"))
    reply = gateway.http.post(PATH, json=HELLO)

    assert 502 == reply.status_code
    assert "error" in reply.json()


# In front of servers of the same format


def spelled(**members: Any) -> bytes:
    """Spell a request as no encoder of ours would."""
    rest = "".join(f', "{name}":{json.dumps(value)}' for name, value in members.items())
    said = '"H\\u00ef","role":"user"'
    return f'{{ "input":[{{"content":{said}}}],\n"model" : "sonnet" ,"top_p":1.0e0{rest}}}'.encode()


def posted(gateway: Gateway, body: bytes) -> httpx.Response:
    return gateway.http.post(PATH, content=body, headers={"content-type": "application/json"})


DONE = (
    b'{"id":"resp_9", "object":"response","status":"completed","odd":1.0e1,"output":[{"id":"msg_9",'
    b'"type":"message","role":"assistant","content":[{"type":"output_text","text":"H\\u00ef"}]}],'
    b'"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}}'
)


def test_to_the_same_format_all_goes_as_it_came(serve: Serve) -> None:
    asked = spelled(previous_response_id="resp_8", store=True, top_logprobs=3)
    with FakeOpenAI() as server:
        gateway = serving(serve, gpt(server))
        server.on("POST", "/v1/responses", raw(200, [("content-type", "application/json")], DONE))
        reply = posted(gateway, asked)
        sent = server.requests[0].body

    assert asked.replace(b'"sonnet"', b'"gpt-5.4"') == sent
    assert DONE == reply.content
    assert "x-llmroute-losses" not in reply.headers
    usage = gateway.records.wait()[0].usage
    assert (5, 2) == (usage.input_tokens, usage.output_tokens)


def test_so_does_a_stream(serve: Serve) -> None:
    said = (
        b'event: response.created\ndata: {"response":{"id":"resp_9","output":[]},"odd":1.0e1,'
        b'"type":"response.created"}\n\n'
        b': comment\n\nevent: response.output_item.added\ndata: {"type":"response.output_item.added'
        b'","output_index":0,"item":{"id":"msg_9","type":"message","content":[]}}\n\n'
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
        b'"output_index":0,"content_index":0,"item_id":"msg_9","delta":"H\\u00ef"}\n\n'
        b'event: response.completed\ndata: {"type":"response.completed","response":' + DONE + b"}"
        b"\n\n"
    )
    with FakeOpenAI() as server:
        gateway = serving(serve, gpt(server))
        stream = raw(200, [("content-type", "text/event-stream")], said)
        server.on("POST", "/v1/responses", stream)
        reply = posted(gateway, spelled(stream=True))

    assert said == reply.content
    usage = gateway.records.wait()[0].usage
    assert (5, 2) == (usage.input_tokens, usage.output_tokens)


def test_the_clients_own_loop_goes_as_it_came(serve: Serve) -> None:
    """What a server of the format has encrypted is its own, and nothing is made of it."""
    with FakeOpenAI(api_key="k") as server:
        gateway = serving(serve, gpt(server))
        server.answer(message([thinking("Hm."), tool_use("weather", {"in": "é"})]), "Cold.")
        with client_of(gateway) as client:
            settings: dict[str, Any] = {"model": "sonnet", "tools": [WEATHER], "store": False}
            turns: list[Any] = [{"role": "user", "content": "Weather?"}]
            with client.responses.stream(input=turns, **settings) as stream:
                output = stream.get_final_response().output
            assert output[1].type == "function_call"
            result = {"type": "function_call_output", "output": "-3"}
            turns += [*dumped(output), {**result, "call_id": output[1].call_id}]
            answer = client.responses.create(input=turns, **settings)

    assert "Cold." == answer.output_text
    assert turns[1]["encrypted_content"] == server.requests[1].json["input"][1]["encrypted_content"]


@pytest.mark.parametrize("session", [None, "s-1"], ids=["once", "in-a-session"])
def test_reasoning_that_another_account_made_is_left_out_there(
    serve: Serve, session: str | None
) -> None:
    with FakeOpenAI() as first, FakeOpenAI() as second:
        gateway = serving(serve, gpt(first), gpt(second))
        first.answer(message([thinking("Hm."), "I look.", tool_use("weather", {"in": "é"})]))
        first.answer(error(500), error(500))
        second.answer("Cold.")
        with client_of(gateway) as client:
            settings: dict[str, Any] = {"model": "sonnet", "tools": [WEATHER], "store": False}
            settings |= {"prompt_cache_key": session} if session else {}
            turns: list[Any] = [{"role": "user", "content": "Weather?"}]
            output = client.responses.create(input=turns, **settings).output
            assert output[2].type == "function_call"
            result = {"type": "function_call_output", "output": "-3"}
            turns += [*dumped(output), {**result, "call_id": output[2].call_id}]
            answer = client.responses.create(input=turns, **settings)

    assert "Cold." == answer.output_text
    refused, sent = (request.json["input"] for request in second.requests)
    assert turns == refused
    unnamed = [{name: v for name, v in each.items() if name != "id"} for each in turns]
    assert [each for each in unnamed if each.get("type") != "reasoning"] == sent


def test_an_error_of_the_same_format_stays_as_it_is(serve: Serve) -> None:
    with FakeOpenAI() as server:
        gateway = serving(serve, gpt(server))
        odd = openai_error(400, "That is odd.", code="odd", param="input")
        server.answer(odd, odd)
        for stream in (False, True):
            with client_of(gateway) as client, pytest.raises(openai.BadRequestError) as caught:
                client.responses.create(**HELLO, stream=stream)
            assert ("odd", "input") == (caught.value.code, caught.value.param)


def test_a_stream_of_the_same_format_that_breaks(serve: Serve) -> None:
    """One that is cut ends as failed; what the server itself says at its end is handed on."""
    with FakeOpenAI() as server:
        gateway = serving(serve, gpt(server))
        said = text("Hello there.", deltas=4)
        server.answer(said.cut(after_events=6), said.fail(after_events=6))
        with client_of(gateway) as client:
            cut = list(client.responses.create(**HELLO, stream=True))
        failed = gateway.http.post(PATH, json={**HELLO, "stream": True}).content

    assert "Hello" in "".join(e.delta for e in cut if e.type == "response.output_text.delta")
    begun, failed_at = cut[0], cut[-1]
    assert begun.type == "response.created"
    assert failed_at.type == "response.failed"
    assert (begun.response.id, "failed") == (failed_at.response.id, failed_at.response.status)
    assert len(cut) - 1 == failed_at.sequence_number
    assert b'"code":"server_is_overloaded","message":"Overloaded"' in failed.split(b"\n\n")[-2]


def test_where_the_same_format_fails_another_answers(serve: Serve, upstream: FakeUpstream) -> None:
    with FakeOpenAI() as server:
        gateway = serving(serve, gpt(server), native(upstream))
        server.answer(error(500))
        upstream.answer("Cold.")
        with client_of(gateway) as client:
            answer = client.responses.with_raw_response.create(**HELLO, store=True)

    assert "Cold." == answer.parse().output_text
    assert "d1" == answer.headers["x-llmroute-deployment"]
    assert "store: left out" in answer.headers["x-llmroute-losses"]


def test_thinking_of_another_is_not_for_the_same_format(
    serve: Serve, upstream: FakeUpstream
) -> None:
    """Else what was encrypted here would be refused; so the request is translated."""
    settings: dict[str, Any] = {"model": "sonnet", "tools": [WEATHER]}
    turns: list[Any] = [{"role": "user", "content": "Weather?"}]
    upstream.answer(message([thinking("Hm."), tool_use("weather", {}, id="toolu_1")]))
    with client_of(serving(serve, native(upstream))) as client:
        turns += dumped(client.responses.create(input=turns, **settings).output)
    turns += [{"type": "function_call_output", "call_id": "toolu_1", "output": "-3"}]
    with FakeOpenAI() as server:
        server.answer("Cold.", "Mild.")
        with client_of(serving(serve, gpt(server))) as client:
            answer = client.responses.create(input=turns, **settings)
            with client.responses.stream(input=turns, **settings) as stream:
                streamed = stream.get_final_response()
        translated = server.requests[0].json["input"]

    assert ("Cold.", "Mild.") == (answer.output_text, streamed.output_text)
    kinds = [item.get("type", "message") for item in translated]
    assert ["message", "function_call", "function_call_output"] == kinds


def test_what_messages_cannot_say_goes_where_it_can_be_said(
    serve: Serve, upstream: FakeUpstream
) -> None:
    with FakeOpenAI() as server:
        gateway = serving(serve, native(upstream), gpt(server))
        server.on("POST", "/v1/responses", raw(200, [("content-type", "application/json")], DONE))
        with client_of(gateway) as client:
            answer = client.responses.with_raw_response.create(
                **HELLO, previous_response_id="resp_1"
            )

    assert "d1" == answer.headers["x-llmroute-deployment"]
    assert [] == upstream.requests


# In front of other formats


def _ask_all(gateway: Gateway, server: FakeUpstream) -> None:
    """Ask for calls, with the reasoning before them, and go on from there; whole and streamed."""
    server.answer(message([thinking("Hm."), tool_use("weather", {"in": "Oslo"})]))
    server.answer(message([tool_use("patch", {"input": "+a"})]))
    server.answer("Cold.", '{"name": "Rhine", "length": 1}', error(429))
    settings: dict[str, Any] = {"model": "sonnet", "tools": [WEATHER, PATCH]}
    turns: list[Any] = [{"role": "user", "content": "Weather?"}]
    with client_of(gateway) as client:
        first = client.responses.create(input=turns, **settings, reasoning={"effort": "low"})
        call: Any = first.output[-1]
        turns += dumped(first.output)
        turns += [{"type": "function_call_output", "call_id": call.call_id, "output": "-3"}]
        with client.responses.stream(input=turns, **settings) as stream:
            second = stream.get_final_response()
        patch: Any = second.output[-1]
        turns += dumped(second.output)
        turns += [{"type": "custom_tool_call_output", "call_id": patch.call_id, "output": "ok"}]
        third = client.responses.create(input=turns, **settings)
        river = client.responses.parse(**HELLO, text_format=River)
        with pytest.raises(openai.RateLimitError):
            client.responses.create(**HELLO)

    assert ("weather", {"in": "Oslo"}) == (call.name, json.loads(call.arguments))
    assert ("custom_tool_call", "+a") == (patch.type, patch.input)
    assert "Cold." == third.output_text
    assert River(name="Rhine", length=1) == river.output_parsed


def test_chat_completions(serve: Serve) -> None:
    with FakeChat() as server:
        address = {"provider": "openai_compatible", "base_url": server.url, "api_key": "k"}
        _ask_all(serving(serve, {**address, "model": "qwen"}), server)


def test_gemini(serve: Serve) -> None:
    with FakeGemini() as server:
        address = {"provider": "gemini", "base_url": server.url, "api_key": "fake-key"}
        _ask_all(serving(serve, {**address, "model": "gemini-3-pro-preview"}), server)
