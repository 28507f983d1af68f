"""The fake OpenAI: what OpenAI's own client makes of it, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from llmroute.testing import FakeOpenAI, message, openai_error, thinking, tool_use

USE = tool_use("read", {"path": "a"}, id="call_1")


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key="sk-1") as upstream:
        yield upstream


@pytest.fixture
def client(fake: FakeOpenAI) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{fake.url}/v1", api_key="sk-1", max_retries=0) as made:
        yield made


def test_openais_client_reads_a_whole_answer(fake: FakeOpenAI, client: openai.OpenAI) -> None:
    fake.answer(message([thinking("Hm."), "Let me look.", USE]))
    made = client.responses.create(model="gpt-5.4", input="Hi")

    assert ["reasoning", "message", "function_call"] == [item.type for item in made.output]
    assert "Let me look." == made.output_text


def test_openais_client_reads_a_stream(fake: FakeOpenAI, client: openai.OpenAI) -> None:
    fake.answer(message([thinking("Hm."), "Let me look.", USE]))
    with client.responses.stream(model="gpt-5.4", input="Hi") as stream:
        kinds = [event.type for event in stream]
        made = stream.get_final_response()

    assert ("response.created", "response.completed") == (kinds[0], kinds[-1])
    assert ("Let me look.", '{"path":"a"}') == (made.output_text, made.output[-1].arguments)


def test_openais_client_counts(client: openai.OpenAI) -> None:
    assert 0 < client.responses.input_tokens.count(model="gpt-5.4", input="Hi").input_tokens


def test_openais_client_knows_its_errors(fake: FakeOpenAI, client: openai.OpenAI) -> None:
    fake.answer(openai_error(429, "Slow.", code="rate_limit_exceeded"))
    with pytest.raises(openai.RateLimitError, match="Slow"):
        client.responses.create(model="gpt-5.4", input="Hi")


CALL = {"type": "function_call", "call_id": "a", "name": "read", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "a", "output": "x"}
SAID = {"type": "message", "role": "user", "content": "Hi"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}


PART = {"type": "output_text", "text": "Hm.", "annotations": [], "logprobs": []}
TOLD = {**SAID, "role": "assistant", "id": "msg_1", "status": "completed", "content": [PART]}
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "name": "a", "parameters": LOOSE}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        pytest.param({"messages": []}, "Unknown parameter", id="a-member-of-anthropics"),
        pytest.param({"input": [SAID, CALL]}, "No tool output found", id="no-result"),
        pytest.param({"input": [SAID, RESULT]}, "No tool call found", id="no-call"),
        pytest.param({"input": [SAID, RESULT, CALL]}, "No tool call found", id="wrong-order"),
        pytest.param({"input": [SAID, THOUGHT, CALL, RESULT]}, "encrypted", id="anothers-thought"),
        pytest.param({"max_output_tokens": 1}, "minimum value", id="too-short"),
        pytest.param({"temperature": 0.5}, "Unsupported parameter", id="temperature"),
        pytest.param({"reasoning": {"effort": "minimal"}}, "Unsupported value", id="effort"),
        pytest.param(
            {"input": [SAID, {**CALL, "name": "a" * 65}, RESULT]}, "name", id="a-long-name"
        ),
        pytest.param(
            {"tools": [{"type": "function", "name": "a", "parameters": {}, "strict": False}]},
            "Invalid schema",
            id="a-schema-of-nothing",
        ),
        pytest.param(
            {"tools": [{**TOOL, "strict": True}]}, "Invalid schema", id="a-schema-that-is-loose"
        ),
        pytest.param({"input": [{**SAID, "id": "msg_1"}]}, "Unknown parameter", id="an-id"),
        pytest.param({"input": [{**TOLD, "content": []}]}, "content", id="nothing-told"),
        pytest.param(
            {"input": [{"type": "message", "role": "user", "content": []}]},
            "Invalid type",
            id="no-content",
        ),
    ],
)
def test_what_openai_refuses_is_refused(client: openai.OpenAI, members: dict, words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        client.post(
            "/responses", body={"model": "gpt-5.4", "input": "Hi", **members}, cast_to=object
        )


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"input": [SAID, TOLD, SAID]}, id="an-answer-as-it-came"),
        pytest.param({"tools": [TOOL]}, id="a-schema-that-openai-makes-strict"),
    ],
)
def test_what_openai_takes_is_taken(fake: FakeOpenAI, client: openai.OpenAI, members: dict) -> None:
    client.responses.create(**{"model": "gpt-5.4", "input": "Hi", **members})


def test_another_key_is_refused(fake: FakeOpenAI, client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-2").responses.create(model="gpt-5.4", input="Hi")
