"""Slots that share one cache, as llama.cpp's do by default, and more said than it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.claude.gateway import MASTER_KEY, Gateway

from .conftest import config
from .server import LlamaServer

pytestmark = pytest.mark.real

ENDLESS: Any = [{"role": "user", "content": "script:endless"}]
FULL = "Context size has been exceeded"


@pytest.fixture(scope="module")
def url(program: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("shared")
    with (
        LlamaServer(program, weights, folder, context=256, shared=True) as llama,
        Gateway("", folder, config(llama.url)) as gateway,
    ):
        yield gateway.url


def by_messages(url: str, alias: str) -> None:
    sdk = anthropic.Anthropic(base_url=url, api_key=MASTER_KEY, max_retries=0)
    with sdk, sdk.messages.stream(model=alias, max_tokens=4000, messages=ENDLESS) as stream:
        stream.get_final_message()


def by_chat(url: str, alias: str) -> None:
    sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=MASTER_KEY, max_retries=0)
    with sdk, sdk.chat.completions.stream(model=alias, messages=ENDLESS) as stream:
        stream.get_final_completion()


@pytest.mark.parametrize("alias", ["messages", "chat"])
@pytest.mark.parametrize(
    ("ask", "error"), [(by_messages, anthropic.APIStatusError), (by_chat, openai.APIError)]
)
def test_an_answer_that_finds_no_room_any_more_ends_in_an_error(
    url: str, alias: str, ask: Callable[[str, str], None], error: type[Exception]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, url, alias) for _ in range(2)]
        caught = [each.exception() for each in asked]

    found = [each for each in caught if each is not None]
    assert found
    assert all(isinstance(each, error) and FULL in str(each) for each in found), found
