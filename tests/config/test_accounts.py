"""Who may what, as a native file says it: read whole, or refused with the line of each mistake."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmroute.config import load_dict, load_file, native_accounts
from llmroute.config.accounts import (
    Accounts,
    BudgetSettings,
    Guards,
    LimitSettings,
    UsageSettings,
    moment,
    name_problem,
)
from llmroute.errors import ConfigError

CANARY = "sk-Canary-0123456789"
BASE = """\
deployments:
  a: {provider: anthropic, api_key: k}
aliases:
  claude-*: a
  fast: a
server: {master_key: sk-master}
"""
FIRST = BASE.count("\n") + 1

WHOLE = """\
database: ${DATABASE_URL}
keys:
  ci:
    key: ${CI_KEY}
    team: core
    aliases: [fast, claude-haiku-*]
    owner: ann@example.com
    tags: [ci, nightly]
    expires: 2027-01-31
    trusted: true
    limits: {requests_per_minute: 60, tokens_per_minute: 100000, parallel: 4}
    budgets:
      - {amount: 50, message: Ask Ann}
      - {amount: "${WEEKLY}", period: week, alias: claude-opus-*}
  hashed:
    sha256: "AB${REST}"
    aliases: fast
    blocked: true
teams:
  core:
    aliases: claude-*
    tags: core
    limits: {parallel: 8}
    budgets: [{amount: 0.5, period: day}]
budgets: [{amount: 1000, period: total}]
limits: {parallel: 100}
guards: {session_budget: 20, subagent_budget: 5, dollars_per_minute: 3, repeated_tool_calls: 12}
usage: {retention_days: 90, price_factor: 0.85, when_store_fails: refuse}
"""


def read(text, tmp_path, **environ):
    path = tmp_path / "llmroute.yaml"
    path.write_text(BASE + text)
    return load_file(path, environ)


def problems(text, tmp_path, **environ):
    with pytest.raises(ConfigError) as refused:
        read(text, tmp_path, **environ)
    return [(each.line - FIRST, each.path, each.text) for each in refused.value.problems]


def told(config):
    return [(each.path, each.text) for each in config.warnings]


def test_all_of_it_is_read(tmp_path):
    environ = {"CI_KEY": CANARY, "WEEKLY": "20.5", "REST": "0" * 62, "DATABASE_URL": "sqlite:////x"}

    config = read(WHOLE, tmp_path, **environ)

    accounts = config.accounts
    ci, hashed, core = accounts.keys["ci"], accounts.keys["hashed"], accounts.teams["core"]
    assert (CANARY, None) == (ci.key.get_secret_value(), ci.sha256)
    assert ("core", "ann@example.com", True) == (ci.team, ci.owner, ci.trusted)
    assert ("fast", "claude-haiku-*") == ci.aliases
    assert ("ci", "nightly") == ci.tags
    assert datetime(2027, 1, 31, tzinfo=UTC) == ci.expires
    assert (60, 100_000, 4) == tuple(ci.limits.model_dump().values())
    assert (50.0, "month", "", "Ask Ann") == tuple(ci.budgets[0].model_dump().values())
    assert (20.5, "week", "claude-opus-*", "") == tuple(ci.budgets[1].model_dump().values())
    assert (None, "ab" + "0" * 62, ("fast",), True) == (
        *(hashed.key, hashed.sha256, hashed.aliases),
        hashed.blocked,
    )
    assert (("claude-*",), ("core",), 8, 0.5) == (
        *(core.aliases, core.tags, core.limits.parallel),
        core.budgets[0].amount,
    )
    assert (BudgetSettings(amount=1000, period="total"),) == accounts.budgets
    assert LimitSettings(parallel=100) == accounts.limits
    assert (20, 5, 3, 12) == (
        accounts.guards.session_budget,
        accounts.guards.subagent_budget,
        accounts.guards.dollars_per_minute,
        accounts.guards.repeated_tool_calls,
    )
    assert (90, 0.85, "refuse") == (
        accounts.usage.retention_days,
        accounts.usage.price_factor,
        accounts.usage.when_store_fails,
    )
    assert "sqlite:////x" == config.database.get_secret_value()
    assert [] == told(config)
    assert CANARY not in repr(config)


def test_a_file_without_any_of_it_has_the_defaults(tmp_path):
    config = read("", tmp_path)

    assert Accounts() == config.accounts
    assert Guards() == config.accounts.guards
    assert UsageSettings() == config.accounts.usage
    assert None is config.database


DIGEST = hashlib.sha256(b"sk-one").hexdigest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "keys:\n  a: {owner: ann}\n",
            [(1, "keys.a", native_accounts.NO_KEY_AND_NO_DIGEST)],
            id="neither key nor digest",
        ),
        pytest.param(
            f"keys:\n  a: {{key: sk-one, sha256: {DIGEST}}}\n",
            [(1, "keys.a.sha256", "stands beside key; one of them is too many")],
            id="both",
        ),
        pytest.param(
            "keys:\n  a: {sha256: abc}\n",
            [
                (
                    1,
                    "keys.a.sha256",
                    "must be 64 hexadecimal digits, as `llmroute keys hash` prints them",
                )
            ],
            id="no digest",
        ),
        pytest.param(
            "keys:\n  a: {key: sk-one}\n  b: {key: sk-one}\n",
            [(2, "keys.b.key", "is the same as that of the key 'a'")],
            id="one key twice",
        ),
        pytest.param(
            f"keys:\n  a: {{key: sk-one}}\n  b: {{sha256: {DIGEST}}}\n",
            [(2, "keys.b.sha256", "is the same as that of the key 'a'")],
            id="a key and its digest",
        ),
        pytest.param(
            "keys:\n  a: {key: sk-master}\n",
            [(1, "keys.a.key", "is the same as that of the master key")],
            id="the master key",
        ),
        pytest.param(
            "keys:\n  a: {key: sk-one, team: cor}\nteams: {core: {}}\n",
            [(1, "keys.a.team", "no team is named 'cor' (did you mean 'core'?)")],
            id="no such team",
        ),
        pytest.param(
            "keys:\n  a: {key: ''}\n  b: {key: 'a b'}\n  c:\n    key:\n",
            [
                (1, "keys.a.key", "is empty"),
                (2, "keys.b.key", "holds a character that a key cannot have"),
                (4, "keys.c.key", "has no value"),
            ],
            id="no key",
        ),
        pytest.param(
            "keys:\n  master: {key: sk-one}\n  sk-two: {key: sk-two}\n",
            [
                (
                    1,
                    "keys.master",
                    "its name is what the records call the master key; choose another name",
                ),
                (
                    2,
                    "keys.sk-two",
                    "its name begins as a key or an id does; choose another name",
                ),
            ],
            id="names",
        ),
        pytest.param(
            "keys:\n  a: {key: sk-one, limit: {}, ownr: b}\n",
            [
                (1, "keys.a.limit", "unknown setting (did you mean 'limits'?)"),
                (1, "keys.a.ownr", "unknown setting (did you mean 'owner'?)"),
            ],
            id="unknown settings",
        ),
        pytest.param(
            "keys:\n  a: {key: sk-one, limits: {parallel: true, requests_per_minute: 0, x: 1}}\n",
            [
                (1, "keys.a.limits.parallel", "must be a number"),
                (1, "keys.a.limits.requests_per_minute", "must be more than 0"),
                (1, "keys.a.limits.x", "unknown setting"),
            ],
            id="limits",
        ),
        pytest.param(
            "teams:\n  a:\n    budgets:\n      - {amount: '$50'}\n      - {amont: 5}\n      - 3\n"
            "      - {amount: 0}\n      - {amount: 1, period: year}\n      - {amount: .inf}\n",
            [
                (
                    3,
                    "teams.a.budgets[0].amount",
                    "must be a number of US dollars, without a sign or a unit: 50",
                ),
                (4, "teams.a.budgets[1].amont", "unknown setting (did you mean 'amount'?)"),
                (4, "teams.a.budgets[1].amount", "required, and not given"),
                (5, "teams.a.budgets[2]", "must be a mapping (amount: 50, period: month)"),
                (6, "teams.a.budgets[3].amount", "must be 1e-06 or more"),
                (7, "teams.a.budgets[4].period", "must be 'day', 'week', 'month' or 'total'"),
                (8, "teams.a.budgets[5].amount", "must be a finite number"),
            ],
            id="budgets",
        ),
        pytest.param(
            "budgets:\n  - {amount: 1}\n  - {amount: 2, period: month}\n",
            [(2, "budgets[1]", "another one above has the same period and alias")],
            id="one budget twice",
        ),
        pytest.param("budgets: {amount: 1}\n", [(0, "budgets", "must be a list")], id="no list"),
        pytest.param(
            "keys:\n  a: {key: sk-one, expires: soon}\n  b: {key: sk-two, expires: 20270131}\n",
            [
                (
                    line,
                    f"keys.{name}.expires",
                    "must be a date or a time: 2027-01-31, or 2027-01-31T18:00:00+01:00",
                )
                for line, name in ((1, "a"), (2, "b"))
            ],
            id="no time",
        ),
        pytest.param(
            "keys: [a]\nteams: b\nlimits: 3\nguards: 4\nusage: 5\n",
            [
                (line, name, "must be a mapping (name: value)")
                for line, name in enumerate(("keys", "teams", "limits", "guards", "usage"))
            ],
            id="no mappings",
        ),
        pytest.param(
            "guards: {session_budget: 0, sesion_budget: 1}\nusage: {retention_days: 1.5}\n",
            [
                (0, "guards.sesion_budget", "unknown setting (did you mean 'session_budget'?)"),
                (0, "guards.session_budget", "must be more than 0"),
                (1, "usage.retention_days", "must be a whole number"),
            ],
            id="guards and usage",
        ),
        pytest.param(
            "keys:\n  a: {key: '${CI_KEY}'}\n",
            [(1, "keys.a.key", "environment variable CI_KEY is not set")],
            id="no variable",
        ),
        pytest.param(
            "keys:\n  a: {key: sk-one, aliases: [1, '']}\n",
            [
                (1, "keys.a.aliases[0]", "must be a name"),
                (1, "keys.a.aliases[1]", "must not be empty"),
            ],
            id="no names",
        ),
    ],
)
def test_each_mistake_is_told_with_its_line(tmp_path, text, expected):
    assert expected == problems(text, tmp_path)


@pytest.mark.parametrize(
    ("pattern", "is_known"),
    [
        pytest.param("fast", True, id="a name"),
        pytest.param("claude-opus-5", True, id="what a pattern matches"),
        pytest.param("claude-opus-*", True, id="a narrower pattern"),
        pytest.param("*", True, id="everything"),
        pytest.param("c*", True, id="a wider pattern"),
        pytest.param("*fast*", True, id="a pattern of a name"),
        pytest.param("f*s*t", True, id="two stars"),
        pytest.param("*-haiku-*-5", True, id="in the middle"),
        pytest.param("fasst", False, id="another name"),
        pytest.param("gpt-*", False, id="another pattern"),
        pytest.param("fast*est", False, id="longer than the name"),
        pytest.param("fas*ast", False, id="overlapping itself"),
    ],
)
def test_a_pattern_that_matches_no_alias_is_a_warning(tmp_path, pattern, is_known):
    text = f"keys: {{a: {{key: sk-one, aliases: ['{pattern}']}}}}\n"

    config = read(text, tmp_path)

    paths = [] if is_known else ["keys.a.aliases[0]"]
    assert paths == [path for path, _ in told(config)]
    assert (pattern,) == config.accounts.keys["a"].aliases


def starred(name, cuts):
    """Return a pattern that matches a name: a `*` in place of what is between each two cuts."""
    places = sorted(min(cut, len(name)) for cut in cuts)
    pattern, done = "", 0
    for start, end in zip(places[::2], places[1::2], strict=True):
        pattern += name[done:start] + "*"
        done = end
    return pattern + name[done:]


CUTS = st.integers(0, 8)


@given(
    name=st.text("ab", min_size=1, max_size=8),
    alias=st.lists(CUTS, min_size=2, max_size=2) | st.just([]),
    pattern=st.lists(CUTS, min_size=4, max_size=4) | st.lists(CUTS, min_size=2, max_size=2),
)
def test_no_pattern_is_warned_of_that_a_name_could_match(name, alias, pattern):
    data = {
        "deployments": {"a": {"provider": "anthropic", "api_key": "k"}},
        "aliases": {starred(name, alias): "a"},
        "keys": {"ci": {"key": "sk-one", "aliases": starred(name, pattern)}},
    }

    assert () == load_dict(data, {}).warnings


def test_a_warning_says_what_may_have_been_meant(tmp_path):
    config = read("budgets: [{amount: 1, alias: fsat}]\n", tmp_path)

    assert [
        ("budgets[0].alias", "no alias of this file matches 'fsat' (did you mean 'fast'?)")
    ] == told(config)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC), id="date"),
        pytest.param("2027-01-31T18:00", datetime(2027, 1, 31, 18, tzinfo=UTC), id="no zone"),
        pytest.param("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 18, tzinfo=UTC), id="utc"),
        pytest.param(
            "2027-01-31 18:00:00 +01:00", datetime(2027, 1, 31, 17, tzinfo=UTC), id="yamls"
        ),
        pytest.param(date(2027, 1, 31), datetime(2027, 1, 31, tzinfo=UTC), id="a python date"),
    ],
)
def test_a_key_ends_at_a_date_or_a_time(written, expected):
    keys = {"a": {"key": "sk-one", "expires": written}}
    data = {"deployments": {"a": {"provider": "anthropic", "api_key": "k"}}, "aliases": {"b": "a"}}

    assert expected == load_dict({**data, "keys": keys}, {}).accounts.keys["a"].expires


@pytest.mark.parametrize("value", [20270131, True, "31.1.2027", "2027-13-01", "", [1]])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match="must be a date or a time"):
        moment(value)


@pytest.mark.parametrize(
    "name", ["", "  ", " a", "a\n", "x" * 101, "Master", "local", "sk-abc", "config:a"]
)
def test_names_that_nothing_can_have(name):
    assert "" != name_problem(name)


@pytest.mark.parametrize("name", ["ci", "Ann's laptop", "team_alpha", "schlüssel", "x" * 100])
def test_names_that_anything_can_have(name):
    assert "" == name_problem(name)


@pytest.mark.parametrize(
    "address",
    [
        "none",
        "sqlite:////var/lib/llmroute/llmroute.db",
        "sqlite:///relative.db",
        "sqlite:////with a space/ü.db",
        "postgresql://u:p@h:5432/llmroute",
        "postgres://h/llmroute",
        "postgresql+psycopg://h/llmroute",
        "postgresql:///llmroute?host=/run/postgresql",
    ],
)
def test_addresses_of_databases(tmp_path, address):
    assert address == read("database: ${URL}\n", tmp_path, URL=address).database.get_secret_value()


FORM = "must start with sqlite:/// or postgresql://, or be none"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param("mysql://u:canary@h/x", FORM, id="another kind"),
        pytest.param("postgre://u:canary@h/x", FORM + " (did you mean 'postgres'?)", id="a slip"),
        pytest.param("nnoe-canary", FORM, id="no address"),
        pytest.param(
            "canary.db", FORM + "; for a file, write sqlite:/// before its path", id="a file"
        ),
        pytest.param("sqlite://", FORM, id="memory"),
        pytest.param(
            "sqlite://canary/x.db", "must name a file: sqlite:////absolute/path", id="host"
        ),
        pytest.param(
            "postgresql://u:canary@h",
            "is not an address: postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
            id="no database",
        ),
        pytest.param(
            "postgresql://u:canary@h:port/x",
            "is not an address: postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
            id="no port",
        ),
    ],
)
def test_what_is_no_database_is_told_without_the_address(tmp_path, address, words):
    assert [(0, "database", words)] == problems("database: ${URL}\n", tmp_path, URL=address)


@pytest.mark.parametrize(
    ("missing", "address", "extra"),
    [
        ("sqlalchemy", "sqlite:////x.db", "proxy"),
        ("psycopg", "postgresql://h/x", "sql"),
    ],
)
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, missing, address, extra):
    monkeypatch.setattr("llmroute.config.extras._MISSING", frozenset({missing}))

    words = f"needs a package that is not installed: pip install 'llmroute[{extra}]'"
    assert [(0, "database", words)] == problems(f"database: {address}\n", tmp_path)


def test_keys_and_budgets_need_a_package_without_a_database_too(tmp_path, monkeypatch):
    monkeypatch.setattr("llmroute.config.extras._MISSING", frozenset({"sqlalchemy"}))

    words = "needs a package that is not installed: pip install 'llmroute[proxy]'"
    assert [(0, "keys", words)] == problems("keys: {a: {key: sk-one}}\n", tmp_path)
    assert [(0, "budgets", words)] == problems("budgets: [{amount: 1}]\n", tmp_path)
    assert [] == told(read("usage: {retention_days: 1}\n", tmp_path))


def test_to_look_at_it_no_secret_has_to_exist(tmp_path):
    path = tmp_path / "llmroute.yaml"
    path.write_text(
        BASE + "database: ${DATABASE_URL}\nkeys:\n  a: {key: '${A}'}\n  b: {sha256: '${B}'}\n"
        "  c: {sha256: '${C}'}\n"
    )

    config = load_file(path, {}, credentials=False)

    assert ["a", "b", "c"] == list(config.accounts.keys)
