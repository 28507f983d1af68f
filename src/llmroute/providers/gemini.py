"""Gemini by generateContent: on the Gemini API (AI Studio), or on Vertex AI.

https://ai.google.dev/api/generate-content and
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

import msgspec
from pydantic import Field, SecretStr, StringConstraints

from llmroute.errors import UpstreamError
from llmroute.messages.call import Call
from llmroute.providers._base import (
    BaseUrl,
    Deployment,
    Provider,
    UpstreamRequest,
    own_headers,
    retry_delay,
)
from llmroute.providers._worded import decoded, worded
from llmroute.providers.vertex import PROJECT, GoogleCredentials, location_host, redacted
from llmroute.translate.gemini_request import gemini_request
from llmroute.translate.gemini_response import GeminiDecoder, gemini_message, worded_overflow
from llmroute.wire.headers import Headers, first

__all__ = ["PROVIDER", "GeminiDeployment", "base_url"]

_CONTENT_TYPE = (b"content-type", b"application/json")
_KEY_HEADERS = frozenset({"authorization", "x-goog-api-key"})
# The version with the newest features, which Google's own SDK speaks on Vertex AI.
_VERSIONS = {"ai_studio": "v1beta", "vertex": "v1beta1"}
# https://ai.google.dev/api/generate-content#v1beta.HarmCategory: those that can be set.
_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_KINDS = ("models/", "tunedModels/", "endpoints/")
# What countTokens on Vertex AI takes of a request.
_COUNTED = ("systemInstruction", "contents", "tools")
_SIGNATURES = "thought_signatures"


class GeminiDeployment(Deployment):
    """A Gemini model.

    With `surface: vertex` the credential is the first of: `auth_token`, `api_key`, `credentials`,
    `credentials_file`, and what Google's own tools would find on this machine.
    """

    key_required: ClassVar[bool] = False

    provider: Literal["gemini"] = "gemini"
    forward_client_auth: Literal[False] = False
    """A caller's own credential is never sent to Google."""
    surface: Literal["ai_studio", "vertex"] = "ai_studio"
    """Where it is: `ai_studio` for the Gemini API, with a key of Google AI Studio's; `vertex` for
    Vertex AI, with a Google Cloud project."""
    base_url: BaseUrl | None = None
    """Another address than Google's own, up to but without the API's version."""
    api_version: Annotated[str, StringConstraints(pattern=r"^v[a-z0-9]+$")] | None = None
    """The API's version; `v1beta`, on Vertex AI `v1beta1`, if left out."""
    api_key: SecretStr | None = None
    """Sent as `x-goog-api-key`; on Vertex AI, a key of its express mode, without a `project`."""
    auth_token: SecretStr | None = None
    """An access token, sent as it is until it ends; the settings below are renewed."""
    project: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:-]*$")] | None = None
    """The Google Cloud project, with `surface: vertex`; left out, it is the one in
    `GOOGLE_CLOUD_PROJECT`, else the credentials' own."""
    location: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")] = "global"
    """A region, `us`, `eu` or `global`, with `surface: vertex`; left out, it is the one in
    `GOOGLE_CLOUD_LOCATION`, else `global`."""
    credentials: GoogleCredentials | None = None
    """A credential of any of Google's types, as a mapping or as JSON."""
    credentials_file: str | None = None
    """The file that holds it."""
    safety_filter: Literal["none", "few", "some", "most"] | None = None
    """How much is blocked of what Google rates as harmful: nothing, what is very likely to be
    (`few`), what is likely to be (`some`), or all that may be (`most`). Left out, as Google has
    it."""
    max_tokens_limit: int | None = Field(None, gt=0)
    """The longest answer in tokens that the model gives, where its name does not tell; a longer one
    that is asked for is lowered to it."""
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Members set in the body of every request as it is sent, in place of translated ones; those
    of `generationConfig` and other objects one by one."""

    @property
    def learns(self) -> bool:
        """Whether what the upstream refuses of a request can be left out of the next one."""
        return True

    @property
    def seller(self) -> str:
        """Whose price list holds."""
        return "google"

    @property
    def needs_key(self) -> bool:
        """Whether there is no other credential than a key or a token, and neither is given."""
        carried = any(name.lower() in _KEY_HEADERS for name in self.headers)
        given = self.api_key is not None or self.auth_token is not None or carried
        return self.surface == "ai_studio" and not (given or self.base_url)

    @property
    def obtains_token(self) -> bool:
        """Whether tokens are fetched: neither a key nor a token is given."""
        carried = any(name.lower() in _KEY_HEADERS for name in self.headers)
        given = self.api_key is not None or self.auth_token is not None or carried
        return self.surface == "vertex" and not given


def base_url(deployment: GeminiDeployment) -> str:
    """Return the address of the API, its version included.

    >>> base_url(GeminiDeployment())
    'https://generativelanguage.googleapis.com/v1beta'
    """
    base = deployment.base_url
    if base is None:
        on_vertex = deployment.surface == "vertex"
        host = (
            location_host(deployment.location) if on_vertex else "generativelanguage.googleapis.com"
        )
        base = f"https://{host}"
    return f"{base}/{deployment.api_version or _VERSIONS[deployment.surface]}"


def _prepare(call: Call, deployment: GeminiDeployment, model: str) -> UpstreamRequest:
    made = gemini_request(
        call.body,
        model,
        with_signatures=_SIGNATURES not in call.without,
        longest=deployment.max_tokens_limit,
    )
    body = _with_own(made.body, deployment)
    url = _resource(deployment, model)
    if call.endpoint == "count_tokens":
        url += ":countTokens"
        if deployment.surface == "vertex":
            body = {name: body[name] for name in _COUNTED if name in body}
        else:
            name = model if model.startswith(_KINDS) else f"models/{model}"
            body = {"generateContentRequest": {"model": name, **body}}
    elif call.stream:
        url += ":streamGenerateContent?alt=sse"
    else:
        url += ":generateContent"
    # None of the caller's own headers: they are Anthropic's.
    headers = [*({_CONTENT_TYPE[0]: _CONTENT_TYPE[1]} | own_headers(deployment)).items()]
    return UpstreamRequest("POST", url, headers, (msgspec.json.encode(body),), made.losses)


def _resource(deployment: GeminiDeployment, model: str) -> str:
    base = base_url(deployment)
    kind = next((kind for kind in _KINDS if model.startswith(kind)), "models/")
    # A name may come from the caller: it is one segment, whatever is in it.
    segment = kind + quote(model.removeprefix(kind), safe="")
    if deployment.surface == "ai_studio":
        return f"{base}/{segment}"
    if kind == "models/":
        segment = f"publishers/google/{segment}"
    if deployment.api_key is not None and deployment.project is None:
        return f"{base}/{segment}"
    project = deployment.project or PROJECT
    return f"{base}/projects/{project}/locations/{deployment.location}/{segment}"


_THRESHOLDS = {
    "none": "OFF",
    "few": "BLOCK_ONLY_HIGH",
    "some": "BLOCK_MEDIUM_AND_ABOVE",
    "most": "BLOCK_LOW_AND_ABOVE",
}


def _with_own(body: dict[str, Any], deployment: GeminiDeployment) -> dict[str, Any]:
    """Add what the deployment sets."""
    own: dict[str, Any] = {}
    if deployment.safety_filter is not None:
        threshold = _THRESHOLDS[deployment.safety_filter]
        own["safetySettings"] = [
            {"category": f"HARM_CATEGORY_{harm}", "threshold": threshold} for harm in _HARMS
        ]
    own |= deployment.extra_body
    if not own:
        return body
    both = {
        name: value | own[name]
        for name, value in body.items()
        if isinstance(value, dict) and isinstance(own.get(name), dict)
    }
    return body | own | both


# Answered with a 400, and about the deployment and not about the request.
_NO_KEY = re.compile(r"api key (?:not valid|expired|not found)|API_KEY_INVALID", re.IGNORECASE)
_NOT_HERE = re.compile(r"location is not supported|not available in your country", re.IGNORECASE)
_UNPAID = re.compile(
    r"(?:prepa\w+|billing)[^.]*(?:depleted|exhausted|disabled|not enabled)|enable billing",
    re.IGNORECASE,
)
# Of another model, or of another project.
_BAD_SIGNATURE = re.compile(
    r"(?:invalid|corrupt\w*|malformed)[^.]*thought.?signature"
    r"|thought.?signature[^.]*(?:not valid|invalid|corrupt|malformed)",
    re.IGNORECASE,
)


def _error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Read an error of Google's.

    https://docs.cloud.google.com/apis/design/errors
    """
    described = decoded(body).get("error")
    error: Mapping[str, Any] = described if isinstance(described, dict) else {}
    message = redacted(str(error.get("message") or f"Gemini answered {status}"))
    if status == 400 and (_NO_KEY.search(message) or _reason(error) == "API_KEY_INVALID"):
        status = 401
    elif status == 400 and _NOT_HERE.search(message):
        status = 403
    elif status in (400, 429) and _UNPAID.search(message):
        status = 402
    if (delay := retry_delay(error)) is not None and first(headers, b"retry-after") is None:
        headers = [*headers, (b"retry-after", str(math.ceil(delay)).encode())]
    made = worded(status, headers, worded_overflow(message))
    name = error.get("status")
    made.code = made.code or (name if isinstance(name, str) else "")
    return made


def _reason(error: Mapping[str, Any]) -> str:
    """Return what an `ErrorInfo` gives for the reason."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and isinstance(detail.get("reason"), str):
            reason: str = detail["reason"]
            return reason
    return ""


def _refused(message: str) -> frozenset[str]:
    """Tell whether thought signatures are refused, which can be left out."""
    return frozenset({_SIGNATURES} if _BAD_SIGNATURE.search(message) else ())


def _model(call: Call, deployment: GeminiDeployment) -> str:
    """Return the model that was asked, unless its name depends on the alias."""
    name = call.model if deployment.model is None else deployment.model
    return "" if "*" in name else name


def _decoder(call: Call, deployment: GeminiDeployment) -> GeminiDecoder:
    return GeminiDecoder(call, _model(call, deployment))


def _whole(call: Call, deployment: GeminiDeployment, body: bytes) -> bytes:
    return gemini_message(call, body, _model(call, deployment))


PROVIDER = Provider(
    "gemini",
    GeminiDeployment,
    _prepare,
    _error,
    decoder=_decoder,
    whole=_whole,
    refused=_refused,
    address=base_url,
)
