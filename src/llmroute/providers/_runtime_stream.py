"""The streams of Bedrock's runtime: what InvokeModel sends, and what Converse does.

Both come as AWS event messages.  Each of an invocation's holds one event of a Messages stream.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

from __future__ import annotations

import msgspec

from llmroute.errors import StreamBrokenError
from llmroute.messages.call import Call
from llmroute.providers._converse import WholeDecoder, converse_answer
from llmroute.translate.converse_response import CONVERSE_EVENTS, ConverseAnswer
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.eventstream import EventStreamDecoder, Message
from llmroute.wire.sse import encode

__all__ = ["RuntimeDecoder"]


class _Chunk(msgspec.Struct):
    """What a `chunk` holds; msgspec reads the base64 into bytes."""

    event: bytes = msgspec.field(name="bytes")


class _Event(msgspec.Struct):
    type: str = ""


_chunk = msgspec.json.Decoder(_Chunk).decode
_event = msgspec.json.Decoder(_Event).decode

_METRICS = "amazon-bedrock-invocationMetrics"


class RuntimeDecoder:
    """AWS event messages → a Messages event stream.

    Which of the two streams it is, is told by the messages: what a `*` in a model's name stood for
    is not known here.  A model that does not stream its calls has answered in one piece.
    """

    __slots__ = ("_answer", "_call", "_family", "_is_begun", "_messages", "_whole")

    def __init__(self, call: Call, family: str) -> None:
        self._call = call
        self._family = family
        self._messages = EventStreamDecoder()
        self._answer: ConverseAnswer | None = None
        self._whole: WholeDecoder | None = None
        self._is_begun = False

    def feed(self, data: bytes) -> bytes:
        # A message begins with its length, which is far below 2 GiB.
        if not self._is_begun and data:
            self._is_begun = True
            if data.startswith(b"{") and self._call.body.get("tools"):
                self._whole = WholeDecoder(self._call, self._family)
        if self._whole is not None:
            return self._whole.feed(data)
        return b"".join([self._read(message) for message in self._messages.feed(data)])

    def close(self) -> bytes:
        if self._whole is not None:
            return self._whole.close()
        self._messages.close()
        return b"" if self._answer is None else self._answer.close()

    def _read(self, message: Message) -> bytes:
        kind = message.headers.get(":event-type")
        if kind == "chunk":
            return _of_chunk(message.payload)
        if message.headers.get(":message-type") == "event" and kind not in CONVERSE_EVENTS:
            return b""
        if self._answer is None:
            self._answer = converse_answer(self._call, self._family)
        return self._answer.read(message)


def _of_chunk(payload: bytes) -> bytes:
    try:
        data = _chunk(payload).event
        kind = _event(data).type
    except MALFORMED:
        raise StreamBrokenError("a chunk of the stream holds no event") from None
    if kind == "message_stop" and _METRICS.encode() in data:
        data = bytes(Envelope.parse(data).without(_METRICS))
    return encode(kind.encode(), data)
