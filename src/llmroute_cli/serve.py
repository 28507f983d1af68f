"""`llmroute serve`: configuration, router, proxy, uvicorn."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import ipaddress
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import uvicorn

import llmroute
from llmroute import Config, Router
from llmroute.asgi import Proxy
from llmroute.observe import LineLog
from llmroute.transport.direct import DirectTransport
from llmroute_cli.configuration import fail, key_variable, load, say
from llmroute_cli.connection import Connection
from llmroute_cli.env import NO_KEY
from llmroute_cli.workers import supervise

__all__ = ["address", "heed_signals", "listen", "prepare", "proxy_server", "serve"]

# More than load balancers and clients keep an idle connection (60 s is the usual), so that it is
# never ours that is closed under a request of theirs.
_KEEP_ALIVE = 75  # seconds
_BACKLOG = 2048


def serve(
    path: Path | None, host: str | None, port: int | None, workers: int, log: str | None
) -> None:
    """Serve until told to stop.

    Raises:
        typer.Exit: The configuration, the address or the port cannot be used.
    """
    config = load(path)
    given = {"host": host, "port": port, "log": log}
    options = {name: value for name, value in given.items() if value is not None}
    config = replace(config, server=config.server.model_copy(update=options))
    _refuse_open_door(config)
    listener = listen(config.server.host, config.server.port)
    _announce(config, address(listener))
    if workers == 1:
        _run(config, listener)
    else:
        supervise(lambda: _run(config, listener), listener, workers, config.server.drain)


def _refuse_open_door(config: Config) -> None:
    host = config.server.host
    if config.server.master_key is None and not _is_loopback(host):
        raise fail(
            f"There is no master key, so everyone who reaches {host} could use your providers' "
            "keys: set LLMROUTE_MASTER_KEY (or server.master_key) to a secret of your own, or "
            "listen on 127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; clients that connect from now on wait to be served.

    Raises:
        typer.Exit: It cannot be had; why has been printed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        match error:
            case socket.gaierror():
                why = "its name does not resolve. Name an address with --host"
            case OSError(errno=errno.EADDRINUSE):
                why = f"port {port} is taken. Stop what listens there, or choose another --port"
            case OSError(errno=errno.EACCES):
                why = f"port {port} is reserved. Choose a --port of 1024 or more"
            case OSError(errno=errno.EADDRNOTAVAIL):
                why = "it is no address of this machine. Choose another --host"
            case _:
                why = os.strerror(error.errno) if error.errno else "no socket"
        raise fail(f"Cannot listen on {host}: {why}.") from None


def address(listener: socket.socket) -> str:
    """Return the URL under which this machine reaches what listens."""
    host, port, *_ = listener.getsockname()
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(config: Config, url: str) -> None:
    for line in config.found:
        say(f"found {line}")
    variable = key_variable(config, os.environ)
    say(f"llmroute {llmroute.__version__} serves {config.source} at {url}")
    say(f"aliases: {', '.join(config.aliases)}")
    if config.server.master_key is None:
        say("no master key is set: every program on this machine is let in")
        token = NO_KEY
    else:
        token = f'"${variable or "LLMROUTE_MASTER_KEY"}"'
    say(f"for Claude Code (or run `llmroute claude --url {url}`):")
    say(f"  export ANTHROPIC_BASE_URL={url}")
    say(f"  export ANTHROPIC_AUTH_TOKEN={token}")


def prepare() -> None:
    """Set the process up for serving: memory and logs."""
    _keep_memory()
    log = logging.getLogger("uvicorn.error")
    log.setLevel(logging.ERROR)
    log.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    # A call that was cut at the end of the drain is no failure of the proxy's.
    handler.addFilter(lambda record: not _is_cancellation(record))
    log.addHandler(handler)


def _is_cancellation(record: logging.LogRecord) -> bool:
    return record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)


def _keep_memory() -> None:
    """Have glibc keep what large bodies need, rather than give it back and take it for each.

    Worth 20 to 40 % of the requests per second at 200 KB. (Measured.)
    """
    try:
        if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, ValueError):
        return
    trim_threshold, mmap_threshold = -1, -3  # as in malloc.h
    mallopt(mmap_threshold, 8 * 1024 * 1024)
    mallopt(trim_threshold, 32 * 1024 * 1024)


def proxy_server(config: Config, write: Callable[[str], object] | None = None) -> uvicorn.Server:
    """Return the server of a proxy for `config`, to be run with a socket that listens.

    Its log goes to `write`, or else to stderr.
    """
    log = LineLog(write or sys.stderr.write, as_json=config.server.log == "json")
    router = Router(config, transport=DirectTransport(), observers=[log])
    settings = uvicorn.Config(
        Proxy(router),
        loop="auto",  # uvloop where there is one
        http=Connection,
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(config.server.drain),
    )
    settings.load()
    return uvicorn.Server(settings)


def heed_signals(server: uvicorn.Server) -> None:
    """Have SIGINT and SIGTERM drain `server`, and the process end well after that.

    The server installs this same handler, and when it has drained raises the signal once more for
    the one that was there before: left alone, that would end the process in a failure.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, server.handle_exit)


def _run(config: Config, listener: socket.socket) -> None:
    prepare()
    server = proxy_server(config)
    heed_signals(server)
    # What has been made so far lives as long as the process: no collection need look at it.
    gc.collect()
    gc.freeze()
    server.run([listener])
