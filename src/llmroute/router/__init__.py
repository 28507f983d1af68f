"""The router: Messages requests in, answers out, over the deployments of a configuration."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import anyio
import msgspec

from llmroute.config import Config, load_dict, load_env, load_file
from llmroute.errors import (
    FaultError,
    InvalidRequestError,
    UnknownSubjectError,
    UpstreamError,
)
from llmroute.messages.call import Call, Sender
from llmroute.messages.catalog import ModelInfo
from llmroute.observe import Observer, Record
from llmroute.observe.bodies import Bodies
from llmroute.providers import PROVIDERS
from llmroute.providers.anthropic import AnthropicDeployment
from llmroute.router.admission import Admission, Grant
from llmroute.router.answer import Answer, Head
from llmroute.router.course import Means
from llmroute.router.dispatch import Dispatcher
from llmroute.router.explain import Explanation, explained
from llmroute.router.health import DeploymentState, Glimpse
from llmroute.router.message import Message
from llmroute.router.options import Options
from llmroute.router.stream import MessageStream
from llmroute.stores import Counters, open_counters
from llmroute.transport import Body, Reply, Transport
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers

if TYPE_CHECKING:
    from llmroute.ledger import Ledger

__all__ = [
    "Admission",
    "Answer",
    "DeploymentState",
    "Explanation",
    "Glimpse",
    "Grant",
    "Head",
    "MessageStream",
    "Router",
]

# Retries of one deployment where the policy names no number: if it is the only one, and if there
# are others. Python code does not retry by itself, so as many as the Anthropic SDK makes.
_IN_PROCESS = (2, 2)
# A client over HTTP does, and would multiply ours.
_OVER_HTTP = (0, 1)

# RFC 9110, section 5.6.2, in lower case; and what ends a header before its end.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_BREAKS = re.compile(rb"[\r\n\0]")


class Router:
    """Sends Messages requests to the deployments of a configuration.

    Made once and shared; safe to use from many tasks of one event loop.  Close it, or use it as an
    async context manager.

    >>> import anyio
    >>> from llmroute.testing import FakeUpstream
    >>> async def main(url: str) -> None:
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
    ...     print(message.deployment, message.cost, "micro-dollars")
    >>> with FakeUpstream() as upstream:
    ...     anyio.run(main, upstream.url)
    one 42 micro-dollars

    Attributes:
        config: What it was made with.
        observers: Told of every call when it is over.
        ledger: Keeps keys, budgets and usage where the configuration asks for it; closed with it.
    """

    def __init__(
        self,
        config: Config,
        *,
        transport: Transport | None = None,
        counters: Counters | None = None,
        observers: Sequence[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        draw: Callable[[], float] = random.random,
        admission: Admission | None = None,
        bodies: Bodies | None = None,
    ) -> None:
        """Prepare; nothing is opened before the first call.

        Args:
            config: What `llmroute.config` loaded.
            transport: Sends the requests, and is closed with the router; `HttpxTransport` if left
                out.
            counters: What is known of the deployments and the conversations, and is closed with
                the router; as the configuration's `store` says if left out.
            observers: Told of every call when it is over.
            clock: Seconds that only ever grow.
            wall_clock: Seconds since 1970, for records and for what proxies share.
            sleep: Waits between attempts.
            draw: A number in [0, 1), for drawing deployments and for jitter.
            admission: Says which calls may be made; if left out, a ledger does where the
                configuration has a `database`, budgets, limits or guards.
            bodies: Writes down what is asked and answered.

        Raises:
            ConfigError: The configuration's store cannot be opened.
        """
        self.config = config
        self.observers = list(observers)
        if counters is None:
            counters = _opened(config, wall_clock)
        self.ledger: Ledger | None = None
        if admission is None and (url := _ledger_url(config)) is not None:
            # Imported here: SQLAlchemy takes its time, and most programs need none of it.
            from llmroute.ledger import Ledger

            self.ledger = admission = Ledger.opening(config, url)
            self.observers.append(self.ledger)
        self._means = Means(
            config,
            transport or _default_transport(),
            counters,
            clock=clock,
            wall_clock=wall_clock,
            sleep=sleep,
            draw=draw,
            admission=admission,
            bodies=bodies,
        )
        self._dispatcher = Dispatcher(self._means, self.note, self.pass_through)

    def reconfigured(self, config: Config) -> Router:
        """Return a router for another configuration that goes on where this one is.

        They share the transport, the observers and what is known of the deployments; this one may
        still end its calls, and closing either closes both.
        """
        shared = self._means._asdict()
        del shared["config"]
        router = Router(config, **shared)
        router.observers, router.ledger = self.observers, self.ledger
        router._dispatcher.house.health.inherit(self._dispatcher.house.health)
        return router

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
        await self._means.transport.aclose()
        await self._means.counters.aclose()
        if self.ledger is not None:
            await self.ledger.aclose()

    async def send(self, call: Call, *, otherwise: str | None = None) -> Answer:
        """Make attempts until an answer has begun.  Close the answer when done with it.

        The caller is one that retries by itself, as clients over HTTP do.

        Args:
            call: From either door.
            otherwise: The deployment that serves a model which no alias matches.

        Raises:
            UnknownAliasError: No alias matches.
            UpstreamError: No deployment answered; the most useful of what they said.
        """
        return await self._dispatcher.send(call, _OVER_HTTP, otherwise)

    async def _send(self, call: Call, key: str = "") -> Answer:
        if key:
            call = replace(call, sender=await self._sender(key))
        return await self._dispatcher.send(call, _IN_PROCESS, None)

    async def _sender(self, key: str) -> Sender:
        if self.ledger is None:
            raise UnknownSubjectError(f"key {key!r}: the configuration has no keys and no database")
        return await self.ledger.sender(key)

    @property
    def pass_through(self) -> str | None:
        """The deployment for what is no Messages request, files say.

        It is one with `use_in_pass_through`, else the first of the Anthropic API; `None` if there
        is none.
        """
        candidates = [
            (not deployment.use_in_pass_through, name)
            for name, deployment in self.config.deployments.items()
            if isinstance(deployment, AnthropicDeployment)
        ]
        chosen = min(candidates, key=lambda candidate: candidate[0], default=None)
        return None if chosen is None else chosen[1]

    async def deployments(self) -> list[DeploymentState]:
        """Return how every deployment is at this moment, in the configuration's order."""
        addresses = {}
        for name, deployment in self.config.deployments.items():
            address = PROVIDERS[deployment.provider].address
            addresses[name] = deployment.base_url or (address(deployment) if address else "")
        return await self._dispatcher.house.health.states(addresses)

    def glance(self) -> list[Glimpse]:
        """Return how they are as far as this process knows, which takes no trip to any store."""
        return self._dispatcher.house.health.glance()

    @property
    def bodies(self) -> Bodies | None:
        """What writes down what is asked and answered."""
        return self._means.bodies

    @property
    def store(self) -> str:
        """Where that is kept: `memory`, `redis`, or `redis (away)` while it does not answer."""
        return self._means.counters.status

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
        target = self._dispatcher.house.targets[deployment]
        try:
            return await target.forward(
                method, path, headers, body, client_auth, self._means.transport
            )
        except UpstreamError as error:
            error.deployment, error.attempts = deployment, 1
            raise

    def note(self, record: Record) -> None:
        """Tell the observers of a call that is over."""
        for observer in self.observers:
            observer.record(record)

    async def complete(
        self,
        /,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int,
        headers: Mapping[str, str] | None = None,
        session: str = "",
        key: str = "",
        tags: Sequence[str] = (),
        timeout: float | None = None,
        **members: Any,
    ) -> Message:
        """Return the whole answer to a Messages request.

        The parameters are the Messages API's own, https://docs.claude.com/en/api/messages, and
        open: a member we have never heard of goes through.  Those below are not members.

        Args:
            headers: For the upstream, `anthropic-beta` say.
            session: Groups the calls of one conversation.
            key: The name of the key that the call is made with: what that may do and spend holds,
                and it is written down as the key's.
            tags: What the call is marked with in the records.
            timeout: Seconds until the answer must begin.

        Raises:
            InvalidRequestError: A parameter has no JSON form.
            UnknownAliasError: No alias matches `model`.
            UnknownSubjectError: There is no such key.
            BudgetError: A budget is spent.
            LimitError: More is asked at a time than a limit allows.
            UpstreamError: No deployment answered.
        """
        members = {"model": model, "max_tokens": max_tokens, "messages": messages, **members}
        members.pop("stream", None)
        call = _call(members, headers, session=session, tags=tuple(tags), timeout=timeout)
        answer = await self._send(call, key)
        await answer.aclose()
        return Message.of(_decoded(answer), answer)

    def stream(
        self,
        /,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int,
        headers: Mapping[str, str] | None = None,
        session: str = "",
        key: str = "",
        tags: Sequence[str] = (),
        timeout: float | None = None,
        **members: Any,
    ) -> MessageStream:
        """Return the answer as a stream; the call is made when it is entered.

        Parameters and exceptions are those of `complete`; `timeout` also bounds each pause.
        """
        members = {"model": model, "max_tokens": max_tokens, "messages": messages, **members}
        members["stream"] = True
        given: dict[str, Any] = {"session": session, "tags": tuple(tags), "timeout": timeout}
        call = _call(members, headers, stream=True, **given)
        return MessageStream(lambda: self._send(call, key))

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
        answer = await self._send(call)
        await answer.aclose()
        count = _decoded(answer).get("input_tokens")
        if not isinstance(count, int):
            raise _unusable(answer, "the answer holds no input_tokens")
        return count

    async def models(self) -> list[ModelInfo]:
        """Return the aliases one can ask for; a pattern stands for the known names it matches."""
        return self._dispatcher.routes.models()

    async def model(self, name: str) -> ModelInfo:
        """Return what is known of one alias.

        Raises:
            UnknownAliasError: No alias matches.
        """
        return self._dispatcher.routes.model(name)

    async def explain(self, call: Call, deployment: str | None = None) -> Explanation:
        """Return what would become of a call, without making it: nothing is sent or signed.

        Of the state it knows only what platforms have refused; no deployment has failed, and no
        conversation has begun.

        Args:
            call: From either door.
            deployment: The only one to be explained, whether an alias leads there or not.

        Raises:
            UnknownAliasError: No alias matches, and no deployment is named.
            InvalidRequestError: There is no such deployment, or the body cannot be read.
        """
        return await explained(
            self.config,
            self._dispatcher.routes,
            self._dispatcher.house.targets,
            call,
            deployment,
            clock=self._means.wall_clock,
            files=self.pass_through,
        )

    def serves(self, model: str) -> bool:
        """Tell whether an alias matches the name of a model."""
        return self._dispatcher.routes.serves(model)


def _ledger_url(config: Config) -> str | None:
    """Return where the configuration wants keys, budgets and usage kept; `None` for nowhere."""
    if config.database is not None:
        return config.database.get_secret_value()
    return "none" if config.accounts.needs_ledger else None


def _opened(config: Config, clock: Callable[[], float]) -> Counters:
    url = None if config.store is None else config.store.get_secret_value()
    return open_counters(url, prefix=config.store_prefix, clock=clock, source=config.source)


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
