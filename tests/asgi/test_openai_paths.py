"""The keys, the paths and the models of OpenAI's clients."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from tests.asgi.chat_door import HELLO, client_of
from tests.asgi.conftest import MASTER_KEY, Gateway

from llmroute.testing import FakeUpstream


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with client_of(gateway) as client:
        yield client


def test_azures_client(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer("Hi.", "Hello there.")
    with openai.AzureOpenAI(
        azure_endpoint=gateway.url, api_key=MASTER_KEY, api_version="2024-10-21", max_retries=0
    ) as client:
        answer = client.chat.completions.create(**HELLO)
        chunks = client.chat.completions.create(**HELLO, stream=True)
        said = "".join([each.choices[0].delta.content or "" for each in chunks])
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**{**HELLO, "model": "nope"})

    assert ("Hi.", "Hello there.") == (answer.choices[0].message.content, said)


def test_the_alias_in_azures_path_counts(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer("Hi.")
    path = "/openai/deployments/claude%2Dhaiku-4-5/chat/completions?api-version=2024-10-21"
    reply = gateway.http.post(path, json={**HELLO, "model": "gpt-4o"})

    assert "Hi." == reply.json()["choices"][0]["message"]["content"]
    assert "claude-haiku-4-5" == upstream.requests[0].json["model"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/v1/chat/completions",
        "/openai/v1/chat/completions",
        "/openai/chat/completions",
    ],
)
def test_every_path_of_the_door(gateway: Gateway, upstream: FakeUpstream, path: str) -> None:
    upstream.answer("Hi.")

    assert 200 == gateway.http.post(path, json=HELLO).status_code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/openai/deployments/sonnet/embeddings"),
        ("GET", "/openai"),
    ],
)
def test_what_is_not_served_is_said_in_openais_words(
    gateway: Gateway, method: str, path: str
) -> None:
    reply = gateway.http.request(method, path)

    assert 404 == reply.status_code
    assert ("invalid_request_error", "unknown_url") == (
        reply.json()["error"]["type"],
        reply.json()["error"]["code"],
    )


def test_a_wrong_key(gateway: Gateway, upstream: FakeUpstream) -> None:
    with (
        openai.OpenAI(base_url=gateway.url + "/v1", api_key="sk-wrong") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(**HELLO)

    assert "invalid_api_key" == caught.value.code
    assert 401 == gateway.http.get("/openai/x", headers={"authorization": "no"}).status_code
    assert [] == upstream.requests


def test_the_models(client: openai.OpenAI, gateway: Gateway) -> None:
    listed = {each.id: each for each in client.models.list()}
    one = client.models.retrieve("sonnet")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("gpt-9")

    assert ("model", 0, "llmroute") == (one.object, one.created, one.owned_by)
    assert one == listed["sonnet"]
    assert "model_not_found" == unknown.value.code
    for path in ("/models", "/openai/v1/models", "/openai/models"):
        assert "list" == gateway.http.get(path).json()["object"]
    anthropics = gateway.http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert {"data", "has_more", "first_id", "last_id"} == anthropics.keys()


def test_prompt_cache_key_is_the_session(
    client: openai.OpenAI, gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer("Hi.")
    client.chat.completions.create(**HELLO, prompt_cache_key="chat-7", user="someone")

    assert {"user_id": "someone"} == upstream.requests[0].json["metadata"]
    assert "chat-7" == gateway.records.wait()[0].session


def test_a_session_is_called_by_no_name_without_end(
    client: openai.OpenAI, gateway: Gateway, upstream: FakeUpstream
) -> None:
    client.chat.completions.create(**HELLO, prompt_cache_key="c" * 100_000)
    named = ("session-id", "agent-id", "parent-agent-id", "request-class")
    gateway.ask(headers={f"x-claude-code-{name}": "n" * 5000 for name in named})

    first, second = gateway.records.wait(2)
    names = [first.session, second.session, second.agent, second.parent, second.kind]
    assert [200] * 5 == list(map(len, names))
