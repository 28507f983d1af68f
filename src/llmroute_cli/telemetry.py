"""What tells of calls elsewhere: to a collector, and in a file for bodies."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec

import llmroute
from llmroute import Config, ConfigError
from llmroute.errors import Problem
from llmroute.observe.bodies import Bodies
from llmroute.observe.telemetry import Telemetry, wanted
from llmroute_cli.configuration import say

__all__ = ["begun", "bodies_of"]

_PROTOCOLS = ("", "http/protobuf")


def begun(config: Config) -> list[Telemetry]:
    """Return what tells a collector of calls, at work already; nothing if nobody asks for it."""
    settings = wanted(config.telemetry, os.environ)
    if settings is None:
        return []
    if not _is_installed():
        say("OTEL_… variables name a collector; to tell it: pip install 'llmroute[otel]'")
        return []
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "") not in _PROTOCOLS:
        say("a collector is told by http/protobuf, whatever OTEL_EXPORTER_OTLP_PROTOCOL says")
    # What they have to say of a collector that is away is said once, by us.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    telemetry = Telemetry(settings, os.environ, version=llmroute.__version__)
    telemetry.start()
    return [telemetry]


def bodies_of(config: Config) -> Bodies:
    """Return what writes bodies, at work already; without settings it does not, yet.

    Raises:
        ConfigError: The file cannot be written.
    """
    bodies = Bodies(config.logs.bodies)
    try:
        bodies.start()
    except OSError as error:
        why = f"cannot be written: {error.strerror or error}"
        raise ConfigError([Problem(config.source, 0, "logs.bodies.path", why)]) from None
    return bodies


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
