"""The request of `check --live` has the shape of those that Claude Code was recorded to send."""

import json
from pathlib import Path

import pytest

from llmroute.platforms.generations import generation_of
from llmroute_cli.client_request import client_request

CAPTURES = Path(__file__).parents[1] / "platforms" / "captures"


@pytest.mark.parametrize(
    ("capture", "model"),
    [
        pytest.param("plain", "claude-opus-5-5", id="opus-5-5"),
        pytest.param("model_claude-opus-4-8", "claude-opus-4-8", id="opus-4-8"),
        pytest.param("model_claude-sonnet-5", "claude-sonnet-5", id="sonnet-5"),
        pytest.param("model_claude-sonnet-4-6", "claude-sonnet-4-6", id="sonnet-4-6"),
        pytest.param("model_claude-haiku-4-5", "claude-haiku-4-5", id="haiku-4-5"),
        pytest.param("model_my-gateway-alias", "my-gateway-alias", id="unknown"),
    ],
)
def test_it_is_what_claude_code_sends_for_the_model(capture, model):
    recorded = json.loads((CAPTURES / f"{capture}.json").read_text("utf-8"))[0]
    request = client_request(generation_of([model]))
    headers = request.pop("headers")

    assert set(recorded["betas"][0].split(",")) == set(headers["anthropic-beta"].split(","))
    assert recorded["body"].keys() - {"model", "stream"} == request.keys()
    assert shape(recorded["body"]) == shape(request)


def shape(body):
    """Return what platforms may refuse of a request."""
    thinking = body["thinking"]
    return {
        "thinking": (thinking["type"], thinking["display"]),
        "messages": [sorted(message) for message in body["messages"]],
        "edits": body["context_management"],
        "tools": {json.dumps(sorted(tool)) for tool in body["tools"]},
        "cached": any("cache_control" in block for block in body["system"]),
    }


def test_a_model_that_does_not_think_is_asked_for_nothing_of_the_kind():
    request = client_request(generation_of(["claude-3-5-haiku-20241022"]))

    assert {"headers", "max_tokens", "messages", "metadata", "system", "tools"} == request.keys()
    assert {"anthropic-beta": "claude-code-20250219"} == request["headers"]
    assert 1 == request["max_tokens"]
