"""Entra ID tokens: for an application, for a user of one, and for the identity of this machine.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
https://learn.microsoft.com/entra/identity-platform/v2-oauth-ropc
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlencode
from urllib.request import Request

from llmroute.credentials.service import ask
from llmroute.credentials.token import Token, TokenCredential
from llmroute.errors import FaultError, MisconfiguredError
from llmroute.providers._entra import EntraDeployment

__all__ = ["AzureCredential"]

_PATIENCE = 30.0  # seconds for one request to a token service
_MACHINE = "http://169.254.169.254"
# The tenant is that of the user's name.
_ANY_TENANT = "organizations"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Names in quotes, ids of tenants and applications, and users' names: not for clients to read.
_NAMED = re.compile(
    r"'[^']*'|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[^\s@:]{1,99}@[^\s@:]{1,99}",
    re.IGNORECASE,
)


class AzureCredential(TokenCredential):
    """A token of Entra ID's."""

    __slots__ = ()

    def __init__(
        self,
        deployment: EntraDeployment,
        clock: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Note whose token it is.

        Args:
            deployment: Has an application's secret or what stands for it, or asks for the
                machine's identity.
            clock: Seconds since 1970.
            environ: In an App Service or a Container App, tells where the machine's identity is.
        """

        def fetch() -> Token:
            if (form := _form(deployment)) is None:
                return _answered(_for_machine(deployment, environ), clock, proxied=False)
            return _answered(_for_application(deployment, form), clock, proxied=True)

        super().__init__(fetch, clock)


def _form(deployment: EntraDeployment) -> dict[str, str] | None:
    """Return what proves who the application is, or its user; `None` if only the machine does."""
    form = {"grant_type": "client_credentials"}
    if deployment.client_secret:
        form["client_secret"] = deployment.client_secret.get_secret_value()
    if deployment.username and deployment.password:
        form["grant_type"] = "password"
        form["username"] = deployment.username
        form["password"] = deployment.password.get_secret_value()
    elif not deployment.client_secret:
        if not deployment.federated_token_file:
            return None
        form["client_assertion_type"] = _ASSERTION
        form["client_assertion"] = _content(deployment.federated_token_file)
    return form


def _content(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError):
        # Where files lie is not for clients to read.
        raise MisconfiguredError("the federated_token_file cannot be read", status=401) from None


def _for_application(deployment: EntraDeployment, form: dict[str, str]) -> Request:
    form = {"client_id": deployment.client_id or "", "scope": deployment.scope, **form}
    tenant = quote(deployment.tenant_id or _ANY_TENANT, safe="")
    return Request(  # noqa: S310 - an address has been checked to be one of HTTP
        f"{deployment.authority}/{tenant}/oauth2/v2.0/token", urlencode(form).encode()
    )


def _for_machine(deployment: EntraDeployment, environ: Mapping[str, str]) -> Request:
    query = {"resource": deployment.scope.removesuffix("/.default")}
    if deployment.client_id is not None:
        query["client_id"] = deployment.client_id
    endpoint, proof = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    if deployment.identity_endpoint is None and endpoint and proof:
        url, headers = endpoint, {"x-identity-header": proof}
        query["api-version"] = "2019-08-01"
    else:
        url = f"{deployment.identity_endpoint or _MACHINE}/metadata/identity/oauth2/token"
        headers = {"metadata": "true"}
        query["api-version"] = "2018-02-01"
    return Request(f"{url}?{urlencode(query)}", headers=headers)  # noqa: S310 - likewise


def _answered(request: Request, clock: Callable[[], float], *, proxied: bool) -> Token:
    asked = clock()
    status, body = ask("the Entra ID token service", request, patience=_PATIENCE, proxied=proxied)
    if status >= 300:
        _refuse(status, body)
    found = _decoded(body)
    try:
        return Token(str(found["access_token"]), asked + float(found["expires_in"]))
    except (KeyError, TypeError, ValueError):
        raise FaultError("the Entra ID token service answers with something else") from None


def _refuse(status: int, body: bytes) -> NoReturn:
    described = _decoded(body)
    code = str(described.get("error") or status)
    # The first line says what is wrong; the others hold ids for Microsoft's support.
    text = str(described.get("error_description") or "").partition("\n")[0].strip()
    text = _NAMED.sub("(…)", text)
    if status >= 500 or status == 429:
        raise FaultError(f"the Entra ID token service: {code}", status=502)
    raise MisconfiguredError(f"Entra ID: {code}" + (f": {text}" if text else ""), status=401)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
