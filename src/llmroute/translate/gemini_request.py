"""A Messages request as a request to Gemini's generateContent.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from llmroute.translate.gemini_model import GeminiModel
from llmroute.translate.json_schema import GEMINI, reduced
from llmroute.translate.names import ANY_IDS, GEMINI_NAMES, Names, call_id
from llmroute.translate.prepared import Prepared, prepared
from llmroute.translate.target import Losses, Target

__all__ = ["FAMILY", "PROVIDER", "GeminiRequest", "gemini_request", "tool_names"]

PROVIDER = FAMILY = "gemini"
"""Who signs thinking blocks; which model it was stands in what is signed."""

_Part = dict[str, Any]

# https://ai.google.dev/gemini-api/docs/thought-signatures: in place of one that there never was.
_NO_SIGNATURE = "skip_thought_signature_validator"
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_BY_SUFFIX = {"png": "image/png", "webp": "image/webp", "heic": "image/heic", "heif": "image/heif"}
_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]+)(?:;[^,;]*)*;base64,(?P<data>.*)", re.DOTALL)
_MOST_STOPS = 5
_CHOICES = {"any": "ANY", "tool": "ANY", "none": "NONE"}
_SAMPLING = (("temperature", "temperature"), ("top_p", "topP"), ("top_k", "topK"))
_SEARCH = "web_search"
_GO_ON = "Go on exactly where your last message ends."


class GeminiRequest(NamedTuple):
    """A request's body, and what of the caller's it has no place for."""

    body: dict[str, Any]
    losses: tuple[str, ...]


def gemini_request(
    body: Mapping[str, Any],
    model: str,
    *,
    with_signatures: bool = True,
    longest: int | None = None,
) -> GeminiRequest:
    """Translate a Messages request.

    The contents of one turn begin with those of the turn before.

    Args:
        body: The request; not changed.
        model: Gemini's own name for the model.
        with_signatures: Send back the thought signatures that its answers came with; without
            them, calls have the one that is never checked.
        longest: The most tokens it can be asked for, if that is not as its name tells.

    Raises:
        InvalidRequestError: `messages` is no list of messages.
    """
    known = GeminiModel.of(model)
    ready = prepared(body, _target(known))
    losses = Losses()
    names = _names(ready)
    contents = _Contents(known, names, losses, with_signatures=with_signatures).of(ready.messages)
    made: dict[str, Any] = {}
    if ready.system:
        made["systemInstruction"] = {"parts": [{"text": b["text"]} for b in ready.system]}
    made["contents"] = contents
    tools = _tools(ready, names, known, losses)
    if tools:
        made["tools"] = [tools]
    choice = ready.tool_choice or {}
    if choice.get("type") in _CHOICES:
        calling: dict[str, Any] = {"mode": _CHOICES[choice["type"]]}
        if choice["type"] == "tool":
            calling["allowedFunctionNames"] = [names.outward(choice["name"])]
        made["toolConfig"] = {"functionCallingConfig": calling}
    made["generationConfig"] = _generation(body, ready, known, losses, longest)
    return GeminiRequest(made, (*ready.losses, *losses.lines))


def tool_names(body: Mapping[str, Any]) -> Names:
    """Return the tools' names as `gemini_request` sends them, for what comes back.

    Raises:
        InvalidRequestError: `messages` is no list of messages.
    """
    return _names(prepared(body, _target(GeminiModel.of(""))))


def _names(ready: Prepared) -> Names:
    return Names((tool["name"] for tool in ready.tools), GEMINI_NAMES)


def _target(model: GeminiModel) -> Target:
    return Target(
        "Gemini",
        PROVIDER,
        FAMILY,
        urls=model.fetches,
        tool_images=model.tool_media,
        tool_documents=model.tool_media,
        server_tools=frozenset({_SEARCH}),
    )


def _tools(ready: Prepared, names: Names, model: GeminiModel, losses: Losses) -> dict[str, Any]:
    """Return the one entry of `tools`, empty if there are none."""
    if not ready.tools:
        for tool in ready.server_tools:
            for name in ("allowed_domains", "blocked_domains", "user_location", "max_uses"):
                if tool.get(name):
                    losses.note(f"tools[] {_SEARCH}", f"{name} left out: Google Search has no such")
        return {"googleSearch": {}} if ready.server_tools else {}
    if ready.server_tools:
        losses.note(f"tools[] {_SEARCH}", "left out: Google Search does not go with functions")
    declared = []
    for tool in ready.tools:
        function: dict[str, Any] = {"name": names.outward(tool["name"])}
        if tool["description"]:
            function["description"] = tool["description"]
        schema, lost = reduced(tool["input_schema"], model.schemas)
        if schema["properties"]:
            place = "parametersJsonSchema" if model.schemas is GEMINI else "parameters"
            function[place] = schema
        for line in lost:
            losses.note(f"tools[] {tool['name']}", line)
        declared.append(function)
    return {"functionDeclarations": declared}


def _generation(
    body: Mapping[str, Any],
    ready: Prepared,
    model: GeminiModel,
    losses: Losses,
    longest: int | None,
) -> dict[str, Any]:
    asked = body.get("max_tokens")
    asked = asked if isinstance(asked, int) and not isinstance(asked, bool) else None
    longest = longest or model.longest_answer
    if asked is not None and longest and asked > longest:
        losses.note("max_tokens", f"lowered to {longest}, which is the model's own")
    tokens = asked if asked is not None else longest or 8_192
    thinking = model.thinking(body.get("thinking"), ready.effort, tokens)
    made: dict[str, Any] = {}
    if asked is not None:
        most = max(asked + thinking.allowance, thinking.least)
        made["maxOutputTokens"] = min(most, longest) if longest else most
    for name, theirs in _SAMPLING:
        value = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            made[theirs] = value
    stops = body.get("stop_sequences")
    if isinstance(stops, list) and stops:
        if len(stops) > _MOST_STOPS:
            losses.note("stop_sequences", f"only the first {_MOST_STOPS} are sent")
        made["stopSequences"] = stops[:_MOST_STOPS]
    if schema := _output_schema(body):
        if ready.tools and not model.formats_beside_tools:
            losses.note("output_config.format", "left out: it does not go with functions")
        else:
            written, lost = reduced(schema, model.schemas)
            made["responseMimeType"] = "application/json"
            is_plain = model.schemas is GEMINI
            made["responseJsonSchema" if is_plain else "responseSchema"] = written
            for line in lost:
                losses.note("output_config.format", line)
    if thinking.config:
        made["thinkingConfig"] = thinking.config
    return made


def _output_schema(body: Mapping[str, Any]) -> dict[str, Any] | None:
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else body.get("output_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        schema = wanted.get("schema")
        return schema if isinstance(schema, dict) else None
    return None


class _Contents:
    """Writes messages as contents."""

    def __init__(
        self, model: GeminiModel, names: Names, losses: Losses, *, with_signatures: bool
    ) -> None:
        self._model = model
        self._names = names
        self._losses = losses
        self._with_signatures = with_signatures
        self._called: dict[str, str] = {}

    def of(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        contents = []
        for message in messages:
            if message["role"] == "assistant":
                parts = self._models(message["content"])
                role = "model"
            else:
                parts = [part for b in message["content"] for part in self._users(b)]
                role = "user"
            # Nothing but reasoning that nobody can read is a turn all the same.
            contents.append({"role": role, "parts": parts or [{"text": "…"}]})
        if contents and contents[-1]["role"] == "model":
            self._losses.note("messages", "Gemini begins every answer itself; it is asked to go on")
            contents.append({"role": "user", "parts": [{"text": _GO_ON}]})
        return contents

    def _models(self, content: list[dict[str, Any]]) -> list[_Part]:
        parts: list[_Part] = []
        state: Mapping[str, Any] = {}
        has_call = False
        for block in content:
            match block["type"]:
                case "thinking":
                    state = self._state(block["state"])
                    signature = _signature(state.get("after"))
                    if signature and parts:
                        parts[-1:] = _signed(parts[-1], signature, state.get("after_at"))
                    if signature := _signature(state.get("thought")):
                        thought = {"text": block["thinking"], "thought": True}
                        parts.append({**thought, "thoughtSignature": signature})
                case "tool_use":
                    signature = _signature(state.get("call"))
                    if not signature and not has_call and self._model.needs_signatures:
                        signature = _NO_SIGNATURE
                    parts.append(self._call(block, signature))
                    has_call, state = True, {}
                case "text":
                    part = {"text": block["text"]}
                    signature = _signature(state.get("text"))
                    parts.append({**part, "thoughtSignature": signature} if signature else part)
                    state = {name: value for name, value in state.items() if name != "text"}
        return parts

    def _state(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a thinking block carries, if this model is the one that wants it back."""
        writer = state.get("model")
        is_own = isinstance(writer, str) and self._model.reads(writer)
        return state if is_own and self._with_signatures else {}

    def _call(self, block: dict[str, Any], signature: str) -> _Part:
        name = self._names.outward(block["name"])
        self._called[block["id"]] = name
        part: _Part = {"functionCall": {**_id(block["id"]), "name": name, "args": block["input"]}}
        return {**part, "thoughtSignature": signature} if signature else part

    def _users(self, block: dict[str, Any]) -> list[_Part]:
        match block["type"]:
            case "tool_result":
                return [self._response(block)]
            case "text":
                return [{"text": block["text"]}]
            case "document" if block.get("title"):
                return [{"text": block["title"]}, self._media(block)]
            case _:
                return [self._media(block)]

    def _response(self, block: dict[str, Any]) -> _Part:
        said: list[str] = []
        shown: list[_Part] = []
        for inner in block["content"]:
            part = {"text": inner["text"]} if inner["type"] == "text" else self._media(inner)
            if "text" in part:
                said.append(part["text"])
            else:
                shown.append(part)
                said.append(f"[{inner['type']} attached]")
        text = "\n".join(said)
        name = self._called.get(block["tool_use_id"], "unknown")
        response: dict[str, Any] = {
            **_id(block["tool_use_id"]),
            "name": name,
            "response": {"error" if block["is_error"] else "output": text},
        }
        if shown:
            response["parts"] = shown
        return {"functionResponse": response}

    def _media(self, block: dict[str, Any]) -> _Part:
        """Return an image or a document; of a kind that Gemini refuses, words in its place."""
        source, kind = block["source"], block["type"]
        data, url = source.get("data"), source.get("url")
        given = str(source.get("media_type") or "")
        if url and (found := _DATA_URL.fullmatch(url)):
            data, given = found["data"], found["type"]
        if data is None:
            given = given or ("application/pdf" if kind == "document" else _kind_of(str(url)))
            return {"fileData": {"mimeType": given, "fileUri": url}}
        given = given or ("application/pdf" if kind == "document" else "image/png")
        if kind == "image" and given not in _IMAGES:
            self._losses.note("messages", f"image left out: Gemini does not read {given}")
            return {"text": f"[image omitted: {given}]"}
        return {"inlineData": {"mimeType": given, "data": data}}


def _id(shown: str) -> dict[str, str]:
    """Return a call's id; none where it is not the upstream's own, but made here or at Anthropic.

    Without ids, responses go by their order.
    """
    own = call_id(shown, ANY_IDS)
    return {} if own.startswith(("toolu_", "srvtoolu_")) else {"id": own}


def _signature(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _signed(part: _Part, signature: str, at: Any) -> list[_Part]:
    """Return a text part with the signature that came with its end, from the character `at` on."""
    if "text" not in part or "thoughtSignature" in part:
        return [part]
    text = part["text"]
    at = min(max(at, 0), len(text)) if isinstance(at, int) else 0
    signed = {"text": text[at:], "thoughtSignature": signature}
    return [{"text": text[:at]}, signed] if at else [signed]


def _kind_of(url: str) -> str:
    suffix = url.partition("?")[0].rpartition(".")[2].lower()
    return _BY_SUFFIX.get(suffix, "image/jpeg")
