"""A server that we did not write, behind the proxy, by Messages and by Chat Completions."""

from __future__ import annotations

import base64
import time
from typing import Any

import anthropic
import pytest

from .model import CONCLUSION, HELLO, SMILE, THOUGHT
from .server import LlamaServer

pytestmark = pytest.mark.real

# How much `hello` is.
TOKENS = 16
WEATHER: Any = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
FLIGHTS: Any = {**WEATHER, "name": "get_flights", "description": "Tells the flights."}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
# What Claude Code sends besides, by default.
FROM_CLAUDE_CODE: Any = {
    "system": [
        {"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral"}},
    ],
    "thinking": {"type": "adaptive", "display": "summarized"},
    "metadata": {"user_id": "someone"},
    "extra_body": {
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
    },
    "extra_headers": {"anthropic-beta": "context-management-2025-06-27,effort-2025-11-24"},
}

Client = anthropic.Anthropic
Message = anthropic.types.Message


@pytest.fixture(params=["messages", "chat"])
def alias(request: pytest.FixtureRequest) -> str:
    """By which format the server is asked."""
    return str(request.param)


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, anthropics: Client, alias: str) -> Any:
    """Ask by the official SDK, for an answer in each of the two ways."""

    def asked(content: Any, **members: Any) -> Message:
        members = {"model": alias, "max_tokens": 200, **members}
        members.setdefault("messages", [{"role": "user", "content": content}])
        if request.param == "whole":
            return anthropics.messages.create(**members)
        with anthropics.messages.stream(**members) as stream:
            return stream.get_final_message()

    return asked


def told(message: Message) -> list[Any]:
    """Return what each block says."""
    return [
        getattr(block, {"tool_use": "input"}.get(block.type, block.type))
        for block in message.content
    ]


def prompt_tokens(message: Message) -> int:
    return message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)


def test_an_answer_arrives_with_its_usage(ask, alias):
    answer = ask("Hi")

    assert [HELLO] == told(answer)
    assert (alias, "end_turn") == (answer.model, answer.stop_reason)
    assert (22, TOKENS) == (prompt_tokens(answer), answer.usage.output_tokens)


def test_a_longer_conversation_is_read_from_the_servers_cache(ask, anthropics, alias):
    said = "A river runs through it. " * 20
    ask(said)
    turns = [("user", said), ("assistant", HELLO), ("user", "And then?")]
    answer = ask("", messages=[{"role": role, "content": text} for role, text in turns])

    assert 200 < (answer.usage.cache_read_input_tokens or 0)


def test_an_answer_is_cut_at_max_tokens(ask):
    answer = ask("Hi", max_tokens=3)

    assert ["Hello the"] == told(answer)
    assert ("max_tokens", 3) == (answer.stop_reason, answer.usage.output_tokens)


def test_an_answer_ends_at_a_stop_sequence(ask):
    answer = ask("Hi", stop_sequences=["model"])

    assert ["Hello there, this is a small "] == told(answer)
    # The server takes no difference between the two, nor does its Chat Completions.
    assert "end_turn" == answer.stop_reason


def test_thinking_is_shown_and_can_be_sent_back(ask):
    answer = ask("script:thinking")
    said = [each.model_dump() for each in answer.content]

    assert [THOUGHT, CONCLUSION] == [each.strip() for each in told(answer)]
    assert ["thinking", "text"] == [each["type"] for each in said]

    again = [("user", "script:thinking"), ("assistant", said), ("user", "And then?")]
    answer = ask("", messages=[{"role": role, "content": content} for role, content in again])
    assert [HELLO] == told(answer)


def test_an_answer_may_begin_with_half_a_character(ask, alias):
    answer = ask("script:emoji")

    assert [SMILE] == told(answer)
    assert (alias, 7) == (answer.model, answer.usage.output_tokens)
    assert 0 < prompt_tokens(answer)


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param({"type": "auto"}, id="auto"),
        pytest.param({"type": "any"}, id="any"),
        pytest.param({"type": "tool", "name": "get_weather"}, id="tool"),
    ],
)
def test_a_tool_is_called_and_its_result_is_read(ask, choice):
    answer = ask("script:weather", tools=[FLIGHTS, WEATHER], tool_choice=choice)
    (call,) = answer.content

    assert ("tool_use", "get_weather", {"city": "Rome"}) == (call.type, call.name, call.input)
    assert "tool_use" == answer.stop_reason

    result = {"type": "tool_result", "tool_use_id": call.id, "content": "It rains."}
    turns = [("user", "script:weather"), ("assistant", [call.model_dump()]), ("user", [result])]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert [HELLO] == told(ask("", messages=messages, tools=[FLIGHTS, WEATHER]))


def test_what_is_said_beside_a_result_is_read_after_it(ask):
    call = {"type": "tool_use", "id": "call_a", "name": "get_weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "call_a", "content": "It rains."}
    beside = [result, {"type": "text", "text": "script:emoji"}]
    turns = [("user", "How is it?"), ("assistant", [call]), ("user", beside)]
    messages = [{"role": role, "content": content} for role, content in turns]

    assert [SMILE] == told(ask("", messages=messages, tools=[WEATHER]))


def test_tools_are_called_side_by_side(ask):
    answer = ask("script:both", tools=[WEATHER])

    assert ["I will look.", {"city": "Oslo"}, {"city": "Kyiv"}] == [
        each.strip() if isinstance(each, str) else each for each in told(answer)
    ]
    assert 3 == len({getattr(block, "id", "") for block in answer.content})


def test_no_tool_is_called_where_none_may_be(ask):
    answer = ask("script:weather", tools=[WEATHER], tool_choice={"type": "none"})

    assert [] == [block for block in answer.content if block.type == "tool_use"]


def test_only_the_tool_that_is_named_is_called(ask):
    """The model wants another one: the server's grammar is what keeps it from that."""
    choice = {"type": "tool", "name": "get_flights"}
    answer = ask("script:weather", tools=[FLIGHTS, WEATHER], tool_choice=choice)

    assert {"get_flights"} == {block.name for block in answer.content if block.type == "tool_use"}


def test_what_claude_code_sends_besides_is_no_error(ask):
    assert [HELLO] == told(ask("Hi", **FROM_CLAUDE_CODE))


def test_tokens_are_counted(anthropics, alias):
    messages: Any = [{"role": "user", "content": "Hi"}]
    counted = anthropics.messages.count_tokens(model=alias, messages=messages).input_tokens

    # Chat Completions have no such endpoint, so that it is an estimate.
    assert counted == 22 if alias == "messages" else 5 < counted < 100


def test_a_prompt_that_is_too_long_is_refused_in_the_words_that_compact_it(ask):
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask("hi there " * 3000)

    error = caught.value.body["error"]
    assert "invalid_request_error" == error["type"]
    assert error["message"].startswith("prompt is too long: 9021 tokens > 4096 maximum")


def test_an_image_is_refused_for_good_where_the_model_sees_none(ask):
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    with pytest.raises(anthropic.BadRequestError, match="image input is not supported"):
        ask([{"type": "text", "text": "Look."}, {"type": "image", "source": source}])


def test_an_answer_that_nobody_reads_any_more_frees_its_slot(anthropics, alias, llama):
    messages: Any = [{"role": "user", "content": "script:endless"}]
    with anthropics.messages.stream(model=alias, max_tokens=4000, messages=messages) as stream:
        texts = iter(stream.text_stream)
        assert next(texts).strip() in {"tick", "tock"}
        assert 1 == llama.busy()

    assert is_free(llama)


def is_free(llama: LlamaServer) -> bool:
    """Wait for a while until no answer is being made."""
    deadline = time.monotonic() + 5
    while llama.busy():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
