"""Recorded requests of Claude Code on every platform: the goldens, and what holds for all."""

import itertools
import json
import re

import pytest

from llmroute.platforms import ANTHROPIC, BEDROCK, FOUNDRY, VERTEX
from llmroute.testing import _bedrock_body as bedrock_body
from llmroute.testing import _vertex_body as vertex_body

from .goldens import CAPTURES, PLATFORMS, bridged, differences, golden, golden_of, outcome, recorded

# A model of each kind: new, of the time of budgets, of unknown name.
MODELS = ["claude-opus-5-5", "claude-sonnet-4-6", "claude-haiku-4-5", "prod-model"]

captures = pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
# The API itself has no goldens: there, a request to its own model is not bridged.
everywhere = pytest.mark.parametrize(
    "platform", [*PLATFORMS.values(), ANTHROPIC], ids=lambda platform: platform.name
)
platforms = pytest.mark.parametrize("name", PLATFORMS)
models = pytest.mark.parametrize("model", MODELS)
REQUESTS = [(path, request) for path in CAPTURES for request in recorded(path)]


def plain(messages):
    """Return messages in one form: Claude Code moves its cache marks, and what bears one."""
    found = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        unmarked = [{k: v for k, v in block.items() if k != "cache_control"} for block in blocks]
        found.append({**message, "content": unmarked})
    return found


def conversations(requests):
    """Yield each request with the next, where that goes on from it."""
    for earlier, later in itertools.pairwise(requests):
        before, after = (plain(request["body"]["messages"]) for request in (earlier, later))
        if before == after[: len(before)]:
            yield earlier, later


@captures
def test_a_recording_becomes_what_the_golden_says(path):
    assert json.loads(golden_of(path).read_text("utf-8")) == golden(path)


def test_every_golden_has_its_recording():
    goldens = {path.name for path in golden_of(CAPTURES[0]).parent.glob("*.json")}

    assert {path.name for path in CAPTURES} == goldens


@everywhere
@models
def test_every_change_has_a_row_in_the_losses(platform, model):
    untold = []
    for path, request in REQUESTS:
        result = bridged(request, platform, model)
        changes = differences(request["body"], json.loads(bytes(result.body)))
        told = {re.split(r"[ :]", line)[0].partition(".edits")[0] for line in result.losses}
        # `messages[1].output_config` is told as `messages[].output_config`.
        changed = {re.sub(r"\[\d+\]", "[]", place) for place in changes}
        for place in changed - {"anthropic_beta", "anthropic_version"}:
            if not any(row in place or place in row for row in told):
                untold.append((path.stem, place))

    assert [] == untold


@everywhere
@models
def test_what_was_sent_once_is_sent_the_same_on_the_next_turn(platform, model):
    for path in CAPTURES:
        for turns in conversations(recorded(path)):
            first, second = (
                json.loads(bytes(bridged(request, platform, model).body)) for request in turns
            )
            before, after = plain(first["messages"]), plain(second["messages"])

            assert before == after[: len(before)], path.stem
            assert first["system"] == second["system"], path.stem


def test_the_recordings_have_conversations():
    found = [path.stem for path in CAPTURES if list(conversations(recorded(path)))]

    assert {"tool_use", "tool_search", "subagent", "provider_bedrock"} <= set(found)


@pytest.mark.parametrize(
    ("capture", "platform"),
    [
        pytest.param("provider_bedrock", BEDROCK, id="bedrock"),
        pytest.param("provider_vertex", VERTEX, id="vertex"),
        pytest.param("provider_foundry", FOUNDRY, id="foundry"),
    ],
)
def test_what_claude_code_sends_to_a_platform_itself_stays_as_it_is(capture, platform):
    path = next(path for path in CAPTURES if path.stem == capture)
    for request in recorded(path):
        changes = outcome(request, platform)["changes"]

        # The dialect's own members are written by the provider.
        assert set() == set(changes) - {"anthropic_version", "anthropic_beta"}


@platforms
def test_every_loss_is_told_once_and_names_a_place(name):
    for path, request in REQUESTS:
        losses = bridged(request, PLATFORMS[name], "claude-haiku-4-5").losses

        assert len(set(losses)) == len(losses), path.stem
        assert all(re.match(r"[\w\[\].-]+( [\w.-]+)?: \S", line) for line in losses), path.stem


@models
def test_the_stand_ins_take_every_recording(model):
    for path, request in REQUESTS:
        on_bedrock = bridged(request, BEDROCK, f"us.anthropic.{model}")
        body = on_bedrock.body.without("model", "stream")
        # A call to count tokens has no limit, and is not an invocation.
        body = body.replace(
            anthropic_version="bedrock-2023-05-31",
            anthropic_beta=on_bedrock.betas,
            max_tokens=body.get("max_tokens", 1),
        )
        on_vertex = bridged(request, VERTEX, model)
        counting = "count" in request["path"]
        left_to_the_path = () if counting else ("model",)
        other = on_vertex.body.without(*left_to_the_path).replace(
            anthropic_version="vertex-2023-10-16", **({"model": model} if counting else {})
        )

        refusal = bedrock_body.problem_with(bytes(body), f"us.anthropic.{model}")
        problem = vertex_body.problem_with(bytes(other), set(on_vertex.betas), counting=counting)

        assert (None, None) == (refusal, problem), path.stem
