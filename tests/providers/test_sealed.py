"""Reasoning of other vendors' models never reaches an upstream that is Claude's."""

import json

import pytest

from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.translate.reasoning import seal
from llmroute.wire.envelope import Envelope

SEALED = {"type": "thinking", "thinking": "hm", "signature": seal("openai", "gpt-6", {"id": "r"})}
OWN = {"type": "thinking", "thinking": "ah", "signature": "EqQB"}
SAID = {"type": "text", "text": "Yes."}
NATIVE = [
    pytest.param("anthropic", {"api_key": "k"}, id="anthropic"),
    pytest.param("bedrock", {"region": "us-east-1"}, id="invoke"),
    pytest.param("bedrock", {"region": "us-east-1", "surface": "messages"}, id="mantle"),
    pytest.param(
        "bedrock",
        {"region": "us-east-1", "surface": "claude_platform", "workspace_id": "wrkspc_1"},
        id="claude-platform",
    ),
    pytest.param(
        "foundry", {"base_url": "https://acme.services.ai.azure.com", "api_key": "k"}, id="foundry"
    ),
    pytest.param("vertex", {"project": "p", "location": "global"}, id="vertex"),
    pytest.param(
        "vertex",
        {"project": "p", "location": "global", "surface": "messages", "workspace_id": "wrkspc_1"},
        id="claude-on-google-cloud",
    ),
]


def sent(provider, settings, content):
    messages = [
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "Go on."},
    ]
    body = {"model": "claude-opus-4-6", "max_tokens": 9, "messages": messages}
    row = PROVIDERS[provider]
    call = Call(Envelope.of(body), "claude-opus-4-6")
    deployment = row.deployment(provider=provider, **settings)
    model = "anthropic.claude-opus-4-6-v1:0" if provider == "bedrock" else "claude-opus-4-6"
    return json.loads(b"".join(row.prepare(call, deployment, model).body))["messages"]


@pytest.mark.parametrize(("provider", "settings"), NATIVE)
def test_it_is_left_out_and_claudes_own_is_kept(provider, settings):
    messages = sent(provider, settings, [SEALED, OWN, SAID])

    assert [OWN, SAID] == messages[1]["content"]


@pytest.mark.parametrize(("provider", "settings"), NATIVE)
def test_a_message_that_was_nothing_else_goes(provider, settings):
    messages = sent(provider, settings, [SEALED])

    assert ["user", "user"] == [message["role"] for message in messages]


def test_without_it_the_body_is_the_very_buffer_that_came_in():
    body = b'{"model": "m",  "max_tokens":1,"messages":[]}'
    row = PROVIDERS["anthropic"]

    request = row.prepare(Call(Envelope.parse(body), "m"), row.deployment(), "m")

    [piece] = request.body
    assert piece is body
