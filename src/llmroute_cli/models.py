"""`llmroute models`: what clients may ask for, and who serves it."""

from __future__ import annotations

from pathlib import Path

import anyio

from llmroute import Config, ModelInfo, Router
from llmroute.routing.aliases import Aliases
from llmroute_cli import table
from llmroute_cli.configuration import load

__all__ = ["models"]


def models(path: Path | None) -> None:
    """Print the models as `/v1/models` lists them, and the patterns behind some of them."""
    config = load(path)
    aliases = Aliases(config.aliases)
    rows = []
    for info in anyio.run(_listed, config):
        match = aliases.find(info.id)
        alias = config.aliases[match.alias if match else info.id]
        window = f"{info.max_input_tokens:,}" if info.max_input_tokens else ""
        rows.append((info.id, info.display_name, window, ", ".join(alias.deployments)))
    for name, alias in config.aliases.items():
        if "*" in name and not alias.hidden:
            rows.append((name, "any other name of this form", "", ", ".join(alias.deployments)))
    table.show(("model", "display name", "window", "deployments"), rows)


async def _listed(config: Config) -> list[ModelInfo]:
    async with Router(config) as router:
        return await router.models()
