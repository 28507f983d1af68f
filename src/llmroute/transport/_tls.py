"""Whom both transports trust, unless they are told."""

from __future__ import annotations

import os
import ssl

import certifi

__all__ = ["verifying_context"]


def verifying_context() -> ssl.SSLContext:
    """Return a context that verifies certificates and host names.  Reads files; takes tens of ms.

    The roots are those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where one is set, as for every program
    that uses OpenSSL, else the machine's own and certifi's: a company's root is found where it was
    installed, and a small container that has none at all still reaches the world.
    """
    context = ssl.create_default_context()
    if "SSL_CERT_FILE" not in os.environ and "SSL_CERT_DIR" not in os.environ:
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
