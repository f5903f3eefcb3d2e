"""`edgekit android`: the module compiles against what is published, and its own instrumented test passes on a JVM.

The pictures come through javax.imageio instead of Android's decoder, the scores from the real runtime in a Python
process behind the stubs; every line of the generated sources in between is the one that a phone runs.
"""

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toolbox

import edgekit
from edgekit.android.module import Module, identifier, module_contents, write_module
from edgekit.bundle.files import read_bundle
from edgekit.cli import main
from edgekit.errors import EdgekitError

TARGETS = ("tflite-fp32", "tflite-int8", "ort-fp32", "ort-int8")


@pytest.fixture(scope="session")
def bundles(exported):
    """A classifier with one output, for each target."""
    return {target: exported({"logits": "scores"}, target) for target in TARGETS}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite-int8", "tflite-fp32", "ort-int8"])
@pytest.mark.parametrize("io", ["uint8", "float32", "folded"])
def test_every_kind_of_input_and_output_runs(target, io, jvm, tmp_path):
    if target == "tflite-fp32" and io == "uint8":
        pytest.skip("a float file has float inputs")
    options = {"fold_normalization": True} if io == "folded" else {"io": io}
    run = edgekit.export("mobilenet_v3_small", target=target, out=tmp_path / "build", **options)
    for language in ("java", "kotlin"):
        jvm.check(Module(read_bundle(run.bundles[target]), language), tmp_path / language)


WRONG = {"grey.input": "everyImageBecomesItsTensor", "vector0.outputs.0": "everyTensorGivesItsOutputs"}
"""Golden file to spoil -> the test that must notice."""


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_noticed(name, bundles, jvm, tmp_path):
    module = Module(bundles["tflite-int8"], "java")
    write_module(module, tmp_path / "module")
    file = tmp_path / "module" / "src" / "androidTest" / "assets" / "golden" / name
    data = bytearray(file.read_bytes())
    data[3] ^= 0x41
    file.write_bytes(data)
    with pytest.raises(AssertionError, match=WRONG[name]):
        jvm.run(module, tmp_path / "module")


def test_the_command_writes_it(bundles, tmp_path, capsys):
    bundle = bundles["tflite-int8"]
    assert main(["android", str(bundle.path), "--out", str(tmp_path / "m"), "--java", "--cpp", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == "net"
    on_disk = sorted(p.relative_to(tmp_path / "m").as_posix() for p in (tmp_path / "m").rglob("*") if p.is_file())
    assert document["files"] == on_disk
    assert main(["android", str(bundle.path), "--out", str(tmp_path / "k"), "--package", "com.example.cifar"]) == 0
    assert (tmp_path / "k/src/main/kotlin/com/example/cifar/Classifier.kt").is_file()


def contents(bundle, **choices):
    return dict(module_contents(Module(bundle, **choices)))


def test_the_files_of_the_bundle_are_in_the_assets_as_they_are(bundles):
    for bundle in bundles.values():
        found = contents(bundle)
        for name in (bundle.model_file.name, "labels.txt", "contract.json"):
            assert found[f"src/main/assets/net/{name}"] == (bundle.path / name).read_bytes()


def test_no_mark_is_left_and_nothing_is_private_to_this_machine(bundles):
    for bundle in bundles.values():
        for language in ("java", "kotlin"):
            for path, data in contents(bundle, language=language, cpp=True).items():
                if path.endswith((".kt", ".java", ".kts", ".md", ".h", ".cpp", ".txt", ".pro", ".xml")):
                    assert not re.search(rb"@[A-Z][A-Z0-9_]*@", data), path
                    assert str(bundle.path).encode() not in data


def test_the_build_file_says_what_the_manifest_says(bundles):
    for target, coordinate, sdk in (
        ("tflite-int8", "com.google.ai.edge.litert:litert:1.4.2", 21),
        ("ort-int8", "com.microsoft.onnxruntime:onnxruntime-android:1.29.0", 24),
    ):
        build = contents(bundles[target])["build.gradle.kts"].decode()
        assert f'api("{coordinate}")' in build
        assert f"minSdk = {sdk}\n" in build
        assert f">= {bundles[target].manifest['min_runtime']}." in build
        assert "pages of 16 KB" in build
        assert '"arm64-v8a"' in build


def test_another_library_can_be_chosen(bundles):
    build = contents(bundles["tflite-int8"], library="tensorflow-lite")["build.gradle.kts"].decode()
    assert "org.tensorflow:tensorflow-lite:2.17.0" in build
    assert "x86_64" not in build


@pytest.mark.parametrize(
    ("choices", "code", "said"),
    [
        ({"library": "litter"}, "EK101", "did you mean litert"),
        ({"library": "onnxruntime"}, "EK101", "choose one of"),
        ({"package": "model"}, "EK106", "two or more"),
        ({"package": "com.Example"}, "EK106", "two or more"),
        ({"package": "com.class.model"}, "EK106", "two or more"),
        ({"package": "com/../etc.x"}, "EK106", "two or more"),
    ],
)
def test_impossible_choices_are_refused(choices, code, said, bundles):
    with pytest.raises(EdgekitError, match=said) as raised:
        contents(bundles["tflite-int8"], **choices)
    assert raised.value.code == code


def test_a_file_newer_than_the_library_is_refused(bundles):
    newer = replace(bundles["tflite-int8"], manifest={**bundles["tflite-int8"].manifest, "min_runtime": "2.99.0"})
    with pytest.raises(EdgekitError, match="too old") as raised:
        contents(newer)
    assert raised.value.code == "EK302"


def test_a_file_that_any_runtime_loads_is_not_compared(bundles):
    bundle = bundles["tflite-int8"]
    assert contents(replace(bundle, manifest={**bundle.manifest, "min_runtime": ""}))


def test_a_library_that_the_classes_cannot_call_is_refused(bundles):
    manifest = bundles["ort-fp32"].manifest
    other = {**manifest["android"][0], "name": "another", "runtime": "another"}
    with pytest.raises(EdgekitError, match="no Kotlin class of edgekit calls another") as raised:
        contents(replace(bundles["ort-fp32"], manifest={**manifest, "android": [other]}))
    assert raised.value.code == "EK302"


@pytest.mark.parametrize(("side", "said"), [("inputs", "takes float64"), ("outputs", "gives 'logits' as float64")])
def test_numbers_that_the_app_cannot_read_are_refused(side, said, bundles):
    bundle = bundles["ort-fp32"]
    tensors = [{**tensor, "dtype": "float64"} for tensor in bundle.contract[side]]
    with pytest.raises(EdgekitError, match=said) as raised:
        contents(replace(bundle, contract={**bundle.contract, side: tensors}))
    assert raised.value.code == "EK302"


def test_a_bundle_of_an_older_edgekit_is_told_to_be_exported_again(bundles):
    bundle = bundles["ort-fp32"]
    manifest = {key: value for key, value in bundle.manifest.items() if key != "android"}
    with pytest.raises(EdgekitError, match="export it again"):
        contents(replace(bundle, manifest=manifest))


def test_a_folder_of_something_else_is_not_replaced(bundles, tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(EdgekitError, match="not an Android module of edgekit; it holds photo"):
        write_module(Module(bundles["tflite-int8"]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_module_takes_the_place_of_an_older_one_with_all_its_files(bundles, tmp_path):
    write_module(Module(bundles["tflite-int8"], cpp=True), tmp_path / "m")
    write_module(Module(bundles["ort-fp32"], "java"), tmp_path / "m")
    assert not (tmp_path / "m" / "cpp").exists()
    assert not list((tmp_path / "m").rglob("*.tflite"))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("timm:mobilenetv3_small.lamb", "mobilenetv3_small_lamb"),
        ("MyNet-2", "mynet_2"),
        ("7up", "model_7up"),
        ("é", "model"),
    ],
)
def test_a_models_name_becomes_a_name_of_gradle_and_java(name, plain):
    assert identifier(name) == plain


def test_the_golden_test_of_cpp_passes_and_notices_a_change(bundles, tmp_path):
    write_module(Module(bundles["tflite-int8"], cpp=True), tmp_path / "m")
    folder = tmp_path / "m" / "cpp"
    compiler = toolbox.program("g++", "g++")
    toolbox.run(compiler, "-std=c++17", "-O2", "-Wall", "-Werror", folder / "golden_test.cpp", "-o", tmp_path / "test")
    assert toolbox.run(tmp_path / "test", folder / "golden") == "4 golden images, 0 wrong\n"
    file = folder / "golden" / "upscaled.input"
    file.write_bytes(bytes(np.frombuffer(file.read_bytes(), np.uint8) ^ 1))
    with pytest.raises(AssertionError, match="upscaled: another tensor"):
        toolbox.run(tmp_path / "test", folder / "golden")


def test_the_published_library_is_aligned_as_the_manifest_says(bundles):
    """ONNX Runtime's AAR, its ELF files read with readelf."""
    readelf = toolbox.program("readelf", "binutils")
    (library,) = bundles["ort-fp32"].manifest["android"]
    with zipfile.ZipFile(toolbox.onnxruntime_aar()) as aar:
        for abi in ("arm64-v8a", "x86_64"):
            for name in ("libonnxruntime4j_jni.so", "libonnxruntime.so"):
                file = Path(aar.extract(f"jni/{abi}/{name}", toolbox.onnxruntime_aar().parent))
                loads = [line for line in toolbox.run(readelf, "-lW", file).splitlines() if " LOAD " in line]
                assert {int(line.split()[-1], 16) % library["page_size"] for line in loads} == {0}, file
        manifest = aar.read("AndroidManifest.xml").decode()
    assert f'minSdkVersion="{library["min_sdk"]}"' in manifest
    assert {f"jni/{abi}/libonnxruntime.so" for abi in library["abis"]} <= set(aar.namelist())
