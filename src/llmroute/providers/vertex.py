"""Claude on Google Cloud: on Vertex AI by rawPredict, or by the Messages API behind Google's gate.

The body of a rawPredict is a Messages request whose model stands in the path, and the stream is a
Messages stream.
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
The Messages API there is Anthropic's own, and takes what that takes; its address is the one in
Anthropic's SDK, `AnthropicGoogleCloud`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, StringConstraints, WithJsonSchema

from llmroute.errors import UpstreamError
from llmroute.messages.call import Call
from llmroute.platforms import VERTEX, adapt, bridge, refused_in
from llmroute.providers._base import (
    BaseUrl,
    BridgedDeployment,
    Provider,
    UpstreamRequest,
    native_error,
    own_headers,
    retry_delay,
    unsealed,
)
from llmroute.providers._worded import decoded, is_native, worded
from llmroute.wire.headers import Headers, first

__all__ = [
    "PROJECT",
    "PROVIDER",
    "GoogleCredentials",
    "VertexDeployment",
    "base_url",
    "location_host",
    "redacted",
]

PROJECT = "{project}"
"""Stands in a URL for the project, where only the credentials know it."""

# The dialect that every model takes.
_VERSION = "vertex-2023-10-16"
_NATIVE_VERSION = b"2023-06-01"

_CONTENT_TYPE = (b"content-type", b"application/json")
_DATED = re.compile(r"-(20[0-9]{6})$")


def _as_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, Mapping) else value


def _checked(value: SecretStr) -> SecretStr:
    try:
        json.loads(value.get_secret_value())["type"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("is no Google credential, a JSON object with a type") from None
    return value


def _without_resource(value: str) -> str:
    if "/projects/" in value:
        raise ValueError("must end before /projects")
    return value


def _no_key(_: SecretStr) -> SecretStr:
    raise ValueError("Vertex AI takes no key for Claude; set credentials_file, or auth_token")


GoogleCredentials = Annotated[
    SecretStr,
    BeforeValidator(_as_text),
    AfterValidator(_checked),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]


class VertexDeployment(BridgedDeployment):
    """A Claude model on Google Cloud.

    The credential is the first of: `auth_token`, `credentials`, `credentials_file`, and what
    Google's own tools would find on this machine.
    """

    key_required: ClassVar[bool] = False

    provider: Literal["vertex"] = "vertex"
    forward_client_auth: Literal[False] = False
    """A caller's own credential is never sent to Google."""
    surface: Literal["predict", "messages"] = "predict"
    """How it is spoken to: `predict` for rawPredict on Vertex AI; `messages` for Claude Models on
    Google Cloud, which Anthropic runs, where models go by Anthropic's names."""
    workspace_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """The Anthropic workspace, with `surface: messages`; left out, it is the one in
    `ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID`."""
    base_url: Annotated[BaseUrl, AfterValidator(_without_resource)] | None = None
    """Another address than the location's own; what has a path must end in the API's version,
    `/v1`."""
    api_key: Annotated[SecretStr, AfterValidator(_no_key)] | None = None
    """Vertex AI takes none for Claude."""
    auth_token: SecretStr | None = None
    """An access token, sent as it is until it ends; the settings below are renewed."""
    project: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:-]*$")] | None = None
    """The Google Cloud project; left out, it is the one in `ANTHROPIC_VERTEX_PROJECT_ID` (with
    `surface: messages`, in `ANTHROPIC_GOOGLE_CLOUD_PROJECT`) or `GOOGLE_CLOUD_PROJECT`, else the
    credentials' own."""
    location: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")] = "global"
    """A region, `us`, `eu` or `global`; left out, it is the one in `CLOUD_ML_REGION` or
    `GOOGLE_CLOUD_LOCATION` (with `surface: messages`, in `ANTHROPIC_GOOGLE_CLOUD_LOCATION`), else
    `global`."""
    credentials: GoogleCredentials | None = None
    """A credential of any of Google's types (service account, workload identity, impersonation,
    …), as a mapping or as JSON."""
    credentials_file: str | None = None
    """The file that holds it."""
    anthropic_version: str = _VERSION
    """The dialect's date, sent as `anthropic_version` in the body of a rawPredict."""

    @property
    def learns(self) -> bool:
        """Whether what the upstream refuses of a request can be left out of the next one."""
        return self.surface == "predict"

    @property
    def obtains_token(self) -> bool:
        """Whether tokens are fetched: neither is one given, nor do the headers carry one."""
        carried = any(name.lower() == "authorization" for name in self.headers)
        return self.auth_token is None and not carried


def base_url(deployment: VertexDeployment) -> str:
    """Return the address of the API, its version included.

    >>> base_url(VertexDeployment(location="europe-west1"))
    'https://europe-west1-aiplatform.googleapis.com/v1'
    """
    if deployment.base_url is not None:
        return (
            deployment.base_url
            if urlsplit(deployment.base_url).path
            else f"{deployment.base_url}/v1"
        )
    if deployment.surface == "messages":
        return "https://claude.googleapis.com/v1"
    return f"https://{location_host(deployment.location)}/v1"


def location_host(location: str) -> str:
    """Return the host of Vertex AI at a location: a region, several regions in one, or `global`."""
    if location == "global":
        return "aiplatform.googleapis.com"
    if "-" in location:
        return f"{location}-aiplatform.googleapis.com"
    return f"aiplatform.{location}.rep.googleapis.com"


def _prepare(call: Call, deployment: VertexDeployment, model: str) -> UpstreamRequest:
    prepare = _prediction if deployment.surface == "predict" else _message
    return prepare(unsealed(call), deployment, model)


def _place(deployment: VertexDeployment) -> str:
    return (
        f"{base_url(deployment)}/projects/{deployment.project or PROJECT}"
        f"/locations/{deployment.location}"
    )


def _message(call: Call, deployment: VertexDeployment, model: str) -> UpstreamRequest:
    """Build a request of the Messages API."""
    body, losses = adapt(call, model)
    members: dict[str, Any] = {"model": model} if model != call.model else {}
    url = f"{_place(deployment)}/workspaces/{deployment.workspace_id}/invoke/v1/messages"
    if call.endpoint == "count_tokens":
        url += "/count_tokens"
    else:
        members |= {n: v for n, v in deployment.extra_body.items() if n not in call.body}
    if call.query:
        url += "?" + call.query
    own = own_headers(deployment)
    sent = [_CONTENT_TYPE, *[header for header in call.headers if header[0] not in own]]
    sent += own.items()
    if b"anthropic-version" not in [name for name, _ in sent]:
        sent.append((b"anthropic-version", _NATIVE_VERSION))
    body = body.replace(**members) if members else body
    return UpstreamRequest("POST", url, sent, body.pieces(), losses)


def _prediction(call: Call, deployment: VertexDeployment, model: str) -> UpstreamRequest:
    # The date of a version follows an `@` here: claude-haiku-4-5@20251001.
    model = _DATED.sub(r"@\1", model)
    bridged = bridge(call, VERTEX, model, deployment.overrides)
    members: dict[str, Any] = {"anthropic_version": deployment.anthropic_version}
    if call.endpoint == "count_tokens":
        resource, body = "count-tokens:rawPredict", bridged.body
        members["model"] = model
    else:
        action = "streamRawPredict" if call.stream else "rawPredict"
        resource, body = f"{quote(model, safe='@')}:{action}", bridged.body.without("model")
        members |= {n: v for n, v in deployment.extra_body.items() if n not in call.body}
    url = f"{_place(deployment)}/publishers/anthropic/models/{resource}"
    headers = _headers(call.headers, bridged.betas, deployment)
    return UpstreamRequest("POST", url, headers, body.replace(**members).pieces(), bridged.losses)


def _headers(
    given: Headers, betas: tuple[str, ...], deployment: VertexDeployment
) -> list[tuple[bytes, bytes]]:
    """Return the headers, of Anthropic's own the betas alone: the rest is its own platform's."""
    sent = {_CONTENT_TYPE[0]: _CONTENT_TYPE[1]}
    sent |= {name: value for name, value in given if not name.startswith(b"anthropic-")}
    if betas:
        sent[b"anthropic-beta"] = ",".join(betas).encode("latin-1")
    return [*(sent | own_headers(deployment)).items()]


# Answered with a 400, and about the deployment and not about the request.
_NOT_HERE = re.compile(
    r"not servable|not supported in (?:the |this )?(?:region|location)", re.IGNORECASE
)
# Projects stand in messages by name and by number, as a part of resources and by themselves.
_PROJECT = re.compile(
    r"(?P<before>\bprojects?(?:[_ ](?:id|number))?\s*[/=:]\s*"
    r"|\bproject\s+(?=[`'\"]|[0-9]{5}|[a-z][a-z0-9]*-[a-z0-9]))"
    r"(?P<quote>[`'\"]?)[a-z0-9][a-z0-9.:-]*[a-z0-9]",
    re.IGNORECASE,
)
_RESOURCE = re.compile(rb"\b(projects/)[a-z0-9][a-z0-9.:-]*[a-z0-9]")
_ACCOUNT = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w.-]+\.gserviceaccount\.com", re.ASCII)
_ACCOUNT_BYTES = re.compile(_ACCOUNT.pattern.encode())


def redacted(text: str) -> str:
    """Take out what a client has no business to know.

    >>> redacted("Permission denied on //aiplatform.googleapis.com/projects/acme/locations/us")
    'Permission denied on //aiplatform.googleapis.com/projects/(project)/locations/us'
    """
    text = _ACCOUNT.sub("(account)", text)
    return _PROJECT.sub(lambda m: f"{m['before']}{m['quote']}(project)", text)


def _error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Read an error of the model's, or of the platform before it.

    https://docs.cloud.google.com/apis/design/errors
    """
    described = decoded(body)
    if is_native(described):
        # The model's own words stay as they are, but for the resources they may name: a word that
        # is only `project` may as well be a member of the request's.
        body = _RESOURCE.sub(rb"\1(project)", body)
        return native_error(status, headers, _ACCOUNT_BYTES.sub(b"(account)", body))
    error = described.get("error")
    error = error if isinstance(error, dict) else {}
    message = redacted(str(error.get("message") or f"Google Cloud answered {status}"))
    if status == 400 and _NOT_HERE.search(message):
        status = 404
    if (delay := retry_delay(error)) is not None and first(headers, b"retry-after") is None:
        headers = [*headers, (b"retry-after", str(math.ceil(delay)).encode())]
    return worded(status, headers, message)


PROVIDER = Provider(
    "vertex", VertexDeployment, _prepare, _error, refused=refused_in, address=base_url
)
