"""The reference pages, generated: `python -m llmroute_cli.reference docs/reference` writes them."""

# ruff: noqa: E501 - a sentence of a page is one line

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main

from llmroute.config.model import Sharing
from llmroute.config.schema import cloud_schemas, json_schema
from llmroute_cli.main import app
from llmroute_cli.platforms_reference import platforms_reference
from llmroute_cli.providers_reference import providers_reference

__all__ = ["cli_reference", "config_reference", "config_schema", "pages"]

_INTRODUCTION = """\
# Configuration

<!-- Generated from the models; `make docs` writes it anew. -->

A configuration is a YAML file in one of two dialects.
A file with `deployments` and `aliases` is in the native one.
A file with a `model_list` is LiteLLM's, and works as it is.
Both come to the same; one file cannot mix them.

```yaml
deployments:
  sonnet:
    provider: anthropic
    model: claude-sonnet-4-5-20250929
    api_key: ${ANTHROPIC_API_KEY}
aliases:
  claude-sonnet-*: sonnet
server:
  master_key: ${LLMROUTE_MASTER_KEY}
```

`llmroute check` reports every problem at once, as `file:line: path: what is wrong`, and never shows a value.
A setting that is not known is a problem, and so is a variable that is not set.
[config.schema.json](config.schema.json) tells editors the same; name it in the file's first line as `# yaml-language-server: $schema=config.schema.json`.

## Values from elsewhere

Any text may stand outside the file, in both dialects.

| written | means |
|---|---|
| `${NAME}` | the environment variable, also inside a longer text |
| `os.environ/NAME` | the same, as the whole value |
| `${file:/path}` | what is in the file, without white space around it; a relative path starts at the configuration |
| `$${NAME}` | `${NAME}` itself |

## Several files

`include` is a list of further files, relative to the one that names them.
Their lists are appended and their mappings joined; a setting that stands in two of them is a problem.
"""

_KINDS = {
    "array": "list",
    "boolean": "`true` or `false`",
    "integer": "whole number",
    "number": "number",
    "object": "mapping",
    "string": "text",
}


_CLI_INTRODUCTION = """\
# Commands

<!-- Generated from the commands; `make docs` writes it anew. -->

Results go to stdout; problems, warnings and the log go to stderr.
The exit status is 0 if all is well, 1 if something that was tried failed, and 2 if the configuration or the command line is wrong.
`llmroute --version` prints the version, and `--help` after any command what stands here.

A command that takes `--config` finds the configuration by itself where it is left out: the file that `LLMROUTE_CONFIG` or `CONFIG_FILE_PATH` names, else `llmroute.yaml` or `config.yaml` in the current directory, else the provider keys in the environment.
"""


def cli_reference() -> str:
    """Return the page on the command line."""
    lines = list(_commands("", typer.main.get_command(app)))
    return "\n".join([_CLI_INTRODUCTION, *lines]).rstrip() + "\n"


def _commands(path: str, group: Any) -> Iterator[str]:
    """Describe the commands of a group, and those of the groups in it."""
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield from _command(f"{path}{name}", command)
            else:
                yield f"## `llmroute {path}{name}`\n"
                yield f"{command.help}\n"
            yield from _commands(f"{path}{name} ", command)
        else:
            yield from _command(f"{path}{name}", command)


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    yield f"## `llmroute {name}`\n"
    for paragraph in (command.help or "").split("\n\n"):
        # One sentence a line.
        yield re.sub(r"(?<=[.:]) +(?=[A-Z])", "\n", " ".join(paragraph.split())) + "\n"
    for argument in arguments:
        yield f"`{argument.metavar}`: {argument.help}\n"
    yield "| option | value | |"
    yield "|---|---|---|"
    for option in command.params:
        if option.param_type_name == "option":
            words = (*option.opts, *option.secondary_opts)
            names = ", ".join(f"`{name}`" for name in words)
            text = str(option.help or "").replace("|", "\\|")
            yield f"| {names} | {_value(option)} | {text} |"
    yield ""


def _value(option: Any) -> str:
    if option.is_flag:
        return ""
    # The commands name every value, for what typer would say of it depends on its version.
    return ", ".join(f"`{word}`" for word in option.metavar.split("|"))


def config_reference() -> str:
    """Return the page on configuration files."""
    return "\n".join([_INTRODUCTION, *_native(), *_litellm()]).rstrip() + "\n"


def config_schema() -> str:
    """Return the JSON Schema of configuration files."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def pages() -> dict[str, str]:
    """Return every generated page by its file's name."""
    return {
        "cli.md": cli_reference(),
        "config.md": config_reference(),
        "config.schema.json": config_schema(),
        "platforms.md": platforms_reference(),
        "providers.md": providers_reference(),
    }


def _native() -> Iterator[str]:
    top = json_schema()["properties"]
    yield "## The native dialect\n"
    yield "### `deployments.NAME`\n"
    yield "One way to serve a model; the name stands in logs, metrics and headers.\n"
    deployments = top["deployments"]["additionalProperties"]["anyOf"]
    first, *others = [deployment["properties"] for deployment in deployments]
    common = {n: s for n, s in first.items() if all(s == other.get(n) for other in others)}
    yield from _table({"properties": common})
    for deployment in deployments[:-1]:
        provider = deployment["properties"]["provider"]
        own = {n: s for n, s in deployment["properties"].items() if n not in common}
        yield f"With `provider: {provider['const']}`:\n"
        yield from _table({**deployment, "properties": own})
    yield "With the name of a vendor, as [Providers](providers.md) lists them, `provider` stands for one of the two above that are compatible, and the settings are those.\n"
    api = {"api": deployments[-1]["properties"]["api"]}
    yield from _table({"properties": api})
    yield "### `deployments.NAME.price`\n"
    yield "What the deployment costs, in place of what a price list says; [Cost](../concepts/prices.md) says how it is worked out."
    yield "`tiers` is a list, and `batch`, `fast`, `flex` and `priority` are blocks, of the same prices of tokens.\n"
    price = common["price"]
    yield from _table(price)
    yield "In `tiers`:\n"
    yield from _table(
        {
            "properties": {"above": price["properties"]["tiers"]["items"]["properties"]["above"]},
            "required": ["above"],
        }
    )
    yield "### `aliases.NAME`\n"
    yield "What callers may ask for: a name, or a pattern with one `*`."
    yield "The value is a deployment, a list of deployments in order of preference, or settings."
    yield "An exact name stands above a pattern, and a longer pattern above a shorter one.\n"
    alias = top["aliases"]["additionalProperties"]["anyOf"][-1]
    yield from _table(alias)
    yield "### `aliases.NAME.hedge`\n"
    yield "For short calls that are not streamed, and where another deployment could answer.\n"
    yield from _table(alias["properties"]["hedge"])
    yield "### `aliases.NAME.safeguards`\n"
    yield "For Claude Code's auto mode; in `routing` the same settings hold for every alias.\n"
    yield from _table(alias["properties"]["safeguards"])
    yield "### `routing`\n"
    yield from _table(top["routing"])
    yield "### `routing.errors.NAME`\n"
    yield "The name is an `error_code`, a `type` or a status of an upstream's error; the first of these that is named counts."
    yield "The value is a remedy, or settings.\n"
    rule = top["routing"]["properties"]["errors"]["additionalProperties"]["anyOf"][-1]
    yield from _table(rule)
    yield "### `server`\n"
    yield from _table(top["server"])
    yield from _accounts(top)
    yield from _watching(top)
    yield "### At the top\n"
    yield from _table({"properties": {name: top[name] for name in Sharing.model_fields}})


def _watching(top: Mapping[str, Any]) -> Iterator[str]:
    yield "### `telemetry`\n"
    yield "What an OpenTelemetry collector is told of every call; [Watching](../guides/observability.md) says what that is.\n"
    yield from _table(top["telemetry"])
    yield "### `logs.bodies`\n"
    yield "A file that requests and answers are written to: its path, or settings."
    yield "Nothing of them is written anywhere else, and nothing at all where this is left out.\n"
    yield from _table(top["logs"]["properties"]["bodies"]["anyOf"][-1])


def _accounts(top: Mapping[str, Any]) -> Iterator[str]:
    key, team = (top[name]["additionalProperties"] for name in ("keys", "teams"))
    yield "### `keys.NAME`\n"
    yield "A key that clients present beside the master key, under the name that records have for it; [Keys](../guides/keys.md) says how they are used."
    yield "Keys that `llmroute keys create` makes stand in the database, and need no place here.\n"
    yield from _table(key)
    yield "### `teams.NAME`\n"
    yield "People who share what they may.\n"
    yield from _table(team)
    yield "### `budgets[]`\n"
    yield "What all calls together may spend, each in its window of time; under a key or a team the same settings hold for that.\n"
    yield from _table(top["budgets"]["items"])
    yield "### `limits`\n"
    yield "How much all calls together may ask at a time; under a key or a team the same settings hold for that.\n"
    yield from _table(top["limits"])
    yield "### `guards`\n"
    yield f"{top['guards']['description']}\n"
    yield from _table(top["guards"])
    yield "### `usage`\n"
    yield f"{top['usage']['description']}\n"
    yield from _table(top["usage"])


def _litellm() -> Iterator[str]:
    top = json_schema()["properties"]
    entry = top["model_list"]["items"]
    params = entry["properties"]["litellm_params"]
    info = entry["properties"]["model_info"]
    yield "## LiteLLM's dialect\n"
    yield "What is ignored gives one warning each."
    yield "The proxy's host, port and the like have no place in such a file; they are options of `llmroute serve`.\n"
    yield "### `model_list[]`\n"
    yield from _table(entry)
    yield "### `model_list[].litellm_params`\n"
    clouds = cloud_schemas()
    theirs = {name for cloud in clouds.values() for name in cloud["properties"]}
    own = {n: s for n, s in params["properties"].items() if n not in theirs}
    yield from _table({**params, "properties": own})
    for name, cloud in clouds.items():
        yield f"With `model: {name}/…`:\n"
        yield from _table(cloud)
    yield "Settings of other providers are accepted, with a warning.\n"
    yield "### `model_list[].model_info`\n"
    yield "Notes of any other name are accepted, with a warning.\n"
    yield from _table(info)
    for name in ("litellm_settings", "router_settings", "general_settings"):
        yield f"### `{name}`\n"
        yield from _table(top[name])
    yield "### `credential_list[]`\n"
    yield from _table(top["credential_list"]["items"])
    yield "### `environment_variables`\n"
    yield "Variables by name; the rest of the file may refer to them, and they stand above the process's own.\n"
    yield "### At the top, ignored\n"
    yield from _ignored({name: part for name, part in top.items() if _is_ignored(part)})


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    settings = schema["properties"]
    required = set(schema.get("required", ()))
    yield "| setting | value | default | |"
    yield "|---|---|---|---|"
    for name, setting in settings.items():
        if not _is_ignored(setting):
            default = "required" if name in required else _default(setting)
            yield f"| `{name}` | {_kind(setting)} | {default} | {_text(setting)} |"
    yield ""
    ignored = {name: setting for name, setting in settings.items() if _is_ignored(setting)}
    if ignored:
        yield from _ignored(ignored)


def _ignored(settings: Mapping[str, Any]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for name, setting in settings.items():
        reasons.setdefault(_text(setting), []).append(f"`{name}`")
    yield "| without effect | |"
    yield "|---|---|"
    for reason, names in reasons.items():
        yield f"| {', '.join(names)} | {reason} |"
    yield ""


def _is_ignored(setting: Mapping[str, Any]) -> bool:
    return setting.keys() == {"description"}


def _text(setting: Mapping[str, Any]) -> str:
    return str(setting.get("description", "")).replace("|", "\\|")


def _default(setting: Mapping[str, Any]) -> str:
    default = setting.get("default")
    return "" if default in (None, [], {}) else f"`{json.dumps(default)}`"


def _kind(setting: Mapping[str, Any]) -> str:
    kinds = [kind for kind in setting.get("anyOf", [setting]) if not _is_reference(kind)]
    return " or ".join(dict.fromkeys(map(_one_kind, kinds)))


def _is_reference(kind: Mapping[str, Any]) -> bool:
    return str(kind.get("pattern", "")).startswith(r"^os\.environ/")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _one_kind(kind: Mapping[str, Any]) -> str:
    allowed = kind.get("enum") or ([kind["const"]] if "const" in kind else [])
    if allowed:
        return ", ".join(f"`{_shown(value)}`" for value in allowed)
    return _KINDS.get(kind.get("type", ""), "anything")


def _write(folder: Path) -> None:
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
