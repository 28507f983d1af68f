"""What a fake upstream answers at the endpoints nobody scripted."""

from __future__ import annotations

from llmroute.testing.answer import Answer
from llmroute.testing.answers import as_json, error, raw

__all__ = ["ordinary"]

_MODELS = [
    {
        "type": "model",
        "id": name,
        "display_name": display_name,
        "created_at": "2026-01-01T00:00:00Z",
    }
    for name, display_name in (
        ("claude-opus-4-8", "Claude Opus 4.8"),
        ("claude-sonnet-4-6", "Claude Sonnet 4.6"),
        ("claude-haiku-4-5", "Claude Haiku 4.5"),
    )
]
_LIST = {
    "data": _MODELS,
    "has_more": False,
    "first_id": _MODELS[0]["id"],
    "last_id": _MODELS[-1]["id"],
}


def ordinary(method: str, path: str, body: bytes) -> Answer:
    """Count tokens (a quarter of the body's bytes), list models, greet; know of nothing else."""
    match method, path.split("/")[1:]:
        case "POST", ["v1", "messages", "count_tokens"]:
            return as_json({"input_tokens": max(1, len(body) // 4)})
        case (("GET" | "HEAD"), ["v1", "models"]):
            return as_json(_LIST)
        case (("GET" | "HEAD"), ["v1", "models", name]):
            for model in _MODELS:
                if model["id"] == name:
                    return as_json(model)
            return error(404, message=f"model: {name}")
        case (("GET" | "HEAD"), ["api", "hello"]):
            return raw()
    return error(404, message="Not found")
