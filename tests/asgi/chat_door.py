"""What the tests of the Chat Completions door share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import openai
from tests.asgi.conftest import MASTER_KEY, Gateway

from llmroute.testing import FakeChat, FakeUpstream

__all__ = ["HELLO", "PATH", "WEATHER", "Serve", "chat", "client_of", "native", "serving"]

HELLO: dict[str, Any] = {"model": "sonnet", "messages": [{"role": "user", "content": "Hi"}]}
PATH = "/v1/chat/completions"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"in": {"type": "string"}}},
    },
}

Serve: TypeAlias = Callable[[dict[str, Any]], Gateway]


def client_of(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.url + "/v1", api_key=MASTER_KEY, max_retries=0)


def serving(serve: Serve, *deployments: dict[str, Any], **server: Any) -> Gateway:
    named = {f"d{at}": each for at, each in enumerate(deployments)}
    return serve(
        {
            "deployments": named,
            "aliases": {"sonnet": list(named)},
            "server": {"master_key": MASTER_KEY, **server},
        }
    )


def chat(server: FakeChat, **settings: Any) -> dict[str, Any]:
    at = {"provider": "openai_compatible", "base_url": server.url, "api_key": "fake-key"}
    return {**at, "model": "qwen", **settings}


def native(upstream: FakeUpstream, **settings: Any) -> dict[str, Any]:
    return {"provider": "anthropic", "base_url": upstream.url, "api_key": "k", **settings}
