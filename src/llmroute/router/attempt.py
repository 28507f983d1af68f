"""One try of one call at one deployment, up to the moment its answer has begun."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import anyio
import msgspec

from llmroute.config import Alias
from llmroute.credentials import Credential, credential_for
from llmroute.errors import (
    FaultError,
    InvalidRequestError,
    MisconfiguredError,
    RejectedError,
    StreamBrokenError,
    UnreachableError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.bound import container_id
from llmroute.messages.call import Call, Format
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
from llmroute.router.verbatim import Verbatim
from llmroute.transport import Body, Reply, Timeouts, Transport
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers, downward, first

__all__ = ["Target", "Terms", "too_strict"]

# With these an upstream refuses a credential; one that expired early can be fetched anew.
_REFUSED = frozenset({401, 403})
# An error's body is kept for the client; no API sends more than a few kilobytes.
_LARGEST_ERROR = 1_048_576
# How much of a stream may come before its first event does.
_LARGEST_START = 1_048_576
_FOR_EVER = float("inf")
_SHORTEST_SECRET = 8
# What a stream is once it has been decoded.
_EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
# Where an upstream names the request: Anthropic, AWS, OpenAI, Azure.
_REQUEST_IDS = (b"request-id", b"x-amzn-requestid", b"x-request-id", b"apim-request-id")
# Seconds that what a platform refuses is remembered; platforms learn, too.
_REMEMBERED = 3600.0
# For how many models; clients choose the names that a pattern matches.
_MOST_LEARNED = 1000
# How an event stream can begin; some servers send one under another content type.
_SSE_START = (b"event:", b"data:", b":", b"id:", b"retry:")


class _Message(msgspec.Struct):
    """What is read of a whole answer."""

    id: Any = None
    model: Any = None
    usage: Any = None
    container: Any = None
    stop_reason: Any = None


_message = msgspec.json.Decoder(_Message).decode


class Terms(NamedTuple):
    """On what terms an attempt is made.

    Attributes:
        alias: The settings of the alias; `None` where none matched.
        attempts: Which one it is of its call, counted from 1.
        hold: Keep the beginning of a stream back until the first content: while there is another
            who could answer, nobody need see an answer that comes to nothing.
        rest: Seconds that are left of the call's total; `None` without a limit.
    """

    alias: Alias | None = None
    attempts: int = 1
    hold: bool = False
    rest: float | None = None


class _Bounded:
    """A reply that must come to its end by a point in time."""

    def __init__(self, reply: Reply, until: float, otherwise: UpstreamError) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        self._until = until
        self._otherwise = otherwise

    async def receive(self) -> bytes:
        with anyio.CancelScope(deadline=self._until):
            return await self._reply.receive()
        await self.aclose()
        raise self._otherwise

    async def aclose(self) -> None:
        await self._reply.aclose()


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
        self, call: Call, model: str, transport: Transport, terms: Terms, settle: Settle
    ) -> Answer:
        """Send `call` and return its answer once that has begun: whole, or with a first event.

        What a platform has said that it does not take is left out for a while: on every turn of a
        conversation alike.

        Raises:
            UpstreamError: There is no answer, or it is an error. Its `refused` says what would
                have to be left out, and will be from now on.
        """
        call = self._known(call, model)
        if terms.rest is None:
            return await self._try(call, model, transport, terms, settle)
        try:
            with anyio.fail_after(terms.rest):
                return await self._try(call, model, transport, terms, settle)
        except TimeoutError:
            raise UnreachableError("no answer within the call's total timeout") from None

    def prepared(self, call: Call, model: str) -> UpstreamRequest:
        """Return the request that an attempt would send now, but for the credential.

        Raises:
            UpstreamError: There is no such request.
        """
        return self._request(self._known(call, model), model)

    def _known(self, call: Call, model: str) -> Call:
        """Return the call without what is known to be refused."""
        learned = self._learned.get((model, call.endpoint))
        if not learned:
            return call
        now = self._clock()
        without = frozenset(name for name, until in learned.items() if until > now)
        return dataclasses.replace(call, without=without) if without else call

    def _request(self, call: Call, model: str) -> UpstreamRequest:
        try:
            request = self._provider.prepare(call, self.deployment, model)
        except InvalidRequestError as error:
            raise UntranslatableError(str(error), status=error.status) from None
        except RecursionError:
            # What can be decoded need not be encoded as well, and a translation goes still deeper.
            raise UntranslatableError("the request is nested too deeply", status=400) from None
        spoken = call.spoken
        if spoken is None or request.format == spoken.format:
            return request
        if spoken.obstacle:
            raise UntranslatableError(spoken.obstacle, status=400)
        return request._replace(losses=(*spoken.losses, *request.losses))

    def _learn(self, call: Call, model: str, error: UpstreamError) -> None:
        """Remember what was refused, if it is news, and say so in the error."""
        refused = self._provider.refused
        if refused is None or not self.deployment.learns or not isinstance(error, RejectedError):
            return
        error.refused = refused(str(error)) - call.without
        if not error.refused:
            return
        if len(self._learned) >= _MOST_LEARNED:
            self._learned.clear()
        until = self._clock() + _REMEMBERED
        learned = self._learned.setdefault((model, call.endpoint), {})
        learned.update(dict.fromkeys(error.refused, until))

    def _limits(self, call: Call, alias: Alias | None) -> Timeouts:
        """Return the limits on time: the alias's stand above the deployment's, the caller's lower.

        They are those of the configuration unless somebody says otherwise.
        """
        timeouts = self._timeouts[call.stream]
        if alias is not None:
            first_byte = (alias.stream_timeout if call.stream else None) or alias.timeout
            if first_byte is not None:
                timeouts = timeouts._replace(first_byte=first_byte)
            if alias.silence_timeout is not None:
                timeouts = timeouts._replace(silence=alias.silence_timeout)
        if call.timeout is not None:
            timeouts = Timeouts(*(min(limit or call.timeout, call.timeout) for limit in timeouts))
        return timeouts

    async def _try(
        self, call: Call, model: str, transport: Transport, terms: Terms, settle: Settle
    ) -> Answer:
        provider, request = self._provider, self._request(call, model)
        if terms.alias is not None and terms.alias.strict and call.endpoint == "messages":
            _check_losses(request)
        timeouts = self._limits(call, terms.alias)
        started = self._clock()
        reply = await self._send(request, call.client_auth, transport, timeouts)
        if reply.status in _REFUSED and await self._renewed(reply):
            reply = await self._send(request, call.client_auth, transport, timeouts)
        if terms.rest is not None:
            rest = max(terms.rest - (self._clock() - started), 0.0)
            late = StreamBrokenError("the call's total timeout is over")
            reply = _Bounded(reply, anyio.current_time() + rest, late)
        try:
            compressed = first(reply.headers, b"content-encoding") not in (None, "", "identity")
            if reply.status >= 300:
                _check_status(reply.status)
                # What cannot be read here is no use to the client either.
                body = b"" if compressed else await _read(reply, _LARGEST_ERROR)
                body = self._masked(body)
                refusal = provider.error(reply.status, reply.headers, body)
                if request.format == "messages":
                    self._learn(call, model, refusal)
                else:
                    refusal.body, refusal.format = body, request.format
                raise refusal
            if compressed:
                raise FaultError("the answer is compressed, which was not asked for")
            if not call.stream:
                return await self._whole(call, model, terms, settle, request, reply)
            left = (timeouts.first_byte or _FOR_EVER) - (self._clock() - started)
            limits = (left, timeouts.silence)
            return await self._streamed(call, model, terms, settle, request, reply, limits)
        except BaseException:
            await reply.aclose()
            raise

    async def _streamed(
        self,
        call: Call,
        model: str,
        terms: Terms,
        settle: Settle,
        request: UpstreamRequest,
        reply: Reply,
        limits: tuple[float, float | None],
    ) -> Answer:
        """Return a stream once it has begun; `limits` are those of `_Beginning.read`."""
        decoder = self._provider.decoder and self._provider.decoder(call, self.deployment)
        relay: Relay | Verbatim = Relay(call.model)
        if request.format != "messages" and decoder is not None:
            relay, decoder = Verbatim(decoder, Relay(call.model), request.hides), None
        beginning = _Beginning(reply, decoder, relay, terms.hold, request.format)
        start = await beginning.read(*limits, self._clock)
        head = self._head(reply, request, model, terms, decoder is not None)
        return Answer(head, settle, stream=(reply, decoder, relay, start))

    async def _whole(
        self,
        call: Call,
        model: str,
        terms: Terms,
        settle: Settle,
        request: UpstreamRequest,
        reply: Reply,
    ) -> Answer:
        provider, said = self._provider, await _read(reply)
        body = said if provider.whole is None else provider.whole(call, self.deployment, said)
        head = self._head(reply, request, model, terms, decoded=False)
        answer = _whole(call, head, body, settle)
        if request.format != "messages":
            answer.body = said
        return answer

    def _masked(self, body: bytes) -> bytes:
        """Return an error's body without the credential, which some servers repeat in it."""
        for secret in (self.deployment.api_key, self.deployment.auth_token):
            value = secret.get_secret_value().encode() if secret is not None else b""
            # A shorter one is no secret, and might be a part of any word.
            if len(value) >= _SHORTEST_SECRET and value in body:
                body = body.replace(value, b"(key)")
        return body

    async def _renewed(self, reply: Reply) -> bool:
        """Tell whether another credential was had in place of the refused; then let go of `reply`.

        That may take as long as a token service does, and the caller goes away meanwhile.
        """
        try:
            renewed = await self._credential.renew()
        except BaseException:
            await reply.aclose()
            raise
        if renewed:
            await reply.aclose()
        return renewed

    def _head(
        self, reply: Reply, request: UpstreamRequest, model: str, terms: Terms, decoded: bool
    ) -> Head:
        headers = downward(reply.headers)
        if decoded:
            headers = [_EVENT_STREAM, *(each for each in headers if each[0] != b"content-type")]
        request_id = next(filter(None, (first(reply.headers, n) for n in _REQUEST_IDS)), "")
        return Head(
            reply.status,
            headers,
            self.name,
            model,
            terms.attempts,
            request_id,
            request.losses,
            request.format,
        )

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


def _check_losses(request: UpstreamRequest) -> None:
    """Refuse what the upstream would not get to see as a whole."""
    if request.losses:
        raise UntranslatableError(too_strict(request.losses), status=400)


def too_strict(losses: Sequence[str]) -> str:
    """Say why a strict alias does not let a request be sent that loses something."""
    return "the alias is strict, and this deployment does not take: " + "; ".join(losses)


def _check_status(status: int) -> None:
    """Refuse what is no error of an API: a client could not be answered with it."""
    if not 400 <= status <= 599:
        raise MisconfiguredError(
            f"answered {status}, which is neither an answer nor an error; is its base_url right?"
        )


class _Beginning:
    """The beginning of a stream: what has come before the answer is committed to."""

    __slots__ = ("_decoder", "_format", "_hold", "_relay", "_reply", "_start")

    def __init__(
        self,
        reply: Reply,
        decoder: Decoder | None,
        relay: Relay | Verbatim,
        hold: bool,
        written: Format,
    ) -> None:
        self._reply = reply
        self._format = written
        self._decoder = decoder
        self._relay = relay
        self._hold = hold
        self._start = b""

    async def read(self, limit: float, silence: float | None, clock: Callable[[], float]) -> bytes:
        """Read until the event that commits; return all events up to it.

        Args:
            limit: Seconds within which it must have come, however many pings come before it.
            silence: Seconds that the reply itself waits for news.
            clock: Seconds that only grow.

        Raises:
            UpstreamError: It does not come.
        """
        late = UnreachableError(f"no content within {limit:g} s")
        reply, until = self._reply, clock() + limit
        if limit < (silence or _FOR_EVER):
            reply = _Bounded(reply, anyio.current_time() + limit, late)
        looked_at = self._decoder is not None or _is_event_stream(reply.headers)
        while True:
            data = await reply.receive()
            if not looked_at and data.strip():
                looked_at = True
                if not data.lstrip().startswith(_SSE_START):
                    raise _not_a_stream(reply, data + await _read(reply, _LARGEST_ERROR))
            if self._take(data):
                return self._start
            if clock() > until:
                raise late

    def _take(self, data: bytes) -> bool:
        """Take what has come, nothing at the end of the stream; tell whether the answer has begun.

        Raises:
            UpstreamError: It will not.
        """
        relay, decoder, ended = self._relay, self._decoder, not data
        if decoder is not None:
            data = decoder.close() if ended else decoder.feed(data)
        self._start += relay.feed(data)
        if ended:
            self._start += relay.close()
        begun = relay.content if self._hold else relay.begun
        if relay.error is not None and not begun:
            error = event_error(relay.error, self._reply.headers)
            error.event, error.format = self._start, self._format
            raise error
        if begun:
            return True
        if ended:
            raise FaultError("the stream ended before it began")
        if len(self._start) > _LARGEST_START:
            raise FaultError("the stream holds no event of a message")
        return False


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


def _whole(call: Call, head: Head, body: bytes, settle: Settle) -> Answer:
    """Put the name that was asked for in a whole answer, and read what has to be known of it."""
    try:
        message = _message(body)
    except MALFORMED:
        kind = first(head.headers, b"content-type") or "no content type"
        raise FaultError(f"the answer is {kind} and no JSON object") from None
    usage = message.usage if isinstance(message.usage, dict) else {}
    if isinstance(message.model, str) and message.model != call.model:
        body = bytes(Envelope.parse(body).replace(model=call.model))
    return Answer(
        head,
        settle,
        body=body,
        usage=Usage.of(usage),
        id=message.id if isinstance(message.id, str) else "",
        container=container_id(message.container),
        refused=message.stop_reason == "refusal",
    )


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
