"""Nothing secret is written: keys of all forms, passwords, what the owner names, and e-mails."""

import json
import random
import re

import pytest

from llmroute.observe.bodies import up_to_an_edge
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
        pytest.param("token=password: abcdef x", f"token={RED} x", id="a-name-as-a-value"),
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


SECRETS = [
    *("sk-ant-api03-AbCdEf0123456789_-x", "pk-lf-0123456789abcdefABCDEF", "AKIAIOSFODNN7EXAMPLE"),
    *("ABSKQmVkcm9ja0FQSUtleS1hYmNk+/=", "AIzaSyA-1234567890abcdefghijklmnopqrs_t"),
    *("ya29.a0AfH6SMBx-1234567890abcdef", "GOCSPX-abcdefghijklmnopqrstuvwx"),
    *("gho_abcdefghijklmnopqrst", "github_pat_11ABCDEFG0abcdefghijkl_mnop"),
    *("glpat-abcdefghij0123456789", "xoxb-1234567890-abcdefghij", "xai-abcdefghijklmnopqrst"),
    *("gsk_abcdefghijklmnopqrst", "hf_abcdefghijklmnopqrstuvwxyz", "npm_" + "a1" * 16),
    *("pypi-" + "AgEI_" * 9, "sk_test_abcdefghijklmnop", "rk_live_abcdefghijklmnop"),
    *("whsec_abcdefghijklmnop", "dop_v1_" + "0a" * 20, "SG." + "a" * 20 + "." + "b-" * 12),
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]
NAMES = [
    *("password", "passwd", "Passphrase", "SECRET", "token", "credential", "Credentials"),
    *("api_key", "API-KEY", "apikey", "access_key", "AccessKeyId", "aws_access_key_id"),
    *("private-key", "AccountKey", "authorization"),
]
TIES = [": ", "=", ' = "', '": "', " => '", "\\n = ", '\\": \\"']
AROUND = ["", " ", "\n", '"', "(", "\\n", "-", "=", "é", "\u0130", "task", "9", "\t"]
WORDS = [
    *("the", "pass", "key", "token", "monkey"),
    *("sk-", "eyJ", "@", "x" * 70, "keys=", "basic", "a b"),
]


def filled(draw: random.Random) -> tuple[str, list[str]]:
    """Return a text, and what of it is secret."""
    parts, hidden = [], []
    for number in range(draw.randint(1, 60)):
        match draw.randint(0, 5):
            case 0:
                secret = draw.choice(SECRETS)
                parts += [draw.choice([" ", "\n", '"', "\\n", ":"]), secret, " "]
                hidden.append(secret)
            case 1:
                secret = f"hidden{number:03}{draw.choice(['', '!', '/+', '.x'])}"
                parts += [
                    " ",
                    draw.choice(NAMES),
                    draw.choice(TIES),
                    secret,
                    draw.choice([" ", "'"]),
                ]
                hidden.append(secret)
            case 2:
                secret = f"hidden{number:03}zz"
                parts += [" ", draw.choice(["Bearer ", "basic  ", "BEARER\n"]), secret, "\n"]
                hidden.append(secret)
            case 3:
                secret = f"hidden.{number:03}@mail.example"
                parts += [" ", secret, draw.choice([" ", ",", ">"])]
                hidden.append(secret)
            case _:
                parts += [draw.choice(AROUND), draw.choice(WORDS), draw.choice(AROUND)]
    return "".join(parts), hidden


def test_no_secret_is_left_in_a_text_of_anything():
    draw = random.Random(11)
    redaction = Redaction()
    for _ in range(1500):
        text, hidden = filled(draw)
        first, second = redaction.text(text), redaction.text(text)

        assert [] == [secret for secret in hidden if secret in first], text
        assert first == second


def test_no_secret_is_left_in_a_request_that_is_cut_anywhere():
    draw = random.Random(12)
    redaction = Redaction()
    for _ in range(400):
        text, hidden = filled(draw)
        body = json.dumps({"messages": [{"content": text}]}, ensure_ascii=draw.random() < 0.5)
        data = body.encode()
        clean = redaction.raw(up_to_an_edge(data[: draw.randint(0, len(data))]))

        assert [] == [secret for secret in hidden if secret in clean], body


def slowly(text: str) -> str:
    """Take out what is said to be secret, as one pattern for all names finds it."""
    names = (
        r"pass(?:word|wd|phrase)|secret|token|credentials?|api[_-]?key|access[_-]?key(?:[_-]?id)?"
        r"|private[_-]?key|account[_-]?key|authorization"
    )
    space, quote, value = r"(?:\s|\\[nrt]){0,3}", r"""\\{0,3}["']?""", r"""[^\s"'\\,;&]{6,}"""
    told = re.compile(f"({quote}{space}(?::|=>?){space}{quote}){value}")
    parts, end = [], 0
    for name in re.finditer(f"(?i){names}", text):
        if name.end() >= end and (found := told.match(text, name.end())):
            parts += [text[end : found.end(1)], RED]
            end = found.end()
    return "".join([*parts, text[end:]])


def test_nothing_is_left_that_one_slow_pattern_would_find():
    draw = random.Random(13)
    redaction = Redaction(emails=False)
    pieces = [*NAMES, *TIES, *AROUND, *WORDS[:5], "value42", "abcdefg", "_id", "_", "-"]
    for _ in range(3000):
        clean = redaction.text("".join(draw.choice(pieces) for _ in range(draw.randint(1, 12))))

        assert slowly(clean) == clean


def test_what_was_clean_once_is_looked_at_again_with_more_in_it():
    redaction = Redaction()
    text = "a line of code\n" * 2000

    assert text == redaction.text(text) == redaction.text(text)
    assert text + f"password: {RED}" == redaction.text(text + "password: hunter2hunter2")
