"""Credentials for AWS: requests signed with Signature Version 4.

botocore finds the keys, in its own order and with its own files, and signs.  It blocks while it
looks for them or fetches new ones, so that is done in a worker thread, by one request at a time and
before the old ones expire, with which the others go on meanwhile; a signature itself is computed in
place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from anyio import to_thread
from pydantic import SecretStr

from llmroute.credentials import oidc
from llmroute.credentials.static import StaticCredential
from llmroute.errors import FaultError, MisconfiguredError, UnreachableError, UpstreamError
from llmroute.providers import UpstreamRequest
from llmroute.providers._aws import redacted
from llmroute.providers.bedrock import BedrockDeployment, placed, service
from llmroute.wire.headers import Headers

__all__ = ["AwsCredential", "aws_credential"]

# How long keys that were just fetched are taken for the newest there are, in seconds.
_JUST_NOW = 0.5
# If keys are refused that were fetched because the last ones were, the next are not fetched sooner:
# it is what they may do that is refused.
_BETWEEN_REFUSALS = 10.0
# Keys that live for a quarter of an hour are about to expire from the start, and a token service
# that is down stays so for a while: it is not asked more often.
_PAUSE = 30.0
# Keys with fewer seconds left are not sent any more.
_LAST_SECONDS = 10
# The token service's time: seconds for a connection and for an answer, and how often it is tried.
_PATIENCE = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 2}}
_NO_REGION = "AWS: no region is named; set `region`"
_SIGNED = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")


def aws_credential(deployment: BedrockDeployment) -> StaticCredential | AwsCredential:
    """Return what signs for `deployment`: its API key, or its keys; nothing is looked up yet."""
    if key := deployment.api_key or deployment.auth_token:
        return _ApiKey(deployment, key)
    return AwsCredential(deployment)


class _ApiKey(StaticCredential):
    """An API key, sent as bearer."""

    __slots__ = ("_deployment", "_region")

    def __init__(self, deployment: BedrockDeployment, key: SecretStr) -> None:
        super().__init__(None, key)
        self._deployment = deployment
        self._region = deployment.region

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        """Return `request` with its address, where the deployment names no region.

        Raises:
            MisconfiguredError: No region is named anywhere.
        """
        if self._region is None and not self._deployment.base_url:
            self._region = await to_thread.run_sync(_region_for_key, self._deployment)
        return placed(request, self._deployment, self._region) if self._region else request


class _Found(NamedTuple):
    """Keys, and what botocore signs with.

    Attributes:
        keys: The three parts of them, as they were when they were found.
        source: botocore's credentials, which know when they expire and how to fetch others.
        region: The deployment's, or the one the AWS files name.
    """

    keys: Any
    source: Any
    region: str
    request: Callable[..., Any]
    signature: Callable[..., Any]

    def expires_soon(self) -> bool:
        """Whether it is time to fetch others: a quarter of an hour before the end."""
        return self._ends_within(None)

    def has_expired(self) -> bool:
        """Whether there is no sending these."""
        return self._ends_within(_LAST_SECONDS)

    def _ends_within(self, seconds: int | None) -> bool:
        refresh_needed = getattr(self.source, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed(seconds))


# What the request of this task was signed with, to tell keys that were refused from newer ones.
_signed_with: ContextVar[_Found | None] = ContextVar("_signed_with", default=None)


class AwsCredential:
    """Signs requests with keys found as the deployment says."""

    __slots__ = (
        "_clock",
        "_deployment",
        "_fetched",
        "_found",
        "_lock",
        "_refused_at",
        "_renew_at",
    )

    def __init__(
        self, deployment: BedrockDeployment, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._deployment = deployment
        self._clock = clock
        self._found: _Found | None = None
        self._fetched = 0.0
        self._refused_at = self._renew_at = -math.inf
        self._lock = anyio.Lock()

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        """Return `request` with its address, where the deployment names no region.

        Raises:
            MisconfiguredError: No region is named anywhere.
        """
        if self._deployment.region or self._deployment.base_url:
            return request
        return placed(request, self._deployment, (await self._current()).region)

    async def headers(self, request: UpstreamRequest) -> Headers:
        """Sign the method, the address, the headers and the body of `request`, as of now.

        Raises:
            MisconfiguredError: There are no keys to be had; why.
            FaultError: The token service answered with an error of its own.
            UnreachableError: It did not answer.
        """
        found = await self._current()
        _signed_with.set(found)
        signed = found.request(
            method=request.method,
            url=request.url,
            data=b"".join(request.body),
            headers={name.decode(): value.decode("latin-1") for name, value in request.headers},
        )
        found.signature(found.keys, service(self._deployment), found.region).add_auth(signed)
        return [
            (name.lower().encode(), signed.headers[name].encode())
            for name in _SIGNED
            if name in signed.headers
        ]

    async def _current(self) -> _Found:
        found = self._found
        if found is None or found.has_expired():
            async with self._lock:
                found = self._found
                if found is None or found.has_expired():
                    found = await self._fetch(found)
        elif found.expires_soon() and not self._lock.locked() and self._clock() >= self._renew_at:
            self._renew_at = self._clock() + _PAUSE
            # If it fails, the old ones are good for a while yet.
            with suppress(UpstreamError):
                async with self._lock:
                    found = await self._fetch(found)
        return found

    async def renew(self) -> bool:
        """Look for keys from the start; tell whether there are others than the refused ones."""
        async with self._lock:
            before = self._found
            if before is None or self._is_given():
                return False
            if before is not _signed_with.get():
                return True  # another request that was refused has done it
            now = self._clock()
            if now - self._fetched < _JUST_NOW or now < self._refused_at + _BETWEEN_REFUSALS:
                return False
            self._refused_at = now
            try:
                found = await self._fetch(None)
            except UpstreamError:
                return False
            if found.keys[:3] == before.keys[:3]:
                self._found = before
            return self._found is not before

    def _is_given(self) -> bool:
        """Whether the keys stand in the configuration, which never changes."""
        return bool(self._deployment.access_key_id and not self._deployment.role_arn)

    async def _fetch(self, before: _Found | None) -> _Found:
        # A call that is given up must not leave a thread behind that waits: the next would, too.
        with anyio.CancelScope(shield=True):
            found = await to_thread.run_sync(_look_up, self._deployment, before)
        self._found, self._fetched = found, self._clock()
        return found


def _look_up(deployment: BedrockDeployment, before: _Found | None) -> _Found:
    """Return fresh keys; blocks."""
    try:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,  # noqa: A004 - this is what it is called
            HTTPClientError,
        )
    except ModuleNotFoundError:
        raise MisconfiguredError(
            "AWS credentials need a package that is not installed: pip install 'llmroute[aws]'",
            status=401,
        ) from None
    try:
        source, region = _source(deployment) if before is None else before[1:3]
        keys = source.get_frozen_credentials()
    except (ConnectionError, HTTPClientError) as error:
        raise UnreachableError(f"AWS credentials: {redacted(str(error))}") from None
    except ClientError as error:
        raise _refusal(error) from None
    except (BotoCoreError, OSError, RuntimeError, EOFError) as error:
        raise MisconfiguredError(f"AWS credentials: {redacted(str(error))}", status=401) from None
    return _Found(keys, source, region, AWSRequest, SigV4Auth)


def _refusal(error: Any) -> UpstreamError:
    """Tell a token service that is out of order from one that refuses what is configured."""
    text = f"AWS credentials: {redacted(str(error))}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    code = str(error.response.get("Error", {}).get("Code"))
    if status >= 500 or "Throttl" in code:
        return FaultError(text)
    return MisconfiguredError(text, status=401)


def _source(deployment: BedrockDeployment) -> tuple[Any, str]:
    """Return botocore's credentials for a deployment, and its region.

    Raises:
        MisconfiguredError: One of them is nowhere to be found.
    """
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.session import Session

    session = Session(profile=deployment.profile)
    session.set_default_client_config(Config(**_PATIENCE))
    region = _region(deployment, session)
    # The token service is asked in the same region.
    session.set_config_variable("region", region)
    if deployment.role_arn and deployment.web_identity_token:
        return _assumed_by_token(session, deployment, deployment.role_arn), region
    secret, token = deployment.secret_access_key, deployment.session_token
    if deployment.access_key_id and secret and not deployment.profile:
        found = Credentials(
            deployment.access_key_id,
            secret.get_secret_value(),
            token.get_secret_value() if token else None,
        )
    else:
        found = session.get_credentials()
    if found is None:
        raise MisconfiguredError(
            "AWS credentials: none were found in the configuration, in the environment,"
            " in the AWS files or on this machine",
            status=401,
        )
    if deployment.role_arn:
        return _assumed(session, deployment, deployment.role_arn, found), region
    return found, region


def _region(deployment: BedrockDeployment, session: Any) -> str:
    """Return the region: the deployment's, the one in the AWS files, or the one for want of both.

    Raises:
        MisconfiguredError: There is none.
    """
    region = deployment.region or session.get_config_variable("region")
    if region := region or deployment.default_region:
        return str(region)
    raise MisconfiguredError(_NO_REGION, status=403)


def _region_for_key(deployment: BedrockDeployment) -> str:
    """Return the region for an API key, which needs none of AWS's packages; blocks."""
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ModuleNotFoundError:
        if deployment.default_region:
            return deployment.default_region
        raise MisconfiguredError(_NO_REGION, status=403) from None
    try:
        return _region(deployment, Session(profile=deployment.profile))
    except (BotoCoreError, OSError) as error:
        raise MisconfiguredError(f"AWS: {redacted(str(error))}", status=403) from None


def _assumed(session: Any, deployment: BedrockDeployment, role: str, source: Any) -> Any:
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    asked: dict[str, Any] = {"RoleSessionName": deployment.role_session_name}
    if deployment.external_id:
        asked["ExternalId"] = deployment.external_id
    if deployment.session_tags:
        tags = deployment.session_tags.items()
        asked["Tags"] = [{"Key": name, "Value": value} for name, value in tags]
    fetcher = AssumeRoleCredentialFetcher(_sts(session, deployment), source, role, asked)
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _assumed_by_token(session: Any, deployment: BedrockDeployment, role: str) -> Any:
    from botocore.credentials import (
        AssumeRoleWithWebIdentityCredentialFetcher,
        DeferredRefreshableCredentials,
    )

    asked = {"RoleSessionName": deployment.role_session_name}
    token = partial(_identity, deployment)
    fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
        _sts(session, deployment), token, role, asked
    )
    return DeferredRefreshableCredentials(
        fetcher.fetch_credentials, "assume-role-with-web-identity"
    )


def _sts(session: Any, deployment: BedrockDeployment) -> Callable[..., Any]:
    """Return what makes a client for AWS's token service."""
    return partial(session.create_client, endpoint_url=deployment.sts_endpoint)


def _identity(deployment: BedrockDeployment) -> str:
    """Return the identity token, read anew every time: such tokens are rotated."""
    given = deployment.web_identity_token
    text = given.get_secret_value() if given else ""
    if text.startswith(oidc.PREFIX):
        return oidc.identity_token(text)
    try:
        return Path(text).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return text
