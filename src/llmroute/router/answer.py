"""An answer that has begun: its head is known, and no other deployment can take its place."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, TypeAlias

import anyio

from llmroute.errors import StreamBrokenError, UpstreamError
from llmroute.messages.call import Format
from llmroute.messages.relay import Relay
from llmroute.messages.usage import Usage
from llmroute.observe import Outcome, Record
from llmroute.observe.bodies import Taken
from llmroute.providers import Decoder
from llmroute.router.verbatim import Verbatim
from llmroute.transport import Reply
from llmroute.wire.headers import Headers

__all__ = ["Answer", "Head", "Receive", "Settle", "watched"]

# How long an upstream may take to end an answer in which all has been said.
_LONGEST_END: Final = 0.5  # seconds

Settle = Callable[[Outcome, Usage, str], None]
"""Told once how an answer ended: the outcome, what it used, and what went wrong."""


class Head(NamedTuple):
    """What is known of an answer as soon as it has begun.

    Attributes:
        status: The upstream's HTTP status.
        headers: Those of the upstream's headers that a client gets to see.
        deployment: Name of the deployment that answers.
        model: The upstream's own name of the model.
        attempts: How many attempts it took.
        request_id: The upstream's `request-id`; empty if it sent none.
        losses: What of the call the upstream did not get to see, a line each.
        format: What the answer is written in: the Messages API's format, or the caller's own where
            the upstream speaks that.
        call: The call's id in the records; empty if it is not written down.
    """

    status: int
    headers: Headers
    deployment: str
    model: str
    attempts: int
    request_id: str = ""
    losses: tuple[str, ...] = ()
    format: Format = "messages"
    call: str = ""


Receive: TypeAlias = Callable[[], Coroutine[Any, Any, bytes]]
"""Returns the next events of a stream; `b""` at its end."""


class Answer:
    """What a call is answered with, whole or as a stream of events.

    Attributes:
        head: What is known of it from the start.
        body: The whole answer; empty if it is a stream.
        record: What is written down of the call; `None` if nothing is.
        id: The message's id, as far as it has come.
        container: The id of the container it ran in; empty if in none.
        refused: The model refuses to answer, and has said nothing else.
        through: What the events go through on their way to the caller; `None` for nothing.
    """

    __slots__ = (
        "_decoder",
        "_first",
        "_relay",
        "_reply",
        "_settle",
        "_usage",
        "body",
        "container",
        "head",
        "id",
        "record",
        "refused",
        "through",
    )

    def __init__(
        self,
        head: Head,
        settle: Settle,
        *,
        body: bytes = b"",
        usage: Usage | None = None,
        id: str = "",  # noqa: A002 - as the API calls it
        container: str = "",
        refused: bool = False,
        stream: tuple[Reply, Decoder | None, Relay | Verbatim, bytes] | None = None,
    ) -> None:
        """Take over a whole answer, or a stream: its reply, its decoder, and its first events."""
        self.head = head
        self.body = body
        self.record: Record | None = None
        self._settle: Settle | None = settle
        self._usage = usage or Usage()
        self.id = id
        self.container = container
        self.refused = refused
        self.through: Callable[[Receive], Coroutine[Any, Any, bytes]] | None = None
        self._reply: Reply | None = None
        self._decoder: Decoder | None = None
        self._relay: Relay | Verbatim | None = None
        self._first = b""
        if stream is not None:
            self._reply, self._decoder, self._relay, self._first = stream
            self.refused = self._relay.refused

    @property
    def usage(self) -> Usage:
        """What it has used, as far as is known by now."""
        return self._usage if self._relay is None else self._relay.usage

    @property
    def is_over(self) -> bool:
        """Whether all is known of it that will be: its record is complete."""
        return self._settle is None

    def receive(self) -> Coroutine[Any, Any, bytes]:
        """Return the next events, whole ones, as they came; `b""` at the end of the stream.

        Raises:
            StreamBrokenError: The upstream stopped before the end of the message.
        """
        return self._receive() if self.through is None else self.through(self._receive)

    async def _receive(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        relay, reply = self._relay, self._reply
        if relay is None or reply is None:
            return b""
        try:
            while not relay.complete and relay.error is None:
                data = await reply.receive()
                if not data:
                    return await self._end(relay)
                if events := self._pass(relay, data):
                    return events
            return await self._rest(relay, reply)
        except UpstreamError as error:
            if relay.complete or relay.error is not None:
                # All that matters has been said; how the connection ended does not.
                await self.aclose()
                return b""
            error.deployment = self.head.deployment
            error.attempts = self.head.attempts
            self._over("broken", str(error))
            await self.aclose()
            raise

    def _pass(self, relay: Relay | Verbatim, data: bytes) -> bytes:
        return relay.feed(data if self._decoder is None else self._decoder.feed(data))

    async def _rest(self, relay: Relay | Verbatim, reply: Reply) -> bytes:
        """Return what comes after the message, or after an error: as a rule, only the end.

        An upstream that does not end its answer is not waited for: its client would be.
        """
        events = b""
        with anyio.move_on_after(_LONGEST_END):
            while data := await reply.receive():
                events += self._pass(relay, data)
            events += await self._end(relay)
        await self.aclose()
        return events

    async def _end(self, relay: Relay | Verbatim) -> bytes:
        left = relay.feed(self._decoder.close()) if self._decoder is not None else b""
        left += relay.close()
        if left:
            return left
        if not relay.complete and relay.error is None:
            raise StreamBrokenError("the stream ended before the message did (no message_stop)")
        await self.aclose()
        return b""

    async def aclose(self) -> None:
        """Let go of the answer; an unread rest closes the connection. May be repeated."""
        relay = self._relay
        if relay is None:
            self._over("answered", "")
        elif relay.error is not None:
            self._over("broken", "the upstream ended the stream with an error event")
        elif relay.complete:
            self._over("answered", "")
        else:
            self._over("cancelled", "")
        if relay is not None:
            self._usage, self._relay = relay.final(), None
        if (reply := self._reply) is not None:
            self._reply = None
            await reply.aclose()

    def _over(self, outcome: Outcome, error: str) -> None:
        if (settle := self._settle) is not None:
            self._settle = None
            usage = self._usage
            if self._relay is not None:
                self.id, self.container = self._relay.id, self._relay.container
                usage = self._relay.final()
            settle(outcome, usage, error)


def watched(answer: Answer, taken: Taken) -> Answer:
    """Have what a caller gets to see of an answer taken down too; return the answer."""
    taken.answered(answer.body, answer.head.format)
    if answer.body:
        return answer
    through = answer.through

    async def receive(events: Receive) -> bytes:
        came = await (events() if through is None else through(events))
        taken.feed(came)
        return came

    answer.through = receive
    return answer
