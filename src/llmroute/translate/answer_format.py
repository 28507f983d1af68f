"""The schema of an answer, or of a strict tool, as the Messages API takes it.

https://docs.claude.com/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.translate.target import Losses

__all__ = ["answer_format", "closed_schema"]

_Schema = dict[str, Any]

_KEPT = frozenset({"type", "enum", "const", "anyOf", "allOf", "$ref", "properties", "required"})
_KEPT |= {"items", "description", "title", "additionalProperties", "default"}
# They say nothing of the value.
_NOTES = frozenset({"$schema", "$id", "$comment", "examples"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri"})
_FORMATS |= {"ipv4", "ipv6", "uuid"}
_MANY = ("anyOf", "allOf")
_NAMED = ("properties", "$defs", "definitions")
# A schema that is deeper is cut off here: no API takes it.
_DEEPEST = 64


def answer_format(form: Mapping[str, Any], place: str, losses: Losses) -> dict[str, Any]:
    """Return `output_config.format` for what OpenAI calls a `json_schema`.

    Args:
        form: Its `schema`, and perhaps a `description`.
        place: Where the schema stands in the client's request.
        losses: Where what the schema does not enforce any more is told.
    """
    schema, lost = closed_schema(form.get("schema"))
    for line in lost:
        losses.note(place, line)
    described = form.get("description")
    if isinstance(described, str) and described:
        schema.setdefault("description", described)
    return {"type": "json_schema", "schema": schema}


def closed_schema(schema: Any) -> tuple[_Schema, list[str]]:
    """Return a schema whose objects are closed, with what cannot be enforced told in words.

    Returns:
        The schema, and a line each of what it does not enforce any more: the place, and what.
    """
    lost: list[str] = []
    return _closed(schema, "", lost, 0), list(dict.fromkeys(lost))


def _closed(node: Any, place: str, lost: list[str], depth: int) -> _Schema:
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return {}
    node = dict(node)
    if "oneOf" in node and "anyOf" not in node:
        node["anyOf"] = node.pop("oneOf")
    made: _Schema = {}
    words: list[str] = []
    for name, value in node.items():
        inside = f"{place}.{name}" if place else name
        if name in _NAMED and isinstance(value, Mapping):
            made[name] = {
                key: _closed(each, f"{inside}.{key}", lost, depth + 1)
                for key, each in value.items()
            }
        elif name in _MANY and isinstance(value, list):
            made[name] = [
                _closed(each, f"{inside}[{at}]", lost, depth + 1) for at, each in enumerate(value)
            ]
        elif name == "items" and isinstance(value, Mapping):
            made[name] = _closed(value, inside, lost, depth + 1)
        elif _is_taken(name, value):
            made[name] = value
        elif name not in _NOTES:
            words.append(f"{name}: {_json(value)}")
            lost.append(f"{inside}: told in words")
    if _is_object(made):
        if made.get("additionalProperties") not in (None, False):
            lost.append(f"{place or 'the schema'}: properties that it does not name")
        made.setdefault("properties", {})
        made["additionalProperties"] = False
    if words:
        said = made.get("description")
        told = "{" + ", ".join(words) + "}"
        made["description"] = f"{said}\n\n{told}" if isinstance(said, str) and said else told
    return made


def _is_taken(name: str, value: Any) -> bool:
    if name == "format":
        return value in _FORMATS
    if name == "minItems":
        return value in (0, 1)
    return name in _KEPT


def _is_object(schema: _Schema) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
