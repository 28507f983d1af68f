"""How the deployments are, as a page for people and monitors."""

from __future__ import annotations

from llmroute.asgi import render
from llmroute.router import Router

__all__ = ["page"]


async def page(router: Router) -> render.Rendered:
    """Show the state of every deployment, in the configuration's order; it holds no secret."""
    states = [state._asdict() for state in await router.deployments()]
    return render.plain(200, {"deployments": states, "store": router.store})
