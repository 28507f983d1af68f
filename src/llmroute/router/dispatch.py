"""The one path from a call to an upstream's answer, for both doors.

Resolve the alias, place the call, run its course, and note what became of it.
"""

from __future__ import annotations

import functools
import math
import secrets
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
from llmroute.messages.safeguards import MEMBER
from llmroute.messages.usage import Usage
from llmroute.observe import Outcome, Record
from llmroute.router.admission import Grant
from llmroute.router.answer import Answer, Head, Settle
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
        record = Record(
            at=means.wall_clock(),
            id=f"call_{secrets.token_hex(10)}",
            endpoint=call.endpoint,
            stream=call.stream,
            session=call.session,
            agent=call.agent,
            parent=call.parent,
            kind=call.kind,
            client=call.client,
            asked=call.model,
        )
        record.name(call.sender)
        grant: Grant | None = None

        def settle(outcome: Outcome, usage: Usage, error: str) -> None:
            record.outcome, record.usage, record.error = outcome, usage, error
            record.duration = means.clock() - started
            self._price(record)
            if grant is not None:
                grant.settle(record)
            self._note(record)

        try:
            route = self.routes.resolve(call.model, otherwise)
            record.alias = route.alias
            if means.admission is not None:
                quote = functools.partial(self._quote, call, route)
                grant = await means.admission.admit(call, route.alias, quote)
            placement = await house.placing.place(call, route)
            course = Course(house, call, route, placement, record, settle, started)
            answer = await course.run(retries)
        except RequestError as error:
            record.status = error.status
            settle("refused", Usage(), str(error))
            raise
        except UpstreamError as error:
            refused = isinstance(error, _FAULTS_OF_THE_CALL)
            counts = call.endpoint == "count_tokens" and not isinstance(error, RejectedError)
            estimated = self._estimated(call, route, error, settle) if counts else None
            if estimated is None:
                record.status = 200 if error.event else error.status
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
        if grant is not None:
            answer.head = answer.head._replace(headers=grant.headed(answer.head.headers))
        if call.endpoint == "messages" and MEMBER in call.body:
            await self._reviews.review(call, route, answer)
        return answer

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
        tariffs = (self.house.placing.tariff(each.leg) for each in route.groups[0].options)
        prompt = call.rough_tokens
        rates = [tariff.at(prompt) for tariff in tariffs if tariff is not None]
        asked = call.body.get("max_tokens", _USUAL_ANSWER)
        answer = min(asked, _USUAL_ANSWER) if isinstance(asked, int) else _USUAL_ANSWER
        quotes = (max(r.input, r.cache_write) * prompt + r.output * answer for r in rates)
        return math.ceil(max(quotes)) if rates else None

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
