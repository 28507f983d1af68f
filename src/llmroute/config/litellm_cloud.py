"""What LiteLLM's settings for a cloud become: a row for each cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import SecretStr

from llmroute.config.document import Document, Path
from llmroute.config.settings import Settings
from llmroute.providers import Deployment

__all__ = ["Cloud", "Given", "Taken", "either"]


class Given(NamedTuple):
    """What an entry says to its cloud.

    Attributes:
        document: Where problems are reported.
        at: Where the entry's `litellm_params` stand.
        places: Where each of its settings stands.
        model: The model, without the provider before it.
        own: The cloud's own settings, an instance of its `params`.
        base: The address, as it was given.
        base_at: Where that stands.
        api_key: The key that was given.
        environ: The environment, the file's own variables included.
        refreshing: Whether the file says `enable_azure_ad_token_refresh`.
        carries_key: Whether one of the entry's headers is a credential.
    """

    document: Document
    at: Path
    places: Mapping[str, Path]
    model: str
    own: Any
    base: str | None
    base_at: Path
    api_key: SecretStr | None
    environ: Mapping[str, str]
    refreshing: bool = False
    carries_key: bool = False

    def place(self, name: str) -> Path:
        """Return where a setting stands, or would stand."""
        return self.places.get(name, (*self.at, name))


class Taken(NamedTuple):
    """What the deployment is made of, besides what every provider has.

    Attributes:
        settings: The deployment's settings; those that are `None` count as not given.
        origins: Where they stand, if not under their own name.
    """

    settings: Mapping[str, Any]
    origins: Mapping[str, Path]


class Cloud(NamedTuple):
    """A cloud that LiteLLM has a name for.

    Attributes:
        deployment: The native settings.
        params: What LiteLLM calls them.
        prefixes: How settings begin that can only be this cloud's.
        refusal: Says why a model cannot be served there; `None` if it can.
        take: Turns the one into the other, and reports what is wrong.
    """

    deployment: type[Deployment]
    params: type[Settings]
    prefixes: tuple[str, ...]
    refusal: Callable[[str], str | None]
    take: Callable[[Given], Taken]

    def owns(self, name: str) -> bool:
        """Whether a setting of `litellm_params` is for this cloud to read."""
        return name in self.params.model_fields or name.startswith(self.prefixes)


def either(given: Given, name: str, other: str) -> tuple[Any, Path]:
    """Return a setting that has two names, and where it stands, or would stand."""
    value, second = getattr(given.own, name), getattr(given.own, other)
    if value is not None and second is not None and value != second:
        given.document.wrong(given.place(other), f"is something else than {name}")
    if value is None and second is not None:
        return second, given.place(other)
    return value, given.place(name)
