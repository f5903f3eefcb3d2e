"""`pytest -m android`: the sample app is built and the instrumented test runs on the phone that adb sees.

Needs an Android SDK ($ANDROID_HOME), Gradle, a device or emulator, and the network for Gradle's packages.
"""

import os
import shutil
from pathlib import Path

import pytest
import toolbox
from nets import NASTIER, NASTY

import edgekit
from edgekit.android.module import Module, write_module
from edgekit.bundle.files import read_bundle

pytestmark = [pytest.mark.slow, pytest.mark.android]

HERE = Path(__file__).parent
CASES = [("tflite-int8", "kotlin"), ("tflite-fp32", "java"), ("ort-int8", "kotlin")]
SEVERAL = {NASTIER: "mask", "boxes": "boxes", NASTY: "scores"}
PACKAGE = "edgekit.model"
"""What the sample app imports."""


@pytest.fixture(scope="module")
def gradle() -> str:
    """Gradle, where an SDK and a device are present too."""
    sdk = os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT")
    if not sdk or not Path(sdk).is_dir():
        pytest.skip("no Android SDK: set ANDROID_HOME")
    found = toolbox.program("gradle", "gradle (8.13 or newer, from its own site)")
    listed = toolbox.run(toolbox.program("adb", "adb"), "devices")
    if not [line for line in listed.splitlines()[1:] if line.endswith("\tdevice")]:
        pytest.skip("adb sees no device")
    return found


@pytest.mark.parametrize(("target", "language"), CASES)
def test_the_sample_app_builds_and_the_golden_test_passes_on_the_phone(target, language, gradle, tmp_path):
    run = edgekit.export("mobilenet_v3_small", target=target, out=tmp_path / "build")
    check_on_the_phone(Module(read_bundle(run.bundles[target]), language, PACKAGE), gradle, tmp_path)


@pytest.mark.parametrize(("target", "language"), CASES)
def test_names_of_outputs_survive_the_way_through_jni(target, language, exported, gradle, tmp_path):
    check_on_the_phone(Module(exported(SEVERAL, target), language, PACKAGE), gradle, tmp_path)


def check_on_the_phone(module, gradle, tmp_path):
    write_module(module, tmp_path / "module")
    app = tmp_path / "sample"
    shutil.copytree(HERE / "sample", app)
    tasks = (":app:assembleRelease", ":model:connectedDebugAndroidTest")
    said = toolbox.run(gradle, "--no-daemon", f"-Pmodule={tmp_path / 'module'}", *tasks, cwd=app, timeout_s=3600)
    assert "BUILD SUCCESSFUL" in said
    assert list((app / "app" / "build" / "outputs").rglob("*.apk"))
