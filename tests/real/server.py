"""llama.cpp's own server with a model of ours, as a process."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.claude.gateway import free_port

KEY = "sk-local-canary-3"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_PATIENCE = 20.0


class LlamaServer:
    """A running server.

    Attributes:
        url: Without a path.
    """

    def __init__(
        self, program: Path, model: Path, folder: Path, *, context: int, shared: bool = False
    ) -> None:
        """Prepare one that has two slots, of `context` tokens each or of twice as many `shared`."""
        self._port = free_port()
        self._log = folder / f"llama-{self._port}.log"
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [
            str(program),
            *("--model", str(model), "--alias", "tiny"),
            *("--host", "127.0.0.1", "--port", str(self._port), "--api-key", KEY),
            *("--ctx-size", str(2 * context), "--parallel", "2"),
            "--kv-unified" if shared else "--no-kv-unified",
            # Two would wait for each other wherever the machine is busy.
            *("--threads", "1", "--seed", "1", "--cache-ram", "0"),
            *("--jinja", "--no-webui", "--offline", "--no-warmup"),
        ]

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self._log.parent)},
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
        assert self._process.poll() is None, f"the server ended by itself: {self.log[-3000:]}"
        self._stop()

    def ask(self, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
        """Ask without any proxy; return the status and what the answer decodes to."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, sent, {"x-api-key": key})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        kind = answer.getheader("content-type") or ""
        return answer.status, json.loads(text) if kind.startswith("application/json") else text

    def busy(self) -> int:
        """Count the slots in which an answer is being made."""
        status, slots = self.ask("/slots")
        assert 200 == status
        return sum(slot["is_processing"] for slot in slots)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            status = self._process.poll()
            assert status is None, f"the server ended with {status}: {self.log[-3000:]}"
            assert time.monotonic() < deadline, f"the server is not ready: {self.log[-3000:]}"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return self.ask("/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
