"""Bedrock in both dialects: where the region, the keys and the address come from."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from llmroute.config import load_dict, load_file
from llmroute.errors import ConfigError
from llmroute.messages.call import Call
from llmroute.providers.bedrock import PROVIDER
from llmroute.wire.envelope import Envelope

QUICKSTART = Path(__file__).parent / "quickstart" / "bedrock.yaml"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s-1"}
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc"
ARN = "arn:aws:bedrock:us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/gateway"


def plain(deployment):
    """Return what was set of a deployment for Bedrock, secrets as text."""
    return {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else value
        for name, value in deployment.model_dump(exclude_unset=True).items()
        if name not in ("provider", "headers", "extra_body", "order", "weight")
    }


def native(environ=None, **settings):
    config = load_dict(
        {"deployments": {"b": {"provider": "bedrock", **settings}}, "aliases": {"a": "b"}},
        environ or {},
    )
    assert () == config.warnings
    return plain(config.deployments["b"])


def litellm(environ=None, model="bedrock/us.anthropic.claude-opus-5-5", **params):
    entry = {"model_name": "a", "litellm_params": {"model": model, **params}}
    return load_dict({"model_list": [entry]}, environ or {})


def taken(*args, **params):
    return plain(litellm(*args, **params).deployments["a"])


def problems(load, *args, **params):
    with pytest.raises(ConfigError) as caught:
        load(*args, **params)
    return [(problem.path.rpartition(".")[2], problem.text) for problem in caught.value.problems]


def test_the_quickstart_loads_as_it_is():
    config = load_file(QUICKSTART, {**KEYS, "LITELLM_MASTER_KEY": "sk-1234567890"})

    keys = {
        "access_key_id": "AKIA1",
        "secret_access_key": "s-1",
        "region": "us-east-1",
    }
    assert {
        "claude-sonnet-4-5-20250929": {
            "model": "anthropic.claude-3-5-sonnet-20241022-v2:0",
            **keys,
        },
        "claude-haiku-4-5-20251001": {"model": "anthropic.claude-3-5-haiku-20241022-v1:0", **keys},
    } == {name: plain(deployment) for name, deployment in config.deployments.items()}
    assert () == config.warnings


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        pytest.param({"region": "us-east-2"}, {"AWS_REGION": "x"}, "us-east-2", id="given"),
        pytest.param({"model": PROFILE}, {"AWS_REGION": "us-east-1"}, "eu-west-1", id="arn"),
        pytest.param(
            {},
            {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-2"},
            "us-east-1",
            id="variable",
        ),
        pytest.param({}, {"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2", id="other-variable"),
        pytest.param(
            {"base_url": "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"},
            {"AWS_REGION": "us-east-1"},
            "us-gov-west-1",
            id="address",
        ),
        pytest.param(
            {"base_url": "https://vpce-1-a.bedrock-runtime.eu-west-2.vpce.amazonaws.com"},
            {},
            "eu-west-2",
            id="address-in-a-vpc",
        ),
        pytest.param(
            {"base_url": "https://vpce-1-a.bedrock-runtime.us-iso-east-1.vpce.c2s.ic.gov"},
            {"AWS_REGION": "us-east-1"},
            "us-iso-east-1",
            id="address-in-an-isolated-zone",
        ),
        pytest.param(
            {"base_url": "https://bedrock-runtime.us-isob-east-1.sc2s.sgov.gov/x"},
            {},
            "us-isob-east-1",
            id="address-in-another",
        ),
        pytest.param(
            {"base_url": "https://bedrock-runtime.us-iso-east-1.c2s.ic.gov.example.com"},
            {},
            None,
            id="address-that-only-looks-like-one",
        ),
        pytest.param(
            {"model": PROFILE.replace(":aws:", ":aws-iso-b:").replace("eu-west", "us-isob-east")},
            {},
            "us-isob-east-1",
            id="arn-in-an-isolated-zone",
        ),
        pytest.param(
            {"base_url": "https://bedrock.us-east-1.example.com"},
            {"AWS_REGION": "eu-west-1"},
            "eu-west-1",
            id="address-of-another",
        ),
        pytest.param({}, {}, None, id="left-to-the-aws-files"),
    ],
)
def test_the_region_comes_from_the_nearest_place(settings, environ, expected):
    assert expected == native(environ, **settings).get("region")


def test_the_environments_key_is_taken_only_where_nothing_else_is_said():
    environ = {"AWS_BEARER_TOKEN_BEDROCK": "ABSK1"}

    assert "ABSK1" == native(environ, region="us-east-1")["api_key"]
    assert "api_key" not in native(environ, region="us-east-1", profile="work")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"api_key": "ABSK1"},
            [("region", "required with an API key, and not given")],
            id="region",
        ),
        pytest.param(
            {"access_key_id": "AKIA1"},
            [("secret_access_key", "the other half of the key is given, and this one is not")],
            id="half-a-key",
        ),
        pytest.param(
            {"web_identity_token": "t"},
            [("role_arn", "required with a web identity token, and not given")],
            id="role",
        ),
        pytest.param(
            {"web_identity_token": "oidc/github/", "role_arn": ROLE},
            [
                (
                    "web_identity_token",
                    "no oidc/ token that is known, or what it is for is left out",
                )
            ],
            id="audience",
        ),
        pytest.param(
            {"region": "us-east-1/"}, [("region", "is not what belongs here")], id="odd-region"
        ),
        pytest.param(
            {"forward_client_auth": True}, [("forward_client_auth", "must be False")], id="login"
        ),
    ],
)
def test_what_is_missing_is_a_problem(settings, expected):
    assert expected == problems(native, **settings)


def test_each_of_litellms_settings_has_its_place():
    assert {
        "model": "us.anthropic.claude-opus-5-5",
        "region": "us-east-1",
        "access_key_id": "AKIA1",
        "secret_access_key": "s-1",
        "session_token": "t-1",
        "profile": "work",
        "role_arn": ROLE,
        "role_session_name": "proxy-1",
        "external_id": "partner-1",
        "session_tags": {"team": "a"},
        "web_identity_token": "/run/token",
        "sts_endpoint": "https://sts.example.com",
        "base_url": "https://vpce.example.com",
        "guardrail_id": "g1",
        "guardrail_version": "DRAFT",
        "guardrail_trace": "ENABLED",
        "timeout": 5.0,
    } == taken(
        aws_access_key_id="AKIA1",
        aws_secret_access_key="s-1",
        aws_session_token="t-1",
        aws_region_name="us-east-1",
        aws_profile_name="work",
        aws_role_name=ROLE,
        aws_session_name="proxy-1",
        aws_external_id="partner-1",
        aws_session_tags=[{"Key": "team", "Value": "a"}],
        aws_web_identity_token="/run/token",
        aws_sts_endpoint="https://sts.example.com",
        aws_bedrock_runtime_endpoint="https://vpce.example.com",
        guardrailConfig={
            "guardrailIdentifier": "g1",
            "guardrailVersion": "DRAFT",
            "trace": "enabled",
        },
        timeout=5,
    )


def test_what_is_not_given_is_taken_from_litellms_variables():
    environ = {
        **KEYS,
        "AWS_SESSION_TOKEN": "t-1",
        "AWS_REGION_NAME": "us-east-1",
        "AWS_REGION": "us-east-2",
        "AWS_ROLE_NAME": ROLE,
        "AWS_SESSION_NAME": "proxy-1",
        "AWS_EXTERNAL_ID": "partner-1",
        "AWS_WEB_IDENTITY_TOKEN": "/run/token",
        "AWS_BEDROCK_RUNTIME_ENDPOINT": "https://vpce.example.com",
    }

    assert {
        "model": "us.anthropic.claude-opus-5-5",
        "region": "us-east-1",
        "access_key_id": "AKIA1",
        "secret_access_key": "s-1",
        "session_token": "t-1",
        "role_arn": ROLE,
        "role_session_name": "proxy-1",
        "external_id": "partner-1",
        "web_identity_token": "/run/token",
        "base_url": "https://vpce.example.com",
    } == taken(environ)


def test_a_session_token_of_the_environment_is_not_put_to_a_key_of_the_file():
    found = taken(
        {"AWS_SESSION_TOKEN": "t-1", "AWS_REGION": "us-east-1"},
        aws_access_key_id="AKIA1",
        aws_secret_access_key="s-1",
    )

    assert "session_token" not in found


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("bedrock/anthropic.claude-x", ("anthropic.claude-x", None), id="plain"),
        pytest.param(
            "bedrock/invoke/us.anthropic.claude-x",
            ("us.anthropic.claude-x", None),
            id="route",
        ),
        pytest.param(
            "bedrock/eu-west-3/anthropic.claude-x", ("anthropic.claude-x", "eu-west-3"), id="region"
        ),
        pytest.param(f"bedrock/{PROFILE}", (PROFILE, "eu-west-1"), id="arn"),
        pytest.param(f"bedrock/invoke/{PROFILE}", (PROFILE, "eu-west-1"), id="route-and-arn"),
    ],
)
def test_every_spelling_of_a_model_is_read(model, expected):
    found = taken(model=model)

    assert expected == (found["model"], found.get("region"))


def test_an_endpoint_that_names_its_region_stands_above_the_environment():
    endpoint = "https://bedrock-runtime-fips.us-east-2.amazonaws.com"
    environ = {"AWS_REGION_NAME": "eu-west-1"}

    assert "us-east-2" == taken(environ, aws_bedrock_runtime_endpoint=endpoint)["region"]


def test_a_project_that_nothing_is_done_with_is_told():
    config = litellm(
        model="bedrock/mantle/anthropic.claude-opus-5-5",
        aws_region_name="us-east-1",
        aws_bedrock_project_id="p",
    )

    assert ["is for bedrock/claude_platform/ models; not used"] == [w.text for w in config.warnings]


@pytest.mark.parametrize(
    ("environ", "params", "expected"),
    [
        pytest.param(
            {"AWS_REGION_NAME": "us-east-1", "AWS_REGION": "us-east-2"},
            {"aws_region_name": "eu-west-3", "model": f"bedrock/{PROFILE}"},
            "eu-west-3",
            id="given",
        ),
        pytest.param(
            {"AWS_REGION_NAME": "us-east-1"}, {"model": f"bedrock/{PROFILE}"}, "eu-west-1", id="arn"
        ),
        pytest.param(
            {"AWS_REGION_NAME": "us-east-1", "AWS_REGION": "us-east-2"}, {}, "us-east-1", id="own"
        ),
        pytest.param(
            {"AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "x"}, {}, "us-east-2", id="aws"
        ),
    ],
)
def test_litellms_order_of_regions_holds(environ, params, expected):
    config = litellm(environ, **params)

    assert (expected, None) == (
        config.deployments["a"].region,
        config.deployments["a"].default_region,
    )
    assert () == config.warnings


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"aws_profile_name": "work"}, id="profile"),
        pytest.param({"api_key": "ABSK1"}, id="api-key"),
    ],
)
def test_a_region_that_is_named_nowhere_is_left_to_the_aws_files_and_then_litellms_own(params):
    config = litellm(**params)

    found = plain(config.deployments["a"])
    assert ("us-west-2", False) == (found["default_region"], "region" in found)
    assert ["no region is named; us-west-2 unless your AWS configuration names one"] == [
        w.text for w in config.warnings
    ]


@pytest.mark.parametrize(
    "token",
    [
        "oidc/env/MY_TOKEN",
        "oidc/env_path/MY_FILE",
        "oidc/file//run/token",
        "oidc/github/sts.amazonaws.com",
        "oidc/google/https://example.com/a",
        "oidc/circleci/",
        "oidc/circleci_v2/",
    ],
)
def test_each_oidc_name_of_litellms_is_a_web_identity(token):
    environ = {"AWS_REGION": "us-east-1"}

    assert token == taken(environ, aws_role_name=ROLE, aws_web_identity_token=token).get(
        "web_identity_token"
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(
            "bedrock/agent/ABC/DEF",
            "names a route that is not part of this version of llmroute; leave it out",
            id="agent",
        ),
        pytest.param(
            "bedrock/mantle/meta.llama3-70b-instruct-v1:0",
            "is no Claude model; this route has no other",
            id="mantle",
        ),
        pytest.param(
            "bedrock/claude_platform/nova-pro",
            "is no Claude model; this route has no other",
            id="platform",
        ),
        pytest.param(
            "bedrock/amazon.titan-embed-text-v2:0", "is no model for conversations", id="embedding"
        ),
        pytest.param(
            "bedrock/nova-pro",
            "is no id of a model at Bedrock: it begins with a vendor's name, amazon. for one",
            id="no-vendor",
        ),
    ],
)
def test_what_is_not_served_is_a_problem(model, expected):
    assert [("model", expected)] == problems(litellm, model=model)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("bedrock/us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0/converse", id="nova"),
        pytest.param(
            "bedrock/converse/us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0/converse", id="route"
        ),
        pytest.param(
            "bedrock/converse/us-east-1/meta.llama3-3-70b-instruct-v1:0",
            "meta.llama3-3-70b-instruct-v1:0/converse",
            id="region",
        ),
        pytest.param(
            "bedrock/invoke/qwen.qwen3-32b-v1:0", "qwen.qwen3-32b-v1:0/converse", id="own"
        ),
        pytest.param(
            f"bedrock/llama/{ARN}:imported-model/abc", "imported-model/abc/converse", id="imported"
        ),
        pytest.param(
            f"bedrock/{ARN}:inference-profile/us.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0/converse",
            id="profile",
        ),
        pytest.param("bedrock/anthropic.claude-x", "anthropic.claude-x/invoke", id="claude"),
        pytest.param("bedrock/converse/anthropic.claude-x", "anthropic.claude-x/invoke", id="same"),
        pytest.param(f"bedrock/{PROFILE}", "inference-profile/abc/invoke", id="opaque"),
        pytest.param(
            f"bedrock/converse/{PROFILE}", "inference-profile/abc/converse", id="opaque-route"
        ),
    ],
)
def test_which_way_a_model_is_spoken_to_is_told_by_its_name(model, expected):
    deployment = litellm(model=model, aws_region_name="us-east-1").deployments["a"]
    call = Call(Envelope.of({"model": "a", "max_tokens": 9, "messages": []}), "a")

    url = PROVIDER.prepare(call, deployment, deployment.model).url

    assert unquote(url).endswith(expected)


def test_the_longest_answer_of_a_model_that_is_no_claude_is_told_by_its_info():
    entry = {
        "model_name": "a",
        "litellm_params": {"model": "bedrock/mistral.x-v1:0", "aws_region_name": "us-east-1"},
        "model_info": {"max_output_tokens": 4096},
    }

    assert 4096 == load_dict({"model_list": [entry]}, {}).deployments["a"].max_tokens_limit


def test_slips_in_litellms_settings_show():
    assert [
        ("aws_regoin_name", "unknown setting (did you mean 'aws_region_name'?)"),
    ] == problems(litellm, aws_regoin_name="us-east-1", aws_profile_name="p")
    assert [
        ("aws_secret_access_key", "aws_access_key_id is given, and this is not"),
    ] == problems(litellm, aws_access_key_id="AKIA1", aws_region_name="us-east-1")
    assert [
        (
            "aws_web_identity_token",
            "no oidc/ token that is known, or what it is for is left out",
        ),
    ] == problems(
        litellm, aws_role_name=ROLE, aws_web_identity_token="oidc/x", aws_region_name="us-east-1"
    )


def test_the_model_behind_a_profile_is_told_by_base_model():
    entry = {
        "model_name": "a",
        "litellm_params": {"model": f"bedrock/{PROFILE}"},
        "model_info": {"base_model": "claude-opus-5-5"},
    }

    config = load_dict({"model_list": [entry]}, {})

    assert "claude-opus-5-5" == config.deployments["a"].base_model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(
            "bedrock/mantle/anthropic.claude-x", ("messages", "anthropic.claude-x"), id="mantle"
        ),
        pytest.param(
            "bedrock_mantle/anthropic.claude-x", ("messages", "anthropic.claude-x"), id="provider"
        ),
        pytest.param(
            "bedrock/claude_platform/claude-x", ("claude_platform", "claude-x"), id="platform"
        ),
    ],
)
def test_litellms_routes_to_the_messages_api_are_surfaces(model, expected):
    environ = {"ANTHROPIC_AWS_API_KEY": "k-1", "ANTHROPIC_AWS_WORKSPACE_ID": "wrkspc_1"}
    found = taken(environ, model=model, aws_region_name="us-east-1")

    assert expected == (found["surface"], found["model"])
    assert "k-1" == found["api_key"]
    assert ("wrkspc_1" if "platform" in model else None) == found.get("workspace_id")


def test_claude_platform_on_aws_needs_a_workspace():
    missing = "required on Claude Platform on AWS, and not given"

    assert [("workspace_id", missing)] == problems(native, surface="claude_platform")
    assert [("aws_bedrock_project_id", missing)] == problems(
        litellm, model="bedrock/claude_platform/claude-x", aws_region_name="us-east-1"
    )
