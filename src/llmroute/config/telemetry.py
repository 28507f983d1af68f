"""Settings of what is told of calls elsewhere: to an OpenTelemetry collector, and in files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from llmroute.config.document import Document, Path
from llmroute.config.extras import check_telemetry
from llmroute.config.settings import Settings
from llmroute.config.validation import check_headers, section, validated

__all__ = ["BodySettings", "Logs", "Telemetry", "logs", "telemetry"]


def _collector(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an address like http://HOST:4318, with nothing secret in it")
    return value.rstrip("/")


def _expressions(value: tuple[str, ...]) -> tuple[str, ...]:
    for expression in value:
        try:
            matches_empty = re.compile(expression).match("") is not None
        except (re.error, RecursionError, OverflowError):
            raise ValueError("holds what is no regular expression") from None
        if matches_empty:
            raise ValueError("holds a regular expression that matches empty text")
    return value


class Telemetry(Settings):
    """What an OpenTelemetry collector is told of every call."""

    enabled: bool = True
    """Whether it is told; an empty section is enough to say so."""
    endpoint: Annotated[str, AfterValidator(_collector)] | None = None
    """The collector's address for OTLP over HTTP, without `/v1/traces`; left out,
    `OTEL_EXPORTER_OTLP_ENDPOINT` says it, else it is `http://localhost:4318`."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """What is sent with every export, a key for instance: names and references to secrets."""
    service_name: str | None = Field(None, min_length=1)
    """What the service is called there; left out, `OTEL_SERVICE_NAME` says it, else `llmroute`."""
    sample: float | None = Field(None, ge=0, le=1)
    """The share of traces that is sent, of those that begin here; one that a client has begun goes
    as the client says.  Left out, `OTEL_TRACES_SAMPLER` says it, else all are."""
    traces: bool = True
    """Whether spans are sent."""
    metrics: bool = True
    """Whether metrics are sent."""


class BodySettings(Settings):
    """A file that requests and answers are written to."""

    path: str = Field(min_length=1)
    """The file; it is made readable to nobody else."""
    max_body_bytes: int = Field(1_048_576, gt=0)
    """How much of a request is kept, and of an answer; the rest is cut off."""
    max_file_bytes: int = Field(104_857_600, gt=0)
    """Bytes at which a new file is begun; the full one is called `PATH.1`."""
    files: int = Field(5, ge=0)
    """How many full files are kept."""
    redact: Annotated[tuple[str, ...], AfterValidator(_expressions)] = ()
    """Regular expressions, in Python's syntax, of what is not to be written.  Keys, tokens and
    passwords of the usual forms never are."""
    redact_emails: bool = True
    """Whether e-mail addresses are left out too."""
    aliases: tuple[str, ...] = ()
    """The aliases whose calls are written, names or patterns with a `*`; left out, all of them."""
    keys: tuple[str, ...] = ()
    """The names of the keys whose calls are written; left out, all of them."""


class Logs(Settings):
    """What is written of calls beside the log."""

    bodies: BodySettings | None = None
    """The file for requests and answers; left out, none is written."""


def telemetry(document: Document) -> Telemetry | None:
    """Read `telemetry` of the native dialect; `None` if there is no such section."""
    at: Path = ("telemetry",)
    if "telemetry" not in document.data:
        return None
    value = document.data["telemetry"]
    read = validated(document, Telemetry, section(document, value, at), at) or Telemetry()
    sent = {name: value.get_secret_value() for name, value in read.headers.items()}
    check_headers(document, sent, (*at, "headers"))
    if read.enabled:
        check_telemetry(document, at)
    return read


def logs(document: Document) -> Logs:
    """Read `logs` of the native dialect."""
    at: Path = ("logs",)
    given = dict(section(document, document.data.get("logs"), at))
    value = given.pop("bodies", None)
    here = (*at, "bodies")
    bodies = None
    if value is not None:
        block: Mapping[str, object] = (
            {"path": value} if isinstance(value, str) else section(document, value, here)
        )
        origins = {"path": here} if isinstance(value, str) else None
        if isinstance(value, str | dict):
            bodies = validated(document, BodySettings, block, here, origins=origins)
    read = validated(document, Logs, given, at, known=("bodies",)) or Logs()
    return read.model_copy(update={"bodies": bodies})
