"""Entra ID's part of a deployment's settings: who asks for its tokens, and where."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import SecretStr, model_validator

from llmroute.providers._base import BaseUrl, Deployment

__all__ = ["EntraDeployment"]


class EntraDeployment(Deployment):
    """A deployment at Azure, with a key of its own or with tokens of Entra ID.

    The credential is the first of: `auth_token`, `api_key`, `password`, `client_secret`,
    `federated_token_file` and `managed_identity`.
    """

    key_required: ClassVar[bool] = False

    forward_client_auth: Literal[False] = False
    """A caller's own credential is never sent to Azure."""
    auth_token: SecretStr | None = None
    """An Entra ID token, sent as it is until it ends; those of the settings below are renewed."""
    tenant_id: str | None = None
    """The Entra ID tenant of `client_id`; with a `password`, the user's own if left out."""
    client_id: str | None = None
    """An application's id, with its `client_secret`, its `federated_token_file` or a user's
    `password`; or, with `managed_identity`, the id of the one identity that is meant where the
    machine has several."""
    client_secret: SecretStr | None = None
    """The application's secret."""
    username: str | None = None
    """A user's name in Entra ID, with their `password`, for whom the application asks."""
    password: SecretStr | None = None
    """The user's password; a user who must prove more than that cannot be used."""
    federated_token_file: str | None = None
    """A file with a token of someone the application trusts, as Kubernetes keeps one for workload
    identities; read for each token that is fetched."""
    managed_identity: bool = False
    """Use the identity of the machine this runs on."""
    scope: str = "https://cognitiveservices.azure.com/.default"
    """What Entra ID tokens are asked for."""
    authority: BaseUrl = "https://login.microsoftonline.com"
    """Where an application's tokens come from; other in Azure's sovereign clouds."""
    identity_endpoint: BaseUrl | None = None
    """Where a managed identity's tokens come from, if not from the machine's own service."""

    @model_validator(mode="after")
    def _has_a_credential(self) -> Self:
        if self.api_key is not None or self.auth_token is not None:
            return self
        application = (self.tenant_id, self.client_id)
        if self.username or self.password:
            if not (self.username and self.password and self.client_id):
                raise ValueError("needs all three of username, password and client_id")
        elif self.federated_token_file and not self.client_secret:
            if not all(application):
                raise ValueError("needs tenant_id and client_id beside federated_token_file")
        elif self.managed_identity:
            return self
        elif any(application) or self.client_secret:
            if not (all(application) and self.client_secret):
                raise ValueError("needs all three of tenant_id, client_id and client_secret")
        elif not _carries_one(self.headers):
            raise ValueError(
                "has no credential; set api_key, or tenant_id, client_id and client_secret, or"
                " managed_identity"
            )
        return self

    @property
    def obtains_token(self) -> bool:
        """Whether tokens are fetched, by a secret, a file or as this machine."""
        if self.api_key is not None or self.auth_token is not None:
            return False
        own = self.password or self.client_secret or self.federated_token_file
        return bool(own) or self.managed_identity


def _carries_one(headers: dict[str, str]) -> bool:
    return any(name.lower() in {"api-key", "authorization", "x-api-key"} for name in headers)
