"""What every block of settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Settings"]


class Settings(BaseModel):
    """A block of settings.  An unknown one is an error, and no error quotes a value."""

    # Deferred: a process pays for the models of the dialect that it reads, and not at import.
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )
