"""The real Claude Code on a model server that we did not write."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from tests.claude import install
from tests.claude.client import Machine
from tests.claude.gateway import Gateway
from tests.claude.journey import BEARER

from .conftest import config
from .model import CONTEXT, HELLO
from .server import LlamaServer

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

# The server reads a prompt of this client's at its own pace: in seconds alone, in a minute where
# the machine is busy.
_PATIENCE = 240.0


@pytest.mark.parametrize("way", ["messages", "chat"])
def test_a_tool_is_used_in_a_session(way: str, program: Path, weights: Path) -> None:
    # A short path, for the client binds a socket in it.
    with tempfile.TemporaryDirectory(prefix="real-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        machine = Machine(install.client(), folder)
        machine.wipe()
        with (
            LlamaServer(program, weights, folder, context=CONTEXT) as llama,
            Gateway("", folder, config(llama.url, way)) as gateway,
        ):
            arguments = ("-p", "Please script:bash", "--allowedTools", "Bash")
            run = machine.run(gateway.url, BEARER, *arguments, seconds=_PATIENCE)
            logs = (gateway.log, llama.log)

    said = str(run.events)
    assert (0, HELLO, []) == (run.status, run.result, run.retries)
    assert "six times 42" in said
    assert "Traceback" not in logs[0]
    assert "got exception" not in logs[1]
    assert run.events[-1]["usage"]["input_tokens"] > 0
