"""The models and where they go, in LiteLLM's shape."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import anyio.to_thread

from llmroute.accounts.model import Key
from llmroute.asgi import render
from llmroute.asgi.admin.litellm import route
from llmroute.asgi.admin.route import Asking
from llmroute.asgi.render import Rendered
from llmroute.config import Config
from llmroute.messages.catalog import ModelInfo
from llmroute.router.tariffs import tariff_of

__all__ = ["ROUTES"]

_MICROS: Final = 1_000_000
_KINDS: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}


async def _info(asking: Asking) -> Rendered:
    """List each deployment of each alias that the caller may ask for."""
    config = asking.router.config
    known = {each.id: each for each in await asking.router.models()}
    own = asking.caller.sender.account
    wanted = asking.query.get("litellm_model_id")
    day = asking.ledger.directory.now().date()
    # The first one may read a price list.
    prices = await anyio.to_thread.run_sync(_prices, config, day)
    shown = []
    for name, alias in config.aliases.items():
        if alias.hidden or (isinstance(own, Key) and not own.may_ask_for(name)):
            continue
        for deployment in alias.deployments:
            if wanted and deployment != wanted:
                continue
            settings = config.deployments[deployment]
            model = settings.model or name
            shown.append(
                {
                    "model_name": name,
                    "litellm_params": {"model": f"{settings.provider}/{model}"},
                    "model_info": {
                        "id": deployment,
                        "db_model": False,
                        "mode": "chat",
                        "litellm_provider": settings.provider,
                        **_lengths(known.get(name)),
                        **prices[deployment],
                    },
                }
            )
    return render.plain(200, {"data": shown})


def _prices(config: Config, day: date) -> dict[str, dict[str, float | None]]:
    """Return what a token costs at each deployment, in US dollars; `None` if nobody knows."""
    found = {}
    for name, settings in config.deployments.items():
        tariff = tariff_of(config, name, settings.model or "", day)
        rates = None if tariff is None else tariff.at(0)
        kinds = {theirs: rates and getattr(rates, ours) for theirs, ours in _KINDS.items()}
        found[name] = {kind: rate and rate / _MICROS for kind, rate in kinds.items()}
    return found


def _lengths(info: ModelInfo | None) -> dict[str, Any]:
    if info is None:
        return {"max_input_tokens": None, "max_output_tokens": None, "max_tokens": None}
    return {
        "max_input_tokens": info.max_input_tokens,
        "max_output_tokens": info.max_tokens,
        "max_tokens": info.max_tokens,
    }


ROUTES: Final = (route("GET", "(?:/v1|/v2)?/model/info", _info, for_all=True),)
