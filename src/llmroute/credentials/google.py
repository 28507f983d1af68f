"""Google's credentials, by google-auth: whatever kind they are, they end up as a bearer token."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from llmroute.credentials.token import Token, TokenCredential
from llmroute.errors import MisconfiguredError, UnreachableError
from llmroute.providers import UpstreamRequest
from llmroute.providers.gemini import GeminiDeployment
from llmroute.providers.vertex import PROJECT, VertexDeployment

__all__ = ["GoogleCredential"]

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_PATIENCE = 30.0  # seconds for one request to a token service


class GoogleCredential(TokenCredential):
    """A token for the Google Cloud APIs.

    It is made from the first there is of: the credentials themselves, a file, and what Google's own
    tools would find on this machine ("application default credentials").
    """

    __slots__ = ("_source",)

    def __init__(
        self,
        deployment: VertexDeployment | GeminiDeployment,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Note where the credentials are; `clock` tells seconds since 1970."""
        self._source = _Source(deployment)
        super().__init__(self._source.fetch, clock)

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        """Put the credentials' own project in where the configuration names none."""
        if PROJECT not in request.url:
            return request
        if self._source.project is None:
            await self.headers(request)
        if self._source.project is None:
            raise MisconfiguredError(
                "the Google credentials belong to no project; set project", status=401
            )
        return request._replace(url=request.url.replace(PROJECT, self._source.project, 1))


class _Source:
    """google-auth's own object, which is loaded at first use, and used by one thread at a time."""

    __slots__ = ("_credentials", "_file", "_info", "_is_asked_for_project", "project")

    def __init__(self, deployment: VertexDeployment | GeminiDeployment) -> None:
        self._info = deployment.credentials
        self._file = deployment.credentials_file
        self._is_asked_for_project = deployment.project is None
        # google-auth says little of its types.
        self._credentials: Any = None
        self.project: str | None = None

    def fetch(self) -> Token:
        """Fetch a token."""
        try:
            from google.auth import exceptions
            from google.auth.transport.requests import Request
        except ImportError:
            raise MisconfiguredError(
                "Google credentials need google-auth: pip install 'llmroute[google]'", status=401
            ) from None
        transport: Any = Request()
        if file := os.environ.get("SSL_CERT_FILE"):
            # As everywhere else here; requests by itself has a variable of its own.
            transport.session.verify = os.environ.get("REQUESTS_CA_BUNDLE", file)
        request = partial(transport, timeout=_PATIENCE)
        try:
            if self._credentials is None:
                self._credentials = self._load(request)
            credentials = self._credentials
            credentials.refresh(request)
        except exceptions.TransportError:
            raise UnreachableError("the Google token service gives no answer") from None
        except (exceptions.GoogleAuthError, OSError, LookupError, TypeError, ValueError) as error:
            raise MisconfiguredError(f"Google credentials: {_reason(error)}", status=401) from None
        finally:
            transport.session.close()
        ends_at: datetime | None = credentials.expiry
        token = str(credentials.token or "")
        # google-auth's times are UTC, and do not say so.
        return Token(token, ends_at.replace(tzinfo=UTC).timestamp()) if ends_at else Token(token)

    def _load(self, request: Any) -> Any:
        if self._info is not None:
            info = json.loads(self._info.get_secret_value())
        elif self._file is not None:
            info = json.loads(Path(self._file).expanduser().read_text("utf-8"))
        else:
            from google.auth import default

            found, self.project = default(scopes=_SCOPES, request=request)
            return found
        module, maker = _kind(info)
        # What a person may do has been settled at the login.
        scoped = {} if info["type"] == _WORKFORCE else {"scopes": _SCOPES}
        found = getattr(import_module(module).Credentials, maker)(info, **scoped)
        self.project = info.get("project_id")
        if self.project is None and self._is_asked_for_project:
            # Only an external identity can be asked, and that takes a request to Google.
            ask = getattr(found, "get_project_id", None)
            self.project = ask(request) if ask else None
        return found


_EXTERNAL = "external_account"
_WORKFORCE = "external_account_authorized_user"
_KINDS = {
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    _EXTERNAL: ("google.auth.identity_pool", "from_info"),
    _WORKFORCE: (
        "google.auth.external_account_authorized_user",
        "from_info",
    ),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "from_impersonated_service_account_info",
    ),
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
}


def _kind(info: Mapping[str, Any]) -> tuple[str, str]:
    """Return the module for a credential's type, and the function that makes it there."""
    kind = info["type"]
    if kind == _EXTERNAL and str(info.get("subject_token_type")).endswith(":aws4_request"):
        return "google.auth.aws", "from_info"
    if kind == _EXTERNAL and "executable" in (info.get("credential_source") or {}):
        return "google.auth.pluggable", "from_info"
    return _KINDS[kind]


def _reason(error: Exception) -> str:
    """Say what is wrong, without what was read: parts of it may be secret."""
    match error:
        case FileNotFoundError():
            return "the file does not exist"
        case json.JSONDecodeError() | UnicodeDecodeError():
            return "the file holds no JSON"
        case OSError() if error.errno is not None:
            return "the file cannot be read"
        case LookupError() | TypeError() | ValueError():
            return "a member is missing or is not what it should be"
        case _:
            # The second argument, if there is one, is the whole of the token service's answer.
            return str(error.args[0]) if error.args else type(error).__name__
