"""Content blocks in the four kinds that every format has: text, image, document, tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from llmroute.translate.reasoning import unseal
from llmroute.translate.target import Losses, Target

__all__ = ["Blocks", "blocks_of", "text_block"]

_Block = dict[str, Any]

# Of what a server's tool has said, so much is told again, in characters.
_LONGEST_SUMMARY = 4_000
# A result nests so deep at most.
_DEEPEST = 12
_RESULT = "_tool_result"


def text_block(text: str, of: Mapping[str, Any] | None = None) -> _Block:
    """Return a text block, with the cache mark of the block it is made of."""
    mark = (of or {}).get("cache_control")
    return {"type": "text", "text": text, **({"cache_control": mark} if mark else {})}


def blocks_of(content: Any) -> list[_Block]:
    """Return content as a list of blocks; what is no block is no content."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        return []
    return [block for block in content if isinstance(block, dict)]


class Blocks:
    """Rewrites the blocks of one request, message by message."""

    def __init__(self, target: Target, losses: Losses) -> None:
        self._target = target
        self._losses = losses
        self._asked: dict[str, _Block] = {}

    def user(self, content: Any, place: str) -> list[_Block]:
        """Return what a user's message says."""
        found: list[_Block] = []
        for at, block in enumerate(blocks_of(content)):
            here = f"{place}.content[{at}]"
            if block.get("type") == "tool_result":
                found.append(self._result(block, here))
            else:
                found += self._shown(block, here)
        return self._kept(found)

    def assistant(self, content: Any, place: str) -> list[_Block]:
        """Return what an assistant's message says, with the reasoning this upstream wants back.

        Such a thinking block has its payload as `state`, in place of the signature.
        """
        found: list[_Block] = []
        for at, block in enumerate(blocks_of(content)):
            here = f"{place}.content[{at}]"
            match block.get("type"):
                case "tool_use":
                    found.append(self._tool_use(block))
                case "thinking":
                    found += self._thinking(block)
                case "redacted_thinking" | "fallback" | "compaction":
                    pass  # for its maker only, or told already
                case "server_tool_use" | "mcp_tool_use":
                    self._asked[str(block.get("id"))] = block
                case str(kind) if kind.endswith(_RESULT):
                    found.append(text_block(self._told(block, kind), block))
                case "connector_text":
                    found += _said(str(block.get("text") or ""), block)
                case _:
                    found += self._shown(block, here)
        return self._kept(found)

    def _thinking(self, block: _Block) -> list[_Block]:
        state = unseal(block.get("signature"), self._target.provider, self._target.family)
        if state is None:
            return []
        return [{"type": "thinking", "thinking": str(block.get("thinking") or ""), "state": state}]

    @staticmethod
    def _tool_use(block: _Block) -> _Block:
        given = block.get("input")
        return {
            "type": "tool_use",
            "id": str(block.get("id") or ""),
            "name": str(block.get("name") or ""),
            "input": given if isinstance(given, dict) else {},
            **_mark(block),
        }

    def _result(self, block: _Block, place: str) -> _Block:
        content: list[_Block] = []
        for at, inner in enumerate(blocks_of(block.get("content"))):
            content += self._shown(inner, f"{place}.content[{at}]")
        return {
            "type": "tool_result",
            "tool_use_id": str(block.get("tool_use_id") or ""),
            "content": [_without_mark(inner) for inner in content],
            "is_error": block.get("is_error") is True,
            **_mark(block),
        }

    def _shown(self, block: _Block, place: str) -> list[_Block]:
        """Return a text, an image, a document, or what stands for it in words."""
        match block:
            case {"type": "text", "text": str(text)}:
                found = _said(text, block)
            case {"type": "image"}:
                found = [self._image(block, place)]
            case {"type": "document"}:
                found = self._document(block, place)
            case {"type": "search_result"}:
                lines = [f"{block.get('title') or ''} ({block.get('source') or ''})"]
                lines += [str(part.get("text") or "") for part in blocks_of(block.get("content"))]
                found = _said("\n".join(lines), block)
            case {"type": "tool_reference"}:
                name = block.get("tool_name") or block.get("name")
                found = [text_block(f"The tool {name} is loaded and can be called.", block)]
            case _:
                found = []
                self._losses.note(place, f"{self._target.title} has no {block.get('type')} blocks")
        return found

    def _image(self, block: _Block, place: str) -> _Block:
        source = block.get("source")
        if self._target.images and self._can_fetch(source):
            return {"type": "image", "source": source, **_mark(block)}
        self._losses.note(place, f"image left out: {self._target.title} cannot read it")
        return text_block(_instead("image", source), block)

    def _document(self, block: _Block, place: str) -> list[_Block]:
        source = block.get("source")
        title = str(block.get("title") or "")
        match source:
            case {"type": "text", "data": str(text)}:
                return _said(f"{title}\n\n{text}" if title else text, block)
            case {"type": "content", "content": content}:
                inner = [
                    each
                    for part in blocks_of(content)
                    if part.get("type") in ("text", "image")
                    for each in self._shown(part, place)
                ]
                return [*_said(title, {}), *inner]
        if self._target.documents and self._can_fetch(source):
            named = {"title": title} if title else {}
            return [{"type": "document", "source": source, **named, **_mark(block)}]
        self._losses.note(place, f"document left out: {self._target.title} cannot read it")
        return [text_block(_instead(title or "document", source), block)]

    def _can_fetch(self, source: Any) -> bool:
        match source:
            case {"type": "base64", "data": str()}:
                return True
            case {"type": "url", "url": str(url)}:
                # No other scheme: a file in a bucket would be read with the gateway's own rights.
                return url.startswith("data:") or (
                    self._target.urls and url.startswith(("https://", "http://"))
                )
            case _:
                return False

    def _told(self, block: _Block, kind: str) -> str:
        """Return a server tool's call and result in words."""
        call = self._asked.get(str(block.get("tool_use_id")), {})
        name = call.get("name") or kind.removesuffix(_RESULT)
        given = call.get("input")
        said = "; ".join(_words(block.get("content")))[:_LONGEST_SUMMARY]
        arguments = f" {_json(given)}" if given else ""
        return f"[{name}{arguments} → {said or 'no result'}]"

    def _kept(self, found: list[_Block]) -> list[_Block]:
        return found if self._target.cache_marks else [_without_mark(block) for block in found]


def _said(text: str, of: Mapping[str, Any]) -> list[_Block]:
    """Return a text block; none for a blank text, which some APIs refuse."""
    return [text_block(text, of)] if text.strip() else []


def _mark(block: Mapping[str, Any]) -> _Block:
    mark = block.get("cache_control")
    return {"cache_control": mark} if isinstance(mark, dict) else {}


def _without_mark(block: _Block) -> _Block:
    return {name: value for name, value in block.items() if name != "cache_control"}


def _instead(what: str, source: Any) -> str:
    url = source.get("url") if isinstance(source, dict) else None
    return f"[{what} at {url}]" if isinstance(url, str) else f"[{what} omitted]"


def _words(content: Any, depth: int = 0) -> Iterable[str]:
    """Pick out of a result what a reader can use: nothing encrypted, no types."""
    match content:
        case _ if depth > _DEEPEST:
            return
        case str():
            yield content
        case list():
            for each in content:
                yield from _words(each, depth + 1)
        case {"type": "web_search_result", "url": url, **rest}:
            yield f"{rest.get('title') or ''} {url}".strip()
        case {"type": "tool_reference", "tool_name": name}:
            yield f"{name} is loaded"
        case dict():
            for name, value in content.items():
                if name not in ("type", "media_type") and not name.startswith("encrypted_"):
                    yield from _words(value, depth + 1)
        case int() | float() if not isinstance(content, bool):
            yield str(content)
        case _:
            return


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
