"""Every printed command is run as it is printed, in a folder where what it names is there, and ends as documented."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from elsewhere import ELSEWHERE, ENDS_WITH, SLOW
from printed import COMMANDS, ROOT, Command, snippets
from world import BUNDLE, namespace

from edgekit.cli import main
from edgekit.devices.emulated_python import python_folder
from edgekit.devices.settings import find
from edgekit.errors import EdgekitError
from edgekit.recipe import make_recipe, read_recipe

OLD_RUNTIME = ("tflite-runtime==2.14.0", "numpy==1.26.4")
GENERATED = ("README.md", "docs/errors.md", "docs/supported-ops.md", "docs/zoo.md")
"""What --update-golden writes."""


def marked(command: Command, slow: bool):
    return pytest.param(command, id=str(command), marks=[pytest.mark.slow] if slow else [])


def is_edgekit(line: str) -> bool:
    return line.startswith("edgekit ")


AS_PRINTED = [command for command in COMMANDS if command.line not in ELSEWHERE]
OWN = [marked(command, command.line.startswith(SLOW)) for command in AS_PRINTED if is_edgekit(command.line)]
OTHER = [marked(command, False) for command in AS_PRINTED if not is_edgekit(command.line)]
REPLACED = {command.line: command for command in COMMANDS if command.line in ELSEWHERE}


def test_the_table_of_exceptions_names_printed_lines_only():
    assert set(ELSEWHERE) == set(REPLACED)


@pytest.mark.parametrize("command", OWN)
def test_a_printed_command_runs_as_printed(command, worlds, devices, reader, capsys):
    devices(command.line)
    ended = worlds[command.document].run(command.line, reader, capsys)
    if "timm:" in command.line:  # tests/source/test_libraries_installed.py runs it with the library
        expect_without_timm(ended)
    else:
        assert ended.code == ENDS_WITH.get(command.line, 0), ended.printed
    assert "Traceback" not in ended.printed


def expect_without_timm(ended) -> None:
    if find_spec("timm"):
        pytest.skip("would download the weights")
    assert ended.code == 3
    assert "fix: pip install 'edgekit[timm]'" in ended.printed


@pytest.mark.slow
def test_a_device_with_an_old_runtime_differs_at_the_operator_that_the_document_shows(worlds, devices, reader, capsys):
    """`edgekit verify BUNDLE --device oldpi --layerwise` where oldpi really gives other numbers."""
    devices("oldpi")
    try:
        python_folder(OLD_RUNTIME)
    except EdgekitError as error:
        pytest.skip(str(error))
    world = worlds["docs/benchmarking.md"]
    world.have(BUNDLE, reader, capsys)
    reader.setenv("EDGEKIT_DEVICES", str(world.folder / "oldpi.toml"))
    packages = json.dumps(OLD_RUNTIME)
    (world.folder / "oldpi.toml").write_text(
        f'[devices.oldpi]\nuri = "emulated:pi4"\nrunner = "python"\npackages = {packages}\n'
    )
    reader.chdir(world.folder)
    assert main(["verify", BUNDLE, "--device", "oldpi", "--layerwise"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"CONV_2D +conv2d_QuantizeLinear_Output +5 of 25600 +1 steps +differs", printed), printed
    assert "the first operator that differs is CONV_2D, which gives conv2d_QuantizeLinear_Output" in printed


# other programs


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """A clone of this repository as it is, for lines that write into it."""
    if not (ROOT / ".git").exists():
        pytest.skip("no clone")
    folder = tmp_path_factory.mktemp("clone") / "edgekit"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def run_program(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of another program: Python's own with this interpreter."""
    words = shlex.split(line)
    if words[0] in ("pytest", "pip"):
        words[:1] = [sys.executable, "-m", words[0]]
    elif words[0] == "python":
        words[0] = sys.executable
    if words[0] == "pre-commit":
        beside = Path(sys.executable).with_name(words[0])
        words[0] = str(beside) if beside.exists() else words[0]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    # A pytest in a pytest: what the outer one was told is not for it.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "GIT_"))}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=900, env=environment)


@pytest.mark.parametrize("command", OTHER)
def test_a_printed_line_of_another_program_runs_as_printed(command, checkout, worlds, devices, reader, capsys):
    devices(command.line)
    folder = checkout
    if "--edgekit-device" in command.line:
        folder = suite(worlds[command.document], command.line)
    line = f"{command.line} true" if command.line.startswith("ssh ") else command.line
    done = run_program(line, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    if "--update-golden" in line:  # what it writes is what stands here
        differs = [name for name in GENERATED if (checkout / name).read_bytes() != (ROOT / name).read_bytes()]
        assert not differs


def suite(world, line: str) -> Path:
    """The document's own test in a folder, with what an earlier run of the line before it has written."""
    folder = world.ready() / "suite"
    folder.mkdir(exist_ok=True)
    shutil.copy(world.folder / "devices.toml", folder)
    (test,) = (text for document, text in snippets("python") if document == world.document)
    (folder / "test_on_device.py").write_text(test)
    baseline = re.search(r"--edgekit-baseline (\S+)", line)
    if baseline and not (folder / baseline[1]).exists():
        (first,) = (c.line for c in COMMANDS if f"--edgekit-history {baseline[1]}" in c.line)
        assert run_program(first, folder).returncode == 0
    return folder


@pytest.mark.parametrize("command", [marked(c, ELSEWHERE[c.line].slow) for c in REPLACED.values()])
def test_what_stands_for_a_printed_line_runs(command, checkout, worlds, reader, capsys, repository):
    instead = ELSEWHERE[command.line]
    if is_edgekit(instead.run):
        ended = worlds[command.document].run(instead.run, reader, capsys)
        assert ended.code == 0, ended.printed
    elif instead.run:
        done = run_program(instead.run, checkout)
        if "apt-get" in instead.run and "Unable to locate" in done.stderr:
            pytest.skip("no lists of packages here: apt-get update")
        assert done.returncode == (1 if instead.run == "ssh-copy-id -h" else 0), done.stdout + done.stderr
    else:
        assert command.line.removeprefix("pip install") in (repository / ".ci/run").read_text()


# snippets


def test_the_python_of_the_readme_runs(worlds, devices, reader, capsys):
    [(document, text)] = [(name, text) for name, text in snippets("python") if name == "README.md"]
    devices(text)
    world = worlds[document]
    reader.chdir(world.ready())
    given = {"net": namespace(world.folder / "net.py")["make_net"]()}
    exec(compile(text, "README.md", "exec"), given)
    assert sorted(given["run"].bundles) == ["ort-int8", "tflite-int8"]


def test_the_toml_of_the_readme_is_a_recipe(worlds):
    [(document, text)] = [(name, text) for name, text in snippets("toml") if name == "README.md"]
    file = worlds[document].ready() / "recipe.toml"
    file.write_text(f'model = "mobilenet_v2"\ntargets = ["tflite-int8"]\n{text}')
    recipe = make_recipe(**read_recipe(file))
    assert recipe.keep_float == ("features.0",)
    assert recipe.method is not None


def test_the_toml_of_devices_names_a_device(reader, tmp_path):
    [text] = [text for name, text in snippets("toml") if name == "docs/devices.md"]
    (tmp_path / "devices.toml").write_text(text)
    reader.chdir(tmp_path)
    assert find("pi").uri == "ssh://pi@raspberrypi.local"
