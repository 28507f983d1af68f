"""The proxy as its users run it, in front of what breaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import Served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Mapping[str, Any]], Served]]:
    """Return a function that runs `llmroute serve` with a configuration."""
    started: list[Served] = []

    def start(config: Mapping[str, Any]) -> Served:
        path = tmp_path / "llmroute.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        started.append(Served(["serve", "--config", str(path)], {}, tmp_path))
        return started[-1]

    yield start
    for program in started:
        program.close()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return a function that prints a line although the test passes."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\nchaos: {line}\n")

    return write
