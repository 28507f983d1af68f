"""A Responses request, said in Messages and again in Responses, is what it was.

But for what the translations have told as lost.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.translate.from_responses import from_responses
from llmroute.translate.responses_request import ResponsesModel, responses_request

MODEL = ResponsesModel("gpt-5.4", "api.openai.com", cache_marks=False)
URLS = ["data:image/png;base64,iVBORw0KGgo=", "https://example.com/cat.png"]
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED |= {"additionalProperties": False}
OPEN = {"type": "object", "properties": {"b": {"type": "integer"}}}

WORDS = st.text("abé", min_size=1, max_size=4)
TEXT_PARTS = st.builds(lambda said: {"type": "input_text", "text": said}, WORDS)
PARTS = st.one_of(
    TEXT_PARTS,
    st.builds(
        lambda url: {"type": "input_image", "image_url": url, "detail": "auto"},
        st.sampled_from(URLS),
    ),
    st.just({"type": "input_file", **PDF}),
)
SYSTEM = st.builds(
    lambda role, said: {"role": role, "content": said},
    st.sampled_from(["system", "developer"]),
    WORDS | st.lists(TEXT_PARTS, min_size=1, max_size=2),
)
USER = st.builds(
    lambda said: {"role": "user", "content": said}, WORDS | st.lists(PARTS, min_size=1, max_size=3)
)
ARGUMENTS = st.dictionaries(st.sampled_from(["a", "b"]), WORDS | st.integers(-9, 9), max_size=2)
RESULTS = WORDS | st.lists(PARTS, min_size=1, max_size=2)


@st.composite
def inputs(draw):
    """Draw a conversation: what an assistant says and calls is answered, whatever it is."""
    items = draw(st.lists(SYSTEM, max_size=2)) + draw(st.lists(USER, min_size=1, max_size=2))
    for turn in range(draw(st.integers(0, 3))):
        if said := draw(st.none() | WORDS):
            items.append({"role": "assistant", "content": said})
        ids = [f"call_{turn}{at}" for at in range(draw(st.integers(0 if said else 1, 3)))]
        for each in ids:
            name, given = draw(st.sampled_from(["weather", "read"])), json.dumps(draw(ARGUMENTS))
            items.append(
                {"type": "function_call", "call_id": each, "name": name, "arguments": given}
            )
        items += [
            {"type": "function_call_output", "call_id": each, "output": draw(RESULTS)}
            for each in draw(st.permutations(ids))
        ]
        items.append(draw(USER))
    return items


TOOLS = [
    {"type": "function", "name": "weather", "description": "Tells.", "parameters": OPEN},
    {"type": "function", "name": "read", "parameters": CLOSED, "strict": True},
    {"type": "web_search", "filters": {"allowed_domains": ["example.com"]}},
]
CHOICES = ["auto", "none", "required", {"type": "function", "name": "read"}]
FORMAT = {"type": "json_schema", "name": "answer", "schema": CLOSED, "strict": True}
KEPT = st.fixed_dictionaries(
    {"max_output_tokens": st.integers(16, 10**5)},
    optional={
        "text": st.just({"format": FORMAT}),
        "stream": st.sampled_from([True]),
        "service_tier": st.sampled_from(["auto", "default"]),
    },
)
OFFERED = st.just({}) | st.fixed_dictionaries(
    {"tools": st.permutations(TOOLS[:2]).map(lambda tools: [*tools, TOOLS[2]])},
    optional={
        "tool_choice": st.sampled_from(CHOICES),
        "parallel_tool_calls": st.sampled_from([False]),
        "max_tool_calls": st.integers(1, 9),
    },
)
REASONING = st.sampled_from(
    [
        {},
        {"effort": "none"},
        {"effort": "high"},
        {"effort": "xhigh", "summary": "auto"},
        {"summary": "auto"},
    ]
)
LOST = st.fixed_dictionaries(
    {},
    optional={
        "store": st.sampled_from([True]),
        "truncation": st.just("auto"),
        "prompt_cache_retention": st.just("24h"),
        "of_tomorrow": st.just([1]),
    },
)


def told(items):
    """Flatten what is said, by whom, in which order: as it reads however it is spelled."""
    found = []
    for item in items:
        if item.get("type") == "function_call":
            found.append(["call", item["call_id"], item["name"], json.loads(item["arguments"])])
            continue
        who = item.get("role") or item["call_id"]
        who = {"system": "developer"}.get(who, who)
        content = item.get("content", item.get("output"))
        for part in [{"text": content}] if isinstance(content, str) else content:
            said = part.get("text")
            if said is None:
                found.append([who, {name: part[name] for name in part if name != "detail"}])
            elif found and found[-1][0] == who and isinstance(found[-1][1], str):
                found[-1][1] += "\n" + said
            else:
                found.append([who, said])
    return found


def in_order(items):
    """Put the results of one turn in the order of its calls."""
    at = {item["call_id"]: n for n, item in enumerate(items) if item.get("type") == "function_call"}
    made = list(items)
    places = [n for n, item in enumerate(items) if item.get("type") == "function_call_output"]
    for place, item in zip(
        places, sorted((items[n] for n in places), key=lambda i: at[i["call_id"]]), strict=True
    ):
        made[place] = item
    return made


@settings(max_examples=150, deadline=None)
@given(inputs(), WORDS | st.none(), KEPT, OFFERED, REASONING, LOST)
def test_a_request_without_its_losses_survives(items, instructions, kept, offered, reasoning, lost):
    body = {"model": "sonnet", "input": items, **kept, **offered, **lost}
    body |= {"instructions": instructions} if instructions else {}
    forced = offered.get("tool_choice") not in (None, "auto", "none")
    body |= {"reasoning": reasoning} if reasoning and not forced else {}
    before = json.dumps(body)
    asked = from_responses(body, 4096)
    again, losses = responses_request(asked.body, MODEL)

    assert before == json.dumps(body)
    system = [{"role": "developer", "content": text} for text in (instructions,) if text]
    again_system = [{"role": "developer", "content": again.pop("instructions", None)}]
    said = told(in_order([*system, *items]))
    heard = told([*(each for each in again_system if each["content"]), *again.pop("input")])
    assert [spaced(each) for each in said] == [spaced(each) for each in heard]
    included = ["reasoning.encrypted_content"]
    included += ["web_search_call.action.sources"] if offered else []
    expected = {name: value for name, value in body.items() if name not in lost}
    expected |= {"model": "gpt-5.4", "store": False, "include": included}
    if offered:
        expected["tools"] = [
            {"strict": False, **tool} if tool["type"] == "function" else tool
            for tool in offered["tools"]
        ]
    if "parallel_tool_calls" in offered:
        # Messages says both in one; and it says nothing of calls where there are to be none.
        expected.setdefault("tool_choice", "auto")
        if expected["tool_choice"] == "none":
            del expected["parallel_tool_calls"]
    expected.pop("input")
    expected.pop("instructions", None)
    assert expected == again
    assert set(lost) == {line.partition(":")[0] for line in asked.losses}
    assert ("", ()) == (asked.obstacle, losses)


def spaced(said):
    """Texts that follow each other may be parted by one line or two."""
    return [each.replace("\n\n", "\n") if isinstance(each, str) else each for each in said]
