"""The fake Foundry, and the fake Entra ID, refuse what the real ones refuse."""

import httpx
import pytest

from llmroute.testing import Clock, FakeEntra, FakeFoundry, as_json

BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
VERSION = {"anthropic-version": "2023-06-01"}
KEY = {**VERSION, "x-api-key": "fake-key"}
FORM = {
    "grant_type": "client_credentials",
    "client_id": "fake-client",
    "client_secret": "fake-secret",
    "scope": "https://ai.azure.com/.default",
}
USER = {
    "grant_type": "password",
    "username": "fake-user@fake.example",
    "password": "fake-password",
}
TRUSTED = {
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": "fake-assertion",
}
IDENTITY = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://ai.azure.com"


@pytest.fixture
def foundry():
    with FakeFoundry(clock=Clock(100.0)) as fake:
        yield fake


@pytest.fixture
def entra(foundry):
    with FakeEntra(foundry, clock=foundry._clock) as fake:
        yield fake


def ask(foundry, headers=KEY, path="/anthropic/v1/messages", **members):
    return httpx.post(foundry.url + path, json={**BODY, **members}, headers=headers)


def ask_entra(entra, changed, tenant="fake-tenant"):
    form = {name: value for name, value in {**FORM, **changed}.items() if value is not None}
    return httpx.post(f"{entra.url}/{tenant}/oauth2/v2.0/token", data=form)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(KEY, 200, id="x-api-key"),
        pytest.param({**VERSION, "api-key": "fake-key"}, 200, id="api-key"),
        pytest.param({**VERSION, "authorization": "Bearer fake-key"}, 401, id="key-as-token"),
        pytest.param({**VERSION, "x-api-key": "wrong"}, 401, id="wrong"),
        pytest.param(VERSION, 401, id="none"),
        pytest.param({"x-api-key": "fake-key"}, 400, id="no-version"),
    ],
)
def test_a_key_and_a_version_are_demanded(foundry, headers, status):
    assert status == ask(foundry, headers).status_code


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({"path": "/v1/messages"}, 404, id="path"),
        pytest.param({"path": "/anthropic/v1/models"}, 404, id="models"),
        pytest.param({"speed": "fast"}, 400, id="member"),
        pytest.param({"path": "/anthropic/v1/messages/count_tokens"}, 200, id="count"),
    ],
)
def test_what_foundry_has_not_is_refused(foundry, changed, status):
    assert status == ask(foundry, **changed).status_code


def test_only_its_deployments_can_be_asked_for(foundry):
    foundry.deployments = {"other"}
    answer = ask(foundry)

    assert (404, "DeploymentNotFound") == (answer.status_code, answer.json()["error"]["code"])


def test_other_endpoints_can_be_scripted(foundry):
    foundry.on("GET", "/openai/v1/models", as_json({"data": []}))

    assert {"data": []} == httpx.get(f"{foundry.url}/openai/v1/models").json()


def test_what_is_no_json_is_refused(foundry):
    url = f"{foundry.url}/anthropic/v1/messages"

    assert 400 == httpx.post(url, content=b"no", headers=KEY).status_code


def test_a_token_is_good_until_it_ends(foundry, entra):
    given = httpx.post(f"{entra.url}/fake-tenant/oauth2/v2.0/token", data=FORM).json()
    headers = {**VERSION, "authorization": f"Bearer {given['access_token']}"}

    assert 200 == ask(foundry, headers).status_code
    foundry._clock.advance(given["expires_in"])
    assert 401 == ask(foundry, headers).status_code


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        pytest.param({"client_secret": "x"}, "invalid_client", id="secret"),
        pytest.param({"client_id": "x"}, "unauthorized_client", id="client"),
        pytest.param({"grant_type": "device_code"}, "unsupported_grant_type", id="grant"),
        pytest.param({"scope": "x"}, "invalid_scope", id="scope"),
        pytest.param({"client_secret": None}, "invalid_client", id="no-secret"),
        pytest.param(
            {"client_secret": None, **TRUSTED, "client_id": "x"},
            "unauthorized_client",
            id="trusted-by-another",
        ),
        pytest.param(
            {"client_secret": None, **TRUSTED, "client_assertion": "x"},
            "invalid_client",
            id="assertion",
        ),
        pytest.param(
            {"client_secret": None, **TRUSTED, "client_assertion_type": "x"},
            "invalid_request",
            id="assertion-type",
        ),
        pytest.param({**USER, "username": "x"}, "invalid_grant", id="user"),
        pytest.param({**USER, "password": "x"}, "invalid_grant", id="password"),
        pytest.param({**USER, "client_secret": "x"}, "invalid_client", id="users-secret"),
    ],
)
def test_an_application_must_be_who_it_says(entra, changed, error):
    answer = ask_entra(entra, changed)

    assert (error, 0) == (answer.json()["error"], entra.given)


@pytest.mark.parametrize(
    ("changed", "tenant", "status"),
    [
        pytest.param({"client_secret": None, **TRUSTED}, "fake-tenant", 200, id="trusted"),
        pytest.param({"client_secret": None, **USER}, "fake-tenant", 200, id="user"),
        pytest.param(USER, "fake-tenant", 200, id="user-and-secret"),
        pytest.param(USER, "organizations", 200, id="users-own-tenant"),
        pytest.param(USER, "other", 400, id="other-tenant"),
        pytest.param({}, "organizations", 400, id="no-tenant"),
    ],
)
def test_an_application_may_ask_for_a_user_or_be_trusted(entra, changed, tenant, status):
    assert status == ask_entra(entra, changed, tenant).status_code


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        pytest.param(IDENTITY, {"metadata": "true"}, 200, id="default"),
        pytest.param(f"{IDENTITY}&client_id=fake-identity", {"metadata": "true"}, 200, id="named"),
        pytest.param(f"{IDENTITY}&client_id=x", {"metadata": "true"}, 400, id="unknown"),
        pytest.param(IDENTITY, {}, 400, id="no-header"),
        pytest.param(IDENTITY.replace("2018", "1999"), {"metadata": "true"}, 400, id="version"),
        pytest.param(IDENTITY.replace("ai.azure", "x"), {"metadata": "true"}, 400, id="resource"),
        pytest.param("/other", {"metadata": "true"}, 404, id="path"),
    ],
)
def test_a_machine_must_ask_as_it_is_asked_to(entra, url, headers, status):
    assert status == httpx.get(entra.url + url, headers=headers).status_code
