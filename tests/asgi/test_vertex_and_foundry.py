"""A client of the proxy cannot tell that its model is at Google or at Microsoft."""

import json

import anthropic
import pytest

from llmroute.testing import FakeFoundry, FakeVertex, error, google_error, text, tool_use

MASTER_KEY = "sk-master-1234567890"
HELLO = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def account():
    with FakeVertex() as fake:
        yield fake.service_account()["private_key"], fake._account


@pytest.fixture(params=["vertex", "foundry"])
def platform(request, account):
    """Return a fake and the deployment that is there."""
    if request.param == "vertex":
        with FakeVertex() as fake:
            fake._account = account[1]
            yield fake, {"credentials": fake.service_account(), "project": fake.project}
    else:
        with FakeFoundry() as fake:
            yield fake, {"api_key": "fake-key"}


@pytest.fixture
def fake(platform):
    return platform[0]


@pytest.fixture
def gateway(serve, platform):
    fake, settings = platform
    provider = "vertex" if isinstance(fake, FakeVertex) else "foundry"
    deployment = {
        "provider": provider,
        "base_url": fake.url,
        "model": "claude-sonnet-5-5",
        **settings,
    }
    return serve(
        {
            "deployments": {"cloud": deployment},
            "aliases": {"sonnet": "cloud"},
            "server": {"master_key": MASTER_KEY},
        }
    )


def test_a_stream_comes_as_anthropic_would_send_it(gateway, fake):
    fake.answer(text("Good morning.").bytewise())
    answer = gateway.ask(stream=True)

    assert (200, "text/event-stream; charset=utf-8") == (
        answer.status_code,
        answer.headers["content-type"],
    )
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert "sonnet" == events[0]["message"]["model"]
    assert {"type": "message_stop"} == events[-1]
    (record,) = gateway.records.wait()
    assert ("cloud", "answered", 6) == (
        record.deployment,
        record.outcome,
        record.usage.output_tokens,
    )


def test_the_anthropic_sdk_talks_to_it(gateway, fake):
    fake.answer(tool_use("Bash", {"command": "ls"}, id="toolu_1"))
    with anthropic.Anthropic(base_url=gateway.url, api_key=MASTER_KEY, max_retries=0) as client:
        with client.messages.stream(model="sonnet", **HELLO) as stream:
            final = stream.get_final_message()
        count = client.messages.count_tokens(model="sonnet", messages=HELLO["messages"])

    assert {"command": "ls"} == final.content[0].input
    assert 0 < count.input_tokens


def test_a_prompt_that_is_too_long_is_told_in_the_models_words(gateway, fake):
    fake.answer(error(400, message="prompt is too long: 9 tokens > 8 maximum"))
    answer = gateway.ask()

    assert 400 == answer.status_code
    assert "prompt is too long: 9 tokens > 8 maximum" == answer.json()["error"]["message"]


def test_a_credential_of_the_clients_never_reaches_the_cloud(gateway, fake):
    gateway.http.post(
        "/v1/messages",
        json={"model": "sonnet", **HELLO},
        headers={"x-api-key": "sk-ant-canary", "cookie": "canary=1"},
    )

    sent = " ".join(value for _, value in fake.requests[-1].headers)
    assert "canary" not in sent
    assert MASTER_KEY not in sent


def test_a_client_is_told_when_to_try_again_and_not_where_it_was(gateway, fake):
    message = "Quota exceeded for projects/acme-1/locations/us-east5."
    fake.answer(google_error(429, message, retry_delay=7, in_list=True))
    answer = gateway.ask()

    assert 429 == answer.status_code
    if isinstance(fake, FakeVertex):
        assert "7" == answer.headers["retry-after"]
        assert "rate_limit_error" == answer.json()["error"]["type"]
        assert "acme-1" not in answer.text
