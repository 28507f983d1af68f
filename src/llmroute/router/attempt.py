"""One try of one call at one deployment, up to the moment its answer has begun."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from llmroute.credentials import Credential, credential_for
from llmroute.errors import (
    FaultError,
    InvalidRequestError,
    MisconfiguredError,
    RejectedError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.call import Call
from llmroute.messages.relay import Relay
from llmroute.messages.usage import Usage
from llmroute.providers import (
    PROVIDERS,
    Decoder,
    Deployment,
    Provider,
    UpstreamRequest,
    event_error,
)
from llmroute.providers.anthropic import DEFAULT_BASE_URL
from llmroute.router.answer import Answer, Head, Settle
from llmroute.transport import Body, Reply, Timeouts, Transport
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers, downward, first

__all__ = ["Target"]

# With these an upstream refuses a credential; one that expired early can be fetched anew.
_REFUSED = frozenset({401, 403})
# An error's body is kept for the client; no API sends more than a few kilobytes.
_LARGEST_ERROR = 1_048_576
# How much of a stream may come before its first event does.
_LARGEST_START = 1_048_576
# What a stream is once it has been decoded.
_EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
# Where an upstream names the request: Anthropic, AWS.
_REQUEST_IDS = (b"request-id", b"x-amzn-requestid")
# How often one call finds out what a platform refuses, which may name one thing at a time.
_MOST_REFUSALS = 3
# Seconds it is remembered; platforms learn, too.
_REMEMBERED = 3600.0
# How an event stream can begin; some servers send one under another content type.
_SSE_START = (b"event:", b"data:", b":", b"id:", b"retry:")


class _Message(msgspec.Struct):
    """What is read of a whole answer."""

    model: Any = None
    usage: Any = None


_message = msgspec.json.Decoder(_Message).decode


class Target:
    """A deployment, ready to be tried."""

    __slots__ = (
        "_clock",
        "_credential",
        "_learned",
        "_provider",
        "_timeouts",
        "deployment",
        "name",
    )

    def __init__(self, name: str, deployment: Deployment, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        # By model and endpoint: counting tokens takes less than a message does.
        self._learned: dict[tuple[str, str], dict[str, float]] = {}
        self.deployment = deployment
        self._provider: Provider[Any] = PROVIDERS[deployment.provider]
        self._credential: Credential = credential_for(deployment)
        whole = Timeouts(deployment.connect_timeout, deployment.timeout, deployment.silence_timeout)
        streamed = whole._replace(first_byte=deployment.stream_timeout or deployment.timeout)
        self._timeouts = {False: whole, True: streamed}

    async def attempt(
        self, call: Call, model: str, transport: Transport, attempts: int, settle: Settle
    ) -> Answer:
        """Send `call` and return its answer once that has begun: whole, or with a first event.

        Where a platform says what of a request it does not take, the request is sent again without
        that, and so are those that follow for a while: on every turn of a conversation alike.

        Raises:
            UpstreamError: There is no answer, or it is an error.
        """
        for _ in range(_MOST_REFUSALS):
            if without := self._without(model, call.endpoint):
                call = dataclasses.replace(call, without=without)
            try:
                return await self._try(call, model, transport, attempts, settle)
            except RejectedError as error:
                if not self._learn((model, call.endpoint), error, without):
                    raise
        return await self._try(call, model, transport, attempts, settle)

    def _without(self, model: str, endpoint: str) -> frozenset[str]:
        learned = self._learned.get((model, endpoint))
        if not learned:
            return frozenset()
        now = self._clock()
        return frozenset(name for name, until in learned.items() if until > now)

    def _learn(self, asked: tuple[str, str], error: RejectedError, known: frozenset[str]) -> bool:
        """Remember what was refused; tell whether any of it is news."""
        if self._provider.refused is None or not self.deployment.learns:
            return False
        news = self._provider.refused(str(error)) - known
        until = self._clock() + _REMEMBERED
        self._learned.setdefault(asked, {}).update(dict.fromkeys(news, until))
        return bool(news)

    async def _try(
        self, call: Call, model: str, transport: Transport, attempts: int, settle: Settle
    ) -> Answer:
        provider, deployment = self._provider, self.deployment
        try:
            request = provider.prepare(call, deployment, model)
        except InvalidRequestError as error:
            raise UntranslatableError(str(error), status=error.status) from None
        timeouts = self._timeouts[call.stream]
        if call.timeout is not None:
            timeouts = Timeouts(*(min(limit or call.timeout, call.timeout) for limit in timeouts))
        reply = await self._send(request, call.client_auth, transport, timeouts)
        if reply.status in _REFUSED and await self._credential.renew():
            await reply.aclose()
            reply = await self._send(request, call.client_auth, transport, timeouts)
        try:
            compressed = first(reply.headers, b"content-encoding") not in (None, "", "identity")
            if reply.status >= 300:
                _check_status(reply.status)
                # What cannot be read here is no use to the client either.
                body = b"" if compressed else await _read(reply, _LARGEST_ERROR)
                raise provider.error(reply.status, reply.headers, body)
            if compressed:
                raise FaultError("the answer is compressed, which was not asked for")
            stream: tuple[Reply, Decoder | None, Relay, bytes] | None = None
            body, usage = b"", None
            if call.stream:
                decoder = provider.decoder(call, deployment) if provider.decoder else None
                relay = Relay(call.model)
                start = await _begin(reply, decoder, relay)
                stream = (reply, decoder, relay, start)
            else:
                body = await _read(reply)
                if provider.whole is not None:
                    body = provider.whole(call, body)
                body, usage = _whole(call, reply, body)
        except BaseException:
            await reply.aclose()
            raise
        request_id = next(filter(None, (first(reply.headers, n) for n in _REQUEST_IDS)), "")
        headers = downward(reply.headers)
        if stream is not None and stream[1] is not None:
            headers = [_EVENT_STREAM, *(each for each in headers if each[0] != b"content-type")]
        head = Head(
            reply.status,
            headers,
            self.name,
            model,
            attempts,
            request_id,
            request.losses,
        )
        return Answer(head, settle, body=body, usage=usage, stream=stream)

    async def forward(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: Body,
        client_auth: Headers,
        transport: Transport,
    ) -> Reply:
        """Send any request to this deployment's address, with its credential.

        Raises:
            UnreachableError: There is no answer.
        """
        url = (self.deployment.base_url or DEFAULT_BASE_URL) + path
        request = UpstreamRequest(method, url, list(headers), ())
        return await self._send(request, client_auth, transport, self._timeouts[False], body)

    async def _send(
        self,
        request: UpstreamRequest,
        client_auth: Headers,
        transport: Transport,
        timeouts: Timeouts,
        body: Body | None = None,
    ) -> Reply:
        """Sign a request, as late as can be, and send it; `body` takes the place of its own."""
        request = await self._credential.completed(request)
        if self.deployment.forward_client_auth and client_auth:
            auth = client_auth
        else:
            auth = await self._credential.headers(request)
        return await transport.send(
            request.method,
            request.url,
            [*request.headers, *auth],
            request.body if body is None else body,
            timeouts,
        )


def _check_status(status: int) -> None:
    """Refuse what is no error of an API: a client could not be answered with it."""
    if not 400 <= status <= 599:
        raise MisconfiguredError(
            f"answered {status}, which is neither an answer nor an error; is its base_url right?"
        )


async def _begin(reply: Reply, decoder: Decoder | None, relay: Relay) -> bytes:
    """Read until the first event that commits; return all events up to it."""
    start = b""
    looked_at = decoder is not None or _is_event_stream(reply.headers)
    while True:
        data = await reply.receive()
        if not looked_at and data.strip():
            looked_at = True
            if not data.lstrip().startswith(_SSE_START):
                raise _not_a_stream(reply, data + await _read(reply, _LARGEST_ERROR))
        ended = not data
        if decoder is not None:
            data = decoder.close() if ended else decoder.feed(data)
        start += relay.feed(data)
        if ended:
            start += relay.close()
        if relay.error is not None and not relay.begun:
            error = event_error(relay.error, reply.headers)
            error.event = start
            raise error
        if relay.begun:
            return start
        if ended:
            raise FaultError("the stream ended before it began")
        if len(start) > _LARGEST_START:
            raise FaultError("the stream holds no event of a message")


def _is_event_stream(headers: Headers) -> bool:
    return (first(headers, b"content-type") or "").lower().startswith("text/event-stream")


def _not_a_stream(reply: Reply, body: bytes) -> UpstreamError:
    """Say what came in place of an event stream."""
    kind = first(reply.headers, b"content-type") or "no content type"
    try:
        if "error" in Envelope.parse(body):
            return event_error(body, reply.headers)
    except InvalidRequestError:
        pass
    return FaultError(f"a streamed request was answered with {kind}, which is no event stream")


def _whole(call: Call, reply: Reply, body: bytes) -> tuple[bytes, Usage]:
    """Put the name that was asked for in a whole answer, and read what it used."""
    try:
        message = _message(body)
    except MALFORMED:
        kind = first(reply.headers, b"content-type") or "no content type"
        raise FaultError(f"the answer is {kind} and no JSON object") from None
    usage = message.usage if isinstance(message.usage, dict) else {}
    if isinstance(message.model, str) and message.model != call.model:
        body = bytes(Envelope.parse(body).replace(model=call.model))
    return body, Usage.of(usage)


async def _read(reply: Reply, limit: int | None = None) -> bytes:
    """Read the rest of an answer; of one over `limit` bytes, its beginning."""
    chunks: list[bytes] = []
    size = 0
    while data := await reply.receive():
        chunks.append(data)
        size += len(data)
        if limit is not None and size > limit:
            await reply.aclose()
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
