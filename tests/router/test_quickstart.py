"""LiteLLM's quickstart files answer as they are; the environment says where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import llmroute
from llmroute.config import Config, load_file
from llmroute.testing import FakeBedrock, FakeFoundry, FakeUpstream, FakeVertex, text
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[2] / "examples"
HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}


class Clouds(NamedTuple):
    """The upstreams, and the environment of a shell that has credentials for all of them."""

    anthropic: FakeUpstream
    bedrock: FakeBedrock
    foundry: FakeFoundry
    vertex: FakeVertex
    environ: dict[str, str]


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    with ExitStack() as stack:
        anthropic = stack.enter_context(FakeUpstream(api_key="sk-ant-1"))
        bedrock = stack.enter_context(FakeBedrock())
        foundry = stack.enter_context(FakeFoundry(deployments={"claude-opus-4-1"}))
        vertex = stack.enter_context(FakeVertex(project="my-test-project"))
        for name, fake in (
            ("anthropic", anthropic),
            ("bedrock", bedrock),
            ("foundry", foundry),
            ("vertex", vertex),
        ):
            fake.default = text(f"This is {name}.")
        file = tmp_path_factory.mktemp("google") / "service_account.json"
        file.write_text(json.dumps(vertex.service_account()))
        environ = {
            "ANTHROPIC_API_KEY": "sk-ant-1",
            "ANTHROPIC_API_BASE": anthropic.url,
            "AWS_ACCESS_KEY_ID": "AKIAFAKE",
            "AWS_SECRET_ACCESS_KEY": "fake-secret",
            "AWS_BEDROCK_RUNTIME_ENDPOINT": bedrock.url,
            "AZURE_AI_API_KEY": "fake-key",
            "AZURE_AI_API_BASE": f"{foundry.url}/anthropic",
            "VERTEX_FILE_PATH_ENV_VAR": str(file),
            "VERTEXAI_API_BASE": vertex.url,
            "LITELLM_MASTER_KEY": "sk-1234567890",
        }
        yield Clouds(anthropic, bedrock, foundry, vertex, environ)


@pytest.fixture(scope="module")
def configs(clouds: Clouds) -> dict[str, Config]:
    files = ("minimal", "bedrock", "multi-provider")
    return {file: load_file(FOLDER / f"{file}.yaml", clouds.environ) for file in files}


@pytest.mark.parametrize(
    ("file", "alias", "who"),
    [
        pytest.param("minimal", "claude-sonnet-4-5-20250929", "anthropic", id="minimal-sonnet"),
        pytest.param("minimal", "claude-haiku-4-5-20251001", "anthropic", id="minimal-haiku"),
        pytest.param("bedrock", "claude-sonnet-4-5-20250929", "bedrock", id="bedrock-sonnet"),
        pytest.param("bedrock", "claude-haiku-4-5-20251001", "bedrock", id="bedrock-haiku"),
        pytest.param(
            "multi-provider", "claude-3-5-sonnet-20241022", "anthropic", id="anthropic-sonnet"
        ),
        pytest.param(
            "multi-provider", "claude-3-5-haiku-20241022", "anthropic", id="anthropic-haiku"
        ),
        pytest.param("multi-provider", "claude-bedrock", "bedrock", id="bedrock"),
        pytest.param("multi-provider", "claude-4-azure", "foundry", id="foundry"),
        pytest.param("multi-provider", "anthropic-vertex", "vertex", id="vertex"),
    ],
)
async def test_every_alias_of_each_file_answers(
    configs: dict[str, Config], file: str, alias: str, who: str
) -> None:
    async with llmroute.Router(configs[file], transport=DirectTransport()) as router:
        answer = await router.complete(model=alias, **HELLO)
        async with router.stream(model=alias, **HELLO) as stream:
            streamed = await stream.message()
        count = await router.count_tokens(model=alias, messages=HELLO["messages"])

    assert (alias, f"This is {who}.") == (answer.model, answer.text)
    assert (alias, f"This is {who}.") == (streamed.model, streamed.text)
    assert 0 < count


async def test_the_project_and_the_location_are_those_of_the_file(
    clouds: Clouds, configs: dict[str, Config]
) -> None:
    async with llmroute.Router(configs["multi-provider"], transport=DirectTransport()) as router:
        await router.complete(model="anthropic-vertex", **HELLO)

    path = clouds.vertex.requests[-1].path
    assert path.startswith("/v1/projects/my-test-project/locations/us-east-1/publishers/anthropic/")
