"""Identity tokens of the machine that llmroute runs on, by the `oidc/…` names that LiteLLM has.

| name                                | where the token is                                   |
|-------------------------------------|------------------------------------------------------|
| `oidc/env/NAME`                     | in a variable                                        |
| `oidc/env_path/NAME`                | in the file that a variable names                    |
| `oidc/file/PATH`                    | in a file                                            |
| `oidc/circleci/`, `oidc/circleci_v2/` | in CircleCI's variables                            |
| `oidc/github/AUDIENCE`              | at GitHub's token service, told to a job by variables |
| `oidc/google/AUDIENCE`              | at the metadata server of a machine at Google        |
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request

from llmroute.credentials.service import ask
from llmroute.errors import FaultError, MisconfiguredError

__all__ = ["PREFIX", "identity_token"]

PREFIX = "oidc/"

_PATIENCE = 10.0  # seconds for a connection, and for each part of an answer
_CIRCLECI = {"circleci": "CIRCLE_OIDC_TOKEN", "circleci_v2": "CIRCLE_OIDC_TOKEN_V2"}
# https://docs.github.com/actions/reference/security/oidc
_GITHUB_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
_GITHUB_KEY = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
# https://cloud.google.com/compute/docs/instances/verifying-instance-identity
_GOOGLE_HOST = "metadata.google.internal"
_GOOGLE_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"


def identity_token(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the token that an `oidc/…` name stands for, as it is now; blocks.

    Raises:
        MisconfiguredError: A variable or a file is missing, or the token service refuses.
        FaultError: The token service answered with an error of its own.
        UnreachableError: It did not answer.
    """
    kind, _, rest = name.removeprefix(PREFIX).partition("/")
    if kind in _CIRCLECI:
        token = _variable(environ, _CIRCLECI[kind])
    elif kind == "env":
        token = _variable(environ, rest)
    elif kind == "env_path":
        token = _file(_variable(environ, rest))
    elif kind == "file":
        token = _file(rest)
    elif kind == "github":
        token = _from_github(rest, environ)
    elif kind == "google":
        token = _from_google(rest, environ)
    else:
        raise _wrong("this oidc/ name is not known")
    if not (token.isascii() and token.isprintable() and token):
        raise _wrong(f"what oidc/{kind} stands for is no token")
    return token


def _wrong(text: str) -> MisconfiguredError:
    return MisconfiguredError(f"identity token: {text}", status=401)


def _variable(environ: Mapping[str, str], name: str) -> str:
    if value := environ.get(name, "").strip():
        return value
    raise _wrong(f"{name} is not set")


def _file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _wrong(f"{path}: {error.strerror or 'cannot be read'}") from None
    except ValueError:
        raise _wrong(f"{path}: is no text") from None


def _from_github(audience: str, environ: Mapping[str, str]) -> str:
    try:
        url, key = _variable(environ, _GITHUB_URL), _variable(environ, _GITHUB_KEY)
    except MisconfiguredError as error:
        raise MisconfiguredError(
            f"{error}; does the job have `permissions: id-token: write`?", status=401
        ) from None
    if not url.startswith(("https://", "http://")):
        raise _wrong(f"{_GITHUB_URL} is no address")
    url += ("&" if "?" in url else "?") + urlencode({"audience": audience})
    headers = {"authorization": f"Bearer {key}", "accept": "application/json; api-version=2.0"}
    try:
        return str(json.loads(_answer("GitHub", url, headers, proxied=True))["value"])
    except (ValueError, KeyError, TypeError):
        raise FaultError("GitHub's token service answers with something else") from None


def _from_google(audience: str, environ: Mapping[str, str]) -> str:
    host = environ.get("GCE_METADATA_HOST") or _GOOGLE_HOST
    url = f"http://{host}{_GOOGLE_PATH}?{urlencode({'audience': audience})}"
    # The machine's own is never behind a proxy.
    body = _answer("Google", url, {"metadata-flavor": "Google"}, proxied=False)
    return body.decode("latin-1").strip()


def _answer(whose: str, url: str, headers: dict[str, str], *, proxied: bool) -> bytes:
    service = f"{whose}'s token service"
    request = Request(url, headers=headers)  # noqa: S310 - it has been seen to be one of HTTP
    status, body = ask(service, request, patience=_PATIENCE, proxied=proxied)
    if status >= 500 or status == 429:
        raise FaultError(f"{service} answers {status}")
    if status >= 300:
        raise _wrong(f"{service} answers {status}")
    return body
