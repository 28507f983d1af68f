"""`llmroute env`: what Claude Code needs in its environment to use the proxy."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer

from llmroute_cli.configuration import say
from llmroute_cli.running import running

__all__ = ["NO_KEY", "SETTINGS", "env"]

SETTINGS = {
    # The proxy's list of models, in Claude Code's own.
    "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
    # Which session and which agent a request belongs to; the log shows it.
    "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1",
}
# Claude Code asks for a login unless it has some token.
NO_KEY = "local"


def env(path: Path | None, url: str | None, shell: str | None, *, show_key: bool) -> None:
    """Print the settings for a shell; without `show_key` the key only as a reference."""
    proxy = running(path, url)
    shell = shell or _own_shell()
    typer.echo(_line(shell, "ANTHROPIC_BASE_URL", _quoted(shell, proxy.url)))
    if proxy.is_open:
        token = NO_KEY
    elif show_key and proxy.key is not None:
        token = _quoted(shell, proxy.key)
    else:
        variable = proxy.variable or "LLMROUTE_MASTER_KEY"
        token = _reference(shell, variable)
        if proxy.variable is None:
            hint = " (or --show-key prints it)" if proxy.key else ""
            say(f"{variable} is not set: set it to the proxy's master key{hint}")
    typer.echo(_line(shell, "ANTHROPIC_AUTH_TOKEN", token))
    for name, value in SETTINGS.items():
        typer.echo(_line(shell, name, value))


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name in ("zsh", "fish", "sh"):
        return name
    return "powershell" if os.name == "nt" else "bash"


def _line(shell: str, name: str, value: str) -> str:
    match shell:
        case "fish":
            return f"set -gx {name} {value}"
        case "powershell":
            return f"$env:{name} = {value if value[0] in DELIMITERS else _quoted(shell, value)}"
        case "cmd":
            return f'set "{name}={value}"'
        case _:
            return f"export {name}={value}"


DELIMITERS = "'\"$"


def _reference(shell: str, variable: str) -> str:
    match shell:
        case "powershell":
            return f"$env:{variable}"
        case "cmd":
            return f"%{variable}%"
        case _:
            return f'"${variable}"'


def _quoted(shell: str, value: str) -> str:
    match shell:
        case "fish":
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
        case "powershell":
            return "'" + value.replace("'", "''") + "'"
        case "cmd":
            return value
        case _:
            return shlex.quote(value)
