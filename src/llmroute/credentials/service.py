"""Asking a token service: blocking, so in a worker thread, and by the standard library alone."""

from __future__ import annotations

import os
import ssl
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

import certifi

from llmroute.errors import UnreachableError

__all__ = ["ask"]

_LARGEST = 1_048_576  # bytes of an answer


def ask(whose: str, request: Request, *, patience: float, proxied: bool) -> tuple[int, bytes]:
    """Send a request and return the status and the body of its answer, whatever the status.

    Args:
        whose: Who is asked, for the error.
        request: To an address that is known to be one of HTTP.
        patience: Seconds for the connection, and for each part of the answer.
        proxied: Whether the environment's HTTP proxy is used; a machine's own service is never
            behind one.

    Raises:
        UnreachableError: There is no answer.
    """
    handlers = [_NoRedirect(), HTTPSHandler(context=_trust())]
    opener = build_opener(*handlers, *([] if proxied else [ProxyHandler({})]))
    try:
        with opener.open(request, timeout=patience) as answer:
            return answer.status, answer.read(_LARGEST)
    except HTTPError as error:
        with error:
            return error.code, error.read(_LARGEST)
    except (OSError, HTTPException, ValueError):
        raise UnreachableError(f"{whose} gives no answer") from None


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: a secret goes where it was meant to go, or nowhere."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Take the redirect for the answer."""


def _trust() -> ssl.SSLContext:
    """Return whom to trust: as the transports do, which stand on the same floor."""
    context = ssl.create_default_context()
    if "SSL_CERT_FILE" not in os.environ and "SSL_CERT_DIR" not in os.environ:
        context.load_verify_locations(certifi.where())
    return context
