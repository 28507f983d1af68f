"""Verdicts on tool calls for upstreams that give none: asked for, waited for, never made up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import pytest

import llmroute
import llmroute.sync
from llmroute.messages.call import Call
from llmroute.testing import (
    Answer,
    FakeChat,
    FakeUpstream,
    Received,
    error,
    events,
    message,
    text,
    tool_use,
)
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

BETAS = {"anthropic-beta": "dangerous-tool-use-2026-09-03"}
CONTEXT = {"v": 1, "permission_mode": "auto", "live_cwd": "/srv/work", "rules": {"deny": ["Rm"]}}
ASKING: dict[str, Any] = {
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Tidy up."}],
    "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
    "safeguards": [{"type": "dangerous_tool_use", "classifier_context": CONTEXT}],
    "headers": BETAS,
}
LISTS = tool_use("Bash", {"command": "ls"}, id="call_a")
REMOVES = tool_use("Bash", {"command": "rm -rf /srv"}, id="call_b")
BOTH = message(["I tidy up.", LISTS, REMOVES])

NOT_FLAGGED = {"type": "evaluated", "outcome": "not_flagged"}
UNSUPPORTED = [{"type": "dangerous_tool_use", "status": {"type": "unsupported"}}]


def verdicts(*given: tuple[int, str, str]) -> Answer:
    listed = [{"number": n, "outcome": outcome, "explanation": why} for n, outcome, why in given]
    return tool_use("verdicts", {"verdicts": listed})


MIXED = verdicts((1, "not_flagged", "It looks."), (2, "flagged", "It deletes everything."))


def flagged(explanation: str) -> dict[str, str]:
    return {"type": "evaluated", "outcome": "flagged", "explanation": explanation}


def unavailable(reason: str) -> dict[str, str]:
    return {"type": "unavailable", "reason": reason}


def available(tool_uses: Mapping[str, Any]) -> list[dict[str, Any]]:
    status = {"type": "available", "tool_uses": tool_uses}
    return [{"type": "dangerous_tool_use", "status": status}]


JUDGED = available({"call_a": NOT_FLAGGED, "call_b": flagged("It deletes everything")})


class Place:
    """A model behind Chat Completions, and a classifier of Anthropic's."""

    def __init__(self, worker: FakeChat, judge: FakeUpstream) -> None:
        self.worker = worker
        self.judge = judge
        self.records: list[llmroute.Record] = []

    def record(self, record: llmroute.Record) -> None:
        self.records.append(record)

    def config(
        self, judged: Any = "judge", *, timeout: float = 20.0, **settings: Any
    ) -> dict[str, Any]:
        worker = {
            "provider": "openai_compatible",
            "base_url": self.worker.url,
            "api_key": "fake-key",
            "model": "qwen",
            **settings,
        }
        judge = {"provider": "anthropic", "base_url": self.judge.url, "api_key": "k"}
        own = {"safeguards": {"classifier": judged, "timeout": timeout}} if judged else {}
        return {
            "deployments": {"worker": worker, "judge": judge},
            "aliases": {"opus": {"deployments": "worker", **own}, "judge": "judge"},
            "routing": {"retries": 0},
        }

    def router(self, config: dict[str, Any] | None = None) -> llmroute.Router:
        return llmroute.Router.from_dict(
            config or self.config(), transport=DirectTransport(), observers=[self]
        )

    async def answered(self, config: dict[str, Any] | None = None, **members: Any) -> Any:
        async with self.router(config) as router:
            return await router.complete(model="opus", **(ASKING | members))

    async def streamed(self, config: dict[str, Any] | None = None, **members: Any) -> Any:
        async with (
            self.router(config) as router,
            router.stream(model="opus", **(ASKING | members)) as stream,
        ):
            return await stream.message()


@pytest.fixture
def place() -> Iterator[Place]:
    with FakeChat(api_key="fake-key") as worker, FakeUpstream() as judge:
        yield Place(worker, judge)


WAYS = [pytest.param(Place.answered, id="whole"), pytest.param(Place.streamed, id="streamed")]


@pytest.mark.parametrize("way", WAYS)
async def test_tool_calls_are_judged_by_the_classifier(place: Place, way: Any) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(MIXED)
    answer = await way(place)
    asked = place.judge.requests[0].json
    material = asked["messages"][0]["content"]

    assert JUDGED == answer.data["safeguard_results"]
    assert ["call_a", "call_b"] == [use["id"] for use in answer.tool_uses]
    assert "tool_use" == answer.stop_reason
    assert b"safeguards" not in place.worker.requests[0].body
    assert {"type": "tool", "name": "verdicts"} == asked["tool_choice"]
    assert "safeguards" not in asked
    assert '{"number":2,"tool":"Bash","input":{"command":"rm -rf /srv"}}' in material
    assert '{"from":"user","text":"Tidy up."}' in material
    assert '"deny":["Rm"]' in material


@pytest.mark.parametrize("way", WAYS)
async def test_the_classifiers_call_is_noted_as_one_of_its_own(place: Place, way: Any) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(MIXED)
    await way(place, session="a-session")
    own, judges = place.records

    assert [("opus", ""), ("judge", "classifier")] == [(r.alias, r.agent) for r in (own, judges)]
    assert ["answered"] * 2 == [own.outcome, judges.outcome]
    assert own.usage.output_tokens
    assert judges.usage.output_tokens
    assert "a-session" == judges.session
    assert own.first_byte is not None


@pytest.mark.parametrize("way", WAYS)
async def test_without_a_tool_call_nobody_is_asked(place: Place, way: Any) -> None:
    place.worker.answer("Done.")
    answer = await way(place)

    assert available({}) == answer.data["safeguard_results"]
    assert [] == place.judge.requests


@pytest.mark.parametrize("way", WAYS)
async def test_without_a_classifier_the_client_is_told_so(place: Place, way: Any) -> None:
    place.worker.answer(BOTH)
    answer = await way(place, place.config(None))

    assert UNSUPPORTED == answer.data["safeguard_results"]


@pytest.mark.parametrize("way", WAYS)
async def test_nobody_is_told_anything_unasked(place: Place, way: Any) -> None:
    place.worker.answer(BOTH)
    answer = await way(place, safeguards=[{"type": "of_tomorrow"}])

    assert "safeguard_results" not in answer.data
    assert [] == place.judge.requests


async def test_a_kind_that_is_not_known_is_unsupported(place: Place) -> None:
    place.worker.answer("Done.")
    asking = [*ASKING["safeguards"], {"type": "of_tomorrow"}]
    answer = await place.answered(safeguards=asking)

    assert [*available({}), {"type": "of_tomorrow", "status": {"type": "unsupported"}}] == (
        answer.data["safeguard_results"]
    )


TOO_LONG = error(400, message="prompt is too long: 210000 tokens > 200000 maximum")
FAILURES = [
    pytest.param([text("I would rather not say.")], "error", id="prose"),
    pytest.param([error(500)], "error", id="a-fault"),
    pytest.param([error(401)], "error", id="a-wrong-key"),
    pytest.param([error(400), error(400)], "error", id="rejected-twice"),
    pytest.param([TOO_LONG], "input_too_long", id="too-long"),
    pytest.param([message(["No."], stop_reason="refusal")], "refused", id="refused"),
    pytest.param([text("Well.").stall(0)], "timeout", id="no-answer-in-time"),
    pytest.param([text("Well.").drop()], "error", id="no-connection"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("answers", "reason"), FAILURES)
async def test_without_a_verdict_nothing_is_let_pass(
    place: Place, answers: list[Answer], reason: str, way: Any
) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(*answers)
    timeout = 0.3 if reason == "timeout" else 20.0
    answer = await way(place, place.config(timeout=timeout))

    expected = available(dict.fromkeys(("call_a", "call_b"), unavailable(reason)))
    assert expected == answer.data["safeguard_results"]
    assert "I tidy up." == answer.text


async def test_a_call_the_classifier_passes_over_has_no_verdict(place: Place) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(verdicts((1, "not_flagged", "It looks."), (7, "not_flagged", "Invented.")))
    answer = await place.answered()

    assert (
        available({"call_a": NOT_FLAGGED, "call_b": unavailable("error")})
        == (answer.data["safeguard_results"])
    )


async def test_a_model_that_cannot_be_made_to_call_a_tool_is_asked_in_words(place: Place) -> None:
    refusal = error(400, message="tool_choice: thinking models do not take it")
    said = '```json\n{"verdicts": {"1": "not_flagged", "2": {"flagged": true}}}\n```'
    place.worker.answer(BOTH)
    place.judge.answer(refusal, said)
    answer = await place.answered()
    status = answer.data["safeguard_results"][0]["status"]["tool_uses"]

    assert ["not_flagged", "flagged"] == [status[i]["outcome"] for i in ("call_a", "call_b")]
    assert status["call_b"]["explanation"]
    assert not {"tools", "tool_choice", "thinking"} & place.judge.requests[1].json.keys()


async def test_a_call_that_was_cut_short_is_not_judged(place: Place) -> None:
    place.worker.answer(message([LISTS, REMOVES], stop_reason="max_tokens"))
    place.judge.answer(verdicts((1, "not_flagged", "It looks.")))
    answer = await place.streamed()

    assert (
        available({"call_a": NOT_FLAGGED, "call_b": unavailable("truncated")})
        == (answer.data["safeguard_results"])
    )


async def test_everything_but_the_end_passes_before_the_verdict(place: Place) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(MIXED.stall(0))
    seen: list[str] = []
    async with (
        place.router() as router,
        router.stream(model="opus", **ASKING) as stream,
        anyio.create_task_group() as tasks,
    ):

        async def release() -> None:
            await place.judge.awaited(1)
            early = list(seen)
            place.judge.release()
            assert "content_block_stop" == early[-1]
            assert not {"message_delta", "message_stop"} & set(early)

        tasks.start_soon(release)
        async for event in stream:
            seen.append(event.type)

    assert ["message_delta", "message_stop"] == seen[-2:]


async def test_a_caller_that_leaves_takes_the_classifiers_call_along(place: Place) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(MIXED.stall(0))

    async def ask(router: llmroute.Router) -> None:
        await router.complete(model="opus", **ASKING)

    async with place.router() as router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, router)
            await place.judge.awaited(1)
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(place.judge.requests[0].wait_closed)

    assert ["answered", "cancelled"] == [record.outcome for record in place.records]


async def test_a_deployment_with_room_for_one_call_can_judge_itself(place: Place) -> None:
    place.worker.answer(BOTH, verdicts((1, "flagged", "No."), (2, "flagged", "No.")))
    config = place.config("opus", max_parallel_requests=1)
    answer = await place.streamed(config)

    expected = available(dict.fromkeys(("call_a", "call_b"), flagged("No")))
    assert expected == answer.data["safeguard_results"]
    assert 2 == len(place.worker.requests)


async def test_a_broken_answer_is_not_judged(place: Place) -> None:
    place.worker.answer(BOTH.cut(after_events=5))
    with pytest.raises(llmroute.UpstreamError):
        await place.streamed()

    assert [] == place.judge.requests


async def test_what_is_nested_too_deeply_is_not_judged(place: Place) -> None:
    place.worker.default, place.judge.default = BOTH, MIXED
    body = json.dumps({"model": "opus", **ASKING, "safeguards": ["here"]}).encode()
    failed = available(dict.fromkeys(("call_a", "call_b"), unavailable("error")))
    async with place.router() as router:
        for depth in (900, *range(950, 1000, 5)):
            context = b'{"a":' * depth + b"1" + b"}" * depth
            wanted = b'{"type":"dangerous_tool_use","classifier_context":%s}' % context
            with contextlib.suppress(llmroute.RequestError, llmroute.UntranslatableError):
                call = Call(Envelope.parse(body.replace(b'"here"', wanted)), "opus")
                answer = await router.send(call)
                assert json.loads(answer.body)["safeguard_results"] in (JUDGED, failed)


async def test_a_default_for_all_aliases(place: Place) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(MIXED)
    config = place.config(None)
    config["routing"]["safeguards"] = {"classifier": "judge"}
    answer = await place.answered(config)

    assert JUDGED == answer.data["safeguard_results"]


async def test_the_alias_that_was_fallen_back_to_has_it_judged(place: Place) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(error(529), MIXED)
    config = place.config()
    config["aliases"]["opus"]["deployments"] = "judge"
    config["aliases"]["opus"].pop("safeguards")
    config["aliases"]["opus"]["fallbacks"] = ["other"]
    config["aliases"]["other"] = {"deployments": "worker", "safeguards": {"classifier": "judge"}}
    config["routing"]["cooldown"] = 0
    answer = await place.answered(config)

    assert ("worker", JUDGED) == (answer.deployment, answer.data["safeguard_results"])


async def test_another_agent_is_not_the_user(place: Place) -> None:
    place.worker.answer(BOTH)
    place.judge.answer(MIXED)
    members = {name: value for name, value in ASKING.items() if name != "headers"}
    body = Envelope.of({"model": "opus", **members})
    async with place.router() as router:
        answer = await router.send(Call(body, "opus", agent="a1234"))
        await answer.aclose()
    material = place.judge.requests[0].json["messages"][0]["content"]

    assert '{"from":"task","text":"Tidy up."}' in material
    assert '"from":"user"' not in material


def own_verdict(outcome: str) -> Answer:
    """Answer as an upstream does that judges, or says it does."""
    results = available({"call_a": {"type": "evaluated", "outcome": outcome}})
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    tool = {"type": "tool_use", "id": "call_a", "name": "Bash", "input": {}}
    piece = {"type": "input_json_delta", "partial_json": '{"command": "ls"}'}
    delta = {"stop_reason": "tool_use", "stop_sequence": None, "safeguard_results": results}
    usage = {"input_tokens": 12, "output_tokens": 6}
    return events(
        [
            {"type": "message_start", "message": {**start, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": tool},
            {"type": "content_block_delta", "index": 0, "delta": piece},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": delta, "usage": usage},
            {"type": "message_stop"},
        ]
    )


OWN = [
    pytest.param({"provider": "anthropic"}, "not_flagged", id="anthropic"),
    pytest.param({"provider": "openrouter"}, "not_flagged", id="hands-it-on"),
    pytest.param({"provider": "deepseek"}, "flagged", id="was-not-asked"),
    pytest.param(
        {"provider": "bedrock", "surface": "messages", "drop_members": ["safeguards"]},
        "flagged",
        id="left-out",
    ),
]


@pytest.mark.parametrize(("settings", "outcome"), OWN)
async def test_who_was_asked_is_believed(
    place: Place, settings: dict[str, Any], outcome: str
) -> None:
    place.judge.answer(verdicts((1, "flagged", "No.")))
    with FakeUpstream() as upstream:
        upstream.answer(own_verdict("not_flagged"))
        config = place.config()
        key = {"base_url": upstream.url, "api_key": "k", "model": "claude-opus-4-5"}
        config["deployments"]["worker"] = {**key, **settings}
        if settings["provider"] == "bedrock":
            config["deployments"]["worker"]["region"] = "us-east-1"
        answer = await place.streamed(config)
        received: Received = upstream.requests[0]
    status = answer.data["safeguard_results"][0]["status"]

    assert outcome == status["tool_uses"]["call_a"]["outcome"]
    assert (outcome == "not_flagged") == (b'"safeguards"' in received.body)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", ["openrouter", "anthropic"])
async def test_a_gateway_that_does_not_judge_is_made_up_for(
    place: Place, provider: str, way: Any
) -> None:
    place.judge.answer(verdicts((1, "flagged", "No.")))
    with FakeUpstream() as upstream:
        upstream.answer(tool_use("Bash", {"command": "ls"}, id="call_a"))
        account = {"provider": provider, "base_url": upstream.url, "api_key": "k"}
        config = place.config()
        config["deployments"]["worker"] = account
        answer = await way(place, config)

    assert available({"call_a": flagged("No")}) == answer.data["safeguard_results"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", ["openrouter", "anthropic"])
async def test_of_a_gateway_nothing_is_said_without_a_classifier(
    place: Place, provider: str, way: Any
) -> None:
    with FakeUpstream() as upstream:
        upstream.answer(tool_use("Bash", {"command": "ls"}, id="call_a"))
        account = {"provider": provider, "base_url": upstream.url, "api_key": "k"}
        config = place.config(None)
        config["deployments"]["worker"] = account
        answer = await way(place, config)

    assert "safeguard_results" not in answer.data


def test_without_an_event_loop() -> None:
    with FakeChat(api_key="fake-key") as worker, FakeUpstream() as judge:
        place = Place(worker, judge)
        worker.answer(BOTH, BOTH)
        judge.answer(MIXED, MIXED)
        with llmroute.sync.Router.from_dict(place.config()) as router:
            whole = router.complete(model="opus", **ASKING)
            with router.stream(model="opus", **ASKING) as stream:
                streamed = stream.message()

    assert [JUDGED] * 2 == [a.data["safeguard_results"] for a in (whole, streamed)]
    assert json.dumps(whole.data["content"]) == json.dumps(streamed.data["content"])


async def test_a_classifier_behind_chat_completions(place: Place) -> None:
    place.worker.answer(BOTH, MIXED)
    answer = await place.answered(place.config("opus"))
    asked = place.worker.requests[-1].json

    assert JUDGED == answer.data["safeguard_results"]
    assert "verdicts" == asked["tool_choice"]["function"]["name"]
