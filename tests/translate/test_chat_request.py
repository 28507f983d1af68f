"""A Messages request as a Chat Completions request: what is said, where, and what is lost."""

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from llmroute.testing._chat_body import problem_with
from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.chat_request import chat_request
from llmroute.translate.reasoning import seal

CAPTURES = sorted((Path(__file__).parent.parent / "platforms" / "captures").glob("*.json"))
DIALECT = ChatDialect("the server", "openai_compatible", "m")
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
IMAGE = {"type": "image", "source": PNG}
IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
READ = {
    "name": "read",
    "description": "Read a file",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
EPHEMERAL = {"type": "ephemeral"}

_MESSAGE = TypeAdapter(ChatCompletionMessageParam)
_TOOL = TypeAdapter(ChatCompletionToolParam)
_REQUEST = TypeAdapter(CompletionCreateParamsStreaming)


def translated(*messages, dialect=None, cache_key="", **members):
    """Translate; whatever comes of it must be taken by the strict fake."""
    body = {"model": "claude-opus-5-5", "max_tokens": 64, "messages": list(messages), **members}
    before = json.dumps(body)
    settled = dataclasses.replace(DIALECT, **(dialect or {}))
    request, losses = chat_request(body, settled, "m", cache_key=cache_key)
    assert before == json.dumps(body)
    taken = msgspec.json.encode(request)
    if "continue_final_message" not in request:
        assert None is problem_with(taken)
    return request, losses


def said(*messages, **options):
    return translated(*messages, **options)[0]["messages"]


def user(*content):
    return {"role": "user", "content": list(content)}


def assistant(*content):
    return {"role": "assistant", "content": list(content)}


def text(words, **members):
    return {"type": "text", "text": words, **members}


def call(id_="toolu_A", name="read", **given):
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_="toolu_A", content="hello", **members):
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **members}


def sent_call(id_="toolu_A", name="read", arguments='{"path":"a"}'):
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


HI = user(text("Hi"))
CALLED = [HI, assistant(call(path="a"))]
SENT = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": None, "tool_calls": [sent_call()]},
]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([HI], [{"role": "user", "content": "Hi"}], id="text"),
        pytest.param(
            [user(text("Hi"), text("there"))],
            [{"role": "user", "content": "Hi\n\nthere"}],
            id="texts-are-one",
        ),
        pytest.param(
            [user(text("See"), IMAGE)],
            [{"role": "user", "content": [text("See"), IMAGE_PART]}],
            id="image",
        ),
        pytest.param(
            [*CALLED, user(result())],
            [*SENT, {"role": "tool", "tool_call_id": "toolu_A", "content": "hello"}],
            id="tool",
        ),
        pytest.param(
            [*CALLED, user(result(is_error=True))],
            [*SENT, {"role": "tool", "tool_call_id": "toolu_A", "content": "[tool error] hello"}],
            id="tool-that-failed",
        ),
        pytest.param(
            [*CALLED, user(result(content=[]))],
            [*SENT, {"role": "tool", "tool_call_id": "toolu_A", "content": "(no output)"}],
            id="tool-without-output",
        ),
        pytest.param(
            [*CALLED, user(result(content=[text("one"), text("two")]), text("Hurry."))],
            [
                *SENT,
                {"role": "tool", "tool_call_id": "toolu_A", "content": "one\ntwo"},
                {"role": "user", "content": "Hurry."},
            ],
            id="text-after-a-result-follows-it",
        ),
        pytest.param(
            [*CALLED, user(result(content=[IMAGE]))],
            [
                *SENT,
                {
                    "role": "tool",
                    "tool_call_id": "toolu_A",
                    "content": "[image attached below]",
                },
                {"role": "user", "content": [IMAGE_PART]},
            ],
            id="image-in-a-result-follows-it",
        ),
        pytest.param(
            [
                HI,
                assistant(text("OK"), call("a", path="a"), call("b", path="a")),
                user(result("b", "two"), result("a", "one")),
            ],
            [
                SENT[0],
                {
                    "role": "assistant",
                    "content": "OK",
                    "tool_calls": [sent_call("a"), sent_call("b")],
                },
                {"role": "tool", "tool_call_id": "a", "content": "one"},
                {"role": "tool", "tool_call_id": "b", "content": "two"},
            ],
            id="parallel-tools-in-the-order-of-their-calls",
        ),
        pytest.param(
            [*CALLED, HI],
            [
                *SENT,
                {
                    "role": "tool",
                    "tool_call_id": "toolu_A",
                    "content": "[tool error] [no result recorded]",
                },
                {"role": "user", "content": "Hi"},
            ],
            id="call-without-a-result",
        ),
        pytest.param(
            [HI, assistant({"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}), HI],
            [{"role": "user", "content": "Hi\n\nHi"}],
            id="thinking-of-another-maker-goes",
        ),
        pytest.param(
            [HI, {"role": "system", "content": "Be brief."}],
            [
                {
                    "role": "user",
                    "content": "Hi\n\n<system-reminder>\nBe brief.\n</system-reminder>",
                }
            ],
            id="system-message-becomes-a-reminder",
        ),
    ],
)
def test_messages(messages, expected):
    assert expected == said(*messages)


@pytest.mark.parametrize(
    ("dialect", "messages", "expected"),
    [
        pytest.param(
            {"system_messages": True, "system_role": "developer"},
            [HI, {"role": "system", "content": "Be brief."}],
            [SENT[0], {"role": "developer", "content": "Be brief."}],
            id="system-messages-stay",
        ),
        pytest.param(
            {"images": False},
            [user(text("See"), IMAGE)],
            [{"role": "user", "content": "See\n\n[image omitted]"}],
            id="no-images",
        ),
        pytest.param(
            {"documents": True},
            [user({"type": "document", "source": PDF, "title": "a"})],
            [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "file",
                            "file": {
                                "filename": "a.pdf",
                                "file_data": "data:application/pdf;base64,JVBERi0=",
                            },
                        }
                    ],
                }
            ],
            id="documents",
        ),
        pytest.param(
            {"null_content": False},
            [*CALLED, user(result())],
            [
                SENT[0],
                {**SENT[1], "content": ""},
                {"role": "tool", "tool_call_id": "toolu_A", "content": "hello"},
            ],
            id="no-null",
        ),
        pytest.param(
            {"user_after_tool": False},
            [*CALLED, user(result(), text("Hurry."))],
            [
                *SENT,
                {"role": "tool", "tool_call_id": "toolu_A", "content": "hello"},
                {"role": "assistant", "content": "…"},
                {"role": "user", "content": "Hurry."},
            ],
            id="no-user-after-a-tool",
        ),
        pytest.param(
            {"prefill": "prefix"},
            [HI, assistant(text("Sure,"))],
            [SENT[0], {"role": "assistant", "content": "Sure,", "prefix": True}],
            id="prefill",
        ),
        pytest.param(
            {"cache_marks": "cache_control"},
            [user(text("Hi", cache_control=EPHEMERAL))],
            [{"role": "user", "content": [text("Hi", cache_control=EPHEMERAL)]}],
            id="cache-marks-stay",
        ),
        pytest.param(
            {"cache_marks": "prompt_cache_breakpoint"},
            [user(text("Hi", cache_control=EPHEMERAL))],
            [
                {
                    "role": "user",
                    "content": [
                        text("Hi", prompt_cache_breakpoint={"mode": "explicit", "ttl": "30m"})
                    ],
                }
            ],
            id="cache-marks-as-breakpoints",
        ),
    ],
)
def test_messages_by_dialect(dialect, messages, expected):
    assert expected == said(*messages, dialect=dialect)


def test_ids_for_servers_that_take_nine_characters():
    _, sent, back = said(*CALLED, user(result()), dialect={"tool_ids": "mistral"})

    assert 9 == len(back["tool_call_id"])
    assert sent["tool_calls"][0]["id"] == back["tool_call_id"]


SEALED = seal("openai_compatible", "m", {})
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": SEALED}


@pytest.mark.parametrize(
    ("replay", "content", "expected"),
    [
        pytest.param("none", [THOUGHT, call()], {}, id="none"),
        pytest.param(
            "reasoning_content",
            [THOUGHT, call()],
            {"reasoning_content": "Hm."},
            id="reasoning_content",
        ),
        pytest.param("reasoning", [THOUGHT, text("A")], {"reasoning": "Hm."}, id="reasoning"),
        pytest.param(
            "reasoning_content",
            [call()],
            {"reasoning_content": ""},
            id="a-call-of-another-models-has-none",
        ),
        pytest.param("reasoning_content", [text("A")], {}, id="a-text-needs-none"),
        pytest.param(
            "reasoning_details",
            [
                {
                    **THOUGHT,
                    "signature": seal(
                        "openai_compatible", "m", {"details": [{"type": "reasoning.text"}]}
                    ),
                },
                call(),
            ],
            {"reasoning_details": [{"type": "reasoning.text"}]},
            id="details",
        ),
        pytest.param(
            "reasoning_content",
            [{**THOUGHT, "signature": seal("openai_compatible", "other", {})}, text("A")],
            {},
            id="of-another-model",
        ),
    ],
)
def test_reasoning_is_given_back(replay, content, expected):
    sent = said(HI, assistant(*content), dialect={"reasoning_replay": replay})[1]

    assert expected == {name: sent[name] for name in sent if name.startswith("reasoning")}


def test_what_a_call_had_besides_is_given_back():
    extra = {"google": {"thought_signature": "Q2"}}
    state = {"calls": {"toolu_A": extra}}
    thought = {**THOUGHT, "thinking": "", "signature": seal("openai_compatible", "m", state)}
    sent = said(HI, assistant(thought, call()))[1]

    assert extra == sent["tool_calls"][0]["extra_content"]


@pytest.mark.parametrize(
    ("dialect", "members", "expected"),
    [
        pytest.param({}, {}, {"max_tokens": 64}, id="plain"),
        pytest.param(
            {"max_tokens_name": "max_completion_tokens", "max_tokens_limit": 32},
            {},
            {"max_completion_tokens": 32},
            id="other-name-and-limit",
        ),
        pytest.param({}, {"max_tokens": 0}, {"max_tokens": 1}, id="no-tokens"),
        pytest.param(
            {}, {"temperature": 0.5, "top_p": 1}, {"temperature": 0.5, "top_p": 1}, id="sampling"
        ),
        pytest.param({"sampling": False}, {"temperature": 0.5}, {}, id="no-sampling"),
        pytest.param({"top_k": True}, {"top_k": 4}, {"top_k": 4}, id="top_k"),
        pytest.param({}, {"stop_sequences": ["END", " "]}, {"stop": ["END"]}, id="stop"),
        pytest.param({"stop": False}, {"stop_sequences": ["END"]}, {}, id="no-stop"),
        pytest.param(
            {},
            {"stream": True},
            {"stream": True, "stream_options": {"include_usage": True}},
            id="stream",
        ),
        pytest.param(
            {"stream_options": False}, {"stream": True}, {"stream": True}, id="no-stream-options"
        ),
        pytest.param({"prompt_cache_key": True}, {}, {"prompt_cache_key": "k"}, id="cache-key"),
        pytest.param(
            {"drop_members": frozenset({"temperature"})}, {"temperature": 1}, {}, id="dropped"
        ),
        pytest.param(
            {"effort_in": frozenset({"reasoning_effort"}), "efforts": {"max": "high"}},
            {"output_config": {"effort": "max"}, "thinking": {"type": "adaptive"}},
            {"reasoning_effort": "high"},
            id="effort",
        ),
        pytest.param(
            {"effort_in": frozenset({"reasoning_effort"})},
            {"thinking": {"type": "enabled", "budget_tokens": 8000}},
            {"reasoning_effort": "medium"},
            id="budget",
        ),
        pytest.param(
            {"effort_in": frozenset({"reasoning_effort"}), "efforts": {"none": ""}},
            {"thinking": {"type": "disabled"}},
            {},
            id="no-thinking",
        ),
        pytest.param(
            {"effort_in": frozenset({"reasoning"})},
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            {"reasoning": {"enabled": False}},
            id="no-thinking-for-openrouter",
        ),
        pytest.param(
            {"effort_in": frozenset({"thinking", "enable_thinking", "chat_template_kwargs"})},
            {"thinking": {"type": "adaptive"}},
            {
                "thinking": {"type": "enabled"},
                "enable_thinking": True,
                "chat_template_kwargs": {"enable_thinking": True},
            },
            id="switches",
        ),
        pytest.param(
            {"tools_effort": "none", "effort_in": frozenset({"reasoning_effort"})},
            {"output_config": {"effort": "high"}},
            {"reasoning_effort": "high"},
            id="effort-without-tools",
        ),
    ],
)
def test_other_members(dialect, members, expected):
    request, _ = translated(HI, dialect=dialect, cache_key="k", **members)
    every = {name: value for name, value in request.items() if name not in ("model", "messages")}

    limit = {} if any(name.startswith("max_") for name in expected) else {"max_tokens": 64}
    assert {**limit, **expected} == every


@pytest.mark.parametrize(
    ("dialect", "choice", "expected"),
    [
        pytest.param({}, {"type": "auto"}, {"tool_choice": "auto"}, id="auto"),
        pytest.param({}, {"type": "any"}, {"tool_choice": "required"}, id="any"),
        pytest.param({}, {"type": "none"}, {"tool_choice": "none"}, id="none"),
        pytest.param(
            {},
            {"type": "tool", "name": "read"},
            {"tool_choice": {"type": "function", "function": {"name": "read"}}},
            id="tool",
        ),
        pytest.param(
            {"tool_choices": frozenset({"auto", "required"})},
            {"type": "tool", "name": "read"},
            {"tool_choice": "required"},
            id="a-wider-one",
        ),
        pytest.param(
            {"tool_choices": frozenset()}, {"type": "any"}, {}, id="left-out-where-there-is-none"
        ),
        pytest.param(
            {},
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
            id="one-at-a-time",
        ),
        pytest.param(
            {"parallel_tool_calls": False},
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto"},
            id="parallel-calls-cannot-be-forbidden",
        ),
    ],
)
def test_tool_choice(dialect, choice, expected):
    request, _ = translated(HI, dialect=dialect, tools=[READ], tool_choice=choice)

    assert expected == {
        name: request[name] for name in ("tool_choice", "parallel_tool_calls") if name in request
    }


@pytest.mark.parametrize(
    ("taken", "offered"),
    [
        pytest.param({"auto", "required", "named"}, ["write", "read"], id="by-its-name"),
        pytest.param({"auto", "required"}, ["read"], id="as-the-only-one"),
    ],
)
def test_a_tool_that_must_be_used_is(taken, offered):
    request, _ = translated(
        HI,
        dialect={"tool_choices": frozenset(taken)},
        tools=[{**READ, "name": "write"}, READ],
        tool_choice={"type": "tool", "name": "read"},
    )

    assert offered == [tool["function"]["name"] for tool in request["tools"]]


def test_tools_are_functions_with_names_that_fit():
    long = {"name": "mcp__files__" + "x" * 60, "input_schema": {"type": "object"}}
    request, losses = translated(
        HI,
        assistant(call("a", long["name"])),
        tools=[READ, long],
        tool_choice={"type": "tool", "name": long["name"]},
    )
    first, second = (tool["function"] for tool in request["tools"])

    assert {
        "name": "read",
        "description": "Read a file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    } == first
    assert 64 >= len(second["name"])
    assert second["name"] == request["tool_choice"]["function"]["name"]
    assert second["name"] == request["messages"][1]["tool_calls"][0]["function"]["name"]
    assert () == losses


def test_tools_and_an_effort_that_goes_with_them():
    dialect = {"tools_effort": "none", "effort_in": frozenset({"reasoning_effort"})}
    request, _ = translated(HI, dialect=dialect, tools=[READ], output_config={"effort": "high"})

    assert "none" == request["reasoning_effort"]


def test_strict_tools_have_closed_schemas():
    request, losses = translated(
        HI, dialect={"strict_tools": True}, tools=[{**READ, "strict": True}]
    )
    function = request["tools"][0]["function"]

    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False
    assert ["path"] == function["parameters"]["required"]
    assert () == losses


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
FORMAT = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}


def test_a_schema_for_the_answer():
    request, losses = translated(HI, **FORMAT)

    assert {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "schema": {**SCHEMA, "additionalProperties": False},
            "strict": True,
        },
    } == request["response_format"]
    assert () == losses


@pytest.mark.parametrize("form", ["none", "json_object"])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_a_schema_for_the_answer_in_words(form, system):
    given = {"system": system} if system else {}
    request, losses = translated(HI, dialect={"response_format": form}, **FORMAT, **given)

    assert '"required":["a"]' in request["messages"][0]["content"]
    assert "system" == request["messages"][0]["role"]
    assert (form == "json_object") is ("response_format" in request)
    assert ("output_config.format: the server is asked for it in words only",) == losses


@pytest.mark.parametrize(
    ("members", "lost"),
    [
        pytest.param({"top_k": 4}, "top_k: left out: the server does not take it", id="top_k"),
        pytest.param({"speed": "fast"}, "speed: left out: the server does not know it", id="speed"),
        pytest.param(
            {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
            "context_management: clear_tool_uses_20250919 left out: the server does not know it",
            id="context-edits",
        ),
    ],
)
def test_what_is_lost_is_told(members, lost):
    assert (lost,) == translated(HI, **members)[1]


def test_a_prefill_that_cannot_be_made_is_told():
    assert ("messages: the answer is not made to begin with the last one",) == translated(
        HI, assistant(text("Sure,"))
    )[1]


def test_clearing_thinking_is_no_loss():
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}

    assert () == translated(HI, context_management=edits)[1]


def test_only_the_last_four_breakpoints_are_kept():
    marked = [text(str(n), cache_control=EPHEMERAL) for n in range(6)]
    request, _ = translated(user(*marked), dialect={"cache_marks": "prompt_cache_breakpoint"})
    parts = request["messages"][0]["content"]

    assert [False, False, True, True, True, True] == [
        "prompt_cache_breakpoint" in part for part in parts
    ]
    assert {"mode": "explicit"} == request["prompt_cache_options"]


def captured():
    return [
        pytest.param(recorded["body"], id=f"{file.stem}-{at}")
        for file in CAPTURES
        for at, recorded in enumerate(json.loads(file.read_text()))
        if recorded["path"].startswith("/v1/messages") and "count" not in recorded["path"]
    ]


@pytest.mark.parametrize("body", captured())
@pytest.mark.parametrize(
    "dialect",
    [
        {},
        {"system_messages": True, "system_role": "developer", "documents": True},
        {"images": False, "urls": False, "cache_marks": "cache_control"},
    ],
    ids=["plain", "openai", "marked"],
)
def test_what_claude_code_sends_is_taken(body, dialect):
    request, _ = chat_request(body, dataclasses.replace(DIALECT, **dialect), "m")

    assert None is problem_with(msgspec.json.encode(request))


@pytest.mark.parametrize("body", captured())
def test_what_is_sent_is_of_the_sdks_types(body):
    request, _ = chat_request({**body, "stream": True}, DIALECT, "m")
    request.setdefault("model", "m")

    _REQUEST.validate_python(request)
    for message in request["messages"]:
        exhausted(_MESSAGE.validate_python(message))
    for tool in request.get("tools", ()):
        _TOOL.validate_python(tool, strict=True)


def exhausted(value):
    """Read everything of a value: what is iterable is validated as it is read."""
    if isinstance(value, dict):
        for each in value.values():
            exhausted(each)
    elif not isinstance(value, str) and hasattr(value, "__iter__"):
        for each in value:
            exhausted(each)


def test_the_prompt_of_a_turn_begins_with_that_of_the_turn_before():
    turns = [
        HI,
        {"role": "system", "content": "Now brief."},
        assistant(THOUGHT, text("A"), call("a", path="a"), call("b", path="b")),
        user(result("a", [IMAGE]), result("b", "two"), text("Go on.")),
        assistant(text("B")),
        user(text("Thanks.")),
    ]
    prompts = [
        said(*turns[:end], tools=[READ], dialect={"reasoning_replay": "reasoning_content"})
        for end in (2, 4, 6)
    ]

    for shorter, longer in pairwise(prompts):
        assert shorter == longer[: len(shorter)]
