"""The Anthropic API below `/anthropic/`, as it is: every path that is no Messages request.

Requests and answers are relayed as they come, files of any size included, with the credential of
one configured deployment in place of the client's.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from llmroute.accounts.access import check_unrestricted
from llmroute.accounts.caller import Caller, Keys
from llmroute.asgi.client import ClientGoneError, Message, Receive, Send, Watch
from llmroute.errors import (
    FaultError,
    ForbiddenError,
    InvalidRequestError,
    StreamBrokenError,
    UnknownAliasError,
    UpstreamError,
)
from llmroute.messages.events import error_type
from llmroute.observe import Record
from llmroute.router import Router
from llmroute.transport import Body, Reply
from llmroute.wire.headers import Headers

__all__ = ["PassThrough", "is_counted_nowhere", "plainly", "query_of"]

# RFC 9110, 7.6.1: what belongs to one connection, not to the message.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_STAYS_HERE = _HOP_BY_HOP | {
    b"authorization",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"x-api-key",
    b"x-litellm-api-key",
    b"api-key",
}
# Every character but those that RFC 3986 leaves out altogether; `quote` adds letters and digits.
_AS_SENT = "!$%&'()*+,/:;=?@[]-._~"
# What tells the length of a body is not for the client to take out.
_FRAMING = frozenset({b"content-length"})
# What no model has a part in: besides these, telemetry, files and skills.  In all the rest one may,
# in what Anthropic makes tomorrow too.
_MODELLESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_WITHOUT_MODEL = re.compile(
    r"/anthropic/(?:api/.*|v1/(?:files|skills|oauth)(?:/.*)?|v1/messages/batches/[^/]+/cancel)"
)
# Who may see it is another question than who may make calls.
_ORGANIZATION = "/anthropic/v1/organizations"
# A client that followed a redirect would take its key, which is ours, to another host.
_STAYS_THERE = _HOP_BY_HOP | {b"location", b"set-cookie"}


class PassThrough:
    """Relays requests to the deployment that serves the pass-through.

    Attributes:
        deployment: Its name; `None` if there is none.
    """

    def __init__(self, router: Router, keys: Keys) -> None:
        """Prepare; `keys` are those that must not reach it, in no header."""
        self._router = router
        self._keys = keys
        self.deployment = router.pass_through

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send, caller: Caller
    ) -> None:
        """Relay one request.

        Raises:
            RequestError: There is no deployment to relay to, or the path leads elsewhere, or the
                caller's key is for some aliases only.
            UpstreamError: The deployment cannot be reached.
        """
        if self.deployment is None:
            raise UnknownAliasError(
                "No Anthropic deployment is configured, so there is nothing behind /anthropic/.", ""
            )
        if caller.key is not None:
            check_unrestricted(caller.key, "below /anthropic/ they are not told apart")
            if plainly(scope["path"]).startswith(_ORGANIZATION):
                raise ForbiddenError(_MASTERS_ORGANIZATION)
        path = _path(scope)
        started = time.monotonic()
        record = Record(
            at=time.time(),
            endpoint=f"{scope['method']} /anthropic{path.partition('?')[0]}",
            deployment=self.deployment,
        )
        record.name(caller.sender)
        body = _RequestBody(receive, scope["headers"])
        try:
            with Watch(body.after):
                reply = await self._router.forward(
                    self.deployment,
                    scope["method"],
                    path,
                    headers=self._upward(scope["headers"]),
                    body=body.parts(),
                    client_auth=caller.client_auth,
                )
                record.status = reply.status
                record.first_byte = time.monotonic() - started
                await _relay(reply, send, head=scope["method"] == "HEAD")
        except ClientGoneError:
            record.outcome = "cancelled"
        except StreamBrokenError as error:
            # The head is out; all that is left is to end the connection before the body's end.
            record.outcome, record.error = "broken", str(error)
            raise
        except UpstreamError as error:
            record.status, record.outcome, record.error = error.status, "failed", str(error)
            record.error_kind = error.type or error_type(error.status)
            raise
        finally:
            record.duration = time.monotonic() - started
            self._router.note(record)

    def _upward(self, headers: Headers) -> Headers:
        stays = _STAYS_HERE | _named_by_connection(headers)
        return [h for h in headers if h[0] not in stays and not self._keys.is_ours(h)]


class _RequestBody:
    """A request's body on its way up; what comes after it is the client's going away."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        self._read = asyncio.Event()
        names = {name for name, _ in headers}
        self._empty = not names & {b"content-length", b"transfer-encoding"}
        if self._empty:
            self._read.set()

    def parts(self) -> Body:
        return () if self._empty else self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            more = message.get("more_body", False)
            if body := message.get("body"):
                yield body
        self._read.set()

    async def after(self) -> Message:
        await self._read.wait()
        return await self._receive()


_MASTERS_ORGANIZATION = (
    "What an organization has and uses at Anthropic is shown to the master key only; a key's own "
    "use is at /usage/me."
)


def plainly(path: str) -> str:
    """Return a path as an upstream may read it that is not particular about slashes and case.

    >>> plainly("/anthropic//v1/Messages/")
    '/anthropic/v1/messages'
    """
    return re.sub(r"[/\\]+", "/", path).rstrip("/").lower()


def is_counted_nowhere(method: str, path: str) -> bool:
    """Tell whether a model may answer what is relayed: nobody learns here what that costs."""
    return method not in _MODELLESS and _WITHOUT_MODEL.fullmatch(path) is None


def _named_by_connection(headers: Headers) -> set[bytes]:
    """Return the names of further headers that belong to the connection."""
    lists = [value.lower().split(b",") for name, value in headers if name == b"connection"]
    return {name.strip() for names in lists for name in names} - _FRAMING


def _path(scope: dict[str, Any]) -> str:
    """Return the path below `/anthropic` as the client spelled it, with its query.

    Raises:
        InvalidRequestError: It climbs out of the deployment's address.
    """
    raw = scope.get("raw_path") or scope["path"].encode()
    path: str = raw.decode("latin-1").partition("?")[0]
    if not path.startswith("/anthropic/"):
        raise InvalidRequestError("The path must begin with /anthropic/, and no letter escaped.")
    path = path.removeprefix("/anthropic")
    dots = scope["path"].replace("\\", "/").split("/")
    if ".." in dots or "." in dots:
        raise InvalidRequestError("The path may not contain '.' or '..' segments.")
    query = query_of(scope)
    return quote(path, safe=_AS_SENT) + ("?" + query if query else "")


def query_of(scope: dict[str, Any]) -> str:
    """Return the query string as the client spelled it, but for bytes that no URL may hold."""
    query: bytes = scope["query_string"]
    return quote(query, safe=_AS_SENT)


async def _relay(reply: Reply, send: Send, *, head: bool) -> None:
    try:
        if reply.status > 599:
            raise FaultError(f"answered {reply.status}, which is no status of HTTP")
        stays = _STAYS_THERE | _named_by_connection(reply.headers)
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [h for h in reply.headers if h[0] not in stays],
            }
        )
        while not head and (data := await reply.receive()):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        await reply.aclose()
