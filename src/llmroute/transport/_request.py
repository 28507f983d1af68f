"""What both transports agree on before a byte is sent: where it goes, and the header block."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import NamedTuple

from llmroute.transport import Body
from llmroute.wire.headers import Headers

__all__ = ["Target", "header_block", "target"]

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


def header_block(
    method: str, to: Target, headers: Headers, body: Body
) -> tuple[list[tuple[bytes, bytes]], int | None]:
    """Return every header in the order of the wire, and the body's length (`None`: chunked).

    `host` comes first, then `headers` as given, then the framing.  A `content-length` among
    `headers` counts for an async iterable only; other framing of the caller's is left out.

    Raises:
        ValueError: A method, name or value that would not arrive as the one thing it is, or a
            name that is not in lower case.
    """
    if not (method.isascii() and method.isalpha() and method.isupper()):
        raise ValueError("a method is a word in capital letters")
    length: int | None
    if isinstance(body, tuple | list) or not hasattr(body, "__aiter__"):
        length = sum(map(len, body))
        ours = _HOST_AND_FRAMING
    else:
        length = _declared(headers)
        ours = _HOST_AND_FRAMING if length is None else _HOST
    block = [(b"host", to.authority)]
    block += [header for header in headers if header[0] not in ours]
    if length is None:
        block.append((b"transfer-encoding", b"chunked"))
    elif ours is _HOST_AND_FRAMING and (length or method in _ALWAYS_SIZED):
        block.append((b"content-length", b"%d" % length))
    names, values = zip(*block, strict=True)
    if b"" in names or b"".join(names).translate(None, _NAME):
        raise ValueError("a header's name is not a token in lower case")
    joined = b"".join(values)
    if b"\n" in joined or b"\r" in joined or b"\0" in joined:
        raise ValueError("a header's value holds a line break or a zero byte")
    return block, length


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
