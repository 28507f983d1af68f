"""Gemini in a configuration: where it is, and what proves who is asking."""

import anyio
import pytest

from llmroute.config import load_dict
from llmroute.credentials import credential_for
from llmroute.credentials.google import GoogleCredential
from llmroute.errors import ConfigError
from llmroute.providers import UpstreamRequest
from llmroute.providers.gemini import base_url

ACCOUNT = {"type": "service_account", "project_id": "p", "private_key": "canary"}
ELSEWHERE = {"base_url": "http://127.0.0.1:9"}


def loaded(environ=None, **settings):
    return load_dict(
        {"deployments": {"g": {"provider": "gemini", **settings}}, "aliases": {"a": "g"}},
        environ or {},
    )


def headers_for(**settings):
    credential = credential_for(loaded(**settings).deployments["g"])
    request = UpstreamRequest("POST", "https://a.example", [], ())
    return list(anyio.run(credential.headers, request))


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        pytest.param({"api_key": "k"}, [(b"x-goog-api-key", b"k")], id="key"),
        pytest.param({"auth_token": "t"}, [(b"authorization", b"Bearer t")], id="token"),
        pytest.param(ELSEWHERE, [], id="none-for-a-server-of-ones-own"),
        pytest.param(
            {"api_key": "k", "surface": "vertex"}, [(b"x-goog-api-key", b"k")], id="express"
        ),
    ],
)
def test_credentials_that_are_given(settings, headers):
    assert headers == headers_for(**settings)


def test_on_vertex_tokens_are_fetched():
    deployment = loaded(surface="vertex", credentials=ACCOUNT).deployments["g"]

    assert isinstance(credential_for(deployment), GoogleCredential)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        pytest.param({}, "required, and not given", id="no-key"),
        pytest.param({"api_key": "k", "auth_token": "t"}, "beside api_key", id="two"),
        pytest.param(
            {"surface": "vertex", "auth_token": "t", "credentials_file": "f"},
            "is another credential",
            id="two-on-vertex",
        ),
        pytest.param({"api_key": "k", "surface": "cloud"}, "'ai_studio' or 'vertex'", id="surface"),
    ],
)
def test_what_is_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        loaded(**settings)


def test_what_has_no_effect_is_warned_of():
    config = loaded(api_key="k", project="p")

    assert ["without effect with surface: ai_studio"] == [each.text for each in config.warnings]


@pytest.mark.parametrize(
    ("settings", "project", "address"),
    [
        pytest.param(
            {"surface": "vertex"}, "p1", "https://eu-x1-aiplatform.googleapis.com", id="env"
        ),
        pytest.param(
            {"surface": "vertex", "location": "us", "project": "p2"},
            "p2",
            "https://aiplatform.us.rep.googleapis.com",
            id="given",
        ),
        pytest.param(
            {"surface": "vertex", "api_key": "k"},
            None,
            "https://aiplatform.googleapis.com",
            id="express",
        ),
        pytest.param(
            {"api_key": "k"}, None, "https://generativelanguage.googleapis.com", id="ai-studio"
        ),
    ],
)
def test_the_environment_tells_the_place_on_vertex_alone(settings, project, address):
    environ = {"GOOGLE_CLOUD_PROJECT": "p1", "GOOGLE_CLOUD_LOCATION": "eu-x1"}
    deployment = loaded(environ, **settings).deployments["g"]

    assert project == deployment.project
    assert address == base_url(deployment).rpartition("/")[0]
