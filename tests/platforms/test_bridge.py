"""What is left out, put in other words or refused, by platform and by model."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.errors import InvalidRequestError, RequestError
from llmroute.messages.call import Call
from llmroute.platforms import BEDROCK, FOUNDRY, MANTLE, VERTEX, Overrides, bridge, compatible
from llmroute.wire.envelope import Envelope

OPUS = "us.anthropic.claude-opus-5-5"
SONNET_45 = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_3 = "anthropic.claude-3-haiku-20240307-v1:0"
HELLO = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "read", "input_schema": {"type": "object"}}


def bridged(platform=BEDROCK, model=OPUS, *, betas="", overrides=None, without=(), **members):
    body = {"model": "alias", "max_tokens": 9000, "messages": HELLO, **members}
    headers = [(b"anthropic-beta", betas.encode())] if betas else []
    envelope = Envelope.parse(json.dumps(body).encode())
    call = Call(envelope, "alias", headers=headers, without=frozenset(without))
    return bridge(call, platform, model, overrides or Overrides())


def sent(platform=BEDROCK, model=OPUS, **more) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(bridged(platform, model, **more).body))
    return found


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def text(words):
    return {"type": "text", "text": words}


def system(content, **more):
    return {"role": "system", "content": content, **more}


def reminder(words):
    return text(f"<system-reminder>\n{words}\n</system-reminder>")


@pytest.mark.parametrize("platform", [BEDROCK, VERTEX, FOUNDRY, MANTLE], ids=lambda p: p.name)
@pytest.mark.parametrize("model", [OPUS, SONNET_45, "prod-model"])
def test_a_plain_request_is_the_callers_bytes(platform, model):
    body = b'{ "model": "alias",\n "max_tokens":64, "messages":[{"role":"user","content":"Hi"}] }'
    call = Call(Envelope.parse(body), "alias")
    result = bridge(call, platform, model)

    assert body == bytes(result.body)
    assert ((), ()) == (result.betas, result.losses)


def test_what_is_not_changed_keeps_its_bytes():
    untouched = b'{"role":"assistant", "content":[{"type":"tool_use","id":"a","name":"n","input":'
    untouched += b'{"number":1.0e1,"big":123456789012345678901234567890}}]}'
    changed = b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"a", "content":"x",'
    changed += b'"cache_control":{"type":"ephemeral","scope":"global"}}]}'
    body = b'{"model":"a","max_tokens":1,"messages":[%s, %s]}' % (untouched, changed)
    result = bytes(bridge(Call(Envelope.parse(body), "a"), VERTEX, "claude-opus-5-5").body)

    assert untouched in result
    assert b"scope" not in result


# --- betas ---


@pytest.mark.parametrize(
    ("platform", "asked", "expected"),
    [
        pytest.param(
            BEDROCK,
            "advanced-tool-use-2025-11-20",
            ("tool-search-tool-2025-10-19",),
            id="another-name-on-bedrock",
        ),
        pytest.param(
            MANTLE,
            "advanced-tool-use-2025-11-20",
            ("tool-search-tool-2025-10-19", "tool-examples-2025-10-29"),
            id="two-names-on-mantle",
        ),
        pytest.param(
            FOUNDRY,
            "tool-search-tool-2025-10-19,advanced-tool-use-2025-11-20",
            ("advanced-tool-use-2025-11-20",),
            id="and-back-on-foundry-once",
        ),
        pytest.param(BEDROCK, "invented-2027-01-01", (), id="unknown-on-bedrock"),
        pytest.param(VERTEX, "invented-2027-01-01", (), id="unknown-on-vertex"),
        pytest.param(
            FOUNDRY, "invented-2027-01-01", ("invented-2027-01-01",), id="unknown-on-foundry"
        ),
        pytest.param(
            BEDROCK,
            " context-1m-2025-08-07 ,, effort-2025-11-24",
            ("context-1m-2025-08-07", "effort-2025-11-24"),
            id="spaces-and-empty-parts",
        ),
        pytest.param(
            BEDROCK,
            "dangerous-tool-use-2026-09-03,afk-mode-2026-01-31",
            ("dangerous-tool-use-2026-09-03", "afk-mode-2026-01-31"),
            id="both-of-auto-mode",
        ),
    ],
)
def test_betas(platform, asked, expected):
    assert expected == bridged(platform, betas=asked).betas


def test_betas_come_in_several_headers_and_in_the_body():
    headers = [(b"anthropic-beta", b"effort-2025-11-24"), (b"anthropic-beta", b"foo-2025-01-01")]
    body = {"model": "a", "max_tokens": 1, "messages": HELLO}
    body |= {"anthropic_beta": ["context-1m-2025-08-07", "effort-2025-11-24"]}
    call = Call(Envelope.of({**body, "anthropic_version": "x"}), "a", headers=headers)
    result = bridge(call, BEDROCK, OPUS)

    assert ("effort-2025-11-24", "context-1m-2025-08-07") == result.betas
    assert ("anthropic-beta foo-2025-01-01: Bedrock does not take it",) == result.losses
    assert {"model", "max_tokens", "messages"} == set(result.body)


@pytest.mark.parametrize(
    ("platform", "betas", "members"),
    [
        pytest.param(
            VERTEX,
            "task-budgets-2026-03-13",
            {"output_config": {"task_budget": {"type": "tokens", "total": 9}}},
            id="task-budget",
        ),
        pytest.param(BEDROCK, "fast-mode-2026-02-01", {"speed": "fast"}, id="speed"),
        pytest.param(
            VERTEX, "server-side-fallback-2026-07-01", {"fallbacks": "default"}, id="fallbacks"
        ),
        pytest.param(
            BEDROCK, "compact-2026-09-04", {"compaction": {"type": "summarize"}}, id="compaction"
        ),
        pytest.param(
            BEDROCK,
            "mcp-client-2025-11-20",
            {"mcp_servers": [{"type": "url", "name": "a", "url": "https://a"}]},
            id="mcp",
        ),
        pytest.param(
            FOUNDRY,
            "compact-2026-01-12",
            {"context_management": {"edits": [{"type": "compact_20260112"}]}},
            id="one-edit",
        ),
        pytest.param(
            BEDROCK,
            "context-management-2025-06-27",
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}},
            id="the-only-edit-takes-its-beta-along",
        ),
    ],
)
def test_a_beta_and_what_it_unlocks_are_left_out_together(platform, betas, members):
    result = bridged(platform, betas=betas, **members)

    assert () == result.betas
    assert {"model", "max_tokens", "messages"} == set(result.body)
    assert 2 == len(result.losses)


def test_a_tool_that_is_run_by_anthropic_is_left_out_with_its_beta():
    tools = [{"type": "web_search_20250305", "name": "web_search"}, TOOL]
    result = bridged(MANTLE, betas="web-search-2025-03-05", tools=tools)

    assert () == result.betas
    assert [TOOL] == result.body["tools"]
    assert 2 == len(result.losses)


@pytest.mark.parametrize("platform", [BEDROCK, VERTEX, FOUNDRY, MANTLE], ids=lambda p: p.name)
def test_safeguards_pass_with_their_betas(platform):
    betas = "dangerous-tool-use-2026-09-03,afk-mode-2026-01-31"
    safeguards = [{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}]
    result = bridged(platform, betas=betas, safeguards=safeguards)

    assert tuple(betas.split(",")) == result.betas
    assert safeguards == result.body["safeguards"]
    assert () == result.losses


# --- settings ---


def test_an_accepted_beta_is_sent_with_what_it_unlocks():
    overrides = Overrides(accept_betas=frozenset({"fast-mode-2026-02-01"}))
    result = bridged(betas="fast-mode-2026-02-01", overrides=overrides, speed="fast")

    assert (("fast-mode-2026-02-01",), "fast") == (result.betas, result.body["speed"])
    assert () == result.losses


def test_an_accepted_beta_brings_its_tools_back():
    overrides = Overrides(accept_betas=frozenset({"web-search-2025-03-05"}))
    tools = [{"type": "web_search_20250305", "name": "web_search"}]

    assert tools == sent(betas="web-search-2025-03-05", overrides=overrides, tools=tools)["tools"]


def test_a_dropped_beta_goes_with_what_it_unlocks_and_under_either_name():
    overrides = Overrides(drop_betas=frozenset({"advanced-tool-use-2025-11-20"}))
    deferred = {**TOOL, "defer_loading": True}
    betas = "advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19"
    result = bridged(betas=betas, overrides=overrides, tools=[deferred])

    assert ((), [TOOL]) == (result.betas, result.body["tools"])


def test_a_dropped_gate_takes_its_server_tool_along():
    overrides = Overrides(drop_betas=frozenset({"web-search-2025-03-05"}))
    tools = [{"type": "web_search_20250305", "name": "web_search"}, TOOL]

    assert [TOOL] == sent(VERTEX, overrides=overrides, tools=tools)["tools"]


@pytest.mark.parametrize(
    ("dropped", "expected"),
    [
        pytest.param("metadata", {"output_config": {"effort": "low", "format": {}}}, id="whole"),
        pytest.param(
            "output_config.format",
            {"metadata": {}, "output_config": {"effort": "low"}},
            id="inside",
        ),
    ],
)
def test_members_can_be_left_out_by_the_configuration_or_because_they_were_refused(
    dropped, expected
):
    members = {"metadata": {}, "output_config": {"effort": "low", "format": {}}}
    base = {"model": "alias", "max_tokens": 9000, "messages": HELLO}

    for more in (
        {"overrides": Overrides(drop_members=frozenset({dropped}))},
        {"without": [dropped]},
    ):
        assert base | expected == sent(**more, **members)


def test_an_accepted_member_is_sent():
    overrides = Overrides(accept_members=frozenset({"service_tier"}))

    assert "auto" == sent(overrides=overrides, service_tier="auto")["service_tier"]


def test_what_was_refused_before_is_left_out_as_beta_and_as_member():
    result = bridged(
        betas="effort-2025-11-24", without=["effort-2025-11-24"], output_config={"effort": "low"}
    )

    assert ((), False) == (result.betas, "output_config" in result.body)


def test_the_base_model_tells_what_an_opaque_name_does_not():
    arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
    overrides = Overrides(base_model="claude-haiku-4-5")

    assert 200_000 == sent(model=arn, max_tokens=200_000)["max_tokens"]
    assert 64_000 == sent(model=arn, overrides=overrides, max_tokens=200_000)["max_tokens"]


# --- members of the top level ---


@pytest.mark.parametrize(
    ("platform", "refused"),
    [
        pytest.param(
            BEDROCK,
            "service_tier inference_geo speed container mcp_servers fallbacks thread diagnostics "
            "billing_policy foo compaction",
            id="bedrock",
        ),
        pytest.param(
            VERTEX,
            "service_tier inference_geo speed container mcp_servers fallbacks thread foo",
            id="vertex",
        ),
        pytest.param(FOUNDRY, "inference_geo speed fallbacks thread foo", id="foundry"),
    ],
)
def test_members_that_are_not_taken_are_left_out(platform, refused):
    names = refused.split()
    result = bridged(platform, **dict.fromkeys(names, "x"))

    assert {"model", "max_tokens", "messages"} == set(result.body)
    assert names == [line.partition(":")[0] for line in result.losses]


@pytest.mark.parametrize(
    ("platform", "model", "expected"),
    [
        pytest.param(BEDROCK, OPUS, {"type": "ephemeral"}, id="bedrock-new"),
        pytest.param(BEDROCK, SONNET_45, None, id="bedrock-older-interface"),
        pytest.param(VERTEX, SONNET_45, {"type": "ephemeral"}, id="vertex"),
        pytest.param(FOUNDRY, OPUS, {"type": "ephemeral", "scope": "global"}, id="foundry"),
    ],
)
def test_the_automatic_cache_mark(platform, model, expected):
    mark = {"type": "ephemeral", "scope": "global"}

    assert expected == sent(platform, model, cache_control=mark).get("cache_control")


def test_the_former_name_of_the_format_is_brought_up_to_date():
    schema = {"type": "json_schema", "schema": {}}
    result = sent(output_format=schema, output_config={"effort": "low"})

    assert {"effort": "low", "format": schema} == result["output_config"]
    assert "output_format" not in result


# --- between generations ---


@pytest.mark.parametrize(
    ("model", "members", "expected"),
    [
        pytest.param(
            "claude-sonnet-4-5",
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            {"thinking": {"type": "enabled", "budget_tokens": 4500, "display": "omitted"}},
            id="adaptive-becomes-a-budget-with-room-to-answer",
        ),
        pytest.param(
            "claude-sonnet-4-5",
            {
                "thinking": {"type": "adaptive", "display": "updates", "block_binding": {}},
                "output_config": {"effort": "low"},
            },
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            id="by-the-effort",
        ),
        pytest.param(
            "claude-sonnet-4-5",
            {"thinking": {"type": "adaptive"}, "temperature": 0.5, "top_k": 3, "top_p": 0.5},
            {"thinking": {"type": "enabled", "budget_tokens": 4500}},
            id="no-sampling-beside-a-budget",
        ),
        pytest.param(
            "claude-sonnet-4-5",
            {"thinking": {"type": "adaptive"}, "top_p": 0.97},
            {"thinking": {"type": "enabled", "budget_tokens": 4500}, "top_p": 0.97},
            id="nearly-no-sampling-beside-a-budget",
        ),
        pytest.param(
            "claude-sonnet-4-5",
            {"thinking": {"type": "adaptive"}, "max_tokens": 2000},
            {"max_tokens": 2000},
            id="no-room-for-a-budget",
        ),
        pytest.param(
            "claude-sonnet-4-5",
            {"thinking": {"type": "adaptive"}, "tools": [TOOL], "tool_choice": {"type": "any"}},
            {"tools": [TOOL], "tool_choice": {"type": "any"}},
            id="a-forced-tool-goes-before-a-budget",
        ),
        pytest.param(
            "claude-opus-5-5",
            {"thinking": {"type": "enabled", "budget_tokens": 31_999, "display": "omitted"}},
            {
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "high"},
            },
            id="a-budget-becomes-an-effort",
        ),
        pytest.param(
            "claude-opus-5-5",
            {
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "output_config": {"effort": "max"},
            },
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            id="an-effort-that-was-set-stays",
        ),
        pytest.param(
            "claude-opus-5-5",
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            id="a-small-budget-is-a-low-effort",
        ),
        pytest.param(
            "claude-opus-5-5",
            {"thinking": {"type": "disabled"}},
            {"output_config": {"effort": "low"}},
            id="always-thinking",
        ),
        pytest.param(
            "claude-opus-5",
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}},
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            id="off-only-up-to-an-effort",
        ),
        pytest.param(
            "claude-3-haiku-20240307",
            {"thinking": {"type": "adaptive"}, "max_tokens": 8000},
            {"max_tokens": 4096},
            id="no-thinking-at-all",
        ),
        pytest.param(
            "claude-opus-4-6",
            {"output_config": {"effort": "xhigh"}},
            {"output_config": {"effort": "high"}},
            id="the-next-lower-effort",
        ),
        pytest.param("claude-haiku-4-5", {"output_config": {"effort": "high"}}, {}, id="no-effort"),
        pytest.param(
            "claude-opus-5-5",
            {"temperature": 0.5, "top_p": 0.9, "top_k": 3},
            {},
            id="no-sampling",
        ),
        pytest.param(
            "claude-sonnet-4-6", {"temperature": 0.5}, {"temperature": 0.5}, id="sampling"
        ),
        pytest.param(
            "claude-sonnet-5-5",
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "read"}},
            {"tools": [TOOL], "tool_choice": {"type": "auto"}},
            id="no-forced-tool",
        ),
        pytest.param(
            "claude-sonnet-5-5",
            {
                "tools": [TOOL],
                "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            },
            {
                "tools": [TOOL],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            },
            id="one-tool-at-a-time-stays",
        ),
        pytest.param(
            "claude-haiku-4-5",
            {"max_tokens": 128_000, "thinking": {"type": "enabled", "budget_tokens": 100_000}},
            {"max_tokens": 64_000, "thinking": {"type": "enabled", "budget_tokens": 63_999}},
            id="the-budget-stays-under-the-limit",
        ),
        pytest.param(
            "claude-opus-9",
            {"max_tokens": 999_999, "temperature": 1, "thinking": {"type": "enabled"}},
            {"max_tokens": 999_999, "temperature": 1, "thinking": {"type": "enabled"}},
            id="a-model-nobody-has-heard-of-gets-what-was-sent",
        ),
    ],
)
def test_parameters_follow_the_model(model, members, expected):
    result = sent(VERTEX, model, **members)
    base = {"model": "alias", "max_tokens": 9000, "messages": HELLO}

    assert base | expected == result


def test_clearing_of_thinking_goes_with_the_thinking():
    managed = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    thinking = {"type": "adaptive"}
    result = sent(
        VERTEX, "claude-haiku-4-5", thinking=thinking, context_management=managed, max_tokens=64
    )

    assert {"model", "max_tokens", "messages"} == set(result)


def test_other_edits_of_the_context_stay():
    edits = [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]
    betas = "context-management-2025-06-27"
    result = bridged(betas=betas, context_management={"edits": edits})

    assert {"edits": edits[1:]} == result.body["context_management"]
    assert (betas,) == result.betas


@pytest.mark.parametrize(
    ("model", "continues"),
    [
        pytest.param("claude-opus-4-6", True, id="asked-to-go-on"),
        pytest.param("claude-opus-4-5", False, id="prefill"),
    ],
)
@pytest.mark.parametrize("start", ["{", [text("{")]], ids=["string", "blocks"])
def test_an_answer_that_was_begun_is_continued(model, continues, start):
    begun = [*HELLO, {"role": "assistant", "content": start}]
    messages = sent(VERTEX, model, messages=begun)["messages"]

    assert begun == messages[:2]
    assert continues == (messages[2:3] != [] and messages[2]["role"] == "user")


def test_an_answer_that_paused_is_not_asked_to_go_on():
    paused = [*HELLO, assistant({"type": "server_tool_use", "id": "a", "name": "web_search"})]

    assert paused == sent(VERTEX, messages=paused)["messages"]


# --- system messages ---


def test_a_system_message_stays_where_the_model_takes_it():
    messages = [user(text("Hi")), system("Be brief.")]

    assert messages == sent(messages=messages)["messages"]


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        pytest.param(
            user(text("Hi")),
            "Be brief.",
            user(text("Hi"), reminder("Be brief.")),
            id="joins-the-blocks",
        ),
        pytest.param(
            {"role": "user", "content": "Hi"},
            [text("A"), text("B")],
            user(text("Hi"), reminder("A"), reminder("B")),
            id="makes-blocks-of-a-string",
        ),
        pytest.param(
            user({"type": "tool_result", "tool_use_id": "a", "content": "x"}),
            "Go on.",
            user({"type": "tool_result", "tool_use_id": "a", "content": "x"}, reminder("Go on.")),
            id="comes-after-tool-results",
        ),
        pytest.param(
            user(text("Hi")),
            [{**text("A"), "cache_control": {"type": "ephemeral"}}],
            user(text("Hi"), {**reminder("A"), "cache_control": {"type": "ephemeral"}}),
            id="keeps-its-cache-mark",
        ),
        pytest.param(user(text("Hi")), [], user(text("Hi")), id="empty"),
        pytest.param(
            user(text("Hi")),
            "<system-reminder>\nA\n</system-reminder>\n",
            user(text("Hi"), text("<system-reminder>\nA\n</system-reminder>\n")),
            id="is-marked-already",
        ),
    ],
)
def test_a_system_message_is_folded_into_the_turn_before_it(before, content, after):
    messages = [before, system(content, output_config={"effort": "low"}), assistant(text("Yes"))]
    found = sent(model=SONNET_45, messages=[*messages, user(text("More"))])["messages"]

    assert [after, assistant(text("Yes")), user(text("More"))] == found


def test_a_system_message_that_follows_no_turn_becomes_one():
    messages = [system("Be brief."), *HELLO]

    assert [user(reminder("Be brief.")), *HELLO] == sent(model=SONNET_45, messages=messages)[
        "messages"
    ]


def test_betas_about_system_messages_go_with_them():
    betas = "per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01"

    assert () == bridged(FOUNDRY, "claude-sonnet-4-5", betas=betas).betas


def test_members_of_a_system_message_are_left_out_one_by_one():
    messages = [*HELLO, system("A", clear_at="never", output_config={"effort": "low"})]
    result = sent(VERTEX, messages=messages)["messages"]

    assert [*HELLO, system("A", output_config={"effort": "low"})] == result


def test_members_of_a_folded_system_message_are_told():
    messages = [*HELLO, system("A", clear_at="never", output_config={"effort": "low"})]
    result = bridged(model=SONNET_45, messages=messages)

    places = [loss.partition(":")[0] for loss in result.losses]
    assert ["messages[].clear_at", "messages[].output_config", "messages[] system"] == places


def test_an_empty_system_message_that_loses_all_it_has_goes():
    messages = [*HELLO, system([], output_config={"effort": "low"})]

    assert HELLO == sent(messages=messages)["messages"]


# --- tools ---


def test_tools_that_anthropic_runs_are_left_out_and_the_choice_with_them():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    result = sent(tools=[search, TOOL], tool_choice={"type": "tool", "name": "web_search"})

    assert ([TOOL], {"type": "auto"}) == (result["tools"], result["tool_choice"])


def test_tools_left_out_by_the_configuration_take_the_choice_along():
    overrides = Overrides(drop_members=frozenset({"tools"}))
    result = sent(overrides=overrides, tools=[TOOL], tool_choice={"type": "auto"})

    assert {"model", "max_tokens", "messages"} == set(result)


def test_where_nothing_is_run_that_is_offered_nothing_is_asked():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}

    with pytest.raises(InvalidRequestError, match="tools: Bedrock does not run web_search"):
        sent(tools=[search], tool_choice={"type": "auto"})


def test_where_no_tool_is_left_there_is_no_choice():
    search = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
    old = "anthropic.claude-opus-4-1-20250805-v1:0"
    result = sent(model=old, tools=[search], tool_choice={"type": "auto"})

    assert {"model", "max_tokens", "messages"} == set(result)


def test_a_choice_of_another_tool_stays():
    search = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
    choice = {"type": "tool", "name": "read"}
    old = "anthropic.claude-opus-4-1-20250805-v1:0"

    assert choice == sent(model=old, tools=[search, TOOL], tool_choice=choice)["tool_choice"]


def test_google_runs_the_web_search():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}

    assert [search] == sent(VERTEX, tools=[search])["tools"]


def test_where_tools_cannot_be_deferred_they_are_all_offered():
    tools = [
        {**TOOL, "name": "ToolSearch"},
        {**TOOL, "name": "CronList", "defer_loading": True},
        {**TOOL, "name": "DeferredToolPlaceholder", "defer_loading": True},
    ]
    messages = [
        *HELLO,
        assistant({"type": "tool_use", "id": "a", "name": "ToolSearch", "input": {}}),
        user(
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [{"type": "tool_reference", "tool_name": "CronList"}],
            }
        ),
    ]
    result = sent(model="anthropic.claude-opus-4-1-20250805-v1:0", tools=tools, messages=messages)

    assert [{**TOOL, "name": "ToolSearch"}, {**TOOL, "name": "CronList"}] == result["tools"]
    assert [text("Tool CronList loaded.")] == result["messages"][2]["content"][0]["content"]


def test_fields_of_tools_go_one_by_one():
    tool = {**TOOL, "defer_loading": True, "input_examples": [{}], "strict": True}
    result = bridged(tools=[tool, tool])

    assert [{**TOOL, "defer_loading": True, "strict": True}] * 2 == result.body["tools"]
    assert 1 == len(result.losses)


def test_bedrock_streams_input_eagerly_by_a_beta():
    result = bridged(tools=[{**TOOL, "eager_input_streaming": True}])

    assert [TOOL] == result.body["tools"]
    assert ("fine-grained-tool-streaming-2025-05-14",) == result.betas


def test_a_tool_that_a_folded_message_adds_is_offered():
    addition = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "read"}}
    messages = [user(text("Hi")), system([addition])]
    deferred = {**TOOL, "defer_loading": True}
    result = sent(VERTEX, "claude-sonnet-4-6", tools=[deferred], messages=messages)

    assert [TOOL] == result["tools"]
    assert "The tool read is available" in result["messages"][0]["content"][1]["text"]


def test_what_a_folded_message_takes_away_is_told():
    removal = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "read"}}
    messages = [user(text("Hi")), system([removal])]
    result = sent(VERTEX, "claude-sonnet-4-6", tools=[TOOL], messages=messages)

    assert [TOOL] == result["tools"]
    assert "The tool read is no longer available" in result["messages"][0]["content"][1]["text"]


def test_changes_of_the_tools_stay_where_they_are_taken():
    addition = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "read"}}
    messages = [*HELLO, system([addition])]

    assert messages == sent(tools=[TOOL], messages=messages)["messages"]


def test_a_tool_that_a_message_defines_joins_the_others():
    definition = {"name": "write", "input_schema": {"type": "object"}}
    addition = {
        "type": "tool_addition",
        "tool": {"type": "tool_definition", "definition": definition},
    }
    messages = [*HELLO, system([addition])]

    for tools in ({}, {"tools": [TOOL]}):
        expected = [*tools.get("tools", []), definition]
        assert expected == sent(messages=messages, **tools)["tools"]


# --- blocks ---


@pytest.mark.parametrize("kind", ["url", "file"])
@pytest.mark.parametrize("platform", [BEDROCK, VERTEX, MANTLE], ids=lambda p: p.name)
def test_what_would_have_to_be_fetched_is_refused_with_its_place(platform, kind):
    image = {"type": "image", "source": {"type": kind, kind: "https://example.com/a.png"}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [image]}

    with pytest.raises(InvalidRequestError, match=r"^messages\.1\.content\.0\.source: .* base64$"):
        bridged(platform, messages=[*HELLO, user(image)])
    with pytest.raises(InvalidRequestError, match=r"^messages\.0\.content\.1\.content\.0\.source"):
        bridged(platform, messages=[user(text("a"), result)])


def test_foundry_fetches():
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}

    assert [user(image)] == sent(FOUNDRY, messages=[user(image)])["messages"]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        pytest.param(
            {"type": "server_tool_use", "id": "a", "name": "web_search", "input": {"query": "q"}},
            '[web_search: {"query":"q"}]',
            id="use",
        ),
        pytest.param(
            {
                "type": "web_search_tool_result",
                "tool_use_id": "a",
                "content": [
                    {
                        "type": "web_search_result",
                        "url": "https://a",
                        "title": "A",
                        "encrypted_content": "x",
                    }
                ],
            },
            "[web_search: A https://a]",
            id="results",
        ),
        pytest.param(
            {
                "type": "code_execution_tool_result",
                "tool_use_id": "a",
                "content": {"type": "code_execution_result", "stdout": "1"},
            },
            '[code_execution: {"stdout":"1"}]',
            id="output",
        ),
        pytest.param(
            {
                "type": "web_search_tool_result",
                "tool_use_id": "a",
                "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
            },
            '[web_search: {"error_code":"unavailable"}]',
            id="error",
        ),
        pytest.param(
            {"type": "mcp_tool_use", "id": "a", "server_name": "s", "name": "n", "input": {}},
            "[n: {}]",
            id="mcp-use",
        ),
        pytest.param(
            {"type": "advisor_tool_result", "tool_use_id": "a", "content": "Do it."},
            "[advisor: Do it.]",
            id="advisor",
        ),
        pytest.param(
            {
                "type": "server_tool_use",
                "id": "a",
                "name": "bash_code_execution",
                "input": {"command": "ls"},
            },
            '[bash_code_execution: {"command":"ls"}]',
            id="code",
        ),
        pytest.param(
            {"type": "mcp_tool_result", "tool_use_id": "a", "content": [text("found")]},
            "[mcp: found]",
            id="mcp",
        ),
    ],
)
def test_what_another_platform_ran_is_told_in_words(block, words):
    messages = [*HELLO, assistant(block, text("So.")), *HELLO]

    assert [text(words), text("So.")] == sent(messages=messages)["messages"][1]["content"]


@pytest.mark.parametrize(
    ("platform", "model", "block"),
    [
        pytest.param(
            FOUNDRY, OPUS, {"type": "fallback", "from": {}, "to": {}}, id="a-fallback-elsewhere"
        ),
        pytest.param(BEDROCK, OPUS, {"type": "container_upload", "file_id": "f"}, id="a-file"),
        pytest.param(
            BEDROCK,
            CLAUDE_3,
            {"type": "thinking", "thinking": "a", "signature": "b"},
            id="thoughts",
        ),
        pytest.param(BEDROCK, CLAUDE_3, {"type": "redacted_thinking", "data": "b"}, id="hidden"),
    ],
)
def test_what_nobody_needs_is_left_out(platform, model, block):
    messages = [*HELLO, assistant(block, text("So.")), *HELLO, assistant(block), *HELLO]
    expected = [*HELLO, assistant(text("So.")), *HELLO, *HELLO]

    assert expected == sent(platform, model, messages=messages, max_tokens=64)["messages"]


def test_thoughts_and_summaries_stay_where_they_are_read():
    blocks = [
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "compaction", "content": "So far."},
        text("So."),
    ]
    messages = [*HELLO, assistant(*blocks), *HELLO]

    assert messages == sent(messages=messages)["messages"]


def test_a_summary_that_is_not_read_is_told_in_words():
    overrides = Overrides(drop_betas=frozenset({"compact-2026-01-12"}))
    messages = [*HELLO, assistant({"type": "compaction", "content": "So far."}), *HELLO]
    found = sent(overrides=overrides, messages=messages)["messages"]

    assert [text("So far.")] == found[1]["content"]


def test_the_older_interface_does_not_take_a_caller():
    use = {"type": "tool_use", "id": "a", "name": "read", "input": {}}
    messages = [*HELLO, assistant({**use, "caller": {"type": "direct"}})]

    assert [use] == sent(model=SONNET_45, messages=messages)["messages"][1]["content"]
    assert messages == sent(messages=messages)["messages"]


@pytest.mark.parametrize(
    ("platform", "model", "mark", "expected"),
    [
        pytest.param(BEDROCK, OPUS, {"ttl": "1h", "scope": "global"}, {"ttl": "1h"}, id="scope"),
        pytest.param(VERTEX, OPUS, {"invented": 1}, {}, id="unknown"),
        pytest.param(FOUNDRY, OPUS, {"scope": "global"}, {"scope": "global"}, id="foundry"),
        pytest.param(
            BEDROCK, "anthropic.claude-sonnet-4-20250514-v1:0", {"ttl": "1h"}, {}, id="no-hour"
        ),
    ],
)
def test_cache_marks_lose_what_is_not_taken_wherever_they_stand(platform, model, mark, expected):
    marked = {**text("A"), "cache_control": {"type": "ephemeral", **mark}}
    fitted = {**text("A"), "cache_control": {"type": "ephemeral", **expected}}
    result = bridged(
        platform,
        model,
        system=[marked],
        tools=[{**TOOL, "cache_control": marked["cache_control"]}],
        messages=[user({"type": "tool_result", "tool_use_id": "a", "content": [marked]}, marked)],
    )

    assert [fitted] == result.body["system"]
    assert fitted["cache_control"] == result.body["tools"][0]["cache_control"]
    outer, last = result.body["messages"][0]["content"]
    assert ([fitted], fitted) == (outer["content"], last)
    assert len(mark) - len(expected) == len(result.losses)


# --- whatever comes ---


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"messages": "x"}, id="messages"),
        pytest.param({"messages": [5, {"role": 5}, {"role": "user"}]}, id="a-message"),
        pytest.param({"messages": [user(5, {"type": {}}, {"type": "image"})]}, id="blocks"),
        pytest.param({"messages": [*HELLO, system([5])]}, id="a-system-message"),
        pytest.param({"system": 5, "tools": 5, "thinking": 5, "output_config": 5}, id="members"),
        pytest.param({"tools": [5], "tool_choice": 5, "max_tokens": "x"}, id="a-tool"),
        pytest.param({"system": [{"type": "text", "cache_control": 5}]}, id="a-mark"),
        pytest.param({"context_management": {"edits": [5]}, "cache_control": 5}, id="an-edit"),
        pytest.param({"output_config": {"effort": 5}, "thinking": {"type": 5}}, id="inside"),
    ],
)
@pytest.mark.parametrize("platform", [VERTEX, FOUNDRY], ids=lambda p: p.name)
def test_what_is_malformed_is_for_the_upstream_to_say(platform, members):
    base = {"model": "alias", "max_tokens": 9000, "messages": HELLO}

    assert base | members == sent(platform, messages=members.pop("messages", HELLO), **members)


def test_a_malformed_system_message_is_folded_as_it_is():
    for content, expected in (([5, {"type": "x"}], [text("Hi"), 5, {"type": "x"}]), (5, None)):
        folded = sent(model=SONNET_45, messages=[*HELLO, system(content)])["messages"]

        assert [user(*expected) if expected else HELLO[0]] == folded


WORDS = """
type role text system user assistant tool_result image source url thinking adaptive enabled name
tool_addition tool tool_definition definition edits effort content cache_control web_search_1 any
server_tool_use tool_reference output_config budget_tokens
"""
MEMBERS = """
messages system tools tool_choice thinking output_config context_management max_tokens metadata
cache_control output_format anthropic_beta
"""
words = st.sampled_from(WORDS.split())
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99_999) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
members = st.dictionaries(
    st.sampled_from(MEMBERS.split()),
    values | st.lists(st.fixed_dictionaries({"type": words, "content": values, "role": words})),
)


@given(
    members,
    st.sampled_from([BEDROCK, VERTEX, FOUNDRY, MANTLE]),
    st.sampled_from([OPUS, "claude-opus-4-1", ""]),
)
def test_what_is_not_a_request_is_left_to_the_upstream_or_refused(body, platform, model):
    call = Call(Envelope.of(body), "alias")
    try:
        result = bridge(call, platform, model)
    except RequestError:
        return

    assert isinstance(json.loads(bytes(result.body)), dict)
    again = bridge(Call(result.body, "alias"), platform, model)
    assert json.loads(bytes(again.body)).keys() <= json.loads(bytes(result.body)).keys() | {
        "output_config"
    }


LLAMA_CPP = replace(
    compatible("llama.cpp"), tool_choices=frozenset({"auto", "any"}), results_apart=True
)
CALL = assistant({"type": "tool_use", "id": "a", "name": "read", "input": {}})
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "It rains."}


def test_a_named_tool_is_the_only_one_where_it_cannot_be_named():
    choice = {"type": "tool", "name": "read", "disable_parallel_tool_use": True}
    found = bridged(LLAMA_CPP, "tiny", tools=[{**TOOL, "name": "write"}, TOOL], tool_choice=choice)
    body = json.loads(bytes(found.body))

    assert [TOOL] == body["tools"]
    assert {"type": "any", "disable_parallel_tool_use": True} == body["tool_choice"]
    assert (
        "tool_choice: llama.cpp does not take a name; sent as any, with that tool alone",
    ) == found.losses


def test_no_tools_are_sent_where_none_may_be_used_and_that_cannot_be_said():
    found = bridged(LLAMA_CPP, "tiny", tools=[TOOL], tool_choice={"type": "none"})

    assert {"model", "max_tokens", "messages"} == set(json.loads(bytes(found.body)))
    assert ("tool_choice: llama.cpp does not take none; sent without tools",) == found.losses


@pytest.mark.parametrize("kind", ["auto", "any"])
def test_a_choice_that_is_taken_stays(kind):
    found = sent(LLAMA_CPP, "tiny", tools=[TOOL], tool_choice={"type": kind})

    assert ([TOOL], {"type": kind}) == (found["tools"], found["tool_choice"])


def test_results_get_a_message_of_their_own_where_they_would_be_read_last():
    words, image = text("And then?"), text("Look.")
    messages = [*HELLO, CALL, user(RESULT, words), CALL, user(words, RESULT, image)]
    found = bridged(LLAMA_CPP, "tiny", messages=messages, tools=[TOOL])

    assert [
        *(*HELLO, CALL, user(RESULT), user(words)),
        *(CALL, user(RESULT), user(words, image)),
    ] == json.loads(bytes(found.body))["messages"]
    assert () == found.losses


@pytest.mark.parametrize("beside", [[RESULT], [RESULT, RESULT], [text("Hi")], []])
def test_messages_of_one_kind_keep_their_bytes(beside):
    call = Call(
        Envelope.parse(json.dumps({"messages": [*HELLO, CALL, user(*beside)]}, indent=3).encode()),
        "alias",
    )

    assert bytes(call.body) == bytes(bridge(call, LLAMA_CPP, "tiny").body)
