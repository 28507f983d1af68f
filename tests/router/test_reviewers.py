"""Who judges tool calls, as it is told before anything is sent."""

from typing import Any

import pytest

from llmroute import Config, Router
from llmroute.config import load_dict
from llmroute.messages.call import Call
from llmroute.router.reviewers import NOBODY, judges
from llmroute.testing import Clock
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

KEY = {"api_key": "k"}
DEPLOYMENTS: dict[str, Any] = {
    "claude": {"provider": "anthropic", **KEY},
    "amazon": {"provider": "bedrock", "region": "eu-west-1", **KEY},
    "nova": {"provider": "bedrock", "region": "eu-west-1", "model": "amazon.nova-pro-v1:0", **KEY},
    "gpt": {"provider": "openai", "model": "gpt-6", **KEY},
    "gemini": {"provider": "gemini", "model": "gemini-3-pro", **KEY},
    "chat": {
        "provider": "openai_compatible",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "qwen",
        **KEY,
    },
    "kimi": {"provider": "moonshot", "model": "kimi-k2.5", **KEY},
    "proxied": {"provider": "anthropic", "base_url": "http://127.0.0.1:9", **KEY},
    "router": {"provider": "openrouter", "model": "z-ai/glm-5", **KEY},
}
OTHERS = ["nova", "gpt", "gemini", "chat", "kimi"]


def config_for(aliases: dict[str, Any], **routing: Any) -> Config:
    return load_dict({"deployments": DEPLOYMENTS, "aliases": aliases, "routing": routing}, {})


def judged_by(classifier: str, *deployments: str, **settings: Any) -> dict[str, Any]:
    return {
        "deployments": list(deployments),
        "safeguards": {"classifier": classifier},
        **settings,
    }


FOUND = [
    pytest.param({"claude-*": ["claude", "amazon"]}, {}, {}, id="claude-alone"),
    pytest.param({"a": "router", "b": "proxied"}, {}, {}, id="who-may-hand-it-on-to-claude"),
    pytest.param({name: name for name in OTHERS}, {}, {NOBODY: OTHERS}, id="all-others"),
    pytest.param({"a": ["claude", "gpt"], "b": "claude"}, {}, {NOBODY: ["a"]}, id="one-of-several"),
    pytest.param(
        {
            "a": {"deployments": "claude", "fallbacks": ["b"]},
            "b": judged_by("j", "gpt"),
            "j": "gpt",
        },
        {},
        {"j": ["a", "b"]},
        id="the-classifier-of-a-fallback-and-no-word-of-itself",
    ),
    pytest.param(
        {"a": {"deployments": "claude", "when_too_long": ["b"]}, "b": "gpt"},
        {},
        {NOBODY: ["a", "b"]},
        id="one-that-stands-by",
    ),
    pytest.param({"a": {"deployments": "gpt", "hidden": True}}, {}, {}, id="hidden"),
    pytest.param(
        {"a": "gpt", "b": judged_by("b", "chat"), "j": "claude"},
        {"safeguards": {"classifier": "j"}},
        {"j": ["a"], "b": ["b"]},
        id="for-all",
    ),
]


@pytest.mark.parametrize(("aliases", "routing", "expected"), FOUND)
def test_the_aliases_that_need_a_classifier(
    aliases: dict[str, Any], routing: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    assert expected == judges(config_for(aliases, **routing))


BODY = {
    "model": "opus",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
    "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}],
}
ELSE = "the upstream; if it does not, j, within 20 s"
EXPLAINED = [
    pytest.param("claude", True, "the upstream", id="claude"),
    pytest.param("gpt", False, "nobody, and the answer says so", id="nobody"),
    pytest.param("gpt", True, "j, within 20 s", id="a-classifier"),
    pytest.param("router", False, "the upstream, if it does", id="perhaps"),
    pytest.param("router", True, ELSE, id="a-gateway-else-a-classifier"),
    pytest.param("proxied", True, ELSE, id="an-address-else-a-classifier"),
]


@pytest.mark.parametrize(("deployment", "judged", "expected"), EXPLAINED)
async def test_it_is_explained(deployment: str, judged: bool, expected: str) -> None:
    opus = judged_by("j", deployment) if judged else deployment
    config = config_for({"opus": opus, "j": "claude"})
    async with Router(config, transport=DirectTransport(), clock=Clock()) as router:
        (asking,) = (await router.explain(Call(Envelope.of(BODY), "opus"))).prospects
        plain = {name: value for name, value in BODY.items() if name != "safeguards"}
        (unasked,) = (await router.explain(Call(Envelope.of(plain), "opus"))).prospects

    assert (expected, "") == (asking.reviewed_by, unasked.reviewed_by)
