"""The pinned server, its model, and one of each that runs for all tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest
from tests.claude.gateway import MASTER_KEY, Gateway

from . import install, model
from .server import KEY, LlamaServer


@pytest.fixture(scope="session")
def program() -> Path:
    """Build the server where it is missing; without it a test fails and is never skipped."""
    return install.program()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    model.make(path)
    return path


@pytest.fixture(scope="session")
def llama(
    program: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LlamaServer]:
    folder = tmp_path_factory.mktemp("llama")
    with LlamaServer(program, weights, folder, context=4096) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(llama: LlamaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The proxy, with the server behind it in both of its formats."""
    with Gateway("", tmp_path_factory.mktemp("gateway"), config(llama.url)) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def anthropics(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=MASTER_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def openais(gateway: Gateway) -> Iterator[openai.OpenAI]:
    url = f"{gateway.url}/v1"
    with openai.OpenAI(base_url=url, api_key=MASTER_KEY, max_retries=0) as client:
        yield client


def config(url: str, claude: str = "messages") -> str:
    """Name the server twice, and by which format Claude Code has it; JSON is YAML."""
    account = {"provider": "llama_cpp", "api_key": KEY, "base_url": url, "model": "tiny"}
    deployments = {
        "messages": account,
        "chat": {**account, "api": "chat", "base_url": f"{url}/v1"},
    }
    return json.dumps(
        {
            "deployments": deployments,
            "aliases": {"messages": "messages", "chat": "chat", "claude-*": claude},
            "routing": {"retries": 0},
            "server": {"master_key": "${LITELLM_MASTER_KEY}"},
        },
        indent=1,
    )
