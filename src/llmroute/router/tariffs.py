"""What the model of a deployment costs, by the configuration and the price lists."""

from __future__ import annotations

from datetime import date

from llmroute import pricing
from llmroute.config import Config
from llmroute.pricing import Tariff
from llmroute.providers import BridgedDeployment, Deployment
from llmroute.providers.azure_openai import AzureOpenAIDeployment
from llmroute.providers.bedrock import BedrockDeployment
from llmroute.providers.vertex import VertexDeployment

__all__ = ["base_model", "tariff_of", "unpriced"]


def tariff_of(config: Config, name: str, model: str, day: date) -> Tariff | None:
    """Return what `model` costs at the deployment `name`; `None` if nobody knows.

    The first call may read a price list, which takes a third of a second: `pricing.load()`.
    """
    settings = config.deployments[name]
    own = isinstance(settings, BedrockDeployment) and settings.surface == "claude_platform"
    return pricing.tariff(
        "anthropic" if own else settings.seller,
        base_model(settings) or model,
        config.prices.get(name),
        regional=isinstance(settings, VertexDeployment) and settings.location != "global",
        day=day,
        factor=config.accounts.usage.price_factor,
    )


def base_model(settings: Deployment) -> str | None:
    """Return the model that a deployment's own name for it stands for, if the file says so."""
    if isinstance(settings, BridgedDeployment | AzureOpenAIDeployment):
        return settings.base_model
    return None


def unpriced(config: Config, day: date) -> dict[str, str]:
    """Return the models of unknown price, by deployment.

    What a call asks for by its own name is not known before it is made, and not among them.
    """
    models = {name: each.model for name, each in config.deployments.items()}
    return {
        name: model
        for name, model in models.items()
        if model and "*" not in model and tariff_of(config, name, model, day) is None
    }
