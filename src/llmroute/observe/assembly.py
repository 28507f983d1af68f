"""What a streamed answer has said, put together: a secret may be spread over its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from llmroute.messages.accumulate import Accumulator
from llmroute.messages.call import Format
from llmroute.messages.events import Event
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.sse import Frame, SSEDecoder

__all__ = ["assembled"]

# What of a chunk's delta is a part of something, and what is all of it.
_WORDS = ("content", "reasoning_content", "reasoning", "refusal")


def assembled(events: bytes, form: Format) -> dict[str, Any]:
    """Return what a stream of events amounts to, as far as it came; an error stands as `error`.

    Args:
        events: The stream; what stands after its last whole event is left out.
        form: What the events are written in.
    """
    frames = SSEDecoder().feed(events)
    match form:
        case "messages":
            return _message(frames)
        case "chat":
            return _completion(_decoded(frames))
        case "responses":
            return _response(_decoded(frames))


def _message(frames: Iterable[Frame]) -> dict[str, Any]:
    accumulator, error = Accumulator(), None
    for frame in frames:
        event = Event.of(frame)
        if event is not None:
            accumulator.add(event)
            error = event.data.get("error") if event.type == "error" else error
    return accumulator.message if error is None else {**accumulator.message, "error": error}


def _decoded(frames: Iterable[Frame]) -> Iterable[dict[str, Any]]:
    for frame in frames:
        try:
            data = msgspec.json.decode(frame.data)
        except MALFORMED:
            continue  # `[DONE]`
        if isinstance(data, dict):
            yield data


def _completion(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put chunks of Chat Completions together."""
    whole: dict[str, Any] = {}
    choices: dict[Any, dict[str, Any]] = {}
    for chunk in chunks:
        whole.update({n: v for n, v in chunk.items() if n != "choices" and v is not None})
        for choice in _objects(chunk.get("choices")):
            known = choices.setdefault(choice.get("index"), {"message": {}})
            known.update({n: v for n, v in choice.items() if n != "delta" and v is not None})
            delta = choice.get("delta")
            if isinstance(delta, dict):
                _extend(known["message"], delta)
    return {**whole, "choices": list(choices.values())}


def _extend(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name in _WORDS and isinstance(value, str):
            message[name] = message.get(name, "") + value
        elif name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for part in _objects(value):
                _extend_call(calls, part)
        elif value is not None:
            message[name] = value


def _extend_call(calls: list[dict[str, Any]], part: Mapping[str, Any]) -> None:
    index = part.get("index")
    known = next((call for call in calls if call.get("index") == index), None)
    if known is None:
        known = {"index": index}
        calls.append(known)
    function = part.get("function")
    known.update({n: v for n, v in part.items() if n != "function" and v is not None})
    if isinstance(function, dict):
        own = known.setdefault("function", {"arguments": ""})
        for name, value in function.items():
            if name == "arguments" and isinstance(value, str):
                own[name] += value
            elif value is not None:
                own[name] = value


def _response(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the response that the last events of the Responses API hold, or what came of it."""
    begun: dict[str, Any] = {}
    pieces: dict[str, str] = {}
    for event in events:
        response, delta = event.get("response"), event.get("delta")
        kind = event.get("type")
        if isinstance(response, dict):
            begun = response
            if kind in ("response.completed", "response.incomplete", "response.failed"):
                return response
        elif isinstance(delta, str):
            place = f"{kind} {event.get('item_id', '')}"
            pieces[place] = pieces.get(place, "") + delta
        elif kind == "error":
            pieces["error"] = str(event.get("message", ""))
    return {**begun, "so_far": pieces}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
