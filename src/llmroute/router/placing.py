"""Where a call goes: which deployments, in which order, and what going elsewhere would cost.

The state is read once, in one trip; the decisions are `llmroute.routing`'s, which know no state.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import anyio

from llmroute import pricing
from llmroute.config import Config
from llmroute.errors import RateLimitedError, RejectedError
from llmroute.messages.bound import Bound, bound, thread_unsupported
from llmroute.messages.call import Call
from llmroute.messages.catalog import facts
from llmroute.messages.events import error_body
from llmroute.messages.usage import Usage
from llmroute.pricing import Rates, Tariff
from llmroute.router.health import Health, View
from llmroute.router.routes import Group, Option, Route
from llmroute.router.tariffs import base_model, tariff_of
from llmroute.routing.affinity import Pin, choose, session_key
from llmroute.routing.plan import Leg
from llmroute.routing.remedies import Overflow
from llmroute.routing.select import Candidate, order
from llmroute.stores import Counters

__all__ = ["Placement", "Placing", "thread_refused"]

# No prompt cache lives longer.
_PINNED: Final = 3600.0  # seconds
# How long it is known where a thread or a container is; longer than a working day.
_BOUND: Final = 86_400.0
# Characters of a name in a key; clients choose names.
_LONGEST: Final = 200


class Placement(NamedTuple):
    """Where one call goes.

    Attributes:
        legs: In the order in which they are to be tried.
        reserves: Where to go on if the model cannot, or will not, answer such a request.
        moving: Micro-dollars that it costs more to ask another than the first.
        why: What was weighed, and who was passed over, a line each.
        full: What those passed over at their limit would be answered with; `None` if none was.
        view: The state it rests on; `None` if there was nothing to decide.
        session: The key under which the conversation's place is kept; empty if it is not.
        pin: Where the conversation was; `None` if that is not known.
        bound: What of the conversation lives at one deployment.
    """

    legs: Sequence[Leg]
    reserves: Mapping[Overflow, Sequence[Leg]]
    moving: int = 0
    why: tuple[str, ...] = ()
    full: RateLimitedError | None = None
    view: View | None = None
    session: str = ""
    pin: Pin | None = None
    bound: Bound = Bound()


class Placing:
    """Places the calls of a configuration."""

    __slots__ = (
        *("_clock", "_config", "_counters", "_day", "_draw", "_files", "_health"),
        "_tariffs",
    )

    def __init__(
        self,
        config: Config,
        health: Health,
        counters: Counters,
        clock: Callable[[], float],
        draw: Callable[[], float],
        files: str | None,
    ) -> None:
        """Prepare.

        Args:
            config: Of which deployments.
            health: How they are.
            counters: Where conversations and what is bound are remembered.
            clock: Seconds since 1970.
            draw: A number in [0, 1).
            files: The deployment that uploads go to.
        """
        self._config = config
        self._health = health
        self._counters = counters
        self._clock = clock
        self._draw = draw
        self._files = files
        self._tariffs: dict[Leg, Tariff | None] = {}
        self._day = 0

    async def place(self, call: Call, route: Route) -> Placement:
        """Decide on the order for one call.

        Raises:
            RateLimitedError: Every deployment is at a limit that the configuration sets it.
            RejectedError: The conversation lives at a deployment that is not among them.
        """
        if route.simple:
            return Placement([route.groups[0].options[0].leg], {})
        held = bound(call.body)
        session = self._session(call, route)
        ids = [each for each in (held.thread, held.container) if each]
        names = list(dict.fromkeys(option.leg.deployment for option in route.options()))
        keys = [*map(_bound, ids), *([session] if session else [])]
        view = await self._health.look(names, keys)
        pin = Pin.from_bytes(value) if session and (value := view.values[-1]) is not None else None
        if not pricing.loaded() and (pin is not None or _is_priced(route)):
            await anyio.to_thread.run_sync(pricing.load)
        owners = [value.decode() for value in view.values[: len(ids)] if value is not None]
        if held.files and self._files in names:
            owners.append(self._files)
        placement = self.ordered(route, view, pin)
        if ids or owners:
            placement = placement._replace(legs=_of_owner(placement.legs, owners, held))
            if held.thread:
                # Nobody else has it.
                placement = placement._replace(reserves={})
            if owners and not held.thread and all(owner in view.full for owner in owners):
                raise _at_limit(route.alias, view)
        return placement._replace(view=view, session=session, bound=held)

    def ordered(self, route: Route, view: View, pin: Pin | None) -> Placement:
        """Order a route's deployments by what is known, without asking anyone.

        Raises:
            RateLimitedError: Every one is at its limit.
        """
        ready: list[Leg] = []
        cooling: list[Leg] = []
        moving, now = 0, self._clock()
        why: list[str] = []
        for group in route.groups:
            legs = self._order(group, view)
            well = [name for name in legs if not self._cools(name, view, now)]
            if pin is not None and len(legs) > 1:
                turn = {option.leg.deployment: option.order for option in group.options}
                first = min((turn[name] for name in well), default=0)
                equals = [name for name in well if turn[name] == first]
                choice = choose(list(legs), equals, pin, self._rates(legs.values(), pin), now)
                legs = {name: legs[name] for name in choice.names}
                if not ready:
                    moving = choice.moving
                    why += [choice.why] if choice.why else []
            ready += [leg for name, leg in legs.items() if name in well]
            cooling += [leg for name, leg in legs.items() if name not in well]
        full = _at_limit(route.alias, view) if view.full else None
        if full is not None and not (ready or cooling):
            raise full
        why += [f"{name} is at its limit" for name in view.full]
        for leg in cooling:
            rest = view.cooldowns[leg.deployment].until - now
            why.append(f"{leg.deployment} is left alone for {rest:.0f} s more")
        reserves = {
            why_: [leg for group in groups for leg in self._order(group, view).values()]
            for why_, groups in route.reserves.items()
        }
        return Placement([*ready, *cooling], reserves, moving, tuple(why), full, pin=pin)

    def _session(self, call: Call, route: Route) -> str:
        settings = route.settings
        wanted = self._config.policy.affinity
        if settings is not None and settings.affinity is not None:
            wanted = settings.affinity
        if not wanted or call.endpoint != "messages":
            return ""
        key = session_key(call)
        # Nobody moves the conversations of another key, whatever session it names.
        return f"pin:{call.sender.key}:{call.model[:_LONGEST]}:{key}" if key else ""

    def _order(self, group: Group, view: View) -> dict[str, Leg]:
        """Return the group's legs, by deployment, but for those at their limit."""
        options = {
            option.leg.deployment: option
            for option in group.options
            if option.leg.deployment not in view.full
        }
        if len(options) == 1:
            return {name: option.leg for name, option in options.items()}
        names = order(
            [self._candidate(option, view, group.strategy) for option in options.values()],
            group.strategy,
            [self._draw() for _ in options],
        )
        return {name: options[name].leg for name in names}

    def _candidate(self, option: Option, view: View, strategy: str) -> Candidate:
        name = option.leg.deployment
        return Candidate(
            name,
            option.order,
            option.place,
            option.weight,
            cooling=self._cools(name, view, self._clock()),
            busy=self._health.busy(name),
            latency=self._health.latency(name) if strategy == "lowest_latency" else None,
            price=self._price(option.leg) if strategy == "lowest_price" else None,
        )

    @staticmethod
    def _cools(name: str, view: View, now: float) -> bool:
        found = view.cooldowns.get(name)
        return found is not None and found.cooling(now)

    def tariff(self, leg: Leg) -> Tariff | None:
        """Return what a model costs at a deployment; `None` if nobody knows.

        The first call may read a price list, which takes a third of a second: `pricing.load()`.
        """
        day, known = int(self._clock() // 86_400), self._tariffs
        # A list may know of a price that changes.  Threads ask as well, so nothing is taken away
        # from what one of them holds.
        if day != self._day or len(known) >= _MOST_TARIFFS:
            self._tariffs = known = {}
            self._day = day
        if leg not in known:
            date = dt.datetime.fromtimestamp(day * 86_400, dt.UTC).date()
            known[leg] = tariff_of(self._config, leg.deployment, leg.model, date)
        return known[leg]

    def _price(self, leg: Leg) -> float | None:
        found = self.tariff(leg)
        if found is None:
            return None
        rates = found.at(0)
        return rates.input + rates.output

    def _rates(self, legs: Iterable[Leg], pin: Pin) -> dict[str, Rates]:
        tokens = max((cache.tokens for cache in pin.caches.values()), default=0)
        return {
            leg.deployment: found.at(tokens)
            for leg in legs
            if (found := self.tariff(leg)) is not None
        }

    def realm(self, leg: Leg) -> str:
        """Return who can read the thinking of a model there: all Claudes, or one vendor's own.

        Claude's API leaves out by itself what another organisation's Claude has thought; it
        refuses what is no Claude's.
        """
        settings = self._config.deployments[leg.deployment]
        if facts(base_model(settings) or leg.model) is not None:
            return "claude"
        return settings.base_url or settings.provider

    def answered(
        self,
        placement: Placement,
        leg: Leg,
        usage: Usage,
        *,
        messages: int,
        sent: float,
        unread: bool,
    ) -> None:
        """Remember where a conversation is now.

        Args:
            placement: Of the call.
            leg: The one that answered.
            usage: What it used.
            messages: How many messages the request had.
            sent: When it was sent, in seconds since 1970.
            unread: The thinking before them was refused, and left out.
        """
        if not placement.session:
            return
        realm = self.realm(leg)
        pin = placement.pin or Pin()
        if unread:
            pin = pin.without_thinking_before(messages)
        pin = pin.answered(leg.deployment, usage, realm=realm, messages=messages, now=sent)
        self._counters.put(placement.session, pin.to_bytes(), _PINNED)

    def bind(self, identity: str, leg: Leg) -> None:
        """Remember that a thread or a container lives at a deployment."""
        self._counters.put(_bound(identity), leg.deployment.encode(), _BOUND)


# As many as the legs of the largest configuration; of names that clients chose, none pile up.
_MOST_TARIFFS = 10_000


def _is_priced(route: Route) -> bool:
    """Tell whether prices are looked at, though the conversation is not known."""
    hedged = route.settings is not None and route.settings.hedge is not None
    return hedged or any(group.strategy == "lowest_price" for group in route.groups)


def _bound(identity: str) -> str:
    return f"bound:{identity[:_LONGEST]}"


def _of_owner(legs: Sequence[Leg], owners: Sequence[str], held: Bound) -> Sequence[Leg]:
    """Keep to the deployment where the conversation lives; or, if that is unknown, to one.

    Raises:
        RejectedError: Its thread lives at a deployment that is not among them.
    """
    there = [leg for leg in legs if leg.deployment in owners]
    if owners and held.thread and not there:
        raise thread_refused()
    return there[:1] or legs[:1]


def thread_refused() -> RejectedError:
    """Refuse to continue a thread whose deployment does not answer.

    Claude Code then sends the whole conversation, which any deployment can answer.
    """
    return RejectedError(
        "the deployment that holds this thread does not answer",
        status=400,
        headers=[_JSON],
        body=thread_unsupported(),
        code="thread_unsupported_request",
        type="invalid_request_error",
    )


_JSON = (b"content-type", b"application/json")


def _at_limit(alias: str, view: View) -> RateLimitedError:
    seconds = min(view.full.values())
    message = (
        f"{alias or 'this model'} is at its limit (rpm, tpm or max_parallel_requests of "
        f"{', '.join(view.full)} in the configuration); try again in {math.ceil(seconds)} s"
    )
    return RateLimitedError(
        message,
        status=429,
        headers=[_JSON, (b"retry-after", str(math.ceil(seconds)).encode())],
        body=error_body("rate_limit_error", message),
        retry_after=seconds,
    )
