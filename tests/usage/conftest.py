"""Databases of each kind, and what makes records."""

from __future__ import annotations

from tests.database.conftest import opened, postgres, url

__all__ = ["opened", "postgres", "url"]
