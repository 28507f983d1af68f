"""Every recorded request of Claude Code goes to every vendor, and prompts grow at the end only."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from llmroute.config import load_dict
from llmroute.messages.call import Call
from llmroute.providers import PROVIDERS
from llmroute.providers.vendors import VENDORS
from llmroute.testing._chat_body import problem_with as chat_problem
from llmroute.testing._gemini_body import problem_with as gemini_problem
from llmroute.testing._openai_body import complaint_about
from llmroute.wire.envelope import Envelope

CAPTURES = sorted((Path(__file__).parents[1] / "platforms" / "captures").glob("*.json"))
OWN: dict[str, dict[str, Any]] = {
    "openai": {"provider": "openai", "model": "gpt-5.4"},
    "openai-marked": {"provider": "openai", "model": "gpt-5.6"},
    "openai-plain": {"provider": "openai", "model": "gpt-4o"},
    "openai-chat": {"provider": "openai", "model": "gpt-5.4", "api": "chat"},
    "azure": {
        "provider": "azure_openai",
        "model": "gpt-5.2",
        "base_url": "https://acme.openai.azure.com",
    },
    "gemini-3": {"provider": "gemini", "model": "gemini-3-pro-preview"},
    "gemini-2.5": {"provider": "gemini", "model": "gemini-2.5-flash"},
    "gemini-2": {"provider": "gemini", "model": "gemini-2.0-flash"},
    "local": {"provider": "openai_compatible", "base_url": "http://localhost:8000/v1"},
}
ROWS = {
    **{
        name: {
            "provider": name,
            **({} if vendor.addresses else {"base_url": "https://account.example/v1"}),
        }
        for name, vendor in VENDORS.items()
    },
    **OWN,
}
# They hand on what they get, to Anthropic too.
GATEWAYS = {"litellm_proxy", "openrouter", "vercel_ai_gateway"}
MARKS = {"cache_control", "prompt_cache_breakpoint"}


def deployment_of(settings):
    data = {"model": "some-model", "api_key": "sk-canary-7", **settings}
    return load_dict({"deployments": {"d": data}, "aliases": {"*": "d"}}, {}).deployments["d"]


def recordings():
    for path in CAPTURES:
        found = json.loads(path.read_text("utf-8"))
        yield [each["body"] for each in found if "count" not in each["path"]]


def sent(deployment, body):
    call = Call(Envelope.of(body), "claude-opus-5-5", stream=body.get("stream") is True)
    request = PROVIDERS[deployment.provider].prepare(call, deployment, deployment.model)
    return b"".join(request.body)


def complaint(deployment, body):
    if b'"contents"' in body:
        version = (3, 0) if "-3" in deployment.model else (2, 5 if ".5" in deployment.model else 0)
        return gemini_problem(json.loads(body), version, {})
    if deployment.provider == "openai" and deployment.api == "responses":
        return complaint_about(json.loads(body), {}, counting=False)
    if deployment.provider == "anthropic_compatible":
        return None
    return chat_problem(body)


def messages_of(body):
    return next(body[name] for name in ("messages", "input", "contents") if name in body)


def unmarked(value):
    """Leave out cache marks; a single text says the same with and without a list around it."""
    if isinstance(value, dict):
        return {name: unmarked(each) for name, each in value.items() if name not in MARKS}
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], dict) and value[0].get("type") == "text":
            return value[0]["text"]
        return [unmarked(each) for each in value]
    return value


@pytest.mark.parametrize("settings", ROWS.values(), ids=ROWS.keys())
def test_what_claude_code_sends_is_taken(settings):
    deployment = deployment_of(settings)
    bodies = [body for recording in recordings() for body in recording]

    assert len(bodies) > 50
    for body in bodies:
        assert complaint(deployment, sent(deployment, body)) is None


@pytest.mark.parametrize("settings", ROWS.values(), ids=ROWS.keys())
def test_the_prompt_of_a_turn_begins_with_that_of_the_turn_before(settings):
    deployment = deployment_of(settings)
    compared = 0
    for recording in recordings():
        for before, after in itertools.pairwise(recording):
            shorter, longer = unmarked(before["messages"]), unmarked(after["messages"])
            if not isinstance(longer, list) or len(shorter) >= len(longer):
                continue
            if shorter != longer[: len(shorter)]:
                continue
            first, then = (
                unmarked(messages_of(json.loads(sent(deployment, each))))
                for each in (before, after)
            )
            compared += 1
            assert first == then[: len(first)]

    assert compared > 2


@pytest.mark.parametrize("settings", ROWS.values(), ids=ROWS.keys())
def test_who_asks_is_nobodys_business_and_keys_are_in_no_body(settings):
    deployment = deployment_of(settings)
    for recording in recordings():
        for body in recording:
            written = sent(deployment, body)
            if settings["provider"] not in GATEWAYS:
                assert b"x-anthropic-billing-header" not in written
            assert b"sk-canary-7" not in written
