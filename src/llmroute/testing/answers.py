"""What a fake upstream answers, and what goes wrong with it.

An `Answer` is a value.  The functions here make one (`text`, `tool_use`, `error`, ...) and its
methods return another that breaks, stalls or dawdles:

    >>> answer = text("Hello there.").cut(after_events=4)

Whether a message goes out whole or as a stream is for the request to say.

Where something happens is told in bytes of the body, chunked framing not counted, or in events.
A place behind the end is the end; a body that is not a stream counts as one event.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from llmroute.messages.events import error_type
from llmroute.testing._events import frame, split
from llmroute.testing.answer import (
    Answer,
    Document,
    Error,
    HeaderPairs,
    Message,
    Raw,
    Stream,
)

__all__ = [
    "Part",
    "as_json",
    "error",
    "events",
    "message",
    "raw",
    "text",
    "thinking",
    "tool_use",
]

Part: TypeAlias = str | Mapping[str, Any] | Answer
"""A part of a message: a text, a content block, or an answer whose blocks are taken."""


def message(
    content: Part | Sequence[Part],
    *,
    stop_reason: str | None = None,
    usage: Mapping[str, Any] | None = None,
    deltas: int = 3,
    **members: Any,
) -> Answer:
    """Answer with a message made of `content`.

    `stop_reason` is `tool_use` where a block is one, else `end_turn`; `usage` is laid over small
    fixed numbers; `members` are further members of the message, `model` or `id` among them.

        >>> answer = message([thinking("A file."), "Let me look.", tool_use("Read", {"path": "a"})])
        >>> [block["type"] for block in answer.content.members["content"]]
        ['thinking', 'text', 'tool_use']
    """
    parts = [content] if isinstance(content, str | Mapping | Answer) else content
    given = dict(members)
    if stop_reason is not None:
        given["stop_reason"] = stop_reason
    blocks = [block for part in parts for block in _blocks(part)]
    if deltas < 1:
        raise ValueError("a block needs one delta at least")
    return Answer(Message({"content": blocks, "usage": dict(usage or {}), **given}, deltas))


def text(text: str, *, usage: Mapping[str, Any] | None = None, deltas: int = 3) -> Answer:
    """Answer with a text, streamed in up to `deltas` parts."""
    return message(text, usage=usage, deltas=deltas)


def thinking(thinking: str, *, then: Part | None = None, signature: str | None = None) -> Answer:
    """Answer with a thinking block and what follows it.

    The signature is made of the text where none is given.
    """
    if signature is None:
        signature = base64.b64encode(hashlib.sha512(thinking.encode()).digest()).decode()
    block = {"type": "thinking", "thinking": thinking, "signature": signature}
    return message(block if then is None else [block, then])


def tool_use(
    name: str,
    input: Mapping[str, Any] | None = None,  # noqa: A002 - the API's own name
    *,
    id: str | None = None,  # noqa: A002 - likewise
) -> Answer:
    """Answer with the use of a tool; an id is made from the answer's where none is given."""
    block = {"type": "tool_use", "id": id, "name": name, "input": dict(input or {})}
    return message(block)


def error(
    status: int,
    type: str | None = None,  # noqa: A002 - the API's own name
    message: str | None = None,
    *,
    retry_after: float | None = None,
    headers: HeaderPairs = (),
    details: Mapping[str, Any] | None = None,
) -> Answer:
    """Answer with an error, in Anthropic's words for the status where none are given.

        >>> error(529).content.error
        {'type': 'overloaded_error', 'message': 'Overloaded'}

    `retry_after` is in seconds and goes out as the header.
    """
    if status < 400:
        raise ValueError(f"{status} is not an error")
    kind = type or error_type(status)
    if message is None:
        message = "Overloaded" if status == 529 else kind.replace("_", " ").capitalize()
    body: dict[str, Any] = {"type": kind, "message": message}
    if details is not None:
        body["details"] = dict(details)
    pairs = tuple(headers)
    if retry_after is not None:
        pairs = (*pairs, ("retry-after", f"{retry_after:g}"))
    return Answer(Error(body), status, pairs)


def events(stream: bytes | Iterable[bytes | Mapping[str, Any]]) -> Answer:
    """Answer with an event stream exactly as given, whatever the request asked for.

    Bytes go out as they are, sound or not; an event given as its data is encoded.
    """
    if isinstance(stream, bytes):
        return Answer(Stream(split(stream)))
    return Answer(Stream(tuple(it if isinstance(it, bytes) else frame(it) for it in stream)))


def raw(status: int = 200, headers: HeaderPairs = (), body: bytes = b"") -> Answer:
    """Answer with exactly these headers and this body; only what frames the body is added.

    A `content-length` of your own is sent as it is, right or wrong; `transfer-encoding: chunked`
    sends the body in chunks.
    """
    return Answer(Raw(body), status, tuple(headers))


def as_json(value: Any, status: int = 200, headers: HeaderPairs = ()) -> Answer:
    """Answer with a JSON document."""
    return Answer(Document(msgspec.json.encode(value)), status, tuple(headers))


def _blocks(part: Part) -> Sequence[Mapping[str, Any]]:
    if isinstance(part, str):
        return [{"type": "text", "text": part}]
    if isinstance(part, Mapping):
        return [part]
    if not isinstance(part.content, Message):
        raise TypeError("only an answer that is a message has blocks")
    blocks: Sequence[Mapping[str, Any]] = part.content.members["content"]
    return blocks
