"""The one path from a call to an upstream's answer, for both doors.

Resolve the alias, place the call, run its course, and note what became of it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import msgspec

from llmroute.errors import (
    InvalidRequestError,
    RejectedError,
    RequestError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.call import Call
from llmroute.messages.events import error_type
from llmroute.messages.safeguards import MEMBER
from llmroute.messages.usage import Usage
from llmroute.observe import Outcome, Record, call_id
from llmroute.observe.bodies import Taken
from llmroute.router.admission import Grant
from llmroute.router.answer import Answer, Head, Settle, watched
from llmroute.router.attempt import Target
from llmroute.router.course import Course, House, Means
from llmroute.router.health import Health
from llmroute.router.hedge import Hedges
from llmroute.router.lengths import Lengths
from llmroute.router.placing import Placing
from llmroute.router.routes import Route, Routes
from llmroute.router.safeguards import Reviews
from llmroute.routing.plan import Leg
from llmroute.wire.envelope import MALFORMED

__all__ = ["Dispatcher"]

# What says nothing about the deployment.
_FAULTS_OF_THE_CALL = (RejectedError, UntranslatableError)
# Tokens that an answer is taken to have before it is known; most of Claude Code's have fewer.
_USUAL_ANSWER = 1000
# Retries of a classifier: nobody else repeats its call.
_REVIEW = (1, 1)


def _named(head: Head, call: str, grant: Grant | None) -> Head:
    headers = head.headers if grant is None else grant.headed(head.headers)
    return head._replace(headers=headers, call=call)


class Dispatcher:
    """Makes the calls of one configuration.

    Attributes:
        house: What they share.
        routes: From names to deployments.
    """

    __slots__ = ("_note", "_reviews", "house", "routes")

    def __init__(self, means: Means, note: Callable[[Record], None], files: str | None) -> None:
        """Prepare.

        Args:
            means: What calls are made with.
            note: Told of every call when it is over.
            files: The deployment that uploads go to.
        """
        config, clock = means.config, means.clock
        self._note = note
        self.routes = Routes(config)
        health = Health(config, means.counters, means.wall_clock)
        self.house = House(
            means,
            {name: Target(name, each, clock) for name, each in config.deployments.items()},
            health,
            Placing(config, health, means.counters, means.wall_clock, means.draw, files),
            Lengths(config.deployments),
            Hedges(),
        )
        self._reviews = Reviews(config, lambda call: self.send(call, _REVIEW, None))

    async def send(self, call: Call, retries: tuple[int, int], otherwise: str | None) -> Answer:
        """Make attempts until an answer has begun; what becomes of it is noted when it is over.

        Args:
            call: From either door.
            retries: Of one deployment, where the policy names no number: if it is the only one,
                and if there are others.
            otherwise: The deployment that serves a model which no alias matches.

        Raises:
            UnknownAliasError: No alias matches.
            UpstreamError: No deployment answered; the most useful of what they said.
        """
        house, means = self.house, self.house.means
        started = means.clock()
        record = _record(call, means.wall_clock())
        grant: Grant | None = None
        taken: Taken | None = None

        def settle(outcome: Outcome, usage: Usage, error: str) -> None:
            record.outcome, record.usage, record.error = outcome, usage, error
            record.estimated = usage.estimated
            record.duration = means.clock() - started
            self._over(record, grant, taken)

        try:
            route = self.routes.resolve(call.model, otherwise)
            record.alias = route.alias
            if means.bodies is not None:
                taken = means.bodies.begin(call, route.alias)
            if means.admission is not None:
                quote = functools.partial(self._quote, call, route)
                grant = await means.admission.admit(call, route.alias, quote)
            placement = await house.placing.place(call, route)
            course = Course(house, call, route, placement, record, settle, started)
            answer = await course.run(retries)
        except RequestError as error:
            record.status, record.error_kind = error.status, error.type
            settle("refused", Usage(), str(error))
            raise
        except UpstreamError as error:
            refused = isinstance(error, _FAULTS_OF_THE_CALL)
            counts = call.endpoint == "count_tokens" and not isinstance(error, RejectedError)
            estimated = self._estimated(call, route, error, settle) if counts else None
            if grant is not None:
                error.headers = tuple(grant.bare(error.headers))
            if estimated is None:
                record.status = 200 if error.event else error.status
                record.error_kind = error.type or error_type(error.status)
                settle("refused" if refused else "failed", Usage(), str(error))
                raise
            answer = estimated
        except BaseException:
            # Cancelled: the caller went away while we were still trying, and got nothing.
            record.status = 499
            settle("cancelled", Usage(), "")
            raise
        record.status, record.losses = answer.head.status, answer.head.losses
        record.first_byte = means.clock() - started
        answer.head, answer.record = _named(answer.head, record.id, grant), record
        if call.endpoint == "messages" and MEMBER in call.body:
            await self._reviews.review(call, route, answer)
        return answer if taken is None else watched(answer, taken)

    def _over(self, record: Record, grant: Grant | None, taken: Taken | None) -> None:
        """Tell all who want to know it of a call that is over."""
        self._price(record)
        if grant is not None:
            grant.settle(record)
        self._note(record)
        if taken is not None:
            taken.over(record)

    def _price(self, record: Record) -> None:
        """Say who was paid, and how to find out what."""
        deployment = self.house.means.config.deployments.get(record.deployment)
        if deployment is not None:
            leg = Leg(record.deployment, record.model, record.alias)
            record.provider = deployment.seller
            record.tariff = functools.partial(self.house.placing.tariff, leg)

    def _quote(self, call: Call, route: Route) -> int | None:
        """Return what a call may cost at most likely, in micro-dollars, at the dearest deployment.

        `None` if nobody knows the price of any.  The prompt counts as written to the cache, where
        that costs more; of the answer, what is usual is counted and not what is allowed.
        """
        if call.endpoint != "messages":
            return 0
        prompt = call.rough_tokens
        asked = call.body.get("max_tokens", _USUAL_ANSWER)
        answer = min(asked, _USUAL_ANSWER) if isinstance(asked, int) else _USUAL_ANSWER
        dearest = -1.0
        for option in route.groups[0].options:
            if (tariff := self.house.placing.tariff(option.leg)) is not None:
                rates = tariff.at(prompt)
                quote = max(rates.input, rates.cache_write) * prompt + rates.output * answer
                dearest = max(dearest, quote)
        return None if dearest < 0 else math.ceil(dearest)

    def _estimated(
        self, call: Call, route: Route, error: UpstreamError, settle: Settle
    ) -> Answer | None:
        """Count by ourselves where the upstream does not: who gets no count may guess low.

        It is the highest of what the alias's own deployments would make of it.  There is no count
        of a body that cannot be read to its end.
        """
        prompt = self.house.lengths.prompt(call)
        try:
            msgspec.json.decode(bytes(call.body))
            count = max(prompt.tokens(option.leg) for option in route.groups[0].options)
        except (InvalidRequestError, *MALFORMED):
            return None
        headers = [(b"content-type", b"application/json"), (b"x-llmroute-estimated", b"true")]
        return Answer(
            Head(200, headers, error.deployment, call.model, error.attempts),
            settle,
            body=msgspec.json.encode({"input_tokens": count}),
        )


def _record(call: Call, at: float) -> Record:
    """Begin to write a call down."""
    record = Record(
        at=at,
        id=call_id(),
        endpoint=call.endpoint,
        stream=call.stream,
        session=call.session,
        agent=call.agent,
        parent=call.parent,
        kind=call.kind,
        client=call.client,
        trace=call.trace,
        trace_state=call.trace_state,
        asked=call.model,
    )
    record.name(call.sender)
    if call.tags:
        record.tags = tuple(dict.fromkeys((*record.tags, *call.tags)))
    return record
