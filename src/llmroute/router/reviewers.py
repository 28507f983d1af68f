"""Who judges an answer's tool calls for auto mode: its upstream, a classifier, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from llmroute.config import Config, Safeguards
from llmroute.messages.safeguards import MEMBER
from llmroute.providers import BridgedDeployment, Deployment
from llmroute.providers.anthropic_compatible import AnthropicCompatibleDeployment
from llmroute.providers.bedrock import BedrockDeployment
from llmroute.router.routes import Route, Routes
from llmroute.translate.converse_model import ConverseModel

__all__ = ["NOBODY", "Reviewer", "converses", "judge_of", "judges", "reviewed_by", "reviewer"]

NOBODY: Final = ""
"""Stands for a classifier where there is none."""

Reviewer: TypeAlias = Literal["upstream", "perhaps", "nobody"]
"""Whether a deployment's upstream judges tool calls itself; `perhaps` where it may hand requests on
to Claude, and is sent what they ask for."""

# Where Claude is run by Anthropic, or by a cloud to its order.
_CLAUDES = frozenset({"anthropic", "bedrock", "vertex", "foundry"})


def reviewer(deployment: Deployment, model: str, losses: Sequence[str] = ()) -> Reviewer:
    """Tell whether the tool calls of a deployment's answers are judged before they come here.

    Args:
        deployment: Its settings.
        model: What it is asked for.
        losses: What of a request was not sent to it, if that is known.
    """
    if any(line.startswith(f"{MEMBER}:") for line in losses):
        return "nobody"
    if isinstance(deployment, BridgedDeployment) and MEMBER in deployment.drop_members:
        return "nobody"
    if isinstance(deployment, AnthropicCompatibleDeployment):
        is_sent = deployment.platform.open or MEMBER in deployment.accept_members
        return "perhaps" if is_sent else "nobody"
    if isinstance(deployment, BedrockDeployment) and converses(deployment, model):
        return "nobody"
    if deployment.provider == "anthropic" and deployment.base_url:
        return "perhaps"
    return "upstream" if deployment.provider in _CLAUDES else "nobody"


def converses(deployment: BedrockDeployment, model: str) -> bool:
    """Tell whether a model is asked by Converse, in whose format there is no such thing."""
    if deployment.surface is not None:
        return deployment.surface == "converse"
    return ConverseModel.of(deployment.base_model or model).is_foreign


def judge_of(config: Config, route: Route, deployment: str) -> Safeguards | None:
    """Return who is asked about the answers of a deployment, in a call that takes this route.

    The alias that was asked for decides, then the one that it fell back to.
    """
    if route.settings is not None and route.settings.safeguards is not None:
        return route.settings.safeguards
    for groups in (route.groups, *route.reserves.values()):
        for group in groups:
            alias = config.aliases.get(group.alias)
            if alias is None or alias.safeguards is None:
                continue
            if any(option.leg.deployment == deployment for option in group.options):
                return alias.safeguards
    return None


def reviewed_by(
    config: Config, route: Route, deployment: str, model: str, losses: Sequence[str]
) -> str:
    """Say who judges the answers of a deployment, in a call that takes this route and asks for it.

    Args:
        config: Of which deployments.
        route: From the model that is asked for.
        deployment: Its name.
        model: What it is asked for.
        losses: What of the request is not sent to it.
    """
    who = reviewer(config.deployments[deployment], model, losses)
    if who == "upstream":
        return "the upstream"
    judge = judge_of(config, route, deployment)
    if judge is None:
        return "nobody, and the answer says so" if who == "nobody" else "the upstream, if it does"
    ours = f"{judge.classifier}, within {judge.timeout:g} s"
    return ours if who == "nobody" else f"the upstream; if it does not, {ours}"


def judges(config: Config) -> dict[str, list[str]]:
    """Return the aliases with upstreams that do not judge tool calls, by the classifier of theirs.

    Under `NOBODY` are those that a client may ask for and that have none.
    """
    routes = Routes(config)
    found: dict[str, dict[str, None]] = {}
    for name in config.aliases:
        route = routes.resolve(name)
        for leg in (option.leg for option in route.options()):
            if reviewer(config.deployments[leg.deployment], leg.model) == "nobody":
                judge = judge_of(config, route, leg.deployment)
                classifier = NOBODY if judge is None else judge.classifier
                found.setdefault(classifier, {})[name] = None
    unasked = {name for name, alias in config.aliases.items() if alias.hidden} | found.keys()
    unjudged = [name for name in found.pop(NOBODY, ()) if name not in unasked]
    named = {classifier: list(names) for classifier, names in found.items()}
    return named | ({NOBODY: unjudged} if unjudged else {})
