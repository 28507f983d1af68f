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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
import uvicorn

import llmroute
from llmroute import Config, ConfigError, Router, pricing
from llmroute.asgi import Proxy
from llmroute.ledger import NO_DATABASE, Ledger
from llmroute.observe import LineLog, Observer
from llmroute.observe.bodies import Bodies
from llmroute.observe.telemetry import Telemetry
from llmroute.transport.direct import DirectTransport
from llmroute_cli.configuration import fail, find, key_variable, load, say, say_problems
from llmroute_cli.connection import Connection
from llmroute_cli.data import database_url
from llmroute_cli.env import NO_KEY
from llmroute_cli.exposure import exposed
from llmroute_cli.hangup import heed_hangup
from llmroute_cli.notices import log_warnings
from llmroute_cli.reload import Source
from llmroute_cli.telemetry import begun, bodies_of
from llmroute_cli.workers import supervise

__all__ = ["ProxyServer", "address", "heed_signals", "listen", "prepare", "proxy_server", "serve"]

# More than load balancers and clients keep an idle connection (60 s is the usual), so that it is
# never ours that is closed under a request of theirs.
_KEEP_ALIVE = 75  # seconds
_BACKLOG = 2048


def serve(
    path: Path | None, options: Mapping[str, Any], *, workers: int = 1, watch: bool = False
) -> None:
    """Serve until told to stop; SIGHUP has the configuration loaded again.

    Args:
        path: The configuration; found if left out.
        options: What stands above `server` in it.
        workers: How many processes share the port.
        watch: Whether to load the file again when it has changed.

    Raises:
        typer.Exit: The configuration, the address or the port cannot be used.
    """
    file = find(path)
    config = load(file)
    config = replace(config, server=config.server.model_copy(update=dict(options)))
    if open_door := exposed(config):
        raise fail(open_door)
    if watch and file is None:
        say("there is no file to watch")
    if any(len(alias.deployments) > 1 for alias in config.aliases.values()):
        # Here, or the first call that weighs a move would wait for it; and once for all workers.
        pricing.load()
    listener = listen(config.server.host, config.server.port)
    source = Source(file, config, options, watch=watch)
    heed_hangup(source.ask)

    def announce() -> None:
        _announce(config, address(listener))

    if workers == 1:
        _run(config, listener, source.changes(), announce)
    else:
        announce()
        supervise(
            lambda config, changes: _run(config, listener, changes), listener, workers, source
        )


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
    if config.server.master_key is None and config.accounts.keys:
        say("no master key is set: clients present a key of the configuration")
        token = "KEY"  # noqa: S105 - what stands for one
    elif config.server.master_key is None:
        say("no master key is set: every program on this machine is let in")
        token = NO_KEY
    else:
        token = f'"${variable or "LLMROUTE_MASTER_KEY"}"'
    say(f"for Claude Code (or run `llmroute claude --url {url}`):")
    say(f"  export ANTHROPIC_BASE_URL={url}")
    say(f"  export ANTHROPIC_AUTH_TOKEN={token}")


def prepare(*, as_json: bool = False) -> None:
    """Set the process up for serving: memory and logs."""
    _keep_memory()
    log_warnings(as_json=as_json)
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


class ProxyServer(uvicorn.Server):
    """Serves a proxy, and each further configuration as it comes."""

    def __init__(
        self,
        settings: uvicorn.Config,
        proxy: Proxy,
        changes: AsyncIterator[Config] | None,
        beside: Sequence[Bodies | Telemetry] = (),
    ) -> None:
        super().__init__(settings)
        self._beside = beside
        self._proxy = proxy
        self._changes = changes
        self._following: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, and changes."""
        await super().startup(sockets)
        if self._changes is not None:
            self._following = asyncio.create_task(self._follow(self._changes))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs."""
        self._proxy.drain()
        if self._following is not None:
            self._following.cancel()
        await super().shutdown(sockets)
        for each in self._beside:
            await asyncio.to_thread(each.close)

    async def _follow(self, changes: AsyncIterator[Config]) -> None:
        async for config in changes:
            self._proxy.reconfigure(config)
            for each in self._beside:
                if isinstance(each, Bodies):
                    each.configure(config.logs.bodies)
            self.config.timeout_graceful_shutdown = math.ceil(config.server.drain)


def proxy_server(
    config: Config,
    *,
    write: Callable[[str], object] | None = None,
    changes: AsyncIterator[Config] | None = None,
) -> ProxyServer:
    """Return the server of a proxy for `config`, to be run with a socket that listens.

    Args:
        config: What it serves at first.
        write: Takes the log; left out, it goes to stderr.
        changes: What it serves from then on.
    """
    log = LineLog(write or sys.stderr.write, as_json=config.server.log == "json")
    ledger = _ledger(config)
    telemetry = begun(config)
    observers: list[Observer] = [log, ledger, *telemetry]
    bodies = bodies_of(config)
    router = Router(
        config,
        transport=DirectTransport(),
        observers=observers,
        admission=ledger,
        bodies=bodies,
    )
    proxy = Proxy(router, ledger=ledger)
    settings = uvicorn.Config(
        proxy,
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
    return ProxyServer(settings, proxy, changes, [bodies, *telemetry])


def _ledger(config: Config) -> Ledger:
    """Open the database: the one that is named has to be had, the usual one should be.

    Raises:
        ConfigError: It cannot be had.
    """
    try:
        return Ledger.open(config, database_url(config, os.environ))
    except ConfigError as error:
        if config.database is not None:
            raise
        # A container whose file system is read-only, say: it serves all the same.
        why = error.problems[0].text
        say(f"keys and usage are kept in memory only: {why}. Name a `database`, or `none`")
        return Ledger.open(config, NO_DATABASE)


def heed_signals(server: uvicorn.Server) -> None:
    """Have SIGINT and SIGTERM drain `server`, and the process end well after that.

    The server installs this same handler, and when it has drained raises the signal once more for
    the one that was there before: left alone, that would end the process in a failure.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, server.handle_exit)


def _run(
    config: Config,
    listener: socket.socket,
    changes: AsyncIterator[Config],
    announce: Callable[[], None] = lambda: None,
) -> None:
    prepare(as_json=config.server.log == "json")
    try:
        server = proxy_server(config, changes=changes)
    except ConfigError as error:
        say_problems(error.problems)
        raise typer.Exit(2) from None
    announce()
    heed_signals(server)
    # What has been made so far lives as long as the process: no collection need look at it.
    gc.collect()
    gc.freeze()
    server.run([listener])
