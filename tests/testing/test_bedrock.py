"""The fake Bedrock against AWS's own client, and what it refuses."""

import json
from datetime import UTC, datetime

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session

from llmroute.testing import AwsKey, FakeBedrock, aws_error, error, text

SESSION = Session()  # one for all: it keeps the large files that describe AWS
MODEL = "us.anthropic.claude-opus-5-5"
OLDER = "anthropic.claude-haiku-4-5-20251001-v1:0"
BODY = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}


@pytest.fixture
def bedrock():
    with FakeBedrock() as fake:
        yield fake


def client_of(bedrock, key="AKIAFAKE", signing="fake-secret", token=None, region="us-east-1"):
    return SESSION.create_client(
        "bedrock-runtime",
        endpoint_url=bedrock.url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=signing,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def invoke(bedrock, model=MODEL, body=None, **who):
    client = client_of(bedrock, **who)
    try:
        answer = client.invoke_model(modelId=model, body=json.dumps({**BODY, **(body or {})}))
        return json.loads(answer["body"].read())
    finally:
        client.close()


def refusal(bedrock, **given):
    with pytest.raises(ClientError) as caught:
        invoke(bedrock, **given)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_awss_own_client_gets_an_answer(bedrock):
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL}"

    assert "claude-opus-5-5" == invoke(bedrock)["model"]
    assert "claude-opus-5-5" == invoke(bedrock, model=arn)["model"]
    assert ["AKIAFAKE"] * 2 == bedrock.signers


def streamed(bedrock):
    client = client_of(bedrock)
    answer = client.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(BODY))
    try:
        for event in answer["body"]:
            yield json.loads(event["chunk"]["bytes"])
    finally:
        answer["body"].close()
        client.close()


def test_awss_own_client_reads_the_stream(bedrock):
    bedrock.answer(text("Good morning.").bytewise())
    events = list(streamed(bedrock))

    said = [e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta"]
    assert "Good morning." == "".join(said)
    assert "message_start" == events[0]["type"]
    assert "ping" not in {event["type"] for event in events}
    assert {"type", "amazon-bedrock-invocationMetrics"} == events[-1].keys()


def test_a_failure_in_the_stream_is_an_exception(bedrock):
    bedrock.answer(text("Good").fail("rate_limit_error", "Slow down", after_events=2))

    with pytest.raises(EventStreamError, match="throttlingException.*Slow down"):
        list(streamed(bedrock))


def test_awss_own_client_counts_tokens(bedrock):
    client = client_of(bedrock)
    try:
        given = {"invokeModel": {"body": json.dumps(BODY)}}
        assert 0 < client.count_tokens(modelId=OLDER, input=given)["inputTokens"]
        with pytest.raises(ClientError, match="doesn't support counting"):
            client.count_tokens(modelId=f"us.{OLDER}", input=given)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        pytest.param({"key": "AKIAOTHER"}, "UnrecognizedClientException", id="unknown"),
        pytest.param({"signing": "wrong"}, "InvalidSignatureException", id="secret"),
        pytest.param({"token": "t"}, "UnrecognizedClientException", id="token"),
        pytest.param({"region": "eu-west-1"}, "InvalidSignatureException", id="region"),
        pytest.param(
            {"key": "ASIAOLD", "signing": "s", "token": "t"}, "ExpiredTokenException", id="expired"
        ),
    ],
)
def test_a_signature_that_does_not_stand_is_refused(bedrock, who, expected):
    bedrock.keys["ASIAOLD"] = AwsKey("s", "t", expires=1.0)

    assert expected == refusal(bedrock, **who)[0]


def test_a_signature_of_another_hour_is_refused():
    later = datetime.now(UTC).timestamp() + 3600
    with FakeBedrock(clock=lambda: later) as bedrock:
        assert "InvalidSignatureException" == refusal(bedrock)[0]


TOOL = {"name": "t", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        pytest.param(MODEL, {"model": "m"}, "model: Extra inputs are not permitted", id="model"),
        pytest.param(
            MODEL, {"stream": True}, "stream: Extra inputs are not permitted", id="stream"
        ),
        pytest.param(
            MODEL, {"anthropic_beta": ["claude-code-20250219"]}, "invalid beta flag", id="beta"
        ),
        pytest.param(
            MODEL,
            {"context_management": {}},
            "context_management: Extra inputs are not permitted",
            id="member-without-its-beta",
        ),
        pytest.param(MODEL, {"anthropic_version": "2023"}, "Invalid API version", id="version"),
        pytest.param(
            OLDER,
            {"messages": [{"role": "system", "content": "x"}]},
            "messages.0.role: Input should be 'user' or 'assistant'",
            id="system-message",
        ),
        pytest.param(
            MODEL,
            {"tools": [{**TOOL, "defer_loading": True}]},
            "tools.0.custom.defer_loading: Extra inputs are not permitted",
            id="deferred-tool",
        ),
        pytest.param(
            MODEL,
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools.0: Input tag 'web_search_20250305' found using 'type' does not match",
            id="server-tool",
        ),
        pytest.param(
            MODEL,
            {"system": [{"type": "text", "text": "x", "cache_control": {"scope": "global"}}]},
            "system.0.text.cache_control.ephemeral.scope: Extra inputs are not permitted",
            id="scope",
        ),
        pytest.param("gpt-5", {}, "The provided model identifier is invalid.", id="other-model"),
    ],
)
def test_what_bedrock_refuses_is_refused_in_its_words(bedrock, model, body, expected):
    code, message = refusal(bedrock, model=model, body=body)

    assert "ValidationException" == code
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(error(429), "ThrottlingException", id="in-our-words"),
        pytest.param(aws_error("ModelErrorException", "x"), "ModelErrorException", id="in-aws-s"),
    ],
)
def test_an_error_is_an_exception_of_aws_s(bedrock, answer, code):
    bedrock.answer(answer)

    assert code == refusal(bedrock)[0]
