"""A call that goes to another Claude model than it was shaped for, on the Anthropic API."""

import json
from dataclasses import replace

import pytest

from llmroute.messages.call import Call, Spoken
from llmroute.platforms import adapt
from llmroute.platforms.generations import GENERATIONS, differ
from llmroute.wire.envelope import Envelope

from .goldens import CAPTURES, differences, recorded

HELLO = [{"role": "user", "content": "Hi"}]
TOOLS = [{"name": "read", "input_schema": {"type": "object"}}]
SYSTEM = {"role": "system", "content": "Be brief."}
REMINDER = "<system-reminder>\nBe brief.\n</system-reminder>"
FOLDED = [
    {"role": "user", "content": [{"type": "text", "text": text} for text in ("Hi", REMINDER)]}
]
CONTINUE = "Continue from exactly where your last message stops, and repeat nothing of it."
ADAPTIVE = {"type": "adaptive"}
BUDGET = {"type": "enabled", "budget_tokens": 16_000}
# Those that take everything Claude Code sends under a name it does not know.
NEWEST = [name for name, it in GENERATIONS.items() if it.system_messages]


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "EqMB"}


def looped(*before):
    """Return a call and its result, with blocks before the call."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}
    return [
        {"role": "assistant", "content": [*before, use]},
        {"role": "user", "content": [result]},
    ]


def adapted(model, asked="fast", **members):
    body = {"model": asked, "max_tokens": 32_000, "messages": HELLO, **members}
    after, losses = adapt(Call(Envelope.parse(json.dumps(body).encode()), asked), model)
    return body, json.loads(bytes(after)), losses


def of_alias():
    """Return what Claude Code sends under a name that it does not know, encoded as it came."""
    path = next(path for path in CAPTURES if path.stem == "model_my-gateway-alias")
    return json.dumps(recorded(path)[0]["body"], separators=(" ,", " : ")).encode()


def test_what_was_translated_is_shaped_for_no_model_yet():
    body = Envelope.of({"model": "claude-haiku-4-5", "max_tokens": 9, "thinking": ADAPTIVE})
    call = Call(body, "claude-haiku-4-5")
    after, _ = adapt(replace(call, spoken=Spoken("chat", body)), "claude-haiku-4-5")

    assert adapt(call, "claude-haiku-4-5") == (body, ())
    assert "thinking" not in after


def test_an_effort_needs_no_thinking_before():
    messages = [*HELLO, *looped()]
    before, after, losses = adapted("claude-opus-4-6", thinking=ADAPTIVE, messages=messages)

    assert (before, ()) == (after, losses)


@pytest.mark.parametrize(
    ("asked", "model", "expected"),
    [
        pytest.param("claude-haiku-4-5", "claude-haiku-4-5-20251001", False, id="a-date"),
        pytest.param("claude-opus-5-5[1m]", "claude-opus-5-5", False, id="a-window"),
        pytest.param("anthropic/claude-opus-5-5", "claude-opus-5-5", False, id="a-prefix"),
        pytest.param("claude-opus-5-5", "claude-sonnet-5-5", False, id="one-that-takes-the-same"),
        pytest.param("claude-opus-5-5", "claude-opus-5", True, id="another"),
        pytest.param("claude-opus-5-5", "claude-haiku-4-5", True, id="older"),
        pytest.param("claude-haiku-4-5", "claude-opus-5-5", True, id="newer"),
        pytest.param("claude-opus-7", "claude-opus-5-5", True, id="from-one-not-in-the-table"),
        pytest.param("fast", "claude-opus-5-5", True, id="from-a-name-that-does-not-tell"),
        pytest.param("claude-opus-5-5", "claude-opus-7", False, id="to-one-not-in-the-table"),
        pytest.param("claude-opus-5-5", "deepseek-chat", False, id="to-no-claude"),
        pytest.param("fast", "prod", False, id="neither-tells"),
    ],
)
def test_models_differ_where_the_target_is_known_to_take_something_else(asked, model, expected):
    assert expected is differ(asked, model)


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        pytest.param("claude-haiku-4-5", "claude-haiku-4-5-20251001", id="the-same-by-its-date"),
        pytest.param("claude-opus-5-5", "deepseek-chat", id="no-claude"),
        pytest.param("fast", "fast", id="the-same-name"),
    ],
)
def test_a_request_for_the_same_model_or_an_unknown_one_is_not_looked_into(asked, model):
    body = Envelope.parse(b'{"max_tokens":999999,"thinking":"\xff","messages":"\xff"}')
    after, losses = adapt(Call(body, asked), model)

    assert body is after
    assert () == losses


@pytest.mark.parametrize("model", NEWEST)
def test_claude_codes_request_under_an_alias_suits_the_newest_models_as_it_is(model):
    body = of_alias()
    after, losses = adapt(Call(Envelope.parse(body), "my-gateway-alias"), model)

    assert (body, ()) == (bytes(after), losses)


def test_claude_codes_request_under_an_alias_for_a_model_of_the_time_of_budgets():
    body = of_alias()
    after, losses = adapt(Call(Envelope.parse(body), "my-gateway-alias"), "claude-haiku-4-5")
    changes = differences(json.loads(body), json.loads(bytes(after)))
    messages = changes.pop("messages")

    assert {
        "thinking.type": "enabled",
        "thinking.budget_tokens": 16_000,
        "output_config": "(left out)",
    } == changes
    assert ["user"] == [message["role"] for message in messages]
    assert (
        "messages[] system: folded into the user's turn for claude-haiku-4-5",
        "output_config.effort: claude-haiku-4-5 does not take it",
        "thinking: claude-haiku-4-5 does not take the type adaptive; sent as a budget by the"
        " effort",
    ) == losses


@pytest.mark.parametrize(
    ("model", "members", "expected"),
    [
        pytest.param(
            "claude-haiku-4-5",
            {"thinking": ADAPTIVE, "output_config": {"effort": "high"}},
            {"thinking": BUDGET, "output_config": None},
            id="an-effort-becomes-a-budget",
        ),
        pytest.param(
            "claude-haiku-4-5",
            {"thinking": ADAPTIVE, "messages": [*HELLO, *looped()]},
            {"thinking": None},
            id="no-budget-after-a-call-without-its-thinking",
        ),
        pytest.param(
            "claude-haiku-4-5",
            {"thinking": ADAPTIVE, "messages": [*HELLO, *looped(THOUGHT)]},
            {"thinking": BUDGET},
            id="a-budget-after-a-call-with-it",
        ),
        pytest.param(
            "claude-opus-5-5",
            {"thinking": BUDGET},
            {"thinking": ADAPTIVE, "output_config": {"effort": "high"}},
            id="a-budget-becomes-an-effort",
        ),
        pytest.param(
            "claude-opus-5-5",
            {"thinking": {"type": "disabled"}},
            {"thinking": None, "output_config": {"effort": "low"}},
            id="no-thinking-becomes-little",
        ),
        pytest.param(
            "claude-opus-4-6",
            {"output_config": {"effort": "xhigh", "format": {}}},
            {"output_config": {"effort": "high", "format": {}}},
            id="the-next-lower-effort",
        ),
        pytest.param(
            "claude-opus-5-5",
            {"temperature": 0.5, "top_p": 0.9, "top_k": 3},
            {"temperature": None, "top_p": None, "top_k": None},
            id="sampling",
        ),
        pytest.param(
            "claude-opus-5-5",
            {"tools": TOOLS, "tool_choice": {"type": "any"}},
            {"tool_choice": {"type": "auto"}},
            id="forced-tools",
        ),
        pytest.param(
            "claude-haiku-4-5", {"max_tokens": 128_000}, {"max_tokens": 64_000}, id="max-tokens"
        ),
        pytest.param(
            "claude-opus-5-5",
            {"messages": [*HELLO, {"role": "assistant", "content": "The"}]},
            {
                "messages": [
                    *HELLO,
                    {"role": "assistant", "content": "The"},
                    {"role": "user", "content": CONTINUE},
                ]
            },
            id="prefill",
        ),
        pytest.param(
            "claude-haiku-4-5",
            {"messages": [*HELLO, SYSTEM]},
            {"messages": FOLDED},
            id="system-messages",
        ),
        pytest.param(
            "claude-opus-4-1",
            {"tools": [{**TOOLS[0], "defer_loading": True}]},
            {"tools": TOOLS},
            id="deferred-tools",
        ),
    ],
)
def test_what_the_model_refuses_becomes_the_nearest_it_takes_and_is_told(model, members, expected):
    before, after, losses = adapted(model, **members)
    untouched = {name: before[name] for name in before.keys() - expected.keys()}

    assert untouched == {name: after.get(name) for name in untouched}
    assert expected == {name: after.get(name) for name in expected}
    assert losses
    assert all(loss.startswith((*expected, "output_config")) for loss in losses), losses


EVERYTHING = {
    "speed": "fast",
    "fallbacks": "default",
    "invented": {"a": 1},
    "anthropic_beta": ["x"],
    "output_format": {"type": "json_schema"},
    "container": "c",
    "cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global", "new": 1},
    "context_management": {"edits": [{"type": "invented_2027"}]},
    "tools": [
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "invented_20270101", "name": "x", "defer_loading": True, "strict": True},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "invented", "x": 1},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "fallback"},
                {"type": "thinking", "thinking": "", "signature": "s"},
                {"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "a", "content": []},
                {"type": "tool_use", "id": "b", "name": "x", "input": {}, "caller": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [{"type": "tool_reference", "tool_name": "x"}],
                }
            ],
        },
    ],
}


@pytest.mark.parametrize("model", [name for name, it in GENERATIONS.items() if it.tool_search])
def test_the_api_takes_every_member_tool_and_block(model):
    before, after, losses = adapted(model, **EVERYTHING)

    assert before == after
    assert () == losses


@pytest.mark.parametrize("model", ["claude-opus-4-1", "claude-haiku-3"])
def test_the_losses_name_the_model_that_refuses(model):
    _, _, losses = adapted(model, **EVERYTHING, thinking=ADAPTIVE)

    assert losses
    assert all("Anthropic" not in loss for loss in losses)
    assert any(f"tool_reference: {model} does not take it" in loss for loss in losses)


def test_a_history_is_not_decoded_for_a_model_that_takes_all_of_it():
    odd = b'{"role":"user","content":"\xff"}'
    body = b'{"model":"fast","messages":[%s],"temperature":1}' % odd
    after, losses = adapt(Call(Envelope.parse(body), "fast"), "claude-opus-5-5")

    assert body.replace(b',"temperature":1', b"") == bytes(after)
    assert ("temperature: claude-opus-5-5 does not take it",) == losses


@pytest.mark.parametrize("end", [b'"\xff"', b'{"\xff":1}', b'{"role":"\xff"}', b"[" * 9 + b"]" * 9])
def test_an_odd_last_message_is_left_for_the_api_to_judge(end):
    body = b'{"model":"fast","messages":[%s]}' % end
    after, losses = adapt(Call(Envelope.parse(body), "fast"), "claude-opus-5-5")

    assert (body, ()) == (bytes(after), losses)


def test_what_would_have_to_be_looked_into_and_cannot_be_is_left_for_the_api_to_judge():
    body = b'{"model":"fast","max_tokens":999999,"messages":[{"role":"user","content":"\xff"}]}'
    after, losses = adapt(Call(Envelope.parse(body), "fast"), "claude-haiku-4-5")

    assert (body, ()) == (bytes(after), losses)
