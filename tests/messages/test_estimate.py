"""An estimate of tokens errs high."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmroute.errors import InvalidRequestError
from llmroute.messages.estimate import at_least, estimate, measure, vocabulary_of
from llmroute.wire.envelope import Envelope

ENGLISH = "It was a bright cold day in April, and the clocks were striking thirteen. " * 20
CODE = "    def feed(self, data: bytes) -> list[Frame]:\n        return self._frames[data]\n" * 20
FIGURES = "\n".join(f"{n * 7919 % 1000}.{n:03},{n * 104729 % 997}.{n % 7}" for n in range(100))
CHINESE = (
    "这是一个关于网关和路由器的长篇说明。它解释了请求如何被转发以及为什么要保留每一个字节。" * 20
)
RUSSIAN = "Это длинное описание шлюза и маршрутизатора, которое объясняет, как пересылаются. " * 20
EMOJI = "😀🎉🦀🚀🌍" * 40
TOOL = {
    "name": "Read",
    "description": "Reads a file from the disk, all of it or a few lines.",
    "input_schema": {"type": "object", "properties": {"file_path": {"type": "string"}}},
}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def pdf(size):
    data = base64.b64encode(bytes(size)).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    return {"type": "document", "source": source}


def said(content):
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        # What public vocabularies of 100,000 and 200,000 tokens make of these, the larger count.
        pytest.param(said(ENGLISH), 321, 1_000, id="english"),
        pytest.param(said(CODE), 420, 1_200, id="code"),
        pytest.param(said(FIGURES), 799, 2_000, id="figures"),
        pytest.param(said(CHINESE), 880, 2_000, id="chinese"),
        pytest.param(said(RUSSIAN), 761, 2_500, id="russian"),
        pytest.param(said(EMOJI), 560, 1_500, id="emoji"),
        pytest.param(said([{"type": "text", "text": ENGLISH}]), 321, 1_000, id="blocks"),
        pytest.param({"system": ENGLISH}, 321, 1_000, id="system"),
        pytest.param({"system": [{"type": "text", "text": ENGLISH}]}, 321, 1_000, id="systems"),
        pytest.param({"messages": [{"role": "user", "content": ""}] * 10}, 40, 200, id="messages"),
        pytest.param({"tools": [TOOL]}, 380, 700, id="tool"),
        pytest.param({"tools": [TOOL] * 20}, 1_000, 3_000, id="tools"),
        # At most 4,800 tokens each, and 2,000 a page.
        pytest.param(said([IMAGE]), 4_800, 7_000, id="image"),
        pytest.param(said([IMAGE, IMAGE]), 9_600, 14_000, id="images"),
        pytest.param(said([pdf(1_000)]), 2_000, 3_000, id="document-of-a-page"),
        pytest.param(said([pdf(1_000_000)]), 30_000, 45_000, id="document-of-a-megabyte"),
        pytest.param(
            said([{"type": "document", "source": {"type": "text", "data": ENGLISH}}]),
            321,
            1_000,
            id="document-of-text",
        ),
        pytest.param(
            said([{"type": "document", "source": {"type": "content", "content": [IMAGE]}}]),
            4_800,
            7_000,
            id="document-of-blocks",
        ),
        pytest.param(
            said([{"type": "document", "source": {"type": "url", "url": "https://a.example/b"}}]),
            2_000,
            50_000,
            id="document-elsewhere",
        ),
        pytest.param(
            said([{"type": "tool_result", "tool_use_id": "toolu_1", "content": ENGLISH}]),
            321,
            1_000,
            id="tool-result",
        ),
        pytest.param(
            said([{"type": "tool_result", "tool_use_id": "toolu_1", "content": [IMAGE]}]),
            4_800,
            7_000,
            id="tool-result-with-an-image",
        ),
        pytest.param(
            said([{"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {"a": CODE}}]),
            420,
            1_300,
            id="tool-use",
        ),
        pytest.param({}, 0, 0, id="nothing"),
    ],
)
def test_an_estimate_is_no_less_than_the_tokens_and_not_absurd(body, least, most):
    assert least <= estimate(body) <= most
    assert estimate(body) == estimate(Envelope.of(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "content", "source", "data", "text", "role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional={"messages": JSON, "system": JSON, "tools": JSON}))
def test_any_json_comes_to_some_number(body):
    assert 0 <= estimate(body)


def test_more_text_comes_to_more():
    assert estimate(said(ENGLISH)) < estimate(said(ENGLISH + "more words"))


@pytest.mark.parametrize("depth", [100, 700, 5_000])
def test_deep_nesting_is_counted_or_refused(depth):
    deep = b'{"messages":[{"content":' + b"[" * depth + b"]" * depth + b"}]}"
    try:
        found = estimate(Envelope.parse(deep))
    except InvalidRequestError:
        found = None

    assert (depth < 5_000) is (found is not None)


def test_a_member_that_cannot_be_read_is_refused():
    with pytest.raises(InvalidRequestError):
        estimate(Envelope.parse(b'{"messages":"\\u00e9\xff"}'))


CORPUS = json.loads((Path(__file__).parent / "token_corpus.json").read_text("utf-8"))
CAPTURES = Path(__file__).parents[1] / "platforms" / "captures"
# One whose tokens nobody has measured is taken to make as many as any.
MODELS = {"o200k": "gpt-5.2", "cl100k": "some-model", "digitwise": "qwen3-coder-plus"}


@pytest.mark.parametrize("vocabulary", MODELS)
@pytest.mark.parametrize("text", [pytest.param(t, id=t["name"]) for t in CORPUS["texts"]])
def test_no_text_is_estimated_at_less_than_its_tokens(text, vocabulary):
    # Long, so that what is added for a message and its members' names does not make up for it.
    measured = measure(said(text["text"] * 20))

    assert measured.tokens(vocabulary_of(MODELS[vocabulary])) >= 0.95 * 20 * text[vocabulary]


@pytest.mark.parametrize("name", CORPUS["captures"])
def test_no_request_of_claude_codes_is_estimated_at_less_than_its_tokens(name):
    requests = json.loads((CAPTURES / name).read_text("utf-8"))
    for request, tokens in zip(requests, CORPUS["captures"][name], strict=True):
        assert estimate(request["body"], vocabulary_of("some-model")) >= tokens


def test_prose_and_code_are_not_estimated_far_too_high():
    usual = {"english", "markdown", "python", "typescript", "rust", "html", "sql", "diff", "yaml"}
    for text in CORPUS["texts"]:
        if text["name"] in usual:
            measured = measure(said(text["text"] * 20))
            assert measured.tokens(vocabulary_of("gpt-5.2")) <= 1.4 * 20 * text["o200k"]


@pytest.mark.parametrize("vocabulary", MODELS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("| a | b | c |\n" * 200, id="table"),
        pytest.param(". # . . # .\n" * 200, id="board"),
        pytest.param("= - = - " * 200, id="marks"),
        pytest.param("a b c d " * 200, id="letters"),
    ],
)
def test_no_text_is_estimated_at_less_than_its_words(text, vocabulary):
    words = len(text.split())

    assert estimate(said(text), vocabulary_of(MODELS[vocabulary])) >= words


@pytest.mark.parametrize("text", [pytest.param(t, id=t["name"]) for t in CORPUS["texts"]])
def test_what_a_request_surely_has_is_never_more_than_any_vocabulary_makes_of_it(text):
    least = min(text[vocabulary] for vocabulary in MODELS)
    blocks = [{"type": "text", "text": text["text"]}]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": blocks}
    for content in (text["text"], blocks, [result]):
        assert at_least(said(content)) <= least


def test_what_a_request_surely_has_is_most_of_what_english_comes_to():
    text = next(t for t in CORPUS["texts"] if t["name"] == "english")

    assert at_least(said(text["text"])) >= 0.8 * text["cl100k"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(said([{"type": "thinking", "thinking": "a b c"}]), id="thinking"),
        pytest.param(said([IMAGE]), id="image"),
        pytest.param(
            {"tools": [{"name": "a", "description": "b c d", "defer_loading": True}]}, id="deferred"
        ),
        pytest.param(
            {"system": "x-anthropic-billing-header: cc_version=2; a=b;"}, id="attribution"
        ),
        pytest.param({"messages": "a b c", "tools": {"a": "b c"}, "system": 7}, id="odd"),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": "a b c d"},
                    {"role": "assistant", "content": [{"type": "compaction", "content": "a b"}]},
                ]
            },
            id="what-was-compacted",
        ),
        pytest.param(
            {
                "messages": [
                    {"role": "system", "content": "a b c d", "clear_at": "next_user_message"},
                ]
            },
            id="a-reminder-that-goes",
        ),
    ],
)
def test_what_not_every_upstream_is_sent_is_not_sure(body):
    assert at_least(body) <= 3


def test_signatures_of_thinking_are_no_tokens():
    thinking = {"type": "thinking", "thinking": "Let me look.", "signature": "Ab3/" * 5_000}
    tool = {"type": "tool_use", "id": "t", "name": "n", "input": {"signature": ["a b c"] * 100}}

    assert estimate(Envelope.of(said([thinking]))) < 100
    assert estimate(Envelope.of(said([tool]))) > 300


@pytest.mark.parametrize(
    ("model", "times", "digit"),
    [
        ("claude-opus-5-5", 1.3, 1.22),
        ("us.anthropic.claude-opus-4-8-v1:0", 1.3, 1.22),
        ("claude-sonnet-9", 1.3, 1.22),
        ("claude-opus-4-6", 1.0, 1.22),
        ("claude-sonnet-4@20250514", 1.0, 1.22),
        ("claude-3-5-haiku-latest", 1.0, 1.22),
        ("gpt-5.6-sol", 1.0, 0.77),
        ("openai/o3-mini", 1.0, 0.77),
        ("gpt-4-turbo", 1.0, 1.22),
        ("gpt-4.1-mini", 1.0, 0.77),
        ("", 1.0, 1.22),
    ],
)
def test_a_models_name_tells_its_vocabulary(model, times, digit):
    vocabulary = vocabulary_of(model)

    assert (times, digit) == (vocabulary.times, vocabulary.digit)


def test_text_written_in_escapes_is_the_same_text():
    body = said(CHINESE)
    escaped = Envelope.parse(json.dumps(body).encode())

    assert estimate(Envelope.of(body)) == estimate(escaped)
