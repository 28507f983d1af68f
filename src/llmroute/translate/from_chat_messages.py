"""The messages of a Chat Completions request, as a Messages request has them.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.translate.names import answer_id, unused_id
from llmroute.translate.target import Losses
from llmroute.wire.envelope import MALFORMED

__all__ = ["ChatMessages"]

_Block = dict[str, Any]
_Message = dict[str, Any]

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_SPELLINGS = {"image/jpg": "image/jpeg", "": "application/pdf"}
# What is said in the place of a turn that has to be there, and says nothing.
_NOTHING = "…"
_KNOWN = frozenset({"role", "content", "name", "cache_control"})
_OF_ASSISTANTS = _KNOWN | {"tool_calls", "refusal", "annotations", "thinking_blocks"}
_OF_ASSISTANTS |= {"reasoning_content", "reasoning", "reasoning_details", "function_call", "audio"}
# What an SDK's answer has besides, and means nothing on its way back.
_OF_ASSISTANTS |= {"parsed", "index", "provider_specific_fields"}


class ChatMessages:
    """Reads messages one after the other; what is made of one depends on those before it alone.

    Attributes:
        system: The text blocks of the system messages that come first.
        messages: The turns, which alternate and begin with the user's.
        obstacle: The first thing that cannot be said; empty if there is none.
    """

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self.system: list[_Block] = []
        self.messages: list[_Message] = []
        self.obstacle = ""
        self._taken: dict[str, int] = {}
        # The calls of the latest turn that have no result yet, by the ids the client gave them.
        self._waiting: dict[str, list[str]] = {}

    def read(self, given: Any) -> None:
        """Read all.

        Raises:
            InvalidRequestError: It is no list of messages.
        """
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise InvalidRequestError("messages: must be a list of objects")
        for at, message in enumerate(given):
            self._read(message, f"messages[{at}]")
        if not self.messages and self.system:
            # No API answers to nobody.
            self._losses.note("messages", "nobody speaks; what the system says is said by the user")
            self.messages, self.system = [{"role": "user", "content": self.system}], []
        elif given and given[-1].get("role") == "user" and self._is_answered():
            # An empty message asks for an answer all the same, and for no more of the last one.
            self._losses.note("messages", f"the user says nothing, and is made to say {_NOTHING}")
            self.messages.append({"role": "user", "content": [_text(_NOTHING)]})
        for message in self.messages:
            if message["role"] == "user":
                # The sort is stable: all else stays where it is.
                message["content"].sort(key=lambda block: block["type"] != "tool_result")
        self._trim()

    def _is_answered(self) -> bool:
        return not self.messages or self.messages[-1]["role"] == "assistant"

    def _trim(self) -> None:
        """Take the white space from the end of an answer that is begun, where none may be."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == "assistant":
            block = last["content"][-1]
            if block["type"] == "text":
                block["text"] = block["text"].rstrip()

    def _read(self, message: _Message, place: str) -> None:
        role = message.get("role")
        known = _OF_ASSISTANTS if role == "assistant" else _KNOWN
        for name, value in message.items():
            if name not in known and name != "tool_call_id" and value not in (None, [], {}, ""):
                self._losses.note(f"{place}.{name}", "left out: Messages has no place for it")
        if message.get("name") and role != "tool":
            self._losses.note(f"{place}.name", "left out: Messages knows no names of speakers")
        match role:
            case "system" | "developer":
                self._system(message, place)
            case "user":
                self._say("user", self._content(message, place))
            case "tool":
                self._say("user", [self._result(message, place)])
            case "assistant":
                blocks = [
                    *self._thoughts(message, place),
                    *self._content(message, place),
                    *self._calls(message, place),
                ]
                self._say("assistant", blocks)
            case "function":
                self._stop(f"{place}.role: function is the old way to say tool")
            case _:
                raise InvalidRequestError(f"{place}.role: not one that is known")

    def _system(self, message: _Message, place: str) -> None:
        blocks = self._content(message, place)
        if not self.messages:
            self.system += blocks
            return
        # Where a model takes system messages in between depends on what stands around them, and
        # many take none.
        for block in blocks:
            if block["type"] == "text":
                block["text"] = f"<system-reminder>\n{block['text']}\n</system-reminder>"
        self._say("user", blocks)

    def _say(self, role: str, blocks: list[_Block]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
            return
        if not self.messages and role == "assistant":
            self.messages.append({"role": "user", "content": [_text(_NOTHING)]})
        self.messages.append({"role": role, "content": blocks})

    def _stop(self, why: str) -> None:
        self.obstacle = self.obstacle or why

    def _content(self, message: _Message, place: str) -> list[_Block]:
        content = message.get("content")
        blocks: list[_Block] = []
        if isinstance(content, str):
            blocks = [_text(content)]
        elif isinstance(content, list):
            for at, part in enumerate(content):
                blocks += self._part(part, f"{place}.content[{at}]")
        elif content is not None:
            raise InvalidRequestError(f"{place}.content: must be a string or a list of parts")
        if isinstance(refusal := message.get("refusal"), str):
            blocks.append(_text(refusal))
        # No API of Anthropic's takes a blank text.
        blocks = [b for b in blocks if b["type"] != "text" or b["text"].strip()]
        mark = message.get("cache_control")
        if isinstance(mark, dict) and blocks:
            blocks[-1].setdefault("cache_control", mark)
        return blocks

    def _part(self, part: Any, place: str) -> list[_Block]:
        block: _Block | None = None
        match part:
            case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                block = _text(text)
            case {"type": "image_url", "image_url": str(url) | {"url": str(url)}}:
                block = self._image(part["image_url"], url, place)
            case {"type": "file", "file": dict(file)}:
                block = self._file(file, place)
            case {"type": "thinking" | "reasoning"}:
                self._losses.note(place, "reasoning left out: it has no signature")
                return []
            case {"type": "input_audio"}:
                self._stop(f"{place}: Messages has no place for audio")
            case {"type": str(kind)}:
                self._stop(f"{place}: Messages has no place for a part of the type {kind}")
            case _:
                raise InvalidRequestError(f"{place}: must be an object with a type")
        if block is None:
            return []
        if part.get("prompt_cache_breakpoint"):
            self._losses.note(f"{place}.prompt_cache_breakpoint", "left out: say cache_control")
        mark = part.get("cache_control")
        return [block | ({"cache_control": mark} if isinstance(mark, dict) else {})]

    def _image(self, image: Any, url: str, place: str) -> _Block | None:
        detail = image.get("detail") if isinstance(image, dict) else None
        if detail not in (None, "auto"):
            self._losses.note(f"{place}.image_url.detail", "left out: Messages has no place for it")
        source = _source(url)
        if source is None or (source["type"] == "base64" and source["media_type"] not in _IMAGES):
            self._stop(f"{place}: must be an image, as https or in base64")
            return None
        return {"type": "image", "source": source}

    def _file(self, file: Mapping[str, Any], place: str) -> _Block | None:
        data = file.get("file_data")
        if not isinstance(data, str) or not data:
            self._stop(f"{place}: a file by its id is with OpenAI; send `file_data`")
            return None
        source = _source(data) or {
            "type": "base64",
            "media_type": "application/pdf",
            "data": data,
        }
        kind = source.get("media_type", "application/pdf")
        if kind in _IMAGES:
            return {"type": "image", "source": source}
        if kind.startswith("text/") or kind == "application/json":
            text = _decoded(source["data"])
            if text is None:
                self._stop(f"{place}: must be text in UTF-8")
                return None
            source = {"type": "text", "media_type": "text/plain", "data": text}
        elif kind != "application/pdf":
            self._stop(f"{place}: Messages has no place for a file of the type {kind}")
            return None
        title = file.get("filename")
        named = {"title": title} if isinstance(title, str) and title else {}
        return {"type": "document", "source": source, **named}

    def _result(self, message: _Message, place: str) -> _Block:
        content = self._content({**message, "cache_control": None}, place)
        given = str(message.get("tool_call_id") or "")
        waiting = self._waiting.get(given)
        shown = waiting.pop(0) if waiting else answer_id(given)
        result: _Block = {"type": "tool_result", "tool_use_id": shown}
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            result["content"] = content[0]["text"]
        elif content:
            result["content"] = content
        if isinstance(mark := message.get("cache_control"), dict):
            result["cache_control"] = mark
        return result

    def _thoughts(self, message: _Message, place: str) -> list[_Block]:
        """Return the thinking that can go back: that which has its signature."""
        blocks = [
            each for block in _dicts(message.get("thinking_blocks")) if (each := _thought(block))
        ]
        if not blocks:
            details = _dicts(message.get("reasoning_details"))
            blocks = [each for detail in details if (each := _detailed(detail))]
        told = message.get("reasoning_content") or message.get("reasoning")
        if not blocks and (told or message.get("reasoning_details")):
            self._losses.note(place, "reasoning left out: it has no signature")
        return blocks

    def _calls(self, message: _Message, place: str) -> list[_Block]:
        if message.get("function_call"):
            self._stop(f"{place}.function_call: is the old way to say tool_calls")
        if message.get("audio"):
            self._stop(f"{place}.audio: Messages has no place for audio")
        blocks = []
        calls = _dicts(message.get("tool_calls"))
        if calls:
            self._waiting = {}
        for at, call in enumerate(calls):
            here = f"{place}.tool_calls[{at}]"
            match call:
                case {"custom": {"name": str(name)}}:
                    given = {"input": str(call["custom"].get("input") or "")}
                case {"function": {"name": str(name)}}:
                    given = self._arguments(call["function"].get("arguments"), here)
                case _:
                    raise InvalidRequestError(f"{here}: must have a function with a name")
            call_id = str(call.get("id") or "")
            shown = unused_id(call_id, self._taken)
            self._waiting.setdefault(call_id, []).append(shown)
            blocks.append({"type": "tool_use", "id": shown, "name": name, "input": given})
        return blocks

    def _arguments(self, written: Any, place: str) -> dict[str, Any]:
        if isinstance(written, dict):
            return written
        text = written if isinstance(written, str) else ""
        try:
            given = msgspec.json.decode(text) if text.strip() else {}
        except MALFORMED:
            given = None
        if isinstance(given, dict):
            return given
        self._losses.note(place, "the arguments are no JSON object; sent as the text they are")
        return {"arguments": text}


def _text(text: str) -> _Block:
    return {"type": "text", "text": text}


def _thought(block: Mapping[str, Any]) -> _Block | None:
    match block:
        case {"type": "thinking", "signature": str(signature)} if signature:
            thinking = str(block.get("thinking") or "")
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case {"type": "redacted_thinking", "data": str(data)}:
            return {"type": "redacted_thinking", "data": data}
    return None


def _detailed(detail: Mapping[str, Any]) -> _Block | None:
    """Read reasoning in OpenRouter's words; others' are for their makers alone."""
    if "anthropic" not in str(detail.get("format") or "anthropic"):
        return None
    match detail:
        case {"type": "reasoning.text", "signature": str(signature)} if signature:
            thinking = str(detail.get("text") or "")
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case {"type": "reasoning.encrypted", "data": str(data)}:
            return {"type": "redacted_thinking", "data": data}
    return None


def _source(url: str) -> dict[str, str] | None:
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    found = _DATA_URL.match(url)
    if found is None or not found[2].lower().endswith(";base64"):
        return None
    kind = found[1].strip().lower()
    return {"type": "base64", "media_type": _SPELLINGS.get(kind, kind), "data": url[found.end() :]}


def _decoded(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
