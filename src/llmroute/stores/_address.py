"""Where a Redis is, as a URL says."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError

__all__ = ["connection_to", "display"]

# A connection may take several round trips: TLS, a password, a database.
_CONNECTING = 5.0

_FORM = "redis://:PASSWORD@HOST:PORT/DATABASE, rediss:// for TLS, or unix://PATH"


def connection_to(url: str) -> Redis:
    """Return a client for `url` that does not connect yet, and tries everything once.

    Raises:
        ValueError: Not a URL of Redis's; the message repeats nothing of it.
    """
    _check(url)
    try:
        client = Redis.from_url(
            url,
            # 3 is spoken with a greeting that old servers, and old proxies of them, do not know.
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=_CONNECTING,
            socket_timeout=None,
            # Without it the package looks up its own version, in files, for every connection.
            driver_info=DriverInfo(name="", lib_version=""),
        )
        # A setting that does not exist is found only by a connection.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (RedisError, TypeError, ValueError):
        raise ValueError(f"not an address of Redis; it has the form {_FORM}") from None
    return client


def display(url: str) -> str:
    """Return the host and port, or the path, of a URL.

    Raises:
        ValueError: Not a URL of Redis's; the message repeats nothing of it.
    """
    _check(url)
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


def _check(url: str) -> None:
    """Raise `ValueError` if part of a password might pass for a host or a setting."""
    try:
        parts = urlsplit(url)
        settings = parse_qsl(parts.query, strict_parsing=bool(parts.query))
        _ = parts.port
    except ValueError:
        raise ValueError(f"not an address; it has the form {_FORM}") from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"not an address of Redis; it has the form {_FORM}")
    if parts.scheme != "unix" and (
        not parts.hostname or "@" in parts.path + parts.query + parts.fragment
    ):
        raise ValueError(
            f"an address without a host; it has the form {_FORM},"
            " with %2F for a / in the password, %3F for ?, %23 for # and %40 for @"
        )
    for name, _ in settings:
        if name not in {"db", "username", "password"} and not name.startswith("ssl_"):
            raise ValueError("only db, username, password and ssl_... may stand after the ?")
