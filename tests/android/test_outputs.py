"""A module gives every output of its model by name, whatever the names are and however the file orders them."""

import itertools
import json
import re
import shutil
from pathlib import PurePath

import nets
import numpy as np
import onnx
import pytest
import toolbox
from ai_edge_litert import schema_py_generated as schema
from nets import NASTIER, NASTY

from edgekit.android.module import SUFFIX, Module, module_contents, write_module
from edgekit.targets.tflite.flatbuffer import pack_model

MODULES = [
    ("tflite-int8", "java", {"logits": "scores"}),
    ("tflite-int16x8", "java", {"scores": "scores", "boxes": "boxes"}),
    ("tflite-fp32", "kotlin", {NASTY: "mask", "points": "points", NASTIER: "scores"}),
    ("ort-fp32", "java", {"boxes": "boxes", NASTIER: "scores", NASTY: "points"}),
    ("ort-int8", "kotlin", {"mask": "mask", NASTY: "index"}),
    ("tflite-int8", "java", {"index": "index", "boxes": "boxes"}),
]
"""Target, language, and what the outputs hold; the last two have no classes."""

APP = {
    "java": """package edgekit.net;
import android.content.Context;
import android.graphics.Bitmap;
import android.net.Uri;
import android.util.Log;
import java.io.InputStream;
abstract class App extends Context {
    void call(Context context, Uri uri) throws Exception {
BODY
    }
}
""",
    "kotlin": """package edgekit.net
import android.content.Context
import android.net.Uri
abstract class App : Context() {
    fun call(context: Context, uri: Uri) {
BODY
    }
}
""",
}


@pytest.mark.parametrize(("target", "language", "outputs"), MODULES)
def test_the_modules_own_test_and_an_apps_calls_pass(target, language, outputs, exported, jvm, tmp_path):
    module, folder = Module(exported(outputs, target), language), tmp_path / "module"
    write_module(module, folder)
    tests = ["ModelTest", *(["ClassifierTest"] if "scores" in outputs.values() else [])]
    sources = folder / "src" / "androidTest" / language / "edgekit" / "net"
    for name in tests:
        shutil.copy(toolbox.APPS / language / f"{name}.{SUFFIX[language]}", sources)
    expect_the_likeliest_class(module, folder)
    (folder / "src" / "main" / language / "edgekit" / "net" / f"App.{SUFFIX[language]}").write_text(
        app(folder, language)
    )
    assert f"OK ({5 + 2 * (len(tests) - 1)} tests)" in jvm.run(module, folder, "GoldenTest", *tests)


def expect_the_likeliest_class(module, folder):
    """Write what the apps' tests compare with."""
    if module.bundle.scores:
        (picture,) = [image for image in module.bundle.golden_images if image.name == "landscape"]
        likeliest = nets.CLASSES[int(np.argmax(picture.outputs[module.bundle.scores.name]))]
        (folder / "src" / "androidTest" / "assets" / "golden" / "expected.txt").write_text(likeliest)


def app(folder, language):
    """The lines of the README that run the model, as an app's source."""
    (snippet,) = re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    lines = [line for line in snippet.splitlines() if line]
    assert len(lines) <= 11
    start = next(i for i, line in enumerate(lines) if line.startswith(("try (", "Classifier(", "Model(")))
    return APP[language].replace("BODY", "\n".join(lines[start:]))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite-fp32", "tflite-int8", "ort-fp32", "ort-int8"])
@pytest.mark.parametrize("kinds", list(itertools.permutations(["scores", "boxes", "mask"])), ids="-".join)
def test_every_order_of_three_outputs(target, kinds, exported, jvm, tmp_path):
    jvm.check(Module(exported({kind: kind for kind in kinds}, target), "java"), tmp_path / "module")


@pytest.mark.parametrize(("target", "io"), [("tflite-int8", "float32"), ("ort-int8", "uint8")])
def test_outputs_are_real_numbers_whatever_the_file_stores(target, io, exported, jvm, tmp_path):
    bundle = exported({"boxes": "boxes", "scores": "scores"}, target, io=io)
    assert {tensor.dtype for tensor in bundle.output_tensors} == {io}
    jvm.check(Module(bundle, "java"), tmp_path / "module")


def reversed_outputs(data, suffix):
    """The model file with its outputs in the opposite order."""
    if suffix == ".onnx":
        model = onnx.load_from_string(data)
        outputs = list(model.graph.output)[::-1]
        del model.graph.output[:]
        model.graph.output.extend(outputs)
        return model.SerializeToString()
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[::-1]
    return pack_model(model)


@pytest.mark.parametrize("target", ["tflite-int8", "ort-fp32"])
def test_the_order_in_the_file_is_no_contract(target, exported, jvm, tmp_path):
    module, folder = (
        Module(exported({"mask": "mask", "points": "points", NASTY: "scores"}, target), "java"),
        tmp_path / "m",
    )
    write_module(module, folder)
    file = folder / "src" / "main" / "assets" / "net" / module.bundle.model_file.name
    file.write_bytes(reversed_outputs(file.read_bytes(), file.suffix))
    assert "OK (2 tests)" in jvm.run(module, folder)


def test_each_output_has_a_tolerance_of_its_own(exported, jvm, tmp_path):
    """0.05 is less than one step of the boxes, and more than ten of the mask."""
    module, folder = Module(exported({"boxes": "boxes", "mask": "mask"}, "tflite-int8"), "java"), tmp_path / "module"
    write_module(module, folder)
    spoil(folder, "vector1.outputs.0", 0.05)
    assert "OK (2 tests)" in jvm.run(module, folder)
    spoil(folder, "vector1.outputs.1", 0.05)
    with pytest.raises(AssertionError, match=r"vector1, output mask: arrays first differed at element \[7\]"):
        jvm.run(module, folder)


def spoil(folder, name, error):
    """Change one of a golden file's values."""
    file = folder / "src" / "androidTest" / "assets" / "golden" / name
    values = np.frombuffer(file.read_bytes(), "<f4").copy()
    values[7] += error
    file.write_bytes(values.tobytes())


@pytest.mark.parametrize("language", ["java", "kotlin"])
def test_labels_and_classifier_come_only_with_scores(language, exported):
    found = {}
    for outputs in ({"mask": "mask", "scores": "scores"}, {"mask": "mask"}):
        paths = dict(module_contents(Module(exported(outputs, "ort-fp32"), language)))
        found[len(outputs)] = {PurePath(path).stem for path in paths if path.startswith("src/main/")}
        assert (b"Classifier" in paths["README.md"]) == ("scores" in outputs)
    result = {"java": {"Result"}, "kotlin": set()}[language]
    assert found[2] - found[1] == {"Classifier", "Scores", "labels"} | result
    assert {"Model", "Outputs", "ModelRunner"} < found[1]


def test_the_readme_has_a_line_for_every_output(exported):
    bundle = exported({"boxes": "boxes", NASTIER: "scores"}, "tflite-int8")
    for language in ("java", "kotlin"):
        readme = dict(module_contents(Module(bundle, language)))["README.md"].decode()
        rows = [line for line in readme.splitlines() if line.startswith("| output ")]
        assert rows[0] == '| output `"boxes"` | int8 1x8x8x4 (NHWC), values |'
        assert [row.count("|") for row in rows] == [3, 3]
        assert rows[1].endswith("` | int8 1x3 (NC), scores |")


def test_the_golden_files_say_which_output_is_which(exported):
    bundle = exported({NASTY: "boxes", NASTIER: "scores"}, "tflite-int8")
    files = dict(module_contents(Module(bundle)))
    listed = files["src/androidTest/assets/golden/outputs.txt"].decode().splitlines()
    assert [(int(line[:1]), json.loads(line[2:])) for line in listed] == [(0, NASTY), (1, NASTIER)]
    stored = np.frombuffer(files["src/androidTest/assets/golden/vector0.outputs.0"], "<f4").reshape(8, 8, 4)
    np.testing.assert_array_equal(stored.transpose(2, 0, 1), bundle.outputs[NASTY][0])


CPP = """#include <cstdio>
#include "contract.h"
int main() {
  for (const edgekit::OutputContract& output : edgekit::Outputs()) {
    for (unsigned char byte : output.name) std::printf("%02x", byte);
    std::printf(" %d %.9g %d %s %s", int(output.type), output.scale, output.zero_point, output.layout.c_str(),
                output.meaning.c_str());
    for (int size : output.shape) std::printf(" %d", size);
    std::printf("\\n");
  }
}
"""
"""Prints Outputs() of the header, names in hexadecimal."""


def test_the_header_of_cpp_lists_every_output(exported, tmp_path):
    bundle = exported({NASTIER: "points", "boxes": "boxes", NASTY: "index", "é😀": "scores"}, "tflite-int8")
    write_module(Module(bundle, cpp=True), tmp_path / "m")
    (tmp_path / "outputs.cpp").write_text(CPP)
    flags = ("-std=c++17", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", tmp_path / "m" / "cpp")
    toolbox.run(toolbox.program("g++", "g++"), *flags, tmp_path / "outputs.cpp", "-o", tmp_path / "outputs")
    for line, tensor in zip(toolbox.run(tmp_path / "outputs").splitlines(), bundle.output_tensors, strict=True):
        name, dtype, scale, zero_point, layout, meaning, *shape = line.split()
        assert bytes.fromhex(name).decode() == tensor.name
        assert dtype == {"int8": "1", "int64": "5"}[tensor.dtype]
        assert np.float32(scale) == np.float32(1 if tensor.scale is None else tensor.scale)
        assert (zero_point, layout, meaning) == (str(tensor.zero_point or 0), tensor.layout, tensor.meaning)
        assert [int(size) for size in shape] == list(tensor.shape)
