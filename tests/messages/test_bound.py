"""What binds a call to where it was before is seen, and nothing else is taken for it."""

import json

import pytest

from llmroute.messages.bound import Bound, bound, container_id, thread_unsupported
from llmroute.wire.envelope import Envelope

FILE = {"type": "image", "source": {"type": "file", "file_id": "file_01"}}


def said(*blocks, role="user"):
    return {"messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({}, Bound(), id="nothing"),
        pytest.param(
            {"thread": {"type": "continue", "previous_message_id": "msg_01"}},
            Bound(thread="msg_01"),
            id="a-thread-goes-on",
        ),
        pytest.param({"thread": {"type": "create"}}, Bound(opens_thread=True), id="one-begins"),
        pytest.param(
            {"thread": {"type": "create", "previous_message_id": "msg_01"}},
            Bound(opens_thread=True),
            id="one-begins-after-a-message",
        ),
        pytest.param({"thread": {"type": "continue"}}, Bound(), id="goes-on-from-nowhere"),
        pytest.param(
            {"thread": {"type": "continue", "previous_message_id": 7}}, Bound(), id="from-a-number"
        ),
        pytest.param({"thread": {"type": ["create"]}}, Bound(), id="of-no-type"),
        pytest.param({"thread": "create"}, Bound(), id="no-thread"),
        pytest.param({"thread": None}, Bound(), id="null-thread"),
        pytest.param(
            {"diagnostics": {"previous_message_id": "msg_01"}}, Bound(), id="a-diagnosis-asked-for"
        ),
        pytest.param({"container": "c_01"}, Bound(container="c_01"), id="container"),
        pytest.param(
            {"container": {"id": "c_01", "skills": []}}, Bound(container="c_01"), id="with-skills"
        ),
        pytest.param({"container": {"skills": []}}, Bound(), id="a-new-container"),
        pytest.param({"container": {"id": 7}}, Bound(), id="no-id"),
        pytest.param({"container": None}, Bound(), id="null-container"),
        pytest.param({"container": ["c_01"]}, Bound(), id="containers"),
        pytest.param(said(FILE), Bound(files=("file_01",)), id="image"),
        pytest.param(
            said({"type": "container_upload", "file_id": "file_02"}, FILE, FILE),
            Bound(files=("file_02", "file_01")),
            id="each-once-and-in-order",
        ),
        pytest.param(
            said({"type": "tool_result", "tool_use_id": "t", "content": [FILE]}),
            Bound(files=("file_01",)),
            id="in-a-tools-result",
        ),
        pytest.param(
            said(
                {
                    "type": "code_execution_tool_result",
                    "tool_use_id": "t",
                    "content": {
                        "type": "code_execution_result",
                        "content": [{"type": "code_execution_output", "file_id": "file_03"}],
                    },
                },
                role="assistant",
            ),
            Bound(files=("file_03",)),
            id="made-by-code",
        ),
        pytest.param({"system": [FILE]}, Bound(files=("file_01",)), id="system"),
        pytest.param(
            {"system": [FILE], **said({"type": "container_upload", "file_id": "file_02"})},
            Bound(files=("file_01", "file_02")),
            id="system-and-messages",
        ),
        pytest.param(said({"file_id": 7}, {"file_id": None}, {"file_id": ""}), Bound(), id="no-id"),
        pytest.param(said({"type": "text", "text": '{"file_id": "file_01"}'}), Bound(), id="text"),
        pytest.param({"messages": '"file_id"'}, Bound(), id="messages-that-are-none"),
        pytest.param(
            said(
                {"type": "tool_use", "id": "t", "name": "f", "input": {"file_id": "F1"}},
                role="assistant",
            ),
            Bound(),
            id="an-argument-of-a-tool",
        ),
        pytest.param(
            {"tools": [{"name": "f", "input_examples": [{"file_id": "F1"}]}]},
            Bound(),
            id="an-example-for-a-tool",
        ),
        pytest.param({"metadata": {"file_id": "F1"}}, Bound(), id="metadata"),
        pytest.param(
            {
                "thread": {"type": "continue", "previous_message_id": "msg_01"},
                "container": "c_01",
                **said(FILE),
            },
            Bound(thread="msg_01", container="c_01", files=("file_01",)),
            id="everything",
        ),
    ],
)
def test_what_binds_a_call_is_seen(members, expected):
    assert expected == bound(Envelope.of(members))
    assert expected == bound(Envelope.parse(json.dumps(members, indent=2).encode()))
    assert expected == bound(Envelope.parse(b"{}").replace(**members))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"thread":{"type":"continue","a":"\xff"}}', id="a-thread"),
        pytest.param(b'{"container":{"id":"\xff"}}', id="a-container"),
        pytest.param(b'{"messages":[{"file_id":"\xff"}]}', id="a-file"),
    ],
)
def test_what_cannot_be_read_binds_to_nothing(body):
    assert Bound() == bound(Envelope.parse(body))


def test_one_member_that_cannot_be_read_hides_no_other():
    body = b'{"thread":"\xff","container":"c_01","system":["\xff"],"messages":[{"file_id":"f"}]}'

    assert Bound(container="c_01", files=("f",)) == bound(Envelope.parse(body))


def test_files_are_found_as_deep_as_json_goes():
    depth = 400
    body = b'{"messages":%s{"file_id":"f"}%s}' % (b"[" * depth, b"]" * depth)

    assert ("f",) == bound(Envelope.parse(body)).files


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("c_01", "c_01", id="id"),
        pytest.param({"id": "c_01", "expires_at": "2026-12-01T00:00:00Z"}, "c_01", id="object"),
        pytest.param({}, "", id="empty"),
        pytest.param(None, "", id="null"),
        pytest.param(7, "", id="number"),
    ],
)
def test_a_container_is_an_id_or_has_one(value, expected):
    assert expected == container_id(value)


def test_a_thread_that_is_not_known_is_told_in_the_apis_words():
    said = json.loads(thread_unsupported())

    assert "error" == said["type"]
    assert "invalid_request_error" == said["error"]["type"]
    assert {"error_code": "thread_unsupported_request"} == said["error"]["details"]
    assert isinstance(said["error"]["message"], str)
