"""What AWS says of an error, in the Anthropic API's words: clients recover by them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from llmroute.errors import UpstreamError
from llmroute.messages.events import error_type
from llmroute.providers._base import native_error
from llmroute.translate.openai_errors import overflow
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.headers import Headers, first

__all__ = ["aws_error", "redacted", "worded"]

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html#Errors and
# AWS's common ones: with which status the Anthropic API would answer each exception.
_EXCEPTIONS = {
    "accessdenied": 403,
    "expiredtoken": 401,
    "incompletesignature": 401,
    "internalserver": 500,
    "invalidclienttokenid": 401,
    "invalidsignature": 401,
    "missingauthenticationtoken": 401,
    "modelnotready": 429,
    "modeltimeout": 504,
    "optinrequired": 403,
    "resourcenotfound": 404,
    "servicequotaexceeded": 429,
    "serviceunavailable": 529,
    "throttling": 429,
    "toomanyrequests": 429,
    "unrecognizedclient": 401,
    "validation": 400,
}
# Validation errors that are about the deployment, not about the request.
_DEPLOYMENT_IS_WRONG = re.compile(
    "model identifier is invalid|on-demand throughput|have access to the model"
    "|inference profile|end of its life|model version has reached|not supported in this region"
    "|operation not allowed|support the model that you provided",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    "input is too long|too many (input )?tokens in (the )?(prompt|input)"
    # Of models that are no Claude.
    "|maximum context length|input tokens exceed|exceeds? the (model's )?(maximum )?context"
    "|number of input tokens exceeds",
    re.IGNORECASE,
)
_IDENTITY = re.compile(r"arn:aws[a-z-]*:(?:iam|sts):[^\s,;\"'\\<]*")
_ACCOUNT = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")


def redacted(text: str) -> str:
    """Take out what a client has no business to know: who we are at AWS, and account ids.

    >>> redacted("User: arn:aws:sts::123456789012:assumed-role/gateway/me is not authorized")
    'User: (identity) is not authorized'
    """
    return _ACCOUNT.sub("(account)", _IDENTITY.sub("(identity)", text))


def aws_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Read an AWS exception, and word it as the Anthropic API would."""
    try:
        described = msgspec.json.decode(body)
    except MALFORMED:
        described = None
    described = described if isinstance(described, dict) else {}
    if isinstance(described.get("error"), dict):
        return native_error(status, headers, _redacted(body))
    name = first(headers, b"x-amzn-errortype") or described.get("__type") or described.get("code")
    message = described.get("message") or described.get("Message")
    if not name and not message:
        return native_error(status, headers, _redacted(body))
    status, body = worded(str(name or ""), message, status, described, headers)
    return native_error(status, headers, body)


def _redacted(body: bytes) -> bytes:
    """Do the same to what is handed on as it came; every other byte stays."""
    return redacted(body.decode("latin-1")).encode("latin-1")


def worded(
    name: str, message: Any, status: int, described: dict[str, Any], headers: Headers
) -> tuple[int, bytes]:
    """Return the status and the body that the Anthropic API would answer an exception with.

    Args:
        name: The exception's, as it came.
        message: What it says.
        status: The status it came with.
        described: Its body.
        headers: Those it came with.
    """
    # `ValidationException:http://…`, `com.amazonaws…#ValidationException`, `validationException`
    name = name.partition(":")[0].rpartition("#")[2]
    text = redacted(str(message or described.get("originalMessage") or name))
    key = name.lower().removesuffix("exception")
    original = described.get("originalStatusCode")
    if key in ("modelerror", "modelstreamerror"):
        status = original if isinstance(original, int) and 400 <= original < 600 else 500
    else:
        status = _EXCEPTIONS.get(key, status)
    if status == 503:
        status = 529  # with which the Anthropic API says the same
    kind = error_type(status)
    if kind == "invalid_request_error":
        if _DEPLOYMENT_IS_WRONG.search(text):
            status, kind = 404, "not_found_error"
        elif _TOO_LONG.search(text) and "prompt is too long" not in text:
            text = overflow(text)
    error = {"type": "error", "error": {"type": kind, "message": text}}
    if request_id := first(headers, b"x-amzn-requestid"):
        error["request_id"] = request_id
    return status, msgspec.json.encode(error)
