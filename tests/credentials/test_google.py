"""Google's credentials of every kind come to a token, by a real exchange with a strict service."""

import json
from importlib import import_module

import pytest
from requests import Session

from llmroute.credentials import StaticCredential, credential_for
from llmroute.credentials.google import _KINDS, GoogleCredential, _kind
from llmroute.errors import MisconfiguredError, UnreachableError
from llmroute.providers import UpstreamRequest
from llmroute.providers.vertex import PROJECT, VertexDeployment
from llmroute.testing import FakeVertex, as_json

pytestmark = pytest.mark.anyio

REQUEST = UpstreamRequest("POST", "https://a.example/v1/projects/p/x", [], ())
ANY_PROJECT = REQUEST._replace(url=f"https://a.example/v1/projects/{PROJECT}/x")


@pytest.fixture(scope="module")
def vertex():
    with FakeVertex() as fake:
        fake.service_account()
        yield fake


def credential(**settings):
    return credential_for(VertexDeployment(**settings))


async def token(credential):
    (name, value), *rest = await credential.headers(REQUEST)
    assert (b"authorization", []) == (name, rest)
    return value.decode().removeprefix("Bearer ")


async def test_a_service_account_signs_for_its_token(vertex):
    given = vertex.given
    account = credential(credentials=vertex.service_account())

    found = await token(account)
    assert found in vertex.tokens
    assert found == await token(account)
    assert given + 1 == vertex.given


async def test_the_credential_may_be_in_a_file(vertex, tmp_path):
    file = tmp_path / "account.json"
    file.write_text(json.dumps(vertex.service_account()))

    assert await token(credential(credentials_file=str(file))) in vertex.tokens


async def test_a_persons_own_login_is_taken(vertex):
    assert await token(credential(credentials=vertex.workforce_login())) in vertex.tokens


async def test_a_workloads_identity_is_exchanged(vertex, tmp_path):
    file = tmp_path / "identity"
    file.write_text(vertex.identity)
    info = vertex.workload_identity(str(file))

    assert await token(credential(credentials=info, project="p")) in vertex.tokens


async def test_an_account_is_impersonated(vertex, tmp_path):
    path = "/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com:generateAccessToken"
    answer = {"accessToken": "impersonated", "expireTime": "2999-01-01T00:00:00Z"}
    vertex.on("POST", path, as_json(answer))
    file = tmp_path / "identity"
    file.write_text(vertex.identity)
    info = {
        **vertex.workload_identity(str(file)),
        "service_account_impersonation_url": vertex.url + path,
    }

    assert "impersonated" == await token(credential(credentials=info, project="p"))


@pytest.mark.parametrize(
    "info",
    [
        *(pytest.param({"type": kind}, id=kind) for kind in sorted(_KINDS)),
        pytest.param(
            {
                "type": "external_account",
                "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            },
            id="aws",
        ),
        pytest.param(
            {"type": "external_account", "credential_source": {"executable": {"command": "x"}}},
            id="executable",
        ),
    ],
)
def test_there_is_a_class_for_every_type(info):
    module, maker = _kind(info)

    assert callable(getattr(import_module(module).Credentials, maker))


async def test_without_any_setting_googles_own_order_holds(vertex, tmp_path, monkeypatch):
    file = tmp_path / "account.json"
    file.write_text(json.dumps(vertex.service_account()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    assert await token(credential()) in vertex.tokens


async def test_a_token_that_is_given_is_sent_as_it_is():
    given = credential(auth_token="ya29.mine")

    assert isinstance(given, StaticCredential)
    assert "ya29.mine" == await token(given)


async def test_a_header_of_the_deployments_own_takes_the_place_of_a_token():
    carried = credential(headers={"Authorization": "Bearer of-a-gateway"})

    assert [] == await carried.headers(REQUEST)


async def test_the_credentials_tell_their_project(vertex):
    account = credential(credentials=vertex.service_account())

    request = await account.completed(ANY_PROJECT)
    assert "https://a.example/v1/projects/fake-project/x" == request.url


async def test_a_project_that_is_configured_is_not_looked_up(vertex):
    account = credential(credentials=vertex.service_account(), project="p")
    given = vertex.given

    assert REQUEST is await account.completed(REQUEST)
    assert given == vertex.given


async def test_credentials_without_a_project_need_one(vertex):
    login = credential(credentials=vertex.workforce_login())

    with pytest.raises(MisconfiguredError, match="belong to no project; set project"):
        await login.completed(ANY_PROJECT)


async def test_a_key_that_is_not_the_accounts_is_refused(vertex):
    with FakeVertex() as other:
        info = {**other.service_account(), "token_uri": f"{vertex.url}/token"}
    with pytest.raises(MisconfiguredError, match="invalid_grant: Invalid JWT") as caught:
        await token(credential(credentials=info))

    assert 401 == caught.value.status


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "the file does not exist", id="missing"),
        pytest.param("not json", "the file holds no JSON", id="no-json"),
        pytest.param("[]", "a member is missing", id="no-object"),
        pytest.param('{"type": "tea"}', "a member is missing", id="no-known-type"),
        pytest.param('{"type": "service_account"}', "", id="nothing-in-it"),
        pytest.param(
            '{"type": "service_account", "private_key": "canary", "client_email": "e",'
            ' "token_uri": "t"}',
            "",
            id="no-key",
        ),
    ],
)
async def test_a_file_that_is_no_credential_is_named_without_its_content(
    tmp_path, content, expected
):
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(MisconfiguredError, match=f"Google credentials: .*{expected}") as caught:
        await token(credential(credentials_file=str(file), project="p"))

    assert "canary" not in str(caught.value)


async def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path):
    with pytest.raises(MisconfiguredError, match="the file cannot be read"):
        await token(credential(credentials_file=str(tmp_path), project="p"))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"SSL_CERT_FILE": "/ours.pem"}, "/ours.pem", id="ours"),
        pytest.param(
            {"SSL_CERT_FILE": "/ours.pem", "REQUESTS_CA_BUNDLE": "/its.pem"}, "/its.pem", id="both"
        ),
    ],
)
async def test_whom_to_trust_is_said_by_the_variable_that_holds_for_all(
    vertex, monkeypatch, variables, expected
):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    seen = []

    class Noting(Session):
        def request(self, *args, **options):
            seen.append(self.verify)
            return super().request(*args, **options)

    monkeypatch.setattr("requests.Session", Noting)
    await token(credential(credentials=vertex.service_account()))

    assert [expected] == seen


async def test_a_token_service_that_is_down_is_unreachable(vertex):
    with FakeVertex() as gone:
        info = {**vertex.service_account(), "token_uri": f"{gone.url}/token"}
    with pytest.raises(UnreachableError, match="gives no answer"):
        await token(credential(credentials=info))


async def test_without_google_auth_the_error_names_what_to_install(vertex, monkeypatch):
    account = GoogleCredential(VertexDeployment(credentials=vertex.service_account()))
    monkeypatch.setitem(__import__("sys").modules, "google.auth", None)

    with pytest.raises(MisconfiguredError, match=r"pip install 'llmroute\[google\]'"):
        await account.headers(REQUEST)
