"""Foundry in both dialects: where the address and the credential come from."""

import pytest

from llmroute.config import load_dict
from llmroute.errors import ConfigError

BASE = "https://acme.services.ai.azure.com/anthropic"
APPLICATION = {"tenant_id": "t", "client_id": "c", "client_secret": "s"}
USER = {"client_id": "c", "username": "u", "password": "p"}
TRUSTED = {"tenant_id": "t", "client_id": "c", "federated_token_file": "/f"}
IN_ENVIRONMENT = {f"AZURE_{name.upper()}": value for name, value in APPLICATION.items()}


def plain(deployment):
    """Return what was set of a deployment for Foundry, secrets as text."""
    return {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for name, value in deployment.model_dump(exclude_unset=True).items()
        if name not in ("provider", "headers", "extra_body", "order", "weight", "base_url")
    }


def litellm(environ=None, **params):
    own = params.pop("litellm_settings", {})
    params = {"model": "azure_ai/claude-opus-4-1", "api_base": BASE, **params}
    params = {name: value for name, value in params.items() if value is not None}
    entry = {"model_name": "a", "litellm_params": params}
    return load_dict({"model_list": [entry], "litellm_settings": own}, environ or {})


def native(**settings):
    return load_dict(
        {"deployments": {"f": {"provider": "foundry", **settings}}, "aliases": {"a": "f"}}, {}
    )


def problems(load, *args, **params):
    with pytest.raises(ConfigError) as caught:
        load(*args, **params)
    assert "canary" not in str(caught.value)
    return sorted(
        (problem.path.rpartition(".")[2], problem.text) for problem in caught.value.problems
    )


@pytest.mark.parametrize(
    ("params", "environ", "expected"),
    [
        pytest.param(
            {"api_key": "k"},
            {"AZURE_AI_API_KEY": "x", **IN_ENVIRONMENT},
            {"api_key": "k"},
            id="key",
        ),
        pytest.param(
            {"azure_ad_token": "t"},
            {"AZURE_AI_API_KEY": "x", **IN_ENVIRONMENT},
            {"auth_token": "t"},
            id="token",
        ),
        pytest.param(APPLICATION, {"AZURE_AI_API_KEY": "x"}, APPLICATION, id="application"),
        pytest.param(
            {"tenant_id": "t2", "azure_scope": "https://cognitiveservices.azure.com/.default"},
            IN_ENVIRONMENT,
            {
                **APPLICATION,
                "tenant_id": "t2",
                "scope": "https://cognitiveservices.azure.com/.default",
            },
            id="the-rest-from-the-environment",
        ),
        pytest.param(
            {},
            {"AZURE_API_KEY": "3", "AZURE_OPENAI_API_KEY": "2", "AZURE_AI_API_KEY": "1"},
            {"api_key": "1"},
            id="first-variable",
        ),
        pytest.param(
            {}, {"AZURE_API_KEY": "3", **IN_ENVIRONMENT}, {"api_key": "3"}, id="last-variable"
        ),
        pytest.param(
            {}, {"AZURE_AD_TOKEN": "x", **IN_ENVIRONMENT}, APPLICATION, id="application-variables"
        ),
        pytest.param(
            {},
            {"AZURE_AD_TOKEN": "x", "AZURE_TENANT_ID": "t"},
            {"auth_token": "x"},
            id="token-variable",
        ),
        pytest.param(
            {"litellm_settings": {"enable_azure_ad_token_refresh": True}},
            {},
            {"managed_identity": True},
            id="machine",
        ),
        pytest.param(
            {"litellm_settings": {"enable_azure_ad_token_refresh": True}},
            {"AZURE_CLIENT_ID": "c"},
            {"managed_identity": True, "client_id": "c"},
            id="machines-named-identity",
        ),
        pytest.param(
            {"api_key": "k", "api_version": "2025-01-01"}, {}, {"api_key": "k"}, id="date"
        ),
        pytest.param(
            {"client_id": "c", "azure_username": "u", "azure_password": "p"},
            {"AZURE_AI_API_KEY": "x"},
            USER,
            id="user",
        ),
        pytest.param(
            {"azure_username": "u", "azure_password": "p"},
            IN_ENVIRONMENT,
            {**USER, "tenant_id": "t"},
            id="user-before-a-secret-variable",
        ),
        pytest.param(
            {**APPLICATION, "azure_username": "u", "azure_password": "p"},
            {},
            APPLICATION,
            id="secret-before-user",
        ),
        pytest.param(
            {"client_id": "c"},
            {"AZURE_USERNAME": "u", "AZURE_PASSWORD": "p"},
            USER,
            id="user-variables",
        ),
        pytest.param(
            {"azure_password": "p", "client_id": "c"},
            {"AZURE_USERNAME": "u", "AZURE_PASSWORD": "x"},
            USER,
            id="half-a-user-from-the-environment",
        ),
        pytest.param(
            {"azure_ad_token": "oidc/azure/"},
            {**IN_ENVIRONMENT, "AZURE_FEDERATED_TOKEN_FILE": "/f"},
            TRUSTED,
            id="oidc",
        ),
        pytest.param(
            {"azure_ad_token": "oidc/file//f", "client_id": "c"},
            {"AZURE_TENANT_ID": "t"},
            TRUSTED,
            id="oidc-file",
        ),
        pytest.param(
            {"azure_ad_token": "oidc/env_path/WHERE", "client_id": "c", "tenant_id": "t"},
            {"WHERE": "/f"},
            TRUSTED,
            id="oidc-path",
        ),
        pytest.param(
            {},
            {
                "AZURE_AD_TOKEN": "oidc/azure/",
                "AZURE_FEDERATED_TOKEN_FILE": "/f",
                "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
            },
            TRUSTED,
            id="oidc-variable",
        ),
        pytest.param(
            {"litellm_settings": {"enable_azure_ad_token_refresh": True}},
            {
                "AZURE_FEDERATED_TOKEN_FILE": "/f",
                "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
                "AZURE_AUTHORITY_HOST": "https://login.example/",
            },
            {**TRUSTED, "authority": "https://login.example"},
            id="workload",
        ),
        pytest.param(
            {"api_key": "k"},
            {"AZURE_SCOPE": "s", "AZURE_AUTHORITY_HOST": "login.example"},
            {"api_key": "k", "scope": "s", "authority": "https://login.example"},
            id="sovereign-cloud",
        ),
    ],
)
def test_litellms_settings_are_taken_in_litellms_order(params, environ, expected):
    config = litellm(environ, **params)

    assert {"model": "claude-opus-4-1", **expected} == plain(config.deployments["a"])
    assert BASE == config.deployments["a"].base_url
    assert () == config.warnings


def test_the_address_may_be_in_the_environment():
    environ = {"AZURE_AI_API_BASE": f"{BASE}/", "AZURE_API_BASE": "https://x.example"}
    config = litellm(environ, api_base=None, api_key="k")

    assert BASE == config.deployments["a"].base_url


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(
            {"api_base": None, "api_key": "k"},
            [("api_base", "no api_base, and AZURE_AI_API_BASE is not set")],
            id="no-address",
        ),
        pytest.param(
            {},
            [
                (
                    "litellm_params",
                    "has no credential; set api_key, or tenant_id, client_id and client_secret, or"
                    " managed_identity",
                )
            ],
            id="no-credential",
        ),
        pytest.param(
            {"tenant_id": "t"},
            [("litellm_params", "needs all three of tenant_id, client_id and client_secret")],
            id="half-an-application",
        ),
        pytest.param(
            {"azure_ad_token": "oidc/github/canary"},
            [
                (
                    "azure_ad_token",
                    "of the oidc/ tokens, only oidc/azure/, oidc/file/PATH and"
                    " oidc/env_path/VARIABLE are part of this version of llmroute",
                )
            ],
            id="oidc",
        ),
        pytest.param(
            {"azure_ad_token": "oidc/azure/"},
            [("azure_ad_token", "environment variable AZURE_FEDERATED_TOKEN_FILE is not set")],
            id="no-token-file",
        ),
        pytest.param(
            {"azure_ad_token": "oidc/file//f"},
            [("litellm_params", "needs tenant_id and client_id beside federated_token_file")],
            id="trusted-for-whom",
        ),
        pytest.param(
            {"azure_username": "u", "azure_password": "canary"},
            [("litellm_params", "needs all three of username, password and client_id")],
            id="user-of-what",
        ),
        pytest.param(
            {"client_id": "c", "azure_username": "u"},
            [("litellm_params", "needs all three of username, password and client_id")],
            id="no-password",
        ),
        pytest.param(
            {"model": "azure_ai/mistral-large", "api_key": "k"},
            [
                (
                    "model",
                    "is no Claude model; no other is served from Foundry in this version of"
                    " llmroute",
                )
            ],
            id="mistral",
        ),
        pytest.param(
            {"api_key": "os.environ/NOT_SET"},
            [("api_key", "environment variable NOT_SET is not set")],
            id="named-variable",
        ),
    ],
)
def test_litellms_dialect_says_what_is_wrong(params, expected):
    assert expected == problems(litellm, **params)


def test_the_native_dialect_takes_an_address_and_a_credential():
    config = native(base_url=BASE, api_key="k")

    assert {"api_key": "k"} == plain(config.deployments["f"])
    assert () == config.warnings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({"api_key": "k"}, ("base_url", "required, and not given"), id="address"),
        pytest.param(
            {"base_url": BASE, "api_key": "k", "auth_token": "t"},
            ("auth_token", "stands beside api_key; one of them is too many"),
            id="two",
        ),
        pytest.param(
            {"base_url": BASE, "client_secret": "canary"},
            ("f", "needs all three of tenant_id, client_id and client_secret"),
            id="half",
        ),
        pytest.param(
            {"base_url": BASE, "username": "u", "password": "canary"},
            ("f", "needs all three of username, password and client_id"),
            id="user-of-what",
        ),
        pytest.param(
            {"base_url": BASE, "client_id": "c", "federated_token_file": "/f"},
            ("f", "needs tenant_id and client_id beside federated_token_file"),
            id="trusted-for-whom",
        ),
    ],
)
def test_the_native_dialect_says_what_is_wrong(settings, expected):
    assert [expected] == problems(native, **settings)
