"""A call leaves one line, whatever a client puts into it."""

import json

import pytest

from llmroute.messages.usage import Usage
from llmroute.observe import Attempt, LineLog, Record

USAGE = Usage(input_tokens=12, output_tokens=34, cache_read_input_tokens=56)
HOSTILE = 'x\n2026-01-01 status=200 key="admin"\r\x00\x1b[31m\u2028\x85'


def record(**fields):
    given = {
        "at": 1_795_000_000.1234,
        "key": "master",
        "session": "s-1",
        "asked": "sonnet",
        "alias": "sonnet",
        "deployment": "anthropic-1",
        "first_byte": 0.123456,
        "duration": 1.5,
        "usage": USAGE,
        "attempts": [Attempt("a", "529 overloaded_error"), Attempt("anthropic-1")],
    }
    return Record(**(given | fields))


def lines(*records, as_json=False):
    written = []
    log = LineLog(written.append, as_json=as_json)
    for each in records:
        log.record(each)
    return written


def test_a_line_for_people():
    assert [
        "time=2026-11-18T11:06:40.123Z status=200 endpoint=messages key=master session=s-1 "
        "alias=sonnet deployment=anthropic-1 ttfb=0.1235 duration=1.5 in=12 out=34 cache_read=56 "
        'cache_write=0 attempts=2 failed="a: 529 overloaded_error" outcome=answered\n'
    ] == lines(record())


def test_a_cache_that_somebody_broke_is_named_with_what_was_lost():
    found = {"change": "tools", "break": True, "by": "client", "at": 'tools[1] "Bash"'}
    (line,) = lines(record(prefix={**found, "lost_tokens": 41_000}))

    assert ' cache_break="tools by client: tools[1] \\"Bash\\" (41000 tokens)"\n' in line


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"change": "grew"}, id="grew"),
        pytest.param({"change": "expired", "by": "time", "lost_tokens": 41_000}, id="expired"),
    ],
)
def test_a_cache_that_nobody_broke_is_not_worth_a_word(found):
    assert "cache_break" not in lines(record(prefix=found))[0]


def test_a_line_for_machines_has_every_field():
    losses = ("tools: left out", "thinking: left out")
    (line,) = lines(record(agent="a-1", outcome="broken", losses=losses, error="cut"), as_json=True)

    assert {
        "time": "2026-11-18T11:06:40.123Z",
        "call": "",
        "status": 200,
        "endpoint": "messages",
        "key": "master",
        "session": "s-1",
        "agent": "a-1",
        "asked": "sonnet",
        "alias": "sonnet",
        "deployment": "anthropic-1",
        "ttfb": 0.1235,
        "duration": 1.5,
        "in": 12,
        "out": 34,
        "cache_read": 56,
        "cache_write": 0,
        "attempts": 2,
        "failed": "a: 529 overloaded_error",
        "outcome": "broken",
        "losses": "tools: left out; thinking: left out",
        "why": "",
        "cache_break": "",
        "error": "cut",
    } == json.loads(line)


def test_a_field_without_a_value_is_null_and_not_missing():
    full, bare = lines(record(), Record(at=0.0), as_json=True)

    assert list(json.loads(full)) == list(json.loads(bare))
    assert json.loads(bare)["ttfb"] is None
    assert "" == json.loads(bare)["alias"]


@pytest.mark.parametrize("field", ["asked", "alias", "session", "agent", "error", "deployment"])
def test_whatever_a_client_sends_stays_on_its_line(field):
    (people,) = lines(record(**{field: HOSTILE}))
    (machines,) = lines(record(**{field: HOSTILE}), as_json=True)

    for line in (people, machines):
        assert 1 == len(line.splitlines())
        assert line[:-1].isprintable()
    assert HOSTILE == json.loads(machines)[field]


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        pytest.param("claude-*", "asked=claude-*", id="plain"),
        pytest.param("größe", 'asked="gr\\u00f6\\u00dfe"', id="letters"),
        pytest.param("a b", 'asked="a b"', id="space"),
        pytest.param("x status=500", 'asked="x status=500"', id="another-field"),
        pytest.param('a"b', 'asked="a\\"b"', id="quote"),
        pytest.param("a\nb", 'asked="a\\nb"', id="line-break"),
        pytest.param("\u202eevil", 'asked="\\u202eevil"', id="direction"),
    ],
)
def test_what_could_be_mistaken_is_quoted(asked, shown):
    (line,) = lines(record(asked=asked))

    assert f" {shown} alias=sonnet " in line


@pytest.mark.parametrize("as_json", [False, True], ids=["console", "json"])
@pytest.mark.parametrize("letter", ["x", " ", "\n", "é"])
def test_a_name_of_a_megabyte_does_not_make_a_line_of_one(letter, as_json):
    (line,) = lines(record(asked=letter * 1_000_000), as_json=as_json)

    assert len(line) < 4_000
