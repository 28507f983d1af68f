"""The native dialect, and what both dialects have in common: references, includes, anchors."""

import dataclasses

import pytest
from pydantic import ValidationError

from llmroute.config import load_dict, load_file
from llmroute.config.model import Alias, Hedge, Server
from llmroute.errors import Remedy
from llmroute.routing.plan import Policy
from llmroute.routing.remedies import Rule

WHOLE = """\
deployments:
  direct:
    provider: anthropic
    model: claude-sonnet-5
    api_key: ${KEY}
    headers: {x-team: "a ${TEAM}"}
    timeout: ${SECONDS}
  local:
    provider: anthropic
    base_url: http://localhost:11434/
  login:
    provider: anthropic
    forward_client_auth: true
aliases:
  sonnet: direct
  claude-*: [direct, login]
  best:
    deployments: [direct, local]
    strategy: least_busy
    fallbacks: claude-opus-5
    when_too_long: [sonnet, claude-opus-5]
    when_refused: sonnet
    affinity: false
    timeout: 1
    stream_timeout: 2
    silence_timeout: 3
    total_timeout: 4
    hedge: {after: 5, max_tokens: 6, max_input_tokens: 7, max_cost: 8, max_share: 0.9}
    hidden: true
    display_name: Best
    description: The best there is
    max_input_tokens: 200000
    max_output_tokens: 64000
routing:
  strategy: weighted
  affinity: false
  waiting: 0.5
  retries: 1
  backoff: 0.1
  longest_backoff: 3
  patience: 2
  cooldown: 9
  longest_cooldown: 90
  allowed_failures: 4
  errors:
    model_on_fire: nothing
    overloaded_error: {remedy: elsewhere, cooldown: 7}
    "409": {remedy: time}
server:
  host: 0.0.0.0
  port: 8080
  master_key: ${file:master}
  max_body_bytes: 1000
  ping_after: 5
  drain: 3
  log: json
"""
ENVIRON = {"KEY": "sk-ant-1", "TEAM": "b", "SECONDS": "30"}


@pytest.fixture
def config(tmp_path):
    (tmp_path / "c.yaml").write_text(WHOLE)
    (tmp_path / "master").write_text("  sk-master\n")
    return load_file(tmp_path / "c.yaml", ENVIRON)


def minimal(**more):
    deployment = {"provider": "anthropic", "api_key": "k", **more}
    return {"deployments": {"a": deployment}, "aliases": {"a": "a"}}


def test_deployments_are_as_written(config):
    direct = config.deployments["direct"]

    assert ["direct", "local", "login"] == list(config.deployments)
    assert "claude-sonnet-5" == direct.model
    assert "sk-ant-1" == direct.api_key.get_secret_value()
    assert {"x-team": "a b"} == direct.headers
    assert 30.0 == direct.timeout
    assert "http://localhost:11434" == config.deployments["local"].base_url
    assert config.deployments["login"].forward_client_auth


def test_an_alias_is_a_name_a_list_or_settings(config):
    assert {
        "sonnet": Alias(deployments=("direct",), strategy="weighted"),
        "claude-*": Alias(deployments=("direct", "login"), strategy="weighted"),
        "best": Alias(
            deployments=("direct", "local"),
            strategy="least_busy",
            fallbacks=("claude-opus-5",),
            when_too_long=("sonnet", "claude-opus-5"),
            when_refused=("sonnet",),
            affinity=False,
            timeout=1,
            stream_timeout=2,
            silence_timeout=3,
            total_timeout=4,
            hedge=Hedge(after=5, max_tokens=6, max_input_tokens=7, max_cost=8, max_share=0.9),
            hidden=True,
            display_name="Best",
            description="The best there is",
            max_input_tokens=200_000,
            max_output_tokens=64_000,
        ),
    } == config.aliases


def test_limits_of_a_deployment_are_as_written():
    config = load_dict(
        minimal(rpm=1, tpm=2, max_parallel_requests=3, total_timeout=4, silence_timeout=5), {}
    )
    a = config.deployments["a"]

    assert (1, 2, 3) == (a.rpm, a.tpm, a.max_parallel_requests)
    assert (4.0, 5.0) == (a.total_timeout, a.silence_timeout)
    assert () == config.warnings


def test_several_keys_make_several_deployments():
    data = minimal(model="m", rpm=9)
    data["deployments"]["b"] = {"provider": "anthropic", "api_keys": ["${KEY}", "l"], "order": 2}
    data["aliases"] = {"x": ["b", "a"], "y": "b"}
    config = load_dict(data, ENVIRON)

    keys = {n: d.api_key.get_secret_value() for n, d in config.deployments.items()}
    assert {"a": "k", "b#1": "sk-ant-1", "b#2": "l"} == keys
    assert {2} == {config.deployments[name].order for name in ("b#1", "b#2")}
    assert {()} == {d.api_keys for d in config.deployments.values()}
    assert {"b#1": "b", "b#2": "b"} == config.groups
    assert ("b#1", "b#2", "a") == config.aliases["x"].deployments
    assert ("b#1", "b#2") == config.aliases["y"].deployments


def test_a_key_that_is_listed_twice_gives_a_warning():
    data = minimal()
    data["deployments"]["a"] = {"provider": "anthropic", "api_keys": ["${KEY}", "l", "sk-ant-1"]}
    config = load_dict(data, ENVIRON)

    assert ["a#1", "a#2", "a#3"] == list(config.deployments)
    assert [("deployments.a.api_keys[2]", "is in the list already")] == [
        (warning.path, warning.text) for warning in config.warnings
    ]


def test_aliases_may_fall_back_in_a_circle():
    data = minimal()
    data["aliases"] = {
        "x": {"deployments": "a", "fallbacks": "y"},
        "y": {"deployments": "a", "fallbacks": "x"},
    }

    assert ("y",) == load_dict(data, {}).aliases["x"].fallbacks


@pytest.mark.parametrize(
    "store",
    [
        "redis://cache",
        "redis://:secret@cache:6379/1",
        "rediss://user:secret@[::1]:6380",
        "unix:///run/redis.sock",
    ],
)
def test_what_proxies_know_may_be_shared(store):
    config = load_dict(minimal() | {"store": "${STORE}", "store_prefix": "p:"}, {"STORE": store})

    assert store == config.store.get_secret_value()
    assert "p:" == config.store_prefix
    assert "secret" not in repr(config)


def test_nothing_is_shared_unless_that_is_asked_for():
    config = load_dict(minimal(), {})

    assert (None, "llmroute:") == (config.store, config.store_prefix)


def test_routing_and_server_are_as_written(config):
    assert (
        Policy(
            affinity=False,
            waiting=0.5,
            retries=1,
            backoff=0.1,
            longest_backoff=3,
            patience=2,
            cooldown=9,
            longest_cooldown=90,
            allowed_failures=4,
            errors={
                "model_on_fire": Rule(Remedy.NOTHING),
                "overloaded_error": Rule(Remedy.ELSEWHERE, 7.0),
                "409": Rule(Remedy.TIME),
            },
        )
        == config.policy
    )
    assert (
        Server(
            host="0.0.0.0",
            port=8080,
            master_key="sk-master",
            max_body_bytes=1000,
            ping_after=5,
            drain=3,
            log="json",
        )
        == config.server
    )


def test_defaults_are_those_of_the_parts():
    config = load_dict(minimal(), {})

    assert Policy() == config.policy
    assert Server() == config.server
    assert ("127.0.0.1", 4000, 33_554_432) == (
        config.server.host,
        config.server.port,
        config.server.max_body_bytes,
    )
    assert "<dict>" == config.source


def test_a_config_never_changes(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.source = "x"
    with pytest.raises(TypeError):
        config.aliases["x"] = Alias(deployments=("direct",))
    with pytest.raises(ValidationError):
        config.server.port = 1


def test_a_dict_is_not_changed_by_loading():
    data = minimal(headers={"x": "${KEY}"})

    load_dict(data, ENVIRON)

    assert minimal(headers={"x": "${KEY}"}) == data


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("os.environ/KEY", "sk-ant-1", id="whole"),
        pytest.param("${KEY}", "sk-ant-1", id="braces"),
        pytest.param("a ${TEAM} c ${TEAM}", "a b c b", id="inside"),
        pytest.param("a os.environ/KEY", "a os.environ/KEY", id="whole only"),
        pytest.param("$${KEY}", "${KEY}", id="escaped"),
        pytest.param("$KEY", "$KEY", id="no braces"),
        pytest.param("a${EMPTY}b", "ab", id="empty inside"),
        pytest.param("${NESTED}", "${KEY}", id="values are not expanded"),
    ],
)
def test_references_are_replaced(value, expected):
    environ = {**ENVIRON, "EMPTY": "", "NESTED": "${KEY}"}
    config = load_dict(minimal(headers={"x": value}, extra_body={"y": [value]}), environ)

    assert {"x": expected} == config.deployments["a"].headers
    assert {"y": [expected]} == config.deployments["a"].extra_body


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"LITELLM_MASTER_KEY": "b"}, "b", id="litellm"),
        pytest.param({"LITELLM_MASTER_KEY": "b", "LLMROUTE_MASTER_KEY": "a"}, "a", id="both"),
    ],
)
def test_the_master_key_may_stand_in_the_environment(environ, expected):
    key = load_dict(minimal(), environ).server.master_key

    assert expected == (key and key.get_secret_value())


def test_the_files_master_key_stands_above_the_environments():
    data = minimal() | {"server": {"master_key": "file"}}
    key = load_dict(data, {"LLMROUTE_MASTER_KEY": "environment"}).server.master_key

    assert "file" == key.get_secret_value()


def test_included_files_are_merged(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "c.yaml").write_text(
        "include: [more/one.yaml]\ndeployments:\n  a: {provider: anthropic, api_key: k}\n"
        "aliases: {a: a}\n"
    )
    (tmp_path / "more/one.yaml").write_text(
        "include: two.yaml\ndeployments:\n  b: {provider: anthropic, api_key: k}\nrouting:\n"
    )
    (tmp_path / "more/two.yaml").write_text("aliases: {b: [a, b]}\nrouting: {retries: 3}\n")

    config = load_file(tmp_path / "c.yaml", {})

    assert ["a", "b"] == list(config.deployments)
    assert ("a", "b") == config.aliases["b"].deployments
    assert 3 == config.policy.retries


def test_every_file_that_was_read_is_named(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "c.yaml").write_text("include: [more/one.yaml]\naliases: {a: a, b: a}\n")
    (tmp_path / "more/one.yaml").write_text(
        "deployments:\n  a: {provider: anthropic, api_key: '${file:key}', "
        "headers: {x: '${file:key}'}}\n"
    )
    (tmp_path / "key").write_text("k\n")

    config = load_file(tmp_path / "c.yaml", {})

    assert tuple(str(tmp_path / name) for name in ("c.yaml", "more/one.yaml", "key")) == (
        config.files
    )
    assert () == load_dict(minimal(), {}).files


def test_anchors_and_merge_keys_work(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "\ufeffdeployments:\n"
        "  a: &a {provider: anthropic, api_key: k, timeout: 3, order: 1}\n"
        "  b: &b {timeout: 4, provider: anthropic}\n"
        "  c:\n    <<: [*b, *a]\n    order: 7\n"
        "aliases: {x: c}\n".replace("  b: &b {", "  b: &b {api_key: 2025-01-01, "),
        "utf-8",
    )

    config = load_file(tmp_path / "c.yaml", {})
    c = config.deployments["c"]

    assert ("2025-01-01", 4.0, 7) == (c.api_key.get_secret_value(), c.timeout, c.order)
