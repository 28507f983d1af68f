"""Packages that a part needs and that are not installed with llmroute itself."""

from __future__ import annotations

from importlib.util import find_spec

from pydantic import SecretStr

from llmroute.config.accounts import Accounts
from llmroute.config.document import Document, Path
from llmroute.providers import Deployment
from llmroute.providers.gemini import GeminiDeployment

__all__ = ["check_accounts", "check_database", "check_installed", "check_store", "check_telemetry"]

_PACKAGES = {"bedrock": ("botocore", "aws"), "vertex": ("google.auth", "google")}
_STORE = ("redis", "redis")
_DATABASE = ("sqlalchemy", "proxy")
_POSTGRES = ("psycopg", "sql")
_TELEMETRY = ("opentelemetry.exporter.otlp.proto.http", "otel")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


# Looked up once, when this is imported: files are read for it, and a router may be made on an event
# loop.
_MISSING = frozenset(
    package
    for package, _ in (*_PACKAGES.values(), _STORE, _DATABASE, _POSTGRES, _TELEMETRY)
    if not _is_installed(package)
)


def check_installed(document: Document, deployment: Deployment, at: Path) -> None:
    """Report that what makes the deployment's credential is not installed."""
    by_google = isinstance(deployment, GeminiDeployment) and deployment.obtains_token
    needed = _PACKAGES.get("vertex" if by_google else deployment.provider)
    if needed is None or deployment.api_key or deployment.auth_token:
        return
    if document.credentials:
        _check(document, *needed, at)


def check_store(document: Document, store: SecretStr | None, at: Path) -> None:
    """Report that what speaks to the store is not installed."""
    if store is not None and document.credentials:
        _check(document, *_STORE, at)


def check_database(document: Document, database: SecretStr | None, at: Path) -> None:
    """Report that what speaks to the database is not installed."""
    if database is not None and document.credentials:
        _check(document, *_DATABASE, at)
        if database.get_secret_value().startswith("postgres"):
            _check(document, *_POSTGRES, at)


def check_telemetry(document: Document, at: Path) -> None:
    """Report that what speaks to a collector is not installed."""
    if document.credentials:
        _check(document, *_TELEMETRY, at)


def check_accounts(document: Document, accounts: Accounts, at: Path) -> None:
    """Report that what counts budgets and knows keys is not installed."""
    if accounts.needs_ledger and document.credentials:
        _check(document, *_DATABASE, at)


def _check(document: Document, package: str, extra: str, at: Path) -> None:
    if package in _MISSING:
        document.wrong(
            at, f"needs a package that is not installed: pip install 'llmroute[{extra}]'"
        )
