"""The command line as a whole: help, version, wrong usage, and how quick it is to load."""

import subprocess
import sys

import pytest

import llmroute

from .program import PATIENCE, START

COMMANDS = [
    *("serve", "check", "test-model", "explain", "models", "providers", "status"),
    *("env", "claude", "demo", "pause", "resume", "audit"),
    *("keys", "teams", "budgets", "usage", "db"),
]
LIBRARY = {"anyio", "httpx", "llmroute", "msgspec", "pydantic", "rich", "uvicorn", "yaml"}


def test_help_names_every_command_and_cuts_none_of_its_words(invoke):
    done = invoke("--help")

    assert 0 == done.exit_code
    assert COMMANDS == [
        line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()
    ]
    assert "..." not in done.stdout.partition("Commands:\n")[2]


def test_without_a_command_it_prints_its_help(invoke):
    assert "Commands:" in invoke().output


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_without_colour(invoke, command):
    done = invoke(command, "--help")

    assert 0 == done.exit_code
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii()


def test_the_version_is_the_library_s(invoke):
    assert f"llmroute {llmroute.__version__}\n" == invoke("--version").stdout


def test_wrong_usage_is_status_2(invoke):
    done = invoke("serve", "--prot", "1")

    assert 2 == done.exit_code
    assert "--prot" in done.stderr


def test_help_loads_nothing_of_the_library():
    probe = (
        "import sys, llmroute_cli.main\n"
        "try: llmroute_cli.main.app(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], check=True, capture_output=True, text=True, timeout=PATIENCE
    )

    assert set() == LIBRARY & set(done.stdout.splitlines()[-1].split())


def test_the_entry_point_is_the_same_program():
    done = subprocess.run(
        [*START, "--version"], check=True, capture_output=True, text=True, timeout=PATIENCE
    )

    assert f"llmroute {llmroute.__version__}\n" == done.stdout


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        pytest.param("uvicorn", ["serve"], id="server"),
        pytest.param("httptools", ["demo"], id="parser"),
        pytest.param("sqlalchemy", ["keys", "list"], id="database"),
    ],
)
def test_without_the_extra_it_says_what_to_install(missing, command):
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from llmroute_cli.main import app; app({command!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert 2 == done.returncode
    assert (
        f"This needs {missing}, which is not installed: pip install 'llmroute[proxy]'\n"
        == done.stderr
    )
