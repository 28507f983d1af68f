"""LiteLLM's settings for Amazon Bedrock → ours."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydantic import Field, SecretStr

from llmroute.config import aws
from llmroute.config.document import Path
from llmroute.config.litellm_cloud import Cloud, Given, Taken
from llmroute.config.settings import Settings
from llmroute.providers.bedrock import BedrockDeployment
from llmroute.translate.converse_model import ConverseModel

__all__ = ["BEDROCK", "BEDROCK_MANTLE", "BedrockGuardrail", "BedrockParams", "BedrockTag"]

_DEFAULT_REGION = "us-west-2"
_REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-[0-9]+")
# A profile or a provisioned model may be anything; who names one by its ARN knows what it is.
_OPAQUE = re.compile(
    r"arn:[^/]*:(application-inference-profile|provisioned-model|custom-model[a-z-]*"
    r"|imported-model|prompt-router|default-prompt-router|endpoint)/"
)
# Models that hold no conversation.
_OTHERWISE = re.compile(r"embed|rerank|stability\.|-image|canvas|nova-(?:reel|[a-z0-9-]*sonic)")


class BedrockTag(Settings):
    """One of `aws_session_tags`."""

    Key: str
    Value: str


class BedrockGuardrail(Settings):
    """`guardrailConfig`."""

    guardrailIdentifier: str | None = None  # noqa: N815 - LiteLLM's name
    guardrailVersion: str | None = None  # noqa: N815 - likewise
    trace: str | None = None


class BedrockParams(Settings):
    """What `litellm_params` may hold for Bedrock, besides what every provider has."""

    aws_access_key_id: str | None = None
    """An access key; this and each of those below, if left out, is taken from the environment, by
    the same name in capitals."""
    aws_secret_access_key: SecretStr | None = None
    """Its secret."""
    aws_session_token: SecretStr | None = None
    """The session token of keys that are temporary."""
    aws_region_name: str | None = None
    """The region; left out, it is the one in the endpoint's name, in the model's ARN, in
    `AWS_REGION_NAME` or `AWS_REGION`, or the one in the AWS configuration files, or `us-west-2`."""
    aws_profile_name: str | None = None
    """A profile of the AWS configuration files."""
    aws_role_name: str | None = None
    """The ARN of a role to assume."""
    aws_session_name: str | None = None
    """What the role's session is called."""
    aws_external_id: str | None = None
    """The external id that the role's policy asks for."""
    aws_session_tags: list[BedrockTag] = Field(default_factory=list)
    """Tags of the role's session, each a `Key` and a `Value`."""
    aws_web_identity_token: SecretStr | None = None
    """A token to assume the role with, or the file it is in, or one of LiteLLM's names for where it
    is to be had: `oidc/env/NAME`, `oidc/env_path/NAME`, `oidc/file/PATH`, `oidc/github/AUDIENCE`,
    `oidc/google/AUDIENCE`, `oidc/circleci/`, `oidc/circleci_v2/`."""
    aws_sts_endpoint: str | None = None
    """Another address for AWS's token service."""
    aws_bedrock_runtime_endpoint: str | None = None
    """The same as `api_base`."""
    aws_bedrock_project_id: str | None = None
    """The workspace of a `bedrock/claude_platform/` model."""
    guardrailConfig: BedrockGuardrail | None = None  # noqa: N815 - LiteLLM's name
    """A guardrail: `guardrailIdentifier`, `guardrailVersion`, `trace`."""


class _Name(NamedTuple):
    """A model as LiteLLM writes it: `[ROUTE/][REGION/]ID`."""

    route: str
    region: str | None
    id: str


def _name(model: str) -> _Name:
    route, region = "invoke", None
    while "/" in model and not model.startswith("arn:"):
        start, _, rest = model.partition("/")
        if _REGION.fullmatch(start):
            region = start
        else:
            route = start
        model = rest
    return _Name(route, region, model)


def _refusal(model: str) -> str | None:
    name = _name(model)
    if name.route not in _SURFACES:
        return "names a route that is not part of this version of llmroute; leave it out"
    if name.id == "*" or (name.route == "claude_platform" and "claude" in name.id):
        return None
    if _SURFACES[name.route] in ("messages", "claude_platform"):
        # An id, or the ARN of a profile that may be any model's.
        is_claude = "anthropic." in name.id or _OPAQUE.match(name.id)
        return None if is_claude else "is no Claude model; this route has no other"
    if _OTHERWISE.search(name.id):
        return "is no model for conversations"
    if not (_OPAQUE.match(name.id) or ConverseModel.of(name.id).vendor):
        return "is no id of a model at Bedrock: it begins with a vendor's name, amazon. for one"
    return None


# LiteLLM's routes.  Which of Bedrock's runtime is spoken to is told by the model, and the format
# that LiteLLM has for one of its own makes no difference.
_SURFACES = {
    **dict.fromkeys(("invoke", "converse", "converse_like", "nova", "llama", "deepseek_r1")),
    **dict.fromkeys(("mistral", "openai", "qwen2", "qwen3", "moonshot")),
    "mantle": "messages",
    "claude_platform": "claude_platform",
}
_DIRECT = {
    "aws_profile_name": "profile",
    "aws_role_name": "role_arn",
    "aws_session_name": "role_session_name",
    "aws_external_id": "external_id",
    "aws_sts_endpoint": "sts_endpoint",
}
_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}

_PAIR = ("aws_access_key_id", "aws_secret_access_key")


class _Reading:
    """The reading of one entry: settings, and where each of them stands."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.name = _name(given.model)
        self.settings: dict[str, Any] = {
            "provider": "bedrock",
            "surface": self._surface(),
            "model": self.name.id,
            "base_url": given.base,
            "api_key": given.api_key,
        }
        self.origins: dict[str, Path] = {"base_url": given.base_at}

    def _surface(self) -> str | None:
        surface = _SURFACES[self.name.route]
        told = ConverseModel.of(self.name.id)
        if self.name.route == "converse" and _OPAQUE.match(self.name.id) and not told.vendor:
            # The one way of Bedrock's that every model takes.
            return "converse"
        return surface

    def set(self, ours: str, theirs: str, value: Any) -> None:
        """Set one of our settings, from LiteLLM's `theirs`."""
        if value is not None:
            self.settings[ours] = value
        self.origins[ours] = self.given.place(theirs)

    def wrong(self, theirs: str, text: str) -> None:
        self.given.document.wrong(self.given.place(theirs), text)

    def credential(self) -> None:
        own, environ = self.given.own, self.given.environ
        for theirs, ours in _DIRECT.items():
            self.set(ours, theirs, getattr(own, theirs) or environ.get(theirs.upper()))
        # A session token belongs to the key it came with.
        from_file = any(getattr(own, theirs) for theirs in _KEYS)
        for theirs, ours in _KEYS.items():
            value = getattr(own, theirs) if from_file else environ.get(theirs.upper())
            self.set(ours, theirs, value)
        for one, other in (_PAIR, _PAIR[::-1]):
            halved = getattr(own, one) and not getattr(own, other)
            if from_file and halved and self.given.document.credentials:
                self.wrong(other, f"{one} is given, and this is not")
        token = own.aws_web_identity_token or SecretStr(environ.get("AWS_WEB_IDENTITY_TOKEN", ""))
        if token.get_secret_value() and "role_arn" in self.settings:
            self.set("web_identity_token", "aws_web_identity_token", token)
            if no := aws.identity_refusal(token.get_secret_value()):
                self.wrong("aws_web_identity_token", no)
        if own.aws_session_tags:
            self.settings["session_tags"] = {tag.Key: tag.Value for tag in own.aws_session_tags}

    def address(self) -> None:
        own, environ = self.given.own, self.given.environ
        runtime = own.aws_bedrock_runtime_endpoint or environ.get("AWS_BEDROCK_RUNTIME_ENDPOINT")
        if self.settings["surface"] in (None, "converse") and self.given.base is None and runtime:
            self.set("base_url", "aws_bedrock_runtime_endpoint", runtime)
        if self.name.route == "claude_platform":
            self.set("workspace_id", "aws_bedrock_project_id", own.aws_bedrock_project_id)
        elif own.aws_bedrock_project_id:
            place = self.given.place("aws_bedrock_project_id")
            self.given.document.warn(place, "is for bedrock/claude_platform/ models; not used")
        told = (
            own.aws_region_name,
            self.name.region,
            aws.host_region(self.settings["base_url"]),
            aws.arn_region(self.name.id),
            environ.get("AWS_REGION_NAME"),
        )
        self.set("region", "aws_region_name", next(filter(None, told), None))

    def guardrail(self) -> None:
        if (asked := self.given.own.guardrailConfig) is None:
            return
        self.set("guardrail_id", "guardrailConfig", asked.guardrailIdentifier)
        self.set("guardrail_version", "guardrailConfig", asked.guardrailVersion)
        self.set("guardrail_trace", "guardrailConfig", asked.trace and asked.trace.upper())

    def taken(self) -> Taken:
        given = {name: value for name, value in self.settings.items() if value is not None}
        settings = aws.completed(given, self.given.environ)
        if self.name.route == "claude_platform" and "workspace_id" not in settings:
            text = "required on Claude Platform on AWS, and not given"
            self.wrong("aws_bedrock_project_id", text)
        if "region" not in settings:
            settings["default_region"] = _DEFAULT_REGION
            text = f"no region is named; {_DEFAULT_REGION} unless your AWS configuration names one"
            self.given.document.warn(self.origins["region"], text)
        return Taken(settings, self.origins)


def _take(given: Given) -> Taken:
    reading = _Reading(given)
    reading.credential()
    reading.address()
    reading.guardrail()
    return reading.taken()


def _take_mantle(given: Given) -> Taken:
    return _take(given._replace(model=f"mantle/{given.model}"))


BEDROCK = Cloud(
    deployment=BedrockDeployment,
    params=BedrockParams,
    prefixes=("aws_",),
    refusal=_refusal,
    take=_take,
)
BEDROCK_MANTLE = BEDROCK._replace(take=_take_mantle)
