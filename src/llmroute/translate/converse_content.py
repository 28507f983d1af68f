"""Content blocks as Converse has them.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from llmroute.translate import converse_model as known
from llmroute.translate.converse_model import ConverseModel
from llmroute.translate.names import CONVERSE_IDS, Names, call_id
from llmroute.translate.target import Losses

__all__ = ["ConverseContent"]

_Block = dict[str, Any]

_FORMATS = {f"image/{kind}": kind for kind in ("png", "jpeg", "gif", "webp")}
_FORMATS["image/jpg"] = "jpeg"
_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]+)(?:;[^,;]*)*;base64,(?P<data>.*)", re.DOTALL)
# A document's name has letters, digits, single spaces, hyphens and brackets.
_ODD = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_LONGEST_NAME = 180
_MOST_MARKS = 4
_GO_ON = "Go on exactly where your last message ends."
_SILENCE = "…"
_FAILED = "[tool error]"
_NO_OUTPUT = "(no output)"


class ConverseContent:
    """Writes the blocks of one request, tools first, then the system prompt, then messages.

    Attributes:
        has_calls: Whether any message has a call of a tool or its result.
    """

    def __init__(self, model: ConverseModel, names: Names, losses: Losses) -> None:
        self.has_calls = False
        self._model = model
        self._names = names
        self._losses = losses
        self._titles: dict[str, int] = {}
        self._marks = 0

    def mark(self, made: list[_Block], mark: Any) -> None:
        """Put a cache point at the end, if one is asked for and another one may be set."""
        if not isinstance(mark, dict) or not made or known.CACHE_POINTS in self._model.lacks:
            return
        if self._marks >= _MOST_MARKS or "reasoningContent" in made[-1] or "cachePoint" in made[-1]:
            return
        self._marks += 1
        ttl = {"ttl": "1h"} if mark.get("ttl") == "1h" and self._model.is_claude else {}
        made.append({"cachePoint": {"type": "default", **ttl}})

    def system(self, blocks: list[_Block]) -> list[_Block]:
        """Return the system prompt."""
        made: list[_Block] = []
        for block in blocks:
            made.append({"text": block["text"]})
            self.mark(made, block.get("cache_control"))
        return made

    def messages(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages, which end with the user's."""
        made: list[dict[str, Any]] = []
        for message in messages:
            content = self._content(message["content"])
            if message["role"] == "user" and known.TEXT_BESIDE_RESULTS in self._model.lacks:
                made += _apart(content)
            else:
                made.append({"role": message["role"], "content": content})
        if made and made[-1]["role"] == "assistant":
            self._losses.note("messages", "every answer is begun anew; it is asked to go on")
            made.append({"role": "user", "content": [{"text": _GO_ON}]})
        return made

    def _content(self, blocks: list[_Block]) -> list[_Block]:
        content: list[_Block] = []
        for block in blocks:
            content += self._block(block)
            self.mark(content, block.get("cache_control"))
        if any("document" in each for each in content) and not any("text" in b for b in content):
            # A document needs some text beside it.
            content.append({"text": "See the document."})
        if all("reasoningContent" in each for each in content):
            # Reasoning that nobody can read, or nothing else: a turn all the same.
            content.append({"text": _SILENCE})
        return content

    def _block(self, block: _Block) -> list[_Block]:
        match block["type"]:
            case "text":
                return [{"text": block["text"]}] if block["text"].strip() else []
            case "thinking":
                return self._reasoning(block)
            case "tool_use":
                return [self._call(block)]
            case "tool_result":
                return self._result(block)
            case _:
                return [self._media(block)]

    def _call(self, block: _Block) -> _Block:
        if known.TOOLS in self._model.lacks:
            given = msgspec.json.encode(block["input"]).decode()
            return {"text": f"[called {block['name']} {given}]"}
        self.has_calls = True
        return {
            "toolUse": {
                "toolUseId": call_id(block["id"], CONVERSE_IDS),
                "name": self._names.outward(block["name"]),
                "input": block["input"],
            }
        }

    def _result(self, block: _Block) -> list[_Block]:
        inner = [made for each in block["content"] for made in self._block(each)]
        has_status = known.RESULT_STATUS not in self._model.lacks
        if block["is_error"] and not has_status:
            inner.insert(0, {"text": _FAILED})
        inner = inner or [{"text": _NO_OUTPUT}]
        if known.TOOLS in self._model.lacks:
            return [{"text": "[its result:]"}, *inner]
        self.has_calls = True
        result: _Block = {
            "toolUseId": call_id(block["tool_use_id"], CONVERSE_IDS),
            "content": inner,
        }
        if has_status:
            result["status"] = "error" if block["is_error"] else "success"
        return [{"toolResult": result}]

    def _reasoning(self, block: _Block) -> list[_Block]:
        """Return what the model has signed; it takes nothing else back."""
        state = block["state"]
        if known.REASONING in self._model.lacks:
            return []
        if isinstance(data := state.get("redacted"), str):
            return [{"reasoningContent": {"redactedContent": data}}]
        if isinstance(signature := state.get("signature"), str):
            text = {"text": block["thinking"], "signature": signature}
            return [{"reasoningContent": {"reasoningText": text}}]
        return []

    def _media(self, block: _Block) -> _Block:
        source, kind = block["source"], block["type"]
        data, given = source.get("data"), str(source.get("media_type") or "")
        if found := _DATA_URL.fullmatch(str(source.get("url") or "")):
            data, given = found["data"], found["type"]
        if kind == "image" and data and given in _FORMATS:
            return {"image": {"format": _FORMATS[given], "source": {"bytes": data}}}
        if kind == "document" and data and given in ("", "application/pdf"):
            name = self._title(str(block.get("title") or "document"))
            return {"document": {"format": "pdf", "name": name, "source": {"bytes": data}}}
        self._losses.note("messages", f"{kind} left out: Converse does not read {given or 'it'}")
        return {"text": f"[{kind} omitted: {given or 'unknown type'}]"}

    def _title(self, title: str) -> str:
        """Return a name that no other document has, of the characters that names may have."""
        base = _ODD.sub(" ", title)[:_LONGEST_NAME].strip() or "document"
        name, count = base, self._titles.get(base, 1)
        while name in self._titles:
            count += 1
            name = f"{base} {count}"
        # Where to go on: from the start each time, many of one title would take minutes.
        self._titles[base] = count
        self._titles.setdefault(name, 1)
        return name


def _apart(content: list[_Block]) -> list[dict[str, Any]]:
    """Return a user's turn in two, where results of tools may not stand beside anything else."""
    results = [block for block in content if "toolResult" in block]
    others = [block for block in content if "toolResult" not in block]
    if not results or not others:
        return [{"role": "user", "content": content}]
    return [
        {"role": "user", "content": results},
        {"role": "assistant", "content": [{"text": _SILENCE}]},
        {"role": "user", "content": others},
    ]
