"""Vertex AI in both dialects: where the project, the location and the credentials come from."""

import pytest

from llmroute.config import load_dict
from llmroute.errors import ConfigError

ACCOUNT = {"type": "service_account", "project_id": "p", "private_key": "canary"}


def plain(deployment):
    """Return what was set of a deployment for Vertex AI, secrets as text."""
    return {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for name, value in deployment.model_dump(exclude_unset=True).items()
        if name not in ("provider", "headers", "extra_body", "order", "weight", "model")
    }


def native(environ=None, **settings):
    return load_dict(
        {"deployments": {"v": {"provider": "vertex", **settings}}, "aliases": {"a": "v"}},
        environ or {},
    )


def litellm(environ=None, model="vertex_ai/claude-opus-5-5", **params):
    entry = {"model_name": "a", "litellm_params": {"model": model, **params}}
    return load_dict({"model_list": [entry]}, environ or {})


def problems(load, *args, **params):
    with pytest.raises(ConfigError) as caught:
        load(*args, **params)
    assert "canary" not in str(caught.value)
    return [(problem.path.rpartition(".")[2], problem.text) for problem in caught.value.problems]


def warnings(config):
    return [(problem.path.rpartition(".")[2], problem.text) for problem in config.warnings]


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        pytest.param({}, {}, {}, id="nothing"),
        pytest.param(
            {"project": "p1", "location": "us"},
            {"GOOGLE_CLOUD_PROJECT": "p2", "GOOGLE_CLOUD_LOCATION": "eu"},
            {"project": "p1", "location": "us"},
            id="given",
        ),
        pytest.param(
            {},
            {"ANTHROPIC_VERTEX_PROJECT_ID": "p1", "CLOUD_ML_REGION": "us-east5"},
            {"project": "p1", "location": "us-east5"},
            id="claude-codes-variables",
        ),
        pytest.param(
            {},
            {
                "GOOGLE_CLOUD_PROJECT": "p2",
                "GOOGLE_CLOUD_LOCATION": "eu",
                "ANTHROPIC_VERTEX_PROJECT_ID": "",
            },
            {"project": "p2", "location": "eu"},
            id="googles-variables",
        ),
        pytest.param(
            {"surface": "messages"},
            {
                "ANTHROPIC_GOOGLE_CLOUD_PROJECT": "p3",
                "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "wrkspc_1",
                "ANTHROPIC_VERTEX_PROJECT_ID": "p1",
                "GOOGLE_CLOUD_PROJECT": "p2",
                "CLOUD_ML_REGION": "us-east5",
                "GOOGLE_CLOUD_LOCATION": "eu",
            },
            {"surface": "messages", "project": "p3", "workspace_id": "wrkspc_1"},
            id="the-sdks-variables",
        ),
        pytest.param(
            {"surface": "messages", "workspace_id": "wrkspc_2"},
            {
                "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "wrkspc_1",
                "ANTHROPIC_GOOGLE_CLOUD_LOCATION": "us-central1",
                "GOOGLE_CLOUD_PROJECT": "p2",
            },
            {
                "surface": "messages",
                "project": "p2",
                "location": "us-central1",
                "workspace_id": "wrkspc_2",
            },
            id="the-sdks-location",
        ),
        pytest.param(
            {}, {"ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "wrkspc_1"}, {}, id="no-workspace-here"
        ),
    ],
)
def test_the_native_dialect_completes_project_and_location(settings, environ, expected):
    config = native(environ, **settings)

    assert expected == plain(config.deployments["v"])
    assert () == config.warnings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"api_key": "canary"},
            [("api_key", "Vertex AI takes no key for Claude; set credentials_file, or auth_token")],
            id="key",
        ),
        pytest.param(
            {"credentials": {"private_key": "canary"}},
            [("credentials", "is no Google credential, a JSON object with a type")],
            id="no-credential",
        ),
        pytest.param(
            {"credentials": ACCOUNT, "credentials_file": "f"},
            [("credentials_file", "is another credential; one of them is too many")],
            id="two-credentials",
        ),
        pytest.param(
            {"forward_client_auth": True},
            [("forward_client_auth", "must be False")],
            id="forwarding",
        ),
        pytest.param(
            {"base_url": "https://a.example/v1/projects/p"},
            [("base_url", "must end before /projects")],
            id="resource",
        ),
        pytest.param(
            {"surface": "messages"},
            [("workspace_id", "required with surface: messages, and not given")],
            id="no-workspace",
        ),
        pytest.param(
            {"surface": "invoke"},
            [("surface", "must be 'predict' or 'messages'")],
            id="surface",
        ),
    ],
)
def test_the_native_dialect_says_what_is_wrong(settings, expected):
    assert expected == problems(native, **settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"surface": "messages", "workspace_id": "w", "drop_betas": ["b"]},
            [("drop_betas", "without effect with surface: messages")],
            id="nothing-is-fitted",
        ),
        pytest.param(
            {"workspace_id": "w"},
            [("workspace_id", "without effect with surface: predict")],
            id="no-workspaces",
        ),
    ],
)
def test_what_is_about_the_other_surface_is_a_warning(settings, expected):
    assert expected == warnings(native(**settings))


@pytest.mark.parametrize(
    ("params", "environ", "expected"),
    [
        pytest.param(
            {"vertex_project": "p", "vertex_location": "us-east5", "vertex_credentials": "/f.json"},
            {"VERTEXAI_PROJECT": "x", "VERTEXAI_LOCATION": "x", "VERTEXAI_CREDENTIALS": "x"},
            {"project": "p", "location": "us-east5", "credentials_file": "/f.json"},
            id="given",
        ),
        pytest.param(
            {
                "vertex_ai_project": "p",
                "vertex_ai_location": "global",
                "vertex_ai_credentials": ' {"type": "x"}',
            },
            {},
            {"project": "p", "location": "global", "credentials": ' {"type": "x"}'},
            id="the-other-spelling",
        ),
        pytest.param(
            {"vertex_location": "eu", "vertex_credentials": {"type": "x"}},
            {},
            {"location": "eu", "credentials": '{"type": "x"}'},
            id="mapping",
        ),
        pytest.param(
            {"vertex_location": "eu", "vertex_credentials": "ya29.token"},
            {},
            {"location": "eu", "auth_token": "ya29.token"},
            id="token",
        ),
        pytest.param(
            {},
            {
                "VERTEXAI_PROJECT": "p",
                "VERTEXAI_LOCATION": "us",
                "VERTEX_LOCATION": "eu",
                "VERTEXAI_CREDENTIALS": "/f.json",
                "VERTEXAI_API_BASE": "https://gate.example",
            },
            {
                "project": "p",
                "location": "us",
                "credentials_file": "/f.json",
                "base_url": "https://gate.example",
            },
            id="environment",
        ),
        pytest.param({}, {"VERTEX_LOCATION": "eu"}, {"location": "eu"}, id="second-variable"),
        pytest.param(
            {"vertex_location": "us", "api_base": "https://gate.example/"},
            {},
            {"location": "us", "base_url": "https://gate.example"},
            id="address",
        ),
    ],
)
def test_litellms_settings_are_taken_in_litellms_order(params, environ, expected):
    config = litellm(environ, **params)

    assert expected == plain(config.deployments["a"])
    assert () == config.warnings


def test_litellms_location_where_none_is_named_is_said():
    config = litellm()

    assert "us-central1" == config.deployments["a"].location
    assert [("vertex_location", "no location is named; taken as us-central1")] == warnings(config)


@pytest.mark.parametrize(
    ("location", "is_odd"),
    [
        pytest.param("us-east-1", True, id="amazons"),
        pytest.param("eastus2", True, id="azures"),
        pytest.param("us-east5", False, id="region"),
        pytest.param("northamerica-northeast1", False, id="long"),
        pytest.param("europe-west12", False, id="two-digits"),
        pytest.param("global", False, id="global"),
        pytest.param("eu", False, id="multi"),
    ],
)
def test_a_location_that_is_not_googles_is_used_with_a_warning(location, is_odd):
    config = litellm(vertex_location=location)

    assert location == config.deployments["a"].location
    text = "is no Google Cloud region, as us-east5 is one; it is used as it stands"
    assert ([("vertex_location", text)] if is_odd else []) == warnings(config)
    assert is_odd == bool(native(location=location).warnings)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(
            {"model": "vertex_ai/llama-4"},
            [
                (
                    "model",
                    "is neither Claude nor Gemini; no other is served from Vertex AI in this"
                    " version",
                )
            ],
            id="neither-claude-nor-gemini",
        ),
        pytest.param(
            {"model": "vertex/claude-opus-5-5"},
            [("model", "no provider is named 'vertex' (did you mean 'vertex_ai'?)")],
            id="the-native-name",
        ),
        pytest.param(
            {"vertex_location": "us", "vertex_project": "p", "vertex_ai_project": "q"},
            [("vertex_ai_project", "is something else than vertex_project")],
            id="two-projects",
        ),
        pytest.param(
            {"vertex_location": "us", "vertex_projcet": "p"},
            [("vertex_projcet", "unknown setting (did you mean 'vertex_project'?)")],
            id="slip",
        ),
        pytest.param(
            {"vertex_location": "us", "vertex_project": "os.environ/NOT_SET"},
            [("vertex_project", "environment variable NOT_SET is not set")],
            id="named-variable",
        ),
        pytest.param(
            {"vertex_location": "us", "vertex_credentials": '{"private_key": "canary"}'},
            [("vertex_credentials", "is no Google credential, a JSON object with a type")],
            id="no-credential",
        ),
    ],
)
def test_litellms_dialect_says_what_is_wrong(params, expected):
    assert expected == problems(litellm, **params)


def test_a_key_has_no_effect():
    config = litellm(vertex_location="us", api_key="canary")

    assert [("api_key", "ignored: Vertex AI takes no key for Claude")] == warnings(config)


def test_a_callers_own_credential_is_never_forwarded():
    entry = {"model": "vertex_ai/claude-opus-5-5", "vertex_location": "us"}
    config = load_dict(
        {
            "model_list": [{"model_name": "a", "litellm_params": entry}],
            "general_settings": {"forward_client_headers_to_llm_api": True},
        },
        {},
    )

    assert not config.deployments["a"].forward_client_auth


@pytest.mark.parametrize("load", [native, litellm])
def test_google_auth_must_be_installed_unless_there_is_a_token(load, monkeypatch):
    monkeypatch.setattr("llmroute.config.extras._MISSING", {"google.auth"})

    assert "needs a package that is not installed: pip install 'llmroute[google]'" in str(
        problems(load)
    )
    assert native(auth_token="t").deployments
