"""What `from edgekit import ...` gives: the names, their options, and what is said of a wrong one."""

import ast
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import edgekit
from edgekit import public
from edgekit.bench.protocol import Protocol
from edgekit.recipe import Recipe, make_recipe

NAMES = [
    "EdgekitError",
    "Recipe",
    "Run",
    "__version__",
    "bench",
    "evaluate",
    "export",
    "read_bundle",
    "register_model",
    "verify",
]
FUNCTIONS = ("bench", "evaluate", "export", "verify")


def parameters(function):
    return inspect.signature(getattr(public, function)).parameters


def refused(call):
    with pytest.raises(edgekit.EdgekitError) as raised:
        call()
    return raised.value


def in_a_fresh_interpreter(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these():
    assert edgekit.__all__ == dir(edgekit) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_what_is_public_can_be_called(name):
    assert callable(getattr(edgekit, name))


def test_a_name_is_what_its_room_defines():
    code = """
from edgekit import *
from edgekit import bundle, errors, public, recipe, registry, run
import edgekit.bundle.files
assert (EdgekitError, Recipe, Run) == (errors.EdgekitError, recipe.Recipe, run.Run)
assert (export, evaluate) == (public.export, public.evaluate)
assert (read_bundle, register_model) == (bundle.files.read_bundle, registry.register_model)
print(__version__)
"""
    assert in_a_fresh_interpreter(code) == f"{edgekit.__version__}\n"


def test_another_name_is_an_error_of_the_usual_kind():
    with pytest.raises(AttributeError, match="module 'edgekit' has no attribute 'exprot'"):
        edgekit.exprot  # noqa: B018


def test_type_checkers_see_every_name(package: Path):
    tree = ast.parse((package / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    seen |= {ast.unparse(node.target) for node in block.body if isinstance(node, ast.AnnAssign)}
    assert seen == set(NAMES)


@pytest.mark.parametrize("first", ["", "import edgekit.verify.golden, edgekit.bench.measure\n"])
def test_a_room_with_a_functions_name_is_both(first):
    code = f"""{first}
from edgekit import bench, public, verify
import edgekit.verify.golden as golden
import edgekit.bench.measure as measure
import inspect
assert (verify.golden, bench.measure) == (golden, measure)
assert inspect.signature(verify) == inspect.signature(public.verify)
assert inspect.signature(bench) == inspect.signature(public.bench)
assert verify.__doc__.startswith("verify(bundle: ") and "golden vectors again" in verify.__doc__
try:
    verify("nowhere")
except Exception as error:
    print(error)
"""
    assert in_a_fresh_interpreter(code).startswith("EK102 no bundle there [nowhere]")


def test_every_field_of_a_recipe_is_an_option_of_export_and_nothing_else_is():
    given = set(parameters("export")) - {"model", "target", "name", "prepare", "progress"}
    assert given == {field.name for field in fields(Recipe)} - {"model", "targets"}


def test_the_defaults_of_export_are_those_of_the_recipe():
    defaults = {name: option.default for name, option in parameters("export").items() if name in Recipe.__slots__}
    del defaults["model"]
    assert make_recipe(model="m", targets=("t",), **defaults) == make_recipe(model="m", targets=("t",))
    by_field = {field.name: field.default for field in fields(Recipe)}
    assert {name: default for name, default in defaults.items() if name not in ("model_args", "out")} == {
        name: by_field[name] for name in defaults if name not in ("model_args", "out")
    }


def test_what_evaluate_takes_for_a_model_export_takes_too():
    ours, theirs = parameters("evaluate"), parameters("export")
    shared = ours.keys() & theirs.keys()
    assert shared >= {"weights", "num_classes", "input_size", "preprocess", "model_args", "labels"}
    assert [n for n in shared - {"model"} if ours[n] != theirs[n]] == []


def test_every_field_of_a_protocol_is_an_option_of_bench():
    assert {field.name for field in fields(Protocol)} - {"sustained_s"} < parameters("bench").keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_option_has_a_type_and_a_word_of_what_it_is(function):
    described = inspect.getdoc(getattr(public, function))
    for name, option in parameters(function).items():
        assert option.annotation is not option.empty, name
        assert name in described, name
        assert option.kind in (option.KEYWORD_ONLY, option.POSITIONAL_OR_KEYWORD)


@pytest.mark.parametrize(
    ("call", "what", "fix"),
    [
        (lambda: edgekit.export("m", target="t", calibraton="d"), "export() has no option 'calibraton'", "calibration"),
        (lambda: edgekit.export("m", targets="t"), "export() has no option 'targets'", "target"),
        (lambda: edgekit.verify("b", devices="d"), "verify() has no option 'devices'", "device"),
        (lambda: edgekit.evaluate("m", "d", weight="w"), "evaluate() has no option 'weight'", "weights"),
        (lambda: edgekit.bench("b", thread=1), "bench() has no option 'thread'", "threads"),
    ],
)
def test_a_mistyped_option_is_told_the_one_that_was_meant(call, what, fix):
    error = refused(call)
    assert (error.code, error.what) == ("EK106", what)
    assert error.fix.startswith(f"did you mean {fix}")


def test_all_mistyped_options_are_told_at_once():
    error = refused(lambda: edgekit.export("m", target="t", calibraton="d", sampels=3))
    assert error.where == "calibraton, sampels"
    assert [row[0] for row in error.table.rows] == ["calibraton", "sampels"]


def test_an_option_like_no_other_is_told_where_they_stand():
    assert refused(lambda: edgekit.export("m", target="t", zzz=1)).fix == "see: help(edgekit.export)"


@pytest.mark.parametrize("call", [lambda: edgekit.export("m"), lambda: edgekit.export("m", "tflite-int8")])
def test_a_target_without_its_name_is_no_type_error(call):
    error = refused(call)
    assert (error.code, error.fix) == ("EK106", "options are keywords: edgekit.export(model, target=..., ...)")


@pytest.mark.parametrize(
    ("options", "where"),
    [({"samples": "many"}, "samples"), ({"quality": "bst"}, "quality"), ({"input_size": "wide"}, "input_size")],
)
def test_a_wrong_value_is_told_in_the_words_of_the_recipe(options, where):
    error = refused(lambda: edgekit.export("mobilenet_v1", target="ort-fp32", **options))
    assert (error.code, error.where) == ("EK106", where)
    assert "pydantic" not in str(error)
    assert "Input should be" not in str(error)


def test_a_mistyped_target_is_told_the_near_ones():
    assert refused(lambda: edgekit.export("mobilenet_v1", target="tflite-int9")).code == "EK101"


class Brightest(nn.Module):
    """Three scores: how bright red, green and blue are."""

    def forward(self, images):
        return images.mean((2, 3))


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    """Class folders in the order of the channels, the images of the last class without a blue."""
    folder = tmp_path_factory.mktemp("colours")
    for name, colour in (("a", (250, 0, 0)), ("b", (0, 250, 0)), ("c", (250, 0, 0))):
        (folder / name).mkdir()
        for index in range(2):
            Image.new("RGB", (9, 7), colour).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def run(colours, tmp_path_factory):
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("build")
    return edgekit.export(Brightest(), target=["ort-fp32", "tflite-fp32"], input_size=8, out=out, calibration=colours)


def test_export_gives_a_run_with_a_bundle_per_target(run, tmp_path):
    assert isinstance(run, edgekit.Run)
    run.raise_for_failures()
    assert list(run.bundles) == ["ort-fp32", "tflite-fp32"]
    bundle = edgekit.read_bundle(str(run.bundles["ort-fp32"]))
    assert (bundle.manifest["model"], bundle.manifest["recipe"]["model"]) == ("brightest", "Brightest")


def test_verify_runs_a_bundle_again(run):
    found = edgekit.verify(run.bundles["ort-fp32"])
    found.raise_for_failures()
    assert (found.passed, found.golden.bit_exact, found.devices) == (True, True, ())


def test_verify_runs_it_on_devices_too(run):
    found = edgekit.verify(edgekit.read_bundle(run.bundles["tflite-fp32"]), "local")
    assert [name for name, _ in found.devices] == ["local"]
    assert found.passed
    assert [row.hop.passed for row in found.rows] == [True]


def test_a_device_that_is_not_there_is_a_result_of_verify(run):
    found = edgekit.verify(run.bundles["tflite-fp32"], ["local", "ssh://nobody@127.0.0.1:1"])
    assert [row.device for row in found.rows] == ["local"]
    assert not found.passed
    assert refused(found.raise_for_failures).code == "EK601"


def test_a_file_that_gives_other_outputs_is_a_result_of_verify_and_no_device_is_tried(run):
    bundle = edgekit.read_bundle(run.bundles["tflite-fp32"])
    for values in bundle.outputs.values():
        values += 1
    found = edgekit.verify(bundle, "local")
    assert (found.passed, found.devices) == (False, ())
    assert refused(found.raise_for_failures).code == "EK502"


@pytest.mark.parametrize("kind", ["module", "folder", "bundle"])
def test_evaluate_takes_modules_and_bundles(kind, run, colours):
    module = Brightest().train()
    subject = {
        "module": module,
        "folder": str(run.bundles["tflite-fp32"]),
        "bundle": edgekit.read_bundle(run.bundles["ort-fp32"]),
    }[kind]
    options = {"input_size": 8} if kind == "module" else {}
    found = edgekit.evaluate(subject, colours, **options)
    assert (found.images, round(found.top1.percent, 1)) == (6, 66.7)  # the last class is always taken for the first
    assert module.training


def test_evaluate_leaves_images_out(run, colours):
    assert edgekit.evaluate(run.bundles["ort-fp32"], colours, limit=3).images == 3
    assert edgekit.evaluate(run.bundles["ort-fp32"], colours, subset="odd").images == 3


@pytest.mark.parametrize("options", [{"subset": "od"}, {"limit": 0}])
def test_evaluate_refuses_a_selection_that_is_none(options, run, colours):
    assert refused(lambda: edgekit.evaluate(run.bundles["ort-fp32"], colours, **options)).code == "EK106"


def test_evaluate_refuses_options_of_a_model_for_a_bundle(run, colours):
    error = refused(lambda: edgekit.evaluate(run.bundles["ort-fp32"], colours, weights="w.pth", num_classes=3))
    assert (error.code, error.where) == ("EK106", "weights, num_classes")


def test_bench_gives_a_record(run, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))  # its lock is nobody else's
    found = edgekit.bench(run.bundles["tflite-fp32"], runs=4, rounds=2, min_time_s=0, warmup=0)
    assert (found.metric, found.model, found.target) == ("latency", "brightest", "tflite-fp32")
    assert found.summary["p50_ms"] > 0
    assert (found.protocol["runs"], found.protocol["threads"], len(found.rounds)) == (4, 1, 2)


def test_bench_refuses_two_protocols_at_once(run):
    error = refused(lambda: edgekit.bench(run.bundles["tflite-fp32"], mlperf=True, sustained_min=1))
    assert error.code == "EK106"


class Heard:
    """A Progress that remembers."""

    def __init__(self):
        self.stages, self.steps = [], []

    def start(self, stage):
        self.stages.append(stage)

    def amount(self, done, total): ...

    def step(self, done, total):
        self.steps.append((done, total))

    def finish(self, stage):
        assert stage == self.stages[-1]


def test_who_is_given_as_progress_hears_of_the_work(colours, tmp_path):
    heard = Heard()
    edgekit.export(Brightest(), target="ort-fp32", input_size=8, out=tmp_path, calibration=colours, progress=heard)
    assert heard.stages[:3] == ["resolve", "trace", "simplify"]
    assert heard.stages[-1] == "write ort-fp32"
    heard = Heard()
    edgekit.evaluate(Brightest(), colours, input_size=8, progress=heard)
    assert (heard.stages, heard.steps[-1]) == (["evaluate"], (6, 6))


def test_progress_is_shown_where_it_is_asked_for_and_silent_otherwise(colours, tmp_path, capsys):
    def export(**options):
        edgekit.export(Brightest(), target="ort-fp32", input_size=8, out=tmp_path, calibration=colours, **options)
        return capsys.readouterr()

    said = export()
    assert (said.out, said.err) == ("", "")
    said = export(progress=True)
    assert said.out == ""
    assert [line.split()[:2] for line in said.err.splitlines()[:2]] == [["done", "resolve"], ["done", "trace"]]


def bounded(module):
    """A preparation that bounds what the module gives, far outside of it."""
    return nn.Sequential(module, nn.Hardtanh(-100, 100))


def test_a_plain_function_prepares_the_module_as_a_hop_of_its_own(colours, tmp_path):
    run = edgekit.export(
        Brightest(), target="ort-fp32", input_size=8, out=tmp_path, calibration=colours, prepare=bounded
    )
    run.raise_for_failures()
    hops = [(hop.reference, hop.name) for hop in run.artifacts["ort-fp32"].parity.hops]
    assert hops[0] == ("original", "prepared")
    assert run.floats.prepared == "bounded"


def test_a_function_without_a_name_prepares_too(colours, tmp_path):
    run = edgekit.export(
        Brightest(), target="ort-fp32", input_size=8, out=tmp_path, calibration=colours, prepare=lambda module: module
    )
    assert run.floats.prepared == "prepare"


def test_the_name_of_a_named_model_is_its_own():
    error = refused(lambda: edgekit.export("mobilenet_v1", target="ort-fp32", name="mine"))
    assert (error.code, error.where) == ("EK106", "name")
