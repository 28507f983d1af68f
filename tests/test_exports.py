"""The public surface cannot change by accident."""

import ast
import importlib
import inspect
import pkgutil

import pytest

import llmroute

PUBLIC = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(llmroute.__path__, "llmroute.")
    if not any(part.startswith("_") for part in name.split("."))
)


def defined(source):
    """Return the names without underscore that the module's own top-level statements define."""
    names = set()
    for node in ast.parse(source).body:
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                names.add(name)
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
                pass  # its name is nobody's business
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", ["llmroute", *PUBLIC])
def test_all_lists_what_is_public(name):
    module = importlib.import_module(name)
    own = defined(inspect.getsource(module))
    listed = set(getattr(module, "__all__", ()))

    assert set() == own - listed
    assert set() == listed - set(dir(module))
    if not hasattr(module, "__path__"):
        # Only a package hands on what its modules define.
        assert own == listed


def test_the_face_is_more_than_a_placeholder():
    assert {"Router", "Message", "LLMRouteError", "ConfigError"} <= set(llmroute.__all__)


def test_public_names_call_themselves_llmroute():
    stamped = {
        name: getattr(llmroute, name).__module__
        for name in llmroute.__all__
        if inspect.isclass(getattr(llmroute, name)) or inspect.isfunction(getattr(llmroute, name))
    }

    assert dict.fromkeys(stamped, "llmroute") == stamped


def test_definitions_are_found_in_every_form():
    source = """
T = TypeVar("T")
X = 1
Y: int = 2
_z = 3
def f(): g = 1
async def h(): ...
class C: ...
"""

    assert {"X", "Y", "f", "h", "C"} == defined(source)
