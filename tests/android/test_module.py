"""`edgekit android`: the module compiles against what is published, and its own instrumented test passes on a JVM.

The pictures come through javax.imageio instead of Android's decoder, the scores from the real runtime in a Python
process behind the stubs; every line of the generated sources in between is the one that a phone runs.
"""

import json
import re
import sys
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

HERE = Path(__file__).parent
STUBS = HERE / "stubs"
JUNIT = Path("/usr/share/java/junit4.jar")
TARGETS = ("tflite-fp32", "tflite-int8", "ort-fp32", "ort-int8")
FEW = [("tflite-int8", "java"), ("tflite-fp32", "kotlin"), ("ort-int8", "kotlin"), ("ort-fp32", "java")]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    run = edgekit.export("mobilenet_v3_small", target=TARGETS, out=tmp_path_factory.mktemp("build"))
    return {name: read_bundle(path) for name, path in run.bundles.items()}


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


def compiled(folder, language, library, stubs, junit):
    """The module's sources and its test as classes; ONNX Runtime's published ones, stubs of LiteRT's API."""
    out = folder.with_name(f"{folder.name}-classes")
    sources = sorted(folder.glob(f"src/*/{language}/**/*.{'kt' if language == 'kotlin' else 'java'}"))
    runtime = toolbox.onnxruntime_classes() if library == "onnxruntime" else stubs["litert"]
    classpath = [stubs["android"], runtime, *(Path(jar) for jar in junit.split(":"))]
    getattr(toolbox, language)(sources, out, *classpath)
    return out


@pytest.mark.parametrize(("target", "language"), FEW)
def test_the_modules_own_instrumented_test_passes(target, language, bundles, stubs, junit, tmp_path):
    run_instrumented(Module(bundles[target], language), tmp_path / "module", stubs, junit)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tflite-int8", "tflite-fp32", "ort-int8"])
@pytest.mark.parametrize("io", ["uint8", "float32", "folded"])
def test_every_kind_of_input_and_output_runs(target, io, stubs, junit, tmp_path):
    if target == "tflite-fp32" and io == "uint8":
        pytest.skip("a float file has float inputs")
    options = {"fold_normalization": True} if io == "folded" else {"io": io}
    run = edgekit.export("mobilenet_v3_small", target=target, out=tmp_path / "build", **options)
    for language in ("java", "kotlin"):
        module = Module(read_bundle(run.bundles[target]), language)
        run_instrumented(module, tmp_path / language, stubs, junit)


def run_instrumented(module, folder, stubs, junit):
    """Write, compile and run; JUnit's two tests pass."""
    write_module(module, folder)
    assert "OK (2 tests)" in run_golden_test(module, folder, stubs, junit)


def run_golden_test(module, folder, stubs, junit):
    """Compile the module in `folder` and run its GoldenTest; what JUnit says."""
    library = "litert" if module.bundle.target.startswith("tflite") else "onnxruntime"
    classes = compiled(folder, module.language, library, stubs, junit)
    path = [classes, *(stubs[name] for name in ("android", "bridge", library)), junit]
    if module.language == "kotlin":
        path.append(toolbox.kotlin_runtime())
    properties = {
        "edgekit.python": sys.executable,
        "edgekit.server": HERE / "harness" / "model_server.py",
        "edgekit.main.assets": folder / "src" / "main" / "assets",
        "edgekit.test.assets": folder / "src" / "androidTest" / "assets",
    }
    given = [f"-D{key}={value}" for key, value in properties.items()]
    jvm = toolbox.program("java", "openjdk-17-jre-headless")
    test = "edgekit.mobilenet_v3_small.GoldenTest"
    return toolbox.run(jvm, *given, "-cp", ":".join(map(str, path)), "org.junit.runner.JUnitCore", test)


WRONG = {"grey.input": "everyImageBecomesItsTensor", "vector0.outputs": "everyTensorGivesItsScores"}
"""Golden file to spoil -> the test that must notice."""


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_noticed(name, bundles, stubs, junit, tmp_path):
    module = Module(bundles["tflite-int8"], "java")
    write_module(module, tmp_path / "module")
    file = tmp_path / "module" / "src" / "androidTest" / "assets" / "golden" / name
    data = bytearray(file.read_bytes())
    data[3] ^= 0x41
    file.write_bytes(data)
    with pytest.raises(AssertionError, match=WRONG[name]):
        run_golden_test(module, tmp_path / "module", stubs, junit)


@pytest.mark.parametrize("language", ["java", "kotlin"])
def test_the_ten_lines_of_the_readme_compile(language, bundles, stubs, junit, tmp_path):
    write_module(Module(bundles["tflite-int8"], language), tmp_path / "module")
    (snippet,) = re.findall(rf"```{language}\n(.*?)```", (tmp_path / "module" / "README.md").read_text(), re.DOTALL)
    lines = [line for line in snippet.splitlines() if line]
    assert len(lines) <= 11
    start = next(i for i, line in enumerate(lines) if line.startswith(("try (", "Classifier(")))
    body = "\n".join(lines[start:])
    if language == "java":
        imports = (
            "android.content.Context;android.graphics.Bitmap;android.net.Uri;android.util.Log;java.io.InputStream;"
        )
        head = "".join(f"import {name};\n" for name in imports.split(";") if name)
        extra = f"package edgekit.mobilenet_v3_small;\n{head}abstract class App extends Context {{\n"
        extra += f"void call(Context context, Uri uri) throws Exception {{\n{body}\n}}\n}}\n"
        path = tmp_path / "module/src/main/java/edgekit/mobilenet_v3_small/App.java"
    else:
        extra = "package edgekit.mobilenet_v3_small\nimport android.content.Context\nimport android.net.Uri\n"
        extra += f"abstract class App : Context() {{\nfun call(context: Context, uri: Uri) {{\n{body}\n}}\n}}\n"
        path = tmp_path / "module/src/main/kotlin/edgekit/mobilenet_v3_small/App.kt"
    path.write_text(extra)
    compiled(tmp_path / "module", language, "litert", stubs, junit)


def test_the_command_writes_it(bundles, tmp_path, capsys):
    bundle = bundles["tflite-int8"]
    assert main(["android", str(bundle.path), "--out", str(tmp_path / "m"), "--java", "--cpp", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == "mobilenet_v3_small"
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
            assert found[f"src/main/assets/mobilenet_v3_small/{name}"] == (bundle.path / name).read_bytes()


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


def test_a_file_that_gives_indices_is_refused(bundles):
    bundle = bundles["ort-fp32"]
    output = {**bundle.contract["outputs"][0], "dtype": "int64"}
    with pytest.raises(EdgekitError, match="gives int64"):
        contents(replace(bundle, contract={**bundle.contract, "outputs": [output]}))


def test_a_bundle_of_an_older_edgekit_is_told_to_be_exported_again(bundles):
    bundle = bundles["ort-fp32"]
    manifest = {key: value for key, value in bundle.manifest.items() if key != "android"}
    with pytest.raises(EdgekitError, match="export it again"):
        contents(replace(bundle, manifest=manifest))


def test_a_folder_of_something_else_is_not_replaced(bundles, tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(EdgekitError, match="something else"):
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
