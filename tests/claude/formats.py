"""The formats an upstream may speak, each with a strict server, and what it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from llmroute.testing import (
    Answer,
    FakeBedrock,
    FakeChat,
    FakeGemini,
    FakeOpenAI,
    FakeUpstream,
    Received,
    aws_error,
    error,
    events,
    google_error,
    message,
    openai_error,
)

from .gateway import UPSTREAM_KEY

THOUGHT = "Two things."
"""What the model thinks, wherever it does."""


SOURCE = "https://rivers.example/rhine"
"""What a search of the web finds, wherever there is one."""

_SEARCHED = message(
    [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "rivers"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": [{"type": "web_search_result", "url": SOURCE, "title": "Rhine"}],
        },
        "The Rhine.",
    ]
)
_GROUNDED = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "The Rhine."}]},
            "finishReason": "STOP",
            "groundingMetadata": {
                "webSearchQueries": ["rivers"],
                "groundingChunks": [{"web": {"uri": SOURCE, "title": "Rhine"}}],
            },
        }
    ]
}
_WORDS = "words stand for it"
_NO_SEARCH = "no: a tool error says so"


class Format(NamedTuple):
    """One way to speak to a model.

    Attributes:
        name: As in the ids of the tests.
        title: As in the table of what works.
        server: Makes the server, strict about what it is sent.
        deployment: How the server is configured.
        too_long: What it says of a prompt that does not fit.
        thoughts: Finds the model's own reasoning in a request, as texts.
        counts: The server counts tokens when asked.
        judged: Somebody else has to judge what is done in auto mode.
        found: What the server answers when it has searched the web.
        lost: What does not get there, and what comes of it, by the name of a feature.  The
            conversation goes on all the same.
    """

    name: str
    title: str
    server: Callable[[], FakeUpstream]
    deployment: Callable[[Any], dict[str, Any]]
    too_long: Answer
    thoughts: Callable[[Any, Any], list[str]]
    counts: bool = True
    judged: bool = True
    found: Answer = _SEARCHED
    lost: Mapping[str, str] = MappingProxyType({})


# What a vendor that reads the core of Messages takes, and nothing else.
_MEMBERS = {
    *("model", "messages", "system", "tools", "tool_choice", "max_tokens", "thinking", "stream"),
    *("stop_sequences", "temperature", "top_p", "top_k", "output_config"),
}
_BLOCKS = {"text", "thinking", "tool_use", "tool_result"}
_FIELDS = {"name", "description", "input_schema", "cache_control"}


class FakeVendor(FakeUpstream):
    """A vendor that reads the core of the Messages format, and has no eyes."""

    def __init__(self) -> None:
        super().__init__(api_key=UPSTREAM_KEY)

    def _next(self, received: Received) -> Answer:
        wrong = ", ".join(_wrong_with(received))
        return error(400, message=f"not taken here: {wrong}") if wrong else super()._next(received)


def _wrong_with(received: Received) -> Iterator[str]:
    body = received.json
    blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    inner = [
        b for block in blocks if isinstance(block.get("content"), list) for b in block["content"]
    ]
    yield from (f"member {name}" for name in body.keys() - _MEMBERS)
    yield from (f"role {m['role']}" for m in body["messages"] if m["role"] == "system")
    yield from (f"block {b['type']}" for b in blocks if b["type"] not in _BLOCKS)
    yield from (f"{b['type']} in a result" for b in inner if b["type"] != "text")
    yield from (f"tool {name}" for tool in body.get("tools", []) for name in tool.keys() - _FIELDS)
    yield from (name for name, _ in received.headers if name.lower() == "anthropic-beta")
    if body.get("thinking", {}).get("type") == "adaptive":
        yield "adaptive thinking"


def _openai_thoughts(body: Any, server: FakeOpenAI) -> list[str]:
    items = [each for each in body["input"] if each["type"] == "reasoning"]
    assert all(server.reasoning[item["id"]] == item["encrypted_content"] for item in items)
    return [part["text"] for item in items for part in item["summary"]]


def _gemini_thoughts(body: Any, server: FakeGemini) -> list[str]:
    """Gemini wants no thoughts back, but a signature, which stands for them."""
    signatures = [part["thoughtSignature"] for part in _parts(body) if "thoughtSignature" in part]
    return [THOUGHT for each in signatures if "functionCall" in server.signed[each]][:1]


def _parts(body: Any) -> list[dict[str, Any]]:
    return [part for content in body["contents"] for part in content["parts"]]


def _converse_thoughts(body: Any, server: FakeBedrock) -> list[str]:
    blocks = [block for message in body["messages"] for block in message["content"]]
    found = [
        each["reasoningContent"]["reasoningText"] for each in blocks if "reasoningContent" in each
    ]
    assert all(each["signature"] in server.signatures for each in found)
    return [each["text"] for each in found]


def _chat_thoughts(body: Any, server: FakeChat) -> list[str]:
    del server
    return [m["reasoning_content"] for m in body["messages"] if m.get("reasoning_content")]


def _messages_thoughts(body: Any, server: FakeUpstream) -> list[str]:
    del server
    lists = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
    blocks = [block for content in lists for block in content if block["type"] == "thinking"]
    return [block["thinking"] for block in blocks]


RESPONSES = Format(
    "responses",
    "Responses",
    lambda: FakeOpenAI(api_key=UPSTREAM_KEY),
    lambda server: {
        "provider": "openai",
        "base_url": f"{server.url}/v1",
        "api_key": UPSTREAM_KEY,
        "model": "gpt-5.6",
    },
    openai_error(
        400, "Your input exceeds the context window of this model.", code="context_length_exceeded"
    ),
    _openai_thoughts,
)
CHAT = Format(
    "chat",
    "Chat Completions",
    lambda: FakeChat(api_key=UPSTREAM_KEY),
    lambda server: {
        "provider": "openai_compatible",
        "base_url": server.url,
        "api_key": UPSTREAM_KEY,
        "model": "qwen",
        "reasoning_replay": "reasoning_content",
    },
    openai_error(
        400,
        "This model's maximum context length is 8192 tokens, and the messages came to 9000.",
        code="context_length_exceeded",
    ),
    _chat_thoughts,
    counts=False,
    lost=MappingProxyType(
        {"pdf": f"{_WORDS}, unless `documents: true`", "search": _NO_SEARCH},
    ),
)
GEMINI = Format(
    "gemini",
    "Gemini",
    FakeGemini,
    lambda server: {
        "provider": "gemini",
        "base_url": server.url,
        "api_key": server.api_key,
        "model": "gemini-3-pro-preview",
    },
    google_error(
        400,
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    _gemini_thoughts,
    found=events(b"data: %s\r\n\r\n" % json.dumps(_GROUNDED).encode()),
)
CONVERSE = Format(
    "converse",
    "Converse",
    lambda: FakeBedrock(api_key=UPSTREAM_KEY),
    lambda server: {
        "provider": "bedrock",
        "base_url": server.url,
        "region": server.region,
        "api_key": UPSTREAM_KEY,
        "model": "us.amazon.nova-pro-v1:0",
    },
    aws_error(
        "ValidationException",
        "The model returned the following errors: This model's maximum context length is 300000"
        " tokens. However, you requested 400000 tokens (390000 in the messages, 10000 in the"
        " completion).",
    ),
    _converse_thoughts,
    counts=False,
    lost=MappingProxyType({"search": _NO_SEARCH}),
)
ANTHROPIC = Format(
    "anthropic",
    "Anthropic",
    lambda: FakeUpstream(api_key=UPSTREAM_KEY),
    lambda server: {"provider": "anthropic", "base_url": server.url, "api_key": UPSTREAM_KEY},
    error(400, message="prompt is too long: 210000 tokens > 200000 maximum"),
    _messages_thoughts,
    judged=False,
)
VENDOR = Format(
    "messages",
    "Messages at a vendor",
    FakeVendor,
    lambda server: {
        "provider": "deepseek",
        "base_url": server.url,
        "api_key": UPSTREAM_KEY,
        "model": "deepseek-v4-pro",
    },
    error(
        400,
        message="This model's maximum context length is 131072 tokens. However, you requested"
        " 140000 tokens (140000 in the messages, 0 in the completion).",
    ),
    _messages_thoughts,
    counts=False,
    lost=MappingProxyType(
        {
            "image": f"{_WORDS} where the vendor sees none",
            "pdf": f"{_WORDS}, unless `documents: true`",
            "search": _NO_SEARCH,
        }
    ),
)

FORMATS = (ANTHROPIC, VENDOR, RESPONSES, CHAT, GEMINI, CONVERSE)


def calls(body: Any) -> list[tuple[str, str]]:
    """Return the id and the name of each tool call in a request of any format, in order."""
    found = []
    for each in _objects(body):
        match each:
            case {"type": "function_call", "call_id": str(own), "name": str(name)}:
                found.append((own, name))
            case {"type": "function", "id": str(own), "function": {"name": str(name)}}:
                found.append((own, name))
            case {"functionCall": {"name": str(name), **rest}}:
                found.append((str(rest.get("id", "")), name))
            case {"type": "tool_use", "id": str(own), "name": str(name)}:
                found.append((own, name))
            case {"toolUse": {"toolUseId": str(own), "name": str(name)}}:
                found.append((own, name))
    return found


def results(body: Any) -> list[tuple[str, str]]:
    """Return each tool result in a request of any format: the call's id, and all of it as JSON."""
    found = []
    for each in _objects(body):
        match each:
            case {"type": "function_call_output", "call_id": str(own)}:
                found.append((own, json.dumps(each)))
            case {"role": "tool", "tool_call_id": str(own)}:
                found.append((own, json.dumps(each)))
            case {"functionResponse": {"name": str(), **rest}}:
                found.append((str(rest.get("id", "")), json.dumps(each)))
            case {"type": "tool_result", "tool_use_id": str(own)}:
                found.append((own, json.dumps(each)))
            case {"toolResult": {"toolUseId": str(own)}}:
                found.append((own, json.dumps(each)))
    return found


def tool_names(body: Any) -> list[str]:
    """Return the names of the tools in a request of any format."""
    found = []
    for each in body.get("tools") or body.get("toolConfig", {}).get("tools", []):
        for tool in each.get("functionDeclarations", [each]):
            named = tool.get("function") or tool.get("toolSpec") or tool
            found.append(str(named.get("name", "")))
    return found


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object in a document, in order; not what is in a tool's input."""
    if isinstance(value, list):
        for each in value:
            yield from _objects(each)
    elif isinstance(value, dict):
        yield value
        for name, each in value.items():
            if name not in ("tools", "toolConfig", "args", "input") or isinstance(each, list):
                yield from _objects(each)
