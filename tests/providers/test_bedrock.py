"""A Messages call as an invocation of Bedrock, and what comes back as Messages."""

import base64
import json
import random
from itertools import pairwise

import pytest
from pydantic import ValidationError

from llmroute.errors import (
    FaultError,
    MisconfiguredError,
    OverloadedError,
    RateLimitedError,
    RejectedError,
    StreamBrokenError,
)
from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.bedrock import PROVIDER, BedrockDeployment, placed
from llmroute.wire.envelope import Envelope
from llmroute.wire.eventstream import encode

BODY = b'{"model":"fast","max_tokens":9, "messages":[{"role":"user","content":"\\u0048i"}]}'
MODEL = "us.anthropic.claude-opus-5-5"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


def call_of(body=BODY, **members):
    envelope = Envelope.parse(body)
    return Call(envelope, "fast", stream=envelope.is_true("stream"), **members)


def prepared(body=BODY, model=MODEL, *, settings=None, **members):
    deployment = BedrockDeployment(**{"region": "us-east-1", **(settings or {})})
    return PROVIDER.prepare(call_of(body, **members), deployment, model)


def test_the_table_has_it():
    assert PROVIDER is PROVIDERS["bedrock"]


def test_the_body_is_the_callers_without_what_stands_in_the_path():
    request = prepared(BODY.replace(b'"fast"', b'"fast","stream":true'))

    assert (
        "POST",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-opus-5-5"
        "/invoke-with-response-stream",
    ) == (request.method, request.url)
    assert [
        (b"content-type", b"application/json"),
        (b"accept", b"application/vnd.amazon.eventstream"),
    ] == request.headers
    assert (
        b'{"max_tokens":9,"messages":[{"role":"user","content":"\\u0048i"}],'
        b'"anthropic_version":"bedrock-2023-05-31"}'
    ) == b"".join(request.body)
    assert () == request.losses


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        pytest.param(
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1%3A0",
            id="version",
        ),
        pytest.param(
            PROFILE,
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123",
            id="arn",
        ),
        pytest.param("../../x?y#z", "..%2F..%2Fx%3Fy%23z", id="nothing-escapes-the-segment"),
    ],
)
def test_a_model_is_one_segment_of_the_path(model, segment):
    url = prepared(model=model).url

    assert f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{segment}/invoke" == url


@pytest.mark.parametrize("model", [".", ".."])
def test_a_model_that_would_be_another_place_is_refused(model):
    with pytest.raises(MisconfiguredError, match="is no name"):
        prepared(model=model)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"region": "eu-central-1"},
            "https://bedrock-runtime.eu-central-1.amazonaws.com",
            id="region",
        ),
        pytest.param(
            {"region": "us-gov-west-1"},
            "https://bedrock-runtime.us-gov-west-1.amazonaws.com",
            id="gov",
        ),
        pytest.param(
            {"region": "cn-north-1"},
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
            id="china",
        ),
        pytest.param(
            {"region": "eusc-de-east-1"},
            "https://bedrock-runtime.eusc-de-east-1.amazonaws.eu",
            id="sovereign",
        ),
        pytest.param(
            {"region": "us-iso-east-1"},
            "https://bedrock-runtime.us-iso-east-1.c2s.ic.gov",
            id="isolated",
        ),
        pytest.param(
            {"region": "us-isob-east-1"},
            "https://bedrock-runtime.us-isob-east-1.sc2s.sgov.gov",
            id="isolated-too",
        ),
        pytest.param(
            {"base_url": "https://vpce-1.example.com/"}, "https://vpce-1.example.com", id="own"
        ),
    ],
)
def test_the_address_is_the_regions_or_the_configured_one(settings, expected):
    assert f"{expected}/model/m/invoke" == prepared(model="m", settings=settings).url


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        pytest.param("us-east-1", "https://bedrock-mantle.us-east-1.api.aws", id="commercial"),
        pytest.param(
            "us-iso-east-1", "https://bedrock-mantle.us-iso-east-1.api.aws.ic.gov", id="isolated"
        ),
        pytest.param(
            "cn-north-1",
            "https://bedrock-mantle.cn-north-1.api.amazonwebservices.com.cn",
            id="china",
        ),
    ],
)
def test_the_messages_endpoint_is_in_its_zones_other_domain(region, expected):
    request = prepared(
        model="anthropic.claude-x", settings={"region": region, "surface": "messages"}
    )

    assert f"{expected}/anthropic/v1/messages" == request.url


def test_where_no_region_is_named_the_credential_completes_the_address():
    request = prepared(model="m", settings={"region": None})

    assert (
        "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/m/invoke"
        == placed(request, BedrockDeployment(), "cn-north-1").url
    )
    named = prepared(model="m")
    assert named is placed(named, BedrockDeployment(), "cn-north-1")


@pytest.mark.parametrize("region", ["evil.example.com", "us-east-1/x", "US-EAST-1", "us-east-1@x"])
def test_a_region_that_is_none_never_gets_into_an_address(region):
    with pytest.raises(ValidationError):
        BedrockDeployment(region=region)


def test_betas_go_into_the_body():
    betas = b"context-1m-2025-08-07, context-1m-2025-08-07"
    request = prepared(headers=[(b"anthropic-beta", betas), (b"x-app", b"cli")])

    assert ["context-1m-2025-08-07"] == json.loads(b"".join(request.body))["anthropic_beta"]
    assert [b"content-type", b"accept"] == [name for name, _ in request.headers]


def test_what_the_deployment_sets_is_sent():
    settings = {
        "guardrail_id": "g1",
        "guardrail_version": "DRAFT",
        "guardrail_trace": "ENABLED",
        "service_tier": "flex",
        "latency": "optimized",
        "headers": {"X-Own": "é"},
        "extra_body": {"top_k": 5, "max_tokens": 1},
        "anthropic_version": "2026-10-21",
    }
    request = prepared(settings=settings, headers=[(b"anthropic-user-profile-id", b"up_1")])

    assert [
        (b"x-amzn-bedrock-guardrailidentifier", b"g1"),
        (b"x-amzn-bedrock-guardrailversion", b"DRAFT"),
        (b"x-amzn-bedrock-trace", b"ENABLED"),
        (b"x-amzn-bedrock-service-tier", b"flex"),
        (b"x-amzn-bedrock-performanceconfig-latency", b"optimized"),
        (b"x-own", b"\xe9"),
    ] == request.headers[2:]
    body = json.loads(b"".join(request.body))
    assert {
        "max_tokens": 9,
        "top_k": 5,
        "anthropic_version": "2026-10-21",
        "user_profile_id": "up_1",
    } == {name: body[name] for name in body if name != "messages"}


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        pytest.param("anthropic.claude-opus-5-5", {}, "anthropic.claude-opus-5-5", id="model"),
        pytest.param("us.anthropic.claude-x-v1:0", {}, "anthropic.claude-x-v1%3A0", id="profile"),
        pytest.param(
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-y",
            {},
            "anthropic.claude-y",
            id="arn",
        ),
        pytest.param(
            PROFILE, {"base_model": "claude-opus-5-5"}, "anthropic.claude-opus-5-5", id="told"
        ),
    ],
)
def test_tokens_are_counted_for_the_foundation_model(model, settings, expected):
    request = prepared(model=model, settings=settings, endpoint="count_tokens")

    assert request.url.endswith(f"/model/{expected}/count-tokens")
    counted = json.loads(b"".join(request.body))["input"]["invokeModel"]["body"]
    assert {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
        "anthropic_version": "bedrock-2023-05-31",
    } == json.loads(base64.b64decode(counted))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param(b"", 1, id="nothing"),
        pytest.param(b',"thinking":{"type":"enabled","budget_tokens":2048}', 2049, id="thinking"),
    ],
)
def test_counting_gets_the_max_tokens_it_does_not_have(more, expected):
    body = b'{"model":"fast","messages":[]%b}' % more
    request = prepared(body, model="anthropic.claude-haiku-4-5-v1:0", endpoint="count_tokens")

    counted = json.loads(b"".join(request.body))["input"]["invokeModel"]["body"]
    assert expected == json.loads(base64.b64decode(counted))["max_tokens"]


def test_counting_for_a_profile_that_hides_its_model_is_not_possible():
    with pytest.raises(MisconfiguredError, match="set base_model") as caught:
        prepared(model=PROFILE, endpoint="count_tokens")

    assert 404 == caught.value.status


def test_a_count_is_worded_as_anthropic_does_and_an_answer_is_left_alone():
    counting, asking = call_of(endpoint="count_tokens"), call_of()

    there = BedrockDeployment(region="us-east-1")

    assert b'{"input_tokens":12}' == PROVIDER.whole(counting, there, b'{"inputTokens":12}')
    assert b"{}" == PROVIDER.whole(counting, there, b"{}")
    assert b"whatever" == PROVIDER.whole(asking, there, b"whatever")


ROLE = "arn:aws:sts::123456789012:assumed-role/gateway/me"


@pytest.mark.parametrize(
    ("status", "name", "message", "expected"),
    [
        pytest.param(
            403,
            "AccessDeniedException",
            f"User: {ROLE} is not authorized to perform: bedrock:InvokeModel on resource:"
            " arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x",
            (
                MisconfiguredError,
                403,
                "permission_error",
                "User: (identity) is not authorized to perform: bedrock:InvokeModel on resource:"
                " arn:aws:bedrock:us-east-1:(account):inference-profile/us.anthropic.claude-x",
            ),
            id="denied",
        ),
        pytest.param(
            403,
            "ExpiredTokenException:http://internal.amazon.com/",
            "expired",
            (MisconfiguredError, 401, "authentication_error", "expired"),
            id="expired",
        ),
        pytest.param(
            403,
            "UnrecognizedClientException",
            "invalid",
            (MisconfiguredError, 401, "authentication_error", "invalid"),
            id="unknown-key",
        ),
        pytest.param(
            404,
            "ResourceNotFoundException",
            "gone",
            (MisconfiguredError, 404, "not_found_error", "gone"),
            id="not-found",
        ),
        pytest.param(
            400,
            "ValidationException",
            "max_tokens: Field required",
            (RejectedError, 400, "invalid_request_error", "max_tokens: Field required"),
            id="validation",
        ),
        pytest.param(
            400,
            "ValidationException",
            "The provided model identifier is invalid.",
            (
                MisconfiguredError,
                404,
                "not_found_error",
                "The provided model identifier is invalid.",
            ),
            id="model",
        ),
        pytest.param(
            400,
            "com.amazonaws.bedrock#ValidationException",
            "Input is too long for requested model.",
            (
                RejectedError,
                400,
                "invalid_request_error",
                "prompt is too long: Input is too long for requested model.",
            ),
            id="too-long",
        ),
        pytest.param(
            400,
            "ValidationException",
            "prompt is too long: 210000 tokens > 200000 maximum",
            (
                RejectedError,
                400,
                "invalid_request_error",
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
            id="too-long-already",
        ),
        pytest.param(
            400,
            "ServiceQuotaExceededException",
            "quota",
            (RateLimitedError, 429, "rate_limit_error", "quota"),
            id="quota",
        ),
        pytest.param(
            429,
            "ThrottlingException",
            "slow down",
            (RateLimitedError, 429, "rate_limit_error", "slow down"),
            id="throttling",
        ),
        pytest.param(
            408,
            "ModelTimeoutException",
            "late",
            (FaultError, 504, "timeout_error", "late"),
            id="timeout",
        ),
        pytest.param(
            500,
            "InternalServerException",
            "oops",
            (FaultError, 500, "api_error", "oops"),
            id="internal",
        ),
        pytest.param(
            503,
            "ServiceUnavailableException",
            "busy",
            (OverloadedError, 529, "overloaded_error", "busy"),
            id="unavailable",
        ),
        pytest.param(
            400,
            "ValidationException",
            "Operation not allowed",
            (MisconfiguredError, 404, "not_found_error", "Operation not allowed"),
            id="model-not-open-to-the-account",
        ),
        pytest.param(
            418,
            "NewException",
            "new",
            (RejectedError, 418, "invalid_request_error", "new"),
            id="unknown-of-the-request",
        ),
        pytest.param(
            507, "NewException", "new", (FaultError, 507, "api_error", "new"), id="unknown-fault"
        ),
    ],
)
def test_an_exception_becomes_an_error_in_anthropics_words(status, name, message, expected):
    headers = [(b"x-amzn-errortype", name.encode()), (b"x-amzn-requestid", b"r-1")]
    error = PROVIDER.error(status, headers, json.dumps({"message": message}).encode())

    kind, code, type_, text = expected
    assert kind is type(error)
    assert code == error.status
    assert {
        "type": "error",
        "error": {"type": type_, "message": text},
        "request_id": "r-1",
    } == json.loads(error.body)
    assert (type_, "") == (error.type, error.code)
    assert "123456789012" not in str(error)


def test_a_model_s_own_error_counts_as_what_the_model_said():
    headers = [(b"x-amzn-errortype", b"ModelErrorException")]
    body = b'{"message":"no","originalStatusCode":429,"resourceName":"x"}'
    error = PROVIDER.error(424, headers, body)

    assert (RateLimitedError, 429) == (type(error), error.status)
    assert (FaultError, 500) == (
        type(PROVIDER.error(424, headers, b'{"message":"no"}')),
        PROVIDER.error(424, headers, b'{"message":"no"}').status,
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(
            400,
            b'{ "type":"error","error":{"type":"invalid_request_error","message":"x"}}',
            id="anthropic",
        ),
        pytest.param(502, b"<html>Bad Gateway</html>", id="html"),
        pytest.param(500, b"", id="empty"),
        pytest.param(500, b"[" * 100_000, id="deep"),
    ],
)
def test_what_is_no_exception_is_handed_on_as_it_came(status, body):
    error = PROVIDER.error(status, [], body)

    assert (status, body) == (error.status, error.body)


def test_an_error_in_anthropics_own_shape_keeps_its_code():
    described = {"type": "rate_limit_error", "details": {"error_code": "ramp_limit_exceeded"}}
    body = json.dumps({"type": "error", "error": described}).encode()
    error = PROVIDER.error(429, [], body)

    assert ("rate_limit_error", "ramp_limit_exceeded") == (error.type, error.code)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"type": "error", "error": {"message": "%s"}}', id="anthropic"),
        pytest.param(b'{"type": "error", "error": {"message": "say \\"%s\\""}}', id="in-quotes"),
        pytest.param(b'{"detail": "%s"}', id="odd"),
        pytest.param(b"<Message>%s</Message>", id="xml"),
    ],
)
def test_who_we_are_at_aws_is_in_no_error_of_any_shape(body):
    user = b"arn:aws:sts::123456789012:assumed-role/gateway/me"
    error = PROVIDER.error(403, [], body % user)

    assert body % b"(identity)" == error.body
    assert "123456789012" not in str(error)


def chunk(data):
    headers = {":message-type": "event", ":event-type": "chunk"}
    payload = {"bytes": base64.b64encode(data).decode(), "p": "abc"}
    return encode(headers, json.dumps(payload).encode())


def exception(name, message):
    headers = {":message-type": "exception", ":exception-type": name}
    return encode(headers, json.dumps({"message": message}).encode())


EVENTS = [
    b'{"type":"message_start","message":{"id":"msg_bdrk_1","usage":{"input_tokens":3}}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é🎈"}}'.encode(),
    b'{"type":"of_tomorrow","x":[1.0e1]}',
]
STOP = (
    b'{"type":"message_stop",'
    b'"amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":5}}'
)
STREAM = b"".join(
    [
        *map(chunk, EVENTS),
        encode({":message-type": "event", ":event-type": "initial-response"}, b"{}"),
        chunk(STOP),
    ]
)
DECODED = (
    b"event: message_start\ndata: " + EVENTS[0] + b"\n\n"
    b"event: content_block_delta\ndata: " + EVENTS[1] + b"\n\n"
    b"event: of_tomorrow\ndata: " + EVENTS[2] + b"\n\n"
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def decoded(pieces):
    decoder = PROVIDER.decoder(call_of(), BedrockDeployment(region="us-east-1"))
    return b"".join([*map(decoder.feed, pieces), decoder.close()])


def test_a_stream_becomes_a_messages_stream_however_it_is_cut():
    assert DECODED == decoded([STREAM])
    assert DECODED == decoded(STREAM[at : at + 1] for at in range(len(STREAM)))
    for seed in range(10):
        cuts = sorted(random.Random(seed).sample(range(len(STREAM)), 12))
        edges = [0, *cuts, len(STREAM)]
        assert DECODED == decoded(STREAM[a:b] for a, b in pairwise(edges))


@pytest.mark.parametrize(
    ("frame", "type_", "message"),
    [
        pytest.param(
            exception("throttlingException", "Too many tokens"),
            "rate_limit_error",
            "Too many tokens",
            id="throttling",
        ),
        pytest.param(
            exception("modelStreamErrorException", "It broke"), "api_error", "It broke", id="model"
        ),
        pytest.param(
            exception("validationException", "Input is too long for requested model."),
            "invalid_request_error",
            "prompt is too long: Input is too long for requested model.",
            id="too-long",
        ),
        pytest.param(
            exception("serviceUnavailableException", f"{ROLE}: busy"),
            "overloaded_error",
            "(identity) busy",
            id="redacted",
        ),
        pytest.param(
            encode(
                {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "x"},
                b"",
            ),
            "api_error",
            "x",
            id="unmodelled",
        ),
        pytest.param(
            encode({":message-type": "exception", ":exception-type": "newException"}, b"\xff"),
            "api_error",
            "newException",
            id="unreadable",
        ),
    ],
)
def test_an_exception_in_the_stream_is_an_error_event(frame, type_, message):
    said = decoded([chunk(EVENTS[0]), frame])

    start, data = said.split(b"event: error\ndata: ")
    assert DECODED.startswith(start)
    assert {"type": "error", "error": {"type": type_, "message": message}} == json.loads(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(STREAM[:-1], "ended inside a message", id="short"),
        pytest.param(STREAM[:40] + b"\0" + STREAM[41:], "damaged", id="damaged"),
        pytest.param(b'{"message":"Not a stream at all"}', "damaged", id="json"),
        pytest.param(chunk(b"[]"), "holds no event", id="no-event"),
        pytest.param(
            encode({":message-type": "event", ":event-type": "chunk"}, b'{"bytes":"!"}'),
            "holds no event",
            id="no-base64",
        ),
    ],
)
def test_a_stream_that_is_none_is_broken(data, expected):
    with pytest.raises(StreamBrokenError, match=expected):
        decoded([data])


def messages(settings, **members):
    return prepared(settings=settings, model="anthropic.claude-opus-5-5", **members)


def test_bedrocks_messages_endpoint_gets_the_callers_request_with_another_model():
    betas = [(b"anthropic-beta", b"claude-code-20250219"), (b"x-app", b"cli")]
    request = messages({"surface": "messages"}, headers=betas, query="beta=true")

    assert "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages?beta=true" == request.url
    assert {"model": "anthropic.claude-opus-5-5", "max_tokens": 9} == {
        name: value
        for name, value in json.loads(b"".join(request.body)).items()
        if name != "messages"
    }
    assert [
        (b"content-type", b"application/json"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-app", b"cli"),
        (b"anthropic-beta", b"claude-code-20250219"),
    ] == request.headers


def test_claude_platform_on_aws_gets_the_callers_request_as_it_is():
    body = BODY.replace(b"}]}", b'}], "speed": "fast"}')
    betas = [(b"anthropic-beta", b"of-tomorrow"), (b"anthropic-version", b"2030-01-01")]
    settings = {"surface": "claude_platform", "workspace_id": "wrkspc_1"}
    request = prepared(body, model="fast", settings=settings, headers=betas)

    assert "https://aws-external-anthropic.us-east-1.api.aws/v1/messages" == request.url
    assert body == b"".join(request.body)
    assert [
        (b"content-type", b"application/json"),
        (b"anthropic-version", b"2030-01-01"),
        (b"anthropic-beta", b"of-tomorrow"),
        (b"anthropic-workspace-id", b"wrkspc_1"),
    ] == request.headers
    assert () == request.losses


def test_claude_platform_on_aws_gets_what_a_model_of_another_generation_takes():
    body = BODY.replace(b"}]}", b'}], "speed": "fast", "temperature": 1}')
    settings = {"surface": "claude_platform"}
    request = prepared(body, model="claude-opus-5-5", settings=settings)

    expected = {**json.loads(body), "model": "claude-opus-5-5"}
    del expected["temperature"]
    assert expected == json.loads(b"".join(request.body))
    assert ("temperature: claude-opus-5-5 does not take it",) == request.losses


@pytest.mark.parametrize("surface", ["messages", "claude_platform"])
def test_a_messages_stream_and_a_count_need_no_translation(surface):
    deployment = BedrockDeployment(region="us-east-1", surface=surface)

    assert PROVIDER.decoder(call_of(), deployment) is None
    assert messages({"surface": surface}, endpoint="count_tokens").url.endswith(
        "/v1/messages/count_tokens"
    )


@pytest.mark.parametrize("surface", ["invoke", "messages", "claude_platform"])
def test_what_is_refused_is_learned_where_requests_are_fitted(surface):
    assert (surface != "claude_platform") is BedrockDeployment(surface=surface).learns


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/messages"])
def test_an_address_of_the_messages_api_may_be_written_to_its_end(end):
    settings = {"surface": "messages", "base_url": f"https://example.com/anthropic{end}"}

    assert "https://example.com/anthropic/v1/messages" == messages(settings).url
