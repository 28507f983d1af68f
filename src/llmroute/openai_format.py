"""Requests and answers in the format of OpenAI's Chat Completions, for programs that have them.

A router takes Messages parameters; here is what turns a Chat Completions request into them, and
what comes back into what OpenAI's API would have answered.

>>> from llmroute import openai_format
>>> from llmroute.sync import Router
>>> from llmroute.testing import FakeUpstream
>>> body = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Say hello."}]}
>>> with FakeUpstream() as upstream:
...     config = {
...         "deployments": {
...             "one": {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
...         },
...         "aliases": {"claude-*": "one"},
...     }
...     upstream.answer("Hello.")
...     with Router.from_dict(config) as router:
...         message = router.complete(**openai_format.request(body))
>>> openai_format.response(message, body)["choices"][0]["message"]["content"]
'Hello.'
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, overload

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.messages.call import Call, Spoken
from llmroute.messages.catalog import longest_answer
from llmroute.messages.events import Event
from llmroute.platforms import adapt
from llmroute.router.message import Message
from llmroute.translate.asked import Asked
from llmroute.translate.from_chat import from_chat
from llmroute.translate.from_chat_tools import custom_tools
from llmroute.translate.to_chat import chat_completion
from llmroute.translate.to_chat_stream import ChatWriter
from llmroute.wire.envelope import Envelope
from llmroute.wire.sse import frames

__all__ = ["chunks", "losses", "request", "response"]

_DONE = b"[DONE]"


def request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters by which `Router.complete()` and `stream()` ask for the same.

    What has no place among them is left out; `losses` tells of it.  `prompt_cache_key` becomes
    `session`.

    Args:
        body: A Chat Completions request, `stream` and `stream_options` included or not.

    Raises:
        InvalidRequestError: It is none, or Messages cannot ask for the same: two answers, say.

    >>> request(
    ...     {
    ...         "model": "sonnet",
    ...         "max_tokens": 9,
    ...         "stop": "END",
    ...         "messages": [
    ...             {"role": "system", "content": "Be brief."},
    ...             {"role": "user", "content": "Hi"},
    ...         ],
    ...     }
    ... )
    {'model': 'sonnet', 'max_tokens': 9, 'system': [{'type': 'text', 'text': 'Be brief.'}],
     'messages': [{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}],
     'stop_sequences': ['END']}
    """
    asked = _asked(body)
    if asked.obstacle:
        raise InvalidRequestError(asked.obstacle)
    parameters = {name: value for name, value in asked.body.items() if name != "stream"}
    session = body.get("prompt_cache_key")
    return parameters | ({"session": session} if isinstance(session, str) and session else {})


def losses(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what of a request `request` leaves out or changes, a line each: the place, and why.

    Raises:
        InvalidRequestError: It is no Chat Completions request.

    >>> losses({"model": "sonnet", "seed": 7, "messages": [{"role": "user", "content": "Hi"}]})
    ('seed: left out: Messages has no place for it',)
    """
    return _asked(body).losses


def response(message: Message, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as a `chat.completion`.

    Beside what OpenAI has stand `reasoning_content` and `thinking_blocks`; send the assistant's
    message back with them, and the model goes on with its thoughts.

    Args:
        message: What `Router.complete()` has returned.
        body: The Chat Completions request that it answers.
    """
    return chat_completion(message.data, int(time.time()), custom_tools(body))


@overload
def chunks(
    stream: AsyncIterable[Event], body: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]: ...
@overload
def chunks(stream: Iterable[Event], body: Mapping[str, Any]) -> Iterator[dict[str, Any]]: ...
def chunks(
    stream: AsyncIterable[Event] | Iterable[Event], body: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]] | Iterator[dict[str, Any]]:
    """Return a stream as `chat.completion.chunk`s.

    Args:
        stream: What `Router.stream()` gives, entered: the async one's is iterated with `async for`,
            that of `llmroute.sync` with `for`.
        body: The Chat Completions request that it answers; the last chunk tells the usage if
            `stream_options.include_usage` is set in it.

    Raises:
        StreamBrokenError: While iterating: the answer ended in an error, or before its end.
    """
    options = body.get("stream_options")
    with_usage = isinstance(options, Mapping) and options.get("include_usage") is True
    writer = ChatWriter(int(time.time()), with_usage=with_usage, custom=custom_tools(body))
    if isinstance(stream, AsyncIterable):
        return _later(stream, writer)
    return (chunk for event in stream for chunk in _written(writer, event))


async def _later(stream: AsyncIterable[Event], writer: ChatWriter) -> AsyncIterator[dict[str, Any]]:
    async for event in stream:
        for chunk in _written(writer, event):
            yield chunk


def _written(writer: ChatWriter, event: Event) -> list[dict[str, Any]]:
    written = frames(writer.write(event.data))
    return [msgspec.json.decode(each.data) for each in written if each.data not in (b"", _DONE)]


def _asked(body: Mapping[str, Any]) -> Asked:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model: a non-empty string is required")
    asked = from_chat(body, longest_answer(model))
    made = Envelope.of(asked.body)
    # A router takes what Python gives it for shaped for the model that is named, if that is Claude.
    shaped, lost = adapt(Call(made, model, spoken=Spoken("chat", made)), model)
    if shaped is made:
        return asked
    members = {name: shaped[name] for name in shaped}
    return Asked(members, (*asked.losses, *lost), asked.obstacle)
