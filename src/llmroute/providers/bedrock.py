"""Models at Amazon: Claude by InvokeModel or by the Messages API, others by Converse.

The body of an invocation is a Messages request without `model` and `stream`, which stand in the
path.  https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

import msgspec
from pydantic import Field, SecretStr, StringConstraints

from llmroute.errors import MisconfiguredError
from llmroute.messages.call import Call
from llmroute.platforms import BEDROCK, MANTLE, adapt, bridge, refused_in
from llmroute.providers._aws import aws_error
from llmroute.providers._aws_services import address_of, service_of
from llmroute.providers._base import (
    BridgedDeployment,
    Provider,
    UpstreamRequest,
    own_headers,
    unsealed,
)
from llmroute.providers._converse import conversation, converse_whole, counted, is_whole
from llmroute.providers._runtime_stream import RuntimeDecoder
from llmroute.translate.converse_model import ConverseModel, lacking
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import first

__all__ = ["PROVIDER", "BedrockDeployment", "placed", "service"]

# The dialect every model takes; a newer date is refused by models with a version in their id.
_VERSION = "bedrock-2023-05-31"
_NATIVE_VERSION = b"2023-06-01"

_ACTIONS = {False: "invoke", True: "invoke-with-response-stream"}
_CONVERSATIONS = {False: "converse", True: "converse-stream"}
_ACCEPT = {False: b"application/json", True: b"application/vnd.amazon.eventstream"}

# Where the id of a foundation model stands: by itself, behind a profile's region, or in an ARN.
_FOUNDATION_MODEL = re.compile(r"(?:^|[./])(anthropic\.[a-zA-Z0-9_.:-]+)$")

# As a segment of a path, these would be somewhere else.
_DOTS = (".", "..")

# Stands for the address until the credential has told the region.
_NO_PLACE = "https://aws.invalid"

_Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,5}(-[a-z]+)+-[0-9]+$")]


class BedrockDeployment(BridgedDeployment):
    """A model on Amazon Bedrock, Claude or another.

    The credential is the first of: `api_key`, a role with `web_identity_token`, `role_arn`,
    `profile`, the access keys, and what the AWS tools themselves would find on this machine.
    """

    key_required: ClassVar[bool] = False

    provider: Literal["bedrock"] = "bedrock"
    forward_client_auth: Literal[False] = False
    """A caller's own credential is never sent to AWS."""
    surface: Literal["invoke", "converse", "messages", "claude_platform"] | None = None
    """How it is spoken to: `invoke` for InvokeModel, which has every Claude; `converse` for
    Converse, which has every model; `messages` for Bedrock's own Messages endpoint, which has the
    newer Claudes; `claude_platform` for Claude Platform on AWS, where models go by Anthropic's
    names. Left out, it is `converse` for a model whose name, or `base_model`, tells that it is no
    Claude, else `invoke`."""
    base_model: str | None = None
    """The model this is, where its name does not tell, as for an application inference profile:
    `claude-opus-5-5`, or Bedrock's id of one that is no Claude, `amazon.nova-pro-v1:0`."""
    max_tokens_limit: int | None = Field(None, gt=0)
    """The longest answer in tokens that the model gives, if it is no Claude and its name does not
    tell; a longer one that is asked for is lowered to it."""
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Members set in the body of every Messages request; a member that the caller sent wins. With
    Converse, members of its own request in place of translated ones; those of `inferenceConfig`,
    `additionalModelRequestFields` and other objects one by one."""
    workspace_id: str | None = None
    """The workspace on Claude Platform on AWS; left out, it is the one in
    `ANTHROPIC_AWS_WORKSPACE_ID`."""
    signing_service: str | None = None
    """The service that signatures are for, if `base_url` is the address of another than the
    surface's."""
    region: _Region | None = None
    """The AWS region; left out, it is the one in the address of `base_url`, in the model's ARN, in
    `AWS_REGION`, in `AWS_DEFAULT_REGION`, or in the AWS configuration files."""
    default_region: _Region | None = None
    """The region if none is told anywhere, the AWS configuration files included."""
    api_key: SecretStr | None = None
    """A Bedrock API key, sent as `Authorization: Bearer`."""
    access_key_id: str | None = Field(None, repr=False)
    """An access key, with `secret_access_key`; left out with all else, the AWS tools' own order
    holds: environment, profile, web identity, SSO, container, instance."""
    secret_access_key: SecretStr | None = None
    """The secret of `access_key_id`."""
    session_token: SecretStr | None = None
    """The session token of keys that are temporary."""
    profile: str | None = None
    """A profile of the AWS configuration files."""
    role_arn: str | None = None
    """A role to assume, with the keys or the profile given, or with what the AWS tools find."""
    role_session_name: str = Field("llmroute", pattern=r"^[\w+=,.@-]{2,64}$")
    """What the role's session is called in AWS's own log."""
    external_id: str | None = Field(None, repr=False)
    """The external id that the role's policy asks for."""
    session_tags: dict[str, str] = Field(default_factory=dict)
    """Tags of the role's session."""
    web_identity_token: SecretStr | None = None
    """A token to assume `role_arn` with, instead of keys; or the file it is in; or where it is to
    be had each time, as `oidc/env/NAME`, `oidc/env_path/NAME`, `oidc/file/PATH`,
    `oidc/github/AUDIENCE`, `oidc/google/AUDIENCE`, `oidc/circleci/` or `oidc/circleci_v2/`."""
    sts_endpoint: str | None = None
    """Another address for AWS's token service."""
    anthropic_version: str = _VERSION
    """The dialect's date, sent as `anthropic_version` in the body."""
    guardrail_id: str | None = None
    """A guardrail to apply."""
    guardrail_version: str | None = None
    """Its version, or `DRAFT`."""
    guardrail_trace: Literal["ENABLED", "DISABLED", "ENABLED_FULL"] | None = None
    """Whether the answer tells what the guardrail did."""
    service_tier: Literal["priority", "default", "flex", "reserved"] | None = None
    """The service tier."""
    latency: Literal["standard", "optimized"] | None = None
    """Whether to ask for latency-optimized inference."""

    @property
    def learns(self) -> bool:
        """Whether what the upstream refuses of a request can be left out of the next one."""
        return self.surface != "claude_platform"


_HEADERS = (
    ("guardrail_id", b"x-amzn-bedrock-guardrailidentifier"),
    ("guardrail_version", b"x-amzn-bedrock-guardrailversion"),
    ("guardrail_trace", b"x-amzn-bedrock-trace"),
    ("service_tier", b"x-amzn-bedrock-service-tier"),
    ("latency", b"x-amzn-bedrock-performanceconfig-latency"),
)


def service(deployment: BedrockDeployment) -> str:
    """Return the service that a deployment's signatures are for."""
    return deployment.signing_service or service_of(deployment.surface)


def _base_url(deployment: BedrockDeployment) -> str:
    if deployment.base_url:
        return deployment.base_url.removesuffix("/messages").removesuffix("/v1")
    return address_of(deployment.surface, deployment.region) if deployment.region else _NO_PLACE


def _shown(deployment: BedrockDeployment) -> str:
    base = _base_url(deployment)
    if base != _NO_PLACE:
        return base
    otherwise = f", or in {deployment.default_region}" if deployment.default_region else ""
    return f"in the region that the AWS files name{otherwise}"


def placed(request: UpstreamRequest, deployment: BedrockDeployment, region: str) -> UpstreamRequest:
    """Return a request of a deployment that names no region, with its address in `region`."""
    if not request.url.startswith(_NO_PLACE):
        return request
    url = address_of(deployment.surface, region) + request.url.removeprefix(_NO_PLACE)
    return request._replace(url=url)


def _prepare(call: Call, deployment: BedrockDeployment, model: str) -> UpstreamRequest:
    if deployment.surface in ("messages", "claude_platform"):
        return _message(unsealed(call), deployment, model)
    known = ConverseModel.of(deployment.base_model or model, call.without)
    if deployment.surface == "converse" or (deployment.surface is None and known.is_foreign):
        return _conversation(call, deployment, model, known)
    return _invocation(unsealed(call), deployment, model)


def _message(call: Call, deployment: BedrockDeployment, model: str) -> UpstreamRequest:
    """Build a request of the Messages API."""
    betas = [value for name, value in call.headers if name == b"anthropic-beta"]
    members: dict[str, Any] = {"model": model} if model != call.model else {}
    if deployment.surface == "messages":
        bridged = bridge(call, MANTLE, model, deployment.overrides)
        body, losses = bridged.body, bridged.losses
        betas = [beta.encode("latin-1") for beta in bridged.betas]
        if profile := first(call.headers, b"anthropic-user-profile-id"):
            members["user_profile_id"] = profile
    else:
        body, losses = adapt(call, model)
    url = _base_url(deployment) + "/v1/messages"
    if call.endpoint == "count_tokens":
        url += "/count_tokens"
    else:
        members |= {k: v for k, v in deployment.extra_body.items() if k not in call.body}
    if call.query:
        url += "?" + call.query
    headers = {b"content-type": b"application/json", b"anthropic-version": _NATIVE_VERSION}
    headers |= {name: value for name, value in call.headers if name != b"anthropic-beta"}
    if betas:
        headers[b"anthropic-beta"] = b",".join(betas)
    if deployment.workspace_id:
        headers[b"anthropic-workspace-id"] = deployment.workspace_id.encode("latin-1")
    body = body.replace(**members) if members else body
    return UpstreamRequest(
        "POST", url, [*(headers | own_headers(deployment)).items()], body.pieces(), losses
    )


def _invocation(call: Call, deployment: BedrockDeployment, model: str) -> UpstreamRequest:
    body, losses = _body(call, deployment, model)
    if call.endpoint == "count_tokens":
        model, action, accept = _countable(model, deployment), "count-tokens", _ACCEPT[False]
        body = _to_count(body)
    else:
        action, accept = _ACTIONS[call.stream], _ACCEPT[call.stream]
    headers = {b"content-type": b"application/json", b"accept": accept}
    if call.endpoint == "messages":
        for setting, name in _HEADERS:
            if value := getattr(deployment, setting):
                headers[name] = value.encode("latin-1")
    url = _model_url(deployment, model, action)
    return UpstreamRequest(
        "POST", url, [*(headers | own_headers(deployment)).items()], body.pieces(), losses
    )


def _model_url(deployment: BedrockDeployment, model: str, action: str) -> str:
    if model in _DOTS:
        raise MisconfiguredError("the model's name is no name", status=404)
    # An ARN has slashes and colons; all of it is one segment.
    return f"{_base_url(deployment)}/model/{quote(model, safe='')}/{action}"


def _conversation(
    call: Call, deployment: BedrockDeployment, model: str, known: ConverseModel
) -> UpstreamRequest:
    made = conversation(
        call,
        known,
        family=_family(call, deployment),
        overrides=deployment.overrides,
        limit=deployment.max_tokens_limit,
        own=_own_members(deployment) | deployment.extra_body,
    )
    streams = call.stream and not is_whole(call, known)
    body, action, accept = made.body, _CONVERSATIONS[streams], _ACCEPT[streams]
    if call.endpoint == "count_tokens":
        body, action, accept = counted(body, known), "count-tokens", _ACCEPT[False]
        model = _countable(model, deployment)
    url = _model_url(deployment, model, action)
    # None of the caller's own headers: they are Anthropic's.
    headers = {b"content-type": b"application/json", b"accept": accept} | own_headers(deployment)
    return UpstreamRequest(
        "POST", url, [*headers.items()], (msgspec.json.encode(body),), made.losses
    )


def _own_members(deployment: BedrockDeployment) -> dict[str, Any]:
    """Return the members by which Converse is told what invocations have in headers."""
    own: dict[str, Any] = {}
    if deployment.guardrail_id:
        own["guardrailConfig"] = {
            "guardrailIdentifier": deployment.guardrail_id,
            "guardrailVersion": deployment.guardrail_version or "DRAFT",
        }
        if deployment.guardrail_trace:
            own["guardrailConfig"]["trace"] = deployment.guardrail_trace.lower()
    if deployment.service_tier:
        own["serviceTier"] = {"type": deployment.service_tier}
    if deployment.latency:
        own["performanceConfig"] = {"latency": deployment.latency}
    return own


def _family(call: Call, deployment: BedrockDeployment) -> str:
    """Return which model's reasoning it is: the same for a request and for its answer.

    What an alias's `*` matched is known only to the request; what was asked for stands for it.
    """
    told = deployment.base_model or deployment.model or call.model
    told = told.replace("*", call.model)
    return ConverseModel.of(told).name or told


def _body(
    call: Call, deployment: BedrockDeployment, model: str
) -> tuple[Envelope, tuple[str, ...]]:
    """Return the body of the invocation, and what was left out of it."""
    bridged = bridge(call, BEDROCK, model, deployment.overrides)
    members: dict[str, Any] = {"anthropic_version": deployment.anthropic_version}
    if bridged.betas:
        members["anthropic_beta"] = bridged.betas
    if profile := first(call.headers, b"anthropic-user-profile-id"):
        members["user_profile_id"] = profile
    body = bridged.body.without("model", "stream", "anthropic_beta")
    if call.endpoint == "messages":
        more = {k: v for k, v in deployment.extra_body.items() if k not in call.body}
        members = more | members
    return body.replace(**members), bridged.losses


def _to_count(body: Envelope) -> Envelope:
    """Wrap an invocation in the request that counts it."""
    if "max_tokens" not in body:
        thinking = body.get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        body = body.replace(max_tokens=(budget if isinstance(budget, int) else 0) + 1)
    encoded = base64.b64encode(bytes(body)).decode("ascii")
    return Envelope.of({"input": {"invokeModel": {"body": encoded}}})


def _countable(model: str, deployment: BedrockDeployment) -> str:
    """Return the foundation model's id: no profile is accepted for counting.

    Raises:
        MisconfiguredError: The name does not tell it.
    """
    known = deployment.base_model
    for name in (model, known or "", f"anthropic.{known}" if known else ""):
        if found := _FOUNDATION_MODEL.search(name):
            return found[1]
    raise MisconfiguredError(
        "Bedrock counts tokens for foundation models only, and the model's name does not tell"
        " which one is meant; set base_model",
        status=404,
    )


class _Shape(msgspec.Struct):
    """What tells an answer of Converse's."""

    type: Any = None
    output: Any = None


def _whole(call: Call, deployment: BedrockDeployment, body: bytes) -> bytes:
    if call.endpoint == "messages":
        try:
            shape = msgspec.json.decode(body, type=_Shape)
        except MALFORMED:
            return body
        is_converse = shape.type is None and shape.output is not None
        return converse_whole(call, body, _family(call, deployment)) if is_converse else body
    try:
        count = msgspec.json.decode(body)["inputTokens"]
    except (*MALFORMED, KeyError, TypeError):
        return body
    return msgspec.json.encode({"input_tokens": count})


def _decoder(call: Call, deployment: BedrockDeployment) -> RuntimeDecoder | None:
    if deployment.surface in ("messages", "claude_platform"):
        return None
    return RuntimeDecoder(call, _family(call, deployment))


def _refused(message: str) -> frozenset[str]:
    return refused_in(message) | lacking(message)


PROVIDER = Provider(
    "bedrock",
    BedrockDeployment,
    _prepare,
    aws_error,
    _decoder,
    _whole,
    refused=_refused,
    address=_shown,
)
