"""A request in a file: the body alone, or a recording of what a client sent."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from llmroute import InvalidRequestError
from llmroute.accounts.caller import Caller, Keys
from llmroute.asgi.doors import door_of, is_messages_path
from llmroute.errors import RequestError
from llmroute.messages.call import NOBODY, Call
from llmroute.router import Router
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers
from llmroute_cli.configuration import fail, say

__all__ = ["Recorded", "call_of", "recorded"]

_NOTHING = msgspec.Raw(b"null")


class _Request(msgspec.Struct):
    """A request as a recording has it."""

    body: msgspec.Raw = _NOTHING
    method: str = "POST"
    path: str = "/v1/messages"
    query: str = ""
    headers: list[tuple[str, str]] | dict[str, str] = []


class _Recording(msgspec.Struct):
    """Requests, one after the other."""

    requests: list[_Request]


class Recorded(NamedTuple):
    """A request as a client sent it.

    Attributes:
        path: With what is escaped in it.
        query: Without its question mark.
        headers: With their names in lower case; none if only the body is known.
        body: Its bytes as they stand in the file.
    """

    path: str
    query: str
    headers: Headers
    body: bytes


def recorded(file: str, number: int = 1) -> Recorded:
    """Read a request from a file, or from stdin if that is `-`.

    Args:
        file: Its name.
        number: Which of several that have a body, counted from 1.

    Raises:
        typer.Exit: There is none; why has been printed.
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise fail(f"{file}: {error.strerror or 'cannot be read'}") from None
    try:
        requests = _requests(data)
        headers = [list(_pairs(each)) for each in requests]
    except (*MALFORMED, msgspec.ValidationError, UnicodeEncodeError) as error:
        raise fail(f"{file}: is no Messages request and no recording of one: {error}") from None
    if not requests:
        raise fail(f"{file}: holds no request with a body")
    if number > len(requests):
        raise fail(f"{file}: holds {len(requests)} requests with a body, so there is no {number}")
    if len(requests) > 1:
        say(f"{file}: request {number} of {len(requests)}; --number names another")
    chosen = requests[number - 1]
    path, _, query = chosen.path.partition("?")
    return Recorded(path, chosen.query or query, headers[number - 1], bytes(chosen.body))


def _requests(data: bytes) -> list[_Request]:
    if data.lstrip()[:1] == b"[":
        found = msgspec.json.decode(data, type=list[_Request])
    else:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if "messages" in members:
            return [_Request(body=msgspec.Raw(data))]
        if "requests" in members:
            found = msgspec.json.decode(data, type=_Recording).requests
        elif "body" in members:
            found = [msgspec.json.decode(data, type=_Request)]
        else:
            raise msgspec.ValidationError("it has no `messages`, no `requests` and no `body`")
    return [each for each in found if each.method == "POST" and each.body != _NOTHING]


def _pairs(request: _Request) -> list[tuple[bytes, bytes]]:
    pairs = request.headers
    if isinstance(pairs, dict):
        pairs = list(pairs.items())
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


async def call_of(router: Router, request: Recorded, model: str | None) -> Call:
    """Read a request as the proxy would.

    Args:
        router: Whose aliases tell what a cloud's name for a model stands for.
        request: From a file.
        model: Stands in place of the request's own.

    Raises:
        InvalidRequestError: It is no such request.
    """
    raw_path = request.path.encode("latin-1", "replace")
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": unquote(request.path),
        "raw_path": raw_path,
        "query_string": request.query.encode("latin-1", "replace"),
        "headers": request.headers,
    }
    door = door_of(router, scope)
    if door is None:
        raise InvalidRequestError(f"{request.path} is the path of no Messages request")
    body = request.body
    if model is not None and is_messages_path(scope["path"]):
        body = bytes(Envelope.parse(body).replace(model=model))
    call = door.call(body, scope, await _caller(router, request.headers))
    if model is not None and call.model != model:
        call = replace(call, model=model, body=call.body.replace(model=model))
    return call


async def _caller(router: Router, headers: Headers) -> Caller:
    """Return who is calling; the key that was recorded need not be one of this configuration."""
    try:
        return await Keys(router.config.server.master_key).authenticate(headers)
    except RequestError:
        return Caller(NOBODY, ())
