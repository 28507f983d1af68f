"""The course of one call: what its plan says, done step by step.

Try, wait, go elsewhere, give up.  The first content of an answer commits: from there on it is the
caller's, and is never replaced by another deployment's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from llmroute.config import Config
from llmroute.errors import (
    RateLimitedError,
    RejectedError,
    Remedy,
    StreamBrokenError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.call import Call
from llmroute.messages.events import error_type
from llmroute.messages.thinking import messages_of, refuses_thinking, without_thinking
from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Outcome, Record
from llmroute.observe.bodies import Bodies
from llmroute.router.admission import Admission
from llmroute.router.answer import Answer, Settle
from llmroute.router.attempt import Target, Terms
from llmroute.router.health import Health
from llmroute.router.hedge import Hedges, first_of
from llmroute.router.lengths import Lengths
from llmroute.router.placing import Placement, Placing, thread_refused
from llmroute.router.routes import Route
from llmroute.routing.plan import GiveUp, Leg, Plan, Try, Wait
from llmroute.stores import Counters
from llmroute.translate.reasoning import without_reasoning
from llmroute.transport import Transport

__all__ = ["Course", "House", "Means"]

# What a plan calls the thinking of earlier turns, when it is to be left out.
_THINKING: Final = "thinking of earlier turns"
_ALL: Final[tuple[tuple[int, int | None], ...]] = ((0, None),)


class Means(NamedTuple):
    """What calls are made with; `llmroute.Router` says what each of them is for."""

    config: Config
    transport: Transport
    counters: Counters
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    draw: Callable[[], float]
    admission: Admission | None = None
    bodies: Bodies | None = None


class House(NamedTuple):
    """What all calls of one configuration share.

    Attributes:
        means: What they are made with.
        targets: The deployments, by name.
        health: How they are.
        placing: Where calls go.
        lengths: How long their prompts are.
        hedges: Which of them are made twice.
    """

    means: Means
    targets: Mapping[str, Target]
    health: Health
    placing: Placing
    lengths: Lengths
    hedges: Hedges


class Course:
    """The course of one call: its plan, and what has come of it so far."""

    __slots__ = (
        "_answer",
        "_call",
        "_fell_to",
        "_house",
        "_placement",
        "_plan",
        "_prompt",
        "_record",
        "_refusal",
        "_route",
        "_settle",
        "_started",
    )

    def __init__(
        self,
        house: House,
        call: Call,
        route: Route,
        placement: Placement,
        record: Record,
        settle: Settle,
        started: float,
    ) -> None:
        self._house = house
        self._call = call
        self._route = route
        self._placement = placement
        self._prompt = house.lengths.prompt(call)
        self._record = record
        self._settle = settle
        self._started = started
        self._answer: Answer | None = None
        self._refusal: Answer | None = None
        self._fell_to = route.alias
        self._plan: Plan

    async def run(self, retries: tuple[int, int]) -> Answer:
        """Follow the plan to its end."""
        house, placement = self._house, self._fitting()
        policy = house.means.config.policy
        several = len(placement.legs) > 1
        self._plan = plan = Plan(
            placement.legs,
            policy,
            retries[several] if policy.retries is None else policy.retries,
            self._started,
            reserves=placement.reserves,
            moving=placement.moving,
            total=max(self._total(leg) or math.inf for leg in placement.legs),
        )
        self._record.why = plan.notes
        plan.notes += placement.why
        if placement.full is not None:
            plan.passed_over(placement.full)
        try:
            while True:
                match plan.next(house.means.clock()):
                    case Wait(seconds):
                        await house.means.sleep(seconds)
                    case GiveUp(error):
                        return self._end_of(error)
                    case Try(leg, _) if self._record.attempts and self._rest(leg) == 0:
                        return self._end_of(plan.stop().error)
                    case Try(leg, without):
                        answer = await self._try(leg, without)
                        if answer is not None and not self._goes_on_after(answer):
                            self._answer = answer
                            return answer
        finally:
            if self._refusal is not None:
                await self._let_go_of(self._refusal)
            # An answer holds on to its course until it is over, and need not to the request.
            del self._call, self._prompt

    def _fitting(self) -> Placement:
        """Leave out the deployments that the prompt is surely too long for, if there are others."""
        placement = self._placement
        if len(placement.legs) < 2:
            return placement
        legs = [leg for leg in placement.legs if self._prompt.overflow(leg) is None]
        if not legs or len(legs) == len(placement.legs):
            return placement
        left = (f"{leg.deployment}: too long for it" for leg in placement.legs if leg not in legs)
        moving = placement.moving if legs[0] == placement.legs[0] else 0
        return placement._replace(legs=legs, moving=moving, why=(*placement.why, *left))

    async def _let_go_of(self, refusal: Answer) -> None:
        """Close what a model refused to answer; with the answer, if the caller goes away now."""
        try:
            await refusal.aclose()
        except BaseException:
            if self._answer is not None:
                await self._answer.aclose()
            raise

    def _end_of(self, error: UpstreamError) -> Answer:
        """Return what a model refused to answer, if nobody did better; else raise the error."""
        if (refusal := self._refusal) is not None:
            self._refusal, self._answer = None, refusal
            return refusal
        error.attempts = len(self._record.attempts)
        raise error

    def _goes_on_after(self, answer: Answer) -> bool:
        """Tell whether another model is asked, because this one refuses to answer."""
        if not answer.refused or not self._plan.refused():
            return False
        self._refusal = answer
        return True

    async def _try(self, leg: Leg, without: frozenset[str]) -> Answer | None:
        """Make one attempt, or two at once; return `None` if it failed, which has been noted."""
        health, view, name = self._house.health, self._placement.view, leg.deployment
        if self._record.attempts and (full := await health.full(name)):
            # It had room when the call was placed, and so had it for all the others that failed.
            self._plan.notes.append(f"{name} is at its limit")
            self._plan.failed(full, self._house.means.clock(), leg=leg)
            return None
        if leg.alias != self._fell_to:
            self._fell_to = leg.alias
            self._plan.notes.append(f"falls back to {leg.alias}")
        if (overflow := self._prompt.overflow(leg)) is not None:
            self._record.deployment, self._record.model = leg.deployment, leg.model
            self._plan.failed(overflow, self._house.means.clock(), leg=leg)
            return None
        counts = self._call.endpoint == "messages"
        if view is None or not counts or not health.on_trial(name, view):
            return await self._ask(leg, without)
        if not await health.may_try(name):
            self._plan.notes.append(f"{name}: another call finds out whether it is well")
            return None if self._plan.put_off() else await self._ask(leg, without)
        try:
            return await self._ask(leg, without)
        finally:
            health.tried(name)

    async def _ask(self, leg: Leg, without: frozenset[str]) -> Answer | None:
        """Make one attempt, and perhaps another one beside it."""
        house, settings = self._house, self._route.settings
        hedge = None if settings is None else settings.hedge
        if hedge is None or self._record.attempts or not house.hedges.allows(hedge, self._call):
            return await self._attempt(leg, without)

        async def beside() -> Answer | None:
            ahead, view = self._plan.ahead, self._placement.view
            if ahead is None or (view is not None and ahead.deployment in view.cooldowns):
                # Who failed a moment ago is no help to a call that may well be answered.
                return None
            tariff = house.placing.tariff(ahead)
            if not house.hedges.pays(hedge, self._call, tariff):
                return None
            if (spare := self._plan.spare()) is None:
                return None
            self._plan.notes.append(f"hedged with {spare.deployment} after {hedge.after:g} s")
            return await self._attempt(spare, frozenset())

        return await first_of(
            lambda: self._attempt(leg, without), beside, lambda: house.means.sleep(hedge.after)
        )

    async def _attempt(self, leg: Leg, without: frozenset[str]) -> Answer | None:
        house, record, name = self._house, self._record, leg.deployment
        record.deployment, record.model = leg.deployment, leg.model
        call, messages = self._readable(leg, without)
        if shown := self._prompt.shown(leg):
            call = dataclasses.replace(call, input_tokens=shown)
        learn = self._prompt.lesson(leg, shown)
        tokens = call.rough_tokens
        began, sent = house.means.clock(), house.means.wall_clock()
        counts = call.endpoint == "messages"
        house.health.begin(name, tokens, counts=counts)
        try:
            answer = await house.targets[name].attempt(
                call,
                leg.model,
                house.means.transport,
                self._terms(leg),
                lambda *how: over(*how),  # noqa: PLW0108 - which is to be defined yet
            )
        except UpstreamError as error:
            house.health.end(name, -tokens, counts=counts)
            self._failed(leg, error, house.means.clock() - began)
            return None
        except BaseException:
            house.health.end(name, counts=counts)
            raise
        took = house.means.clock() - began
        if counts:
            house.health.answered(name, took)
        since, seller = began - self._started, house.means.config.deployments[name].seller
        record.attempts.append(
            Attempt(name, seconds=took, began=since, provider=seller, model=leg.model)
        )
        unread = _THINKING in without
        opens = self._placement.bound.opens_thread or bool(self._placement.bound.thread)
        # What follows lives as long as the answer: it takes nothing of the request along.
        placement, settle = self._placement, self._settle

        def over(outcome: Outcome, usage: Usage, error: str) -> None:
            house.health.end(name, _used(usage) - tokens, counts=counts)
            if outcome == "broken":
                house.health.broken(name, StreamBrokenError(error))
            elif outcome == "answered" and counts:
                house.health.finished(name)
            if counts and usage.data:
                learn(usage)
                house.placing.answered(
                    placement, leg, usage, messages=messages, sent=sent, unread=unread
                )
            if opens and answer.id:
                house.placing.bind(answer.id, leg)
            if placement.view is not None and answer.container:
                house.placing.bind(answer.container, leg)
            # A call is over once, though another answer to it may have been let go of.
            if answer is self._answer:
                record.deployment, record.model = leg.deployment, leg.model
                settle(outcome, _with_prompt(usage, shown or tokens), error)

        return answer

    def _readable(self, leg: Leg, without: frozenset[str]) -> tuple[Call, int]:
        """Leave out the thinking that the deployment cannot read; return the messages' number too.

        They are counted only where it is of use.
        """
        call, pin = self._call, self._placement.pin
        if _THINKING in without and call.spoken is not None:
            body = without_reasoning(call.spoken.body)
            call = dataclasses.replace(call, spoken=dataclasses.replace(call.spoken, body=body))
        if not self._placement.session:
            if _THINKING in without:
                call = dataclasses.replace(call, body=without_thinking(call.body, _ALL))
            return call, 0
        realm = self._house.placing.realm(leg)
        if _THINKING in without:
            ranges = _ALL
        elif pin is not None and pin.differs(realm):
            ranges = pin.foreign(realm)
        else:
            return call, 0
        messages = messages_of(call.body)
        body = without_thinking(call.body, ranges)
        if body is not call.body:
            self._plan.notes.append(f"{leg.deployment}: thinking it cannot read is left out")
            call = dataclasses.replace(call, body=body)
        return call, messages

    def _terms(self, leg: Leg) -> Terms:
        settings, attempts = self._route.settings, len(self._record.attempts) + 1
        return Terms(settings, attempts, self._plan.elsewhere, self._rest(leg))

    def _rest(self, leg: Leg) -> float | None:
        """Return the seconds that are left of the call's total; `None` without a limit."""
        total = self._total(leg)
        now = self._house.means.clock()
        return None if total is None else max(total - (now - self._started), 0.0)

    def _total(self, leg: Leg) -> float | None:
        settings = self._route.settings
        if settings is not None and settings.total_timeout is not None:
            return settings.total_timeout
        return self._house.means.config.deployments[leg.deployment].total_timeout

    def _failed(self, leg: Leg, error: UpstreamError, took: float) -> None:
        house, record, call = self._house, self._record, self._call
        error.deployment = leg.deployment
        error.is_the_callers = self._is_the_callers(leg, error)
        self._prompt.count_in(error, leg)
        record.attempts.append(
            Attempt(
                leg.deployment,
                str(error),
                error.status,
                took,
                error.type or error_type(error.status),
                house.means.clock() - self._started - took,
                house.means.config.deployments[leg.deployment].seller,
                leg.model,
            )
        )
        error.attempts = len(record.attempts)
        several = not self._route.simple
        if several and isinstance(error, RejectedError) and refuses_thinking(str(error)):
            error.refused |= {_THINKING}
        rule = self._plan.failed(error, house.means.clock(), house.means.draw(), leg)
        # One that counts may not answer, and one that does not may: each has limits of its own.
        if call.endpoint == "count_tokens":
            pass
        elif isinstance(error, RejectedError) and rule.remedy not in _GONE:
            house.health.reached(leg.deployment, took)
        elif not isinstance(error, UntranslatableError) and not error.is_the_callers:
            house.health.failed(leg.deployment, error, rule)
        if self._placement.bound.thread and several and rule.remedy in _GONE:
            raise thread_refused()

    def _is_the_callers(self, leg: Leg, error: UpstreamError) -> bool:
        """Tell whether it was the caller's own credential that was refused, or has had its fill.

        Other callers bring theirs.
        """
        settings = self._house.means.config.deployments[leg.deployment]
        brought = settings.forward_client_auth and bool(self._call.client_auth)
        return brought and (isinstance(error, RateLimitedError) or error.status in _OF_A_CREDENTIAL)


_OF_A_CREDENTIAL = (401, 402, 403)
_GONE = (Remedy.TIME, Remedy.ELSEWHERE)


def _with_prompt(usage: Usage, tokens: int) -> Usage:
    """Guess the prompt too, where the answer was let go of before the upstream told anything."""
    input_, _, read, written = usage.counts
    if not usage.estimated or input_ or read or written:
        return usage
    return dataclasses.replace(usage, input_tokens=tokens)


def _used(usage: Usage) -> int:
    """Return the tokens that count against a limit: those read from a cache do not."""
    return usage.input_tokens + usage.cache_creation_input_tokens + usage.output_tokens
