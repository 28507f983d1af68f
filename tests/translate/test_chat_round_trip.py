"""A Chat Completions request, said in Messages and again in Chat Completions, is what it was.

But for what the translations have told as lost.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.chat_request import chat_request
from llmroute.translate.from_chat import from_chat

DIALECT = ChatDialect(
    "the server",
    "openai_compatible",
    "m",
    max_tokens_name="max_completion_tokens",
    system_role="developer",
    documents=True,
    strict_tools=True,
    effort_in=frozenset({"reasoning_effort"}),
)
URLS = ["data:image/png;base64,iVBORw0KGgo=", "https://example.com/cat.png"]
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED |= {"additionalProperties": False}
OPEN = {"type": "object", "properties": {"b": {"type": "integer"}}}

WORDS = st.text("abé", min_size=1, max_size=4)
TEXT_PARTS = st.builds(lambda said: {"type": "text", "text": said}, WORDS)
PARTS = st.one_of(
    TEXT_PARTS,
    st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, st.sampled_from(URLS)),
    st.just({"type": "file", "file": PDF}),
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


@st.composite
def answered(draw):
    """Draw what an assistant says, and the results of what it calls."""
    said = draw(st.none() | WORDS)
    count = draw(st.integers(0 if said else 1, 3))
    ids = draw(
        st.lists(st.from_regex(r"call_[a-z0-9]{4}", fullmatch=True), min_size=count, max_size=count)
    )
    ids = [f"{each}{at}" for at, each in enumerate(ids)]
    calls = [
        {
            "id": each,
            "type": "function",
            "function": {
                "name": draw(st.sampled_from(["weather", "read"])),
                "arguments": json.dumps(draw(ARGUMENTS)),
            },
        }
        for each in ids
    ]
    assistant = {"role": "assistant", "content": said, **({"tool_calls": calls} if calls else {})}
    results = [
        {
            "role": "tool",
            "tool_call_id": each,
            "content": draw(WORDS | st.lists(TEXT_PARTS, min_size=1, max_size=1)),
        }
        for each in ids
    ]
    return [assistant, *results]


@st.composite
def conversations(draw):
    messages = draw(st.lists(SYSTEM, max_size=2)) + draw(st.lists(USER, min_size=1, max_size=2))
    seen: set[str] = set()
    for _ in range(draw(st.integers(0, 3))):
        turn = draw(answered())
        ids = {each["tool_call_id"] for each in turn if each["role"] == "tool"}
        if not ids & seen:
            seen |= ids
            messages += [*turn, draw(USER)]
    return messages


def function(name, parameters, **more):
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


TOOLS = [
    function("weather", OPEN, description="Tells the weather."),
    function("read", CLOSED, strict=True),
]
CHOICES = ["auto", "none", "required", {"type": "function", "function": {"name": "read"}}]
FORMAT = {"name": "answer", "schema": CLOSED, "strict": True}
KEPT = st.fixed_dictionaries(
    {"max_completion_tokens": st.integers(1, 10**6)},
    optional={
        "temperature": st.floats(0, 0.9),
        "stop": st.lists(WORDS, min_size=1, max_size=4, unique=True),
        "response_format": st.just({"type": "json_schema", "json_schema": FORMAT}),
        "stream": st.sampled_from([True]),
    },
)
OFFERED = st.just({}) | st.fixed_dictionaries(
    {"tools": st.lists(st.sampled_from(TOOLS), min_size=2, max_size=2, unique_by=str)},
    optional={"tool_choice": st.sampled_from(CHOICES)},
)
LOST = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(),
        "logit_bias": st.just({"7": 1}),
        "frequency_penalty": st.floats(0.1, 1),
        "verbosity": st.just("low"),
        "of_tomorrow": st.just([1]),
    },
)


def told(messages):
    """Flatten what is said, by whom, in which order: as it reads however it is spelled."""
    found = []
    for message in messages:
        who = {"system": "developer"}.get(message["role"], message["role"])
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        for part in parts:
            said = [who, message.get("tool_call_id"), part["type"], part[part["type"]]]
            if part["type"] == "text" and found and found[-1][:3] == said[:3]:
                found[-1][3] += "\n\n" + said[3]
            else:
                found.append(said)
        for call in message.get("tool_calls", ()):
            arguments = json.loads(call["function"]["arguments"])
            found.append([who, call["id"], call["function"]["name"], arguments])
    return found


@settings(max_examples=100, deadline=None)
@given(conversations(), KEPT, OFFERED, LOST)
def test_a_request_without_its_losses_survives(messages, kept, offered, lost):
    body = {"model": "sonnet", "messages": messages, **kept, **offered, **lost}
    before = json.dumps(body)
    asked = from_chat(body, 4096)
    again, losses = chat_request(asked.body, DIALECT, "sonnet")

    assert before == json.dumps(body)
    assert told(messages) == told(again.pop("messages"))
    again.pop("stream_options", None)
    assert {"model": "sonnet", **kept, **offered} == again
    assert set(lost) == {line.partition(":")[0] for line in asked.losses}
    assert ("", ()) == (asked.obstacle, losses)
