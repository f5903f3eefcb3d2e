"""The search for the first operator that differs, with a device that computes one operator wrongly."""

import heads
import numpy as np
import pytest
from PIL import Image

import edgekit
from edgekit.bundle.files import read_bundle
from edgekit.devices.run_model import run_model
from edgekit.target import Cut, TensorInfo, targets
from edgekit.verify import layerwise
from edgekit.verify.first_difference import ancestors

SIZE = "32"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    out = tmp_path_factory.mktemp("build")
    run = edgekit.export("mobilenet_v3_small", target=["tflite-int8", "ort-fp32"], input_size=SIZE, samples=16, out=out)
    return {name: read_bundle(path) for name, path in run.bundles.items()}


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Bundles of a net with three outputs."""
    out, photos = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 16, 3), dtype=np.uint8)
    for index, pixels in enumerate(noise):
        Image.fromarray(pixels).save(photos / f"{index}.png")
    choices = {"input_size": "12x16", "samples": 8, "calibration": photos, "out": out}
    run = edgekit.export(f"{heads.__file__}:make", target=["tflite-int8", "ort-int8"], **choices)
    run.raise_for_failures()
    return {name: read_bundle(path) for name, path in run.bundles.items()}


def broken_device(monkeypatch, target, tensor):
    """Makes the second of two places change one element of all that is computed from `tensor`."""
    places = []

    def run(device, request):
        result, data = run_model(device, request)
        if device not in places:
            places.append(device)
        cuts = target.layers(request.model.read_bytes()).cuts
        [output] = (cut for cut in cuts if cut.gives_output)
        needed = {cuts[index].tensor for index in ancestors(cuts, output)}
        if device is places[0] or tensor not in needed:
            return result, data
        [told] = result.outputs
        changed = np.frombuffer(data[told.name], told.dtype).copy()
        changed[0] += 1
        return result, {told.name: changed.tobytes()}

    monkeypatch.setattr(layerwise, "run_model", run)


@pytest.mark.parametrize("name", ["tflite-int8", "ort-fp32"])
@pytest.mark.parametrize("position", [0, 0.5, 1])
def test_the_operator_that_computes_wrongly_is_named(name, position, bundles, monkeypatch):
    target = targets.get(name)
    cuts = target.layers(bundles[name].model_file.read_bytes()).cuts
    wrong = cuts[round(position * (len(cuts) - 1))]
    broken_device(monkeypatch, target, wrong.tensor)
    told = []
    found = layerwise.search(bundles[name], "local", 60, lambda done, total: told.append((done, total)))
    assert found.first is not None
    assert (found.first.cut.tensor, found.first.cut.operator) == (wrong.tensor, wrong.operator)
    assert found.first.different == 1
    assert found.first.steps == (1 if name == "tflite-int8" else None)
    assert [difference.cut.index for difference in found.tried] == sorted(d.cut.index for d in found.tried)
    assert told[-1] == (len(found.tried), len(cuts))
    assert len(found.tried) < len(cuts) / 4
    assert found.document()["first"]["tensor"] == wrong.tensor


@pytest.mark.parametrize("name", ["tflite-int8", "ort-int8"])
@pytest.mark.parametrize("wrong", ["first", *heads.NAMES])
def test_the_operator_is_named_whichever_output_it_leads_to(name, wrong, several, monkeypatch):
    target = targets.get(name)
    cuts = target.layers(several[name].model_file.read_bytes()).cuts
    broken = cuts[0] if wrong == "first" else next(cut for cut in cuts if cut.tensor == wrong)
    broken_device(monkeypatch, target, broken.tensor)
    found = layerwise.search(several[name], "local", 60, lambda done, total: None)
    assert found.first is not None
    assert found.first.cut == broken
    outputs = {difference.cut.tensor: difference.matters for difference in found.tried if difference.cut.gives_output}
    assert outputs == {output: wrong in ("first", output) for output in heads.NAMES}


def test_every_output_must_be_equal_for_nothing_to_differ(several):
    found = layerwise.search(several["ort-int8"], "local", 60, lambda done, total: None)
    assert found.first is None
    assert {difference.cut.tensor for difference in found.tried} == set(heads.NAMES)


def test_what_is_no_number_in_one_place_alone_differs():
    cut = Cut(0, "CONV_2D", "t", TensorInfo("t", (1,), "float32", "other"), ())
    nan = np.array([1, np.nan, np.inf], np.float32)
    assert layerwise.measure(cut, nan, nan) == layerwise.Difference(cut, 0, 3, None, 0.0)
    found = layerwise.measure(cut, np.array([1, 2, 3], np.float32), nan)
    assert (found.different, found.matters) == (2, True)
    assert found.document()["of_range"] is None


def test_floats_may_differ_in_their_last_bits_and_integers_may_not():
    cut = Cut(0, "CONV_2D", "t", TensorInfo("t", (1,), "float32", "other"), ())
    assert not layerwise.Difference(cut, 10, 10, None, 1e-6).matters
    assert layerwise.Difference(cut, 1, 10, None, 1e-4).matters
    assert layerwise.Difference(cut, 1, 10, 1, 1e-6).matters
    assert not layerwise.Difference(cut, 0, 10, 0, 0.0).matters
