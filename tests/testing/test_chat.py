"""The fakes of Chat Completions refuse what real servers refuse."""

import httpx
import openai
import pytest

from llmroute.testing import Clock, FakeAzureOpenAI, FakeChat, tool_use

HI = {"role": "user", "content": "Hi"}
BODY = {"model": "m", "max_tokens": 9, "messages": [HI]}
CALL = {"id": "a", "type": "function", "function": {"name": "read", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL = {"role": "tool", "tool_call_id": "a", "content": "x"}
PARAMETERS = {"type": "object", "properties": {}}


def function(**members):
    described = {"name": "read", "parameters": PARAMETERS, **members}
    return {"type": "function", "function": described}


@pytest.fixture
def server():
    with FakeChat(api_key="fake-key") as fake:
        yield fake


def posted(server, **members):
    url = f"{server.url}/chat/completions"
    return httpx.post(url, json={**BODY, **members}, headers={"authorization": "Bearer fake-key"})


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="plain"),
        pytest.param({"messages": [HI, CALLED, TOOL]}, id="tool"),
        pytest.param({"tools": [function()], "tool_choice": "auto"}, id="tools"),
        pytest.param({"stream": True, "stream_options": {"include_usage": True}}, id="stream"),
    ],
)
def test_what_it_takes(server, members):
    assert 200 == posted(server, **members).status_code


@pytest.mark.parametrize(
    ("members", "words"),
    [
        pytest.param({"system": "s"}, "Unrecognized request argument", id="member"),
        pytest.param({"messages": []}, "empty array", id="no-messages"),
        pytest.param({"max_tokens": 0}, "at least 1", id="no-tokens"),
        pytest.param({"max_completion_tokens": 9}, "same time", id="two-limits"),
        pytest.param({"stream_options": {}}, "only allowed when 'stream'", id="options"),
        pytest.param({"stop": ["a"] * 5}, "1 to 4", id="stop"),
        pytest.param({"tools": []}, "empty array", id="no-tools"),
        pytest.param({"tool_choice": "auto"}, "only allowed when 'tools'", id="choice"),
        pytest.param({"tools": [function(name="a.b")]}, "does not match", id="name"),
        pytest.param({"tools": [function(), function()]}, "twice", id="same-name"),
        pytest.param({"tools": [function(parameters={})]}, "of type 'object'", id="schema"),
        pytest.param(
            {"tools": [function(parameters={"type": "object"})]}, "missing properties", id="empty"
        ),
        pytest.param(
            {"tools": [function(parameters={**PARAMETERS, "anyOf": []})]}, "alternatives", id="any"
        ),
        pytest.param({"tools": [function(cache=1)]}, "Unknown parameter", id="tool-member"),
        pytest.param(
            {"tools": [function()], "tool_choice": "any"}, "Supported values", id="choice-word"
        ),
        pytest.param({"messages": [HI, CALLED]}, "did not have response", id="no-result"),
        pytest.param({"messages": [HI, CALLED, HI]}, "must be followed", id="late-result"),
        pytest.param({"messages": [HI, TOOL]}, "must be a response", id="no-call"),
        pytest.param({"messages": [{**HI, "id": 1}]}, "Unknown parameter", id="message-member"),
        pytest.param({"messages": [{"role": "bot", "content": "x"}]}, "'bot'", id="role"),
        pytest.param({"messages": [{**HI, "content": ""}]}, "is empty", id="empty-text"),
        pytest.param(
            {"messages": [HI, CALLED, {**TOOL, "content": [{"type": "image_url"}]}]},
            "'image_url'",
            id="image-of-a-tool",
        ),
    ],
)
def test_what_it_refuses(server, members, words):
    reply = posted(server, **members)

    assert 400 == reply.status_code
    assert words in reply.json()["error"]["message"]


def test_headers_for_anthropic_are_refused(server):
    headers = {"authorization": "Bearer fake-key", "anthropic-version": "2023-06-01"}
    reply = httpx.post(f"{server.url}/chat/completions", json=BODY, headers=headers)

    assert 400 == reply.status_code


def test_the_key_is_demanded(server):
    assert 401 == httpx.post(f"{server.url}/chat/completions", json=BODY).status_code


def test_openais_own_client_understands_it(server):
    server.answer("Good day.", tool_use("read", {"path": "a"}, id="call_a"))
    with openai.OpenAI(base_url=server.url, api_key="fake-key", max_retries=0) as client:
        whole = client.chat.completions.create(model="m", messages=[HI])
        stream = client.chat.completions.create(model="m", messages=[HI], stream=True)
        pieces = [
            call.function.arguments
            for chunk in stream
            for choice in chunk.choices
            for call in choice.delta.tool_calls or ()
        ]

    assert ("Good day.", "stop") == (
        whole.choices[0].message.content,
        whole.choices[0].finish_reason,
    )
    assert '{"path":"a"}' == "".join(pieces)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/openai/v1/chat/completions", {"api-key": "fake-key"}, 200, id="newer"),
        pytest.param(
            "/openai/deployments/m/chat/completions?api-version=2024-10-21",
            {"api-key": "fake-key"},
            200,
            id="older",
        ),
        pytest.param(
            "/openai/deployments/m/chat/completions", {"api-key": "fake-key"}, 404, id="no-version"
        ),
        pytest.param(
            "/openai/deployments/x/chat/completions?api-version=2024-10-21",
            {"api-key": "fake-key"},
            404,
            id="no-deployment",
        ),
        pytest.param("/chat/completions", {"api-key": "fake-key"}, 404, id="path"),
        pytest.param("/openai/v1/chat/completions", {"api-key": "x"}, 401, id="key"),
        pytest.param(
            "/openai/v1/chat/completions", {"authorization": "Bearer good"}, 200, id="token"
        ),
        pytest.param(
            "/openai/v1/chat/completions", {"authorization": "Bearer over"}, 401, id="old-token"
        ),
    ],
)
def test_azure(path, headers, status):
    with FakeAzureOpenAI(deployments={"m"}, clock=Clock(100.0)) as azure:
        azure.tokens = {"good": 101.0, "over": 99.0}

        assert status == httpx.post(azure.url + path, json=BODY, headers=headers).status_code
