"""What packaging can break, and nothing else can: run against the checkout with the rest, and alone against the wheel.

Modules and packages that are left out, files that are no modules, entry points, and what starts from them.
"""

import importlib
import json
import pkgutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import edgekit
from edgekit.registry import models
from edgekit.target import targets

SCRIPT = Path(sys.executable).with_name("edgekit")
OPTIONAL = {"edgekit.devices.labgrid"}
"""Modules that need a package which edgekit does without."""


def command(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`edgekit WORDS` as it is installed, in a folder of its own."""
    return subprocess.run([SCRIPT, *words], cwd=folder, capture_output=True, text=True, timeout=600)


def source_folders(repository: Path) -> dict[str, Path]:
    """Package -> the folder of its sources."""
    packages = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    top = {"edgekit.models": "models", "edgekit.targets": "targets"}
    found = {}
    for package in packages:
        root = next((name for name in top if package == name or package.startswith(f"{name}.")), "edgekit")
        rest = package.removeprefix(root).strip(".").replace(".", "/")
        found[package] = repository / top.get(root, "edgekit") / rest
    return found


def test_every_module_of_the_sources_is_installed(repository):
    wanted = {
        f"{package}.{path.stem}" if path.stem != "__init__" else package
        for package, folder in source_folders(repository).items()
        for path in folder.glob("*.py")
    }
    roots = {name: importlib.import_module(name) for name in ("edgekit", "edgekit.models", "edgekit.targets")}
    walked = {
        module.name for name, root in roots.items() for module in pkgutil.walk_packages(root.__path__, f"{name}.")
    }
    assert walked | roots.keys() == wanted


def test_every_module_can_be_imported(repository):
    for package, folder in source_folders(repository).items():
        for path in sorted(folder.glob("*.py")):
            name = package if path.stem == "__init__" else f"{package}.{path.stem}"
            if name not in OPTIONAL | {"edgekit.__main__"}:
                importlib.import_module(name)


def test_every_file_that_is_no_module_is_installed_where_its_package_looks(repository):
    """Templates, sources of the C runner and of the counter, weights, declared figures."""
    ignored = ("*.py", "*.pyc", "__pycache__*")
    for package, folder in source_folders(repository).items():
        inside = {path for other in source_folders(repository).values() if other != folder for path in other.rglob("*")}
        for path in folder.rglob("*"):
            if (
                path.is_file()
                and path not in inside
                and not any(fnmatch(part, i) for part in path.parts for i in ignored)
            ):
                installed = files(package).joinpath(path.relative_to(folder).as_posix())
                assert installed.read_bytes() == path.read_bytes(), path


def test_the_entry_points_are_there_and_load():
    found = {(entry.group, entry.name): entry for entry in distribution("edgekit").entry_points}
    assert found.keys() == {("console_scripts", "edgekit"), ("pytest11", "edgekit")}
    assert all(entry.load() is not None for entry in found.values())


def test_models_and_targets_register_themselves():
    assert len(models.names()) > 80
    assert len(targets.names()) == 8


def test_one_export_to_every_target_passes_its_gates_and_is_verified(tmp_path):
    chosen = [word for name in targets.names() for word in ("-t", name)]
    done = command("export", "mobilenet_v3_small", "--samples", "16", "--quiet", "--json", *chosen, folder=tmp_path)
    document = json.loads(done.stdout)
    assert (done.returncode, document["error"]) == (0, None), done.stderr
    for target in document["targets"]:
        assert command("verify", target["bundle"], folder=tmp_path).returncode == 0


def test_the_command_line_and_the_module_say_the_same_version(tmp_path):
    said = command("--version", folder=tmp_path).stdout.strip()
    module = [sys.executable, "-m", "edgekit", "--version"]
    done = subprocess.run(module, cwd=tmp_path, capture_output=True, text=True)
    assert said == done.stdout.strip()
    assert edgekit.__version__ in said


def test_an_app_module_is_written_from_the_templates(tmp_path):
    assert command("export", "mobilenet_v3_small", "-t", "tflite-fp32", "--quiet", folder=tmp_path).returncode == 0
    bundle = "build/mobilenet_v3_small/tflite-fp32"
    for out, language in (("kotlin", []), ("java", ["--java"])):
        done = command("android", bundle, "--out", out, "--cpp", *language, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / out / "build.gradle.kts").is_file()


def test_pytest_finds_the_plugin(tmp_path):
    done = subprocess.run([sys.executable, "-m", "pytest", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert "--edgekit-device" in done.stdout


def test_help_says_what_is_installed(tmp_path):
    done = command("doctor", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert edgekit.__version__ in done.stdout
