"""`llmroute explain`: what would become of a request, without sending it."""

import json

import pytest
from typer.testing import CliRunner

from llmroute_cli.main import app

from .program import MASTER_KEY, UPSTREAM_KEY

HELLO = {
    "model": "claude-opus-5-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Hi " * 100}],
    "stream": True,
}
SPACED = json.dumps(HELLO, indent=3).encode()
HEADERS = [
    ["Authorization", f"Bearer {MASTER_KEY}"],
    ["Host", "127.0.0.1:4000"],
    ["X-Claude-Code-Session-Id", "session-canary"],
    ["anthropic-beta", "claude-code-20250219,effort-2025-11-24"],
    ["anthropic-version", "2023-06-01"],
]
TWO = """
deployments:
  first: {provider: anthropic, api_key: "${NO_SUCH_KEY_1}"}
  second: {provider: bedrock, region: eu-west-1, api_key: "${NO_SUCH_KEY_2}",
           model: eu.anthropic.claude-opus-5-5}
aliases:
  claude-*: [first, second]
  slow: second
"""


@pytest.fixture
def file(tmp_path):
    def write(content, name="request.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


@pytest.fixture
def two(file):
    return file(TWO.encode(), "two.yaml")


def recording(*bodies, path="/v1/messages", query="beta=true"):
    return {
        "client": "some client",
        "requests": [
            {"method": "POST", "path": path, "query": query, "headers": HEADERS, "body": body}
            for body in bodies
        ],
    }


def test_a_body_is_explained_without_any_credential(invoke, file, two):
    done = invoke("explain", file(SPACED), "--config", two)

    assert 0 == done.exit_code
    lines = done.stdout.splitlines()
    assert "alias      claude-*, a pattern that matches it" in lines
    assert [
        "1  first       anthropic  claude-opus-5-5               listed at place 1",
        "2  second      bedrock    eu.anthropic.claude-opus-5-5  listed at place 2",
    ] == lines[lines.index("") + 2 :][:2]
    assert "  POST https://api.anthropic.com/v1/messages" in lines
    assert "  x-api-key: ••••" in lines
    assert "  authorization: Bearer ••••" in lines
    assert "  changes  none: it goes there as it is" in lines
    assert "  changes  in the address: model, stream" in lines
    assert any(line.startswith("  cost     prompt $0.") for line in lines)
    assert any(line.startswith("  prices   ") for line in lines)
    assert "headers    none are known; a client's betas would be among them" in lines
    assert "NO_SUCH_KEY" not in done.output


def test_nothing_is_sent(invoke, file, config_file, upstream):
    done = invoke("explain", file(HELLO), "--config", config_file())

    assert 0 == done.exit_code
    assert [] == upstream.requests
    assert UPSTREAM_KEY not in done.output


def test_json_has_the_body_as_it_would_be_sent(invoke, file, two):
    done = invoke("explain", file(SPACED), "--config", two, "--json")

    assert 0 == done.exit_code
    assert SPACED in done.stdout_bytes
    page = json.loads(done.stdout)
    assert ("claude-*", "pattern", True) == (page["alias"], page["matched"], page["stream"])
    first, second = page["deployments"]
    assert HELLO == first["body"]
    assert ["x-api-key", "••••"] == first["headers"][-1]
    assert first["cost"]["answer"] > 0
    assert ["model", "stream"] == second["changes"]["removed"]


def test_the_body_can_be_printed_whole(invoke, file, two):
    body = {**HELLO, "model": "slow"}
    short = invoke("explain", file(body), "--config", two)
    whole = invoke("explain", file(body), "--config", two, "--body")

    assert "Hi " * 100 not in short.stdout
    assert "Hi " * 100 in whole.stdout


def test_a_recorded_request_brings_its_headers_and_its_session(invoke, file, two):
    done = invoke("explain", file(recording(HELLO)), "--config", two, "--json")

    page = json.loads(done.stdout)
    first = page["deployments"][0]
    assert first["url"].endswith("/v1/messages?beta=true")
    assert ["anthropic-beta", "claude-code-20250219,effort-2025-11-24"] in first["headers"]
    assert page["session"].startswith("s")
    assert MASTER_KEY not in done.output
    assert ["claude-code-20250219"] == page["deployments"][1]["changes"]["betas_removed"]


def test_one_of_several_recorded_requests_is_named(invoke, file, two):
    several = file(recording({**HELLO, "model": "slow"}, HELLO))
    first = invoke("explain", several, "--config", two)
    second = invoke("explain", several, "--config", two, "--number", 2)
    third = invoke("explain", several, "--config", two, "--number", 3)

    assert "asked for  slow" in first.stdout
    assert "request 1 of 2; --number names another" in first.stderr
    assert "asked for  claude-opus-5-5" in second.stdout
    assert 2 == third.exit_code
    assert "holds 2 requests" in third.stderr


def test_a_request_in_a_clouds_format_comes_in_by_its_own_door(invoke, file, two):
    body = {name: HELLO[name] for name in ("max_tokens", "messages")}
    body |= {"anthropic_version": "bedrock-2023-05-31"}
    path = "/model/eu.anthropic.claude-opus-5-5/invoke"
    done = invoke("explain", file(recording(body, path=path, query="")), "--config", two, "--json")

    page = json.loads(done.stdout)
    assert "claude-opus-5-5" == page["asked"]
    assert "claude-opus-5-5" == page["deployments"][0]["body"]["model"]


def test_a_token_count_costs_nothing(invoke, file, two):
    counted = recording(HELLO, path="/v1/messages/count_tokens")
    done = invoke("explain", file(counted), "--config", two)

    assert "a token count" in done.stdout.splitlines()[0]
    assert "  cost     nothing, as counting is free" in done.stdout.splitlines()


def test_another_alias_takes_the_place_of_the_requests_own(invoke, file, two):
    body = {name: value for name, value in HELLO.items() if name != "model"}
    done = invoke("explain", file(body), "--config", two, "--alias", "slow", "--json")

    page = json.loads(done.stdout)
    assert ("slow", "name") == (page["alias"], page["matched"])
    assert ["second"] == [each["deployment"] for each in page["deployments"]]


def test_what_is_not_bounded_has_no_price(invoke, file, two):
    body = {name: value for name, value in HELLO.items() if name != "max_tokens"}
    done = invoke("explain", file(body), "--config", two)

    assert "  cost     answer unknown, without max_tokens" in done.stdout.splitlines()


def test_a_deployment_is_shown_alone(invoke, file, two):
    body = file({**HELLO, "model": "gpt"})
    done = invoke("explain", body, "--config", two, "--deployment", "first", "--json")

    page = json.loads(done.stdout)
    assert "" == page["alias"]
    assert [("first", "gpt")] == [(e["deployment"], e["model"]) for e in page["deployments"]]
    assert page["deployments"][0]["cost"] is None


def test_the_request_may_come_from_stdin(two):
    done = CliRunner().invoke(app, ["explain", "-", "--config", str(two)], input=SPACED)

    assert 0 == done.exit_code
    assert "asked for  claude-opus-5-5" in done.stdout


def test_neither_a_file_nor_a_key_is_needed(invoke, file, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "LLMROUTE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    done = invoke("explain", file(HELLO))

    assert 0 == done.exit_code
    assert "as with ANTHROPIC_API_KEY set" in done.stderr
    assert "  x-api-key: ••••" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        pytest.param(b"no JSON", (), "is no Messages request", id="no-json"),
        pytest.param(b"\xff\xfe", (), "is no Messages request", id="no-text"),
        pytest.param({"model": "m"}, (), "it has no `messages`", id="no-messages"),
        pytest.param([], (), "holds no request", id="no-requests"),
        pytest.param({"messages": []}, (), "model: Field required", id="no-model"),
        pytest.param({**HELLO, "model": "gpt"}, (), "model not found: gpt", id="no-alias"),
        pytest.param(HELLO, ("--deployment", "x"), "is called x", id="no-deployment"),
        pytest.param(HELLO, ("--alias", "a", "--deployment", "b"), "exclude", id="both"),
        pytest.param(recording(HELLO, path="/v1/files"), (), "/v1/files", id="no-door"),
        pytest.param(HELLO, ("--config", "none.yaml"), "does not exist", id="no-config"),
    ],
)
def test_what_cannot_be_explained_is_an_exit_status(invoke, file, two, content, arguments, said):
    config = () if "--config" in arguments else ("--config", two)
    done = invoke("explain", file(content), *config, *arguments)

    assert 2 == done.exit_code
    assert said in done.stderr
    assert "" == done.stdout


def test_a_file_that_is_not_there_is_an_exit_status(invoke, two, tmp_path):
    done = invoke("explain", tmp_path / "none.json", "--config", two)

    assert 2 == done.exit_code
    assert "No such file" in done.stderr


def test_it_says_who_would_judge_the_tool_calls(invoke, file, other_models):
    asking = {**HELLO, "model": "gpt", "safeguards": [{"type": "dangerous_tool_use"}]}
    command = ("explain", file(asking), "--config", other_models("claude-haiku-5-5"))
    line = "  auto mode  tool calls are judged by claude-haiku-5-5, within 20 s"

    assert line in invoke(*command).stdout.splitlines()
    (deployment,) = json.loads(invoke(*command, "--json").stdout)["deployments"]
    assert "claude-haiku-5-5, within 20 s" == deployment["reviewed_by"]


def test_it_says_nothing_of_that_where_it_is_not_asked_for(invoke, file, other_models):
    done = invoke("explain", file({**HELLO, "model": "gpt"}), "--config", other_models())

    assert "auto mode" not in done.stdout
