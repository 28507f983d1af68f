"""Nothing secret is written: keys of all forms, passwords, what the owner names, and e-mails."""

import json
import random

import pytest

from llmroute.observe.redaction import Redaction

RED = "[redacted]"
KEYS = [
    pytest.param("sk-ant-api03-AbCdEf0123456789_-x", id="anthropic"),
    pytest.param("sk-proj-AbCdEf0123456789abcdef", id="openai"),
    pytest.param("AKIAIOSFODNN7EXAMPLE", id="aws-key-id"),
    pytest.param("ASIAIOSFODNN7EXAMPLE", id="aws-session-key-id"),
    pytest.param("AIzaSyA-1234567890abcdefghijklmnopqrs_t", id="google"),
    pytest.param("ya29.a0AfH6SMBx-1234567890abcdef", id="google-token"),
    pytest.param("ghp_abcdefghijklmnopqrstuvwxyz0123456789", id="github"),
    pytest.param("github_pat_11ABCDEFG0abcdefghijkl_mnop", id="github-fine-grained"),
    pytest.param("glpat-abcdefghij0123456789", id="gitlab"),
    pytest.param("xoxb-1234567890-abcdefghij", id="slack"),
    pytest.param("hf_abcdefghijklmnopqrstuvwxyz", id="hugging-face"),
    pytest.param("sk_live_abcdefghijklmnop1234", id="stripe"),
    pytest.param("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", id="jwt"),
    pytest.param("-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----", id="pem"),
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", "", id="alone"),
        pytest.param("use ", " please", id="in-a-sentence"),
        pytest.param('{"a":"', '"}', id="in-json"),
        pytest.param("x\\n", "\\nand", id="behind-an-escape"),
        pytest.param("x" * 30_000 + "\n", "\n" + "y" * 30_000, id="in-a-long-text"),
        pytest.param("word " * 10_000, " word" * 10_000, id="in-a-long-line"),
    ],
)
def test_a_key_is_taken_out_wherever_it_stands(key, before, after):
    assert before + RED + after == Redaction().text(before + key + after)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        pytest.param("password: hunter2hunter2", f"password: {RED}", id="yaml"),
        pytest.param('API_KEY="abcdef123"', f'API_KEY="{RED}"', id="shell"),
        pytest.param('{"client_secret": "abcdef"', f'{{"client_secret": "{RED}"', id="json"),
        pytest.param('{\\"token\\": \\"abcdef\\"}', f'{{\\"token\\": \\"{RED}\\"}}', id="in-json"),
        pytest.param("Bearer abcdefgh.ijk", f"Bearer {RED}", id="bearer"),
        pytest.param("BASIC dXNlcjpwYXNz", f"BASIC {RED}", id="basic"),
        pytest.param("\u0130 Token=abcdef x", f"\u0130 Token={RED} x", id="letters-that-grow"),
        pytest.param("postgresql://me:s3@db/x", f"postgresql://me:{RED}@db/x", id="address"),
        pytest.param("a@b.example, c.d+e@f.g.example.", f"{RED}, {RED}.", id="e-mail"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\nMII", RED, id="pem-without-its-end"),
    ],
)
def test_what_is_said_to_be_secret_is_taken_out(text, clean):
    assert clean == Redaction().text(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "a task-management-system-of-their-own", id="a-word-that-ends-as-a-key-begins"
        ),
        pytest.param('"max_tokens": 64000', id="tokens-are-counted"),
        pytest.param("the password is secret", id="a-sentence"),
        pytest.param("@decorator.name(x) and @ alone", id="at"),
        pytest.param("https://example.com:8080/a@b", id="address-without-a-password"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_secret_stays(text):
    assert text == Redaction().text(text)


def test_members_with_a_secrets_name_are_taken_out_whatever_they_hold():
    value = {"password": "x", "max_tokens": 64, "deep": [{"access_token": "y", "n": None}]}

    assert {
        "password": RED,
        "max_tokens": 64,
        "deep": [{"access_token": RED, "n": None}],
    } == Redaction().value(value)


def test_an_escape_hides_no_key():
    hidden = json.dumps("sk-ant-abcdefghijklmnop").replace("s", "\\u0073", 1)

    assert f'"{RED}"' == Redaction().raw(hidden)


def test_the_owner_names_more():
    redaction = Redaction([r"ACME-\d+", "(?i)jane doe"], emails=False)

    assert f"{RED} of {RED} at a@b.example" == redaction.text("ACME-42 of JANE DOE at a@b.example")


def test_what_has_no_space_for_long_is_left_out_for_its_length():
    text = "before " + "A" * 100_000 + " after"

    assert "before [100000 characters without a space] after" == Redaction().text(text)


def test_no_key_is_lost_between_two_pieces():
    draw = random.Random(7)
    redaction = Redaction()
    for _ in range(40):
        words = [
            draw.choice(
                ["sk-ant-0123456789abcdef", "word", "a-longer-word", "x" * draw.randint(1, 99)]
            )
            for _ in range(3000)
        ]
        clean = redaction.text(draw.choice([" ", "\n", "\\n"]).join(words))

        assert "sk-ant" not in clean
        assert words.count("sk-ant-0123456789abcdef") == clean.count(RED)
