"""What both transports agree on before a byte is sent: where it goes, and the header block."""

from __future__ import annotations

import re
import string
from collections.abc import AsyncIterable
from functools import lru_cache
from typing import NamedTuple

from llmroute.transport import Body
from llmroute.wire.headers import Headers

__all__ = ["Head", "Target", "head", "target"]

# Only what may stand on a request line; anything else could end it early.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-\"$->@-~]*)?(?P<query>\?[!-\"$-~]*)?",
)
_PORTS = {"http": 80, "https": 443}

# What a header's name may be made of (RFC 9110, section 5.6.2), without the capitals.
_NAME = b"!#$%&'*+-.^_`|~" + (string.digits + string.ascii_lowercase).encode()
_HOST = frozenset({b"host"})
_HOST_AND_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding"})
# RFC 9110, section 8.6: these say that their body is empty.
_ALWAYS_SIZED = frozenset({"POST", "PUT", "PATCH"})


class Target(NamedTuple):
    """Where a URL leads.

    Attributes:
        origin: `https://host[:port]`; what connections are kept by, and all that an error tells.
        tls: Whether the connection is encrypted.
        host: Name or address to connect to, an IPv6 address without its brackets.
        port: Port to connect to.
        authority: The value of the `host` header.
        path: The request target, with its query string, as it was given.
    """

    origin: str
    tls: bool
    host: str
    port: int
    authority: bytes
    path: bytes


@lru_cache(maxsize=1024)
def target(url: str) -> Target:
    """Take `url` apart.

    Raises:
        ValueError: It is no plain `http` or `https` URL: user names, fragments, white space and
            whatever is not ASCII are refused.  The text does not repeat the URL, which may hold
            a key.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("not a plain http:// or https:// URL of ASCII characters")
    scheme, host = match["scheme"], match["host"].lower()
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise ValueError("the URL's port is out of range")
    authority = host if port == _PORTS[scheme] else f"{host}:{port}"
    return Target(
        origin=f"{scheme}://{authority}",
        tls=scheme == "https",
        host=host.strip("[]"),
        port=port,
        authority=authority.encode(),
        path=((match["path"] or "/") + (match["query"] or "")).encode(),
    )


class Head(NamedTuple):
    """The headers of a request, ready for the wire.

    Attributes:
        block: Every header, in the order of the wire: `host`, the given ones, the framing.
        lines: The same as text, without the last line break.
        length: Of the body; `None` if it is chunked.
    """

    block: list[tuple[bytes, bytes]]
    lines: bytes
    length: int | None


def head(method: str, to: Target, headers: Headers, body: Body) -> Head:
    """Complete `headers` for a request.

    A `content-length` among them counts for an async iterable only; other framing of the caller's
    is left out, and so is `host`.

    Raises:
        ValueError: A method, name or value that would not arrive as the one thing it is, or a
            name that is not in lower case.
    """
    if not (method.isascii() and method.isalpha() and method.isupper()):
        raise ValueError("a method is a word in capital letters")
    ours = _HOST_AND_FRAMING
    framing: list[tuple[bytes, bytes]] = []
    length: int | None
    if not isinstance(body, AsyncIterable):
        length = sum(map(len, body))
        if length or method in _ALWAYS_SIZED:
            framing = [(b"content-length", b"%d" % length)]
    elif (length := _declared(headers)) is None:
        framing = [(b"transfer-encoding", b"chunked")]
    else:
        ours = _HOST  # the caller's `content-length` keeps its place
    block = [
        (b"host", to.authority),
        *[header for header in headers if header[0] not in ours],
        *framing,
    ]
    if b"".join([name for name, _ in block]).translate(None, _NAME):
        raise ValueError("a header's name is not a token in lower case")
    lines = b"\r\n".join([name + b": " + value for name, value in block])
    # What belongs there is counted, so that nothing is looked at header by header.
    breaks = len(block) - 1
    if lines.count(b"\n") != breaks or lines.count(b"\r") != breaks or b"\0" in lines:
        raise ValueError("a header's value holds a line break or a zero byte")
    if b"\n: " in lines:
        raise ValueError("a header has no name")
    return Head(block, lines, length)


def _declared(headers: Headers) -> int | None:
    """The one `content-length` the caller gave for a body that comes piece by piece."""
    given = [value for name, value in headers if name == b"content-length"]
    if not given:
        return None
    if len(given) > 1 or not given[0].isdigit():
        raise ValueError("content-length is not one number")
    if any(name == b"transfer-encoding" for name, _ in headers):
        raise ValueError("content-length and transfer-encoding exclude each other")
    return int(given[0])
