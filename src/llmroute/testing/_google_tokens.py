"""Google's token services: who may have a token, and how a refusal is worded.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

__all__ = ["SCOPE", "Refused", "ServiceAccount"]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LONGEST = 3600
# What the official libraries write, wherever the service is.
_AUDIENCE = "https://oauth2.googleapis.com/token"


class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """No token is given; the description is Google's."""


class ServiceAccount:
    """An account with a key of its own; making the key takes a moment.

    Attributes:
        email: The account's name.
    """

    def __init__(self, project: str) -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.email = f"gateway@{project}.iam.gserviceaccount.com"
        self._project = project
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def file(self, token_url: str) -> dict[str, Any]:
        """Return what the account's key file holds."""
        from cryptography.hazmat.primitives import serialization

        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": self._project,
            "private_key_id": "fake-key-id",
            "private_key": pem.decode(),
            "client_email": self.email,
            "client_id": "100000000000000000001",
            "token_uri": token_url,
        }

    def check(self, assertion: str, token_url: str, now: float) -> None:
        """Check a signed assertion as Google's token service does.

        Raises:
            Refused: It is not signed with this key, or claims what it may not.
        """
        signed, _, signature = assertion.rpartition(".")
        header, _, payload = signed.partition(".")
        kind, claims = _decoded(header), _decoded(payload)
        if kind.get("alg") != "RS256" or kind.get("kid") != "fake-key-id":
            raise Refused("Invalid JWT: the header names another key or algorithm.")
        self._verify(signed.encode(), _unpadded(signature))
        checks: list[tuple[str, Callable[[Mapping[str, Any]], bool]]] = [
            ("iss", lambda it: it["iss"] == self.email),
            ("aud", lambda it: it["aud"] in (_AUDIENCE, token_url)),
            ("scope", lambda it: SCOPE in it["scope"].split()),
            ("iat", lambda it: it["iat"] <= now + 60),
            ("exp", lambda it: now < it["exp"] <= it["iat"] + _LONGEST),
        ]
        for name, holds in checks:
            if name not in claims or not holds(claims):
                raise Refused(f"Invalid JWT: {name} is missing or not what it must be.")

    def _verify(self, signed: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        try:
            self._key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused("Invalid JWT Signature.") from None


def _decoded(part: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(_unpadded(part))
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise Refused("Invalid JWT: it cannot be read.")
    return value


def _unpadded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise Refused("Invalid JWT: it cannot be read.") from None
