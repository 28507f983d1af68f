"""Bedrock's own clients at the proxy: they cannot tell that it is not Bedrock."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import boto3
import botocore.exceptions
import httpx
import pytest
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer
from tests.asgi.conftest import MASTER_KEY, UPSTREAM_KEY, Gateway

from llmroute.testing import (
    FakeBedrock,
    FakeUpstream,
    aws_error,
    error,
    message,
    raw,
    text,
    tool_use,
)

Serve = Callable[[dict[str, Any]], Gateway]

OPUS = "us.anthropic.claude-opus-5-5"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
HELLO = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
EVENT_STREAM = "application/vnd.amazon.eventstream"


def config_for(upstream: FakeUpstream, **server: Any) -> dict[str, Any]:
    native = {"provider": "anthropic", "base_url": upstream.url, "api_key": UPSTREAM_KEY}
    deployments = {"native": native, "team": {**native, "model": "claude-sonnet-5-5"}}
    return {
        "deployments": deployments,
        "aliases": {"claude-*": "native", "eu.anthropic.claude-sonnet-5-5": "team", ARN: "team"},
        "server": {"master_key": MASTER_KEY, **server},
    }


def amazon(bedrock: FakeBedrock) -> dict[str, Any]:
    deployment = {
        "provider": "bedrock",
        "base_url": bedrock.url,
        "region": bedrock.region,
        "access_key_id": "AKIAFAKE",
        "secret_access_key": "fake-secret",
    }
    return {
        "deployments": {"amazon": deployment},
        "aliases": {"us.anthropic.*": "amazon"},
        "server": {"master_key": MASTER_KEY},
    }


@pytest.fixture
def gateway(upstream: FakeUpstream, serve: Serve) -> Gateway:
    return serve(config_for(upstream))


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


def invoke(
    gateway: Gateway, model: str = OPUS, action: str = "invoke", **members: Any
) -> httpx.Response:
    body = {**HELLO, **members}
    return gateway.http.post(f"/bedrock/model/{model}/{action}", json=body)


def frames(stream: bytes) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Read a stream with Amazon's own reader: the headers of each message, and what it holds."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    found = []
    for each in buffer:
        held = json.loads(each.payload)
        if "bytes" in held:
            held = json.loads(base64.b64decode(held["bytes"]))
        found.append((each.headers, held))
    return found


@pytest.mark.parametrize("prefix", ["/bedrock", ""])
@pytest.mark.parametrize(
    ("model", "sent"),
    [
        pytest.param(OPUS, "claude-opus-5-5", id="a-profile"),
        pytest.param("anthropic.claude-opus-4-6-v1", "claude-opus-4-6", id="a-version"),
        pytest.param(
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "claude-haiku-4-5-20251001",
            id="a-date-and-a-colon",
        ),
        pytest.param(
            "us.anthropic.claude-haiku-4-5-20251001-v1%3A0",
            "claude-haiku-4-5-20251001",
            id="an-escaped-colon",
        ),
        pytest.param("eu.anthropic.claude-sonnet-5-5", "claude-sonnet-5-5", id="an-alias"),
        pytest.param(ARN.replace("/", "%2F"), "claude-sonnet-5-5", id="an-arn-that-is-an-alias"),
        pytest.param(
            f"arn:aws:bedrock:us-east-1:1:inference-profile%2F{OPUS}",
            "claude-opus-5-5",
            id="an-arn-of-a-profile",
        ),
        pytest.param("claude-of-tomorrow", "claude-of-tomorrow", id="no-id-of-bedrocks"),
    ],
)
def test_the_model_in_the_path_is_an_alias(
    gateway: Gateway, upstream: FakeUpstream, prefix: str, model: str, sent: str
) -> None:
    answer = gateway.http.post(f"{prefix}/model/{model}/invoke", json=HELLO)

    assert 200 == answer.status_code
    assert sent == upstream.requests[0].json["model"]


def test_what_the_messages_api_has_elsewhere_goes_there(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    body = (
        b'{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a-2026-01-01",'
        b'"tool-search-tool-2025-10-19"],"user_profile_id":"up_1","max_tokens":6.4e1,'
        b'"messages":[ {"role":"user", "content":"\\u00e9"} ],"of_tomorrow":{"b":1, "a":1.0}}'
    )
    gateway.http.post(
        f"/bedrock/model/{OPUS}/invoke",
        content=body,
        headers={"anthropic-beta": "b-2026-01-01,a-2026-01-01", "x-app": "cli"},
    )

    [received] = upstream.requests
    assert (
        b'{"model":"claude-opus-5-5","max_tokens":6.4e1,'
        b'"messages":[ {"role":"user", "content":"\\u00e9"} ],"of_tomorrow":{"b":1, "a":1.0}}'
    ) == received.body
    assert "a-2026-01-01,advanced-tool-use-2025-11-20,b-2026-01-01" == received.header(
        "anthropic-beta"
    )
    assert "up_1" == received.header("anthropic-user-profile-id")
    assert ("cli", UPSTREAM_KEY) == (received.header("x-app"), received.header("x-api-key"))


def test_between_equals_the_members_are_bytes(serve: Serve, bedrock: FakeBedrock) -> None:
    gateway = serve(amazon(bedrock))
    body = (
        b'{"anthropic_version":"bedrock-2023-05-31","messages":[ {"role":"user","content":'
        b'"\\u00e9 "} ],"max_tokens":6.4e1,"tools":[{"name":"t" ,"input_schema":{"type":"object"},'
        b'"defer_loading":true}],"anthropic_beta":["tool-search-tool-2025-10-19"]}'
    )
    answer = gateway.http.post(f"/bedrock/model/{OPUS}/invoke", content=body)

    assert 200 == answer.status_code
    [received] = bedrock.requests
    assert f"/model/{OPUS}/invoke" == received.path
    assert json.loads(body) == received.json
    for member in (
        b'"messages":[ {"role":"user","content":"\\u00e9 "} ]',
        b'"max_tokens":6.4e1',
        b'"tools":[{"name":"t" ,"input_schema":{"type":"object"},"defer_loading":true}]',
        b'"anthropic_beta":["tool-search-tool-2025-10-19"]',
    ):
        assert member in received.body


def test_a_whole_answer_tells_its_figures(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer("Good morning.")
    answer = invoke(gateway)

    assert "Good morning." == answer.json()["content"][0]["text"]
    assert "12" == answer.headers["x-amzn-bedrock-input-token-count"]
    assert answer.headers["request-id"] == answer.headers["x-amzn-requestid"]
    assert "native" == answer.headers["x-llmroute-deployment"]


def test_a_stream_comes_in_amazons_framing(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.answer(text("Good morning.").bytewise())
    answer = invoke(gateway, action="invoke-with-response-stream")

    assert EVENT_STREAM == answer.headers["content-type"]
    assert True is upstream.requests[0].json["stream"]
    read = frames(answer.content)
    assert {("event", "chunk")} == {(h[":message-type"], h[":event-type"]) for h, _ in read}
    events = [event for _, event in read]
    assert ("message_start", "message_stop") == (events[0]["type"], events[-1]["type"])
    assert "Good morning." == "".join(
        event["delta"]["text"] for event in events if event["type"] == "content_block_delta"
    )
    figures = events[-1]["amazon-bedrock-invocationMetrics"]
    assert (12, 6) == (figures["inputTokenCount"], figures["outputTokenCount"])


def test_silence_is_filled_with_ping_events(upstream: FakeUpstream, serve: Serve) -> None:
    gateway = serve(config_for(upstream, ping_after=0.05))
    upstream.answer(text("At last.").late())
    got = b""
    with gateway.http.stream(
        "POST", f"/model/{OPUS}/invoke-with-response-stream", json=HELLO
    ) as reply:
        assert EVENT_STREAM == reply.headers["content-type"]
        for piece in reply.iter_raw():
            got += piece
            if len(frames(got)) == 2:
                upstream.release()

    kinds = [event["type"] for _, event in frames(got)]
    assert ["ping", "ping"] == kinds[:2]
    assert "message_stop" == kinds[-1]


ERRORS = [
    pytest.param(error(400), "ValidationException", 400, id="400"),
    pytest.param(error(401), "UnrecognizedClientException", 401, id="401"),
    pytest.param(error(403), "AccessDeniedException", 401, id="403"),
    pytest.param(error(404), "ResourceNotFoundException", 404, id="404"),
    pytest.param(error(429), "ThrottlingException", 429, id="429"),
    pytest.param(error(500), "InternalServerException", 500, id="500"),
    pytest.param(error(529), "ServiceUnavailableException", 503, id="529"),
    pytest.param(raw(502, [], b"<html>"), "InternalServerException", 500, id="html"),
    pytest.param(
        text("Hi.").fail("overloaded_error", after_events=0),
        "ServiceUnavailableException",
        503,
        id="the-first-event",
    ),
]


@pytest.mark.parametrize(("answer", "name", "status"), ERRORS)
def test_an_error_before_the_answer_is_an_exception(
    gateway: Gateway, upstream: FakeUpstream, answer: Any, name: str, status: int
) -> None:
    upstream.answer(answer)
    got = invoke(gateway, action="invoke-with-response-stream")

    assert (status, name) == (got.status_code, got.headers["x-amzn-errortype"])
    assert ["message"] == list(got.json())
    assert "application/json" == got.headers["content-type"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param("overloaded_error", "serviceUnavailableException", id="overloaded"),
        pytest.param("rate_limit_error", "throttlingException", id="limited"),
        pytest.param("api_error", "internalServerException", id="fault"),
        pytest.param("permission_error", "modelStreamErrorException", id="what-has-no-name-there"),
    ],
)
def test_an_error_in_the_stream_is_an_exception(
    gateway: Gateway, upstream: FakeUpstream, kind: str, name: str
) -> None:
    upstream.answer(text("Good morning.").fail(kind, "busy", after_events=4))
    headers, held = frames(invoke(gateway, action="invoke-with-response-stream").content)[-1]

    assert ("exception", name) == (headers[":message-type"], headers[":exception-type"])
    assert "busy" == held["message"]


def test_a_stream_that_is_cut_ends_with_an_exception(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer(text("Good morning.").cut(after_events=4))
    headers, _ = frames(invoke(gateway, action="invoke-with-response-stream").content)[-1]

    assert "internalServerException" == headers[":exception-type"]


def test_a_prompt_that_is_too_long_is_told_in_bedrocks_words(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.answer(error(400, message="prompt is too long: 2 tokens > 1 maximum"))

    assert (
        "Input is too long for requested model. prompt is too long: 2 tokens > 1 maximum"
    ) == invoke(gateway).json()["message"]


def test_bedrocks_own_words_come_back_as_they_were(serve: Serve, bedrock: FakeBedrock) -> None:
    said = "Input is too long for requested model."
    bedrock.answer(aws_error("ValidationException", said))
    answer = invoke(serve(amazon(bedrock)))

    assert (400, {"message": said}) == (answer.status_code, answer.json())


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        pytest.param("/model/nobody/invoke", 404, "ResourceNotFoundException", id="no-alias"),
        pytest.param(f"/model/{OPUS}/converse", 404, "ResourceNotFoundException", id="converse"),
    ],
)
def test_what_is_not_served_is_told_in_amazons_shape(
    gateway: Gateway, path: str, status: int, name: str
) -> None:
    answer = gateway.http.post("/bedrock" + path, json=HELLO)

    assert (status, name) == (answer.status_code, answer.headers["x-amzn-errortype"])
    assert "false" == answer.headers["x-should-retry"]
    assert ("nobody" if "nobody" in path else "/invoke") in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[]", id="no-object"),
        pytest.param(b"{", id="no-json"),
        pytest.param(b'{"anthropic_beta":7}', id="betas-that-are-no-list"),
        pytest.param(b'{"anthropic_beta":["a\\r\\nx-evil: 1"]}', id="a-beta-that-breaks-the-line"),
        pytest.param(b'{"user_profile_id":"a\\nb"}', id="an-id-that-breaks-the-line"),
    ],
)
def test_a_body_that_is_none_is_refused(
    gateway: Gateway, upstream: FakeUpstream, body: bytes
) -> None:
    answer = gateway.http.post(f"/model/{OPUS}/invoke", content=body)

    assert (400, "ValidationException") == (
        answer.status_code,
        answer.headers["x-amzn-errortype"],
    )
    assert [] == upstream.requests


def test_a_body_that_is_too_large_is_refused(serve: Serve, upstream: FakeUpstream) -> None:
    gateway = serve(config_for(upstream, max_body_bytes=1000))
    answer = gateway.http.post(f"/model/{OPUS}/invoke", content=b"x" * 1001)

    assert (413, "ValidationException") == (
        answer.status_code,
        answer.headers["x-amzn-errortype"],
    )


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": ""}, id="none"),
        pytest.param({"authorization": "Bearer wrong"}, id="a-wrong-one"),
        pytest.param({"authorization": "AWS4-HMAC-SHA256 Credential=AKIA"}, id="a-signature"),
    ],
)
def test_without_a_key_nothing_is_served(
    gateway: Gateway, upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    paths = [f"/model/{OPUS}/invoke", f"/bedrock/model/{OPUS}/count-tokens"]
    answers = [gateway.http.post(path, json=HELLO, headers=headers) for path in paths]
    answers.append(gateway.http.get("/bedrock/inference-profiles", headers=headers))

    assert [401] * 3 == [answer.status_code for answer in answers]
    assert {"UnrecognizedClientException"} == {a.headers["x-amzn-errortype"] for a in answers}
    assert [] == upstream.requests


def test_a_signature_goes_no_further(serve: Serve, upstream: FakeUpstream) -> None:
    config = config_for(upstream)
    config["deployments"]["native"]["forward_client_auth"] = True
    signature = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA", "x-api-key": MASTER_KEY}
    gateway = serve(config)
    for path in (f"/model/{OPUS}/invoke", "/v1/messages"):
        gateway.http.post(path, json={**HELLO, "model": "claude-opus-5-5"}, headers=signature)

    assert [None, None] == [it.header("authorization") for it in upstream.requests]
    assert [UPSTREAM_KEY] * 2 == [it.header("x-api-key") for it in upstream.requests]


def test_the_profiles_are_the_aliases_that_look_like_them(gateway: Gateway) -> None:
    listed = gateway.http.get("/bedrock/inference-profiles?type=SYSTEM_DEFINED").json()

    assert ["eu.anthropic.claude-sonnet-5-5"] == [
        it["inferenceProfileId"] for it in listed["inferenceProfileSummaries"]
    ]
    one = gateway.http.get("/inference-profiles/eu.anthropic.claude-sonnet-5-5").json()
    assert one["models"][0]["modelArn"].endswith("/anthropic.claude-sonnet-5-5")
    missing = gateway.http.get("/inference-profiles/us.anthropic.claude-opus-1")
    assert (404, "ResourceNotFoundException") == (
        missing.status_code,
        missing.headers["x-amzn-errortype"],
    )


def test_what_was_asked_is_written_down(gateway: Gateway) -> None:
    invoke(gateway)
    invoke(gateway, model="nobody")

    answered, refused = gateway.records.wait(2)
    assert ("claude-*", "answered", "messages") == (
        answered.alias,
        answered.outcome,
        answered.endpoint,
    )
    assert ("nobody", "refused", 404) == (refused.asked, refused.outcome, refused.status)


@pytest.fixture
def runtime(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Amazon's own client; it signs as always, and the key comes besides.

    (It would bear the key, but over TLS only.)
    """
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    client = boto3.session.Session().client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=gateway.url + "/bedrock",
        aws_access_key_id="AKIASTRANGE",
        aws_secret_access_key="strange",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def present_key(request: Any, **_: Any) -> None:
        request.headers["x-api-key"] = MASTER_KEY

    client.meta.events.register("before-send.bedrock-runtime", present_key)
    yield client
    client.close()


def test_boto3_invokes_a_model(runtime: Any, upstream: FakeUpstream) -> None:
    upstream.answer("Good morning.", text("Good morning.").bytewise())
    whole = runtime.invoke_model(modelId=OPUS, body=json.dumps(HELLO))
    streamed = runtime.invoke_model_with_response_stream(modelId=ARN, body=json.dumps(HELLO))

    assert "Good morning." == json.loads(whole["body"].read())["content"][0]["text"]
    assert whole["ResponseMetadata"]["RequestId"].startswith("req_")
    with closing(streamed["body"]) as stream:
        events = [json.loads(event["chunk"]["bytes"]) for event in stream]
    assert ("message_start", "message_stop") == (events[0]["type"], events[-1]["type"])
    assert "application/json" == streamed["contentType"]


def test_boto3_counts_tokens(runtime: Any, upstream: FakeUpstream) -> None:
    body = {**HELLO, "temperature": 0.5, "system": "Be brief."}
    counted = runtime.count_tokens(
        modelId="anthropic.claude-opus-5-5", input={"invokeModel": {"body": json.dumps(body)}}
    )

    assert 0 < counted["inputTokens"]
    [received] = upstream.requests
    assert "/v1/messages/count_tokens" == received.path
    assert {"model", "messages", "system"} == set(received.json)


def test_a_count_without_an_invocation_is_refused(gateway: Gateway) -> None:
    answer = gateway.http.post(f"/model/{OPUS}/count-tokens", json={"input": {"converse": {}}})

    assert (400, "ValidationException") == (
        answer.status_code,
        answer.headers["x-amzn-errortype"],
    )


def test_boto3_sees_amazons_exceptions(runtime: Any, upstream: FakeUpstream) -> None:
    upstream.answer(error(429), text("Good morning.").fail("overloaded_error", after_events=4))
    with pytest.raises(runtime.exceptions.ThrottlingException):
        runtime.invoke_model(modelId=OPUS, body=json.dumps(HELLO))
    streamed = runtime.invoke_model_with_response_stream(modelId=OPUS, body=json.dumps(HELLO))
    with (
        closing(streamed["body"]) as stream,
        pytest.raises(botocore.exceptions.EventStreamError, match="serviceUnavailableException"),
    ):
        list(stream)


def test_the_bedrock_sdk_talks_to_it(gateway: Gateway, upstream: FakeUpstream) -> None:
    use = tool_use("Bash", {"command": "ls"}, id="toolu_1")
    upstream.answer("Good morning.", message(["Now.", use]), error(529))
    hello: dict[str, Any] = {
        "model": OPUS,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    with anthropic.AnthropicBedrock(
        base_url=gateway.url + "/bedrock",
        api_key=MASTER_KEY,
        aws_region="us-east-1",
        max_retries=0,
    ) as client:
        whole = client.messages.create(**hello)
        with client.messages.stream(**hello) as stream:
            final = stream.get_final_message()
        with pytest.raises(anthropic.InternalServerError):
            client.messages.create(**hello)

    assert "Good morning." == whole.content[0].text
    assert ["text", "tool_use"] == [block.type for block in final.content]
    assert {"command": "ls"} == final.content[1].input
    assert "anthropic_version" not in upstream.requests[0].json
