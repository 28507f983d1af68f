"""Identity tokens by their `oidc/…` names, from variables, files and token services."""

import pytest

from llmroute.credentials.oidc import identity_token
from llmroute.errors import FaultError, MisconfiguredError, UnreachableError
from llmroute.testing import FakeUpstream, as_json, raw

GOOGLE = "/computeMetadata/v1/instance/service-accounts/default/identity"
CLOSED = "127.0.0.1:9"


@pytest.fixture
def service():
    with FakeUpstream() as fake:
        yield fake


def github(service, query=""):
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{service.url}/token{query}",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job-key",
    }


@pytest.mark.parametrize(
    ("name", "environ"),
    [
        pytest.param("oidc/env/MINE", {"MINE": "eyJ.a.b"}, id="env"),
        pytest.param("oidc/env_path/MINE", {"MINE": "FILE"}, id="env-path"),
        pytest.param("oidc/file/FILE", {}, id="file"),
        pytest.param("oidc/circleci/", {"CIRCLE_OIDC_TOKEN": "eyJ.a.b"}, id="circleci"),
        pytest.param("oidc/circleci", {"CIRCLE_OIDC_TOKEN": "eyJ.a.b"}, id="circleci-bare"),
        pytest.param("oidc/circleci_v2/", {"CIRCLE_OIDC_TOKEN_V2": "eyJ.a.b"}, id="circleci-v2"),
    ],
)
def test_a_token_is_read_where_its_name_says(tmp_path, name, environ):
    file = tmp_path / "token"
    file.write_text("eyJ.a.b\n")
    environ = {key: value.replace("FILE", str(file)) for key, value in environ.items()}

    assert "eyJ.a.b" == identity_token(name.replace("FILE", str(file)), environ)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", "audience=sts.amazonaws.com", id="plain"),
        pytest.param("?v=2.0", "v=2.0&audience=sts.amazonaws.com", id="with-a-query"),
    ],
)
def test_github_is_asked_for_the_audience_with_the_key_of_the_job(service, query, expected):
    service.on("GET", "/token", as_json({"value": "eyJ.a.b"}))

    assert "eyJ.a.b" == identity_token("oidc/github/sts.amazonaws.com", github(service, query))
    asked = service.requests[0]
    assert (expected, "Bearer job-key") == (asked.query, asked.header("authorization"))


def test_the_metadata_server_is_asked_for_the_audience(service):
    service.on("GET", GOOGLE, raw(200, [("content-type", "text/html")], b"eyJ.a.b\n"))
    environ = {"GCE_METADATA_HOST": service.url.removeprefix("http://")}

    assert "eyJ.a.b" == identity_token("oidc/google/https://example.com/a b", environ)
    asked = service.requests[0]
    assert "audience=https%3A%2F%2Fexample.com%2Fa+b" == asked.query
    assert "Google" == asked.header("metadata-flavor")


@pytest.mark.parametrize(
    ("name", "environ", "expected"),
    [
        pytest.param("oidc/env/MINE", {}, "MINE is not set", id="env"),
        pytest.param("oidc/env/MINE", {"MINE": " "}, "MINE is not set", id="blank"),
        pytest.param(
            "oidc/env/MINE", {"MINE": "a\nb"}, "oidc/env stands for is no token", id="odd"
        ),
        pytest.param("oidc/env_path/MINE", {}, "MINE is not set", id="env-path"),
        pytest.param(
            "oidc/file//nowhere/token", {}, "/nowhere/token: No such file", id="missing-file"
        ),
        pytest.param("oidc/circleci/", {}, "CIRCLE_OIDC_TOKEN is not set", id="circleci"),
        pytest.param(
            "oidc/circleci_v2/",
            {"CIRCLE_OIDC_TOKEN": "t"},
            "CIRCLE_OIDC_TOKEN_V2 is not set",
            id="circleci-v2",
        ),
        pytest.param(
            "oidc/github/a",
            {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://example.com"},
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set; does the job have `permissions: id-token",
            id="github",
        ),
        pytest.param(
            "oidc/github/a",
            {
                "ACTIONS_ID_TOKEN_REQUEST_URL": "file:///etc/passwd",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
            },
            "ACTIONS_ID_TOKEN_REQUEST_URL is no address",
            id="github-file",
        ),
        pytest.param("oidc/gitlab/a", {}, "this oidc/ name is not known", id="unknown"),
    ],
)
def test_what_is_missing_is_said(name, environ, expected):
    with pytest.raises(MisconfiguredError, match=expected) as caught:
        identity_token(name, environ)

    assert 401 == caught.value.status


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [
        pytest.param(as_json({}, 403), MisconfiguredError, "answers 403", id="refused"),
        pytest.param(
            raw(302, [("location", "/elsewhere")]), MisconfiguredError, "answers 302", id="redirect"
        ),
        pytest.param(as_json({}, 503), FaultError, "answers 503", id="out-of-order"),
        pytest.param(as_json({}), FaultError, "answers with something else", id="no-token"),
        pytest.param(raw(200, [], b"<"), FaultError, "answers with something else", id="no-json"),
    ],
)
def test_a_token_service_that_hands_out_none_is_named(service, answer, kind, expected):
    service.on("GET", "/token", answer)

    with pytest.raises(kind, match=f"GitHub's token service {expected}") as caught:
        identity_token("oidc/github/a", github(service))

    assert "job-key" not in str(caught.value)
    assert 1 == len(service.requests)


def test_a_machine_that_is_not_at_google_has_no_token_of_googles():
    with pytest.raises(UnreachableError, match="Google's token service gives no answer"):
        identity_token("oidc/google/a", {"GCE_METADATA_HOST": CLOSED})
