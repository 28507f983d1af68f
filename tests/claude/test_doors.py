"""The real Claude Code in the modes that are meant for a cloud, with the proxy in its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import pytest

from llmroute.testing import (
    Answer,
    FakeBedrock,
    FakeUpstream,
    FakeVertex,
    Received,
    error,
    message,
    text,
    thinking,
    tool_use,
)
from llmroute.wire.envelope import Envelope

from .client import SESSION, Machine, Run, steady
from .gateway import MASTER_KEY, UPSTREAM_KEY, Gateway
from .journey import DONE
from .script import delegating

pytestmark = [pytest.mark.claude, pytest.mark.timeout(300)]

Environment: TypeAlias = Callable[[str], dict[str, str]]

OPUS = "us.anthropic.claude-opus-5-5"


def bedrock(url: str) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": url + "/bedrock",
        "AWS_BEARER_TOKEN_BEDROCK": MASTER_KEY,
        "AWS_REGION": "us-east-1",
    }


def signing(url: str) -> dict[str, str]:
    """Bedrock's mode with keys of Amazon's: its signature says nothing to the proxy."""
    return {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIASTRANGE",
        "AWS_SECRET_ACCESS_KEY": "strange-secret",
        "AWS_REGION": "us-east-1",
        "ANTHROPIC_CUSTOM_HEADERS": f"x-litellm-api-key: {MASTER_KEY}",
    }


def vertex(url: str) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_VERTEX": "1",
        "ANTHROPIC_VERTEX_BASE_URL": url + "/vertex/v1",
        "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
        "ANTHROPIC_AUTH_TOKEN": MASTER_KEY,
        "ANTHROPIC_VERTEX_PROJECT_ID": "strange-project",
        "CLOUD_ML_REGION": "us-east5",
    }


def foundry(url: str) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_FOUNDRY": "1",
        "ANTHROPIC_FOUNDRY_BASE_URL": url,
        "ANTHROPIC_FOUNDRY_API_KEY": MASTER_KEY,
    }


def platform_on_aws(url: str) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_ANTHROPIC_AWS": "1",
        "ANTHROPIC_AWS_BASE_URL": url,
        "ANTHROPIC_AWS_WORKSPACE_ID": "wrkspc_01",
        "ANTHROPIC_AWS_API_KEY": MASTER_KEY,
        "AWS_REGION": "us-east-1",
    }


MODES = [
    pytest.param(bedrock, id="bedrock"),
    pytest.param(signing, id="bedrock-signing"),
    pytest.param(vertex, id="vertex"),
    pytest.param(foundry, id="foundry"),
    pytest.param(platform_on_aws, id="claude-platform-on-aws"),
]


def to_anthropic(upstream: FakeUpstream) -> dict[str, Any]:
    return {"provider": "anthropic", "base_url": upstream.url, "api_key": UPSTREAM_KEY}


def to_bedrock(upstream: FakeBedrock) -> dict[str, Any]:
    return {
        "provider": "bedrock",
        "base_url": upstream.url,
        "region": upstream.region,
        "access_key_id": "AKIAFAKE",
        "secret_access_key": "fake-secret",
        "model": OPUS,
    }


def to_vertex(upstream: FakeVertex) -> dict[str, Any]:
    return {
        "provider": "vertex",
        "base_url": upstream.url,
        "project": upstream.project,
        "credentials": upstream.service_account(),
        "model": "claude-opus-5-5",
    }


class Upstream(NamedTuple):
    """One that a door may lead to."""

    fake: type[FakeUpstream]
    deployment: Callable[[Any], dict[str, Any]]


UPSTREAMS = [
    pytest.param(Upstream(FakeUpstream, to_anthropic), id="to-anthropic"),
    pytest.param(Upstream(FakeBedrock, to_bedrock), id="to-bedrock"),
    pytest.param(Upstream(FakeVertex, to_vertex), id="to-vertex"),
]


class Held(NamedTuple):
    """A conversation that was held: its last turn, and what the upstream got."""

    run: Run
    received: list[Received]


def held(
    machine: Machine,
    mode: Environment,
    upstream: Upstream,
    *answers: Answer,
    turns: tuple[tuple[str, ...], ...] = (("-p", "Say hi."),),
    key: str = MASTER_KEY,
    script: Callable[[Received], Answer] | None = None,
) -> Held:
    """Hold a conversation through the proxy; the answers are given in turn, or by a script."""
    machine.wipe()
    run = None
    with upstream.fake() as fake:
        fake.default = DONE
        left = list(answers)
        # The prompts alone have tools: at its start the client also tries which models there are.
        next_one = script or (lambda _: left.pop(0) if left else DONE)
        fake.answer_with(lambda it: next_one(it) if b'"tools":[{' in it.body else DONE)
        config = {
            "deployments": {"one": upstream.deployment(fake)},
            "aliases": {"claude-*": "one"},
            "server": {"master_key": MASTER_KEY},
        }
        with Gateway("", machine.folder, json.dumps(config)) as gateway:
            env = {n: v.replace(MASTER_KEY, key) for n, v in mode(gateway.url).items()}
            for turn in turns:
                same = ("--resume", SESSION) if run else ("--session-id", SESSION)
                run = machine.run(gateway.url, env, *turn, *same)
            assert "Traceback" not in gateway.log
            assert MASTER_KEY not in gateway.log
        received = [it for it in fake.requests if it.path not in ("/token", "/sts")]
        sent = " ".join(f"{it.path} {it.headers} {it.body!r}" for it in received)
        assert MASTER_KEY not in sent
        assert "strange" not in sent.lower()
    assert run is not None
    return Held(run, received)


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_with_a_tool(
    machine: Machine, mode: Environment, upstream: Upstream
) -> None:
    use = tool_use("Bash", {"command": "echo six times $((6 * 7))"}, id="toolu_1")
    run, received = held(
        machine,
        mode,
        upstream,
        message([thinking("A command."), "I run it.", use]),
        turns=(("-p", "Run it.", "--allowedTools", "Bash"), ("-p", "And again.")),
    )

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert 3 <= len(received)
    assert any(b"six times 42" in it.body for it in received)
    # The second turn brings the thinking back only if the answer's model was the one asked for.
    assert b'"type":"thinking"' in received[-1].body
    assert not any(b'"type":"error"' in it.sent or b'{"message"' in it.sent for it in received)


ANTHROPIC = Upstream(FakeUpstream, to_anthropic)


@pytest.mark.parametrize("mode", MODES)
def test_a_subagent_does_its_part(machine: Machine, mode: Environment) -> None:
    run, received = held(machine, mode, ANTHROPIC, script=delegating(background=False))

    assert ("All done.", 0, []) == (run.result, run.status, run.retries)
    assert any(b"I have looked." in it.body for it in received)


@pytest.mark.parametrize("mode", MODES)
def test_an_error_in_the_stream_is_recovered_from(machine: Machine, mode: Environment) -> None:
    broken = text("Hello there.").paced(0.02).fail("overloaded_error", "busy", after_events=5)
    run, received = held(machine, mode, ANTHROPIC, broken)

    assert ("All done.", 0) == (run.result, run.status)
    assert 2 <= len([it for it in received if b'"tools":[{' in it.body])


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_is_cut_is_recovered_from(machine: Machine, mode: Environment) -> None:
    run, _ = held(machine, mode, ANTHROPIC, text("Hello there.").cut(after_events=5))

    assert ("All done.", 0) == (run.result, run.status)


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_that_is_too_long_is_compacted(machine: Machine, mode: Environment) -> None:
    too_long = error(400, message="prompt is too long: 210000 tokens > 200000 maximum")
    summary = text("<analysis>Short.</analysis>\n<summary>We greeted each other.</summary>")
    run, received = held(
        machine,
        mode,
        ANTHROPIC,
        DONE,
        DONE,
        too_long,
        summary,
        turns=(("-p", "Say hi."), ("-p", "And again."), ("-p", "And once more.")),
    )

    assert "All done." == run.result
    assert b"We greeted each other." in received[-1].body


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [429, 529])
def test_a_passing_failure_is_tried_again(machine: Machine, mode: Environment, status: int) -> None:
    run, _ = held(machine, mode, ANTHROPIC, error(status))

    assert ("All done.", 1) == (run.result, len(run.retries))


@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_is_no_alias_is_told_as_such(machine: Machine, mode: Environment) -> None:
    run, received = held(
        machine, mode, ANTHROPIC, turns=(("-p", "Say hi.", "--model", "nobody-knows-it"),)
    )

    assert (1, []) == (run.status, run.retries)
    assert "nobody-knows-it" in run.result
    assert not any(b"nobody-knows-it" in it.body for it in received)


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_key_is_refused_soon(machine: Machine, mode: Environment) -> None:
    run, received = held(machine, mode, ANTHROPIC, key="sk-wrong")

    # In some modes the client looks twice whether there is another credential.
    assert (1, []) == (run.status, run.retries[2:])
    assert [] == received


def members(received: Received) -> dict[str, str]:
    """Split a body; each member is text as it came."""
    body = Envelope.parse(received.body)
    return {name: steady(bytes(body.raw(name)).decode()) for name in body}


def bearing() -> FakeBedrock:
    return FakeBedrock(api_key=MASTER_KEY)


def tokened() -> FakeVertex:
    fake = FakeVertex(project="strange-project")
    fake.tokens[MASTER_KEY] = float("inf")
    return fake


EQUALS = [
    pytest.param(bedrock, Upstream(FakeBedrock, to_bedrock), bearing, id="bedrock"),
    pytest.param(vertex, Upstream(FakeVertex, to_vertex), tokened, id="vertex"),
]


@pytest.mark.parametrize(("mode", "upstream", "itself"), EQUALS)
def test_between_equals_the_members_are_the_clients_bytes(
    machine: Machine, mode: Environment, upstream: Upstream, itself: Callable[[], FakeUpstream]
) -> None:
    use = tool_use("Bash", {"command": "echo once"}, id="toolu_1")
    answers = [message([thinking("A command."), use]), DONE]
    turn = ("-p", "Run it.", "--allowedTools", "Bash")
    _, received = held(machine, mode, upstream, *answers, turns=(turn,))

    machine.wipe()
    with itself() as fake:
        fake.answer_with(lambda it: answers.pop(0) if b'"tools":[{' in it.body else DONE)
        # What the proxy's addresses have before the platform's own.
        ours = re.compile("/bedrock$|/vertex(?=/v1$)")
        env = {name: ours.sub("", value) for name, value in mode(fake.url).items()}
        run = machine.run(fake.url, env, *turn, "--session-id", SESSION)
        straight = list(fake.requests)

    assert "All done." == run.result
    expected, actual = (
        [members(it) for it in each if b'"tools":[{' in it.body] for each in (straight, received)
    )
    assert 2 == len(expected)
    for before, after in zip(expected, actual, strict=True):
        # Betas may come in a header too, which Bedrock itself does not look at.
        listed = [json.loads(each.pop("anthropic_beta", "[]")) for each in (before, after)]
        assert set(listed[0]) <= set(listed[1])
        assert before == after


def test_tokens_are_counted_in_vertex_ais_format(machine: Machine) -> None:
    run, received = held(machine, vertex, ANTHROPIC, turns=(("-p", "/context"),))

    assert "Context Usage" in run.result
    counts = [it for it in received if it.path == "/v1/messages/count_tokens"]
    assert counts
    assert all(b"anthropic_version" not in it.body for it in counts)
