"""A fake Gemini: the Gemini API and Gemini on Vertex AI."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec

from llmroute.testing._gemini_body import problem_with
from llmroute.testing.answer import Answer, Document, Error, Message, Request, Script, Stream
from llmroute.testing.answers import as_json
from llmroute.testing.received import Received
from llmroute.testing.upstream import Asked
from llmroute.testing.vertex import FakeVertex, google_error

__all__ = ["FakeGemini", "gemini_chunks"]

_STUDIO = re.compile(r"/v1(?:beta)?/models/([^/:]+):(\w+)")
_VERTEX = re.compile(
    r"/v1(?:beta1)?/projects/([^/]+)/locations/[^/]+/publishers/google/models/([^/:]+):(\w+)"
)
_ACTIONS = frozenset({"generateContent", "streamGenerateContent", "countTokens"})
_MODEL = re.compile(r"gemini-(\d)(?:\.(\d+))?-[a-z0-9-]+")
_REASONS = {"max_tokens": "MAX_TOKENS", "refusal": "SAFETY"}
_COUNTED = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})


class FakeGemini(FakeVertex):
    """Gemini on 127.0.0.1, as strict as the real one, in both of its places.

    It takes the key `api_key` where the Gemini API is, and tokens it has given where Vertex AI is;
    refuses members, schemas, orders of turns and thought signatures that Gemini refuses; and wants
    those signatures back that it gave, on the very parts that it gave them for.  Answers are those
    of `FakeUpstream`, put in Gemini's words; `google_error` makes errors, and `as_json` and
    `events` of `gemini_chunks` what no message is.

        >>> import anyio
        >>> from llmroute import Router
        >>> from llmroute.testing import FakeGemini
        >>> async def main(gemini: FakeGemini) -> str:
        ...     deployment = {
        ...         "provider": "gemini",
        ...         "base_url": gemini.url,
        ...         "api_key": "fake-key",
        ...         "model": "gemini-3-pro-preview",
        ...     }
        ...     config = {"deployments": {"g": deployment}, "aliases": {"claude-*": "g"}}
        ...     async with Router.from_dict(config) as router:
        ...         messages = [{"role": "user", "content": "Name a river."}]
        ...         message = await router.complete(
        ...             model="claude-haiku-4-5", max_tokens=64, messages=messages
        ...         )
        ...     return message.text
        >>> with FakeGemini() as gemini:
        ...     anyio.run(main, gemini)
        'Hello! What can I do for you?'

    Attributes:
        api_key: The one key there is.
        signed: The parts that signatures were given for, by signature; take some away to have
            them refused.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        project: str = "fake-project",
        keep: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an upstream; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            project: The name of its project.
            keep: How many requests to remember; all if `None`.
            clock: Seconds since 1970, for tokens.
        """
        super().__init__(port=port, project=project, keep=keep, clock=clock)
        self.api_key = "fake-key"
        self.signed: dict[str, dict[str, Any]] = {}

    def _asked(self, received: Received) -> Asked:
        found = _place(received.path)
        if found is None:
            return super()._asked(received)
        return Asked(found[1], found[2] == "streamGenerateContent")

    def _chosen(self, received: Received, problem: str) -> Answer:
        found = _place(received.path)
        if found is None or received.method != "POST":
            return super()._chosen(received, problem)
        if (routed := self._routed(received, f"POST {received.path}")) is not None:
            return routed
        return self._refusal(received, found[0]) or self._generated(received, *found)

    def _generated(self, received: Received, project: str, model: str, action: str) -> Answer:
        version = _MODEL.fullmatch(model)
        if version is None or action not in _ACTIONS:
            return google_error(404, f"models/{model} is not found for API version v1beta.")
        if action == "streamGenerateContent" and "alt=sse" not in received.query:
            return google_error(400, "this fake streams with alt=sse only")
        given = received.json
        if action == "countTokens":
            given = _counted(given, model, on_vertex=bool(project))
            if isinstance(given, str):
                return google_error(400, given)
        wrong = problem_with(given, (int(version[1]), int(version[2] or 0)), self.signed)
        if wrong is not None:
            return google_error(400, wrong)
        if action == "countTokens":
            return as_json({"totalTokens": max(1, len(received.body) // 4)})
        return self._next(received)

    def _refusal(self, received: Received, project: str) -> Answer | None:
        """Return what is said to a caller who is not let in."""
        for name, _ in received.headers:
            if name.lower().startswith(("anthropic-", "x-claude-", "x-api-key")):
                return google_error(400, f"header {name} is none of Google's")
        if not project:
            if received.header("x-goog-api-key") == self.api_key:
                return None
            message = "API key not valid. Please pass a valid API key."
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo"}
            described = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
            details = [{**info, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
            return as_json({"error": {**described, "details": details}}, 400)
        if not self._is_let_in(received.header("authorization") or ""):
            return google_error(401, "Request had invalid authentication credentials.")
        if project != self.project:
            return google_error(403, f"Permission denied on resource project {project}.")
        return None

    def _scripted(self, answer: Answer, request: Request) -> Script:
        found = _place(request.path)
        if found is not None and isinstance(answer.content, Message):
            answer = replace(answer, content=self._written(answer.content, request, found[1]))
        elif found is not None and isinstance(answer.content, Error):
            status = {529: 503}.get(answer.status, answer.status)
            told = google_error(status, str(answer.content.error.get("message")))
            answer = replace(told, headers=answer.headers)
        return answer.script(request)

    def _written(self, message: Message, request: Request, model: str) -> Stream | Document:
        chunks = gemini_chunks(
            message.members, model, request.message_id, message.deltas, self._sign
        )
        if request.stream:
            return Stream(tuple(b"data: %s\r\n\r\n" % msgspec.json.encode(c) for c in chunks))
        parts = [p for c in chunks for p in c["candidates"][0]["content"]["parts"]]
        whole = {**chunks[-1]}
        whole["candidates"] = [
            {**whole["candidates"][0], "content": {"role": "model", "parts": _joined(parts)}}
        ]
        return Document(msgspec.json.encode(whole))

    def _sign(self, part: dict[str, Any]) -> str:
        """Return a signature for a part."""
        signature = base64.b64encode(b"signature %d" % len(self.signed)).decode()
        self.signed[signature] = part
        return signature


def _place(path: str) -> tuple[str, str, str] | None:
    """Return the project, if there is one, the model and what is to be done."""
    if found := _STUDIO.fullmatch(path):
        return "", unquote(found[1]), found[2]
    if found := _VERTEX.fullmatch(path):
        return found[1], unquote(found[2]), found[3]
    return None


def _counted(given: Any, model: str, *, on_vertex: bool) -> Any:
    """Return the request that is to be counted, or what is wrong with the question."""
    if on_vertex:
        return given if set(given) <= _COUNTED else "countTokens takes no such member"
    inner = given.get("generateContentRequest")
    if set(given) != {"generateContentRequest"} or inner.get("model") != f"models/{model}":
        return "generate_content_request.model: must be the model of the path"
    return inner


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the pieces of a text together, as a whole answer has them; an empty one goes."""
    found: list[dict[str, Any]] = []
    for part in parts:
        last = found[-1] if found else {}
        alike = "text" in part and "text" in last and part.get("thought") == last.get("thought")
        if alike and "thoughtSignature" not in last and "thoughtSignature" not in part:
            found[-1] = {**last, "text": last["text"] + part["text"]}
        else:
            found.append(part)
    return found


def gemini_chunks(
    members: Mapping[str, Any],
    model: str = "gemini-3-pro-preview",
    response_id: str = "msg_1",
    deltas: int = 3,
    sign: Callable[[dict[str, Any]], str] = lambda _: "c2lnbmF0dXJl",
) -> list[dict[str, Any]]:
    """Return a message's members as the responses that Gemini would stream it in.

    The first call is signed, and where there is none the end of the text, by a part of its own.
    """
    usage = {"input_tokens": 12, "output_tokens": 6, **members.get("usage", {})}
    read = usage.get("cache_read_input_tokens", 0)
    counts = {"promptTokenCount": usage["input_tokens"] + read}
    if read:
        counts["cachedContentTokenCount"] = read
    counts["totalTokenCount"] = counts["promptTokenCount"] + usage["output_tokens"]
    made = [*_parts(members.get("content", ()), deltas, sign)]
    reason = _REASONS.get(str(members.get("stop_reason")), "STOP")
    chunks: list[dict[str, Any]] = [
        {
            "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}],
            "usageMetadata": counts,
            "modelVersion": model,
            "responseId": response_id.removeprefix("msg_"),
        }
        for part in made or [{"text": ""}]
    ]
    last = chunks[-1]
    last["candidates"][0]["finishReason"] = reason
    last["usageMetadata"] = {**counts, "candidatesTokenCount": usage["output_tokens"]}
    return chunks


def _parts(
    content: Any, deltas: int, sign: Callable[[dict[str, Any]], str]
) -> Iterator[dict[str, Any]]:
    calls = 0
    text = ""
    for block in content:
        match block["type"]:
            case "thinking":
                for piece in _pieces(block["thinking"], deltas):
                    yield {"text": piece, "thought": True}
            case "text":
                text = block["text"]
                for piece in _pieces(text, deltas):
                    yield {"text": piece}
            case "tool_use":
                given = {"id": block["id"]} if block.get("id") else {}
                call = {**given, "name": block["name"], "args": block["input"]}
                part: dict[str, Any] = {"functionCall": call}
                yield part if calls else {**part, "thoughtSignature": sign(part)}
                calls += 1
    if text and not calls:
        end = {"text": ""}
        yield {**end, "thoughtSignature": sign(end)}


def _pieces(text: str, most: int) -> Iterator[str]:
    size = -(-len(text) // most) or 1
    for at in range(0, len(text), size):
        yield text[at : at + size]
