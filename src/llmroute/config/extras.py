"""Packages that a provider needs and that are not installed with llmroute itself."""

from __future__ import annotations

from importlib.util import find_spec

from llmroute.config.document import Document, Path
from llmroute.providers import Deployment

__all__ = ["check_installed"]

_PACKAGES = {"bedrock": ("botocore", "aws"), "vertex": ("google.auth", "google")}


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


# Looked up once, when this is imported: files are read for it, and a router may be made on an event
# loop.
_MISSING = frozenset(package for package, _ in _PACKAGES.values() if not _is_installed(package))


def check_installed(document: Document, deployment: Deployment, at: Path) -> None:
    """Report that what makes the deployment's credential is not installed."""
    if deployment.provider not in _PACKAGES or deployment.api_key or deployment.auth_token:
        return
    package, extra = _PACKAGES[deployment.provider]
    if package in _MISSING:
        document.wrong(
            at, f"needs a package that is not installed: pip install 'llmroute[{extra}]'"
        )
