"""Two proxies as their users run them, with one Redis between them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import MASTER_KEY, Served
from tests.stores.conftest import RealRedis

from llmroute.testing import FakeUpstream


class Upstreams(dict[str, FakeUpstream]):
    """By the deployment's name; each says its name."""

    def asked(self) -> dict[str, int]:
        """Return how many requests each has got."""
        return {name: len(upstream.requests) for name, upstream in self.items()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealRedis]:
    redis = RealRedis(tmp_path)
    try:
        redis.start()
        yield redis
    finally:
        redis.close()


@pytest.fixture
def upstreams() -> Iterator[Upstreams]:
    with FakeUpstream() as one, FakeUpstream() as two:
        one.default, two.default = "one", "two"
        yield Upstreams(one=one, two=two)


@pytest.fixture
def pair(
    server: RealRedis, upstreams: Upstreams, tmp_path: Path
) -> Iterator[Callable[..., list[Served]]]:
    """Return a function that runs two proxies with the same configuration."""
    started: list[Served] = []

    def start(one: dict[str, Any] | None = None, **routing: Any) -> list[Served]:
        deployments: dict[str, dict[str, Any]] = {
            name: {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
            for name, upstream in upstreams.items()
        }
        deployments["one"] |= one or {}
        config = {
            "store": server.url,
            "deployments": deployments,
            "aliases": {"any": [*deployments]},
            "routing": routing,
            "server": {"master_key": MASTER_KEY, "port": 0},
        }
        path = tmp_path / "llmroute.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        for _ in range(2):
            started.append(Served(["serve", "--config", str(path)], {}, tmp_path))
        return started

    yield start
    for program in started:
        program.close()
        # Shown by pytest where the test fails.
        sys.stdout.write(program.output)
        assert "Traceback" not in program.output
