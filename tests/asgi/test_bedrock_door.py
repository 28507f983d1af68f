"""AWS's own client at the proxy: it cannot tell that it is not Bedrock."""

import json

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session

from llmroute.testing import FakeBedrock, FakeUpstream, error, message, text, tool_use

MASTER_KEY = "sk-master-1234567890"
MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
BODY = {
    "anthropic_version": "bedrock-2023-05-31",
    "anthropic_beta": ["context-1m-2025-08-07", "of-tomorrow"],
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}
SESSION = Session()


@pytest.fixture
def anthropic():
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def amazon():
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def gateway(serve, anthropic, amazon):
    bedrock = {
        "provider": "bedrock",
        "base_url": amazon.url,
        "region": amazon.region,
        "model": MODEL,
        "access_key_id": "AKIAFAKE",
        "secret_access_key": "fake-secret",
    }
    direct = {"provider": "anthropic", "base_url": anthropic.url, "api_key": "sk-ant-1"}
    return serve(
        {
            "deployments": {"direct": direct, "amazon": bedrock},
            "aliases": {
                "claude-*": "direct",
                "us.anthropic.claude-opus-5-5": "amazon",
                "arn:aws:bedrock:us-east-1:1:inference-profile/abc": "amazon",
            },
            "server": {"master_key": MASTER_KEY, "max_body_bytes": 100_000},
        }
    )


@pytest.fixture(params=["", "/bedrock"], ids=["plain", "prefix"])
def client(request, gateway):
    """Make a client that signs as always; the key comes along, for signatures are not verified."""
    client = SESSION.create_client(
        "bedrock-runtime",
        endpoint_url=gateway.url + request.param,
        region_name="us-east-1",
        aws_access_key_id="AKIACANARY",
        aws_secret_access_key="canary",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def present_key(request, **_):
        request.headers["x-api-key"] = MASTER_KEY

    client.meta.events.register("before-send.bedrock-runtime", present_key)
    yield client
    client.close()


def invoke(client, model=MODEL, **body):
    answer = client.invoke_model(modelId=model, body=json.dumps({**BODY, **body}))
    return json.loads(answer["body"].read())


def streamed(client, model=MODEL):
    answer = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(BODY))
    try:
        return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    finally:
        answer["body"].close()


def test_an_invocation_is_a_messages_request(client, anthropic):
    anthropic.answer(message([tool_use("Bash", {"command": "ls"}, id="toolu_1")]))
    answer = invoke(client)

    assert ("tool_use", "claude-haiku-4-5-20251001") == (answer["stop_reason"], answer["model"])
    sent = anthropic.requests[0]
    assert {
        "model": "claude-haiku-4-5-20251001",
        "max_tokens": 9,
        "messages": BODY["messages"],
    } == sent.json
    assert "context-1m-2025-08-07,of-tomorrow" == sent.header("anthropic-beta")
    assert "2023-06-01" == sent.header("anthropic-version")
    assert MASTER_KEY not in str(sent.headers)


@pytest.mark.parametrize(
    "model",
    ["us.anthropic.claude-opus-5-5", "arn:aws:bedrock:us-east-1:1:inference-profile/abc"],
)
def test_an_alias_of_the_ids_own_name_comes_first(client, amazon, model):
    assert model == invoke(client, model)["model"]
    assert 1 == len(amazon.requests)


@pytest.mark.parametrize("model", [MODEL, "us.anthropic.claude-opus-5-5"])
def test_a_stream_is_one_of_bedrocks_whoever_answers(client, anthropic, amazon, model):
    for upstream in (anthropic, amazon):
        upstream.default = text("Good morning.").bytewise()
    events = streamed(client, model)

    assert ["message_start", "message_stop"] == [events[0]["type"], events[-1]["type"]]
    said = [e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta"]
    assert "Good morning." == "".join(said)


def test_tokens_are_counted(client, anthropic):
    given = {"invokeModel": {"body": json.dumps(BODY)}}

    assert 0 < client.count_tokens(modelId=MODEL, input=given)["inputTokens"]
    assert "/v1/messages/count_tokens" == anthropic.requests[0].path
    assert {"model", "messages"} == anthropic.requests[0].json.keys()


@pytest.mark.parametrize(
    ("answer", "code", "status"),
    [
        pytest.param(error(429), "ThrottlingException", 429, id="rate-limit"),
        pytest.param(error(529), "ServiceUnavailableException", 503, id="overloaded"),
        pytest.param(error(500), "InternalServerException", 500, id="fault"),
    ],
)
def test_an_error_is_one_of_bedrocks(client, anthropic, answer, code, status):
    anthropic.default = answer
    with pytest.raises(ClientError) as caught:
        invoke(client)

    found = caught.value.response
    assert (code, status) == (
        found["Error"]["Code"],
        found["ResponseMetadata"]["HTTPStatusCode"],
    )
    assert answer.content.error["message"] == found["Error"]["Message"]


def test_a_prompt_that_is_too_long_is_said_in_bedrocks_words(client, anthropic):
    anthropic.default = error(400, message="prompt is too long: 2 tokens > 1 maximum")

    with pytest.raises(ClientError, match="Input is too long for requested model"):
        invoke(client)


def test_an_error_in_the_stream_is_an_exception(client, anthropic):
    anthropic.default = text("Good morning.").fail("overloaded_error", "busy", after_events=4)

    with pytest.raises(EventStreamError, match="serviceUnavailableException.*busy"):
        streamed(client)


def test_a_model_that_no_alias_names_is_not_found(client):
    with pytest.raises(ClientError, match="ResourceNotFoundException.*model not found: gpt-x"):
        invoke(client, "gpt-x")


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        pytest.param({}, b"{}", 403, "UnrecognizedClientException", id="no-key"),
        pytest.param(
            {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA1/x"},
            b"{}",
            403,
            "UnrecognizedClientException",
            id="a-signature-is-no-key",
        ),
        pytest.param({"x-api-key": MASTER_KEY}, b"{", 400, "ValidationException", id="no-json"),
        pytest.param(
            {"x-api-key": MASTER_KEY}, b"x" * 100_001, 413, "ValidationException", id="too-large"
        ),
    ],
)
def test_what_is_refused_is_refused_in_bedrocks_words(gateway, headers, content, status, code):
    request = gateway.http.build_request(
        "POST", f"/model/{MODEL}/invoke", content=content, headers=headers
    )
    if "authorization" not in headers:
        del request.headers["authorization"]
    answer = gateway.http.send(request)

    assert (status, code) == (answer.status_code, answer.headers["x-amzn-errortype"])
    assert ["message"] == list(answer.json())


def test_a_signature_of_the_clients_is_not_sent_on(serve, anthropic):
    direct = {
        "provider": "anthropic",
        "base_url": anthropic.url,
        "forward_client_auth": True,
        "api_key": "sk-ant-1",
    }
    gateway = serve({"deployments": {"d": direct}, "aliases": {"claude-*": "d"}})
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIACANARY/x"}
    gateway.http.post(f"/model/{MODEL}/invoke", json=BODY, headers=headers)

    assert "AKIACANARY" not in str(anthropic.requests[0].headers)
