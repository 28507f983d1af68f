"""Signature Version 4, checked as AWS checks it: over what was received, and nothing else.

Written from https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
so that it shares no mistake with whoever signs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote

from llmroute.testing.received import Received

__all__ = ["AwsKey", "Refused", "signer_of"]

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_DATE = "%Y%m%dT%H%M%SZ"
_SKEW = 300.0  # seconds


class AwsKey(NamedTuple):
    """A secret that a client may sign with.

    Attributes:
        secret: The secret access key.
        token: The session token that has to come along; none for keys that last.
        expires: Seconds since 1970; `None` for keys that last.
    """

    secret: str
    token: str | None = None
    expires: float | None = None


class Refused(Exception):  # noqa: N818 - it is AWS's answer, and no error of ours
    """The signature does not stand; the exception AWS answers with, and its words."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def signer_of(
    received: Received, keys: Mapping[str, AwsKey], *, service: str, region: str, now: float
) -> str:
    """Return the id of the key that signed a request.

    Raises:
        Refused: It is not signed, or not by one of `keys`, or not as it came.
    """
    match = _HEADER.fullmatch(received.header("authorization") or "")
    if match is None:
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    key_id, day, scope_region, scope_service, signed, signature = match.groups()
    key = keys.get(key_id)
    token = received.header("x-amz-security-token")
    if key is None or key.token != token:
        raise Refused(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    if key.expires is not None and key.expires <= now:
        raise Refused(
            "ExpiredTokenException", "The security token included in the request is expired"
        )
    date = received.header("x-amz-date") or ""
    _check_date(date, day, now)
    if (scope_region, scope_service) != (region, service):
        raise Refused(
            "InvalidSignatureException",
            f"Credential should be scoped to a valid region and to service '{service}'.",
        )
    names = signed.split(";")
    required = {"host", "x-amz-date", *(["x-amz-security-token"] if token else [])}
    required |= {name.lower() for name, _ in received.headers if name.lower() == "content-type"}
    if names != sorted(names) or not required <= set(names):
        raise Refused("InvalidSignatureException", "Required headers are not signed.")
    scope = f"{day}/{scope_region}/{scope_service}/aws4_request"
    canonical = _canonical(received, names)
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, _sha256(canonical.encode())])
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(secret, text.encode(), "sha256").hex(), signature):
        raise Refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check"
            " your AWS Secret Access Key and signing method. Consult the service documentation for"
            " details.",
        )
    return key_id


def _check_date(date: str, day: str, now: float) -> None:
    try:
        at = datetime.strptime(date, _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        at = 0.0
    if abs(at - now) > _SKEW or not date.startswith(day):
        raise Refused("InvalidSignatureException", f"Signature expired or not yet current: {date}")


def _canonical(received: Received, names: list[str]) -> str:
    # What stands in the path is quoted once more, for every service but S3.
    path = "/".join(quote(segment, safe="-_.~") for segment in received.path.split("/"))
    pairs = [pair.partition("=") for pair in received.query.split("&") if pair]
    query = sorted((_quoted(name), _quoted(value)) for name, _, value in pairs)
    headers = [
        f"{name}:{','.join(' '.join(v.split()) for n, v in received.headers if n.lower() == name)}"
        for name in names
    ]
    return "\n".join(
        [
            received.method,
            path,
            "&".join(f"{name}={value}" for name, value in query),
            *headers,
            "",
            ";".join(names),
            _sha256(received.body),
        ]
    )


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
