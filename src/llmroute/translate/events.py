"""A writer of Messages event streams: pieces in whatever order go in, a legal stream comes out."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import msgspec

from llmroute.messages.events import PING, error_body, error_event
from llmroute.messages.usage import merged
from llmroute.translate.names import answer_id, digest
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.sse import encode

__all__ = ["EventWriter"]

_encode = msgspec.json.Encoder().encode

# What a delta adds, by the kind of block: the start of the delta, up to the piece itself.
_DELTAS = {
    "text": b'{"type":"text_delta","text":',
    "thinking": b'{"type":"thinking_delta","thinking":',
    "tool_use": b'{"type":"input_json_delta","partial_json":',
    "server_tool_use": b'{"type":"input_json_delta","partial_json":',
}
_SIGNATURE = b'{"type":"signature_delta","signature":'
# For an answer whose upstream does not say what it used: as of English.
_CHARACTERS_PER_TOKEN = 4


class _Block:
    """A content block: what is to be written of it, and how far that has come."""

    __slots__ = ("id", "is_begun", "is_over", "kind", "members", "pieces", "sent", "signature")

    def __init__(self, kind: str, members: dict[str, Any]) -> None:
        self.kind = kind
        self.members = members
        self.id = ""
        self.pieces: list[str] = []
        self.sent = 0
        self.signature = ""
        self.is_begun = False
        self.is_over = False

    @property
    def may_begin(self) -> bool:
        return self.kind != "tool_use" or bool(self.members["name"])

    @property
    def may_end(self) -> bool:
        """Whether another block may take its turn: only a tool's input can still be under way."""
        return self.is_over or self.kind != "tool_use" or self._is_complete()

    def _is_complete(self) -> bool:
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        try:
            self.is_over = isinstance(msgspec.json.decode("".join(self.pieces)), dict)
        except MALFORMED:
            return False
        return self.is_over

    def whole(self) -> dict[str, Any]:
        """Return the block as it stands in a whole message."""
        said = "".join(self.pieces)
        match self.kind:
            case "text":
                return {**self.members, "text": said}
            case "thinking":
                return {**self.members, "thinking": said, "signature": self.signature}
            case "tool_use" | "server_tool_use":
                return {**self.members, "input": _input(said)}
            case _:
                return self.members


class EventWriter:
    """Writes one answer as a Messages event stream that cannot be illegal.

    Blocks are written one after the other in the order in which they began.  The first that is
    not over is written as its pieces come; what belongs to later ones is held until it is their
    turn.  A tool's input is over when that is said (`tool_end`), when it is a whole JSON object and
    something else has begun, or at the end; every other block is over when something else begins.

    A method returns the events that are due, encoded, often none.  Nothing is written before the
    first piece, so that an error that comes first is the whole stream, and nothing after the end.

    Args:
        model: The model's name, as the caller gave it.
        message_id: `msg_` and something that no other answer has: the upstream's own id of it, or,
            where there is none, `names.digest` of the request.
        input_tokens: An estimate of the prompt, for `message_start`.
        signature: What thinking blocks that get no signature of their own are signed with.
    """

    def __init__(
        self, model: str, *, message_id: str = "", input_tokens: int = 0, signature: str = ""
    ) -> None:
        self._id = message_id or f"msg_{digest(model)}"
        self._model = model
        self._signature = signature
        self._first_usage = {
            "input_tokens": input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        }
        self._blocks: list[_Block] = []
        self._calls: dict[Hashable, _Block] = {}
        self._ids: dict[str, int] = {}
        self._at = 0
        self._is_begun = False
        self._is_ended = False
        self._finish: dict[str, Any] | None = None
        self._usage: dict[str, Any] = {}

    def start(self) -> bytes:
        """Write `message_start` now; without this call it comes with the first piece.

        From then on the answer is under way, and no other deployment can take over.
        """
        if self._is_begun or self._is_ended:
            return b""
        self._is_begun = True
        return _event("message_start", {"message": self._message([])})

    def text(self, piece: str) -> bytes:
        """Add text; an empty piece is nothing."""
        return self._add("text", piece)

    def thinking(self, piece: str) -> bytes:
        """Add thinking; an empty piece is nothing."""
        return self._add("thinking", piece)

    def signature(self, value: str) -> bytes:
        """End the latest block, if it is thinking, with a signature of its own.

        If it is not, an empty thinking block carries the signature.
        """
        if not value or self._is_ended:
            return b""
        block = self._latest("thinking")
        block.signature = value
        block.is_over = True
        return self._flow()

    def redacted(self, data: str) -> bytes:
        """Add a `redacted_thinking` block."""
        return self.block({"type": "redacted_thinking", "data": data})

    def block(self, block: Mapping[str, Any]) -> bytes:
        """Add a block that has come whole: `server_tool_use`, a server tool's result."""
        if self._is_ended:
            return b""
        added = _Block(str(block.get("type")), dict(block))
        if added.kind in ("text", "thinking", "tool_use"):
            raise ValueError(f"a block of type {added.kind!r} has a method of its own")
        if added.kind == "server_tool_use":
            added.pieces.append(_encode(added.members.get("input") or {}).decode())
            added.members["input"] = {}
        added.is_over = True
        self._blocks.append(added)
        return self._flow()

    def tool(self, key: Hashable, call_id: str = "", name: str = "") -> bytes:
        """Open the call `key`, or add to what is known of it.

        The block begins when its name is known; one that never is, is called `unknown`.  An id that
        does not fit or was there before is changed (`names.answer_id`), and a missing one made from
        the message's.  A known key with another id and a name is another call.
        """
        if self._is_ended:
            return b""
        block = self._calls.get(key)
        if block is not None and call_id and name and block.id not in ("", call_id):
            block.is_over = True
            block = None
        if block is None:
            block = self._call(key)
        if not block.is_begun:
            block.id = block.id or call_id
            block.members["name"] = block.members["name"] or name
        return self._flow()

    def tool_input(self, key: Hashable, piece: str) -> bytes:
        """Add to the input of the call `key`; nothing is added to one that is over."""
        if self._is_ended or not piece:
            return b""
        block = self._calls.get(key) or self._call(key)
        # Some servers say so of a tool without parameters.
        if not block.is_over and (block.pieces or piece != "null"):
            block.pieces.append(piece)
        return self._flow()

    def tool_end(self, key: Hashable) -> bytes:
        """The call `key` is complete: what comes next need not wait for it."""
        if self._is_ended or key not in self._calls:
            return b""
        self._calls[key].is_over = True
        return self._flow()

    def ping(self) -> bytes:
        """Write a ping, if the message has begun."""
        return PING if self._is_begun and not self._is_ended else b""

    def finish(
        self,
        stop_reason: str,
        usage: Mapping[str, Any] | None = None,
        *,
        stop_sequence: str | None = None,
        stop_details: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Take note of why the answer ends; `close` writes it, for usage may come later.

        The first reason counts; `end_turn` or `tool_use` is told by whether there is a call.
        """
        if self._finish is None:
            self._finish = {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
            if stop_details is not None:
                self._finish["stop_details"] = dict(stop_details)
        self.usage(usage or {})
        return b""

    def usage(self, usage: Mapping[str, Any]) -> None:
        """Take note of usage in the Anthropic shape; the latest figures count."""
        self._usage.update(usage)

    def error(self, kind: str, message: str) -> bytes:
        """End the stream with an error; `kind` is the API's name for it, such as `api_error`."""
        if self._is_ended:
            return b""
        self._is_ended = True
        return error_event(error_body(kind, message))

    def close(self) -> bytes:
        """End the stream: with an error, if no reason to end was ever given."""
        if self._is_ended:
            return b""
        if self._finish is None:
            fate = "broke off" if self._blocks else "was empty"
            return self.error("api_error", f"The upstream's answer {fate}: no finish reason came")
        blocks = self._end_blocks()
        self._is_ended = True
        end = _event("message_delta", {"delta": self._reason(), "usage": self._final_usage()})
        return blocks + end + _event("message_stop", {})

    def message(self) -> dict[str, Any]:
        """End the blocks, and return the whole message that the stream spells out."""
        self._end_blocks()
        message = self._message([block.whole() for block in self._blocks])
        message["usage"] = merged(self._first_usage, self._final_usage())
        return {**message, **self._reason()}

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._first_usage,
        }

    def _add(self, kind: str, piece: str) -> bytes:
        if not piece or self._is_ended:
            return b""
        self._latest(kind).pieces.append(piece)
        return self._flow()

    def _latest(self, kind: str) -> _Block:
        """Return the latest block if it is of that kind and goes on, else a new one."""
        latest = self._blocks[-1] if self._blocks else None
        if latest is None or latest.kind != kind or latest.is_over:
            latest = _Block(kind, {"type": kind})
            self._blocks.append(latest)
        return latest

    def _call(self, key: Hashable) -> _Block:
        block = _Block("tool_use", {"type": "tool_use", "id": "", "name": ""})
        self._calls[key] = block
        self._blocks.append(block)
        return block

    def _end_blocks(self) -> bytes:
        for block in self._blocks[self._at :]:
            block.is_over = True
            if not block.may_begin:
                block.members["name"] = "unknown"
        return self._flow()

    def _flow(self) -> bytes:
        """Write what is due, from the block whose turn it is."""
        written = [] if self._is_begun else [self.start()]
        while self._at < len(self._blocks):
            block = self._blocks[self._at]
            if not block.may_begin:
                break
            self._write(block, written)
            is_last = self._at == len(self._blocks) - 1
            if not (block.is_over if is_last else block.may_end):
                break
            self._write_end(block, written)
            self._at += 1
        return b"".join(written)

    def _write(self, block: _Block, written: list[bytes]) -> None:
        if not block.is_begun:
            block.is_begun = True
            written.append(_event("content_block_start", self._begun(block)))
        if block.sent < len(block.pieces):
            piece = "".join(block.pieces[block.sent :])
            block.sent = len(block.pieces)
            written.append(self._delta(_DELTAS[block.kind], piece))

    def _begun(self, block: _Block) -> dict[str, Any]:
        match block.kind:
            case "text":
                shown: dict[str, Any] = {"type": "text", "text": ""}
            case "thinking":
                shown = {"type": "thinking", "thinking": "", "signature": ""}
            case "tool_use":
                block.members["id"] = self._unique(block.id)
                shown = {**block.members, "input": {}}
            case _:
                shown = block.members
        return {"index": self._at, "content_block": shown}

    def _write_end(self, block: _Block, written: list[bytes]) -> None:
        if block.kind == "thinking":
            block.signature = block.signature or self._signature
            if block.signature:
                written.append(self._delta(_SIGNATURE, block.signature))
        written.append(_event("content_block_stop", {"index": self._at}))

    def _delta(self, start: bytes, piece: str) -> bytes:
        head = b'{"type":"content_block_delta","index":%d,"delta":' % self._at
        return encode(b"content_block_delta", head + start + _encode(piece) + b"}}")

    def _unique(self, call_id: str) -> str:
        """Return a call's id as it is shown: of legal characters, and used once."""
        shown = (
            answer_id(call_id) if call_id else f"toolu_{self._id.removeprefix('msg_')}_{self._at}"
        )
        self._ids[shown] = self._ids.get(shown, 0) + 1
        return shown if self._ids[shown] == 1 else self._unique(f"{shown}_{self._ids[shown]}")

    def _reason(self) -> dict[str, Any]:
        reason = dict(self._finish or {"stop_reason": None, "stop_sequence": None})
        if reason["stop_reason"] in ("end_turn", "tool_use"):
            reason["stop_reason"] = "tool_use" if self._calls else "end_turn"
        return reason

    def _final_usage(self) -> dict[str, Any]:
        usage = {**self._first_usage, **self._usage}
        if not self._usage.get("output_tokens"):
            said = sum(len(piece) for block in self._blocks for piece in block.pieces)
            usage["output_tokens"] = math.ceil(said / _CHARACTERS_PER_TOKEN)
        # Clients keep the figure of `message_start` where they are told 0, and it is an estimate of
        # the whole prompt: one token of it is never in the cache.
        is_clobbered = self._first_usage["input_tokens"] and not usage["input_tokens"]
        if is_clobbered and usage["cache_read_input_tokens"]:
            usage["input_tokens"] = 1
            usage["cache_read_input_tokens"] -= 1
        return usage


def _event(kind: str, members: Mapping[str, Any]) -> bytes:
    return encode(kind.encode(), _encode({"type": kind, **members}))


def _input(text: str) -> Any:
    """Return a tool's input, decoded; broken JSON as the text it is."""
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text)
    except MALFORMED:
        return text
