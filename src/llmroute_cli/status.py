"""`llmroute status`: how the deployments of a running proxy are."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import msgspec
import typer

from llmroute import UpstreamError
from llmroute.transport import Timeouts
from llmroute.transport.httpx import HttpxTransport
from llmroute_cli import table
from llmroute_cli.configuration import fail
from llmroute_cli.running import presented, running

__all__ = ["status"]

_PATH = "/llmroute/deployments"
_PATIENCE = 10.0  # seconds
_LARGEST = 16_777_216  # bytes of an answer
_HEADS = (
    *("deployment", "provider", "model", "address", "state", "busy", "first byte"),
    *("requests/min", "tokens/min", "last error"),
)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_REFUSED = (
    "The proxy at {url} wants another key. Set LLMROUTE_MASTER_KEY to its master key, or name its "
    "configuration with --config."
)


class _Deployment(msgspec.Struct):
    """What is shown of a deployment."""

    name: str
    provider: str
    model: str
    address: str
    state: str
    cooling_for: float | None = None
    failures: int = 0
    busy: int = 0
    latency: float | None = None
    requests_last_minute: int | None = None
    tokens_last_minute: int | None = None
    last_error: str | None = None
    last_error_at: float | None = None


class _Page(msgspec.Struct):
    """The proxy's answer."""

    deployments: list[_Deployment]
    store: str


def status(path: Path | None, url: str | None, *, as_json: bool) -> None:
    """Print a line for each deployment, or the proxy's own words.

    Raises:
        typer.Exit: There is no proxy, it wants another key, or it has no such page.
    """
    proxy = running(path, url)
    if not proxy.url.startswith(("http://", "https://")):
        raise fail("--url must start with http:// or https://")
    body = anyio.run(_asked, proxy.url, presented(proxy.key))
    try:
        page = msgspec.json.decode(body, type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise fail(f"What answers at {proxy.url} is no llmroute proxy.", 1) from None
    if as_json:
        typer.echo(body)
        return
    now = time.time()
    table.show(_HEADS, [_cells(each, now) for each in page.deployments])
    typer.echo(f"\nstore: {page.store}")


async def _asked(url: str, key: str | None) -> bytes:
    """Return the proxy's answer.

    Raises:
        typer.Exit: It has none.
    """
    headers = [(b"x-api-key", key.encode())] if key else []
    timeouts = Timeouts(_PATIENCE, _PATIENCE, _PATIENCE)
    transport = HttpxTransport()
    try:
        reply = await transport.send("GET", url + _PATH, headers, (), timeouts)
        body = b""
        while len(body) < _LARGEST and (data := await reply.receive()):
            body += data
        await reply.aclose()
    except UpstreamError as error:
        hint = "Is it running? Start it with `llmroute serve`, or name its address with --url."
        raise fail(f"No proxy answers at {url}: {error}\n{hint}", 1) from None
    finally:
        await transport.aclose()
    match reply.status:
        case 200:
            return body
        case 401 | 403:
            raise fail(_REFUSED.format(url=url), 1)
        case 404:
            raise fail(f"What answers at {url} has no {_PATH}: is it an llmroute proxy?", 1)
        case other:
            raise fail(f"The proxy at {url} answered {other}.", 1)


def _cells(each: _Deployment, now: float) -> Sequence[str]:
    return (
        each.name,
        each.provider,
        each.model,
        each.address,
        _state(each),
        str(each.busy),
        "" if each.latency is None else f"{1000 * each.latency:.0f} ms",
        _number(each.requests_last_minute),
        _number(each.tokens_last_minute),
        _error(each, now),
    )


def _state(each: _Deployment) -> str:
    rest = "" if each.cooling_for is None else f" for {math.ceil(each.cooling_for)} s"
    failures = f", failed {each.failures} times" if each.failures > 1 else ""
    return each.state + rest + failures


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _error(each: _Deployment, now: float) -> str:
    if each.last_error is None or each.last_error_at is None:
        return each.last_error or ""
    ago = max(now - each.last_error_at, 0.0)
    number, unit = next(((ago / size, unit) for size, unit in _UNITS if ago >= size), (ago, "s"))
    return f"{number:.0f} {unit} ago: {each.last_error}"
