"""`llmroute serve` as its users run it: a process, a config file, a port."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

MASTER_KEY = "sk-gateway-canary-1"
UPSTREAM_KEY = "sk-upstream-canary-2"
ALIAS = "team-sonnet"
CLAUDE_ALIAS = "claude-of-the-team"
MODEL = "claude-sonnet-5-5"

LLMROUTE = str(Path(sys.executable).with_name("llmroute"))

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


def _config(upstream: str) -> str:
    """A file such as a team comes with; JSON is YAML."""
    account = {"api_key": "os.environ/TEAM_KEY", "api_base": upstream}
    models = {"claude-*": "claude-*", ALIAS: MODEL, CLAUDE_ALIAS: MODEL}
    return json.dumps(
        {
            "model_list": [
                {
                    "model_name": name,
                    "litellm_params": {"model": f"anthropic/{model}", **account},
                }
                for name, model in models.items()
            ],
            "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
        },
        indent=1,
    )


class Gateway:
    """A running proxy: in front of the Anthropic upstream at `upstream`, or as `config` says."""

    def __init__(self, upstream: str, folder: Path, config: str | None = None) -> None:
        self._config = config or _config(upstream)
        self._folder = folder
        self._log = folder / "gateway.log"
        self.url = f"http://127.0.0.1:{free_port()}"

    @property
    def log(self) -> str:
        """What the proxy has printed so far."""
        return self._log.read_text()

    def __enter__(self) -> Self:
        config = self._folder / "gateway.yaml"
        config.write_text(self._config)
        port = self.url.rpartition(":")[2]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [LLMROUTE, "serve", "--config", str(config), "--port", port],
                env={
                    "PATH": "/usr/local/bin:/usr/bin:/bin",
                    "HOME": str(self._folder),
                    "LITELLM_MASTER_KEY": MASTER_KEY,
                    "TEAM_KEY": UPSTREAM_KEY,
                },
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        # Shown by pytest where the test fails.
        sys.stdout.write(self.log)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            status = self._process.poll()
            assert status is None, f"the proxy ended with {status}: {self.log}"
            assert time.monotonic() < deadline, f"the proxy is not ready: {self.log}"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", "/health/readiness")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """Find a port below those the kernel lends to connections, so that none is lent this one."""
    while True:
        with socket.socket() as probe:
            # Not by `random`, which is seeded alike in tests that run side by side.
            port = 20000 + secrets.randbelow(10000)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
