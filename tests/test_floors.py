"""The house of the README: a room imports lower floors only, and nothing imports in a circle."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reasoner_jax"

FLOORS = {
    "core": 0,
    "text": 1,
    "audio": 1,
    "models": 1,
    "weights": 2,
    "codecs": 2,
    "sources": 2,
    "data": 2,
    "synthesis": 3,
    "generation": 3,
    "training": 3,
    "evaluation": 4,
    "serving": 4,
    "configs": 5,
    "launch": 6,
}

FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path):
    """Names of our own modules that a file imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (
            n for n in names if n.startswith(("reasoner_jax", "launch", "configs", "tests"))
        )


def room(name):
    return name.split(".")[1] if name.startswith("reasoner_jax.") else name.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_itself_and_lower_floors_only(path):
    here = module_name(path)
    if here == "reasoner_jax":
        return
    for name in imported(path):
        assert room(name) in FLOORS, f"{path} imports {name}, which is no room of the package"
        same_room = room(name) == room(here)
        assert same_room or FLOORS[room(name)] < FLOORS[room(here)], f"{path} imports {name}"


def test_every_folder_of_the_package_is_a_room():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders <= FLOORS.keys()


def test_no_import_goes_in_a_circle():
    modules = {module_name(path) for path in FILES}
    graph = {}
    for path in FILES:
        targets = set()
        for name in imported(path):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            targets.add(name)
        graph[module_name(path)] = targets - {"", "reasoner_jax", module_name(path)}
    graphlib.TopologicalSorter(graph).prepare()


def test_library_code_never_prints():
    for path in FILES:
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if getattr(c.func, "id", "") == "print"], path


DATA_STACK = ["grain", "array_record", "orbax", "clu", "librosa", "ml_collections"]


def test_what_computes_needs_no_data_stack():
    names = ["models.omni", "generation.engine", "training.step", "training.flops"]
    script = f"import sys; sys.modules.update(dict.fromkeys({DATA_STACK}))\n"
    script += "\n".join(f"import reasoner_jax.{name}" for name in names)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
