"""The messages of a Chat Completions request as those of Messages."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.translate.chat_words import HI, MARK, asked, assistant, call, text, use, user

PNG = base64.b64encode(b"\x89PNG").decode()
PDF = base64.b64encode(b"%PDF").decode()


def result(call_id, content=None, **more):
    block = {"type": "tool_result", "tool_use_id": call_id}
    return block | ({} if content is None else {"content": content}) | more


@pytest.mark.parametrize(
    ("given", "system", "messages"),
    [
        pytest.param(
            [
                {"role": "system", "content": "One."},
                {"role": "developer", "content": [text("Two."), text("Three.")]},
                *HI,
            ],
            [text("One."), text("Two."), text("Three.")],
            [user(text("Hi"))],
            id="leading-system-messages",
        ),
        pytest.param(
            [
                *HI,
                {"role": "developer", "content": "Now in French."},
                {"role": "assistant", "content": "Salut"},
                {"role": "system", "content": "Be brief."},
                *HI,
            ],
            None,
            [
                user(text("Hi"), text("<system-reminder>\nNow in French.\n</system-reminder>")),
                assistant(text("Salut")),
                user(text("<system-reminder>\nBe brief.\n</system-reminder>"), text("Hi")),
            ],
            id="later-ones-are-reminders",
        ),
        pytest.param(
            [{"role": "system", "content": "Say hi."}],
            None,
            [user(text("Say hi."))],
            id="nobody-but-the-system",
        ),
        pytest.param(
            [
                *HI,
                {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]},
                {"role": "system", "content": "Hurry."},
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": "2"},
                {"role": "user", "content": "And?"},
            ],
            None,
            [
                user(text("Hi")),
                assistant(use("a"), use("b")),
                user(
                    result("a", "1"),
                    result("b", "2"),
                    text("<system-reminder>\nHurry.\n</system-reminder>"),
                    text("And?"),
                ),
            ],
            id="results-come-first",
        ),
        pytest.param(
            [{"role": "assistant", "content": "Hello."}, *HI],
            None,
            [user(text("…")), assistant(text("Hello.")), user(text("Hi"))],
            id="an-assistant-that-begins",
        ),
        pytest.param(
            [
                *HI,
                {"role": "assistant", "content": ""},
                user(text(" ")),
                {"role": "user", "content": "So?"},
            ],
            None,
            [user(text("Hi"), text("So?"))],
            id="what-says-nothing-is-no-turn",
        ),
        pytest.param(
            [{"role": "user", "content": ""}],
            None,
            [user(text("…"))],
            id="one-who-says-nothing",
        ),
        pytest.param(
            [*HI, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": []}],
            None,
            [user(text("Hi")), assistant(text("Hello.")), user(text("…"))],
            id="one-who-says-nothing-more",
        ),
        pytest.param(
            [*HI, {"role": "assistant", "content": "The \n"}],
            None,
            [user(text("Hi")), assistant(text("The"))],
            id="an-answer-that-is-begun",
        ),
        pytest.param(
            [*HI, {"role": "assistant", "content": "No: ", "refusal": "I will not."}, *HI],
            None,
            [user(text("Hi")), assistant(text("No: "), text("I will not.")), user(text("Hi"))],
            id="a-refusal",
        ),
        pytest.param(
            [
                *HI,
                {"role": "assistant", "tool_calls": [call("functions.read:0", arguments="")]},
                {"role": "tool", "tool_call_id": "functions.read:0", "content": ""},
            ],
            None,
            [
                user(text("Hi")),
                assistant(use("toolu_b64_ZnVuY3Rpb25zLnJlYWQ6MA")),
                user(result("toolu_b64_ZnVuY3Rpb25zLnJlYWQ6MA")),
            ],
            id="ids-that-messages-does-not-take",
        ),
        pytest.param(
            [
                *HI,
                {"role": "assistant", "tool_calls": [call("0"), call("1")]},
                {"role": "tool", "tool_call_id": "0", "content": "a"},
                {"role": "tool", "tool_call_id": "1", "content": "b"},
                {"role": "assistant", "tool_calls": [call("0")]},
                {"role": "tool", "tool_call_id": "0", "content": "c"},
                {"role": "assistant", "tool_calls": [call("0"), call("0")]},
                {"role": "tool", "tool_call_id": "0", "content": "d"},
                {"role": "tool", "tool_call_id": "0", "content": "e"},
            ],
            None,
            [
                user(text("Hi")),
                assistant(use("0"), use("1")),
                user(result("0", "a"), result("1", "b")),
                assistant(use("0_2")),
                user(result("0_2", "c")),
                assistant(use("0_3"), use("0_4")),
                user(result("0_3", "d"), result("0_4", "e")),
            ],
            id="ids-that-are-counted-anew-in-every-turn",
        ),
        pytest.param(
            [
                *HI,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "a", "content": [text("1"), text("2")]},
            ],
            None,
            [
                user(text("Hi")),
                assistant(use("a", "sql", input="SELECT")),
                user(result("a", [text("1"), text("2")])),
            ],
            id="a-call-of-a-custom-tool",
        ),
    ],
)
def test_messages(given, system, messages):
    body, _, obstacle = asked(given)

    assert messages == body["messages"]
    assert system == body.get("system")
    assert "" == obstacle


@pytest.mark.parametrize(
    ("part", "block"),
    [
        pytest.param(
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
            id="an-image",
        ),
        pytest.param(
            {"type": "image_url", "image_url": f"data:image/JPG;charset=x;base64,{PNG}"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG},
            },
            id="another-spelling-of-one",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            id="an-image-at-an-address",
        ),
        pytest.param(
            {
                "type": "file",
                "file": {
                    "file_data": f"data:application/pdf;base64,{PDF}",
                    "filename": "a.pdf",
                },
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
            id="a-pdf",
        ),
        pytest.param(
            {"type": "file", "file": {"file_data": PDF}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            },
            id="bare-data-is-a-pdf",
        ),
        pytest.param(
            {"type": "file", "file": {"file_data": "data:text/csv;base64,w6k="}},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "é"},
            },
            id="a-text",
        ),
        pytest.param(
            {"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
            id="a-file-that-is-an-image",
        ),
        pytest.param(
            {"type": "text", "text": "Long.", "cache_control": MARK},
            text("Long.", cache_control=MARK),
            id="a-cache-mark",
        ),
    ],
)
def test_parts(part, block):
    body, losses, obstacle = asked([{"role": "user", "content": [part]}])

    assert [block] == body["messages"][0]["content"]
    assert ((), "") == (losses, obstacle)


def test_images_stand_in_a_tools_result():
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    body, _, _ = asked(
        [
            *HI,
            {"role": "assistant", "tool_calls": [call("a")]},
            {
                "role": "tool",
                "tool_call_id": "a",
                "content": [text("See:"), part],
                "cache_control": MARK,
            },
        ]
    )

    shown = body["messages"][2]["content"][0]
    assert ["text", "image"] == [block["type"] for block in shown["content"]]
    assert MARK == shown["cache_control"]


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "EqMB"}
HIDDEN = {"type": "redacted_thinking", "data": "abc"}


@pytest.mark.parametrize(
    ("members", "blocks", "lost"),
    [
        pytest.param(
            {"thinking_blocks": [{**SIGNED, "index": 0}, HIDDEN], "reasoning_content": "Hm."},
            [SIGNED, HIDDEN],
            False,
            id="blocks",
        ),
        pytest.param(
            {
                "reasoning": "Hm.",
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "text": "Hm.",
                        "signature": "EqMB",
                        "format": "anthropic-claude-v1",
                        "index": 0,
                    },
                    {"type": "reasoning.encrypted", "data": "abc", "format": "anthropic-claude-v1"},
                ],
            },
            [SIGNED, HIDDEN],
            False,
            id="openrouters-details",
        ),
        pytest.param(
            {
                "reasoning_details": [
                    {
                        "type": "reasoning.encrypted",
                        "data": "abc",
                        "format": "openai-responses-v1",
                    }
                ]
            },
            [],
            True,
            id="another-makers-details",
        ),
        pytest.param({"reasoning_content": "Hm."}, [], True, id="text-alone"),
        pytest.param(
            {"thinking_blocks": [{"type": "thinking", "thinking": "Hm."}], "reasoning": "Hm."},
            [],
            True,
            id="a-block-without-a-signature",
        ),
        pytest.param({"reasoning_content": None, "thinking_blocks": None}, [], False, id="nothing"),
    ],
)
def test_thinking_goes_back_where_it_is_signed(members, blocks, lost):
    body, losses, _ = asked(
        [
            *HI,
            {"role": "assistant", "content": None, "tool_calls": [call("a")], **members},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ]
    )

    assert [*blocks, use("a")] == body["messages"][1]["content"]
    told = ("messages[1]: reasoning left out: it has no signature",) if lost else ()
    assert told == losses


TEXTS = st.text(max_size=5)
TURNS = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "developer"])}).flatmap(
        lambda m: st.builds(lambda t: {**m, "content": t}, TEXTS)
    ),
    st.builds(
        lambda said, n, thought: {
            "role": "assistant",
            "content": said,
            "tool_calls": [call(f"c{i}") for i in range(n)],
            **({"thinking_blocks": [SIGNED]} if thought else {}),
        },
        st.none() | TEXTS,
        st.integers(0, 3),
        st.booleans(),
    ),
    st.builds(
        lambda i, said: {"role": "tool", "tool_call_id": f"c{i}", "content": said},
        st.integers(0, 3),
        TEXTS,
    ),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TURNS, min_size=1, max_size=8), st.integers(1, 8))
def test_a_turn_begins_as_the_turn_before_it_did(turns, cut):
    """Caches and signatures of thinking hold as long as it does."""
    before, whole = asked(turns[:cut]).body, asked(turns).body
    if any(turn["role"] in ("user", "assistant", "tool") for turn in turns[:cut]) and before.get(
        "system"
    ):
        assert before["system"] == whole["system"]
    earlier = before["messages"][:-1]
    if before["messages"] and whole["messages"][: len(earlier)] != earlier:
        # Only where nobody had spoken but the system.
        assert 1 >= len(before["messages"])
    roles = [message["role"] for message in whole["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2)
    for message in whole["messages"]:
        assert message["content"]
        kinds = [block["type"] == "tool_result" for block in message["content"]]
        assert sorted(kinds, reverse=True) == kinds
