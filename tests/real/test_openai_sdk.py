"""The official OpenAI SDK, and behind the proxy a server that we did not write."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from .model import CONCLUSION, HELLO, SMILE, THOUGHT
from .test_llama_cpp import TOKENS, WEATHER, is_free

pytestmark = pytest.mark.real

FUNCTION: Any = {
    "name": WEATHER["name"],
    "description": WEATHER["description"],
    "parameters": WEATHER["input_schema"],
}


@pytest.fixture(params=["messages", "chat"])
def alias(request: pytest.FixtureRequest) -> str:
    """By which format the server is asked."""
    return str(request.param)


def user(content: str) -> Any:
    return [{"role": "user", "content": content}]


@pytest.fixture(params=["whole", "streamed"])
def chat(request: pytest.FixtureRequest, openais: openai.OpenAI, alias: str) -> Any:
    """Ask for a chat completion in each of the two ways."""

    def asked(content: str, **members: Any) -> Any:
        members = {"model": alias, "messages": user(content), **members}
        if request.param == "whole":
            return openais.chat.completions.create(**members)
        members["stream_options"] = {"include_usage": True}
        with openais.chat.completions.stream(**members) as stream:
            return stream.get_final_completion()

    return asked


@pytest.fixture(params=["whole", "streamed"])
def respond(request: pytest.FixtureRequest, openais: openai.OpenAI, alias: str) -> Any:
    """Ask for a response in each of the two ways."""

    def asked(content: str, **members: Any) -> Any:
        members = {"model": alias, "input": content, **members}
        if request.param == "whole":
            return openais.responses.create(**members)
        with openais.responses.stream(**members) as stream:
            return stream.get_final_response()

    return asked


def test_a_completion_arrives_with_its_usage(chat, alias):
    answer = chat("Hi")

    assert (HELLO, "stop") == (
        answer.choices[0].message.content,
        answer.choices[0].finish_reason,
    )
    # From a server of the client's own format it comes as it is.
    assert {"messages": "messages", "chat": "tiny"}[alias] == answer.model
    assert (22, TOKENS) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)


def test_a_completion_may_begin_with_half_a_character(chat):
    assert SMILE == chat("script:emoji").choices[0].message.content


def test_a_completion_is_cut_at_its_limit(openais, alias):
    members: Any = {"model": alias, "messages": user("Hi"), "max_completion_tokens": 3}
    (choice,) = openais.chat.completions.create(**members).choices
    assert ("Hello the", "length") == (choice.message.content, choice.finish_reason)

    chunks = [each.choices for each in openais.chat.completions.create(**members, stream=True)]
    choices = [choice for each in chunks for choice in each]
    assert "Hello the" == "".join(each.delta.content or "" for each in choices)
    assert "length" == choices[-1].finish_reason


def test_reasoning_is_apart_from_the_answer(chat):
    message = chat("script:thinking").choices[0].message

    assert CONCLUSION == message.content
    assert THOUGHT == message.reasoning_content.strip()


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param("auto", id="auto"),
        pytest.param("required", id="required"),
        pytest.param({"type": "function", "function": {"name": FUNCTION["name"]}}, id="named"),
    ],
)
def test_a_function_is_called_and_its_result_is_read(chat, choice):
    tools = [{"type": "function", "function": FUNCTION}]
    message = chat("script:weather", tools=tools, tool_choice=choice).choices[0].message
    (call,) = message.tool_calls

    assert ("get_weather", {"city": "Rome"}) == (
        call.function.name,
        json.loads(call.function.arguments),
    )
    called = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": call.function.arguments},
    }
    result = {"role": "tool", "tool_call_id": call.id, "content": "It rains."}
    turns = [*user("script:weather"), {"role": "assistant", "tool_calls": [called]}, result]
    assert HELLO == chat("", messages=turns, tools=tools).choices[0].message.content


def test_a_prompt_that_is_too_long_is_an_error_in_openais_words(chat, alias):
    with pytest.raises(openai.BadRequestError, match="9021 tokens") as caught:
        chat("hi there " * 3000)

    # The server's own error has its status there.
    assert {"messages": "context_length_exceeded", "chat": "400"}[alias] == caught.value.code


def test_an_abandoned_completion_frees_its_slot(openais, alias, llama):
    stream = openais.chat.completions.create(
        model=alias, messages=user("script:endless"), max_completion_tokens=4000, stream=True
    )
    with stream:
        assert any(chunk.choices and chunk.choices[0].delta.content for chunk in stream)
        assert 1 == llama.busy()

    assert is_free(llama)


def test_a_response_arrives_with_its_usage(respond):
    answer = respond("Hi")

    assert ("completed", HELLO) == (answer.status, answer.output_text)
    assert (22, TOKENS) == (answer.usage.input_tokens, answer.usage.output_tokens)


def test_a_response_calls_a_function(respond):
    answer = respond("script:weather", tools=[{"type": "function", **FUNCTION, "strict": False}])
    (call,) = (each for each in answer.output if each.type == "function_call")

    assert ("get_weather", '{"city":"Rome"}') == (call.name, call.arguments.replace(" ", ""))


def test_a_response_thinks_and_calls_functions_side_by_side(respond):
    answer = respond("script:both", tools=[{"type": "function", **FUNCTION, "strict": False}])
    calls = [json.loads(each.arguments) for each in answer.output if each.type == "function_call"]

    assert "I will look." == answer.output_text.strip()
    assert [{"city": "Oslo"}, {"city": "Kyiv"}] == calls

    reasoning, said = respond("script:thinking").output
    assert THOUGHT == reasoning.summary[0].text.strip()
    assert CONCLUSION == said.content[0].text.strip()
