"""A Messages request as Gemini gets it."""

import itertools
import json
from pathlib import Path

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.errors import InvalidRequestError
from llmroute.testing._gemini_body import NO_SIGNATURE, problem_with
from llmroute.translate.gemini_model import GeminiModel
from llmroute.translate.gemini_request import gemini_request, tool_names
from llmroute.translate.reasoning import seal

PRO = "gemini-3-pro-preview"
MODELS = [PRO, "gemini-3.5-flash", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.0-flash"]
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
PDF = {
    "type": "document",
    "title": "T",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
}
GIF = {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R0lG"}}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ = {"name": "read", "description": "Read a file", "input_schema": SCHEMA}
NOW = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


def text(said):
    return {"type": "text", "text": said}


def user(*content):
    return {"role": "user", "content": [text(c) if isinstance(c, str) else c for c in content]}


def assistant(*content):
    return {**user(*content), "role": "assistant"}


def call(id_, name="read", **given):
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_, *content, is_error=False):
    return {**user(*content), "type": "tool_result", "tool_use_id": id_, "is_error": is_error}


def thinking(said="", model=PRO, **state):
    signature = seal("gemini", "gemini", {"model": model, **state})
    return {"type": "thinking", "thinking": said, "signature": signature}


def sent(*messages, model=PRO, **members):
    body = {"max_tokens": 4096, "messages": list(messages) or [user("Hi")], **members}
    return gemini_request(body, model)


def contents(*messages, model=PRO, **members):
    return sent(*messages, model=model, **members).body["contents"]


def config(model=PRO, **members):
    return sent(model=model, **members).body["generationConfig"]


def test_one_tool_turn():
    request = sent(
        user("Compare a.txt and shot.png"),
        assistant(
            thinking("Need both.", call="Q2=="),
            "Reading.",
            call("toolu_A", path="a.txt"),
            call("toolu_B", path="shot.png"),
        ),
        user(result("toolu_A", "hello"), result("toolu_B", PNG), "Hurry."),
        system=[text("x-anthropic-billing-header: cch=1"), text("Be brief.")],
        tools=[READ],
    )

    first = {"functionCall": {"name": "read", "args": {"path": "a.txt"}}}
    assert () == request.losses
    assert {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Compare a.txt and shot.png"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "Reading."},
                    {**first, "thoughtSignature": "Q2=="},
                    {"functionCall": {"name": "read", "args": {"path": "shot.png"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "read", "response": {"output": "hello"}}},
                    {
                        "functionResponse": {
                            "name": "read",
                            "response": {"output": "[image attached]"},
                            "parts": [
                                {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
                            ],
                        }
                    },
                    {"text": "Hurry."},
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "read", "description": "Read a file", "parametersJsonSchema": SCHEMA}
                ]
            }
        ],
        "generationConfig": {"maxOutputTokens": 12288},
    } == request.body


CALL = {"functionCall": {"id": "c1", "name": "read", "args": {}}}
SECOND = {"functionCall": {"id": "c2", "name": "read", "args": {}}}


@pytest.mark.parametrize(
    ("model", "content", "parts"),
    [
        pytest.param(
            PRO, [thinking(call="S1"), call("c1")], [{**CALL, "thoughtSignature": "S1"}], id="call"
        ),
        pytest.param(
            PRO,
            [thinking(call="S1"), call("c1"), call("c2")],
            [{**CALL, "thoughtSignature": "S1"}, SECOND],
            id="the-first-of-two",
        ),
        pytest.param(
            PRO,
            [thinking(call="S1"), call("c1"), thinking(call="S2"), call("c2")],
            [{**CALL, "thoughtSignature": "S1"}, {**SECOND, "thoughtSignature": "S2"}],
            id="each-its-own",
        ),
        pytest.param(
            PRO, [call("c1")], [{**CALL, "thoughtSignature": NO_SIGNATURE}], id="never-signed"
        ),
        pytest.param(
            PRO,
            [thinking(call="S1", model="gemini-2.5-pro"), call("c1")],
            [{**CALL, "thoughtSignature": NO_SIGNATURE}],
            id="another-models",
        ),
        pytest.param(
            PRO,
            [{"type": "thinking", "thinking": "x", "signature": "claudes"}, call("c1")],
            [{**CALL, "thoughtSignature": NO_SIGNATURE}],
            id="another-vendors",
        ),
        pytest.param(
            "gemini-2.5-pro",
            [thinking(call="S1", model="gemini-2.5-pro"), call("c1")],
            [{**CALL, "thoughtSignature": "S1"}],
            id="an-older-generations",
        ),
        pytest.param("gemini-2.5-pro", [call("c1")], [CALL], id="an-older-one-needs-none"),
        pytest.param(
            PRO,
            [thinking(text="S1"), "Done."],
            [{"text": "Done.", "thoughtSignature": "S1"}],
            id="text",
        ),
        pytest.param(
            PRO,
            ["Let me look.", thinking(after="S1", after_at=4, call="S2"), call("c1")],
            [
                {"text": "Let "},
                {"text": "me look.", "thoughtSignature": "S1"},
                {**CALL, "thoughtSignature": "S2"},
            ],
            id="the-end-of-a-text",
        ),
        pytest.param(
            PRO,
            ["Look.", thinking(after="S1", after_at=5), call("c1")],
            [
                {"text": "Look."},
                {"text": "", "thoughtSignature": "S1"},
                {**CALL, "thoughtSignature": NO_SIGNATURE},
            ],
            id="an-empty-text-after-it",
        ),
        pytest.param(
            PRO,
            [thinking("Hm.", thought="S1"), "Done."],
            [{"text": "Hm.", "thought": True, "thoughtSignature": "S1"}, {"text": "Done."}],
            id="a-thought",
        ),
        pytest.param(
            PRO, [thinking("Hm."), "Done."], [{"text": "Done."}], id="an-unsigned-thought"
        ),
        pytest.param(
            PRO,
            [thinking(call=7, text=[], after={}, after_at="x"), call("c1")],
            [{**CALL, "thoughtSignature": NO_SIGNATURE}],
            id="forged",
        ),
    ],
)
def test_thought_signatures_go_back_where_they_came_from(model, content, parts):
    messages = [user("Hi"), assistant(*content), user("Go on.")]
    messages[2]["content"] = [result(b["id"], "x") for b in content if "input" in b] or [text("Go")]

    assert parts == contents(*messages, model=model)[1]["parts"]


def test_without_signatures_a_call_has_the_one_that_is_not_checked():
    messages = [user("Hi"), assistant(thinking(call="S1"), call("c1")), user(result("c1", "x"))]
    request = gemini_request({"messages": messages}, PRO, with_signatures=False)

    assert NO_SIGNATURE == request.body["contents"][1]["parts"][0]["thoughtSignature"]


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        pytest.param(
            user(result("c1", "gone", is_error=True)),
            [{"functionResponse": {"id": "c1", "name": "read", "response": {"error": "gone"}}}],
            id="error",
        ),
        pytest.param(
            user(result("c1")),
            [{"functionResponse": {"id": "c1", "name": "read", "response": {"output": ""}}}],
            id="empty",
        ),
        pytest.param(
            user(result("c1", GIF)),
            [
                {
                    "functionResponse": {
                        "id": "c1",
                        "name": "read",
                        "response": {"output": "[image omitted: image/gif]"},
                    }
                }
            ],
            id="an-image-it-cannot-read",
        ),
    ],
)
def test_results(message, parts):
    assert parts == contents(user("Hi"), assistant(call("c1")), message)[2]["parts"]


def test_an_image_in_a_result_follows_it_where_it_cannot_stay():
    messages = [user("Hi"), assistant(call("c1")), user(result("c1", PNG))]
    parts = contents(*messages, model="gemini-2.5-pro")[2]["parts"]

    assert ["functionResponse", "inlineData"] == [next(iter(part)) for part in parts]


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        pytest.param(
            PNG, [{"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}], id="image"
        ),
        pytest.param(
            PDF,
            [{"text": "T"}, {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}}],
            id="document",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png?x"}},
            [{"fileData": {"mimeType": "image/png", "fileUri": "https://e.org/a.png?x"}}],
            id="address",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "url", "url": "data:image/webp;base64,UklG"}},
            [{"inlineData": {"mimeType": "image/webp", "data": "UklG"}}],
            id="data-in-the-address",
        ),
    ],
)
def test_images_and_documents(block, parts):
    assert parts == contents(user(block))[0]["parts"]


def test_an_answer_that_the_caller_began_is_gone_on_with():
    request = sent(user("Count."), assistant("One, two,"))

    assert ["user", "model", "user"] == [each["role"] for each in request.body["contents"]]
    assert 1 == len(request.losses)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param({"type": "auto"}, None, id="auto"),
        pytest.param({"type": "any"}, {"mode": "ANY"}, id="any"),
        pytest.param({"type": "none"}, {"mode": "NONE"}, id="none"),
        pytest.param(
            {"type": "tool", "name": "read"},
            {"mode": "ANY", "allowedFunctionNames": ["read"]},
            id="one",
        ),
    ],
)
def test_tool_choice(choice, expected):
    body = sent(tools=[READ], tool_choice=choice).body

    assert expected == body.get("toolConfig", {}).get("functionCallingConfig")


def test_a_tool_without_parameters_has_no_schema():
    body = sent(tools=[NOW]).body

    assert [{"functionDeclarations": [{"name": "now"}]}] == body["tools"]


def test_older_models_get_the_older_schemas():
    function = sent(tools=[READ], model="gemini-2.0-flash").body["tools"][0]["functionDeclarations"]

    assert "OBJECT" == function[0]["parameters"]["type"]


def test_names_that_do_not_fit_come_back():
    tools = [{**READ, "name": "7 läufe"}, READ]
    names = tool_names({"messages": [user("Hi")], "tools": tools})
    outward = [f["name"] for f in sent(tools=tools).body["tools"][0]["functionDeclarations"]]

    assert ["7 läufe", "read"] == [names.back(name) for name in outward]
    assert "7 läufe" != outward[0]


def test_the_web_is_searched_by_google():
    request = sent(tools=[SEARCH])

    assert [{"googleSearch": {}}] == request.body["tools"]
    assert ("tools[] web_search: max_uses left out: Google Search has no such",) == request.losses


def test_beside_functions_the_web_is_not_searched():
    request = sent(tools=[SEARCH, READ])

    assert ["functionDeclarations"] == list(request.body["tools"][0])
    assert 1 == len(request.losses)


ENABLED = {"type": "enabled", "budget_tokens": 2048}


@pytest.mark.parametrize(
    ("model", "thinking", "effort", "expected"),
    [
        pytest.param(PRO, {"type": "disabled"}, None, {"thinkingLevel": "LOW"}, id="pro-off"),
        pytest.param(
            "gemini-3.5-flash", {"type": "disabled"}, None, {"thinkingLevel": "MINIMAL"}, id="off"
        ),
        pytest.param(PRO, {"type": "adaptive"}, None, {"includeThoughts": True}, id="adaptive"),
        pytest.param(
            PRO,
            {"type": "adaptive", "display": "omitted"},
            "max",
            {"includeThoughts": False, "thinkingLevel": "HIGH"},
            id="effort",
        ),
        pytest.param(
            PRO, ENABLED, None, {"includeThoughts": True, "thinkingLevel": "LOW"}, id="budget"
        ),
        pytest.param(
            "gemini-2.5-pro",
            ENABLED,
            None,
            {"includeThoughts": True, "thinkingBudget": 2048},
            id="older-budget",
        ),
        pytest.param(
            "gemini-2.5-flash", {"type": "disabled"}, None, {"thinkingBudget": 0}, id="older-off"
        ),
        pytest.param(
            "gemini-2.5-pro", {"type": "disabled"}, None, {"thinkingBudget": 128}, id="nearly-off"
        ),
        pytest.param(
            "gemini-2.5-flash",
            {"type": "adaptive"},
            "low",
            {"includeThoughts": True, "thinkingBudget": -1},
            id="older-adaptive",
        ),
        pytest.param("gemini-2.0-flash", ENABLED, None, None, id="none"),
        pytest.param(PRO, None, None, None, id="not-asked"),
        pytest.param(PRO, None, "low", {"thinkingLevel": "LOW"}, id="effort-alone"),
    ],
)
def test_thinking(model, thinking, effort, expected):
    members = {"thinking": thinking} if thinking else {}
    if effort:
        members["output_config"] = {"effort": effort}

    assert expected == config(model, **members).get("thinkingConfig")


@pytest.mark.parametrize(
    ("model", "members", "expected"),
    [
        pytest.param(PRO, {"max_tokens": 4096}, 12288, id="room-for-thoughts-not-asked-for"),
        pytest.param(PRO, {"max_tokens": 32000, "thinking": ENABLED}, 32000, id="asked-for"),
        pytest.param("gemini-2.5-flash", {"max_tokens": 100}, 100, id="short-and-unthought"),
        pytest.param("gemini-2.5-pro", {"max_tokens": 100}, 228, id="short"),
        pytest.param(PRO, {"max_tokens": 200_000}, 65536, id="the-most"),
        pytest.param("gemini-2.0-flash", {"max_tokens": 32000}, 8192, id="an-older-ones-most"),
        pytest.param("gemini-2.5-flash", {"max_tokens": 0}, 1, id="none"),
    ],
)
def test_the_answers_length(model, members, expected):
    assert expected == config(model, **members)["maxOutputTokens"]


def test_sampling_and_stops():
    made = config(
        temperature=0.5, top_p=0.9, top_k=40, stop_sequences=list("abcdef"), thinking=ENABLED
    )

    assert (0.5, 0.9, 40) == (made["temperature"], made["topP"], made["topK"])
    assert list("abcde") == made["stopSequences"]


def test_an_output_format():
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}

    assert SCHEMA == config(output_config=wanted)["responseJsonSchema"]
    assert "application/json" == config(output_config=wanted)["responseMimeType"]
    older = sent(tools=[READ], output_config=wanted, model="gemini-2.5-pro")
    assert "responseMimeType" not in older.body["generationConfig"]
    assert 1 == len(older.losses)


def test_what_has_no_messages_is_refused():
    with pytest.raises(InvalidRequestError):
        gemini_request({"messages": 7}, PRO)


CAPTURES = sorted((Path(__file__).parents[1] / "platforms" / "captures").glob("*.json"))
REQUESTS = [
    pytest.param(each["body"], id=f"{path.stem}-{at}")
    for path in CAPTURES
    for at, each in enumerate(json.loads(path.read_text()))
    if "messages" in each["body"]
]


def checked_by_googles_own_types(body):
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)
    types.GenerationConfig.model_validate(body["generationConfig"])
    types.ToolConfig.model_validate(body.get("toolConfig", {}))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("body", REQUESTS)
def test_whatever_claude_code_asks_gemini_takes(body, model):
    request = gemini_request(body, model)

    assert None is problem_with(request.body, GeminiModel.of(model).version, {})
    checked_by_googles_own_types(request.body)


def test_each_turn_begins_as_the_one_before():
    messages = [
        user("Hi", PNG),
        assistant(thinking("Hm.", call="S1"), "I look.", call("c1"), call("toolu_2")),
        user(result("c1", "x", PNG), result("toolu_2", "y")),
        assistant(call("toolu_3")),
        user(result("toolu_3", "z"), "Well?"),
        assistant("Done."),
        user("Again."),
    ]
    turns = [contents(*messages[:end], tools=[READ]) for end in range(1, len(messages) + 1, 2)]

    for earlier, later in itertools.pairwise(turns):
        assert earlier == later[: len(earlier)]


@pytest.mark.parametrize(
    ("model", "writer", "expected"),
    [
        pytest.param(PRO, PRO, True, id="itself"),
        pytest.param(f"models/{PRO}", f"{PRO}-11-2025", True, id="a-version-of-it"),
        pytest.param("gemini-flash-latest", "gemini-3.5-flash", True, id="whatever-is-latest"),
        pytest.param(PRO, "gemini-3-flash-preview", False, id="another"),
        pytest.param("gemini-2.5-flash", "gemini-2.5-flash-lite", False, id="a-lighter-one"),
        pytest.param(PRO, "", True, id="nobody-knows"),
    ],
)
def test_whose_signatures_a_model_reads(model, writer, expected):
    assert expected is GeminiModel.of(model).reads(writer)


ids = st.sampled_from(["a", "b", "toolu_1", "x.1:0", ""])
said = st.sampled_from(["", " ", "Hi", "<system-reminder>x</system-reminder>", "é\n"])
carried = st.builds(
    lambda said, state: thinking(said, **state),
    said,
    st.sampled_from(
        [{}, {"call": NO_SIGNATURE}, {"model": "gemini-1.5-pro", "call": "x"}, {"after_at": -3}]
    ),
)
shown = st.one_of(said.map(text), st.sampled_from([PNG, PDF, GIF, {"type": "odd"}, {}]))
spoken = st.one_of(
    said.map(text),
    carried,
    st.builds(call, ids, st.sampled_from(["read", "7 läufe", ""]), a=said),
    st.just({"type": "redacted_thinking", "data": "x"}),
)
answered = st.one_of(
    shown, st.builds(lambda i, c, e: result(i, c, is_error=e), ids, shown, st.booleans())
)
conversations = st.lists(
    st.one_of(
        st.lists(answered, max_size=4).map(lambda c: user(*c)),
        st.lists(spoken, max_size=4).map(lambda c: assistant(*c)),
        said.map(lambda s: {"role": "system", "content": s}),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(conversations, st.sampled_from(MODELS))
def test_whatever_conversation_there_was_gemini_takes_it(messages, model):
    body = sent(*messages, model=model, tools=[READ, NOW]).body

    assert None is problem_with(body, GeminiModel.of(model).version, {})
