"""What one deployment would be sent for a call, what is changed in it, and what that would cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from llmroute import pricing
from llmroute.credentials import credential_for
from llmroute.credentials.static import KeyCredential, StaticCredential
from llmroute.errors import InvalidRequestError, UpstreamError
from llmroute.messages.call import Call
from llmroute.messages.usage import Usage
from llmroute.pricing import Tariff
from llmroute.providers import Deployment, UpstreamRequest
from llmroute.providers.bedrock import BedrockDeployment, placed
from llmroute.router.attempt import Target
from llmroute.router.lengths import Prompt
from llmroute.routing.plan import Leg
from llmroute.wire.envelope import Envelope
from llmroute.wire.headers import Headers, upward

__all__ = ["VEIL", "Changes", "Cost", "Prospect", "Role", "Turn", "prospect_of"]

Role: TypeAlias = Literal["turn", "when_too_long", "when_refused"]
"""When a deployment is asked: in its turn, or where the others cannot or will not answer."""

VEIL: Final = "••••"
"""Stands for the value of every header that may be a secret."""

# Besides those that a client may send: what our own tables set.
_OPEN = frozenset({b"accept", b"content-type"})
_OPEN_PREFIX = b"x-amzn-bedrock-"
_SCHEMES = ("Bearer ", "Basic ", "AWS4-HMAC-SHA256 ")
_LONGEST = (
    *(("max_tokens", ""), ("max_completion_tokens", ""), ("max_output_tokens", "")),
    *(("generationConfig", "maxOutputTokens"), ("inferenceConfig", "maxTokens")),
)
_SIGNATURE: Headers = ((b"authorization", b"AWS4-HMAC-SHA256 "), (b"x-amz-date", b""))
_SESSION: Headers = ((b"x-amz-security-token", b""),)
_TOKEN: Headers = ((b"authorization", b"Bearer "),)


class Changes(NamedTuple):
    """What sets an upstream's request apart from the caller's.

    Attributes:
        added: Members of the body's top level that the caller did not send.
        changed: Members with another value.
        removed: Members that are left out, or stand elsewhere, in the address say.
        betas_added: Betas that the caller did not ask for by this name.
        betas_removed: Betas that are left out, or go by another name there.
        headers_removed: The caller's headers that are left out.
        losses: What the upstream does not get to see, a line each: the place, and why.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    betas_added: tuple[str, ...] = ()
    betas_removed: tuple[str, ...] = ()
    headers_removed: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


class Cost(NamedTuple):
    """What an answer would cost, in micro-dollars, by the estimate of the prompt's length.

    Attributes:
        source: Where the prices come from.
        prompt: The whole prompt, without a cache.
        cached: The same if all of it is read from the cache.
        written: The same if all of it is written to the cache, for five minutes.
        answer: An answer as long as `max_tokens` allows; `None` without one.
    """

    source: str
    prompt: int
    cached: int
    written: int
    answer: int | None


@dataclass(frozen=True, slots=True)
class Prospect:
    """A deployment that would be asked, and what it would be sent.

    Attributes:
        deployment: Its name.
        provider: The kind of API.
        model: What it would be asked for.
        alias: The alias it stands in; empty if none leads there.
        role: `turn`, or the overflow that it stands by for: `when_too_long`, `when_refused`.
        why: Why it has this place.
        problem: Why it cannot be sent such a call; empty if it can.
        method: The HTTP method.
        url: Where it would be sent.  What only the credentials know is in braces: `{project}`,
            `{region}`.
        headers: In their order, the credential's last; `VEIL` is in place of what may be a secret.
        body: As it would go out.
        changes: Against the caller's request; `None` if there is a problem.
        cost: What an answer would cost; `None` if nobody knows.
        reviewed_by: Who would judge its tool calls; empty if the call does not ask for that.
    """

    deployment: str
    provider: str
    model: str
    alias: str
    role: Role
    why: str
    problem: str = ""
    method: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    changes: Changes | None = None
    cost: Cost | None = None
    reviewed_by: str = ""


class Turn(NamedTuple):
    """A leg, and why it has its place."""

    leg: Leg
    role: Role
    why: str


async def prospect_of(
    turn: Turn,
    target: Target,
    call: Call,
    prompt: Prompt,
    length: int | None,
    tariff: Tariff | None,
) -> Prospect:
    """Return what a deployment would be sent in its turn; nothing is fetched or signed.

    Args:
        turn: Its own.
        target: The deployment.
        call: From either door.
        prompt: Of the call.
        length: The prompt's, in tokens; `None` if it is not known.
        tariff: What the model costs there; `None` if nobody knows.

    Raises:
        InvalidRequestError: A member of the body cannot be read.
    """
    leg, deployment = turn.leg, target.deployment
    name, provider = leg.deployment, deployment.provider
    try:
        if (overflow := prompt.overflow(leg)) is not None:
            raise overflow
        request = target.prepared(call, leg.model)
    except UpstreamError as error:
        problem = str(error)
        return Prospect(name, provider, leg.model, leg.alias, turn.role, turn.why, problem)
    if isinstance(deployment, BedrockDeployment):
        request = placed(request, deployment, deployment.region or "{region}")
    auth = await _auth(deployment, request, call)
    request = request._replace(headers=[*request.headers, *auth])
    body = b"".join(request.body)
    sent = Envelope.parse(body)
    counted = call.endpoint == "count_tokens"
    return Prospect(
        name,
        provider,
        leg.model,
        leg.alias,
        turn.role,
        turn.why,
        method=request.method,
        url=request.url,
        headers=tuple(map(_veiled, request.headers)),
        body=body,
        changes=_changes(call, request, sent),
        cost=None if counted else _cost(tariff, length, sent),
    )


async def _auth(deployment: Deployment, request: UpstreamRequest, call: Call) -> Headers:
    """Return the credential's headers, without fetching or signing anything."""
    if deployment.forward_client_auth and call.client_auth:
        return call.client_auth
    credential = credential_for(deployment)
    if isinstance(credential, StaticCredential | KeyCredential):
        return await credential.headers(request)
    if not isinstance(deployment, BedrockDeployment):
        return _TOKEN
    temporary = deployment.session_token or deployment.role_arn
    return (*_SIGNATURE, *_SESSION) if temporary else _SIGNATURE


def _veiled(header: tuple[bytes, bytes]) -> tuple[str, str]:
    name, value = header[0], header[1].decode("latin-1")
    if name in _OPEN or name.startswith(_OPEN_PREFIX) or upward([header]):
        return name.decode("latin-1"), value
    scheme = next((each for each in _SCHEMES if value.startswith(each)), "")
    return name.decode("latin-1"), scheme + VEIL


def _changes(call: Call, request: UpstreamRequest, sent: Envelope) -> Changes:
    asked, asks = _betas(call.headers, call.body), _betas(request.headers, sent)
    names = {name for name, _ in request.headers}
    return Changes(
        added=tuple(name for name in sent if name not in call.body),
        changed=tuple(name for name in sent if name in call.body and _differ(name, call, sent)),
        removed=tuple(name for name in call.body if name not in sent),
        betas_added=tuple(beta for beta in asks if beta not in asked),
        betas_removed=tuple(beta for beta in asked if beta not in asks),
        headers_removed=tuple(
            name.decode("latin-1")
            for name, _ in call.headers
            if name not in names and name != b"anthropic-beta"
        ),
        losses=request.losses,
    )


def _differ(name: str, call: Call, sent: Envelope) -> bool:
    """Tell whether a member has another value; other white space is none."""
    try:
        return call.body.raw(name) != sent.raw(name) and bool(call.body[name] != sent[name])
    except InvalidRequestError:
        return True


def _betas(headers: Headers, body: Envelope) -> dict[str, None]:
    """Return the betas of a request: the Messages API has them in a header, others in the body."""
    named = [value.decode("latin-1") for name, value in headers if name == b"anthropic-beta"]
    betas = [beta.strip() for beta in ",".join(named).split(",")]
    listed = body.get("anthropic_beta")
    betas += [beta for beta in listed if isinstance(beta, str)] if isinstance(listed, list) else []
    return dict.fromkeys(beta for beta in betas if beta)


def _longest(sent: Envelope) -> Any:
    """Return how many tokens the answer may have, by whatever name the format has for that."""
    for name, inner in _LONGEST:
        value = sent.get(name)
        if inner:
            value = value.get(inner) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _cost(tariff: Tariff | None, length: int | None, sent: Envelope) -> Cost | None:
    if tariff is None or length is None:
        return None
    most = _longest(sent)
    asked: dict[str, Any] = {
        name: sent[name] for name in ("speed", "inference_geo") if name in sent
    }

    def price(**tokens: int) -> int:
        return pricing.cost(tariff, Usage.of({**asked, **tokens}))

    prompt = price(input_tokens=length)
    answer = None
    if isinstance(most, int):
        answer = price(input_tokens=length, output_tokens=most) - prompt
    return Cost(
        tariff.source,
        prompt,
        cached=price(cache_read_input_tokens=length),
        written=price(cache_creation_input_tokens=length),
        answer=answer,
    )
