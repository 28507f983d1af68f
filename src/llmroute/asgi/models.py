"""The models one can ask for, in one shape that clients of both vendors read."""

from __future__ import annotations

from typing import Any

from llmroute.accounts.access import check_alias
from llmroute.accounts.model import Key
from llmroute.asgi import render
from llmroute.errors import ForbiddenError, UnknownAliasError
from llmroute.messages.catalog import ModelInfo
from llmroute.router import Router
from llmroute.wire.headers import first

__all__ = ["page", "visible"]

_OPENAIS = {"object": "model", "created": 0, "owned_by": "llmroute"}


async def visible(router: Router, key: Key | None) -> list[ModelInfo]:
    """Return the models that a key may ask for; all of them without one."""
    models = await router.models()
    return models if key is None else [each for each in models if key.may_ask_for(each.id)]


async def page(
    router: Router, scope: dict[str, Any], name: str, key: Key | None
) -> render.Rendered:
    """Show one model, or all of those that the caller's key may ask for.

    A client that names a version of Anthropic's API gets that API's own shape.  To all others the
    same is shown with the members beside it that OpenAI has: none of them has two meanings.

    Raises:
        UnknownAliasError: The client is Anthropic's, and no alias matches.
        ForbiddenError: The client is Anthropic's, and its key may not ask for the model.
    """
    if scope["method"] not in ("GET", "HEAD"):
        return render.not_allowed("GET, HEAD")
    for_all = first(scope["headers"], b"anthropic-version") is None
    beside = _OPENAIS if for_all else {}
    if not name:
        models = await visible(router, key)
        listed = {"data": [{**_shown(model), **beside} for model in models], **_ends(models)}
        return render.plain(200, {"object": "list", **listed} if for_all else listed)
    try:
        if key is not None:
            check_alias(key, name)
        return render.plain(200, {**_shown(await router.model(name)), **beside})
    except (UnknownAliasError, ForbiddenError) as error:
        if not for_all:
            raise
        told = {"type": error.type, "message": str(error)}
        told |= {"param": "model", "code": "model_not_found"}
        return render.final(error.status, {"type": "error", "error": told})


def _shown(model: ModelInfo) -> dict[str, Any]:
    """Show one model as the Anthropic API does; what is not known is left out."""
    known = {
        "description": model.description,
        "max_input_tokens": model.max_input_tokens,
        "max_tokens": model.max_tokens,
        "lifecycle": model.lifecycle,
    }
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        # The API's own value for a date it does not know.
        "created_at": "1970-01-01T00:00:00Z",
        **{name: value for name, value in known.items() if value is not None},
    }


def _ends(models: list[ModelInfo]) -> dict[str, Any]:
    """Say that all models are on one page."""
    return {
        "has_more": False,
        "first_id": models[0].id if models else None,
        "last_id": models[-1].id if models else None,
    }
