"""What the stubs declare of Android is what Android publishes: the names and argument counts of API level 36."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import toolbox

STUBS = Path(__file__).parent / "stubs" / "android" / "android"
PUBLISHED = "chaquopy-stubs-android==36.20260406"
"""Python signatures of every public class of Android, made from its android.jar."""

USED = {
    "graphics": {
        "Bitmap": ("getWidth", "getHeight", "getConfig", "copy", "getPixels"),
        "BitmapFactory": ("decodeStream",),
    },
    "content": {"Context": ("getAssets", "getContentResolver"), "ContentResolver": ("openInputStream",)},
    "content/res": {"AssetManager": ("open",)},
    "app": {"Instrumentation": ("getContext", "getTargetContext")},
    "util": {"Log": ("i",)},
}
"""Package -> class -> methods that the generated sources call."""

FIELDS = ("inPreferredConfig", "inPremultiplied", "inScaled")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A function: package -> text of its signatures."""
    folder = tmp_path_factory.mktemp("published")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PUBLISHED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"pip cannot download {PUBLISHED}: {done.stderr.strip().splitlines()[-1:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {package: archive.read(f"android-stubs/{package}/__init__.pyi").decode() for package in USED}


def java_signatures(package, name):
    """Method -> counts of its parameters, in the stub."""
    text = (STUBS / package / f"{name}.java").read_text()
    found = {}
    for method, parameters in re.findall(r"public [\w<>\[\]. ]*?(\w+)\(([^)]*)\)", text):
        found.setdefault(method, set()).add(len([p for p in parameters.split(",") if p.strip()]))
    return found


def published_signatures(text, name):
    """The same in the published text; overloads and optional parameters give several counts."""
    body = re.search(rf"^class {name}\b.*?(?=^class |\Z)", text, re.DOTALL | re.MULTILINE)
    assert body, name
    found = {}
    for method, parameters in re.findall(r"def (\w+)\((.*?)\)(?: ->|:)", body[0], re.DOTALL):
        given = [
            p for p in re.split(r",(?![^\[]*\])", parameters) if p.strip() and p.strip() not in ("self", "cls", "/")
        ]
        found.setdefault(method, set()).add(len(given))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("package", USED)
def test_every_method_that_is_called_exists_with_these_parameters(package, published):
    for name, methods in USED[package].items():
        ours, theirs = java_signatures(package, name), published_signatures(published[package], name)
        for method in methods:
            assert ours[method] <= theirs[method], (name, method)


@pytest.mark.slow
def test_the_options_of_the_decoder_exist(published):
    assert all(re.search(rf"\b{field}\b", published["graphics"]) for field in FIELDS)


def test_the_sources_call_nothing_else_of_android():
    """What is imported in the templates is what is listed here."""
    templates = toolbox.templates()
    imported = {name for path in templates for name in re.findall(r"^import (android\.[\w.]+)", path.read_text(), re.M)}
    known = {f"android.{package.replace('/', '.')}.{name}" for package, names in USED.items() for name in names}
    assert imported <= known
