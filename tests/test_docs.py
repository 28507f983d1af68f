"""What a user can set, type, read or scrape is named in the documents, and links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest
import typer.main
from markdown_it import MarkdownIt

import llmroute
import llmroute_cli.main
from llmroute.config.schema import json_schema

ROOT = Path(__file__).parent.parent
SOURCE = Path(llmroute.__file__).parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def named(text):
    """Return the words that stand in code, spans or blocks, of a page."""
    code = []
    for token in MarkdownIt().enable("table").parse(text):
        code += [token.content] if token.type in {"fence", "code_block"} else []
        code += [child.content for child in token.children or () if child.type == "code_inline"]
    return set(re.findall(r"[\w-]+", "\n".join(code)))


def settings(schema):
    """Return the name of every property in a JSON Schema."""
    names = set()
    match schema:
        case dict():
            properties = schema.get("properties")
            names |= set(properties) if isinstance(properties, dict) else set()
            names |= {name for part in schema.values() for name in settings(part)}
        case list():
            names |= {name for part in schema for name in settings(part)}
    return names


def options(command, path=("llmroute",)):
    """Yield each command line a user can begin: the command and one of its options."""
    for parameter in command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            yield from ((*path, option) for option in parameter.opts)
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield (*path, name)
            yield from options(inner, (*path, name))


def constants(paths, pattern):
    """Return the string and bytes constants in `paths` that match `pattern` as a whole."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Constant(value=str(text)):
                    pass
                case ast.Constant(value=bytes(data)):
                    text = data.decode("latin-1")
                case _:
                    continue
            found |= {text} if re.fullmatch(pattern, text) else set()
    return found


@pytest.fixture(scope="module")
def documented():
    return {word for page in PAGES for word in named(page.read_text("utf-8"))}


def test_every_setting_is_documented(documented):
    names = settings(json_schema())

    assert {"master_key", "model_list", "base_url"} <= names
    assert set() == names - documented


def test_every_command_and_option_is_documented(documented):
    lines = list(options(typer.main.get_command(llmroute_cli.main.app)))

    assert ("llmroute", "serve", "--config") in lines
    assert [] == [line for line in lines if line[-1] not in documented]


def test_every_header_is_documented(documented):
    headers = constants(SOURCE.rglob("*.py"), r"x-llmroute-[a-z-]+")

    assert "x-llmroute-deployment" in headers
    assert set() == headers - documented


def test_every_metric_is_documented(documented):
    metrics = constants(SOURCE.glob("observe/*.py"), r"llmroute_[a-z_]+")

    assert metrics
    assert set() == metrics - documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    files = [link.partition("#")[0] for link in links if "://" not in link]
    broken = [file for file in files if file and not (page.parent / file).exists()]

    assert [] == broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_one_sentence_takes_one_line(page):
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    # Not in tables, where there is but one line.
    lines = [line for line in prose.splitlines() if not line.startswith("|")]

    assert [] == [line for line in lines if re.search(r"[a-z)`]{2}\. +[A-Z]", line)]


def test_only_what_stands_in_code_counts_as_documented():
    page = "Prose on port.\n\n`server.host` and\n\n```yaml\nserver: {master_key: a}\n```\n"

    assert {"server", "host", "master_key", "a"} == named(page)


def test_settings_are_found_at_any_depth():
    schema = {
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"anyOf": [{"properties": {"b": {}}}, {"type": "null"}]}},
    }

    assert {"a", "b"} == settings(schema)


def test_constants_are_found_as_text_and_as_bytes(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("A = 'x-llmroute-a'\nB = [b'x-llmroute-b', 'not x-llmroute-c']\n")

    assert {"x-llmroute-a", "x-llmroute-b"} == constants([path], r"x-llmroute-[a-z-]+")
