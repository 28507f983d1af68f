"""A fake Microsoft Foundry, and the token services of Entra ID for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qs

from llmroute.testing.answer import Answer
from llmroute.testing.answers import as_json, error
from llmroute.testing.received import Received
from llmroute.testing.upstream import FakeUpstream

__all__ = ["FakeEntra", "FakeFoundry", "azure_error"]

_PATHS = frozenset({"/anthropic/v1/messages", "/anthropic/v1/messages/count_tokens"})
_REFUSED_MEMBERS = ("fallbacks", "inference_geo", "speed", "thread")
_SCOPES = frozenset(
    {"https://ai.azure.com/.default", "https://cognitiveservices.azure.com/.default"}
)
_NO_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a"
    " valid key for an active subscription and use a correct regional API endpoint for your"
    " resource."
)
_IDENTITY_PATH = "/metadata/identity/oauth2/token"
_ANY_TENANT = "organizations"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def azure_error(status: int, message: str, *, code: str | None = None) -> Answer:
    """Answer with an error of the gateway that stands before the models.

    >>> azure_error(401, "Access denied").status
    401
    """
    return as_json({"error": {"code": code or str(status), "message": message}}, status)


class FakeFoundry(FakeUpstream):
    """Claude in Microsoft Foundry on 127.0.0.1, as strict as the real one.

    It takes its key, as `x-api-key` or `api-key`, and tokens that a `FakeEntra` has given and that
    have not ended; and knows no model but its deployments.  Answers are those of `FakeUpstream`;
    `azure_error` makes those of the gateway.

        >>> from llmroute.testing import FakeFoundry
        >>> with FakeFoundry(deployments={"claude-opus-4-1"}) as foundry:
        ...     config = {
        ...         "deployments": {
        ...             "f": {"provider": "foundry", "base_url": foundry.url, "api_key": "fake-key"}
        ...         },
        ...         "aliases": {"claude-*": "f"},
        ...     }

    Attributes:
        deployments: The names that can be asked for; any if `None`.
        tokens: Those that were given, each with its end; take some away to have them refused.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = "fake-key",
        deployments: set[str] | None = None,
        keep: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make an upstream; it serves from `start` or `with` on.

        Args:
            port: The port to listen on; any free one if 0.
            api_key: Its key.
            deployments: The names that can be asked for; any if `None`.
            keep: How many requests to remember; all if `None`.
            clock: Seconds since 1970, for tokens.
        """
        super().__init__(port=port, keep=keep)
        self.deployments = deployments
        self.tokens: dict[str, float] = {}
        self._key = api_key
        self._clock = clock

    def _chosen(self, received: Received, problem: str) -> Answer:
        if (routed := self._routed(received, f"{received.method} {received.path}")) is not None:
            return routed
        if (refused := self._problem_with(received, problem)) is not None:
            return refused
        if received.path.endswith("/count_tokens"):
            return as_json({"input_tokens": max(1, len(received.body) // 4)})
        return self._next(received)

    def _is_let_in(self, received: Received) -> bool:
        if self._key in (received.header("x-api-key"), received.header("api-key")):
            return True
        kind, _, token = (received.header("authorization") or "").partition(" ")
        return kind == "Bearer" and self._clock() < self.tokens.get(token, 0.0)

    def _problem_with(self, received: Received, problem: str) -> Answer | None:
        if received.path not in _PATHS or received.method != "POST":
            return azure_error(404, "Resource not found")
        if not self._is_let_in(received):
            return azure_error(401, _NO_KEY)
        if problem:
            return error(400, message=f"The request body is not valid JSON: {problem}")
        return _problem_with(received, self.deployments)


def _problem_with(received: Received, deployments: set[str] | None) -> Answer | None:
    given = received.json
    if received.header("anthropic-version") is None:
        return error(400, message="anthropic-version: header is required")
    if deployments is not None and given.get("model") not in deployments:
        return azure_error(
            404,
            "The API deployment for this resource does not exist. If you created the deployment"
            " within the last 5 minutes, please wait a moment and try again.",
            code="DeploymentNotFound",
        )
    for name in _REFUSED_MEMBERS:
        if name in given:
            return error(400, message=f"{name}: Extra inputs are not permitted")
    return None


class _TakesTokens(Protocol):
    """What Entra ID gives tokens for.

    Attributes:
        tokens: Those that were given, each with its end.
    """

    tokens: dict[str, float]


class FakeEntra(FakeUpstream):
    """The token services of Entra ID on 127.0.0.1: an application's, and a machine's own.

    An application proves itself by its secret or by a token of another it trusts, or asks for a
    user, by the user's password.

    The tokens it gives are good at `foundry` until they end.

    Attributes:
        applications: The secret of each application, by tenant and client id.
        trusted: The tokens of others that are taken for an application's, likewise.
        users: The password of each user.
        identities: The client ids of the machine's identities; the first is the default one.
        lifetime: Seconds until the next token ends.
        given: How many tokens were given.
    """

    def __init__(
        self, foundry: _TakesTokens, *, port: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(port=port)
        self.applications = {("fake-tenant", "fake-client"): "fake-secret"}
        self.trusted = {("fake-tenant", "fake-client"): "fake-assertion"}
        self.users = {"fake-user@fake.example": "fake-password"}
        self.identities = ["fake-identity"]
        self.lifetime = 3600.0
        self.given = 0
        self._foundry = foundry
        self._clock = clock

    def _chosen(self, received: Received, problem: str) -> Answer:
        del problem
        if (routed := self._routed(received, f"{received.method} {received.path}")) is not None:
            return routed
        if received.path == _IDENTITY_PATH and received.method == "GET":
            return self._for_machine(received)
        tenant, _, rest = received.path[1:].partition("/")
        if rest != "oauth2/v2.0/token" or received.method != "POST":
            return error(404, message="Not found")
        return self._for_application(tenant, _form(received.body.decode("latin-1")))

    def _for_application(self, tenant: str, form: dict[str, str]) -> Answer:
        grant, client = form.get("grant_type"), form.get("client_id", "")
        if grant not in ("client_credentials", "password"):
            return _refusal("unsupported_grant_type", "AADSTS70003: The grant type is not one.")
        known = (tenant, client) in self.applications
        if tenant == _ANY_TENANT and grant == "password":
            known = any(client == name for _, name in self.applications)
        if not known:
            text = f"AADSTS700016: Application with identifier '{client}' was not found."
            return _refusal("unauthorized_client", text)
        refused = self._not_proven(tenant, form)
        if refused is None and grant == "password":
            refused = self._no_user(form)
        if refused is not None:
            return refused
        if form.get("scope") not in _SCOPES:
            return _refusal("invalid_scope", "AADSTS70011: The provided scope is not valid.")
        return self._token({"expires_in": int(self.lifetime), "token_type": "Bearer"})

    def _not_proven(self, tenant: str, form: dict[str, str]) -> Answer | None:
        """Refuse an application that is not who it says; for a user, it need not prove it."""
        client, secret = form["client_id"], form.get("client_secret")
        assertion = form.get("client_assertion")
        if secret is not None:
            text = f"AADSTS7000215: Invalid client secret provided for app '{client}'."
            proven = any(
                (client, secret) == (name, own) and tenant in (home, _ANY_TENANT)
                for (home, name), own in self.applications.items()
            )
        elif assertion is not None:
            text = "AADSTS700213: No matching federated identity record found."
            proven = assertion == self.trusted.get((tenant, client))
            if form.get("client_assertion_type") != _ASSERTION:
                return _refusal("invalid_request", "AADSTS900144: client_assertion_type is wrong.")
        else:
            text = "AADSTS7000216: 'client_assertion' or 'client_secret' is required."
            proven = form["grant_type"] == "password"
        return None if proven else _refusal("invalid_client", text, 401)

    def _no_user(self, form: dict[str, str]) -> Answer | None:
        user, password = form.get("username", ""), form.get("password", "")
        if user not in self.users:
            text = f"AADSTS50034: The user account {user} does not exist in the directory."
            return _refusal("invalid_grant", text)
        if self.users[user] != password:
            text = "AADSTS50126: Error validating credentials due to invalid username or password."
            return _refusal("invalid_grant", text)
        return None

    def _for_machine(self, received: Received) -> Answer:
        query = _form(received.query)
        if received.header("metadata") != "true":
            return _refusal("invalid_request", "Required metadata header not specified")
        if query.get("api-version") != "2018-02-01":
            return _refusal("bad_request_102", "Required query variable not specified")
        if f"{query.get('resource')}/.default" not in _SCOPES:
            return _refusal("invalid_resource", "AADSTS500011: The resource was not found.")
        if query.get("client_id", self.identities[0]) not in self.identities:
            return _refusal("invalid_request", "Identity not found")
        # Numbers are texts here.
        return self._token({"expires_in": str(int(self.lifetime)), "token_type": "Bearer"})

    def _token(self, members: dict[str, Any]) -> Answer:
        self.given += 1
        token = f"eyJ0.fake-{self.given}"
        self._foundry.tokens[token] = self._clock() + self.lifetime
        return as_json({**members, "access_token": token})


def _form(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def _refusal(code: str, text: str, status: int = 400) -> Answer:
    trace = "\r\nTrace ID: 00000000-0000-0000-0000-000000000000"
    return as_json({"error": code, "error_description": text + trace}, status)
