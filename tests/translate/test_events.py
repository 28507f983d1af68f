"""Whatever is written in whatever order, the stream is legal and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chaos.transcript import events_of, problems_of

from llmroute.messages.accumulate import Accumulator
from llmroute.messages.events import Event
from llmroute.translate.events import EventWriter
from llmroute.wire.sse import SSEDecoder


def written(*steps, **options):
    """Write the steps, each a method's name and its arguments; return the stream and the writer."""
    writer = EventWriter("claude-opus-5-5", **{"message_id": "msg_1", **options})
    stream = b"".join(getattr(writer, name)(*arguments) or b"" for name, *arguments in steps)
    return stream, writer


def spelled(stream):
    accumulator = Accumulator()
    for frame in SSEDecoder().feed(stream):
        if (event := Event.of(frame)) is not None:
            accumulator.add(event)
    return accumulator.message


def content(*steps, **options):
    stream, writer = written(*steps, ("finish", "end_turn"), ("close",), **options)
    assert [] == problems_of(stream)
    assert spelled(stream) == writer.message()
    return writer.message()["content"]


def text(said):
    return {"type": "text", "text": said}


def thought(said, signature=""):
    return {"type": "thinking", "thinking": said, "signature": signature}


def call(id_, name, **given_):
    return {"type": "tool_use", "id": id_, "name": name, "input": given_}


A = ("tool", "a", "call_a", "read")
B = ("tool", "b", "call_b", "write")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([("text", "Hel"), ("text", "lo")], [text("Hello")], id="text"),
        pytest.param([("text", ""), ("thinking", "")], [], id="empty-pieces-are-nothing"),
        pytest.param(
            [("thinking", "Hm."), ("text", "Yes"), ("thinking", "Or"), ("text", " no")],
            [thought("Hm."), text("Yes"), thought("Or"), text(" no")],
            id="thinking-before-and-between-text",
        ),
        pytest.param(
            [("thinking", "Hm."), ("signature", "s1"), ("thinking", "So."), ("text", "Yes")],
            [thought("Hm.", "s1"), thought("So."), text("Yes")],
            id="a-signature-ends-its-block",
        ),
        pytest.param(
            [("text", "Yes"), ("signature", "s1"), A, ("tool_input", "a", "{}")],
            [text("Yes"), thought("", "s1"), call("call_a", "read")],
            id="a-signature-alone",
        ),
        pytest.param(
            [("redacted", "abc"), ("text", "x")],
            [{"type": "redacted_thinking", "data": "abc"}, text("x")],
            id="redacted",
        ),
        pytest.param(
            [A, ("tool_input", "a", '{"p":'), ("tool_input", "a", "1}")],
            [call("call_a", "read", p=1)],
            id="one-call",
        ),
        pytest.param(
            [
                A,
                B,
                ("tool_input", "b", '{"p":'),
                ("tool_input", "a", '{"q":'),
                ("tool_input", "b", "1}"),
                ("tool_input", "a", "2}"),
            ],
            [call("call_a", "read", q=2), call("call_b", "write", p=1)],
            id="interleaved-calls",
        ),
        pytest.param([A, B], [call("call_a", "read"), call("call_b", "write")], id="no-input"),
        pytest.param(
            [A, ("tool_input", "a", "null")], [call("call_a", "read")], id="null-is-no-input"
        ),
        pytest.param(
            [A, ("tool_input", "a", '{"p":'), ("text", "On it"), ("tool_input", "a", "1}")],
            [call("call_a", "read", p=1), text("On it")],
            id="text-inside-a-call-follows-it",
        ),
        pytest.param(
            [("tool_input", 0, "{}"), ("tool", 0, "call_0", "read")],
            [call("call_0", "read")],
            id="name-after-input",
        ),
        pytest.param(
            [("tool", 0, "", "read"), ("text", "x"), ("tool", 1, "", "read")],
            [call("toolu_1_0", "read"), text("x"), call("toolu_1_2", "read")],
            id="missing-ids",
        ),
        pytest.param([("tool", 0, "c", "")], [call("c", "unknown")], id="no-name-ever"),
        pytest.param(
            [("tool", 0, "c", "read"), ("tool", 0, "d", "read"), ("tool_input", 0, '{"p":1}')],
            [call("c", "read"), call("d", "read", p=1)],
            id="an-index-used-again",
        ),
        pytest.param(
            [("tool", 0, "c", "read"), ("tool", 0, "c", "read"), ("tool", 0, "d", "")],
            [call("c", "read")],
            id="repeated-id-and-name",
        ),
        pytest.param(
            [("tool", 0, "c", "read"), ("tool", 1, "c", "read")],
            [call("c", "read"), call("c_2", "read")],
            id="ids-are-unique",
        ),
        pytest.param(
            [("tool", 0, "functions.read:0", "read")],
            [call("toolu_b64_ZnVuY3Rpb25zLnJlYWQ6MA", "read")],
            id="ids-of-legal-characters",
        ),
        pytest.param(
            [("tool", 0, "c", "read"), ("tool_input", 0, '{"p":')],
            [{**call("c", "read"), "input": '{"p":'}],
            id="broken-input-is-kept",
        ),
        pytest.param(
            [
                ("block", {"type": "server_tool_use", "id": "s", "name": "w", "input": {"q": "x"}}),
                ("block", {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
            ],
            [
                {"type": "server_tool_use", "id": "s", "name": "w", "input": {"q": "x"}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            ],
            id="whole-blocks",
        ),
    ],
)
def test_pieces_become_blocks(steps, expected):
    assert expected == content(*steps)


def test_thinking_without_a_signature_of_its_own_gets_the_default_one():
    steps = [("thinking", "Hm."), ("text", "x"), ("thinking", "So."), ("signature", "own")]

    assert [thought("Hm.", "s"), text("x"), thought("So.", "own")] == content(*steps, signature="s")
    assert [thought("Hm.", "s")] == content(("thinking", "Hm."), signature="s")


def test_an_open_block_is_written_as_it_comes():
    writer = EventWriter("m")

    assert b'"text_delta","text":"Hel"' in writer.text("Hel")
    assert b'"text_delta","text":"lo"' in writer.text("lo")
    assert b'"name":"read"' in writer.tool("a", "call_a", "read")
    assert b'"partial_json":"{"' in writer.tool_input("a", "{")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param([("tool_input", "a", "{}")], id="its-input-is-whole"),
        pytest.param([("tool_end", "a")], id="it-is-said"),
    ],
)
def test_a_call_waits_until_the_one_before_is_over(end):
    writer = EventWriter("m")
    writer.tool("a", "call_a", "read")

    assert b"" == writer.tool("b", "call_b", "write") + writer.tool_input("b", '{"p"')
    assert b'"name":"write"' in b"".join(getattr(writer, name)(*rest) for name, *rest in end)
    assert b'"partial_json":":1}"' in writer.tool_input("b", ":1}")


def test_what_follows_whole_input_is_left_out():
    steps = [A, ("tool_input", "a", "{}"), ("text", "x"), ("tool_input", "a", "{}")]

    assert [call("call_a", "read"), text("x")] == content(*steps)


@pytest.mark.parametrize(
    ("steps", "reason", "expected"),
    [
        pytest.param([A], "end_turn", "tool_use", id="a-call"),
        pytest.param([("text", "x")], "tool_use", "end_turn", id="no-call"),
        pytest.param([A], "max_tokens", "max_tokens", id="cut-off"),
        pytest.param([], "refusal", "refusal", id="refusal"),
    ],
)
def test_the_stop_reason_agrees_with_the_calls(steps, reason, expected):
    stream, writer = written(*steps, ("finish", reason), ("finish", "other"), ("close",))

    assert expected == spelled(stream)["stop_reason"] == writer.message()["stop_reason"]


def test_the_end_says_what_stopped_it():
    writer = EventWriter("m")
    details = {"type": "refusal", "category": None, "explanation": "No."}
    writer.finish("refusal", {}, stop_sequence="X", stop_details=details)
    message = spelled(writer.close())

    assert ("X", details) == (message["stop_sequence"], message["stop_details"])


USAGE = {
    "input_tokens": 9,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 5,
}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(None, {**USAGE, "output_tokens": 2}, id="never"),
        pytest.param({"output_tokens": 5}, USAGE, id="output-only"),
        pytest.param({**USAGE, "input_tokens": 7}, {**USAGE, "input_tokens": 7}, id="truth"),
        pytest.param(
            {**USAGE, "input_tokens": 0, "cache_read_input_tokens": 20},
            {**USAGE, "input_tokens": 1, "cache_read_input_tokens": 19},
            id="all-of-it-cached",
        ),
    ],
)
def test_usage_at_the_end_takes_the_place_of_the_estimate(usage, expected):
    stream, writer = written(("text", "12345678"), ("finish", "end_turn", usage), ("close",))
    assert 0 == spelled(stream)["usage"]["input_tokens"] or usage

    stream, writer = written(
        ("text", "12345678"), ("finish", "end_turn", usage), ("close",), input_tokens=9
    )

    assert expected == spelled(stream)["usage"] == writer.message()["usage"]


def test_usage_may_come_after_the_finish():
    stream, _ = written(("text", "x"), ("finish", "end_turn"), ("usage", USAGE), ("close",))

    assert USAGE == spelled(stream)["usage"]


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        pytest.param([("close",)], ["error"], id="empty"),
        pytest.param(
            [("text", "x"), ("close",), ("close",), ("text", "y")],
            ["message_start", "content_block_start", "content_block_delta", "error"],
            id="broken-off",
        ),
        pytest.param([("error", "overloaded_error", "Busy"), ("start",)], ["error"], id="at-once"),
        pytest.param(
            [("ping",), ("start",), ("ping",), ("start",), ("error", "api_error", "x"), ("ping",)],
            ["message_start", "ping", "error"],
            id="started",
        ),
        pytest.param(
            [("finish", "end_turn"), ("close",), ("error", "api_error", "x")],
            ["message_start", "message_delta", "message_stop"],
            id="nothing-said",
        ),
    ],
)
def test_a_stream_has_one_end(steps, kinds):
    stream, _ = written(*steps)

    assert [] == problems_of(stream)
    assert kinds == [event.kind for event in events_of(stream)]


def test_the_start_is_the_apis_own():
    stream, _ = written(("start",), input_tokens=25)

    assert {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 25,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    } == events_of(stream)[0].data["message"]


def test_a_block_that_has_a_method_of_its_own_is_refused():
    with pytest.raises(ValueError, match="'text'"):
        EventWriter("m").block({"type": "text", "text": "x"})


pieces = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
keys = st.integers(0, 3)
steps_of_any_kind = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["text", "thinking", "signature", "redacted"]), pieces),
        st.tuples(
            st.just("tool"), keys, st.sampled_from(["", "a", "b:1"]), st.sampled_from(["", "f"])
        ),
        st.tuples(st.just("tool_input"), keys, st.sampled_from(["{", '{"a":1', "}", '"', "{}"])),
        st.tuples(st.sampled_from(["start", "ping"])),
        st.tuples(st.just("tool_end"), keys),
    ),
    max_size=25,
)


@given(steps_of_any_kind, st.sampled_from(["finish", "cut", "error"]))
def test_any_steps_give_a_legal_stream(steps, ending):
    ends = {
        "finish": [("finish", "end_turn"), ("close",)],
        "cut": [("close",)],
        "error": [("error", "api_error", "x"), ("close",)],
    }
    stream, writer = written(*steps, *ends[ending], *steps)

    assert [] == problems_of(stream)
    if ending == "finish":
        assert spelled(stream) == writer.message()


@given(steps_of_any_kind)
def test_nothing_that_was_said_is_lost(steps):
    # Calls that are over take no more input; here none is said to be, nor looks like it.
    steps = [s for s in steps if s[0] != "tool_end" and s[-1] not in ("}", "{}")]
    steps = [(*s[:2], f"id{s[1]}", "f") if s[0] == "tool" else s for s in steps]
    stream, _ = written(*steps, ("finish", "end_turn"), ("close",))
    events = [event.data for event in events_of(stream)]

    for kind, step in (("text", "text"), ("thinking", "thinking"), ("signature", "signature")):
        expected = "".join(s[1] for s in steps if s[0] == step)
        assert expected == "".join(
            e["delta"][kind] for e in events if e.get("delta", {}).get("type") == f"{kind}_delta"
        )
    indices = list(dict.fromkeys(s[1] for s in steps if s[0].startswith("tool")))
    shown = [e["index"] for e in events if e.get("content_block", {}).get("type") == "tool_use"]
    assert ["".join(s[2] for s in steps if s[:2] == ("tool_input", key)) for key in indices] == [
        "".join(
            e["delta"]["partial_json"]
            for e in events
            if e["type"] == "content_block_delta" and e["index"] == at
        )
        for at in shown
    ]
