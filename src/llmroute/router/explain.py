"""What would become of a call: who would be asked in which order, with what, and for how much.

The decisions are the router's own, made on a state in which nothing has happened yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

import anyio
import msgspec

from llmroute import pricing
from llmroute.config import Config
from llmroute.errors import InvalidRequestError, UnknownAliasError
from llmroute.messages.call import Call
from llmroute.messages.safeguards import asked
from llmroute.pricing import Tariff
from llmroute.router.attempt import Target, too_strict
from llmroute.router.health import Health
from llmroute.router.lengths import Lengths
from llmroute.router.placing import Placement, Placing
from llmroute.router.prospect import Prospect, Role, Turn, prospect_of
from llmroute.router.reviewers import reviewed_by
from llmroute.router.routes import Group, Option, Route, Routes
from llmroute.routing.aliases import Match
from llmroute.routing.plan import Leg
from llmroute.routing.remedies import Overflow
from llmroute.stores import Memory
from llmroute.wire.envelope import MALFORMED

__all__ = ["Explanation", "explained"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a call.

    Attributes:
        asked: The model that it asks for.
        endpoint: `messages`, or `count_tokens`.
        stream: Whether the answer would be a stream.
        alias: The alias that matches, as the configuration spells it; empty if none does.
        matched: How: by its `name`, or as a `pattern`; empty if none does.
        session: The key under which the conversation's place would be kept, which is a hash; empty
            if it would not be kept.
        assumed: What is not known before the call is made, and how it is taken to be.
        input_tokens: The prompt's length at the first of `prospects`, rather too high; `None` if it
            cannot be read.
        prospects: In the order in which they would be tried; those that stand by come last.
    """

    asked: str
    endpoint: str
    stream: bool
    alias: str
    matched: Literal["name", "pattern", ""]
    session: str
    assumed: tuple[str, ...]
    input_tokens: int | None
    prospects: tuple[Prospect, ...]


async def explained(
    config: Config,
    routes: Routes,
    targets: Mapping[str, Target],
    call: Call,
    deployment: str | None,
    *,
    clock: Callable[[], float],
    files: str | None,
) -> Explanation:
    """Return what would become of a call.

    Args:
        config: Of which deployments.
        routes: From names to them.
        targets: What they would be sent.
        call: From either door.
        deployment: The only one to be explained, whether an alias leads there or not.
        clock: Seconds since 1970.
        files: The deployment that uploads go to.

    Raises:
        UnknownAliasError: No alias matches, and no deployment is named.
        InvalidRequestError: There is no such deployment.
    """
    memory = Memory(clock)
    # One that is drawn by weight is the likeliest with equal draws.
    placing = Placing(config, Health(config, memory, clock), memory, clock, lambda: 0.5, files)
    if not pricing.loaded():
        await anyio.to_thread.run_sync(pricing.load)
    try:
        route = routes.resolve(call.model)
    except UnknownAliasError:
        if deployment is None:
            raise
        route = Route("", (), {}, None, simple=False)
    placement = await placing.place(call, route) if route.groups else Placement((), {})
    turns = list(_turns(route, placement, placing))
    if deployment is not None:
        turns = _only(config, deployment, call, turns)
    prompt = Lengths(config.deployments).prompt(call)
    try:
        msgspec.json.decode(bytes(call.body))
        lengths = [prompt.tokens(turn.leg) for turn in turns]
    except (InvalidRequestError, *MALFORMED):
        lengths = []
    prospects = [
        await prospect_of(
            turn, targets[turn.leg.deployment], call, prompt, length, placing.tariff(turn.leg)
        )
        for turn, length in zip_longest(turns, lengths)
    ]
    if call.endpoint == "messages" and asked(call.body) is not None:
        prospects = [_reviewed(config, route, each) for each in prospects]
    if call.endpoint == "messages":
        prospects = [_unless_strict(config, each) for each in prospects]
    matched: Literal["name", "pattern", ""] = "pattern" if "*" in route.alias else "name"
    return Explanation(
        call.model,
        call.endpoint,
        call.stream,
        route.alias,
        matched if route.alias else "",
        placement.session.rpartition(":")[2],
        tuple(_assumed(route, placement)),
        lengths[0] if lengths else None,
        tuple(prospects),
    )


def _unless_strict(config: Config, each: Prospect) -> Prospect:
    """Return what it would be sent, or why an alias that is strict does not let that be."""
    alias = config.aliases.get(each.alias)
    if alias is None or not alias.strict or each.changes is None or not each.changes.losses:
        return each
    problem = too_strict(each.changes.losses)
    return Prospect(
        each.deployment, each.provider, each.model, each.alias, each.role, each.why, problem
    )


def _reviewed(config: Config, route: Route, each: Prospect) -> Prospect:
    if each.changes is None:
        return each
    losses = each.changes.losses
    by = reviewed_by(config, route, each.deployment, each.model, losses)
    return replace(each, reviewed_by=by)


_ROLES: dict[Overflow, Role] = {
    "too_long": "when_too_long",
    "refused": "when_refused",
}


def _turns(route: Route, placement: Placement, placing: Placing) -> Iterator[Turn]:
    reasons = _reasons(route.groups, placing)
    for leg in placement.legs:
        fallback = f"fallback to {leg.alias}: " if leg.alias != route.alias else ""
        yield Turn(leg, "turn", fallback + reasons[leg])
    for overflow, legs in placement.reserves.items():
        reasons = _reasons(route.reserves[overflow], placing)
        # What has its turn anyway, in the same alias, stands above already.
        for leg in [each for each in legs if each not in placement.legs]:
            yield Turn(leg, _ROLES[overflow], f"stands by in {leg.alias}: {reasons[leg]}")


def _reasons(groups: Sequence[Group], placing: Placing) -> dict[Leg, str]:
    return {
        option.leg: _reason(group, option, placing) for group in groups for option in group.options
    }


def _reason(group: Group, option: Option, placing: Placing) -> str:
    """Say what gives an option its place among the others of its group."""
    if len(group.options) == 1:
        return "the only one"
    tier = [each for each in group.options if each.order == option.order]
    order = f"order {option.order}, " if len(tier) < len(group.options) else ""
    match group.strategy:
        case "listed":
            why = f"listed at place {option.place + 1}"
        case "weighted":
            total = sum(each.weight for each in tier)
            why = f"drawn by weight, {option.weight:g} of {total:g}"
        case "least_busy":
            why = "by the calls under way"
        case "lowest_latency":
            why = "by the time to the first byte"
        case "lowest_price":
            why = f"by price, {_price(placing.tariff(option.leg))}"
    return order + why


def _price(tariff: Tariff | None) -> str:
    if tariff is None:
        return "which is unknown"
    rates = tariff.at(0)
    return f"${rates.input:g} and ${rates.output:g} a million tokens"


def _only(config: Config, name: str, call: Call, turns: Sequence[Turn]) -> list[Turn]:
    """Return the one turn of a deployment; of several keys of one, that of each.

    Raises:
        InvalidRequestError: There is none of that name.
    """
    names = [each for each in config.deployments if name in (each, config.groups.get(each))]
    if not names:
        known = ", ".join(config.deployments)
        raise InvalidRequestError(f"no deployment is called {name}; there are: {known}")
    found = {turn.leg.deployment: turn for turn in reversed(turns)}
    return [
        found.get(each)
        or Turn(
            Leg(each, Match("*", call.model).model(config.deployments[each].model, call.model)),
            "turn",
            "asked for; no alias leads there from this model",
        )
        for each in names
    ]


def _assumed(route: Route, placement: Placement) -> Iterator[str]:
    strategies = {group.strategy for group in route.groups if len(group.options) > 1}
    if not route.simple:
        yield "every deployment is well, idle and below its limits"
    if placement.session:
        yield "the conversation is new: one that has a prompt cache stays where that is"
    if placement.bound.thread or placement.bound.container:
        yield "its thread or container is at the first deployment: it is asked nowhere else"
    if "weighted" in strategies or any(
        option.place == other.place
        for group in route.groups
        for option, other in zip(group.options, group.options[1:], strict=False)
    ):
        yield "the draw favours the heaviest; each call draws anew"
    if "lowest_latency" in strategies:
        yield "no deployment has been measured"
