"""Entra ID's tokens, for an application and for a machine, by a real exchange."""

from urllib.parse import parse_qs

import anyio
import pytest

from llmroute.credentials import StaticCredential, credential_for
from llmroute.credentials.azure import AzureCredential
from llmroute.errors import FaultError, MisconfiguredError, UnreachableError
from llmroute.providers import UpstreamRequest
from llmroute.providers.foundry import FoundryDeployment
from llmroute.testing import FakeEntra, FakeFoundry, as_json, raw

pytestmark = pytest.mark.anyio

REQUEST = UpstreamRequest("POST", "https://a.example/anthropic/v1/messages", [], ())
BASE = "https://acme.services.ai.azure.com"
TOKEN_PATH = "/fake-tenant/oauth2/v2.0/token"
APPLICATION = {
    "tenant_id": "fake-tenant",
    "client_id": "fake-client",
    "client_secret": "fake-secret",
}
TRUSTED = {"tenant_id": "fake-tenant", "client_id": "fake-client"}
USER = {
    "client_id": "fake-client",
    "username": "fake-user@fake.example",
    "password": "fake-password",
}


@pytest.fixture
def foundry():
    return FakeFoundry()


@pytest.fixture
def entra(foundry):
    with FakeEntra(foundry) as fake:
        yield fake


def deployment(entra, **settings):
    return FoundryDeployment(
        base_url=BASE, authority=entra.url, identity_endpoint=entra.url, **settings
    )


async def token(credential):
    (name, value), *rest = await credential.headers(REQUEST)
    assert (b"authorization", []) == (name, rest)
    return value.decode().removeprefix("Bearer ")


async def test_an_application_gets_a_token_for_its_secret(entra, foundry):
    credential = credential_for(deployment(entra, **APPLICATION))

    found = await token(credential)
    assert found in foundry.tokens
    assert found == await token(credential)
    assert 1 == entra.given


async def test_a_machine_gets_a_token_for_its_identity(entra, foundry):
    assert await token(credential_for(deployment(entra, managed_identity=True))) in foundry.tokens
    assert "client_id" not in entra.requests[0].query


async def test_of_several_identities_one_is_named(entra, foundry):
    entra.identities.append("second")
    settings = {"managed_identity": True, "client_id": "second"}

    assert await token(credential_for(deployment(entra, **settings))) in foundry.tokens
    assert "client_id=second" in entra.requests[0].query


@pytest.mark.parametrize(
    ("settings", "tenant"),
    [
        pytest.param({"tenant_id": "fake-tenant"}, "fake-tenant", id="tenant"),
        pytest.param({}, "organizations", id="users-own-tenant"),
        pytest.param({"client_secret": "fake-secret"}, "organizations", id="secret"),
    ],
)
async def test_a_user_gets_a_token_for_their_password(entra, foundry, settings, tenant):
    found = await token(credential_for(deployment(entra, **USER, **settings)))

    (asked,) = entra.requests
    assert found in foundry.tokens
    assert f"/{tenant}/oauth2/v2.0/token" == asked.path
    assert {
        "grant_type": ["password"],
        "client_id": ["fake-client"],
        "username": ["fake-user@fake.example"],
        "password": ["fake-password"],
        "scope": ["https://ai.azure.com/.default"],
        **{name: [value] for name, value in settings.items() if name == "client_secret"},
    } == parse_qs(asked.body.decode())


async def test_a_file_stands_for_a_secret_and_is_read_each_time(entra, foundry, tmp_path):
    file = tmp_path / "token"
    file.write_text("fake-assertion\n")
    credential = credential_for(deployment(entra, **TRUSTED, federated_token_file=str(file)))
    first = await token(credential)

    file.write_text("another")
    entra.trusted["fake-tenant", "fake-client"] = "another"
    assert await credential.renew()
    assert {first, await token(credential)} == set(foundry.tokens)


async def test_a_file_that_is_not_there_is_told_without_its_name(entra, tmp_path):
    settings = deployment(entra, **TRUSTED, federated_token_file=str(tmp_path / "canary"))
    with pytest.raises(MisconfiguredError, match="cannot be read") as caught:
        await token(credential_for(settings))

    assert "canary" not in str(caught.value)
    assert [] == entra.requests


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param(
            {"username": "who@fake.example"},
            "Entra ID: invalid_grant: AADSTS50034: The user account (…) does not exist in the"
            " directory.",
            id="user",
        ),
        pytest.param(
            {"password": "canary"},
            "Entra ID: invalid_grant: AADSTS50126: Error validating credentials due to invalid"
            " username or password.",
            id="password",
        ),
    ],
)
async def test_a_users_refusal_says_why_and_not_who(entra, changed, expected):
    with pytest.raises(MisconfiguredError) as caught:
        await token(credential_for(deployment(entra, **{**USER, **changed})))

    assert (expected, 401) == (str(caught.value), caught.value.status)


async def test_in_an_app_service_the_environment_tells_where_the_identity_is(entra):
    answer = {"access_token": "from-app-service", "expires_in": "3600"}
    entra.on("GET", "/msi/token", as_json(answer))
    settings = FoundryDeployment(base_url=BASE, managed_identity=True)
    environ = {"IDENTITY_ENDPOINT": f"{entra.url}/msi/token", "IDENTITY_HEADER": "proof"}

    assert "from-app-service" == await token(AzureCredential(settings, environ=environ))
    (asked,) = entra.requests
    assert "proof" == asked.header("x-identity-header")
    assert "resource=https%3A%2F%2Fai.azure.com&api-version=2019-08-01" == asked.query


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        pytest.param({"api_key": "k"}, (b"x-api-key", b"k"), id="key"),
        pytest.param({"auth_token": "t"}, (b"authorization", b"Bearer t"), id="token"),
        pytest.param({"api_key": "k", **APPLICATION}, (b"x-api-key", b"k"), id="key-first"),
    ],
)
async def test_a_key_or_a_token_that_is_given_is_sent_as_it_is(settings, header):
    credential = credential_for(FoundryDeployment(base_url=BASE, **settings))

    assert isinstance(credential, StaticCredential)
    assert [header] == await credential.headers(REQUEST)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param(
            {"client_secret": "wrong"},
            "Entra ID: invalid_client: AADSTS7000215: Invalid client secret provided for app (…).",
            id="secret",
        ),
        pytest.param(
            {"client_id": "wrong"},
            "Entra ID: unauthorized_client: AADSTS700016: Application with identifier (…) was not"
            " found.",
            id="client",
        ),
        pytest.param(
            {"scope": "https://graph.microsoft.com/.default"},
            "Entra ID: invalid_scope: AADSTS70011: The provided scope is not valid.",
            id="scope",
        ),
    ],
)
async def test_a_refusal_says_why_and_not_who(entra, changed, expected):
    with pytest.raises(MisconfiguredError) as caught:
        await token(credential_for(deployment(entra, **{**APPLICATION, **changed})))

    assert (expected, 401) == (str(caught.value), caught.value.status)


@pytest.mark.parametrize(
    ("answer", "cls"),
    [
        pytest.param(raw(503, body=b"<html>"), FaultError, id="down"),
        pytest.param(as_json({"error": "slow_down"}, 429), FaultError, id="busy"),
        pytest.param(raw(200, body=b"<html>"), FaultError, id="page"),
        pytest.param(as_json({"access_token": "t"}), FaultError, id="no-end"),
        pytest.param(raw(403, body=b"<html>"), MisconfiguredError, id="refused-by-a-proxy"),
        pytest.param(raw(200).drop(), UnreachableError, id="dropped"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_its_kind(entra, answer, cls):
    entra.on("POST", TOKEN_PATH, answer)

    with pytest.raises(cls):
        await token(credential_for(deployment(entra, **APPLICATION)))


async def test_a_secret_is_not_sent_on_to_where_a_redirect_points(entra):
    with FakeEntra(FakeFoundry()) as other:
        entra.on("POST", TOKEN_PATH, raw(302, [("location", other.url + TOKEN_PATH)]))
        with pytest.raises(MisconfiguredError, match="302"):
            await token(credential_for(deployment(entra, **APPLICATION)))

        assert [] == other.requests


async def test_a_token_service_that_is_down_is_unreachable(entra):
    settings = deployment(entra, **APPLICATION)
    await anyio.to_thread.run_sync(entra.stop)
    with pytest.raises(UnreachableError):
        await token(credential_for(settings))
    entra.start()
