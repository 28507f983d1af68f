"""A router that is used, or answered, as it should not be."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
import llmroute.sync
from llmroute.testing import FakeUpstream, raw

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
JSON = ("content-type", "application/json")


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


def config_for(url: str) -> dict[str, Any]:
    one = {"provider": "anthropic", "base_url": url, "api_key": "k"}
    return {"deployments": {"one": one}, "aliases": {"claude-*": "one"}}


# What the loops that are gone have left open is the garbage collector's, which tells of it here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_one_router_serves_one_event_loop_after_another(upstream: FakeUpstream) -> None:
    router = llmroute.Router.from_dict(config_for(upstream.url))

    texts = [asyncio.run(router.complete(model="claude-x", **HELLO)).text for _ in range(3)]

    assert 3 == len(texts) == len(upstream.requests)
    del router
    gc.collect()


@pytest.mark.parametrize(
    "end", [pytest.param("", id="end"), pytest.param("raise SystemExit(3)", id="exit")]
)
def test_a_program_that_forgets_to_close_its_router_ends_all_the_same(
    upstream: FakeUpstream, end: str
) -> None:
    program = (
        "from llmroute.sync import Router\n"
        f"router = Router.from_dict({config_for(upstream.url)!r})\n"
        f"print(len(router.complete(model='claude-x', **{HELLO!r}).text) > 0)\n{end}\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=30, check=False
    )

    assert (3 if end else 0, b"True\n", b"") == (ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"x": "a\r\nb: c"}, id="line-break"),
        pytest.param({"x": "a\0"}, id="zero-byte"),
        pytest.param({"x y": "a"}, id="name"),
        pytest.param({"": "a"}, id="no-name"),
        pytest.param({"x": "☃"}, id="not-latin-1"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(
    upstream: FakeUpstream, headers: dict[str, str]
) -> None:
    router = llmroute.sync.Router.from_dict(config_for(upstream.url))
    with router, pytest.raises(llmroute.InvalidRequestError, match="headers: "):
        router.complete(model="claude-x", headers=headers, **HELLO)

    assert [] == upstream.requests


def test_an_answer_that_cannot_be_decoded_is_the_upstream_s_fault(upstream: FakeUpstream) -> None:
    upstream.answer(raw(200, [JSON], b'{"model": "m", "content": "\xff"}'))

    router = llmroute.sync.Router.from_dict(config_for(upstream.url))
    with router, pytest.raises(llmroute.FaultError) as caught:
        router.complete(model="claude-x", **HELLO)

    assert ("one", 1) == (caught.value.deployment, caught.value.attempts)


@pytest.mark.parametrize("body", [b"{}", b'{"input_tokens": null}', b'{"input_tokens": "x"}'])
def test_a_count_that_is_none_is_the_upstream_s_fault(upstream: FakeUpstream, body: bytes) -> None:
    upstream.on("POST", "/v1/messages/count_tokens", raw(200, [JSON], body))

    router = llmroute.sync.Router.from_dict(config_for(upstream.url))
    with router, pytest.raises(llmroute.FaultError, match="input_tokens"):
        router.count_tokens(model="claude-x", messages=HELLO["messages"])
