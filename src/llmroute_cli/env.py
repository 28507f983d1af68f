"""`llmroute env`: what Claude Code needs in its environment to use the proxy."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import typer

from llmroute.router.reviewers import NOBODY, judges
from llmroute_cli.configuration import find, say
from llmroute_cli.running import Running, running

__all__ = ["NO_KEY", "env", "settings"]

_SETTINGS = {
    # The proxy's list of models, in Claude Code's own.
    "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
    # Which session and which agent a request belongs to; the log shows it.
    "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1",
}
# The client's own check of what auto mode is about to do, in place of the upstream's.
_CHECKS_ITSELF = {"CLAUDE_CODE_AUTO_MODE_SERVER": "0"}
# Claude Code asks for a login unless it has some token.
NO_KEY = "local"


class _Form(NamedTuple):
    """How a shell sets a variable, refers to one, and quotes a value."""

    assignment: str
    reference: str
    quoted: Callable[[str], str]


_POSIX = _Form("export {}={}", '"${}"', shlex.quote)
_FORMS = {
    "fish": _Form(
        "set -gx {} {}",
        '"${}"',
        lambda value: "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'",
    ),
    "powershell": _Form(
        "$env:{} = {}", "$env:{}", lambda value: "'" + value.replace("'", "''") + "'"
    ),
    "cmd": _Form('set "{}={}"', "%{}%", str),
}


def env(path: Path | None, url: str | None, shell: str | None, *, show_key: bool) -> None:
    """Print the settings for a shell; without `show_key` the key only as a reference."""
    proxy = running(path, url)
    form = _FORMS.get(shell or _own_shell(), _POSIX)
    if proxy.is_open:
        token = form.quoted(NO_KEY)
        if find(path) is None:
            say("no master key is known here; if the proxy wants one, set LLMROUTE_MASTER_KEY")
    elif show_key and proxy.key is not None:
        token = form.quoted(proxy.key)
    else:
        token = form.reference.format(proxy.variable or "LLMROUTE_MASTER_KEY")
        if proxy.variable is None:
            hint = ", or use --show-key" if proxy.key else ""
            say(f"LLMROUTE_MASTER_KEY is not set: set it to the proxy's master key{hint}")
    typer.echo(form.assignment.format("ANTHROPIC_BASE_URL", form.quoted(proxy.url)))
    typer.echo(form.assignment.format("ANTHROPIC_AUTH_TOKEN", token))
    for name, value in settings(proxy).items():
        typer.echo(form.assignment.format(name, form.quoted(value)))


def settings(proxy: Running) -> dict[str, str]:
    """Return what Claude Code is told besides address and key; say why, where it is not usual."""
    unjudged = [] if proxy.config is None else judges(proxy.config).get(NOBODY, [])
    if not unjudged:
        return _SETTINGS
    say(
        f"auto mode: there is no classifier for the tool calls of {', '.join(unjudged)}, so "
        "Claude Code is told to check them itself; `safeguards` would name one"
    )
    return _SETTINGS | _CHECKS_ITSELF


def _own_shell() -> str:
    return Path(os.environ.get("SHELL", "powershell" if os.name == "nt" else "sh")).name
