"""What of a Messages request OpenAI Responses is sent, and what is lost."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import pytest
from openai.types.responses import ResponseInputItemParam, ToolParam
from openai.types.responses.response_create_params import (
    ResponseCreateParamsBase,
    ResponseTextConfigParam,
    ToolChoice,
)
from openai.types.shared_params import Reasoning
from pydantic import TypeAdapter

from llmroute.errors import InvalidRequestError
from llmroute.testing._openai_body import complaint_about
from llmroute.translate.names import OPENAI_NAMES
from llmroute.translate.reasoning import seal
from llmroute.translate.responses_request import (
    ResponsesModel,
    responses_count,
    responses_request,
)

GPT = ResponsesModel("gpt-5.4", "api.openai.com")
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
READ = {"name": "read", "description": "Read.", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
MARK = {"cache_control": {"type": "ephemeral"}}
CAPTURES = Path(__file__).parent.parent / "platforms" / "captures"

ITEM = TypeAdapter(ResponseInputItemParam)
TOOL = TypeAdapter(ToolParam)
PARTS = {
    "tool_choice": TypeAdapter(ToolChoice),
    "reasoning": TypeAdapter(Reasoning),
    "text": TypeAdapter(ResponseTextConfigParam),
}


def checked(sent, known=None, *, counting=False):
    """Hold what is sent against OpenAI's own types, and against what its API refuses."""
    assert None is complaint_about(sent, known or {}, counting=counting)
    assert sent.keys() <= ResponseCreateParamsBase.__annotations__.keys() | {"stream"}
    for item in sent["input"]:
        ITEM.validate_python(item)
    for tool in sent.get("tools", []):
        TOOL.validate_python(tool)
    for name, adapter in PARTS.items():
        if name in sent:
            adapter.validate_python(sent[name])
    return sent


def translated(messages="Hi", model=GPT, known=None, **members):
    if isinstance(messages, str):
        messages = [user(messages)]
    body = {"model": "m", "max_tokens": 100, "messages": messages, **members}
    before = copy.deepcopy(body)
    sent, losses = responses_request(body, model)
    assert before == body
    return checked(sent, known), losses


def sent_of(messages="Hi", model=GPT, known=None, **members):
    return translated(messages, model, known, **members)[0]


def text(said, **more):
    return {"type": "text", "text": said, **more}


def user(*content):
    return {"role": "user", "content": [text(c) if isinstance(c, str) else c for c in content]}


def assistant(*content):
    return {**user(*content), "role": "assistant"}


def call(id_="a", name="read", **given):
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_="a", *content, is_error=False):
    said = [text(c) if isinstance(c, str) else c for c in content]
    return {"type": "tool_result", "tool_use_id": id_, "content": said, "is_error": is_error}


def thought(said="Hm.", family="api.openai.com", **state):
    signature = seal("openai", family, state or {"id": "rs_1", "enc": "E"})
    return {"type": "thinking", "thinking": said, "signature": signature}


def says(*texts, role="user"):
    parts = [{"type": "input_text", "text": said} for said in texts]
    return {"type": "message", "role": role, "content": parts}


def answers(said, phase="final_answer"):
    return {"type": "message", "role": "assistant", "content": said, "phase": phase}


def calls(id_="a", name="read", arguments="{}"):
    return {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}


def output(id_, said):
    return {"type": "function_call_output", "call_id": id_, "output": said}


IMAGE = {
    "type": "input_image",
    "image_url": "data:image/png;base64,iVBORw0KGgo=",
    "detail": "auto",
}
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": "E",
}


def test_a_plain_request():
    assert {
        "model": "gpt-5.4",
        "input": [says("Hi")],
        "max_output_tokens": 100,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    } == sent_of()


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([user("A", "B")], [says("A", "B")], id="two-texts"),
        pytest.param(
            [user("A"), assistant("B"), user("C")],
            [says("A"), answers("B"), says("C")],
            id="an-answer",
        ),
        pytest.param(
            [user("A"), assistant("B", call(p=1), call("b")), user(result("b"), result("a", "1"))],
            [
                says("A"),
                answers("B", "commentary"),
                calls("a", arguments='{"p":1}'),
                calls("b"),
                output("a", "1"),
                output("b", "(no output)"),
            ],
            id="parallel-calls-and-their-results-in-order",
        ),
        pytest.param(
            [user("A"), assistant(call()), user(result("a", "No.", is_error=True), "Hurry.")],
            [says("A"), calls(), output("a", "[tool error] No."), says("Hurry.")],
            id="a-tool-error-and-a-word-beside-it",
        ),
        pytest.param(
            [
                user("A"),
                assistant(call()),
                user(result("a", "1", {"type": "image", "source": PNG}, is_error=True)),
            ],
            [
                says("A"),
                calls(),
                output("a", [{"type": "input_text", "text": "[tool error] 1"}, IMAGE]),
            ],
            id="an-image-in-a-result-stays-there",
        ),
        pytest.param(
            [user("A"), assistant(call()), user("Never mind.")],
            [
                says("A"),
                calls(),
                output("a", "[tool error] [no result recorded]"),
                says("Never mind."),
            ],
            id="a-call-without-a-result",
        ),
        pytest.param(
            [user("A"), assistant(thought(), "B", call()), user(result("a", "1"))],
            [says("A"), REASONING, answers("B", "commentary"), calls(), output("a", "1")],
            id="reasoning-goes-before-what-it-led-to",
        ),
        pytest.param(
            [user("A"), assistant(thought("", id="rs_1", enc="E"), call()), user(result("a", "1"))],
            [says("A"), {**REASONING, "summary": []}, calls(), output("a", "1")],
            id="reasoning-of-which-nothing-was-shown",
        ),
        pytest.param(
            [user("A"), assistant("B", thought()), user("C")],
            [says("A"), answers("B"), says("C")],
            id="reasoning-that-led-to-nothing-is-left-out",
        ),
        pytest.param(
            [
                user("A"),
                assistant(
                    thought(family="elsewhere"),
                    {"type": "thinking", "thinking": "x", "signature": "EqQB"},
                    {"type": "redacted_thinking", "data": "x"},
                    "B",
                ),
                user("C"),
            ],
            [says("A"), answers("B"), says("C")],
            id="others-reasoning-is-left-out",
        ),
        pytest.param(
            [
                user("A"),
                {"role": "system", "content": [text("Be brief.")]},
                assistant("B"),
                user("C"),
            ],
            [says("A"), says("Be brief.", role="developer"), answers("B"), says("C")],
            id="a-system-message-in-its-place",
        ),
        pytest.param(
            [user({"type": "image", "source": {"type": "url", "url": "https://a.org/b.png"}})],
            [
                {
                    **says(),
                    "content": [
                        {
                            "type": "input_image",
                            "image_url": "https://a.org/b.png",
                            "detail": "auto",
                        }
                    ],
                }
            ],
            id="an-images-address",
        ),
        pytest.param(
            [
                user(
                    {"type": "document", "source": PDF, "title": "Paper"},
                    {"type": "document", "source": {"type": "url", "url": "https://a.org/b.pdf"}},
                )
            ],
            [
                {
                    **says(),
                    "content": [
                        {
                            "type": "input_file",
                            "filename": "Paper.pdf",
                            "file_data": "data:application/pdf;base64,JVBERi0=",
                        },
                        {"type": "input_file", "file_url": "https://a.org/b.pdf"},
                    ],
                }
            ],
            id="documents",
        ),
    ],
)
def test_messages_become_items(messages, expected):
    assert expected == sent_of(messages, known={"rs_1": "E"})["input"]


def test_the_system_prompt_becomes_instructions_without_the_clients_attribution():
    system = [text("x-anthropic-billing-header: cc_version=1;"), text("Be"), text("brief.")]
    assert "Be\n\nbrief." == sent_of(system=system)["instructions"]


def test_an_answer_that_is_begun_is_asked_in_words_to_go_on():
    sent, losses = translated([user("A"), assistant("{")])

    assert ["user", "assistant", "developer"] == [item["role"] for item in sent["input"]]
    assert ("messages[]: OpenAI does not continue an answer; asked to in words",) == losses


def test_older_models_are_told_nothing_of_phases():
    sent = sent_of([user("A"), assistant("B"), user("C")], ResponsesModel("gpt-5.1", "f"))
    assert "phase" not in sent["input"][1]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param({"type": "auto"}, {"tool_choice": "auto"}, id="auto"),
        pytest.param({"type": "any"}, {"tool_choice": "required"}, id="any"),
        pytest.param({"type": "none"}, {"tool_choice": "none"}, id="none"),
        pytest.param(
            {"type": "tool", "name": "read"},
            {"tool_choice": {"type": "function", "name": "read"}},
            id="a-tool",
        ),
        pytest.param(
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
            id="one-at-a-time",
        ),
        pytest.param({"type": "tool", "name": "x"}, {"tool_choice": "auto"}, id="no-such-tool"),
    ],
)
def test_tool_choice(choice, expected):
    sent = sent_of(tools=[READ], tool_choice=choice)
    found = {name: sent[name] for name in ("tool_choice", "parallel_tool_calls") if name in sent}
    assert expected == found


def test_tools():
    parameters = {"type": "object", "properties": {}}
    made = {"type": "function", "name": "read", "description": "Read.", "strict": False}
    assert [{**made, "parameters": parameters}] == sent_of(tools=[READ])["tools"]


@pytest.mark.parametrize(
    ("schema", "is_strict"),
    [
        pytest.param({"required": ["p"], "additionalProperties": False}, True, id="closed"),
        pytest.param({"required": ["p"]}, False, id="open"),
        pytest.param({"additionalProperties": False}, False, id="optional"),
    ],
)
def test_a_strict_tool_stays_so_where_openai_means_the_same(schema, is_strict):
    whole = {"type": "object", "properties": {"p": {"type": "string"}}, **schema}
    sent = sent_of(tools=[{**READ, "input_schema": whole, "strict": True}])
    assert (is_strict, whole) == (sent["tools"][0]["strict"], sent["tools"][0]["parameters"])


def test_a_long_name_is_the_same_in_tools_choice_and_history():
    name = "mcp__" + "x" * 80
    sent = sent_of(
        [user("A"), assistant(call(name=name)), user(result("a", "1"))],
        tools=[{**READ, "name": name}],
        tool_choice={"type": "tool", "name": name},
    )
    shown = sent["tools"][0]["name"]
    assert shown == sent["tool_choice"]["name"] == sent["input"][1]["name"]
    assert OPENAI_NAMES.take(shown)


ONLY = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}


@pytest.mark.parametrize(
    ("tools", "choice", "expected"),
    [
        pytest.param([], None, None, id="free"),
        pytest.param([], {"type": "tool", "name": "web_search"}, "required", id="chosen"),
        pytest.param([READ], {"type": "auto"}, "auto", id="auto"),
        pytest.param([READ], {"type": "tool", "name": "web_search"}, ONLY, id="among-others"),
    ],
)
def test_a_web_search_is_openais_own(tools, choice, expected):
    tool = {
        **SEARCH,
        "max_uses": 3,
        "allowed_domains": ["a.org"],
        "user_location": {"type": "approximate", "city": "Bonn", "country": "DE"},
    }
    sent = sent_of(tools=[*tools, tool], tool_choice=choice)

    assert {
        "type": "web_search",
        "filters": {"allowed_domains": ["a.org"]},
        "user_location": {"type": "approximate", "city": "Bonn", "country": "DE"},
    } == sent["tools"][-1]
    assert expected == sent.get("tool_choice")
    assert (3, True) == (
        sent["max_tool_calls"],
        "web_search_call.action.sources" in sent["include"],
    )


@pytest.mark.parametrize(
    ("model", "members", "expected"),
    [
        pytest.param("gpt-5.4", {}, None, id="nothing-asked"),
        pytest.param(
            "gpt-5.4", {"thinking": {"type": "disabled"}}, {"effort": "none"}, id="disabled"
        ),
        pytest.param(
            "gpt-5", {"thinking": {"type": "disabled"}}, {"effort": "minimal"}, id="least-of-gpt-5"
        ),
        pytest.param(
            "o4-mini", {"thinking": {"type": "disabled"}}, {"effort": "low"}, id="least-of-o4"
        ),
        pytest.param("house-model", {"thinking": {"type": "disabled"}}, None, id="unknown"),
        pytest.param("gpt-4.1", {"output_config": {"effort": "high"}}, None, id="does-not-reason"),
        pytest.param(
            "gpt-5.4", {"thinking": {"type": "adaptive"}}, {"summary": "auto"}, id="adaptive"
        ),
        pytest.param(
            "gpt-5.4",
            {
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "medium"},
            },
            {"effort": "medium"},
            id="as-claude-code-asks",
        ),
        pytest.param(
            "gpt-5.4", {"output_config": {"effort": "max"}}, {"effort": "xhigh"}, id="most-of-5.4"
        ),
        pytest.param(
            "gpt-5.6", {"output_config": {"effort": "max"}}, {"effort": "max"}, id="most-of-5.6"
        ),
        pytest.param(
            "gpt-5.4",
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            {"effort": "low", "summary": "auto"},
            id="small-budget",
        ),
        pytest.param(
            "gpt-5.4",
            {"thinking": {"type": "enabled", "budget_tokens": 31999, "display": "omitted"}},
            {"effort": "high"},
            id="large-budget",
        ),
        pytest.param(
            "gpt-5",
            {"thinking": {"type": "disabled"}, "tools": [SEARCH]},
            {"effort": "low"},
            id="no-search-with-minimal",
        ),
    ],
)
def test_reasoning(model, members, expected):
    assert expected == sent_of(model=ResponsesModel(model, "f"), **members).get("reasoning")


@pytest.mark.parametrize(
    ("model", "members", "expected", "losses"),
    [
        pytest.param("gpt-5.4", {"temperature": 1}, {}, (), id="the-default-is-no-loss"),
        pytest.param(
            "gpt-5.4",
            {"temperature": 0.5},
            {},
            ("temperature: a model that reasons takes none",),
            id="reasons",
        ),
        pytest.param(
            "gpt-5.4",
            {"temperature": 0.5, "thinking": {"type": "disabled"}},
            {"temperature": 0.5},
            (),
            id="does-not-reason-now",
        ),
        pytest.param("gpt-4.1", {"top_p": 0.5}, {"top_p": 0.5}, (), id="never-reasons"),
        pytest.param("house-model", {"top_p": 0.5}, {"top_p": 0.5}, (), id="unknown"),
    ],
)
def test_sampling(model, members, expected, losses):
    sent, lost = translated(model=ResponsesModel(model, "f"), **members)
    found = {name: sent[name] for name in ("temperature", "top_p") if name in sent}
    assert (expected, losses) == (found, lost)


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        pytest.param(ResponsesModel("gpt-5.4", "f"), 1, 16, id="fewest"),
        pytest.param(ResponsesModel("gpt-5.4", "f"), 128_000, 128_000, id="claude-codes"),
        pytest.param(ResponsesModel("gpt-4o", "f"), 128_000, 16_384, id="the-models"),
        pytest.param(ResponsesModel("house", "f", limit=500), 1000, 500, id="the-settings"),
    ],
)
def test_the_longest_answer(model, asked, expected):
    assert expected == sent_of(model=model, max_tokens=asked)["max_output_tokens"]


def test_an_output_format():
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    sent = sent_of(output_config={"format": {"type": "json_schema", "schema": schema}})
    wanted = {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    assert {"format": wanted} == sent["text"]


def test_breakpoints_stand_where_the_caller_has_them():
    model = ResponsesModel("gpt-5.6", "f")
    turns = [user("A"), assistant(call()), user({**result("a", "1"), **MARK})]
    sent = sent_of(turns, model, system=[text("S", **MARK)], tools=[{**READ, **MARK}])

    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    first = {"type": "input_text", "text": "S", **mark}
    last = {"type": "input_text", "text": "1", **mark}
    assert [first] == sent["input"][0]["content"]
    assert output("a", [last]) == sent["input"][-1]
    assert {"mode": "explicit"} == sent["prompt_cache_options"]
    assert "instructions" not in sent


def test_a_prompt_without_marks_is_cached_as_openai_does_it():
    assert "prompt_cache_options" not in sent_of(model=ResponsesModel("gpt-5.6", "f"))


def test_what_was_refused_is_left_out_and_noted():
    refused = frozenset({"reasoning.summary", "include", "phase", "temperature"})
    sent, losses = translated(
        [user("A"), assistant("B"), user("C")],
        ResponsesModel("gpt-5.4", "f", without=refused),
        thinking={"type": "adaptive"},
    )

    assert not {"reasoning", "include"} & sent.keys()
    assert "phase" not in sent["input"][1]
    assert (
        "include: OpenAI does not take it for this model",
        "reasoning.summary: OpenAI does not take it for this model",
    ) == losses


def test_what_has_no_place_is_a_loss():
    code = {"type": "code_execution_20250825", "name": "code"}
    _, losses = translated(top_k=5, tools=[code, {"name": "read", "input_schema": {}}])
    assert (
        "tools[0]: code left out: OpenAI does not run it",
        "top_k: OpenAI has nothing like it",
    ) == losses


def test_messages_that_are_none_are_refused():
    with pytest.raises(InvalidRequestError):
        responses_request({"messages": "Hi"}, GPT)


@pytest.mark.parametrize("name", ["gpt-5", "gpt-5.4", "gpt-5.6", "gpt-4.1", "o4-mini", "house"])
@pytest.mark.parametrize("capture", sorted(CAPTURES.glob("*.json")), ids=lambda path: path.stem)
def test_everything_that_claude_code_sends_is_taken(capture, name):
    for request in json.loads(capture.read_text()):
        body = json.loads(json.dumps(request["body"]).replace('"data": "lorem', '"data": "bG9y'))
        sent, _ = responses_request(_with_media(body), ResponsesModel(name, "f"))
        checked(sent)
        checked(responses_count(sent), counting=True)


def _with_media(value):
    """Put sound data in place of what the captures have for images."""
    if isinstance(value, list):
        return [_with_media(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "base64":
        return PDF if "pdf" in value["media_type"] else PNG
    return {name: _with_media(each) for name, each in value.items()}


def test_each_turn_begins_with_the_turn_before():
    turns = [user("A"), assistant(thought(), "B", call()), user(result("a", "1"), "C")]
    turns += [assistant("D"), user("E")]
    known = {"rs_1": "E"}
    sent = [sent_of(turns[:length], known=known)["input"] for length in (1, 3, 5)]

    for before, after in itertools.pairwise(sent):
        assert before == after[: len(before)]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"tool_choice": {"type": "tool", "name": {}}, "tools": [SEARCH]}, id="name"),
        pytest.param({"service_tier": {}}, id="tier"),
        pytest.param({"max_tokens": "9"}, id="length"),
        pytest.param({"thinking": [], "output_config": 3}, id="thinking"),
        pytest.param({"stop_sequences": 3, "temperature": "hot"}, id="sampling"),
    ],
)
def test_members_of_odd_types_are_as_if_not_there(members):
    given = {key: value for key, value in members.items() if key == "tools"}
    default = {"max_output_tokens": 100} if "max_tokens" in members else {}
    assert sent_of(**given) == {**sent_of(**members), **default}
