"""`llmroute check`: every problem of a configuration, and how its deployments answer."""

import json

import pytest

from llmroute.testing import (
    FakeBedrock,
    FakeChat,
    FakeFoundry,
    FakeUpstream,
    FakeVertex,
    error,
    text,
)

from .program import MASTER_KEY, UPSTREAM_KEY


def test_a_good_configuration_is_shown(invoke, config_file, upstream):
    done = invoke("check", "--config", config_file())

    assert 0 == done.exit_code
    assert "" == done.stderr
    assert done.stdout.startswith("OK: ")
    assert ["claude-*", "main", "anthropic", "(as asked)", upstream.url] in rows(done.stdout)
    assert ["fast", "small", "anthropic", "claude-haiku-4-5", upstream.url] in rows(done.stdout)


@pytest.mark.parametrize(
    ("classifier", "line"),
    [
        pytest.param(
            None,
            "there is no classifier for the tool calls of gpt; `safeguards` would name one",
            id="nobody",
        ),
        pytest.param(
            "claude-haiku-5-5", "claude-haiku-5-5 judges the tool calls of gpt", id="judged"
        ),
    ],
)
def test_it_says_who_judges_tool_calls_in_auto_mode(invoke, other_models, classifier, line):
    done = invoke("check", "--config", other_models(classifier))

    assert f"auto mode: {line}" == done.stdout.splitlines()[-1]


def test_it_says_whose_price_nobody_knows(invoke, tmp_path):
    file = tmp_path / "llmroute.yaml"
    own = {"provider": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
    deployments = {
        "local": {**own, "model": "qwen3-coder-of-ours"},
        "free": {**own, "model": "qwen3-coder-of-ours", "price": {"input": 0, "output": 0}},
        "known": {"provider": "anthropic", "model": "claude-haiku-4-5", "api_key": "k"},
    }
    aliases = {name: name for name in deployments}
    file.write_text(json.dumps({"deployments": deployments, "aliases": aliases}))
    done = invoke("check", "--config", file)

    assert "  local: qwen3-coder-of-ours" in done.stdout.splitlines()
    assert "free: " not in done.stdout
    assert "known: " not in done.stdout


def test_where_every_price_is_known_nothing_is_said_of_prices(invoke, config_file):
    assert "prices:" not in invoke("check", "--config", config_file()).output


def test_of_claude_alone_nothing_is_said_of_auto_mode(invoke, config_file):
    assert "auto mode" not in invoke("check", "--config", config_file()).output


def test_no_key_is_shown(invoke, config_file):
    done = invoke("check", "--live", "--config", config_file())

    assert MASTER_KEY not in done.output
    assert UPSTREAM_KEY not in done.output


def test_it_counts_keys_teams_and_budgets_and_shows_no_password(invoke, config_file):
    path = config_file(master_key=None)
    settings = json.loads(path.read_text())
    budgets = [{"amount": 5}, {"amount": 1, "period": "day"}]
    settings["keys"] = {"a": {"key": "sk-key-canary", "team": "t"}, "b": {"sha256": "0" * 64}}
    settings["teams"] = {"t": {"budgets": budgets, "blocked": True}}
    settings["budgets"] = budgets[:1]
    settings["database"] = "postgresql://u:password-canary@db.example/llmroute"
    path.write_text(json.dumps(settings))

    done = invoke("check", "--config", path)

    assert 0 == done.exit_code
    assert "database: db.example:5432/llmroute" in done.stdout.splitlines()
    assert "of this file: 2 keys, 1 team, 3 budgets; 1 blocked" in done.stdout.splitlines()
    assert "no master key, so for the keys of this file only" in done.stdout
    assert "canary" not in done.output


@pytest.mark.parametrize(
    ("database", "shown"),
    [
        pytest.param(None, "DATA/llmroute.db", id="the usual file"),
        pytest.param("sqlite:////var/lib/a%20b.db", "/var/lib/a b.db", id="a file"),
        pytest.param("postgresql:///llmroute", "localhost:5432/llmroute", id="this machine"),
        pytest.param("none", "none: in memory, and gone with the process", id="none"),
    ],
)
def test_it_says_where_keys_and_usage_are_kept(
    invoke, config_file, tmp_path, monkeypatch, database, shown
):
    monkeypatch.setenv("LLMROUTE_DATA_DIR", str(tmp_path / "data"))
    path = config_file()
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | ({"database": database} if database else {})))

    done = invoke("check", "--config", path)

    shown = shown.replace("DATA", str(tmp_path / "data"))
    assert f"database: {shown}" in done.stdout.splitlines()
    assert not (tmp_path / "data").exists()


def test_every_problem_is_printed_a_line_each(invoke, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "deployments:\n  a: {provider: antropic}\naliases:\n  b: c\nserver: {prot: 1}\n"
    )

    done = invoke("check", "--config", path)

    assert 2 == done.exit_code
    assert "" == done.stdout
    lines = done.stderr.splitlines()
    assert 3 == len(lines)
    assert all(line.startswith(f"{path}:") for line in lines)
    assert "did you mean 'anthropic'?" in done.stderr
    assert "did you mean 'port'?" in done.stderr


def test_a_file_that_is_not_there_is_a_problem(invoke):
    done = invoke("check", "--config", "nowhere.yaml")

    assert (2, "nowhere.yaml: does not exist\n") == (done.exit_code, done.stderr)


def test_warnings_do_no_harm(invoke, tmp_path, upstream):
    path = tmp_path / "litellm.yaml"
    params = {"model": "anthropic/x", "api_base": upstream.url, "api_key": "k"}
    entry = {"model_name": "x", "litellm_params": params}
    path.write_text(json.dumps({"model_list": [entry], "callback_settings": {}}))

    done = invoke("check", "--config", path)

    assert 0 == done.exit_code
    assert done.stderr.startswith(f"warning: {path}:")
    assert done.stdout.startswith("OK: ")


def test_the_environment_alone_will_do(invoke, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")

    done = invoke("check")

    assert 0 == done.exit_code
    assert "found ANTHROPIC_API_KEY: claude-* goes to https://api.anthropic.com" in done.stderr
    assert "sk-canary" not in done.output


def test_live_asks_each_deployment_once_for_next_to_nothing(invoke, config_file, upstream):
    path = config_file(deployment={"model": "claude-opus-5-5"})
    done = invoke("check", "--live", "--config", path)

    assert 0 == done.exit_code
    asked = {r.json["model"]: r.json["max_tokens"] for r in upstream.requests}
    # Haiku 4.5 thinks by a budget, of which 1024 is the least.
    assert {"claude-opus-5-5": 1, "claude-haiku-4-5": 1025} == asked
    assert 2 == len(upstream.requests)
    assert ["main", "claude-opus-5-5", "200"] in [row[:3] for row in rows(done.stdout)]


def test_live_sends_what_claude_code_sends(invoke, config_file, upstream):
    path = config_file(deployment={"model": "claude-opus-5-5"})
    done = invoke("check", "--live", "--config", path)

    sent = next(r for r in upstream.requests if r.json["model"] == "claude-opus-5-5")
    assert {"per-turn-control-2026-07-01", "advanced-tool-use-2025-11-20"} < set(
        sent.header("anthropic-beta").split(",")
    )
    assert ("adaptive", "low", ["user", "system"], [None, True]) == (
        sent.json["thinking"]["type"],
        sent.json["output_config"]["effort"],
        [message["role"] for message in sent.json["messages"]],
        [tool.get("defer_loading") for tool in sent.json["tools"]],
    )
    assert ["main", "everything", "goes there as it is"] in rows(done.stdout)


@pytest.fixture
def clouds_file(tmp_path):
    """Run the clouds, and write a configuration that has one model on each."""
    with FakeBedrock() as bedrock, FakeFoundry() as foundry, FakeVertex() as vertex:
        vertex.tokens["ya29.given"] = float("inf")
        google = {"provider": "vertex", "base_url": vertex.url, "auth_token": "ya29.given"}
        google |= {"model": "claude-opus-5-5", "project": "fake-project"}
        keys = {"access_key_id": "AKIAFAKE", "secret_access_key": "fake-secret"}
        settings = {
            "deployments": {
                "aws": {
                    "provider": "bedrock",
                    "base_url": bedrock.url,
                    "model": "us.anthropic.claude-opus-5-5",
                    "region": "us-east-1",
                    **keys,
                },
                "azure": {
                    "provider": "foundry",
                    "base_url": foundry.url,
                    "api_key": "fake-key",
                    "model": "my-own",
                    "base_model": "claude-haiku-4-5",
                },
                "google": google,
                "native": google | {"surface": "messages", "workspace_id": "wrkspc_fake"},
            },
            "aliases": {"opus": ["aws", "azure", "google", "native"]},
        }
        path = tmp_path / "clouds.yaml"
        path.write_text(json.dumps(settings))
        yield path, foundry, vertex


def test_live_shows_what_each_platform_does_not_get_to_see(invoke, clouds_file):
    done = invoke("check", "--live", "--config", clouds_file[0])

    assert 0 == done.exit_code
    shown = rows(done.stdout)
    assert ["200"] * 4 == [row[2] for row in shown if row[2:] and row[2] == "200"]
    renamed = "sent as tool-search-tool-2025-10-19"
    assert ["google", "anthropic-beta advanced-tool-use-2025-11-20", renamed] in shown
    assert ["aws", "messages[].output_config", "Bedrock does not take the beta it needs"] in shown
    assert ["azure", "everything", "goes there as it is"] in shown
    assert ["native", "everything", "goes there as it is"] in shown


@pytest.fixture
def vendors_file(tmp_path):
    """Run servers of several formats, and write a configuration that has a model on each."""
    with (
        FakeChat() as chat,
        FakeBedrock(api_key="bedrock-key") as bedrock,
        FakeUpstream() as messages,
        FakeUpstream() as other,
    ):
        other.on("POST", "/v1/messages", error(404))
        settings = {
            "deployments": {
                "grok": {"provider": "xai", "base_url": chat.url, "model": "grok-4"},
                "nova": {
                    "provider": "bedrock",
                    "base_url": bedrock.url,
                    "model": "us.amazon.nova-pro-v1:0",
                    "region": "us-east-1",
                    "api_key": "bedrock-key",
                },
                "deep": {"provider": "deepseek", "base_url": messages.url, "model": "deepseek-v4"},
                "local": {"provider": "lm_studio", "base_url": other.url, "model": "qwen"},
            },
            "aliases": {"any": ["grok", "nova", "deep", "local"]},
        }
        for vendor in ("grok", "deep"):
            settings["deployments"][vendor]["api_key"] = UPSTREAM_KEY
        path = tmp_path / "vendors.yaml"
        path.write_text(json.dumps(settings))
        yield path


def test_a_vendor_is_shown_by_its_own_name(invoke, vendors_file):
    shown = rows(invoke("check", "--config", vendors_file).stdout)

    assert [["grok", "xai"], ["nova", "bedrock"], ["deep", "deepseek"], ["local", "lm_studio"]] == [
        row[1:3] for row in shown if row[0] == "any"
    ]


def test_live_says_of_what_is_translated_that_it_does_not_go_as_it_is(invoke, vendors_file):
    shown = rows(invoke("check", "--live", "--config", vendors_file).stdout)

    said = "is translated; `llmroute explain` shows how"
    assert ["grok", "everything", said] in shown
    assert ["nova", "everything", said] in shown
    assert ["deep", "metadata", "DeepSeek does not take it"] in shown
    assert not [row for row in shown if row[0] == "deep" and row[-1] == said]


def test_live_tells_of_the_other_format_where_a_server_has_no_messages(invoke, vendors_file):
    done = invoke("check", "--live", "--config", vendors_file)

    assert 1 == done.exit_code
    assert "or have it asked by Chat Completions (`api: chat`)" in done.stdout


def test_live_shows_what_a_platform_has_just_refused(invoke, clouds_file):
    path, foundry, _ = clouds_file
    foundry.answer(
        error(400, message="metadata: Extra inputs are not permitted"),
        error(
            400,
            message="Unexpected value(s) `claude-code-20250219` for the `anthropic-beta` header",
        ),
    )
    done = invoke("check", "--live", "--config", path)

    assert 0 == done.exit_code
    azure = [row[1:] for row in rows(done.stdout) if row[0] == "azure"]
    assert ["metadata", "was refused"] in azure
    assert ["anthropic-beta claude-code-20250219", "was refused"] in azure


def test_a_deployment_that_takes_plain_requests_alone_answers(invoke, config_file, upstream):
    def picky(received):
        if "thinking" in received.json:
            return error(400, message="thinking: unknown field")
        return text("Hi.")

    upstream.answer_with(picky)
    done = invoke("check", "--live", "--config", config_file())

    assert 0 == done.exit_code
    said = [row for row in rows(done.stdout) if row[0] in {"main", "small"} and row[2] == "200"]
    assert 2 == len(said)
    assert all("takes a plain request" in row[4] for row in said)
    assert "thinking: unknown field" in done.stdout
    assert "everything" not in done.stdout


@pytest.mark.parametrize(
    ("answer", "status", "advice"),
    [
        pytest.param(error(401), "401", "check its api_key", id="key"),
        pytest.param(error(404), "404", "check its model", id="model"),
        pytest.param(error(429), "429", "its limit is reached", id="limit"),
        pytest.param(error(529), "529", "try again later", id="overloaded"),
        pytest.param(error(500), "500", "try again later", id="fault"),
    ],
)
def test_a_deployment_that_fails_is_an_exit_status_and_a_hint(
    invoke, config_file, upstream, answer, status, advice
):
    upstream.answer(answer)

    done = invoke("check", "--live", "--config", config_file())

    assert 1 == done.exit_code
    statuses = [row[2] for row in rows(done.stdout) if row[2:] and row[2].isdigit()]
    assert sorted([status, "200"]) == sorted(statuses)
    assert advice in done.stdout


def test_a_deployment_that_takes_no_request_at_all_is_an_exit_status(invoke, config_file, upstream):
    upstream.default = error(400)

    done = invoke("check", "--live", "--config", config_file())

    assert 1 == done.exit_code
    assert "no answer of a Messages API" in done.stdout


def test_a_deployment_that_is_not_there_is_reported(invoke, config_file):
    path = config_file(deployment={"base_url": "http://127.0.0.1:9"})

    done = invoke("check", "--live", "--config", path)

    assert 1 == done.exit_code
    assert "check its base_url and the network" in done.stdout


def rows(table):
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in table.splitlines()
        if line
    ]
