"""The router: one path from a call to an upstream's answer, for both doors.

Resolve the alias, order its deployments, then do what the plan says: try, wait, go elsewhere, give
up.  The first real event of an answer commits: from there on it is the caller's, and is never
replaced by another deployment's.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import anyio
import msgspec

from llmroute.config import Config, load_dict, load_env, load_file
from llmroute.errors import (
    FaultError,
    InvalidRequestError,
    RejectedError,
    RequestError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.call import Call
from llmroute.messages.catalog import ModelInfo
from llmroute.messages.estimate import estimate
from llmroute.messages.message import Message
from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Observer, Outcome, Record
from llmroute.router.answer import Answer, Head
from llmroute.router.attempt import Target
from llmroute.router.options import Options
from llmroute.router.routes import Routes
from llmroute.router.stream import MessageStream
from llmroute.routing.plan import GiveUp, Plan, Try, Wait
from llmroute.transport import Body, Reply, Transport
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers

__all__ = ["Answer", "Head", "MessageStream", "Router"]

_RETRIES_IN_PROCESS = 2
"""Retries of one deployment where the policy names no number and the caller is Python code, which
does not retry by itself; as many as the Anthropic SDK makes."""

# What says nothing about the deployment.
_FAULTS_OF_THE_CALL = (RejectedError, UntranslatableError)

# RFC 9110, section 5.6.2, in lower case; and what ends a header before its end.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_BREAKS = re.compile(rb"[\r\n\0]")


class Router:
    """Sends Messages requests to the deployments of a configuration.

    Made once and shared; safe to use from many tasks of one event loop.  Close it, or use it as an
    async context manager.

    >>> import anyio
    >>> from llmroute.testing import FakeUpstream
    >>> async def main(url: str) -> str:
    ...     config = {
    ...         "deployments": {"one": {"provider": "anthropic", "base_url": url, "api_key": "k"}},
    ...         "aliases": {"claude-*": "one"},
    ...     }
    ...     async with Router.from_dict(config) as router:
    ...         message = await router.complete(
    ...             model="claude-haiku-4-5",
    ...             max_tokens=64,
    ...             messages=[{"role": "user", "content": "Name a river."}],
    ...         )
    ...     return message.deployment
    >>> with FakeUpstream() as upstream:
    ...     anyio.run(main, upstream.url)
    'one'
    """

    def __init__(
        self,
        config: Config,
        *,
        transport: Transport | None = None,
        observers: Sequence[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; nothing is opened before the first call.

        Args:
            config: What `llmroute.config` loaded.
            transport: Sends the requests, and is closed with the router; `HttpxTransport` if left
                out.
            observers: Told of every call when it is over.
            clock: Seconds that only ever grow.
            wall_clock: Seconds since 1970, for records.
            sleep: Waits between attempts.
            draw: A number in [0, 1), for drawing deployments by weight.
        """
        self.config = config
        self.observers = list(observers)
        self._transport = transport or _default_transport()
        self._clock = clock
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._routes = Routes(config, clock, draw)
        self._targets = {name: Target(name, d, clock) for name, d in config.deployments.items()}

    @classmethod
    def from_file(cls, path: str | Path, **options: Unpack[Options]) -> Self:
        """Load a YAML file, in LiteLLM's dialect or the native one.

        Raises:
            ConfigError: With every problem of the file.
        """
        return cls(load_file(path), **options)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **options: Unpack[Options]) -> Self:
        """Take a configuration that is a dictionary, of the shape such a file has.

        Raises:
            ConfigError: With every problem of it.
        """
        return cls(load_dict(data), **options)

    @classmethod
    def from_env(cls, **options: Unpack[Options]) -> Self:
        """Build aliases from the provider keys in the environment, `ANTHROPIC_API_KEY` say.

        Raises:
            ConfigError: There are none.
        """
        return cls(load_env(), **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def send(self, call: Call, *, retries: int = 0, otherwise: str | None = None) -> Answer:
        """Make attempts until an answer has begun.  Close the answer when done with it.

        Args:
            call: From either door.
            retries: Of one deployment, where the policy names no number.
            otherwise: The deployment that serves a model which no alias matches.

        Raises:
            UnknownAliasError: No alias matches.
            UpstreamError: No deployment answered; the most useful of what they said.
        """
        started = self._clock()
        record = Record(
            at=self._wall_clock(),
            endpoint=call.endpoint,
            stream=call.stream,
            key=call.key,
            session=call.session,
            agent=call.agent,
            asked=call.model,
        )

        def settle(outcome: Outcome, usage: Usage, error: str) -> None:
            record.outcome, record.usage, record.error = outcome, usage, error
            record.duration = self._clock() - started
            self.note(record)

        try:
            answer = await self._answer(call, record, retries, otherwise, settle)
        except RequestError as error:
            record.status = error.status
            settle("refused", Usage(), str(error))
            raise
        except UpstreamError as error:
            refused = isinstance(error, _FAULTS_OF_THE_CALL)
            counts = call.endpoint == "count_tokens" and not isinstance(error, RejectedError)
            estimated = _estimated(call, error, settle) if counts else None
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
        record.first_byte = self._clock() - started
        return answer

    async def forward(
        self,
        deployment: str,
        method: str,
        path: str,
        *,
        headers: Headers = (),
        body: Body = (),
        client_auth: Headers = (),
    ) -> Reply:
        """Send any request to a deployment's address, with its credential, and return its reply.

        For what is not a Messages request: files, batches. Nothing is retried.

        Args:
            deployment: Its name.
            method: The HTTP method.
            path: Below the deployment's `base_url`, with the query string.
            headers: As they go out, without a credential.
            body: As `Transport.send` takes it.
            client_auth: The caller's own credential, for a deployment that forwards it.

        Raises:
            UnreachableError: There is no answer.
        """
        target = self._targets[deployment]
        try:
            return await target.forward(method, path, headers, body, client_auth, self._transport)
        except UpstreamError as error:
            error.deployment, error.attempts = deployment, 1
            raise

    def note(self, record: Record) -> None:
        """Tell the observers of a call that is over."""
        for observer in self.observers:
            observer.record(record)

    async def _answer(
        self,
        call: Call,
        record: Record,
        retries: int,
        otherwise: str | None,
        settle: Callable[[Outcome, Usage, str], None],
    ) -> Answer:
        record.alias, models = self._routes.resolve(call.model, otherwise)
        policy = self.config.policy
        plan = Plan(list(models), policy, retries if policy.retries is None else policy.retries)
        while True:
            match plan.next():
                case Try(name):
                    record.deployment, record.model = name, models[name]
                    try:
                        answer = await self._targets[name].attempt(
                            call, models[name], self._transport, len(record.attempts) + 1, settle
                        )
                    except UpstreamError as error:
                        error.deployment = name
                        record.attempts.append(Attempt(name, str(error)))
                        error.attempts = len(record.attempts)
                        # One that does not count may well answer.
                        blameless = isinstance(error, _FAULTS_OF_THE_CALL)
                        if call.endpoint == "messages" and not blameless:
                            self._routes.cool(name, max(policy.cooldown, error.retry_after or 0.0))
                        plan.failed(error)
                    else:
                        record.attempts.append(Attempt(name))
                        return answer
                case Wait(seconds):
                    await self._sleep(seconds)
                case GiveUp(error):
                    error.attempts = len(record.attempts)
                    raise error

    async def complete(
        self,
        /,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int,
        headers: Mapping[str, str] | None = None,
        session: str = "",
        timeout: float | None = None,
        **members: Any,
    ) -> Message:
        """Return the whole answer to a Messages request.

        The parameters are the Messages API's own, https://docs.claude.com/en/api/messages, and
        open: a member we have never heard of goes through.  Those below are not members.

        Args:
            headers: For the upstream, `anthropic-beta` say.
            session: Groups the calls of one conversation.
            timeout: Seconds until the answer must begin.

        Raises:
            InvalidRequestError: A parameter has no JSON form.
            UnknownAliasError: No alias matches `model`.
            UpstreamError: No deployment answered.
        """
        members = {"model": model, "max_tokens": max_tokens, "messages": messages, **members}
        members.pop("stream", None)
        call = _call(members, headers, session=session, timeout=timeout)
        answer = await self.send(call, retries=_RETRIES_IN_PROCESS)
        await answer.aclose()
        head, data = answer.head, _decoded(answer)
        return Message(data, head.deployment, head.attempts, head.request_id)

    def stream(
        self,
        /,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int,
        headers: Mapping[str, str] | None = None,
        session: str = "",
        timeout: float | None = None,
        **members: Any,
    ) -> MessageStream:
        """Return the answer as a stream; the call is made when it is entered.

        Parameters and exceptions are those of `complete`; `timeout` also bounds each pause.
        """
        members = {"model": model, "max_tokens": max_tokens, "messages": messages, **members}
        members["stream"] = True
        call = _call(members, headers, stream=True, session=session, timeout=timeout)
        return MessageStream(lambda: self.send(call, retries=_RETRIES_IN_PROCESS))

    async def count_tokens(
        self,
        /,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> int:
        """Return how many input tokens a request has: the upstream's count, or an estimate.

        An upstream that cannot count gives way to an estimate that errs high.

        Raises:
            UnknownAliasError: No alias matches `model`.
            RejectedError: The upstream says that the request is wrong.
        """
        members = {"model": model, "messages": messages, **members}
        call = _call(members, headers, endpoint="count_tokens")
        answer = await self.send(call, retries=_RETRIES_IN_PROCESS)
        await answer.aclose()
        count = _decoded(answer).get("input_tokens")
        if not isinstance(count, int):
            raise _unusable(answer, "the answer holds no input_tokens")
        return count

    async def models(self) -> list[ModelInfo]:
        """Return the aliases one can ask for; a pattern stands for the known names it matches."""
        return self._routes.models()

    async def model(self, name: str) -> ModelInfo:
        """Return what is known of one alias.

        Raises:
            UnknownAliasError: No alias matches.
        """
        return self._routes.model(name)

    def serves(self, model: str) -> bool:
        """Tell whether an alias matches the name of a model."""
        return self._routes.serves(model)


def _default_transport() -> Transport:
    # Here and not at the top: the HTTP client takes longer to import than all of llmroute.
    from llmroute.transport.httpx import HttpxTransport

    return HttpxTransport()


def _call(members: Mapping[str, Any], headers: Mapping[str, str] | None, **rest: Any) -> Call:
    """Make a call of a Python caller's parameters; they are encoded once, here."""
    model = members["model"]
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model: a non-empty string is required")
    try:
        sent: Headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ]
    except UnicodeEncodeError:
        raise InvalidRequestError("headers: a value holds characters no header can carry") from None
    if not all(_NAME.fullmatch(name) and not _BREAKS.search(value) for name, value in sent):
        raise InvalidRequestError("headers: no header can have such a name, or a line break")
    return Call(Envelope.of(members), model, headers=sent, **rest)


def _decoded(answer: Answer) -> dict[str, Any]:
    """Read a whole answer, which is known to be an object; what is in it may still be malformed."""
    try:
        data: dict[str, Any] = msgspec.json.decode(answer.body)
    except MALFORMED as error:
        raise _unusable(answer, f"the answer is not valid JSON: {error}") from None
    return data


def _unusable(answer: Answer, why: str) -> FaultError:
    error = FaultError(why)
    error.deployment, error.attempts = answer.head.deployment, answer.head.attempts
    return error


def _estimated(
    call: Call, error: UpstreamError, settle: Callable[[Outcome, Usage, str], None]
) -> Answer | None:
    """Count by ourselves where the upstream does not: a client that gets no count may guess low.

    There is no count of a body that cannot be read to its end.
    """
    try:
        body = msgspec.json.decode(bytes(call.body))
    except MALFORMED:
        return None
    headers = [(b"content-type", b"application/json"), (b"x-llmroute-estimated", b"true")]
    return Answer(
        Head(200, headers, error.deployment, call.model, error.attempts),
        settle,
        body=msgspec.json.encode({"input_tokens": estimate(body)}),
    )
