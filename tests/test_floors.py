"""The house has floors: imports go down, never up, and below the line there is no I/O."""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

import llmroute

SOURCE = Path(llmroute.__file__).parent.parent


class Floor(NamedTuple):
    """Where a package stands, and the highest floor it may import from."""

    number: int
    reach: int


FLOORS = {
    "errors": Floor(0, -1),
    "wire": Floor(1, 0),
    "messages": Floor(2, 1),
    "platforms": Floor(3, 2),
    "translate": Floor(3, 2),
    "providers": Floor(4, 3),
    "pricing": Floor(3, 2),
    "routing": Floor(5, 3),
    "config": Floor(6, 5),
    "credentials": Floor(7, 4),
    "stores": Floor(7, 4),
    "transport": Floor(7, 4),
    "database": Floor(7, 4),
    "observe": Floor(8, 7),
    "accounts": Floor(9, 8),
    "usage": Floor(9, 8),
    "ledger": Floor(10, 9),
    "router": Floor(11, 10),
    "testing": Floor(11, 10),
    "sync": Floor(12, 11),
    "openai_format": Floor(12, 11),
    "asgi": Floor(12, 11),
    "": Floor(12, 12),  # llmroute/__init__.py, the public face
}
CLI = Floor(13, 12)

LAST_WITHOUT_IO = 6
IO_MODULES = {
    *("anyio", "asyncio", "concurrent", "http", "httpx", "multiprocessing", "os", "queue"),
    *("random", "secrets", "select", "selectors", "signal", "socket", "ssl", "subprocess"),
    *("threading", "time", "urllib.request", "uuid"),
}

# What is named in one place only, so that replacing it touches one place.
ONLY_IN = {
    "genai_prices": {"llmroute/pricing/_genai.py"},
    "httpx": {"llmroute/transport/httpx.py"},
    "httptools": {"llmroute/transport/_connection.py"},
    "os": {"llmroute/config/load.py"},  # of the floors without I/O: the default environment
}


def imported(tree: ast.AST, package: list[str]) -> set[str]:
    """Return every dotted name that `tree`, a module of `package`, imports, wherever it does."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=module, level=level):
                base = package[: len(package) + 1 - level] if level else []
                start = ".".join([*base, *filter(None, [module])])
                # `from a import b` may import the module `a.b`.
                names.update(f"{start}.{alias.name}" for alias in node.names)
            case ast.Call(
                func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                names.add(name)
    return names


def floor(name: str) -> Floor:
    """Return the floor of the dotted `name`, which is ours; names of no package are the face's."""
    root, *rest = name.split(".")
    return CLI if root == "llmroute_cli" else FLOORS.get(".".join(rest[:1]), FLOORS[""])


def offences(source: Path) -> list[str]:
    """Return every breach of the rules in the modules below `source`."""
    found = []
    for path in sorted(source.glob("llmroute*/**/*.py")):
        place = path.relative_to(source)
        package = list(place.parent.parts)
        module = [*package, *([] if path.stem == "__init__" else [path.stem])]
        if module[0] == "llmroute" and ".".join(module[1:2]) not in FLOORS:
            found.append(f"{place.as_posix()}: on no floor")
            continue
        names = imported(ast.parse(path.read_text("utf-8")), package)
        wrong = _wrong(place.as_posix(), ".".join(module), names)
        found += [f"{place.as_posix()}: {offence}" for offence in sorted(wrong)]
    return found


def _wrong(place: str, module: str, names: set[str]) -> set[str]:
    wrong = set()
    here = floor(module)
    own = {".".join(module.split(".")[: 1 if here == CLI else 2])} - {"llmroute"}
    for name in names:
        root, *rest = name.split(".")
        if root in {"llmroute", "llmroute_cli"} and not _among(name, own):
            if floor(name).number > here.reach:
                wrong.add(f"imports {name}, which is not below")
            if here == CLI and any(part.startswith("_") for part in rest):
                wrong.add(f"imports {name}, which is private")
        if here.number <= LAST_WITHOUT_IO and _among(name, IO_MODULES):
            if not (root == "os" and place in ONLY_IN["os"]):
                wrong.add(f"imports {name}, which does I/O")
        elif root in ONLY_IN.keys() - {"os"} and place not in ONLY_IN[root]:
            wrong.add(f"imports {name}, which has a place of its own")
    return wrong


def _among(name: str, modules: set[str]) -> bool:
    """Say whether `name` is one of `modules` or inside one."""
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


def test_imports_go_down():
    assert [] == offences(SOURCE)


def test_the_whole_house_is_inspected():
    inspected = {path.relative_to(SOURCE).parts[0] for path in SOURCE.glob("llmroute*/**/*.py")}

    assert {"llmroute", "llmroute_cli"} == inspected


@pytest.mark.parametrize(
    ("place", "source", "offence"),
    [
        pytest.param(
            "llmroute/wire/sse.py",
            "from llmroute.router import Router",
            "imports llmroute.router.Router, which is not below",
            id="upward",
        ),
        pytest.param(
            "llmroute/messages/call.py",
            "from ..config import Config",
            "imports llmroute.config.Config, which is not below",
            id="upward-and-relative",
        ),
        pytest.param(
            "llmroute/wire/sse.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import llmroute.router",
            "imports llmroute.router, which is not below",
            id="upward-for-types-only",
        ),
        pytest.param(
            "llmroute/routing/plan.py",
            "from llmroute.providers import PROVIDERS",
            "imports llmroute.providers.PROVIDERS, which is not below",
            id="downward-but-out-of-reach",
        ),
        pytest.param(
            "llmroute/asgi/app.py",
            "import llmroute.sync",
            "imports llmroute.sync, which is not below",
            id="sideways",
        ),
        pytest.param(
            "llmroute/router.py",
            "from llmroute import Message",
            "imports llmroute.Message, which is not below",
            id="the-public-face-from-inside",
        ),
        pytest.param(
            "llmroute/router.py",
            "import llmroute_cli.main",
            "imports llmroute_cli.main, which is not below",
            id="the-cli-from-the-library",
        ),
        pytest.param(
            "llmroute/routing/plan.py",
            "def now():\n    from time import monotonic\n    return monotonic()",
            "imports time.monotonic, which does I/O",
            id="a-clock-below-the-line",
        ),
        pytest.param(
            "llmroute/providers/anthropic.py",
            "import os.path",
            "imports os.path, which does I/O",
            id="the-environment-below-the-line",
        ),
        pytest.param(
            "llmroute/router.py",
            "import importlib\nimportlib.import_module('httpx')",
            "imports httpx, which has a place of its own",
            id="a-second-http-client",
        ),
        pytest.param(
            "llmroute/transport/pool.py",
            "import httptools",
            "imports httptools, which has a place of its own",
            id="a-second-parser",
        ),
        pytest.param(
            "llmroute_cli/check.py",
            "from llmroute.providers._base import Deployment",
            "imports llmroute.providers._base.Deployment, which is private",
            id="a-private-name-from-the-cli",
        ),
        pytest.param("llmroute/helpers.py", "", "on no floor", id="a-module-without-a-floor"),
    ],
)
def test_a_planted_offence_is_found(tmp_path, place, source, offence):
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(source)

    assert [f"{place}: {offence}"] == offences(tmp_path)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        pytest.param("llmroute/wire/sse.py", "from llmroute.errors import Problem", id="down"),
        pytest.param("llmroute/wire/sse.py", "from .headers import first", id="own-package"),
        pytest.param("llmroute/config/load.py", "import os", id="default-environment"),
        pytest.param("llmroute/transport/httpx.py", "import httpx", id="the-http-client"),
        pytest.param("llmroute/__init__.py", "from llmroute.router import Router", id="the-face"),
        pytest.param("llmroute_cli/main.py", "import typer\nfrom llmroute import Router", id="cli"),
        pytest.param("llmroute_cli/main.py", "from llmroute_cli._x import serve", id="cli-itself"),
    ],
)
def test_what_is_allowed_is_not_found(tmp_path, place, source):
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(source)

    assert [] == offences(tmp_path)
