"""What binds a call to where it was before: things that one upstream keeps and no other has."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.wire.envelope import Envelope

__all__ = ["Bound", "bound", "container_id", "thread_unsupported"]

# What tools are called with and how they are described: a `file_id` in there is the tool's.
_OF_TOOLS = frozenset({"input", "input_examples", "input_schema"})


class Bound(NamedTuple):
    """What of a call only the upstream that made it can know.

    Attributes:
        thread: The id of the message that a server-held conversation is continued after: the call
            has only what is new.  Empty if it has everything.
        opens_thread: The call asks the upstream to hold the conversation from here on.
        container: The id of the code execution container it is to run in.
        files: The ids of the uploaded files it names, each once, in their order.
    """

    thread: str = ""
    opens_thread: bool = False
    container: str = ""
    files: tuple[str, ...] = ()


def bound(body: Envelope) -> Bound:
    """Read what a Messages request is bound to; a malformed member binds it to nothing."""
    kind: Any = None
    thread = ""
    if isinstance(member := _member(body, "thread"), dict):
        kind = member.get("type")
        if kind == "continue":
            thread = _string(member.get("previous_message_id"))
    files: tuple[str, ...] = ()
    # Inside a string its quotes are escaped; so of what people write, nothing is decoded here.
    if b'"file_id"' in bytes(body):
        files = _files([_member(body, "system"), _member(body, "messages")])
    return Bound(thread, kind == "create", container_id(_member(body, "container")), files)


def container_id(value: Any) -> str:
    """Read a `container` member, of a request or of an answer: an id, or an object with one."""
    return _string(value.get("id") if isinstance(value, dict) else value)


def thread_unsupported() -> bytes:
    """Return the body of the API's own 400 for a thread that it does not know.

    Upon its `error_code` a client sends the whole conversation, which any deployment can answer.
    """
    message = "thread: the conversation is not known here; send all of its messages"
    error = {
        "type": "invalid_request_error",
        "message": message,
        "details": {"error_code": "thread_unsupported_request"},
    }
    return msgspec.json.encode({"type": "error", "error": error})


def _member(body: Envelope, name: str) -> Any:
    try:
        return body.get(name)
    except InvalidRequestError:
        return None


def _files(within: list[Any]) -> tuple[str, ...]:
    # Not by recursion: how deep it goes is the caller's choice.
    found: dict[str, None] = {}
    ahead = within[::-1]
    while ahead:
        item = ahead.pop()
        if isinstance(item, list):
            ahead += reversed(item)
        elif isinstance(item, dict):
            if file := _string(item.get("file_id")):
                found[file] = None
            ahead += [item[name] for name in reversed(item) if name not in _OF_TOOLS]
    return tuple(found)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
