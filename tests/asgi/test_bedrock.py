"""A client of the proxy cannot tell that its model is at Amazon."""

import json

import anthropic
import pytest

from llmroute.testing import FakeBedrock, aws_error, text, tool_use

MASTER_KEY = "sk-master-1234567890"


@pytest.fixture
def bedrock():
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def gateway(serve, bedrock):
    deployment = {
        "provider": "bedrock",
        "base_url": bedrock.url,
        "region": bedrock.region,
        "model": "us.anthropic.claude-sonnet-5-5",
        "access_key_id": "AKIAFAKE",
        "secret_access_key": "fake-secret",
    }
    return serve(
        {
            "deployments": {"amazon": deployment},
            "aliases": {"sonnet": "amazon"},
            "server": {"master_key": MASTER_KEY},
        }
    )


def test_a_stream_comes_as_anthropic_would_send_it(gateway, bedrock):
    bedrock.answer(text("Good morning.").bytewise())
    answer = gateway.ask(stream=True)

    assert (200, "text/event-stream; charset=utf-8") == (
        answer.status_code,
        answer.headers["content-type"],
    )
    assert ["content-type"] == [name for name in answer.headers if name == "content-type"]
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert "sonnet" == events[0]["message"]["model"]
    assert {"type": "message_stop"} == events[-1]
    (record,) = gateway.records.wait()
    assert ("amazon", "answered", 6) == (
        record.deployment,
        record.outcome,
        record.usage.output_tokens,
    )


def test_the_anthropic_sdk_talks_to_it(gateway, bedrock):
    bedrock.answer(tool_use("Bash", {"command": "ls"}, id="toolu_1"))
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=MASTER_KEY, max_retries=0) as client,
        client.messages.stream(
            model="sonnet", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        final = stream.get_final_message()

    assert {"command": "ls"} == final.content[0].input


def test_a_credential_of_the_clients_never_reaches_amazon(gateway, bedrock):
    gateway.http.post(
        "/v1/messages",
        json={"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
        headers={"x-api-key": "sk-ant-canary", "cookie": "canary=1"},
    )

    sent = " ".join(value for _, value in bedrock.requests[0].headers)
    assert "canary" not in sent
    assert MASTER_KEY not in sent


def test_an_error_bears_no_account(gateway, bedrock):
    bedrock.answer(
        aws_error(
            "AccessDeniedException",
            "User: arn:aws:sts::123456789012:assumed-role/gateway/me is not authorized to perform"
            " this on arn:aws:bedrock:us-east-1:123456789012:inference-profile/x",
        )
    )
    answer = gateway.ask()

    assert 403 == answer.status_code
    assert "permission_error" == answer.json()["error"]["type"]
    assert "false" == answer.headers["x-should-retry"]
    assert "123456789012" not in answer.text
    assert "assumed-role" not in answer.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_amazon_would_have_to_fetch_is_answered_400_with_its_place(gateway, bedrock, stream):
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    answer = gateway.ask(stream=stream, messages=[{"role": "user", "content": [image]}])

    assert (400, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "deployment 'amazon': messages.0.content.0.source: Bedrock does not take"
            " sources of the type url; send base64",
        },
    } == answer.json()
    assert [] == bedrock.requests


def test_an_exception_in_mid_stream_is_the_last_event(gateway, bedrock):
    bedrock.answer(text("Good morning.").fail("overloaded_error", "busy", after_events=4))
    last = gateway.ask(stream=True).text.strip().split("\n\n")[-1]

    assert last.startswith("event: error\n")
    assert {"type": "overloaded_error", "message": "busy"} == json.loads(
        last.partition("data: ")[2]
    )["error"]
