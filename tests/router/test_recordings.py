"""Every recorded request of Claude Code is one that Vertex AI and Foundry take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmroute
from llmroute.messages.call import Call
from llmroute.testing import FakeFoundry, FakeVertex
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

CAPTURES = Path(__file__).parents[1] / "platforms" / "captures"
# The others are of Claude Code when it believes to talk to Bedrock or to Vertex AI itself.
RECORDINGS = sorted({*CAPTURES.glob("*.json")} - {*CAPTURES.glob("provider_[bv]*.json")})


@pytest.fixture(scope="module")
def vertex() -> Iterator[FakeVertex]:
    with FakeVertex() as fake:
        fake.service_account()
        yield fake


@pytest.fixture(scope="module")
def foundry() -> Iterator[FakeFoundry]:
    with FakeFoundry() as fake:
        yield fake


@pytest.fixture(scope="module")
def configs(vertex: FakeVertex, foundry: FakeFoundry) -> dict[str, dict[str, Any]]:
    """Return a configuration for each platform; names that are no model's are one model there."""
    platforms: dict[str, dict[str, Any]] = {
        "vertex": {"base_url": vertex.url, "credentials": vertex.service_account()},
        "foundry": {"base_url": foundry.url, "api_key": "fake-key"},
    }
    found = {}
    for name, settings in platforms.items():
        deployment = {"provider": name, **settings}
        found[name] = {
            "deployments": {
                "as-asked": deployment,
                "opus": {**deployment, "model": "claude-opus-5-5"},
            },
            "aliases": {"claude-*": "as-asked", "*": "opus"},
        }
    return found


def call_of(recorded: dict[str, Any]) -> Call:
    body = recorded["body"]
    headers = [(b"anthropic-beta", value.encode()) for value in recorded["betas"]]
    return Call(
        Envelope.of(body),
        body.get("model", "claude-opus-5-5"),
        stream=body.get("stream") is True,
        endpoint="count_tokens" if "count_tokens" in recorded["path"] else "messages",
        headers=headers,
    )


def requests_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return found


def test_there_are_recordings() -> None:
    assert RECORDINGS


@pytest.mark.parametrize("platform", ["vertex", "foundry"])
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
async def test_the_platform_takes_it(
    configs: dict[str, dict[str, Any]], path: Path, platform: str
) -> None:
    config, transport = configs[platform], DirectTransport()
    async with llmroute.Router.from_dict(config, transport=transport) as router:
        for recorded in requests_of(path):
            answer = await router.send(call_of(recorded))
            while await answer.receive():
                pass
            await answer.aclose()

            assert 200 == answer.head.status
