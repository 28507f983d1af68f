"""What a door is: one format in which clients ask and are answered."""

from __future__ import annotations

import math
import re
from typing import Any, Protocol

import msgspec

from llmroute.accounts.caller import Caller
from llmroute.asgi.identity import LONGEST_NAME, client_of, kind_of, sender_of, tags_of
from llmroute.asgi.render import Rendered
from llmroute.errors import InvalidRequestError, RequestError, UpstreamError
from llmroute.messages.call import Call, Endpoint
from llmroute.router import Answer, Router
from llmroute.wire.envelope import Envelope
from llmroute.wire.headers import Headers, upward
from llmroute.wire.trace import traceparent, tracestate

__all__ = [
    "IN_A_HEADER",
    "TIMEOUTS",
    "Door",
    "call_of",
    "model_of",
    "raw_path",
    "translated",
]


class Door(Protocol):
    """Turns one request into a call, and what comes of it into the format's own words."""

    @property
    def endpoint(self) -> Endpoint:
        """What is asked for."""

    @property
    def passes_on(self) -> bool:
        """Whether a model that no alias matches is sent on as it is."""

    @property
    def content_type(self) -> tuple[bytes, bytes]:
        """The header of a stream."""

    @property
    def ping(self) -> bytes:
        """What a silent stream is kept alive with."""

    def call(self, body: bytes, scope: dict[str, Any], caller: Caller) -> Call:
        """Read the request.

        Raises:
            RequestError: It is none of this format's.
        """

    def whole(self, answer: Answer) -> Rendered:
        """Word a whole answer."""

    def begin(self, answer: Answer) -> Headers:
        """Return the headers of a streamed answer; `events` is for this one from now on."""

    def events(self, events: bytes) -> bytes:
        """Word events of a stream, whole ones."""

    def failure(self, error: RequestError | UpstreamError) -> Rendered:
        """Word an error in place of an answer."""

    def last(self, error: RequestError | UpstreamError) -> bytes:
        """Word an error as the last event of a stream."""


def raw_path(scope: dict[str, Any]) -> str:
    """Return the path as the client spelled it: what is escaped in it belongs to its segment."""
    raw: bytes | None = scope.get("raw_path")
    path: str = scope["path"] if raw is None else raw.decode("latin-1")
    return path.partition("?")[0]


# An id at a cloud: a region and `anthropic.` before the model's name, perhaps in an ARN; a date,
# a version and a window behind it.
_AT_A_CLOUD = re.compile(
    r"(?:^|[./])(?P<name>claude-[a-z0-9-]*?)(?:-(?P<date>20\d{6}))?(?:-v\d+)?(?::[0-9a-z]+)*$"
)


_GOOGLES_DATE = re.compile(r"@(20\d{6})$")


def model_of(router: Router, asked: str) -> str:
    """Return the model to ask the router for: the name itself, if an alias matches it.

    Else it is Anthropic's id for a cloud's one, with its date or without, if an alias matches that.
    """
    if asked in router.config.aliases:
        return asked
    # A pattern would pass Google's way to write a date on to those who write it otherwise.
    name = _GOOGLES_DATE.sub(r"-\1", asked)
    profile = name.rpartition("/")[2]
    others = [name, profile]
    if (found := _AT_A_CLOUD.search(profile)) is not None:
        bare, date = found["name"], found["date"]
        others += [f"{bare}-{date}", bare] if date else [bare]
    return next((other for other in others if router.serves(other)), asked)


# What the clouds have in the body, and the Messages API in a header or nowhere.
_DIALECT = ("anthropic_version", "anthropic_beta")
IN_A_HEADER = re.compile(r"[!-~]+")
"""What of a body may become a header's value."""
# The clouds' name for what the Messages API calls otherwise; it is turned again for a cloud.
_RENAMED = {"tool-search-tool-2025-10-19": "advanced-tool-use-2025-11-20"}


def translated(
    body: Envelope, headers: Headers, *, without: tuple[str, ...] = (), **members: Any
) -> tuple[Envelope, Headers]:
    """Return a cloud's body, and the headers with it, as the Messages API has them.

    Every member that stays keeps its bytes; `members` are set, and come first.

    Raises:
        InvalidRequestError: `anthropic_beta` is no list of names.
    """
    left_out = {*_DIALECT, *without, *members}
    kept = {name: msgspec.Raw(body.raw(name)) for name in body if name not in left_out}
    betas = dict.fromkeys(_RENAMED.get(beta, beta) for beta in _betas(body, headers))
    sent = [header for header in upward(headers) if header[0] != b"anthropic-beta"]
    if betas:
        sent.append((b"anthropic-beta", ",".join(betas).encode("latin-1")))
    return Envelope.of({**members, **kept}), sent


def _betas(body: Envelope, headers: Headers) -> list[str]:
    given = body.get("anthropic_beta", [])
    given = given.split(",") if isinstance(given, str) else given
    if not isinstance(given, list):
        raise InvalidRequestError("anthropic_beta: Input should be a list of strings")
    listed = [beta.strip() if isinstance(beta, str) else "" for beta in given]
    if not all(map(IN_A_HEADER.fullmatch, listed)):
        raise InvalidRequestError("anthropic_beta: Input should be a list of names")
    named = [value.decode("latin-1") for name, value in headers if name == b"anthropic-beta"]
    return [*listed, *(beta.strip() for beta in ",".join(named).split(",") if beta.strip())]


def call_of(
    endpoint: Endpoint,
    body: Envelope,
    model: str,
    scope: dict[str, Any],
    caller: Caller,
    **rest: Any,
) -> Call:
    """Make a call, and name whose it is.

    Raises:
        InvalidRequestError: It asks for a timeout that is none.
    """
    named = dict(scope["headers"])
    trace = traceparent(named.get(b"traceparent"))
    return Call(
        body,
        model,
        endpoint=endpoint,
        sender=sender_of(caller, named),
        tags=tags_of(named),
        session=_short(named.get(b"x-claude-code-session-id", b"")),
        agent=_short(named.get(b"x-claude-code-agent-id", b"")),
        parent=_short(named.get(b"x-claude-code-parent-agent-id", b"")),
        kind=kind_of(endpoint, named, body),
        client=client_of(named),
        trace=trace,
        trace_state=tracestate(scope["headers"]) if trace else "",
        timeout=_timeout(named),
        **rest,
    )


def _short(name: bytes) -> str:
    return name[:LONGEST_NAME].decode("latin-1")


TIMEOUTS = (b"x-llmroute-timeout", b"x-litellm-timeout")
"""Headers in which a caller says how many seconds it will wait; the first one counts."""


def _timeout(headers: dict[bytes, bytes]) -> float | None:
    for name in TIMEOUTS:
        if (value := headers.get(name)) is not None:
            try:
                seconds = float(value)
            except ValueError:
                seconds = 0.0
            if not 0 < seconds < math.inf:
                shown = name.decode()
                raise InvalidRequestError(f"{shown}: must be a number of seconds above 0")
            return seconds
    return None
