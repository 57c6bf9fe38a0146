"""The shape of the house: imports go down, files stay small, public names are documented."""

import ast
import inspect
from pathlib import Path

import pytest

import husimix as hx

SOURCE = Path(hx.__file__).parent
ROOMS = ["physics", "phasespace", "solve", "apps"]
FILES = sorted(SOURCE.rglob("*.py"))


def room(parts):
    """The height of a module in the house; modules at the root are the ground that all stand on."""
    return ROOMS.index(parts[0]) if parts and parts[0] in ROOMS else -1


def imported_modules(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down_the_house_and_sizes_are_kept(path):
    text = path.read_text()
    tree = ast.parse(text)
    parts = path.relative_to(SOURCE).parts
    if len(parts) > 1:
        for module in imported_modules(tree):
            names = module.split(".")
            if names[0] == "husimix":
                assert len(names) > 1, f"{path} imports the whole package"
                assert room(names[1:]) <= room(parts), f"{path} imports {module} from a room above"
    assert text.count("\n") <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = (
                node.end_lineno - node.body[0].end_lineno if ast.get_docstring(node) else node.end_lineno - node.lineno
            )
            assert body <= 60, f"{path}: {node.name} has {body} lines beside its docstring"


PUBLIC = {n: v for n, v in vars(hx).items() if not n.startswith("_") and n not in {*ROOMS, "jax"}}


@pytest.mark.parametrize(("name", "value"), PUBLIC.items(), ids=PUBLIC.keys())
def test_every_public_name_is_documented(name, value):
    text = inspect.getdoc(value)
    assert text and len(text.splitlines()[0]) > 15, name
    if inspect.isfunction(value):
        for parameter in inspect.signature(value).parameters:
            assert parameter in text, f"{name} does not document {parameter}"
        if "Args:" in text:
            assert "Returns:" in text and "Raises:" in text, name
    if inspect.isclass(value):
        for method, function in inspect.getmembers(value, inspect.isfunction):
            if not method.startswith("_") and function.__module__.startswith("husimix"):
                assert inspect.getdoc(function), f"{name}.{method} has no docstring"


def test_concrete_classes_are_final():
    """Abstract or final: no class derives from a concrete class of the library."""
    concrete, bases = set(), []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                names = [base.id for base in node.bases if isinstance(base, ast.Name)]
                bases += [(node.name, base) for base in names]
                if not node.name.lstrip("_").startswith("Abstract"):
                    concrete.add(node.name)
    for child, parent in bases:
        assert parent not in concrete, f"{child} derives from the concrete class {parent}"
