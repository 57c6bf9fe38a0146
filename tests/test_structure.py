"""The shape of the house: imports go down, nothing circles, files stay small, the machine names no ansatz."""

import ast
import inspect
from pathlib import Path

import pytest

import husimix as hx

SOURCE = Path(hx.__file__).parent
# From the ground up. The two ansätze stand side by side and do not know each other.
FLOORS = [{"_errors", "_version", "_compilation"}, {"physics"}, {"state"}, {"ansatz"}, {"clusters", "mixture"}]
FLOORS += [{"results"}, {"solve"}, {"apps"}]
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(SOURCE.rglob("*.py"))
# What only an ansatz may know of itself.
ANSATZ_WORDS = ("mixture", "cluster", "component", "manifold", "gram", "moment", "support")


def module_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return "husimix." + ".".join(parts)


def imported(path):
    """The modules of the library that a file imports anywhere, also for types alone."""
    known = {module_of(p) for p in FILES}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "husimix":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "husimix")


def ids(path):
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", [p for p in FILES if p.name != "__init__.py"], ids=ids)
def test_imports_go_down_the_house(path):
    room = path.relative_to(SOURCE).with_suffix("").parts[0]
    for module in imported(path):
        names = module.split(".")
        assert len(names) > 1, f"{path} imports the whole package"
        other = names[1]
        assert other == room or HEIGHT[other] < HEIGHT[room], f"{path} imports {module} from a room above or beside"


def test_nothing_imports_in_a_circle():
    graph = {module_of(p): set(imported(p)) for p in FILES if p != SOURCE / "__init__.py"}
    settled, path = set(), []

    def visit(module):
        assert module not in path, f"circle: {' > '.join([*path[path.index(module) :], module])}"
        if module not in settled and module in graph:
            path.append(module)
            for other in sorted(graph[module] - {module}):
                visit(other)
            path.pop()
            settled.add(module)

    for module in sorted(graph):
        visit(module)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_sizes_are_kept(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno - first <= 60, f"{path}: {node.name} is too long"


MACHINE = [p for p in FILES if p.relative_to(SOURCE).parts[0] in ("solve", "results")]


@pytest.mark.parametrize("path", MACHINE, ids=ids)
def test_the_machine_names_no_ansatz(path):
    """No identifier and no text outside of docstrings; what docstrings tell users may name examples."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    }
    words = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words.add(node.value)
        words |= {
            getattr(node, name) for name in ("id", "attr", "name", "arg") if isinstance(getattr(node, name, None), str)
        }
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            kinds = ast.unparse(node.args[1])
            assert not any(k in kinds for k in ("Ansatz", "Motion", "State")), f"{path} asks for {kinds}"
    # Sentences, documentation of attributes and texts of diagnostics are for people.
    found = {w for w in words if " " not in w and any(word in w.lower() for word in ANSATZ_WORDS)}
    assert not found, f"{path} names {found}"


def test_the_machine_is_small():
    assert len([p for p in MACHINE if p.parent.name == "solve" and p.name != "__init__.py"]) <= 14


PUBLIC = {n: v for n, v in vars(hx).items() if not n.startswith("_") and (n not in {*HEIGHT, "jax"} or n == "models")}


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
