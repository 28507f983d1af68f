"""A fake Google Cloud: Vertex AI, Claude Models on Google Cloud, and the token services."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from llmroute.testing._google_tokens import Refused, ServiceAccount
from llmroute.testing._vertex_body import problem_with
from llmroute.testing.answer import Answer, Request, Script
from llmroute.testing.answers import as_json, error
from llmroute.testing.received import Received
from llmroute.testing.upstream import Asked, FakeUpstream

__all__ = ["FakeVertex", "google_error"]

_PATH = re.compile(
    r"/v1/projects/([^/]+)/locations/([^/]+)/publishers/anthropic/models/"
    r"([^/:]+):(rawPredict|streamRawPredict)"
)
_NATIVE_PATH = re.compile(
    r"/v1/projects/([^/]+)/locations/([^/]+)/workspaces/([^/]+)/invoke/v1/messages(/count_tokens)?"
)
_MODEL = re.compile(r"claude-[a-z0-9-]*[a-z](?:-[0-9]{1,2})*(?:-v[0-9])?(?:@20[0-9]{6})?")
_COUNTING = "count-tokens"
_TOKEN_PATHS = ("/token", "/sts")

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def google_error(
    code: int,
    message: str = "",
    *,
    status: str | None = None,
    retry_delay: float | None = None,
    in_list: bool = False,
) -> Answer:
    """Answer with an error of Google's own, as its platform words those that are not the model's.

    >>> google_error(429, "Quota exceeded").status
    429
    """
    described: dict[str, Any] = {
        "code": code,
        "message": message,
        "status": status or _STATUSES.get(code, "UNKNOWN"),
    }
    if retry_delay is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        described["details"] = [{"@type": kind, "retryDelay": f"{retry_delay:g}s"}]
    body = {"error": described}
    return as_json([body] if in_list else body, code)


class FakeVertex(FakeUpstream):
    """Vertex AI for Claude on 127.0.0.1, as strict as the real one, with its token services.

    It gives tokens for assertions signed with the key of its one service account, for a refresh
    token, and for the identity of a workload; takes only tokens that it has given and that have not
    ended; and refuses the betas and members that Vertex AI refuses.  Under the path of its one
    workspace it is Claude Models on Google Cloud: the Messages API, which takes the dialect of
    Anthropic and not the one of Vertex AI.  Answers are those of `FakeUpstream`; `google_error`
    makes those of the platform.

        >>> import anyio
        >>> from llmroute import Router
        >>> from llmroute.testing import FakeVertex
        >>> async def main(vertex: FakeVertex) -> str:
        ...     deployment = {
        ...         "provider": "vertex",
        ...         "base_url": vertex.url,
        ...         "credentials": vertex.service_account(),
        ...         "location": "us-east5",
        ...     }
        ...     config = {"deployments": {"v": deployment}, "aliases": {"claude-*": "v"}}
        ...     async with Router.from_dict(config) as router:
        ...         messages = [{"role": "user", "content": "Name a river."}]
        ...         message = await router.complete(
        ...             model="claude-haiku-4-5", max_tokens=64, messages=messages
        ...         )
        ...     return message.text
        >>> with FakeVertex() as vertex:
        ...     anyio.run(main, vertex)
        'Hello! What can I do for you?'

    Attributes:
        project: The one project there is.
        workspace: The one Anthropic workspace there is.
        lifetime: Seconds until the next token ends.
        tokens: Those that were given, each with its end; take some away to have them refused.
        given: How many tokens were given.
        identity: The token that is taken as a workload's identity.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        project: str = "fake-project",
        keep: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an upstream; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            project: The name of its project.
            keep: How many requests to remember; all if `None`.
            clock: Seconds since 1970, for tokens.
        """
        super().__init__(port=port, keep=keep)
        self.project = project
        self.workspace = "wrkspc_fake"
        self.lifetime = 3600.0
        self.tokens: dict[str, float] = {}
        self.given = 0
        self.identity = "fake-identity"
        self._clock = clock
        self._account: ServiceAccount | None = None

    def service_account(self) -> dict[str, Any]:
        """Return what the key file of the service account holds; needs `llmroute[google]`."""
        if self._account is None:
            self._account = ServiceAccount(self.project)
        return self._account.file(f"{self.url}/token")

    def workforce_login(self) -> dict[str, Any]:
        """Return what the file of a person's own login, by workforce identity federation, holds."""
        return {
            "type": "external_account_authorized_user",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/p",
            "client_id": "fake-client",
            "client_secret": "fake-client-secret",
            "refresh_token": "fake-refresh-token",
            "token_url": f"{self.url}/token",
        }

    def workload_identity(self, file: str) -> dict[str, Any]:
        """Return a configuration of workload identity federation; `file` holds `identity`."""
        return {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/"
            "providers/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/sts",
            "credential_source": {"file": file},
        }

    def _asked(self, received: Received) -> Asked:
        match = _PATH.fullmatch(received.path)
        if match is None:
            return super()._asked(received)
        return Asked(unquote(match[3]).partition("@")[0], match[4] == "streamRawPredict")

    def _scripted(self, answer: Answer, request: Request) -> Script:
        if _NATIVE_PATH.fullmatch(request.path):
            return answer.script(request)
        return answer.script(
            request._replace(
                message_id=request.message_id.replace("msg_", "msg_vrtx_"),
                request_id=request.request_id.replace("req_", "req_vrtx_"),
            )
        )

    def _chosen(self, received: Received, problem: str) -> Answer:
        if (routed := self._routed(received, f"{received.method} {received.path}")) is not None:
            return routed
        if received.path in _TOKEN_PATHS and received.method == "POST":
            return self._token(received)
        if not self._is_let_in(received.header("authorization") or ""):
            return google_error(
                401,
                "Request had invalid authentication credentials. Expected OAuth 2 access token,"
                " login cookie or other valid authentication credential.",
            )
        if received.method == "POST" and (match := _NATIVE_PATH.fullmatch(received.path)):
            project, location, workspace, counting = match.groups()
            return self._messaged(received, project, location, workspace, problem, counting)
        return self._predicted(received)

    def _messaged(
        self,
        received: Received,
        project: str,
        location: str,
        workspace: str,
        problem: str,
        counting: str | None,
    ) -> Answer:
        """Answer as the Messages API behind Google's gate."""
        if (project, workspace) != (self.project, self.workspace):
            return google_error(
                403,
                "Permission denied on resource '//claude.googleapis.com/projects/"
                f"{project}/locations/{location}/workspaces/{workspace}' (or it may not exist).",
            )
        if wrong := _problem_with(received, problem, counting=counting is not None):
            return error(400, message=wrong)
        if "@" in str(received.json["model"]):
            return error(404, message=f"model: {received.json['model']}")
        if counting:
            return as_json({"input_tokens": max(1, len(received.body) // 4)})
        return self._next(received)

    def _predicted(self, received: Received) -> Answer:
        match = _PATH.fullmatch(received.path)
        if match is None or received.method != "POST":
            return google_error(404, "Not found")
        project, location, model, action = map(unquote, match.groups())
        resource = f"projects/{project}/locations/{location}/publishers/anthropic/models/{model}"
        if project != self.project:
            return google_error(
                403,
                "Permission 'aiplatform.endpoints.predict' denied on resource"
                f" '//aiplatform.googleapis.com/{resource}' (or it may not exist).",
            )
        counting = model == _COUNTING
        if not (counting or _MODEL.fullmatch(model)):
            return google_error(
                404,
                f"Publisher Model `{resource}` was not found or your project does not have access"
                " to it. Please ensure you are using a valid model version.",
                in_list=action == "streamRawPredict",
            )
        return self._answered(received, action, counting=counting)

    def _answered(self, received: Received, action: str, *, counting: bool) -> Answer:
        betas = {
            beta.strip()
            for name, value in received.headers
            if name.lower() == "anthropic-beta"
            for beta in value.split(",")
        }
        if wrong := problem_with(received.body, betas, counting=counting):
            return error(400, message=wrong)
        if counting:
            return as_json({"input_tokens": max(1, len(received.body) // 4)})
        if (action == "streamRawPredict") is not (received.json.get("stream") is True):
            return error(400, message=f"stream: does not go with {action}")
        return self._next(received)

    def _is_let_in(self, authorization: str) -> bool:
        ends_at = self.tokens.get(authorization.removeprefix("Bearer "), 0.0)
        return authorization.startswith("Bearer ") and self._clock() < ends_at

    def _token(self, received: Received) -> Answer:
        form = {
            name: values[0] for name, values in parse_qs(received.body.decode("latin-1")).items()
        }
        try:
            self._check(form, f"{self.url}{received.path}")
        except Refused as refused:
            described = {"error": "invalid_grant", "error_description": str(refused)}
            return as_json(described, 400)
        self.given += 1
        token = f"ya29.fake-{self.given}"
        self.tokens[token] = self._clock() + self.lifetime
        return as_json(
            {
                "access_token": token,
                "expires_in": int(self.lifetime),
                "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }
        )

    def _check(self, form: dict[str, str], url: str) -> None:
        """Raise `Refused` if what is presented is worth no token."""
        match form.get("grant_type"):
            case "urn:ietf:params:oauth:grant-type:jwt-bearer" if self._account is not None:
                self._account.check(form.get("assertion", ""), url, self._clock())
            case "refresh_token":
                if form.get("refresh_token") != "fake-refresh-token":
                    raise Refused("Token has been expired or revoked.")
            case "urn:ietf:params:oauth:grant-type:token-exchange":
                if form.get("subject_token") != self.identity:
                    raise Refused("The subject token is invalid.")
            case _:
                raise Refused("Unsupported grant type.")


def _problem_with(received: Received, problem: str, *, counting: bool) -> str | None:
    """Return what the Messages API would say of a request; `None` if it takes it."""
    if problem:
        return f"The request body is not valid JSON: {problem}"
    if received.header("anthropic-version") is None:
        return "anthropic-version: header is required"
    given = received.json
    for name in ("model", "messages", *(() if counting else ("max_tokens",))):
        if name not in given:
            return f"{name}: Field required"
    for name in ("anthropic_version", "anthropic_beta"):
        if name in given:
            return f"{name}: Extra inputs are not permitted"
    return None
