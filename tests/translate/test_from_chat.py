"""A Chat Completions request as a Messages request: what becomes of all, and what is told."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.translate.chat_words import HI, MARK, asked, assistant, call, text, use, user

from llmroute.errors import InvalidRequestError
from llmroute.translate.from_chat import from_chat

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SQL = {"type": "custom", "custom": {"name": "sql"}}
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}


def test_the_least_there_is():
    body, losses, obstacle = asked()

    assert {
        "model": "sonnet",
        "max_tokens": 4096,
        "messages": [user(text("Hi"))],
    } == body
    assert ((), "") == (losses, obstacle)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"max_tokens": 7}, {"max_tokens": 7}, id="max-tokens"),
        pytest.param(
            {"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}, id="both-limits"
        ),
        pytest.param({"stop": "END"}, {"stop_sequences": ["END"]}, id="a-stop"),
        pytest.param({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}, id="stops"),
        pytest.param({"temperature": 0.5}, {"temperature": 0.5}, id="temperature"),
        pytest.param({"temperature": 1, "top_p": 0.9}, {"top_p": 0.9}, id="one-that-is-default"),
        pytest.param({"temperature": 0.2, "top_p": 1}, {"temperature": 0.2}, id="the-other-one"),
        pytest.param({"top_k": 5}, {"top_k": 5}, id="top-k"),
        pytest.param({"stream": True}, {"stream": True}, id="stream"),
        pytest.param({"user": "ann"}, {"metadata": {"user_id": "ann"}}, id="user"),
        pytest.param(
            {"user": "ann", "safety_identifier": "s1"},
            {"metadata": {"user_id": "s1"}},
            id="safety-identifier",
        ),
        pytest.param({"metadata": {"user_id": "u"}}, {"metadata": {"user_id": "u"}}, id="metadata"),
        pytest.param({"service_tier": "auto"}, {"service_tier": "auto"}, id="a-tier"),
        pytest.param(
            {"service_tier": "default"}, {"service_tier": "standard_only"}, id="the-default-tier"
        ),
        pytest.param(
            {"reasoning_effort": "high"},
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "high"},
            },
            id="effort",
        ),
        pytest.param(
            {"reasoning_effort": "minimal"},
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "low"},
            },
            id="minimal-effort",
        ),
        pytest.param({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, id="none"),
        pytest.param(
            {"reasoning": {"effort": "xhigh", "exclude": True}},
            {
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "xhigh"},
            },
            id="openrouters-reasoning",
        ),
        pytest.param(
            {"reasoning": {"max_tokens": 2000}},
            {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "summarized"}},
            id="a-budget",
        ),
        pytest.param(
            {"reasoning": {"enabled": True}},
            {"thinking": {"type": "adaptive", "display": "summarized"}},
            id="reasoning-enabled",
        ),
        pytest.param(
            {"thinking": {"type": "adaptive"}, "reasoning_effort": "max"},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            id="anthropics-own-thinking",
        ),
        pytest.param({"response_format": {"type": "text"}}, {}, id="text"),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": CLOSED, "description": "A thing."},
                }
            },
            {
                "output_config": {
                    "format": {
                        "type": "json_schema",
                        "schema": {**CLOSED, "description": "A thing."},
                    }
                }
            },
            id="a-schema",
        ),
        pytest.param({"cache_control": MARK}, {"cache_control": MARK}, id="automatic-caching"),
        pytest.param(
            {
                "seed": None,
                "logit_bias": {},
                "presence_penalty": 0,
                "frequency_penalty": 0.0,
                "store": False,
                "n": 1,
                "logprobs": False,
                "modalities": ["text"],
                "verbosity": "medium",
                "functions": [],
                "prompt_cache_key": "k",
                "stream_options": {"include_usage": True},
                "parallel_tool_calls": True,
                "tools": [],
            },
            {},
            id="what-changes-nothing",
        ),
        pytest.param(
            {
                "web_search_options": {
                    "user_location": {
                        "type": "approximate",
                        "approximate": {"country": "DE", "city": "Köln", "odd": 1},
                    }
                }
            },
            {
                "tools": [
                    {
                        "type": "web_search_20250305",
                        "name": "web_search",
                        "user_location": {
                            "type": "approximate",
                            "city": "Köln",
                            "country": "DE",
                        },
                    }
                ]
            },
            id="a-search",
        ),
    ],
)
def test_members(members, expected):
    body, losses, obstacle = asked(**members)

    assert {
        "model": "sonnet",
        "max_tokens": 4096,
        "messages": [user(text("Hi"))],
    } | expected == body
    assert ((), "") == (losses, obstacle)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param(
            {"tools": [WEATHER]},
            {"tools": [{"name": "weather", "input_schema": {"type": "object"}}]},
            id="a-function",
        ),
        pytest.param(
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "now", "description": "", "strict": True},
                        "cache_control": MARK,
                    }
                ]
            },
            {
                "tools": [
                    {
                        "name": "now",
                        "input_schema": CLOSED,
                        "strict": True,
                        "cache_control": MARK,
                    }
                ]
            },
            id="a-strict-one-without-parameters",
        ),
        pytest.param(
            {"tools": [SQL]},
            {
                "tools": [
                    {
                        "name": "sql",
                        "input_schema": {
                            "type": "object",
                            "properties": {"input": {"type": "string"}},
                            "required": ["input"],
                        },
                    }
                ]
            },
            id="a-custom-one",
        ),
        pytest.param(
            {"tools": [{"type": "bash_20250124", "name": "bash"}]},
            {"tools": [{"type": "bash_20250124", "name": "bash"}]},
            id="one-of-anthropics",
        ),
        pytest.param(
            {"tools": [WEATHER], "tool_choice": "required"},
            {"tool_choice": {"type": "any"}},
            id="required",
        ),
        pytest.param(
            {"tools": [WEATHER], "tool_choice": "none", "parallel_tool_calls": False},
            {"tool_choice": {"type": "none"}},
            id="none",
        ),
        pytest.param(
            {"tools": [WEATHER], "parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            id="one-at-a-time",
        ),
        pytest.param(
            {"tools": [SQL], "tool_choice": {"type": "custom", "custom": {"name": "sql"}}},
            {"tool_choice": {"type": "tool", "name": "sql"}},
            id="a-custom-tool-by-name",
        ),
        pytest.param(
            {
                "tools": [WEATHER, SQL],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "required", "tools": [WEATHER]},
                },
            },
            {
                "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "any"},
            },
            id="allowed-tools",
        ),
    ],
)
def test_tools(members, expected):
    body, losses, obstacle = asked(**members)

    assert expected == {name: body[name] for name in expected}
    assert ((), "") == (losses, obstacle)


@pytest.mark.parametrize(
    ("members", "line", "kept"),
    [
        pytest.param({"seed": 7}, "seed: left out", {}, id="seed"),
        pytest.param({"store": True}, "store: left out", {}, id="store"),
        pytest.param({"logit_bias": {"5": 1}}, "logit_bias: left out", {}, id="logit-bias"),
        pytest.param({"prediction": {"type": "content"}}, "prediction: left", {}, id="prediction"),
        pytest.param({"brand_new": 0}, "brand_new: left out", {}, id="never-heard-of"),
        pytest.param({"metadata": {"a": "b"}}, "metadata: left out", {}, id="metadata"),
        pytest.param({"service_tier": "flex"}, "service_tier: left out", {}, id="tier"),
        pytest.param({"stop": [" ", "a"]}, "stop: left", {"stop_sequences": ["a"]}, id="stop"),
        pytest.param({"reasoning_effort": "so-so"}, "reasoning_effort: left", {}, id="effort"),
        pytest.param({"temperature": 1.5}, "temperature: sent as 1", {"temperature": 1}, id="hot"),
        pytest.param(
            {"temperature": 0.5, "top_p": 0.5},
            "top_p: left out: not together with temperature",
            {"temperature": 0.5},
            id="both-samplings",
        ),
        pytest.param(
            {"temperature": 0.5, "reasoning_effort": "low"},
            "temperature: left out: not together with reasoning",
            {"output_config": {"effort": "low"}},
            id="sampling-and-reasoning",
        ),
        pytest.param(
            {"response_format": {"type": "json_object"}},
            "response_format: json_object is asked for in words",
            {"system": [text("Answer with one JSON object and nothing else.")]},
            id="any-json",
        ),
        pytest.param(
            {"tool_choice": "required"}, "tool_choice: left out: there are no", {}, id="no-tools"
        ),
        pytest.param(
            {
                "tools": [
                    {
                        "type": "custom",
                        "custom": {
                            "name": "sql",
                            "format": {
                                "type": "grammar",
                                "grammar": {"syntax": "lark", "definition": "start: /x/"},
                            },
                        },
                    }
                ]
            },
            "tools[0].custom.format: the grammar is told in words",
            {},
            id="a-grammar",
        ),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "schema": {"type": "object", "properties": {"a": {"minimum": 3}}}
                    },
                }
            },
            "response_format.json_schema.schema: properties.a.minimum: told in words",
            {},
            id="a-schema",
        ),
        pytest.param(
            {"tools": [WEATHER], "tool_choice": "required", "reasoning_effort": "high"},
            "reasoning: the model does not think first",
            {"output_config": {"effort": "high"}, "tool_choice": {"type": "any"}},
            id="thinking-before-a-call-that-must-be",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "Hi", "name": "ann"}]},
            "messages[0].name: left out",
            {},
            id="a-name",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image_url",
                                "image_url": {"url": "https://a/b.png", "detail": "low"},
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0].image_url.detail: left out",
            {},
            id="detail",
        ),
        pytest.param(
            {"messages": [*HI, {"role": "assistant", "tool_calls": [call("a", arguments="{")]}]},
            "messages[1].tool_calls[0]: the arguments are no JSON object",
            {"messages": [user(text("Hi")), assistant(use("a", arguments="{"))]},
            id="broken-arguments",
        ),
    ],
)
def test_what_is_lost_is_told(members, line, kept):
    body, losses, obstacle = asked(**members)

    assert 1 == len(losses)
    assert losses[0].startswith(line)
    assert kept == {name: body[name] for name in kept}
    assert "" == obstacle


@pytest.mark.parametrize(
    ("members", "why"),
    [
        pytest.param({"n": 2}, "n: ", id="two-answers"),
        pytest.param({"logprobs": True}, "logprobs: ", id="logprobs"),
        pytest.param({"audio": {"voice": "alloy"}}, "audio: ", id="audio"),
        pytest.param({"modalities": ["text", "audio"]}, "modalities: ", id="modalities"),
        pytest.param({"moderation": {"model": "m"}}, "moderation: ", id="moderation"),
        pytest.param({"functions": [{"name": "f"}]}, "functions: ", id="functions"),
        pytest.param({"response_format": {"type": "xml"}}, "response_format: ", id="format"),
        pytest.param({"tools": [{"type": "mcp"}]}, "tools[0]: ", id="a-tool-of-openais"),
        pytest.param(
            {"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice: ", id="choice"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0]: ",
            id="spoken-words",
        ),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}
                ]
            },
            "messages[0].content[0]: ",
            id="a-file-at-openais",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "gs://a"}}],
                    }
                ]
            },
            "messages[0].content[0]: ",
            id="an-image-nobody-can-fetch",
        ),
        pytest.param({"messages": [{"role": "function"}]}, "messages[0].role: ", id="function"),
    ],
)
def test_what_would_change_the_question_is_in_the_way(members, why):
    assert asked(**members).obstacle.startswith(why)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"messages": None}, id="no-messages"),
        pytest.param({"messages": ["Hi"]}, id="no-object"),
        pytest.param({"messages": [{"role": "king"}]}, id="no-role"),
        pytest.param({"messages": [{"role": "user", "content": 7}]}, id="no-content"),
        pytest.param({"messages": [{"role": "user", "content": [7]}]}, id="no-part"),
        pytest.param(
            {"messages": [*HI, {"role": "assistant", "tool_calls": [{"id": "a"}]}]}, id="no-call"
        ),
        pytest.param({"max_tokens": 0}, id="no-tokens"),
        pytest.param({"max_tokens": True}, id="a-truth-for-a-number"),
        pytest.param({"temperature": "hot"}, id="no-temperature"),
    ],
)
def test_what_is_no_request_is_an_error(members):
    with pytest.raises(InvalidRequestError):
        asked(**members)


def test_a_dated_tool_of_an_odd_name_is_none_that_is_allowed():
    dated = {"type": "web_search_20250305", "name": ["x"]}
    allowed = {"mode": "auto", "tools": [WEATHER]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = asked(tools=[WEATHER, dated], tool_choice=choice).body

    assert ["weather"] == [tool["name"] for tool in body["tools"]]


def test_a_long_name_of_a_user_is_shortened_the_same_way_each_time():
    first, second = (asked(user="x" * 300).body["metadata"]["user_id"] for _ in range(2))

    assert first == second
    assert 256 >= len(first)


INSIDE = ["type", "role", "content", "text", "function", "name", "tool_calls", "url", "id", "file"]
INSIDE += ["image_url", "file_data", "custom", "arguments", "input", "schema"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(INSIDE),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = ["messages", "tools", "tool_choice", "response_format", "stop", "reasoning", "metadata"]
NAMES += ["web_search_options", "modalities", "thinking", "max_tokens", "temperature", "user", "n"]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=5))
def test_whatever_comes_is_a_request_or_an_error_of_the_callers(members):
    try:
        body, losses, obstacle = from_chat({"model": "m", "messages": HI, **members}, 9)
    except InvalidRequestError:
        return
    json.dumps(body)
    assert all(isinstance(line, str) for line in (*losses, obstacle))
