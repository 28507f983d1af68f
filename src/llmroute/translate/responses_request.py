"""A Messages request as OpenAI Responses takes it.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from llmroute.translate.json_schema import OPENAI, reduced
from llmroute.translate.names import ANY_IDS, OPENAI_NAMES, Names, call_id
from llmroute.translate.openai_models import Traits, nearest_effort, traits
from llmroute.translate.prepared import Prepared, prepared
from llmroute.translate.responses_tools import is_strict, tools_of
from llmroute.translate.target import Losses, Target

__all__ = ["RESPONSES", "ResponsesModel", "responses_count", "responses_request"]

RESPONSES = "openai"
"""Who reads the reasoning, in the signatures of `translate.reasoning`."""

_Item = dict[str, Any]

_FEWEST_TOKENS = 16
_ERROR = "[tool error] "
_NO_OUTPUT = "(no output)"
_CONTINUE = (
    "Your last message is the beginning of your answer. Go on exactly where it ends: repeat none of"
    " it, and write nothing before what follows."
)
_DEFAULT_TEMPERATURE = 1
_TIERS = {"auto": "auto", "standard_only": "default"}
# Members of a Messages request that say what is asked for, and have no place here.
_UNSAID = ("top_k", "mcp_servers", "container", "speed", "inference_geo")
_COUNTED = ("model", "instructions", "input", "tools", "tool_choice", "reasoning", "text")


@dataclass(frozen=True, slots=True)
class ResponsesModel:
    """A model, and what the configuration says of it.

    Attributes:
        name: The upstream's name for it.
        family: Whose reasoning it reads: that of the same address.
        efforts: The reasoning efforts it takes; `None` for what its name tells.
        summary: How much of its reasoning it tells: `auto`, `concise`, `detailed` or `none`; empty
            for `auto` where the caller shows thinking.
        cache_marks: Whether it takes cache breakpoints; `None` for what its name tells.
        limit: Tokens of its longest answer; 0 for what its name tells.
        images: It sees images.
        documents: It reads PDFs.
        web_search: It may search the web where the caller offers it.
        without: Places of the request that were refused, and are left out.
    """

    name: str
    family: str
    efforts: tuple[str, ...] | None = None
    summary: str = ""
    cache_marks: bool | None = None
    limit: int = 0
    images: bool = True
    documents: bool = True
    web_search: bool = True
    without: frozenset[str] = frozenset()


def responses_request(
    body: Mapping[str, Any], model: ResponsesModel, *, cache_key: str = ""
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Translate a request; return it, and what it lost.

    Args:
        body: The Messages request.
        model: Which model it is for.
        cache_key: What requests with a prompt in common have in common.

    Raises:
        InvalidRequestError: `messages` is no list of messages.
    """
    return _Request(body, model).made(cache_key)


def responses_count(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a translated request what is asked of `/responses/input_tokens`.

    https://platform.openai.com/docs/api-reference/responses/input-tokens
    """
    return {name: sent[name] for name in _COUNTED if name in sent}


class _Request:
    def __init__(self, body: Mapping[str, Any], model: ResponsesModel) -> None:
        known = traits(model.name)
        self._body = body
        self._model = model
        self._traits: Traits = known
        self._efforts = known.efforts if model.efforts is None else model.efforts
        marks = known.breakpoints if model.cache_marks is None else model.cache_marks
        self._marks = marks and "prompt_cache_breakpoint" not in model.without
        self._marked = False
        self._phases = known.phases and "phase" not in model.without
        self._losses = Losses()
        served = {"web_search"} if model.web_search else set()
        self._target = Target(
            "OpenAI",
            RESPONSES,
            model.family,
            system_messages=True,
            images=model.images,
            documents=model.documents,
            tool_images=True,
            tool_documents=True,
            cache_marks=self._marks,
            server_tools=frozenset(served),
        )

    def made(self, cache_key: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the request and what it lost."""
        body = self._body
        given = prepared(body, self._target)
        self._names = Names([tool["name"] for tool in given.tools], OPENAI_NAMES)
        sent: dict[str, Any] = {"model": self._model.name}
        sent |= self._input(given)
        sent |= tools_of(given, body.get("tool_choice"), self._names, self._losses)
        sent |= self._reasoning(given)
        sent |= self._sampling(sent.get("reasoning", {}).get("effort"))
        sent |= self._format()
        sent |= self._length()
        if cache_key:
            sent["prompt_cache_key"] = cache_key
        if self._marked:
            # Else one more is made, and paid for, at a place of the upstream's choosing.
            sent["prompt_cache_options"] = {"mode": "explicit"}
        tier = _TIERS.get(str(body.get("service_tier")))
        if tier is not None:
            sent["service_tier"] = tier
        if body.get("stream") is True:
            sent["stream"] = True
        sent |= {"store": False, "include": self._included(given)}
        for name in _UNSAID:
            if body.get(name) is not None:
                self._losses.note(name, "OpenAI has nothing like it")
        self._leave_out(sent)
        return sent, tuple(dict.fromkeys((*given.losses, *self._losses.lines)))

    def _input(self, given: Prepared) -> dict[str, Any]:
        items: list[_Item] = []
        sent: dict[str, Any] = {"input": items}
        if self._marks:
            # The instructions are one text, where no breakpoint can stand.
            if given.system:
                items.append(self._message("developer", given.system))
        elif given.system:
            sent["instructions"] = "\n\n".join(block["text"] for block in given.system)
        for message in given.messages:
            match message["role"]:
                case "assistant":
                    items += self._answer(message["content"])
                case "system":
                    items.append(self._message("developer", message["content"]))
                case _:
                    items += self._turn(message["content"])
        if given.messages and given.messages[-1]["role"] == "assistant":
            self._losses.note("messages[]", "OpenAI does not continue an answer; asked to in words")
            items.append(self._message("developer", [{"type": "text", "text": _CONTINUE}]))
        return sent

    def _turn(self, content: list[_Item]) -> Iterator[_Item]:
        said = []
        for block in content:
            if block["type"] == "tool_result":
                yield self._output(block)
            else:
                said.append(block)
        if said:
            yield self._message("user", said)

    def _message(self, role: str, content: list[_Item]) -> _Item:
        parts = [self._part(block) for block in content]
        return {"type": "message", "role": role, "content": parts}

    def _output(self, block: _Item) -> _Item:
        content: list[_Item] = block["content"]
        if block["is_error"]:
            first = content[0] if content and content[0]["type"] == "text" else None
            said = _ERROR + (first["text"] if first else "")
            content = [{"type": "text", "text": said}, *content[1 if first else 0 :]]
        output: Any
        if self._marks or any(each["type"] != "text" for each in content):
            parts = [self._part(each) for each in content or [_text(_NO_OUTPUT)]]
            parts[-1] |= self._mark(block)
            output = parts
        else:
            output = "\n".join(each["text"] for each in content) or _NO_OUTPUT
        upstreams = call_id(block["tool_use_id"], ANY_IDS)
        return {"type": "function_call_output", "call_id": upstreams, "output": output}

    def _part(self, block: _Item) -> _Item:
        source = block.get("source", {})
        url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
        match block["type"]:
            case "image":
                part = {"type": "input_image", "image_url": url, "detail": "auto"}
            case "document":
                name = str(block.get("title") or "document")
                named = name if name.lower().endswith(".pdf") else f"{name}.pdf"
                part = {"type": "input_file", "filename": named, "file_data": url}
                if source.get("type") == "url" and not url.startswith("data:"):
                    part = {"type": "input_file", "file_url": url}
            case _:
                part = {"type": "input_text", "text": block["text"]}
        return {**part, **self._mark(block)}

    def _mark(self, block: _Item) -> _Item:
        if not (self._marks and block.get("cache_control")):
            return {}
        self._marked = True
        return {"prompt_cache_breakpoint": {"mode": "explicit"}}

    def _answer(self, content: list[_Item]) -> Iterator[_Item]:
        """Return an assistant's turn; reasoning only where something follows that it led to."""
        reasoning: _Item | None = None
        calls_at = max((at for at, b in enumerate(content) if b["type"] == "tool_use"), default=-1)
        for at, block in enumerate(content):
            if block["type"] == "thinking":
                reasoning = _reasoned(block)
                continue
            if reasoning is not None:
                yield reasoning
                reasoning = None
            if block["type"] == "tool_use":
                yield {
                    "type": "function_call",
                    "call_id": call_id(block["id"], ANY_IDS),
                    "name": self._names.outward(block["name"]),
                    "arguments": msgspec.json.encode(block["input"]).decode(),
                }
            elif block["type"] == "text":
                said: _Item = {"type": "message", "role": "assistant", "content": block["text"]}
                if self._phases:
                    said["phase"] = "commentary" if at < calls_at else "final_answer"
                yield said

    def _reasoning(self, given: Prepared) -> dict[str, Any]:
        thinking = self._body.get("thinking")
        thinking = thinking if isinstance(thinking, dict) else {}
        kind = thinking.get("type")
        if not self._efforts:
            return {}
        sent: dict[str, Any] = {}
        if effort := self._effort(kind, thinking, given.effort):
            sent["effort"] = effort
            if effort == "minimal" and given.server_tools:
                sent["effort"] = nearest_effort("low", [e for e in self._efforts if e != "minimal"])
        is_shown = kind in ("enabled", "adaptive") and thinking.get("display") != "omitted"
        summary = self._model.summary or ("auto" if is_shown else "none")
        if summary != "none" and sent.get("effort") != "none":
            sent["summary"] = summary
        return {"reasoning": sent} if sent else {}

    def _effort(self, kind: Any, thinking: Mapping[str, Any], asked: str) -> str:
        budget = thinking.get("budget_tokens")
        if kind == "disabled":
            # Of a model that is not known, nobody knows how to turn it off.
            is_known = self._traits.is_known or self._model.efforts is not None
            return nearest_effort("none", self._efforts) if is_known else ""
        if not asked and kind == "enabled" and isinstance(budget, int):
            asked = "low" if budget < 4_096 else "medium" if budget < 16_384 else "high"
        return nearest_effort(asked, self._efforts) if asked else ""

    def _sampling(self, effort: str | None) -> dict[str, Any]:
        given = {n: self._body[n] for n in ("temperature", "top_p") if _is_number(self._body, n)}
        if not (self._efforts and self._traits.is_known) or effort == "none":
            return given
        for name, value in given.items():
            if value != _DEFAULT_TEMPERATURE:
                self._losses.note(name, "a model that reasons takes none")
        return {}

    def _format(self) -> dict[str, Any]:
        config = self._body.get("output_config")
        asked = config.get("format") if isinstance(config, dict) else None
        asked = asked or self._body.get("output_format")
        if not (isinstance(asked, dict) and asked.get("type") == "json_schema"):
            return {}
        schema, lost = reduced(asked.get("schema"), OPENAI)
        for each in lost:
            self._losses.note("output_config.format", each)
        named = {"type": "json_schema", "name": "answer", "schema": schema}
        return {"text": {"format": {**named, "strict": is_strict(schema)}}}

    def _length(self) -> dict[str, Any]:
        asked = self._body.get("max_tokens")
        if not isinstance(asked, int) or isinstance(asked, bool):
            return {}
        limit = self._model.limit or self._traits.longest
        if limit and asked > limit:
            self._losses.note("max_tokens", f"lowered to {limit}, which is the model's own")
            asked = limit
        return {"max_output_tokens": max(asked, _FEWEST_TOKENS)}

    def _included(self, given: Prepared) -> list[str]:
        included = ["reasoning.encrypted_content"] if self._efforts else []
        return included + (["web_search_call.action.sources"] if given.server_tools else [])

    def _leave_out(self, sent: dict[str, Any]) -> None:
        """Leave out what the upstream has refused before."""
        if not sent["include"]:
            del sent["include"]
        for place in sorted(self._model.without):
            name, _, inner = place.partition(".")
            within = sent.get(name)
            if not inner:
                found = sent.pop(name, None) is not None
            else:
                found = isinstance(within, dict) and within.pop(inner, None) is not None
                if within == {}:
                    del sent[name]
            if found:
                self._losses.note(place, "OpenAI does not take it for this model")


def _text(said: str) -> _Item:
    return {"type": "text", "text": said}


def _reasoned(block: _Item) -> _Item:
    """Return the reasoning as it came; the summary is what was shown of it."""
    state: Mapping[str, Any] = block["state"]
    said = block["thinking"]
    item: _Item = {
        "type": "reasoning",
        "id": str(state.get("id") or ""),
        "summary": [{"type": "summary_text", "text": said}] if said else [],
    }
    return item | ({"encrypted_content": state["enc"]} if state.get("enc") else {})


def _is_number(body: Mapping[str, Any], name: str) -> bool:
    return isinstance(body.get(name), int | float) and not isinstance(body[name], bool)
