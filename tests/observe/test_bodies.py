"""Requests and answers in a file: whole ones and cut ones, of every format, and no secret in it."""

import json
import logging

import pytest

from llmroute.config.telemetry import BodySettings
from llmroute.messages.call import Call, Sender, Spoken
from llmroute.observe import Record
from llmroute.observe.assembly import assembled
from llmroute.observe.bodies import Bodies
from llmroute.wire.envelope import Envelope

KEY = "sk-ant-canary-0123456789"
ANSWER = {"type": "message", "content": [{"type": "text", "text": "Hi"}]}


def sse(*events):
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


MESSAGE = (
    {"type": "message_start", "message": {"id": "msg_1", "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    *(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
        for part in ("use sk-a", "nt-canary", "-0123456789 now")
    ),
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    {"type": "message_stop"},
)


def call(content="Hello", alias="sonnet", key="alice", **rest):
    body = Envelope.of({"model": alias, "messages": [{"role": "user", "content": content}]})
    return Call(body, alias, sender=Sender(key=key), **rest)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bodies.jsonl"


def written(path, *, of=None, answer=b"", form="messages", feed=(), record=None, **settings):
    """Write one call, and return the lines of the file."""
    bodies = Bodies(BodySettings(path=str(path), **settings))
    of = of or call()
    taken = bodies.begin(of, of.model)
    if taken is not None:
        if answer or feed:
            taken.answered(answer, form)
        for events in feed:
            taken.feed(events)
        given = {"at": 0.0, "id": "call_1", "key": of.sender.key, "alias": of.model}
        taken.over(record or Record(**given))
        bodies.work()
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_call_is_a_line(path):
    (line,) = written(path, answer=json.dumps(ANSWER).encode())

    assert {
        "time": "1970-01-01T00:00:00.000Z",
        "id": "call_1",
        "endpoint": "messages",
        "key": "alice",
        "owner": "",
        "team": "",
        "session": "",
        "agent": "",
        "asked": "",
        "alias": "sonnet",
        "deployment": "",
        "model": "",
        "status": 200,
        "outcome": "answered",
        "duration": 0.0,
        "losses": [],
        "error": "",
        "request": {"model": "sonnet", "messages": [{"role": "user", "content": "Hello"}]},
        "answer": ANSWER,
    } == line


def test_a_stream_is_written_as_what_it_says_and_hides_no_secret_in_its_cuts(path):
    events = sse(*MESSAGE)
    (line,) = written(path, feed=[events[at : at + 7] for at in range(0, len(events), 7)])

    assert {
        "id": "msg_1",
        "content": [{"type": "text", "text": "use [redacted] now"}],
        "stop_reason": "end_turn",
    } == line["answer"]


def test_of_a_stream_that_was_cut_there_is_what_came(path):
    (line,) = written(path, feed=[sse(*MESSAGE[:3]), b'data: {"type": "content_blo'])

    assert [{"type": "text", "text": "use sk-a"}] == line["answer"]["content"]


def test_a_call_that_was_not_answered_has_no_answer(path):
    failed = Record(at=0.0, status=529, outcome="failed", error=f"no, {KEY}")
    (line,) = written(path, record=failed)

    assert (None, "failed", "no, [redacted]") == (line["answer"], line["outcome"], line["error"])


def test_a_client_of_another_format_is_written_in_its_own_words(path):
    spoken = Spoken("chat", Envelope.of({"model": "m", "messages": [], "n": 1}))
    (line,) = written(path, of=call(spoken=spoken))

    assert {"model": "m", "messages": [], "n": 1} == line["request"]


@pytest.mark.parametrize("size", [10, 100, 1000, 10_000])
def test_what_is_too_long_is_cut_off_and_no_key_with_it(path, size):
    content = " ".join([KEY, 'a "quoted" word'] * 200)
    (line,) = written(
        path,
        of=call(content),
        answer=json.dumps({"text": content}).encode(),
        max_body_bytes=size,
    )

    assert "canary" not in path.read_text()
    whole = size == 10_000
    assert whole == isinstance(line["request"], dict) == isinstance(line["answer"], dict)
    if not whole:
        assert len(line["request"]) <= size
        assert len(line["answer"]) <= size
        assert line["request_bytes"] > 3000
        assert line["answer_is_cut"] is True


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="nested-too-deeply"),
        pytest.param(b"\xff\xfe not text", id="no-utf-8"),
        pytest.param(b'{"a": "\\ud800"}', id="half-a-letter"),
        pytest.param(b"<html>", id="no-json"),
        pytest.param(b"0" * 5000, id="no-number"),
    ],
)
def test_whatever_an_upstream_answers_it_is_a_line(path, body):
    (line,) = written(path, answer=body)

    assert "answer" in line


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        pytest.param({}, 1, id="all"),
        pytest.param({"aliases": ["sonnet"]}, 1, id="its-alias"),
        pytest.param({"aliases": ["son*"]}, 1, id="a-pattern-for-it"),
        pytest.param({"aliases": ["opus"]}, 0, id="another-alias"),
        pytest.param({"keys": ["alice", "bob"]}, 1, id="its-key"),
        pytest.param({"keys": ["bob"]}, 0, id="another-key"),
        pytest.param({"keys": ["alice"], "aliases": ["opus"]}, 0, id="both-must-hold"),
    ],
)
def test_whose_calls_are_written(path, settings, count):
    assert count == len(written(path, **settings))


def test_nothing_is_kept_where_nobody_asks_for_it(path):
    assert Bodies().begin(call(), "sonnet") is None


def test_other_settings_hold_from_the_next_call_on(tmp_path):
    bodies = Bodies()
    bodies.start()
    for name in ("one", "two"):
        bodies.configure(BodySettings(path=str(tmp_path / name)))
        bodies.begin(call(name), "sonnet").over(Record(at=0.0))
        while bodies._done < bodies._put:
            pass
    bodies.configure(None)
    off = bodies.begin(call(), "sonnet")
    bodies.close()

    assert off is None
    for name in ("one", "two"):
        (line,) = (tmp_path / name).read_text().splitlines()
        assert f'"content":"{name}"' in line


def test_what_waits_is_bounded_and_what_is_left_out_is_counted(path, caplog):
    bodies = Bodies(BodySettings(path=str(path)))
    with caplog.at_level(logging.WARNING, "llmroute"):
        for _ in range(1005):
            bodies.begin(call(), "sonnet").over(Record(at=0.0))

    assert [("llmroute_bodies_dropped", 5, ())] == list(bodies.readings())
    assert 1 == len(caplog.records)


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(path, caplog):
    path.mkdir()
    bodies = Bodies(BodySettings(path=str(path)))
    with caplog.at_level(logging.WARNING, "llmroute"):
        for _ in range(3):
            bodies.begin(call(), "sonnet").over(Record(at=0.0))
            assert bodies.work()
        path.rmdir()
        bodies.begin(call(), "sonnet").over(Record(at=0.0))
        bodies.work()

    assert [
        "bodies cannot be written: Is a directory",
        "bodies are written again",
    ] == [each.getMessage() for each in caplog.records]
    assert 3 == bodies.dropped
    assert 1 == len(path.read_text().splitlines())


def test_a_program_learns_at_once_that_the_file_cannot_be_written(tmp_path):
    bodies = Bodies(BodySettings(path=str(tmp_path / "no" / "such" / "folder")))

    with pytest.raises(FileNotFoundError):
        bodies.start()


CHUNKS = (
    {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "sk-ant-"}}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"content": "canary"}}]},
    {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "tool_calls": [
                        {"index": 0, "id": "t", "function": {"name": "f", "arguments": '{"a'}}
                    ]
                },
            }
        ]
    },
    {
        "choices": [
            {
                "index": 0,
                "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '": 1}'}}]},
                "finish_reason": "tool_calls",
            }
        ]
    },
    {"choices": [], "usage": {"prompt_tokens": 1}},
)


def test_chunks_of_a_chat_completion_are_put_together():
    assert {
        "id": "c",
        "usage": {"prompt_tokens": 1},
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "sk-ant-canary",
                    "tool_calls": [
                        {"index": 0, "id": "t", "function": {"name": "f", "arguments": '{"a": 1}'}}
                    ],
                },
            }
        ],
    } == assembled(sse(*CHUNKS) + b"data: [DONE]\n\n", "chat")


RESPONSE = (
    {"type": "response.created", "response": {"id": "r", "output": []}},
    {"type": "response.output_text.delta", "item_id": "i", "delta": "sk-ant-"},
    {"type": "response.output_text.delta", "item_id": "i", "delta": "canary"},
    {"type": "response.completed", "response": {"id": "r", "output": ["all of it"]}},
)


def test_of_a_response_the_last_event_has_all():
    assert {"id": "r", "output": ["all of it"]} == assembled(sse(*RESPONSE), "responses")


def test_of_a_response_that_was_cut_there_is_what_came():
    assert {
        "id": "r",
        "output": [],
        "so_far": {"response.output_text.delta i": "sk-ant-canary"},
    } == assembled(sse(*RESPONSE[:3]), "responses")


@pytest.mark.parametrize("form", ["messages", "chat", "responses"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"data: [DONE]\n\n: comment\n\ndata: 1\n\ndata: []\n\n", id="no-objects"),
        pytest.param(sse({"choices": 1, "delta": 2, "response": 3, "type": 4}), id="odd-members"),
        pytest.param(
            sse({"choices": [1, {"delta": {"tool_calls": [2, {"function": 3}]}}]}), id="odd-choices"
        ),
    ],
)
def test_no_stream_is_too_odd(form, data):
    assert isinstance(assembled(data, form), dict)
