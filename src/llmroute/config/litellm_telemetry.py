"""LiteLLM's callbacks → our telemetry: `otel` is the one that there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from llmroute.config.document import Document, Path
from llmroute.config.extras import check_telemetry
from llmroute.config.litellm_model import LitellmSettings
from llmroute.config.telemetry import Telemetry
from llmroute.config.validation import check_headers, validated

__all__ = ["telemetry"]

_LISTS = ("callbacks", "success_callback", "failure_callback", "service_callback")
_OTEL = "otel"
_ANYWAY = "prometheus"
_IGNORED = "ignored: of callbacks there are otel, and prometheus, which is so anyway"
# LiteLLM's own names for what OpenTelemetry calls otherwise; they stand above its names.
_ENDPOINTS = ("OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_HEADERS = ("OTEL_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_SPOKEN = ("", "otlp_http", "http/protobuf")
_PATHS = ("/v1/traces", "/v1/metrics")


def telemetry(
    document: Document, own: LitellmSettings, environ: Mapping[str, str]
) -> Telemetry | None:
    """Return what a collector is told; `None` if no callback says so."""
    at: Path | None = None
    for name in _LISTS:
        here: Path = ("litellm_settings", name)
        value = getattr(own, name)
        listed = value if isinstance(value, list) else [] if value is None else [value]
        for index, callback in enumerate(listed):
            place = (*here, index) if isinstance(value, list) else here
            if callback == _OTEL:
                at = at or place
            elif callback != _ANYWAY:
                document.warn(place, _IGNORED)
    if at is None:
        return None
    if environ.get("OTEL_EXPORTER", "").lower() not in _SPOKEN:
        document.warn(at, "the collector is told by OTLP over HTTP, whatever OTEL_EXPORTER says")
    check_telemetry(document, at)
    given = _given(environ)
    origins = dict.fromkeys(given, at)
    read = validated(document, Telemetry, given, at, origins=origins) or Telemetry()
    sent = {name: value.get_secret_value() for name, value in read.headers.items()}
    check_headers(document, sent, at)
    return read


def _given(environ: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if endpoint := _first(environ, _ENDPOINTS):
        for path in _PATHS:
            endpoint = endpoint.removesuffix(path)
        given["endpoint"] = endpoint
    if headers := _first(environ, _HEADERS):
        pairs = (pair.partition("=") for pair in headers.split(",") if "=" in pair)
        given["headers"] = {name.strip(): unquote(value.strip()) for name, _, value in pairs}
    if name := environ.get("OTEL_SERVICE_NAME"):
        given["service_name"] = name
    return given


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environ.get(name))), "")
