"""`telemetry` and `logs`, and LiteLLM's callbacks."""

import pytest

from llmroute.config import load_dict
from llmroute.errors import ConfigError

NATIVE = {
    "deployments": {"a": {"provider": "anthropic", "api_key": "sk-a"}},
    "aliases": {"x": "a"},
}
LITELLM = {
    "model_list": [{"model_name": "x", "litellm_params": {"model": "anthropic/x", "api_key": "k"}}]
}


def native(environ=None, **sections):
    return load_dict(NATIVE | sections, environ or {})


def litellm(environ=None, **settings):
    return load_dict(LITELLM | {"litellm_settings": settings}, environ or {})


def test_nothing_is_told_where_the_file_does_not_say_so():
    config = native()

    assert (None, None) == (config.telemetry, config.logs.bodies)


def test_an_empty_section_has_everything_told():
    telemetry = native(telemetry=None).telemetry

    assert (True, True, True, None) == (
        telemetry.enabled,
        telemetry.traces,
        telemetry.metrics,
        telemetry.endpoint,
    )


def test_a_collectors_address_and_key_come_from_elsewhere():
    environ = {"KEY": "sk-collector", "HOST": "https://collector.example:4318/"}
    given = {"endpoint": "${HOST}", "headers": {"x-key": "${KEY}"}, "sample": 0.1}
    telemetry = native(environ, telemetry=given).telemetry

    assert "https://collector.example:4318" == telemetry.endpoint
    assert "sk-collector" == telemetry.headers["x-key"].get_secret_value()
    assert "sk-collector" not in repr(telemetry)


@pytest.mark.parametrize("value", ["bodies.jsonl", {"path": "bodies.jsonl"}])
def test_bodies_have_a_path_or_settings(value):
    bodies = native(logs={"bodies": value}).logs.bodies

    assert ("bodies.jsonl", 1_048_576, 5, True) == (
        bodies.path,
        bodies.max_body_bytes,
        bodies.files,
        bodies.redact_emails,
    )


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        pytest.param(
            {"telemetry": {"endpoint": "collector:4318"}},
            "telemetry.endpoint: must be an address like http://HOST:4318, with nothing secret",
            id="no-scheme",
        ),
        pytest.param(
            {"telemetry": {"endpoint": "http://me:canary@h:1"}},
            "telemetry.endpoint: must be an address like http://HOST:4318, with nothing secret",
            id="password",
        ),
        pytest.param(
            {"telemetry": {"sample": 1.5}}, "telemetry.sample: must be 1 or less", id="share"
        ),
        pytest.param(
            {"telemetry": {"headers": {"x y": "canary"}}},
            "telemetry.headers.x y: is not the name of a header",
            id="header",
        ),
        pytest.param(
            {"telemetry": {"endpont": "x"}},
            "telemetry.endpont: unknown setting (did you mean 'endpoint'?)",
            id="misspelt",
        ),
        pytest.param({"telemetry": 1}, "telemetry: must be a mapping", id="no-mapping"),
        pytest.param(
            {"logs": {"bodies": {"redact": ["(canary"]}}},
            "logs.bodies.path: required, and not given",
            id="no-path",
        ),
        pytest.param(
            {"logs": {"bodies": {"path": "x", "redact": ["(canary"]}}},
            "logs.bodies.redact: holds what is no regular expression",
            id="expression",
        ),
        pytest.param(
            {"logs": {"bodies": {"path": "x", "redact": ["a*"]}}},
            "logs.bodies.redact: holds a regular expression that matches empty text",
            id="empty-expression",
        ),
        pytest.param({"logs": {"bodies": 1}}, "logs.bodies: must be a mapping", id="number"),
        pytest.param({"logs": {"bodies": ""}}, "logs.bodies: must not be empty", id="empty-path"),
        pytest.param(
            {"logs": {"body": "x"}},
            "logs.body: unknown setting",
            id="unknown",
        ),
    ],
)
def test_what_is_wrong_is_said_without_the_value(sections, problem):
    with pytest.raises(ConfigError) as caught:
        native(**sections)

    assert f"<dict>: {problem}" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"callbacks": ["otel"]}, id="list"),
        pytest.param({"callbacks": "otel"}, id="one"),
        pytest.param({"success_callback": ["prometheus", "otel"]}, id="success"),
    ],
)
def test_litellms_callback_has_a_collector_told(settings):
    config = litellm(**settings)

    assert config.telemetry.enabled
    assert () == config.warnings


def test_litellms_variables_say_where_the_collector_is():
    environ = {
        "OTEL_ENDPOINT": "http://collector:4318/v1/traces",
        "OTEL_HEADERS": "x-key=sk-canary,x-other=a%20b",
        "OTEL_SERVICE_NAME": "gateway",
    }
    telemetry = litellm(environ, callbacks=["otel"]).telemetry

    assert ("http://collector:4318", "gateway") == (telemetry.endpoint, telemetry.service_name)
    headers = {name: value.get_secret_value() for name, value in telemetry.headers.items()}
    assert {"x-key": "sk-canary", "x-other": "a b"} == headers


def test_other_callbacks_are_ignored_with_a_warning():
    config = litellm(callbacks=["langfuse", "prometheus"], failure_callback=["sentry"])

    assert config.telemetry is None
    assert [
        ("litellm_settings.callbacks[0]", "ignored: of callbacks there are otel"),
        ("litellm_settings.failure_callback[0]", "ignored: of callbacks there are otel"),
    ] == [(each.path, each.text[:36]) for each in config.warnings]


def test_an_exporter_that_is_not_spoken_is_said():
    config = litellm({"OTEL_EXPORTER": "otlp_grpc"}, callbacks=["otel"])

    assert ["litellm_settings.callbacks[0]"] == [each.path for each in config.warnings]
