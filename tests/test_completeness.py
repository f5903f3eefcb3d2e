"""What is written down twice agrees: documents with registries, packages with the tree, error codes with their uses.

`pytest tests/test_completeness.py --update-golden` rewrites the generated documents.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from zoo_table import zoo_markdown

from edgekit.errors import CATALOGUE, EXIT_CODES
from edgekit.registry import models
from edgekit.report.markdown import (
    STAGES,
    errors_markdown,
    models_markdown,
    supported_ops_markdown,
    targets_markdown,
)
from edgekit.report.zoo import load_measured
from edgekit.target import Runtime, runtimes, targets
from edgekit.targets.tflite.lowerings import ABOUT
from edgekit.targets.tflite.rules import lowerings

SOURCES = ("edgekit", "models", "targets")
VAGUE = {"util", "utils", "common", "helper", "helpers", "manager", "misc"}
ORT_AS_LIBRARY = {
    "edgekit/cli/catalogue.py",
    "edgekit/environment.py",
    "edgekit/graph/distrust.py",
    "edgekit/graph/session.py",
    "edgekit/quant/calibrate.py",
    "edgekit/quant/walk.py",
    "edgekit/source/onnx_file.py",
}
"""ONNX Runtime runs every graph of the pipeline, whatever the target: these call it, and say what it did."""

UPDATE = "run: pytest tests/test_completeness.py --update-golden"


def modules(repository: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((repository / folder).rglob("*.py"))


def compare_document(path: Path, text: str, update: bool) -> None:
    """Rewrite the document, or say that it is stale."""
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), UPDATE
    assert path.read_text(encoding="utf-8") == text, UPDATE


def replace_section(document: str, name: str, text: str) -> str:
    """`document` with `text` between the comments that mark the section; ValueError unless there is exactly one."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if (document.count(start), document.count(end)) != (1, 1) or document.index(end) < document.index(start):
        raise ValueError(f"exactly one {start} ... {end} is needed")
    before, _, rest = document.partition(start)
    return f"{before}{start}\n\n{text}\n\n{end}{rest.partition(end)[2]}"


def test_the_document_of_errors_is_the_catalogue(repository, update_golden):
    compare_document(repository / "docs" / "errors.md", errors_markdown(), update_golden)


def test_the_document_of_operators_is_the_registry_of_lowerings(repository, update_golden):
    compare_document(repository / "docs" / "supported-ops.md", supported_ops_markdown(ABOUT, lowerings), update_golden)


def test_the_document_of_the_zoo_is_the_record(repository, update_golden):
    compare_document(repository / "docs" / "zoo.md", zoo_markdown(load_measured(), models.names()), update_golden)


def test_what_was_measured_are_models_of_the_zoo():
    assert set(load_measured().models) <= set(models.names()), "run: python benchmarks/zoo.py --images DIR"


@pytest.mark.parametrize(
    ("name", "generate"), [("models", lambda: models_markdown(models)), ("targets", lambda: targets_markdown(targets))]
)
def test_a_table_of_the_readme_is_its_registry(name, generate, repository, update_golden):
    path = repository / "README.md"
    compare_document(path, replace_section(path.read_text(encoding="utf-8"), name, generate()), update_golden)


def test_every_model_target_and_operator_has_its_row_in_the_tables(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    operators = (repository / "docs" / "supported-ops.md").read_text(encoding="utf-8")
    assert all(readme.count(f"`{name}`") for name in models.names())
    assert all(readme.count(f"| `{name}` |") == 1 for name in targets.names())
    assert all(operators.count(f"| `{op}` |") == 1 for op in lowerings.names())


@pytest.mark.parametrize("document", ["", "<!-- a -->", "<!-- /a --><!-- a -->", "<!-- a --><!-- a --><!-- /a -->"])
def test_a_section_without_its_two_marks_is_an_error(document):
    with pytest.raises(ValueError, match="exactly one"):
        replace_section(document, "a", "text")


def test_only_what_is_between_the_marks_is_replaced():
    document = "before <!-- a -->old<!-- /a --> after <!-- b -->kept<!-- /b -->"
    expected = "before <!-- a -->\n\nnew\n\n<!-- /a --> after <!-- b -->kept<!-- /b -->"
    assert replace_section(document, "a", "new") == expected
    assert replace_section(expected, "a", "new") == expected


def test_the_packages_of_pyproject_are_the_folders_of_the_tree(repository):
    listed = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = []
    for init in (path for path in modules(repository, *SOURCES) if path.name == "__init__.py"):
        name = ".".join(init.parent.relative_to(repository).parts)
        found.append(name if name.split(".")[0] == "edgekit" else f"edgekit.{name}")
    assert listed == sorted(found)


def test_every_folder_of_modules_is_a_package(repository):
    folders = {path.parent for path in modules(repository, *SOURCES)}
    assert not [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()]


def error_codes(path: Path) -> set[str]:
    """Codes of the EdgekitErrors that a module makes, those chosen between two included."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "EdgekitError"]
    parts = [part for call in made for part in ast.walk(call.args[0])]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_every_error_code_that_is_raised_is_in_the_catalogue_and_every_code_there_is_raised(repository):
    raised = {path: error_codes(path) for path in modules(repository, *SOURCES)}
    undocumented = {str(path): codes - CATALOGUE.keys() for path, codes in raised.items() if codes - CATALOGUE.keys()}
    assert not undocumented
    assert sorted(set().union(*raised.values())) == sorted(CATALOGUE)


def test_every_code_that_a_docstring_or_message_names_exists(repository):
    named = {
        (path.name, code)
        for path in [*modules(repository, *SOURCES), *(repository / "docs").rglob("*.md"), repository / "README.md"]
        for code in re.findall(r"\bEK\d+\b", path.read_text(encoding="utf-8"))
    }
    assert len(named) > len(CATALOGUE)
    assert not sorted((file, code) for file, code in named if code not in CATALOGUE)


def test_every_code_belongs_to_a_stage_with_an_exit_code():
    assert all(re.fullmatch(r"EK[1-7]\d\d", code) for code in CATALOGUE)
    assert STAGES.keys() == EXIT_CODES.keys()
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_every_module_says_what_it_is(repository):
    """A package's empty __init__.py has nothing to say."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in modules(repository, *SOURCES, "benchmarks")}
    assert len(trees) > 100
    assert not [str(path) for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)]


def test_no_module_has_a_name_that_says_nothing(repository):
    named = [*modules(repository, *SOURCES, "tests", "benchmarks")]
    assert not [str(path) for path in named if VAGUE & {part.strip("_") for part in (path.stem, path.parent.name)}]


def names_of(runtime: Runtime) -> set[str]:
    """All words that mean this runtime and nothing else; .onnx is the pipeline's own format too."""
    called = {runtime.name, runtime.title, runtime.exact or runtime.name, runtime.suffix} - {"onnx"}
    packages = {word for package in runtime.packages for word in (package.name, package.distribution)}
    own = {target.name for target in targets if target.runtime == runtime}
    return called | packages | own | {library.name for library in runtime.android}


def code_of(path: Path) -> str:
    """A module without comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.unparse(tree)


@pytest.mark.parametrize("runtime", runtimes(), ids=lambda runtime: runtime.name)
def test_nothing_outside_targets_names_a_runtime(runtime, repository):
    names = "|".join(re.escape(name) for name in names_of(runtime))
    outside = modules(repository, "edgekit", "models")
    found = {path for path in outside if re.search(rf"(?<![\w-])({names})(?![\w-])", code_of(path))}
    allowed = ORT_AS_LIBRARY if runtime.name == "onnxruntime" else set()
    assert {path.relative_to(repository).as_posix() for path in found} == allowed
