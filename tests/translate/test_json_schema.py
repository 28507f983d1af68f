"""Schemas say the same in fewer words, and what they lose is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.translate.json_schema import (
    CONVERSE,
    GEMINI,
    GEMINI_OPENAPI,
    OPENAI,
    OPENAI_STRICT,
    reduced,
)

TEXT = {"type": "string"}
NULL = {"type": "null"}


def of(**properties):
    return {"type": "object", "properties": properties}


def strict(**properties):
    return {**of(**properties), "required": [*properties], "additionalProperties": False}


@pytest.mark.parametrize("dialect", [OPENAI, CONVERSE, GEMINI], ids=lambda each: each.title)
@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param({}, of(), id="empty"),
        pytest.param(None, of(), id="none"),
        pytest.param({"type": "object", "properties": {"a": TEXT}}, of(a=TEXT), id="plain"),
        pytest.param({"$schema": "x", **of(a=TEXT)}, of(a=TEXT), id="schema-of-schemas"),
        pytest.param(
            {"allOf": [of(a=TEXT), {**of(b=TEXT), "required": ["b"]}]},
            {**of(a=TEXT, b=TEXT), "required": ["b"]},
            id="all-of-at-the-top",
        ),
        pytest.param(
            {
                "anyOf": [
                    {**of(a=TEXT, c=TEXT), "required": ["a", "c"]},
                    {**of(b=TEXT, c=TEXT), "required": ["c"]},
                ]
            },
            {**of(a=TEXT, b=TEXT, c=TEXT), "required": ["c"]},
            id="any-of-at-the-top",
        ),
        pytest.param(of(title=TEXT, default=TEXT), of(title=TEXT, default=TEXT), id="named-so"),
    ],
)
def test_the_top_is_an_object_everywhere(schema, expected, dialect):
    assert expected == reduced(schema, dialect)[0]


@pytest.mark.parametrize("dialect", [OPENAI, CONVERSE], ids=lambda each: each.title)
def test_where_all_is_read_all_is_kept(dialect):
    schema = {
        "type": "object",
        "$defs": {"n": {"const": 1}},
        "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"oneOf": [TEXT], "pattern": "x"}},
        "additionalProperties": False,
    }

    assert (schema, []) == reduced(schema, dialect)


@pytest.mark.parametrize(
    ("schema", "expected", "losses"),
    [
        pytest.param({"const": "a"}, {"enum": ["a"], "type": "string"}, [], id="const"),
        pytest.param({"oneOf": [TEXT, NULL]}, {"anyOf": [TEXT, NULL]}, [], id="one-of"),
        pytest.param(
            {"allOf": [{"type": "string"}, {"description": "d"}]},
            {"type": "string", "description": "d"},
            [],
            id="all-of",
        ),
        pytest.param(
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
            {"type": "integer", "minimum": 0, "maximum": 9},
            [],
            id="exclusive-bounds",
        ),
        pytest.param(
            {"type": ["string", "null"], "description": "d"},
            {"anyOf": [TEXT, NULL], "description": "d"},
            [],
            id="types",
        ),
        pytest.param(
            {"type": ["string", "array"], "items": TEXT, "maxItems": 2},
            {"anyOf": [TEXT, {"type": "array", "items": TEXT, "maxItems": 2}]},
            [],
            id="each-type-its-own",
        ),
        pytest.param(
            {"type": "array", "items": [TEXT, NULL]},
            {"type": "array", "prefixItems": [TEXT, NULL]},
            [],
            id="tuple",
        ),
        pytest.param({"type": "array"}, {"type": "array", "items": {}}, [], id="array-of-anything"),
        pytest.param({"enum": ["a", 1], **TEXT}, {"enum": ["a", "1"], **TEXT}, [], id="enum"),
        pytest.param(
            {**of(a=TEXT), "required": ["a", "b"]},
            {**of(a=TEXT), "required": ["a"]},
            [],
            id="required-but-unknown",
        ),
        pytest.param(
            {**TEXT, "format": "date-time"}, {**TEXT, "format": "date-time"}, [], id="date"
        ),
        pytest.param(
            {**TEXT, "format": "uri", "default": "x", "title": "t"},
            TEXT,
            ["properties.p: Gemini does not read format uri"],
            id="format",
        ),
        pytest.param(
            {**TEXT, "pattern": "^a", "minLength": 1},
            TEXT,
            [
                "properties.p: Gemini does not read pattern",
                "properties.p: Gemini does not read minLength",
            ],
            id="what-it-does-not-read",
        ),
        pytest.param(True, {}, [], id="anything"),
        pytest.param({"type": ["string"]}, TEXT, [], id="one-type"),
        pytest.param(
            {"type": ["string", "null"], "enum": ["a", None]},
            {"anyOf": [{**TEXT, "enum": ["a"]}, NULL]},
            [],
            id="types-and-enum",
        ),
        pytest.param(
            {"type": ["string", "null"], "anyOf": [TEXT, NULL]},
            {"anyOf": [TEXT, NULL]},
            [],
            id="types-and-alternatives",
        ),
        pytest.param({"properties": {"a": TEXT}}, of(a=TEXT), [], id="an-object-unsaid"),
    ],
)
def test_gemini(schema, expected, losses):
    assert (of(p=expected), losses) == reduced(of(p=schema), GEMINI)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param(TEXT, {"type": "STRING"}, id="capitals"),
        pytest.param(
            {"type": ["string", "null"]}, {"type": "STRING", "nullable": True}, id="nullable"
        ),
        pytest.param(
            {"type": ["string", "integer", "null"]},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True},
            id="alternatives-or-null",
        ),
        pytest.param({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER"}, id="enum"),
        pytest.param(
            {"type": "array", "items": [TEXT, {"type": "integer"}]},
            {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}},
            id="tuple",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": False, "properties": {}},
            {"type": "OBJECT", "properties": {}},
            id="closed",
        ),
    ],
)
def test_gemini_as_openapi(schema, expected):
    assert expected == reduced(of(p=schema), GEMINI_OPENAPI)[0]["properties"]["p"]


@pytest.mark.parametrize(
    ("schema", "expected", "losses"),
    [
        pytest.param({**of(a=TEXT), "required": ["a"]}, strict(a=TEXT), [], id="required"),
        pytest.param(
            of(a={**TEXT, "description": "d"}),
            strict(a={"anyOf": [TEXT, NULL], "description": "d"}),
            [],
            id="optional",
        ),
        pytest.param(
            of(a={"type": ["string", "null"]}), strict(a={"anyOf": [TEXT, NULL]}), [], id="null"
        ),
        pytest.param(
            {**of(a={"type": "object"}), "required": ["a"]},
            strict(a=strict()),
            ["properties.a: properties that it does not name"],
            id="free",
        ),
        pytest.param({**of(), "additionalProperties": False}, strict(), [], id="no-parameters"),
        pytest.param(
            {**of(a={**TEXT, "minLength": 1}), "required": ["a"]},
            strict(a=TEXT),
            ["properties.a: OpenAI's strict mode does not read minLength"],
            id="what-it-does-not-read",
        ),
    ],
)
def test_openai_strict(schema, expected, losses):
    assert (expected, losses) == reduced(schema, OPENAI_STRICT)


def test_references_are_put_in_their_place():
    schema = {"$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": TEXT}, **of(p={"$ref": "#/$defs/a~1b"})}

    assert (of(p=TEXT), []) == reduced(schema, GEMINI)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#"}, id="itself"),
        pytest.param({"allOf": [{"$ref": "#"}]}, id="part-of-itself"),
        pytest.param({"$ref": "#/nowhere"}, id="nowhere"),
        pytest.param({"$ref": "https://example.org/schema"}, id="elsewhere"),
        pytest.param({"$ref": "#/a", "a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}, id="in-a-circle"),
    ],
)
def test_references_that_lead_nowhere_are_any_object(schema):
    assert of() == reduced(schema, GEMINI)[0]


def test_recursion_is_cut_off():
    tree = {
        **of(child={"$ref": "#/$defs/tree"}),
        "$defs": {"tree": of(next={"$ref": "#/$defs/tree"})},
    }

    assert (
        of(child=of(next=of())),
        ["properties.child.properties.next: the recursion of #/$defs/tree"],
    ) == reduced(tree, GEMINI)


def test_a_schema_cannot_grow_without_end():
    doubling = {
        f"d{at}": of(a={"$ref": f"#/$defs/d{at + 1}"}, b={"$ref": f"#/$defs/d{at + 1}"})
        for at in range(40)
    }
    schema, losses = reduced({**of(p={"$ref": "#/$defs/d0"}), "$defs": doubling}, GEMINI)

    assert len(json.dumps(schema)) < 1_000_000
    assert any(loss.endswith("what is too deep or too long") for loss in losses)


def test_references_may_lead_on_for_long():
    chain = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(3_000)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**chain, "d3000": of(p=TEXT)}}

    assert (of(p=TEXT), []) == reduced(schema, GEMINI)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("several", ["anyOf", "allOf"])
def test_many_alternatives_of_much_are_read_in_time(several):
    much = of(**{f"p{at}": TEXT for at in range(5_000)})
    schema = {several: [{"$ref": "#/$defs/much"}] * 20_000, "$defs": {"much": much}}

    assert "p0" in reduced(schema, GEMINI)[0]["properties"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "a", "#", "#/$defs/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "$ref",
                    "$defs",
                    "a",
                    "properties",
                    "items",
                    "anyOf",
                    "oneOf",
                    "allOf",
                    "enum",
                    "required",
                    "const",
                    "additionalProperties",
                    "format",
                    "exclusiveMinimum",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(values, st.sampled_from([OPENAI, CONVERSE, GEMINI, GEMINI_OPENAPI, OPENAI_STRICT]))
def test_no_schema_is_too_odd(schema, dialect):
    before = json.dumps(schema)
    top, losses = reduced(schema, dialect)

    assert before == json.dumps(schema)
    assert "object" == top["type"].lower()
    assert isinstance(top["properties"], dict)
    assert (top, losses) == reduced(schema, dialect)
