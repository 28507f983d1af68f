"""Objects of every spelling: only what is replaced changes, and only bad objects are refused."""

import json
import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmroute.errors import InvalidRequestError
from llmroute.wire.envelope import Envelope

fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SPACES = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n  ", " \n\t "])
NUMBERS = st.sampled_from(
    ["0", "-0", "7", "1.0", "1.0e1", "1E+2", "-2.50e-3", "12345678901234567890"]
)
CHARACTERS = st.text(
    st.sampled_from('abz{}[]:,"\\/ é中😀\n\t\x01') | st.characters(exclude_categories=["Cs"]),
    max_size=8,
)


@st.composite
def spelled(draw, text):
    """Write a string as JSON, some of its characters escaped for no reason."""
    written = []
    for character in text:
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        escaped = json.dumps(character)[1:-1]
        if len(escaped) == 1:
            escaped = f"\\u{ord(character):04X}"
        written.append(escaped if draw(st.integers(0, 3)) == 0 else plain)
    return f'"{"".join(written)}"'


STRINGS = CHARACTERS.flatmap(spelled)


@st.composite
def arrays(draw, values):
    space = [draw(SPACES) for _ in range(2)]
    items = draw(st.lists(values, max_size=3))
    return "[" + space[0] + (space[1] + ",").join(items) + "]"


@st.composite
def objects(draw, values):
    names = st.sampled_from(['"model"', '"stream"', r'"mod\u0065l"', '"a"'])
    members = draw(st.lists(st.tuples(names, SPACES, SPACES, values), max_size=3))
    inner = ",".join(f"{name}{a}:{b}{value}" for name, a, b, value in members)
    return "{" + draw(SPACES) + inner + draw(SPACES) + "}"


VALUES = st.recursive(
    st.sampled_from(["true", "false", "null"]) | NUMBERS | STRINGS,
    lambda values: arrays(values) | objects(values),
    max_leaves=8,
)
# `self` and `value` would be names of parameters.
NAMES = st.sampled_from(["model", "stream", "max_tokens", "self", "value", ""]) | CHARACTERS


@st.composite
def bodies(draw, *, unique=True):
    """Make an object as the text around its values and the values: [text, value, text, ...]."""
    names = draw(st.lists(NAMES, max_size=5, unique=unique))
    pieces = [draw(SPACES) + "{" + draw(SPACES)]
    for at, name in enumerate(names):
        before = draw(SPACES) + "," + draw(SPACES) if at else ""
        pieces[-1] += before + draw(spelled(name)) + draw(SPACES) + ":" + draw(SPACES)
        pieces += [draw(VALUES), ""]
    pieces[-1] += draw(SPACES) + "}" + draw(SPACES)
    return names, [piece.encode() for piece in pieces]


def top_level_names(body):
    """Return the names of an object's members, repeated ones as often as they are there."""
    names = []

    def remember(pairs):
        # The outermost object is finished last.
        names[:] = [name for name, _ in pairs]
        return dict(pairs)

    json.loads(body, object_pairs_hook=remember)
    return names


@fuzz
@given(bodies())
def test_members_are_read_as_the_standard_library_reads_them(made):
    names, pieces = made
    body = b"".join(pieces)

    envelope = Envelope.parse(body)

    assert json.loads(body) == dict(envelope)
    assert names == list(envelope)
    assert len(names) == len(envelope)
    assert pieces[1::2] == [bytes(envelope.raw(name)) for name in names]


@fuzz
@given(bodies(), st.data())
def test_replacing_a_member_changes_its_bytes_and_no_others(made, data):
    names, pieces = made
    body = b"".join(pieces)
    chosen = data.draw(st.sets(st.sampled_from(names))) if names else set()
    for at, name in enumerate(names):
        if name in chosen:
            pieces[2 * at + 1] = b'"new"'
    expected = b"".join(pieces)
    envelope = Envelope.parse(body)

    replaced = envelope.replace(**dict.fromkeys(chosen, "new"))

    assert expected == bytes(replaced)
    assert json.loads(expected) == dict(replaced)
    assert body == bytes(envelope)


@fuzz
@given(bodies(), st.lists(st.tuples(NAMES, st.integers()), max_size=3))
def test_adding_and_replacing_gives_the_merged_object(made, edits):
    body = b"".join(made[1])
    envelope = Envelope.parse(body)
    expected = json.loads(body) | dict(edits)

    at_once = envelope.replace(**dict(edits))
    one_by_one = envelope
    for name, value in edits:
        one_by_one = one_by_one.replace(**{name: value})

    for edited in (at_once, one_by_one):
        assert expected == dict(edited) == json.loads(bytes(edited))
        assert list(expected) == list(edited) == top_level_names(bytes(edited))


@fuzz
@given(bodies(unique=False), st.data())
def test_of_a_repeated_member_the_last_one_is_the_only_one(made, data):
    body = b"".join(made[1])
    extra = data.draw(st.sampled_from(['"a"', '{"model":1,"model":2}', "0"]))
    body = body[: body.rindex(b"}")] + (b"," if made[0] else b"") + b'"model":"first",'
    body += b'"other": %s ,"model"  : "last"}' % extra.encode()
    expected = json.loads(body)

    envelope = Envelope.parse(body)
    replaced = envelope.replace(model="mine")

    assert "last" == envelope["model"] == envelope.string("model")
    assert expected == json.loads(bytes(envelope))
    assert expected | {"model": "mine"} == json.loads(bytes(replaced))
    for written in (envelope, replaced):
        assert list(expected) == top_level_names(bytes(written))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"model":"a","model":"b"}', b'{"model":"X"}', id="at-once"),
        pytest.param(b'{"model":"b","model":"b"}', b'{"model":"X"}', id="the-same-value"),
        pytest.param(b'{"model":1,"a":2,"model":3}', b'{"model":"X","a":2}', id="another-between"),
        pytest.param(b'{"model":1,"mod\\u0065l":2}', b'{"model":"X"}', id="spelled-otherwise"),
        pytest.param(b'{"\\u006dodel":1,"model":2}', b'{"model":"X"}', id="the-first-otherwise"),
        pytest.param(
            b'{"model":1,"a":[1, 2],"a":{}}', b'{"model":"X","a":{}}', id="another-member"
        ),
        pytest.param(b'{"model":1,"model":12,"model":1}', b'{"model":"X"}', id="three"),
        # The lengths of the last values lead from the first member to the end of the object, by
        # way of what looks like a key inside a value.
        pytest.param(
            b'{"model":1,"a":{"p":"","a":          0,"q":""},"model":"ABCDEFGHIJK"}',
            b'{"model":"X","a":{"p":"","a":          0,"q":""}}',
            id="a-trap",
        ),
    ],
)
def test_of_repeated_members_the_last_wins_whatever_their_lengths(body, expected):
    assert expected == bytes(Envelope.parse(body).replace(model="X"))


@fuzz
@given(st.integers(1, 40), st.integers(0, 20), st.integers(0, 20), st.sampled_from(["a", "model"]))
@example(length=11, padding=0, spaces=10, name="a")
def test_no_lengths_of_values_hide_a_repetition(length, padding, spaces, name):
    inner = '{"p":"' + "x" * padding + f'","{name}"' + ":" + " " * spaces + '0,"q":""}'
    body = f'{{"model":1,"a":{inner},"model":"{"Z" * length}"}}'.encode()

    replaced = bytes(Envelope.parse(body).replace(model="mine"))

    assert {"model": "mine", "a": json.loads(inner)} == json.loads(replaced)
    assert ["model", "a"] == top_level_names(replaced)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" \n", id="space"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'"{}"', id="string"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{} {}", id="two"),
        pytest.param(b"{}x", id="trailing-text"),
        pytest.param(b"{}\x00", id="trailing-nul"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="utf-16"),
        pytest.param(b"\x0b{}", id="vertical-tab"),
        pytest.param(b"{}\x0c", id="form-feed"),
        pytest.param(b'{"a":1,}', id="trailing-comma"),
        pytest.param(b'{"a":1', id="cut"),
        pytest.param(b"{'a':1}", id="single-quotes"),
        pytest.param(b"{a:1}", id="bare-key"),
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b'{"a":-Infinity}', id="infinity"),
        pytest.param(b'{"a":[1,{"b":NaN}]}', id="nan-inside"),
        pytest.param(b'{"a":01}', id="leading-zero"),
        pytest.param(b'{"a":.5}', id="no-digit-before-the-point"),
        pytest.param(b'{"a":"\n"}', id="line-break-in-a-string"),
        pytest.param(b'{"a\x01":1}', id="control-character-in-a-key"),
        pytest.param(b'{"a":"\\x41"}', id="unknown-escape"),
        pytest.param(b'{"a":"\\ud83d"}', id="half-a-surrogate-pair"),
        pytest.param(b'{"\\ude00":1}', id="the-other-half-in-a-key"),
        pytest.param(b'{"\xff":1}', id="key-not-utf-8"),
        pytest.param(b'{"\xed\xa0\x80":1}', id="surrogate-as-utf-8-in-a-key"),
        pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="deep-objects"),
        pytest.param(b"[" * 100_000, id="deep-and-cut"),
        pytest.param(b"{/**/}", id="comment"),
    ],
)
def test_what_is_not_one_object_is_refused(body):
    with pytest.raises(InvalidRequestError):
        Envelope.parse(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":"\xff"}', id="not-utf-8"),
        pytest.param(b'{"a":["\xed\xa0\x80"]}', id="surrogate-as-utf-8-inside"),
        pytest.param(b'{"a":1e999}', id="number-out-of-bounds"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="integer-out-of-bounds"),
    ],
)
def test_what_has_no_value_is_passed_on_and_refused_when_it_is_read(body):
    envelope = Envelope.parse(body)

    assert body[:-1] + b',"model":"x"}' == bytes(envelope.replace(model="x"))
    with pytest.raises(InvalidRequestError, match="`a`"):
        envelope["a"]
    with pytest.raises(InvalidRequestError, match="`a`"):
        envelope.get("a")


def test_a_string_that_is_not_utf_8_is_refused_when_it_is_read():
    with pytest.raises(InvalidRequestError, match="`model`"):
        Envelope.parse(b'{"model":"\xff"}').string("model")


def strictly(body):
    """Read an object as JSON has it; the library's extensions are refused."""

    def refuse(constant):
        raise ValueError(constant)

    def members(pairs):
        # Halves of surrogate pairs cannot be encoded.
        json.dumps(pairs, ensure_ascii=False).encode()
        return dict(pairs)

    def number(text):
        return refuse(text) if math.isinf(float(text)) else float(text)

    value = json.loads(
        body.decode(), parse_constant=refuse, parse_float=number, object_pairs_hook=members
    )
    if not isinstance(value, dict):
        raise TypeError
    return value


@st.composite
def mutated(draw):
    """Spoil an object at a few places."""
    body = b"".join(draw(bodies(unique=False))[1])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        end = min(len(body), at + draw(st.integers(0, 4)))
        middle = st.sampled_from(
            [
                b"",
                b'"',
                b"{",
                b"}",
                b",",
                b":",
                b"\\",
                b"\xff",
                b"\x00",
                b"1",
                b"e",
                b"[",
                body[:at],
            ]
        )
        body = body[:at] + draw(middle) + body[end:]
    return body


@settings(fuzz, max_examples=300)
@given(mutated() | st.binary(max_size=40) | st.binary(max_size=40).map(lambda b: b"{" + b + b"}"))
def test_any_bytes_are_read_as_strict_json_or_refused(body):
    try:
        expected = strictly(body)
    except (ValueError, TypeError, RecursionError):
        expected = None
    try:
        envelope = Envelope.parse(body)
        found = dict(envelope)
    except InvalidRequestError:
        found = None

    if found is None:
        assert expected is None
    else:
        # What is wrong in a member that a later one of its name replaces is gone with it.
        assert expected is not None or body != bytes(envelope)
        assert strictly(bytes(envelope)) == found
        assert expected in (found, None)
        assert found | {"model": "x"} == json.loads(bytes(envelope.replace(model="x")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"fast"', "fast", id="plain"),
        pytest.param(b'""', "", id="empty"),
        pytest.param(b'"\\u0066a\\u0073t"', "fast", id="escaped"),
        pytest.param('"zü😀"'.encode(), "zü😀", id="wide"),
        pytest.param(b'"a\\n\\"b"', 'a\n"b', id="escapes"),
        pytest.param(b"null", None, id="null"),
        pytest.param(b"7", None, id="number"),
        pytest.param(b"true", None, id="true"),
        pytest.param(b'["fast"]', None, id="array"),
        pytest.param(b'{"fast":"fast"}', None, id="object"),
    ],
)
def test_a_string_is_read_only_if_it_is_one(value, expected):
    assert expected == Envelope.parse(b'{"model" :\n' + value + b" }").string("model")


def test_a_missing_member_is_no_string_and_not_true():
    envelope = Envelope.parse(b'{"a":1}')

    assert envelope.string("model") is None
    assert not envelope.is_true("stream")
    assert "model" not in envelope
    with pytest.raises(KeyError):
        envelope["model"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"true", True, id="true"),
        pytest.param(b"false", False, id="false"),
        pytest.param(b"null", False, id="null"),
        pytest.param(b"1", False, id="one"),
        pytest.param(b'"true"', False, id="string"),
        pytest.param(b"[true]", False, id="array"),
    ],
)
def test_only_true_is_true(value, expected):
    assert expected is Envelope.parse(b'{"stream": ' + value + b"}").is_true("stream")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"{}", b'{"model":"x","n":1}', id="empty"),
        pytest.param(b" { } \n", b' { "model":"x","n":1} \n', id="empty-with-space"),
        pytest.param(b'{"a":1}', b'{"a":1,"model":"x","n":1}', id="others"),
        pytest.param(b'{"a": "}" }\n', b'{"a": "}" ,"model":"x","n":1}\n', id="space-at-the-end"),
        pytest.param(b'{"n":0, "a":1}', b'{"n":1, "a":1,"model":"x"}', id="one-of-two-is-there"),
    ],
)
def test_new_members_go_to_the_end(body, expected):
    assert expected == bytes(Envelope.parse(body).replace(model="x", n=1))


def test_an_envelope_is_put_in_as_it_is():
    inner = Envelope.parse(b'{ "model" : "a" , "n":1.0 }')
    outer = Envelope.parse(b'{"type":"message_start","message":{}}')

    replaced = outer.replace(message=inner.replace(model="b"))

    assert b'{"type":"message_start","message":{ "model" : "b" , "n":1.0 }}' == bytes(replaced)
    assert {"model": "b", "n": 1.0} == replaced["message"]


def test_an_edited_envelope_can_be_read_and_edited_again():
    once = Envelope.parse(b'{"model":"a", "max_tokens": 1}').replace(model="b", top_k=3)

    twice = once.replace(top_k=4, model="c", max_tokens=2)

    assert "b" == once["model"]
    assert b'{"model":"b", "max_tokens": 1,"top_k":3}' == bytes(once)
    assert b'{"model":"c", "max_tokens": 2,"top_k":4}' == bytes(twice)


@fuzz
@given(bodies(unique=False), st.sets(NAMES))
def test_what_is_left_out_is_gone_and_the_rest_is_there(made, names):
    body = b"".join(made[1])
    envelope = Envelope.parse(body)
    expected = {name: value for name, value in json.loads(body).items() if name not in names}

    left = envelope.without(*names)

    assert expected == dict(left) == json.loads(bytes(left))
    assert list(expected) == top_level_names(bytes(left))
    assert [bytes(envelope.raw(name)) for name in left] == [bytes(left.raw(name)) for name in left]


def test_leaving_out_what_is_not_there_copies_nothing():
    envelope = Envelope.parse(b'{ "a": 1 }')

    assert envelope is envelope.without("b", "c")


def test_an_edited_envelope_can_be_shortened():
    edited = Envelope.parse(b'{"model":"a", "n": 1.0}').replace(model="b", x=2)

    assert b'{"model":"b","n":1.0}' == bytes(edited.without("x"))


def test_an_edited_envelope_has_no_attributes_of_chance():
    edited = Envelope.parse(b"{}").replace(a=1)

    assert not hasattr(edited, "model")


def test_replacing_nothing_changes_nothing():
    body = b' {"a" : 1}\n'

    assert body == bytes(Envelope.parse(body).replace())


def test_a_body_that_is_not_edited_is_not_copied():
    body = b'{"model":"a","messages":[]}'
    envelope = Envelope.parse(body)

    pieces = envelope.replace(model="b").pieces()

    assert envelope.pieces()[0] is body
    assert b'{"model":"b","messages":[]}' == b"".join(pieces)
    assert [body, body] == [piece.obj for piece in pieces if isinstance(piece, memoryview)]


def test_members_are_encoded_in_their_order():
    members = {"model": "a", "messages": [{"role": "user", "content": "é"}], "n": None}

    envelope = Envelope.of(members)

    assert '{"model":"a","messages":[{"role":"user","content":"é"}],"n":null}'.encode() == bytes(
        envelope
    )
    assert members == dict(envelope)


def round_and_round():
    values = []
    values.append(values)
    return values


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(object(), id="object"),
        pytest.param(len, id="function"),
        pytest.param("\ud800", id="half-a-surrogate-pair"),
        pytest.param(round_and_round(), id="cycle"),
    ],
)
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(InvalidRequestError, match="cannot be sent as JSON"):
        Envelope.of({"a": value})


def test_what_is_shown_of_an_envelope_is_its_names():
    assert "<Envelope of model, messages>" == repr(
        Envelope.parse(b'{"model":"secret","messages":["secret"]}')
    )
