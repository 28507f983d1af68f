"""Where a deployment stands in the configuration, to tell what to mend when an upstream refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Origin", "Place"]


class Place(NamedTuple):
    """A place in a configuration.

    Attributes:
        file: The file's name as it was given, or `<dict>` and `<environment>` where there is none.
        line: Counted from 1; 0 where there is no file.
        path: As the file's dialect has it, `model_list[0].litellm_params.api_key`.
    """

    file: str
    line: int
    path: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}" if self.line else f"{self.file}: {self.path}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a deployment stands.

    Attributes:
        at: The place of its settings.
        settings: The places of single settings, by our names for them, whatever the dialect's.
    """

    at: Place
    settings: Mapping[str, Place]

    def place(self, setting: str) -> str:
        """Return where a setting stands, or would: `config.yaml:12: deployments.a.api_key`."""
        found = self.settings.get(setting)
        if found is None:
            path = f"{self.at.path}.{setting}".removeprefix(".")
            found = self.at._replace(path=path)
        return str(found)

    def place_of(self, settings: Iterable[str]) -> str:
        """Return where the first of these stands that does, or the whole if none does."""
        given = next((setting for setting in settings if setting in self.settings), None)
        return str(self.at) if given is None else self.place(given)
