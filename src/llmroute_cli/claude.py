"""`llmroute claude`: starts Claude Code wired to the running proxy, by its environment only."""

from __future__ import annotations

import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from llmroute_cli.configuration import fail
from llmroute_cli.env import NO_KEY, settings
from llmroute_cli.running import Running, running

__all__ = ["claude"]

# Each would take Claude Code past the proxy, or present a second credential to it.
_IN_THE_WAY = (
    "ANTHROPIC_API_KEY",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_VERTEX",
)
_PATIENCE = 5.0  # seconds


def claude(path: Path | None, url: str | None, arguments: Sequence[str]) -> None:
    """Become Claude Code.

    Raises:
        typer.Exit: There is no `claude`, no proxy, or the proxy refuses the key.
    """
    program = shutil.which("claude")
    if program is None:
        raise fail(
            "There is no `claude` on the PATH. Install Claude Code: "
            "npm install -g @anthropic-ai/claude-code"
        )
    proxy = running(path, url)
    _check(proxy)
    environ = {name: value for name, value in os.environ.items() if name not in _IN_THE_WAY}
    environ |= {
        "ANTHROPIC_BASE_URL": proxy.url,
        "ANTHROPIC_AUTH_TOKEN": proxy.key or NO_KEY,
        **settings(proxy),
    }
    sys.stdout.flush()
    os.execve(program, [program, *arguments], environ)  # noqa: S606 - no shell is wanted


def _check(proxy: Running) -> None:
    try:
        if _status(f"{proxy.url}/health", None) != 200:
            raise fail(f"What answers at {proxy.url} is no llmroute proxy.", 1)
        if _status(f"{proxy.url}/v1/models", proxy.key or NO_KEY) == 401:
            variable = proxy.variable or "LLMROUTE_MASTER_KEY"
            raise fail(
                f"The proxy at {proxy.url} refuses the key: set {variable} to its master key.", 1
            )
    except (OSError, ValueError):
        raise fail(
            f"No proxy answers at {proxy.url}. Start one with `llmroute serve`, or say where it "
            "is with --url.",
            1,
        ) from None


def _status(url: str, key: str | None) -> int:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the user's own address
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - likewise
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
