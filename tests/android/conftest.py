"""Exported nets, and compiled stubs of what the generated sources call."""

from pathlib import Path

import nets
import pytest
import toolbox

import edgekit
from edgekit.bundle.files import read_bundle

STUBS = Path(__file__).parent / "stubs"
JUNIT = Path("/usr/share/java/junit4.jar")


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A function: a net's outputs (see nets.py), a target and options of export -> the bundle."""
    photographs = nets.write_photographs(tmp_path_factory.mktemp("photographs") / "images")
    labels = tmp_path_factory.mktemp("labels") / "labels.txt"
    labels.write_text("\n".join(nets.CLASSES) + "\n")

    def export(outputs, target, **options):
        folder = tmp_path_factory.mktemp("exported")
        net = nets.write_net(folder / "net.onnx", outputs)
        named = {"labels": str(labels)} if "scores" in outputs.values() else {}
        given = {"calibration": str(photographs), "out": str(folder), **named, **options}
        run = edgekit.export(str(net), target=target, **given)
        return read_bundle(run.bundles[target])

    return export


@pytest.fixture(scope="session")
def junit():
    if not JUNIT.is_file():
        pytest.skip("JUnit is not installed: apt-get install junit4")
    return f"{JUNIT}:{JUNIT.with_name('hamcrest-core.jar')}"


@pytest.fixture(scope="session")
def stubs(tmp_path_factory, junit):
    """Folder -> compiled classes of tests/android/stubs/."""
    made = {}
    for name, needed in {"bridge": (), "android": (), "litert": ("bridge",), "onnxruntime": ("bridge",)}.items():
        made[name] = tmp_path_factory.mktemp(name)
        classpath = [made[other] for other in needed] + [Path(jar) for jar in junit.split(":")]
        toolbox.java(sorted((STUBS / name).rglob("*.java")), made[name], *classpath)
    return made


@pytest.fixture(scope="session")
def jvm(stubs, junit):
    """Compiles modules and runs their instrumented tests."""
    return toolbox.Jvm(stubs, junit)
