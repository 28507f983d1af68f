"""Every exception llmroute raises.

    LLMRouteError
    ├─ ConfigError                   the configuration is wrong, in one or more places
    ├─ RequestError                  the caller asked for what cannot be done
    │  ├─ InvalidRequestError   400  not a Messages request
    │  ├─ UnauthorizedError     401  no key, or not one of ours
    │  ├─ ForbiddenError        403  not with this key
    │  ├─ UnknownAliasError     404  no alias of that name
    │  ├─ UnknownSubjectError   404  no key, team or budget of that name
    │  ├─ ConflictError         409  there already, or still needed
    │  ├─ RequestTooLargeError  413  a body over the limit
    │  ├─ BudgetError           429  the money is spent
    │  ├─ LimitError            429  too much at a time
    │  └─ UnavailableError      503  what has to be looked up cannot be had
    ├─ StoreError                    what outlives a process cannot be had
    └─ UpstreamError                 an attempt at a deployment failed
       ├─ RejectedError         4xx  the same request fails anywhere
       ├─ UntranslatableError   400  not in this deployment's words; it was not asked
       ├─ MisconfiguredError    4xx  this deployment's credentials or model name
       ├─ RateLimitedError      429
       ├─ OverloadedError       529
       ├─ FaultError            5xx  or an answer that is not one
       ├─ UnreachableError      502  no connection, or no answer in time
       └─ StreamBrokenError     502  the answer stopped half-way

`status` is what the proxy answers with and `remedy` what can help.  Nothing
else in llmroute decides either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import ClassVar, NamedTuple

__all__ = [
    "BudgetError",
    "ConfigError",
    "ConflictError",
    "FaultError",
    "ForbiddenError",
    "InvalidRequestError",
    "LLMRouteError",
    "LimitError",
    "MisconfiguredError",
    "OverloadedError",
    "Problem",
    "RateLimitedError",
    "RejectedError",
    "Remedy",
    "RequestError",
    "RequestTooLargeError",
    "StoreError",
    "StreamBrokenError",
    "UnauthorizedError",
    "UnavailableError",
    "UnknownAliasError",
    "UnknownSubjectError",
    "UnreachableError",
    "UntranslatableError",
    "UpstreamError",
]


class LLMRouteError(Exception):
    """The root: `except LLMRouteError` catches everything llmroute raises."""


class Problem(NamedTuple):
    """One thing that is wrong in a configuration, and where.

    Attributes:
        file: The file's name as it was given, or `<dict>` and `<environment>` where there is none.
        line: Counted from 1; 0 where there is no file.
        path: Dotted path of the setting, `deployments.sonnet.region`; empty for the whole file.
        text: What is wrong and what to do, never a configured value (it may be a secret).
    """

    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.text}" if self.path else f"{place}: {self.text}"


class ConfigError(LLMRouteError):
    """The configuration cannot be used.  `problems` names every place at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[object, ...]:
        # An exception is rebuilt from its message, if it does not say otherwise.
        return type(self), (self.problems,)


class StoreError(LLMRouteError):
    """What outlives a process cannot be had, or not be written."""


class RequestError(LLMRouteError):
    """The caller asked for what cannot be done.

    Attributes:
        status: The HTTP status the proxy answers with.
        type: Anthropic's name for the error, the `error.type` of the answer.
        is_final: Asking again will not help.
        headers: What the answer carries besides, when to ask again for instance.
    """

    status: ClassVar[int] = 400
    type: ClassVar[str] = "invalid_request_error"
    is_final: ClassVar[bool] = True

    def __init__(self, *args: object, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(*args)
        self.headers = headers

    @property
    def retry_after(self) -> float | None:
        """Seconds after which to ask again, if that may help."""
        told = dict(self.headers).get(b"retry-after")
        return None if told is None else float(told)


class InvalidRequestError(RequestError):
    """The body is not a Messages request."""


class UnauthorizedError(RequestError):
    """No key was presented, or one that is not ours."""

    status = 401
    type = "authentication_error"


class ForbiddenError(RequestError):
    """The key is ours, and may not do this."""

    status = 403
    type = "permission_error"


class UnknownAliasError(RequestError):
    """No alias matches the model that was asked for.

    Attributes:
        alias: The name as the caller gave it.
    """

    status = 404
    type = "not_found_error"

    def __init__(self, message: str, alias: str) -> None:
        super().__init__(message)
        self.alias = alias

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.alias)


class BudgetError(RequestError):
    """A budget is spent, or a guard or a pause has stopped the conversation.

    Attributes:
        period: `day`, `week`, `month` or `total`; empty where it is no budget.
        amount: The budget, in micro-dollars; 0 where it is none.
        spent: What of it is spent, in micro-dollars.
        resets: When there is more; `None` for never, or where it is no budget.
    """

    status = 429
    type = "billing_error"

    def __init__(
        self,
        *args: object,
        headers: Sequence[tuple[bytes, bytes]] = (),
        period: str = "",
        amount: int = 0,
        spent: int = 0,
        resets: datetime | None = None,
    ) -> None:
        super().__init__(*args, headers=headers)
        self.period = period
        self.amount = amount
        self.spent = spent
        self.resets = resets


class LimitError(RequestError):
    """More is asked at a time than a limit allows; `retry-after` says when to ask again."""

    status = 429
    type = "rate_limit_error"
    is_final = False


class UnavailableError(RequestError):
    """What has to be looked up first cannot be had now."""

    status = 503
    type = "api_error"
    is_final = False


class UnknownSubjectError(RequestError):
    """There is no key, team or budget of that name."""

    status = 404
    type = "not_found_error"


class ConflictError(RequestError):
    """What is to be made is there already, or is still needed."""

    status = 409
    type = "invalid_request_error"


class RequestTooLargeError(RequestError):
    """The body is larger than the proxy accepts."""

    status = 413
    type = "request_too_large"


class Remedy(Enum):
    """What can help after an attempt failed."""

    NOTHING = "nothing"  # the same request fails everywhere
    ELSEWHERE = "elsewhere"  # another deployment may answer, this one will not
    TIME = "time"  # the same deployment may answer later
    WITHOUT = "without"  # the same deployment may answer if what it named is left out


class UpstreamError(LLMRouteError):
    """An attempt at a deployment failed.

    Attributes:
        status: What the upstream answered with; 502 where it did not answer.
        headers: The upstream's, names in lower case.
        body:
            What the upstream sent, byte for byte; empty if it sent nothing.
            The proxy hands it on unchanged: Claude Code recovers from some
            errors by their wording.
        retry_after: Seconds the upstream asked for, if it did; a day at most.
        type: The `error.type` of what the proxy answers with; empty if there is none.
        code: The upstream's own `error.details.error_code`; empty if it sent none.
        deployment: Name of the deployment that was tried; empty until known.
        attempts: How many attempts the call had made when it gave up.
        event: The events up to and with the error, where it came at the start of a stream.
        format: What `body` and `event` are written in: `messages`, or the format of a client that
            was answered in its own, `chat` or `responses`.
        is_the_callers: The caller's own credential was refused or has had its fill, and not ours.
        refused: What of the request the upstream named as not taken there, and can be left out.
    """

    remedy: ClassVar[Remedy] = Remedy.ELSEWHERE

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        retry_after: float | None = None,
        type: str = "",  # noqa: A002 - it is what the API calls it
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)
        self.body = body
        self.retry_after = retry_after
        self.type = type
        self.code = code
        self.deployment = ""
        self.attempts = 0
        self.event = b""
        self.format = "messages"
        self.is_the_callers = False
        self.refused: frozenset[str] = frozenset()


class RejectedError(UpstreamError):
    """The upstream refused the request itself; every other one would too."""

    remedy = Remedy.NOTHING


class UntranslatableError(UpstreamError):
    """The request cannot be put in words that this deployment takes; nothing was sent.

    Leaving out what is in the way would change the question: an image that somebody would have to
    fetch, say.  Another deployment may take it as it is.
    """


class MisconfiguredError(UpstreamError):
    """The upstream refused this deployment's credential or does not know its model."""


class RateLimitedError(UpstreamError):
    """The upstream answered 429."""

    remedy = Remedy.TIME


class OverloadedError(UpstreamError):
    """The upstream answered 529, or `overloaded_error` inside a stream."""

    remedy = Remedy.TIME


class FaultError(UpstreamError):
    """The upstream answered 5xx, or with something that is not an answer."""

    remedy = Remedy.TIME


class UnreachableError(UpstreamError):
    """There was no connection, or no answer in time."""

    remedy = Remedy.TIME


class StreamBrokenError(UpstreamError):
    """The answer stopped half-way."""

    remedy = Remedy.TIME
