"""What every provider is made of, and what the native ones share.

A provider is a row: a settings class and three functions without I/O.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from llmroute.errors import (
    FaultError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    RejectedError,
    UpstreamError,
)
from llmroute.messages.call import Call, Format
from llmroute.platforms import Overrides
from llmroute.translate.reasoning import without_sealed
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.headers import Headers, first

__all__ = [
    "BridgedDeployment",
    "Decoder",
    "Deployment",
    "Provider",
    "UpstreamRequest",
    "decoded",
    "event_error",
    "native_error",
    "own_headers",
    "retry_delay",
    "unsealed",
]


# As what is sent: other characters would have to be escaped, and a host name written in ASCII.
_URL_TEXT = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:[0-9]+)?(/[!-~]*)?")


def _base_url(value: str) -> str:
    """A string and not pydantic's `HttpUrl`, which adds the slash that paths bring along."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    if "?" in value or "#" in value or "@" in value.partition("://")[2].partition("/")[0]:
        raise ValueError("must be scheme, host, port and path, and nothing more")
    try:
        parts = urlsplit(value)
        usable = parts.hostname and parts.port != 0 and _URL_TEXT.fullmatch(value)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("is not an address")
    return value.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]


class Deployment(BaseModel):
    """One configured way to serve a model: what may stand in its config block.

    Each provider extends it with its own settings.  Instances are frozen.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    key_required: ClassVar[bool] = True
    """Whether there is no other credential than an `api_key` or an `auth_token`."""

    provider: str
    """The kind of API."""
    model: str | None = None
    """The upstream's own name for the model; a `*` in it is replaced by what the alias's `*`
    matched; left out, the name that was asked for is sent."""
    base_url: BaseUrl | None = None
    """The upstream's address, up to but without `/v1/messages`."""
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Further headers for every request to this deployment."""
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Members set in the body of every Messages request to this deployment; a member that the
    caller sent wins."""
    max_input_tokens: int | None = Field(None, gt=0)
    """The longest prompt in tokens, where the model's name does not tell: what a server was started
    with, say.  Clients are told, and a prompt that is surely longer is not sent there, unless the
    model is a Claude."""
    connect_timeout: float = Field(10.0, gt=0)
    """Seconds until a connection must stand."""
    timeout: float = Field(600.0, gt=0)
    """Seconds until an answer must begin."""
    stream_timeout: float | None = Field(None, gt=0)
    """The same for streamed answers; `timeout` if left out."""
    silence_timeout: float = Field(600.0, gt=0)
    """Seconds an answer that has begun may pause."""
    total_timeout: float | None = Field(None, gt=0)
    """Seconds from a call's arrival until its answer must be whole; without a bound if left out."""
    order: int = 0
    """Deployments of an alias are tried by rising order."""
    weight: float | None = Field(None, ge=0)
    """Share of the calls among deployments of equal order."""
    rpm: int | None = Field(None, gt=0)
    """Requests a minute that are sent to it; what is more goes elsewhere.  Where it has no
    `weight`, this is its share too."""
    tpm: int | None = Field(None, gt=0)
    """Tokens a minute, of prompts and answers; likewise, and its share where it has no `rpm`
    either."""
    max_parallel_requests: int | None = Field(None, gt=0)
    """Requests that are under way there at once; what is more goes elsewhere."""
    forward_client_auth: bool = False
    """Send the caller's own credential (a claude.ai login, say) to this deployment's host, and the
    configured one only where the caller brought none."""
    api_key: SecretStr | None = None
    """Sent as `x-api-key`; an OAuth token (`sk-ant-oat…`) as bearer."""
    api_keys: tuple[SecretStr, ...] = ()
    """Several keys in place of one `api_key`; each makes a deployment of its own, `NAME#1`,
    `NAME#2` and so on, and an alias that names `NAME` has them all, as equals."""
    auth_token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""

    @property
    def learns(self) -> bool:
        """Whether what the upstream refuses of a request can be left out of the next one."""
        return False

    @property
    def seller(self) -> str:
        """Whose price list holds."""
        return self.provider


class BridgedDeployment(Deployment):
    """A deployment on a platform that takes a little less than the Anthropic API."""

    base_model: str | None = None
    """The Claude model this is (`claude-opus-5-5`), where its name at the platform does not tell:
    an application inference profile, a deployment of your own naming."""
    accept_betas: list[str] = Field(default_factory=list)
    """Further `anthropic-beta` values that are sent there, with what they unlock."""
    drop_betas: list[str] = Field(default_factory=list)
    """`anthropic-beta` values that are left out, with what only they unlock."""
    accept_members: list[str] = Field(default_factory=list)
    """Further members of the request's top level that are sent there."""
    drop_members: list[str] = Field(default_factory=list)
    """Members that are left out: `metadata`, or one level down, `output_config.format`."""

    @property
    def learns(self) -> bool:
        """Whether what the upstream refuses of a request can be left out of the next one."""
        return True

    @cached_property
    def overrides(self) -> Overrides:
        """The settings of this class, as `llmroute.platforms.bridge` takes them."""
        return Overrides(
            base_model=self.base_model,
            accept_betas=frozenset(self.accept_betas),
            drop_betas=frozenset(self.drop_betas),
            accept_members=frozenset(self.accept_members),
            drop_members=frozenset(self.drop_members),
        )


def own_headers(deployment: Deployment) -> dict[bytes, bytes]:
    """Return the headers that a deployment sets for every request of its, ready for the wire."""
    return {
        name.lower().encode("latin-1"): value.encode("latin-1")
        for name, value in deployment.headers.items()
    }


def unsealed(call: Call) -> Call:
    """Return a call without the reasoning of other vendors' models, for one that is native.

    It is `call` itself where there is none: every other byte stays.
    """
    body = without_sealed(call.body)
    return call if body is call.body else dataclasses.replace(call, body=body)


class UpstreamRequest(NamedTuple):
    """A request as it will be sent, but for the credential.

    Attributes:
        body: Buffers, to be written one after the other.
        losses: What of the call the upstream does not get to see, a line each: the place in the
            request, and why. The same for every turn of a conversation.
        format: The format it is in, where that is the caller's own, whose answer then goes back as
            it comes; `messages` for every other.
        hides: Tells of an event of that answer, by its data, that the caller did not ask for it.
    """

    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    body: tuple[bytes | memoryview, ...]
    losses: tuple[str, ...] = ()
    format: Format = "messages"
    hides: Callable[[bytes], bool] | None = None


class Decoder(Protocol):
    """Turns an upstream's stream into a Messages event stream, for one answer."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the Messages events they complete, encoded."""

    def close(self) -> bytes:
        """The upstream's stream has ended; return what is left to say."""


D = TypeVar("D", bound=Deployment)


@dataclass(frozen=True, slots=True)
class Provider(Generic[D]):
    """A row of the provider table.

    Attributes:
        name: As written in `provider:`.
        deployment: The settings class.
        prepare: Builds the unsigned request for a call, a deployment, and the upstream's model.
        error: What a status of 400 or more, with its headers and body, means.
        decoder: Makes a decoder for one streamed answer; `None`, or made as `None`, where the
            upstream's stream is a Messages event stream already.
        refused: Reads off the message of a 400 which betas and places of a request it refuses,
            where `prepare` can leave them out; `None` where nothing is ever left out.
        whole: Turns a whole answer's body into the Messages API's; `None` where it is that already.
        address: Where a deployment without a `base_url` is, for people to see.
    """

    name: str
    deployment: type[D]
    prepare: Callable[[Call, D, str], UpstreamRequest]
    error: Callable[[int, Headers, bytes], UpstreamError]
    decoder: Callable[[Call, D], Decoder | None] | None = None
    whole: Callable[[Call, D, bytes], bytes] | None = None
    refused: Callable[[str], frozenset[str]] | None = None
    address: Callable[[D], str] | None = None


# What an error means, by its `error.type`, https://docs.claude.com/en/api/errors, and where that
# says nothing, by its status.
_BY_TYPE: dict[str, tuple[type[UpstreamError], int]] = {
    "invalid_request_error": (RejectedError, 400),
    "request_too_large": (RejectedError, 413),
    "authentication_error": (MisconfiguredError, 401),
    "billing_error": (MisconfiguredError, 402),
    "permission_error": (MisconfiguredError, 403),
    "not_found_error": (MisconfiguredError, 404),
    "rate_limit_error": (RateLimitedError, 429),
    "api_error": (FaultError, 500),
    "timeout_error": (FaultError, 504),
    "overloaded_error": (OverloadedError, 529),
}
_BY_STATUS: dict[int, type[UpstreamError]] = {
    401: MisconfiguredError,
    402: MisconfiguredError,
    403: MisconfiguredError,
    404: MisconfiguredError,
    405: MisconfiguredError,
    408: FaultError,
    409: FaultError,
    429: RateLimitedError,
    529: OverloadedError,
}
# Seconds that an upstream is believed to need at most.
_LONGEST_WAIT = 86_400.0


def native_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Read an error in the Anthropic API's shape, or whatever stands in its place.

    The type says more than the status, but for `invalid_request_error`: servers that speak the
    format besides OpenAI's send it with a 401 or a 404 as well.
    """
    said = _said(body)
    kind, message = said.type, said.message
    if kind in _BY_TYPE and kind != "invalid_request_error":
        cls = _BY_TYPE[kind][0]
    elif status < 400:
        cls = MisconfiguredError
    else:
        cls = _BY_STATUS.get(status, RejectedError if status < 500 else FaultError)
    return cls(
        f"{status} {kind}".rstrip() + (f": {message}" if message else ""),
        status=status,
        headers=headers,
        body=body,
        retry_after=_retry_after(headers, said),
        type=kind,
        code=said.code,
    )


def event_error(data: bytes, headers: Headers) -> UpstreamError:
    """Read the data of an `error` event with which a stream began."""
    said = _said(data)
    cls, status = _BY_TYPE.get(said.type, (FaultError, 500))
    return cls(
        f"{said.type or 'error'} at the start of the stream: {said.message}",
        status=status,
        headers=headers,
        body=data,
        retry_after=_retry_after(headers, said),
        type=said.type,
        code=said.code,
    )


def decoded(body: bytes) -> dict[str, Any]:
    """Return the object an error's body holds, alone or in a list; an empty one if none."""
    try:
        value = msgspec.json.decode(body)
    except MALFORMED:
        return {}
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}


class _Said(NamedTuple):
    """What the body of an error says; `delay` in seconds."""

    type: str = ""
    code: str = ""
    message: str = ""
    delay: float | None = None


def _said(body: bytes) -> _Said:
    error = decoded(body).get("error")
    if not isinstance(error, dict):
        return _Said(message=_word(error))
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return _Said(
        _word(error.get("type")), _word(code), _word(error.get("message")), retry_delay(error)
    )


def _word(value: Any) -> str:
    return str(value or "") if isinstance(value, str | int | float) else ""


def retry_delay(error: Mapping[str, Any]) -> float | None:
    """Return the seconds to wait by an error of Google's, if it has such a detail.

    https://docs.cloud.google.com/apis/design/errors: a `RetryInfo`, with a duration as protocol
    buffers write it: `"12.5s"`, or an object of `seconds` and `nanos`.
    """
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and str(detail.get("@type")).endswith("google.rpc.RetryInfo"):
            return _duration(detail.get("retryDelay"))
    return None


def _duration(value: Any) -> float | None:
    try:
        if isinstance(value, str):
            return _bounded(float(value.removesuffix("s")))
        return _bounded(float(value.get("seconds", 0)) + float(value.get("nanos", 0)) / 1e9)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def _retry_after(headers: Headers, said: _Said) -> float | None:
    """Seconds, from whichever place tells first."""
    asked = first(headers, b"retry-after") or ""
    for value, unit in ((first(headers, b"retry-after-ms") or "", 0.001), (asked, 1.0)):
        try:
            seconds = _bounded(float(value) * unit)
        except ValueError:
            continue
        if seconds is not None:
            return seconds
    # A date is read off the upstream's own clock: ours need not agree with it.
    until, now = _date(asked), _date(first(headers, b"date") or "")
    return said.delay if until is None or now is None else _bounded(until - now)


def _bounded(seconds: float) -> float | None:
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else None


def _date(text: str) -> float | None:
    """Read an HTTP date as seconds since 1970."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # The oldest of the three formats leaves out that it is in GMT.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
