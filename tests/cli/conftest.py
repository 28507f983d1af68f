"""A proxy as its users run it, in front of an upstream that does what a test says."""

import json

import pytest
from typer.testing import CliRunner

from llmroute.testing import FakeUpstream
from llmroute_cli.main import app

from .program import MASTER_KEY, UPSTREAM_KEY, Program, Served


@pytest.fixture
def upstream():
    with FakeUpstream(api_key=UPSTREAM_KEY) as fake:
        yield fake


@pytest.fixture
def config_file(tmp_path, upstream):
    """Write a configuration with the upstream behind `claude-*` and `fast`."""

    def write(name="llmroute.yaml", deployment=None, **server):
        account = {"provider": "anthropic", "base_url": upstream.url, "api_key": UPSTREAM_KEY}
        settings = {
            "deployments": {
                "main": account | (deployment or {}),
                "small": account | {"model": "claude-haiku-4-5"},
            },
            "aliases": {"claude-*": "main", "fast": ["small", "main"]},
            "server": {"master_key": MASTER_KEY, "port": 0, **server},
        }
        if settings["server"]["master_key"] is None:
            del settings["server"]["master_key"]
        path = tmp_path / name
        path.write_text(json.dumps(settings))  # JSON is YAML
        return path

    return write


@pytest.fixture
def other_models(tmp_path):
    """Write a configuration with a model that is no Claude, and perhaps a judge of its tool calls.

    Nothing is sent to them.
    """

    def write(classifier=None, **server):
        settings = {
            "deployments": {
                "claude": {"provider": "anthropic", "api_key": UPSTREAM_KEY},
                "gpt": {"provider": "openai", "model": "gpt-6", "api_key": UPSTREAM_KEY},
            },
            "aliases": {"claude-*": "claude", "gpt": "gpt"},
            "routing": {"safeguards": {"classifier": classifier}} if classifier else {},
            "server": {"master_key": MASTER_KEY, **server},
        }
        path = tmp_path / "other.yaml"
        path.write_text(json.dumps(settings))
        return path

    return write


@pytest.fixture
def programs():
    """Collect the programs of a test, to be ended with it."""
    started = []
    yield started
    for program in started:
        program.close()


@pytest.fixture
def run(programs, tmp_path):
    """Run `llmroute` with arguments and nothing of our environment."""

    def start(*arguments, **environ):
        programs.append(Program([str(each) for each in arguments], environ, tmp_path))
        return programs[-1]

    return start


@pytest.fixture
def serve(programs, config_file, tmp_path):
    """Run `llmroute serve` with a configuration."""

    def start(*arguments, **server):
        command = ["serve", "--config", str(config_file(**server)), *arguments]
        programs.append(Served(command, {}, tmp_path))
        return programs[-1]

    return start


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Call `llmroute` in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)

    return call
