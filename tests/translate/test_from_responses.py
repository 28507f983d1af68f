"""What a client asks for in OpenAI's Responses format, said in Messages."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from llmroute.errors import InvalidRequestError
from llmroute.translate.asked import Asked
from llmroute.translate.from_responses import from_responses, read_responses
from llmroute.translate.from_responses_items import packed
from llmroute.translate.responses_calls import Called

LONGEST = 4096


def asked(given: Any = "Hi", **members: Any) -> Asked:
    return from_responses({"model": "m", "input": given, **members}, LONGEST)


def turns(given: Any, **members: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = asked(given, **members).body["messages"]
    return messages


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def function(name: str, **members: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}}
    return {"type": "function", "name": name, "parameters": parameters, **members}


def call(call_id: str, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id: str, given: Any = "a wall") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": given}


def test_the_least_there_can_be() -> None:
    assert (
        Asked(
            {
                "model": "m",
                "max_tokens": LONGEST,
                "messages": [{"role": "user", "content": [said("Hi")]}],
            }
        )
        == asked()
    )


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"max_output_tokens": 9}, {"max_tokens": 9}, id="a-limit"),
        pytest.param({"stream": True}, {"stream": True}, id="a-stream"),
        pytest.param({"instructions": "Be."}, {"system": [said("Be.")]}, id="instructions"),
        pytest.param({"user": "u1"}, {"metadata": {"user_id": "u1"}}, id="a-user"),
        pytest.param(
            {"user": "u1", "safety_identifier": "s1"},
            {"metadata": {"user_id": "s1"}},
            id="who-is-liable",
        ),
        pytest.param({"service_tier": "default"}, {"service_tier": "standard_only"}, id="a-tier"),
        pytest.param({"temperature": 0.5}, {"temperature": 0.5}, id="a-temperature"),
        pytest.param({"top_p": 0.5, "temperature": 1.0}, {"top_p": 0.5}, id="a-share"),
        pytest.param({"temperature": 1, "top_p": 1}, {"temperature": 1}, id="both-say-nothing"),
        pytest.param({"reasoning": {}}, {}, id="no-reasoning"),
        pytest.param(
            {"reasoning": {"effort": "none"}}, {"thinking": {"type": "disabled"}}, id="no-thinking"
        ),
        pytest.param(
            {"reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"}},
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "high"},
            },
            id="an-effort",
        ),
        pytest.param(
            {"reasoning": {"effort": "xhigh"}},
            {
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "xhigh"},
            },
            id="an-effort-that-is-not-told-of",
        ),
        pytest.param(
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "river",
                        "strict": True,
                        "schema": {
                            "type": "object",
                            "properties": {"km": {"type": "integer"}},
                            "required": ["km"],
                            "additionalProperties": False,
                        },
                    }
                }
            },
            {
                "output_config": {
                    "format": {
                        "type": "json_schema",
                        "schema": {
                            "type": "object",
                            "properties": {"km": {"type": "integer"}},
                            "required": ["km"],
                            "additionalProperties": False,
                        },
                    }
                }
            },
            id="a-schema",
        ),
        pytest.param(
            {
                "include": ["reasoning.encrypted_content"],
                "store": False,
                "metadata": {"a": "b"},
                "client_metadata": {"a": "b"},
            },
            {},
            id="what-is-so-anyway",
        ),
    ],
)
def test_members_that_are_said_in_other_words(
    members: dict[str, Any], expected: dict[str, Any]
) -> None:
    made = asked(**members)

    assert asked().body | expected == made.body
    assert () == made.losses
    assert "" == made.obstacle


@pytest.mark.parametrize(
    ("members", "line"),
    [
        pytest.param({"store": True}, "store: left out", id="what-is-stored"),
        pytest.param({"truncation": "auto"}, "truncation: left out", id="what-is-cut"),
        pytest.param({"unheard_of": {"a": "b"}}, "unheard_of: left out", id="unknown"),
        pytest.param({"temperature": 1.5}, "temperature: sent as 1", id="a-high-temperature"),
        pytest.param(
            {"temperature": 0.2, "reasoning": {"effort": "low"}},
            "temperature: left out: not together with reasoning",
            id="a-temperature-of-reasoning",
        ),
        pytest.param(
            {"reasoning": {"effort": "minimal"}}, "reasoning.effort: sent as low", id="an-effort"
        ),
        pytest.param(
            {"reasoning": {"effort": "low", "mode": "pro"}}, "reasoning.mode: left out", id="a-mode"
        ),
        pytest.param(
            {"text": {"verbosity": "low"}}, "text.verbosity: left out", id="how-much-is-said"
        ),
        pytest.param(
            {"text": {"format": {"type": "json_object"}}},
            "text.format: json_object is asked for in words",
            id="any-json",
        ),
        pytest.param(
            {"include": ["file_search_call.results"]},
            "include file_search_call.results: left out",
            id="what-no-answer-has",
        ),
        pytest.param({"service_tier": "flex"}, "service_tier: left out", id="a-tier"),
        pytest.param(
            {"background": True, "stream": True}, "background: left out", id="a-stream-that-waits"
        ),
        pytest.param(
            {"tools": [{"type": "web_search", "external_web_access": False}]},
            "tools[0]: web_search left out",
            id="a-search-of-no-web",
        ),
        pytest.param(
            {"tools": [{"type": "tool_search"}]}, "tools[0]: tool_search left out", id="a-search"
        ),
    ],
)
def test_what_has_no_place_is_told(members: dict[str, Any], line: str) -> None:
    made = asked(**members)

    assert 1 == len([each for each in made.losses if each.startswith(line)]), made.losses
    assert "" == made.obstacle


@pytest.mark.parametrize(
    ("members", "obstacle"),
    [
        pytest.param({"previous_response_id": "resp_1"}, "previous_response_id", id="what-was"),
        pytest.param({"conversation": "conv_1"}, "conversation", id="a-conversation"),
        pytest.param({"prompt": {"id": "pmpt_1"}, "input": None}, "prompt", id="a-template"),
        pytest.param({"top_logprobs": 3}, "top_logprobs", id="logprobs"),
        pytest.param(
            {"include": ["message.output_text.logprobs"]}, "top_logprobs", id="logprobs-included"
        ),
        *(
            pytest.param({"tools": [{"type": kind}]}, f"tools[0]: the tool '{kind}'", id=kind)
            for kind in (
                *("file_search", "computer_use_preview", "mcp", "image_generation"),
                *("code_interpreter", "something_new"),
            )
        ),
        pytest.param(
            {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
            "tools[0]: the tool 'shell'",
            id="a-shell-elsewhere",
        ),
        pytest.param(
            {"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]", id="a-reference"
        ),
        pytest.param({"input": [{"id": "msg_1"}]}, "input[0]", id="a-bare-reference"),
        pytest.param({"input": [{"type": "compaction_trigger"}]}, "input[0]", id="a-compaction"),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "input[0].content[0]: Messages has no place for input_audio",
            id="a-voice",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
            "input[0].content[0]: files are not stored here",
            id="a-stored-file",
        ),
    ],
)
def test_what_changes_the_question_is_in_the_way(members: dict[str, Any], obstacle: str) -> None:
    made = asked(**members)

    assert made.obstacle.startswith(obstacle)
    # Others are asked in the client's own words; what is known of it is known all the same.
    assert "m" == made.body["model"]
    assert made.body["messages"]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"input": None}, id="no-input"),
        pytest.param({"input": 7}, id="an-odd-input"),
        pytest.param({"input": ["Hi"]}, id="an-item-that-is-no-object"),
        pytest.param({"input": [{"type": {}, "role": "user"}]}, id="an-odd-type"),
        pytest.param({"input": [{"role": "user", "content": 7}]}, id="odd-content"),
        pytest.param({"input": [{"role": "user", "content": ["Hi"]}]}, id="an-odd-part"),
        pytest.param({"tools": 7}, id="odd-tools"),
        pytest.param({"tools": ["look"]}, id="an-odd-tool"),
        pytest.param({"tools": [{"type": "function"}]}, id="a-tool-without-a-name"),
        pytest.param({"max_output_tokens": "many"}, id="an-odd-limit"),
        pytest.param({"temperature": "hot"}, id="an-odd-temperature"),
        pytest.param({"background": True}, id="an-answer-to-be-fetched"),
    ],
)
def test_what_is_no_request_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(members))):
        asked(**members)


def test_what_is_odd_in_lists_is_read_as_nothing() -> None:
    look = {"type": "function", "name": "look"}
    choice = {"type": "allowed_tools", "mode": {}, "tools": [look]}
    made = asked(include=[{}, []], tools=[look], tool_choice=choice)

    assert {"type": "auto"} == made.body["tool_choice"]
    assert any(line.startswith("include ") for line in made.losses)


def test_turns_alternate_and_results_come_first() -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "user", "content": "Look"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        call("call_1", arguments='{"at": "é"}'),
        call("call_2", "listen"),
        output("call_2", [{"type": "input_text", "text": "a song"}]),
        output("call_1"),
        {"role": "developer", "content": "Quiet now."},
        {"role": "user", "content": "And?"},
    ]
    made = asked(items, instructions="Be.")

    assert [said("Be."), said("Be brief."), said("Be kind.")] == made.body["system"]
    assert [
        {"role": "user", "content": [said("Look")]},
        {
            "role": "assistant",
            "content": [
                said("I look."),
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "é"}},
                {"type": "tool_use", "id": "call_2", "name": "listen", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [said("a wall")]},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [said("a song")]},
                said("<system-reminder>\nQuiet now.\n</system-reminder>"),
                said("And?"),
            ],
        },
    ] == made.body["messages"]
    assert () == made.losses


def test_ids_that_are_counted_anew_in_every_turn_stay_apart() -> None:
    said_of = ("a wall", "a song", "a door", "a cat")
    items: list[Any] = [{"role": "user", "content": "Look"}]
    for each in said_of:
        items += [call("call_0"), output("call_0", each)]
    made = turns(items)

    shown = ["call_0", "call_0_2", "call_0_3", "call_0_4"]
    assert shown == [turn["content"][0]["id"] for turn in made[1::2]]
    results = [turn["content"][0] for turn in made[2::2]]
    assert [(i, [said(each)]) for i, each in zip(shown, said_of, strict=True)] == [
        (each["tool_use_id"], each["content"]) for each in results
    ]


def test_calls_that_went_wrong_stay_calls() -> None:
    items = [
        {"role": "user", "content": "Look"},
        call("call_1", arguments="{broken"),
        call("functions.look:0"),
        output("call_1"),
        {"role": "assistant", "content": "Hm."},
    ]
    made = asked(items)
    user, assistant, results, _, last = made.body["messages"]

    assert {"arguments": "{broken"} == assistant["content"][0]["input"]
    kept = [block["id"] for block in assistant["content"]]
    assert kept == [block["tool_use_id"] for block in results["content"]]
    assert "[no result recorded]" == results["content"][1]["content"][0]["text"]
    assert "user" == user["role"] == last["role"]
    assert ["input: a call has no result; the model is told so"] == [
        line for line in made.losses if "result" in line
    ]
    assert any("Go on." in line for line in made.losses)


def test_an_id_that_is_used_again_is_another_call() -> None:
    items = [
        {"role": "user", "content": "Look"},
        call("call_1"),
        output("call_1", "a wall"),
        call("call_1"),
        output("call_1", "a door"),
    ]
    _, first, seen, second, again = turns(items)

    assert first["content"][0]["id"] != second["content"][0]["id"]
    assert second["content"][0]["id"] == again["content"][0]["tool_use_id"]
    assert [said("a wall")] == seen["content"][0]["content"]
    assert [said("a door")] == again["content"][0]["content"]


def test_the_result_of_no_call_is_said_as_text() -> None:
    made = asked([output("call_9"), {"role": "user", "content": "And?"}])

    assert [{"role": "user", "content": [said("a wall"), said("And?")]}] == made.body["messages"]
    assert ("input[0]: the result of no call; said as text",) == made.losses


def test_thinking_that_was_carried_comes_back_whole() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "eA"}
    items = [
        {"role": "user", "content": "Look"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "content": None,
            "encrypted_content": packed([thought]),
        },
        {
            "type": "reasoning",
            "id": "rs_2",
            "summary": [],
            "encrypted_content": packed([hidden]),
        },
        call("call_1"),
        output("call_1"),
    ]
    made = asked(items)

    assert [thought, hidden] == made.body["messages"][1]["content"][:2]
    assert () == made.losses


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("gAAAAABo", id="openais"),
        pytest.param("llmr1.!!", id="broken"),
        pytest.param(None, id="none"),
    ],
)
def test_reasoning_of_others_is_left_out(content: Any) -> None:
    items = [
        {"role": "user", "content": "Look"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": content},
        {"role": "assistant", "content": "Hm."},
        {"role": "user", "content": "And?"},
    ]
    made = asked(items)

    assert [said("Hm.")] == made.body["messages"][1]["content"]
    assert ("input[1]: left out: reasoning that another model has made",) == made.losses


def test_nobody_gets_a_call_or_a_result_in_by_the_reasoning() -> None:
    result = {"type": "tool_result", "tool_use_id": "x", "content": []}
    no_blocks: list[Any] = [{}, {"type": None}, {"type": ["text"]}, 7]
    forged = packed([result, *no_blocks, said("Hm.")])
    items = [
        {"role": "user", "content": "Look"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": forged},
        {"role": "user", "content": "And?"},
    ]

    assert [said("Hm.")] == turns(items)[1]["content"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param(
            {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
            },
            id="an-image",
        ),
        pytest.param(
            {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"},
            {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
            id="an-image-elsewhere",
        ),
        pytest.param(
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,aGk=",
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                "title": "a.pdf",
            },
            id="a-document",
        ),
        pytest.param(
            {"type": "input_file", "filename": "a.pdf", "file_data": "aGk="},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                "title": "a.pdf",
            },
            id="a-document-as-bare-data",
        ),
        pytest.param(
            {"type": "input_file", "file_url": "https://a.example/b.pdf"},
            {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
            id="a-document-elsewhere",
        ),
        pytest.param(
            {
                "type": "input_file",
                "filename": "a.md",
                "file_data": "data:text/markdown;base64," + base64.b64encode(b"# A").decode(),
            },
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "# A"},
                "title": "a.md",
            },
            id="a-text",
        ),
    ],
)
def test_images_and_files(part: dict[str, Any], expected: dict[str, Any]) -> None:
    given = [{"role": "user", "content": [{"type": "input_text", "text": "See"}, part]}]
    made = asked(given)

    assert [said("See"), expected] == made.body["messages"][0]["content"]
    assert ("", ()) == (made.obstacle, made.losses)
    result = turns([{"role": "user", "content": "See"}, call("c"), output("c", [part])])[2]
    assert [expected] == result["content"][0]["content"]


def test_functions_and_namespaces_become_tools() -> None:
    tools = [
        function("look", description="Look.", strict=False),
        {
            "type": "namespace",
            "name": "agents",
            "description": "Work for others.",
            "tools": [function("spawn", description="Begin."), function("wait")],
        },
    ]
    items = [
        {"role": "user", "content": "Look"},
        {**call("call_1", "spawn"), "namespace": "agents"},
        output("call_1"),
    ]
    made, called = read_responses({"model": "m", "input": items, "tools": tools}, LONGEST)

    assert [
        ("look", "Look."),
        ("agents__spawn", "(agents: Work for others.)\nBegin."),
        ("agents__wait", None),
    ] == [(tool["name"], tool.get("description")) for tool in made.body["tools"]]
    assert "agents__spawn" == made.body["messages"][1]["content"][0]["name"]
    assert {
        "agents__spawn": Called("function", "spawn", "agents"),
        "agents__wait": Called("function", "wait", "agents"),
    } == called


def test_tools_that_take_text_and_those_without_a_name() -> None:
    tools = [
        {
            "type": "custom",
            "name": "apply",
            "description": "Apply a patch.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
        },
        {"type": "local_shell"},
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "apply_patch"},
        {
            "type": "tool_search",
            "execution": "client",
            "description": "Find tools.",
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
    ]
    shell = {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": None}
    commands = {"commands": ["ls"], "timeout_ms": 9}
    patch = {"type": "delete_file", "path": "a"}
    ran = {"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
    items = [
        {"role": "user", "content": "Go"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply", "input": "*** ü"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done."},
        {"type": "local_shell_call", "id": "lsh_2", "call_id": "c2", "action": shell},
        {"type": "local_shell_call_output", "id": "lsh_2", "output": "a"},
        {"type": "shell_call", "call_id": "c3", "action": commands},
        {"type": "shell_call_output", "call_id": "c3", "output": [ran]},
        {"type": "apply_patch_call", "call_id": "c4", "operation": patch},
        {"type": "apply_patch_call_output", "call_id": "c4", "status": "failed", "output": "No."},
        {"type": "tool_search_call", "call_id": "c5", "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": "c5", "tools": [function("found")]},
    ]
    made, called = read_responses({"model": "m", "input": items, "tools": tools}, LONGEST)
    content = [block for turn in made.body["messages"] for block in turn["content"]]

    assert [
        ("apply", {"input": "*** ü"}),
        ("local_shell", {"command": ["ls"]}),
        ("shell", commands),
        ("apply_patch", patch),
        ("tool_search", {"query": "x"}),
    ] == [(block["name"], block["input"]) for block in content if block["type"] == "tool_use"]
    results = [block for block in content if block["type"] == "tool_result"]
    assert ["Done.", "a", "a\n\n[exit code 0]", "No.", "Found, and to be called: found"] == [
        block["content"][0]["text"] for block in results
    ]
    assert results[3]["is_error"]
    names = ["apply", "local_shell", "shell", "apply_patch", "tool_search", "found"]
    assert names == [tool["name"] for tool in made.body["tools"]]
    assert "start: /.+/" in made.body["tools"][0]["description"]
    assert Called("custom", "apply") == called["apply"]
    assert "found" not in called
    assert ("tools[0].format: the grammar is told in words",) == made.losses


def test_tools_that_the_input_brings_are_tools() -> None:
    inner = {"type": "custom", "name": "exec", "description": "Run."}
    space = {"type": "namespace", "name": "functions", "description": "", "tools": [inner]}
    items = [
        {"type": "additional_tools", "role": "developer", "tools": [space]},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Go"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "exec", "input": "1"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "2"},
    ]
    made, called = read_responses({"model": "m", "input": items}, LONGEST)

    assert ["exec"] == [tool["name"] for tool in made.body["tools"]]
    assert {"exec": Called("custom", "exec")} == called
    assert "exec" == made.body["messages"][1]["content"][0]["name"]
    assert "Be brief." == made.body["system"][0]["text"]


def test_tools_of_the_same_name_are_told_apart() -> None:
    tools = [
        function("run"),
        {"type": "custom", "name": "run"},
        function("run"),
        function("web_search"),
        {"type": "web_search"},
    ]
    made, called = read_responses({"model": "m", "input": "Hi", "tools": tools}, LONGEST)
    names = [tool["name"] for tool in made.body["tools"]]

    assert len(set(names)) == len(names) == 3
    assert [Called("custom", "run")] == list(called.values())
    assert (
        "tools[2]: a second tool run left out",
        "tools[4]: left out: another tool is called web_search",
    ) == made.losses


def test_the_search_is_anthropics() -> None:
    tool = {
        "type": "web_search",
        "filters": {"allowed_domains": ["a.example"]},
        "user_location": {"type": "approximate", "city": "Bern", "country": None},
        "search_context_size": "medium",
    }
    made = asked(tools=[tool], max_tool_calls=3)

    assert [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "allowed_domains": ["a.example"],
            "user_location": {"type": "approximate", "city": "Bern"},
            "max_uses": 3,
            "cache_control": {"type": "ephemeral"},
        }
    ] == made.body["tools"]
    assert () == made.losses


@pytest.mark.parametrize(
    ("members", "choice", "names"),
    [
        pytest.param({}, None, ["look", "hear"], id="none"),
        pytest.param({"tool_choice": "auto"}, {"type": "auto"}, ["look", "hear"], id="auto"),
        pytest.param({"tool_choice": "required"}, {"type": "any"}, ["look", "hear"], id="any"),
        pytest.param({"tool_choice": "none"}, {"type": "none"}, ["look", "hear"], id="no-tool"),
        pytest.param(
            {"tool_choice": {"type": "function", "name": "look"}},
            {"type": "tool", "name": "look"},
            ["look", "hear"],
            id="one",
        ),
        pytest.param(
            {"tool_choice": {"type": "custom", "name": "hear"}, "parallel_tool_calls": False},
            {"type": "tool", "name": "hear", "disable_parallel_tool_use": True},
            ["look", "hear"],
            id="one-that-takes-text",
        ),
        pytest.param(
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "look"}],
                }
            },
            {"type": "any"},
            ["look"],
            id="some",
        ),
        pytest.param(
            {"parallel_tool_calls": False},
            {"type": "auto", "disable_parallel_tool_use": True},
            ["look", "hear"],
            id="one-at-a-time",
        ),
    ],
)
def test_which_tool_is_to_be_called(
    members: dict[str, Any], choice: dict[str, Any] | None, names: list[str]
) -> None:
    made = asked(tools=[function("look"), {"type": "custom", "name": "hear"}], **members)

    assert choice == made.body.get("tool_choice")
    assert names == [tool["name"] for tool in made.body["tools"]]


def test_a_prompt_that_is_sent_again_is_cached() -> None:
    mark = {"type": "ephemeral"}
    items = [{"role": "user", "content": "Look"}, call("c"), output("c")]
    made = asked(items, tools=[function("look")], instructions="Be.").body

    assert mark == made["system"][-1]["cache_control"]
    assert mark == made["messages"][-1]["content"][-1]["cache_control"]
    assert 2 == str(made).count("cache_control")
    assert "cache_control" not in str(asked(items).body)
    keyed = asked("Look", prompt_cache_key="k").body
    assert mark == keyed["messages"][0]["content"][0]["cache_control"]
    explicit = {"mode": "explicit"}
    unmarked = asked("Look", prompt_cache_key="k", prompt_cache_options=explicit).body
    assert "cache_control" not in str(unmarked)


def test_the_clients_own_marks_are_kept() -> None:
    def part(text: str, **mark: Any) -> dict[str, Any]:
        given = {"prompt_cache_breakpoint": {"mode": "explicit", **mark}}
        return {"type": "input_text", "text": text, **given}

    parts = [part(str(n)) for n in range(4)] + [part("last", ttl="12h")]
    made = asked([{"role": "user", "content": parts}], prompt_cache_key="k")
    content = made.body["messages"][0]["content"]

    assert [None, *[{"type": "ephemeral"}] * 3, {"type": "ephemeral", "ttl": "1h"}] == [
        block.get("cache_control") for block in content
    ]
    assert ("prompt_cache_breakpoint: left out: all but the last 4",) == made.losses


def test_a_forced_call_is_not_thought_about() -> None:
    made = asked(tools=[function("look")], tool_choice="required", reasoning={"effort": "high"})

    assert "thinking" not in made.body
    assert {"effort": "high"} == made.body["output_config"]
    assert 1 == len(made.losses)
