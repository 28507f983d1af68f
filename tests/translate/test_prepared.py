"""A request in plain pieces, and what it lost."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from llmroute.errors import InvalidRequestError
from llmroute.translate.prepared import prepared
from llmroute.translate.reasoning import seal
from llmroute.translate.target import Target

CHAT = Target("Chat", "openai", "gpt-5")
RICH = Target(
    "Rich",
    "gemini",
    "gemini-3",
    system_messages=True,
    tool_images=True,
    tool_documents=True,
    cache_marks=True,
    server_tools=frozenset({"web_search"}),
)
POOR = replace(CHAT, title="Poor", images=False, documents=False)
MARK = {"cache_control": {"type": "ephemeral"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}}
PDF = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBER"},
}
URL = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}


def text(said, **more):
    return {"type": "text", "text": said, **more}


def user(*content):
    return {"role": "user", "content": [text(c) if isinstance(c, str) else c for c in content]}


def assistant(*content):
    return {**user(*content), "role": "assistant"}


def system(*content, **more):
    return {**user(*content), "role": "system", **more}


def call(id_="a", name="read", **given):
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_="a", *content, is_error=False):
    said = [text(c) if isinstance(c, str) else c for c in content]
    return {"type": "tool_result", "tool_use_id": id_, "content": said, "is_error": is_error}


DEEP = "unread"
for _ in range(20):
    DEEP = [DEEP]
NO_RESULT = result("a", "[no result recorded]", is_error=True)


def messages(*given, target=CHAT):
    return prepared({"messages": list(given)}, target).messages


def losses(*given, target=CHAT, **members):
    return prepared({"messages": list(given), **members}, target).losses


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([{"role": "user", "content": "Hi"}], [user("Hi")], id="string"),
        pytest.param([user("a"), user("b")], [user("a", "b")], id="neighbours"),
        pytest.param(
            [user("a", "", " \n"), assistant(""), user("b")], [user("a", "b")], id="blank"
        ),
        pytest.param([assistant("x")], [user("…"), assistant("x")], id="a-user-begins"),
        pytest.param(
            [user("a"), assistant("b", call()), user("t", result("a", "r"))],
            [user("a"), assistant("b", call()), user(result("a", "r"), "t")],
            id="results-first",
        ),
        pytest.param(
            [user("a"), assistant(call("a"), call("b")), user(result("b", "2"), result("a", "1"))],
            [user("a"), assistant(call("a"), call("b")), user(result("a", "1"), result("b", "2"))],
            id="results-in-the-order-of-the-calls",
        ),
        pytest.param(
            [user("a"), assistant(call()), user(result("a", "1"), result("a", "2"))],
            [user("a"), assistant(call()), user(result("a", "2"))],
            id="one-result-a-call",
        ),
        pytest.param(
            [user("a"), assistant(call()), user("never mind")],
            [user("a"), assistant(call()), user(NO_RESULT, "never mind")],
            id="no-result",
        ),
        pytest.param(
            [user("a"), assistant(call()), system("s"), assistant("b")],
            [
                user("a"),
                assistant(call()),
                user(NO_RESULT, "<system-reminder>\ns\n</system-reminder>"),
                assistant("b"),
            ],
            id="no-result-but-a-reminder",
        ),
        pytest.param(
            [user("a"), assistant(call())],
            [user("a"), assistant(call()), user(NO_RESULT)],
            id="no-result-at-the-end",
        ),
        pytest.param(
            [user("a", result("z", "r", PNG))], [user("a", "r", PNG)], id="a-result-of-no-call"
        ),
        pytest.param(
            [user("a"), assistant(call()), user({"type": "tool_result", "tool_use_id": "a"})],
            [user("a"), assistant(call()), user(result("a"))],
            id="a-result-without-content",
        ),
        pytest.param(
            [user("a"), assistant(call()), user(result("a", PNG, "t"), "Hurry.")],
            [
                user("a"),
                assistant(call()),
                user(result("a", "[image attached below]", "t"), PNG, "Hurry."),
            ],
            id="an-image-follows-its-result",
        ),
        pytest.param(
            [user(text("a", **MARK)), assistant({**call(), **MARK}), user({**result(), **MARK})],
            [user("a"), assistant(call()), user(result())],
            id="no-marks",
        ),
        pytest.param(
            [user("a"), system("Be brief."), assistant("b")],
            [
                user("a", "<system-reminder>\nBe brief.\n</system-reminder>"),
                assistant("b"),
            ],
            id="a-system-message-reminds",
        ),
        pytest.param(
            [user("a"), system("<system-reminder>\nx\n</system-reminder>")],
            [user("a", "<system-reminder>\nx\n</system-reminder>")],
            id="a-reminder-already",
        ),
        pytest.param(
            [
                user("a"),
                system("once", clear_at="next_user_message"),
                assistant("b"),
                user("c"),
                system("<system-reminder>twice", clear_at="next_user_message"),
            ],
            [user("a"), assistant("b"), user("c", "<system-reminder>twice")],
            id="a-system-message-that-is-cleared",
        ),
        pytest.param(
            [
                user("a"),
                assistant("old"),
                user("b"),
                assistant({"type": "compaction", "content": "So far."}, "new"),
            ],
            [user("So far."), assistant("new")],
            id="a-summary",
        ),
    ],
)
def test_messages(given, expected):
    assert expected == messages(*given)


def test_a_target_that_takes_more_gets_more():
    given = [
        user(text("a", **MARK)),
        system("Be brief."),
        assistant(call()),
        user({**result("a", PNG, PDF), **MARK}),
    ]

    assert given == messages(*given, target=RICH)


@pytest.mark.parametrize(
    ("block", "target", "expected", "lost"),
    [
        pytest.param(PNG, CHAT, PNG, (), id="image"),
        pytest.param(
            PNG,
            POOR,
            text("[image omitted]"),
            ("messages[0].content[0]: image left out: Poor cannot read it",),
            id="image-unseen",
        ),
        pytest.param(URL, CHAT, URL, (), id="image-at-an-address"),
        pytest.param(
            URL,
            replace(CHAT, urls=False),
            text("[image at https://example.org/a.png]"),
            ("messages[0].content[0]: image left out: Chat cannot read it",),
            id="image-not-fetched",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            CHAT,
            text("[image omitted]"),
            ("messages[0].content[0]: image left out: Chat cannot read it",),
            id="image-in-a-file-of-anthropics",
        ),
        pytest.param({**PDF, "title": "T"}, CHAT, {**PDF, "title": "T"}, (), id="pdf"),
        pytest.param(
            {**PDF, "title": "T"},
            POOR,
            text("[T omitted]"),
            ("messages[0].content[0]: document left out: Poor cannot read it",),
            id="pdf-unread",
        ),
        pytest.param(
            {"type": "document", "title": "T", "source": {"type": "text", "data": "said"}},
            POOR,
            text("T\n\nsaid"),
            (),
            id="text-document",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "content", "content": [text("said")]}},
            POOR,
            text("said"),
            (),
            id="document-of-blocks",
        ),
        pytest.param(
            {"type": "search_result", "title": "T", "source": "s", "content": [text("said")]},
            CHAT,
            text("T (s)\nsaid"),
            (),
            id="search-result",
        ),
        pytest.param(
            {"type": "container_upload", "file_id": "f"},
            CHAT,
            text("…"),
            ("messages[0].content[0]: Chat has no container_upload blocks",),
            id="unknown",
        ),
    ],
)
def test_what_a_user_shows(block, target, expected, lost):
    body = {"messages": [user(block)]}

    assert [user(expected)] == prepared(body, target).messages
    assert lost == prepared(body, target).losses


def test_a_loaded_tool_is_named_in_words():
    loaded = result("a", {"type": "tool_reference", "tool_name": "CronList"})

    assert (
        user(result("a", "The tool CronList is loaded and can be called."))
        == messages(user("a"), assistant(call()), user(loaded))[-1]
    )


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        pytest.param(
            seal("openai", "gpt-5", {"id": "rs_1"}),
            [{"type": "thinking", "thinking": "Hm.", "state": {"id": "rs_1"}}, text("b")],
            id="its-own",
        ),
        pytest.param(seal("gemini", "gemini-3"), [text("b")], id="anothers"),
        pytest.param("EqQBCgIYAhIM", [text("b")], id="anthropics"),
    ],
)
def test_only_its_own_reasoning_goes_back(signature, expected):
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": signature}
    redacted = {"type": "redacted_thinking", "data": "x"}

    assert expected == messages(user("a"), assistant(thinking, redacted, "b"))[-1]["content"]


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        pytest.param(
            [
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "s",
                    "content": [
                        {
                            "type": "web_search_result",
                            "title": "T",
                            "url": "https://example.org",
                            "encrypted_content": "secret",
                        }
                    ],
                },
            ],
            '[web_search {"q":"x"} → T https://example.org]',
            id="web-search",
        ),
        pytest.param(
            [
                {
                    "type": "tool_search_tool_result",
                    "tool_use_id": "s",
                    "content": {
                        "type": "tool_search_tool_search_result",
                        "tool_references": [{"type": "tool_reference", "tool_name": "f"}],
                    },
                }
            ],
            "[tool_search → f is loaded]",
            id="tool-search",
        ),
        pytest.param(
            [
                {"type": "mcp_tool_use", "id": "s", "name": "f", "input": {}},
                {"type": "mcp_tool_result", "tool_use_id": "s", "content": [text("ok")]},
            ],
            "[f → ok]",
            id="mcp",
        ),
        pytest.param(
            [
                {
                    "type": "code_execution_tool_result",
                    "tool_use_id": "s",
                    "content": {"stdout": "1", "return_code": 0, "is": None, "content": DEEP},
                }
            ],
            "[code_execution → 1; 0]",
            id="code-execution",
        ),
        pytest.param([{"type": "connector_text", "text": "Next:"}], "Next:", id="connector"),
    ],
)
def test_what_a_server_did_is_told(blocks, expected):
    assert [text(expected)] == messages(user("a"), assistant(*blocks))[-1]["content"]


READ = {"name": "read", "description": "Read.", "input_schema": {"type": "object"}}
ATTRIBUTION = text("x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=cli;")


def test_the_system_prompt_is_text_without_the_attribution():
    body = {"messages": [], "system": [ATTRIBUTION, text("Be brief.", **MARK)]}

    assert [text("Be brief.")] == prepared(body, CHAT).system
    assert [text("Be brief.", **MARK)] == prepared(body, RICH).system
    assert [text("Be kind.")] == prepared({"messages": [], "system": "Be kind."}, CHAT).system


@pytest.mark.parametrize(
    ("tools", "names", "lost"),
    [
        pytest.param([READ], ["read"], (), id="function"),
        pytest.param(
            [{**READ, "defer_loading": True}, {**READ, "name": "DeferredToolPlaceholder"}],
            ["read"],
            (),
            id="deferred",
        ),
        pytest.param([READ, READ], ["read"], (), id="twice"),
        pytest.param(
            [
                {"type": "bash_20250124", "name": "bash"},
                {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
            ],
            ["bash", "str_replace_based_edit_tool"],
            (),
            id="run-by-the-client",
        ),
        pytest.param(
            [{"type": "web_search_20250305", "name": "web_search"}, READ],
            ["read"],
            ("tools[0]: web_search left out: Chat does not run it",),
            id="run-by-anthropic",
        ),
        pytest.param(
            [{"type": "tool_search_tool_bm25", "name": "tool_search_tool_bm25"}],
            [],
            (),
            id="search-for-tools",
        ),
    ],
)
def test_tools(tools, names, lost):
    made = prepared({"messages": [user("a")], "tools": tools}, CHAT)

    assert names == [tool["name"] for tool in made.tools]
    assert all({"name", "description", "input_schema"} == tool.keys() for tool in made.tools)
    assert all("object" == tool["input_schema"]["type"] for tool in made.tools)
    assert lost == made.losses


def test_where_nothing_is_run_that_is_offered_nothing_is_asked():
    search = {"type": "web_search_20250305", "name": "web_search"}

    with pytest.raises(InvalidRequestError, match="tools: Chat does not run web_search"):
        prepared({"messages": [user("a")], "tools": [search]}, CHAT)


def test_a_strict_tool_stays_strict():
    strict = {**READ, "strict": True}

    assert [strict] == prepared({"messages": [user("a")], "tools": [strict, None]}, CHAT).tools


def test_a_call_without_a_result_has_one_before_the_assistant_goes_on():
    given = [user("a"), assistant(call()), system("s"), assistant("b")]

    assert [*given[:2], user(NO_RESULT), *given[2:]] == messages(*given, target=RICH)
    assert [*given[:2], user(NO_RESULT), given[2]] == messages(*given[:3], target=RICH)


def test_a_result_comes_before_a_system_message():
    given = [user("a"), assistant(call()), system("s"), user(result("a", "r"))]

    assert [*given[:2], given[3], given[2]] == messages(*given, target=RICH)


def test_a_search_that_the_upstream_runs_itself_is_kept_apart():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    made = prepared({"messages": [user("a")], "tools": [search, {**READ, **MARK}]}, RICH)

    assert ([search], [{**READ, **MARK}]) == (made.server_tools, made.tools)


@pytest.mark.parametrize(
    ("choice", "tools", "expected"),
    [
        pytest.param({"type": "any"}, [READ], {"type": "any"}, id="any"),
        pytest.param({"type": "any"}, [], None, id="no-tools"),
        pytest.param(
            {"type": "tool", "name": "gone", "disable_parallel_tool_use": True},
            [READ],
            {"type": "auto", "disable_parallel_tool_use": True},
            id="a-tool-that-is-not-there",
        ),
        pytest.param(None, [READ], None, id="none-given"),
    ],
)
def test_a_choice_is_among_the_tools(choice, tools, expected):
    body = {"messages": [user("a")], "tools": tools, "tool_choice": choice}

    assert expected == prepared(body, CHAT).tool_choice


def test_messages_add_and_remove_tools():
    def change(kind, **tool):
        return {"type": f"tool_{kind}", "tool": tool}

    def offered(*changes):
        body = {"messages": [user("a"), *map(system, changes)], "tools": [READ]}
        return [tool["name"] for tool in prepared(body, CHAT).tools]

    added = change("addition", type="tool_definition", definition={**READ, "name": "new"})
    removed = change("removal", type="tool_reference", name="read")
    back = change("addition", type="tool_reference", name="read")

    assert ["read", "new"] == offered(added)
    assert [] == offered(removed)
    assert ["read"] == offered(removed, back)


def test_the_latest_effort_counts():
    body = {"messages": [user("a")], "output_config": {"effort": "high"}}
    later = system("x", output_config={"effort": "low"})

    assert "high" == prepared(body, CHAT).effort
    assert "low" == prepared({**body, "messages": [user("a"), later]}, CHAT).effort


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="missing"),
        pytest.param({"messages": "Hi"}, id="text"),
        pytest.param({"messages": ["Hi"]}, id="texts"),
    ],
)
def test_what_is_no_list_of_messages_is_refused(given):
    with pytest.raises(InvalidRequestError):
        prepared(given, CHAT)


def test_losses_are_told_once_and_stay_the_same():
    turn = [user(PNG), assistant("b")]

    assert losses(*turn, target=POOR) == losses(*turn, user("c"), target=POOR)
    assert 1 == len(losses(*turn, target=POOR))


CAPTURES = sorted((Path(__file__).parents[1] / "platforms" / "captures").glob("*.json"))


def bodies(path):
    requests = json.loads(path.read_text("utf-8"))
    return [r["body"] for r in requests if isinstance(r["body"].get("messages"), list)]


@pytest.mark.parametrize("target", [CHAT, RICH, POOR], ids=lambda each: each.title)
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_claude_codes_requests_are_well_formed_for_every_target(path, target):
    for body in bodies(path):
        before = json.dumps(body)
        made = prepared(body, target)
        assert before == json.dumps(body)
        roles = [m["role"] for m in made.messages if m["role"] != "system"]
        assert ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2) == roles
        assert all(m["content"] for m in made.messages)
        assert not any("billing-header" in block["text"] for block in made.system)
        assert not any("defer_loading" in tool for tool in made.tools)
        asked = {b["id"] for m in made.messages for b in m["content"] if b["type"] == "tool_use"}
        answered = [
            b["tool_use_id"]
            for m in made.messages
            for b in m["content"]
            if b["type"] == "tool_result"
        ]
        assert asked == {*answered}
        assert len(asked) == len(answered)


@pytest.mark.parametrize("target", [CHAT, RICH], ids=lambda each: each.title)
def test_the_prompt_of_a_turn_begins_with_that_of_the_turn_before(target):
    compared = 0
    for path in CAPTURES:
        made = [prepared(_unmarked(body), target) for body in bodies(path)]
        for before, after in itertools.pairwise(made):
            if len(before.messages) < len(after.messages) and before.system == after.system:
                compared += 1
                assert before.messages == after.messages[: len(before.messages)]

    assert compared >= 3


def _unmarked(value):
    """Leave out the marks, which the client moves on with every turn."""
    if isinstance(value, dict):
        return {k: _unmarked(v) for k, v in value.items() if k != "cache_control"}
    return [_unmarked(each) for each in value] if isinstance(value, list) else value


def test_of_two_calls_with_one_id_the_first_is_kept():
    messages = [user("Hi"), assistant(call("a"), call("a", at=2)), user(result("a", "x"))]
    ready = prepared({"messages": messages}, CHAT)

    assert [call("a")] == ready.messages[1]["content"]
    assert [result("a", "x")] == ready.messages[2]["content"]


@pytest.mark.parametrize("name", [["read"], {"a": 1}, None, 7])
def test_a_name_that_is_none_is_no_tools(name):
    tool = {"name": "read", "input_schema": {"type": "object"}}
    found = prepared(
        {
            "messages": [user("A")],
            "tools": [tool, {**tool, "name": name}],
            "tool_choice": {"type": "tool", "name": name},
        },
        CHAT,
    )
    assert ("read", "auto") == (found.tools[0]["name"], found.tool_choice["type"])


@pytest.mark.timeout(15)
def test_very_many_messages_of_one_role_are_one_in_time():
    body = {"messages": [user("Hi")] * 100_000}

    [message] = prepared(body, CHAT).messages

    assert 100_000 == len(message["content"])


@pytest.mark.timeout(15)
def test_very_many_results_without_a_call_are_told_in_time():
    calls = [call(f"a{at}") for at in range(30_000)]
    results = [result(f"b{at}", "1") for at in range(30_000)]

    ready = prepared({"messages": [user("Hi"), assistant(*calls), user(*results)]}, CHAT)

    assert 60_000 == len(ready.messages[-1]["content"])


def test_the_callers_messages_stay_as_they_were():
    given = [user("a"), user("b")]
    before = json.dumps(given)

    prepared({"messages": given}, CHAT)

    assert before == json.dumps(given)


@pytest.mark.parametrize("url", ["gs://bucket/a.png", "s3://bucket/a.png", "file:///etc/passwd"])
@pytest.mark.parametrize("kind", ["image", "document"])
def test_only_the_web_is_fetched_from_and_no_bucket_of_the_gateways(kind, url):
    block = {"type": kind, "source": {"type": "url", "url": url}}

    ready = prepared({"messages": [user(block)]}, RICH)

    assert [text(f"[{kind} at {url}]")] == ready.messages[0]["content"]
    assert 1 == len(ready.losses)
