"""The fake Bedrock's Converse against AWS's own client, and what it refuses."""

import pytest
from botocore.exceptions import ClientError, EventStreamError

from llmroute.testing import FakeBedrock, aws_error, message, text, thinking, tool_use

from .test_bedrock import client_of

NOVA = "us.amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
HI = [{"role": "user", "content": [{"text": "Hi"}]}]
TOOL = {"toolSpec": {"name": "read", "inputSchema": {"json": {"type": "object"}}}}
USE = {"toolUse": {"toolUseId": "a", "name": "read", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "a", "content": [{"text": "x"}]}}
POINT = {"cachePoint": {"type": "default"}}
PDF = {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"%PDF"}}}


@pytest.fixture
def bedrock():
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def client(bedrock):
    made = client_of(bedrock)
    yield made
    made.close()


def turns(*contents):
    """Return a conversation, the user's turn first."""
    return [
        {"role": "assistant" if at % 2 else "user", "content": list(content)}
        for at, content in enumerate(contents)
    ]


def test_awss_own_client_gets_an_answer(bedrock, client):
    bedrock.answer(message([thinking("Hm."), "I look.", tool_use("read", {"path": "a"})]))
    answer = client.converse(modelId=NOVA, messages=HI, toolConfig={"tools": [TOOL]})

    reasoned, said, used = answer["output"]["message"]["content"]
    assert "Hm." == reasoned["reasoningContent"]["reasoningText"]["text"]
    assert "I look." == said["text"]
    assert ("read", {"path": "a"}) == (used["toolUse"]["name"], used["toolUse"]["input"])
    assert "tool_use" == answer["stopReason"]
    assert (12, 6) == (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"])


def streamed(client, **members):
    stream = client.converse_stream(modelId=NOVA, messages=HI, **members)["stream"]
    try:
        yield from stream
    finally:
        stream.close()


def test_awss_own_client_reads_the_stream(bedrock, client):
    bedrock.answer(message(["Good morning.", tool_use("read", {"path": "a"})]).bytewise())
    events = list(streamed(client, toolConfig={"tools": [TOOL]}))

    deltas = [
        event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event
    ]
    assert "Good morning." == "".join(delta.get("text", "") for delta in deltas)
    assert '{"path":"a"}' == "".join(d["toolUse"]["input"] for d in deltas if "toolUse" in d)
    assert ["messageStart", "messageStop", "metadata"] == [
        next(iter(event)) for event in (events[0], *events[-2:])
    ]


def test_a_failure_in_the_stream_is_an_exception(bedrock, client):
    bedrock.answer(text("Good").fail("rate_limit_error", "Slow down", after_events=2))

    with pytest.raises(EventStreamError, match=r"throttlingException.*Slow down"):
        list(streamed(client))


def test_an_error_is_an_exception_of_awss(bedrock, client):
    bedrock.answer(aws_error("ThrottlingException", "Slow down"))

    with pytest.raises(ClientError, match="ThrottlingException.*Slow down"):
        client.converse(modelId=NOVA, messages=HI)


def test_awss_own_client_counts_tokens_of_a_claude(client):
    given = {"converse": {"messages": HI}}
    counted = client.count_tokens(modelId="anthropic.claude-sonnet-5", input=given)

    assert 0 < counted["inputTokens"]
    with pytest.raises(ClientError, match="doesn't support counting"):
        client.count_tokens(modelId="amazon.nova-pro-v1:0", input=given)


@pytest.mark.parametrize(
    ("model", "members", "expected"),
    [
        pytest.param("nova-pro", {}, "model identifier is invalid", id="model"),
        pytest.param(NOVA, {"messages": turns([{"text": " "}])}, "is blank", id="blank"),
        pytest.param(NOVA, {"messages": turns([])}, "is empty", id="empty"),
        pytest.param(NOVA, {"messages": HI + HI}, "must alternate", id="alternation"),
        pytest.param(
            NOVA, {"messages": turns([{"text": "a"}], [{"text": "b"}])}, "must end with", id="end"
        ),
        pytest.param(
            NOVA,
            {"messages": turns([{"text": "a"}], [USE], [RESULT])},
            "toolConfig field must be defined",
            id="no-tools",
        ),
        pytest.param(
            NOVA,
            {
                "messages": turns([{"text": "a"}], [USE], [{"text": "b"}]),
                "toolConfig": {"tools": [TOOL]},
            },
            "Expected toolResult blocks",
            id="no-result",
        ),
        pytest.param(
            NOVA,
            {"messages": turns([{"text": "a"}], [{"text": "b"}], [RESULT])},
            "exceeds the number of toolUse",
            id="no-call",
        ),
        pytest.param(NOVA, {"messages": turns([PDF])}, "must include a text", id="document-alone"),
        pytest.param(
            NOVA,
            {"messages": turns([PDF, PDF, {"text": "a"}])},
            "documents with the same name",
            id="two-documents",
        ),
        pytest.param(
            NOVA,
            {"messages": turns([{"text": "a"}, *[POINT] * 5])},
            "more than 4 cache points",
            id="cache-points",
        ),
        pytest.param(
            NOVA, {"toolConfig": {"tools": [TOOL, POINT]}}, "cache points after tools", id="after"
        ),
        pytest.param(LLAMA, {"system": [{"text": "a"}, POINT]}, "prompt caching", id="no-cache"),
        pytest.param(
            LLAMA,
            {
                "messages": turns([{"text": "a"}], [USE], [RESULT, {"text": "b"}]),
                "toolConfig": {"tools": [TOOL]},
            },
            "cannot be provided in the same turn",
            id="text-beside-results",
        ),
    ],
)
def test_what_bedrock_refuses_is_refused_in_its_words(client, model, members, expected):
    with pytest.raises(ClientError, match=expected):
        client.converse(**{"modelId": model, "messages": HI, **members})


def test_what_a_model_lacks_and_how_long_it_speaks_are_a_tests_to_say(bedrock, client):
    bedrock.lacks["test.new-v1"] = {"streamed_tools"}
    bedrock.longest["test.new-v1"] = 100
    given = {"modelId": "test.new-v1", "messages": HI, "toolConfig": {"tools": [TOOL]}}

    assert "Hello" in str(client.converse(**given))
    with pytest.raises(ClientError, match="tool use in streaming mode"):
        client.converse_stream(**given)
    with pytest.raises(ClientError, match="exceeds the model limit of 100"):
        client.converse(**given, inferenceConfig={"maxTokens": 101})
