"""Credentials that are a string: an API key, or a token."""

from __future__ import annotations

from pydantic import SecretStr

from llmroute.providers import UpstreamRequest
from llmroute.wire.headers import Headers

__all__ = ["KeyCredential", "StaticCredential"]

# Tokens of a Claude subscription begin so; the API takes them as bearer, and only together with
# this beta.
_OAUTH_PREFIX = "sk-ant-oat"
_OAUTH_BETA = b"oauth-2025-04-20"


class StaticCredential:
    """An API key, sent as `x-api-key`, or a token, sent as bearer."""

    __slots__ = ("_headers", "_oauth")

    def __init__(self, api_key: SecretStr | None, auth_token: SecretStr | None = None) -> None:
        key = api_key.get_secret_value() if api_key else ""
        token = auth_token.get_secret_value() if auth_token else ""
        if key.startswith(_OAUTH_PREFIX):
            key, token = "", key
        self._headers: list[tuple[bytes, bytes]] = []
        if key:
            self._headers.append((b"x-api-key", key.encode()))
        if token:
            self._headers.append((b"authorization", b"Bearer " + token.encode()))
        self._oauth = token.startswith(_OAUTH_PREFIX)

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        """Return the request as it is."""
        return request

    async def renew(self) -> bool:
        """Tell that there is no other."""
        return False

    async def headers(self, request: UpstreamRequest) -> Headers:
        """Return the one or two headers; `request` tells whether the OAuth beta is asked for."""
        if self._oauth and not any(
            name == b"anthropic-beta" and _OAUTH_BETA in value for name, value in request.headers
        ):
            return [*self._headers, (b"anthropic-beta", _OAUTH_BETA)]
        return self._headers


class KeyCredential:
    """An API key, sent in a header of its vendor's."""

    __slots__ = ("_headers",)

    def __init__(self, header: bytes, key: SecretStr) -> None:
        self._headers = [(header, key.get_secret_value().encode())]

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        """Return the request as it is."""
        return request

    async def renew(self) -> bool:
        """Tell that there is no other."""
        return False

    async def headers(self, request: UpstreamRequest) -> Headers:
        """Return the one header."""
        del request
        return self._headers
