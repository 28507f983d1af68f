"""Calls of the tools that a Responses client runs itself, as items and as input for a function.

https://platform.openai.com/docs/guides/tools
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from llmroute.wire.envelope import MALFORMED

__all__ = ["CALLS", "FUNCTIONS", "OUTPUTS", "Called", "InputText", "call_item", "input_of"]

_Item = dict[str, Any]


class Called(NamedTuple):
    """Which of the client's tools is meant.

    Attributes:
        kind: `function`, `custom`, or the type of a tool that has no name of its own.
        name: Its name; that of the kind if it has none.
        namespace: Where it stands; empty for the outermost.
    """

    kind: str
    name: str
    namespace: str = ""


CALLS: Final = {
    "function_call": "function",
    "custom_tool_call": "custom",
    "tool_search_call": "tool_search",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
}
"""The kind of tool that each type of item calls."""
_ITEMS = {kind: item for item, kind in CALLS.items()}
_IDS = {
    "function": "fc",
    "custom": "ctc",
    "tool_search": "tsc",
    "local_shell": "lsh",
    "shell": "sh",
    "apply_patch": "apc",
}

OUTPUTS: Final = frozenset(
    {
        "function_call_output",
        "custom_tool_call_output",
        "tool_search_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
    }
)
"""The types of items that bring what came of a call."""

_STRING: _Item = {"type": "string"}
_STRINGS: _Item = {"type": "array", "items": _STRING}
_MILLISECONDS: _Item = {"type": "integer", "description": "Milliseconds to let it run."}

FUNCTIONS: Final[Mapping[str, tuple[str, _Item]]] = {
    "custom": (
        "",
        {
            "type": "object",
            "properties": {
                "input": {
                    "type": "string",
                    "description": "The whole input of the tool, as plain text.",
                }
            },
            "required": ["input"],
            "additionalProperties": False,
        },
    ),
    "tool_search": (
        "Search for tools that are not listed yet; those found can be called from then on.",
        {"type": "object", "properties": {"query": _STRING}, "required": ["query"]},
    ),
    "local_shell": (
        "Run a command on the user's machine. The command is a list of arguments, no shell line.",
        {
            "type": "object",
            "properties": {
                "command": _STRINGS,
                "working_directory": _STRING,
                "timeout_ms": _MILLISECONDS,
                "env": {"type": "object", "additionalProperties": _STRING},
                "user": _STRING,
            },
            "required": ["command"],
        },
    ),
    "shell": (
        "Run shell command lines on the user's machine; each of them is run by itself.",
        {
            "type": "object",
            "properties": {
                "commands": _STRINGS,
                "timeout_ms": _MILLISECONDS,
                "max_output_length": {
                    "type": "integer",
                    "description": "Characters of output to return of each.",
                },
            },
            "required": ["commands"],
        },
    ),
    "apply_patch": (
        (
            "Create, change or delete one file. For create_file, `diff` has every line of the"
            " file with a + before it; for update_file it is a diff in the V4A format, whose"
            " sections begin with @@ and whose lines begin with a space, a + or a -; delete_file"
            " needs none."
        ),
        {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": _STRING,
                "diff": _STRING,
            },
            "required": ["type", "path"],
        },
    ),
}
"""What a model is told of the tools that are no functions: a description, and a schema."""


def call_item(called: Called, key: str, call_id: str, arguments: str) -> _Item:
    """Return the item that calls a tool.

    Args:
        called: The tool.
        key: What its id is made of.
        call_id: What its result is to name.
        arguments: The model's input for the function that stands for the tool, as JSON.
    """
    item: _Item = {
        "id": f"{_IDS[called.kind]}_{key}",
        "type": _ITEMS[called.kind],
        "status": "completed",
        "call_id": call_id,
    }
    given = _object(arguments)
    match called.kind:
        case "function":
            item |= {"name": called.name, "arguments": arguments}
        case "custom":
            item |= {"name": called.name, "input": _plain(given, arguments)}
        case "tool_search":
            item |= {"execution": "client", "arguments": given}
        case "local_shell":
            item["action"] = {"type": "exec", "command": [], "env": {}, **given}
        case "shell":
            item["action"] = {"commands": [], **given}
        case _:
            item["operation"] = given
    if called.namespace:
        item["namespace"] = called.namespace
    return item


def input_of(item: Mapping[str, Any], kind: str) -> _Item:
    """Return what a model has written into the function, to have this item called."""
    match kind:
        case "custom":
            return {"input": str(item.get("input") or "")}
        case "local_shell" | "shell":
            action = item.get("action")
            given = action if isinstance(action, dict) else {}
            return {n: v for n, v in given.items() if n != "type" and v not in (None, {})}
        case "apply_patch":
            operation = item.get("operation")
            return dict(operation) if isinstance(operation, dict) else {}
    arguments = item.get("arguments")
    if isinstance(arguments, dict):
        return arguments
    if not arguments:
        return {}
    written = str(arguments)
    # What the model wrote may be no object; it is told what came of it.
    return _object(written) or ({} if written.strip() in ("{}", "null") else {"arguments": written})


_BEGINNING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# Up to the end of the string, or to an escape that has not come whole: the first half of a pair
# is none without the second.
_SO_FAR = re.compile(
    r'(?:[^"\\]+|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}'
    r"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\[^u])*"
)


class InputText:
    r"""The text that is the whole input of a custom tool, as its JSON comes in.

    >>> text = InputText()
    >>> text.feed(r'{"input": "Gr\u00fc\u00'), text.feed(r'df."}')
    ('Grü', 'ß.')
    """

    def __init__(self) -> None:
        self._left = ""
        self._is_begun = False
        self._is_over = False

    def feed(self, piece: str) -> str:
        """Take a piece; return the text that it brings."""
        if self._is_over:
            return ""
        self._left += piece
        if not self._is_begun:
            begun = _BEGINNING.match(self._left)
            if begun is None:
                return ""
            self._is_begun, self._left = True, self._left[begun.end() :]
        found = _SO_FAR.match(self._left)
        come = found[0] if found else ""
        self._left = self._left[len(come) :]
        self._is_over = self._left.startswith('"')
        try:
            return str(msgspec.json.decode(f'"{come}"'))
        except MALFORMED:
            self._is_over = True
            return ""


def _plain(given: _Item, arguments: str) -> str:
    """Return the text for a tool that takes nothing else, however the model has wrapped it."""
    text = given.get("input")
    if isinstance(text, str):
        return text
    if len(given) == 1 and isinstance(only := next(iter(given.values())), str):
        return only
    return arguments if given else ""


def _object(text: str) -> _Item:
    try:
        value = msgspec.json.decode(text)
    except MALFORMED:
        return {}
    return value if isinstance(value, dict) else {}
