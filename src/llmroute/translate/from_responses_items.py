"""The items of a Responses input, as the turns of a Messages request.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.translate.from_responses_tools import Toolbox
from llmroute.translate.names import unused_id
from llmroute.translate.reasoning import seal, unseal
from llmroute.translate.responses_calls import CALLS, OUTPUTS, Called, input_of
from llmroute.translate.target import Losses

__all__ = ["Turns", "packed", "text"]

_Block = dict[str, Any]

# Whom the reasoning items are for that bring blocks back: nobody's model, but the door itself.
_PROVIDER, _FAMILY = "messages", "blocks"
_GO_ON = "Go on."
_NO_RESULT = "[no result recorded]"
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
_HOURS = {"12h": "1h"}


def packed(blocks: list[_Block]) -> str:
    """Return blocks of an answer as the `encrypted_content` of a reasoning item.

    A client sends it back as it came, so that a model finds its thinking whole, and its signature.
    """
    return seal(_PROVIDER, _FAMILY, {"blocks": blocks})


class Turns:
    """Turns that alternate, as the items of an input make them one after the other.

    Attributes:
        system: What the system and the developer say before anybody else.
        obstacle: The first thing that cannot be said in Messages; empty if all can.
        is_marked: The client has said what is to be cached.
    """

    def __init__(self, toolbox: Toolbox, losses: Losses) -> None:
        self.system: list[_Block] = []
        self.obstacle = ""
        self.is_marked = False
        self._toolbox = toolbox
        self._losses = losses
        self._turns: list[tuple[str, list[_Block]]] = []
        self._results: dict[str, _Block] = {}
        # The ids of the calls, those that the client has used twice made different.
        self._calls: dict[str, str] = {}
        self._taken: dict[str, int] = {}
        self._searches = 0

    def read(self, given: Any) -> None:
        """Read an input.

        Raises:
            InvalidRequestError: It is no text and no list of items.
        """
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if not isinstance(items, list):
            raise InvalidRequestError("input: Field required, a string or a list of items")
        for at, item in enumerate(items):
            if not isinstance(item, dict):
                raise InvalidRequestError(f"input[{at}]: Input should be an object")
            self._item(item, f"input[{at}]")

    def _item(self, item: _Block, place: str) -> None:
        # A message need not say that it is one; nothing else but a reference lacks a role.
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        if not isinstance(kind, str):
            raise InvalidRequestError(f"{place}.type: Input should be a string")
        match kind:
            case "message":
                self._message(item, place)
            case "reasoning":
                self._reasoning(item, place)
            case "additional_tools":
                self._toolbox.add(item.get("tools"), f"{place}.tools")
            case "item_reference":
                self._obstruct(place, "nothing is stored here: send the item itself")
            case "compaction_trigger":
                self._obstruct(place, "only OpenAI compacts a conversation that way")
            case _ if kind in CALLS:
                self._call(item, CALLS[kind], place)
            case _ if kind in OUTPUTS:
                self._output(item, kind, place)
            case "web_search_call":
                # What one of Anthropic's has found comes in the reasoning that follows it.
                self._searches += 1
            case _:
                self._losses.note(place, f"left out: Messages has no place for a {kind}")

    def _obstruct(self, place: str, why: str) -> None:
        self.obstacle = self.obstacle or f"{place}: {why}"

    def _message(self, item: _Block, place: str) -> None:
        content = self._parts(item.get("content"), f"{place}.content")
        match item.get("role"):
            case "system" | "developer":
                self._instruct(content, place)
            case "user" | "assistant" as role:
                if content:
                    self._turn(role).extend(content)
            case role:
                self._obstruct(place, f"Messages has no role {role}")

    def _instruct(self, content: list[_Block], place: str) -> None:
        said = [block for block in content if block["type"] == "text"]
        if len(said) < len(content):
            self._losses.note(place, "images and files left out: none may be in a system prompt")
        if not self._turns:
            self.system += said
        elif said:
            inner = "\n\n".join(block["text"] for block in said)
            self._turn("user").append(text(f"<system-reminder>\n{inner}\n</system-reminder>"))

    def _reasoning(self, item: _Block, place: str) -> None:
        found = unseal(item.get("encrypted_content"), _PROVIDER, _FAMILY) or {}
        blocks = found.get("blocks")
        if not isinstance(blocks, list):
            self._losses.note(place, "left out: reasoning that another model has made")
            return
        for block in blocks:
            kind = block.get("type") if isinstance(block, dict) else None
            if isinstance(kind, str) and kind not in ("tool_use", "tool_result"):
                self._turn("assistant").append(block)
                self._searches -= kind == "server_tool_use"

    def _call(self, item: _Block, kind: str, place: str) -> None:
        given, name = item.get("call_id"), item.get("name") or kind
        if not isinstance(given, str) or not given or not isinstance(name, str):
            self._losses.note(place, "left out: a call that has no call_id")
            return
        shown = unused_id(given, self._taken)
        # A result of a local shell's names the item.
        self._calls |= {given: shown, str(item.get("id") or given): shown}
        namespace = str(item.get("namespace") or "")
        called = Called(kind, name, "" if namespace == "functions" else namespace)
        self._turn("assistant").append(
            {
                "type": "tool_use",
                "id": shown,
                "name": self._toolbox.name(called),
                "input": input_of(item, kind),
            }
        )

    def _output(self, item: _Block, kind: str, place: str) -> None:
        found: list[str] = []
        if kind == "tool_search_output":
            found = self._toolbox.add(item.get("tools"), f"{place}.tools")
        content = self._told(item, kind, found, f"{place}.output")
        mark = next((block["cache_control"] for block in content if "cache_control" in block), None)
        for block in content:
            block.pop("cache_control", None)
        call = self._calls.get(str(item.get("call_id") or item.get("id")))
        if call is None:
            if item.get("execution") != "server":
                self._losses.note(place, "the result of no call; said as text")
                self._turn("user").extend(content)
            return
        result: _Block = {"type": "tool_result", "tool_use_id": call}
        result |= {"content": content} if content else {}
        result |= {"cache_control": mark} if mark else {}
        if item.get("status") == "failed":
            result["is_error"] = True
        self._results.setdefault(call, result)
        self._turn("user")

    def _told(self, item: _Block, kind: str, found: list[str], place: str) -> list[_Block]:
        """Return what came of a call, as the model reads it."""
        output = item.get("output")
        if kind == "tool_search_output":
            names = ", ".join(found)
            return [
                text(f"Found, and to be called: {names}" if names else "Nothing new was found.")
            ]
        if kind == "shell_call_output" and isinstance(output, list):
            return [text(_of_shell(each)) for each in output if isinstance(each, dict)]
        if output is None and kind == "apply_patch_call_output":
            return [text(str(item.get("status")))]
        if isinstance(output, str | list):
            return self._parts(output, place)
        return [text(msgspec.json.encode(output).decode())]

    def _turn(self, role: str) -> list[_Block]:
        if not self._turns or self._turns[-1][0] != role:
            self._turns.append((role, []))
        return self._turns[-1][1]

    def messages(self) -> list[_Block]:
        """Return the messages: a user's first and last, each call's result right after it."""
        if self._searches > 0:
            self._losses.note("input", "searches left out that OpenAI has made")
        if not self._turns:
            self._losses.note("input", "nobody speaks; what the system says is said by the user")
            self._turns.append(("user", self.system))
            self.system = []
        if self._turns[0][0] != "user":
            self._turns.insert(0, ("user", []))
        if self._turns[-1][0] != "user":
            self._turns.append(("user", []))
        made: list[_Block] = []
        calls: list[str] = []
        for role, said in self._turns:
            content = said
            if role == "user":
                content = [*map(self._result, calls), *said]
                if not content:
                    self._losses.note("input", f"nobody speaks; the user is made to say {_GO_ON}")
                    content = [text(_GO_ON)]
            calls = [block["id"] for block in content if block["type"] == "tool_use"]
            made.append({"role": role, "content": content})
        return made

    def _result(self, call: str) -> _Block:
        if call in self._results:
            return self._results[call]
        self._losses.note("input", "a call has no result; the model is told so")
        return {"type": "tool_result", "tool_use_id": call, "content": [text(_NO_RESULT)]}

    def _parts(self, content: Any, place: str) -> list[_Block]:
        if isinstance(content, str):
            return [text(content)] if content.strip() else []
        if not isinstance(content, list):
            raise InvalidRequestError(f"{place}: Input should be a string or a list of parts")
        made = []
        for at, part in enumerate(content):
            if not isinstance(part, dict):
                raise InvalidRequestError(f"{place}[{at}]: Input should be an object")
            if (block := self._part(part, f"{place}[{at}]")) is not None:
                made.append(block | self._mark(part))
        return made

    def _mark(self, part: _Block) -> _Block:
        mark = part.get("prompt_cache_breakpoint")
        if not isinstance(mark, dict):
            return {}
        self.is_marked = True
        lasting = _HOURS.get(str(mark.get("ttl")))
        return {"cache_control": {"type": "ephemeral"} | ({"ttl": lasting} if lasting else {})}

    def _part(self, part: _Block, place: str) -> _Block | None:
        kind = part.get("type")
        if kind in _TEXTS or kind == "refusal":
            said = part.get("refusal" if kind == "refusal" else "text")
            return text(said) if isinstance(said, str) and said.strip() else None
        if kind == "input_image":
            if part.get("detail") not in (None, "auto"):
                self._losses.note("input_image.detail", "left out: Messages has no place for it")
            source = self._source(part.get("image_url"), place)
            return {"type": "image", "source": source} if source else None
        if kind == "input_file":
            source = self._source(part.get("file_data") or part.get("file_url"), place, part)
            name = part.get("filename")
            named = {"title": name} if isinstance(name, str) and name else {}
            return {"type": "document", "source": source, **named} if source else None
        self._obstruct(place, f"Messages has no place for {kind}")
        return None

    def _source(self, url: Any, place: str, file: Mapping[str, Any] | None = None) -> _Block | None:
        if not isinstance(url, str) or not url:
            self._obstruct(place, "files are not stored here: send its data, or its URL")
            return None
        if url.startswith(("https://", "http://")):
            return {"type": "url", "url": url}
        head, comma, data = url.partition(",")
        media = head.removeprefix("data:").partition(";")[0].lower()
        if not comma and file is not None:
            # Its data may be the bare base64.
            name = str(file.get("filename") or "").lower()
            media, head, data = _media_of(name), ";base64", url
        if not head.endswith(";base64"):
            raise InvalidRequestError(f"{place}: Input should be a URL, or data in base64")
        if file is None or media == "application/pdf":
            return {"type": "base64", "media_type": media, "data": data}
        if (said := _decoded(media, data)) is None:
            self._obstruct(place, f"Messages has no place for a file of the type {media}")
            return None
        return {"type": "text", "media_type": "text/plain", "data": said}


def text(said: str) -> _Block:
    """Return a block of text."""
    return {"type": "text", "text": said}


def _media_of(name: str) -> str:
    is_text = name.endswith((".txt", ".md", ".csv", ".json", ".xml", ".html", ".py", ".yaml"))
    return "text/plain" if is_text else "application/pdf"


def _decoded(media: str, data: str) -> str | None:
    """Return the text that a file is; `None` if it is none."""
    if not media.startswith("text/") and media not in ("application/json", "application/xml"):
        return None
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _of_shell(output: _Block) -> str:
    outcome = output.get("outcome")
    told = outcome if isinstance(outcome, dict) else {}
    said = [str(output.get(name) or "") for name in ("stdout", "stderr")]
    if told.get("type") == "timeout":
        said.append("[timed out]")
    elif told.get("exit_code") is not None:
        said.append(f"[exit code {told['exit_code']}]")
    return "\n".join(part for part in said if part) or "(no output)"
