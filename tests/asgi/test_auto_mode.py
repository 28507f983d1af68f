"""Verdicts on tool calls through every door that has Messages behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from tests.asgi.conftest import MASTER_KEY, UPSTREAM_KEY, Gateway

from llmroute.testing import Answer, FakeChat, FakeUpstream, message, tool_use

Serve = Callable[[dict[str, Any]], Gateway]

OPUS = "claude-opus-5-5"
ASKING: dict[str, Any] = {
    "model": OPUS,
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Tidy up."}],
    "extra_body": {"safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}]},
    "extra_headers": {"anthropic-beta": "dangerous-tool-use-2026-09-03"},
}
CALLS = message([tool_use("Bash", {"command": c}, id=f"call_{c}") for c in ("ls", "rm")])
VERDICTS: Answer = tool_use(
    "verdicts",
    {
        "verdicts": [
            {"number": 1, "explanation": "It looks.", "outcome": "not_flagged"},
            {"number": 2, "explanation": "It deletes.", "outcome": "flagged"},
        ]
    },
)
JUDGED = {
    "call_ls": {"type": "evaluated", "outcome": "not_flagged"},
    "call_rm": {"type": "evaluated", "outcome": "flagged", "explanation": "It deletes"},
}


def direct(url: str) -> Any:
    return anthropic.Anthropic(base_url=url, api_key=MASTER_KEY, max_retries=0)


def anthropic_prefix(url: str) -> Any:
    return direct(f"{url}/anthropic")


def bedrock(url: str) -> Any:
    return anthropic.AnthropicBedrock(
        base_url=f"{url}/bedrock", api_key=MASTER_KEY, aws_region="us-east-1", max_retries=0
    )


def vertex(url: str) -> Any:
    return anthropic.AnthropicVertex(
        base_url=f"{url}/v1",
        access_token=MASTER_KEY,
        project_id="any",
        region="us-east5",
        max_retries=0,
    )


def foundry(url: str) -> Any:
    return anthropic.AnthropicFoundry(
        base_url=f"{url}/anthropic", api_key=MASTER_KEY, max_retries=0
    )


DOORS = [
    pytest.param(direct, OPUS, id="messages"),
    pytest.param(anthropic_prefix, OPUS, id="anthropic"),
    pytest.param(bedrock, f"us.anthropic.{OPUS}", id="bedrock"),
    pytest.param(vertex, OPUS, id="vertex"),
    pytest.param(foundry, OPUS, id="foundry"),
]


@pytest.fixture
def worker() -> Iterator[FakeChat]:
    with FakeChat(api_key=UPSTREAM_KEY) as fake:
        yield fake


def config_for(worker: FakeChat, judge: FakeUpstream, **server: Any) -> dict[str, Any]:
    return {
        "deployments": {
            "worker": {
                "provider": "openai_compatible",
                "base_url": worker.url,
                "api_key": UPSTREAM_KEY,
                "model": "qwen",
            },
            "judge": {"provider": "anthropic", "base_url": judge.url, "api_key": UPSTREAM_KEY},
        },
        "aliases": {"claude-opus-*": "worker", "judge": "judge"},
        "routing": {"safeguards": {"classifier": "judge"}},
        "server": {"master_key": MASTER_KEY, **server},
    }


def verdicts(holder: Any) -> Any:
    (result,) = holder.model_extra["safeguard_results"]
    return result["status"]["tool_uses"]


@pytest.mark.parametrize(("client", "model"), DOORS)
def test_the_verdicts_come_through_every_door(
    worker: FakeChat,
    upstream: FakeUpstream,
    serve: Serve,
    client: Callable[[str], Any],
    model: str,
) -> None:
    worker.answer(CALLS, CALLS)
    upstream.answer(VERDICTS, VERDICTS)
    gateway = serve(config_for(worker, upstream))
    asking = ASKING | {"model": model}
    with client(gateway.url) as sdk:
        whole = sdk.messages.create(**asking)
        events = list(sdk.messages.create(**asking, stream=True))
    (delta,) = (event.delta for event in events if event.type == "message_delta")

    assert [JUDGED] * 2 == [verdicts(whole), verdicts(delta)]
    assert "message_stop" == events[-1].type
    assert all(b"safeguards" not in received.body for received in worker.requests)


def test_the_client_is_pinged_while_the_classifier_thinks(
    worker: FakeChat, upstream: FakeUpstream, serve: Serve
) -> None:
    worker.answer(CALLS)
    upstream.answer(VERDICTS.stall(0))
    gateway = serve(config_for(worker, upstream, ping_after=0.05))
    body = {name: value for name, value in ASKING.items() if not name.startswith("extra")}
    asking = body | ASKING["extra_body"] | {"stream": True}
    pinged = False
    seen: list[str] = []
    with gateway.http.stream("POST", "/v1/messages", json=asking) as reply:
        for line in reply.iter_lines():
            if not line.startswith("event: "):
                continue
            seen.append(line.removeprefix("event: "))
            if seen[-1] == "ping" and upstream.requests and not pinged:
                pinged = True
                upstream.release()

    assert pinged, seen
    assert ["message_delta", "message_stop"] == seen[-2:]
