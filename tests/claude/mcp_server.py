"""An MCP server of two tools, for the client to start: JSON-RPC, a message a line, by stdio.

https://modelcontextprotocol.io/specification/2025-06-18/basic
"""

from __future__ import annotations

import json
import sys
from typing import Any

RIVER = "longest_river_of_a_country_or_of_a_continent_as_it_stands_in_the_atlas_of_the_house"
"""A name that is longer than most APIs take, once the client has put the server's before it."""

_SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "unit": {"enum": ["km", "mi"]}},
    "required": ["place"],
    "additionalProperties": False,
}
_TOOLS = [
    {"name": RIVER, "description": "Look up the longest river.", "inputSchema": _SCHEMA},
    {"name": "tide", "description": "Tell the tide.", "inputSchema": {"type": "object"}},
]


def _result(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "house", "version": "1"},
            }
        case "tools/list":
            return {"tools": _TOOLS}
        case "tools/call":
            told = f"{params['name']} of {params['arguments'].get('place')}: the Rhine"
            return {"content": [{"type": "text", "text": told}]}
        case "ping":
            return {}
    return None


def _serve() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        result = _result(asked["method"], asked.get("params") or {})
        if result is None:
            answer["error"] = {"code": -32601, "message": "no such method"}
        else:
            answer["result"] = result
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
