"""What is released: the metadata, the wheel, and the pinned requirements."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PINNED = sorted((ROOT / "requirements").glob("*.txt"))


def names(requirements):
    """Return the distributions named at the start of each of `requirements`, in lower case."""
    return {re.match(r"[\w.-]+", line)[0].lower() for line in requirements}


def pins(file):
    """Return every `name==version` of a requirements file."""
    text = (ROOT / "requirements" / file).read_text("utf-8")
    return set(re.findall(r"^([\w.-]+==[\w.]+)", text, re.MULTILINE))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel as `pip install .` would, with the build backend that is pinned."""
    into = tmp_path_factory.mktemp("wheel")
    build = f"import hatchling.build; print(hatchling.build.build_wheel({str(into)!r}))"
    command = [sys.executable, "-c", build]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=50)
    (path,) = into.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_both_packages_and_their_types(wheel):
    assert {
        "llmroute/__init__.py",
        "llmroute/py.typed",
        "llmroute_cli/__init__.py",
        "llmroute_cli/main.py",
    } <= set(wheel.namelist())


def test_the_wheel_holds_every_file_of_the_source(wheel):
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "egg-info" not in str(path)
    }

    assert set() == source - set(wheel.namelist())


def test_the_wheel_holds_nothing_but_packages_and_metadata(wheel):
    roots = {name.partition("/")[0] for name in wheel.namelist()}

    assert {"llmroute", "llmroute_cli", f"llmroute-{PROJECT['version']}.dist-info"} == roots


def test_the_wheel_carries_the_licence(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("/LICENSE")]

    assert b"MIT License" in wheel.read(name)


def test_the_installed_version_is_the_projects():
    assert PROJECT["version"] == metadata.version("llmroute")


def test_the_changelog_begins_with_the_version():
    newest = re.search(r"^## \[([^]]+)]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert PROJECT["version"] == newest[1]


def test_the_command_can_be_loaded():
    (command,) = metadata.entry_points(group="console_scripts", name="llmroute")

    assert callable(command.load())


def test_all_means_every_extra():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]

    assert extras.keys() - {"all"} == set(re.search(r"\[(.*)]", everything)[1].split(","))


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.stem)
def test_requirements_are_pinned_and_hashed(path):
    unwrapped = path.read_text("utf-8").replace("\\\n", "")
    wrong = [
        line
        for line in unwrapped.splitlines()
        if not re.match(r"[\w.-]+==[\w.]+( ; .*?)?( +--hash=sha256:[0-9a-f]{64})+$", line)
    ]

    assert [] == wrong


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.stem)
def test_requirements_name_no_index(path):
    text = path.read_text("utf-8")

    assert [] == re.findall(r"://|index-url|find-links|trusted-host", text)


def test_packages_from_npm_are_hashed_and_name_no_registry():
    text = (ROOT / "tests" / "clients" / "npm.json").read_text("utf-8")
    members = json.loads(text)["packages"]

    assert len(members) > 9
    assert set() == {name for name in members if "integrity" not in members[name]}
    assert "://" not in text


def test_everything_the_proxy_needs_is_pinned():
    extras = PROJECT["optional-dependencies"]
    run = {pin.partition("==")[0] for pin in pins("run.txt")}

    assert set() == names([*PROJECT["dependencies"], *extras["proxy"]]) - run


def test_tests_run_with_the_versions_that_users_get():
    assert set() == pins("run.txt") - pins("test.txt")
