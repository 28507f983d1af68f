"""Why a prompt cache was not read: each cause provoked, and nothing said where there is none."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.platforms.goldens import CAPTURES, recorded
from tests.usage.prompt_cache import PromptCache

from llmroute import Router, pricing
from llmroute.accounts.gate import Asked
from llmroute.config import load_dict
from llmroute.messages.call import Call, Sender
from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, Record
from llmroute.pricing import tariff
from llmroute.testing import FakeUpstream, error
from llmroute.transport.httpx import HttpxTransport
from llmroute.usage.sentinel import Sentinel
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

MODEL = "claude-opus-5-5"
MARK = {"type": "ephemeral"}
LONG = "word " * 1000

CONFIG: dict[str, Any] = {
    "deployments": {
        name: {"provider": "anthropic", "api_key": "k", "base_url": f"http://{name}.example"}
        for name in ("one", "two")
    },
    "aliases": {"claude-*": {"deployments": ["one", "two"]}},
}


@pytest.fixture(scope="module", autouse=True)
def prices() -> None:
    pricing.load()


class Watched:
    """A sentinel, the cache of each deployment, and a clock."""

    def __init__(self, **settings: Any) -> None:
        self.sentinel = Sentinel(load_dict(CONFIG | settings), least=0)
        self.caches = {"one": PromptCache(), "two": PromptCache()}
        self.now = 1_800_000_000.0
        self.count = 0

    async def turn(
        self,
        body: dict[str, Any],
        deployment: str = "one",
        *,
        pause: float = 10.0,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        usage: dict[str, Any] | None = None,
        session: str = "s1",
        agent: str = "",
        key: str = "ada",
        **members: Any,
    ) -> Any:
        """Make a call that `deployment` answers; return what is written down of its prompt."""
        self.now += pause
        self.count += 1
        cache = self.caches[deployment]
        cache.now = self.now
        call = Call(
            Envelope.parse(json.dumps(body).encode()),
            body["model"],
            headers=headers,
            session=session,
            agent=agent,
            sender=Sender(key),
        )
        hold = await self.sentinel.admit(Asked(call, "claude-*", lambda: 0))
        if hold is None:
            return None
        hold.headed(())
        model = members.setdefault("model", body["model"])
        used = Usage.of(cache.usage(copy.deepcopy(body)) if usage is None else usage)
        known: dict[str, Any] = {"asked": body["model"], "deployment": deployment} | members
        record = Record(at=self.now, id=f"call_{self.count}", usage=used, **known)
        record.tariff = lambda: tariff("anthropic", model)
        hold.settle(record)
        return record.prefix


def conversation(turns: int = 1) -> dict[str, Any]:
    """Return a request of a conversation of so many turns, marked as Claude Code marks it."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "Fix it. " + LONG}]}
    ]
    for at in range(1, turns):
        tool = {"type": "tool_use", "id": f"t{at}", "name": "Bash", "input": {"command": "ls"}}
        result = {"type": "tool_result", "tool_use_id": f"t{at}", "content": f"{at} {LONG}"}
        messages += [
            {"role": "assistant", "content": [tool]},
            {"role": "user", "content": [result]},
        ]
    messages[-1]["content"][-1]["cache_control"] = MARK
    return {
        "model": MODEL,
        "messages": messages,
        "tools": [
            {"name": name, "description": LONG, "input_schema": {}} for name in ("Bash", "Read")
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.1a2;"},
            {"type": "text", "text": "You are. " + LONG, "cache_control": MARK},
        ],
    }


async def test_a_conversation_that_grows_breaks_nothing() -> None:
    watched = Watched()

    found = [await watched.turn(conversation(turns)) for turns in range(1, 6)]

    assert [
        {"change": "first"},
        *({"change": "grew", "previous": f"call_{at}"} for at in range(1, 5)),
    ] == found


async def test_the_same_request_once_more_is_no_change() -> None:
    watched = Watched()
    await watched.turn(conversation(2))

    assert {"change": "none", "previous": "call_1"} == await watched.turn(conversation(2))


def _tool(body: dict[str, Any]) -> None:
    body["tools"][1]["description"] += "Now."


def _tool_added(body: dict[str, Any]) -> None:
    body["tools"].append({"name": "mcp__db__query", "input_schema": {}})


def _system(body: dict[str, Any]) -> None:
    body["system"][1]["text"] += "It is 10:01."


def _thinking(body: dict[str, Any]) -> None:
    body["thinking"] = {"type": "disabled"}


def _result(body: dict[str, Any]) -> None:
    body["messages"][2]["content"][0]["content"] = "(cut)"


def _opening(body: dict[str, Any]) -> None:
    body["messages"][0]["content"].insert(0, {"type": "text", "text": "It is 10:01."})


def _no_marks(body: dict[str, Any]) -> None:
    del body["system"][1]["cache_control"]
    del body["messages"][-1]["content"][-1]["cache_control"]


def _far_mark(body: dict[str, Any]) -> None:
    body["messages"][-1]["content"][:0] = [{"type": "text", "text": str(n)} for n in range(30)]


@pytest.mark.parametrize(
    ("edit", "change", "at"),
    [
        pytest.param(_tool, "tools", "tools[1] Read", id="a-tool"),
        pytest.param(_tool_added, "tools", "tools[2] mcp__db__query (added)", id="a-new-tool"),
        pytest.param(_system, "system", "system[1]", id="system"),
        pytest.param(_thinking, "parameters", "thinking", id="a-parameter"),
        pytest.param(_result, "message", "messages[2] (user)", id="an-old-result"),
        pytest.param(_opening, "message", "messages[0] (user)", id="the-first-message"),
        pytest.param(_no_marks, "no marks", None, id="no-marks"),
        pytest.param(_far_mark, "marks", "32 blocks after the last turn's", id="marks-far-apart"),
    ],
)
async def test_what_the_client_changed_is_named(
    edit: Callable[[dict[str, Any]], None], change: str, at: str | None
) -> None:
    watched = Watched()
    await watched.turn(conversation(2))
    before = Usage.of(watched.caches["one"].usage(copy.deepcopy(conversation(3))))
    await watched.turn(conversation(3))
    changed = conversation(4)
    edit(changed)

    found = await watched.turn(changed)

    assert (change, True, "client", at) == (
        *(found["change"], found["break"], found["by"]),
        found.get("at"),
    )
    assert 0 < found["lost_tokens"] <= before.cache_read_input_tokens + 6000
    assert "call_2" == found["previous"]
    after = await watched.turn(changed | {"messages": [*changed["messages"]]})
    assert "break" not in after


async def test_what_was_lost_is_told_in_tokens_and_micro_dollars() -> None:
    watched = Watched()
    await watched.turn(conversation(2))
    changed = conversation(3)
    _tool(changed)
    whole = PromptCache().usage(copy.deepcopy(conversation(2)))["cache_creation_input_tokens"]

    found = await watched.turn(changed)

    # Opus 5.5 costs 5 micro-dollars a token to write for five minutes, and 0.2 to read.
    assert (whole, round(whole * (5 - 0.2))) == (found["lost_tokens"], found["cost"])


async def test_an_hour_costs_twice_the_input() -> None:
    watched = Watched()
    hour = {"cache_read_input_tokens": 0, "input_tokens": 10, "output_tokens": 1}
    hour |= {
        "cache_creation_input_tokens": 10_000,
        "cache_creation": {"ephemeral_1h_input_tokens": 10_000},
    }
    await watched.turn(conversation(1), usage=hour)
    changed = conversation(2)
    _system(changed)

    found = await watched.turn(changed, usage=hour, pause=3000)

    assert ("system", 10_000, 78_000) == (found["change"], found["lost_tokens"], found["cost"])


async def test_a_cache_that_was_not_read_in_time_has_expired() -> None:
    watched = Watched()
    await watched.turn(conversation(1))

    found = await watched.turn(conversation(2), pause=301)

    assert ("expired", "time", "after 301 s") == (found["change"], found["by"], found["at"])
    assert "break" not in found
    assert found["lost_tokens"] > 0


@pytest.mark.parametrize(
    ("members", "by"),
    [
        pytest.param({"attempts": [Attempt("one", "overloaded", 529)]}, "failover", id="failed"),
        pytest.param(
            {"why": ["not ready, though cached: 41,000 tokens at one"]}, "failover", id="unwell"
        ),
        pytest.param({"why": ["moves to two: staying with one costs more"]}, "routing", id="moved"),
        pytest.param(
            {"why": ["returns to two: 900 tokens cached there, no other is ready"]},
            "failover",
            id="no-other",
        ),
        pytest.param({"why": ["none is at its limit"]}, "routing", id="no-word-of-it"),
        pytest.param({}, "routing", id="drawn"),
    ],
)
async def test_another_deployment_has_another_cache(members: dict[str, Any], by: str) -> None:
    watched = Watched()
    await watched.turn(conversation(1))

    found = await watched.turn(conversation(2), "two", **members)

    assert ("moved", by, "one → two") == (found["change"], found["by"], found["at"])
    assert found["break"] is True
    back = await watched.turn(conversation(3), "two")
    assert "grew" == back["change"]


async def test_a_deployment_that_is_gone_was_taken_away_by_the_configuration() -> None:
    watched = Watched()
    await watched.turn(conversation(1))
    rest = {"two": CONFIG["deployments"]["two"]}
    aliases = {"claude-*": {"deployments": ["two"]}}
    watched.sentinel.configure(load_dict({"deployments": rest, "aliases": aliases}))

    found = await watched.turn(conversation(2), "two")

    assert ("moved", "configuration") == (found["change"], found["by"])


async def test_settings_that_changed_are_named() -> None:
    watched = Watched()
    await watched.turn(conversation(1))
    changed = copy.deepcopy(CONFIG)
    changed["deployments"]["one"]["api_key"] = "sk-of-another-workspace"
    watched.sentinel.configure(load_dict(changed))
    watched.caches["one"].forget()

    found = await watched.turn(conversation(2))

    assert ("configuration", "configuration", "settings of one") == (
        *(found["change"], found["by"]),
        found["at"],
    )


async def test_settings_that_stay_are_not_blamed() -> None:
    watched = Watched()
    await watched.turn(conversation(1))
    watched.sentinel.configure(load_dict(copy.deepcopy(CONFIG)))
    watched.caches["one"].forget()

    assert "upstream" == (await watched.turn(conversation(2)))["change"]


async def test_another_model_behind_the_name_is_the_configuration() -> None:
    watched = Watched()
    await watched.turn(conversation(1))
    watched.caches["one"].forget()

    found = await watched.turn(conversation(2), model="claude-opus-5")

    assert ("configuration", "claude-opus-5-5 → claude-opus-5") == (found["change"], found["at"])


async def test_another_model_that_was_asked_for_is_the_clients() -> None:
    watched = Watched()
    await watched.turn(conversation(1))

    found = await watched.turn(conversation(2) | {"model": "claude-sonnet-5-5"})

    assert ("model", "client", "claude-opus-5-5 → claude-sonnet-5-5") == (
        *(found["change"], found["by"]),
        found["at"],
    )


@pytest.mark.parametrize(
    ("members", "at"),
    [
        pytest.param(
            {"losses": ("context_management: left out",)},
            "context_management: left out",
            id="refused-by-the-platform",
        ),
        pytest.param(
            {"why": ["one: thinking it cannot read is left out"]},
            "one: thinking it cannot read is left out",
            id="thinking-of-others",
        ),
    ],
)
async def test_what_llmroute_leaves_out_is_owned_up_to(members: dict[str, Any], at: str) -> None:
    watched = Watched()
    await watched.turn(conversation(1))
    watched.caches["one"].forget()

    found = await watched.turn(conversation(2), **members)

    assert ("losses", "llmroute", at) == (
        *(found["change"], found["by"]),
        found["at"],
    )


async def test_a_cache_that_was_lost_for_no_reason_here_was_lost_upstream() -> None:
    watched = Watched()
    await watched.turn(conversation(1))
    watched.caches["one"].forget()

    found = await watched.turn(conversation(2))

    assert ("upstream", True) == (found["change"], found["break"])


async def test_a_summary_in_place_of_a_conversation_is_no_break() -> None:
    watched = Watched()
    for turns in (1, 2, 3):
        await watched.turn(conversation(turns))
    compacted = conversation(1)
    compacted["messages"] = [
        {"role": "user", "content": "This session is being continued."},
        *conversation(3)["messages"][1:2],
        {"role": "user", "content": [{"type": "text", "text": "Go on.", "cache_control": MARK}]},
    ]

    found = await watched.turn(compacted)

    assert {"change": "compacted", "previous": "call_3"} == found


async def test_a_client_that_says_so_is_believed() -> None:
    watched = Watched()
    for turns in (1, 2):
        await watched.turn(conversation(turns))
    compacted = conversation(1)
    compacted["messages"] = [{"role": "user", "content": "A summary. " * 900}]
    header = ((b"x-claude-code-context-compacted", b"auto"),)

    found = await watched.turn(compacted, headers=header)

    assert {"change": "compacted", "previous": "call_2"} == found


async def test_going_back_is_no_break() -> None:
    watched = Watched()
    for turns in (1, 2, 3):
        await watched.turn(conversation(turns))
    rewound = conversation(2)
    rewound["messages"][-1]["content"].append({"type": "text", "text": "Otherwise, please."})

    assert "rewound" == (await watched.turn(rewound))["change"]


@pytest.mark.parametrize(
    ("model", "length", "marked", "change"),
    [
        pytest.param(MODEL, 50, True, "below minimum", id="short"),
        pytest.param(MODEL, 5000, False, "no marks", id="unmarked"),
        pytest.param(MODEL, 5000, True, "uncached", id="not-cached"),
        pytest.param("gpt-5.5", 5000, False, "uncached", id="caches-without-marks"),
    ],
)
async def test_what_is_not_cached_at_all_has_its_reason(
    model: str, length: int, marked: bool, change: str
) -> None:
    watched = Watched()
    block = {"type": "text", "text": "x", **({"cache_control": MARK} if marked else {})}
    body = {"model": model, "messages": [{"role": "user", "content": [block]}]}
    usage = {"input_tokens": length, "output_tokens": 1}

    assert {"change": change} == await watched.turn(body, usage=usage)


async def test_subagents_titles_and_other_keys_are_conversations_of_their_own() -> None:
    watched = Watched()
    title = {
        "model": "claude-haiku-4-5",
        "messages": [{"role": "user", "content": "Fix it."}],
        "system": [{"type": "text", "text": "Write a title. " + LONG, "cache_control": MARK}],
    }
    other = conversation(1)
    other["system"][1]["text"] = "You are a subagent. " + LONG

    found = [
        await watched.turn(conversation(1)),
        await watched.turn(title),
        await watched.turn(other, agent="a1"),
        await watched.turn(conversation(2)),
        await watched.turn(title),
        await watched.turn(conversation(2), key="bob", session="s1"),
        await watched.turn(conversation(3)),
    ]

    assert [
        *("first", "first", "first", "grew", "none"),
        *("first", "grew"),
    ] == [each["change"] for each in found]


async def test_nothing_is_concluded_from_a_guess() -> None:
    watched = Watched()
    await watched.turn(conversation(1))
    guess = {"input_tokens": 20_000, "output_tokens": 1}

    assert await watched.turn(conversation(2), usage=guess, estimated=True) is None
    assert "grew" == (await watched.turn(conversation(2)))["change"]


@pytest.mark.parametrize("setting", ["cache_sentinel", "records"])
async def test_it_can_be_turned_off(setting: str) -> None:
    watched = Watched(usage={setting: False})

    assert await watched.turn(conversation(1)) is None


async def test_what_is_too_short_to_be_cached_is_not_looked_at() -> None:
    watched = Watched()
    watched.sentinel = Sentinel(load_dict(CONFIG))
    short = {"model": MODEL, "messages": [{"role": "user", "content": "x" * 1500}]}

    assert await watched.turn(short) is None
    assert await watched.turn(conversation(1)) is not None


async def test_it_watches_sessions_only() -> None:
    assert await Watched().turn(conversation(1), session="") is None


async def test_what_it_remembers_is_bounded() -> None:
    watched = Watched()
    watched.sentinel = Sentinel(load_dict(CONFIG), most=3)
    for number in range(5):
        await watched.turn(conversation(1), session=f"s{number}")

    assert "first" == (await watched.turn(conversation(2), session="s0"))["change"]
    assert "grew" == (await watched.turn(conversation(2), session="s4"))["change"]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in CAPTURES])
async def test_what_claude_code_has_sent_raises_no_alarm(path: Any) -> None:
    watched = Watched()
    watched.caches["one"] = PromptCache(minimum=1, tokens_of=lambda data: 100 * len(data))

    for request in recorded(path):
        body = request["body"]
        if "messages" not in body or "count" in request["path"]:
            continue
        found = await watched.turn({"model": MODEL, **body})
        assert "break" not in found, found


@pytest.fixture
def upstreams() -> Any:
    with FakeUpstream() as one, FakeUpstream() as two:
        one.answer_with(PromptCache().answer)
        two.answer_with(PromptCache().answer)
        yield one, two


class Kept:
    """Keeps the records of calls."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def record(self, record: Record) -> None:
        self.records.append(record)


class Gates:
    """Lets calls through a sentinel alone."""

    def __init__(self, sentinel: Sentinel) -> None:
        self.sentinel = sentinel

    async def admit(self, call: Call, alias: str, quote: Callable[[], int | None]) -> Any:
        return await self.sentinel.admit(Asked(call, alias, quote))


async def test_a_failover_between_two_upstreams_is_told(upstreams: Any) -> None:
    one, two = upstreams
    config = load_dict(
        {
            "deployments": {
                name: {"provider": "anthropic", "api_key": "k", "base_url": each.url}
                for name, each in (("one", one), ("two", two))
            },
            "aliases": {"claude-*": ["one", "two"]},
        }
    )
    kept, sentinel = Kept(), Sentinel(config)
    means = {"observers": [kept], "admission": Gates(sentinel)}
    async with Router(config, transport=HttpxTransport(), **means) as router:

        async def turn(number: int) -> Any:
            body = json.dumps(conversation(number) | {"max_tokens": 10, "stream": False}).encode()
            answer = await router.send(Call(Envelope.parse(body), MODEL, session="s1"))
            await answer.aclose()
            return kept.records[-1].prefix

        assert "first" == (await turn(1))["change"]
        assert "grew" == (await turn(2))["change"]
        one.on("POST", "/v1/messages", error(529))
        moved = await turn(3)
        assert ("moved", "failover", "one → two") == (moved["change"], moved["by"], moved["at"])
        assert "grew" == (await turn(4))["change"]
        assert moved["cost"] > 0


def _tools_left_out(body: dict[str, Any]) -> None:
    del body["tools"][1:]


def _system_shortened(body: dict[str, Any]) -> None:
    body["system"][1]["text"] = "You are."


_EDITS = (_tool_added, _system, _thinking, _result, _tools_left_out, _system_shortened)
_MODELS = ("claude-opus-5-5", "claude-sonnet-5-5")


@pytest.mark.parametrize("seed", range(20))
async def test_processes_that_miss_turns_blame_nobody_else(seed: int) -> None:
    draw = random.Random(seed)
    # One sees every turn, and two others see some each.
    all_seeing, *others = watchers = [Watched() for _ in range(3)]
    edits: set[Any] = set()
    deployment, model = "one", _MODELS[0]
    for turns in range(1, 20):
        what = draw.random() if turns > 2 else 1
        if what < 0.15:
            edits ^= {draw.choice(_EDITS)}
        elif what < 0.2:
            deployment = "two" if deployment == "one" else "one"
        elif what < 0.25:
            model = _MODELS[model == _MODELS[0]]
        body = {**conversation(turns), "model": model}
        for edit in sorted(edits, key=_EDITS.index):
            edit(body)
        now = all_seeing.now + draw.choice([10, 100, 290, 310])
        cache = all_seeing.caches[deployment]
        cache.now = now
        usage = cache.usage(copy.deepcopy(body))
        for watched in watchers:
            watched.now = now
        expected = await all_seeing.turn(body, deployment, pause=0, usage=usage)
        actual = await draw.choice(others).turn(body, deployment, pause=0, usage=usage)

        if actual.get("break"):
            assert [expected[name] for name in ("break", "change", "by")] == [
                actual[name] for name in ("break", "change", "by")
            ]
