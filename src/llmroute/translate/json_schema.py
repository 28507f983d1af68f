"""JSON Schemas for APIs that read a part of the language.

What a schema loses is narrower than what it says: the model is told less, the call still works, and
whoever runs the tool checks its input anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CONVERSE",
    "GEMINI",
    "GEMINI_OPENAPI",
    "OPENAI",
    "OPENAI_STRICT",
    "Dialect",
    "reduced",
]

_Schema = dict[str, Any]

# They say nothing of the value; no loss worth telling.
_NOTES = frozenset({"$schema", "$comment", "$id", "$anchor", "$vocabulary", "examples", "example"})
_NOTES |= {"readOnly", "writeOnly", "deprecated", "contentMediaType", "contentEncoding", "default"}
_NOTES |= {"title", "$defs", "definitions", "markdownDescription", "enumDescriptions"}
_COUNTED = {"minItems", "maxItems", "minimum", "maximum"}
_ALL_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
# What an array or an object of schemas is called by.
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_NAMED = ("properties", "patternProperties", "dependentSchemas")
# A schema that is deeper is cut off here: no model fills it in, and no API takes it.
_DEEPEST = 24
# References put in their place can make a short schema endless.
_MOST = 5_000
# No model weighs more of them, and each is read as a whole.
_MOST_ALTERNATIVES = 200


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which schemas an API reads.

    Attributes:
        title: The API's name, for people.
        keywords: Those it reads; `None` for all.
        formats: The values of `format` it reads; `None` for all.
        is_plain: It reads no `$ref`, `const`, `oneOf`, `allOf`, exclusive bounds, or lists of types
            or items; they are written in other words.
        is_openapi: It is OpenAPI's: types in capitals, and `nullable`.
        is_strict: Every object is closed and every property required; optional ones may be null.
    """

    title: str
    keywords: frozenset[str] | None = None
    formats: frozenset[str] | None = None
    is_plain: bool = False
    is_openapi: bool = False
    is_strict: bool = False


OPENAI = Dialect("OpenAI")
CONVERSE = Dialect("Converse")
# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
OPENAI_STRICT = Dialect(
    "OpenAI's strict mode",
    frozenset({"type", "description", "enum", "anyOf", "properties", "required", "items"})
    | {"additionalProperties", "pattern", "format", "multipleOf", "exclusiveMinimum"}
    | {"exclusiveMaximum", *_COUNTED},
    _ALL_FORMATS,
    is_plain=True,
    is_strict=True,
)
# https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support
GEMINI = Dialect(
    "Gemini",
    frozenset({"type", "format", "description", "enum", "items", "prefixItems", "anyOf"})
    | {"properties", "additionalProperties", "required", *_COUNTED},
    frozenset({"date-time", "date", "time"}),
    is_plain=True,
)
# https://ai.google.dev/api/caching#Schema
GEMINI_OPENAPI = Dialect(
    "Gemini",
    frozenset({"type", "format", "description", "nullable", "enum", "items", "properties"})
    | {"required", "anyOf", "pattern", "minLength", "maxLength", "minProperties", "maxProperties"}
    | _COUNTED,
    frozenset({"date-time", "enum"}),
    is_plain=True,
    is_openapi=True,
)


def reduced(schema: Any, dialect: Dialect) -> tuple[_Schema, list[str]]:
    """Return the schema of an object in the words of `dialect`, and what it lost.

    The top level always becomes an object without alternatives, which is all that any API takes
    for a tool.  A `$ref` that leads back to itself is cut off where it does.

    Args:
        schema: A tool's `input_schema`, or that of an output format; not changed.
        dialect: Whose words.

    Returns:
        The schema, and a line each of what is left out: the place in the schema, and what.
    """
    reducer = _Reducer(schema if isinstance(schema, Mapping) else {}, dialect)
    top = reducer.top()
    return top, list(dict.fromkeys(reducer.losses))


class _Reducer:
    def __init__(self, root: Mapping[str, Any], dialect: Dialect) -> None:
        self._root = root
        self._dialect = dialect
        self._left = _MOST
        self.losses: list[str] = []

    def top(self) -> _Schema:
        root = dict(self._root)
        if "$ref" in root:
            root = self._resolved(root)
        root = self._merged(root, ())
        for choice in ("anyOf", "oneOf"):
            if choice in root:
                root = self._united(root, choice)
        root = {name: value for name, value in root.items() if name not in ("enum", "not", "const")}
        root["type"] = "object"
        if not isinstance(root.get("properties"), Mapping):
            root["properties"] = {}
        top = self._reduced(root, "", ())
        top.setdefault("properties", {})
        if self._dialect.keywords is None:
            # References are kept as they are; so must be what they lead to.
            top |= {name: root[name] for name in ("$defs", "definitions") if name in root}
            top.pop("$schema", None)
        return top

    def _lose(self, place: str, what: str) -> None:
        self.losses.append(f"{place.lstrip('.') or 'schema'}: {what}")

    def _united(self, root: _Schema, choice: str) -> _Schema:
        """Turn alternatives of objects into one object that allows the properties of each."""
        branches = [
            self._merged(self._resolved(branch), ())
            for branch in _list(root.pop(choice))[:_MOST_ALTERNATIVES]
            if isinstance(branch, Mapping) and self._counts()
        ]
        self._lose("", f"that it is one of {len(branches)} alternatives")
        properties: _Schema = {}
        for branch in branches:
            properties |= _mapping(branch.get("properties"))
        required = [set(_names(branch.get("required"))) for branch in branches]
        always = set.intersection(*required) if required else set()
        own = _names(root.get("required"))
        root["properties"] = {**properties, **_mapping(root.get("properties"))}
        root["required"] = own + [name for name in sorted(always) if name not in own]
        if any(branch.get("additionalProperties") is not False for branch in branches):
            root.pop("additionalProperties", None)
        return root

    def _resolved(self, node: Mapping[str, Any]) -> _Schema:
        """Put what a `$ref` leads to in its place, with whatever stands beside it."""
        found: _Schema = dict(node)
        seen: set[str] = set()
        # One reference may lead to the next, and on for longer than a function may call itself.
        while isinstance(ref := found.pop("$ref", None), str):
            led = self._at(ref)
            if ref in seen or led is None or not self._counts():
                return {"type": "object", **found}
            seen.add(ref)
            found = {**led, **found}
        return found

    def _at(self, ref: str) -> Mapping[str, Any] | None:
        """Return the schema that a reference names; `None` if there is none."""
        place: Any = self._root if ref.startswith("#") else None
        for step in ref.removeprefix("#").split("/")[1:]:
            if not isinstance(place, Mapping):
                return None
            place = place.get(step.replace("~1", "/").replace("~0", "~"))
        return place if isinstance(place, Mapping) else None

    def _merged(self, node: _Schema, seen: tuple[str, ...]) -> _Schema:
        """Put the parts of `allOf` together."""
        for part in _list(node.pop("allOf", None))[:_MOST_ALTERNATIVES]:
            ref = str(part.get("$ref", "")) if isinstance(part, Mapping) else ""
            if not isinstance(part, Mapping) or (ref and ref in seen) or not self._counts():
                continue
            if len(seen) > _DEEPEST:
                continue
            other = self._merged(self._resolved(part), (*seen, ref))
            properties = {**_mapping(node.get("properties")), **_mapping(other.get("properties"))}
            required = dict.fromkeys(
                [*_names(node.get("required")), *_names(other.get("required"))]
            )
            node = {**other, **node}
            if properties:
                node["properties"] = properties
            if required:
                node["required"] = list(required)
        return node

    def _counts(self) -> bool:
        """Take note of one more schema; tell whether there may be as many."""
        self._left -= 1
        return self._left > 0

    def _reduced(self, node: Any, place: str, seen: tuple[str, ...]) -> _Schema:
        if not isinstance(node, Mapping):
            return {}  # `true`: anything
        if self._dialect.keywords is None:
            return dict(node)
        if place.count(".") >= _DEEPEST or not self._counts():
            self._lose(place, "what is too deep or too long")
            return {"type": "object"}
        ref = node.get("$ref")
        if isinstance(ref, str) and ref in seen:
            self._lose(place, f"the recursion of {ref}")
            return self._reduced({"type": "object", "properties": {}}, place, ())
        node = self._merged(self._resolved(node), ())
        inside = (*seen, ref) if isinstance(ref, str) else seen
        node = _plain(node, self._dialect)
        result: _Schema = {}
        for name, value in node.items():
            if name in self._dialect.keywords:
                result[name] = self._keyword(name, value, f"{place}.{name}", inside)
            elif name not in _NOTES:
                self._lose(place, f"{self._dialect.title} does not read {name}")
        return self._finished(result, node, place)

    def _keyword(self, name: str, value: Any, place: str, seen: tuple[str, ...]) -> Any:
        if name in _MANY:
            return [self._reduced(each, place, seen) for each in _list(value)]
        if name in _NAMED:
            return {
                str(key): self._reduced(each, f"{place}.{key}", seen)
                for key, each in _mapping(value).items()
            }
        if name in _ONE and isinstance(value, Mapping | bool):
            return (
                value
                if name == "additionalProperties" and isinstance(value, bool)
                else (self._reduced(value, place, seen))
            )
        return value

    def _finished(self, result: _Schema, node: Mapping[str, Any], place: str) -> _Schema:
        """Put right what an API insists on."""
        formats = self._dialect.formats
        if formats is not None and "format" in result and str(result["format"]) not in formats:
            self._lose(place, f"{self._dialect.title} does not read format {result.pop('format')}")
        kind = str(result.get("type", "")).lower()
        if kind == "array" and not {"items", "prefixItems"} & result.keys():
            result["items"] = {"type": "string"} if self._dialect.is_strict else {}
        if "required" in result:
            known = _mapping(result.get("properties"))
            result["required"] = [name for name in _names(result["required"]) if name in known]
            if not result["required"]:
                del result["required"]
        if self._dialect.is_openapi:
            _as_openapi(result)
        if self._dialect.is_strict and (kind == "object" or "properties" in result):
            self._close(result, node, place)
        return result

    def _close(self, result: _Schema, node: Mapping[str, Any], place: str) -> None:
        others = node.get("additionalProperties")
        is_free = others is None and place and not node.get("properties")
        if is_free or others not in (None, False):
            self._lose(place, "properties that it does not name")
        required = _names(result.get("required"))
        properties = {
            name: each if name in required else _nullable(each)
            for name, each in _mapping(result.get("properties")).items()
        }
        result["properties"] = properties
        result["required"] = list(properties)
        result["additionalProperties"] = False


def _plain(node: _Schema, dialect: Dialect) -> _Schema:
    """Say the same with fewer keywords."""
    node = dict(node)
    known = dialect.keywords or frozenset()
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "oneOf" in node:
        node["anyOf"] = [*_list(node.get("anyOf")), *_list(node.pop("oneOf"))]
    if isinstance(node.get("items"), list):
        node["prefixItems"] = node.pop("items")
    if "prefixItems" not in known:
        parts = _list(node.pop("prefixItems", None))
        if parts and "items" not in node:
            node["items"] = {"anyOf": parts} if parts[1:] else parts[0]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in node and exclusive not in known:
            value = node.pop(exclusive)
            if not isinstance(value, bool):  # as drafts before 2019-09 had it
                node.setdefault(bound, value)
    return _typed(node)


def _typed(node: _Schema) -> _Schema:
    kinds = node.get("type")
    if isinstance(kinds, list):
        node = _of_one_type(node, [str(kind) for kind in kinds])
    values = _list(node.get("enum"))
    if values and "type" not in node and all(isinstance(value, str) for value in values):
        node["type"] = "string"
    if values and node.get("type") == "string":
        node["enum"] = [value if isinstance(value, str) else str(value) for value in values]
    if "properties" in node and "type" not in node:
        node["type"] = "object"
    return node


def _of_one_type(node: _Schema, kinds: list[str]) -> _Schema:
    """Turn `type: [a, b]` into alternatives, each with the keywords beside it."""
    rest = {name: value for name, value in node.items() if name != "type"}
    if len(kinds) == 1:
        return {**rest, "type": kinds[0]}
    if "anyOf" in rest:
        return rest
    beside: _Schema = {"description": rest.pop("description")} if "description" in rest else {}
    values = _list(rest.pop("enum", None))
    branches: list[_Schema] = []
    for kind in kinds:
        if kind == "null":
            branches.append({"type": "null"})
            continue
        branch = {**_fitting(rest, kind), "type": kind}
        if values:
            branch["enum"] = [value for value in values if value is not None]
        branches.append(branch)
    return {**beside, "anyOf": branches}


# Which keywords say something of which type.
_OF_TYPE = {
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"},
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "string": {"pattern", "format", "minLength", "maxLength"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}


def _fitting(node: _Schema, kind: str) -> _Schema:
    own = _OF_TYPE.get("number" if kind == "integer" else kind, set())
    others = set().union(*_OF_TYPE.values()) - own
    return {name: value for name, value in node.items() if name not in others}


def _as_openapi(result: _Schema) -> None:
    branches = _list(result.get("anyOf"))
    left = [each for each in branches if each.get("type") != "NULL"]
    if len(left) < len(branches):
        result["nullable"] = True
        result["anyOf"] = left
        if len(left) == 1:
            del result["anyOf"]
            for name, value in left[0].items():
                result.setdefault(name, value)
    if isinstance(result.get("type"), str):
        result["type"] = result["type"].upper()
    # Its enumerations are of strings only.
    if "enum" in result and result.get("type") != "STRING":
        del result["enum"]


def _nullable(schema: _Schema) -> _Schema:
    branches = _list(schema.get("anyOf")) or [schema]
    if {"type": "null"} in branches:
        return schema
    beside: _Schema = {"description": schema["description"]} if "description" in schema else {}
    own = [{name: each[name] for name in each if name != "description"} for each in branches]
    return {**beside, "anyOf": [*own, {"type": "null"}]}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(value: Any) -> list[str]:
    return [name for name in _list(value) if isinstance(name, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
