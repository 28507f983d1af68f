"""One machine for the real client to live on, and what a run of it printed.

Two runs of the client are the same to the byte when home, folder, session and date are.  So a
machine is wiped between runs instead of being made anew: every path in a prompt stays as it was.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SESSION = "11111111-1111-4111-8111-111111111111"
_SECONDS = 60.0

# Onboarding done, and the device named, so that no run has anything to make up.
_SETTINGS = {"hasCompletedOnboarding": True, "userID": "0" * 63 + "1"}

# What two runs of the client against one upstream differ in, found by running it twice.
_VOLATILE = frozenset({"uuid", "timestamp", "run_id", "runId", "end_time", "messaging_socket_path"})
_SUBAGENT = re.compile(r"(?<![0-9a-f])a[0-9a-f]{16}(?![0-9a-f])")
_DURATION = re.compile(r"(duration_ms(?:: |>))\d+")
_TODAY = re.compile(r"(date is )\d{4}-\d\d-\d\d")
_UUID = re.compile(rf"(?!{SESSION})[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")


def steady(text: str) -> str:
    """Replace what the client makes up anew in each run: a subagent's name, a time, today."""
    text = _SUBAGENT.sub("subagent", text)
    text = _DURATION.sub(r"\g<1>0", text)
    return _TODAY.sub(r"\g<1>today", text)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run of the client.

    Attributes:
        events: What it printed, a JSON object a line.
        url: The base URL it was given.
        seconds: How long it took.
    """

    status: int
    events: tuple[dict[str, Any], ...]
    stderr: str
    url: str
    seconds: float

    @property
    def result(self) -> str:
        """The text a user is left with."""
        return str(self.events[-1]["result"])

    @property
    def retries(self) -> list[int | None]:
        """The status before each retry; `None` where there was no answer."""
        return [it["error_status"] for it in self.events if it.get("subtype") == "api_retry"]

    def printed(self) -> list[str]:
        """What was printed, less what differs between any two runs; the status comes last."""
        host = self.url.split("/")[2]
        lines = [json.dumps(_kept(event), sort_keys=True) for event in self.events]
        lines = [_UUID.sub("uuid", steady(line)) for line in [*lines, self.stderr]]
        return [*(line.replace(host, "gateway") for line in lines), f"exit {self.status}"]


def _kept(value: Any) -> Any:
    if isinstance(value, list):
        return [_kept(item) for item in value]
    if not isinstance(value, dict):
        return value
    # A message the client words itself gets an id of the client's own.
    is_own = value.get("model") == "<synthetic>"
    return {
        name: _kept(member)
        for name, member in value.items()
        if name not in _VOLATILE
        and not name.endswith(("_ms", "Ms"))
        and not (is_own and name == "id")
    }


class Machine:
    """A home, a folder to work in and nothing else: no setting of the real machine gets in."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self.folder = folder

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def wipe(self) -> None:
        """Make the machine as new."""
        for name in ("home", "work", "tmp"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        (self.home / ".claude.json").write_text(json.dumps(_SETTINGS))

    def run(
        self,
        url: str,
        env: Mapping[str, str],
        *arguments: str,
        launcher: Sequence[str] = (),
        seconds: float = _SECONDS,
    ) -> Run:
        """Run the client with `arguments` against `url`, and wait for it.

        A `launcher` is run in its place, and is to find it on the path.
        """
        program = launcher or [str(self._binary)]
        command = [*program, *arguments, "--output-format", "stream-json", "--verbose"]
        start = time.monotonic()
        process = subprocess.run(
            command,
            env={
                "PATH": f"{self._binary.parent}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.home),
                "TMPDIR": str(self.folder / "tmp"),
                "TERM": "dumb",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "ANTHROPIC_BASE_URL": url,
                **env,
            },
            cwd=self.folder / "work",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        took = time.monotonic() - start
        try:
            events = tuple(json.loads(line) for line in process.stdout.splitlines())
        except ValueError:
            raise AssertionError(f"not JSON: {process.stdout}\n{process.stderr}") from None
        assert events, f"nothing printed, exit {process.returncode}: {process.stderr}"
        return Run(process.returncode, events, process.stderr, url, took)
