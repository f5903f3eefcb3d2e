"""Who may import whom (docs/adr/0004-packaging.md), read from the sources, and what the command line loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ALLOWED = {
    # what everything speaks of
    "errors": set(),
    "environment": set(),
    "files": {"errors"},
    "printable": set(),
    "progress": set(),
    "registry": {"errors"},
    "target": {"environment", "registry"},
    "costs": set(),
    "options": {"errors"},
    "recipe": {"costs", "errors", "files", "options", "registry"},
    "artifact": {"registry", "target"},
    # what is worked on
    "models": {"registry"},
    "graph": {"errors", "target"},
    "images": {"errors", "files", "registry", "target"},
    "profile": set(),
    # the stages
    "trace": {"errors", "graph"},
    "source": {
        *("environment", "errors", "files", "graph", "images", "options", "progress", "recipe"),
        *("registry", "target", "trace"),
    },
    "passes": {"errors", "graph"},
    "quant": {"costs", "errors", "graph", "images", "progress", "recipe", "registry", "target"},
    "inputs": {"errors", "images", "progress", "quant", "recipe", "registry", "source", "target"},
    "targets": {"artifact", "errors", "graph", "passes", "quant", "registry", "target"},
    "bundle": {"artifact", "errors", "files", "graph", "images", "registry", "target"},
    "devices": {"environment", "errors", "files", "printable", "registry", "target"},
    "verify": {
        *("artifact", "bundle", "devices", "environment", "errors", "graph", "images", "progress", "recipe"),
        *("registry", "source", "target"),
    },
    "ladder": {"errors", "graph", "images", "quant", "recipe", "registry", "source", "target", "verify"},
    # what came of it, and who tells
    "run": {
        *("artifact", "errors", "images", "inputs", "ladder", "progress", "quant", "recipe", "registry", "source"),
        *("target", "verify"),
    },
    "bench": {"bundle", "devices", "environment", "errors", "files", "graph", "progress", "target", "verify"},
    "report": {
        *("artifact", "bench", "environment", "errors", "graph", "ladder", "passes", "quant", "recipe", "registry"),
        *("printable", "progress", "run", "target"),
    },
    "android": {"bundle", "errors", "graph", "images", "registry", "target"},
    "train": {
        *("bundle", "errors", "files", "images", "options", "progress", "recipe", "registry", "report", "source"),
    },
    "compress": {
        *("bundle", "errors", "graph", "images", "passes", "profile", "progress", "recipe", "report"),
        *("source", "target", "trace", "train"),
    },
    # the line, and the doors to it
    "pipeline": {
        *("artifact", "bundle", "compress", "devices", "errors", "graph", "images", "inputs", "ladder", "passes"),
        *("progress", "quant", "recipe", "registry", "report", "run", "source", "target", "trace", "verify"),
    },
    "sweep": {
        *("artifact", "bench", "bundle", "compress", "devices", "environment", "errors", "files", "options"),
        *("pipeline", "recipe", "report", "source", "target", "verify"),
    },
    "public": {"bench", "bundle", "devices", "errors", "options", "pipeline", "recipe", "report", "source", "verify"},
    "__init__": set(),
    "testing": {"__init__", "bench", "bundle", "devices", "errors", "verify"},
    "cli": {
        *("android", "artifact", "bench", "bundle", "compress", "costs", "devices", "environment", "errors", "images"),
        *("passes",),
        *(
            "pipeline",
            "options",
            "printable",
            "profile",
            "progress",
            "public",
            "recipe",
            "registry",
            "report",
            "source",
            "target",
            "trace",
        ),
        *("sweep", "train", "verify"),
    },
    "__main__": {"cli"},
}
"""Module or room of edgekit -> those it may import; each stands behind all that it may import."""

TORCH = (
    "edgekit/compress/",
    "edgekit/source/",
    "edgekit/trace/",
    "edgekit/train/",
    "edgekit/profile/",
    "edgekit/quant/distill.py",
    "models/",
)
HEAVY = ("torch", "onnxruntime", "onnx", "onnx_ir", "PIL", "ai_edge_litert")


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of all imports, those inside functions included, those for type checkers not."""
    for node in ast.iter_child_nodes(tree):
        if is_for_type_checkers(node):
            yield from (name for branch in node.orelse for name in imported(ast.Module([branch], [])))
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node)


def unit(path: str) -> str:
    """`edgekit/source/zoo.py` -> source, `models/resnet.py` -> models."""
    parts = path.removesuffix(".py").split("/")
    return parts[1] if parts[0] == "edgekit" else parts[0]


@pytest.fixture(scope="module")
def imports(repository: Path) -> dict[str, set[str]]:
    """Path in the repository -> full names of what the module imports."""
    found = {}
    for folder in ("edgekit", "models", "targets"):
        for path in sorted((repository / folder).rglob("*.py")):
            names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
            found[path.relative_to(repository).as_posix()] = names
    assert len(found) > 100
    return found


def within(names: set[str]) -> set[str]:
    """The modules and packages of edgekit among full names; `edgekit.__version__` is none."""
    parts = [name.split(".") for name in names if name.split(".")[0] == "edgekit"]
    return {part[1] if len(part) > 1 else "__init__" for part in parts} - {"__version__"}


def test_every_module_has_its_place_in_the_order(imports):
    assert {unit(path) for path in imports} == ALLOWED.keys()


def test_imports_go_in_one_direction(imports):
    wrong = {
        path: sorted(bad)
        for path, names in imports.items()
        if (bad := within(names) - ALLOWED[unit(path)] - {unit(path)})
    }
    assert not wrong


def test_the_order_is_one_no_room_stands_before_what_it_imports():
    seen: set[str] = set()
    for name, allowed in ALLOWED.items():
        assert allowed <= seen, name
        seen.add(name)


def test_nothing_but_the_module_that_runs_it_imports_the_command_line(imports):
    assert {path for path, names in imports.items() if "cli" in within(names) and unit(path) != "cli"} == {
        "edgekit/__main__.py"
    }


def test_a_model_needs_torch_and_the_registry_alone(imports):
    allowed = {"torch", "edgekit", *sys.stdlib_module_names}
    for path, names in imports.items():
        if unit(path) == "models":
            assert {name.split(".")[0] for name in names} <= allowed, path


def test_torch_is_imported_where_networks_are_and_nowhere_else(imports):
    users = {path for path, names in imports.items() if "torch" in {name.split(".")[0] for name in names}}
    assert not {path for path in users if not path.startswith(TORCH)}
    assert all(any(path.startswith(place) for path in users) for place in TORCH)


def test_an_import_inside_a_function_counts_and_one_for_type_checkers_does_not():
    source = """
import a
def f():
    from b.c import d
if TYPE_CHECKING:
    import e
else:
    import g
"""
    assert list(imported(ast.parse(source))) == ["a", "b.c.d", "g"]


@pytest.mark.parametrize(
    "statement",
    [
        "import edgekit",
        "from edgekit import EdgekitError, bench, evaluate, export, register_model, verify",
        "from edgekit.cli import main; main(['--help'])",
        "from edgekit.cli import main; main(['export', '--help'])",
        "from edgekit.cli import main; main(['explain', 'EK301'])",
        "from edgekit.cli import main; main(['no-such-command'])",
    ],
)
def test_help_and_explanations_load_no_framework(statement):
    code = f"import sys\n{statement}\nprint('loaded', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded"
