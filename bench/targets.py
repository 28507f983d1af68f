"""What the requests go through: nothing, nginx, llmroute, or another gateway."""

from __future__ import annotations

import http.client
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import nginx
from bench.bodies import question
from bench.process import Process
from bench.upstream import BURST_DELTAS

__all__ = [
    "ANSWERS",
    "Target",
    "TargetError",
    "alias",
    "environ",
    "gateway",
    "proxy",
    "virtual_key",
]

ANSWERS = ("whole", "short", "burst", "paced")
MASTER_KEY = "sk-bench-master"
_READY_PATIENCE = 90.0


class TargetError(Exception):
    """A target does not start, or does not answer as it should."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go.

    Attributes:
        name: Its column in the results.
        port: On loopback.
        command: How it is started; empty for the upstream itself.
        gateway: Whether it resolves an alias and checks a key.  One that does not is told the
            answer by the path, as the upstream is.
        key: What is presented to it.
    """

    name: str
    port: int
    command: Sequence[str] = ()
    gateway: bool = False
    key: str = MASTER_KEY

    def start(self, core: int, folder: Path) -> tuple[Process, float]:
        """The running program, and the seconds it took to answer its first request.

        Raises:
            TargetError: It stopped, or did not answer in time.
        """
        started = time.perf_counter()
        log = folder / f"{self.name}.log"
        process = Process(self.command, core, environ=environ(folder), log=log)
        while time.perf_counter() < started + _READY_PATIENCE and process.running:
            try:
                status, _ = self.ask("whole")
            except OSError:
                time.sleep(0.005)
                continue
            if status == 200:
                return process, time.perf_counter() - started
            time.sleep(0.02)
        process.stop()
        last = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise TargetError(f"{self.name} does not get ready\n" + "\n".join(last))

    def check(self) -> None:
        """Ask once for each answer that ends.

        Raises:
            TargetError: One is not what the upstream sent.
        """
        for answer, deltas in (("whole", 0), ("short", 2), ("burst", BURST_DELTAS)):
            status, body = self.ask(answer)
            end = b"end_turn" if answer == "whole" else b"event: message_stop"
            if status != 200 or end not in body or body.count(b'"text_delta"') != deltas:
                raise TargetError(f"{self.name} answers {answer} with {status}: {body[-300:]!r}")

    def ask(self, answer: str) -> tuple[int, bytes]:
        """One request of its own connection: the status and the body."""
        body = question(alias(answer), stream=answer != "whole")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", self._path(answer), body, _fields(self.key))
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def request_head(self, answer: str, body_bytes: int) -> str:
        """The head of a request with a body of that length, as Claude Code writes it."""
        fields = {
            "Host": f"127.0.0.1:{self.port}",
            **_fields(self.key),
            "Content-Length": str(body_bytes),
        }
        lines = [f"POST {self._path(answer)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join(lines) + "\r\n\r\n"

    def _path(self, answer: str) -> str:
        return "/v1/messages?beta=true" if self.gateway else f"/{answer}/v1/messages?beta=true"


def alias(answer: str) -> str:
    """The model to ask for, to get that answer."""
    return f"claude-bench-{answer}"


def environ(folder: Path) -> dict[str, str]:
    """What a program under measurement sees of our environment: next to nothing."""
    return {
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
    }


def proxy(binary: str, upstream_port: int, folder: Path) -> Target:
    """The target `nginx`."""
    port = _free_port()
    file = folder / "nginx.conf"
    file.write_text(nginx.configuration(port, upstream_port, folder))
    command = (binary, "-e", "stderr", "-p", str(folder), "-c", str(file))
    return Target("nginx", port, command)


def gateway(
    name: str,
    command: str,
    upstream_port: int,
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    key: str = MASTER_KEY,
) -> Target:
    """A gateway that reads LiteLLM's dialect.

    Args:
        name: Its column.
        command: How it is started; `{config}` and `{port}` are replaced.
        upstream_port: What it relays to.
        folder: Where its files are.
        settings: Of `general_settings`, besides the master key.
        key: What is presented to it.
    """
    port = _free_port()
    file = folder / f"{name}.yaml"
    file.write_text(_configuration(upstream_port, settings or {}))
    filled = command.replace("{config}", shlex.quote(str(file))).replace("{port}", str(port))
    return Target(name, port, shlex.split(filled), gateway=True, key=key)


def virtual_key(command: str, upstream_port: int, folder: Path) -> str:
    """Make a key with a budget that nobody reaches, and return it.

    Args:
        command: Makes one; `{config}` is replaced.
        upstream_port: For the configuration.
        folder: Where its files are.

    Raises:
        TargetError: It was not made.
    """
    file = folder / "keys.yaml"
    file.write_text(_configuration(upstream_port, {}))
    filled = shlex.split(command.replace("{config}", shlex.quote(str(file))))
    made = subprocess.run(
        filled, env=environ(folder), capture_output=True, text=True, timeout=60, check=False
    )
    if made.returncode:
        raise TargetError(f"no key was made\n{made.stderr}")
    return made.stdout.strip()


def _configuration(upstream_port: int, settings: Mapping[str, str]) -> str:
    models = "".join(
        f"""
  - model_name: {alias(answer)}
    litellm_params:
      model: anthropic/bench-model
      api_base: http://127.0.0.1:{upstream_port}/{answer}
      api_key: sk-bench-upstream
      input_cost_per_token: 0.000003
      output_cost_per_token: 0.000015
      cache_read_input_token_cost: 0.0000003"""
        for answer in ANSWERS
    )
    general = "".join(f"  {name}: {value}\n" for name, value in settings.items())
    return f"model_list:{models}\ngeneral_settings:\n  master_key: {MASTER_KEY}\n{general}"


def _fields(key: str) -> Mapping[str, str]:
    return {
        "Accept": "application/json",
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "User-Agent": "claude-cli/2.1.330 (external, cli)",
        "X-Claude-Code-Session-Id": "7f1c5f3e-5b1c-4c39-9a53-0d9c7f1b2a10",
        "X-Stainless-Lang": "js",
        "X-Stainless-Package-Version": "0.128.0",
        "X-Stainless-Retry-Count": "0",
        "X-Stainless-Runtime": "node",
        "X-Stainless-Timeout": "600",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
        "anthropic-dangerous-direct-browser-access": "true",
        "anthropic-version": "2023-06-01",
        "x-app": "cli",
        "Connection": "keep-alive",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
