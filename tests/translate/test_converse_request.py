"""A Messages request as Converse gets it."""

import base64
import itertools
import json
import re
from pathlib import Path

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.errors import InvalidRequestError
from llmroute.testing._converse_body import CACHES, lacks_of, problem_with
from llmroute.translate.converse_model import ConverseModel, lacking
from llmroute.translate.converse_request import converse_request, tool_names
from llmroute.translate.reasoning import seal

NOVA = "us.amazon.nova-pro-v1:0"
CLAUDE = "eu.anthropic.claude-opus-5-5"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
TITAN = "amazon.titan-text-express-v1"
QWEN = "qwen.qwen3-coder-480b-a35b-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
MODELS = [NOVA, CLAUDE, LLAMA, TITAN, QWEN, GPT, "us.deepseek.r1-v1:0", "test.new-v1"]
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
SVG = {**PNG, "source": {**PNG["source"], "media_type": "image/svg+xml"}}
FAR = {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}}
PDF = {
    "type": "document",
    "title": "T",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ = {"name": "read", "description": "Read a file", "input_schema": SCHEMA}
NOW = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
MARK = {"cache_control": {"type": "ephemeral"}}
POINT = {"cachePoint": {"type": "default"}}
SIGNATURE = "c2lnbmVk"


def text(said, **members):
    return {"type": "text", "text": said, **members}


def user(*content):
    return {"role": "user", "content": [text(c) if isinstance(c, str) else c for c in content]}


def assistant(*content):
    return {**user(*content), "role": "assistant"}


def call(id_, name="read", **given):
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_, *content, is_error=False):
    return {**user(*content), "type": "tool_result", "tool_use_id": id_, "is_error": is_error}


def thinking(said="Hm.", model=NOVA, **state):
    state = state or {"signature": SIGNATURE}
    signature = seal("bedrock", ConverseModel.of(model).name, state)
    return {"type": "thinking", "thinking": said, "signature": signature}


def sent(*messages, model=NOVA, without=(), limit=None, **members):
    body = {"max_tokens": 4096, "messages": list(messages) or [user("Hi")], **members}
    return converse_request(body, ConverseModel.of(model, without), limit=limit)


def turns(*messages, model=NOVA, **members):
    return sent(*messages, model=model, **members).body["messages"]


def said(*content, **members):
    """Return the blocks of one turn of the user's."""
    return turns(user(*content), **members)[0]["content"]


def test_one_tool_turn():
    request = sent(
        user("Compare a.txt and shot.png"),
        assistant(
            thinking("Need both."),
            "Reading.",
            call("toolu_A", path="a.txt"),
            call("toolu_B", path="shot.png"),
        ),
        user(result("toolu_A", "hello"), result("toolu_B", PNG, is_error=True), "Hurry."),
        system=[text("x-anthropic-billing-header: cch=1"), text("Be brief.", **MARK)],
        tools=[READ],
    )

    assert () == request.losses
    assert {
        "system": [{"text": "Be brief."}, POINT],
        "messages": [
            {"role": "user", "content": [{"text": "Compare a.txt and shot.png"}]},
            {
                "role": "assistant",
                "content": [
                    {
                        "reasoningContent": {
                            "reasoningText": {"text": "Need both.", "signature": SIGNATURE}
                        }
                    },
                    {"text": "Reading."},
                    {
                        "toolUse": {
                            "toolUseId": "toolu_A",
                            "name": "read",
                            "input": {"path": "a.txt"},
                        }
                    },
                    {
                        "toolUse": {
                            "toolUseId": "toolu_B",
                            "name": "read",
                            "input": {"path": "shot.png"},
                        }
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "toolu_A",
                            "content": [{"text": "hello"}],
                            "status": "success",
                        }
                    },
                    {
                        "toolResult": {
                            "toolUseId": "toolu_B",
                            "content": [
                                {"image": {"format": "png", "source": {"bytes": "iVBORw=="}}}
                            ],
                            "status": "error",
                        }
                    },
                    {"text": "Hurry."},
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "read",
                        "description": "Read a file",
                        "inputSchema": {"json": SCHEMA},
                    }
                }
            ]
        },
        "inferenceConfig": {"maxTokens": 4096},
    } == request.body


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param([" \n", "Hi"], [{"text": "Hi"}], id="blank-text"),
        pytest.param([text("Hi", **MARK)], [{"text": "Hi"}, POINT], id="a-cache-mark"),
        pytest.param(
            [PDF, PDF, {**PDF, "title": "T 2"}, PDF],
            [
                *(
                    {"document": {"format": "pdf", "name": n, "source": {"bytes": "JVBERg=="}}}
                    for n in ("T", "T 2", "T 2 2", "T 3")
                ),
                {"text": "See the document."},
            ],
            id="documents-of-one-name-and-no-text",
        ),
        pytest.param(
            [{**PDF, "title": "  a/b_c: Größe (1).pdf"}, "Sum."],
            [
                {
                    "document": {
                        "format": "pdf",
                        "name": "a b c Gr e (1) pdf",
                        "source": {"bytes": "JVBERg=="},
                    }
                },
                {"text": "Sum."},
            ],
            id="a-documents-name",
        ),
        pytest.param([SVG], [{"text": "[image omitted: image/svg+xml]"}], id="an-odd-image"),
        pytest.param([FAR], [{"text": "[image at https://e.org/a.png]"}], id="a-far-image"),
    ],
)
def test_what_a_user_says(content, expected):
    assert expected == said(*content)


def test_what_only_claude_may_set_is_left_out_for_others():
    hour = text("Hi", cache_control={"type": "ephemeral", "ttl": "1h"})

    assert [{"text": "Hi"}, {"cachePoint": {"type": "default", "ttl": "1h"}}] == said(
        hour, model=CLAUDE
    )
    assert [{"text": "Hi"}, POINT] == said(hour, model=NOVA)
    assert [{"text": "Hi"}] == said(hour, model=LLAMA)


def test_no_more_than_four_cache_points_are_set():
    many = [text(str(at), **MARK) for at in range(6)]
    body = sent(user(*many), model=CLAUDE, system=many[:1], tools=[READ | MARK]).body

    assert 4 == json.dumps(body).count("cachePoint")
    assert [POINT] == body["toolConfig"]["tools"][1:]
    assert POINT not in sent(tools=[READ | MARK]).body["toolConfig"]["tools"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(NOVA, True, id="itself"),
        pytest.param("eu.amazon.nova-pro-v1:0", True, id="itself-elsewhere"),
        pytest.param("us.amazon.nova-lite-v1:0", False, id="another"),
        pytest.param(CLAUDE, False, id="claude"),
    ],
)
def test_reasoning_goes_back_to_the_model_that_made_it(model, expected):
    body = sent(user("Hi"), assistant(thinking(), "Hello."), user("Go on."), model=model).body

    assert expected == ("reasoningContent" in json.dumps(body))


def test_redacted_reasoning_goes_back_as_it_was():
    messages = [user("Hi"), assistant(thinking("", redacted="c2VjcmV0")), user("Go on.")]

    assert [{"reasoningContent": {"redactedContent": "c2VjcmV0"}}, {"text": "…"}] == turns(
        *messages
    )[1]["content"]


def test_what_claude_has_thought_is_read_by_every_claude():
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
    hidden = {"type": "redacted_thinking", "data": "c2VjcmV0"}
    messages = [user("Hi"), assistant(thought, hidden, "Hello."), user("Go on.")]
    reasoned = [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "EqQB"}}},
        {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
    ]

    assert [*reasoned, {"text": "Hello."}] == turns(*messages, model=CLAUDE)[1]["content"]
    assert [{"text": "Hello."}] == turns(*messages, model=NOVA)[1]["content"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param({"type": "auto"}, None, id="auto"),
        pytest.param({"type": "any"}, {"any": {}}, id="any"),
        pytest.param({"type": "tool", "name": "read"}, {"tool": {"name": "read"}}, id="tool"),
        pytest.param({"type": "none"}, None, id="none"),
    ],
)
def test_tool_choice(choice, expected):
    assert expected == sent(tools=[READ], tool_choice=choice).body["toolConfig"].get("toolChoice")


def test_tools_that_may_not_be_called_are_declared_all_the_same():
    system = [text("Be brief.", **MARK)]
    body = sent(tools=[READ], tool_choice={"type": "none"}, system=system).body

    said = {"text": "Answer without calling a tool."}
    assert [{"text": "Be brief."}, POINT, said] == body["system"]
    assert 1 == len(body["toolConfig"]["tools"])


def test_calls_in_the_history_want_a_tool_to_be_declared():
    body = sent(user("Hi"), assistant(call("a")), user(result("a", "x"))).body

    assert ["no_tool"] == [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]]
    assert "toolConfig" not in sent().body


def test_nova_reads_little_of_a_schema():
    schema = {**SCHEMA, "additionalProperties": False, "$schema": "http://x"}
    tool = {**READ, "input_schema": schema}

    def kept(model):
        (made,) = sent(tools=[tool], model=model).body["toolConfig"]["tools"]
        return set(made["toolSpec"]["inputSchema"]["json"])

    assert {"type", "properties", "required"} == kept(NOVA)
    assert {"type", "properties", "required", "additionalProperties"} <= kept(CLAUDE)


def test_names_that_do_not_fit_come_back():
    long = "mcp__a_server__" + "x" * 70
    body = {"messages": [user("Hi")], "tools": [{**READ, "name": n} for n in (long, "7 läufe")]}
    tools = converse_request(body, ConverseModel.of(NOVA)).body["toolConfig"]["tools"]

    outward = [tool["toolSpec"]["name"] for tool in tools]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in outward)
    assert [long, "7 läufe"] == [tool_names(body).back(name) for name in outward]


@pytest.mark.parametrize(
    ("model", "limit", "asked", "expected"),
    [
        pytest.param(NOVA, None, 64_000, 10_000, id="by-the-table"),
        pytest.param(NOVA, 500, 64_000, 500, id="by-the-deployment"),
        pytest.param(NOVA, None, 64, 64, id="as-asked"),
        pytest.param(NOVA, None, 0, 1, id="none"),
        pytest.param(GPT, None, 64_000, 64_000, id="nobody-knows"),
    ],
)
def test_the_answers_length(model, limit, asked, expected):
    body = sent(model=model, limit=limit, max_tokens=asked).body

    assert expected == body["inferenceConfig"]["maxTokens"]


def test_sampling_and_stops():
    members = {"temperature": 1.5, "top_p": 0.9, "top_k": 3, "stop_sequences": ["X", ""]}
    nova, qwen = sent(**members), sent(model=QWEN, **members)

    assert {"maxTokens": 4096, "temperature": 1, "topP": 0.9, "stopSequences": ["X"]} == nova.body[
        "inferenceConfig"
    ]
    assert {"inferenceConfig": {"topK": 3}} == nova.body["additionalModelRequestFields"]
    assert "stopSequences" not in qwen.body["inferenceConfig"]
    assert ("top_k: left out: Converse does not take it",) == qwen.losses


@pytest.mark.parametrize(
    ("model", "members", "expected"),
    [
        pytest.param(
            GPT, {"output_config": {"effort": "xhigh"}}, {"reasoning_effort": "high"}, id="gpt"
        ),
        pytest.param(
            "us.amazon.nova-2-lite-v1:0",
            {"thinking": {"type": "adaptive"}},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            id="nova-2",
        ),
        pytest.param(NOVA, {"thinking": {"type": "adaptive"}}, None, id="nova"),
        pytest.param(
            CLAUDE,
            {"thinking": {"type": "adaptive"}, "anthropic_beta": ["effort-2025-11-24"], "top_k": 3},
            {
                "thinking": {"type": "adaptive"},
                "anthropic_beta": ["effort-2025-11-24"],
                "top_k": 3,
            },
            id="claude",
        ),
    ],
)
def test_what_only_a_models_own_api_has(model, members, expected):
    assert expected == sent(model=model, **members).body.get("additionalModelRequestFields")


def test_an_output_format():
    wanted = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    nova, gpt = sent(**wanted), sent(model=GPT, **wanted)

    structure = gpt.body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert SCHEMA == json.loads(structure["schema"])
    assert ("output_config.format: left out: this model does not take it",) == nova.losses


def test_an_answer_that_the_caller_began_is_gone_on_with():
    request = sent(user("Hi"), assistant("Once upon"))

    assert ["user", "assistant", "user"] == [turn["role"] for turn in request.body["messages"]]
    assert 1 == len(request.losses)


def test_results_stand_alone_where_they_have_to():
    messages = [user("Hi"), assistant(call("a")), user(result("a", "x"), "Hurry.")]
    made = turns(*messages, model=LLAMA, tools=[READ])

    kinds = [[next(iter(block)) for block in turn["content"]] for turn in made]
    assert [["text"], ["toolUse"], ["toolResult"], ["text"], ["text"]] == kinds


def test_without_tools_calls_are_told():
    messages = [user("Hi"), assistant(call("a", path="b")), user(result("a", "x", is_error=True))]
    request = sent(*messages, model=TITAN, tools=[READ], system="Be brief.", max_tokens=64)

    assert "toolConfig" not in request.body
    assert "system" not in request.body
    said = [block["text"] for turn in request.body["messages"] for block in turn["content"]]
    expected = ["Be brief.", "Hi", '[called read {"path":"b"}]', "[its result:]", "[tool error]"]
    assert [*expected, "x"] == said
    assert ("tools: left out: this model does not call tools",) == request.losses


def test_what_is_refused_is_left_out_from_then_on():
    message = "This model doesn't support the inferenceConfig.temperature field. Remove it."
    request = sent(model="test.new-v1", without=lacking(message), temperature=0.5)

    assert {"maxTokens": 4096} == request.body["inferenceConfig"]
    assert ("temperature: left out: this model does not take it",) == request.losses
    assert frozenset() == lacking("Something else is wrong.")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(NOVA, ("amazon.nova-pro-v1:0", True), id="profile"),
        pytest.param("arn:aws:bedrock:us-east-1::foundation-model/a.b", ("a.b", True), id="arn"),
        pytest.param(CLAUDE, (CLAUDE, False), id="claude"),
        pytest.param("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", ("", False)),
        pytest.param("arn:aws:bedrock:us-east-1:1:imported-model/x", ("", True), id="imported"),
        pytest.param("fast", ("", False), id="a-name-of-ones-own"),
    ],
)
def test_what_a_name_tells(model, expected):
    found = ConverseModel.of(model)

    assert expected == (found.name, found.is_foreign)


def test_what_has_no_messages_is_refused():
    with pytest.raises(InvalidRequestError):
        converse_request({"messages": 7}, ConverseModel.of(NOVA))


INPUT = Session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape


def shape_problems(shape, value, place="body"):
    """Yield what breaks AWS's description of a request, beside what botocore looks at."""
    limits = shape.metadata
    if limits.get("document"):
        return
    match value:
        case dict():
            if limits.get("union") and len(value) != 1:
                yield f"{place}: {len(value)} members of a union"
            for name, inner in value.items():
                yield from shape_problems(shape.members[name], inner, f"{place}.{name}")
        case list():
            for at, inner in enumerate(value):
                yield from shape_problems(shape.member, inner, f"{place}[{at}]")
        case str() if shape.type_name == "blob":
            base64.b64decode(value, validate=True)
        case str() if not re.fullmatch(limits.get("pattern", r"(?s:.*)"), value):
            yield f"{place}: {value} does not match"
        case str() if value not in limits.get("enum", [value]):
            yield f"{place}: {value} is not one of the values"
    size = value if isinstance(value, int | float) else len(value)
    if not limits.get("min", size) <= size <= limits.get("max", size):
        yield f"{place}: out of its range"


def checked(body, model):
    """Hold a request against AWS's own description, and against the strict server."""
    report = ParamValidator().validate({"modelId": model, **body}, INPUT)
    assert not report.has_errors(), report.generate_report()
    assert [] == list(shape_problems(INPUT, body))
    name = model.removeprefix("us.").removeprefix("eu.")
    wrong = problem_with(
        json.dumps(body).encode(),
        name,
        lacks=lacks_of(name),
        longest=ConverseModel.of(model).longest or None,
        signatures={SIGNATURE},
        streams=False,
    )
    assert wrong is None
    assert CACHES.match(name) or "cachePoint" not in json.dumps(body)


CAPTURES = sorted((Path(__file__).parents[1] / "platforms" / "captures").glob("*.json"))
REQUESTS = [
    pytest.param(each["body"], id=f"{path.stem}-{at}")
    for path in CAPTURES
    for at, each in enumerate(json.loads(path.read_text()))
    if "messages" in each["body"]
]
# What Claude itself has thought was signed by the real one.
FOREIGN = [model for model in MODELS if model != CLAUDE]


@pytest.mark.parametrize("model", FOREIGN)
@pytest.mark.parametrize("body", REQUESTS)
def test_whatever_claude_code_asks_converse_takes(body, model):
    checked(converse_request(body, ConverseModel.of(model)).body, model)


@pytest.mark.parametrize("body", REQUESTS)
def test_whatever_claude_code_asks_is_as_amazon_describes_it_for_claude(body):
    made = converse_request(body, ConverseModel.of(CLAUDE)).body

    assert not ParamValidator().validate({"modelId": CLAUDE, **made}, INPUT).has_errors()
    assert [] == list(shape_problems(INPUT, made))


@pytest.mark.parametrize("model", FOREIGN)
def test_each_turn_begins_as_the_one_before(model):
    messages = [
        user("Hi", PNG, PDF),
        assistant(thinking(model=model), "I look.", call("c1"), call("toolu_2")),
        user(result("c1", "x", PNG), result("toolu_2", PDF)),
        assistant(call("toolu_3")),
        user(result("toolu_3", "z"), "Well?"),
        assistant("Done."),
        user("Again."),
    ]
    made = [
        turns(*messages[:end], tools=[READ], model=model, system="Be brief.")
        for end in range(1, len(messages) + 1, 2)
    ]

    for earlier, later in itertools.pairwise(made):
        assert earlier == later[: len(earlier)]


ids = st.sampled_from(["a", "b", "toolu_1", "x.1:0", "", "functions.read:0", "é" * 80])
words = st.sampled_from(["", " ", "Hi", "<system-reminder>x</system-reminder>", "é\n"])
marks = st.sampled_from([{}, MARK, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}])
texts = st.builds(lambda said, mark: text(said, **mark), words, marks)
carried = st.builds(
    lambda said, state: thinking(said, **state),
    words,
    st.sampled_from([{}, {"redacted": "c2VjcmV0"}, {"signature": 7}, {"odd": 1}]),
)
titled = st.sampled_from(["", "T", "a  b", "~" * 300, "x" * 300]).map(lambda t: {**PDF, "title": t})
shown = st.one_of(texts, titled, st.sampled_from([PNG, SVG, FAR, {"type": "odd"}, {}]))
spoken = st.one_of(
    texts,
    carried,
    st.builds(call, ids, st.sampled_from(["read", "7 läufe", ""]), a=words),
    st.just({"type": "redacted_thinking", "data": "x"}),
)
answered = st.one_of(
    shown, st.builds(lambda i, c, e: result(i, c, is_error=e), ids, shown, st.booleans())
)
conversations = st.lists(
    st.one_of(
        st.lists(answered, max_size=4).map(lambda c: user(*c)),
        st.lists(spoken, max_size=4).map(lambda c: assistant(*c)),
        words.map(lambda s: {"role": "system", "content": s}),
    ),
    min_size=1,
    max_size=6,
)
choices = st.sampled_from([None, {"type": "none"}, {"type": "any"}, {"type": "tool"}, 7])


@settings(max_examples=250, deadline=None)
@given(conversations, st.sampled_from(FOREIGN), st.sampled_from([[], [READ | MARK, NOW]]), choices)
def test_whatever_conversation_there_was_converse_takes_it(messages, model, tools, choice):
    members = {"tool_choice": choice} if choice is not None else {}

    checked(sent(*messages, model=model, tools=tools, **members).body, model)
