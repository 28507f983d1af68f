"""The real Claude Code, whose trace goes on in ours."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.observe.collector import collecting, plain

from llmroute.testing import FakeUpstream

from .client import SESSION, Machine
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway

pytestmark = [pytest.mark.claude, pytest.mark.timeout(240)]

TRACED = {
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
    "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
    "CLAUDE_CODE_PROPAGATE_TRACEPARENT": "1",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}


@pytest.fixture
def upstream(machine: Machine) -> Iterator[FakeUpstream]:
    machine.wipe()
    with FakeUpstream(api_key=UPSTREAM_KEY) as fake:
        fake.default = "All done."
        yield fake


def test_its_trace_goes_on_in_ours(machine: Machine, upstream: FakeUpstream) -> None:
    account = {"provider": "anthropic", "base_url": upstream.url, "api_key": UPSTREAM_KEY}
    with collecting() as collector:
        config = {
            "deployments": {"one": account},
            "aliases": {"claude-*": "one"},
            "server": {"master_key": MASTER_KEY},
            "database": "none",
            "telemetry": {"endpoint": collector.url, "metrics": False},
        }
        with Gateway("", machine.folder, json.dumps(config)) as gateway:
            env = {
                "ANTHROPIC_AUTH_TOKEN": MASTER_KEY,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                **TRACED,
            }
            hi = ("-p", "Say hi.", "--session-id", SESSION)
            done = machine.run(gateway.url, env, *hi, seconds=100.0)
        assert 0 == done.status

    spans = {span.span_id: span for span in collector.spans}
    ours = [span for span in spans.values() if span.name == "messages claude-*"]
    (call, *_) = [span for span in ours if span.parent_span_id]
    parent = spans[call.parent_span_id]

    assert parent.name.startswith("claude_code.")
    assert parent.trace_id == call.trace_id
    assert SESSION == plain(call.attributes)["gen_ai.conversation.id"]
    attempts = [span for span in spans.values() if span.parent_span_id == call.span_id]
    assert ["one"] == [plain(span.attributes)["llmroute.deployment"] for span in attempts]
