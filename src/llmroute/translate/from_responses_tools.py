"""The tools of a client that speaks OpenAI Responses, as a model of the Messages API sees them.

Every tool that the client runs itself becomes a function; what a call of it has to look like is
known by the function's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.errors import InvalidRequestError
from llmroute.translate.answer_format import closed_schema
from llmroute.translate.names import OPENAI_NAMES
from llmroute.translate.responses_calls import FUNCTIONS, Called
from llmroute.translate.target import Losses

__all__ = ["Toolbox"]

_Tool = dict[str, Any]

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_SEARCH = "web_search"
_SEARCHES = ("web_search", "web_search_preview")
# Where the client's functions stand that are in no other place.
_OUTERMOST = "functions"
_NO_PARAMETERS: _Tool = {"type": "object", "properties": {}}
_PLACE = ("city", "country", "region", "timezone")
_ELSEWHERE = "runs at OpenAI only"


class Toolbox:
    """The tools of one request, and which of them is meant by a name.

    Attributes:
        tools: What the Messages request has.
        obstacle: The tool that nobody but OpenAI has; empty if there is none.
    """

    def __init__(self, losses: Losses) -> None:
        self.tools: list[_Tool] = []
        self.obstacle = ""
        self._losses = losses
        self._called: dict[str, Called] = {}
        self._names: dict[Called, str] = {}

    @property
    def called(self) -> dict[str, Called]:
        """The tools that are no plain functions, by the names of those that stand for them."""
        return {
            name: called
            for name, called in self._called.items()
            if called not in (Called("function", name), Called(_SEARCH, name))
        }

    def add(self, given: Any, place: str) -> list[str]:
        """Take tools on; return the names of those that are new.

        Raises:
            InvalidRequestError: They are no list of objects.
        """
        if given is None:
            return []
        if not isinstance(given, list):
            raise InvalidRequestError(f"{place}: Input should be a list")
        before = len(self.tools)
        for at, tool in enumerate(given):
            if not isinstance(tool, dict):
                raise InvalidRequestError(f"{place}[{at}]: Input should be an object")
            self._add(tool, f"{place}[{at}]")
        return [str(tool["name"]) for tool in self.tools[before:]]

    def _add(self, tool: _Tool, place: str) -> None:
        kind = str(tool.get("type") or "").removesuffix("_2025_08_26").removesuffix("_2025_03_11")
        match kind:
            case "function":
                self._function(tool, place)
            case "custom":
                self._custom(tool, place)
            case "namespace":
                self._namespace(tool, place)
            case "web_search" | "web_search_preview":
                self._search(tool, place)
            case "tool_search" if tool.get("execution") == "client":
                self._own(kind, place, tool)
            case "tool_search":
                self._losses.note(place, "tool_search left out: all tools are shown at once")
            case "programmatic_tool_calling":
                self._losses.note(place, f"{kind} left out: {_ELSEWHERE}")
            case "local_shell" | "apply_patch":
                self._own(kind, place, tool)
            case "shell" if _is_local(tool):
                self._own(kind, place, tool)
            case _:
                self.obstacle = self.obstacle or f"{place}: the tool {kind!r} {_ELSEWHERE}"

    def _function(self, tool: _Tool, place: str, namespace: str = "", preface: str = "") -> None:
        made: _Tool = {"input_schema": tool.get("parameters") or _NO_PARAMETERS}
        if said := preface + str(tool.get("description") or ""):
            made["description"] = said
        if tool.get("strict") is True:
            made["input_schema"], lost = closed_schema(made["input_schema"])
            made["strict"] = True
            for line in lost:
                self._losses.note(f"{place}.parameters", line)
        self._put(Called("function", _name(tool, place), namespace), made, place)

    def _custom(self, tool: _Tool, place: str, namespace: str = "", preface: str = "") -> None:
        said = preface + str(tool.get("description") or "")
        written = tool.get("format")
        if isinstance(written, dict) and written.get("type") == "grammar":
            self._losses.note(f"{place}.format", "the grammar is told in words")
            said += (
                f"\n\nThe input must follow this {written.get('syntax')} grammar:\n"
                f"{written.get('definition')}"
            )
        made: _Tool = {"description": said, "input_schema": FUNCTIONS["custom"][1]}
        self._put(Called("custom", _name(tool, place), namespace), made, place)

    def _namespace(self, tool: _Tool, place: str) -> None:
        name, inner = tool.get("name"), tool.get("tools")
        said = tool.get("description")
        preface = f"({name}: {said})\n" if said else ""
        for at, each in enumerate(inner if isinstance(inner, list) else []):
            here = f"{place}.tools[{at}]"
            namespace = "" if name == _OUTERMOST else str(name)
            match each:
                case {"type": "function"}:
                    self._function(each, here, namespace, preface)
                case {"type": "custom"}:
                    self._custom(each, here, namespace, preface)
                case _:
                    raise InvalidRequestError(f"{here}: Input should be a function or custom tool")
            # What holds for all of them is said once.
            preface = ""

    def _own(self, kind: str, place: str, tool: _Tool) -> None:
        said, schema = FUNCTIONS[kind]
        made: _Tool = {
            "description": tool.get("description") or said,
            "input_schema": tool.get("parameters") or schema,
        }
        self._put(Called(kind, kind), made, place)

    def _put(self, called: Called, made: _Tool, place: str) -> None:
        if called in self._names:
            self._losses.note(place, f"a second tool {called.name} left out")
            return
        name = self.name(called)
        self._names[called], self._called[name] = name, called
        self.tools.append({"name": name, **made})

    def name(self, called: Called) -> str:
        """Return the name of the function for a tool, which may be gone by now."""
        if called in self._names:
            return self._names[called]
        # A server's namespace may end in the marks that part it from the name.
        inner = f"{called.namespace.removesuffix('__')}__" if called.namespace else ""
        name = OPENAI_NAMES.fitted(inner + called.name)
        if self._called.get(name, called) != called:
            name = OPENAI_NAMES.fitted(f"{inner}{called.name}.{called.kind}")
        return name

    def _search(self, tool: _Tool, place: str) -> None:
        if tool.get("external_web_access") is False:
            self._losses.note(place, "web_search left out: it would ask the web itself")
            return
        made: _Tool = {"type": "web_search_20250305", "name": _SEARCH}
        filters = tool.get("filters")
        if isinstance(filters, dict) and filters.get("allowed_domains"):
            made["allowed_domains"] = filters["allowed_domains"]
        where = tool.get("user_location")
        if isinstance(where, dict):
            said = {name: where[name] for name in _PLACE if where.get(name)}
            made["user_location"] = {"type": "approximate", **said}
        if tool.get("search_context_size") not in (None, "medium"):
            self._losses.note(f"{place}.search_context_size", "the search decides for itself")
        if tool.get("search_content_types") not in (None, ["text"]):
            self._losses.note(f"{place}.search_content_types", "the search finds text")
        called = Called(_SEARCH, _SEARCH)
        if self._called.setdefault(_SEARCH, called) != called or called in self._names:
            self._losses.note(place, "left out: another tool is called web_search")
            return
        self._names[called] = _SEARCH
        self.tools.append(made)

    def limit_searches(self, most: Any) -> None:
        """Let no more than `most` searches be made."""
        for tool in self.tools:
            if tool.get("type") and isinstance(most, int):
                tool["max_uses"] = most

    def choose(self, asked: Any, *, parallel: bool) -> _Tool:
        """Return the tools, and which of them to call, as members of a request."""
        if not self.tools:
            return {}
        tools, choice = self._chosen(asked)
        if not parallel and choice.get("type") != "none":
            choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
        return {"tools": tools} | ({"tool_choice": choice} if choice else {})

    def _chosen(self, asked: Any) -> tuple[list[_Tool], _Tool]:
        match asked:
            case None:
                return self.tools, {}
            case str() if asked in _CHOICES:
                return self.tools, {"type": _CHOICES[asked]}
            case {"type": "allowed_tools", "tools": [*allowed]}:
                names = {self._named(tool) for tool in allowed}
                left = [tool for tool in self.tools if tool["name"] in names]
                mode = {"type": _CHOICES.get(str(asked.get("mode")), "auto")}
                return (left, mode) if left else (self.tools, {"type": "none"})
            case {"type": str()} if name := self._named(asked):
                return self.tools, {"type": "tool", "name": name}
        self._losses.note("tool_choice", "there is no such choice in Messages")
        return self.tools, {}

    def _named(self, chosen: Any) -> str:
        """Return the function for a tool as a choice names it; empty if there is none."""
        if not isinstance(chosen, dict):
            return ""
        kind = str(chosen.get("type")).removesuffix("_2025_08_26").removesuffix("_2025_03_11")
        kind = _SEARCH if kind in _SEARCHES else kind
        name = str(chosen.get("name") or kind)
        namespace = str(chosen.get("namespace") or "").removesuffix(_OUTERMOST)
        return self._names.get(Called(kind, name, namespace), "")


def _name(tool: Mapping[str, Any], place: str) -> str:
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(f"{place}.name: Field required, a non-empty string")
    return name


def _is_local(tool: Mapping[str, Any]) -> bool:
    environment = tool.get("environment")
    return not isinstance(environment, dict) or environment.get("type") == "local"
